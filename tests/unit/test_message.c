#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/message_shapes.h"
#include "common/runstate.h"
#include "peer_pair.h"

/* --- the tables ----------------------------------------------------------------------
 */

static void every_row_is_found_by_its_number(void **state)
{
    size_t count = 0;

    (void)state;
    for (const struct message_row *row; (row = message_row_at(count)) != NULL; count++) {
        assert_ptr_equal(message_row((uint8_t)row->type), row);
        assert_int_equal(strspn(row->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
                         strlen(row->name));
    }
    assert_int_equal(count, 28);
    for (unsigned type = 0; type < 256; type++) {
        const struct message_row *row = message_row((uint8_t)type);

        assert_true(row == NULL || row->type == type);
        count -= row != NULL;
    }
    assert_int_equal(count, 0);
}

static void every_json_body_has_a_shape_and_no_other_has(void **state)
{
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        assert_int_equal(message_shape(row->type) != NULL, row->body == BODY_JSON);
        assert_int_equal(pair_body(row->type) != NULL, row->body == BODY_JSON);
    }
}

static void rows_make_sense(void **state)
{
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        assert_int_not_equal(row->streams, 0);
        assert_true(row->sender >= SENDER_CONTROLLER && row->sender <= SENDER_BOTH);
        assert_true(row->max_bytes <= FRAME_CONTROL_MAX);
        assert_int_equal(row->max_bytes == 0, row->body == BODY_NOTHING);
        assert_true((row->streams & ~((1u << STREAM_KIND_COUNT) - 1)) == 0);
        if (row->opens_stream) {
            assert_int_equal(row->sender, SENDER_CONTROLLER);
            assert_int_equal(row->streams, 1u << row->opens);
            assert_int_not_equal(row->opens, STREAM_CONNECTION);
        }
    }
}

static void every_request_that_ends_with_end_has_a_shape_for_it(void **state)
{
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        bool ends = row->opens_stream && row->opens != STREAM_SUBMIT;

        assert_int_equal(message_answer_shape(row->type, MSG_END) != NULL, ends);
    }
}

static void a_pack_fits_into_the_first_credit(void **state)
{
    (void)state;
    assert_true(stream_credit_to_executor(STREAM_SUBMIT) >=
                PACK_WIRE_MAX + FRAME_DATA_MAX);
    assert_true(stream_credit_to_controller(STREAM_FETCH) >=
                PACK_WIRE_MAX + FRAME_DATA_MAX);
    assert_int_equal(stream_credit_to_executor(STREAM_FOLLOW), 0);
    assert_int_equal(stream_credit_to_controller(STREAM_ASK), 0);
}

/* --- validators ----------------------------------------------------------------------
 */

static int validate(enum message_type type, const char *body, size_t length,
                    struct error *err)
{
    CLEANUP_JSON struct json *j = NULL;
    int result = message_validate(message_row((uint8_t)type), body, length, &j, err);

    assert_true(result == 0 || j == NULL);
    return result;
}

static int validate_text(enum message_type type, const char *body, struct error *err)
{
    return validate(type, body, strlen(body), err);
}

static void usual_bodies_pass(void **state)
{
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        struct error err = ERROR_INIT;

        if (row->body == BODY_JSON) {
            assert_int_equal(validate_text(row->type, pair_body(row->type), &err), 0);
        }
    }
}

/* The document without its member i. */
static struct json *without(const struct json *object, size_t i)
{
    struct json *copy = json_new_object();
    size_t at = 0;

    for (const struct json *item = json_first(object); item != NULL;
         item = json_next(item), at++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

        json_write(item, false, &text);
        if (at != i) {
            json_add(copy, json_key(item), json_parse(text.data, text.length, NULL));
        }
    }
    return copy;
}

static void every_member_must_be_there(void **state)
{
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        CLEANUP_JSON struct json *body = NULL;

        if (row->body != BODY_JSON || row->type == MSG_REPORT) {
            continue;
        }
        body = json_parse(pair_body(row->type), strlen(pair_body(row->type)), NULL);
        for (size_t member = 0; member < json_count(body); member++) {
            CLEANUP_JSON struct json *less = without(body, member);
            CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
            struct error err = ERROR_INIT;

            json_write(less, false, &text);
            assert_int_equal(validate_text(row->type, text.data, &err), -1);
            assert_int_equal(err.code, ERR_PROTOCOL);
            assert_memory_equal(err.text, row->name, strlen(row->name));
            assert_true(row->type == MSG_SECRETS ||
                        strstr(err.text, "is missing") != NULL);
        }
    }
}

