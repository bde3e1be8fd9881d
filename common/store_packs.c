/* Pack files: finding objects in them, and gathering small objects into a new one. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/store_files.h"

/* Every pack is an open file, and asked about every object. */
#define PACKS_MAX 128
/* Fewer objects become a file each. */
#define WORTH_A_PACK 256
/* What was gathered for longer appears: a process that is killed loses no more. */
#define GATHER_NS (5 * NS_PER_S)

/* ---- finding ---- */

static void forget_pack(struct store *store, size_t at)
{
    struct store_pack *packs = store->packs;

    packfile_free(packs[at].file);
    packs[at] = packs[--store->pack_count];
    store->pack_last = 0;
}

static struct store_pack *find_pack(const struct store *store, const char *name)
{
    for (size_t i = 0; i < store->pack_count; i++) {
        if (strcmp(packfile_name(store->packs[i].file), name) == 0) {
            return &store->packs[i];
        }
    }
    return NULL;
}

/* What is no pack file has no objects; verification takes it away. */
static int add_pack(struct store *store, const char *name, struct error *err)
{
    struct error inner = ERROR_INIT;
    CLEANUP(packfile_cleanup)
    struct packfile *file = packfile_open(store->packs_fd, name, &inner);
    struct stat st;

    if (!file || packfile_stat(file, &st, &inner) < 0) {
        return inner.code == ERR_CORRUPT || inner.code == ERR_NOT_FOUND
                   ? 0
                   : error_set(err, inner.code, "%s", inner.text);
    }
    store->packs = xrealloc(store->packs, store->pack_count + 1, sizeof(*store->packs));
    store->packs[store->pack_count++] = (struct store_pack){
        .file = TAKE_PTR(file),
        .utc_ms = clock_ms_of(&st.st_mtim),
        .is_listed = true,
    };
    return 0;
}

static int list_packs(struct store *store, DIR *dir, struct error *err)
{
    const struct dirent *entry;

    for (size_t i = 0; i < store->pack_count; i++) {
        store->packs[i].is_listed = false;
    }
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        struct store_pack *known = find_pack(store, entry->d_name);

        if (known) {
            known->is_listed = true;
        } else if (store_is_pack_name(entry->d_name) &&
                   add_pack(store, entry->d_name, err) < 0) {
            return -1;
        }
    }
    if (errno != 0) {
        return error_sys(err, "read packs/");
    }
    for (size_t i = store->pack_count; i > 0; i--) {
        if (!store->packs[i - 1].is_listed) {
            forget_pack(store, i - 1);
        }
    }
    return 0;
}

bool store_is_pack_name(const char *name)
{
    return strlen(name) < PACKFILE_NAME_SIZE && strncmp(name, "pack-", 5) == 0;
}

int store_load_packs(struct store *store, struct error *err)
{
    CLEANUP_DIR DIR *dir = NULL;
    struct stat st;

    if (store->packs_fd < 0) {
        return 0;
    }
    dir = store_open_folder(store->packs_fd, ".", err);
    if (!dir) {
        return -1;
    }
    if (fstat(store->packs_fd, &st) != 0) {
        return error_sys(err, "stat packs/");
    }
    if (list_packs(store, dir, err) < 0) {
        return -1;
    }
    store->packs_time = st.st_mtim;
    store->are_packs_loaded = true;
    return 0;
}

void store_release_packs(struct store *store)
{
    while (store->pack_count > 0) {
        forget_pack(store, store->pack_count - 1);
    }
    free(store->packs);
    store->packs = NULL;
    packfile_writer_free(TAKE_PTR(store->gathering));
    oidset_free(TAKE_PTR(store->gathered));
}

static int find_in(const struct store *store, size_t at, const struct oid *oid,
                   struct store_place *out, struct error *err)
{
    int found = packfile_find(store->packs[at].file, oid, &out->entry, err);

    out->pack = found > 0 ? &store->packs[at] : NULL;
    return found;
}

/* The pack that had the last object has the next one, more often than not. */
static int find_loaded(struct store *store, const struct oid *oid,
                       struct store_place *out, struct error *err)
{
    size_t last = store->pack_last;
    int found = last < store->pack_count ? find_in(store, last, oid, out, err) : 0;

    for (size_t i = 0; found == 0 && i < store->pack_count; i++) {
        if (i != last) {
            found = find_in(store, i, oid, out, err);
            store->pack_last = found > 0 ? i : last;
        }
    }
    return found;
}

