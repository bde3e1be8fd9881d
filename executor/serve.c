#include "executor/serve.h"

#include "common/cli.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/marker.h"
#include "common/variables.h"
#include "executor/install.h"
#include "executor/service.h"
#include "executor/silence.h"
#include "executor/supervise.h"
#include "executor/tidy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROTOCOL_VERSION 1
#define READ_BYTES ((size_t)256 << 10)
/* Freed memory that is kept: frames and packs come and go, and each return to the system
 * costs the faults of getting it again: a quarter of the time that a large push takes
 * here. Who had much gives it back at its end. */
#define HEAP_KEPT ((size_t)32 << 20)
/* How long events are handled before the other streams and the link have their turn. */
#define EVENTS_NS (5 * NS_PER_MS)
/* Above this much unwritten output nothing more is read: a controller that only asks and
 * never reads does not fill our memory. */
#define OUTPUT_HIGH ((size_t)8 << 20)
/* Runs without supervisors are adopted when the first requests were dealt with, at the
 * latest after ADOPT_FIRST_MS: a submission among them may bring the secrets that such a
 * run needs. Then again and again, because supervisors may die while somebody follows. */
#define ADOPT_FIRST_MS 1000
#define ADOPT_EVERY_MS 5000
#define GOODBYE_MS 2000 /* for the last words to a peer that broke the protocol */

struct stream {
    struct stream *next;
    uint32_t number;
    const struct service *service;
    void *request;
};

struct serve {
    struct connection connection;
    struct submissions submissions;
    struct stream *streams;
    struct silence silence;
    struct tidy_wish tidy; /* from HELLO */
    bool has_hello;
    bool has_backlog; /* events are waiting in the peer */
    bool has_adopted;
    bool is_full; /* the link takes no more until it polls writable */
    bool is_over;
    bool is_broken; /* by the other end */
    uint8_t *input; /* READ_BYTES; what was just read */
};

static void end_stream(struct stream **at)
{
    struct stream *stream = *at;
    *at = stream->next;
    stream->service->finish(stream->request);
    free(stream);
}

/* Free the requests whose streams are over. */
static void sweep_streams(struct serve *s)
{
    for (struct stream **at = &s->streams; *at != NULL;) {
        if (peer_is_open(s->connection.peer, (*at)->number)) {
            at = &(*at)->next;
        } else {
            end_stream(at);
        }
    }
}

static struct stream *find_stream(struct serve *s, uint32_t number)
{
    for (struct stream *stream = s->streams; stream != NULL; stream = stream->next) {
        if (stream->number == number) {
            return stream;
        }
    }
    return NULL;
}

/* The other end broke the protocol: say so and close. */
static void give_up(struct serve *s, const struct error *why)
{
    peer_send_error(s->connection.peer, 0, why);
    s->is_broken = true;
    s->is_over = true;
}

static int take_hello(struct serve *s, const struct json *body, struct error *err)
{
    const char *controller;
    int64_t version;
    if (json_get_integer(body, "HELLO", "protocol", 0, JSON_INTEGER_MAX, &version, err) <
            0 ||
        json_get_string(body, "HELLO", "controller", &controller, err) < 0) {
        return -1;
    }
    if (version != PROTOCOL_VERSION) {
        return error_set(err, ERR_VERSION,
                         "this executor speaks version %d of the protocol, not %lld",
                         PROTOCOL_VERSION, (long long)version);
    }
    (void)snprintf(s->connection.controller, sizeof s->connection.controller, "%s",
                   controller);
    tidy_read_wish(body, &s->tidy);
    s->has_hello = true;
    return 0;
}

static int open_stream(struct serve *s, const struct peer_event *event,
                       struct stream **out, struct error *err)
{
    const struct service *service = service_find(event->type);
    if (service == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "this executor knows no such request");
    }
    struct stream *stream = xcalloc(1, sizeof *stream);
    *stream =
        (struct stream){.number = event->stream, .service = service, .next = s->streams};
    stream->request = service->start(&s->connection, event->stream);
    s->streams = stream;
    *out = stream;
    return 0;
}

