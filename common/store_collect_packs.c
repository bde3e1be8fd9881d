/*
 * Collection in pack files. One of which nothing lives is removed. One of which less than
 * half lives is dissolved: what lives becomes files of their own, is synced, and then the
 * pack goes; so a store does not fill with packs that are held by little. Others stay
 * whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/store_files.h"

/* More than a file's own block and what a folder needs for it. */
#define FILE_ROOM ((uint64_t)8192)

enum fate { FATE_STAYS, FATE_GOES, FATE_DISSOLVES };

/* One pack. */
struct tally {
    const struct store_pack_sweep *sweep;
    struct store *store;
    const struct packfile *file;
    uint64_t live, live_bytes, dead, pack_bytes;
    enum fate fate;
    struct strbuf body;
};

uint64_t store_packs_bytes(const struct store *store)
{
    uint64_t bytes = 0;
    struct stat st;

    for (size_t i = 0; i < store->pack_count; i++) {
        if (packfile_stat(store->packs[i].file, &st, NULL) == 0) {
            bytes += store_disk_bytes(&st);
        }
    }
    return bytes;
}

static bool is_live(const struct tally *t, const struct packfile_entry *entry)
{
    return !entry->is_bad && t->sweep->is_marked(t->sweep->context, &entry->oid);
}

static int tally_entry(void *context, const struct packfile_entry *entry,
                       struct error *err)
{
    struct tally *t = context;

    (void)err;
    if (is_live(t, entry)) {
        t->live++;
        t->live_bytes += entry->length;
    } else {
        t->dead += entry->is_bad ? 0 : 1;
    }
    return 0;
}

static bool has_room(const struct tally *t)
{
    struct statvfs filesystem;

    return fstatvfs(t->store->root_fd, &filesystem) == 0 &&
           (uint64_t)filesystem.f_bavail * filesystem.f_frsize >
               t->live_bytes + t->live * FILE_ROOM;
}

static bool is_late(const struct tally *t)
{
    bool is_cut = t->sweep->is_late(t->sweep->context);

    t->sweep->result->is_cut |= is_cut;
    return is_cut;
}

/* One for which there is no time stays. */
static int judge(struct tally *t, struct error *err)
{
    struct stat st;

    if (is_late(t)) {
        return 0;
    }
    if (packfile_stat(t->file, &st, err) < 0 ||
        packfile_visit(t->file, tally_entry, t, err) < 0) {
        return -1;
    }
    t->pack_bytes = store_disk_bytes(&st);
    if (clock_ms_of(&st.st_mtim) > t->sweep->young_since_ms) {
        t->fate = FATE_STAYS;
    } else if (t->live == 0) {
        t->fate = FATE_GOES;
    } else if (t->live_bytes < (uint64_t)st.st_size / 2 && has_room(t)) {
        t->fate = FATE_DISSOLVES;
    }
    return 0;
}

/* It is lost, wherever it lies: once it is not found, whoever has it sends it again. */
static int give_up(struct tally *t, const struct packfile_entry *entry, struct error *err)
{
    if (packfile_mark_bad(t->file, entry, err) < 0) {
        return -1;
    }
    t->live--;
    t->live_bytes -= entry->length;
    t->dead++;
    return 0;
}

static int write_live(void *context, const struct packfile_entry *entry,
                      struct error *err)
{
    struct tally *t = context;

    if (!is_live(t, entry)) {
        return 0;
    }
    if (packfile_read(t->file, entry, &t->body, err) < 0) {
        return -1;
    }
    if (!store_is_good(&t->body, &entry->oid)) {
        return give_up(t, entry, err);
    }
    return store_put_file(t->store, &entry->oid, t->body.data, t->body.length, err);
}

/* A pack that cannot be dissolved now stays. */
static void dissolve(struct tally *t)
{
    strbuf_init(&t->body, PACKFILE_BODY_MAX);
    if (is_late(t) || packfile_visit(t->file, write_live, t, NULL) < 0) {
        t->fate = FATE_STAYS;
    }
    strbuf_release(&t->body);
}

static int remove_pack(const struct tally *t, struct error *err)
{
    const char *name = packfile_name(t->file);

    return unlinkat(t->store->packs_fd, name, 0) != 0 && errno != ENOENT
               ? error_sys(err, "remove pack file %s", name)
               : 0;
}

static void count(const struct tally *t)
{
    struct store_gc_result *result = t->sweep->result;
    bool stays = t->fate == FATE_STAYS;
    uint64_t kept_bytes = stays ? t->pack_bytes : t->live_bytes;
    uint64_t whole = t->live + t->dead;

    result->objects_kept += stays ? whole : t->live;
    result->objects_removed += stays ? 0 : t->dead;
    result->bytes_kept += kept_bytes;
    result->bytes_removed += t->pack_bytes > kept_bytes ? t->pack_bytes - kept_bytes : 0;
    if (stays && whole > 0) {
        result->objects_spared += t->dead;
        result->bytes_spared +=
            t->pack_bytes > t->live_bytes ? t->pack_bytes - t->live_bytes : 0;
    }
}

/* Those that go are removed first: they make room for what is dissolved. */
static int remove_those(struct tally *tallies, size_t n, enum fate fate,
                        struct error *err)
{
    bool wants_sync = false;

    for (size_t i = 0; i < n; i++) {
        if (fate == FATE_DISSOLVES && tallies[i].fate == fate) {
            dissolve(&tallies[i]);
            wants_sync = true;
        }
    }
    /* What lived in a pack has to be durable without it. */
    if (wants_sync && files_sync_filesystem(tallies[0].store->root_fd, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (tallies[i].fate == fate && remove_pack(&tallies[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int sweep_all(struct store *store, const struct store_pack_sweep *sweep,
                     struct tally *tallies, struct error *err)
{
    size_t n = store->pack_count;

    for (size_t i = 0; i < n; i++) {
        tallies[i] =
            (struct tally){.sweep = sweep, .store = store, .file = store->packs[i].file};
        if (judge(&tallies[i], err) < 0) {
            return -1;
        }
    }
    if (!sweep->is_dry && (remove_those(tallies, n, FATE_GOES, err) < 0 ||
                           remove_those(tallies, n, FATE_DISSOLVES, err) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        count(&tallies[i]);
    }
    return 0;
}

int store_sweep_packs(struct store *store, const struct store_pack_sweep *sweep,
                      struct error *err)
{
    CLEANUP_FREE struct tally *tallies = xcalloc(store->pack_count + 1, sizeof(*tallies));
    int result = sweep_all(store, sweep, tallies, err);

    /* What was removed is not to be found. */
    store->are_packs_loaded = false;
    return result;
}
