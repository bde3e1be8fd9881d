#define _GNU_SOURCE /* O_NOFOLLOW with O_NONBLOCK, SEEK_DATA */
#include "executor/logfile.h"

#include "common/fdio.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void see_size(struct logfile *l, uint64_t size)
{
    l->size = size;
    if (l->highest < size) {
        l->highest = size;
    }
}

/* Open the file that has the name now. What is no regular file is as if not there: the
 * folder belongs to a run, whose script may put anything in it. */
static void open_file(struct logfile *l)
{
    CLEANUP_FD int fd =
        openat(l->run_fd, l->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        l->fd = take_fd(&fd);
        see_size(l, (uint64_t)st.st_size);
    }
}

uint64_t logfile_size(struct logfile *l)
{
    struct stat st;
    if (l->fd < 0) {
        open_file(l);
    } else if (fstat(l->fd, &st) == 0) {
        see_size(l, (uint64_t)st.st_size);
    }
    return l->fd < 0 ? 0 : l->size;
}

/* The next byte is that of an offset which the reader does not believe. */
static void move(struct logfile *l, uint64_t offset, uint64_t lost, const char *why)
{
    bool has_gap = l->has_jumped && l->gap > 0;
    l->gap = (has_gap ? l->gap : 0) + lost;
    l->why = has_gap ? l->why : why;
    l->offset = offset;
    l->tail_length = 0;
    l->has_jumped = true;
}

/* What was read is no longer what the file has: begin anew. */
static void jump(struct logfile *l)
{
    move(l, 0, l->highest > l->offset ? l->highest - l->offset : 0, "cut");
    l->generation++;
    l->highest = 0;
}

/*
 * Where the file has bytes again, from this offset on: there, but in the hole at its
 * front. A hole elsewhere is what the script made of its log, and reads as it should. So
 * does everything on a filesystem that knows no holes (lseek(2)).
 */
static uint64_t skip_hole(const struct logfile *l, uint64_t offset)
{
    off_t data = lseek(l->fd, (off_t)offset, SEEK_DATA);
    if (data <= (off_t)offset || lseek(l->fd, 0, SEEK_HOLE) != 0 ||
        lseek(l->fd, 0, SEEK_DATA) != data) {
        return offset;
    }
    return (uint64_t)data;
}

