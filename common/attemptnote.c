#define _GNU_SOURCE /* O_NOFOLLOW */
#include "common/attemptnote.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#define NOTE_MAX ((size_t)4 << 10)

int attemptnote_write(int run_fd, const char *file, int64_t attempt, int64_t number,
                      struct error *err)
{
    CLEANUP_FREE char *text =
        xasprintf("%lld %lld\n", (long long)attempt, (long long)number);
    return files_write_atomic(run_fd, file, text, strlen(text), 0600, err);
}

int64_t attemptnote_read(int run_fd, const char *file, int64_t attempt)
{
    struct strbuf text;
    int64_t number = -1;
    strbuf_init(&text, NOTE_MAX);
    if (files_read(run_fd, file, &text, NULL) == 0) {
        char *end = NULL;
        long long of = strtoll(text.data, &end, 10);
        number = of == attempt && *end == ' ' ? strtoll(end, NULL, 10) : -1;
    }
    strbuf_release(&text);
    return number;
}

int attemptnote_take_metrics(int run_fd, const char *note, int64_t attempt, int in_fd,
                             struct error *err)
{
    int64_t begin = attemptnote_read(run_fd, note, attempt);
    struct stat st;
    CLEANUP_FD int out =
        openat(run_fd, "metrics", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0 || fstat(out, &st) < 0) {
        return error_sys(err, "open metrics");
    }
    if (begin < 0) {
        begin = (int64_t)st.st_size;
        if (attemptnote_write(run_fd, note, attempt, begin, err) < 0) {
            return -1;
        }
    }
    return lseek(in_fd, 0, SEEK_SET) < 0 || lseek(out, begin, SEEK_SET) < 0 ||
                   fdio_copy(in_fd, out, UINT64_MAX) < 0
               ? error_sys(err, "write metrics")
               : 0;
}
