#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/statvfs.h>

#include "tests/unit/stores.h"

#define DAY_MS (24 * HOUR_MS)
#define OBJECTS_OF_ONE 5 /* of a project: two trees, three contents */
#define OBJECTS_MORE 3   /* of another one: run.sh and the link are shared */

/* The filesystem's free bytes, where a test sets them. */
static uint64_t free_bytes;

int __real_fstatvfs64(int fd, struct statvfs *out);
int __wrap_fstatvfs64(int fd, struct statvfs *out);

int __wrap_fstatvfs64(int fd, struct statvfs *out)
{
    int result = __real_fstatvfs64(fd, out);

    if (free_bytes > 0) {
        out->f_frsize = 1;
        out->f_bavail = free_bytes;
    }
    return result;
}

/* The file whose reading fails. */
static ino_t unreadable;

ssize_t __real_read(int fd, void *out, size_t length);
ssize_t __wrap_read(int fd, void *out, size_t length);

ssize_t __wrap_read(int fd, void *out, size_t length)
{
    struct stat st;

    if (unreadable != 0 && fstat(fd, &st) == 0 && st.st_ino == unreadable) {
        errno = EIO;
        return -1;
    }
    return __real_read(fd, out, length);
}

/* Every object that is there looks two days old. */
static void make_all_old(const struct scratch *s)
{
    for (unsigned i = 0; i < 256; i++) {
        CLEANUP_FREE char *folder = xasprintf("store/objects/%02x", i);
        CLEANUP_DIR DIR *dir = NULL;
        const struct dirent *entry;

        if (!scratch_exists(s, folder)) {
            continue;
        }
        dir = fdopendir(scratch_open_dir(s, folder));
        while ((entry = readdir(dir)) != NULL) {
            CLEANUP_FREE char *file = xasprintf("%s/%s", folder, entry->d_name);

            if (entry->d_name[0] != '.') {
                make_old(s, file, 2 * DAY_MS);
            }
        }
    }
}

/* A project whose snapshot was used that long ago. */
static struct oid add_project(struct store *store, const char *text, int64_t age_ms)
{
    struct oid root = put_project(store, text);

    clock_test_set(clock_monotonic_ns(), clock_utc_ms() - age_ms);
    assert_int_equal(store_add_root(store, &root, NULL, NULL), 0);
    clock_test_clear();
    return root;
}

/* Three projects, the first used last. */
#define PROJECTS 3
struct projects {
    struct oid roots[PROJECTS];
    enum store_need needs[PROJECTS];
    bool is_gone[PROJECTS];
};

static struct projects make_projects(const struct scratch *s, struct store *store)
{
    struct projects p = {.needs = {STORE_WANTED, STORE_WANTED, STORE_WANTED}};

    p.roots[1] = add_project(store, "the second", 3 * DAY_MS);
    p.roots[2] = add_project(store, "the third", 4 * DAY_MS);
    p.roots[0] = add_project(store, "the first", 2 * DAY_MS);
    make_all_old(s);
    return p;
}

static size_t find_project(const struct projects *p, const struct oid *root)
{
    size_t i = 0;

    while (!oid_equal(&p->roots[i], root)) {
        assert_true(++i < PROJECTS);
    }
    return i;
}

static enum store_need judge(void *context, const struct store_root *root)
{
    const struct projects *p = context;

    return p->needs[find_project(p, &root->oid)];
}

static void note_gone(void *context, const struct store_root *root)
{
    struct projects *p = context;

    p->is_gone[find_project(p, &root->oid)] = true;
}

static struct store_gc_request request_for(struct projects *p)
{
    return (struct store_gc_request){.judge = judge,
                                     .gone = note_gone,
                                     .context = p,
                                     .spare_ms = DAY_MS,
                                     .max_bytes = STORE_NO_LIMIT};
}

