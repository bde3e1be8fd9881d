#include "controller/client_internal.h"

#include "common/bytes.h"
#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PING_AFTER_NS (15 * NS_PER_S)
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000

/* What the node may do by itself, once nobody waits for it. */
static struct json *tidy_wish(const struct config *config)
{
    struct json *wish = json_new_object();
    json_add_integer(wish, "every_ms", config_integer(config, "tidy.every"));
    json_add_integer(wish, "keep_work_ms", config_integer(config, "tidy.keep_work"));
    json_add_integer(wish, "keep_runs_ms", config_integer(config, "tidy.keep_runs"));
    return wish;
}

static void send_hello(struct client *c)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(now, clock_utc_ms());
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_integer(body, "protocol", CLIENT_PROTOCOL);
    json_add_string(body, "controller", c->context->home->controller);
    json_add_string(body, "version", ERRAND_VERSION);
    (void)json_add(body, "features", json_new_array());
    json_add_string(body, "time", now);
    (void)json_add(body, "tidy", tidy_wish(c->context->config));
    peer_send(c->peer, 0, MSG_HELLO, body);
}

static void fail(struct client *c, const struct error *err)
{
    if (!c->has_failed) {
        c->has_failed = true;
        c->failure = *err;
    }
}

static void lost(struct client *c, const char *why)
{
    struct error err = ERROR_INIT;
    (void)error_set(&err, ERR_LINK, "%s: the connection was lost: %s", c->target_name,
                    why);
    fail(c, &err);
}

static struct client_slot *find_slot(struct client *c, uint32_t stream)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
        if (c->slots[i].stream == stream) {
            return &c->slots[i];
        }
    }
    return NULL;
}

void client_take_error(const struct client *c, const struct json *body, struct error *out)
{
    message_to_error(body, out);
    if (out->code == ERR_NO_SPACE) {
        (void)error_wrap(out, "the disk of %s is full", c->node.root);
        (void)error_hint(out, "errand node gc %s frees space there", c->target_name);
    }
    (void)error_wrap(out, "%s", c->target_name);
}

static int dispatch(struct client *c, const struct peer_event *event, struct error *err)
{
    if (event->stream == 0) {
        if (event->type == MSG_ERROR) {
            if (c->is_kept) { /* the keeper's, which names the target itself */
                message_to_error(event->json, err);
            } else {
                client_take_error(c, event->json, err);
            }
            return -1;
        }
        return 0;
    }
    struct client_slot *slot = find_slot(c, event->stream);
    if (slot == NULL) {
        return 0;
    }
    struct client_request request = slot->request;
    uint32_t stream = event->stream;
    size_t data_length = event->type == MSG_DATA ? event->length : 0;
    if (event->ended) {
        slot->stream = 0;
    }
    int result = request.event(request.context, event, err);
    if (data_length > 0 && !request.gives_credit) {
        peer_consumed(c->peer, stream, data_length);
    }
    return result;
}

static void offer_room(struct client *c)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
        const struct client_request *request = &c->slots[i].request;
        if (c->slots[i].stream != 0 && request->room != NULL &&
            request->room(request->context, &err) != 0) {
            fail(c, &err);
            return;
        }
    }
}

/* Write what is queued as far as it goes. Where nothing can be sent any more, what has
 * come is still taken: the link's end is where reading finds it. */
static void flush(struct client *c)
{
    size_t length = 0;
    const void *data = peer_output(c->peer, &length);
    while (length > 0 && c->send_failure == 0) {
        ssize_t written = link_write(c->link, data, length);
        if (written < 0) {
            c->send_failure = errno != EAGAIN ? errno : 0;
            return;
        }
        peer_output_done(c->peer, (size_t)written);
        data = peer_output(c->peer, &length);
    }
}

/* Hand out the events that have come, until there are no more or one pauses. */
static void take_events(struct client *c)
{
    struct error err = ERROR_INIT;
    struct peer_event event;
    int more = 0;
    c->is_paused = false;
    while (!c->is_paused && (more = peer_next(c->peer, &event, &err)) == 1) {
        if (dispatch(c, &event, &err) != 0) {
            fail(c, &err);
            return;
        }
    }
    if (more < 0) {
        (void)error_wrap(&err, "%s", c->target_name);
        fail(c, &err);
    }
}

static void take_input(struct client *c, const void *data, size_t length)
{
    struct error err = ERROR_INIT;
    if (peer_input(c->peer, data, length, &err) != 0) {
        (void)error_wrap(&err, "%s", c->target_name);
        fail(c, &err);
        return;
    }
    take_events(c);
}