static void every_member_must_be_of_its_type(void **state)
{
    static const char *const wrong[] = {"-3.5", "{\"\":[]}", "[{}]"};
    const struct message_row *row;

    (void)state;
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        CLEANUP_JSON struct json *body = NULL;

        if (row->body != BODY_JSON || row->type == MSG_REPORT) {
            continue;
        }
        body = json_parse(pair_body(row->type), strlen(pair_body(row->type)), NULL);
        for (size_t at = 0; at < json_count(body) * ARRAY_SIZE(wrong); at++) {
            size_t member = at / ARRAY_SIZE(wrong);
            CLEANUP_JSON struct json *other = without(body, member);
            const char *text = wrong[at % ARRAY_SIZE(wrong)];
            CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
            struct error err = ERROR_INIT;

            json_add(other, json_key(json_at(body, member)),
                     json_parse(text, strlen(text), NULL));
            json_write(other, false, &out);
            if (validate_text(row->type, out.data, &err) == 0) {
                print_error("%s passes: %s\n", row->name, out.data);
            }
            assert_int_equal(err.code, ERR_PROTOCOL);
        }
    }
}

#define RUN "\"run\":\"" PAIR_RUN "\""
#define ROOT "\"root\":\"" PAIR_DIGEST "\""
#define LOG "\"file\":\"driver.log\",\"generation\":0,\"offset\":0,\"tail\":null"

static void bodies_with_one_thing_wrong_are_refused(void **state)
{
    static const struct {
        enum message_type type;
        const char *body;
    } rows[] = {
        {MSG_CHECK, ""},
        {MSG_CHECK, "{"},
        {MSG_CHECK, "[]"},
        {MSG_CHECK, "{\"deep\":true} "
                    "{}"},
        {MSG_CHECK, "{\"deep\":true,\"deep\":true}"},
        {MSG_CHECK, "{\"Deep\":true}"},
        {MSG_SECRETS, "{\"secrets\":{\"1A\":\"x\"}}"},
        {MSG_SECRETS, "{\"secrets\":{\"\":\"x\"}}"},
        {MSG_SECRETS, "{\"secrets\":{\"A-B\":\"x\"}}"},
        {MSG_SECRETS, "{\"secrets\":{\"A\":{\"base64\":\"AA==\"}}}"},
        {MSG_SUBMIT, "{\"spec\":\"\"," ROOT ",\"base\":null}"},
        {MSG_SUBMIT, "{\"spec\":\"{}\"," ROOT ",\"base\":\"0\"}"},
        {MSG_NEED, "{\"objects\":0}"},
        {MSG_NEED, "{\"objects\":16777217}"},
        {MSG_ACCEPTED, "{" RUN ",\"is_new\":true,\"journal\":[1]}"},
        {MSG_ACCEPTED, "{" RUN ",\"is_new\":true,\"journal\":[],"
                       "\"took\":{\"accept_us\":-1}}"},
        {MSG_ACCEPTED, "{\"run\":\"../x\",\"is_new\":true,\"journal\":[]}"},
        {MSG_FOLLOW, "{" RUN ",\"journal_seq\":-1,\"files\":[],\"until\":\"end\"}"},
        {MSG_FOLLOW, "{" RUN ",\"journal_seq\":0,\"files\":[],\"until\":\"later\"}"},
        {MSG_FOLLOW,
         "{" RUN ",\"journal_seq\":0,\"files\":[{" LOG "},{" LOG "}],\"until\":\"end\"}"},
        {MSG_FOLLOW, "{" RUN ",\"journal_seq\":0,\"files\":[{\"file\":\"spec.json\","
                     "\"generation\":0,\"offset\":0,\"tail\":null}],\"until\":\"end\"}"},
        {MSG_AT, "{\"file\":\"driver.log\",\"generation\":0,\"offset\":-1,\"gap\":0}"},
        {MSG_AT, "{\"file\":\"../x\",\"generation\":0,\"offset\":0,\"gap\":0}"},
        {MSG_OFFER, "{\"root\":7,\"files\":0,\"size_bytes\":0,\"warnings\":[]}"},
        {MSG_COLLECTED, "{" RUN ",\"root\":null,\"sizes\":{\"driver.log\":-1}}"},
        {MSG_STATUS, "{\"runs\":[\"\"]}"},
        {MSG_CANCEL, "{" RUN ",\"reason\":\"\",\"by\":\"\",\"grace_ms\":99999999999}"},
        {MSG_GC, "{\"is_dry\":true,\"keep_days\":-1,\"max_store_bytes\":null}"},
        {MSG_BRING, "{\"root\":null,\"base\":null}"},
        {MSG_ASSESS,
         "{\"environment\":{\"definition\":{}},\"interpreter\":null,\"brings\":[1]}"},
        {MSG_ENVIRONMENTS, "{\"action\":\"build\",\"identity\":null,\"build\":null,"
                           "\"is_forced\":false}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        if (validate_text(rows[i].type, rows[i].body, &err) == 0) {
            print_error("passes: %s\n", rows[i].body);
        }
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
}

static void what_may_be_null_may(void **state)
{
    (void)state;
    assert_int_equal(
        validate_text(MSG_SUBMIT,
                      "{\"spec\":\"{}\"," ROOT ",\"base\":\"" PAIR_DIGEST "\"}", NULL),
        0);
    assert_int_equal(validate_text(MSG_ERROR,
                                   "{\"code\":\"io\",\"message\":\"\",\"hint\":null}",
                                   NULL),
                     0);
    assert_int_equal(validate_text(MSG_OFFER,
                                   "{\"root\":null,\"files\":0,\"size_bytes\":0,"
                                   "\"warnings\":[\"w\"]}",
                                   NULL),
                     0);
}

static void keys_of_a_later_version_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(
        validate_text(MSG_CHECK, "{\"deep\":false,\"how\":{\"a\":[1,2]}}", NULL), 0);
}

