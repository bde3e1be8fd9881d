#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/stores.h"

#define MANY 300 /* more than what is written as a file each */
#define DAY_MS (24 * HOUR_MS)
#define OTHER_BOOT "{\"boot\":\"another\",\"time\":\"2001-01-01T00:00:00.000Z\"}\n"

static struct store *open_packed(const struct scratch *s)
{
    CLEANUP_FREE char *path = scratch_path(s, "store");

    assert_int_equal(store_prepare(path, NULL), 0);
    return open_store(s);
}

static struct oid numbered(const char *prefix, int number, char out[32])
{
    struct oid oid;
    int length = snprintf(out, 32, "%s %d", prefix, number);

    oid_of(OBJECT_CONTENT, out, (size_t)length, &oid);
    return oid;
}

static void put_many(struct store *store, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char text[32];

        (void)numbered(prefix, i, text);
        (void)put(store, OBJECT_CONTENT, text);
    }
}

static void gather_many(struct store *store, const char *prefix, int count)
{
    store_gather(store);
    put_many(store, prefix, count);
    assert_int_equal(store_flush(store, NULL), 0);
}

static void assert_many(struct store *store, const char *prefix, int count)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;

    for (int i = 0; i < count; i++) {
        char text[32];
        struct oid oid = numbered(prefix, i, text);
        struct error err = ERROR_INIT;

        assert_true(store_has(store, OBJECT_CONTENT, &oid));
        if (store_get(store, OBJECT_CONTENT, &oid, &body, &err) < 0) {
            fail_msg("%s", err.text);
        }
        assert_string_equal(body.data, text);
    }
}

static bool has(struct store *store, const char *prefix, int number)
{
    char text[32];
    struct oid oid = numbered(prefix, number, text);

    return store_has(store, OBJECT_CONTENT, &oid);
}

/* A snapshot of one folder with that many files, in a pack; its time is that long ago. */
static struct oid add_folder(struct store *store, const char *prefix, int first,
                             int count, int64_t age_ms)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct object_sink sink = store_sink(store);
    uint64_t size_bytes;
    struct oid root;

    store_gather(store);
    for (int i = first; i < first + count; i++) {
        char text[32], name[32];
        struct tree_entry entry = {.kind = TREE_FILE, .name = name};

        entry.oid = numbered(prefix, i, text);
        entry.size_bytes = strlen(text);
        entry.name_length = (size_t)snprintf(name, sizeof(name), "%06d", i);
        (void)put(store, OBJECT_CONTENT, text);
        assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
    }
    assert_int_equal(tree_writer_finish(writer, &sink, &root, &size_bytes, NULL), 0);
    assert_int_equal(store_flush(store, NULL), 0);
    clock_test_set(clock_monotonic_ns(), clock_utc_ms() - age_ms);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    clock_test_clear();
    return root;
}

/* The only pack file, relative to the scratch folder; malloc'ed. */
static char *pack_path(const struct scratch *s)
{
    CLEANUP_DIR DIR *dir = fdopendir(scratch_open_dir(s, "store/packs"));
    const struct dirent *entry;
    char *path = NULL;

    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_null(path);
            path = xasprintf("store/packs/%s", entry->d_name);
        }
    }
    assert_non_null(path);
    return path;
}

static void make_packs_old(const struct scratch *s)
{
    CLEANUP_DIR DIR *dir = fdopendir(scratch_open_dir(s, "store/packs"));
    const struct dirent *entry;

    while ((entry = readdir(dir)) != NULL) {
        CLEANUP_FREE char *path = xasprintf("store/packs/%s", entry->d_name);

        if (entry->d_name[0] != '.') {
            make_old(s, path, 2 * DAY_MS);
        }
    }
}

/* Change one byte of the text in the file. */
static void damage_text(const struct scratch *s, const char *path, const char *text)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    CLEANUP_FD int fd = openat(s->fd, path, O_WRONLY | O_CLOEXEC);
    const char *at;

    assert_int_equal(files_read(s->fd, path, &bytes, NULL), 0);
    at = memmem(bytes.data, bytes.length, text, strlen(text));
    assert_non_null(at);
    assert_int_equal(pwrite(fd, "?", 1, at - bytes.data), 1);
}

