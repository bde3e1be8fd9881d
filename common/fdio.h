/*
 * fdio: reading and writing descriptors to the end, whatever the kernel cuts short.
 * [base]
 *
 * EINTR is retried, short reads and writes go on. Descriptors made here are
 * close-on-exec.
 */
#ifndef COMMON_FDIO_H
#define COMMON_FDIO_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read until length bytes or end of file. Returns the bytes read (< length only at the
 * end), -1 with errno. A descriptor that is non-blocking is waited for with poll. */
ssize_t fdio_read_full(int fd, void *out, size_t length);
ssize_t fdio_pread_full(int fd, void *out, size_t length, uint64_t offset);
/* Write all. 0, or -1 with errno. A descriptor that is non-blocking is waited for with
 * poll. */
int fdio_write_full(int fd, const void *data, size_t length);
/* The same of a line, made as printf does, and its newline. */
int fdio_write_line(int fd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int fdio_pwrite_full(int fd, const void *data, size_t length, uint64_t offset);

/* One read or write that retries EINTR. As read(2) and write(2) else. */
ssize_t fdio_read(int fd, void *out, size_t length);
ssize_t fdio_write(int fd, const void *data, size_t length);

/* Bytes that a pipe or socket has now, to be read without waiting; 0 where it does not
 * say. */
size_t fdio_waiting(int fd);

/* Append all there is to sb, up to sb's limit. what names the source. After a failure sb
 * is as it was. Waits as fdio_read_full. Errors: ERR_LIMIT, else by errno. */
int fdio_read_all(int fd, const char *what, struct strbuf *sb, struct error *err);

/*
 * Copy up to length bytes between the descriptors' positions (copy_file_range, else read
 * and write). Returns the bytes copied (< length only where the source ended), -1 with
 * errno.
 */
int64_t fdio_copy(int in_fd, int out_fd, uint64_t length);

/* A close-on-exec pipe: read end, write end. Errors: by errno. */
int fdio_pipe(int out_fds[2], struct error *err);
/* Set or clear the flag. Errors: by errno. */
int fdio_set_nonblocking(int fd, bool is_nonblocking, struct error *err);
int fdio_set_cloexec(int fd, bool is_cloexec, struct error *err);

/* What a pipe may hold without privileges: pipe(7), pipe-max-size. */
#define FDIO_PIPE_WIDE ((size_t)1 << 20)
/* Let a pipe hold this many bytes, at most FDIO_PIPE_WIDE, as far as the system allows:
 * its ends wake each other less often and work side by side. What is no pipe, or cannot
 * be widened, stays as it is. */
void fdio_widen_pipe(int fd, size_t bytes);

/* Close once, never again after EINTR; *fd becomes -1. errno is kept. */
void fdio_close(int *fd);

/* Close every descriptor from first on (close_range, else /proc/self/fd, else one by
 * one), in the second form without the count in keep_fds. Both allocate nothing and may
 * be called between fork and exec. */
void fdio_close_from(int first);
void fdio_close_except(int first, const int *keep_fds, size_t count);

/* Open /dev/null on each of descriptors 0, 1 and 2 that is closed, so that no file of
 * ours becomes one of them. Aborts on failure. */
void fdio_sanitize_std(void);

#endif