static struct store_gc_result collect(struct store *store,
                                      const struct store_gc_request *request)
{
    struct store_gc_result result;
    struct error err = ERROR_INIT;

    if (store_collect(store, request, &result, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return result;
}

static struct store_gc_result collect_after(struct store *store, int64_t spare_ms)
{
    const struct store_gc_request request = {.spare_ms = spare_ms,
                                             .max_bytes = STORE_NO_LIMIT};

    return collect(store, &request);
}

/* Which of the projects are there: bit i for roots[i]. And what is there is whole. */
static unsigned projects_there(struct store *store, const struct projects *p)
{
    unsigned there = 0;
    uint64_t objects, bad;

    assert_int_equal(store_verify(store, &objects, &bad, NULL), 0);
    assert_int_equal(bad, 0);
    for (unsigned i = 0; i < PROJECTS; i++) {
        bool has_root = store_has_root(store, &p->roots[i]);

        assert_int_equal(has_root, !p->is_gone[i]);
        there |= (unsigned)has_root << i;
    }
    return there;
}

static void what_no_root_reaches_goes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);
    struct oid stray = put(store, OBJECT_CONTENT, "stray");
    struct store_gc_result dry, result;

    (void)state;
    make_object_old(s, &stray);
    p.needs[0] = STORE_NEEDED;
    p.needs[2] = STORE_UNUSED;
    request.is_dry = true;
    dry = collect(store, &request);
    assert_true(store_has_root(store, &p.roots[2]) && p.is_gone[2]);
    request.is_dry = false;
    result = collect(store, &request);
    assert_memory_equal(&dry, &result, sizeof(result));
    assert_int_equal(projects_there(store, &p), 3);
    assert_int_equal(result.roots_removed, 1);
    assert_int_equal(result.roots_needed, 1);
    assert_int_equal(result.roots_wanted, 1);
    assert_int_equal(result.roots_over_limit + result.roots_damaged, 0);
    assert_int_equal(result.objects_removed, OBJECTS_MORE + 1);
    assert_int_equal(result.objects_kept, OBJECTS_OF_ONE + OBJECTS_MORE);
    assert_int_equal(result.objects_spared, 0);
    assert_true(result.bytes_removed > 0 && result.bytes_kept > result.bytes_removed);
}

static void without_a_judge_all_that_is_old_goes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid young;
    struct store_gc_result result;

    (void)state;
    (void)make_projects(s, store);
    young = add_project(store, "young", DAY_MS - HOUR_MS);
    make_all_old(s);
    result = collect_after(store, DAY_MS);
    assert_int_equal(result.roots_removed, 3);
    assert_int_equal(result.roots_spared, 1);
    assert_int_equal(result.objects_kept, OBJECTS_OF_ONE);
    assert_true(store_has_root(store, &young));
}

static void the_young_and_the_confirmed_stay(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid young = put(store, OBJECT_CONTENT, "young");
    struct oid again = put(store, OBJECT_CONTENT, "put again");
    struct oid asked = put(store, OBJECT_CONTENT, "asked for");
    struct oid old = put(store, OBJECT_CONTENT, "old");
    struct store_gc_result result;

    (void)state;
    make_object_old(s, &again);
    make_object_old(s, &asked);
    make_object_old(s, &old);
    (void)put(store, OBJECT_CONTENT, "put again");
    assert_true(store_has(store, OBJECT_CONTENT, &asked));
    result = collect_after(store, DAY_MS);
    assert_int_equal(result.objects_removed, 1);
    assert_int_equal(result.objects_spared, 3);
    assert_true(store_has(store, OBJECT_CONTENT, &young));
    assert_true(store_has(store, OBJECT_CONTENT, &again));
    assert_true(store_has(store, OBJECT_CONTENT, &asked));
    assert_false(store_has(store, OBJECT_CONTENT, &old));
}

static void a_small_store_keeps_what_was_used_last(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);
    struct store_gc_result result = collect(store, &request);

    (void)state;
    request.max_bytes = result.bytes_kept;
    assert_int_equal(collect(store, &request).roots_removed, 0);
    request.max_bytes--;
    result = collect(store, &request);
    assert_int_equal(result.roots_over_limit, 1);
    assert_int_equal(result.objects_removed, OBJECTS_MORE);
    assert_true(result.bytes_kept <= request.max_bytes);
    assert_int_equal(projects_there(store, &p), 3);
    make_all_old(s); /* store_verify relied on them */
    request.max_bytes = 0;
    p.needs[1] = STORE_NEEDED;
    result = collect(store, &request);
    assert_int_equal(result.roots_over_limit, 1);
    assert_int_equal(projects_there(store, &p), 2);
    assert_int_equal(result.objects_kept, OBJECTS_OF_ONE);
}

