#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ingest.h"
#include "common/worktree.h"
#include "tests/unit/scratch.h"
#include "tests/unit/trees.h"

#define NAMES 5
#define DEPTH 3

/* A generator of its own, so that every run tries the same trees. */
static unsigned next(uint64_t *state, unsigned below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33) % below;
}

static struct oid random_tree(struct objects *objects, uint64_t *state, unsigned depth,
                              uint64_t *out_size)
{
    static const char *const names[NAMES] = {"a", "b", "b.c", "\xff", "longer name"};
    static const char *const texts[] = {"one", "two", "", "../up", "a"};
    struct row rows[NAMES + 1] = {{.name = NULL}};
    struct oid folders[NAMES];
    size_t count = 0;

    for (size_t i = 0; i < NAMES; i++) {
        struct row *row = &rows[count];
        unsigned what = next(state, depth > 0 ? 6 : 4);

        *row = (struct row){.name = names[i], .text = texts[next(state, 4)]};
        if (what == 0) {
            row->name = NULL;
            continue;
        }
        row->kind = what == 1   ? TREE_EXECUTABLE
                    : what == 2 ? TREE_SYMLINK
                    : what == 3 ? TREE_FILE
                                : TREE_FOLDER;
        if (row->kind == TREE_SYMLINK) {
            row->text = texts[3 + next(state, 2)];
        }
        if (row->kind == TREE_FOLDER) {
            folders[i] = random_tree(objects, state, depth - 1, &row->size_bytes);
            row->folder = &folders[i];
        }
        count++;
    }
    rows[count].name = NULL;
    return trees_make(objects, rows, out_size);
}

static int forget(void *context, enum object_kind kind, const struct oid *oid,
                  const void *body, size_t length, const char *path, uint64_t offset,
                  struct error *err)
{
    (void)context, (void)kind, (void)oid, (void)body, (void)length, (void)path;
    (void)offset, (void)err;
    return 0;
}

/* The folder is that tree, to the last bit. */
static void assert_is(int dir_fd, const struct oid *root)
{
    const struct ingest_hooks hooks = {.put = forget};
    struct tree_totals totals;
    struct oid found;

    assert_int_equal(ingest_folder(dir_fd, &hooks, &found, &totals, NULL), 0);
    assert_true(oid_equal(&found, root));
}

static int folder_of(const struct scratch *s, struct objects *objects,
                     const struct oid *root)
{
    struct tree_totals totals;
    int fd = files_open_or_make_dir(s->fd, "tree", NULL);

    assert_int_equal(worktree_write(fd, &objects->source, root, NULL, &totals, NULL), 0);
    return fd;
}

static void any_tree_becomes_any_other(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 80; round++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        uint64_t size;
        struct oid base = random_tree(objects, &seed, DEPTH, &size);
        struct oid root = random_tree(objects, &seed, DEPTH, &size);
        struct error err = ERROR_INIT;
        CLEANUP_FD int fd = folder_of(s, objects, &base);

        assert_is(fd, &base);
        if (worktree_update(fd, &objects->source, &base, &root, &err) < 0) {
            fail_msg("round %d: %s", round, err.text);
        }
        assert_is(fd, &root);
    }
}

static void what_did_not_change_is_not_touched(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row before[] = {{.kind = TREE_FILE, .name = "a", .text = "old"},
                                 {.kind = TREE_FILE, .name = "b", .text = "same"},
                                 {.name = NULL}};
    const struct row after[] = {{.kind = TREE_FILE, .name = "a", .text = "new"},
                                {.kind = TREE_FILE, .name = "b", .text = "same"},
                                {.name = NULL}};
    struct oid base = trees_make(objects, before, NULL);
    struct oid root = trees_make(objects, after, NULL);
    CLEANUP_FD int fd = folder_of(s, objects, &base);
    ino_t a = scratch_stat(s, "tree/a").st_ino, b = scratch_stat(s, "tree/b").st_ino;

    (void)state;
    /* A second name keeps the old inode's number from being used again. */
    assert_int_equal(linkat(fd, "a", s->fd, "kept", 0), 0);
    assert_int_equal(worktree_update(fd, &objects->source, &base, &root, NULL), 0);
    assert_true(scratch_stat(s, "tree/a").st_ino != a);
    assert_true(scratch_stat(s, "tree/b").st_ino == b);
    assert_file(s, "kept", "old");
    assert_file(s, "tree/a", "new");
}

static void distance_tells_what_would_be_done(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    uint64_t size;
    const struct row sub_rows[] = {{.kind = TREE_FILE, .name = "x", .text = "12345"},
                                   {.name = NULL}};
    struct oid sub = trees_make(objects, sub_rows, &size);
    const struct row rows[] = {
        {.kind = TREE_FOLDER, .name = "sub", .folder = &sub, .size_bytes = size},
        {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);
    uint64_t bytes = 99;

    (void)state;
    assert_int_equal(
        worktree_distance(&objects->source, &root, &root, 1000000, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(
        worktree_distance(&objects->source, &sub, &root, 1000000, &bytes, NULL), 0);
    assert_int_equal(bytes, 2 * (5 + TREE_NAME_MAX));
    assert_int_equal(worktree_distance(&objects->source, &sub, &root, 100, &bytes, NULL),
                     0);
    assert_int_equal(bytes, 100);
}

static void a_base_that_is_not_there_is_an_error(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_FILE, .name = "a", .text = "x"},
                               {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);
    struct oid missing = {{7}};
    struct error err = ERROR_INIT;
    uint64_t bytes;

    (void)state;
    assert_int_equal(worktree_update(s->fd, &objects->source, &missing, &root, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(
        worktree_distance(&objects->source, &missing, &root, 10, &bytes, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_tree_becomes_any_other),
        cmocka_unit_test(what_did_not_change_is_not_touched),
        cmocka_unit_test(distance_tells_what_would_be_done),
        cmocka_unit_test(a_base_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
