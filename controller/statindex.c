#include "controller/statindex.h"

#include <assert.h>
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
#include "controller/statahead.h"
#include "controller/statindex_inside.h"

#define MAGIC "ERNDSTX1"
#define VERSION 1
#define HEAD_SIZE 56
#define COUNT_AT 12
#define ROOT_AT 16
#define WRITTEN_AT 48
#define ENTRY_SIZE STATINDEX_ENTRY_SIZE
#define STAT_SIZE STATINDEX_STAT_SIZE
#define MODE_AT 40
#define PATH_LENGTH_AT 44

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
    size_t position; /* how many were passed */
    uint32_t old_count;
    struct strbuf new;
    uint32_t new_count;
    /* What goes into the new index as it is in the old, and is not copied yet. */
    const uint8_t *kept, *kept_end;
    const uint8_t **entries; /* of the old index; NULL until statindex_look_ahead */
    struct statahead *ahead;
    bool has_changes; /* the new index has other bytes than the old */
    bool is_too_large;
};

/* ---- entries ---- */

void statindex_encode_stat(uint8_t out[STATINDEX_STAT_SIZE], const struct stat *st,
                           size_t path_length)
{
    bytes_put_u64(out, (uint64_t)st->st_size);
    bytes_put_u64(out + 8, (uint64_t)clock_ns_of(&st->st_mtim));
    bytes_put_u64(out + 16, (uint64_t)clock_ns_of(&st->st_ctim));
    bytes_put_u64(out + 24, (uint64_t)st->st_ino);
    bytes_put_u64(out + 32, (uint64_t)st->st_dev);
    bytes_put_u32(out + MODE_AT, (uint32_t)st->st_mode);
    bytes_put_u32(out + PATH_LENGTH_AT, (uint32_t)path_length);
}

size_t statindex_path_length(const uint8_t *entry)
{
    return bytes_get_u32(entry + PATH_LENGTH_AT);
}

bool statindex_is_same(const uint8_t *entry, const struct stat *st,
                       int64_t safe_before_ns)
{
    uint8_t now[STAT_SIZE];

    statindex_encode_stat(now, st, statindex_path_length(entry));
    return memcmp(now, entry, STAT_SIZE) == 0 &&
           clock_ns_of(&st->st_mtim) < safe_before_ns &&
           clock_ns_of(&st->st_ctim) < safe_before_ns;
}

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
    length = statindex_path_length(si->at);
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
    si->position++;
}

/* The walk's order: byte by byte, a slash before everything else. */
static int compare_paths(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t length = a_length < b_length ? a_length : b_length;
    size_t i = 0;

    if (a_length == b_length && memcmp(a, b, length) == 0) {
        return 0; /* by far the most */
    }
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
        si->kept = si->kept_end = si->at;
    } else {
        statindex_forget(si);
    }
    return si;
}

void statindex_free(struct statindex *si)
{
    if (si) {
        statahead_free(si->ahead);
        free(si->entries);
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
    assert(!si->ahead);
    strbuf_release(&si->old);
    si->at = si->end = si->kept = si->kept_end = NULL;
    si->current.path = NULL;
    si->has_changes = true;
}

/* ---- the walk ---- */

static void append(struct statindex *si, const void *bytes, size_t length)
{
    if (strbuf_add(&si->new, bytes, length, NULL) < 0) {
        si->is_too_large = true;
    }
}

static void append_head(struct statindex *si)
{
    static const uint8_t empty[HEAD_SIZE];

    if (si->new.length == 0) {
        (void)strbuf_reserve(&si->new, si->old.length + HEAD_SIZE, NULL);
        append(si, empty, HEAD_SIZE);
    }
}

static void append_kept(struct statindex *si)
{
    append_head(si);
    if (si->kept != si->kept_end) {
        append(si, si->kept, (size_t)(si->kept_end - si->kept));
        si->kept = si->kept_end;
    }
}

/* The current entry goes into the new index. */
static void keep_current(struct statindex *si)
{
    if (si->kept_end != si->at) {
        append_kept(si);
        si->kept = si->at;
    }
    pass_current(si);
    si->kept_end = si->at;
    si->new_count++;
}

/* Go forward to the path. False: the old index does not have it. */
static bool find(struct statindex *si, const char *path)
{
    size_t length = strlen(path);

    while (decode_current(si)) {
        int order =
            compare_paths(si->current.path, si->current.path_length, path, length);

        if (order >= 0) {
            return order == 0;
        }
        si->has_changes = true; /* a file that is gone */
        pass_current(si);
    }
    return false;
}

void statindex_look_ahead(struct statindex *si, int dir_fd)
{
    const uint8_t *at = si->at;
    size_t count = 0;

    if (si->old_count < STATAHEAD_FILES_MIN ||
        si->old_count > si->old.length / ENTRY_SIZE) {
        return;
    }
    si->entries = xcalloc(si->old_count, sizeof(*si->entries));
    while (count < si->old_count && (size_t)(si->end - at) >= ENTRY_SIZE &&
           statindex_path_length(at) <= (size_t)(si->end - at) - ENTRY_SIZE) {
        si->entries[count++] = at;
        at += ENTRY_SIZE + statindex_path_length(at);
    }
    /* It was whole when it was read, so this is how many there are. */
    if (count == si->old_count && at == si->end) {
        si->ahead = statahead_start(dir_fd, si->entries, count, si->safe_before_ns);
    }
}

bool statindex_knows(struct statindex *si, const char *path, struct stat *st,
                     struct oid *out)
{
    const uint8_t *entry;

    if (!si->ahead || !find(si, path) || !statahead_is_same(si->ahead, si->position)) {
        return false;
    }
    entry = si->current.bytes;
    st->st_size = (off_t)bytes_get_u64(entry);
    st->st_mode = (mode_t)bytes_get_u32(entry + MODE_AT);
    memcpy(out->digest, entry + STAT_SIZE, OID_SIZE);
    keep_current(si);
    return true;
}

bool statindex_lookup(struct statindex *si, const char *path, const struct stat *st,
                      struct oid *out)
{
    if (!find(si, path)) {
        return false;
    }
    if (!statindex_is_same(si->current.bytes, st, si->safe_before_ns)) {
        pass_current(si);
        return false;
    }
    memcpy(out->digest, si->current.bytes + STAT_SIZE, OID_SIZE);
    keep_current(si);
    return true;
}

bool statindex_resembles(struct statindex *si, const char *path, uint64_t size_bytes,
                         struct oid *out)
{
    if (!find(si, path)) {
        return false;
    }
    bool has_size = bytes_get_u64(si->current.bytes) == size_bytes;

    memcpy(out->digest, si->current.bytes + STAT_SIZE, OID_SIZE);
    pass_current(si);
    return has_size;
}

void statindex_add(struct statindex *si, const char *path, const struct stat *st,
                   const struct oid *oid)
{
    size_t length = strlen(path);
    uint8_t head[ENTRY_SIZE];

    statindex_encode_stat(head, st, length);
    memcpy(head + STAT_SIZE, oid->digest, OID_SIZE);
    append_kept(si);
    append(si, head, ENTRY_SIZE);
    append(si, path, length);
    si->new_count++;
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
    append_kept(si);
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
