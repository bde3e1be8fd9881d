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
#define PACKS "packs"
/* Of one object: a file, and one in each of some packs. More that are bad are no
 * accident. */
#define COPIES_MAX 4

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
    struct error inner = ERROR_INIT;

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
    store->packs_fd = files_open_dir(store->root_fd, PACKS, &inner);
    return store->packs_fd < 0 && inner.code != ERR_NOT_FOUND
               ? error_set(err, inner.code, "%s", inner.text)
               : 0;
}

int store_prepare(const char *path, struct error *err)
{
    CLEANUP_FD int fd = -1;
    CLEANUP_FD int packs_fd = -1;

    if (files_make_dirs(path, err) < 0) {
        return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_sys(err, "open %s", path);
    }
    if (faccessat(fd, "id", F_OK, 0) == 0) {
        return 0;
    }
    packs_fd = files_open_or_make_dir(fd, PACKS, err);
    return packs_fd < 0 ? error_wrap(err, "store %s", path) : 0;
}

struct store *store_open(const char *path, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = xcalloc(1, sizeof(*store));

    store->root_fd = store->objects_fd = store->roots_fd = -1;
    store->tmp_fd = store->bad_fd = store->packs_fd = -1;
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
        store_release_packs(store);
        mem_cleanup_fd(&store->packs_fd);
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

int store_find(struct store *store, const struct oid *oid, bool is_certain,
               struct store_place *out, struct error *err)
{
    char path[STORE_PATH_SIZE];
    int packed = store_find_packed(store, oid, false, out, err);

    if (packed != 0) {
        return packed;
    }
    store_path(oid, path);
    if (fstatat(store->objects_fd, path, &out->st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(out->st.st_mode)) {
        return 1;
    }
    return is_certain ? store_find_packed(store, oid, true, out, err) : 0;
}

uint64_t store_place_size(const struct store_place *place)
{
    return place->pack ? place->entry.length : (uint64_t)place->st.st_size;
}

void store_renew(const struct store *store, const struct oid *oid,
                 const struct store_place *place)
{
    int64_t now_ms = clock_utc_ms();
    char path[STORE_PATH_SIZE];

    if (place->pack && now_ms - place->pack->utc_ms > RENEW_AFTER_MS) {
        packfile_renew(place->pack->file);
        place->pack->utc_ms = now_ms;
    }
    if (!place->pack && now_ms - clock_ms_of(&place->st.st_mtim) > RENEW_AFTER_MS) {
        store_path(oid, path);
        (void)utimensat(store->objects_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
    }
}

bool store_has(struct store *store, enum object_kind kind, const struct oid *oid)
{
    struct store_place place;

    (void)kind;
    if (store_find(store, oid, false, &place, NULL) <= 0) {
        return false;
    }
    store_renew(store, oid, &place);
    return true;
}

void store_tmp_name(struct store *store, char out[STORE_TMP_NAME_SIZE])
{
    (void)snprintf(out, STORE_TMP_NAME_SIZE, "%016" PRIx64 "-%ld-%u", store->nonce,
                   (long)getpid(), store->name_counter++);
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

int store_put_file(struct store *store, const struct oid *oid, const void *body,
                   size_t length, struct error *err)
{
    char name[STORE_TMP_NAME_SIZE];
    char path[STORE_PATH_SIZE];

    store_path(oid, path);
    /* A second time where the file in tmp/ was taken for an abandoned one: the clock may
     * leap. */
    for (int attempt = 0;; attempt++) {
        store_tmp_name(store, name);
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
    struct store_place place;
    char hex[OID_HEX_SIZE];
    int found, gathered;

    if (length > OBJECT_SIZE_MAX) {
        return error_set(err, ERR_LIMIT, "an object of %zu bytes", length);
    }
    found = store_find(store, oid, false, &place, err);
    /* One of another length is torn: it is written again. */
    if (found > 0 && store_place_size(&place) == length) {
        store_renew(store, oid, &place);
        return 0;
    }
    if (found > 0 && place.pack) {
        store_take_bad(store, oid, &place);
    }
    gathered = found < 0 ? -1 : store_put_gathered(store, oid, body, length, err);
    if (gathered > 0 ||
        (gathered == 0 && store_put_file(store, oid, body, length, err) == 0)) {
        return 0;
    }
    oid_to_hex(oid, hex);
    return error_wrap(err, "store: write %s %s", object_kind_name(kind), hex);
}

/* The folder objects/ab that holds the object's name. */
static int sync_folder(struct store *store, const char path[STORE_PATH_SIZE],
                       struct error *err)
{
    const char digits[] = {path[0], path[1], '\0'};
    CLEANUP_FD int fd = files_open_dir(store->objects_fd, digits, err);

    return fd < 0 ? -1 : files_sync_dir(fd, err);
}

int store_sync_objects(struct store *store, const struct oid *oids, size_t count,
                       struct error *err)
{
    char paths[STORE_SYNC_FEW][STORE_PATH_SIZE];
    int fds[STORE_SYNC_FEW];
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        store_path(&oids[i], paths[i]);
        fds[i] = openat(store->objects_fd, paths[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fds[i] >= 0) {
            files_start_sync(fds[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (result == 0 && fds[i] < 0) {
            result = error_set(err, ERR_NOT_FOUND, "%s is missing", paths[i]);
        } else if (result == 0 && fdatasync(fds[i]) < 0) {
            result = error_sys(err, "sync %s", paths[i]);
        }
        fdio_close(&fds[i]);
    }
    /* Behind the files: what their syncs wrote has most of the folders' changes. */
    for (size_t i = 0; i < count && result == 0; i++) {
        result = sync_folder(store, paths[i], err);
    }
    return result;
}

static void move_bad(const struct store *store, const struct oid *oid)
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

void store_take_bad(const struct store *store, const struct oid *oid,
                    const struct store_place *place)
{
    if (place->pack) {
        (void)packfile_mark_bad(place->pack->file, &place->entry, NULL);
    } else {
        move_bad(store, oid);
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

/* Read the object from its place and verify it. */
static int get_at(struct store *store, enum object_kind kind, const struct oid *oid,
                  const struct store_place *place, struct strbuf *out, struct error *err)
{
    struct oid found;
    int result = place->pack ? packfile_read(place->pack->file, &place->entry, out, err)
                             : store_read_file(store, oid, out, err);

    if (result < 0) {
        return -1;
    }
    oid_of(kind, out->data, out->length, &found);
    if (oid_equal(&found, oid)) {
        return 0;
    }
    /* Asked for as the wrong thing, it is not corrupt. */
    if (store_is_good(out, oid)) {
        return error_set(err, ERR_NOT_FOUND, "an object of another kind has this name");
    }
    return error_set(err, ERR_CORRUPT, "its bytes are not what its name says");
}

/* As store_get. *out_again: a bad copy was taken away, there may be another. */
static int get_once(struct store *store, enum object_kind kind, const struct oid *oid,
                    struct strbuf *out, bool *out_again, struct error *err)
{
    struct store_place place = {.pack = NULL};
    int found = store_find_packed(store, oid, false, &place, err);
    int result = found < 0 ? -1 : get_at(store, kind, oid, &place, out, err);

    if (result < 0 && found == 0 && err->code == ERR_NOT_FOUND) {
        found = store_find_packed(store, oid, true, &place, err);
        result = found > 0 ? get_at(store, kind, oid, &place, out, err) : -1;
    }
    *out_again = false;
    if (result < 0 && found >= 0 && err->code == ERR_CORRUPT) {
        *out_again = true;
        store_take_bad(store, oid, &place);
    }
    return result;
}

int store_get(struct store *store, enum object_kind kind, const struct oid *oid,
              struct strbuf *out, struct error *err)
{
    struct error inner = ERROR_INIT;
    char hex[OID_HEX_SIZE];
    bool is_again = true;

    for (int copies = 0; is_again && copies < COPIES_MAX; copies++) {
        struct error why = ERROR_INIT;

        if (get_once(store, kind, oid, out, &is_again, &why) == 0) {
            return 0;
        }
        /* What was bad is what there is to say, once no other copy was found. */
        inner = inner.code == ERR_CORRUPT && why.code == ERR_NOT_FOUND ? inner : why;
    }
    strbuf_reset(out);
    oid_to_hex(oid, hex);
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
    int lock = files_lock(store->root_fd, "lock", is_exclusive, deadline_ms, err);

    /* What somebody collected meanwhile is not believed to be here. */
    store->are_packs_loaded = store->are_packs_loaded && lock < 0;
    return lock;
}
