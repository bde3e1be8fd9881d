#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/strvec.h"
#include "executor/journal.h"
#include "tests/unit/node.h"

static const struct journal_entry first = {.state = RUN_STARTING,
                                           .attempt = 1,
                                           .reason = "accepted",
                                           .node = "ab",
                                           .store = "cd",
                                           .boot = "12-34",
                                           .executor = "ef"};

static void append(struct scratch *s, const struct journal_entry *entries, size_t count)
{
    struct journal j;
    assert_int_equal(journal_open(&j, s->fd, NULL), 0);
    assert_int_equal(journal_append(&j, entries, count, NULL), 0);
    journal_close(&j);
}

static void what_is_written_reads_back(void **state)
{
    struct scratch *s = *state;
    const struct process_id process = {.boot = "12-34", .pid = 7, .start = 99};
    const struct run_exit exit = {.kind = RUN_EXIT_SIGNALED, .signal = 9};
    const struct run_environment environment = {.kind = "packages",
                                                .identity = "ab12",
                                                .build = "20261128T061500Z-ab12",
                                                .builder = "uv 0.5.1",
                                                .python = "3.11.7",
                                                .lock = "cd",
                                                .is_reused = true,
                                                .spent_ms = 9,
                                                .packages = 12,
                                                .unpinned = RUN_ENVIRONMENT_UNKNOWN,
                                                .size_bytes = 262000000};
    const struct run_engine engine = {
        .kind = "yarn", .application = "application_1_2", .diagnostics = "a \"b\""};
    const int64_t begun[RUN_TOOK_COUNT] = {[RUN_TOOK_CHECKOUT] = 12,
                                           [RUN_TOOK_LAUNCH] = 0,
                                           [RUN_TOOK_SCRIPT] = RUN_TOOK_UNKNOWN,
                                           [RUN_TOOK_ENDING] = RUN_TOOK_UNKNOWN};
    const int64_t over[RUN_TOOK_COUNT] = {[RUN_TOOK_CHECKOUT] = RUN_TOOK_UNKNOWN,
                                          [RUN_TOOK_LAUNCH] = RUN_TOOK_UNKNOWN,
                                          [RUN_TOOK_SCRIPT] = 3456,
                                          [RUN_TOOK_ENDING] = RUN_TOOK_UNKNOWN};
    const struct journal_entry entries[] = {
        {.state = RUN_RUNNING,
         .attempt = 1,
         .process = &process,
         .environment = &environment,
         .engine = &engine,
         .took_us = begun,
         .has_log_offset = true,
         .log_offset = 5},
        {.state = RUN_FAILED,
         .attempt = 1,
         .reason = "was killed",
         .took_us = over,
         .exit = &exit,
         .proof = "tree",
         .ended = 3,
         .survivors = 1,
         .has_outputs = true,
         .outputs_json = "{\"root\":null,\"files\":0,\"size_bytes\":0,\"warnings\":"
                         "[\"w\"]}",
         .has_logs = true,
         .driver_log_bytes = 10,
         .control_log_bytes = 20,
         .metrics_bytes = 30},
    };
    struct run_status status;
    run_status_init(&status);
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    append(s, entries, 2);
    assert_int_equal(journal_read(s->fd, &status, NULL), 0);
    assert_int_equal(status.seq, 3);
    assert_int_equal(status.state, RUN_FAILED);
    assert_string_equal(status.reason, "was killed");
    assert_string_equal(status.boot, "12-34");
    assert_int_equal(status.process.pid, 7);
    assert_int_equal(status.process.start, 99);
    assert_int_equal(status.log_offset, 5);
    assert_string_equal(status.engine.application, "application_1_2");
    assert_string_equal(status.engine.diagnostics, "a \"b\"");
    assert_string_equal(status.engine.queue, "");
    assert_string_equal(status.environment.kind, "packages");
    assert_string_equal(status.environment.identity, "ab12");
    assert_string_equal(status.environment.build, "20261128T061500Z-ab12");
    assert_string_equal(status.environment.builder, "uv 0.5.1");
    assert_string_equal(status.environment.python, "3.11.7");
    assert_string_equal(status.environment.lock, "cd");
    assert_true(status.environment.is_reused);
    assert_int_equal(status.environment.spent_ms, 9);
    assert_int_equal(status.environment.packages, 12);
    assert_int_equal(status.environment.unpinned, RUN_ENVIRONMENT_UNKNOWN);
    assert_int_equal(status.environment.size_bytes, 262000000);
    assert_int_equal(status.exit.kind, RUN_EXIT_SIGNALED);
    assert_int_equal(status.exit.signal, 9);
    assert_int_equal(status.took_us[RUN_TOOK_CHECKOUT], 12);
    assert_int_equal(status.took_us[RUN_TOOK_LAUNCH], 0);
    assert_int_equal(status.took_us[RUN_TOOK_SCRIPT], 3456);
    assert_int_equal(status.took_us[RUN_TOOK_ENDING], RUN_TOOK_UNKNOWN);
    assert_int_equal(status.driver_log_bytes, 10);
    assert_int_equal(status.metrics_bytes, 30);
    assert_true(status.has_outputs);
    assert_int_equal(status.outputs_warnings->count, 1);
    run_status_release(&status);
}

