/* What a hostile or broken other end may try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "peer_pair.h"

/* An executor that was greeted, and what the controller sends it. */
struct victim {
    struct peer *peer;
    struct strbuf bytes;
};

static int setup_executor(void **state)
{
    struct victim *v = xcalloc(1, sizeof(*v));

    v->peer = peer_new(PEER_EXECUTOR);
    strbuf_init(&v->bytes, SIZE_MAX);
    pair_text(&v->bytes, MSG_HELLO, 0, pair_body(MSG_HELLO));
    *state = v;
    return 0;
}

/* A controller that has asked CANCEL on 1, FOLLOW on 2, SUBMIT on 3. */
static int setup_controller(void **state)
{
    struct victim *v = xcalloc(1, sizeof(*v));

    v->peer = peer_new(PEER_CONTROLLER);
    strbuf_init(&v->bytes, SIZE_MAX);
    pair_send(v->peer, 0, MSG_HELLO);
    pair_send(v->peer, peer_open(v->peer), MSG_CANCEL);
    pair_send(v->peer, peer_open(v->peer), MSG_FOLLOW);
    pair_send(v->peer, peer_open(v->peer), MSG_SUBMIT);
    *state = v;
    return 0;
}

static int teardown(void **state)
{
    struct victim *v = *state;

    peer_free(v->peer);
    strbuf_release(&v->bytes);
    free(v);
    return 0;
}

static void add(struct victim *v, enum message_type type, uint32_t stream)
{
    const char *body = pair_body(type);

    pair_text(&v->bytes, type, stream, body != NULL ? body : "");
}

/* Feed what was added; how many events came, -1 where an error did. */
static int feed(struct victim *v, struct error *err)
{
    struct peer_event event;
    int events = 0;
    int result = peer_input(v->peer, v->bytes.data, v->bytes.length, err);

    strbuf_reset(&v->bytes);
    while (result == 0 && (result = peer_next(v->peer, &event, err)) > 0) {
        events++;
        result = 0;
    }
    return result < 0 ? -1 : events;
}

/* What was added breaks the protocol, and nothing works afterwards. */
static void assert_refused(struct victim *v)
{
    struct error err = ERROR_INIT;
    struct error again = ERROR_INIT;
    struct peer_event event;

    assert_int_equal(feed(v, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_int_equal(peer_input(v->peer, "", 0, &again), -1);
    assert_string_equal(again.text, err.text);
    assert_int_equal(peer_next(v->peer, &event, &again), -1);
    assert_int_equal(again.code, ERR_PROTOCOL);
}

/* --- frames --------------------------------------------------------------------------
 */

static void an_unknown_type_is_refused(void **state)
{
    pair_frame(&((struct victim *)*state)->bytes, 99, 0, 0, NULL, 0);
    assert_refused(*state);
}

static void type_zero_is_refused(void **state)
{
    pair_frame(&((struct victim *)*state)->bytes, 0, 0, 0, NULL, 0);
    assert_refused(*state);
}

static void a_length_over_the_rows_is_refused_before_the_payload_is_here(void **state)
{
    struct victim *v = *state;

    pair_frame(&v->bytes, MSG_PING, 0, 0,
               "0123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789",
               65);
    strbuf_truncate(&v->bytes, v->bytes.length - 60);
    assert_refused(v);
}

static void data_over_a_frame_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_SUBMIT, 1);
    strbuf_add(&v->bytes, "\1\0\1\0\10\0\0\0\1\0\0\0", 12, NULL);
    assert_refused(v);
}

static void a_flag_on_a_control_frame_is_refused(void **state)
{
    pair_frame(&((struct victim *)*state)->bytes, MSG_PING, FRAME_FLAG_LAST, 0, "p", 1);
    assert_refused(*state);
}

static void a_body_where_there_is_none_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_SUBMIT, 1);
    pair_frame(&v->bytes, MSG_PUSH_END, 0, 1, "x", 1);
    assert_refused(v);
}

static void a_body_that_does_not_pass_is_refused(void **state)
{
    struct victim *v = *state;

    pair_text(&v->bytes, MSG_CHECK, 1, "{\"deep\":1}");
    assert_refused(v);
}

/* --- the connection ------------------------------------------------------------------
 */

