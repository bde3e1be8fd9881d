#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "controller/mux.h"
#include "peer_pair.h"

#define CLIENTS 2

/* Two controllers, the mux between, one executor. */
struct stage {
    struct mux *mux;
    struct mux_client *seats[CLIENTS];
    struct peer *clients[CLIENTS];
    struct peer *link, *executor;
    struct {
        mux_handler *handler;
        void *stream;
    } handlers[256]; /* by number */
};

static uint32_t open_link(void *context, mux_handler *handler, void *stream)
{
    struct stage *s = context;
    uint32_t number = peer_open(s->link);

    if (number != 0) {
        s->handlers[number].handler = handler;
        s->handlers[number].stream = stream;
    }
    return number;
}

static void abandon_link(void *context, uint32_t number)
{
    struct stage *s = context;

    s->handlers[number].handler = NULL;
    peer_send(s->link, number, MSG_RESET, NULL);
}

static int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof(*s));

    s->link = peer_new(PEER_CONTROLLER);
    s->executor = peer_new(PEER_EXECUTOR);
    s->mux = mux_new(&(struct mux_link){
        .peer = s->link, .context = s, .open = open_link, .abandon = abandon_link});
    pair_send(s->link, 0, MSG_HELLO);
    for (size_t i = 0; i < CLIENTS; i++) {
        s->clients[i] = peer_new(PEER_CONTROLLER);
        s->seats[i] = mux_join(s->mux);
        pair_send(s->clients[i], 0, MSG_HELLO);
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;

    mux_free(s->mux);
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_free(s->clients[i]);
    }
    peer_free(s->link);
    peer_free(s->executor);
    free(s);
    return 0;
}

static bool to_mux(const struct stage *s, size_t i)
{
    size_t length;
    const void *bytes = peer_output(s->clients[i], &length);

    if (length == 0 || s->seats[i] == NULL) {
        return false;
    }
    assert_int_equal(mux_input(s->seats[i], bytes, length, NULL), 0);
    peer_output_done(s->clients[i], length);
    return true;
}

static bool from_mux(const struct stage *s, size_t i)
{
    size_t length;
    const void *bytes = s->seats[i] != NULL ? mux_output(s->seats[i], &length) : NULL;

    if (bytes == NULL || length == 0) {
        return false;
    }
    assert_int_equal(peer_input(s->clients[i], bytes, length, NULL), 0);
    mux_output_done(s->seats[i], length);
    return true;
}

static bool from_link(struct stage *s)
{
    struct peer_event event;
    bool any = pair_move(s->executor, s->link, SIZE_MAX, NULL) > 0;

    while (peer_next(s->link, &event, NULL) > 0) {
        if (s->handlers[event.stream].handler != NULL) {
            assert_int_equal(s->handlers[event.stream].handler(
                                 s->handlers[event.stream].stream, &event, NULL),
                             0);
        }
        any = true;
    }
    return any;
}

/* Carry everything everywhere until nothing moves. Events wait at clients and executor.
 */
static void carry(struct stage *s)
{
    bool any = true;

    while (any) {
        any = from_link(s);
        for (size_t i = 0; i < CLIENTS; i++) {
            any = to_mux(s, i) || any;
        }
        mux_settle(s->mux);
        any = pair_move(s->link, s->executor, SIZE_MAX, NULL) > 0 || any;
        for (size_t i = 0; i < CLIENTS; i++) {
            any = from_mux(s, i) || any;
        }
    }
}

static struct peer_event next(struct peer *peer, enum message_type type)
{
    struct peer_event event;

    do {
        assert_int_equal(peer_next(peer, &event, NULL), 1);
    } while (event.type == MSG_HELLO);
    assert_string_equal(message_row((uint8_t)event.type)->name,
                        message_row((uint8_t)type)->name);
    return event;
}

static void nothing(struct peer *peer)
{
    struct peer_event event;

    assert_int_equal(peer_next(peer, &event, NULL), 0);
}