static void a_journal_is_made_once(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    assert_int_equal(journal_create(s->fd, &first, NULL), -1);
}

static void room_is_reserved_and_kept(void **state)
{
    struct scratch *s = *state;
    struct stat st;
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    assert_int_equal(fstatat(s->fd, "journal", &st, 0), 0);
    assert_true(st.st_size < JOURNAL_LINE_MAX);
    assert_true(st.st_blocks * 512 >= JOURNAL_RESERVE_BYTES);
}

/* Every cut of the last line, and garbage behind it, are as if never written. */
static void a_torn_tail_is_cut_at_every_byte(void **state)
{
    struct scratch *s = *state;
    const struct journal_entry running = {.state = RUN_RUNNING, .attempt = 1};
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    CLEANUP_FREE char *one = file_text(s->fd, "journal");
    append(s, &running, 1);
    CLEANUP_FREE char *two = file_text(s->fd, "journal");
    for (size_t cut = strlen(one); cut < strlen(two); cut++) {
        CLEANUP_FREE char *torn = xstrndup(two, cut);
        file_write(s->fd, "journal", torn);
        struct run_status status;
        run_status_init(&status);
        assert_int_equal(journal_read(s->fd, &status, NULL), 0);
        assert_int_equal(status.seq, 1);
        run_status_release(&status);
        struct journal j;
        assert_int_equal(journal_open(&j, s->fd, NULL), 0);
        assert_int_equal(j.seq, 1);
        assert_int_equal(j.state, RUN_STARTING);
        journal_close(&j);
        CLEANUP_FREE char *mended = file_text(s->fd, "journal");
        assert_string_equal(mended, one);
    }
}

static void a_last_line_that_is_no_json_is_cut_too(void **state)
{
    struct scratch *s = *state;
    struct journal j;
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    CLEANUP_FREE char *one = file_text(s->fd, "journal");
    CLEANUP_FREE char *bad = xasprintf("%s{\"seq\":2,\n", one);
    file_write(s->fd, "journal", bad);
    assert_int_equal(journal_open(&j, s->fd, NULL), 0);
    assert_int_equal(j.seq, 1);
    journal_close(&j);
    CLEANUP_FREE char *mended = file_text(s->fd, "journal");
    assert_string_equal(mended, one);
}

/* What the reader takes as never written the writer cuts off: else it would stand in the
 * middle after the next line, and the journal could not be read again. */
static void a_last_line_that_cannot_follow_is_cut_too(void **state)
{
    static const char *const lines[] = {
        "{\"seq\":2}",
        "{\"seq\":3,\"time\":\"2026-11-23T10:00:00.000Z\",\"attempt\":1,"
        "\"state\":\"Running\",\"reason\":\"\"}",
        "{\"seq\":2,\"time\":\"now\",\"attempt\":1,\"state\":\"Running\",\"reason\":"
        "\"\"}",
    };
    struct scratch *s = *state;
    const struct journal_entry running = {.state = RUN_RUNNING, .attempt = 1};
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    CLEANUP_FREE char *one = file_text(s->fd, "journal");
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP_FREE char *bad = xasprintf("%s%s\n", one, lines[i]);
        CLEANUP(run_status_release) struct run_status status;
        file_write(s->fd, "journal", bad);
        append(s, &running, 1);
        run_status_init(&status);
        assert_int_equal(journal_read(s->fd, &status, NULL), 0);
        assert_int_equal(status.seq, 2);
        assert_int_equal(status.state, RUN_RUNNING);
    }
}

