#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/store.h"
#include "tests/unit/stores.h"

static void assert_content(struct store *store, const struct oid *oid, const char *text)
{
    CLEANUP_STRBUF struct strbuf body;

    strbuf_init(&body, OBJECT_SIZE_MAX);
    assert_int_equal(store_get(store, OBJECT_CONTENT, oid, &body, NULL), 0);
    assert_string_equal(body.data, text);
}

static void assert_no_content(struct store *store, enum object_kind kind,
                              const struct oid *oid, enum error_code code)
{
    CLEANUP_STRBUF struct strbuf body;
    struct error err = ERROR_INIT;

    strbuf_init(&body, OBJECT_SIZE_MAX);
    assert_int_equal(store_get(store, kind, oid, &body, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(body.length, 0);
}

static void what_was_put_is_got(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid hello = put(store, OBJECT_CONTENT, "hello");
    struct oid empty = put(store, OBJECT_CONTENT, "");
    struct oid other;

    (void)state;
    assert_content(store, &hello, "hello");
    assert_content(store, &empty, "");
    assert_true(store_has(store, OBJECT_CONTENT, &hello));
    (void)put(store, OBJECT_CONTENT, "hello");
    oid_of(OBJECT_CONTENT, "other", 5, &other);
    assert_false(store_has(store, OBJECT_CONTENT, &other));
    assert_no_content(store, OBJECT_CONTENT, &other, ERR_NOT_FOUND);
}

static void the_layout_is_as_documented(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid hello = put(store, OBJECT_CONTENT, "hello");
    CLEANUP_FREE char *file = object_file(&hello);
    CLEANUP_FREE char *id = xasprintf("%s\n", store_id(store));

    (void)state;
    assert_int_equal(strlen(store_id(store)), STORE_ID_SIZE - 1);
    assert_file(s, "store/id", id);
    assert_file(s, file, "hello");
    assert_int_equal(scratch_stat(s, file).st_mode, S_IFREG | 0400);
    assert_int_equal(scratch_stat(s, "store").st_mode & 0777, 0700);
    assert_int_equal(scratch_stat(s, "store/objects").st_mode & 0777, 0700);
    assert_true(scratch_exists(s, "store/synced"));
    assert_int_equal(count_files(s, "store/tmp"), 0);
    assert_int_equal(count_files(s, "store/bad"), 0);
    assert_int_equal(count_files(s, "store/roots"), 0);
}

static void a_store_keeps_its_id(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *first = open_store(s);
    CLEANUP_STORE struct store *second = open_store(s);
    CLEANUP_FREE char *path = scratch_path(s, "store");
    CLEANUP_FREE char *other_path = scratch_path(s, "a/b/other");
    CLEANUP_STORE struct store *other = store_open(other_path, NULL);
    struct error err = ERROR_INIT;

    (void)state;
    assert_string_equal(store_id(first), store_id(second));
    assert_non_null(other);
    assert_string_not_equal(store_id(first), store_id(other));
    scratch_write(s, "store/id", "not an id\n");
    assert_null(store_open(path, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void a_store_may_stand_behind_a_symbolic_link(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = NULL;

    (void)state;
    scratch_mkdir(s, "elsewhere");
    scratch_link(s, "store", "elsewhere");
    store = open_store(s);
    (void)put(store, OBJECT_CONTENT, "hello");
    assert_true(scratch_exists(s, "elsewhere/objects"));
}

static void a_corrupt_object_is_moved_away(void **state)
{
    static const char *const bad[] = {"hellp", "hell", "", "hello and more"};
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oid oid = put(store, OBJECT_CONTENT, "hello");
        CLEANUP_FREE char *file = object_file(&oid);

        damage(s, &oid, bad[i]);
        assert_no_content(store, OBJECT_CONTENT, &oid, ERR_CORRUPT);
        assert_false(store_has(store, OBJECT_CONTENT, &oid));
        assert_false(scratch_exists(s, file));
        assert_int_equal(count_files(s, "store/bad"), 1);
        (void)put(store, OBJECT_CONTENT, "hello");
        assert_content(store, &oid, "hello");
    }
}

/* Else the other end could have good objects moved away by asking for them wrongly. */
static void an_object_of_another_kind_stays(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid oid = put(store, OBJECT_CONTENT, "hello");

    (void)state;
    assert_no_content(store, OBJECT_TREE, &oid, ERR_NOT_FOUND);
    assert_no_content(store, OBJECT_LIST, &oid, ERR_NOT_FOUND);
    assert_content(store, &oid, "hello");
}

static void a_put_mends_a_torn_object(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid oid = put(store, OBJECT_CONTENT, "hello");

    (void)state;
    damage(s, &oid, "");
    (void)put(store, OBJECT_CONTENT, "hello");
    assert_content(store, &oid, "hello");
}

static void nothing_that_is_no_file_is_an_object(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid oid = put(store, OBJECT_CONTENT, "hello");
    CLEANUP_FREE char *file = object_file(&oid);

    (void)state;
    scratch_write(s, "outside", "hello");
    assert_int_equal(unlinkat(s->fd, file, 0), 0);
    scratch_link(s, file, "../../../outside");
    assert_false(store_has(store, OBJECT_CONTENT, &oid));
    assert_no_content(store, OBJECT_CONTENT, &oid, ERR_IO);
    assert_int_equal(unlinkat(s->fd, file, 0), 0);
    assert_int_equal(mkfifoat(s->fd, file, 0600), 0);
    assert_false(store_has(store, OBJECT_CONTENT, &oid));
    assert_no_content(store, OBJECT_CONTENT, &oid, ERR_CORRUPT); /* and does not block */
}

static void a_failed_write_leaves_nothing(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    const struct rlimit limit = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    CLEANUP_FREE char *body = xcalloc(1, 5000);
    struct error err = ERROR_INIT;
    struct oid oid;

    (void)state;
    oid_of(OBJECT_CONTENT, body, 5000, &oid);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, body, 5000, &err), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err.code, ERR_IO);
    assert_false(store_has(store, OBJECT_CONTENT, &oid));
    assert_int_equal(count_files(s, "store/tmp"), 0);
    assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, body, 5000, &err), 0);
}

