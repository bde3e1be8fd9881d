#include "controller/statindex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/strbuf.h"

#define MAGIC "ERNDSTX1"
#define VERSION 1
#define HEAD_SIZE 56
#define COUNT_AT 12
#define ROOT_AT 16
#define WRITTEN_AT 48
#define ENTRY_SIZE 80 /* before the path */
#define TMP_NAME_SIZE 48

/* What stat says of a file, and its path, as bytes of the format. */
struct entry {
    const uint8_t *bytes; /* ENTRY_SIZE and the path */
    const char *path;
    size_t path_length;
};

struct statindex {
    char *path;
    struct strbuf old;
    const uint8_t *at, *end; /* what was not passed yet */
    struct entry current;    /* at at; path NULL: it is not decoded */
    int64_t safe_before_ns;  /* what changed later is not believed */
    int64_t walk_utc_ns;
    uint32_t old_count;
    struct strbuf new;
    uint32_t new_count;
    bool has_changes; /* the new index has other bytes than the old */
    bool is_too_large;
};

/* ---- entries ---- */

static int64_t time_ns(const struct timespec *t)
{
    /* A filesystem may show any time: what overflows wraps. */
    return (int64_t)((uint64_t)t->tv_sec * (uint64_t)NS_PER_S + (uint64_t)t->tv_nsec);
}

static void encode_stat(uint8_t out[ENTRY_SIZE], const struct stat *st,
                        size_t path_length)
{
    bytes_put_u64(out, (uint64_t)st->st_size);
    bytes_put_u64(out + 8, (uint64_t)time_ns(&st->st_mtim));
    bytes_put_u64(out + 16, (uint64_t)time_ns(&st->st_ctim));
    bytes_put_u64(out + 24, (uint64_t)st->st_ino);
    bytes_put_u64(out + 32, (uint64_t)st->st_dev);
    bytes_put_u32(out + 40, (uint32_t)st->st_mode);
    bytes_put_u32(out + 44, (uint32_t)path_length);
}

#define STAT_SIZE 48 /* what encode_stat writes; the digest follows */

/* Decode the entry at si->at. False: there are no more. */
static bool decode_current(struct statindex *si)
{
    size_t left = (size_t)(si->end - si->at);
    size_t length;

    if (si->current.path) {
        return true;
    }
    if (left < ENTRY_SIZE) {
        return false;
    }
    length = bytes_get_u32(si->at + 44);
    if (length > left - ENTRY_SIZE) {
        si->at = si->end;
        return false;
    }
    si->current.bytes = si->at;
    si->current.path = (const char *)si->at + ENTRY_SIZE;
    si->current.path_length = length;
    return true;
}

static void pass_current(struct statindex *si)
{
    si->at += ENTRY_SIZE + si->current.path_length;
    si->current.path = NULL;
}

/* The walk's order: byte by byte, a slash before everything else. */
static int compare_paths(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t length = a_length < b_length ? a_length : b_length;
    size_t i = 0;

    while (i < length && a[i] == b[i]) {
        i++;
    }
    if (i == length) {
        return (a_length > b_length) - (a_length < b_length);
    }
    if (a[i] == '/' || b[i] == '/') {
        return a[i] == '/' ? -1 : 1;
    }
    return (uint8_t)a[i] < (uint8_t)b[i] ? -1 : 1;
}

/* ---- the file ---- */

/* True where the bytes are a whole index. */
static bool is_whole(const struct strbuf *file)
{
    const uint8_t *bytes = (const uint8_t *)file->data;
    struct oid digest;

    if (file->length < HEAD_SIZE + OID_SIZE || memcmp(bytes, MAGIC, 8) != 0 ||
        bytes_get_u32(bytes + 8) != VERSION ||
        bytes_get_u64(bytes + WRITTEN_AT) > INT64_MAX) {
        return false;
    }
    oid_of_bytes(bytes, file->length - OID_SIZE, &digest);
    return memcmp(digest.digest, bytes + file->length - OID_SIZE, OID_SIZE) == 0;
}

static bool read_file(const char *path, struct strbuf *out)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *room;
    ssize_t got;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
        (uint64_t)st.st_size > STATINDEX_SIZE_MAX) {
        return false;
    }
    room = strbuf_reserve(out, (size_t)st.st_size, NULL);
    got = room ? fdio_read_full(fd, room, (size_t)st.st_size) : -1;
    if (got < 0) {
        return false;
    }
    strbuf_grown(out, (size_t)got);
    return true;
}

struct statindex *statindex_open(const char *path, int64_t walk_utc_ns)
{
    struct statindex *si = xcalloc(1, sizeof(*si));

    si->path = xstrdup(path);
    si->walk_utc_ns = walk_utc_ns;
    strbuf_init(&si->old, STATINDEX_SIZE_MAX);
    strbuf_init(&si->new, STATINDEX_SIZE_MAX);
    if (read_file(path, &si->old) && is_whole(&si->old)) {
        const uint8_t *bytes = (const uint8_t *)si->old.data;

        si->at = bytes + HEAD_SIZE;
        si->end = bytes + si->old.length - OID_SIZE;
        si->old_count = bytes_get_u32(bytes + COUNT_AT);
        si->safe_before_ns =
            (int64_t)bytes_get_u64(bytes + WRITTEN_AT) - STATINDEX_SAFE_NS;
        (void)strbuf_reserve(&si->new, si->old.length, NULL);
    } else {
        statindex_forget(si);
    }
    return si;
}