/* True where the name now belongs to another file than the one that is open. */
static bool is_replaced(const struct logfile *l)
{
    struct stat mine, named;
    return fstat(l->fd, &mine) == 0 &&
           fstatat(l->run_fd, l->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(named.st_mode) &&
           (mine.st_ino != named.st_ino || mine.st_dev != named.st_dev);
}

static void keep_tail(struct logfile *l, const uint8_t *data, size_t length)
{
    if (length >= LOGFILE_TAIL) {
        memcpy(l->tail, data + length - LOGFILE_TAIL, LOGFILE_TAIL);
        l->tail_length = LOGFILE_TAIL;
        return;
    }
    size_t kept = l->tail_length;
    if (kept + length > LOGFILE_TAIL) {
        kept = LOGFILE_TAIL - length;
        memmove(l->tail, l->tail + l->tail_length - kept, kept);
    }
    memcpy(l->tail + kept, data, length);
    l->tail_length = kept + length;
}

/* Fill the tail with what the file has before offset. False: the file is shorter. */
static bool load_tail(struct logfile *l, uint64_t offset)
{
    size_t length = offset < LOGFILE_TAIL ? (size_t)offset : LOGFILE_TAIL;
    if (fdio_pread_full(l->fd, l->tail, length, offset - length) != (ssize_t)length) {
        return false;
    }
    l->tail_length = length;
    return true;
}

/* Where the last count lines begin, looked for in the last LOGFILE_LAST_LINES_MAX bytes.
 */
static uint64_t find_last_lines(const struct logfile *l, uint64_t count)
{
    uint64_t end = l->size;
    uint64_t floor =
        skip_hole(l, end > LOGFILE_LAST_LINES_MAX ? end - LOGFILE_LAST_LINES_MAX : 0);
    uint64_t newlines = 0;
    char block[16 << 10];
    for (uint64_t at = end; at > floor;) {
        size_t length = at - floor < sizeof block ? (size_t)(at - floor) : sizeof block;
        at -= length;
        if (fdio_pread_full(l->fd, block, length, at) != (ssize_t)length) {
            return end;
        }
        for (size_t i = length; i > 0; i--) {
            /* The newline that ends the last line begins no further one. */
            if (block[i - 1] == '\n' && at + i != end && ++newlines == count) {
                return at + i;
            }
        }
    }
    return floor;
}

void logfile_open(struct logfile *l, int run_fd, const char *name, int64_t generation,
                  int64_t offset, const struct oid *tail)
{
    *l = (struct logfile){.name = name, .run_fd = run_fd, .fd = -1};
    l->generation = generation;
    open_file(l);
    if (offset < 0) {
        if (l->fd >= 0) {
            l->offset = find_last_lines(l, (uint64_t)-offset);
            (void)load_tail(l, l->offset);
        }
        l->has_jumped = true; /* the reader does not know the offset */
        return;
    }
    bool is_same = offset == 0;
    if (!is_same && l->fd >= 0 && load_tail(l, (uint64_t)offset)) {
        struct oid found;
        uint64_t first = (uint64_t)offset - l->tail_length;
        oid_of_bytes(l->tail, l->tail_length, &found);
        is_same = tail == NULL || oid_equal(tail, &found) || skip_hole(l, first) != first;
    }
    if (is_same) {
        l->offset = (uint64_t)offset;
        return;
    }
    l->highest = 0; /* what was lost between there and here is not known */
    jump(l);
}

void logfile_release(struct logfile *l)
{
    fdio_close(&l->fd);
}

/*
 * Read behind the position. -1: failed; -2: the file is not what was read; -3: the
 * position was in the hole. What is before the position is looked at after what is read,
 * for a file that was cut and grew again meanwhile has other bytes there; and the hole
 * last, for what it swallowed meanwhile was read as zeros.
 */
static ssize_t read_on(struct logfile *l, uint8_t *out, size_t length, struct error *err)
{
    uint8_t before[LOGFILE_TAIL];
    uint64_t first = l->offset - l->tail_length;
    ssize_t fresh = fdio_pread_full(l->fd, out, length, l->offset);
    ssize_t got = fresh < 0 ? -1 : fdio_pread_full(l->fd, before, l->tail_length, first);
    if (got < 0) {
        return error_sys(err, "read %s", l->name);
    }
    if ((size_t)got < l->tail_length) {
        return -2;
    }
    uint64_t data = skip_hole(l, first);
    if (data > l->offset) {
        move(l, data, data - l->offset, "limit");
        return -3;
    }
    size_t gone = (size_t)(data - first);
    if (memcmp(before + gone, l->tail + gone, l->tail_length - gone) != 0) {
        return -2;
    }
    l->offset += (uint64_t)fresh;
    see_size(l, l->size > l->offset ? l->size : l->offset);
    keep_tail(l, out, (size_t)fresh);
    return fresh;
}

ssize_t logfile_read(struct logfile *l, void *out, size_t length, struct error *err)
{
    if (length > LOGFILE_READ_MAX) {
        length = LOGFILE_READ_MAX;
    }
    for (int tries = 0; tries < 4; tries++) {
        if (l->fd < 0) {
            open_file(l);
        }
        if (l->fd < 0) {
            return 0;
        }
        ssize_t got = read_on(l, out, length, err);
        if (got < -1) {
            if (got == -2) {
                jump(l);
            }
            continue;
        }
        if (got != 0 || length == 0 || !is_replaced(l)) {
            return got;
        }
        l->highest = l->offset; /* the old file was read to its end */
        jump(l);
        fdio_close(&l->fd);
    }
    return 0;
}