static int take_request(struct serve *s, const struct peer_event *event,
                        struct error *err)
{
    struct stream *stream = find_stream(s, event->stream);
    if (stream == NULL && event->opened && open_stream(s, event, &stream, err) < 0) {
        return -1;
    }
    if (stream == NULL || event->type == MSG_RESET) {
        return 0; /* it is over; the peer has answered a RESET itself */
    }
    return stream->service->event(stream->request, event, err);
}

/* One event. -1: the protocol is broken. */
static int take_event(struct serve *s, const struct peer_event *event, struct error *err)
{
    if (event->stream == 0) {
        if (event->type != MSG_HELLO || s->has_hello) {
            return error_set(err, ERR_PROTOCOL, "an unexpected message on stream 0");
        }
        return take_hello(s, event->json, err);
    }
    if (!s->has_hello) {
        return error_set(err, ERR_PROTOCOL, "a request came before HELLO");
    }
    struct error why = ERROR_INIT;
    if (take_request(s, event, &why) < 0) {
        peer_send_error(s->connection.peer, event->stream, &why);
    }
    return 0;
}

static void take_events(struct serve *s)
{
    int64_t deadline_ns = clock_monotonic_ns() + EVENTS_NS;
    struct error err = ERROR_INIT;
    struct peer_event event;
    s->has_backlog = false;
    for (;;) {
        int got = peer_next(s->connection.peer, &event, &err);
        if (got == 0) {
            return;
        }
        if (got < 0 || take_event(s, &event, &err) < 0) {
            give_up(s, &err);
            return;
        }
        if (clock_monotonic_ns() >= deadline_ns) {
            s->has_backlog = true;
            return;
        }
    }
}

/* Let every request do its piece. True where one wants to go on at once. */
static bool step_streams(struct serve *s)
{
    bool is_busy = false;
    for (struct stream *stream = s->streams; stream != NULL; stream = stream->next) {
        struct error why = ERROR_INIT;
        if (stream->service->step == NULL ||
            !peer_is_open(s->connection.peer, stream->number)) {
            continue;
        }
        int wants_more = stream->service->step(stream->request, &why);
        if (wants_more < 0) {
            peer_send_error(s->connection.peer, stream->number, &why);
        }
        is_busy |= wants_more > 0;
    }
    sweep_streams(s);
    return is_busy;
}

/* Failures are not reported: a run that cannot be adopted now is tried again, and this
 * connection is not about it. */
static void adopt(struct serve *s)
{
    s->has_adopted = true;
    (void)supervise_adopt_all(s->connection.root, NULL);
}

static void on_adopt_timer(void *context)
{
    struct serve *s = context;
    adopt(s);
    (void)loop_timer_at(s->connection.loop,
                        clock_monotonic_ns() + ADOPT_EVERY_MS * NS_PER_MS, on_adopt_timer,
                        s);
}

static void on_silence_timer(void *context)
{
    struct serve *s = context;
    int64_t next_ns;
    enum silence_verdict verdict =
        silence_judge(&s->silence, clock_monotonic_ns(), &next_ns);
    s->is_over |= verdict == SILENCE_DEAD;
    if (verdict == SILENCE_ASK) {
        peer_ping(s->connection.peer);
    }
    (void)loop_timer_at(s->connection.loop, next_ns, on_silence_timer, s);
}

static bool is_submitting(const struct serve *s)
{
    for (const struct stream *stream = s->streams; stream != NULL;
         stream = stream->next) {
        if (stream->service->opens == MSG_SUBMIT ||
            stream->service->opens == MSG_SECRETS ||
            stream->service->opens == MSG_BRING) {
            return true;
        }
    }
    return false;
}

