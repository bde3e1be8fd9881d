#include "controller/client.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/marker.h"
#include "controller/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PING_AFTER_NS (15 * NS_PER_S)
#define READ_SIZE ((size_t)256 << 10)
#define STEPS_MAX 8
#define PROTOCOL_VERSION 1
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000
#define WAITING_NOTE_NS (5 * NS_PER_S)

struct slot {
    uint32_t stream; /* 0: free */
    struct client_request request;
};

struct client {
    struct command_context *context;
    const struct target *target; /* borrowed while connecting */
    char *target_name;
    const struct transport *transport;
    const char *reason;
    struct link *link;
    struct loop *loop;
    bool owns_loop;
    struct client_options options;
    int64_t started_ns;
    struct peer *peer;
    struct client_node node;
    struct client_step steps[STEPS_MAX];
    size_t step_count;
    struct slot slots[PEER_STREAMS_MAX];
    int64_t heard_ns; /* when something last came */
    int64_t idle_ns;  /* silence after which the link is dead */
    struct loop_timer *liveness;
    uint8_t *buffer; /* READ_SIZE bytes */
    bool has_failed;
    struct error failure; /* the first one; final */
};

/* ---- connecting ---- */

static void add_step(struct client *c, const char *name, int64_t since_ns,
                     const char *detail)
{
    if (c->step_count < STEPS_MAX) {
        c->steps[c->step_count++] = (struct client_step){
            .name = name,
            .duration_ns = clock_monotonic_ns() - since_ns,
            .detail = xstrdup(detail),
        };
    }
}

/* The wait for the far end's first words. */
struct opening {
    struct client *client;
    struct marker marker;
    enum marker_kind kind;
    struct json *facts;
    bool is_done;
    struct error error; /* set: it failed */
    int upload_fd;      /* the executor's file while it is sent, else -1 */
    uint64_t upload_bytes, uploaded_bytes;
    struct strbuf early;                /* what came behind the marker */
    struct loop_timer *deadline, *note; /* NULL: not set, or it fired */
    int64_t timeout_ms; /* 0: none; progress of an upload begins it anew */
};

static void opening_fail(struct opening *o)
{
    o->is_done = true;
}

static void opening_ended(struct opening *o)
{
    struct strbuf *noise = &o->marker.noise;
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    terminal_make_safe(noise->data, noise->length, &safe);
    (void)link_explain(o->client->link, safe.data, &o->error);
    opening_fail(o);
}

static void opening_deadline(void *context);

static void arm_deadline(struct opening *o)
{
    struct loop *loop = o->client->loop;
    loop_timer_cancel(loop, o->deadline);
    o->deadline =
        o->timeout_ms > 0
            ? loop_timer_at(loop, clock_monotonic_ns() + o->timeout_ms * NS_PER_MS,
                            opening_deadline, o)
            : NULL;
}

static void opening_read(void *context, int fd, unsigned events)
{
    (void)events;
    struct opening *o = context;
    struct client *c = o->client;
    ssize_t length = fdio_read(fd, c->buffer, READ_SIZE);
    if (length < 0 && (errno == EAGAIN)) {
        return;
    }
    if (length <= 0) {
        opening_ended(o);
        return;
    }
    size_t used = 0;
    if (marker_input(&o->marker, c->buffer, (size_t)length, &used, &o->kind, &o->facts,
                     &o->error) != 0) {
        (void)error_wrap(&o->error, "%s", c->target_name);
        opening_fail(o);
        return;
    }
    if (o->kind != MARKER_NONE) {
        if (strbuf_add(&o->early, c->buffer + used, (size_t)length - used, &o->error) !=
            0) {
            opening_fail(o);
        }
        o->is_done = true;
    }
}

