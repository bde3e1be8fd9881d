#include "common/strvec.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"

#define CAPACITY_FIRST 8

/* Room for count items and the NULL behind them. */
static void grow(struct strvec *sv, size_t count)
{
    if (count < sv->capacity) {
        return;
    }
    sv->capacity = sv->capacity == 0 ? CAPACITY_FIRST : sv->capacity * 2;
    sv->items = xrealloc(sv->items, sv->capacity, sizeof(*sv->items));
    sv->items[sv->count] = NULL;
}

void strvec_push(struct strvec *sv, const char *s)
{
    strvec_adopt(sv, xstrdup(s));
}

void strvec_pushf(struct strvec *sv, const char *format, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;

    va_start(args, format);
    strbuf_vprintf(&text, format, args);
    va_end(args);
    strvec_adopt(sv, strbuf_detach(&text));
}

void strvec_adopt(struct strvec *sv, char *s)
{
    assert(s != NULL);
    grow(sv, sv->count + 1);
    sv->items[sv->count++] = s;
    sv->items[sv->count] = NULL;
}

bool strvec_contains(const struct strvec *sv, const char *s)
{
    for (size_t i = 0; i < sv->count; i++) {
        if (strcmp(sv->items[i], s) == 0) {
            return true;
        }
    }
    return false;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strvec_sort(struct strvec *sv)
{
    if (sv->count > 1) {
        qsort(sv->items, sv->count, sizeof(*sv->items), compare_items);
    }
}

void strvec_sort_unique(struct strvec *sv)
{
    size_t kept = 0;

    strvec_sort(sv);
    for (size_t i = 1; i < sv->count; i++) {
        if (strcmp(sv->items[kept], sv->items[i]) == 0) {
            free(sv->items[i]);
        } else {
            sv->items[++kept] = sv->items[i];
        }
    }
    if (sv->count > 1) {
        sv->count = kept + 1;
        sv->items[sv->count] = NULL;
    }
}

void strvec_remove(struct strvec *sv, size_t i)
{
    assert(i < sv->count);
    free(sv->items[i]);
    memmove(sv->items + i, sv->items + i + 1, (sv->count - i) * sizeof(*sv->items));
    sv->count--;
}

char *const *strvec_argv(struct strvec *sv)
{
    grow(sv, sv->count);
    return sv->items;
}

void strvec_release(struct strvec *sv)
{
    for (size_t i = 0; i < sv->count; i++) {
        free(sv->items[i]);
    }
    free(sv->items);
    *sv = (struct strvec)STRVEC_INIT;
}
