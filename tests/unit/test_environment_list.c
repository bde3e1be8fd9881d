/* environment_list, environment_uses, environment_remove: what lies under envs/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "executor/environment.h"
#include "executor/environment_list.h"
#include "executor/environment_remove.h"
#include "executor/journal.h"
#include "tests/unit/runs.h"

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define OLD "20260101T000000Z-aaaa"
#define NEW "20260201T000000Z-bbbb"
#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)
#define CLEANUP_LIST CLEANUP_ENVIRONMENT_LIST

static void make_dir(const struct noderoot *root, const char *path)
{
    CLEANUP_FREE char *whole = files_join(root->path, path);
    assert_int_equal(files_make_dirs(whole, NULL), 0);
}

static void write_text(const struct noderoot *root, const char *path, const char *text)
{
    assert_int_equal(files_write_atomic(root->fd, path, text, strlen(text), 0600, NULL),
                     0);
}

static bool exists(const struct noderoot *root, const char *path)
{
    return faccessat(root->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Last used days ago. */
static void make_build(const struct noderoot *root, const char *identity,
                       const char *build, int64_t days)
{
    char path[256], text[1024], time[CLOCK_TEXT_SIZE];
    int64_t used_ms = clock_utc_ms() - days * DAY_MS;
    const struct timespec then[2] = {{.tv_sec = used_ms / 1000},
                                     {.tv_sec = used_ms / 1000}};
    clock_format(time, used_ms);
    snprintf(path, sizeof path, "envs/%s/%s/prefix", identity, build);
    make_dir(root, path);
    snprintf(path, sizeof path, "envs/%s/%s/used", identity, build);
    write_text(root, path, "");
    assert_int_equal(utimensat(root->fd, path, then, 0), 0);
    snprintf(path, sizeof path, "envs/%s/%s/READY", identity, build);
    snprintf(text, sizeof text,
             "{\"kind\":\"packages\",\"identity\":\"%s\",\"build\":\"%s\",\"name\":"
             "\"requirements.txt\",\"builder\":\"uv 0.5.1\",\"python\":\"3.11.7\","
             "\"packages\":12,\"size_bytes\":1000,\"created\":\"%s\"}",
             identity, build, time);
    write_text(root, path, text);
    snprintf(path, sizeof path, "envs/%s/current", identity);
    (void)unlinkat(root->fd, path, 0);
    assert_int_equal(symlinkat(build, root->fd, path), 0);
}

/* A run that has been accepted and has not ended, with this pin. */
static void make_run(struct noderoot *root, const char *id, const char *identity,
                     const char *build)
{
    char path[256], text[512];
    struct runspec spec;
    runs_make_spec(&spec, id);
    assert_int_equal(runs_accept(root, &spec, NULL), 1);
    runspec_release(&spec);
    snprintf(path, sizeof path, "runs/%s/environment", id);
    snprintf(text, sizeof text,
             "{\"kind\":\"packages\",\"identity\":\"%s\",\"build\":\"%s\"}", identity,
             build);
    write_text(root, path, text);
}

static void end_run(const struct noderoot *root, const char *id)
{
    const struct run_exit exit = {.kind = RUN_EXIT_EXITED};
    const struct journal_entry last = {
        .state = RUN_COMPLETED, .attempt = 1, .exit = &exit};
    CLEANUP_FD int fd = rundir_open(root, id, NULL);
    struct journal j;
    assert_int_equal(journal_open(&j, fd, NULL), 0);
    assert_int_equal(journal_append(&j, &last, 1, NULL), 0);
    journal_close(&j);
}