static void bodies_over_their_rows_limit_are_refused(void **state)
{
    CLEANUP_FREE char *text = xmalloc(FRAME_CONTROL_MAX + 2);
    const struct message_row *row;

    (void)state;
    memset(text, ' ', FRAME_CONTROL_MAX + 2);
    for (size_t i = 0; (row = message_row_at(i)) != NULL; i++) {
        struct error err = ERROR_INIT;

        assert_int_equal(validate(row->type, text, row->max_bytes + 1, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
}

static void a_text_in_a_body_is_bounded(void **state)
{
    CLEANUP_JSON struct json *body = json_new_object();
    CLEANUP_FREE char *text = xcalloc(1, 5000);
    struct error err = ERROR_INIT;

    (void)state;
    memset(text, 'x', 4999);
    json_add_string(body, "line", text);
    assert_int_equal(message_check(MSG_STATE, body, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void raw_bodies_have_their_lengths(void **state)
{
    static const struct {
        enum message_type type;
        size_t length;
        int result;
    } rows[] = {
        {MSG_PING, 0, 0},     {MSG_PING, 64, 0},     {MSG_PING, 65, -1},
        {MSG_CREDIT, 4, 0},   {MSG_CREDIT, 3, -1},   {MSG_CREDIT, 0, -1},
        {MSG_DATA, 1, 0},     {MSG_DATA, 0, -1},     {MSG_DATA, FRAME_DATA_MAX, 0},
        {MSG_PUSH_END, 0, 0}, {MSG_PUSH_END, 1, -1}, {MSG_RESET, 1, -1},
    };
    CLEANUP_FREE char *zeros = xcalloc(1, FRAME_DATA_MAX);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(validate(rows[i].type, zeros, rows[i].length, NULL),
                         rows[i].result);
    }
}

static void a_secret_is_never_part_of_the_sentence(void **state)
{
    static const char *const bodies[] = {
        "{\"secrets\":{\"A\":\"hunter2\",\"A\":\"hunter2\"}}",
        "{\"secrets\":{\"A-\":\"hunter2\"}}",
        "{\"secrets\":{\"A\":{\"hunter2\":1}}}",
        "{\"secrets\":{\"A\":[\"hunter2\"]}}",
        "{\"secrets\":{\"A\":{\"base64\":\"hunter2\"}}}",
        "{\"secrets\":\"hunter2\"}",
        "{\"secrets\":{\"A\":\"hunter2\"",
        "{\"secrets\":{\"A\":\"hunter2\xff\"}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct error err = ERROR_INIT;

        assert_int_equal(validate_text(MSG_SECRETS, bodies[i], &err), -1);
        assert_null(strstr(err.text, "hunter2"));
    }
}

/* --- answers -------------------------------------------------------------------------
 */

static int validate_answer(enum message_type request, enum message_type answer,
                           const char *body)
{
    CLEANUP_JSON struct json *j = json_parse(body, strlen(body), NULL);
    struct error err = ERROR_INIT;
    int result = message_validate_answer(message_row((uint8_t)request),
                                         message_row((uint8_t)answer), j, &err);

    assert_int_equal(err.code, result < 0 ? ERR_PROTOCOL : ERR_NONE);
    return result;
}

#define KNOWN                                                                            \
    RUN ",\"known\":true,\"journal\":[],\"sizes\":{},\"spec\":\"" PAIR_DIGEST            \
        "\",\"collected\":false"

static void answers_are_judged_by_their_request(void **state)
{
    static const struct {
        enum message_type request;
        enum message_type answer;
        const char *body;
        int result;
    } rows[] = {
        {MSG_FOLLOW, MSG_END, "{\"state\":\"Failed\",\"sizes\":{\"metrics\":0}}", 0},
        {MSG_FOLLOW, MSG_END, "{\"state\":\"Failed\"}", -1},
        {MSG_FOLLOW, MSG_END, "{\"state\":\"failed\",\"sizes\":{}}", -1},
        {MSG_FOLLOW, MSG_REPORT, "{}", -1},
        {MSG_FETCH, MSG_END, "{}", 0},
        {MSG_CANCEL, MSG_END, "{\"state\":\"Running\"}", 0},
        {MSG_CANCEL, MSG_END, "{}", -1},
        {MSG_CANCEL, MSG_REPORT, "{}", -1},
        {MSG_COLLECTED, MSG_END, "{}", 0},
        {MSG_COLLECTED, MSG_REPORT, "{}", -1},
        {MSG_STATUS, MSG_END, "{}", 0},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":[]}", 0},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":[{" RUN ",\"known\":false}]}", 0},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":[{" RUN ",\"known\":true}]}", -1},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":[{" KNOWN "}]}", 0},
        {MSG_STATUS, MSG_REPORT,
         "{\"runs\":[{" RUN ",\"known\":true,\"journal\":[],\"error\":{\"code\":"
         "\"corrupt\",\"message\":\"m\",\"hint\":\"\"}}]}",
         0},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":[{" RUN ",\"known\":true,\"error\":1}]}", -1},
        {MSG_STATUS, MSG_REPORT, "{\"runs\":1}", -1},
        {MSG_CHECK, MSG_REPORT, "{\"node\":{},\"checks\":[]}", 0},
        {MSG_CHECK, MSG_REPORT,
         "{\"node\":{},\"checks\":[{\"step\":\"root\",\"ok\":true,\"detail\":\"\","
         "\"hint\":null}]}",
         0},
        {MSG_CHECK, MSG_REPORT, "{\"node\":{},\"checks\":[{\"step\":\"root\"}]}", -1},
        {MSG_CHECK, MSG_END, "{}", 0},
        {MSG_GC, MSG_REPORT, "{\"runs\":0,\"objects\":1,\"bytes\":2}", 0},
        {MSG_GC, MSG_REPORT, "{\"runs\":[],\"objects\":1,\"bytes\":2}", -1},
        {MSG_GC, MSG_END, "{}", 0},
        {MSG_ENVIRONMENTS, MSG_REPORT, "{\"environments\":[]}", 0},
        {MSG_ENVIRONMENTS, MSG_REPORT, "{\"environments\":[{}]}", -1},
        {MSG_ENVIRONMENTS, MSG_END, "{}", 0},
        {MSG_ASSESS, MSG_REPORT,
         "{\"is_ready\":true,\"python\":null,\"builder\":null,\"wants\":[]}", 0},
        {MSG_ASSESS, MSG_REPORT,
         "{\"is_ready\":true,\"python\":{},\"builder\":null,\"wants\":[]}", -1},
        {MSG_ASSESS, MSG_END, "{}", 0},
        {MSG_BRING, MSG_END, "{}", 0},
        {MSG_BRING, MSG_REPORT, "{}", -1},
        {MSG_SUBMIT, MSG_END, "{}", -1},
        {MSG_SUBMIT, MSG_ACCEPTED, "{}", 0}, /* no answer of many meanings */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (validate_answer(rows[i].request, rows[i].answer, rows[i].body) !=
            rows[i].result) {
            print_error("row %zu: %s\n", i, rows[i].body);
            fail();
        }
    }
}