static void on_input(void *context, int fd, unsigned events)
{
    struct serve *s = context;
    if ((events & LOOP_READ) == 0) {
        return;
    }
    ssize_t got = fdio_read(fd, s->input, READ_BYTES);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    struct error err = ERROR_INIT;
    silence_heard(&s->silence, clock_monotonic_ns());
    if (got <= 0) {
        s->is_over = true;
    } else if (peer_input(s->connection.peer, s->input, (size_t)got, &err) < 0) {
        give_up(s, &err);
    }
}

/* Write what there is, without waiting. */
static void write_output(struct serve *s)
{
    size_t length;
    const void *data = peer_output(s->connection.peer, &length);
    while (length > 0 && !s->is_full) {
        ssize_t written = fdio_write(STDOUT_FILENO, data, length);
        if (written < 0) {
            s->is_full = errno == EAGAIN;
            s->is_over |= errno != EAGAIN;
            return;
        }
        peer_output_done(s->connection.peer, (size_t)written);
        data = peer_output(s->connection.peer, &length);
    }
}

static void on_output(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    struct serve *s = context;
    s->is_full = false;
    write_output(s);
}

static void watch_link(struct serve *s)
{
    size_t pending = peer_pending(s->connection.peer);
    bool may_read = pending < OUTPUT_HIGH && !s->has_backlog;
    loop_watch(s->connection.loop, STDIN_FILENO, may_read ? LOOP_READ : 0, on_input, s);
    loop_watch(s->connection.loop, STDOUT_FILENO, pending > 0 ? LOOP_WRITE : 0, on_output,
               s);
}

