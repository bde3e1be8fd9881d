#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "peer_pair.h"

struct pair {
    struct peer *controller;
    struct peer *executor;
};

static void begin(struct pair *p)
{
    p->controller = peer_new(PEER_CONTROLLER);
    p->executor = peer_new(PEER_EXECUTOR);
    pair_send(p->controller, 0, MSG_HELLO);
}

static void finish(struct pair *p)
{
    peer_free(p->controller);
    peer_free(p->executor);
}

/* All output of one side goes to the other. */
static void carry(struct peer *from, struct peer *to)
{
    while (pair_move(from, to, SIZE_MAX, NULL) > 0) {
    }
}

/* The next event, of which type and stream are known. */
static struct peer_event expect(struct peer *peer, uint32_t stream,
                                enum message_type type)
{
    struct peer_event event;
    struct error err = ERROR_INIT;

    assert_int_equal(peer_next(peer, &event, &err), 1);
    assert_int_equal(event.type, type);
    assert_int_equal(event.stream, stream);
    return event;
}

static void expect_nothing(struct peer *peer)
{
    struct peer_event event;

    assert_int_equal(peer_next(peer, &event, NULL), 0);
}

/* Open a stream by this request and let the other side see it. */
static uint32_t request(struct pair *p, enum message_type type)
{
    uint32_t stream = peer_open(p->controller);
    struct peer_event event;

    assert_int_not_equal(stream, 0);
    pair_send(p->controller, stream, type);
    carry(p->controller, p->executor);
    do {
        assert_int_equal(peer_next(p->executor, &event, NULL), 1);
    } while (event.type == MSG_HELLO);
    assert_int_equal(event.type, type);
    assert_int_equal(event.stream, stream);
    assert_true(event.opened);
    return stream;
}

/* --- a conversation ------------------------------------------------------------------
 */

static void answer_as_executor(struct peer *peer, const struct peer_event *event,
                               unsigned *pushes)
{
    static const uint8_t records[66] = {'t', 1, 2, 3};

    if (event->type == MSG_DATA) {
        peer_consumed(peer, event->stream, event->length);
    } else if (event->type == MSG_PUSH_END && (*pushes)++ == 0) {
        pair_send(peer, event->stream, MSG_NEED);
        peer_send_data(peer, event->stream, records, sizeof(records), true);
    } else if (event->type == MSG_PUSH_END) {
        pair_send(peer, event->stream, MSG_ACCEPTED);
    } else if (event->type == MSG_FOLLOW) {
        pair_send(peer, event->stream, MSG_STATE);
        pair_send(peer, event->stream, MSG_AT);
        peer_send_data(peer, event->stream, "line\n", 5, false);
        pair_send_text(peer, event->stream, MSG_END,
                       "{\"state\":\"Completed\",\"sizes\":{\"driver.log\":5}}");
    } else if (event->type == MSG_STATUS) {
        pair_send(peer, event->stream, MSG_REPORT);
        pair_send(peer, event->stream, MSG_END);
    }
}

static void answer_as_controller(struct peer *peer, const struct peer_event *event)
{
    if (event->type == MSG_DATA) {
        peer_consumed(peer, event->stream, event->length);
    }
    if (event->stream_kind == STREAM_SUBMIT && event->type == MSG_DATA) {
        peer_send_data(peer, event->stream, "second pack", 11, true);
        pair_send(peer, event->stream, MSG_PUSH_END);
    }
}

/* Handle what is there; true where anything was. */
static bool handle(struct pair *p, struct strbuf *controller_log,
                   struct strbuf *executor_log, unsigned *pushes)
{
    struct peer_event event;
    bool any = false;

    while (peer_next(p->executor, &event, NULL) > 0) {
        pair_note(executor_log, &event);
        answer_as_executor(p->executor, &event, pushes);
        any = true;
    }
    while (peer_next(p->controller, &event, NULL) > 0) {
        pair_note(controller_log, &event);
        answer_as_controller(p->controller, &event);
        any = true;
    }
    return any;
}

/* A submission, a follower, a question and a PING; pieces of at most step bytes, the
 * first of each direction of at most first. */
