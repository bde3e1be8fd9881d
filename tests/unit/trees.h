/*
 * trees: quick ways to make folders of objects in memory.            [tests]
 *
 * A folder is written as a list of rows; files have their text as content.
 */
#ifndef TESTS_UNIT_TREES_H
#define TESTS_UNIT_TREES_H

#include "common/tree.h"
#include "tests/unit/objects.h"

struct row {
    enum tree_kind kind;
    const char *name;
    const char *text;         /* content, or the link's target */
    const struct oid *folder; /* for TREE_FOLDER */
    uint64_t size_bytes;      /* for TREE_FOLDER */
};

static inline void trees_add(struct objects *objects, struct tree_writer *writer,
                             const struct row *row)
{
    struct tree_entry entry = {.kind = row->kind,
                               .size_bytes = row->size_bytes,
                               .name = row->name,
                               .name_length = strlen(row->name)};
    struct error err = ERROR_INIT;

    if (row->kind == TREE_FOLDER) {
        entry.oid = *row->folder;
    } else {
        entry.size_bytes = strlen(row->text);
        objects_add(objects, OBJECT_CONTENT, row->text, strlen(row->text), &entry.oid);
    }
    if (tree_writer_add(writer, &entry, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* The folder of these rows; rows end with a NULL name. *out_size may be NULL. */
static inline struct oid trees_make(struct objects *objects, const struct row *rows,
                                    uint64_t *out_size)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    uint64_t size_bytes;
    struct oid oid;

    for (; rows->name; rows++) {
        trees_add(objects, writer, rows);
    }
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &oid,
                                        out_size ? out_size : &size_bytes, NULL),
                     0);
    return oid;
}

/* One folder in another, depth times around the folder below. */
static inline struct oid trees_nest(struct objects *objects, const struct oid *below,
                                    uint64_t size_bytes, const char *name, size_t depth)
{
    struct oid oid = *below;

    for (size_t i = 0; i < depth; i++) {
        struct oid inner = oid;
        const struct row rows[] = {{.kind = TREE_FOLDER,
                                    .name = name,
                                    .folder = &inner,
                                    .size_bytes = size_bytes},
                                   {.name = NULL}};

        oid = trees_make(objects, rows, NULL);
    }
    return oid;
}

#endif