static void read_list(const struct noderoot *root, const char *prefix,
                      struct environment_list *out)
{
    struct error err = ERROR_INIT;
    if (environment_list_read(root, prefix, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void nothing_is_there_at_first(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_LIST struct environment_list list;
    read_list(root, "", &list);
    assert_int_equal(list.count, 0);
}

static void what_is_ready_is_listed_with_who_uses_it(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    make_build(root, ONE, OLD, 5);
    make_build(root, ONE, NEW, 3);
    make_build(root, TWO, OLD, 1);
    make_run(root, "run1", ONE, OLD);
    make_run(root, "run2", ONE, OLD);
    make_run(root, "run3", TWO, OLD);
    end_run(root, "run3");
    CLEANUP_LIST struct environment_list list;
    read_list(root, "", &list);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.entries[0].facts.identity, ONE);
    assert_string_equal(list.entries[0].facts.build, OLD);
    assert_false(list.entries[0].is_current);
    assert_int_equal(list.entries[0].used_by.count, 2);
    assert_string_equal(list.entries[0].used_by.items[1], "run2");
    assert_true(list.entries[1].is_current);
    assert_int_equal(list.entries[1].used_by.count, 0);
    assert_string_equal(list.entries[1].name, "requirements.txt");
    assert_int_equal((clock_utc_ms() - list.entries[1].used_utc_ms) / DAY_MS, 3);
    assert_int_equal(list.entries[2].used_by.count, 0);
    CLEANUP_LIST struct environment_list some;
    read_list(root, "22", &some);
    assert_int_equal(some.count, 1);
    CLEANUP_JSON struct json *report = environment_list_report(root, &some, false);
    const struct json *first = json_first(json_get(report, "environments"));
    assert_string_equal(json_string(json_get(first, "builder")), "uv 0.5.1");
    assert_string_equal(json_string(json_get(first, "state")), "ready");
}

static void what_is_built_or_failed_is_told_apart(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    make_dir(root, "envs/" ONE "/" OLD "/prefix");
    write_text(root, "envs/" ONE "/building",
               "{\"build\":\"" OLD "\",\"run\":\"run1\",\"time\":"
               "\"2026-01-01T00:00:00.000Z\"}");
    make_dir(root, "envs/" TWO);
    write_text(root, "envs/" TWO "/failed",
               "{\"build\":\"" OLD "\",\"time\":\"2026-01-01T00:00:00.000Z\","
               "\"message\":\"no such package\"}");
    CLEANUP_LIST struct environment_list killed;
    read_list(root, "", &killed);
    assert_int_equal(killed.count, 1); /* nobody holds the lock of the first */
    CLEANUP_FD int lock = files_lock(root->fd, "envs/" ONE "/lock", true, 0, NULL);
    assert_true(lock >= 0);
    CLEANUP_LIST struct environment_list list;
    read_list(root, "", &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.entries[0].state, ENVIRONMENT_BUILDING);
    assert_string_equal(list.entries[0].message, "run1");
    assert_int_equal(list.entries[1].state, ENVIRONMENT_FAILED);
    assert_string_equal(list.entries[1].message, "no such package");
}

static void one_is_picked_by_build_or_as_the_current_one(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    make_build(root, ONE, NEW, 5);
    make_build(root, ONE, OLD, 3); /* the current one, by its link */
    write_text(root, "envs/" ONE "/" OLD "/lock.txt", "six==1\n");
    write_text(root, "envs/" ONE "/identity.json",
               "{\"format\":1,\"definition\":{\"kind\":\"packages\",\"format\":1}}\n");
    CLEANUP_LIST struct environment_list current, other, none, several;
    read_list(root, "1", &current);
    assert_int_equal(environment_list_pick(&current, NULL, NULL), 0);
    assert_string_equal(current.entries[0].facts.build, OLD);
    CLEANUP_JSON struct json *report = environment_list_report(root, &current, true);
    const struct json *first = json_first(json_get(report, "environments"));
    assert_string_equal(json_string(json_get(first, "lock")), "six==1\n");
    assert_true(json_is_null(json_get(first, "log")));
    assert_int_equal(json_integer(json_get(json_get(first, "document"), "format")), 1);
    struct oid digest;
    char hex[OID_HEX_SIZE];
    oid_of_bytes("{\"format\":1,\"kind\":\"packages\"}", 30, &digest);
    oid_to_hex(&digest, hex);
    assert_string_equal(json_string(json_get(first, "definition_digest")), hex);
    read_list(root, "1", &other);
    assert_int_equal(environment_list_pick(&other, NEW, NULL), 0);
    assert_string_equal(other.entries[0].facts.build, NEW);
    read_list(root, "3", &none);
    assert_int_equal(environment_list_pick(&none, NULL, NULL), -1);
    make_build(root, TWO, OLD, 3);
    read_list(root, "", &several);
    assert_int_equal(environment_list_pick(&several, NULL, NULL), -1);
}

static void what_a_run_needs_is_not_removed(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    make_build(root, ONE, OLD, 5);
    make_run(root, "run1", ONE, OLD);
    assert_int_equal(environment_remove(root, ONE, NULL, false, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.text, "run1"));
    end_run(root, "run1");
    assert_int_equal(environment_remove(root, ONE, NULL, false, NULL), 0);
    assert_false(exists(root, "envs/" ONE));
    assert_int_equal(environment_remove(root, ONE, NULL, false, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_wish_counts_before_there_is_a_pin(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    struct runspec spec;
    make_build(root, ONE, OLD, 5);
    runs_make_spec(&spec, "run1");
    memcpy(spec.environment.pin_identity, ONE, sizeof ONE);
    assert_int_equal(runs_accept(root, &spec, NULL), 1);
    runspec_release(&spec);
    assert_int_equal(environment_remove(root, ONE, OLD, false, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_int_equal(environment_remove(root, ONE, OLD, true, NULL), 0);
}

/* It kept every environment, for as long as its run's folder stayed. */
static void a_pin_that_a_power_cut_took_keeps_nothing(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    make_build(root, ONE, OLD, 5);
    make_run(root, "run1", ONE, OLD);
    write_text(root, "runs/run1/environment", "");
    make_run(root, "run2", TWO, OLD);
    write_text(root, "runs/run2/environment", "junk");
    end_run(root, "run2");
    if (environment_remove(root, ONE, OLD, false, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_false(exists(root, "envs/" ONE));
}

static void what_is_being_built_is_not_removed(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    make_build(root, ONE, OLD, 5);
    CLEANUP_FD int lock = files_lock(root->fd, "envs/" ONE "/lock", true, 0, NULL);
    assert_int_equal(environment_remove(root, ONE, NULL, true, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_true(exists(root, "envs/" ONE "/" OLD "/READY"));
}

static void without_the_current_build_the_newest_other_one_is_current(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    char current[64] = "";
    make_build(root, ONE, OLD, 5);
    make_build(root, ONE, NEW, 5);
    assert_int_equal(environment_remove(root, ONE, NEW, false, NULL), 0);
    assert_false(exists(root, "envs/" ONE "/" NEW));
    assert_true(
        readlinkat(root->fd, "envs/" ONE "/current", current, sizeof current - 1) > 0);
    assert_string_equal(current, OLD);
}

/* A half one, or an empty one, says that nothing more is installed. */
static void a_record_that_cannot_be_copied_whole_is_none(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct environment_pin pin CLEANUP_PIN;
    struct runspec spec;
    struct environment e = {.root = root, .spec = &spec, .identity = ONE};
    environment_pin_init(&pin);
    runspec_init(&spec);
    make_build(root, ONE, OLD, 5);
    make_dir(root, "envs/" ONE "/" OLD "/lock.txt");
    make_dir(root, "runs/run1");
    CLEANUP_FD int run_fd = files_open_dir(root->fd, "runs/run1", NULL);
    assert_int_equal(environment_take(&e, run_fd, OLD, true, 0, &pin, NULL), 1);
    assert_true(exists(root, "runs/run1/environment"));
    assert_false(exists(root, "runs/run1/environment.lock"));
    runspec_release(&spec);
}

/* Their names say the second; the rest of them is chance. */
static void of_builds_of_one_second_the_last_one_becomes_current(void **state)
{
    static const char first[] = "20260101T000000Z-ffff",
                      second[] = "20260101T000000Z-0000";
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    const struct timespec before[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[256], current[64] = "";
    make_build(root, ONE, second, 5);
    make_build(root, ONE, first, 5);
    make_build(root, ONE, NEW, 5);
    snprintf(path, sizeof path, "envs/%s/%s/READY", ONE, first);
    assert_int_equal(utimensat(root->fd, path, before, 0), 0);
    assert_int_equal(environment_remove(root, ONE, NEW, false, NULL), 0);
    assert_true(
        readlinkat(root->fd, "envs/" ONE "/current", current, sizeof current - 1) > 0);
    assert_string_equal(current, second);
}

static void a_run_that_cannot_be_read_keeps_everything(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    struct environment_collection c = {.keep_ms = 0};
    struct sweep sweep = {.is_dry = false};
    make_build(root, ONE, OLD, 5);
    make_run(root, "run1", TWO, OLD);
    write_text(root, "runs/run1/environment", "{");
    assert_int_equal(environment_remove(root, ONE, NULL, false, &err), -1);
    environment_collect(root, &c, &sweep);
    assert_int_equal(c.environments, 0);
    assert_int_equal(c.kept, 1);
    assert_int_equal(sweep.warnings.count, 1);
    sweep_release(&sweep);
}

static void collect(const struct noderoot *root, bool is_dry, int64_t keep_days,
                    struct environment_collection *c)
{
    struct sweep sweep = {.is_dry = is_dry};
    *c = (struct environment_collection){.keep_ms = keep_days * DAY_MS};
    environment_collect(root, c, &sweep);
    assert_int_equal(sweep.warnings.count, 0);
    sweep_release(&sweep);
}

/* It was neither listed nor collected. */
static void a_build_whose_ready_cannot_be_read_is_told_and_collected(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct environment_collection c;
    CLEANUP_LIST struct environment_list list;
    make_build(root, ONE, OLD, 40);
    write_text(root, "envs/" ONE "/" OLD "/READY", "{\"kind\":");
    make_build(root, ONE, NEW, 5);
    make_run(root, "run1", ONE, OLD);
    read_list(root, "", &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.entries[0].state, ENVIRONMENT_BROKEN);
    assert_string_equal(list.entries[0].facts.build, OLD);
    assert_non_null(strstr(list.entries[0].message, "READY cannot be read"));
    collect(root, false, 0, &c);
    assert_true(exists(root, "envs/" ONE "/" OLD "/READY")); /* a run has it */
    end_run(root, "run1");
    make_build(root, ONE, NEW, 5);
    collect(root, false, 0, &c);
    assert_int_equal(c.leftovers, 1);
    assert_false(exists(root, "envs/" ONE));
}

static void what_was_not_used_for_long_is_collected(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct environment_collection c;
    make_build(root, ONE, OLD, 40);
    make_build(root, ONE, NEW, 40);
    make_build(root, TWO, OLD, 5);
    make_build(root, TWO, NEW, 50);
    make_run(root, "run1", TWO, NEW);
    make_dir(root, "envs/cache/wheels");
    collect(root, true, 30, &c);
    assert_int_equal(c.environments, 2);
    assert_true(exists(root, "envs/" ONE "/" OLD "/READY"));
    collect(root, false, 30, &c);
    assert_int_equal(c.environments, 2);
    assert_int_equal(c.kept, 2);
    assert_int_equal(c.caches, 0);
    assert_false(exists(root, "envs/" ONE));
    assert_true(exists(root, "envs/" TWO "/" NEW "/READY"));
    assert_true(exists(root, "envs/cache/wheels"));
    end_run(root, "run1");
    collect(root, false, 2, &c);
    assert_int_equal(c.environments, 2);
    assert_int_equal(c.caches, 1);
    assert_false(exists(root, "envs/" TWO));
    assert_false(exists(root, "envs/cache"));
}

static void the_cache_stays_while_somebody_builds(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct environment_collection c;
    make_dir(root, "envs/cache");
    make_dir(root, "envs/slots");
    CLEANUP_FD int slot = files_lock(root->fd, "envs/slots/1", true, 0, NULL);
    assert_true(slot >= 0);
    collect(root, false, 0, &c);
    assert_int_equal(c.caches, 0);
    assert_true(exists(root, "envs/cache"));
}

static void what_interrupted_builds_left_is_collected(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct environment_collection c;
    make_build(root, ONE, OLD, 0);
    make_dir(root, "envs/" ONE "/" NEW "/prefix/lib");
    make_dir(root, "envs/" TWO "/" NEW "/prefix/lib");
    make_dir(root, "envs/.gone-x/prefix");
    CLEANUP_FD int lock = files_lock(root->fd, "envs/" TWO "/lock", true, 0, NULL);
    collect(root, false, 30, &c);
    assert_int_equal(c.leftovers, 2);
    assert_false(exists(root, "envs/" ONE "/" NEW));
    assert_false(exists(root, "envs/.gone-x"));
    assert_true(exists(root, "envs/" ONE "/" OLD "/READY"));
    assert_true(exists(root, "envs/" TWO "/" NEW));
    fdio_close(&lock);
    collect(root, false, 30, &c);
    assert_int_equal(c.leftovers, 1);
    assert_false(exists(root, "envs/" TWO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(nothing_is_there_at_first),
        NODE_TEST(what_is_ready_is_listed_with_who_uses_it),
        NODE_TEST(what_is_built_or_failed_is_told_apart),
        NODE_TEST(one_is_picked_by_build_or_as_the_current_one),
        NODE_TEST(what_a_run_needs_is_not_removed),
        NODE_TEST(a_wish_counts_before_there_is_a_pin),
        NODE_TEST(a_pin_that_a_power_cut_took_keeps_nothing),
        NODE_TEST(what_is_being_built_is_not_removed),
        NODE_TEST(without_the_current_build_the_newest_other_one_is_current),
        NODE_TEST(a_record_that_cannot_be_copied_whole_is_none),
        NODE_TEST(of_builds_of_one_second_the_last_one_becomes_current),
        NODE_TEST(a_run_that_cannot_be_read_keeps_everything),
        NODE_TEST(a_build_whose_ready_cannot_be_read_is_told_and_collected),
        NODE_TEST(what_was_not_used_for_long_is_collected),
        NODE_TEST(the_cache_stays_while_somebody_builds),
        NODE_TEST(what_interrupted_builds_left_is_collected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