static void converse(size_t step, size_t first, struct strbuf *controller_log,
                     struct strbuf *executor_log)
{
    size_t there = first;
    size_t back = first;
    unsigned pushes = 0;
    bool is_moving = true;
    struct pair p;
    uint32_t push;

    begin(&p);
    push = peer_open(p.controller);
    pair_send(p.controller, push, MSG_SECRETS);
    pair_send(p.controller, push, MSG_SUBMIT);
    peer_send_data(p.controller, push, "first", 5, false);
    peer_send_data(p.controller, push, " pack", 5, true);
    pair_send(p.controller, push, MSG_PUSH_END);
    pair_send(p.controller, peer_open(p.controller), MSG_FOLLOW);
    pair_send(p.controller, peer_open(p.controller), MSG_STATUS);
    peer_ping(p.controller);
    assert_false(peer_is_answered(p.controller));
    while (is_moving) {
        int sent = pair_move(p.controller, p.executor, there, NULL);
        int got = pair_move(p.executor, p.controller, back, NULL);

        assert_true(sent >= 0 && got >= 0);
        is_moving = sent > 0 || got > 0;
        there = sent > 0 ? step : there;
        back = got > 0 ? step : back;
        while (handle(&p, controller_log, executor_log, &pushes)) {
            is_moving = true;
        }
    }
    assert_true(peer_is_answered(p.controller));
    assert_int_equal(pushes, 2);
    assert_false(peer_is_open(p.controller, push));
    assert_int_equal(peer_pending(p.controller) + peer_pending(p.executor), 0);
    finish(&p);
}

static void a_conversation_is_the_same_however_it_is_cut(void **state)
{
    CLEANUP_STRBUF struct strbuf controller_whole = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf executor_whole = STRBUF_INIT;

    (void)state;
    converse(SIZE_MAX, SIZE_MAX, &controller_whole, &executor_whole);
    assert_non_null(strstr(controller_whole.data, "ACCEPTED ended"));
    assert_non_null(strstr(executor_whole.data, "SECRETS opened"));
    for (size_t cut = 1; cut < 1500; cut++) {
        CLEANUP_STRBUF struct strbuf controller = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf executor = STRBUF_INIT;

        converse(SIZE_MAX, cut, &controller, &executor);
        assert_string_equal(executor.data, executor_whole.data);
        /* What the executor answers first depends on what it has seen by then; the
         * streams are independent. Within a stream the order is the same. */
        assert_int_equal(controller.length, controller_whole.length);
    }
    for (size_t step = 1; step < 40; step++) {
        CLEANUP_STRBUF struct strbuf controller = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf executor = STRBUF_INIT;

        converse(step, step, &controller, &executor);
        assert_string_equal(executor.data, executor_whole.data);
        assert_int_equal(controller.length, controller_whole.length);
    }
}

/* Events of bytes fed to a side that answers nothing. */
static void replay(const struct strbuf *bytes, size_t first, size_t step,
                   struct strbuf *log)
{
    struct peer *peer = peer_new(PEER_EXECUTOR);
    struct peer_event event;
    size_t at = 0;
    size_t part = first;

    while (at < bytes->length) {
        if (part > bytes->length - at) {
            part = bytes->length - at;
        }
        assert_int_equal(peer_input(peer, bytes->data + at, part, NULL), 0);
        while (peer_next(peer, &event, NULL) > 0) {
            pair_note(log, &event);
        }
        at += part;
        part = step;
    }
    peer_free(peer);
}

