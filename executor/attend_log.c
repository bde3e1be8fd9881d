#define _GNU_SOURCE /* memmem, O_NOFOLLOW, O_TMPFILE */
#include "executor/attend_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"

#define BLOCK ((size_t)64 << 10)
#define SPOOL_NAME "engine.spool"

/* A file without a name, for what a server answers. */
static int open_spool(int run_fd, struct error *err)
{
    int fd = openat(run_fd, SPOOL_NAME,
                    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_sys(err, "make a file for the driver's output");
    }
    (void)unlinkat(run_fd, SPOOL_NAME, 0);
    return fd;
}

int attend_log_open(struct attend_log *log, int run_fd, struct enginelog *engine,
                    struct yarn *yarn, struct error *err)
{
    *log = (struct attend_log){.engine = engine, .yarn = yarn, .spool_fd = -1};
    snprintf(log->needle, sizeof(log->needle), "\n" ATTEND_WORD " %s ", engine->token);
    log->driver_fd = openat(run_fd, "driver.log",
                            O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->driver_fd < 0) {
        return error_sys(err, "open driver.log");
    }
    log->spool_fd = open_spool(run_fd, err);
    return log->spool_fd < 0 ? -1 : 0;
}

void attend_log_close(struct attend_log *log)
{
    fdio_close(&log->driver_fd);
    fdio_close(&log->spool_fd);
}

/* ---- Segments */

static int driver_size(const struct attend_log *log, uint64_t *out, struct error *err)
{
    struct stat st;
    if (fstat(log->driver_fd, &st) < 0) {
        return error_sys(err, "look at driver.log");
    }
    *out = (uint64_t)st.st_size;
    return 0;
}

/* From driver.log's size: where in the container's log we are; what of the marker is
 * missing is written. */
static int resume(struct attend_log *log, struct error *err)
{
    const struct engine_segment *segment = &log->engine->segment;
    size_t marker = strlen(segment->marker);
    uint64_t size;
    if (driver_size(log, &size, err) < 0) {
        return -1;
    }
    if (size < segment->at) {
        return error_set(err, ERR_CORRUPT,
                         "driver.log is shorter than the run's engine says");
    }
    uint64_t behind = size - segment->at;
    if (behind < marker) {
        if (fdio_write_full(log->driver_fd, segment->marker + behind,
                            marker - (size_t)behind) < 0) {
            return error_sys(err, "write driver.log");
        }
        behind = marker;
    }
    log->have = segment->start + (behind - marker);
    log->is_holding = false;
    return 0;
}

static int begin_segment(struct attend_log *log, const struct yarn_container *container,
                         struct error *err)
{
    struct engine_segment *segment = &log->engine->segment;
    memset(segment, 0, sizeof(*segment));
    if (driver_size(log, &segment->at, err) < 0) {
        return -1;
    }
    snprintf(segment->source, sizeof(segment->source), "%s", container->id);
    if (container->attempt > 1) {
        snprintf(segment->marker, sizeof(segment->marker),
                 "errand: YARN started the driver anew (its attempt %d): what follows is "
                 "from the script's beginning\n",
                 container->attempt);
    }
    return enginelog_append(log->engine, ENGINE_LOG, "", err);
}

int attend_log_begin(struct attend_log *log, const struct yarn_container *container,
                     struct error *err)
{
    if (strcmp(log->container.id, container->id) == 0) {
        return 0;
    }
    if (strcmp(log->engine->segment.source, container->id) != 0 &&
        begin_segment(log, container, err) < 0) {
        log->engine->segment.source[0] = '\0';
        return -1;
    }
    if (resume(log, err) < 0) {
        return -1;
    }
    log->container = *container;
    log->word.exit.kind = RUN_EXIT_NONE; /* another driver's */
    return 0;
}

/* ---- The last word */

int attend_word_parse(const char *json, size_t length, struct attend_word *out,
                      struct error *err)
{
    CLEANUP_JSON struct json *j = json_parse(json, length, err);
    struct attend_word word = {.exit.kind = RUN_EXIT_NONE};
    if (j == NULL || length >= sizeof(word.text) ||
        run_exit_from_json(j, &word.exit, err) < 0) {
        return error_set(err, ERR_CORRUPT,
                         "the driver's last word makes no sense: %.200s", json);
    }
    memcpy(word.text, json, length);
    word.text[length] = '\0';
    *out = word;
    return 0;
}

/* So many of data's last bytes may be the beginning of the needle. */
static size_t begun(const struct attend_log *log, const char *data, size_t length)
{
    size_t most = strlen(log->needle) - 1;
    for (size_t n = most < length ? most : length; n > 0; n--) {
        if (memcmp(data + length - n, log->needle, n) == 0) {
            return n;
        }
    }
    return 0;
}

struct piece {
    int fd;
    uint64_t at, length;
};