static void hello_must_come_first(void **state)
{
    struct victim *v = *state;

    strbuf_reset(&v->bytes);
    add(v, MSG_STATUS, 1);
    assert_refused(v);
}

static void hello_must_come_once(void **state)
{
    add(*state, MSG_HELLO, 0);
    assert_refused(*state);
}

static void hello_belongs_to_the_connection(void **state)
{
    struct victim *v = *state;

    strbuf_reset(&v->bytes);
    add(v, MSG_HELLO, 1);
    assert_refused(v);
}

static void a_request_needs_a_stream(void **state)
{
    add(*state, MSG_STATUS, 0);
    assert_refused(*state);
}

static void a_ping_belongs_to_no_stream(void **state)
{
    add(*state, MSG_STATUS, 1);
    pair_frame(&((struct victim *)*state)->bytes, MSG_PING, 0, 1, "p", 1);
    assert_refused(*state);
}

static void a_flood_of_pings_that_nobody_reads_ends(void **state)
{
    struct victim *v = *state;
    struct error err = ERROR_INIT;

    for (int i = 0; i < 100000; i++) {
        pair_frame(&v->bytes, MSG_PING, 0, 0, "01234567", 8);
    }
    assert_int_equal(feed(v, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(peer_pending(v->peer) < 300000);
}

static void a_flood_that_is_not_taken_ends(void **state)
{
    struct victim *v = *state;
    size_t part = (size_t)1 << 20;
    CLEANUP_FREE char *zeros = xcalloc(1, part);
    struct error err = ERROR_INIT;
    size_t taken = 0;

    while (peer_input(v->peer, zeros, part, &err) == 0) {
        taken += part;
        assert_true(taken <= PEER_INPUT_MAX);
    }
    assert_int_equal(err.code, ERR_LIMIT);
}

static void a_pong_that_nobody_asked_for_is_ignored(void **state)
{
    struct victim *v = *state;

    pair_frame(&v->bytes, MSG_PONG, 0, 0, "p", 1);
    pair_frame(&v->bytes, MSG_PONG, 0, 0, "01234567", 8);
    assert_int_equal(feed(v, NULL), 1);
    assert_true(peer_is_answered(v->peer));
}

/* --- streams -------------------------------------------------------------------------
 */

static void a_number_is_not_used_again_after_its_end(void **state)
{
    struct victim *v = *state;

    add(v, MSG_STATUS, 5);
    assert_int_equal(feed(v, NULL), 2);
    pair_send(v->peer, 5, MSG_END);
    add(v, MSG_STATUS, 5);
    assert_refused(v);
}

static void a_number_below_an_earlier_one_is_refused(void **state)
{
    add(*state, MSG_STATUS, 5);
    add(*state, MSG_FOLLOW, 4);
    assert_refused(*state);
}

static void a_stream_is_asked_one_thing(void **state)
{
    add(*state, MSG_STATUS, 5);
    add(*state, MSG_STATUS, 5);
    assert_refused(*state);
}

static void a_submission_is_asked_once(void **state)
{
    add(*state, MSG_SECRETS, 5);
    add(*state, MSG_SUBMIT, 5);
    add(*state, MSG_SUBMIT, 5);
    assert_refused(*state);
}

static void secrets_come_once(void **state)
{
    add(*state, MSG_SECRETS, 5);
    add(*state, MSG_SECRETS, 5);
    assert_refused(*state);
}

static void secrets_come_before_their_submission(void **state)
{
    add(*state, MSG_SUBMIT, 5);
    add(*state, MSG_SECRETS, 5);
    assert_refused(*state);
}

static void data_comes_after_its_submission(void **state)
{
    struct victim *v = *state;

    add(v, MSG_SECRETS, 5);
    pair_frame(&v->bytes, MSG_DATA, 0, 5, "x", 1);
    assert_refused(v);
}

static void a_stream_that_was_never_opened_has_no_frames(void **state)
{
    struct victim *v = *state;

    add(v, MSG_STATUS, 5);
    pair_frame(&v->bytes, MSG_RESET, 0, 6, NULL, 0);
    assert_refused(v);
}

static void too_many_streams_are_refused(void **state)
{
    struct victim *v = *state;

    for (uint32_t i = 1; i <= PEER_STREAMS_MAX; i++) {
        add(v, MSG_STATUS, i);
    }
    assert_int_equal(feed(v, NULL), PEER_STREAMS_MAX + 1);
    add(v, MSG_STATUS, PEER_STREAMS_MAX + 1);
    assert_refused(v);
}

static void too_many_submissions_are_refused(void **state)
{
    for (uint32_t i = 1; i <= PEER_PUSHES_MAX + 1; i++) {
        add(*state, i % 2 == 0 ? MSG_SUBMIT : MSG_SECRETS, i);
    }
    assert_refused(*state);
}

static void a_message_of_another_kind_of_stream_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_STATUS, 1);
    pair_frame(&v->bytes, MSG_PUSH_END, 0, 1, NULL, 0);
    assert_refused(v);
}

