#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "controller/command.h"
#include "controller/history.h"
#include "controller/history_file.h"
#include "tests/unit/place.h"

#define STORE "0123456789abcdef0123456789abcdef"
#define NODE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define CLEANUP_HISTORY CLEANUP(history_cleanup)
#define CLEANUP_RUN CLEANUP(history_run_release)

/* No log is at home. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static char no_folder[] = "/nowhere";
static const struct home nowhere = {.state = no_folder};

static struct history *open_history(const struct place *p)
{
    struct error err = ERROR_INIT;
    struct history *h = history_open(p->home, &err);
    if (h == NULL) {
        fail_msg("%s", err.text);
    }
    return h;
}

static void fill_spec(struct runspec *spec, const char *id, int64_t created_utc_ms)
{
    runspec_init(spec);
    snprintf(spec->run, sizeof spec->run, "%s", id);
    memset(spec->controller, 'a', sizeof spec->controller - 1);
    spec->experiment = xstrdup("mnist");
    spec->submitter = xstrdup("me@here");
    spec->created_utc_ms = created_utc_ms;
    memset(spec->root.digest, 7, sizeof spec->root.digest);
    spec->files = 3;
    spec->size_bytes = 1000;
    spec->script = xstrdup("train.py");
    strvec_push(&spec->command, "--epochs");
    strvec_push(&spec->command, "\xff");
    strvec_push(&spec->outputs, "outputs");
    strvec_push(&spec->tags, "team=vision");
}

static int add(struct history *h, const char *id, int64_t created_utc_ms,
               struct error *err)
{
    CLEANUP(runspec_release) struct runspec spec;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    fill_spec(&spec, id, created_utc_ms);
    runspec_encode(&spec, &bytes);
    return history_add_run(h, &spec, bytes.data, bytes.length, "gpu1", "/home/me/p", err);
}

static void accept(struct history *h, const char *id)
{
    assert_int_equal(history_set_accepted(h, id, STORE, NODE, 1, 2000, NULL), 0);
}

static const char *const journal[] = {
    "{\"seq\":1,\"time\":\"2026-01-01T00:00:00.000Z\",\"attempt\":1,\"state\":"
    "\"Starting\",\"reason\":\"accepted\",\"node\":\"" NODE "\",\"store\":\"" STORE
    "\",\"boot\":\"b0\",\"executor\":\"" NODE "\"}",
    "{\"seq\":2,\"time\":\"2026-01-01T00:00:01.000Z\",\"attempt\":1,\"state\":"
    "\"Running\",\"reason\":\"\",\"process\":{\"boot\":\"b0\",\"pid\":7,\"start\":9},"
    "\"log_offset\":0}",
    "{\"seq\":3,\"time\":\"2026-01-01T00:00:05.000Z\",\"attempt\":1,\"state\":"
    "\"Failed\",\"reason\":\"killed\",\"exit\":{\"kind\":\"signaled\",\"signal\":"
    "\"SIGKILL\"},\"outputs\":{\"root\":\"" NODE "\",\"files\":2,\"size_bytes\":30,"
    "\"warnings\":[]},\"logs\":{\"driver.log\":4096,\"control.log\":1,\"metrics\":0}}",
};

/* Add lines first ... last - 1 of the journal. */
static int add_lines(struct history *h, const char *id, size_t first, size_t last,
                     struct error *err)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    for (size_t i = first; i < last; i++) {
        strvec_push(&lines, journal[i]);
    }
    return history_add_lines(h, id, &lines, err);
}