/* A smaller one does not slip in where a newer one found no room. */
static void nothing_older_stays_than_what_went(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    CLEANUP_FREE char *large = xcalloc(1, 100001);
    struct projects p = {.needs = {STORE_WANTED, STORE_WANTED, STORE_WANTED}};
    struct store_gc_request request = request_for(&p);

    (void)state;
    memset(large, 'x', 100000);
    p.roots[0] = add_project(store, "the first", 2 * DAY_MS);
    p.roots[1] = add_project(store, large, 3 * DAY_MS);
    p.roots[2] = add_project(store, "the third", 4 * DAY_MS);
    make_all_old(s);
    request.max_bytes = 90000;
    assert_int_equal(collect(store, &request).roots_over_limit, 2);
    assert_int_equal(projects_there(store, &p), 1);
}

static void a_full_disk_gets_room(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);

    (void)state;
    free_bytes = 1000;
    request.min_free_bytes = 1000;
    assert_int_equal(collect(store, &request).roots_removed, 0);
    request.min_free_bytes = 1001;
    request.will_free_bytes = 1;
    assert_int_equal(collect(store, &request).roots_removed, 0);
    request.will_free_bytes = 0;
    assert_int_equal(collect(store, &request).roots_over_limit, 1);
    assert_int_equal(projects_there(store, &p), 3);
    make_all_old(s);
    request.min_free_bytes = UINT64_C(1) << 50;
    assert_int_equal(collect(store, &request).roots_over_limit, 2);
    assert_int_equal(projects_there(store, &p), 0);
    free_bytes = 0;
}

static void collection_waits_for_nobody_for_long(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    CLEANUP_FD int lock = store_lock(store, false, 0, NULL);
    CLEANUP_FD int second = store_lock(store, false, 0, NULL);
    const struct store_gc_request request = {.max_bytes = STORE_NO_LIMIT};
    struct store_gc_result result;
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(lock >= 0 && second >= 0);
    assert_int_equal(store_lock(store, true, 0, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_int_equal(store_collect(store, &request, &result, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
}

static enum store_need judge_slowly(void *context, const struct store_root *root)
{
    clock_test_set(2 * NS_PER_S, clock_utc_ms());
    return judge(context, root);
}

static void note_gone_slowly(void *context, const struct store_root *root)
{
    clock_test_set(2 * NS_PER_S, clock_utc_ms());
    note_gone(context, root);
}

/* Pushes wait for the lock. */
static void who_collects_unasked_gives_the_lock_back_in_time(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);
    struct store_gc_result result;
    struct error err = ERROR_INIT;
    int64_t now_ms = clock_utc_ms() + 2 * DAY_MS;

    (void)state;
    request.hold_ms = 1000;
    request.judge = judge_slowly;
    p.needs[0] = STORE_NEEDED;
    p.needs[1] = p.needs[2] = STORE_UNUSED;
    clock_test_set(NS_PER_S / 2, now_ms);
    assert_int_equal(store_collect(store, &request, &result, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.text, "within 1000 ms"));
    assert_true(store_has_root(store, &p.roots[1]));

    request.judge = judge;
    request.gone = note_gone_slowly;
    clock_test_set(NS_PER_S / 2, now_ms);
    result = collect(store, &request);
    assert_true(result.is_cut && result.roots_removed == 2);
    assert_int_equal(result.objects_removed, 0);

    request.gone = NULL;
    clock_test_set(NS_PER_S / 2, now_ms);
    result = collect(store, &request);
    clock_test_clear();
    assert_true(!result.is_cut && result.objects_removed > 0);
    assert_int_equal(projects_there(store, &p), 1);
}

static void who_collects_unasked_waits_for_nobody(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    CLEANUP_FD int lock = store_lock(store, false, 0, NULL);
    const struct store_gc_request request = {.max_bytes = STORE_NO_LIMIT, .hold_ms = 1};
    struct store_gc_result result;
    struct error err = ERROR_INIT;

    (void)state;
    clock_test_set(NS_PER_S, clock_utc_ms()); /* which a wait would never see pass */
    assert_int_equal(store_collect(store, &request, &result, &err), -1);
    clock_test_clear();
    assert_int_equal(err.code, ERR_BUSY);
}

/* Its root promised what is not there; and a bad byte must not keep everything for ever.
 */
static void a_root_that_lost_something_goes(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);
    CLEANUP_FREE char *file = object_file(&p.roots[1]);
    struct store_gc_result result;

    (void)state;
    p.needs[0] = STORE_NEEDED;
    damage(s, &p.roots[0], "?");
    assert_int_equal(unlinkat(s->fd, file, 0), 0);
    result = collect(store, &request);
    assert_int_equal(result.roots_damaged, 2);
    assert_int_equal(result.roots_removed, 2);
    assert_int_equal(projects_there(store, &p), 4);
}

/* A tree that cannot be read now may be read later: nothing may go. */
static void a_tree_that_cannot_be_read_stops_it(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_gc_request request = request_for(&p);
    CLEANUP_FREE char *file = object_file(&p.roots[0]);
    struct store_gc_result result;
    struct error err = ERROR_INIT;
    struct stat st;

    (void)state;
    p.needs[1] = STORE_UNUSED;
    assert_int_equal(fstatat(s->fd, file, &st, 0), 0);
    unreadable = st.st_ino;
    assert_int_equal(store_collect(store, &request, &result, &err), -1);
    unreadable = 0;
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "store: collect: root "));
    for (size_t i = 0; i < PROJECTS; i++) {
        assert_true(store_has_root(store, &p.roots[i]));
    }
}

