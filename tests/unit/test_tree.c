#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/chunk.h"
#include "common/tree.h"
#include "tests/unit/trees.h"

#define MIB ((uint64_t)1 << 20)

static struct oid object_name(uint64_t i)
{
    struct oid oid;

    oid_of_bytes(&i, sizeof(i), &oid);
    return oid;
}

/* A folder of count files "file-%08d" of one byte; entry changed has another object, and
 * skipped is not there. */
static struct oid large_folder(struct objects *objects, size_t count, size_t changed,
                               size_t skipped)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    uint64_t size_bytes;
    struct oid oid;

    for (size_t i = 0; i < count; i++) {
        char name[32];
        struct tree_entry entry = {.kind = TREE_FILE, .size_bytes = 1, .name = name};

        if (i == skipped) {
            continue;
        }
        entry.name_length = (size_t)snprintf(name, sizeof(name), "file-%08zu", i);
        entry.oid = object_name(i == changed ? count + i : i);
        assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    }
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, NULL),
                     0);
    return oid;
}

static void an_entry_s_object_follows_from_kind_and_size(void **state)
{
    static const struct {
        struct tree_entry entry;
        enum object_kind kind;
    } rows[] = {
        {{.kind = TREE_FILE, .size_bytes = 0}, OBJECT_CONTENT},
        {{.kind = TREE_FILE, .size_bytes = 4 * MIB}, OBJECT_CONTENT},
        {{.kind = TREE_FILE, .size_bytes = 4 * MIB + 1}, OBJECT_LIST},
        {{.kind = TREE_EXECUTABLE, .size_bytes = 4 * MIB + 1}, OBJECT_LIST},
        {{.kind = TREE_SYMLINK, .size_bytes = 5}, OBJECT_CONTENT},
        {{.kind = TREE_FOLDER, .size_bytes = 0}, OBJECT_TREE},
        {{.kind = TREE_FOLDER, .size_bytes = 100 * MIB}, OBJECT_TREE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(tree_entry_object(&rows[i].entry), rows[i].kind);
    }
}

static void the_order_of_adding_does_not_matter(void **state)
{
    static const char *const names[] = {"b", "a.b", "a", "ab", "B", "\xff", "a-b", "..."};
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct row rows[ARRAY_SIZE(names) + 1] = {{.name = NULL}};
    struct oid first, oid;

    (void)state;
    for (size_t shift = 0; shift < ARRAY_SIZE(names); shift++) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            rows[i] = (struct row){.kind = TREE_FILE,
                                   .name = names[(i + shift) % ARRAY_SIZE(names)],
                                   .text = "x"};
        }
        oid = trees_make(objects, rows, NULL);
        first = shift == 0 ? oid : first;
        assert_true(oid_equal(&first, &oid));
    }
}

static void a_writer_refuses_what_decoding_would(void **state)
{
    static const struct {
        const char *name;
        size_t length;
        enum tree_kind kind;
        uint64_t size_bytes;
    } bad[] = {
        {"", 0, TREE_FILE, 1},
        {".", 1, TREE_FILE, 1},
        {"..", 2, TREE_FILE, 1},
        {"a/b", 3, TREE_FILE, 1},
        {"a\0b", 3, TREE_FILE, 1},
        {"/", 1, TREE_FILE, 1},
        {"ok", 2, (enum tree_kind)'q', 1},
        {"ok", 2, TREE_SYMLINK, 0},
        {"ok", 2, TREE_SYMLINK, 4096},
        {"ok", 2, TREE_FILE, TREE_FILE_SIZE_MAX + 1},
        {"ok", 2, TREE_FOLDER, (UINT64_C(1) << 53) + 1},
    };
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    char longest[TREE_NAME_MAX + 1];
    struct tree_entry entry = {.kind = TREE_FILE, .name = longest};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct tree_entry row = {.kind = bad[i].kind,
                                 .size_bytes = bad[i].size_bytes,
                                 .name = bad[i].name,
                                 .name_length = bad[i].length};
        struct error err = ERROR_INIT;

        assert_int_equal(tree_writer_add(writer, &row, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    memset(longest, 'n', sizeof(longest));
    entry.name_length = TREE_NAME_MAX;
    assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    entry.name_length = TREE_NAME_MAX + 1;
    assert_int_equal(tree_writer_add(writer, &entry, NULL), -1);
}

static void the_same_name_twice_is_refused(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    static const char *const names[] = {"b", "a", "b"};
    struct error err = ERROR_INIT;
    uint64_t size_bytes;
    struct oid oid;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct tree_entry entry = {.kind = TREE_FILE, .name = names[i], .name_length = 1};

        assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    }
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, &err),
                     -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(objects->count, 0);
}