/* Client i opens a stream with this request; the executor's number of it. */
static uint32_t request(struct stage *s, size_t i, enum message_type type,
                        uint32_t *out_number)
{
    *out_number = peer_open(s->clients[i]);
    pair_send(s->clients[i], *out_number, type);
    carry(s);
    return next(s->executor, type).stream;
}

/* Send DATA as far as credit goes, a frame at a time. */
static size_t fill(struct stage *s, struct peer *peer, uint32_t stream)
{
    static const uint8_t zeros[FRAME_DATA_MAX];
    size_t sent = 0;

    for (size_t credit; (credit = peer_credit(peer, stream)) > 0; carry(s)) {
        size_t part = credit < sizeof(zeros) ? credit : sizeof(zeros);

        peer_send_data(peer, stream, zeros, part, false);
        sent += part;
    }
    return sent;
}

/* Take the DATA that is there; consumed where told so. */
static size_t drain(struct peer *peer, bool consumes)
{
    struct peer_event event;
    size_t bytes = 0;

    while (peer_next(peer, &event, NULL) > 0) {
        if (event.type == MSG_DATA) {
            bytes += event.length;
            if (consumes) {
                peer_consumed(peer, event.stream, event.length);
            }
        }
    }
    return bytes;
}

static void requests_of_two_clients_go_through_with_numbers_of_their_own(void **state)
{
    struct stage *s = *state;
    uint32_t mine, yours;
    uint32_t first = request(s, 0, MSG_STATUS, &mine);
    uint32_t second = request(s, 1, MSG_STATUS, &yours);

    assert_int_equal(mine, yours);
    assert_int_not_equal(first, second);
    pair_send_text(s->executor, second, MSG_REPORT, "{\"runs\":[]}");
    pair_send_text(s->executor, second, MSG_END, "{}");
    carry(s);
    nothing(s->clients[0]);
    assert_int_equal(next(s->clients[1], MSG_REPORT).stream, yours);
    assert_true(next(s->clients[1], MSG_END).ended);
    pair_send_text(s->executor, first, MSG_END, "{}");
    carry(s);
    assert_int_equal(next(s->clients[0], MSG_END).stream, mine);
}

/* One after another there may be any number. */
static void a_stream_that_ended_makes_room_for_another(void **state)
{
    struct stage *s = *state;
    uint32_t stream;

    for (unsigned i = 0; i < 2 * PEER_STREAMS_MAX; i++) {
        uint32_t number = request(s, i % CLIENTS, MSG_STATUS, &stream);

        pair_send_text(s->executor, number, MSG_END, "{}");
        carry(s);
        assert_true(next(s->clients[i % CLIENTS], MSG_END).ended);
    }
}

static void a_submission_goes_through_whole(void **state)
{
    struct stage *s = *state;
    struct peer *client = s->clients[0];
    uint32_t stream = peer_open(client);
    struct peer_event event;
    static const uint8_t records[66] = {'t', 1, 2, 3};

    pair_send(client, stream, MSG_SECRETS);
    pair_send(client, stream, MSG_SUBMIT);
    peer_send_data(client, stream, "pack", 4, true);
    pair_send(client, stream, MSG_PUSH_END);
    carry(s);
    event = next(s->executor, MSG_SECRETS);
    assert_string_equal(json_string(json_get(json_get(event.json, "secrets"), "TOKEN")),
                        "x");
    assert_string_equal(json_string(json_get(next(s->executor, MSG_SUBMIT).json, "spec")),
                        "{}");
    event = next(s->executor, MSG_DATA);
    assert_memory_equal(event.data, "pack", 4);
    assert_true(event.is_last);
    next(s->executor, MSG_PUSH_END);
    pair_send(s->executor, event.stream, MSG_NEED);
    peer_send_data(s->executor, event.stream, records, sizeof(records), true);
    carry(s);
    next(client, MSG_NEED);
    assert_memory_equal(next(client, MSG_DATA).data, records, sizeof(records));
    pair_send(client, stream, MSG_PUSH_END);
    carry(s);
    next(s->executor, MSG_PUSH_END);
    pair_send(s->executor, event.stream, MSG_ACCEPTED);
    carry(s);
    assert_true(next(client, MSG_ACCEPTED).ended);
}