/* --- the rest ------------------------------------------------------------------------
 */

static void a_body_is_checked_before_it_is_sent(void **state)
{
    CLEANUP_FREE char *text = xcalloc(1, 300000);
    CLEANUP_JSON struct json *body = json_new_object();
    struct json *secrets = json_add(body, "secrets", json_new_object());
    struct error err = ERROR_INIT;

    (void)state;
    json_add_string(secrets, "A", "x");
    assert_int_equal(message_check(MSG_SECRETS, body, NULL), 0);
    memset(text, 'x', 299999);
    json_add_string(secrets, "B", text);
    assert_int_equal(message_check(MSG_SECRETS, body, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(strstr(err.text, "xxx"));
}

static void errors_travel(void **state)
{
    struct error sent = ERROR_INIT;
    struct error got = ERROR_INIT;
    struct json *body;

    (void)state;
    for (int code = ERR_NONE + 1; code < ERR_COUNT; code++) {
        error_set(&sent, (enum error_code)code, "what failed: \"%d\"\n", code);
        if (code % 2 == 0) {
            error_hint(&sent, "try again");
        }
        body = message_from_error(&sent);
        assert_int_equal(message_check(MSG_ERROR, body, NULL), 0);
        message_to_error(body, &got);
        assert_int_equal(got.code, sent.code);
        assert_string_equal(got.text, sent.text);
        assert_string_equal(got.hint, sent.hint);
        json_free(body);
    }
}

/* However ugly: a path of control characters, or of bytes that are no UTF-8. */
static void the_longest_error_fits(void **state)
{
    static const char fillers[] = {'\1', '\xff', '"', 'x'};
    char text[2 * ERROR_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(fillers); i++) {
        struct error err = ERROR_INIT;
        struct json *body;

        memset(text, fillers[i], sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        error_set(&err, ERR_IO, "%s", text);
        error_hint(&err, "%s", text);
        body = message_from_error(&err);
        assert_int_equal(message_check(MSG_ERROR, body, NULL), 0);
        json_free(body);
    }
}

static void an_error_of_a_later_version_is_still_one(void **state)
{
    static const char body[] = "{\"code\":\"out_of_cheese\",\"message\":\"redo\"}";
    CLEANUP_JSON struct json *j = json_parse(body, sizeof(body) - 1, NULL);
    struct error err = ERROR_INIT;

    (void)state;
    message_to_error(j, &err);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_string_equal(err.text, "redo");
}

static void run_ids_are_judged(void **state)
{
    static const char *const good[] = {"abcd", "a123", "a---", "run-of-2026"};
    static const char *const bad[] = {"",      "abc",  "1abc", "-abc", "Abcd",
                                      "ab_cd", "ab/d", "ab.d", "ab d", "abc\xc3\xa9"};
    char id[70];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(run_id_is_valid(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(run_id_is_valid(bad[i]));
    }
    memset(id, 'a', sizeof(id));
    id[65] = '\0';
    assert_false(run_id_is_valid(id));
    id[64] = '\0';
    assert_true(run_id_is_valid(id));
}

static void run_ids_that_are_made_are_valid_and_differ(void **state)
{
    char last[RUN_ID_SIZE] = "";

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char id[RUN_ID_SIZE];

        run_id_make(id);
        assert_true(run_id_is_valid(id));
        assert_int_equal(strlen(id), 16);
        assert_string_not_equal(id, last);
        memcpy(last, id, sizeof(id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_number),
        cmocka_unit_test(every_json_body_has_a_shape_and_no_other_has),
        cmocka_unit_test(rows_make_sense),
        cmocka_unit_test(every_request_that_ends_with_end_has_a_shape_for_it),
        cmocka_unit_test(a_pack_fits_into_the_first_credit),
        cmocka_unit_test(usual_bodies_pass),
        cmocka_unit_test(every_member_must_be_there),
        cmocka_unit_test(every_member_must_be_of_its_type),
        cmocka_unit_test(bodies_with_one_thing_wrong_are_refused),
        cmocka_unit_test(what_may_be_null_may),
        cmocka_unit_test(keys_of_a_later_version_are_ignored),
        cmocka_unit_test(bodies_over_their_rows_limit_are_refused),
        cmocka_unit_test(a_text_in_a_body_is_bounded),
        cmocka_unit_test(raw_bodies_have_their_lengths),
        cmocka_unit_test(a_secret_is_never_part_of_the_sentence),
        cmocka_unit_test(answers_are_judged_by_their_request),
        cmocka_unit_test(a_body_is_checked_before_it_is_sent),
        cmocka_unit_test(errors_travel),
        cmocka_unit_test(the_longest_error_fits),
        cmocka_unit_test(an_error_of_a_later_version_is_still_one),
        cmocka_unit_test(run_ids_are_judged),
        cmocka_unit_test(run_ids_that_are_made_are_valid_and_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
