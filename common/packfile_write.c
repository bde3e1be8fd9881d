#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/packfile.h"
#include "common/packfile_layout.h"

#define MEMORY_MAX ((size_t)2 << 20) /* of bodies that are not yet written */
#define BODIES_MAX ((uint64_t)32 << 20)

struct packfile_writer {
    int dir_fd, fd;
    char name[PACKFILE_NAME_SIZE];
    struct strbuf buffer; /* bodies, from the offset `written` on */
    uint64_t written;
    struct packfile_entry *entries; /* in the order that they came */
    size_t count, capacity;
};

struct packfile_writer *packfile_writer_new(int dir_fd, const char *name)
{
    struct packfile_writer *w = xcalloc(1, sizeof(*w));

    w->dir_fd = dir_fd;
    w->fd = -1;
    memcpy(w->name, name, strnlen(name, sizeof(w->name) - 1));
    strbuf_init(&w->buffer, MEMORY_MAX + PACKFILE_BODY_MAX);
    strbuf_puts(&w->buffer, PACKFILE_MAGIC);
    return w;
}

void packfile_writer_free(struct packfile_writer *w)
{
    if (!w) {
        return;
    }
    if (w->fd >= 0) {
        (void)unlinkat(w->dir_fd, w->name, 0);
    }
    mem_cleanup_fd(&w->fd);
    strbuf_release(&w->buffer);
    free(w->entries);
    free(w);
}

bool packfile_writer_fits(const struct packfile_writer *w, size_t length)
{
    return w->count < PACKFILE_OBJECTS_MAX &&
           w->written + w->buffer.length + length <= BODIES_MAX;
}

const char *packfile_writer_name(const struct packfile_writer *w)
{
    return w->name;
}

size_t packfile_writer_count(const struct packfile_writer *w)
{
    return w->count;
}

bool packfile_writer_is_in_memory(const struct packfile_writer *w)
{
    return w->fd < 0;
}

/* The lock shows that somebody still writes it. */
static int make_file(struct packfile_writer *w, struct error *err)
{
    w->fd = openat(w->dir_fd, w->name,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        return error_sys(err, "make a file");
    }
    (void)flock(w->fd, LOCK_EX | LOCK_NB);
    return 0;
}

static int write_out(struct packfile_writer *w, const void *data, size_t length,
                     struct error *err)
{
    if (w->fd < 0 && make_file(w, err) < 0) {
        return -1;
    }
    return fdio_write_full(w->fd, data, length) < 0 ? error_sys(err, "write") : 0;
}

static int write_buffer(struct packfile_writer *w, struct error *err)
{
    if (write_out(w, w->buffer.data, w->buffer.length, err) < 0) {
        return -1;
    }
    w->written += w->buffer.length;
    strbuf_reset(&w->buffer);
    return 0;
}

int packfile_writer_add(struct packfile_writer *w, const struct oid *oid,
                        const void *body, size_t length, struct error *err)
{
    assert(length <= PACKFILE_BODY_MAX && packfile_writer_fits(w, length));
    if ((w->buffer.length + length > MEMORY_MAX && write_buffer(w, err) < 0) ||
        strbuf_add(&w->buffer, body, length, err) < 0) {
        return -1;
    }
    if (w->count == w->capacity) {
        w->capacity = w->capacity > 0 ? 2 * w->capacity : 64;
        w->entries = xrealloc(w->entries, w->capacity, sizeof(*w->entries));
    }
    w->entries[w->count++] = (struct packfile_entry){
        .oid = *oid,
        .offset = w->written + w->buffer.length - length,
        .length = (uint32_t)length,
    };
    return 0;
}

int packfile_writer_visit(const struct packfile_writer *w, packfile_body_visitor *visit,
                          void *context, struct error *err)
{
    assert(w->fd < 0);
    for (size_t i = 0; i < w->count; i++) {
        const struct packfile_entry *entry = &w->entries[i];

        if (visit(context, &entry->oid, w->buffer.data + entry->offset, entry->length,
                  err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct packfile_entry *x = a, *y = b;

    return oid_compare(&x->oid, &y->oid);
}

static void put_entry(const struct packfile_entry *entry, uint8_t *out)
{
    memset(out, 0, PACKFILE_ENTRY_SIZE);
    memcpy(out, entry->oid.digest, OID_SIZE);
    bytes_put_u64(out + PACKFILE_OFFSET_AT, entry->offset);
    bytes_put_u32(out + PACKFILE_LENGTH_AT, entry->length);
}

/* Everything behind the bodies; out has the room. */
static void put_index(struct packfile_writer *w, uint8_t *out)
{
    uint32_t fan[PACKFILE_FAN] = {0};
    uint32_t sum = 0;

    qsort(w->entries, w->count, sizeof(*w->entries), compare_entries);
    for (size_t i = 0; i < w->count; i++, out += PACKFILE_ENTRY_SIZE) {
        fan[w->entries[i].oid.digest[0]]++;
        put_entry(&w->entries[i], out);
    }
    for (size_t i = 0; i < PACKFILE_FAN; i++, out += 4) {
        sum += fan[i];
        bytes_put_u32(out, sum);
    }
    bytes_put_u64(out, w->count);
    bytes_put_u64(out + 8, w->written);
    memcpy(out + 16, PACKFILE_MAGIC, PACKFILE_HEAD_SIZE);
}

int packfile_writer_finish(struct packfile_writer *w, struct error *err)
{
    size_t length =
        w->count * PACKFILE_ENTRY_SIZE + PACKFILE_FAN_SIZE + PACKFILE_TAIL_SIZE;
    CLEANUP_FREE uint8_t *index = xmalloc(length);

    assert(w->count > 0);
    if (write_buffer(w, err) < 0) {
        return -1;
    }
    put_index(w, index);
    if (write_out(w, index, length, err) < 0) {
        return -1;
    }
    /* A quota on a network filesystem may show only when the file is closed. */
    if (close(take_fd(&w->fd)) != 0) {
        error_sys(err, "write");
        (void)unlinkat(w->dir_fd, w->name, 0);
        return -1;
    }
    return 0;
}