static void what_only_the_executor_sends_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_FOLLOW, 1);
    add(v, MSG_STATE, 1);
    assert_refused(v);
}

/* --- credit --------------------------------------------------------------------------
 */

static void data_beyond_the_credit_is_refused(void **state)
{
    struct victim *v = *state;
    CLEANUP_FREE char *zeros = xcalloc(1, FRAME_DATA_MAX);
    size_t left = stream_credit_to_executor(STREAM_SUBMIT);

    add(v, MSG_SUBMIT, 1);
    assert_int_equal(feed(v, NULL), 2);
    while (left > 0) {
        size_t n = left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX;

        pair_frame(&v->bytes, MSG_DATA, 0, 1, zeros, n);
        assert_int_equal(feed(v, NULL), 1);
        left -= n;
    }
    pair_frame(&v->bytes, MSG_DATA, 0, 1, zeros, 1);
    assert_refused(v);
}

static void data_where_there_is_no_credit_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_FOLLOW, 1);
    pair_frame(&v->bytes, MSG_DATA, 0, 1, "x", 1);
    assert_refused(v);
}

static void empty_data_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_SUBMIT, 1);
    pair_frame(&v->bytes, MSG_DATA, FRAME_FLAG_LAST, 1, NULL, 0);
    assert_refused(v);
}

static void credit_of_nothing_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_FOLLOW, 1);
    pair_frame(&v->bytes, MSG_CREDIT, 0, 1, "\0\0\0\0", 4);
    assert_refused(v);
}

static void credit_without_end_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_FOLLOW, 1);
    pair_frame(&v->bytes, MSG_CREDIT, 0, 1, "\0\0\0\10", 4);
    assert_int_equal(feed(v, NULL), 2);
    for (int i = 0; i < 8; i++) {
        pair_frame(&v->bytes, MSG_CREDIT, 0, 1, "\0\0\0\10", 4);
    }
    assert_refused(v);
}

static void half_a_credit_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_FOLLOW, 1);
    pair_frame(&v->bytes, MSG_CREDIT, 0, 1, "\1\0\0", 3);
    assert_refused(v);
}

/* --- a hostile executor --------------------------------------------------------------
 */

static void frames_after_the_end_are_refused(void **state)
{
    struct victim *v = *state;

    pair_text(&v->bytes, MSG_END, 1, "{\"state\":\"Running\"}");
    assert_int_equal(feed(v, NULL), 1);
    add(v, MSG_ERROR, 1);
    assert_refused(v);
}

static void an_answer_where_nothing_was_asked_is_refused(void **state)
{
    add(*state, MSG_ERROR, 77);
    assert_refused(*state);
}

static void an_answer_on_a_stream_that_was_only_numbered_is_refused(void **state)
{
    struct victim *v = *state;

    add(v, MSG_ERROR, peer_open(v->peer));
    assert_refused(v);
}

static void an_answer_to_another_request_is_refused(void **state)
{
    /* On 1 CANCEL was asked, which no REPORT answers. */
    add(*state, MSG_REPORT, 1);
    assert_refused(*state);
}

static void an_end_without_what_was_asked_is_refused(void **state)
{
    add(*state, MSG_END, 2);
    assert_refused(*state);
}

static void what_only_the_controller_sends_is_refused(void **state)
{
    add(*state, MSG_STATUS, 9);
    assert_refused(*state);
}

static void a_follower_gets_no_accepted(void **state)
{
    add(*state, MSG_ACCEPTED, 2);
    assert_refused(*state);
}