static void events_are_equal_for_a_cut_at_every_byte(void **state)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;
    uint8_t data[700] = {1, 2, 3};

    (void)state;
    pair_text(&bytes, MSG_HELLO, 0, pair_body(MSG_HELLO));
    pair_text(&bytes, MSG_SECRETS, 3, pair_body(MSG_SECRETS));
    pair_frame(&bytes, MSG_PING, 0, 0, "ping", 4);
    pair_text(&bytes, MSG_SUBMIT, 3, pair_body(MSG_SUBMIT));
    pair_frame(&bytes, MSG_DATA, 0, 3, data, sizeof(data));
    pair_text(&bytes, MSG_FOLLOW, 9, pair_body(MSG_FOLLOW));
    pair_frame(&bytes, MSG_DATA, FRAME_FLAG_LAST, 3, data, 1);
    pair_frame(&bytes, MSG_CREDIT, 0, 9, "\0\0\1", 4);
    pair_frame(&bytes, MSG_PUSH_END, 0, 3, NULL, 0);
    pair_frame(&bytes, MSG_RESET, 0, 9, NULL, 0);
    pair_text(&bytes, MSG_STATUS, 10, pair_body(MSG_STATUS));
    replay(&bytes, bytes.length, bytes.length, &whole);
    assert_non_null(strstr(whole.data, "9 kind 2 RESET ended"));
    for (size_t cut = 1; cut < bytes.length; cut++) {
        CLEANUP_STRBUF struct strbuf log = STRBUF_INIT;

        replay(&bytes, cut, bytes.length, &log);
        assert_string_equal(log.data, whole.data);
    }
    for (size_t step = 1; step < 100; step++) {
        CLEANUP_STRBUF struct strbuf log = STRBUF_INIT;

        replay(&bytes, step, step, &log);
        assert_string_equal(log.data, whole.data);
    }
}

/* --- credit --------------------------------------------------------------------------
 */

/* Queue as much DATA as there is room for. */
static size_t fill(struct peer *peer, uint32_t stream)
{
    static const uint8_t zeros[PEER_OUTPUT_HIGH];
    size_t room = peer_data_room(peer, stream);

    if (room > 0) {
        peer_send_data(peer, stream, zeros, room, false);
    }
    return room;
}

static void credit_runs_out_and_comes_back(void **state)
{
    size_t credit = stream_credit_to_controller(STREAM_FOLLOW);
    size_t sent = 0;
    size_t got = 0;
    struct peer_event event;
    struct pair p;
    uint32_t stream;
    size_t n;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_FOLLOW);
    assert_int_equal(peer_credit(p.executor, stream), credit);
    while ((n = fill(p.executor, stream)) > 0) {
        sent += n;
        carry(p.executor, p.controller);
    }
    assert_int_equal(sent, credit);
    assert_int_equal(peer_credit(p.executor, stream), 0);
    while (peer_next(p.controller, &event, NULL) > 0) {
        got += event.length;
        assert_int_equal(peer_data_room(p.executor, stream), 0);
    }
    assert_int_equal(got, credit);
    peer_consumed(p.controller, stream, credit / 4 - 1);
    assert_int_equal(peer_pending(p.controller), 0);
    peer_consumed(p.controller, stream, 1);
    assert_int_equal(peer_pending(p.controller), FRAME_HEADER_SIZE + 4);
    peer_consumed(p.controller, stream, credit - credit / 4);
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    assert_int_equal(peer_credit(p.executor, stream), credit);
    finish(&p);
}

static void a_submission_has_credit_for_a_pack_before_any_of_it_is_consumed(void **state)
{
    CLEANUP_FREE uint8_t *pack = xcalloc(1, PACK_WIRE_MAX);
    struct peer_event event;
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_SUBMIT);
    for (int round = 0; round < 4; round++) {
        size_t at = 0;
        size_t got = 0;

        assert_true(peer_credit(p.controller, stream) >= PACK_WIRE_MAX);
        while (at < PACK_WIRE_MAX) {
            size_t n = peer_data_room(p.controller, stream);

            n = n < PACK_WIRE_MAX - at ? n : PACK_WIRE_MAX - at;
            assert_int_not_equal(n, 0);
            peer_send_data(p.controller, stream, pack + at, n, at + n == PACK_WIRE_MAX);
            at += n;
            carry(p.controller, p.executor);
        }
        do {
            assert_int_equal(peer_next(p.executor, &event, NULL), 1);
            got += event.length;
            assert_int_equal(event.is_last, got == PACK_WIRE_MAX);
        } while (got < PACK_WIRE_MAX);
        peer_consumed(p.executor, stream, PACK_WIRE_MAX);
        carry(p.executor, p.controller);
        expect_nothing(p.controller);
    }
    finish(&p);
}