/* What can be written is written by the next step. */
static void link_ready(void *context, unsigned events)
{
    struct client *c = context;
    /* After a failure nothing more is taken: what follows a piece that could not be kept
     * would be kept in its place; and after a pause nothing in the same step, whose
     * caller has to make ready first. A carrier may call several times a step. */
    if ((events & LOOP_READ) == 0 || c->has_failed || c->is_paused) {
        return;
    }
    ssize_t length = link_read(c->link, c->buffer, CLIENT_READ_SIZE);
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (length <= 0) {
        int cause = length < 0 ? errno : c->send_failure;
        lost(c, cause == 0 ? "the far end closed it" : strerror(cause));
        return;
    }
    c->heard_ns = clock_monotonic_ns();
    take_input(c, c->buffer, (size_t)length);
}

static void check_liveness(void *context)
{
    struct client *c = context;
    c->liveness = NULL;
    int64_t now = clock_monotonic_ns();
    int64_t ping_ns = PING_AFTER_NS < c->idle_ns / 3 ? PING_AFTER_NS : c->idle_ns / 3;
    /* While a person was asked, or this process was stopped, nobody listened. */
    if (now - c->looked_ns > 2 * ping_ns) {
        c->heard_ns = now;
    }
    c->looked_ns = now;
    int64_t silence = now - c->heard_ns;
    if (silence >= c->idle_ns) {
        char text[CLOCK_TEXT_SIZE];
        clock_format_duration(text, silence / NS_PER_MS);
        CLEANUP_FREE char *why = xasprintf("nothing came for %s", text);
        lost(c, why);
        return;
    }
    if (silence >= ping_ns && peer_is_answered(c->peer)) {
        peer_ping(c->peer);
    }
    c->liveness = loop_timer_at(c->loop, now + ping_ns, check_liveness, c);
}

void client_start_protocol(struct client *c, const void *early, size_t early_length)
{
    c->peer = peer_new(PEER_CONTROLLER);
    c->heard_ns = clock_monotonic_ns();
    link_watch(c->link, c->loop, LOOP_READ, link_ready, c);
    send_hello(c);
    check_liveness(c);
    if (early_length > 0) {
        take_input(c, early, early_length);
    }
}

/* All but the link. */
static void release(struct client *c)
{
    loop_timer_cancel(c->loop, c->liveness);
    if (c->owns_loop) {
        loop_free(c->loop);
    }
    peer_free(c->peer);
    for (size_t i = 0; i < c->step_count; i++) {
        free(c->steps[i].detail);
    }
    free(c->node.version);
    free(c->node.platform);
    free(c->node.root);
    json_free(c->facts);
    keeper_place_release(&c->place);
    target_free(c->elsewhere);
    free(c->target_name);
    free(c->reason);
    free(c->buffer);
    executor_files_release(&c->executors);
    free(c);
}

void client_free(struct client *c)
{
    if (c != NULL) {
        link_free(c->link);
        release(c);
    }
}

void client_disown(struct client *c)
{
    link_disown(c->link);
    release(c);
}

bool client_is_open(const struct client *c)
{
    return c->peer != NULL;
}

bool client_is_idle(const struct client *c)
{
    bool is_idle = c->peer != NULL && !c->has_failed && !c->is_kept && !c->is_paused &&
                   peer_pending(c->peer) == 0 && peer_is_answered(c->peer);
    for (size_t i = 0; is_idle && i < ARRAY_SIZE(c->slots); i++) {
        is_idle = c->slots[i].stream == 0;
    }
    return is_idle;
}

bool client_is_shared(const struct client *c)
{
    return c->is_kept;
}

void client_move(struct client *c, struct loop *loop)
{
    loop_timer_cancel(c->loop, c->liveness);
    c->liveness = NULL;
    link_unwatch(c->link);
    if (c->owns_loop) {
        loop_free(c->loop);
    }
    c->loop = loop;
    c->owns_loop = false;
    c->options.loop = loop;
    c->options.is_interrupted = NULL;
    if (loop != NULL) {
        link_watch(c->link, loop, LOOP_READ, link_ready, c);
        check_liveness(c);
    }
}

int64_t client_heard_ns(const struct client *c)
{
    return c->heard_ns;
}

const struct json *client_facts(const struct client *c)
{
    return c->facts;
}

const struct keeper_place *client_place(const struct client *c)
{
    return &c->place;
}

const struct client_node *client_node(const struct client *c)
{
    return &c->node;
}

const struct client_step *client_steps(const struct client *c, size_t *out_count)
{
    *out_count = c->step_count;
    return c->steps;
}