/* In each child: put the same objects while others do. */
static void race(struct scratch *s)
{
    CLEANUP_STORE struct store *store = open_store(s);
    char text[32];

    for (int i = 0; i < 300; i++) {
        struct oid oid;
        int length = snprintf(text, sizeof(text), "object %d", i);

        oid_of(OBJECT_CONTENT, text, (size_t)length, &oid);
        if (store_put(store, OBJECT_CONTENT, &oid, text, (size_t)length, NULL) < 0) {
            _exit(1);
        }
    }
    _exit(0);
}

static void many_may_put_the_same_at_once(void **state)
{
    enum { CHILDREN = 6 };
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    pid_t children[CHILDREN];
    uint64_t objects, bad;
    CLEANUP_STORE struct store *store = NULL;

    (void)state;
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            race(s);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    store = open_store(s);
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, 300);
    assert_int_equal(bad, 0);
    assert_int_equal(count_files(s, "store/tmp"), 0);
}

static void a_root_is_counted_and_kept(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct store_root got;
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(store_has_root(store, &root));
    assert_int_equal(store_read_root(store, &root, &got, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_true(store_has_root(store, &root));
    assert_int_equal(store_read_root(store, &root, &got, NULL), 0);
    assert_true(oid_equal(&got.oid, &root));
    assert_int_equal(got.totals.files, 3);
    assert_int_equal(got.totals.size_bytes, 18);
    assert_true(got.utc_ms > clock_utc_ms() - HOUR_MS && got.utc_ms <= clock_utc_ms());
    assert_int_equal(store_remove_root(store, &root, NULL), 0);
    assert_false(store_has_root(store, &root));
    assert_int_equal(store_remove_root(store, &root, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_root_with_something_missing_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct error err = ERROR_INIT;
    struct oid oids[10];
    size_t count = 0;

    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        CLEANUP_FREE char *folder = xasprintf("store/objects/%02x", i);
        CLEANUP_DIR DIR *dir = NULL;
        const struct dirent *entry;

        if (!scratch_exists(s, folder)) {
            continue;
        }
        dir = fdopendir(scratch_open_dir(s, folder));
        while ((entry = readdir(dir)) != NULL) {
            char hex[OID_HEX_SIZE + 8];

            (void)snprintf(hex, sizeof(hex), "%02x%.64s", i, entry->d_name);
            if (entry->d_name[0] != '.') {
                assert_int_equal(oid_from_hex(hex, &oids[count++], NULL), 0);
            }
        }
    }
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        CLEANUP_FREE char *file = object_file(&oids[i]);

        assert_int_equal(renameat(s->fd, file, s->fd, "away"), 0);
        assert_int_equal(store_add_root(store, &root, NULL, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_false(store_has_root(store, &root));
        assert_int_equal(renameat(s->fd, "away", s->fd, file), 0);
    }
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
}

static void content_of_another_length_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct error err = ERROR_INIT;
    struct oid content;

    (void)state;
    oid_of(OBJECT_CONTENT, "12345", 5, &content);
    damage(s, &content, "1234");
    assert_int_equal(store_add_root(store, &root, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_false(store_has_root(store, &root));
}

static void what_a_base_reaches_is_believed(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid base = put_project(store, "12345");
    struct oid root = put_project(store, "1234567");
    struct store_root got;
    struct oid script;
    CLEANUP_FREE char *file = NULL;

    (void)state;
    oid_of(OBJECT_CONTENT, "#!/bin/sh\n", 10, &script);
    file = object_file(&script);
    assert_int_equal(store_add_root(store, &base, NULL, NULL), 0);
    assert_int_equal(renameat(s->fd, file, s->fd, "away"), 0);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), -1);
    assert_int_equal(store_add_root(store, &root, &base, NULL), 0);
    assert_int_equal(store_read_root(store, &root, &got, NULL), 0);
    assert_int_equal(got.totals.files, 3);
    assert_int_equal(got.totals.size_bytes, 20);
}

static void a_base_that_is_no_root_is_ignored(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid base = put_project(store, "12345");
    struct oid root = put_project(store, "1234567");
    struct oid script;
    CLEANUP_FREE char *file = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(store_add_root(store, &root, &base, NULL), 0);
    assert_int_equal(store_remove_root(store, &root, NULL), 0);
    oid_of(OBJECT_CONTENT, "#!/bin/sh\n", 10, &script);
    file = object_file(&script);
    assert_int_equal(unlinkat(s->fd, file, 0), 0);
    assert_int_equal(store_add_root(store, &root, &base, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    /* Nor is it its own base. */
    assert_int_equal(store_add_root(store, &root, &root, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_confirmed_root_gets_a_new_time(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct store_root first, second;

    (void)state;
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_int_equal(store_read_root(store, &root, &first, NULL), 0);
    clock_test_set(clock_monotonic_ns(), first.utc_ms + 2 * HOUR_MS);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    clock_test_clear();
    assert_int_equal(store_read_root(store, &root, &second, NULL), 0);
    assert_int_equal(second.utc_ms, first.utc_ms + 2 * HOUR_MS);
    assert_int_equal(second.totals.files, first.totals.files);
}

struct roots {
    size_t count;
    struct oid keep;
};

static int note_root(void *context, const struct store_root *root, struct error *err)
{
    struct roots *roots = context;

    (void)root;
    roots->count++;
    return roots->count == 3 ? error_set(err, ERR_CANCELED, "enough") : 0;
}

static void roots_are_visited(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    static const char *const texts[] = {"1", "2", "3", "4"};
    struct roots roots = {.count = 0};
    struct error err = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct oid root = put_project(store, texts[i]);

        roots.count = 0;
        if (i == 2) {
            scratch_write(s, "store/roots/README", "not a root");
            assert_int_equal(store_visit_roots(store, note_root, &roots, NULL), 0);
            assert_int_equal(roots.count, 2);
        }
        assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    }
    roots.count = 0;
    assert_int_equal(store_visit_roots(store, note_root, &roots, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
}

static void verification_finds_every_damage(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct oid other = put_project(store, "the other");
    struct oid content;
    uint64_t objects, bad;

    (void)state;
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_int_equal(store_add_root(store, &other, NULL, NULL), 0);
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, 8);
    assert_int_equal(bad, 0);
    oid_of(OBJECT_CONTENT, "12345", 5, &content);
    damage(s, &content, "12346");
    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(objects, 8);
    assert_int_equal(bad, 1);
    assert_int_equal(count_files(s, "store/bad"), 1);
    assert_false(store_has(store, OBJECT_CONTENT, &content));
    /* The root that reached it promises too much; the other one stays. */
    assert_false(store_has_root(store, &root));
    assert_true(store_has_root(store, &other));
}

static void set_synced(const struct scratch *s, const char *boot, int64_t utc_ms)
{
    char time[CLOCK_TEXT_SIZE];
    CLEANUP_FREE char *text = NULL;

    clock_format(time, utc_ms);
    text = xasprintf("{\"boot\":\"%s\",\"time\":\"%s\"}\n", boot, time);
    scratch_write(s, "store/synced", text);
}

/* The last sync of everything was long ago, though in this boot. */
static void age_synced(const struct scratch *s)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    assert_int_equal(files_read(s->fd, "store/synced", &text, NULL), 0);
    CLEANUP_JSON struct json *json = json_parse(text.data, text.length, NULL);
    set_synced(s, json_string(json_get(json, "boot")), clock_utc_ms() - 2 * HOUR_MS);
}

/* A crash: objects that were renamed but not synced come back with any content. */
static void what_a_crash_tore_is_found_on_the_next_boot(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct oid torn = put(store, OBJECT_CONTENT, "torn");
    struct oid whole = put(store, OBJECT_CONTENT, "whole");
    struct oid before = put(store, OBJECT_CONTENT, "older");
    int64_t now_ms = clock_utc_ms();

    (void)state;
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    damage(s, &torn, "");
    damage(s, &before, "?");
    make_object_old(s, &before);
    store_free(TAKE_PTR(store));
    /* The same boot: nobody looks. */
    store = open_store(s);
    assert_true(store_has(store, OBJECT_CONTENT, &torn));
    store_free(TAKE_PTR(store));
    set_synced(s, "00000000-0000-0000-0000-000000000000", now_ms - HOUR_MS);
    store = open_store(s);
    assert_false(store_has(store, OBJECT_CONTENT, &torn));
    assert_true(store_has(store, OBJECT_CONTENT, &whole));
    assert_true(store_has_root(store, &root));
    /* What was synced before is not read again. */
    assert_true(store_has(store, OBJECT_CONTENT, &before));
    store_free(TAKE_PTR(store));
    /* Now it is this boot again. */
    damage(s, &whole, "?");
    store = open_store(s);
    assert_true(store_has(store, OBJECT_CONTENT, &whole));
}

static void a_root_that_a_crash_tore_is_gone(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    struct oid content;

    (void)state;
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    oid_of(OBJECT_CONTENT, "12345", 5, &content);
    damage(s, &content, "123");
    store_free(TAKE_PTR(store));
    set_synced(s, "another", 0);
    store = open_store(s);
    assert_false(store_has_root(store, &root));
}

static void without_a_record_of_syncs_all_is_verified(void **state)
{
    static const char *const records[] = {"", "{", "{}", "{\"boot\":1}", NULL};
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        CLEANUP_STORE struct store *store = open_store(s);
        struct oid torn = put(store, OBJECT_CONTENT, "torn");

        damage(s, &torn, "?");
        make_object_old(s, &torn);
        store_free(TAKE_PTR(store));
        if (records[i]) {
            scratch_write(s, "store/synced", records[i]);
        } else {
            assert_int_equal(unlinkat(s->fd, "store/synced", 0), 0);
        }
        store = open_store(s);
        assert_false(store_has(store, OBJECT_CONTENT, &torn));
    }
}

static void adding_a_root_notes_a_time_before_its_sync(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *json = NULL;
    int64_t before_ms, synced_ms;
    struct oid later;
    CLEANUP_FREE char *file = NULL;
    struct stat st;

    (void)state;
    age_synced(s);
    before_ms = clock_utc_ms();
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_int_equal(files_read(s->fd, "store/synced", &text, NULL), 0);
    json = json_parse(text.data, text.length, NULL);
    assert_non_null(json);
    assert_int_equal(json_get_time(json, "synced", "time", &synced_ms, NULL), 0);
    assert_true(synced_ms <= clock_utc_ms() && synced_ms > before_ms - 1000);
    later = put(store, OBJECT_CONTENT, "later");
    file = object_file(&later);
    st = scratch_stat(s, file);
    assert_true((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / NS_PER_MS >=
                synced_ms);
}

/* A few objects are synced by themselves: the record of the last sync of everything stays
 * as it was. */
static void little_does_not_wait_for_everything(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid root = put_project(store, "12345");
    ino_t before = scratch_stat(s, "store/synced").st_ino;

    (void)state;
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_true(store_has_root(store, &root));
    assert_int_equal(scratch_stat(s, "store/synced").st_ino, before);
}

static void much_syncs_everything(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    char texts[40][16];
    struct row rows[ARRAY_SIZE(texts) + 1] = {{.name = NULL}};
    ino_t before = scratch_stat(s, "store/synced").st_ino;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        snprintf(texts[i], sizeof(texts[i]), "%02zu", i);
        rows[i] = (struct row){.kind = TREE_FILE, .name = texts[i], .text = texts[i]};
    }
    struct oid root = trees_make(objects, rows, NULL);
    put_all(store, objects);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    assert_int_not_equal(scratch_stat(s, "store/synced").st_ino, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_got),
        cmocka_unit_test(the_layout_is_as_documented),
        cmocka_unit_test(a_store_keeps_its_id),
        cmocka_unit_test(a_store_may_stand_behind_a_symbolic_link),
        cmocka_unit_test(a_corrupt_object_is_moved_away),
        cmocka_unit_test(an_object_of_another_kind_stays),
        cmocka_unit_test(a_put_mends_a_torn_object),
        cmocka_unit_test(nothing_that_is_no_file_is_an_object),
        cmocka_unit_test(a_failed_write_leaves_nothing),
        cmocka_unit_test(many_may_put_the_same_at_once),
        cmocka_unit_test(a_root_is_counted_and_kept),
        cmocka_unit_test(a_root_with_something_missing_is_refused),
        cmocka_unit_test(content_of_another_length_is_refused),
        cmocka_unit_test(what_a_base_reaches_is_believed),
        cmocka_unit_test(a_base_that_is_no_root_is_ignored),
        cmocka_unit_test(a_confirmed_root_gets_a_new_time),
        cmocka_unit_test(roots_are_visited),
        cmocka_unit_test(verification_finds_every_damage),
        cmocka_unit_test(what_a_crash_tore_is_found_on_the_next_boot),
        cmocka_unit_test(a_root_that_a_crash_tore_is_gone),
        cmocka_unit_test(without_a_record_of_syncs_all_is_verified),
        cmocka_unit_test(adding_a_root_notes_a_time_before_its_sync),
        cmocka_unit_test(little_does_not_wait_for_everything),
        cmocka_unit_test(much_syncs_everything),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
