#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "executor/rundir.h"
#include "executor/runview.h"
#include "tests/unit/node.h"
#include "tests/unit/runs.h"

static const struct journal_entry failed = {
    .state = RUN_FAILED, .attempt = 1, .reason = "over"};

/* Accept run-a; *out_spec is the digest of its specification. */
static void accept(struct noderoot *root, struct oid *out_spec)
{
    CLEANUP(runspec_release) struct runspec spec;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;

    runs_make_spec(&spec, "run-a");
    runspec_encode(&spec, &bytes);
    oid_of_bytes(bytes.data, bytes.length, out_spec);
    assert_int_equal(runs_accept(root, &spec, NULL), 1);
}

static void end(struct noderoot *root)
{
    CLEANUP_FD int run_fd = rundir_open(root, "run-a", NULL);
    struct journal journal;

    assert_int_equal(journal_open(&journal, run_fd, NULL), 0);
    assert_int_equal(journal_append(&journal, &failed, 1, NULL), 0);
    journal_close(&journal);
}

static void a_run_is_seen_as_far_as_it_is(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_RUNVIEW struct runview view;
    struct oid spec;

    runview_init(&view);
    accept(root, &spec);
    assert_int_equal(runview_open(&view, root, "run-a", NULL), 0);
    assert_true(view.run_fd >= 0);
    assert_int_equal(view.lines.count, 1);
    assert_int_equal(view.status.state, RUN_STARTING);
    assert_true(oid_equal(&view.spec, &spec));
    assert_false(view.is_collected);
}

static void a_removed_run_is_seen_by_its_tombstone(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_RUNVIEW struct runview view;
    struct oid spec;

    runview_init(&view);
    accept(root, &spec);
    end(root);
    assert_int_equal(rundir_remove(root, "run-a", NULL), 0);
    assert_int_equal(runview_open(&view, root, "run-a", NULL), 0);
    assert_int_equal(view.run_fd, -1);
    assert_int_equal(view.lines.count, 2);
    assert_int_equal(view.status.state, RUN_FAILED);
    assert_true(oid_equal(&view.spec, &spec));
    assert_false(view.is_collected);
}

static void a_run_that_never_was_is_not_found(void **state)
{
    static const char *const names[] = {"run-a", "", "../x", "UPPER"};
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_RUNVIEW struct runview view;
        struct error err = ERROR_INIT;

        runview_init(&view);
        assert_int_equal(runview_open(&view, root, names[i], &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
}

/* It would say that a run never was, which may be started then. */
static void a_damaged_record_is_not_the_same_as_none(void **state)
{
    static const char *const tombstones[] = {
        "",
        "{",
        "{\"spec\":\"x\",\"journal\":[]}",
        "{\"spec\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
        "{\"spec\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
        "\"journal\":[1]}",
        "{\"spec\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
        "\"journal\":[\"{}\"]}",
    };
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);

    assert_true(mkdirat(root->fd, "runs", 0700) == 0 || errno == EEXIST);
    for (size_t i = 0; i < ARRAY_SIZE(tombstones); i++) {
        CLEANUP_RUNVIEW struct runview view;
        struct error err = ERROR_INIT;

        runview_init(&view);
        file_write(root->fd, "runs/run-a.tombstone", tombstones[i]);
        assert_int_equal(runview_open(&view, root, "run-a", &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_non_null(strstr(err.text, "run-a"));
    }
}

/* That a run is safe at home is said only where it is written. */
static void a_tombstone_without_the_word_is_not_collected(void **state)
{
    static const struct {
        const char *member;
        bool is_collected;
    } rows[] = {{"", false},
                {",\"collected\":null", false},
                {",\"collected\":\"2026-11-23T10:00:00.000Z\"", true}};
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);

    assert_true(mkdirat(root->fd, "runs", 0700) == 0 || errno == EEXIST);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_RUNVIEW struct runview view;
        CLEANUP_FREE char *text = xasprintf(
            "{\"run\":\"run-a\",\"spec\":"
            "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
            "\"journal\":[]%s}",
            rows[i].member);

        runview_init(&view);
        file_write(root->fd, "runs/run-a.tombstone", text);
        assert_int_equal(runview_open(&view, root, "run-a", NULL), 0);
        assert_int_equal(view.is_collected, rows[i].is_collected);
    }
}

static void lines_are_given_in_parts(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_RUNVIEW struct runview view;
    struct oid spec;
    size_t first = 0;

    runview_init(&view);
    accept(root, &spec);
    end(root);
    assert_int_equal(runview_open(&view, root, "run-a", NULL), 0);
    for (size_t i = 1; i <= 2; i++) {
        CLEANUP_JSON struct json *lines = runview_lines(&view, &first, 1);

        assert_int_equal(json_count(lines), 1);
        assert_string_equal(json_string(json_first(lines)), view.lines.items[i - 1]);
        assert_int_equal(first, i);
    }
    CLEANUP_JSON struct json *none = runview_lines(&view, &first, SIZE_MAX);
    assert_int_equal(json_count(none), 0);
    first = 0;
    CLEANUP_JSON struct json *all = runview_lines(&view, &first, SIZE_MAX);
    assert_int_equal(json_count(all), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_run_is_seen_as_far_as_it_is),
        NODE_TEST(a_removed_run_is_seen_by_its_tombstone),
        NODE_TEST(a_run_that_never_was_is_not_found),
        NODE_TEST(a_damaged_record_is_not_the_same_as_none),
        NODE_TEST(a_tombstone_without_the_word_is_not_collected),
        NODE_TEST(lines_are_given_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
