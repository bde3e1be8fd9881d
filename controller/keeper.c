#include "controller/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/localsocket.h"
#include "common/marker.h"
#include "common/variables.h"
#include "controller/background.h"
#include "controller/client.h"
#include "controller/keeper_lock.h"
#include "controller/mux.h"

#define SEATS_MAX 16
#define READ_SIZE ((size_t)256 << 10)
#define WATCH_NS NS_PER_S        /* between looks at the socket file and the clock */
#define SLEPT_NS (20 * NS_PER_S) /* a machine that stood still for so long has slept */
/* A link that nobody used may have died unseen: whoever comes first has it asked, and one
 * that says nothing for so long is left. It carried nothing else that the answer would
 * have to wait for. */
#define PROBE_NS (NS_PER_S + NS_PER_S / 2)
#define LINK_HIGH ((size_t)16 << 20) /* nobody is read while so much waits */
#define CLIENT_HIGH PEER_INPUT_MAX   /* a client that takes so much too little is left */
/* A client is not read while so much of its own DATA waits: one that pushes over a narrow
 * link does not keep another one's cancel from overtaking it. */
#define CLIENT_QUEUED_MAX PEER_OUTPUT_HIGH

struct keeper;

/* A command that uses the link. */
struct seat {
    struct keeper *keeper; /* NULL: free */
    int fd;
    struct strbuf marker; /* the first line, and what of it was written */
    size_t marker_done;
    struct mux_client *client;
};

struct keeper {
    const struct keeper_place *place;
    struct client *link;
    struct loop *loop;
    struct mux *mux;
    int listen_fd;
    struct stat socket; /* of the file in the folder */
    struct seat seats[SEATS_MAX];
    size_t seat_count;
    int64_t idle_since_ns;
    int64_t looked_ns; /* boot time of the last look */
    int64_t probed_ns; /* when the link was last asked */
    bool is_probing, is_dead, is_over;
    uint8_t *buffer; /* READ_SIZE bytes */
};

/* ---- the link, for the mux ---- */

static uint32_t open_stream(void *context, mux_handler *handler, void *stream)
{
    struct keeper *k = context;
    const struct client_request request = {
        .context = stream, .event = handler, .gives_credit = true};
    return client_open(k->link, &request, NULL);
}

static void abandon_stream(void *context, uint32_t stream)
{
    struct keeper *k = context;
    client_abandon(k->link, stream);
}

/* ---- seats ---- */

static void leave(struct seat *seat)
{
    struct keeper *k = seat->keeper;
    loop_unwatch(k->loop, seat->fd);
    fdio_close(&seat->fd);
    strbuf_release(&seat->marker);
    mux_leave(seat->client);
    seat->keeper = NULL;
    k->seat_count--;
    k->idle_since_ns = clock_monotonic_ns();
}

/* The executor's own words, at the time of now. */
static void write_marker(const struct keeper *k, struct strbuf *out)
{
    char now[CLOCK_TEXT_SIZE];
    CLEANUP_JSON struct json *facts = json_new_object();
    for (const struct json *f = json_first(client_facts(k->link)); f != NULL;
         f = json_next(f)) {
        if (strcmp(json_key(f), "time") != 0) {
            (void)json_add(facts, json_key(f), json_copy(f));
        }
    }
    clock_format(now, clock_utc_ms() + client_node(k->link)->clock_skew_ms);
    json_add_string(facts, "time", now);
    strbuf_puts(out, "\n" MARKER_EXECUTOR);
    json_write(facts, false, out);
    strbuf_puts(out, "\n");
}

/* Write what waits for the seat. False: it is gone. */
static bool write_seat(struct seat *seat)
{
    for (;;) {
        size_t length = seat->marker.length - seat->marker_done;
        bool is_marker = length > 0;
        const void *data = is_marker ? seat->marker.data + seat->marker_done
                                     : mux_output(seat->client, &length);
        if (length == 0) {
            return true;
        }
        ssize_t written = fdio_write(seat->fd, data, length);
        if (written < 0) {
            return errno == EAGAIN && mux_pending(seat->client) <= CLIENT_HIGH;
        }
        if (is_marker) {
            seat->marker_done += (size_t)written;
        } else {
            mux_output_done(seat->client, (size_t)written);
        }
    }
}

static void seat_ready(void *context, int fd, unsigned events)
{
    struct seat *seat = context;
    struct keeper *k = seat->keeper;
    if ((events & LOOP_READ) == 0) {
        return;
    }
    ssize_t length = fdio_read(fd, k->buffer, READ_SIZE);
    if (length < 0 && errno == EAGAIN) {
        return;
    }
    if (length <= 0 || mux_input(seat->client, k->buffer, (size_t)length, NULL) != 0) {
        leave(seat);
    }
    mem_wipe(k->buffer, length > 0 ? (size_t)length : 0);
}

static void look_for_answer(void *context)
{
    struct keeper *k = context;
    k->is_probing = false;
    k->is_dead = client_heard_ns(k->link) < k->probed_ns;
    k->is_over = k->is_over || k->is_dead;
}

/* Does the link still lead anywhere? */
static void probe(struct keeper *k)
{
    struct peer *peer = client_peer(k->link);
    if (k->is_probing) {
        return;
    }
    k->is_probing = true;
    k->probed_ns = clock_monotonic_ns();
    if (peer_is_answered(peer)) {
        peer_ping(peer);
    }
    (void)loop_timer_at(k->loop, k->probed_ns + PROBE_NS, look_for_answer, k);
}

