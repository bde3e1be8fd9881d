#define _GNU_SOURCE /* SEEK_DATA */
#include "controller/screen.h"

#include "common/fdio.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_FILE ((size_t)256 << 10)
#define PIECE_OTHER                                                                      \
    4096 /* what a pipe that polls writable takes without blocking (PIPE_BUF) */

struct screen {
    const struct runlog *log;
    struct terminal *terminal;
    struct loop *loop;
    int fd; /* of the generation being shown */
    int64_t generation;
    uint64_t offset;
    size_t piece_bytes;
    uint8_t *buffer;
    bool is_watching;
    struct error error;
};

struct screen *screen_new(const struct runlog *log, struct terminal *terminal,
                          uint64_t from_offset)
{
    struct screen *s = xcalloc(1, sizeof *s);
    struct stat st;
    s->log = log;
    s->terminal = terminal;
    s->fd = -1;
    s->offset = from_offset;
    s->piece_bytes =
        fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? PIECE_FILE : PIECE_OTHER;
    s->buffer = xmalloc(PIECE_FILE);
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

/* The first byte at or after offset that is no hole; a punched or never fetched part is
 * skipped. */
static void skip_hole(struct screen *s)
{
    off_t data = lseek(s->fd, (off_t)s->offset, SEEK_DATA);
    if (data > 0 && (uint64_t)data > s->offset) {
        s->offset = (uint64_t)data;
    }
}

/* Read the next piece: its length, 0 where all that is at home was shown, -1: s->error.
 */
static ssize_t next_piece(struct screen *s)
{
    const struct runlog_file *file = &s->log->files[RUNLOG_DRIVER];
    for (;;) {
        if (s->fd < 0) {
            CLEANUP_FREE char *name = runlog_name(file->name, s->generation);
            s->fd = openat(s->log->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (s->fd < 0) {
                return error_sys(&s->error, "open %s/%s", s->log->dir, name);
            }
        }
        skip_hole(s);
        ssize_t length = fdio_pread_full(s->fd, s->buffer, s->piece_bytes, s->offset);
        if (length < 0) {
            return error_sys(&s->error, "read the log in %s", s->log->dir);
        }
        if (length > 0 || s->generation >= file->generation) {
            return length;
        }
        fdio_close(&s->fd);
        s->generation++;
        s->offset = 0;
    }
}

/* Show one piece. 1: shown; 0: nothing is left; -1: s->error. */
static int show_piece(struct screen *s)
{
    ssize_t length = s->error.code == ERR_NONE ? next_piece(s) : -1;
    if (length <= 0) {
        return (int)length;
    }
    if (terminal_script_output(s->terminal, s->buffer, (size_t)length, &s->error) != 0) {
        return -1;
    }
    s->offset += (uint64_t)length;
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

void screen_gap(struct screen *s, uint64_t gap_bytes)
{
    terminal_warn(
        s->terminal,
        "%llu bytes of the log are not to be had: it was truncated or cut on the node",
        (unsigned long long)gap_bytes);
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
    *err = s->error;
    return true;
}