static void credit_goes_from_end_to_end_upwards(void **state)
{
    struct stage *s = *state;
    uint32_t stream;
    size_t window = stream_credit_to_executor(STREAM_SUBMIT);

    request(s, 0, MSG_SUBMIT, &stream);
    assert_int_equal(fill(s, s->clients[0], stream), window);
    carry(s);
    assert_int_equal(peer_credit(s->clients[0], stream), 0);
    assert_int_equal(drain(s->executor, true), window);
    carry(s);
    nothing(s->clients[0]);
    /* What is less than a frame may wait. */
    assert_in_range(peer_credit(s->clients[0], stream), window - FRAME_DATA_MAX, window);
}

static void a_client_that_takes_nothing_holds_up_itself_alone(void **state)
{
    struct stage *s = *state;
    uint32_t stuck, lively;
    uint32_t first = request(s, 0, MSG_FOLLOW, &stuck);
    uint32_t second = request(s, 1, MSG_FOLLOW, &lively);
    size_t window = stream_credit_to_controller(STREAM_FOLLOW);

    assert_int_equal(fill(s, s->executor, first), window);
    assert_int_equal(peer_credit(s->executor, first), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(fill(s, s->executor, second) >= window - FRAME_DATA_MAX);
        assert_true(drain(s->clients[1], true) >= window - FRAME_DATA_MAX);
        carry(s);
        nothing(s->executor);
    }
    assert_int_equal(drain(s->clients[0], true), window);
    carry(s);
    nothing(s->executor);
    assert_true(peer_credit(s->executor, first) >= window - FRAME_DATA_MAX);
}

static void more_credit_than_was_used_is_nothing_to_die_of(void **state)
{
    struct stage *s = *state;
    uint32_t stream;
    uint32_t number = request(s, 0, MSG_SUBMIT, &stream);
    uint8_t credit[4] = {0, 0, 0, 32};
    CLEANUP_STRBUF struct strbuf frame = STRBUF_INIT;
    size_t window = stream_credit_to_executor(STREAM_SUBMIT);

    pair_frame(&frame, MSG_CREDIT, 0, number, credit, sizeof(credit));
    assert_int_equal(peer_input(s->link, frame.data, frame.length, NULL), 0);
    carry(s);
    /* The executor's end of this test did not give it, so it may not be used up. */
    assert_int_equal(peer_credit(s->clients[0], stream), window);
}

static void a_client_is_asked_for_what_it_has_waiting(void **state)
{
    struct stage *s = *state;
    uint32_t stream, other;

    request(s, 0, MSG_SUBMIT, &stream);
    request(s, 1, MSG_FOLLOW, &other);
    assert_int_equal(mux_queued(s->seats[0]), 0);
    peer_send_data(s->clients[0], stream, "pack", 4, true);
    assert_true(to_mux(s, 0));
    assert_int_equal(mux_queued(s->seats[0]), FRAME_HEADER_SIZE + 4);
    assert_int_equal(mux_queued(s->seats[1]), 0);
    carry(s);
    assert_int_equal(mux_queued(s->seats[0]), 0);
}

static void every_client_hears_why_the_link_ended(void **state)
{
    struct stage *s = *state;
    struct error why = ERROR_INIT;

    error_set(&why, ERR_LINK, "the cable is out");
    mux_tell(s->mux, &why);
    carry(s);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct peer_event event = next(s->clients[i], MSG_ERROR);
        assert_int_equal(event.stream, 0);
        assert_string_equal(json_string(json_get(event.json, "message")),
                            "the cable is out");
    }
}