static int run_connection(struct serve *s, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns();
    silence_heard(&s->silence, now_ns);
    (void)loop_timer_at(s->connection.loop, now_ns + ADOPT_FIRST_MS * NS_PER_MS,
                        on_adopt_timer, s);
    (void)loop_timer_at(s->connection.loop, now_ns + SILENCE_PING_NS, on_silence_timer,
                        s);
    while (!s->is_over) {
        take_events(s);
        bool is_busy = step_streams(s) || s->has_backlog;
        write_output(s);
        if (s->has_hello && !s->has_adopted && !is_busy && !is_submitting(s)) {
            adopt(s);
        }
        watch_link(s);
        if (!s->is_over && loop_step(s->connection.loop, is_busy ? 0 : -1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A peer that broke the protocol may still read why. */
static void say_goodbye(struct serve *s)
{
    int64_t deadline_ns = clock_monotonic_ns() + GOODBYE_MS * NS_PER_MS;
    s->is_over = false;
    loop_unwatch(s->connection.loop, STDIN_FILENO);
    loop_watch(s->connection.loop, STDOUT_FILENO, LOOP_WRITE, on_output, s);
    while (!s->is_over && peer_pending(s->connection.peer) > 0) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (left_ms <= 0 || loop_step(s->connection.loop, (int)left_ms, NULL) < 0) {
            return;
        }
    }
}

static void send_marker(const struct connection *c, struct strbuf *out)
{
    CLEANUP_JSON struct json *marker = json_new_object();
    json_add_integer(marker, "protocol", PROTOCOL_VERSION);
    json_add(marker, "features", json_new_array());
    json_add_string(marker, "version", ERRAND_VERSION);
    json_add_string(marker, "digest", c->executor);
    json_add_string(marker, "store", store_id(c->store));
    json_add_string(marker, "node", c->root->node);
    json_add_string(marker, "boot", c->root->boot);
    CLEANUP_FREE char *platform = noderoot_platform();
    json_add_string(marker, "platform", platform);
    json_add_time(marker, "time", clock_utc_ms());
    json_add_string(marker, "root", c->root->top);
    strbuf_puts(out, "\n" MARKER_EXECUTOR);
    json_write(marker, false, out);
    strbuf_putc(out, '\n');
}

struct serve_args {
    const char *root;
    const char *install;
    const char *digest;
};

static const struct cli_option options[] = {
    CLI_STRING(0, "root", "DIR", "the node's root; ~/.errand by default",
               offsetof(struct serve_args, root)),
    CLI_STRING(0, "install", "PATH", "take this name first, in the same folder",
               offsetof(struct serve_args, install)),
    CLI_STRING(0, "digest", "HEX", "what this program's file has to be, with --install",
               offsetof(struct serve_args, digest)),
    CLI_END,
};

static const struct cli_command command = {
    .name = "serve",
    .usage = "[options]",
    .help = "answer a controller on standard input and output",
    .options = options,
    .args_size_bytes = sizeof(struct serve_args),
};

static int serve_connection(const struct serve_args *args, bool *out_is_broken,
                            struct error *err)
{
    if (args->install != NULL &&
        install_self(args->install, args->digest != NULL ? args->digest : "", err) < 0) {
        return -1;
    }
    CLEANUP(noderoot_cleanup) struct noderoot *root = noderoot_open(args->root, err);
    if (root == NULL) {
        return -1;
    }
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(root, err);
    if (store == NULL) {
        return -1;
    }
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    CLEANUP(watcher_cleanup) struct watcher *watcher = watcher_new(loop, true);
    CLEANUP(peer_cleanup) struct peer *peer = peer_new(PEER_EXECUTOR);
    CLEANUP_FREE uint8_t *input = xmalloc(READ_BYTES);
    struct serve s = {.input = input,
                      .connection = {.root = root,
                                     .store = store,
                                     .peer = peer,
                                     .loop = loop,
                                     .watcher = watcher}};
    s.connection.submissions = &s.submissions;
    struct strbuf marker CLEANUP_STRBUF = STRBUF_INIT;
    if (noderoot_executor_digest(s.connection.executor, err) < 0 ||
        fdio_set_nonblocking(STDIN_FILENO, true, err) < 0 ||
        fdio_set_nonblocking(STDOUT_FILENO, true, err) < 0) {
        return -1;
    }
    fdio_widen_pipe(STDIN_FILENO, FDIO_PIPE_WIDE);
    fdio_widen_pipe(STDOUT_FILENO, FDIO_PIPE_WIDE);
    mem_keep_freed(HEAP_KEPT);
    send_marker(&s.connection, &marker);
    if (fdio_write_full(STDOUT_FILENO, marker.data, marker.length) == 0) {
        (void)run_connection(&s, NULL);
    }
    if (s.is_broken) {
        say_goodbye(&s);
    }
    while (s.streams != NULL) {
        end_stream(&s.streams);
    }
    if (!s.has_adopted) {
        adopt(&s);
    }
    tidy_start(root, s.connection.executor, &s.tidy);
    *out_is_broken = s.is_broken;
    return 0;
}

/* There is no connection yet: the words go where the bootstrap line's would
 * (PROTOCOL.md). */
static void say_why_not(const struct error *why)
{
    struct strbuf line CLEANUP_STRBUF = STRBUF_INIT;
    strbuf_printf(&line, "\n" MARKER_BOOTSTRAP "failed %s%s%s", why->text,
                  why->hint[0] != '\0' ? "; " : "", why->hint);
    for (size_t i = 1; i < line.length; i++) {
        if ((unsigned char)line.data[i] < ' ') {
            line.data[i] = ' ';
        }
    }
    strbuf_putc(&line, '\n');
    (void)fdio_write_full(STDOUT_FILENO, line.data, line.length);
}

int serve_main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct serve_args args = {0};
    char **operands;
    size_t operand_count;
    bool want_help = false, is_broken = false;
    if (argc < 1 || cli_parse(&command, argv + 1, &args, &operands, &operand_count,
                              &want_help, NULL, &err) < 0) {
        fprintf(stderr, "errand-executor serve: %s\n", err.text);
        return 2;
    }
    if (want_help) {
        struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
        cli_help("errand-executor", &command, &text);
        return fputs(text.data, stdout) < 0;
    }
    variables_forget(); /* what an outer run's script has is not for its runs */
    (void)signal(SIGPIPE, SIG_IGN);
    if (serve_connection(&args, &is_broken, &err) < 0) {
        say_why_not(&err);
        return 1;
    }
    return is_broken;
}
