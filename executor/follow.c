#include "executor/service.h"

#include "common/fdio.h"
#include "executor/logfile.h"
#include "executor/runview.h"

#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

/*
 * follow: a run's journal and logs, from where the reader is, while they grow. [executor]
 *
 * Journal lines wait in a queue until the log has been sent as far as it was when they
 * happened: the first line of an attempt until the log of the one before is out, the line
 * behind Preparing until the prepare stage's files are out, the final line until every
 * file is out as far as it says. Else they go at once.
 */

#define STEP_BYTES ((size_t)256 << 10)

struct follow {
    const struct connection *connection;
    uint32_t stream;
    struct watcher_subscription *subscription;
    struct runview run;
    int64_t after_seq;
    bool is_until_end;
    bool is_open;               /* FOLLOW was taken */
    struct submission *awaited; /* the run's, which is going on; NULL: none */
    struct json *request;       /* FOLLOW, until it is over */

    size_t next_line; /* in run.lines: the next to send */
    enum run_state next_state;
    uint64_t next_barrier; /* bytes of driver.log that belong before it */
    bool is_next_known;    /* the two are filled in */

    struct logfile files[RUN_FILE_COUNT];
    bool is_wanted[RUN_FILE_COUNT];
    bool is_drained[RUN_FILE_COUNT]; /* read up to its limit or its end */
    uint64_t limits[RUN_FILE_COUNT]; /* no byte from here on is sent */
    int current;                     /* the file last named by AT, -1: none */

    bool is_dirty;   /* something may have changed since it was looked at */
    bool is_blocked; /* the reader has to take something first */
};

static void *follow_start(const struct connection *connection, uint32_t stream)
{
    struct follow *f = xcalloc(1, sizeof *f);
    f->connection = connection;
    f->stream = stream;
    f->current = -1;
    runview_init(&f->run);
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        f->files[i].fd = -1;
    }
    return f;
}

static void follow_finish(void *request)
{
    struct follow *f = request;
    submissions_drop(f->connection->submissions, f->awaited);
    json_free(f->request);
    watcher_unsubscribe(f->connection->watcher, f->subscription);
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        logfile_release(&f->files[i]);
    }
    runview_release(&f->run);
    free(f);
}

static void on_change(void *context)
{
    struct follow *f = context;
    f->is_dirty = true;
}

/* How long file i is, as the final line says; of those that few runs have it says
 * nothing: unsaid. */
static uint64_t final_size(const struct follow *f, size_t i, uint64_t unsaid)
{
    const struct run_status *status = &f->run.status;
    const uint64_t sizes[RUN_FILE_COUNT] = {
        [RUN_FILE_DRIVER_LOG] = status->driver_log_bytes,
        [RUN_FILE_CONTROL_LOG] = status->control_log_bytes,
        [RUN_FILE_METRICS] = status->metrics_bytes,
        [RUN_FILE_PREPARE_LOG] = unsaid,
        [RUN_FILE_ENVIRONMENT_LOCK] = unsaid,
        [RUN_FILE_ENGINE_LOG] = unsaid,
        [RUN_FILE_ENGINE] = unsaid,
    };
    return sizes[i];
}

/* Where the run was removed, its files are one gap each, from where the reader is, as
 * long as the journal says. */
static void skip_removed_file(struct follow *f, size_t i, int64_t generation,
                              int64_t offset)
{
    uint64_t size = final_size(f, i, 0);
    uint64_t from = offset > 0 ? (uint64_t)offset : 0;
    uint64_t lost = from < size ? size - from : 0;
    f->files[i] = (struct logfile){
        .name = run_file_name((enum run_file)i),
        .run_fd = -1,
        .fd = -1,
        .generation = generation,
        .offset = from + lost,
        .gap = lost,
        .why = "removed",
        .has_jumped = lost > 0,
    };
}

