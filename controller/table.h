/*
 * table: rows for people, in columns as wide as they need.            [controller]
 *
 * Life: table_new -> table_add ... -> table_write -> table_free. Cells are copied and
 * made safe for a terminal.
 */
#ifndef CONTROLLER_TABLE_H
#define CONTROLLER_TABLE_H

#include "common/mem.h"
#include "common/strbuf.h"

#include <stddef.h>

struct table;

/* heads: NULL-terminated; one column each. */
struct table *table_new(const char *const *heads);
void table_free(struct table *table);
DEFINE_CLEANUP_FREE(table)

/* Append a row: as many cells as there are columns; NULL or "" is shown as "-". */
void table_add(struct table *table, const char *const *cells);
/* Leave the last column out of what is written: one in which no row has anything. */
void table_drop_last(struct table *table);
/* Append the heads and the rows; nothing where there are no rows. */
void table_write(const struct table *table, struct strbuf *out);

#endif
