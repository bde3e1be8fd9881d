#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "executor/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"

#define SECRETS_MAX ((size_t)1 << 20)

int secrets_open(const void *settings, size_t length, struct error *err)
{
    int fd = (int)syscall(SYS_memfd_create, "secrets", 1U /* MFD_CLOEXEC */);
    if (fd >= 0) {
        if (fdio_pwrite_full(fd, settings, length, 0) < 0) {
            error_sys(err, "hand the secrets over");
            fdio_close(&fd);
        }
        return fd;
    }
    int ends[2];
    if (fdio_pipe(ends, err) < 0) {
        return -1;
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    if (fdio_set_nonblocking(ends[1], true, err) < 0 ||
        fdio_write(ends[1], settings, length) != (ssize_t)length) {
        error_set(err, ERR_LIMIT, "the secrets do not fit in a pipe");
        fdio_close(&ends[0]);
    }
    fdio_close(&ends[1]);
    return ends[0];
}

int secrets_read(int fd, secrets_visitor *visit, void *context, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, SECRETS_MAX);
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE) {
        return error_sys(err, "read the secrets");
    }
    int result = fdio_read_all(fd, "the secrets", &text, err);
    for (size_t at = 0; at < text.length; at += strlen(text.data + at) + 1) {
        visit(context, text.data + at);
    }
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
    return result;
}