static void more_log_than_there_is_credit_for_is_refused(void **state)
{
    struct victim *v = *state;
    CLEANUP_FREE char *zeros = xcalloc(1, FRAME_DATA_MAX);

    for (size_t n = 0; n < stream_credit_to_controller(STREAM_FOLLOW);
         n += FRAME_DATA_MAX) {
        pair_frame(&v->bytes, MSG_DATA, 0, 2, zeros, FRAME_DATA_MAX);
    }
    assert_true(feed(v, NULL) > 0);
    pair_frame(&v->bytes, MSG_DATA, 0, 2, zeros, 1);
    assert_refused(v);
}

static void dropped_data_counts_too(void **state)
{
    struct victim *v = *state;
    CLEANUP_FREE char *zeros = xcalloc(1, FRAME_DATA_MAX);
    struct error err = ERROR_INIT;
    size_t frames = stream_credit_to_controller(STREAM_FOLLOW) / FRAME_DATA_MAX + 1;
    int result = 0;

    peer_send(v->peer, 2, MSG_RESET, NULL);
    for (size_t i = 0; i < frames && result == 0; i++) {
        pair_frame(&v->bytes, MSG_DATA, 0, 2, zeros, FRAME_DATA_MAX);
        result = feed(v, &err);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

#define EXECUTOR(test) cmocka_unit_test_setup_teardown(test, setup_executor, teardown)
#define CONTROLLER(test) cmocka_unit_test_setup_teardown(test, setup_controller, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXECUTOR(an_unknown_type_is_refused),
        CONTROLLER(an_unknown_type_is_refused),
        EXECUTOR(type_zero_is_refused),
        EXECUTOR(a_length_over_the_rows_is_refused_before_the_payload_is_here),
        EXECUTOR(data_over_a_frame_is_refused),
        EXECUTOR(a_flag_on_a_control_frame_is_refused),
        EXECUTOR(a_body_where_there_is_none_is_refused),
        EXECUTOR(a_body_that_does_not_pass_is_refused),
        EXECUTOR(hello_must_come_first),
        EXECUTOR(hello_must_come_once),
        EXECUTOR(hello_belongs_to_the_connection),
        EXECUTOR(a_request_needs_a_stream),
        EXECUTOR(a_ping_belongs_to_no_stream),
        EXECUTOR(a_flood_of_pings_that_nobody_reads_ends),
        EXECUTOR(a_flood_that_is_not_taken_ends),
        EXECUTOR(a_pong_that_nobody_asked_for_is_ignored),
        EXECUTOR(a_number_is_not_used_again_after_its_end),
        EXECUTOR(a_number_below_an_earlier_one_is_refused),
        EXECUTOR(a_stream_is_asked_one_thing),
        EXECUTOR(a_submission_is_asked_once),
        EXECUTOR(secrets_come_once),
        EXECUTOR(secrets_come_before_their_submission),
        EXECUTOR(data_comes_after_its_submission),
        EXECUTOR(a_stream_that_was_never_opened_has_no_frames),
        EXECUTOR(too_many_streams_are_refused),
        EXECUTOR(too_many_submissions_are_refused),
        EXECUTOR(a_message_of_another_kind_of_stream_is_refused),
        EXECUTOR(what_only_the_executor_sends_is_refused),
        EXECUTOR(data_beyond_the_credit_is_refused),
        EXECUTOR(data_where_there_is_no_credit_is_refused),
        EXECUTOR(empty_data_is_refused),
        EXECUTOR(credit_of_nothing_is_refused),
        EXECUTOR(credit_without_end_is_refused),
        EXECUTOR(half_a_credit_is_refused),
        CONTROLLER(frames_after_the_end_are_refused),
        CONTROLLER(an_answer_where_nothing_was_asked_is_refused),
        CONTROLLER(an_answer_on_a_stream_that_was_only_numbered_is_refused),
        CONTROLLER(an_answer_to_another_request_is_refused),
        CONTROLLER(an_end_without_what_was_asked_is_refused),
        CONTROLLER(what_only_the_controller_sends_is_refused),
        CONTROLLER(a_follower_gets_no_accepted),
        CONTROLLER(more_log_than_there_is_credit_for_is_refused),
        CONTROLLER(dropped_data_counts_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
