#include "common/packfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/packfile_layout.h"

#define WINDOW ((size_t)256) /* entries that are read at a time */

struct packfile {
    int dir_fd, fd;
    char name[PACKFILE_NAME_SIZE];
    size_t count;
    uint64_t index; /* where it begins */
    uint32_t fan[PACKFILE_FAN];
};

static int corrupt(const struct packfile *pack, const char *what, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "pack file %s: %s", pack->name, what);
}

static int pread_all(const struct packfile *pack, void *out, size_t length,
                     uint64_t offset, struct error *err)
{
    ssize_t got = fdio_pread_full(pack->fd, out, length, offset);

    if (got < 0) {
        return error_sys(err, "read pack file %s", pack->name);
    }
    return (size_t)got != length ? corrupt(pack, "cut off", err) : 0;
}

/* Counts that only grow, up to all. */
static int read_fan(struct packfile *pack, const uint8_t *bytes, struct error *err)
{
    uint32_t before = 0;

    for (size_t i = 0; i < PACKFILE_FAN; i++) {
        pack->fan[i] = bytes_get_u32(bytes + 4 * i);
        if (pack->fan[i] < before) {
            return corrupt(pack, "its index is not in order", err);
        }
        before = pack->fan[i];
    }
    return before != pack->count ? corrupt(pack, "its index is not whole", err) : 0;
}

static int read_ends(struct packfile *pack, struct error *err)
{
    uint8_t head[PACKFILE_HEAD_SIZE];
    uint8_t end[PACKFILE_FAN_SIZE + PACKFILE_TAIL_SIZE];
    const uint8_t *tail = end + PACKFILE_FAN_SIZE;
    struct stat st;

    if (packfile_stat(pack, &st, err) < 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)(sizeof(head) + sizeof(end))) {
        return corrupt(pack, "too short", err);
    }
    uint64_t end_offset = (uint64_t)st.st_size - sizeof(end);

    if (pread_all(pack, head, sizeof(head), 0, err) < 0 ||
        pread_all(pack, end, sizeof(end), end_offset, err) < 0) {
        return -1;
    }
    uint64_t count = bytes_get_u64(tail);

    pack->index = bytes_get_u64(tail + 8);
    if (memcmp(head, PACKFILE_MAGIC, PACKFILE_HEAD_SIZE) != 0 ||
        memcmp(tail + 16, PACKFILE_MAGIC, PACKFILE_HEAD_SIZE) != 0 || count == 0 ||
        count > PACKFILE_OBJECTS_MAX || pack->index < PACKFILE_HEAD_SIZE ||
        pack->index > end_offset ||
        end_offset - pack->index != count * PACKFILE_ENTRY_SIZE) {
        return corrupt(pack, "its end is no pack file's", err);
    }
    pack->count = (size_t)count;
    return read_fan(pack, end, err);
}

struct packfile *packfile_open(int dir_fd, const char *name, struct error *err)
{
    CLEANUP(packfile_cleanup) struct packfile *pack = xcalloc(1, sizeof(*pack));

    pack->dir_fd = dir_fd;
    memcpy(pack->name, name, strnlen(name, sizeof(pack->name) - 1));
    pack->fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (pack->fd < 0) {
        error_sys(err, "open pack file %s", pack->name);
        return NULL;
    }
    return read_ends(pack, err) < 0 ? NULL : TAKE_PTR(pack);
}

void packfile_free(struct packfile *pack)
{
    if (pack) {
        mem_cleanup_fd(&pack->fd);
        free(pack);
    }
}

const char *packfile_name(const struct packfile *pack)
{
    return pack->name;
}

int packfile_stat(const struct packfile *pack, struct stat *out, struct error *err)
{
    return fstat(pack->fd, out) != 0 ? error_sys(err, "stat pack file %s", pack->name)
                                     : 0;
}

void packfile_renew(const struct packfile *pack)
{
    (void)futimens(pack->fd, NULL);
}