static int take_file(struct follow *f, const struct json *body, struct error *err)
{
    static const char what[] = "FOLLOW";
    const char *name;
    int64_t generation, offset;
    struct oid tail;
    const struct json *digest = json_get(body, "tail");
    bool has_tail = json_is_string(digest);
    if (json_get_string(body, what, "file", &name, err) < 0 ||
        json_get_integer(body, what, "generation", 0, JSON_INTEGER_MAX, &generation,
                         err) < 0 ||
        json_get_integer(body, what, "offset", -JSON_INTEGER_MAX, JSON_INTEGER_MAX,
                         &offset, err) < 0 ||
        (has_tail && oid_from_hex(json_string(digest), &tail, err) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        if (strcmp(name, run_file_name((enum run_file)i)) != 0) {
            continue;
        }
        if (f->is_wanted[i]) {
            return error_set(err, ERR_PROTOCOL, "FOLLOW names %s twice", name);
        }
        f->is_wanted[i] = true;
        if (f->run.run_fd < 0) {
            skip_removed_file(f, i, generation, offset);
        } else {
            logfile_open(&f->files[i], f->run.run_fd, run_file_name((enum run_file)i),
                         generation, offset, has_tail ? &tail : NULL);
        }
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "a run has no file %.64s to follow", name);
}

static int take_follow(struct follow *f, const struct json *body, struct error *err)
{
    static const char what[] = "FOLLOW";
    const char *run, *until;
    const struct json *files;
    if (json_get_string(body, what, "run", &run, err) < 0 ||
        json_get_integer(body, what, "journal_seq", 0, JSON_INTEGER_MAX, &f->after_seq,
                         err) < 0 ||
        json_get_string(body, what, "until", &until, err) < 0 ||
        json_get_array(body, what, "files", RUN_FILE_COUNT, &files, err) < 0) {
        return -1;
    }
    /* The subscription first: a change between looking and watching would be lost. */
    if (run_id_is_valid(run)) {
        CLEANUP_FREE char *path = xasprintf("%s/runs/%s", f->connection->root->path, run);
        f->subscription = watcher_subscribe(f->connection->watcher, path, on_change, f);
    }
    if (runview_open(&f->run, f->connection->root, run, err) < 0) {
        return -1;
    }
    for (const struct json *file = json_first(files); file != NULL;
         file = json_next(file)) {
        if (take_file(f, file, err) < 0) {
            return -1;
        }
    }
    f->is_until_end = strcmp(until, "end") == 0;
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        f->limits[i] = UINT64_MAX;
        if (f->is_wanted[i] && !f->is_until_end) {
            f->limits[i] = logfile_size(&f->files[i]);
        }
    }
    f->is_open = true;
    f->is_dirty = true;
    return 0;
}

/* The run may be one that is being submitted: what becomes of that is waited for. */
static int follow_event(void *request, const struct peer_event *event, struct error *err)
{
    struct follow *f = request;
    if (event->type != MSG_FOLLOW) {
        return 0;
    }
    f->awaited = submissions_find(f->connection->submissions,
                                  json_string(json_get(event->json, "run")));
    if (f->awaited == NULL) {
        return take_follow(f, event->json, err);
    }
    f->request = json_copy(event->json);
    return 0;
}

/* Has the submission that is waited for ended? */
static int look_at_submission(struct follow *f, struct error *err)
{
    enum submission_outcome outcome = submissions_outcome(f->awaited);
    if (outcome == SUBMISSION_OPEN) {
        return 0;
    }
    submissions_drop(f->connection->submissions, f->awaited);
    f->awaited = NULL;
    if (outcome == SUBMISSION_FAILED) {
        return error_set(err, ERR_NOT_FOUND, "the run was not accepted");
    }
    CLEANUP_JSON struct json *body = TAKE_PTR(f->request);
    return take_follow(f, body, err);
}

static bool is_final(const struct follow *f)
{
    return f->run.status.seq > 0 && run_state_is_final(f->run.status.state);
}

/* Look at the next line that the reader does not have: its state, and what of driver.log
 * belongs before it. False: there is none. */