static void a_stream_that_is_over_needs_no_credit(void **state)
{
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_SUBMIT);
    peer_send_data(p.controller, stream, "x", 1, true);
    carry(p.controller, p.executor);
    expect(p.executor, stream, MSG_DATA);
    pair_send(p.executor, stream, MSG_ACCEPTED);
    carry(p.executor, p.controller);
    expect(p.controller, stream, MSG_ACCEPTED);
    peer_consumed(p.executor, stream, 1);
    peer_consumed(p.controller, stream, 123456);
    assert_int_equal(peer_pending(p.executor) + peer_pending(p.controller), 0);
    assert_int_equal(peer_data_room(p.controller, stream), 0);
    finish(&p);
}

/* --- order ---------------------------------------------------------------------------
 */

static void control_goes_before_data_and_each_stream_keeps_its_order(void **state)
{
    static const uint8_t zeros[40000];
    struct pair p;
    uint32_t a;
    uint32_t b;
    uint32_t c;

    (void)state;
    begin(&p);
    a = request(&p, MSG_FOLLOW);
    b = request(&p, MSG_FOLLOW);
    c = request(&p, MSG_STATUS);
    peer_send_data(p.executor, a, zeros, sizeof(zeros), false);
    pair_send(p.executor, a, MSG_STATE);
    peer_send_data(p.executor, b, zeros, sizeof(zeros), false);
    peer_send_data(p.executor, a, zeros, 1, false);
    pair_send(p.executor, c, MSG_REPORT);
    pair_send(p.executor, c, MSG_END);
    peer_ping(p.executor);
    carry(p.executor, p.controller);
    assert_int_equal(peer_pending(p.controller), FRAME_HEADER_SIZE * 0);
    expect(p.controller, c, MSG_REPORT);
    expect(p.controller, c, MSG_END);
    expect(p.controller, a, MSG_DATA);
    expect(p.controller, a, MSG_STATE);
    expect(p.controller, b, MSG_DATA);
    expect(p.controller, a, MSG_DATA);
    expect_nothing(p.controller);
    /* The PING came first of all and was answered on the way. */
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    assert_true(peer_is_answered(p.executor));
    finish(&p);
}

static void data_goes_in_turns(void **state)
{
    static const uint8_t zeros[3 * FRAME_DATA_MAX];
    struct pair p;
    uint32_t streams[3];

    (void)state;
    begin(&p);
    for (size_t i = 0; i < 3; i++) {
        streams[i] = request(&p, MSG_FOLLOW);
    }
    for (size_t i = 0; i < 3; i++) {
        peer_send_data(p.executor, streams[i], zeros, sizeof(zeros), false);
    }
    carry(p.executor, p.controller);
    for (size_t turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < 3; i++) {
            expect(p.controller, streams[i], MSG_DATA);
        }
    }
    finish(&p);
}

static void streams_open_in_the_order_in_which_they_were_asked_for(void **state)
{
    struct pair p;
    uint32_t streams[5];

    (void)state;
    begin(&p);
    for (size_t i = 0; i < 5; i++) {
        streams[i] = peer_open(p.controller);
    }
    for (size_t i = 0; i < 5; i++) {
        pair_send(p.controller, streams[i], i % 2 == 0 ? MSG_SUBMIT : MSG_CHECK);
        if (i % 2 == 0) {
            peer_send_data(p.controller, streams[i], "x", 1, false);
        }
    }
    carry(p.controller, p.executor);
    expect(p.executor, 0, MSG_HELLO);
    for (size_t i = 0; i < 5; i++) {
        expect(p.executor, streams[i], i % 2 == 0 ? MSG_SUBMIT : MSG_CHECK);
    }
    finish(&p);
}

static void nobody_starves_behind_a_stream_that_never_ends(void **state)
{
    struct pair p;
    uint32_t a;
    uint32_t b;

    (void)state;
    begin(&p);
    a = request(&p, MSG_FETCH);
    b = request(&p, MSG_FOLLOW);
    while (fill(p.executor, a) > 0) {
    }
    assert_true(peer_pending(p.executor) >= PEER_OUTPUT_HIGH);
    assert_int_equal(peer_data_room(p.executor, a), 0);
    assert_int_equal(peer_data_room(p.executor, b), FRAME_DATA_MAX);
    assert_int_equal(fill(p.executor, b), FRAME_DATA_MAX);
    assert_int_equal(peer_data_room(p.executor, b), 0);
    finish(&p);
}