/* The offset of the needle in the piece; its length where it is not there. */
static int find_word(const struct attend_log *log, const struct piece *piece,
                     uint64_t *out, struct error *err)
{
    char block[BLOCK];
    size_t needle = strlen(log->needle), carried = 0;
    *out = piece->length;
    for (uint64_t done = 0; done < piece->length;) {
        uint64_t left = piece->length - done;
        size_t room = sizeof(block) - carried;
        size_t wanted = left < room ? (size_t)left : room;
        ssize_t got =
            fdio_pread_full(piece->fd, block + carried, wanted, piece->at + done);
        if (got != (ssize_t)wanted) {
            return error_sys(err, "read the driver's output");
        }
        size_t length = carried + wanted;
        const char *found = memmem(block, length, log->needle, needle);
        if (found != NULL) {
            *out = done - carried + (uint64_t)(found - block);
            return 0;
        }
        done += wanted;
        carried = length < needle - 1 ? length : needle - 1;
        memmove(block, block + length - carried, carried);
    }
    return 0;
}

/* The word that begins at offset at of the piece, where its line is whole. */
static void read_word(struct attend_log *log, const struct piece *piece, uint64_t at)
{
    char line[ATTEND_NEEDLE_SIZE + sizeof(log->word.text)];
    size_t needle = strlen(log->needle);
    uint64_t left = piece->length - at;
    size_t wanted = left < sizeof(line) - 1 ? (size_t)left : sizeof(line) - 1;
    ssize_t got = fdio_pread_full(piece->fd, line, wanted, piece->at + at);
    if (got <= (ssize_t)needle) {
        return;
    }
    line[got] = '\0';
    const char *json = line + needle;
    const char *newline = memchr(json, '\n', (size_t)got - needle);
    if (newline != NULL) {
        (void)attend_word_parse(json, (size_t)(newline - json), &log->word, NULL);
    }
}

/* ---- Copying */

static int copy(struct attend_log *log, const struct piece *piece, uint64_t length,
                struct error *err)
{
    char block[BLOCK];
    for (uint64_t done = 0; done < length;) {
        size_t wanted =
            length - done < sizeof(block) ? (size_t)(length - done) : sizeof(block);
        ssize_t got = fdio_pread_full(piece->fd, block, wanted, piece->at + done);
        if (got != (ssize_t)wanted) {
            return error_sys(err, "read the driver's output");
        }
        if (fdio_write_full(log->driver_fd, block, wanted) < 0) {
            error_sys(err, "write driver.log");
            (void)resume(log, NULL); /* part of it may be there */
            return -1;
        }
        done += wanted;
        log->have += wanted;
    }
    return 0;
}

/* How much of a piece that has no word is the script's for sure. */
static int settled(struct attend_log *log, const struct piece *piece, uint64_t total,
                   bool is_final, uint64_t *out, struct error *err)
{
    char tail[ATTEND_NEEDLE_SIZE];
    size_t wanted = piece->length < sizeof(tail) ? (size_t)piece->length : sizeof(tail);
    ssize_t got =
        fdio_pread_full(piece->fd, tail, wanted, piece->at + piece->length - wanted);
    if (got != (ssize_t)wanted) {
        return error_sys(err, "read the driver's output");
    }
    bool is_same = log->is_holding && log->held_total == total;
    size_t held = is_final || is_same ? 0 : begun(log, tail, wanted);
    log->is_holding = held > 0;
    log->held_total = total;
    *out = piece->length - held;
    return 0;
}

static int take_piece(struct attend_log *log, const struct piece *piece, uint64_t total,
                      bool is_final, struct error *err)
{
    uint64_t at;
    if (find_word(log, piece, &at, err) < 0) {
        return -1;
    }
    if (at < piece->length) {
        read_word(log, piece, at);
        log->is_holding = log->word.exit.kind == RUN_EXIT_NONE;
        log->held_total = total;
        return copy(log, piece, at, err);
    }
    if (settled(log, piece, total, is_final, &at, err) < 0) {
        return -1;
    }
    return copy(log, piece, at, err);
}

int attend_log_look(struct attend_log *log, enum yarn_keeper keeper, bool is_final,
                    bool *out_grown, struct error *err)
{
    struct yarn_log answer;
    uint64_t before = log->have;
    *out_grown = false;
    if (log->word.exit.kind != RUN_EXIT_NONE) {
        return 0;
    }
    if (yarn_read_log(log->yarn, keeper, &log->container, "stdout", log->have,
                      log->spool_fd, &answer, err) < 0) {
        return -1;
    }
    const struct piece piece = {log->spool_fd, answer.content_at, answer.length};
    int result =
        piece.length > 0 ? take_piece(log, &piece, answer.total, is_final, err) : 0;
    *out_grown = log->have > before || log->word.exit.kind != RUN_EXIT_NONE;
    return result;
}

int attend_log_take(struct attend_log *log, int fd, uint64_t at, uint64_t length,
                    struct error *err)
{
    if (length < log->have) {
        return error_set(err, ERR_CHANGED,
                         "the driver's output is shorter than it was: %llu bytes after "
                         "%llu",
                         (unsigned long long)length, (unsigned long long)log->have);
    }
    const struct piece piece = {fd, at + log->have, length - log->have};
    return piece.length > 0 ? take_piece(log, &piece, length, true, err) : 0;
}