static void opening_write(void *context, int fd, unsigned events)
{
    (void)events;
    struct opening *o = context;
    struct client *c = o->client;
    ssize_t length =
        fdio_pread_full(o->upload_fd, c->buffer, READ_SIZE, o->uploaded_bytes);
    if (length < 0) {
        (void)error_sys(&o->error, "read the executor");
        opening_fail(o);
        return;
    }
    ssize_t written = length > 0 ? fdio_write(fd, c->buffer, (size_t)length) : 0;
    if (written < 0 && (errno == EAGAIN)) {
        return;
    }
    if (written < 0) { /* the far end says why, or it ended */
        loop_unwatch(c->loop, fd);
        return;
    }
    o->uploaded_bytes += (uint64_t)written;
    arm_deadline(o);
    terminal_progress(c->context->terminal, "sending the executor", o->uploaded_bytes,
                      o->upload_bytes);
    if (o->uploaded_bytes >= o->upload_bytes || written == 0) {
        loop_unwatch(c->loop, fd);
    }
}

static void opening_deadline(void *context)
{
    struct opening *o = context;
    struct client *c = o->client;
    o->deadline = NULL;
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    terminal_make_safe(o->marker.noise.data, o->marker.noise.length, &safe);
    (void)error_set(&o->error, ERR_TIMED_OUT, "%s: login: no answer from the far end%s%s",
                    c->target_name, safe.length > 0 ? "; it said: " : "", safe.data);
    (void)error_hint(&o->error,
                     "try it by hand: ssh %s; `connect_timeout` and `login_timeout` set "
                     "how long errand waits",
                     c->target->host != NULL ? c->target->host : "");
    opening_fail(o);
}

static void opening_waits(void *context)
{
    struct opening *o = context;
    o->note = NULL;
    terminal_note(o->client->context->terminal, "waiting for %s to answer",
                  o->client->target_name);
}

static bool is_interrupted(const struct client *c)
{
    return c->options.is_interrupted != NULL && *c->options.is_interrupted;
}

/* Handle events until the opening is done. timeout_ms 0: no deadline. */
static int opening_wait(struct opening *o, int64_t timeout_ms, struct error *err)
{
    struct client *c = o->client;
    o->is_done = false;
    o->kind = MARKER_NONE;
    o->timeout_ms = timeout_ms;
    arm_deadline(o);
    o->note =
        loop_timer_at(c->loop, clock_monotonic_ns() + WAITING_NOTE_NS, opening_waits, o);
    loop_watch(c->loop, link_read_fd(c->link), LOOP_READ, opening_read, o);
    int result = 0;
    while (result == 0 && !o->is_done && !is_interrupted(c)) {
        result = loop_step(c->loop, -1, err);
    }
    loop_timer_cancel(c->loop, o->note);
    loop_timer_cancel(c->loop, o->deadline);
    o->note = NULL;
    o->deadline = NULL;
    loop_unwatch(c->loop, link_read_fd(c->link));
    loop_unwatch(c->loop, link_write_fd(c->link));
    terminal_progress_clear(c->context->terminal);
    if (result == 0 && !o->is_done) {
        result = error_set(err, ERR_CANCELED, "%s: interrupted while connecting",
                           c->target_name);
    }
    if (result == 0 && o->error.code != ERR_NONE) {
        *err = o->error;
        result = -1;
    }
    return result;
}

/* The node has no executor of ours: find the right one for it. */
static int find_wanted(struct client *c, const char *words, struct executor_file *out,
                       struct error *err)
{
    char os[64];
    char machine[64];
    struct utsname here;
    if (install_answer(words, c->target_name, os, machine, err) != 0) {
        return -1;
    }
    if (uname(&here) == 0 && strcmp(here.sysname, os) == 0 &&
        strcmp(here.machine, machine) == 0) {
        return executor_file_find(out, err);
    }
    return executor_file_find_platform(c->context->config, os, machine, out, err);
}

