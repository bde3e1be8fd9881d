#include "controller/client_internal.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define WAITING_NOTE_NS (5 * NS_PER_S)
#define NOISE_SHOWN_MAX 200
#define KEEPER_TIMEOUT_MS 5000 /* a keeper answers at once */

static void add_step(struct client *c, const char *name, int64_t since_ns,
                     const char *detail)
{
    if (c->step_count < CLIENT_STEPS_MAX) {
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

/* The last line of what came before the marker, made safe: append. */
static void append_noise(const struct opening *o, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf noise = STRBUF_INIT;
    marker_noise(&o->marker, &noise);
    const char *end = noise.data + noise.length;
    while (end > noise.data && strchr(" \t\r\n", end[-1]) != NULL) {
        end--;
    }
    const char *line = end;
    while (line > noise.data && line[-1] != '\n' && end - line < NOISE_SHOWN_MAX) {
        line--;
    }
    terminal_make_safe(line, (size_t)(end - line), out);
}

/* There will be no executor: say why. */
static void opening_explain(struct opening *o, struct link_end end)
{
    CLEANUP_STRBUF struct strbuf noise = STRBUF_INIT;
    append_noise(o, &noise);
    end.noise = noise.data;
    (void)link_explain(o->client->link, &end, &o->error);
    opening_fail(o);
}

static void opening_object(struct opening *o, const struct error *cause)
{
    opening_explain(o, (struct link_end){.cause = cause});
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

static void opening_ready(void *context, unsigned events);

static void watch_link(struct opening *o, unsigned events)
{
    link_watch(o->client->link, o->client->loop, events, opening_ready, o);
}

static void opening_read(struct opening *o)
{
    struct client *c = o->client;
    ssize_t length = link_read(c->link, c->buffer, CLIENT_READ_SIZE);
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    c->spoke_ns = c->spoke_ns != 0 ? c->spoke_ns : clock_monotonic_ns();
    if (length <= 0) {
        opening_explain(o, (struct link_end){0});
        return;
    }
    size_t used = 0;
    struct error cause = ERROR_INIT;
    if (marker_input(&o->marker, c->buffer, (size_t)length, &used, &o->kind, &o->facts,
                     &cause) != 0) {
        opening_object(o, &cause);
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

static void opening_write(struct opening *o)
{
    struct client *c = o->client;
    ssize_t length =
        fdio_pread_full(o->upload_fd, c->buffer, CLIENT_READ_SIZE, o->uploaded_bytes);
    if (length < 0) {
        (void)error_sys(&o->error, "read the executor");
        opening_fail(o);
        return;
    }
    ssize_t written = length > 0 ? link_write(c->link, c->buffer, (size_t)length) : 0;
    if (written < 0 && errno == EAGAIN) {
        return;
    }
    if (written < 0) { /* the far end says why, or it ended */
        watch_link(o, LOOP_READ);
        return;
    }
    o->uploaded_bytes += (uint64_t)written;
    arm_deadline(o);
    terminal_progress(c->context->terminal, "sending the executor", o->uploaded_bytes,
                      o->upload_bytes);
    if (o->uploaded_bytes >= o->upload_bytes || written == 0) {
        watch_link(o, LOOP_READ);
    }
}

static void opening_ready(void *context, unsigned events)
{
    struct opening *o = context;
    if ((events & LOOP_WRITE) != 0) {
        opening_write(o);
    }
    if ((events & LOOP_READ) != 0 && !o->is_done) {
        opening_read(o);
    }
}

static void opening_deadline(void *context)
{
    struct opening *o = context;
    o->deadline = NULL;
    if (link_may_be_asking(o->client->link)) { /* nobody knows how long a person takes */
        arm_deadline(o);
        return;
    }
    opening_explain(o, (struct link_end){.late_ms = o->timeout_ms});
}

static void opening_waits(void *context)
{
    struct opening *o = context;
    o->note = NULL;
    if (!o->client->options.is_again) {
        terminal_note(o->client->context->terminal, "waiting for %s to answer",
                      o->client->target_name);
    }
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
    watch_link(o, LOOP_READ | (o->upload_fd >= 0 ? LOOP_WRITE : 0));
    int result = 0;
    while (result == 0 && !o->is_done && !client_is_interrupted(c)) {
        result = loop_step(c->loop, -1, err);
    }
    loop_timer_cancel(c->loop, o->note);
    loop_timer_cancel(c->loop, o->deadline);
    o->note = NULL;
    o->deadline = NULL;
    link_unwatch(c->link);
    terminal_progress_clear(c->context->terminal);
    if (result == 0 && !o->is_done) {
        result = error_set(err, ERR_CANCELED, "%s: interrupted while connecting",
                           c->target_name);
    }
    if (result == 0 && o->error.code != ERR_NONE) {
        (void)error_copy(err, &o->error);
        result = -1;
    }
    return result;
}

/* What came is not what was to come: explain and give up. */
static int opening_refuse(struct opening *o, const struct error *cause, struct error *err)
{
    opening_object(o, cause);
    return error_copy(err, &o->error);
}

/* The first connection: send the executor and wait for its marker. */
static int bring_executor(struct opening *o, int64_t timeout_ms, struct error *err)
{
    struct client *c = o->client;
    struct error cause = ERROR_INIT;
    int64_t since = clock_monotonic_ns();
    const struct executor_file *file =
        install_answer(o->marker.line.data, c->target->settings, &c->executors, &cause);
    if (file == NULL) {
        return opening_refuse(o, &cause, err);
    }
    CLEANUP_FD int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_sys(err, "open %s", file->path);
    }
    o->upload_fd = fd;
    o->upload_bytes = file->size_bytes;
    marker_release(&o->marker);
    marker_init(&o->marker);
    strbuf_reset(&o->early);
    if (opening_wait(o, timeout_ms, err) != 0) {
        return -1;
    }
    if (o->kind == MARKER_IS_BOOTSTRAP) {
        if (install_answer(o->marker.line.data, c->target->settings, &c->executors,
                           &cause) != NULL) {
            error_set(&cause, ERR_BOOTSTRAP, "the node asked for the executor twice");
        }
        return opening_refuse(o, &cause, err);
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

/* The executor of ours for a platform as the marker has it ("linux-x86_64"); the first
 * where there is none. */
static const struct executor_file *wanted_for(const struct client *c,
                                              const char *platform)
{
    for (size_t i = 0; i < c->executors.count; i++) {
        if (strcasecmp(platform, c->executors.items[i].platform) == 0) {
            return &c->executors.items[i];
        }
    }
    return &c->executors.items[0];
}

/* Both ends are one release: what runs there must be the very file that was asked for. A
 * node could lie, but it runs our runs in any case; what this finds is a file that was
 * changed or damaged, and a wrapper in its place that starts another one. */
static int check_digest(const struct client *c, const struct json *facts,
                        struct error *err)
{
    const char *digest = NULL;
    if (json_get_string(facts, "executor's marker", "digest", &digest, err) != 0) {
        return -1;
    }
    const char *wanted = wanted_for(c, c->node.platform)->digest;
    if (strcmp(digest, wanted) == 0) {
        return 0;
    }
    error_set(
        err, ERR_BOOTSTRAP,
        "another executor answered (%.12s) than the one that was asked for (%.12s): "
        "its file in %s/bin was changed or is a wrapper",
        digest, wanted, c->node.root);
    return error_hint(err,
                      "remove errand-executor-%.12s... there; the next connection brings "
                      "it anew",
                      wanted);
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
    if (protocol != CLIENT_PROTOCOL) {
        error_set(err, ERR_VERSION, "the executor speaks protocol %lld, this errand %d",
                  (long long)protocol, CLIENT_PROTOCOL);
        return error_hint(err, "does a ForceCommand there start another executor? Each "
                               "errand needs its own");
    }
    if (marker_check(facts, err) != 0 ||
        copy_fact(facts, "store", c->node.store, sizeof c->node.store, err) != 0 ||
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
    return check_digest(c, facts, err);
}

/* The far end has spoken. */
static void note_timing(struct client *c)
{
    struct timing *timing = &c->context->timing;
    timing_span(timing, TIMING_CONNECTION, c->started_ns, c->spoke_ns);
    timing->connection = timing->connection != NULL ? timing->connection
                         : c->is_kept               ? "kept"
                                                    : c->transport->name;
    link_time(c->link, timing, c->spoke_ns);
}

/* The marker, the executor where it is missing, and the facts. */
static int open_protocol(struct client *c, struct opening *o, struct error *err)
{
    const struct config *config = c->context->config;
    int64_t timeout_ms = c->is_kept ? KEEPER_TIMEOUT_MS
                                    : config_integer(config, "connect_timeout") +
                                          config_integer(config, "login_timeout");
    if (opening_wait(o, timeout_ms, err) != 0) {
        return -1;
    }
    add_step(c, "connect", c->started_ns, c->transport->name);
    note_timing(c);
    if (o->kind == MARKER_IS_BOOTSTRAP &&
        bring_executor(o, config_integer(config, "idle_timeout"), err) != 0) {
        return -1;
    }
    struct error cause = ERROR_INIT;
    if (take_facts(c, o->facts, &cause) != 0) {
        return opening_refuse(o, &cause, err);
    }
    c->facts = TAKE_PTR(o->facts);
    client_start_protocol(c, o->early.data, o->early.length);
    return 0;
}

int client_open_once(struct client *c, struct error *err)
{
    struct opening opening = {.client = c, .upload_fd = -1};
    marker_init(&opening.marker);
    strbuf_init(&opening.early, CLIENT_READ_SIZE);
    int result = open_protocol(c, &opening, err);
    json_free(opening.facts);
    marker_release(&opening.marker);
    strbuf_release(&opening.early);
    return result;
}