static void a_used_root_stays_for_a_day(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct projects p = make_projects(s, store);
    struct store_root before, after;
    struct oid nothing = {.digest = {1}};

    (void)state;
    assert_false(store_use_root(store, &nothing));
    assert_true(store_use_root(store, &p.roots[2]));
    assert_int_equal(store_read_root(store, &p.roots[2], &before, NULL), 0);
    assert_int_equal(collect_after(store, DAY_MS).roots_spared, 1);
    assert_true(store_has_root(store, &p.roots[2]));
    clock_test_set(clock_monotonic_ns(), before.utc_ms + HOUR_MS / 2);
    assert_true(store_use_root(store, &p.roots[2]));
    clock_test_clear();
    assert_int_equal(store_read_root(store, &p.roots[2], &after, NULL), 0);
    assert_int_equal(after.utc_ms, before.utc_ms); /* no write for so little */
}

static void old_files_in_tmp_and_bad_are_removed(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STORE struct store *store = open_store(s);
    struct oid oid = put(store, OBJECT_CONTENT, "hello");
    CLEANUP_FD int fd = -1;
    struct strbuf body = STRBUF_INIT;

    (void)state;
    damage(s, &oid, "?");
    assert_int_equal(store_get(store, OBJECT_CONTENT, &oid, &body, NULL), -1);
    strbuf_release(&body);
    scratch_write(s, "store/tmp/abandoned", "?");
    scratch_write(s, "store/tmp/held", "?");
    (void)collect_after(store, 0);
    assert_int_equal(count_files(s, "store/tmp"), 2);
    fd = files_lock(s->fd, "store/tmp/held", true, 0, NULL);
    clock_test_set(clock_monotonic_ns(), clock_utc_ms() + 25 * HOUR_MS);
    (void)collect_after(store, 0);
    assert_false(scratch_exists(s, "store/tmp/abandoned"));
    assert_true(scratch_exists(s, "store/tmp/held"));
    assert_int_equal(count_files(s, "store/bad"), 1);
    clock_test_clear();
    clock_test_set(clock_monotonic_ns(), clock_utc_ms() + 8 * DAY_MS);
    (void)collect_after(store, 0);
    clock_test_clear();
    assert_int_equal(count_files(s, "store/bad"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_root_reaches_goes),
        cmocka_unit_test(without_a_judge_all_that_is_old_goes),
        cmocka_unit_test(the_young_and_the_confirmed_stay),
        cmocka_unit_test(a_small_store_keeps_what_was_used_last),
        cmocka_unit_test(nothing_older_stays_than_what_went),
        cmocka_unit_test(a_full_disk_gets_room),
        cmocka_unit_test(collection_waits_for_nobody_for_long),
        cmocka_unit_test(who_collects_unasked_gives_the_lock_back_in_time),
        cmocka_unit_test(who_collects_unasked_waits_for_nobody),
        cmocka_unit_test(a_root_that_lost_something_goes),
        cmocka_unit_test(a_tree_that_cannot_be_read_stops_it),
        cmocka_unit_test(a_used_root_stays_for_a_day),
        cmocka_unit_test(old_files_in_tmp_and_bad_are_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