static void output_may_be_written_a_byte_at_a_time(void **state)
{
    static uint8_t data[50000];
    CLEANUP_STRBUF struct strbuf slow = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf fast = STRBUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 >> 3);
    }
    for (int way = 0; way < 2; way++) {
        struct peer *peer = peer_new(PEER_CONTROLLER);
        struct strbuf *out = way == 0 ? &slow : &fast;
        uint32_t stream = peer_open(peer);
        const void *bytes;
        size_t length;

        pair_send(peer, 0, MSG_HELLO);
        pair_send(peer, stream, MSG_SUBMIT);
        peer_send_data(peer, stream, data, sizeof(data), false);
        pair_send(peer, stream, MSG_PUSH_END);
        while ((bytes = peer_output(peer, &length)) != NULL && length > 0) {
            size_t before = peer_pending(peer);
            size_t n = way == 0 ? 1 : length;

            assert_int_equal(strbuf_add(out, bytes, n, NULL), 0);
            peer_output_done(peer, n);
            assert_int_equal(peer_pending(peer), before - n);
        }
        peer_free(peer);
    }
    assert_int_equal(slow.length, fast.length);
    assert_memory_equal(slow.data, fast.data, fast.length);
}

/* A message queued while a frame is half written does not get into it. */
static void a_frame_that_is_half_written_is_finished_first(void **state)
{
    struct pair p;
    uint32_t a;
    uint32_t b;

    (void)state;
    begin(&p);
    a = request(&p, MSG_FOLLOW);
    b = request(&p, MSG_STATUS);
    assert_true(fill(p.executor, a) > FRAME_DATA_MAX);
    assert_int_equal(pair_move(p.executor, p.controller, 100, NULL), 100);
    pair_send(p.executor, b, MSG_REPORT);
    peer_ping(p.executor);
    carry(p.executor, p.controller);
    expect(p.controller, a, MSG_DATA);
    expect(p.controller, b, MSG_REPORT);
    expect(p.controller, a, MSG_DATA);
    finish(&p);
}

/* --- the end of streams --------------------------------------------------------------
 */

static void a_reset_is_answered_and_what_crosses_it_is_dropped(void **state)
{
    struct peer_event event;
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_FOLLOW);
    fill(p.executor, stream);
    assert_int_equal(pair_move(p.executor, p.controller, 70000, NULL) > 0, 1);
    pair_send(p.controller, stream, MSG_RESET);
    assert_false(peer_is_open(p.controller, stream));
    /* More crosses: a whole frame is on its way, and a state. */
    pair_send(p.executor, stream, MSG_STATE);
    assert_true(pair_move(p.executor, p.controller, SIZE_MAX, NULL) > 0);
    expect_nothing(p.controller);
    carry(p.controller, p.executor);
    event = expect(p.executor, stream, MSG_RESET);
    assert_true(event.ended);
    assert_false(peer_is_open(p.executor, stream));
    assert_int_equal(peer_data_room(p.executor, stream), 0);
    /* The rest of the DATA was dropped. */
    assert_true(peer_pending(p.executor) < 2 * FRAME_DATA_MAX);
    pair_send(p.executor, stream, MSG_STATE);
    carry(p.executor, p.controller);
    event = expect(p.controller, stream, MSG_ERROR);
    assert_true(event.ended);
    assert_string_equal(json_string(json_get(event.json, "code")), "canceled");
    expect_nothing(p.controller);
    finish(&p);
}

static void a_reset_that_crosses_the_end_changes_nothing(void **state)
{
    struct peer_event event;
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_SUBMIT);
    pair_send(p.executor, stream, MSG_ACCEPTED);
    pair_send(p.controller, stream, MSG_RESET);
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    carry(p.executor, p.controller);
    /* The controller learns that the run was accepted after all. */
    event = expect(p.controller, stream, MSG_ACCEPTED);
    assert_true(event.ended);
    expect_nothing(p.controller);
    assert_int_equal(peer_pending(p.executor), 0);
    finish(&p);
}

