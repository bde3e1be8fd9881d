#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "executor/attend_log.h"
#include "tests/unit/scratch.h"

/* A NodeManager that has a log, of which so many bytes were written so far. */
struct keeper {
    struct http http; /* first */
    const char *log;
    size_t length;
    bool is_gone;
};

static int keeper_perform(struct http *http, const struct http_request *request,
                          struct http_response *out, struct error *err)
{
    struct keeper *k = (struct keeper *)http;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    size_t wanted = (size_t)-strtoll(strstr(request->url, "?size=") + 6, NULL, 10);
    size_t length = wanted < k->length ? wanted : k->length;
    out->status = k->is_gone ? 404 : 200;
    strbuf_printf(&body,
                  "Container: c on n\nLogType:stdout\nLogLength:%zu\nLogContents:\n",
                  k->length);
    assert_int_equal(strbuf_add(&body, k->log + k->length - length, length, err), 0);
    strbuf_puts(&body, "End of LogType:stdout\n");
    assert_int_equal(fdio_write_full(request->sink_fd, body.data, body.length), 0);
    return 0;
}

static void keeper_free(struct http *http)
{
    (void)http;
}

/* An attendant's log of that keeper's, which may be closed and opened again as after a
 * kill. */
struct following {
    struct scratch *scratch;
    struct keeper keeper;
    struct yarn yarn;
    struct enginelog engine;
    struct attend_log log;
};

static const struct yarn_container first = {
    .node = "http://n:8042", .id = "container_1_2_01_000001", .attempt = 1};
static const struct yarn_container second = {
    .node = "http://n:8042", .id = "container_1_2_02_000001", .attempt = 2};

static void open_again(struct following *f)
{
    assert_int_equal(enginelog_open(&f->engine, f->scratch->fd, "yarn", 1, NULL), 0);
    if (f->engine.token[0] == '\0') {
        run_engine_set(f->engine.token, sizeof(f->engine.token), "t0k3n");
        assert_int_equal(enginelog_append(&f->engine, ENGINE_SUBMITTING, "", NULL), 0);
    }
    assert_int_equal(attend_log_open(&f->log, f->scratch->fd, &f->engine, &f->yarn, NULL),
                     0);
}

static void close_all(struct following *f)
{
    attend_log_close(&f->log);
    enginelog_close(&f->engine);
}

static void begin(struct following *f, const char *log)
{
    memset(f, 0, sizeof(*f));
    f->scratch = scratch_new();
    f->keeper = (struct keeper){
        .http = {.perform = keeper_perform, .free = keeper_free, .stop_fd = -1},
        .log = log};
    f->yarn = (struct yarn){.http = &f->keeper.http, .timeout_ms = 1000};
    open_again(f);
}

static void end(struct following *f)
{
    close_all(f);
    scratch_free(f->scratch);
}