static struct store_gc_result collect_after(struct store *store, int64_t spare_ms,
                                            bool is_dry)
{
    const struct store_gc_request request = {
        .spare_ms = spare_ms, .max_bytes = STORE_NO_LIMIT, .is_dry = is_dry};
    struct store_gc_result result;
    struct error err = ERROR_INIT;

    if (store_collect(store, &request, &result, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return result;
}

static void gathered_objects_share_a_file(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);

    (void)state;
    gather_many(store, "object", MANY);
    assert_int_equal(count_files(s, "store/packs"), 1);
    assert_int_equal(count_files(s, "store/objects"), 0);
    assert_int_equal(count_files(s, "store/tmp"), 0);
    assert_many(store, "object", MANY);
    assert_false(has(store, "object", MANY));
    /* They are put only once, here and by others. */
    gather_many(store, "object", MANY);
    store_free(TAKE_PTR(store));
    store = open_store(s);
    gather_many(store, "object", MANY);
    assert_many(store, "object", MANY);
    assert_int_equal(count_files(s, "store/packs"), 1);
}

static void few_objects_are_a_file_each(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);

    (void)state;
    gather_many(store, "object", 10);
    assert_int_equal(count_files(s, "store/packs"), 0);
    assert_many(store, "object", 10);
    /* What is not gathered is one, too. */
    put_many(store, "other", MANY);
    assert_int_equal(count_files(s, "store/packs"), 0);
    assert_many(store, "other", MANY);
}

static void large_objects_are_a_file_each(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    size_t length = OBJECT_SIZE_MAX;
    CLEANUP_FREE char *body = xcalloc(1, length);
    CLEANUP_STRBUF struct strbuf got;
    struct oid oid;

    (void)state;
    strbuf_init(&got, OBJECT_SIZE_MAX);
    oid_of(OBJECT_CONTENT, body, length, &oid);
    store_gather(store);
    assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, body, length, NULL), 0);
    assert_true(store_has(store, OBJECT_CONTENT, &oid)); /* without a flush */
    assert_int_equal(store_flush(store, NULL), 0);
    assert_int_equal(count_files(s, "store/objects"), 1);
    assert_int_equal(store_get(store, OBJECT_CONTENT, &oid, &got, NULL), 0);
    assert_int_equal(got.length, length);
}

/* An older program may share it. */
static void a_store_that_was_there_keeps_no_packs(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);

    (void)state;
    gather_many(store, "object", MANY);
    store_free(TAKE_PTR(store));
    store = open_packed(s);
    gather_many(store, "other", MANY);
    assert_false(scratch_exists(s, "store/packs"));
    assert_many(store, "object", MANY);
    assert_many(store, "other", MANY);
}

static void without_a_flush_nothing_is_left(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *body = xcalloc(1, 100000);

    (void)state;
    store_gather(store);
    for (int i = 0; i < 100; i++) { /* more than stays in memory */
        struct oid oid;

        body[0] = (char)i;
        oid_of(OBJECT_CONTENT, body, 100000, &oid);
        assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, body, 100000, NULL), 0);
        assert_false(store_has(store, OBJECT_CONTENT, &oid));
    }
    assert_int_equal(count_files(s, "store/tmp"), 1);
    store_free(TAKE_PTR(store));
    assert_int_equal(count_files(s, "store/tmp"), 0);
    assert_int_equal(count_files(s, "store/packs"), 0);
}

/* A process that is killed loses no more. */
static void what_was_gathered_appears_in_time(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);

    (void)state;
    store_gather(store);
    put_many(store, "object", MANY);
    assert_false(has(store, "object", 0));
    clock_test_set(clock_monotonic_ns() + 6 * NS_PER_S, clock_utc_ms());
    put_many(store, "one more", 1);
    clock_test_clear();
    assert_many(store, "object", MANY);
    assert_false(has(store, "one more", 0));
    assert_int_equal(store_flush(store, NULL), 0);
    assert_true(has(store, "one more", 0));
}

