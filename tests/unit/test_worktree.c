#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/chunk.h"
#include "common/worktree.h"
#include "tests/unit/scratch.h"
#include "tests/unit/trees.h"

#define MIB ((size_t)1 << 20)

static int write_limited(const struct scratch *s, struct objects *objects,
                         const struct oid *root, const struct worktree_limits *limits,
                         struct error *err)
{
    struct tree_totals totals, want;
    int result = worktree_write(s->fd, &objects->source, root, limits, &totals, err);

    if (result == 0) {
        assert_int_equal(tree_count(&objects->source, root, &want, NULL), 0);
        assert_int_equal(totals.files, want.files);
        assert_int_equal(totals.size_bytes, want.size_bytes);
    }
    return result;
}

static void write_well(const struct scratch *s, struct objects *objects,
                       const struct oid *root)
{
    struct error err = ERROR_INIT;

    if (write_limited(s, objects, root, NULL, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static enum error_code write_code(const struct scratch *s, struct objects *objects,
                                  const struct oid *root)
{
    struct error err = ERROR_INIT;

    return write_limited(s, objects, root, NULL, &err) < 0 ? err.code : ERR_NONE;
}

static void a_project_is_written(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    const struct row sub_rows[] = {{.kind = TREE_FILE, .name = "a", .text = "12345"},
                                   {.kind = TREE_FILE, .name = "empty", .text = ""},
                                   {.kind = TREE_SYMLINK, .name = "up", .text = "../x"},
                                   {.kind = TREE_FOLDER, .name = "b", .folder = &empty},
                                   {.name = NULL}};
    uint64_t size_bytes;
    struct oid sub = trees_make(objects, sub_rows, &size_bytes);
    const struct row rows[] = {
        {.kind = TREE_SYMLINK, .name = "dangling", .text = "nowhere"},
        {.kind = TREE_SYMLINK, .name = "outside", .text = "/etc/passwd"},
        {.kind = TREE_FOLDER, .name = "sub", .folder = &sub, .size_bytes = size_bytes},
        {.kind = TREE_EXECUTABLE, .name = "run.sh", .text = "#!/bin/sh\n"},
        {.kind = TREE_FILE, .name = "\xff\n", .text = "bytes"},
        {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);
    mode_t before = umask(022);

    (void)state;
    write_well(s, objects, &root);
    (void)umask(before);
    assert_file(s, "sub/a", "12345");
    assert_file(s, "sub/empty", "");
    assert_file(s, "\xff\n", "bytes");
    assert_link(s, "dangling", "nowhere");
    assert_link(s, "outside", "/etc/passwd");
    assert_link(s, "sub/up", "../x");
    assert_int_equal(scratch_stat(s, "sub/a").st_mode, S_IFREG | 0644);
    assert_int_equal(scratch_stat(s, "run.sh").st_mode, S_IFREG | 0755);
    assert_int_equal(scratch_stat(s, "sub/b").st_mode, S_IFDIR | 0755);
}

static void an_empty_tree_is_nothing(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);

    (void)state;
    write_well(s, objects, &empty);
    write_well(s, objects, &empty); /* still empty */
}

static void the_umask_applies(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_EXECUTABLE, .name = "x", .text = "x"},
                               {.kind = TREE_FILE, .name = "f", .text = "f"},
                               {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);
    mode_t before = umask(077);

    (void)state;
    write_well(s, objects, &root);
    (void)umask(before);
    assert_int_equal(scratch_stat(s, "x").st_mode & 0777, 0700);
    assert_int_equal(scratch_stat(s, "f").st_mode & 0777, 0600);
}

static void the_folder_must_be_empty(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_FILE, .name = "f", .text = "f"},
                               {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);

    (void)state;
    scratch_write(s, ".hidden", "");
    assert_int_equal(write_code(s, objects, &root), ERR_EXISTS);
    assert_false(scratch_exists(s, "f"));
}

static void a_large_file_is_put_together(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *list = chunk_list_writer_new();
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct tree_entry entry = {
        .kind = TREE_FILE, .name = "large", .name_length = 5, .size_bytes = 20 * MIB};
    CLEANUP_FREE char *data = xmalloc(20 * MIB);
    CLEANUP_STRBUF struct strbuf got;
    uint64_t size_bytes;
    struct oid oid;

    (void)state;
    for (size_t i = 0; i < 20 * MIB; i++) {
        data[i] = (char)(i * i >> 11 ^ i);
    }
    for (size_t at = 0; at < 20 * MIB;) {
        size_t cut = chunk_cut((const uint8_t *)data + at, 20 * MIB - at);

        objects_add(objects, OBJECT_CONTENT, data + at, cut, &oid);
        chunk_list_writer_add(list, &oid, cut);
        at += cut;
    }
    assert_int_equal(chunk_list_writer_finish(list, &objects->sink, &entry.oid, NULL), 0);
    assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, NULL),
                     0);
    write_well(s, objects, &oid);
    strbuf_init(&got, 21 * MIB);
    assert_int_equal(files_read(s->fd, "large", &got, NULL), 0);
    assert_int_equal(got.length, 20 * MIB);
    assert_memory_equal(got.data, data, 20 * MIB);
}