/* False where another process may have added a pack since. */
static bool are_packs_fresh(const struct store *store)
{
    struct stat st;

    return fstat(store->packs_fd, &st) == 0 &&
           st.st_mtim.tv_sec == store->packs_time.tv_sec &&
           st.st_mtim.tv_nsec == store->packs_time.tv_nsec;
}

int store_find_packed(struct store *store, const struct oid *oid, bool is_certain,
                      struct store_place *out, struct error *err)
{
    int found;

    out->pack = NULL;
    if (store->packs_fd < 0) {
        return 0;
    }
    if (!store->are_packs_loaded && store_load_packs(store, err) < 0) {
        return -1;
    }
    found = find_loaded(store, oid, out, err);
    if (found == 0 && (is_certain || !are_packs_fresh(store))) {
        found = store_load_packs(store, err) < 0 ? -1 : find_loaded(store, oid, out, err);
    }
    return found;
}

/* ---- gathering ---- */

void store_gather(struct store *store)
{
    store->is_gathering = store->packs_fd >= 0;
}

static int begin_pack(struct store *store, struct error *err)
{
    char name[STORE_TMP_NAME_SIZE];

    if (!store->are_packs_loaded && store_load_packs(store, err) < 0) {
        return -1;
    }
    if (store->pack_count >= PACKS_MAX) {
        return 0;
    }
    store_tmp_name(store, name);
    store->gathering = packfile_writer_new(store->tmp_fd, name);
    store->gathered = oidset_new(PACKFILE_OBJECTS_MAX);
    store->gather_until_ns = clock_monotonic_ns() + GATHER_NS;
    return 0;
}

static int put_body(void *context, const struct oid *oid, const void *body, size_t length,
                    struct error *err)
{
    return store_put_file(context, oid, body, length, err);
}

/* Its name in tmp/ is no other pack's. */
static int publish_pack(struct store *store, struct packfile_writer *w, struct error *err)
{
    char path[STORE_TMP_NAME_SIZE + 8];
    const char *name = packfile_writer_name(w);

    if (packfile_writer_finish(w, err) < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "pack-%s", name);
    if (renameat(store->tmp_fd, name, store->packs_fd, path) != 0) {
        error_sys(err, "rename");
        (void)unlinkat(store->tmp_fd, name, 0);
        return -1;
    }
    return 0;
}

/* What was gathered appears. */
static int end_pack(struct store *store, struct error *err)
{
    CLEANUP(packfile_writer_cleanup)
    struct packfile_writer *w = TAKE_PTR(store->gathering);
    bool is_little =
        packfile_writer_count(w) < WORTH_A_PACK && packfile_writer_is_in_memory(w);
    int result = is_little ? packfile_writer_visit(w, put_body, store, err)
                           : publish_pack(store, w, err);

    oidset_free(TAKE_PTR(store->gathered));
    return result < 0 ? error_wrap(err, "store: write objects") : 0;
}

/* Whether it is time for the gathered objects to appear, before one more. */
static bool is_pack_due(const struct store *store, size_t length)
{
    return !packfile_writer_fits(store->gathering, length) ||
           clock_monotonic_ns() >= store->gather_until_ns;
}

static int gather(struct store *store, const struct oid *oid, const void *body,
                  size_t length, struct error *err)
{
    /* The digest alone is the key: the kind that it stands for does not matter. */
    int added = oidset_add(store->gathered, OBJECT_CONTENT, oid, 0, err);

    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    if (packfile_writer_add(store->gathering, oid, body, length, err) < 0) {
        packfile_writer_free(TAKE_PTR(store->gathering));
        oidset_free(TAKE_PTR(store->gathered));
        return -1;
    }
    return 1;
}

int store_put_gathered(struct store *store, const struct oid *oid, const void *body,
                       size_t length, struct error *err)
{
    if (!store->is_gathering || length > PACKFILE_BODY_MAX) {
        return 0;
    }
    if (store->gathering && is_pack_due(store, length) && end_pack(store, err) < 0) {
        return -1;
    }
    if (!store->gathering && begin_pack(store, err) < 0) {
        return -1;
    }
    return store->gathering ? gather(store, oid, body, length, err) : 0;
}

int store_flush(struct store *store, struct error *err)
{
    store->is_gathering = false;
    return store->gathering ? end_pack(store, err) : 0;
}