/* The first connection: send the executor and wait for its marker. */
static int bring_executor(struct opening *o, int64_t timeout_ms, struct error *err)
{
    struct client *c = o->client;
    struct executor_file file = {0};
    int64_t since = clock_monotonic_ns();
    if (find_wanted(c, o->marker.line.data, &file, err) != 0) {
        return -1;
    }
    CLEANUP_FD int fd = open(file.path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? error_sys(err, "open %s", file.path) : 0;
    o->upload_fd = fd;
    o->upload_bytes = file.size_bytes;
    executor_file_release(&file);
    if (result != 0) {
        return -1;
    }
    marker_release(&o->marker);
    marker_init(&o->marker);
    strbuf_reset(&o->early);
    loop_watch(c->loop, link_write_fd(c->link), LOOP_WRITE, opening_write, o);
    if (opening_wait(o, timeout_ms, err) != 0) {
        return -1;
    }
    if (o->kind == MARKER_IS_BOOTSTRAP) {
        char os[64];
        char machine[64];
        if (install_answer(o->marker.line.data, c->target_name, os, machine, err) == 0) {
            return error_set(err, ERR_BOOTSTRAP,
                             "%s: the node asked for the executor twice", c->target_name);
        }
        return -1;
    }
    c->node.was_installed = true;
    add_step(c, "install", since, "the executor was brought along");
    return 0;
}

static int copy_fact(const struct json *facts, const char *key, char *out, size_t size,
                     struct error *err)
{
    const char *text = NULL;
    if (json_get_string(facts, "executor's marker", key, &text, err) != 0) {
        return -1;
    }
    if (strlen(text) >= size) {
        return error_set(err, ERR_PROTOCOL, "executor's marker: %s is too long", key);
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_facts(struct client *c, const struct json *facts, struct error *err)
{
    int64_t protocol = 0;
    int64_t node_utc_ms = 0;
    const char *version = NULL;
    const char *platform = NULL;
    const char *root = NULL;
    if (json_get_integer(facts, "executor's marker", "protocol", 0, 1000000, &protocol,
                         err) != 0) {
        return -1;
    }
    if (protocol != PROTOCOL_VERSION) {
        return error_set(err, ERR_VERSION,
                         "%s: the executor speaks protocol %lld, this errand %d",
                         c->target_name, (long long)protocol, PROTOCOL_VERSION);
    }
    if (copy_fact(facts, "store", c->node.store, sizeof c->node.store, err) != 0 ||
        copy_fact(facts, "node", c->node.node, sizeof c->node.node, err) != 0 ||
        copy_fact(facts, "boot", c->node.boot, sizeof c->node.boot, err) != 0 ||
        json_get_string(facts, "executor's marker", "version", &version, err) != 0 ||
        json_get_string(facts, "executor's marker", "platform", &platform, err) != 0 ||
        json_get_string(facts, "executor's marker", "root", &root, err) != 0 ||
        json_get_time(facts, "executor's marker", "time", &node_utc_ms, err) != 0) {
        return -1;
    }
    c->node.version = xstrdup(version);
    c->node.platform = xstrdup(platform);
    c->node.root = xstrdup(root);
    c->node.clock_skew_ms = node_utc_ms - clock_utc_ms();
    return 0;
}

static void send_hello(struct client *c)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(now, clock_utc_ms());
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_integer(body, "protocol", PROTOCOL_VERSION);
    json_add_string(body, "controller", c->context->home->controller);
    json_add_string(body, "version", ERRAND_VERSION);
    (void)json_add(body, "features", json_new_array());
    json_add_string(body, "time", now);
    peer_send(c->peer, 0, MSG_HELLO, body);
}

/* ---- the connection ---- */

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

static struct slot *find_slot(struct client *c, uint32_t stream)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
        if (c->slots[i].stream == stream) {
            return &c->slots[i];
        }
    }
    return NULL;
}