static void an_empty_folder_is_a_tree(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.name = NULL}};
    uint64_t size_bytes = 1;
    struct oid oid = trees_make(objects, rows, &size_bytes);
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(&objects->source, &oid, 0, NULL);
    struct tree_entry entry;

    (void)state;
    assert_non_null(reader);
    assert_int_equal(size_bytes, 0);
    assert_int_equal(tree_reader_size_bytes(reader), 0);
    assert_int_equal(tree_reader_next(reader, &entry, NULL), 0);
    assert_int_equal(tree_reader_next(reader, &entry, NULL), 0);
}

static void entries_are_read_across_parts(void **state)
{
    const size_t count = 100000;
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid oid = large_folder(objects, count, SIZE_MAX, SIZE_MAX);
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(&objects->source, &oid, count, NULL);
    struct tree_entry entry;

    (void)state;
    assert_non_null(reader);
    assert_true(objects->count > 5);
    for (size_t i = 0; i < count; i++) {
        char name[32];
        int length = snprintf(name, sizeof(name), "file-%08zu", i);
        struct oid want = object_name(i);

        assert_int_equal(tree_reader_next(reader, &entry, NULL), 1);
        assert_int_equal(entry.name_length, length);
        assert_memory_equal(entry.name, name, (size_t)length);
        assert_true(oid_equal(&entry.oid, &want));
    }
    assert_int_equal(tree_reader_next(reader, &entry, NULL), 0);
}

static void one_change_touches_one_part(void **state)
{
    const size_t count = 100000;
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    size_t before;

    (void)state;
    (void)large_folder(objects, count, SIZE_MAX, SIZE_MAX);
    before = objects->count;
    for (size_t changed = 0; changed < count; changed += 9973) {
        (void)large_folder(objects, count, changed, SIZE_MAX);
        assert_int_equal(objects->count - before, 2); /* the part and the root */
        before = objects->count;
    }
    for (size_t skipped = 0; skipped < count; skipped += 9973) {
        (void)large_folder(objects, count, SIZE_MAX, skipped);
        assert_in_range(objects->count - before, 1, 3);
        before = objects->count;
    }
}

/* A hand-made tree of parts. */
static struct oid forge_parts(struct objects *objects, unsigned level,
                              const struct tree_part *parts, size_t count)
{
    uint8_t body[16 + 40 * 8] = {1, (uint8_t)level};
    uint64_t sum = 0;
    struct oid oid;

    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        bytes_put_u64(body + 16 + 40 * i, parts[i].size_bytes);
        memcpy(body + 16 + 40 * i + 8, parts[i].oid.digest, OID_SIZE);
        sum += parts[i].size_bytes;
    }
    bytes_put_u32(body + 4, (uint32_t)count);
    bytes_put_u64(body + 8, sum);
    objects_add(objects, OBJECT_TREE, body, 16 + 40 * count, &oid);
    return oid;
}

static void assert_unreadable(struct objects *objects, const struct oid *root,
                              uint64_t size_bytes, enum error_code code)
{
    struct error err = ERROR_INIT;
    struct tree_entry entry;
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader =
        tree_reader_open(&objects->source, root, size_bytes, &err);
    int got = reader ? 1 : -1;

    while (got > 0) {
        got = tree_reader_next(reader, &entry, &err);
    }
    assert_int_equal(got, -1);
    assert_int_equal(err.code, code);
}