void statindex_free(struct statindex *si)
{
    if (si) {
        strbuf_release(&si->old);
        strbuf_release(&si->new);
        free(si->path);
        free(si);
    }
}

void statindex_peek(int dir_fd, const char *name, struct oid *out)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    uint8_t head[HEAD_SIZE];

    *out = (struct oid){.digest = {0}};
    if (fd >= 0 && fdio_read_full(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
        memcmp(head, MAGIC, 8) == 0 && bytes_get_u32(head + 8) == VERSION) {
        memcpy(out->digest, head + ROOT_AT, OID_SIZE);
    }
}

void statindex_root(const struct statindex *si, struct oid *out)
{
    *out = (struct oid){{0}};
    if (si->at) {
        memcpy(out->digest, si->old.data + ROOT_AT, OID_SIZE);
    }
}

void statindex_forget(struct statindex *si)
{
    strbuf_release(&si->old);
    si->at = si->end = NULL;
    si->current.path = NULL;
    si->has_changes = true;
}

/* ---- the walk ---- */

static void append(struct statindex *si, const uint8_t head[ENTRY_SIZE], const char *path,
                   size_t path_length)
{
    if (si->new.length == 0) {
        static const uint8_t empty[HEAD_SIZE];

        (void)strbuf_add(&si->new, empty, HEAD_SIZE, NULL);
    }
    if (strbuf_add(&si->new, head, ENTRY_SIZE, NULL) < 0 ||
        strbuf_add(&si->new, path, path_length, NULL) < 0) {
        si->is_too_large = true;
    }
    si->new_count++;
}

static bool is_believed(const struct statindex *si, const struct stat *st)
{
    return time_ns(&st->st_mtim) < si->safe_before_ns &&
           time_ns(&st->st_ctim) < si->safe_before_ns;
}

bool statindex_lookup(struct statindex *si, const char *path, const struct stat *st,
                      struct oid *out)
{
    size_t length = strlen(path);
    uint8_t now[ENTRY_SIZE];
    int order = 1;

    while (decode_current(si)) {
        order = compare_paths(si->current.path, si->current.path_length, path, length);
        if (order >= 0) {
            break;
        }
        si->has_changes = true; /* a file that is gone */
        pass_current(si);
    }
    if (order != 0) {
        return false;
    }
    encode_stat(now, st, length);
    if (memcmp(now, si->current.bytes, STAT_SIZE) != 0 || !is_believed(si, st)) {
        pass_current(si);
        return false;
    }
    memcpy(out->digest, si->current.bytes + STAT_SIZE, OID_SIZE);
    append(si, si->current.bytes, path, length);
    pass_current(si);
    return true;
}

void statindex_add(struct statindex *si, const char *path, const struct stat *st,
                   const struct oid *oid)
{
    size_t length = strlen(path);
    uint8_t head[ENTRY_SIZE];

    encode_stat(head, st, length);
    memcpy(head + STAT_SIZE, oid->digest, OID_SIZE);
    append(si, head, path, length);
    si->has_changes = true;
}

/* ---- writing ---- */

static int write_bytes(const char *tmp, const struct strbuf *bytes)
{
    CLEANUP_FD int fd =
        open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || fdio_write_full(fd, bytes->data, bytes->length) < 0) {
        return -1;
    }
    return close(take_fd(&fd));
}

static int replace_file(const struct statindex *si, struct error *err)
{
    uint64_t nonce;
    CLEANUP_FREE char *tmp = NULL;

    bytes_random(&nonce, sizeof(nonce));
    tmp = xasprintf("%s.tmp-%016llx", si->path, (unsigned long long)nonce);
    if (write_bytes(tmp, &si->new) != 0 || rename(tmp, si->path) != 0) {
        error_sys(err, "write the stat index %s", si->path);
        (void)unlink(tmp);
        return -1;
    }
    return 0;
}

int statindex_write(struct statindex *si, const struct oid *root, struct error *err)
{
    struct oid known, digest;
    uint8_t *head;

    statindex_root(si, &known);
    if (!si->has_changes && si->new_count == si->old_count && oid_equal(&known, root)) {
        return 0;
    }
    if (si->new.length == 0) {
        static const uint8_t empty[HEAD_SIZE];

        (void)strbuf_add(&si->new, empty, HEAD_SIZE, NULL);
    }
    head = (uint8_t *)si->new.data;
    memcpy(head, MAGIC, 8); /* NOLINT(bugprone-not-null-terminated-result): bytes */
    bytes_put_u32(head + 8, VERSION);
    bytes_put_u32(head + COUNT_AT, si->new_count);
    memcpy(head + ROOT_AT, root->digest, OID_SIZE);
    bytes_put_u64(head + WRITTEN_AT, (uint64_t)si->walk_utc_ns);
    oid_of_bytes(si->new.data, si->new.length, &digest);
    if (si->is_too_large || strbuf_add(&si->new, digest.digest, OID_SIZE, NULL) < 0) {
        return error_set(err, ERR_LIMIT,
                         "the stat index %s would have more than %zu bytes", si->path,
                         STATINDEX_SIZE_MAX);
    }
    return replace_file(si, err);
}
