#include "common/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/store_files.h"

/* An object that is met again is made young once it is older than this; collection spares
 * a day, so the hour spares most of the calls. */
#define RENEW_AFTER_MS (INT64_C(3600) * 1000)
#define TMP_NAME_SIZE 64

static int load_id(struct store *store, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    uint8_t id[16];

    strbuf_init(&text, 4096);
    if (files_read(store->root_fd, "id", &text, err) < 0) {
        return -1;
    }
    if (text.length != STORE_ID_SIZE || text.data[STORE_ID_SIZE - 1] != '\n') {
        return error_set(err, ERR_CORRUPT, "store: its id is not an id");
    }
    text.data[STORE_ID_SIZE - 1] = '\0';
    if (bytes_from_hex(id, sizeof(id), text.data, err) < 0) {
        return error_wrap(err, "store: its id");
    }
    memcpy(store->id, text.data, STORE_ID_SIZE);
    return 0;
}

static int make_id(struct store *store, struct error *err)
{
    uint8_t id[16];
    char text[STORE_ID_SIZE];
    struct error inner = ERROR_INIT;

    bytes_random(id, sizeof(id));
    bytes_to_hex(text, id, sizeof(id));
    text[STORE_ID_SIZE - 1] = '\n';
    if (files_create_atomic(store->root_fd, "id", text, sizeof(text), 0600, &inner) < 0 &&
        inner.code != ERR_EXISTS) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    return load_id(store, err);
}

static int open_id(struct store *store, struct error *err)
{
    struct error inner = ERROR_INIT;

    if (load_id(store, &inner) == 0) {
        return 0;
    }
    if (inner.code == ERR_NOT_FOUND) {
        return make_id(store, err);
    }
    return error_set(err, inner.code, "%s", inner.text);
}

static int open_folders(struct store *store, const char *path, struct error *err)
{
    const struct {
        const char *name;
        int *fd;
    } folders[] = {
        {"objects", &store->objects_fd},
        {"roots", &store->roots_fd},
        {"tmp", &store->tmp_fd},
        {"bad", &store->bad_fd},
    };

    if (files_make_dirs(path, err) < 0) {
        return -1;
    }
    /* The store itself may stand behind a symbolic link: people move it to larger
     * disks. */
    store->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->root_fd < 0) {
        return error_sys(err, "open");
    }
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        *folders[i].fd = files_open_or_make_dir(store->root_fd, folders[i].name, err);
        if (*folders[i].fd < 0) {
            return -1;
        }
    }
    return 0;
}

struct store *store_open(const char *path, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = xcalloc(1, sizeof(*store));

    store->root_fd = store->objects_fd = store->roots_fd = -1;
    store->tmp_fd = store->bad_fd = -1;
    bytes_random(&store->nonce, sizeof(store->nonce));
    if (open_folders(store, path, err) < 0 || open_id(store, err) < 0 ||
        store_recover(store, err) < 0) {
        error_wrap(err, "store %s", path);
        return NULL;
    }
    return TAKE_PTR(store);
}

void store_free(struct store *store)
{
    if (store) {
        mem_cleanup_fd(&store->root_fd);
        mem_cleanup_fd(&store->objects_fd);
        mem_cleanup_fd(&store->roots_fd);
        mem_cleanup_fd(&store->tmp_fd);
        mem_cleanup_fd(&store->bad_fd);
        free(store);
    }
}

const char *store_id(const struct store *store)
{
    return store->id;
}

void store_path(const struct oid *oid, char out[STORE_PATH_SIZE])
{
    oid_to_hex(oid, out + 1);
    out[0] = out[1];
    out[1] = out[2];
    out[2] = '/';
}

int64_t store_time_ms(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / NS_PER_MS;
}