static void decode(const uint8_t *bytes, size_t place, struct packfile_entry *out)
{
    memcpy(out->oid.digest, bytes, OID_SIZE);
    out->offset = bytes_get_u64(bytes + PACKFILE_OFFSET_AT);
    out->length = bytes_get_u32(bytes + PACKFILE_LENGTH_AT);
    out->is_bad = bytes[PACKFILE_STATE_AT] != 0;
    out->place = place;
}

static int read_entries(const struct packfile *pack, size_t first, size_t count,
                        uint8_t *out, struct error *err)
{
    return pread_all(pack, out, count * PACKFILE_ENTRY_SIZE,
                     pack->index + first * PACKFILE_ENTRY_SIZE, err);
}

/* Halve [*low, *high), where the digest may be, until one window holds it. */
static int narrow(const struct packfile *pack, const struct oid *oid, size_t *low,
                  size_t *high, struct error *err)
{
    uint8_t bytes[PACKFILE_ENTRY_SIZE];

    while (*high - *low > WINDOW) {
        size_t middle = *low + (*high - *low) / 2;

        if (read_entries(pack, middle, 1, bytes, err) < 0) {
            return -1;
        }
        if (memcmp(oid->digest, bytes, OID_SIZE) < 0) {
            *high = middle;
        } else {
            *low = middle;
        }
    }
    return 0;
}

int packfile_find(const struct packfile *pack, const struct oid *oid,
                  struct packfile_entry *out, struct error *err)
{
    uint8_t window[WINDOW * PACKFILE_ENTRY_SIZE];
    size_t first = oid->digest[0];
    size_t low = first > 0 ? pack->fan[first - 1] : 0, high = pack->fan[first];

    if (narrow(pack, oid, &low, &high, err) < 0 ||
        read_entries(pack, low, high - low, window, err) < 0) {
        return -1;
    }
    for (size_t base = low; low < high;) {
        size_t middle = low + (high - low) / 2;
        const uint8_t *bytes = window + (middle - base) * PACKFILE_ENTRY_SIZE;
        int order = memcmp(oid->digest, bytes, OID_SIZE);

        if (order == 0) {
            decode(bytes, middle, out);
            return out->is_bad ? 0 : 1;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return 0;
}

int packfile_read(const struct packfile *pack, const struct packfile_entry *entry,
                  struct strbuf *out, struct error *err)
{
    char *room;

    if (entry->length > PACKFILE_BODY_MAX || entry->offset > pack->index ||
        pack->index - entry->offset < entry->length) {
        return corrupt(pack, "an entry that is not in it", err);
    }
    strbuf_reset(out);
    room = strbuf_reserve(out, entry->length, err);
    if (!room || pread_all(pack, room, entry->length, entry->offset, err) < 0) {
        return -1;
    }
    strbuf_grown(out, entry->length);
    return 0;
}

int packfile_visit(const struct packfile *pack, packfile_visitor *visit, void *context,
                   struct error *err)
{
    uint8_t window[WINDOW * PACKFILE_ENTRY_SIZE];

    for (size_t first = 0; first < pack->count; first += WINDOW) {
        size_t left = pack->count - first;
        size_t count = left < WINDOW ? left : WINDOW;

        if (read_entries(pack, first, count, window, err) < 0) {
            return -1;
        }
        for (size_t i = 0; i < count; i++) {
            struct packfile_entry entry;

            decode(window + i * PACKFILE_ENTRY_SIZE, first + i, &entry);
            if (visit(context, &entry, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int packfile_mark_bad(const struct packfile *pack, const struct packfile_entry *entry,
                      struct error *err)
{
    static const uint8_t bad = 1;
    CLEANUP_FD int fd =
        openat(pack->dir_fd, pack->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint64_t offset =
        pack->index + entry->place * PACKFILE_ENTRY_SIZE + PACKFILE_STATE_AT;

    /* One byte: it is written or it is not. */
    if (fd < 0 || fdio_pwrite_full(fd, &bad, 1, offset) < 0) {
        return error_sys(err, "mark an object of pack file %s", pack->name);
    }
    return 0;
}
