#include "controller/screen.h"

#include "common/fdio.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)256 << 10) /* read at once */

struct screen {
    const struct runlog *log;
    struct terminal *terminal;
    struct loop *loop;
    int fd; /* of the generation being shown */
    int64_t generation;
    uint64_t offset; /* of the next byte to read */
    uint8_t *buffer; /* PIECE_BYTES; from start to end still to be shown */
    size_t start, end;
    bool is_watching;
    struct error error;
};

struct screen *screen_new(const struct runlog *log, struct terminal *terminal,
                          struct screen_place from)
{
    struct screen *s = xcalloc(1, sizeof *s);
    s->log = log;
    s->terminal = terminal;
    s->fd = -1;
    s->generation = from.generation;
    s->offset = from.offset;
    s->buffer = xmalloc(PIECE_BYTES);
    return s;
}

void screen_free(struct screen *s)
{
    if (s == NULL) {
        return;
    }
    if (s->is_watching) {
        loop_unwatch(s->loop, STDOUT_FILENO);
    }
    fdio_close(&s->fd);
    free(s->buffer);
    free(s);
}

/* Where what may be shown of this generation ends: of the newest, where the network side
 * is, for another follower at this home may have written further on. */
static int find_end(const struct screen *s, uint64_t *out)
{
    const struct runlog_file *file = &s->log->files[RUNLOG_DRIVER];
    struct stat st;
    if (s->generation >= file->generation) {
        *out = file->offset;
        return 0;
    }
    if (fstat(s->fd, &st) != 0) {
        return -1;
    }
    *out = (uint64_t)st.st_size;
    return 0;
}

static int open_generation(struct screen *s)
{
    CLEANUP_FREE char *name =
        runlog_name(s->log->files[RUNLOG_DRIVER].name, s->generation);
    s->fd = openat(s->log->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return s->fd < 0 ? error_sys(&s->error, "open %s/%s", s->log->dir, name) : 0;
}

/* Where bytes are missing at the position, say so and move behind them. *end: what comes
 * next ends there, or before. */
static void skip_gap(struct screen *s, uint64_t *end)
{
    const struct loggaps *gaps = &s->log->files[RUNLOG_DRIVER].gaps;
    const struct loggap *gap = loggaps_next(gaps, s->generation, s->offset);
    if (gap != NULL && gap->from <= s->offset) {
        char text[LOGGAP_TEXT_SIZE];
        const struct loggap rest = {gap->generation, s->offset, gap->to, gap->why};
        loggap_describe(&rest, text);
        terminal_warn(s->terminal, "%s", text);
        s->offset = gap->to;
        gap = loggaps_next(gaps, s->generation, s->offset);
    }
    if (gap != NULL && gap->from < *end) {
        *end = gap->from;
    }
}

/* Read what comes next of this generation: bytes, 0 where all was shown; -1. */
static ssize_t read_piece(struct screen *s)
{
    uint64_t end = 0;
    if (find_end(s, &end) != 0) {
        return -1;
    }
    skip_gap(s, &end);
    uint64_t wanted = s->offset < end ? end - s->offset : 0;
    return fdio_pread_full(
        s->fd, s->buffer, wanted < PIECE_BYTES ? (size_t)wanted : PIECE_BYTES, s->offset);
}

/* Read the next piece into the empty buffer: 1: there is one; 0: all that is at home was
 * shown; -1: s->error. */
static int next_piece(struct screen *s)
{
    for (;;) {
        if (s->fd < 0 && open_generation(s) != 0) {
            return -1;
        }
        ssize_t length = read_piece(s);
        if (length < 0) {
            return error_sys(&s->error, "read the log in %s", s->log->dir);
        }
        if (length > 0) {
            s->offset += (uint64_t)length;
            s->start = 0;
            s->end = (size_t)length;
            return 1;
        }
        if (s->generation >= s->log->files[RUNLOG_DRIVER].generation) {
            return 0;
        }
        fdio_close(&s->fd);
        s->generation++;
        s->offset = 0;
    }
}

/* Show what stdout takes now. 1: there may be more; 0: nothing is left; -1: s->error. */
static int show_piece(struct screen *s)
{
    size_t taken = 0;
    if (s->error.code != ERR_NONE) {
        return -1;
    }
    if (s->start == s->end && !terminal_has_held(s->terminal)) {
        int more = next_piece(s);
        if (more <= 0) {
            return more;
        }
    }
    if (terminal_script_offer(s->terminal, s->buffer + s->start, s->end - s->start,
                              &taken, &s->error) != 0) {
        return -1;
    }
    s->start += taken;
    return 1;
}

static void stdout_takes(void *context, int fd, unsigned events)
{
    (void)events;
    struct screen *s = context;
    if (show_piece(s) <= 0) {
        loop_unwatch(s->loop, fd);
        s->is_watching = false;
    }
}

void screen_update(struct screen *s, struct loop *loop)
{
    if (s->is_watching && s->loop != loop) {
        loop_unwatch(s->loop, STDOUT_FILENO);
        s->is_watching = false;
    }
    s->loop = loop;
    if (loop != NULL && !s->is_watching && s->error.code == ERR_NONE) {
        loop_watch(loop, STDOUT_FILENO, LOOP_WRITE, stdout_takes, s);
        s->is_watching = true;
    }
}

struct screen_place screen_shown(const struct screen *s)
{
    return (struct screen_place){s->generation, s->offset - (s->end - s->start)};
}

bool screen_is_busy(const struct screen *s)
{
    return s->is_watching;
}

bool screen_has_failed(const struct screen *s, struct error *err)
{
    if (s->error.code == ERR_NONE) {
        return false;
    }
    (void)error_copy(err, &s->error);
    return true;
}