static void take_seat(struct keeper *k, int fd)
{
    if (k->seat_count == 0) {
        probe(k);
    }
    for (size_t i = 0; i < SEATS_MAX; i++) {
        struct seat *seat = &k->seats[i];
        if (seat->keeper == NULL) {
            *seat = (struct seat){.keeper = k, .fd = fd, .client = mux_join(k->mux)};
            /* What a node said may be longer when it is said again. */
            strbuf_init(&seat->marker, STRBUF_TEXT_LIMIT);
            write_marker(k, &seat->marker);
            k->seat_count++;
            return;
        }
    }
    fdio_close(&fd); /* it connects by itself */
}

static void somebody_comes(void *context, int listen_fd, unsigned events)
{
    (void)events;
    int fd = localsocket_accept(listen_fd);
    if (fd >= 0) {
        take_seat(context, fd);
    }
}

/* Hand on what came in this turn, and say what to wait for in the next. */
static void serve_seats(struct keeper *k)
{
    mux_settle(k->mux);
    bool is_link_full = peer_pending(client_peer(k->link)) > LINK_HIGH;
    for (size_t i = 0; i < SEATS_MAX; i++) {
        struct seat *seat = &k->seats[i];
        if (seat->keeper == NULL) {
            continue;
        }
        if (!write_seat(seat)) {
            leave(seat);
            continue;
        }
        bool has_more =
            seat->marker_done < seat->marker.length || mux_pending(seat->client) > 0;
        bool is_read = !is_link_full && mux_queued(seat->client) < CLIENT_QUEUED_MAX;
        loop_watch(k->loop, seat->fd,
                   (is_read ? LOOP_READ : 0) | (has_more ? LOOP_WRITE : 0), seat_ready,
                   seat);
    }
}

/* ---- its end ---- */

static bool is_file_ours(const struct keeper *k)
{
    CLEANUP_FREE char *path = files_join(k->place->folder, k->place->name);
    struct stat st;
    return lstat(path, &st) == 0 && st.st_ino == k->socket.st_ino &&
           st.st_dev == k->socket.st_dev;
}

/* Every second: is there a reason to end? */
static void look(void *context)
{
    struct keeper *k = context;
    int64_t boot_ns = clock_boottime_ns();
    bool has_slept = boot_ns - k->looked_ns > WATCH_NS + SLEPT_NS;
    bool is_unused = k->seat_count == 0 && clock_monotonic_ns() - k->idle_since_ns >=
                                               k->place->idle_ms * NS_PER_MS;
    k->looked_ns = boot_ns;
    k->is_over = k->is_over || has_slept || is_unused || !is_file_ours(k);
    (void)loop_timer_at(k->loop, clock_monotonic_ns() + WATCH_NS, look, k);
}

static void asked_to_end(void *context, int signal_number)
{
    struct keeper *k = context;
    (void)signal_number;
    k->is_over = true;
}

/* Whatever ended the link, for who used it it was lost: a connection of their own shows
 * whether there is more to it. */
static void tell_why(struct keeper *k, const struct error *why)
{
    struct error lost = *why;
    lost.code = ERR_LINK;
    serve_seats(k);
    mux_tell(k->mux, &lost);
    serve_seats(k);
}

static void serve(struct keeper *k)
{
    struct error err = ERROR_INIT;
    const struct mux_link link = {.peer = client_peer(k->link),
                                  .context = k,
                                  .open = open_stream,
                                  .abandon = abandon_stream};
    mem_wipe_freed(); /* a command's secrets pass through here */
    k->loop = loop_new();
    k->mux = mux_new(&link);
    k->buffer = xmalloc(READ_SIZE);
    k->idle_since_ns = clock_monotonic_ns();
    k->looked_ns = clock_boottime_ns();
    client_move(k->link, k->loop);
    loop_watch(k->loop, k->listen_fd, LOOP_READ, somebody_comes, k);
    if (loop_signal(k->loop, SIGTERM, asked_to_end, k, &err) != 0) {
        return;
    }
    look(k);
    while (!k->is_over && client_step(k->link, &err) == 0) {
        serve_seats(k);
    }
    if (k->is_dead) {
        (void)error_set(&err, ERR_LINK,
                        "%s: the connection that was kept leads nowhere any more",
                        k->place->target);
    }
    if (!k->is_over || k->is_dead) {
        tell_why(k, &err);
    }
    if (is_file_ours(k)) {
        CLEANUP_FREE char *path = files_join(k->place->folder, k->place->name);
        CLEANUP_FREE char *lock = xasprintf("%s.lock", path);
        (void)unlink(path);
        (void)unlink(lock); /* we hold it */
    }
}

/* ---- its beginning ---- */

/* Fork, where a socket is to be had. In the child it does not return. */
static void start(struct client *client, char **argv, struct keeper *k)
{
    const struct keeper_place *place = client_place(client);
    CLEANUP_FD int lock = keeper_lock(place, NULL);
    CLEANUP_FREE char *path = files_join(place->folder, place->name);
    CLEANUP_FD int listen_fd =
        lock < 0 ? -1 : localsocket_listen(place->folder, place->name, NULL);
    if (listen_fd < 0 || lstat(path, &k->socket) != 0) {
        client_free(client);
        return;
    }
    int side = background_leave(argv, place->title, place->password_env);
    if (side > 0) {
        k->place = place;
        k->link = client;
        k->listen_fd = listen_fd;
        serve(k);
        _exit(0); /* the kernel ends the link and frees the lock */
    }
    if (side == 0) {
        client_disown(client);
    } else {
        (void)unlink(path);
        client_free(client);
    }
}

void keeper_leave(struct client *client, char **argv)
{
    const struct keeper_place *place = client_place(client);
    if (place->folder == NULL || place->idle_ms <= 0 || !client_is_idle(client)) {
        client_free(client);
        return;
    }
    client_move(client, NULL);
    CLEANUP_FREE struct keeper *k = xcalloc(1, sizeof *k);
    start(client, argv, k);
}
