/*
 * stores: a store in a scratch folder, and how to make its objects old or bad. [tests]
 */
#ifndef TESTS_UNIT_STORES_H
#define TESTS_UNIT_STORES_H

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/store.h"
#include "tests/unit/scratch.h"
#include "tests/unit/trees.h"

#define HOUR_MS (INT64_C(3600) * 1000)

#define CLEANUP_STORE CLEANUP(store_cleanup)

static inline struct store *open_store(const struct scratch *s)
{
    CLEANUP_FREE char *path = scratch_path(s, "store");
    struct error err = ERROR_INIT;
    struct store *store = store_open(path, &err);

    if (!store) {
        fail_msg("%s", err.text);
    }
    return store;
}

static inline struct oid put(struct store *store, enum object_kind kind, const char *text)
{
    struct error err = ERROR_INIT;
    struct oid oid;

    oid_of(kind, text, strlen(text), &oid);
    if (store_put(store, kind, &oid, text, strlen(text), &err) < 0) {
        fail_msg("%s", err.text);
    }
    return oid;
}

/* The file of an object, relative to the scratch folder; malloc'ed. */
static inline char *object_file(const struct oid *oid)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(oid, hex);
    return xasprintf("store/objects/%.2s/%s", hex, hex + 2);
}

static inline size_t count_files(const struct scratch *s, const char *folder)
{
    int fd = scratch_open_dir(s, folder);
    CLEANUP_DIR DIR *dir = fdopendir(fd);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    return count;
}

/* Set a file's modification time to this long ago. */
static inline void make_old(const struct scratch *s, const char *path, int64_t age_ms)
{
    int64_t utc_ms = clock_utc_ms() - age_ms;
    struct timespec times[2];

    times[0] = (struct timespec){.tv_sec = utc_ms / 1000};
    times[1] = times[0];
    assert_int_equal(utimensat(s->fd, path, times, 0), 0);
}

static inline void make_object_old(const struct scratch *s, const struct oid *oid)
{
    CLEANUP_FREE char *file = object_file(oid);

    make_old(s, file, 48 * HOUR_MS);
}

static inline void damage(const struct scratch *s, const struct oid *oid,
                          const char *text)
{
    CLEANUP_FREE char *file = object_file(oid);

    assert_int_equal(fchmodat(s->fd, file, 0600, 0), 0);
    scratch_write(s, file, text);
}

static inline void put_all(struct store *store, const struct objects *objects)
{
    size_t cursor = 0;
    enum object_kind kind;
    struct oid oid;
    uint64_t place;

    while (oidset_next(objects->index, &cursor, &kind, &oid, &place)) {
        const struct body *body = &objects->bodies[place];

        assert_int_equal(store_put(store, kind, &oid, body->data, body->length, NULL), 0);
    }
}

/* Objects of a small project in the store: sub/a, run.sh, a link. */
static inline struct oid put_project(struct store *store, const char *text)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row sub_rows[] = {{.kind = TREE_FILE, .name = "a", .text = text},
                                   {.name = NULL}};
    uint64_t size_bytes;
    struct oid sub = trees_make(objects, sub_rows, &size_bytes);
    const struct row rows[] = {
        {.kind = TREE_SYMLINK, .name = "to", .text = "sub"},
        {.kind = TREE_FOLDER, .name = "sub", .folder = &sub, .size_bytes = size_bytes},
        {.kind = TREE_EXECUTABLE, .name = "run.sh", .text = "#!/bin/sh\n"},
        {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);

    put_all(store, objects);
    return root;
}

#endif