/* "1e15" is longer when it is written again: the keeper ended over it. */
static void an_error_that_grows_on_its_way_goes_through(void **state)
{
    struct stage *s = *state;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    uint8_t head[FRAME_HEADER_SIZE];
    uint32_t stream;
    uint32_t number = request(s, 0, MSG_STATUS, &stream);

    strbuf_puts(&body,
                "{\"code\":\"no_space\",\"message\":\"full\",\"hint\":\"rm\",\"x\":[0");
    while (body.length + 6 < message_row(MSG_ERROR)->max_bytes) {
        strbuf_puts(&body, ",1e15");
    }
    strbuf_puts(&body, "]}");
    frame_encode(head, &(struct frame_header){.length = (uint32_t)body.length,
                                              .type = MSG_ERROR,
                                              .stream = number});
    assert_int_equal(peer_input(s->link, head, sizeof(head), NULL), 0);
    assert_int_equal(peer_input(s->link, body.data, body.length, NULL), 0);
    carry(s);
    struct peer_event event = next(s->clients[0], MSG_ERROR);
    assert_int_equal(event.stream, stream);
    assert_string_equal(json_string(json_get(event.json, "code")), "no_space");
    assert_string_equal(json_string(json_get(event.json, "message")), "full");
    assert_string_equal(json_string(json_get(event.json, "hint")), "rm");
}

static void what_a_client_that_left_had_open_is_reset(void **state)
{
    struct stage *s = *state;
    uint32_t stream, other;
    uint32_t gone = request(s, 0, MSG_FOLLOW, &stream);
    uint32_t stays = request(s, 1, MSG_FOLLOW, &other);
    struct peer_event event;

    mux_leave(s->seats[0]);
    s->seats[0] = NULL;
    carry(s);
    event = next(s->executor, MSG_RESET);
    assert_int_equal(event.stream, gone);
    pair_send(s->executor, stays, MSG_STATE);
    carry(s);
    assert_int_equal(next(s->clients[1], MSG_STATE).stream, other);
}

static void a_reset_goes_through_and_the_number_is_free_again(void **state)
{
    struct stage *s = *state;
    uint32_t stream;
    uint32_t number = request(s, 0, MSG_FOLLOW, &stream);

    peer_send(s->clients[0], stream, MSG_RESET, NULL);
    carry(s);
    assert_int_equal(next(s->executor, MSG_RESET).stream, number);
    assert_true(next(s->clients[0], MSG_ERROR).ended);
    assert_int_equal(request(s, 0, MSG_STATUS, &stream), number + 1);
}

static void submissions_beyond_what_the_link_has_are_told_so(void **state)
{
    struct stage *s = *state;
    uint32_t stream;
    struct peer_event event;

    for (size_t i = 0; i < PEER_PUSHES_MAX; i++) {
        request(s, i % CLIENTS, MSG_SUBMIT, &stream);
    }
    stream = peer_open(s->clients[1]);
    pair_send(s->clients[1], stream, MSG_SUBMIT);
    peer_send_data(s->clients[1], stream, "pack", 4, true);
    pair_send(s->clients[1], stream, MSG_PUSH_END);
    carry(s);
    event = next(s->clients[1], MSG_ERROR);
    assert_int_equal(event.stream, stream);
    assert_string_equal(json_string(json_get(event.json, "code")), "busy");
    nothing(s->executor);
}

static void who_breaks_the_protocol_harms_nobody_else(void **state)
{
    struct stage *s = *state;
    struct error err = ERROR_INIT;
    static const uint8_t rubbish[FRAME_HEADER_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint32_t stream;

    carry(s);
    assert_int_equal(mux_input(s->seats[0], rubbish, sizeof(rubbish), &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    mux_leave(s->seats[0]);
    s->seats[0] = NULL;
    request(s, 1, MSG_STATUS, &stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_of_two_clients_go_through_with_numbers_of_their_own),
        TEST(a_stream_that_ended_makes_room_for_another),
        TEST(a_submission_goes_through_whole),
        TEST(credit_goes_from_end_to_end_upwards),
        TEST(a_client_that_takes_nothing_holds_up_itself_alone),
        TEST(more_credit_than_was_used_is_nothing_to_die_of),
        TEST(a_client_is_asked_for_what_it_has_waiting),
        TEST(every_client_hears_why_the_link_ended),
        TEST(an_error_that_grows_on_its_way_goes_through),
        TEST(what_a_client_that_left_had_open_is_reset),
        TEST(a_reset_goes_through_and_the_number_is_free_again),
        TEST(submissions_beyond_what_the_link_has_are_told_so),
        TEST(who_breaks_the_protocol_harms_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