static bool know_next_line(struct follow *f)
{
    while (!f->is_next_known && f->next_line < f->run.lines.count) {
        const char *text = f->run.lines.items[f->next_line];
        CLEANUP_JSON struct json *line = json_parse(text, strlen(text), NULL);
        if (json_integer(json_get(line, "seq")) <= f->after_seq) {
            f->next_line++;
            continue;
        }
        const char *state = json_string(json_get(line, "state"));
        if (state == NULL || run_state_parse(state, &f->next_state, NULL) < 0) {
            f->next_state = RUN_STARTING;
        }
        int64_t offset = json_integer(json_get(line, "log_offset"));
        f->next_barrier = offset > 0 ? (uint64_t)offset : 0;
        if (f->next_state == RUN_FINALIZING && f->is_wanted[RUN_FILE_DRIVER_LOG]) {
            f->next_barrier = logfile_size(&f->files[RUN_FILE_DRIVER_LOG]);
        }
        f->is_next_known = true;
    }
    return f->is_next_known;
}

/* What the prepare stage leaves is whole when a line of a later state is written. */
static bool is_preparation_out(const struct follow *f)
{
    static const enum run_file files[] = {RUN_FILE_PREPARE_LOG,
                                          RUN_FILE_ENVIRONMENT_LOCK};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (f->is_wanted[files[i]] && !f->is_drained[files[i]]) {
            return false;
        }
    }
    return true;
}

/* True where everything that comes before the next line was sent. */
static bool is_next_line_due(const struct follow *f)
{
    if (run_state_is_final(f->next_state)) {
        for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
            if (f->is_wanted[i] && !f->is_drained[i]) {
                return false;
            }
        }
        return true;
    }
    if (f->next_state > RUN_PREPARING && !is_preparation_out(f)) {
        return false;
    }
    const struct logfile *log = &f->files[RUN_FILE_DRIVER_LOG];
    return !f->is_wanted[RUN_FILE_DRIVER_LOG] || f->is_drained[RUN_FILE_DRIVER_LOG] ||
           log->offset >= f->next_barrier;
}

/* Send the lines that are due; how many. */
static size_t send_lines(struct follow *f)
{
    size_t count = 0;
    struct peer *peer = f->connection->peer;
    while (know_next_line(f) && is_next_line_due(f)) {
        if (peer_pending(peer) >= SERVICE_PENDING_HIGH) {
            f->is_blocked = true;
            break;
        }
        CLEANUP_JSON struct json *body = json_new_object();
        json_add_string(body, "line", f->run.lines.items[f->next_line]);
        peer_send(peer, f->stream, MSG_STATE, body);
        f->next_line++;
        f->is_next_known = false;
        f->is_drained[RUN_FILE_DRIVER_LOG] =
            false; /* what was held back for it may go on */
        count++;
    }
    return count;
}

/* No byte of file i from here on is to be sent before something else happened. */
static uint64_t limit_of(struct follow *f, size_t i)
{
    uint64_t limit = f->limits[i];
    if (is_final(f)) {
        uint64_t size = final_size(f, i, UINT64_MAX);
        limit = size < limit ? size : limit;
    }
    /* A barrier is behind what is sent where the log was cut: then it holds nobody. */
    if (i == RUN_FILE_DRIVER_LOG && know_next_line(f) &&
        !run_state_is_final(f->next_state) && f->next_barrier > 0 &&
        f->next_barrier < limit) {
        limit = f->next_barrier;
    }
    return limit;
}

static void send_at(struct follow *f, size_t i, uint64_t offset)
{
    struct logfile *file = &f->files[i];
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "file", run_file_name((enum run_file)i));
    json_add_integer(body, "generation", file->generation);
    json_add_integer(body, "offset", (int64_t)offset);
    json_add_integer(body, "gap", file->has_jumped ? (int64_t)file->gap : 0);
    if (file->has_jumped && file->gap > 0) {
        json_add_string(body, "why", file->why);
    }
    peer_send(f->connection->peer, f->stream, MSG_AT, body);
    file->has_jumped = false;
    file->gap = 0;
    f->current = (int)i;
}

