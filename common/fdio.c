#define _GNU_SOURCE /* pipe2, syscall */
#include "common/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"

#define COPY_BLOCK_BYTES ((size_t)64 << 10)
#define READ_BLOCK_BYTES ((size_t)16 << 10)
/* One call of copy_file_range; a signal is noticed between two. */
#define COPY_RANGE_BYTES ((uint64_t)64 << 20)
/* Where neither close_range nor /proc is there, descriptors are tried one by one up to
 * the limit of the process, and no further than this. */
#define CLOSE_ATTEMPTS_MAX (1 << 20)

ssize_t fdio_read(int fd, void *out, size_t length)
{
    ssize_t got;

    do {
        got = read(fd, out, length);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t fdio_write(int fd, const void *data, size_t length)
{
    ssize_t put;

    do {
        put = write(fd, data, length);
    } while (put < 0 && errno == EINTR);
    return put;
}

size_t fdio_waiting(int fd)
{
    int count = 0;
    return ioctl(fd, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

/* After a failed call: wait where the descriptor was only not ready. False: errno says
 * what is wrong. */
static bool is_ready_again(int fd, short events)
{
    struct pollfd waiting = {.fd = fd, .events = events};

    if (errno != EAGAIN) {
        return false;
    }
    while (poll(&waiting, 1, -1) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

ssize_t fdio_read_full(int fd, void *out, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t got = fdio_read(fd, (char *)out + done, length - done);

        if (got == 0) {
            break;
        }
        if (got > 0) {
            done += (size_t)got;
        } else if (!is_ready_again(fd, POLLIN)) {
            return -1;
        }
    }
    return (ssize_t)done;
}

ssize_t fdio_pread_full(int fd, void *out, size_t length, uint64_t offset)
{
    size_t done = 0;

    while (done < length) {
        ssize_t got =
            pread(fd, (char *)out + done, length - done, (off_t)(offset + done));

        if (got == 0) {
            break;
        }
        if (got > 0) {
            done += (size_t)got;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)done;
}

int fdio_write_full(int fd, const void *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t put = fdio_write(fd, (const char *)data + done, length - done);

        if (put >= 0) {
            done += (size_t)put;
        } else if (!is_ready_again(fd, POLLOUT)) {
            return -1;
        }
    }
    return 0;
}

int fdio_write_line(int fd, const char *format, ...)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    va_list args;
    va_start(args, format);
    strbuf_vprintf(&line, format, args);
    va_end(args);
    strbuf_putc(&line, '\n');
    return fdio_write_full(fd, line.data, line.length);
}

int fdio_pwrite_full(int fd, const void *data, size_t length, uint64_t offset)
{
    size_t done = 0;

    while (done < length) {
        ssize_t put =
            pwrite(fd, (const char *)data + done, length - done, (off_t)(offset + done));

        if (put >= 0) {
            done += (size_t)put;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

/* The buffer is full to its limit: whether that was all. */
static int check_at_end(int fd, const char *what, const struct strbuf *sb,
                        struct error *err)
{
    char beyond;
    ssize_t got = fdio_read_full(fd, &beyond, 1);

    if (got > 0) {
        return error_set(err, ERR_LIMIT, "%s is longer than %zu bytes", what,
                         sb->limit_bytes);
    }
    return got < 0 ? error_sys(err, "read %s", what) : 0;
}

static int read_all(int fd, const char *what, struct strbuf *sb, struct error *err)
{
    while (sb->length < sb->limit_bytes) {
        size_t left = sb->limit_bytes - sb->length;
        size_t want = left < READ_BLOCK_BYTES ? left : READ_BLOCK_BYTES;
        char *room = strbuf_reserve(sb, want, err);
        ssize_t got;

        if (room == NULL) {
            return error_wrap(err, "read %s", what);
        }
        got = fdio_read_full(fd, room, want);
        if (got < 0) {
            return error_sys(err, "read %s", what);
        }
        strbuf_grown(sb, (size_t)got);
        if ((size_t)got < want) {
            return 0;
        }
    }
    return check_at_end(fd, what, sb, err);
}

int fdio_read_all(int fd, const char *what, struct strbuf *sb, struct error *err)
{
    size_t before = sb->length;

    if (read_all(fd, what, sb, err) < 0) {
        strbuf_truncate(sb, before);
        return -1;
    }
    return 0;
}

/* As many bytes as the kernel copies by itself: 0 where it cannot. A failure shows again,
 * with its reason, when the rest is read and written. */
static uint64_t copy_in_kernel(int in_fd, int out_fd, uint64_t length)
{
    uint64_t done = 0;
#ifdef SYS_copy_file_range
    while (done < length) {
        uint64_t left = length - done;
        size_t want = (size_t)(left < COPY_RANGE_BYTES ? left : COPY_RANGE_BYTES);
        long got =
            syscall(SYS_copy_file_range, in_fd, NULL, out_fd, NULL, want, (unsigned)0);

        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        done += got > 0 ? (uint64_t)got : 0;
    }
#else
    (void)in_fd;
    (void)out_fd;
    (void)length;
#endif
    return done;
}

int64_t fdio_copy(int in_fd, int out_fd, uint64_t length)
{
    char block[COPY_BLOCK_BYTES];
    uint64_t done = copy_in_kernel(in_fd, out_fd, length);

    /* Also at what looks like the end: copy_file_range says 0 of files in /proc before
     * Linux 5.19. */
    while (done < length) {
        uint64_t left = length - done;
        size_t want = left < sizeof(block) ? (size_t)left : sizeof(block);
        ssize_t got = fdio_read_full(in_fd, block, want);

        if (got < 0 || fdio_write_full(out_fd, block, (size_t)got) < 0) {
            return -1;
        }
        done += (uint64_t)got;
        if ((size_t)got < want) {
            break;
        }
    }
    return (int64_t)done;
}

int fdio_pipe(int out_fds[2], struct error *err)
{
#ifdef __linux__
    if (pipe2(out_fds, O_CLOEXEC) < 0) {
        return error_sys(err, "make a pipe");
    }
    return 0;
#else
    if (pipe(out_fds) < 0) {
        return error_sys(err, "make a pipe");
    }
    fcntl(out_fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(out_fds[1], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

int fdio_set_nonblocking(int fd, bool is_nonblocking, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);
    int wanted = is_nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

    if (flags < 0 || (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)) {
        return error_sys(err, "change descriptor %d", fd);
    }
    return 0;
}

int fdio_set_cloexec(int fd, bool is_cloexec, struct error *err)
{
    int flags = fcntl(fd, F_GETFD);
    int wanted = is_cloexec ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;

    if (flags < 0 || (wanted != flags && fcntl(fd, F_SETFD, wanted) < 0)) {
        return error_sys(err, "change descriptor %d", fd);
    }
    return 0;
}

void fdio_widen_pipe(int fd, size_t bytes)
{
#ifdef F_SETPIPE_SZ
    (void)fcntl(fd, F_SETPIPE_SZ, (int)bytes);
#else
    (void)fd;
    (void)bytes;
#endif
}

void fdio_close(int *fd)
{
    mem_cleanup_fd(fd);
    *fd = -1;
}

static bool is_among(int fd, const int *keep_fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keep_fds[i] == fd) {
            return true;
        }
    }
    return false;
}

#ifdef SYS_close_range
/* Close the gaps between what is kept. False: the kernel (before 5.9) cannot. */
static bool close_gaps(int first, const int *keep_fds, size_t count)
{
    for (;;) {
        int next = -1;

        for (size_t i = 0; i < count; i++) {
            if (keep_fds[i] >= first && (next < 0 || keep_fds[i] < next)) {
                next = keep_fds[i];
            }
        }
        if (next != first && syscall(SYS_close_range, (unsigned)first,
                                     next < 0 ? UINT_MAX : (unsigned)next - 1, 0U) < 0) {
            return false;
        }
        if (next < 0 || next == INT_MAX) {
            return true;
        }
        first = next + 1;
    }
}
#endif

#ifdef SYS_getdents64
/* getdents64(2); glibc has it from 2.30 on. */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t size_bytes;
    uint8_t type;
    char name[];
};

/* The number a name of /proc/self/fd stands for, or -1. */
static int parse_fd(const char *name)
{
    int fd = 0;

    for (const char *c = name; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || fd > (INT_MAX - 9) / 10) {
            return -1;
        }
        fd = fd * 10 + (*c - '0');
    }
    return name[0] == '\0' ? -1 : fd;
}

/* opendir would allocate, which a child must not do after fork. The kernel numbers the
 * entries by descriptor, so that closing does not disturb the walk. */
static bool close_listed(int first, const int *keep_fds, size_t count)
{
    _Alignas(struct entry) char block[4096];
    int list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;

    if (list < 0) {
        return false;
    }
    while ((got = syscall(SYS_getdents64, list, block, sizeof(block))) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const void *)(block + at);
            int fd = parse_fd(entry->name);

            if (fd >= first && fd != list && !is_among(fd, keep_fds, count)) {
                close(fd);
            }
            at += entry->size_bytes;
        }
    }
    close(list);
    return got == 0;
}
#endif

void fdio_close_except(int first, const int *keep_fds, size_t count)
{
    long limit;

#ifdef SYS_close_range
    if (close_gaps(first, keep_fds, count)) {
        return;
    }
#endif
#ifdef SYS_getdents64
    if (close_listed(first, keep_fds, count)) {
        return;
    }
#endif
    limit = sysconf(_SC_OPEN_MAX);
    if (limit < 0 || limit > CLOSE_ATTEMPTS_MAX) {
        limit = CLOSE_ATTEMPTS_MAX;
    }
    for (int fd = first; fd < limit; fd++) {
        if (!is_among(fd, keep_fds, count)) {
            close(fd);
        }
    }
}

void fdio_close_from(int first)
{
    fdio_close_except(first, NULL, 0);
}

void fdio_sanitize_std(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            abort();
        }
    }
}