/* A tree of one entry that says what it wants. */
static struct oid one_entry(struct objects *objects, enum tree_kind kind,
                            const char *name, const struct oid *oid, uint64_t size_bytes)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct tree_entry entry = {.kind = kind,
                               .size_bytes = size_bytes,
                               .oid = *oid,
                               .name = name,
                               .name_length = strlen(name)};
    uint64_t sum;
    struct oid root;

    assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &root, &sum, NULL), 0);
    return root;
}

static void content_must_be_what_the_tree_says(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid hello, missing, with_nul, root;

    (void)state;
    objects_add(objects, OBJECT_CONTENT, "hello", 5, &hello);
    objects_add(objects, OBJECT_CONTENT, "a\0b", 3, &with_nul);
    oid_of(OBJECT_CONTENT, "?", 1, &missing);
    const struct {
        enum tree_kind kind;
        const struct oid *oid;
        uint64_t size_bytes;
        enum error_code code;
    } rows[] = {
        {TREE_FILE, &hello, 4, ERR_CORRUPT},
        {TREE_FILE, &hello, 6, ERR_CORRUPT},
        {TREE_FILE, &missing, 1, ERR_NOT_FOUND},
        {TREE_FILE, &hello, 5 * MIB, ERR_NOT_FOUND}, /* no list has this name */
        {TREE_SYMLINK, &hello, 4, ERR_CORRUPT},
        {TREE_SYMLINK, &with_nul, 3, ERR_CORRUPT},
        {TREE_SYMLINK, &missing, 1, ERR_NOT_FOUND},
        {TREE_FOLDER, &hello, 5, ERR_NOT_FOUND},
        {TREE_FILE, &hello, 5, ERR_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();

        root = one_entry(objects, rows[i].kind, "name", rows[i].oid, rows[i].size_bytes);
        assert_int_equal(write_code(s, objects, &root), rows[i].code);
    }
}

/* Bodies that no writer makes, at the top and below. */
static void hostile_trees_are_refused(void **state)
{
    static const struct {
        const char *names[2];
        size_t lengths[2];
    } rows[] = {
        {{"..", NULL}, {2, 0}},   {{".", NULL}, {1, 0}},    {{"a/b", NULL}, {3, 0}},
        {{"/etc", NULL}, {4, 0}}, {{"a\0b", NULL}, {3, 0}}, {{"a", "a"}, {1, 1}},
        {{"b", "a"}, {1, 1}},     {{"", NULL}, {0, 0}},
    };
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid hello, bad, root;

    (void)state;
    objects_add(objects, OBJECT_CONTENT, "hello", 5, &hello);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        CLEANUP_SCRATCH struct scratch *below = scratch_new();
        uint8_t body[256] = {1};
        uint8_t *at = body + 16;
        uint32_t count = rows[i].names[1] ? 2 : 1;

        for (size_t k = 0; k < count; k++) {
            at[0] = 'f';
            at[1] = (uint8_t)rows[i].lengths[k];
            bytes_put_u64(at + 2, 5);
            memcpy(at + 10, hello.digest, OID_SIZE);
            memcpy(at + 42, rows[i].names[k], rows[i].lengths[k]);
            at += 42 + rows[i].lengths[k];
        }
        bytes_put_u32(body + 4, count);
        bytes_put_u64(body + 8, 5 * count);
        objects_add(objects, OBJECT_TREE, body, (size_t)(at - body), &bad);
        assert_int_equal(write_code(s, objects, &bad), ERR_CORRUPT);
        root = one_entry(objects, TREE_FOLDER, "sub", &bad, 5 * count);
        assert_int_equal(write_code(below, objects, &root), ERR_CORRUPT);
    }
}

