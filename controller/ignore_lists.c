#include "controller/ignore_lists.h"

#include <stdlib.h>

static void push(struct ignore_lists *lists, struct ignore_file *file, size_t base)
{
    if (lists->count == lists->capacity) {
        lists->capacity = lists->capacity > 0 ? lists->capacity * 2 : 16;
        lists->items = xrealloc(lists->items, lists->capacity, sizeof(*lists->items));
    }
    lists->items[lists->count++] = (struct ignore_list){.file = file, .base = base};
}

int ignore_lists_read(struct ignore_lists *lists, const struct ignore_source *source,
                      size_t base, struct error *err)
{
    struct error inner = ERROR_INIT;
    struct ignore_file *file = ignore_file_read(
        source->dir_fd, source->name, source->shown, source->is_nofollow, &inner);

    if (file) {
        push(lists, file, base);
    }
    return inner.code == ERR_NONE ? 0 : error_set(err, inner.code, "%s", inner.text);
}

void ignore_lists_pop(struct ignore_lists *lists, size_t count)
{
    while (lists->count > count) {
        ignore_file_free(lists->items[--lists->count].file);
    }
}

void ignore_lists_release(struct ignore_lists *lists)
{
    ignore_lists_pop(lists, 0);
    free(lists->items);
    *lists = (struct ignore_lists){.items = NULL};
}

const struct ignore_rule *ignore_lists_find(const struct ignore_lists *lists, size_t from,
                                            const struct ignore_subject *subject,
                                            const char **out_shown)
{
    struct ignore_entry entry = {
        .name = subject->full + subject->length - subject->name_length,
        .name_length = subject->name_length,
        .is_folder = subject->is_folder,
    };

    for (size_t i = lists->count; i-- > from;) {
        const struct ignore_list *list = &lists->items[i];
        const struct ignore_rule *rule;

        entry.path = subject->full + list->base;
        entry.path_length = subject->length - list->base;
        rule = ignore_file_match(list->file, &entry);
        if (rule) {
            *out_shown = ignore_file_shown(list->file);
            return rule;
        }
    }
    return NULL;
}
