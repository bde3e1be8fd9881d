#include "controller/table.h"

#include "common/strvec.h"
#include "controller/terminal.h"

#include <stdlib.h>
#include <string.h>

struct table {
    size_t column_count;
    size_t shown_count;  /* of them, from the left */
    struct strvec cells; /* the heads, then row by row */
};

static void add_row(struct table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->column_count; i++) {
        CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
        const char *cell = cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
        terminal_make_safe(cell, strlen(cell), &safe);
        strvec_push(&table->cells, safe.data);
    }
}

struct table *table_new(const char *const *heads)
{
    struct table *table = xcalloc(1, sizeof *table);
    while (heads[table->column_count] != NULL) {
        table->column_count++;
    }
    table->shown_count = table->column_count;
    add_row(table, heads);
    return table;
}

void table_free(struct table *table)
{
    if (table != NULL) {
        strvec_release(&table->cells);
        free(table);
    }
}

void table_add(struct table *table, const char *const *cells)
{
    add_row(table, cells);
}

void table_drop_last(struct table *table)
{
    table->shown_count = table->column_count - 1;
}

/* Columns on the screen: one a character. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

void table_write(const struct table *table, struct strbuf *out)
{
    size_t columns = table->column_count;
    if (table->cells.count == columns) {
        return;
    }
    size_t *widths = xcalloc(columns, sizeof *widths);
    for (size_t i = 0; i < table->cells.count; i++) {
        size_t width = width_of(table->cells.items[i]);
        widths[i % columns] = width > widths[i % columns] ? width : widths[i % columns];
    }
    for (size_t i = 0; i < table->cells.count; i++) {
        const char *cell = table->cells.items[i];
        bool is_last = i % columns == table->shown_count - 1;
        if (i % columns >= table->shown_count) {
            continue;
        }
        size_t pad = is_last ? 0 : widths[i % columns] - width_of(cell) + 2;
        strbuf_printf(out, "%s%*s%s", cell, (int)pad, "", is_last ? "\n" : "");
    }
    free(widths);
}