static void a_pack_has_an_end(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *body = xcalloc(1, 100000);
    uint64_t objects, bad;

    (void)state;
    store_gather(store);
    for (int i = 0; i < 700; i++) { /* 70 MB */
        struct oid oid;

        body[0] = (char)i;
        body[1] = (char)(i >> 8);
        oid_of(OBJECT_CONTENT, body, 100000, &oid);
        assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, body, 100000, NULL), 0);
    }
    assert_int_equal(store_flush(store, NULL), 0);
    assert_int_equal(count_files(s, "store/packs"), 3);
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, 700);
    assert_int_equal(bad, 0);
}

static void another_process_finds_them(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_STORE struct store *other = open_store(s);
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;

    (void)state;
    assert_false(has(other, "object", 0)); /* it has looked */
    for (int i = 0; i < 20; i++) {
        char text[32], prefix[16];
        struct oid oid;

        (void)snprintf(prefix, sizeof(prefix), "set %d", i);
        gather_many(store, prefix, MANY);
        oid = numbered(prefix, 7, text);
        assert_int_equal(store_get(other, OBJECT_CONTENT, &oid, &body, NULL), 0);
    }
}

/* As pack files would be if each process made its own at once. */
static void many_may_gather_the_same_at_once(void **state)
{
    enum { CHILDREN = 4 };
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    pid_t children[CHILDREN];
    uint64_t objects, bad;

    (void)state;
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            CLEANUP_STORE struct store *mine = open_store(s);

            gather_many(mine, "object", 4 * MANY);
            assert_many(mine, "object", 4 * MANY);
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_many(store, "object", 4 * MANY);
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(bad, 0);
    assert_int_equal(count_files(s, "store/tmp"), 0);
}

static void there_are_not_too_many_packs(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);

    (void)state;
    for (int i = 0; i < 130; i++) {
        char prefix[16];

        (void)snprintf(prefix, sizeof(prefix), "%d", i);
        gather_many(store, prefix, MANY);
    }
    assert_int_equal(count_files(s, "store/packs"), 128);
    assert_many(store, "0", MANY);
    assert_many(store, "129", MANY);
}

