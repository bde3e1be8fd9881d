#include "common/ingest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/chunk.h"
#include "common/fdio.h"

#define BUFFER_SIZE (2 * CHUNK_MAX)

struct file_reader {
    const struct ingest_hooks *hooks;
    uint8_t *buffer; /* of BUFFER_SIZE; NULL until the first file */
};

/* One attempt at one file. */
struct attempt {
    struct file_reader *reader;
    const char *path;
    int fd;
    struct stat st; /* before it was read */
    struct oid *out;
    struct error *problem, *err;
};

struct file_reader *file_reader_new(const struct ingest_hooks *hooks)
{
    struct file_reader *r = xcalloc(1, sizeof(*r));

    r->hooks = hooks;
    return r;
}

void file_reader_free(struct file_reader *r)
{
    if (r) {
        free(r->buffer);
        free(r);
    }
}

static enum file_result changed(const struct attempt *a)
{
    error_set(a->problem, ERR_CHANGED, "it changed while it was read");
    return FILE_PROBLEM;
}

static enum file_result failed(const struct attempt *a, const char *what)
{
    error_sys(a->problem, "%s", what);
    return FILE_PROBLEM;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* FILE_TAKEN where the file is still what it was when it was opened. */
static enum file_result check_still(const struct attempt *a)
{
    struct stat now;

    if (fstat(a->fd, &now) != 0) {
        return failed(a, "stat");
    }
    if (now.st_size != a->st.st_size || !is_same_time(&now.st_mtim, &a->st.st_mtim) ||
        !is_same_time(&now.st_ctim, &a->st.st_ctim)) {
        return changed(a);
    }
    return FILE_TAKEN;
}

static enum file_result put_content(const struct attempt *a, const uint8_t *body,
                                    size_t length, uint64_t offset, struct oid *oid)
{
    const struct ingest_hooks *hooks = a->reader->hooks;

    oid_of(OBJECT_CONTENT, body, length, oid);
    return hooks->put(hooks->context, OBJECT_CONTENT, oid, body, length, a->path, offset,
                      a->err) < 0
               ? FILE_STOP
               : FILE_TAKEN;
}

static enum file_result read_small(const struct attempt *a)
{
    size_t size = (size_t)a->st.st_size;
    /* One byte more shows that it grew. */
    ssize_t got = fdio_read_full(a->fd, a->reader->buffer, size + 1);
    enum file_result result;

    if (got < 0) {
        return failed(a, "read");
    }
    if ((size_t)got != size) {
        return changed(a);
    }
    result = check_still(a);
    return result != FILE_TAKEN ? result
                                : put_content(a, a->reader->buffer, size, 0, a->out);
}

static int put_list(void *context, enum object_kind kind, const struct oid *oid,
                    const void *body, size_t length, struct error *err)
{
    const struct file_reader *r = context;

    return r->hooks->put(r->hooks->context, kind, oid, body, length, NULL, 0, err);
}

/* Cut the file into chunks and put them. */
static enum file_result read_chunks(const struct attempt *a,
                                    struct chunk_list_writer *list)
{
    uint8_t *buffer = a->reader->buffer;
    uint64_t size = (uint64_t)a->st.st_size, offset = 0;
    size_t start = 0, have = 0;
    bool is_end = false;

    for (;;) {
        enum file_result result;
        struct oid chunk;
        size_t length;

        if (!is_end && have < CHUNK_MAX) {
            ssize_t got;

            memmove(buffer, buffer + start, have);
            start = 0;
            got = fdio_read_full(a->fd, buffer + have, BUFFER_SIZE - have);
            if (got < 0) {
                return failed(a, "read");
            }
            is_end = (size_t)got < BUFFER_SIZE - have;
            have += (size_t)got;
        }
        if (have == 0 || offset + have > size) {
            return have == 0 && offset == size ? check_still(a) : changed(a);
        }
        length = chunk_cut(buffer + start, have);
        result = put_content(a, buffer + start, length, offset, &chunk);
        if (result != FILE_TAKEN) {
            return result;
        }
        chunk_list_writer_add(list, &chunk, length);
        start += length;
        have -= length;
        offset += length;
    }
}

static enum file_result read_large(const struct attempt *a)
{
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *list = chunk_list_writer_new();
    struct object_sink sink = {.put = put_list, .context = a->reader};
    enum file_result result = read_chunks(a, list);

    if (result != FILE_TAKEN) {
        return result;
    }
    return chunk_list_writer_finish(list, &sink, a->out, a->err) < 0 ? FILE_STOP
                                                                     : FILE_TAKEN;
}

static enum file_result read_once(struct attempt *a, int dir_fd, const char *name)
{
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) {
        return changed(a); /* it was a file a moment ago */
    }
    if (fd < 0 || fstat(fd, &a->st) != 0) {
        return failed(a, "open");
    }
    if (!S_ISREG(a->st.st_mode)) {
        return changed(a);
    }
    if ((uint64_t)a->st.st_size > TREE_FILE_SIZE_MAX) {
        error_set(a->problem, ERR_LIMIT, "a file of %lld bytes",
                  (long long)a->st.st_size);
        return FILE_PROBLEM;
    }
    a->fd = fd;
    return (size_t)a->st.st_size <= OBJECT_SIZE_MAX ? read_small(a) : read_large(a);
}

enum file_result file_reader_read(struct file_reader *r, int dir_fd, const char *name,
                                  const char *path, struct stat *st, struct oid *out,
                                  struct error *problem, struct error *err)
{
    struct attempt a = {
        .reader = r, .path = path, .out = out, .problem = problem, .err = err};
    enum file_result result = FILE_PROBLEM;

    r->buffer = r->buffer ? r->buffer : xmalloc(BUFFER_SIZE);
    for (int i = 0; i < INGEST_ATTEMPTS; i++) {
        result = read_once(&a, dir_fd, name);
        if (result != FILE_PROBLEM || problem->code != ERR_CHANGED) {
            break;
        }
    }
    *st = a.st;
    return result;
}