static void data_that_crosses_the_end_of_a_submission_is_dropped(void **state)
{
    struct pair p;
    struct error cause = ERROR_INIT;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_SUBMIT);
    error_set(&cause, ERR_NO_SPACE, "disk full");
    peer_send_error(p.executor, stream, &cause);
    peer_send_data(p.controller, stream, "late", 4, true);
    pair_send(p.controller, stream, MSG_PUSH_END);
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    carry(p.executor, p.controller);
    expect(p.controller, stream, MSG_ERROR);
    peer_send_data(p.controller, stream, "later", 5, true);
    pair_send(p.controller, stream, MSG_PUSH_END);
    pair_send(p.controller, stream, MSG_RESET);
    assert_int_equal(peer_pending(p.controller), 0);
    finish(&p);
}

static void a_submission_that_crosses_the_end_of_its_secrets_is_dropped(void **state)
{
    struct pair p;
    struct error cause = ERROR_INIT;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_SECRETS);
    error_set(&cause, ERR_LIMIT, "no");
    peer_send_error(p.executor, stream, &cause);
    pair_send(p.controller, stream, MSG_SUBMIT);
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    carry(p.executor, p.controller);
    expect(p.controller, stream, MSG_ERROR);
    finish(&p);
}

static void a_reset_before_anything_was_written_still_opens_and_ends_it(void **state)
{
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = peer_open(p.controller);
    pair_send(p.controller, stream, MSG_SUBMIT);
    peer_send_data(p.controller, stream, "pack", 4, true);
    pair_send(p.controller, stream, MSG_PUSH_END);
    pair_send(p.controller, stream, MSG_RESET);
    carry(p.controller, p.executor);
    expect(p.executor, 0, MSG_HELLO);
    expect(p.executor, stream, MSG_SUBMIT);
    expect(p.executor, stream, MSG_RESET);
    expect_nothing(p.executor);
    carry(p.executor, p.controller);
    expect(p.controller, stream, MSG_ERROR);
    finish(&p);
}

static void a_stream_that_was_never_used_leaves_no_trace(void **state)
{
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = peer_open(p.controller);
    assert_true(peer_is_open(p.controller, stream));
    assert_int_equal(peer_data_room(p.controller, stream), 0);
    pair_send(p.controller, stream, MSG_RESET);
    assert_false(peer_is_open(p.controller, stream));
    assert_int_not_equal(request(&p, MSG_CHECK), stream);
    finish(&p);
}

static void as_many_streams_as_may_be_open_and_no_more(void **state)
{
    uint32_t streams[PEER_STREAMS_MAX];
    struct pair p;

    (void)state;
    begin(&p);
    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        streams[i] = request(&p, MSG_STATUS);
    }
    assert_int_equal(peer_open(p.controller), 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PEER_STREAMS_MAX; i += 3) {
            pair_send(p.executor, streams[i], MSG_END);
        }
        assert_int_equal(peer_open(p.controller), 0);
        carry(p.executor, p.controller);
        for (size_t i = 0; i < PEER_STREAMS_MAX; i += 3) {
            expect(p.controller, streams[i], MSG_END);
        }
        for (size_t i = 0; i < PEER_STREAMS_MAX; i += 3) {
            streams[i] = request(&p, MSG_CANCEL);
            pair_send_text(p.executor, streams[i], MSG_END, "{\"state\":\"Running\"}");
            carry(p.executor, p.controller);
            expect(p.controller, streams[i], MSG_END);
            streams[i] = request(&p, MSG_STATUS);
        }
    }
    finish(&p);
}

static void few_submissions_are_open_at_once(void **state)
{
    struct pair p;
    uint32_t first = 0;

    (void)state;
    begin(&p);
    for (int i = 0; i < PEER_PUSHES_MAX; i++) {
        uint32_t stream;

        assert_true(peer_can_push(p.controller));
        stream = request(&p, i == 0 ? MSG_SECRETS : MSG_SUBMIT);
        first = i == 0 ? stream : first;
    }
    assert_false(peer_can_push(p.controller));
    pair_send(p.controller, first, MSG_RESET);
    assert_false(peer_can_push(p.controller));
    carry(p.controller, p.executor);
    expect(p.executor, first, MSG_RESET);
    carry(p.executor, p.controller);
    expect(p.controller, first, MSG_ERROR);
    assert_true(peer_can_push(p.controller));
    request(&p, MSG_SUBMIT);
    finish(&p);
}

