#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/tree.h"
#include "executor/outputs_index.h"

struct outputs_reader {
    int index_fd, objects_fd, work_fd;
    uint64_t count;
    uint64_t paths_size;
};

static int check_head(struct outputs_reader *r, struct error *err)
{
    uint8_t head[OUTPUTS_HEAD_SIZE];
    struct stat st;
    if (fstat(r->index_fd, &st) < 0 ||
        fdio_pread_full(r->index_fd, head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        return error_set(err, ERR_CORRUPT, "outputs.index has no head");
    }
    uint64_t size = (uint64_t)st.st_size;
    r->count = bytes_get_u64(head + 8);
    r->paths_size = bytes_get_u64(head + 16);
    if (memcmp(head, OUTPUTS_INDEX_MAGIC, 8) != 0 || r->paths_size > size ||
        r->count > size / OUTPUTS_ENTRY_SIZE ||
        OUTPUTS_HEAD_SIZE + r->count * OUTPUTS_ENTRY_SIZE + r->paths_size != size) {
        return error_set(err, ERR_CORRUPT, "outputs.index is not whole");
    }
    return 0;
}

struct outputs_reader *outputs_open(int run_fd, struct error *err)
{
    CLEANUP(outputs_reader_cleanup)
    struct outputs_reader *r = xcalloc(1, sizeof(*r));
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
    r->objects_fd = r->work_fd = -1;
    r->index_fd = faccessat(run_fd, "outputs.json", F_OK, 0) < 0
                      ? -1
                      : openat(run_fd, "outputs.index", flags);
    if (r->index_fd < 0) {
        if (errno == ENOENT) {
            error_set(err, ERR_NOT_FOUND, "no outputs of this run were collected");
        } else {
            error_sys(err, "open outputs.index");
        }
        return NULL;
    }
    r->objects_fd = openat(run_fd, "outputs.objects", flags);
    if (r->objects_fd < 0) {
        error_sys(err, "open outputs.objects");
        return NULL;
    }
    r->work_fd = files_open_dir(run_fd, "work", err);
    return r->work_fd < 0 || check_head(r, err) < 0 ? NULL : TAKE_PTR(r);
}

void outputs_reader_free(struct outputs_reader *r)
{
    if (r == NULL) {
        return;
    }
    mem_cleanup_fd(&r->index_fd);
    mem_cleanup_fd(&r->objects_fd);
    mem_cleanup_fd(&r->work_fd);
    free(r);
}

static bool read_entry(const struct outputs_reader *r, uint64_t i,
                       struct outputs_entry *out)
{
    uint8_t in[OUTPUTS_ENTRY_SIZE];
    uint64_t at = OUTPUTS_HEAD_SIZE + i * OUTPUTS_ENTRY_SIZE;
    if (fdio_pread_full(r->index_fd, in, sizeof(in), at) != (ssize_t)sizeof(in)) {
        return false;
    }
    memcpy(out->oid.digest, in, OID_SIZE);
    out->path_offset = bytes_get_u64(in + 32);
    out->offset = bytes_get_u64(in + 40);
    out->length = bytes_get_u32(in + 48);
    out->path_length = bytes_get_u32(in + 52);
    return true;
}

static bool find_entry(const struct outputs_reader *r, const struct oid *oid,
                       struct outputs_entry *out)
{
    uint64_t low = 0;
    uint64_t high = r->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!read_entry(r, middle, out)) {
            return false;
        }
        int order = oid_compare(oid, &out->oid);
        if (order == 0) {
            return true;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return false;
}

/* The path of an entry, malloc'ed, NULL where the index is damaged. */
static char *read_path(const struct outputs_reader *r, const struct outputs_entry *e)
{
    if (e->path_length >= TREE_PATH_MAX || e->path_offset > r->paths_size ||
        e->path_length > r->paths_size - e->path_offset) {
        return NULL;
    }
    CLEANUP_FREE char *path = xcalloc(1, e->path_length + 1);
    uint64_t at = OUTPUTS_HEAD_SIZE + r->count * OUTPUTS_ENTRY_SIZE + e->path_offset;
    bool is_read =
        fdio_pread_full(r->index_fd, path, e->path_length, at) == (ssize_t)e->path_length;
    return is_read && runspec_path_is_valid(path) ? TAKE_PTR(path) : NULL;
}

static int read_body(int fd, const struct outputs_entry *e, const char *path,
                     enum object_kind kind, struct strbuf *out, struct error *err)
{
    strbuf_reset(out);
    char *room = strbuf_reserve(out, e->length, err);
    if (room == NULL) {
        return -1;
    }
    ssize_t got = fdio_pread_full(fd, room, e->length, e->offset);
    if (got < 0) {
        return error_sys(err, "read %s", path);
    }
    struct oid oid;
    oid_of(kind, room, (size_t)got, &oid);
    if ((size_t)got != e->length || !oid_equal(&oid, &e->oid)) {
        return error_set(err, ERR_CHANGED, "%s was changed after it was collected", path);
    }
    strbuf_grown(out, e->length);
    return 0;
}

static int get(void *context, enum object_kind kind, const struct oid *oid,
               struct strbuf *out, struct error *err)
{
    const struct outputs_reader *r = context;
    struct outputs_entry e;
    if (!find_entry(r, oid, &e)) {
        char hex[OID_HEX_SIZE];
        oid_to_hex(oid, hex);
        return error_set(err, ERR_NOT_FOUND, "the outputs have no %s %s",
                         object_kind_name(kind), hex);
    }
    if (e.length > OBJECT_SIZE_MAX) {
        return error_set(err, ERR_CORRUPT, "outputs.index names an object too large");
    }
    if (e.path_length == 0) {
        return read_body(r->objects_fd, &e, "outputs.objects", kind, out, err);
    }
    CLEANUP_FREE char *path = read_path(r, &e);
    if (path == NULL) {
        return error_set(err, ERR_CORRUPT, "outputs.index names a path that cannot be");
    }
    /* What a script left running may have put a FIFO there. */
    CLEANUP_FD int fd =
        openat(r->work_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        error_sys(err, "read %s", path);
        if (err != NULL && err->code == ERR_NOT_FOUND) {
            err->code = ERR_CHANGED;
        }
        return -1;
    }
    return read_body(fd, &e, path, kind, out, err);
}

static bool has(void *context, enum object_kind kind, const struct oid *oid)
{
    struct outputs_entry e;
    (void)kind;
    return find_entry(context, oid, &e);
}

struct object_source outputs_source(struct outputs_reader *r)
{
    return (struct object_source){.get = get, .has = has, .context = r};
}
