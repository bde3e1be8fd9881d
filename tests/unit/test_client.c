/* What a handler put off is not handed out in the same step, whatever the carrier does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/clock.h"
#include "controller/client_internal.h"
#include "tests/unit/peer_pair.h"

#define READY_MAX 2

/* A carrier that calls twice a step, and each time has the next piece. */
struct carrier {
    struct link link;
    struct loop_timer *timers[READY_MAX];
    struct strbuf pieces[READY_MAX];
    size_t next;
};

static ssize_t carrier_read(struct link *link, void *out, size_t size)
{
    struct carrier *carrier = (struct carrier *)link;
    if (carrier->next == READY_MAX) {
        errno = EAGAIN;
        return -1;
    }
    const struct strbuf *piece = &carrier->pieces[carrier->next++];
    assert_true(piece->length <= size);
    memcpy(out, piece->data, piece->length);
    return (ssize_t)piece->length;
}

static ssize_t carrier_write(struct link *link, const void *data, size_t length)
{
    (void)link;
    (void)data;
    return (ssize_t)length;
}

static void carrier_is_ready(void *context)
{
    const struct carrier *carrier = context;
    carrier->link.watcher.handler(carrier->link.watcher.context, LOOP_READ);
}

static void carrier_watch(struct link *link)
{
    struct carrier *carrier = (struct carrier *)link;
    for (size_t i = 0; i < READY_MAX; i++) {
        carrier->timers[i] = loop_timer_at(link->watcher.loop, clock_monotonic_ns(),
                                           carrier_is_ready, carrier);
    }
}

static const struct link_type carrier_type = {
    .read = carrier_read, .write = carrier_write, .watch = carrier_watch};

/* What the handlers were given, in order. */
struct seen {
    struct client *client;
    bool has_accepted, has_state;
};

static int pause_event(void *context, const struct peer_event *event, struct error *err)
{
    struct seen *seen = context;
    (void)err;
    seen->has_accepted |= event->type == MSG_ACCEPTED;
    client_pause(seen->client);
    return 0;
}

static int state_event(void *context, const struct peer_event *event, struct error *err)
{
    struct seen *seen = context;
    (void)err;
    seen->has_state |= event->type == MSG_STATE;
    return 0;
}

static void what_comes_behind_a_pause_waits_for_the_next_step(void **state)
{
    uint8_t buffer[4096];
    struct carrier carrier = {.link = {.type = &carrier_type}};
    struct client client = {.link = &carrier.link,
                            .loop = loop_new(),
                            .peer = peer_new(PEER_CONTROLLER),
                            .buffer = buffer};
    struct seen seen = {.client = &client};
    const struct client_request pausing = {.context = &seen, .event = pause_event};
    const struct client_request following = {.context = &seen, .event = state_event};
    struct error err = ERROR_INIT;
    (void)state;
    for (size_t i = 0; i < READY_MAX; i++) {
        strbuf_init(&carrier.pieces[i], sizeof buffer);
    }
    pair_send(client.peer, 0, MSG_HELLO);
    uint32_t submit = client_open(&client, &pausing, &err);
    pair_send(client.peer, submit, MSG_SUBMIT);
    pair_send(client.peer, submit, MSG_PUSH_END);
    uint32_t follow = client_open(&client, &following, &err);
    pair_send(client.peer, follow, MSG_FOLLOW);
    pair_text(&carrier.pieces[0], MSG_ACCEPTED, submit, pair_body(MSG_ACCEPTED));
    pair_text(&carrier.pieces[1], MSG_STATE, follow, pair_body(MSG_STATE));
    while (!seen.has_accepted) {
        if (client_step(&client, &err) != 0) {
            fail_msg("%s", err.text);
        }
    }
    assert_false(seen.has_state);
    while (!seen.has_state) {
        assert_int_equal(client_step(&client, &err), 0);
    }
    for (size_t i = 0; i < READY_MAX; i++) {
        strbuf_release(&carrier.pieces[i]);
    }
    peer_free(client.peer);
    loop_free(client.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_behind_a_pause_waits_for_the_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