/* A link's name can be nobody's folder: names are unique, and links come last. */
static void links_are_not_followed(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_SCRATCH struct scratch *outside = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row inner[] = {{.kind = TREE_FILE, .name = "f", .text = "x"},
                                {.name = NULL}};
    struct oid sub = trees_make(objects, inner, NULL);
    const struct row rows[] = {
        {.kind = TREE_SYMLINK, .name = "a", .text = outside->path},
        {.kind = TREE_FOLDER, .name = "b", .folder = &sub, .size_bytes = 1},
        {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);

    (void)state;
    write_well(s, objects, &root);
    assert_link(s, "a", outside->path);
    assert_false(scratch_exists(outside, "f"));
    assert_file(s, "b/f", "x");
}

static void limits_hold(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_FILE, .name = "a", .text = "12345"},
                               {.kind = TREE_SYMLINK, .name = "b", .text = "12345"},
                               {.kind = TREE_FILE, .name = "c", .text = "12345"},
                               {.name = NULL}};
    struct oid root = trees_make(objects, rows, NULL);
    static const struct {
        struct worktree_limits limits;
        enum error_code code;
    } cases[] = {
        {{.max_files = 3, .max_size_bytes = 15}, ERR_NONE},
        {{.max_files = 2}, ERR_LIMIT},
        {{.max_size_bytes = 14}, ERR_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        struct error err = ERROR_INIT;

        (void)write_limited(s, objects, &root, &cases[i].limits, &err);
        assert_int_equal(err.code, cases[i].code);
    }
}

/* A chain of folders as deep as trees go, with something at each end, on few
 * descriptors. */
static void a_deep_tree_needs_few_descriptors(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row deepest[] = {{.kind = TREE_FILE, .name = "f", .text = "deep"},
                                  {.kind = TREE_SYMLINK, .name = "l", .text = "f"},
                                  {.name = NULL}};
    uint64_t size_bytes;
    struct oid oid = trees_make(objects, deepest, &size_bytes);
    struct rlimit before, few;
    size_t depth = 0;
    struct strbuf path = STRBUF_INIT;

    (void)state;
    for (; depth < TREE_DEPTH_MAX; depth++) {
        struct oid below = oid;
        /* "z" comes after the folder: the walk has to come back for it. */
        const struct row rows[] = {{.kind = TREE_FOLDER,
                                    .name = "d",
                                    .folder = &below,
                                    .size_bytes = size_bytes},
                                   {.kind = TREE_FILE, .name = "z", .text = "z"},
                                   {.name = NULL}};

        oid = trees_make(objects, rows, &size_bytes);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    write_well(s, objects, &oid);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < TREE_DEPTH_MAX; i++) {
        strbuf_puts(&path, "d/");
    }
    strbuf_puts(&path, "l");
    assert_link(s, path.data, "f");
    strbuf_truncate(&path, path.length - 3);
    strbuf_puts(&path, "z");
    assert_file(s, path.data, "z");
    strbuf_release(&path);
    oid = trees_nest(objects, &oid, size_bytes, "d", 1);
    {
        CLEANUP_SCRATCH struct scratch *deeper = scratch_new();

        assert_int_equal(write_code(deeper, objects, &oid), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_project_is_written),
        cmocka_unit_test(an_empty_tree_is_nothing),
        cmocka_unit_test(the_umask_applies),
        cmocka_unit_test(the_folder_must_be_empty),
        cmocka_unit_test(a_large_file_is_put_together),
        cmocka_unit_test(content_must_be_what_the_tree_says),
        cmocka_unit_test(hostile_trees_are_refused),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_deep_tree_needs_few_descriptors),
    };

    return cmocka_run_group_tests_name("worktree", tests, NULL, NULL);
}