static void a_journal_without_a_whole_line_is_damaged(void **state)
{
    struct scratch *s = *state;
    struct journal j;
    struct error err = ERROR_INIT;
    file_write(s->fd, "journal", "{\"seq\":1");
    assert_int_equal(journal_open(&j, s->fd, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void a_bad_line_in_the_middle_is_an_error(void **state)
{
    struct scratch *s = *state;
    struct run_status status;
    struct error err = ERROR_INIT;
    run_status_init(&status);
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    CLEANUP_FREE char *one = file_text(s->fd, "journal");
    CLEANUP_FREE char *bad = xasprintf("%snonsense\n%s", one, one);
    file_write(s->fd, "journal", bad);
    assert_int_equal(journal_read(s->fd, &status, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    run_status_release(&status);
}

static void a_reader_goes_on_where_it_was(void **state)
{
    struct scratch *s = *state;
    const struct journal_entry running = {.state = RUN_RUNNING, .attempt = 1};
    struct run_status status;
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    uint64_t offset = 0;
    run_status_init(&status);
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    assert_int_equal(journal_read_more(s->fd, &offset, &status, &lines, NULL), 0);
    assert_int_equal(lines.count, 1);
    assert_int_equal(journal_read_more(s->fd, &offset, &status, &lines, NULL), 0);
    assert_int_equal(lines.count, 1);
    append(s, &running, 1);
    assert_int_equal(journal_read_more(s->fd, &offset, &status, &lines, NULL), 0);
    assert_int_equal(lines.count, 2);
    assert_int_equal(status.state, RUN_RUNNING);
    run_status_release(&status);
}

/* The longest reason of control characters, which grow sixfold, and the longest outputs.
 */
static void a_line_never_exceeds_its_bound(void **state)
{
    struct scratch *s = *state;
    char reason[3000];
    char outputs[4096];
    memset(reason, 1, sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    memset(outputs, ' ', sizeof(outputs) - 1);
    outputs[0] = '[';
    outputs[sizeof(outputs) - 2] = ']';
    outputs[sizeof(outputs) - 1] = '\0';
    const struct run_exit exit = {.kind = RUN_EXIT_EXITED, .code = 1};
    const struct journal_entry last = {.state = RUN_FAILED,
                                       .attempt = 1,
                                       .reason = reason,
                                       .exit = &exit,
                                       .has_outputs = true,
                                       .outputs_json = outputs};
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    append(s, &last, 1);
    struct run_status status;
    run_status_init(&status);
    assert_int_equal(journal_read(s->fd, &status, NULL), 0);
    assert_int_equal(status.state, RUN_FAILED);
    assert_int_equal(status.exit.code, 1);
    assert_false(status.has_outputs);
    run_status_release(&status);
}

static void nothing_is_left_of_a_line_that_could_not_be_written(void **state)
{
    struct scratch *s = *state;
    const struct journal_entry running = {.state = RUN_RUNNING, .attempt = 1};
    struct journal j;
    assert_int_equal(journal_create(s->fd, &first, NULL), 0);
    CLEANUP_FREE char *before = file_text(s->fd, "journal");
    assert_int_equal(journal_open(&j, s->fd, NULL), 0);
    int good = j.fd;
    j.fd = openat(s->fd, "journal", O_RDONLY | O_CLOEXEC); /* writing fails */
    assert_int_equal(journal_append(&j, &running, 1, NULL), -1);
    assert_int_equal(j.seq, 1);
    CLEANUP_FREE char *after = file_text(s->fd, "journal");
    assert_string_equal(after, before);
    journal_close(&j);
    j.fd = good;
    assert_int_equal(journal_append(&j, &running, 1, NULL), 0);
    assert_int_equal(j.seq, 2);
    journal_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(what_is_written_reads_back),
        NODE_TEST(a_journal_is_made_once),
        NODE_TEST(room_is_reserved_and_kept),
        NODE_TEST(a_last_line_that_cannot_follow_is_cut_too),
        NODE_TEST(a_torn_tail_is_cut_at_every_byte),
        NODE_TEST(a_last_line_that_is_no_json_is_cut_too),
        NODE_TEST(a_journal_without_a_whole_line_is_damaged),
        NODE_TEST(a_bad_line_in_the_middle_is_an_error),
        NODE_TEST(a_reader_goes_on_where_it_was),
        NODE_TEST(a_line_never_exceeds_its_bound),
        NODE_TEST(nothing_is_left_of_a_line_that_could_not_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