const char *client_transport(const struct client *c, const char **out_reason)
{
    *out_reason = c->reason;
    return c->transport->name;
}

struct json *client_link_facts(const struct client *c)
{
    return link_facts(c->link);
}

struct loop *client_loop(struct client *c)
{
    return c->loop;
}

struct peer *client_peer(struct client *c)
{
    return c->peer;
}

uint32_t client_open(struct client *c, const struct client_request *request,
                     struct error *err)
{
    struct client_slot *slot = find_slot(c, 0);
    uint32_t stream = slot != NULL ? peer_open(c->peer) : 0;
    if (stream == 0) {
        (void)error_set(err, ERR_BUSY, "%s: too many requests at once on one connection",
                        c->target_name);
        return 0;
    }
    slot->stream = stream;
    slot->request = *request;
    return stream;
}

void client_rebind(struct client *c, uint32_t stream,
                   const struct client_request *request)
{
    struct client_slot *slot = find_slot(c, stream);
    if (slot != NULL) {
        slot->request = *request;
    }
}

void client_pause(struct client *c)
{
    c->is_paused = true;
}

void client_abandon(struct client *c, uint32_t stream)
{
    struct client_slot *slot = stream != 0 ? find_slot(c, stream) : NULL;
    if (slot != NULL) {
        slot->stream = 0;
        peer_send(c->peer, stream, MSG_RESET, NULL);
    }
}

int client_step(struct client *c, struct error *err)
{
    if (c->is_paused) {
        take_events(c);
        if (c->has_failed) {
            (void)error_copy(err, &c->failure);
        }
        return c->has_failed ? -1 : 0;
    }
    if (!c->has_failed) {
        flush(c);
    }
    offer_room(c);
    if (!c->has_failed) {
        bool has_more = peer_pending(c->peer) > 0 && c->send_failure == 0;
        link_watch(c->link, c->loop, LOOP_READ | (has_more ? LOOP_WRITE : 0), link_ready,
                   c);
        if (loop_step(c->loop, -1, err) != 0) {
            return -1;
        }
    }
    if (c->has_failed) {
        return error_copy(err, &c->failure);
    }
    return 0;
}

int client_run(struct client *c, const bool *done, struct error *err)
{
    while (!*done) {
        if (client_step(c, err) != 0) {
            return -1;
        }
    }
    return 0;
}

bool client_is_interrupted(const struct client *c)
{
    return c->options.is_interrupted != NULL && *c->options.is_interrupted;
}

struct question {
    const struct client *client;
    int (*report)(void *context, const struct json *report, struct error *err);
    void *context;
    struct json **out_end;
    bool is_done;
    bool has_error;
    struct error error;
};

static int question_event(void *context, const struct peer_event *event,
                          struct error *err)
{
    struct question *q = context;
    if (event->type == MSG_REPORT && q->report != NULL) {
        return q->report(q->context, event->json, err);
    }
    if (event->type == MSG_ERROR) {
        client_take_error(q->client, event->json, &q->error);
        q->has_error = true;
    }
    if (event->type == MSG_END && q->out_end != NULL) {
        *q->out_end = json_copy(event->json);
    }
    q->is_done = event->ended;
    return 0;
}

int client_ask(struct client *c, enum message_type type, const struct json *body,
               int (*report)(void *context, const struct json *report, struct error *err),
               void *context, struct json **out_end, struct error *err)
{
    struct question question = {
        .client = c, .report = report, .context = context, .out_end = out_end};
    struct client_request request = {.context = &question, .event = question_event};
    uint32_t stream = client_open(c, &request, err);
    if (stream == 0) {
        return -1;
    }
    peer_send(c->peer, stream, type, body);
    while (!question.is_done) {
        if (client_is_interrupted(c)) {
            client_abandon(c, stream);
            return error_set(err, ERR_CANCELED, "%s: interrupted before it answered",
                             c->target_name);
        }
        if (client_step(c, err) != 0) {
            return -1;
        }
    }
    if (question.has_error) {
        return error_copy(err, &question.error);
    }
    return 0;
}

int64_t client_backoff_ms(unsigned n)
{
    int64_t limit = n < 7 ? (int64_t)BACKOFF_FIRST_MS << n : BACKOFF_MAX_MS;
    limit = limit < BACKOFF_MAX_MS ? limit : BACKOFF_MAX_MS;
    uint32_t random = 0;
    bytes_random(&random, sizeof random);
    return limit / 4 + (int64_t)(random % (uint32_t)(limit * 3 / 4 + 1));
}