static void a_failed_write_leaves_nothing(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    const struct rlimit limit = {.rlim_cur = 5000, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    store_gather(store);
    put_many(store, "object", MANY);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(store_flush(store, &err), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err.code, ERR_IO);
    assert_false(has(store, "object", 0));
    assert_int_equal(count_files(s, "store/tmp"), 0);
    assert_int_equal(count_files(s, "store/packs"), 0);
    gather_many(store, "object", MANY);
    assert_many(store, "object", MANY);
}

static void a_corrupt_object_is_not_found_again(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    CLEANUP_FREE char *path = NULL;
    struct error err = ERROR_INIT;
    char text[32];
    struct oid oid = numbered("object", 123, text);

    (void)state;
    gather_many(store, "object", MANY);
    path = pack_path(s);
    damage_text(s, path, "object 123");
    assert_int_equal(store_get(store, OBJECT_CONTENT, &oid, &body, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(body.length, 0);
    assert_false(has(store, "object", 123));
    store_free(TAKE_PTR(store));
    store = open_store(s);
    assert_false(has(store, "object", 123));
    assert_true(has(store, "object", 122) && has(store, "object", 124));
    put_many(store, "object", MANY);
    assert_many(store, "object", MANY);
    assert_int_equal(count_files(s, "store/objects"), 1);
}

/* A second copy is as good as the first. */
static void where_one_copy_is_bad_the_other_is_read(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *one = open_packed(s);
    CLEANUP_STORE struct store *two = open_store(s);
    CLEANUP_FREE char *path = NULL;

    (void)state;
    store_gather(one);
    put_many(one, "object", MANY);
    put_many(two, "object", MANY);
    assert_int_equal(store_flush(one, NULL), 0);
    path = pack_path(s);
    damage_text(s, path, "object 123");
    assert_many(one, "object", MANY);
}

static void verification_finds_damage_in_packs(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    struct oid root = add_folder(store, "file", 0, MANY, 0);
    CLEANUP_FREE char *path = pack_path(s);
    uint64_t objects, bad;

    (void)state;
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, MANY + 1);
    assert_int_equal(bad, 0);
    damage_text(s, path, "file 77");
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(bad, 1);
    assert_false(has(store, "file", 77));
    assert_false(store_has_root(store, &root));
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, MANY);
    assert_int_equal(bad, 0);
}

/* Renamed but not synced, it comes back with any length and any bytes. */
static void a_pack_that_a_crash_tore_is_found_on_the_next_boot(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *path = NULL;
    struct stat st;

    (void)state;
    gather_many(store, "object", MANY);
    store_free(TAKE_PTR(store));
    path = pack_path(s);
    damage_text(s, path, "object 250");
    scratch_write(s, "store/synced", OTHER_BOOT);
    store = open_store(s);
    assert_false(has(store, "object", 250));
    assert_true(has(store, "object", 249));
    store_free(TAKE_PTR(store));
    st = scratch_stat(s, path);
    for (off_t length = st.st_size - 1; length >= 0; length -= 1 + length / 7) {
        CLEANUP_FREE char *full = scratch_path(s, path);

        assert_int_equal(truncate(full, length), 0);
        /* Until then it is as if it were not there. */
        store = open_store(s);
        assert_false(has(store, "object", 249));
        store_free(TAKE_PTR(store));
    }
    scratch_write(s, "store/synced", OTHER_BOOT);
    store = open_store(s);
    assert_non_null(store);
    assert_false(scratch_exists(s, path));
    assert_int_equal(count_files(s, "store/bad"), 1);
}

/* With too many open files nobody knows what there is: nothing is missing, and no root
 * promises too much. */
static void a_pack_that_cannot_be_opened_is_no_missing_object(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    struct oid root = add_folder(store, "file", 0, MANY, 2 * DAY_MS);
    CLEANUP_FREE char *path = pack_path(s);
    const struct store_gc_request request = {.max_bytes = STORE_NO_LIMIT};
    struct store_gc_result result;
    struct error err = ERROR_INIT;

    (void)state;
    store_free(TAKE_PTR(store));
    assert_int_equal(renameat(s->fd, path, s->fd, "away"), 0);
    scratch_link(s, path, "../../away"); /* refused: it is no file */
    store = open_store(s);
    assert_int_equal(store_collect(store, &request, &result, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_true(store_has_root(store, &root));
    assert_int_equal(store_add_root(store, &(struct oid){{1}}, NULL, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(unlinkat(s->fd, path, 0), 0);
    assert_int_equal(renameat(s->fd, "away", s->fd, path), 0);
    assert_many(store, "file", MANY);
}

static void a_dead_pack_goes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_STORE struct store *other = open_store(s);
    struct store_gc_result dry, result;

    (void)state;
    (void)add_folder(store, "file", 0, MANY, 2 * DAY_MS);
    assert_true(has(other, "file", 1));
    result = collect_after(store, DAY_MS, false);
    assert_int_equal(result.roots_removed, 1);
    assert_int_equal(result.objects_removed, 0); /* it is young */
    assert_int_equal(result.objects_spared, MANY + 1);
    assert_many(store, "file", MANY);
    make_packs_old(s);
    dry = collect_after(store, DAY_MS, true);
    assert_many(store, "file", 1);
    make_packs_old(s);
    result = collect_after(store, DAY_MS, false);
    assert_memory_equal(&dry, &result, sizeof(result));
    assert_int_equal(result.objects_removed, MANY + 1);
    assert_int_equal(result.objects_kept, 0);
    assert_true(result.bytes_removed > 0);
    assert_int_equal(count_files(s, "store/packs"), 0);
    assert_false(has(store, "file", 1));
    /* Who relies on objects takes the lock, and then knows. */
    mem_cleanup_fd(&(int){store_lock(other, false, 0, NULL)});
    assert_false(has(other, "file", 1));
}

/* Somebody was told that it is here. */
static void a_pack_that_is_asked_stays(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);

    (void)state;
    gather_many(store, "object", MANY);
    make_packs_old(s);
    store_free(TAKE_PTR(store));
    store = open_store(s);
    assert_true(has(store, "object", 5));
    assert_int_equal(collect_after(store, DAY_MS, false).objects_spared, MANY);
    assert_many(store, "object", MANY);
}

static void a_pack_of_which_little_lives_is_dissolved(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *path = NULL;
    struct store_gc_result dry, result;
    struct oid root;
    uint64_t objects, bad;

    (void)state;
    gather_many(store, "file", 2 * MANY);
    path = pack_path(s);
    root = add_folder(store, "file", 10, 100, 0);
    make_packs_old(s);
    dry = collect_after(store, DAY_MS, true);
    result = collect_after(store, DAY_MS, false);
    assert_memory_equal(&dry, &result, sizeof(result));
    assert_int_equal(result.objects_removed, 2 * MANY - 100);
    assert_int_equal(result.objects_kept, 101);
    assert_false(scratch_exists(s, path));
    assert_true(has(store, "file", 10) && has(store, "file", 109));
    assert_false(has(store, "file", 9) || has(store, "file", 110));
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, 101);
    assert_int_equal(bad, 0);
    assert_true(store_has_root(store, &root));
}

/* One byte kept all that lay in its pack, for ever. */
static void a_bad_object_does_not_keep_its_pack(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *path = NULL;
    struct store_gc_result result;

    (void)state;
    gather_many(store, "file", 2 * MANY);
    path = pack_path(s);
    (void)add_folder(store, "file", 10, 100, 0);
    damage_text(s, path, "file 108");
    make_packs_old(s);
    result = collect_after(store, DAY_MS, false);
    assert_int_equal(result.objects_removed, 2 * MANY - 99);
    assert_int_equal(result.objects_kept, 100);
    assert_false(scratch_exists(s, path));
    assert_true(has(store, "file", 107) && has(store, "file", 109));
    assert_false(has(store, "file", 108));
}

static void a_pack_of_which_most_lives_stays(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_packed(s);
    CLEANUP_FREE char *body = xcalloc(1, 50000);
    struct store_gc_result result;
    struct oid large;

    (void)state;
    oid_of(OBJECT_CONTENT, body, 50000, &large);
    store_gather(store);
    put_many(store, "dead", MANY);
    assert_int_equal(store_put(store, OBJECT_CONTENT, &large, body, 50000, NULL), 0);
    (void)add_folder(store, "file", 0, 2, 0);
    {
        CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
        struct object_sink sink = store_sink(store);
        const struct tree_entry entry = {.kind = TREE_FILE,
                                         .oid = large,
                                         .size_bytes = 50000,
                                         .name = "large",
                                         .name_length = 5};
        struct oid root;
        uint64_t size_bytes;

        assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
        assert_int_equal(tree_writer_finish(writer, &sink, &root, &size_bytes, NULL), 0);
        assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    }
    make_packs_old(s);
    result = collect_after(store, DAY_MS, false);
    assert_int_equal(result.objects_removed, 0);
    assert_int_equal(result.objects_spared, MANY);
    assert_int_equal(count_files(s, "store/packs"), 1);
    assert_true(has(store, "dead", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathered_objects_share_a_file),
        cmocka_unit_test(few_objects_are_a_file_each),
        cmocka_unit_test(large_objects_are_a_file_each),
        cmocka_unit_test(a_store_that_was_there_keeps_no_packs),
        cmocka_unit_test(without_a_flush_nothing_is_left),
        cmocka_unit_test(what_was_gathered_appears_in_time),
        cmocka_unit_test(a_pack_has_an_end),
        cmocka_unit_test(another_process_finds_them),
        cmocka_unit_test(many_may_gather_the_same_at_once),
        cmocka_unit_test(there_are_not_too_many_packs),
        cmocka_unit_test(a_failed_write_leaves_nothing),
        cmocka_unit_test(a_corrupt_object_is_not_found_again),
        cmocka_unit_test(where_one_copy_is_bad_the_other_is_read),
        cmocka_unit_test(verification_finds_damage_in_packs),
        cmocka_unit_test(a_pack_that_a_crash_tore_is_found_on_the_next_boot),
        cmocka_unit_test(a_pack_that_cannot_be_opened_is_no_missing_object),
        cmocka_unit_test(a_dead_pack_goes),
        cmocka_unit_test(a_pack_that_is_asked_stays),
        cmocka_unit_test(a_pack_of_which_little_lives_is_dissolved),
        cmocka_unit_test(a_bad_object_does_not_keep_its_pack),
        cmocka_unit_test(a_pack_of_which_most_lives_stays),
    };

    return cmocka_run_group_tests_name("store_packs", tests, NULL, NULL);
}