static void forged_parts_are_refused(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_FILE, .name = "a", .text = "x"},
                               {.name = NULL}};
    struct oid small = trees_make(objects, rows, NULL);
    struct oid empty = trees_make(objects, rows + 1, NULL);
    struct oid large = large_folder(objects, 10000, SIZE_MAX, SIZE_MAX);
    struct tree_part parts[3] = {{.oid = large, .size_bytes = 10000},
                                 {.oid = small, .size_bytes = 1}};
    struct oid root;

    (void)state;
    /* Names out of order across parts: "a" after "file-...". */
    root = forge_parts(objects, 1, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* The same part twice: the same names twice. */
    parts[1] = parts[0];
    root = forge_parts(objects, 1, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A small part that is not the last. */
    parts[0] = (struct tree_part){.oid = small, .size_bytes = 1};
    root = forge_parts(objects, 1, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A single part. */
    root = forge_parts(objects, 1, parts + 1, 1);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A part without entries. */
    parts[0] = parts[1];
    parts[1] = (struct tree_part){.oid = empty, .size_bytes = 0};
    root = forge_parts(objects, 1, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A part two levels lower. */
    parts[1] = (struct tree_part){.oid = small, .size_bytes = 1};
    root = forge_parts(objects, 2, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A part of another size than its parent says. */
    parts[0].size_bytes++;
    root = forge_parts(objects, 1, parts, 2);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_CORRUPT);
    /* A root of another size than its parent says; one that is not there. */
    assert_unreadable(objects, &large, 9999, ERR_CORRUPT);
    root = object_name(1);
    assert_unreadable(objects, &root, UINT64_MAX, ERR_NOT_FOUND);
}

struct paths {
    struct strbuf text;
    const char *skip; /* this folder is not entered */
    const char *stop;
};

static int note_path(void *context, const char *path, const struct tree_entry *entry,
                     struct error *err)
{
    struct paths *paths = context;

    strbuf_printf(&paths->text, "%c %s %llu\n", (char)entry->kind, path,
                  (unsigned long long)entry->size_bytes);
    if (paths->stop && strcmp(path, paths->stop) == 0) {
        return error_set(err, ERR_CANCELED, "enough");
    }
    return paths->skip && strcmp(path, paths->skip) == 0 ? 1 : 0;
}

/* sub/ (a, b/ (empty)), run.sh, to -> sub */
static struct oid small_project(struct objects *objects, const char *text)
{
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    const struct row sub_rows[] = {{.kind = TREE_FILE, .name = "a", .text = text},
                                   {.kind = TREE_FOLDER, .name = "b", .folder = &empty},
                                   {.name = NULL}};
    uint64_t size_bytes;
    struct oid sub = trees_make(objects, sub_rows, &size_bytes);
    const struct row rows[] = {
        {.kind = TREE_SYMLINK, .name = "to", .text = "sub"},
        {.kind = TREE_FOLDER, .name = "sub", .folder = &sub, .size_bytes = size_bytes},
        {.kind = TREE_EXECUTABLE, .name = "run.sh", .text = "#!/bin/sh\n"},
        {.name = NULL}};

    return trees_make(objects, rows, NULL);
}

static void a_walk_visits_all_in_order(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = small_project(objects, "12345");
    struct paths paths = {.text = STRBUF_INIT};

    (void)state;
    assert_int_equal(tree_walk(&objects->source, &root, note_path, &paths, NULL), 0);
    assert_string_equal(paths.text.data,
                        "x run.sh 10\nd sub 5\nf sub/a 5\nd sub/b 0\ns to 3\n");
    strbuf_reset(&paths.text);
    paths.skip = "sub";
    assert_int_equal(tree_walk(&objects->source, &root, note_path, &paths, NULL), 0);
    assert_string_equal(paths.text.data, "x run.sh 10\nd sub 5\ns to 3\n");
    strbuf_reset(&paths.text);
    paths.skip = NULL;
    paths.stop = "sub/a";
    assert_int_equal(tree_walk(&objects->source, &root, note_path, &paths, NULL), -1);
    assert_string_equal(paths.text.data, "x run.sh 10\nd sub 5\nf sub/a 5\n");
    strbuf_release(&paths.text);
}

static int go_on(void *context, const char *path, const struct tree_entry *entry,
                 struct error *err)
{
    size_t *count = context;

    (void)path;
    (void)entry;
    (void)err;
    (*count)++;
    return 0;
}

static int visit_all(void *context, enum object_kind kind, const struct oid *oid,
                     uint64_t size_bytes, struct error *err)
{
    size_t *count = context;

    (void)kind;
    (void)oid;
    (void)size_bytes;
    (void)err;
    (*count)++;
    return 0;
}

static void depth_is_bounded(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    struct oid deepest = trees_nest(objects, &empty, 0, "d", TREE_DEPTH_MAX);
    struct oid deeper = trees_nest(objects, &deepest, 0, "d", 1);
    struct error err = ERROR_INIT;
    struct tree_totals totals;
    size_t count = 0;

    (void)state;
    assert_int_equal(tree_walk(&objects->source, &deepest, go_on, &count, &err), 0);
    assert_int_equal(count, TREE_DEPTH_MAX);
    assert_int_equal(tree_walk(&objects->source, &deeper, go_on, &count, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(tree_count(&objects->source, &deepest, &totals, &err), 0);
    assert_int_equal(tree_count(&objects->source, &deeper, &totals, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(
        tree_visit_objects(&objects->source, &deepest, NULL, visit_all, &count, &err), 0);
    assert_int_equal(
        tree_visit_objects(&objects->source, &deeper, NULL, visit_all, &count, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void paths_are_bounded(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row none[] = {{.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    char name[TREE_NAME_MAX + 1];
    struct error err = ERROR_INIT;
    size_t count = 0;
    struct oid root;

    (void)state;
    memset(name, 'n', TREE_NAME_MAX);
    name[TREE_NAME_MAX] = '\0';
    /* 16 names of 255 bytes and 15 slashes are 4095. */
    root = trees_nest(objects, &empty, 0, name, 16);
    assert_int_equal(tree_walk(&objects->source, &root, go_on, &count, &err), 0);
    assert_int_equal(count, 16);
    root = trees_nest(objects, &root, 0, "n", 1);
    assert_int_equal(tree_walk(&objects->source, &root, go_on, &count, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

static void files_and_bytes_are_counted(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = small_project(objects, "12345");
    struct tree_totals totals;

    (void)state;
    assert_int_equal(tree_count(&objects->source, &root, &totals, NULL), 0);
    assert_int_equal(totals.files, 3);
    assert_int_equal(totals.size_bytes, 18);
}

/* Each folder stands twice in the one above: 2^40 files in 40 objects. */
static void a_folder_that_stands_often_is_read_once(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row leaf[] = {{.kind = TREE_FILE, .name = "a", .text = ""},
                               {.name = NULL}};
    struct oid oid = trees_make(objects, leaf, NULL);
    struct error err = ERROR_INIT;
    struct tree_totals totals;

    (void)state;
    for (unsigned i = 1; i <= 60; i++) {
        struct oid below = oid;
        const struct row rows[] = {{.kind = TREE_FOLDER, .name = "a", .folder = &below},
                                   {.kind = TREE_FOLDER, .name = "b", .folder = &below},
                                   {.name = NULL}};

        oid = trees_make(objects, rows, NULL);
        if (i == 40) {
            struct oid other = trees_nest(objects, &oid, 0, "x", 1);

            assert_int_equal(tree_count(&objects->source, &oid, &totals, NULL), 0);
            assert_int_equal(totals.files, UINT64_C(1) << 40);
            assert_int_equal(
                tree_count_from(&objects->source, &other, &oid, &totals, &totals, NULL),
                0);
            assert_int_equal(totals.files, UINT64_C(1) << 40);
        }
    }
    assert_int_equal(tree_count(&objects->source, &oid, &totals, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
}

/* A project of 3 folders with up to 12 files each, all chosen by the seed. */
static struct oid random_project(struct objects *objects, uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f",
                                        "g", "h", "i", "j", "k", "l"};
    static const char *const texts[] = {"one", "two", "three"};
    struct row top[4] = {{.name = NULL}};
    struct oid folders[3];
    uint64_t sizes[3], bits;
    struct oid random;

    for (size_t i = 0; i < 3; i++) {
        struct row rows[ARRAY_SIZE(names) + 1] = {{.name = NULL}};
        size_t count = 0;

        random = object_name(seed * 3 + i);
        bits = bytes_get_u64(random.digest);
        for (size_t k = 0; k < ARRAY_SIZE(names); k++, bits >>= 3) {
            bool is_folder = (bits & 7) == 7 && i > 0;

            if ((bits & 1) == 0) {
                continue;
            }
            rows[count++] = (struct row){
                .kind = is_folder ? TREE_FOLDER : TREE_FILE,
                .name = names[k],
                .text = texts[bits >> 1 & 1],
                .folder = is_folder ? &folders[i - 1] : NULL,
                .size_bytes = is_folder ? sizes[i - 1] : 0,
            };
        }
        folders[i] = trees_make(objects, rows, &sizes[i]);
        top[i] = (struct row){.kind = TREE_FOLDER,
                              .name = names[i],
                              .folder = &folders[i],
                              .size_bytes = sizes[i]};
    }
    return trees_make(objects, top, NULL);
}

static void counting_from_a_base_is_counting(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct oid base = random_project(objects, seed);
        struct oid root = random_project(objects, seed + 1);
        struct tree_totals want, from, got;

        assert_int_equal(tree_count(&objects->source, &root, &want, NULL), 0);
        assert_int_equal(tree_count(&objects->source, &base, &from, NULL), 0);
        assert_int_equal(
            tree_count_from(&objects->source, &root, &base, &from, &got, NULL), 0);
        assert_int_equal(got.files, want.files);
        assert_int_equal(got.size_bytes, want.size_bytes);
    }
}

struct visited {
    struct oidset *set;
    bool is_once; /* answer 1 for what was seen */
};

static int note_object(void *context, enum object_kind kind, const struct oid *oid,
                       uint64_t size_bytes, struct error *err)
{
    struct visited *visited = context;
    int added = oidset_add(visited->set, kind, oid, size_bytes, err);

    return visited->is_once && added == 0 ? 1 : 0;
}

static struct oidset *visit(struct objects *objects, const struct oid *root,
                            const struct oid *base)
{
    struct visited visited = {.set = oidset_new(1u << 20), .is_once = true};
    struct error err = ERROR_INIT;

    if (tree_visit_objects(&objects->source, root, base, note_object, &visited, &err) <
        0) {
        fail_msg("%s", err.text);
    }
    return visited.set;
}

/* What root needs is what is new against base, or what base has too. */
static void what_a_base_lacks_is_visited(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct oid base = random_project(objects, seed);
        struct oid root = random_project(objects, seed + 1);
        CLEANUP(oidset_cleanup) struct oidset *all = visit(objects, &root, NULL);
        CLEANUP(oidset_cleanup) struct oidset *in_base = visit(objects, &base, NULL);
        CLEANUP(oidset_cleanup) struct oidset *fresh = visit(objects, &root, &base);
        enum object_kind kind;
        size_t cursor = 0;
        struct oid oid;
        uint64_t value;

        while (oidset_next(all, &cursor, &kind, &oid, &value)) {
            assert_true(oidset_has(fresh, kind, &oid) || oidset_has(in_base, kind, &oid));
        }
        for (cursor = 0; oidset_next(fresh, &cursor, &kind, &oid, &value);) {
            assert_true(oidset_has(all, kind, &oid));
        }
    }
}

static void one_changed_file_is_a_handful_of_objects(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid base = small_project(objects, "12345");
    struct oid root = small_project(objects, "54321");
    CLEANUP(oidset_cleanup) struct oidset *fresh = visit(objects, &root, &base);
    CLEANUP(oidset_cleanup) struct oidset *same = visit(objects, &root, &root);
    struct oid content;

    (void)state;
    assert_int_equal(oidset_count(same), 0);
    assert_int_equal(oidset_count(fresh), 3); /* root, sub, a */
    oid_of(OBJECT_CONTENT, "54321", 5, &content);
    assert_int_equal(*oidset_value(fresh, OBJECT_CONTENT, &content), 5);
}

static void parts_that_are_the_same_are_not_read(void **state)
{
    const size_t count = 100000;
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid base = large_folder(objects, count, SIZE_MAX, SIZE_MAX);
    struct oid root = large_folder(objects, count, 55555, SIZE_MAX);
    CLEANUP(oidset_cleanup) struct oidset *fresh = NULL;
    struct tree_totals totals = {.files = count};

    (void)state;
    objects->gets = 0;
    fresh = visit(objects, &root, &base);
    assert_int_equal(oidset_count(fresh), 3); /* root, part, content */
    assert_int_equal(objects->gets, 4);       /* two roots, two parts */
    objects->gets = 0;
    assert_int_equal(
        tree_count_from(&objects->source, &root, &base, &totals, &totals, NULL), 0);
    assert_int_equal(totals.files, count);
    assert_true(objects->gets <= 5);
}

/* A folder with one file of count made-up chunks; chunk changed is another one. */
static struct oid large_file(struct objects *objects, size_t count, size_t changed)
{
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *list = chunk_list_writer_new();
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct tree_entry entry = {.kind = TREE_FILE, .name = "large", .name_length = 5};
    uint64_t size_bytes;
    struct oid oid;

    for (size_t i = 0; i < count; i++) {
        oid = object_name(i == changed ? count + i : i);
        chunk_list_writer_add(list, &oid, MIB);
    }
    entry.size_bytes = count * MIB;
    assert_int_equal(chunk_list_writer_finish(list, &objects->sink, &entry.oid, NULL), 0);
    assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    assert_int_equal(tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, NULL),
                     0);
    return oid;
}

static void of_a_changed_large_file_new_chunks_are_visited(void **state)
{
    static const size_t counts[] = {100, 60000}; /* one list; a list of parts */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        struct oid base = large_file(objects, counts[i], SIZE_MAX);
        struct oid root = large_file(objects, counts[i], counts[i] / 2);
        CLEANUP(oidset_cleanup) struct oidset *all = visit(objects, &root, NULL);
        CLEANUP(oidset_cleanup) struct oidset *fresh = visit(objects, &root, &base);

        assert_true(oidset_count(all) >= counts[i] + 2);
        /* the root, its list, in the second case a part of it, the chunk */
        assert_int_equal(oidset_count(fresh), i == 0 ? 3 : 4);
    }
}

static void a_missing_list_is_visited_and_nothing_below(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = large_file(objects, 100, SIZE_MAX);
    CLEANUP(oidset_cleanup) struct oidset *all = visit(objects, &root, NULL);
    CLEANUP(oidset_cleanup) struct oidset *fresh = NULL;
    size_t cursor = 0;
    enum object_kind kind;
    struct oid oid;
    uint64_t value;

    (void)state;
    while (oidset_next(all, &cursor, &kind, &oid, &value)) {
        oidset_remove(objects->index, OBJECT_LIST, &oid);
    }
    fresh = visit(objects, &root, NULL);
    assert_int_equal(oidset_count(fresh), 2);
}

static void what_is_missing_is_visited_and_nothing_below(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const struct row rows[] = {{.kind = TREE_FILE, .name = "a", .text = "12345"},
                               {.name = NULL}};
    uint64_t size_bytes;
    struct oid sub = trees_make(objects, rows, &size_bytes);
    struct oid root = trees_nest(objects, &sub, size_bytes, "sub", 1);
    CLEANUP(oidset_cleanup) struct oidset *fresh = NULL;
    CLEANUP(oidset_cleanup) struct oidset *nothing = NULL;

    (void)state;
    oidset_remove(objects->index, OBJECT_TREE, &sub);
    fresh = visit(objects, &root, NULL);
    assert_int_equal(oidset_count(fresh), 2);
    assert_true(oidset_has(fresh, OBJECT_TREE, &sub));
    oidset_remove(objects->index, OBJECT_TREE, &root);
    nothing = visit(objects, &root, NULL);
    assert_int_equal(oidset_count(nothing), 1);
}

static void a_missing_part_is_visited_and_others_are_read(void **state)
{
    const size_t count = 100000;
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = large_folder(objects, count, SIZE_MAX, SIZE_MAX);
    CLEANUP(oidset_cleanup) struct oidset *all = visit(objects, &root, NULL);
    CLEANUP(oidset_cleanup) struct oidset *less = NULL;
    size_t cursor = 0, trees = 0;
    enum object_kind kind;
    struct oid oid;
    uint64_t value, missing = 0;

    (void)state;
    while (oidset_next(all, &cursor, &kind, &oid, &value)) {
        trees += kind == OBJECT_TREE;
        if (kind == OBJECT_TREE && !oid_equal(&oid, &root) && missing == 0) {
            missing = value; /* one byte a file */
            oidset_remove(objects->index, OBJECT_TREE, &oid);
        }
    }
    assert_int_equal(oidset_count(all), trees + count);
    less = visit(objects, &root, NULL);
    assert_int_equal(oidset_count(less), trees + count - missing);
}

static int stop_at_content(void *context, enum object_kind kind, const struct oid *oid,
                           uint64_t size_bytes, struct error *err)
{
    (void)context;
    (void)oid;
    (void)size_bytes;
    return kind == OBJECT_CONTENT ? error_set(err, ERR_CANCELED, "enough") : 0;
}

static void an_object_visitor_may_stop(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct oid root = small_project(objects, "12345");
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(
        tree_visit_objects(&objects->source, &root, NULL, stop_at_content, NULL, &err),
        -1);
    assert_int_equal(err.code, ERR_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_s_object_follows_from_kind_and_size),
        cmocka_unit_test(the_order_of_adding_does_not_matter),
        cmocka_unit_test(a_writer_refuses_what_decoding_would),
        cmocka_unit_test(the_same_name_twice_is_refused),
        cmocka_unit_test(an_empty_folder_is_a_tree),
        cmocka_unit_test(entries_are_read_across_parts),
        cmocka_unit_test(one_change_touches_one_part),
        cmocka_unit_test(forged_parts_are_refused),
        cmocka_unit_test(a_walk_visits_all_in_order),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(paths_are_bounded),
        cmocka_unit_test(files_and_bytes_are_counted),
        cmocka_unit_test(a_folder_that_stands_often_is_read_once),
        cmocka_unit_test(counting_from_a_base_is_counting),
        cmocka_unit_test(what_a_base_lacks_is_visited),
        cmocka_unit_test(one_changed_file_is_a_handful_of_objects),
        cmocka_unit_test(parts_that_are_the_same_are_not_read),
        cmocka_unit_test(of_a_changed_large_file_new_chunks_are_visited),
        cmocka_unit_test(a_missing_list_is_visited_and_nothing_below),
        cmocka_unit_test(what_is_missing_is_visited_and_nothing_below),
        cmocka_unit_test(a_missing_part_is_visited_and_others_are_read),
        cmocka_unit_test(an_object_visitor_may_stop),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
