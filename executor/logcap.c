#define _GNU_SOURCE /* fallocate, SEEK_DATA, O_NOFOLLOW */
#include "executor/logcap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

/* Holes end where a block ends, whatever the filesystem's blocks: what is left of one
 * would read as zeros and not as a hole. */
#define BLOCK_MIN ((uint64_t)64 << 10)
#define BLOCK_MAX ((uint64_t)1 << 20)
#define LOOK_NS (2 * NS_PER_S)
#define LOOK_SOON_NS (100 * NS_PER_MS)
#define LOOK_MIN_NS (20 * NS_PER_MS)

static bool open_log(struct logcap *cap, int run_fd, struct stat *st)
{
    if (cap->fd < 0) {
        cap->fd =
            openat(run_fd, "driver.log", O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (cap->fd >= 0 && lseek(cap->fd, 0, SEEK_HOLE) == 0) {
            /* Another supervisor has begun, and said so. */
            off_t data = lseek(cap->fd, 0, SEEK_DATA);
            cap->given_up = data > 0 ? (uint64_t)data : 0;
            cap->has_begun = data > 0;
        }
    }
    return cap->fd >= 0 && fstat(cap->fd, st) == 0 && S_ISREG(st->st_mode);
}

static uint64_t block_size(const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_blksize;
    bool is_usable = size > BLOCK_MIN && size <= BLOCK_MAX && (size & (size - 1)) == 0;
    return is_usable ? size : BLOCK_MIN;
}

static void say_begun(struct logcap *cap, const struct log *log)
{
    char limit[FILES_SIZE_TEXT], kept[FILES_SIZE_TEXT];
    if (!cap->has_begun) {
        cap->has_begun = true;
        files_format_size(limit, cap->max_bytes);
        files_format_size(kept, cap->max_bytes - cap->max_bytes / 4);
        log_line(log,
                 "driver.log is over its limit of %s (log_max_size): from now on its "
                 "beginning is given up as it grows; at least its last %s stay",
                 limit, kept);
    }
}

static void say_failed(struct logcap *cap, const struct log *log, bool is_final,
                       int failure)
{
    char limit[FILES_SIZE_TEXT];
    if (!cap->has_failed) {
        cap->has_failed = true;
        files_format_size(limit, cap->max_bytes);
        log_line(log,
                 "driver.log is over its limit of %s (log_max_size) and grows on: its "
                 "beginning cannot be given up%s: %s",
                 limit, is_final ? " on this filesystem" : " now", strerror(failure));
    }
}

/* Give up the beginning as far as may be. False: this filesystem cannot. */
static bool trim(struct logcap *cap, const struct stat *st, const struct log *log)
{
    uint64_t kept = cap->max_bytes - cap->max_bytes / 4;
    uint64_t end = (cap->size - kept) & ~(block_size(st) - 1);
    /* From 0 on: the script may have cut its log, and written what is there anew. */
    if (fallocate(cap->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)end) ==
        0) {
        cap->given_up = end;
        say_begun(cap, log);
        return true;
    }
    int failure = errno;
    bool is_final = failure == EOPNOTSUPP || failure == ENOSYS || failure == EPERM;
    say_failed(cap, log, is_final, failure);
    return !is_final;
}

/* How long the log may be left alone: at its present pace, until a quarter of the limit
 * has come. */
static int64_t pause_ns(const struct logcap *cap, uint64_t grown, int64_t past_ns)
{
    if (past_ns <= 0) {
        return LOOK_SOON_NS;
    }
    double pause = (double)past_ns * ((double)cap->max_bytes / 4) / ((double)grown + 1);
    return pause >= (double)LOOK_NS       ? LOOK_NS
           : pause <= (double)LOOK_MIN_NS ? LOOK_MIN_NS
                                          : (int64_t)pause;
}

void logcap_restart(struct logcap *cap)
{
    logcap_close(cap);
    cap->given_up = cap->size = 0;
    cap->looked_ns = 0;
    cap->next_ns = cap->max_bytes > 0 ? 1 : 0;
}

void logcap_init(struct logcap *cap, uint64_t max_bytes)
{
    *cap = (struct logcap){.fd = -1, .max_bytes = max_bytes};
    logcap_restart(cap);
}

void logcap_look(struct logcap *cap, int run_fd, const struct log *log)
{
    struct stat st;
    if (cap->next_ns == 0) {
        return;
    }
    int64_t now = clock_monotonic_ns();
    cap->next_ns = now + LOOK_NS;
    if (!open_log(cap, run_fd, &st)) {
        return;
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t grown = size > cap->size ? size - cap->size : 0;
    cap->next_ns =
        now + pause_ns(cap, grown, cap->looked_ns > 0 ? now - cap->looked_ns : 0);
    cap->looked_ns = now;
    cap->size = size;
    if (size < cap->given_up) {
        cap->given_up = 0; /* the script has cut it */
    }
    if (size - cap->given_up > cap->max_bytes && !trim(cap, &st, log)) {
        cap->next_ns = 0;
    }
}

void logcap_close(struct logcap *cap)
{
    fdio_close(&cap->fd);
}

int logcap_is_possible(int dir_fd)
{
    static const char name[] = FILES_TEMPORARY_PREFIX "hole";
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    char block[512] = "a log";
    if (fd < 0 || unlinkat(dir_fd, name, 0) < 0 ||
        fdio_pwrite_full(fd, block, sizeof block, 0) < 0) {
        return -1; /* a full disk, which is said elsewhere */
    }
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BLOCK_MIN) == 0;
}