bool store_stat(const struct store *store, const struct oid *oid, struct stat *out)
{
    char path[STORE_PATH_SIZE];

    store_path(oid, path);
    if (fstatat(store->objects_fd, path, out, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(out->st_mode)) {
        return false;
    }
    if (clock_utc_ms() - store_time_ms(&out->st_mtim) > RENEW_AFTER_MS) {
        (void)utimensat(store->objects_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
    }
    return true;
}

bool store_has(const struct store *store, enum object_kind kind, const struct oid *oid)
{
    struct stat st;

    (void)kind;
    return store_stat(store, oid, &st);
}

static int write_tmp(struct store *store, const char *name, const void *body,
                     size_t length, struct error *err)
{
    CLEANUP_FD int fd = openat(
        store->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);

    if (fd < 0) {
        return error_sys(err, "make a file");
    }
    /* A quota on a network filesystem may show only when the file is closed. */
    if (fdio_write_full(fd, body, length) < 0 || close(take_fd(&fd)) != 0) {
        error_sys(err, "write");
        (void)unlinkat(store->tmp_fd, name, 0);
        return -1;
    }
    return 0;
}

/* Rename to the object's own name, making the folder of its first digits if need be. */
static int publish(struct store *store, const char *name, const char *path)
{
    char folder[3] = {path[0], path[1], '\0'};

    if (renameat(store->tmp_fd, name, store->objects_fd, path) == 0) {
        return 0;
    }
    if (errno != ENOENT ||
        (mkdirat(store->objects_fd, folder, 0700) != 0 && errno != EEXIST)) {
        return -1;
    }
    return renameat(store->tmp_fd, name, store->objects_fd, path);
}

static int put_new(struct store *store, const char *path, const void *body, size_t length,
                   struct error *err)
{
    char name[TMP_NAME_SIZE];

    /* A second time where the file in tmp/ was taken for an abandoned one: the clock may
     * leap. */
    for (int attempt = 0;; attempt++) {
        (void)snprintf(name, sizeof(name), "%016" PRIx64 "-%ld-%u", store->nonce,
                       (long)getpid(), store->name_counter++);
        if (write_tmp(store, name, body, length, err) < 0) {
            return -1;
        }
        if (publish(store, name, path) == 0) {
            return 0;
        }
        if (errno != ENOENT || attempt > 0) {
            error_sys(err, "rename");
            (void)unlinkat(store->tmp_fd, name, 0);
            return -1;
        }
    }
}

int store_put(struct store *store, enum object_kind kind, const struct oid *oid,
              const void *body, size_t length, struct error *err)
{
    char path[STORE_PATH_SIZE];
    struct stat st;

    if (length > OBJECT_SIZE_MAX) {
        return error_set(err, ERR_LIMIT, "an object of %zu bytes", length);
    }
    /* One of another length is torn: it is replaced. */
    if (store_stat(store, oid, &st) && st.st_size == (off_t)length) {
        return 0;
    }
    store_path(oid, path);
    if (put_new(store, path, body, length, err) < 0) {
        return error_wrap(err, "store: write %s %s", object_kind_name(kind), path);
    }
    return 0;
}

void store_move_bad(const struct store *store, const struct oid *oid)
{
    char path[STORE_PATH_SIZE];
    char hex[OID_HEX_SIZE];

    store_path(oid, path);
    oid_to_hex(oid, hex);
    /* What cannot be kept for inspection must still not be found again. */
    if (renameat(store->objects_fd, path, store->bad_fd, hex) != 0) {
        (void)unlinkat(store->objects_fd, path, 0);
    }
}

int store_read_file(const struct store *store, const struct oid *oid, struct strbuf *out,
                    struct error *err)
{
    CLEANUP_FD int fd = -1;
    char path[STORE_PATH_SIZE];
    struct stat st;
    ssize_t got;
    char *room;

    store_path(oid, path);
    fd = openat(store->objects_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return error_sys(err, "open");
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (off_t)OBJECT_SIZE_MAX) {
        return error_set(err, ERR_CORRUPT, "no file of an object");
    }
    strbuf_reset(out);
    room = strbuf_reserve(out, (size_t)st.st_size, err);
    if (!room) {
        return -1;
    }
    got = fdio_read_full(fd, room, (size_t)st.st_size);
    if (got < 0) {
        return error_sys(err, "read");
    }
    strbuf_grown(out, (size_t)got);
    return 0;
}

/* True where the bytes are an object of another kind: asked for as the wrong thing, it is
 * not corrupt. */
static bool is_other_kind(const struct strbuf *body, const struct oid *oid)
{
    static const enum object_kind kinds[] = {OBJECT_CONTENT, OBJECT_LIST, OBJECT_TREE};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct oid found;

        oid_of(kinds[i], body->data, body->length, &found);
        if (oid_equal(&found, oid)) {
            return true;
        }
    }
    return false;
}

int store_get(struct store *store, enum object_kind kind, const struct oid *oid,
              struct strbuf *out, struct error *err)
{
    struct error inner = ERROR_INIT;
    char hex[OID_HEX_SIZE];
    struct oid found;

    oid_to_hex(oid, hex);
    if (store_read_file(store, oid, out, &inner) == 0) {
        oid_of(kind, out->data, out->length, &found);
        if (oid_equal(&found, oid)) {
            return 0;
        }
        if (is_other_kind(out, oid)) {
            error_set(&inner, ERR_NOT_FOUND, "an object of another kind has this name");
        } else {
            error_set(&inner, ERR_CORRUPT, "its bytes are not what its name says");
        }
    }
    strbuf_reset(out);
    if (inner.code == ERR_CORRUPT) {
        store_move_bad(store, oid);
    }
    return error_set(err, inner.code, "store: %s %s: %s", object_kind_name(kind), hex,
                     inner.text);
}

static int sink_put(void *context, enum object_kind kind, const struct oid *oid,
                    const void *body, size_t length, struct error *err)
{
    return store_put(context, kind, oid, body, length, err);
}

static int source_get(void *context, enum object_kind kind, const struct oid *oid,
                      struct strbuf *out, struct error *err)
{
    return store_get(context, kind, oid, out, err);
}

static bool source_has(void *context, enum object_kind kind, const struct oid *oid)
{
    return store_has(context, kind, oid);
}

struct object_sink store_sink(struct store *store)
{
    return (struct object_sink){.put = sink_put, .context = store};
}

struct object_source store_source(struct store *store)
{
    return (struct object_source){.get = source_get, .has = source_has, .context = store};
}

int store_lock(struct store *store, bool is_exclusive, int deadline_ms, struct error *err)
{
    return files_lock(store->root_fd, "lock", is_exclusive, deadline_ms, err);
}