/* --- the rest ------------------------------------------------------------------------
 */

static void an_answer_that_is_too_large_becomes_an_error(void **state)
{
    CLEANUP_FREE char *text = xcalloc(1, FRAME_CONTROL_MAX + 1);
    CLEANUP_JSON struct json *body = json_new_object();
    struct error said = ERROR_INIT;
    struct peer_event event;
    struct pair p;
    uint32_t stream;

    (void)state;
    begin(&p);
    stream = request(&p, MSG_STATUS);
    memset(text, 'x', FRAME_CONTROL_MAX);
    json_add(body, "runs", json_new_array());
    json_add_string(body, "text", text);
    peer_send(p.executor, stream, MSG_REPORT, body);
    carry(p.executor, p.controller);
    event = expect(p.controller, stream, MSG_ERROR);
    message_to_error(event.json, &said);
    assert_int_equal(said.code, ERR_LIMIT);
    assert_false(peer_is_open(p.executor, stream));
    finish(&p);
}

static void an_error_on_the_connection_ends_it(void **state)
{
    struct error cause = ERROR_INIT;
    struct peer_event event;
    struct pair p;

    (void)state;
    begin(&p);
    error_set(&cause, ERR_VERSION, "too new");
    peer_send_error(p.executor, 0, &cause);
    carry(p.executor, p.controller);
    event = expect(p.controller, 0, MSG_ERROR);
    assert_true(event.ended);
    assert_int_equal(event.stream_kind, STREAM_CONNECTION);
    finish(&p);
}

static void only_the_last_ping_counts(void **state)
{
    struct pair p;

    (void)state;
    begin(&p);
    assert_true(peer_is_answered(p.controller));
    peer_ping(p.controller);
    carry(p.controller, p.executor);
    expect(p.executor, 0, MSG_HELLO);
    expect_nothing(p.executor);
    peer_ping(p.controller);
    carry(p.executor, p.controller);
    expect_nothing(p.controller);
    assert_false(peer_is_answered(p.controller));
    carry(p.controller, p.executor);
    expect_nothing(p.executor);
    carry(p.executor, p.controller);
    expect_nothing(p.controller);
    assert_true(peer_is_answered(p.controller));
    finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_is_the_same_however_it_is_cut),
        cmocka_unit_test(events_are_equal_for_a_cut_at_every_byte),
        cmocka_unit_test(credit_runs_out_and_comes_back),
        cmocka_unit_test(a_submission_has_credit_for_a_pack_before_any_of_it_is_consumed),
        cmocka_unit_test(a_stream_that_is_over_needs_no_credit),
        cmocka_unit_test(control_goes_before_data_and_each_stream_keeps_its_order),
        cmocka_unit_test(data_goes_in_turns),
        cmocka_unit_test(streams_open_in_the_order_in_which_they_were_asked_for),
        cmocka_unit_test(nobody_starves_behind_a_stream_that_never_ends),
        cmocka_unit_test(output_may_be_written_a_byte_at_a_time),
        cmocka_unit_test(a_frame_that_is_half_written_is_finished_first),
        cmocka_unit_test(a_reset_is_answered_and_what_crosses_it_is_dropped),
        cmocka_unit_test(a_reset_that_crosses_the_end_changes_nothing),
        cmocka_unit_test(data_that_crosses_the_end_of_a_submission_is_dropped),
        cmocka_unit_test(a_submission_that_crosses_the_end_of_its_secrets_is_dropped),
        cmocka_unit_test(a_reset_before_anything_was_written_still_opens_and_ends_it),
        cmocka_unit_test(a_stream_that_was_never_used_leaves_no_trace),
        cmocka_unit_test(as_many_streams_as_may_be_open_and_no_more),
        cmocka_unit_test(few_submissions_are_open_at_once),
        cmocka_unit_test(an_answer_that_is_too_large_becomes_an_error),
        cmocka_unit_test(an_error_on_the_connection_ends_it),
        cmocka_unit_test(only_the_last_ping_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