static bool look(struct following *f, bool is_final)
{
    bool has_grown;
    struct error err = ERROR_INIT;
    if (attend_log_look(&f->log, YARN_KEEPER_NODE, is_final, &has_grown, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return has_grown;
}

#define SCRIPT "one\nerrand-driver other {}\n\ntwo, and no newline"
#define WORD "\nerrand-driver t0k3n {\"kind\":\"exited\",\"code\":7}\n"

/* Whatever the moment at which it is looked at, and with a kill at each: the same. */
static void the_log_is_the_scripts_output_wherever_it_is_cut(void **state)
{
    static const char log[] = SCRIPT WORD;
    (void)state;
    for (size_t cut = 0; cut < sizeof(log); cut++) {
        for (int is_killed = 0; is_killed < 2; is_killed++) {
            struct following f;
            begin(&f, log);
            assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
            f.keeper.length = cut;
            look(&f, false);
            if (is_killed) {
                close_all(&f);
                open_again(&f);
                assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
            }
            f.keeper.length = sizeof(log) - 1;
            look(&f, false);
            assert_file(f.scratch, "driver.log", SCRIPT);
            assert_int_equal(f.log.word.exit.kind, RUN_EXIT_EXITED);
            assert_int_equal(f.log.word.exit.code, 7);
            end(&f);
        }
    }
}

/* A newline may be the word's first byte only while more may be under way. */
static void what_may_be_the_word_is_held_back_for_one_look(void **state)
{
    struct following f;
    (void)state;
    begin(&f, "line\nerrand-driver t0k3n of mine\n");
    f.keeper.length = 5;
    assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
    look(&f, false);
    assert_file(f.scratch, "driver.log", "line");
    assert_true(f.log.is_holding);
    look(&f, false);
    assert_file(f.scratch, "driver.log", "line\n");
    assert_false(f.log.is_holding);
    end(&f);
}

static void at_the_end_nothing_is_held_back(void **state)
{
    struct following f;
    (void)state;
    begin(&f, "line\nerrand-dri");
    f.keeper.length = 15;
    assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
    look(&f, true);
    assert_file(f.scratch, "driver.log", "line\nerrand-dri");
    assert_int_equal(f.log.word.exit.kind, RUN_EXIT_NONE);
    end(&f);
}

#define MARKER                                                                           \
    "errand: YARN started the driver anew (its attempt 2): what follows is from the "    \
    "script's beginning\n"

/* The second driver's output follows the first's behind a line of ours, wherever an
 * attendant was killed in it. */
static void a_second_driver_follows_behind_a_marker(void **state)
{
    static const char whole[] = "from one\n" MARKER "from two";
    (void)state;
    for (size_t killed_at = 9; killed_at <= sizeof(whole) - 1; killed_at++) {
        struct following f;
        begin(&f, "from one\n");
        f.keeper.length = 9;
        assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
        look(&f, true);
        f.keeper.log = "from two";
        f.keeper.length = 8;
        assert_int_equal(attend_log_begin(&f.log, &second, NULL), 0);
        look(&f, true);
        close_all(&f);
        assert_file(f.scratch, "driver.log", whole);
        scratch_write_bytes(f.scratch, "driver.log", whole, killed_at, 0600);
        open_again(&f);
        assert_int_equal(attend_log_begin(&f.log, &second, NULL), 0);
        look(&f, true);
        assert_file(f.scratch, "driver.log", whole);
        end(&f);
    }
}

static void another_attempt_of_the_run_appends_its_own(void **state)
{
    struct following f;
    (void)state;
    begin(&f, "second");
    close_all(&f);
    scratch_write(f.scratch, "driver.log", "first attempt of the run\n");
    open_again(&f);
    f.keeper.length = 6;
    assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
    look(&f, true);
    assert_file(f.scratch, "driver.log", "first attempt of the run\nsecond");
    assert_int_equal(f.engine.segment.at, 25);
    end(&f);
}

static void a_log_that_is_gone_changes_nothing(void **state)
{
    struct following f;
    struct error err = ERROR_INIT;
    bool has_grown;
    (void)state;
    begin(&f, "line\n");
    f.keeper.is_gone = true;
    assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
    assert_int_equal(attend_log_look(&f.log, YARN_KEEPER_NODE, false, &has_grown, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_file(f.scratch, "driver.log", "");
    end(&f);
}

static void a_log_from_elsewhere_goes_on_where_we_are(void **state)
{
    static const char brought[] = "frame" SCRIPT WORD "End";
    struct following f;
    struct error err = ERROR_INIT;
    (void)state;
    begin(&f, SCRIPT);
    f.keeper.length = 10;
    assert_int_equal(attend_log_begin(&f.log, &first, NULL), 0);
    look(&f, false);
    scratch_write(f.scratch, "brought", brought);
    CLEANUP_FD int fd = openat(f.scratch->fd, "brought", O_RDONLY | O_CLOEXEC);
    assert_int_equal(attend_log_take(&f.log, fd, 5, strlen(SCRIPT WORD), &err), 0);
    assert_file(f.scratch, "driver.log", SCRIPT);
    assert_int_equal(f.log.word.exit.code, 7);
    assert_int_equal(attend_log_take(&f.log, fd, 5, 3, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    end(&f);
}

static void the_word_is_what_the_wrapper_writes(void **state)
{
    static const struct {
        const char *json;
        enum run_exit_kind kind;
        int code, signal;
    } rows[] = {
        {"{\"kind\":\"exited\",\"code\":0}", RUN_EXIT_EXITED, 0, 0},
        {"{\"kind\":\"signaled\",\"signal\":\"SIGKILL\",\"more\":{\"a\":1}}",
         RUN_EXIT_SIGNALED, 0, 9},
        {"{\"kind\":\"exited\"}", RUN_EXIT_NONE, 0, 0},
        {"{\"kind\":\"danced\"}", RUN_EXIT_NONE, 0, 0},
        {"", RUN_EXIT_NONE, 0, 0},
        {"[]", RUN_EXIT_NONE, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct attend_word word = {.exit.kind = RUN_EXIT_NONE};
        int result = attend_word_parse(rows[i].json, strlen(rows[i].json), &word, NULL);
        assert_int_equal(result, rows[i].kind == RUN_EXIT_NONE ? -1 : 0);
        assert_int_equal(word.exit.kind, rows[i].kind);
        assert_int_equal(word.exit.code, rows[i].code);
        assert_int_equal(word.exit.signal, rows[i].signal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_is_the_scripts_output_wherever_it_is_cut),
        cmocka_unit_test(what_may_be_the_word_is_held_back_for_one_look),
        cmocka_unit_test(at_the_end_nothing_is_held_back),
        cmocka_unit_test(a_second_driver_follows_behind_a_marker),
        cmocka_unit_test(another_attempt_of_the_run_appends_its_own),
        cmocka_unit_test(a_log_that_is_gone_changes_nothing),
        cmocka_unit_test(a_log_from_elsewhere_goes_on_where_we_are),
        cmocka_unit_test(the_word_is_what_the_wrapper_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