static void find(struct history *h, const char *name, struct history_run *out)
{
    struct error err = ERROR_INIT;
    history_run_init(out);
    if (history_find(h, name, out, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void a_run_is_remembered_byte_for_byte(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    CLEANUP(runspec_release) struct runspec spec;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    fill_spec(&spec, "aaaa", 1000);
    runspec_encode(&spec, &bytes);
    CLEANUP_RUN struct history_run run;
    find(h, "aaaa", &run);
    assert_string_equal(run.id, "aaaa");
    assert_string_equal(run.store, "");
    assert_string_equal(run.experiment, "mnist");
    assert_string_equal(run.target, "gpu1");
    assert_string_equal(run.project, "/home/me/p");
    assert_int_equal(run.spec_length, bytes.length);
    assert_memory_equal(run.spec, bytes.data, bytes.length);
    assert_int_equal(run.created_utc_ms, 1000);
    assert_int_equal(run.status.state, RUN_STARTING);
    assert_int_equal(run.lines.count, 0);
}

static void assert_tags(struct history *h, const char *id, const char *expected,
                        const char *note)
{
    CLEANUP_RUN struct history_run run;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    find(h, id, &run);
    for (size_t i = 0; i < run.tags.count; i++) {
        strbuf_printf(&text, "%s;", run.tags.items[i]);
    }
    assert_string_equal(text.data, expected);
    assert_string_equal(run.note == NULL ? "none" : run.note, note);
}

static int change_tag(struct history *h, const char *id, const char *change,
                      struct error *err)
{
    CLEANUP_STRVEC struct strvec changes = STRVEC_INIT;
    strvec_push(&changes, change);
    return history_change_tags(h, id, changes.items, changes.count, err);
}

static void tags_and_the_note_follow_a_run_to_its_store(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(change_tag(h, "aaaa", "lr=0.1=x", NULL), 0);
    assert_int_equal(history_set_note(h, "aaaa", "first", NULL), 0);
    assert_tags(h, "aaaa", "lr=0.1=x;team=vision;", "first");
    accept(h, "aaaa");
    assert_tags(h, "aaaa", "lr=0.1=x;team=vision;", "first");
    assert_int_equal(change_tag(h, "aaaa", "team-", NULL), 0);
    assert_int_equal(change_tag(h, "aaaa", "lr=", NULL), 0);
    assert_int_equal(history_set_note(h, "aaaa", "second", NULL), 0);
    assert_tags(h, "aaaa", "lr=;", "second");
    assert_int_equal(history_set_note(h, "aaaa", "", NULL), 0);
    assert_tags(h, "aaaa", "lr=;", "none");
}

/* What is known of the run's job elsewhere, "" where nothing is. */
static void assert_application(struct history *h, const char *expected)
{
    CLEANUP_RUN struct history_run run;
    find(h, "aaaa", &run);
    assert_string_equal(run.status.engine.application, expected);
    assert_int_equal(run.tags.count, 1);
}

static void where_a_job_is_counts_until_the_journal_has_the_last_word(void **state)
{
    const struct run_engine one = {.kind = "yarn", .application = "a_1"}, none = {0};
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(history_set_engine(h, "aaaa", &one, NULL), 0);
    assert_application(h, "a_1");
    assert_int_equal(history_set_engine(h, "aaaa", &none, NULL), 0);
    assert_application(h, "");
    assert_int_equal(history_set_engine(h, "aaaa", &one, NULL), 0);
    assert_int_equal(add_lines(h, "aaaa", 0, 2, NULL), 0);
    assert_application(h, "a_1");
    assert_int_equal(add_lines(h, "aaaa", 2, 3, NULL), 0);
    assert_application(h, "");
}

static void what_is_no_tag_changes_nothing(void **state)
{
    static const struct {
        const char *change;
        enum error_code code;
    } rows[] = {
        {"x", ERR_USAGE},  {"", ERR_USAGE},          {"-", ERR_USAGE},
        {"=v", ERR_USAGE}, {"none-", ERR_NOT_FOUND}, {"k=\xff", ERR_USAGE},
    };
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    CLEANUP_FREE char *value = xcalloc(1, HISTORY_TAG_VALUE_MAX + 4);
    struct error err = ERROR_INIT;
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(change_tag(h, "aaaa", rows[i].change, &err), -1);
        assert_int_equal(err.code, rows[i].code);
    }
    memset(value, 'v', HISTORY_TAG_VALUE_MAX + 3);
    memcpy(value, "k=", 2);
    assert_int_equal(change_tag(h, "aaaa", value, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    value[HISTORY_TAG_VALUE_MAX + 2] = '\0';
    assert_int_equal(change_tag(h, "aaaa", value, &err), 0);
    assert_int_equal(change_tag(h, "bbbb", "k=v", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(history_set_note(h, "bbbb", "", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int64_t rows_of(struct history *h, const char *table)
{
    CLEANUP_FREE char *text = xasprintf("SELECT count(*) FROM %s", table);
    CLEANUP(sql_query_cleanup)
    struct sql_query *query = sql_query(h->db, text, NULL, 0, NULL);
    assert_int_equal(sql_step(query, NULL), 1);
    return sql_integer(query, 0);
}

static void a_run_that_was_removed_leaves_no_row(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    struct error err = ERROR_INIT;
    const char *const ids[] = {"aaaa", "bbbb"};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_int_equal(add(h, ids[i], 1000, NULL), 0);
        accept(h, ids[i]);
        assert_int_equal(add_lines(h, ids[i], 0, 3, NULL), 0);
    }
    assert_int_equal(history_remove_run(h, "aaaa", NULL), 0);
    assert_int_equal(rows_of(h, "runs"), 1);
    assert_int_equal(rows_of(h, "states"), 3);
    assert_int_equal(rows_of(h, "tags"), 1);
    assert_tags(h, "bbbb", "team=vision;", "none");
    assert_int_equal(history_remove_run(h, "aaaa", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static char *environment_row(struct history *h, const char *id)
{
    const struct sql_value values[] = {SQL_TEXT(id)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT store || ' ' || identity || ' ' || build || ' ' ||"
                  " ifnull(lock, '-') FROM environments WHERE run = ?1",
                  values, ARRAY_SIZE(values), NULL);
    assert_non_null(query);
    return sql_step(query, NULL) == 1 ? xstrdup(sql_text(query, 0)) : NULL;
}

static void a_runs_environment_is_remembered(void **state)
{
    static const char ready[] =
        "{\"seq\":2,\"time\":\"2026-01-01T00:00:01.000Z\",\"attempt\":1,\"state\":"
        "\"Running\",\"reason\":\"\",\"environment\":{\"kind\":\"packages\","
        "\"identity\":\"ab\",\"build\":\"b1\",\"lock\":\"cd\",\"is_reused\":true}}";
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 0, 1, NULL), 0);
    assert_null(environment_row(h, "aaaa"));
    strvec_push(&lines, ready);
    assert_int_equal(history_add_lines(h, "aaaa", &lines, NULL), 0);
    CLEANUP_FREE char *row = environment_row(h, "aaaa");
    assert_string_equal(row, STORE " ab b1 cd");
    CLEANUP_RUN struct history_run run;
    find(h, "aaaa", &run);
    CLEANUP_JSON struct json *shown = command_run_to_json(&run, &nowhere);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(json_get(shown, "environment"), false, &text);
    assert_string_equal(text.data,
                        "{\"kind\":\"packages\",\"identity\":\"ab\",\"build\":\"b1\","
                        "\"python\":null,\"reused\":true,\"spent_ms\":null,"
                        "\"packages\":null}");
}

static void an_id_is_used_once(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(add(h, "aaaa", 1000, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    accept(h, "aaaa");
    assert_int_equal(add(h, "aaaa", 1000, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
}

static void the_journal_makes_the_status(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 0, 2, NULL), 0);
    CLEANUP_RUN struct history_run running;
    find(h, "aaaa", &running);
    assert_int_equal(running.status.state, RUN_RUNNING);
    assert_string_equal(running.status.node, NODE);
    /* Once more from the beginning: what is known is ignored. */
    assert_int_equal(add_lines(h, "aaaa", 0, 3, NULL), 0);
    assert_int_equal(history_set_collected(h, "aaaa", NULL), 0);
    CLEANUP_RUN struct history_run ended;
    find(h, "aaaa", &ended);
    assert_int_equal(ended.lines.count, 3);
    assert_string_equal(ended.lines.items[1], journal[1]);
    assert_int_equal(ended.status.state, RUN_FAILED);
    assert_int_equal(ended.status.exit.kind, RUN_EXIT_SIGNALED);
    assert_int_equal(ended.status.driver_log_bytes, 4096);
    assert_string_equal(ended.store, STORE);
    assert_int_equal(ended.sent_files, 1);
    assert_int_equal(ended.sent_bytes, 2000);
    assert_true(ended.collected_utc_ms > 0);
}

static void a_line_that_cannot_follow_adds_nothing(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 1, 3, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    strvec_push(&lines, journal[0]);
    strvec_push(&lines, "{\"seq\":2,");
    assert_int_equal(history_add_lines(h, "aaaa", &lines, &err), -1);
    CLEANUP_RUN struct history_run run;
    find(h, "aaaa", &run);
    assert_int_equal(run.lines.count, 0);
    assert_int_equal(history_add_lines(h, "bbbb", &lines, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(history_set_collected(h, "bbbb", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_run_that_was_never_accepted_is_failed_until_it_is(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(history_set_not_started(h, "aaaa", "no route", NULL), 0);
    CLEANUP_RUN struct history_run failed;
    find(h, "aaaa", &failed);
    assert_int_equal(failed.status.state, RUN_FAILED);
    assert_int_equal(failed.status.exit.kind, RUN_EXIT_COULD_NOT_START);
    assert_false(failed.is_given_up);
    assert_string_equal(failed.status.reason, "no route");
    assert_true(failed.status.ended_utc_ms > 0);
    assert_int_equal(run_exit_status(failed.status.state, &failed.status.exit), 125);
    accept(h, "aaaa");
    CLEANUP_RUN struct history_run open;
    find(h, "aaaa", &open);
    assert_int_equal(open.status.state, RUN_STARTING);
    assert_int_equal(open.status.exit.kind, RUN_EXIT_NONE);
}

static void a_run_tells_where_it_was_sent_before_it_was_accepted(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    CLEANUP_HISTORY struct history *h = open_history(p);
    CLEANUP_RUN struct history_run unsent, sent;
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    find(h, "aaaa", &unsent);
    assert_string_equal(unsent.node, "");
    assert_int_equal(history_set_sent(h, "aaaa", NODE, NULL), 0);
    find(h, "aaaa", &sent);
    assert_string_equal(sent.node, NODE);
    assert_string_equal(sent.store, "");
    assert_int_equal(sent.status.state, RUN_STARTING);
    assert_int_equal(history_set_sent(h, "bbbb", NODE, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_run_that_was_given_up_is_canceled_until_its_journal_comes(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 0, 2, NULL), 0);
    assert_int_equal(history_set_given_up(h, "aaaa", "node is gone", NULL), 0);
    CLEANUP_RUN struct history_run given_up;
    find(h, "aaaa", &given_up);
    assert_int_equal(given_up.status.state, RUN_CANCELED);
    assert_true(given_up.is_given_up);
    assert_int_equal(given_up.status.exit.kind, RUN_EXIT_UNKNOWN);
    assert_string_equal(given_up.status.reason, "node is gone");
    assert_int_equal(add_lines(h, "aaaa", 2, 3, NULL), 0);
    CLEANUP_RUN struct history_run ended;
    find(h, "aaaa", &ended);
    assert_int_equal(ended.status.state, RUN_FAILED);
    /* A run that ended stays as it is. */
    assert_int_equal(history_set_given_up(h, "aaaa", "again", NULL), 0);
    CLEANUP_RUN struct history_run still;
    find(h, "aaaa", &still);
    assert_string_equal(still.status.reason, "killed");
}

static void a_run_is_found_by_id_prefix_and_at(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    CLEANUP_HISTORY struct history *h = open_history(p);
    CLEANUP_RUN struct history_run run;
    history_run_init(&run);
    assert_int_equal(history_find(h, "@", &run, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(add(h, "abcd", 3000, NULL), 0);
    assert_int_equal(add(h, "abcdef", 1000, NULL), 0);
    assert_int_equal(add(h, "xyz-abcdef", 2000, NULL), 0);
    assert_int_equal(history_find(h, "@", &run, &err), -1); /* none was sent yet */
    assert_int_equal(err.code, ERR_NOT_FOUND);
    accept(h, "abcd");
    assert_int_equal(history_find(h, "@", &run, &err), 0);
    assert_string_equal(run.id, "abcd");
    history_run_release(&run);
    assert_int_equal(history_find(h, "xy", &run, &err), 0);
    assert_string_equal(run.id, "xyz-abcdef");
    history_run_release(&run);
    assert_int_equal(history_find(h, "abcd", &run, &err), 0);
    assert_string_equal(run.id, "abcd");
    history_run_release(&run);
    assert_int_equal(history_find(h, "abc", &run, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.text, "abcd abcdef"));
    assert_int_equal(history_find(h, "xyz-abcfed", &run, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "did you mean xyz-abcdef?"));
    assert_int_equal(history_find(h, "%", &run, &err), -1);
    assert_int_equal(history_find(h, "", &run, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(history_find(h, "' OR 1=1 --", &run, &err), -1);
}

static void assert_last(struct history *h, const char *expected)
{
    CLEANUP_RUN struct history_run run;
    find(h, "@", &run);
    assert_string_equal(run.id, expected);
}

/* A submission that never reached a node hid the run that the person meant. */
static void the_last_run_is_one_that_a_node_may_have_accepted(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    accept(h, "aaaa");
    assert_int_equal(add(h, "bbbb", 2000, NULL), 0);
    assert_last(h, "aaaa");
    assert_int_equal(history_set_sent(h, "bbbb", NODE, NULL), 0);
    assert_last(h, "bbbb");
    assert_int_equal(history_set_not_started(h, "bbbb", "refused", NULL), 0);
    assert_last(h, "aaaa");
    assert_int_equal(history_set_given_up(h, "aaaa", "node is gone", NULL), 0);
    assert_last(h, "aaaa");
}

static void it_is_known_when_a_node_was_last_seen(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    int64_t seen = 1, again = 0, now = clock_utc_ms();
    assert_int_equal(history_seen(h, "gpu1", STORE, &seen, NULL), 0);
    assert_int_equal(seen, 0);
    assert_int_equal(history_set_seen(h, "gpu1", STORE, NODE, NULL), 0);
    assert_int_equal(history_seen(h, "gpu1", STORE, &seen, NULL), 0);
    assert_true(seen >= now);
    assert_int_equal(history_seen(h, "gpu2", STORE, &again, NULL), 0);
    assert_int_equal(again, 0);
}

struct seen {
    char ids[256];
};

static int note(void *context, const struct history_run *run, struct error *err)
{
    struct seen *seen = context;
    size_t length = strlen(seen->ids);
    snprintf(seen->ids + length, sizeof seen->ids - length, "%s ", run->id);
    return strcmp(run->id, "stop") == 0 ? error_set(err, ERR_CANCELED, "stop") : 0;
}

static void assert_visits(struct history *h, struct history_query query,
                          const char *expected)
{
    struct seen seen = {.ids = ""};
    assert_int_equal(history_visit(h, &query, note, &seen, NULL), 0);
    assert_string_equal(seen.ids, expected);
}

static void runs_are_visited_newest_first(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(add(h, "bbbb", 3000, NULL), 0);
    assert_int_equal(add(h, "cccc", 3000, NULL), 0);
    assert_int_equal(add(h, "dddd", 2000, NULL), 0);
    assert_visits(h, (struct history_query){.limit = 0}, "cccc bbbb dddd aaaa ");
    assert_visits(h, (struct history_query){.limit = 2}, "cccc bbbb ");
    assert_visits(h, (struct history_query){.target = "gpu1", .limit = 1}, "cccc ");
    assert_visits(h, (struct history_query){.target = "gpu2"}, "");
    assert_visits(h, (struct history_query){.experiment = "mnist", .limit = 1}, "cccc ");
    assert_visits(h, (struct history_query){.experiment = "other"}, "");
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 0, 3, NULL), 0);
    assert_int_equal(history_set_not_started(h, "bbbb", "x", NULL), 0);
    assert_visits(h, (struct history_query){.only_open = true}, "cccc dddd aaaa ");
    assert_int_equal(history_set_collected(h, "aaaa", NULL), 0);
    assert_visits(h, (struct history_query){.only_open = true}, "cccc dddd ");
    uint64_t count = 0;
    assert_int_equal(history_count_runs(h, "mnist", &count, NULL), 0);
    assert_int_equal(count, 4);
    assert_int_equal(history_count_runs(h, "other", &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void a_visitor_can_stop(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    struct seen seen = {.ids = ""};
    const struct history_query query = {.limit = 0};
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(add(h, "stop", 2000, NULL), 0);
    assert_int_equal(history_visit(h, &query, note, &seen, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    assert_string_equal(seen.ids, "stop ");
}

static void a_targets_last_root_is_of_its_store(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    struct oid root, found;
    memset(root.digest, 5, sizeof root.digest);
    assert_int_equal(history_last_root(h, "gpu1", "s1", &found, NULL), 0);
    assert_true(oid_is_zero(&found));
    assert_int_equal(history_set_last_root(h, "gpu1", "s1", NODE, &root, NULL), 0);
    assert_int_equal(history_last_root(h, "gpu1", "s1", &found, NULL), 0);
    assert_true(oid_equal(&root, &found));
    assert_int_equal(history_last_root(h, "gpu1", "s2", &found, NULL), 0);
    assert_true(oid_is_zero(&found));
}

/* Two projects in turn on one target sent everything each time. */
static void a_base_is_of_the_project_where_there_is_one(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    struct oid last, of_run, found;
    memset(last.digest, 5, sizeof last.digest);
    memset(of_run.digest, 7, sizeof of_run.digest); /* as fill_spec has it */
    assert_int_equal(history_set_last_root(h, "gpu1", STORE, NODE, &last, NULL), 0);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(history_base_root(h, "gpu1", STORE, "/home/me/p", &found, NULL), 0);
    assert_true(oid_equal(&found, &last)); /* it is not accepted yet */
    accept(h, "aaaa");
    assert_int_equal(history_base_root(h, "gpu1", STORE, "/home/me/p", &found, NULL), 0);
    assert_true(oid_equal(&found, &of_run));
    assert_int_equal(history_base_root(h, "gpu1", STORE, "/home/me/q", &found, NULL), 0);
    assert_true(oid_equal(&found, &last));
    assert_int_equal(history_base_root(h, "gpu1", "other", "/home/me/p", &found, NULL),
                     0);
    assert_true(oid_is_zero(&found));
}

static void it_is_there_again_after_closing(void **state)
{
    const struct place *p = *state;
    struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    history_free(h);
    CLEANUP_HISTORY struct history *again = open_history(p);
    CLEANUP_RUN struct history_run run;
    find(again, "aaaa", &run);
    struct stat st;
    CLEANUP_FREE char *path = home_path(p->home, "history.db");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_no_database_gets_a_sentence(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    place_write(p, "home/state/history.db",
                "this is a text of some length, and certainly no database of SQLite, "
                "which begins with a head of one hundred bytes of its own");
    assert_null(history_open(p->home, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "history.db is damaged"));
    assert_non_null(strstr(err.hint, "move it away"));
}

static void a_newer_file_is_read_and_not_written(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    assert_int_equal(sql_script(h->db,
                                "ALTER TABLE runs ADD COLUMN colour TEXT;"
                                "PRAGMA user_version = 2",
                                NULL),
                     0);
    history_free(h);
    CLEANUP_HISTORY struct history *newer = open_history(p);
    CLEANUP_RUN struct history_run run;
    find(newer, "aaaa", &run);
    assert_int_equal(add(newer, "bbbb", 1000, &err), -1);
    assert_int_equal(err.code, ERR_VERSION);
    assert_int_equal(history_set_collected(newer, "aaaa", &err), -1);
    assert_int_equal(err.code, ERR_VERSION);
}

/* What a process of its own does: it opens the file, too, which none has made yet. */
static int add_twenty(const struct place *p, int process)
{
    struct history *h = history_open(p->home, NULL);
    int failures = h == NULL ? 1 : 0;
    for (int i = 0; i < 20 && h != NULL; i++) {
        char id[RUN_ID_SIZE];
        snprintf(id, sizeof id, "run%d-%d", process, i);
        failures += add(h, id, 1000 + i, NULL) != 0;
        failures += history_set_accepted(h, id, STORE, NODE, 1, 1, NULL) != 0;
        failures += add_lines(h, id, 0, 3, NULL) != 0;
    }
    history_free(h);
    return failures;
}

static void several_at_once_are_safe(void **state)
{
    enum { PROCESSES = 6 };
    const struct place *p = *state;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(add_twenty(p, i) == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    CLEANUP_HISTORY struct history *h = open_history(p);
    uint64_t count = 0;
    assert_int_equal(history_count_runs(h, NULL, &count, NULL), 0);
    assert_int_equal(count, PROCESSES * 20);
}

static void a_run_is_shown_with_the_names_that_hold_for_good(void **state)
{
    const struct place *p = *state;
    CLEANUP_HISTORY struct history *h = open_history(p);
    assert_int_equal(add(h, "aaaa", 1000, NULL), 0);
    CLEANUP_RUN struct history_run before;
    find(h, "aaaa", &before);
    CLEANUP_JSON struct json *early = command_run_to_json(&before, &nowhere);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(early, false, &text);
    assert_string_equal(
        text.data,
        "{\"id\":\"aaaa\",\"experiment\":\"mnist\",\"target\":\"gpu1\",\"node\":{\"id\":"
        "null,\"store\":null},\"status\":\"Starting\",\"attempt\":1,\"exit\":null,"
        "\"reason\":\"not accepted yet, as far as is known here\",\"states\":[],"
        "\"snapshot\":{\"root\":"
        "\"0707070707070707070707070707070707070707070707070707070707070707\",\"files\":"
        "3,\"size_bytes\":1000,\"sent_files\":null,\"sent_bytes\":null},\"command\":["
        "\"train.py\",\"--epochs\",{\"base64\":\"/"
        "w==\"}],\"git\":null,\"tags\":{\"team\":\"vision\"},\"note\":null,\"log\":{"
        "\"size_bytes\":"
        "null,\"missing_"
        "bytes\":0},\"metrics\":{},"
        "\"environment\":null,\"engine\":null,\"outputs\":null,\"created\":\"1970-01-"
        "01T00:00:01.000Z\","
        "\"started\":null,"
        "\"ended\":null}");
    accept(h, "aaaa");
    assert_int_equal(add_lines(h, "aaaa", 0, 3, NULL), 0);
    CLEANUP_RUN struct history_run after;
    find(h, "aaaa", &after);
    CLEANUP_JSON struct json *late = command_run_to_json(&after, &nowhere);
    const struct json *exit = json_get(late, "exit");
    assert_string_equal(json_string(json_get(exit, "kind")), "signaled");
    assert_string_equal(json_string(json_get(exit, "signal")), "SIGKILL");
    assert_string_equal(json_string(json_get(json_get(late, "node"), "id")), NODE);
    assert_string_equal(json_string(json_get(json_get(late, "node"), "store")), STORE);
    assert_int_equal(json_integer(json_get(json_get(late, "log"), "size_bytes")), 4096);
    assert_int_equal(json_integer(json_get(json_get(late, "outputs"), "files")), 2);
    assert_string_equal(json_string(json_get(late, "started")),
                        "2026-01-01T00:00:01.000Z");
    assert_string_equal(json_string(json_get(late, "reason")), "killed");
    const struct json *states = json_get(late, "states");
    assert_int_equal(json_count(states), 3);
    strbuf_reset(&text);
    json_write(json_at(states, 1), false, &text);
    assert_string_equal(text.data, "{\"state\":\"Running\",\"attempt\":1,\"time\":"
                                   "\"2026-01-01T00:00:01.000Z\",\"reason\":\"\"}");
    CLEANUP_JSON struct json *brief = command_run_to_json(&after, NULL);
    assert_null(json_get(brief, "states"));
    assert_string_equal(json_string(json_get(brief, "status")), "Failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(a_run_is_remembered_byte_for_byte),
        place_test(tags_and_the_note_follow_a_run_to_its_store),
        place_test(where_a_job_is_counts_until_the_journal_has_the_last_word),
        place_test(what_is_no_tag_changes_nothing),
        place_test(a_run_that_was_removed_leaves_no_row),
        place_test(a_runs_environment_is_remembered),
        place_test(an_id_is_used_once),
        place_test(the_journal_makes_the_status),
        place_test(a_line_that_cannot_follow_adds_nothing),
        place_test(a_run_that_was_never_accepted_is_failed_until_it_is),
        place_test(a_run_tells_where_it_was_sent_before_it_was_accepted),
        place_test(a_run_that_was_given_up_is_canceled_until_its_journal_comes),
        place_test(a_run_is_found_by_id_prefix_and_at),
        place_test(it_is_known_when_a_node_was_last_seen),
        place_test(the_last_run_is_one_that_a_node_may_have_accepted),
        place_test(runs_are_visited_newest_first),
        place_test(a_visitor_can_stop),
        place_test(a_targets_last_root_is_of_its_store),
        place_test(a_base_is_of_the_project_where_there_is_one),
        place_test(it_is_there_again_after_closing),
        place_test(what_is_no_database_gets_a_sentence),
        place_test(a_newer_file_is_read_and_not_written),
        place_test(several_at_once_are_safe),
        place_test(a_run_is_shown_with_the_names_that_hold_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