/* Send one frame of file i. Bytes sent; 0: nothing now; -1: err. */
static ssize_t send_file(struct follow *f, size_t i, struct error *err)
{
    struct peer *peer = f->connection->peer;
    struct logfile *file = &f->files[i];
    size_t room = peer_data_room(peer, f->stream);
    if (room == 0 || peer_pending(peer) >= SERVICE_PENDING_HIGH) {
        f->is_blocked = true;
        return 0;
    }
    uint8_t data[LOGFILE_READ_MAX];
    uint64_t limit = limit_of(f, i);
    /* At its limit a file is still asked, for nothing: has it been cut? */
    uint64_t wanted = file->offset < limit ? limit - file->offset : 0;
    size_t length = room < sizeof data ? room : sizeof data;
    length = wanted < length ? (size_t)wanted : length;
    ssize_t got = logfile_read(file, data, length, err);
    if (got < 0) {
        return -1;
    }
    if (i == RUN_FILE_ENGINE && file->fd >= 0 && f->is_until_end) {
        /* Where it fails its writer is just looking: then the next change does it. */
        (void)flock(file->fd, LOCK_SH | LOCK_NB); /* enginelog_is_followed */
    }
    bool has_jumped = file->has_jumped;
    if (has_jumped || (got > 0 && f->current != (int)i)) {
        send_at(f, i, file->offset - (uint64_t)got);
    }
    if (got > 0) {
        peer_send_data(peer, f->stream, data, (size_t)got, false);
    }
    f->is_drained[i] = got == 0 && !has_jumped;
    return got > 0 ? got : has_jumped;
}

static void send_end(struct follow *f)
{
    CLEANUP_JSON struct json *body = json_new_object();
    struct json *sizes = json_add(body, "sizes", json_new_object());
    json_add_string(body, "state", run_state_name(f->run.status.state));
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        if (f->is_wanted[i]) {
            json_add_integer(sizes, run_file_name((enum run_file)i),
                             (int64_t)f->files[i].offset);
        }
    }
    peer_send(f->connection->peer, f->stream, MSG_END, body);
}

/* True where nothing more will come. */
static bool is_complete(struct follow *f)
{
    if ((f->is_until_end && !is_final(f)) || know_next_line(f)) {
        return false;
    }
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        if (f->is_wanted[i] && !f->is_drained[i]) {
            return false;
        }
    }
    return true;
}

/* Take the journal's new lines. With `now` it was read once, when the request came. */
static int look(struct follow *f, struct error *err)
{
    f->is_dirty = false;
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        f->is_drained[i] = false;
    }
    if (f->run.run_fd < 0 || !f->is_until_end || is_final(f)) {
        return 0;
    }
    return journal_read_more(f->run.run_fd, &f->run.journal_offset, &f->run.status,
                             &f->run.lines, err);
}

/* One frame of each file that has something. *out_bytes: sent together. */
static int send_files(struct follow *f, size_t *out_bytes, struct error *err)
{
    for (size_t i = 0; i < RUN_FILE_COUNT; i++) {
        if (!f->is_wanted[i] || f->is_drained[i] || f->is_blocked) {
            continue;
        }
        ssize_t sent = send_file(f, i, err);
        if (sent < 0) {
            return -1;
        }
        *out_bytes += (size_t)sent;
    }
    return 0;
}

static int follow_step(void *request, struct error *err)
{
    struct follow *f = request;
    if (f->awaited != NULL && look_at_submission(f, err) < 0) {
        return -1;
    }
    if (!f->is_open || (!f->is_dirty && !f->is_blocked)) {
        return 0;
    }
    if (f->is_dirty && look(f, err) < 0) {
        return -1;
    }
    f->is_blocked = false;
    size_t sent = 0, before;
    do {
        before = sent;
        sent += send_lines(f);
        if (send_files(f, &sent, err) < 0) {
            return -1;
        }
        sent += send_lines(f);
    } while (sent > before && sent < STEP_BYTES && !f->is_blocked);
    if (is_complete(f)) {
        send_end(f);
        return 0;
    }
    if (sent >= STEP_BYTES && !f->is_blocked) {
        f->is_blocked = true; /* there may be more: come back at once */
        return 1;
    }
    return 0;
}

const struct service follow_service = {
    .opens = MSG_FOLLOW,
    .start = follow_start,
    .event = follow_event,
    .step = follow_step,
    .finish = follow_finish,
};