static int dispatch(struct client *c, const struct peer_event *event, struct error *err)
{
    if (event->stream == 0) {
        if (event->type == MSG_ERROR) {
            message_to_error(event->json, err);
            return error_wrap(err, "%s", c->target_name);
        }
        return 0;
    }
    struct slot *slot = find_slot(c, event->stream);
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
    if (data_length > 0) {
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

static void link_can_write(void *context, int fd, unsigned events);

int client_flush(struct client *c, struct error *err)
{
    int fd = link_write_fd(c->link);
    for (;;) {
        size_t length = 0;
        const void *data = peer_output(c->peer, &length);
        if (length == 0) {
            break;
        }
        ssize_t written = fdio_write(fd, data, length);
        if (written < 0 && (errno == EAGAIN)) {
            loop_watch(c->loop, fd, LOOP_WRITE, link_can_write, c);
            return 0;
        }
        if (written < 0) {
            lost(c, strerror(errno));
            *err = c->failure;
            return -1;
        }
        peer_output_done(c->peer, (size_t)written);
    }
    loop_watch(c->loop, fd, 0, link_can_write, c);
    return 0;
}

static void link_can_write(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    struct client *c = context;
    struct error err = ERROR_INIT;
    if (client_flush(c, &err) == 0) {
        offer_room(c);
    }
}

static void take_input(struct client *c, const void *data, size_t length)
{
    struct error err = ERROR_INIT;
    struct peer_event event;
    int more = 0;
    if (peer_input(c->peer, data, length, &err) != 0) {
        (void)error_wrap(&err, "%s", c->target_name);
        fail(c, &err);
        return;
    }
    while ((more = peer_next(c->peer, &event, &err)) == 1) {
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

static void link_can_read(void *context, int fd, unsigned events)
{
    (void)events;
    struct client *c = context;
    ssize_t length = fdio_read(fd, c->buffer, READ_SIZE);
    if (length < 0 && (errno == EAGAIN)) {
        return;
    }
    if (length <= 0) {
        lost(c, length == 0 ? "the far end closed it" : strerror(errno));
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
    int64_t silence = now - c->heard_ns;
    if (silence >= c->idle_ns) {
        char text[CLOCK_TEXT_SIZE];
        clock_format_duration(text, silence / NS_PER_MS);
        CLEANUP_FREE char *why = xasprintf("nothing came for %s", text);
        lost(c, why);
        return;
    }
    int64_t ping_ns = PING_AFTER_NS < c->idle_ns / 3 ? PING_AFTER_NS : c->idle_ns / 3;
    if (silence >= ping_ns && peer_is_answered(c->peer)) {
        peer_ping(c->peer);
    }
    c->liveness = loop_timer_at(c->loop, now + ping_ns, check_liveness, c);
}

static void start_protocol(struct client *c, const struct strbuf *early)
{
    c->peer = peer_new(PEER_CONTROLLER);
    c->heard_ns = clock_monotonic_ns();
    loop_watch(c->loop, link_read_fd(c->link), LOOP_READ, link_can_read, c);
    send_hello(c);
    check_liveness(c);
    if (early->length > 0) {
        take_input(c, early->data, early->length);
    }
}

static int open_link(struct client *c, struct error *err)
{
    const struct config *config = c->context->config;
    struct executor_file file = {0};
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct transport_options transport = {
        .connect_timeout_ms = config_integer(config, "connect_timeout"),
        .login_timeout_ms = config_integer(config, "login_timeout"),
        .may_ask = c->options.may_ask,
        .want_accept_new = c->options.want_accept_new,
        .ssh_program = config_string(config, "ssh"),
    };
    c->transport = transport_find(c->target, &c->reason, err);
    if (c->transport == NULL || executor_file_find(&file, err) != 0) {
        return -1;
    }
    int result = 0;
    if (c->target->host != NULL) {
        result = install_line(&file, c->target->root, &line, err);
        transport.command = line.data;
    }
    executor_file_release(&file);
    if (result == 0) {
        c->link = c->transport->open(c->target, &transport, err);
    }
    return c->link != NULL ? 0 : -1;
}

struct client *client_start(struct command_context *context, const struct target *target,
                            const struct client_options *options, struct error *err)
{
    if (command_config(context, err) == NULL) {
        return NULL;
    }
    struct client *c = xcalloc(1, sizeof *c);
    c->context = context;
    c->target = target;
    c->options = *options;
    c->target_name = xstrdup(target->name);
    c->idle_ns = config_integer(context->config, "idle_timeout") * NS_PER_MS;
    c->loop = options->loop != NULL ? options->loop : loop_new();
    c->owns_loop = options->loop == NULL;
    c->buffer = xmalloc(READ_SIZE);
    c->started_ns = clock_monotonic_ns();
    if (open_link(c, err) != 0) {
        client_free(c);
        return NULL;
    }
    return c;
}

/* The marker, the executor where it is missing, and the facts. */
static int open_protocol(struct client *c, struct opening *o, struct error *err)
{
    const struct config *config = c->context->config;
    /* ssh asks by itself, and nobody knows how long a person takes; the handshake has
     * ssh's own deadline. */
    int64_t timeout_ms = c->options.may_ask ? 0
                                            : config_integer(config, "connect_timeout") +
                                                  config_integer(config, "login_timeout");
    if (opening_wait(o, timeout_ms, err) != 0) {
        return -1;
    }
    add_step(c, "connect", c->started_ns, c->transport->name);
    if (o->kind == MARKER_IS_BOOTSTRAP &&
        bring_executor(o, config_integer(config, "idle_timeout"), err) != 0) {
        return -1;
    }
    if (take_facts(c, o->facts, err) != 0) {
        return -1;
    }
    start_protocol(c, &o->early);
    return 0;
}

int client_wait(struct client *c, struct error *err)
{
    struct opening opening = {.client = c, .upload_fd = -1};
    marker_init(&opening.marker);
    strbuf_init(&opening.early, READ_SIZE);
    int result = open_protocol(c, &opening, err);
    json_free(opening.facts);
    marker_release(&opening.marker);
    strbuf_release(&opening.early);
    c->target = NULL;
    return result;
}

struct client *client_connect(struct command_context *context,
                              const struct target *target,
                              const struct client_options *options, struct error *err)
{
    struct client *c = client_start(context, target, options, err);
    if (c != NULL && client_wait(c, err) != 0) {
        client_free(c);
        return NULL;
    }
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->link != NULL) {
        loop_unwatch(c->loop, link_read_fd(c->link));
        loop_unwatch(c->loop, link_write_fd(c->link));
    }
    loop_timer_cancel(c->loop, c->liveness);
    link_free(c->link);
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
    free(c->target_name);
    free(c->buffer);
    free(c);
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

/* ---- requests ---- */

uint32_t client_open(struct client *c, const struct client_request *request,
                     struct error *err)
{
    struct slot *slot = find_slot(c, 0);
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

void client_abandon(struct client *c, uint32_t stream)
{
    struct slot *slot = stream != 0 ? find_slot(c, stream) : NULL;
    if (slot != NULL) {
        slot->stream = 0;
        peer_send(c->peer, stream, MSG_RESET, NULL);
    }
}

int client_step(struct client *c, struct error *err)
{
    if (!c->has_failed &&
        (client_flush(c, err) != 0 || loop_step(c->loop, -1, err) != 0)) {
        return -1;
    }
    if (c->has_failed) {
        *err = c->failure;
        return -1;
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

struct question {
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
        message_to_error(event->json, &q->error);
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
    struct question question = {.report = report, .context = context, .out_end = out_end};
    struct client_request request = {.context = &question, .event = question_event};
    uint32_t stream = client_open(c, &request, err);
    if (stream == 0) {
        return -1;
    }
    peer_send(c->peer, stream, type, body);
    if (client_run(c, &question.is_done, err) != 0) {
        return -1;
    }
    if (question.has_error) {
        *err = question.error;
        return error_wrap(err, "%s", c->target_name);
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
