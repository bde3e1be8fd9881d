/* Collection: what a store does not need any more. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/oidset.h"
#include "common/store_files.h"

#define WAIT_MS 2000
#define MARKED_MAX ((size_t)1 << 27)
#define STAT_BLOCK 512 /* stat(2): st_blocks counts these, whatever st_blksize is */

struct candidate {
    struct store_root root;
    enum store_need need;
    bool is_young, is_kept;
};

struct collect {
    struct store *store;
    const struct store_gc_request *request;
    struct candidate *candidates; /* the most needed first, then the last used */
    size_t count, capacity;
    struct oidset *marked;
    struct oidset *fresh; /* what one more root would need; NULL: mark at once */
    uint64_t marked_bytes, fresh_bytes, limit_bytes;
    int64_t now_ms;
    int64_t deadline_ns; /* the lock is given back then; 0: never */
    struct store_gc_result result;
};

uint64_t store_disk_bytes(const struct stat *st)
{
    return (uint64_t)st->st_blocks * STAT_BLOCK;
}

static bool is_late(void *context)
{
    const struct collect *c = context;

    return c->deadline_ns != 0 && clock_monotonic_ns() >= c->deadline_ns;
}

/* ---- roots ---- */

static int add_candidate(void *context, const struct store_root *root, struct error *err)
{
    struct collect *c = context;
    const struct store_gc_request *r = c->request;
    bool is_young = c->now_ms - root->utc_ms < r->spare_ms;
    enum store_need need = r->judge ? r->judge(r->context, root) : STORE_UNUSED;

    (void)err;
    if (c->count == c->capacity) {
        c->capacity = c->capacity > 0 ? c->capacity * 2 : 64;
        c->candidates = xrealloc(c->candidates, c->capacity, sizeof(*c->candidates));
    }
    c->candidates[c->count++] = (struct candidate){
        .root = *root,
        .need = is_young ? STORE_NEEDED : need,
        .is_young = is_young && need != STORE_NEEDED,
    };
    return 0;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->need != y->need) {
        return (int)y->need - (int)x->need;
    }
    return (x->root.utc_ms < y->root.utc_ms) - (x->root.utc_ms > y->root.utc_ms);
}

static int count_file(void *context, int dir_fd, const char *name, const struct oid *oid,
                      const struct stat *st, struct error *err)
{
    (void)dir_fd, (void)name, (void)oid, (void)err;
    *(uint64_t *)context += store_disk_bytes(st);
    return 0;
}

/* How many bytes may stay. */
static int find_limit(struct collect *c, struct error *err)
{
    const struct store_gc_request *r = c->request;
    struct statvfs filesystem;
    uint64_t free_bytes, all_bytes = 0;

    c->limit_bytes = r->max_bytes;
    if (r->min_free_bytes == 0) {
        return 0;
    }
    if (fstatvfs(c->store->root_fd, &filesystem) != 0) {
        return error_sys(err, "ask for the free space");
    }
    free_bytes = (uint64_t)filesystem.f_bavail * filesystem.f_frsize + r->will_free_bytes;
    if (free_bytes >= r->min_free_bytes) {
        return 0;
    }
    if (store_visit_files(c->store, count_file, &all_bytes, err) < 0) {
        return -1;
    }
    all_bytes += store_packs_bytes(c->store);
    uint64_t wanted = r->min_free_bytes - free_bytes;
    uint64_t may_stay = all_bytes > wanted ? all_bytes - wanted : 0;

    c->limit_bytes = may_stay < c->limit_bytes ? may_stay : c->limit_bytes;
    return 0;
}

/* ---- marking ---- */

/* Not looked up by store_has, which would make everything young. */
static uint64_t bytes_of(const struct collect *c, const struct oid *oid)
{
    struct store_place place;

    if (store_find(c->store, oid, false, &place, NULL) <= 0) {
        return 0;
    }
    return place.pack ? store_place_size(&place) : store_disk_bytes(&place.st);
}

static int mark_object(void *context, enum object_kind kind, const struct oid *oid,
                       uint64_t size_bytes, struct error *err)
{
    struct collect *c = context;
    struct oidset *set = c->fresh ? c->fresh : c->marked;
    uint64_t *bytes = c->fresh ? &c->fresh_bytes : &c->marked_bytes;

    (void)size_bytes;
    if (oidset_has(c->marked, kind, oid)) {
        return 1;
    }
    if (is_late(c)) {
        return error_set(err, ERR_BUSY, "what is needed was not all found within %lld ms",
                         (long long)c->request->hold_ms);
    }
    int added = oidset_add(set, kind, oid, 0, err);

    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    /* Sizes are looked up only where something depends on them. */
    if (c->limit_bytes != STORE_NO_LIMIT) {
        *bytes += bytes_of(c, oid);
    }
    return 0;
}

static int get(void *context, enum object_kind kind, const struct oid *oid,
               struct strbuf *out, struct error *err)
{
    const struct collect *c = context;

    return store_get(c->store, kind, oid, out, err);
}

/* What is not there is to be an error of get, so that its root is known to be damaged. */
static bool has(void *context, enum object_kind kind, const struct oid *oid)
{
    (void)context, (void)kind, (void)oid;
    return true;
}

static int visit_root(struct collect *c, const struct oid *root, struct error *err)
{
    /* The store's own source would make what it is asked for young. */
    const struct object_source source = {.get = get, .has = has, .context = c};

    return tree_visit_objects(&source, root, NULL, mark_object, c, err);
}

/* 1: the root fits; 0: it does not. */
static int fits(struct collect *c, const struct candidate *candidate, struct error *err)
{
    if (candidate->need == STORE_NEEDED || c->limit_bytes == STORE_NO_LIMIT) {
        return 1;
    }
    c->fresh = oidset_new(MARKED_MAX);
    c->fresh_bytes = 0;
    int visited = visit_root(c, &candidate->root.oid, err);

    oidset_free(TAKE_PTR(c->fresh));
    return visited < 0 ? -1 : c->marked_bytes + c->fresh_bytes <= c->limit_bytes;
}

static void count_kept(struct collect *c, const struct candidate *candidate)
{
    uint64_t *count = candidate->is_young               ? &c->result.roots_spared
                      : candidate->need == STORE_NEEDED ? &c->result.roots_needed
                                                        : &c->result.roots_wanted;

    (*count)++;
}

/* Decide about a root, and mark what it reaches. *is_full: one more wanted root was too
 * many. */
static int mark_root(struct collect *c, struct candidate *candidate, bool *is_full,
                     struct error *err)
{
    struct error inner = ERROR_INIT;
    int fit =
        *is_full && candidate->need == STORE_WANTED ? 0 : fits(c, candidate, &inner);

    if (fit == 0) {
        *is_full = true;
        c->result.roots_over_limit++;
        return 0;
    }
    if (fit > 0 && visit_root(c, &candidate->root.oid, &inner) == 0) {
        candidate->is_kept = true;
        count_kept(c, candidate);
        return 0;
    }
    if (inner.code == ERR_NOT_FOUND || inner.code == ERR_CORRUPT) {
        c->result.roots_damaged++;
        return 0;
    }
    /* Where a tree cannot be read now, what is below it cannot be marked: nothing may go.
     */
    char hex[OID_HEX_SIZE];

    oid_to_hex(&candidate->root.oid, hex);
    return error_set(err, inner.code, "root %s: %s", hex, inner.text);
}

static int mark(struct collect *c, struct error *err)
{
    bool is_full = false;

    if (c->count > 0) { /* qsort's array may not be NULL */
        qsort(c->candidates, c->count, sizeof(*c->candidates), compare_candidates);
    }
    for (size_t i = 0; i < c->count && c->candidates[i].need != STORE_UNUSED; i++) {
        if (mark_root(c, &c->candidates[i], &is_full, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- removing ---- */

/* Roots first and for good: a root that came back after a crash would promise what was
 * removed. */
static int remove_roots(struct collect *c, struct error *err)
{
    const struct store_gc_request *r = c->request;

    for (size_t i = 0; i < c->count; i++) {
        const struct store_root *root = &c->candidates[i].root;

        if (c->candidates[i].is_kept) {
            continue;
        }
        if (!r->is_dry && store_remove_root(c->store, &root->oid, err) < 0) {
            return -1;
        }
        if (r->gone) {
            r->gone(r->context, root);
        }
        c->result.roots_removed++;
    }
    return r->is_dry ? 0 : files_sync_dir(c->store->roots_fd, err);
}

static bool is_marked(void *context, const struct oid *oid)
{
    const struct collect *c = context;

    return oidset_has(c->marked, OBJECT_CONTENT, oid) ||
           oidset_has(c->marked, OBJECT_TREE, oid) ||
           oidset_has(c->marked, OBJECT_LIST, oid);
}

static int sweep_file(void *context, int dir_fd, const char *name, const struct oid *oid,
                      const struct stat *st, struct error *err)
{
    struct collect *c = context;
    uint64_t bytes = store_disk_bytes(st);
    bool is_reached = is_marked(c, oid);

    if (c->result.is_cut || is_late(c)) {
        c->result.is_cut = true;
        return 0;
    }
    if (is_reached || c->now_ms - clock_ms_of(&st->st_mtim) < c->request->spare_ms) {
        c->result.objects_kept++;
        c->result.bytes_kept += bytes;
        c->result.objects_spared += is_reached ? 0 : 1;
        c->result.bytes_spared += is_reached ? 0 : bytes;
        return 0;
    }
    if (!c->request->is_dry && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        return error_sys(err, "remove object %s", name);
    }
    c->result.objects_removed++;
    c->result.bytes_removed += bytes;
    return 0;
}

static int sweep_packs(struct collect *c, struct error *err)
{
    const struct store_pack_sweep sweep = {
        .is_marked = is_marked,
        .context = c,
        .young_since_ms = c->now_ms - c->request->spare_ms,
        .is_late = is_late,
        .is_dry = c->request->is_dry,
        .result = &c->result,
    };

    return store_sweep_packs(c->store, &sweep, err);
}

static int collect(struct collect *c, struct error *err)
{
    int64_t hold_ms = c->request->hold_ms;
    CLEANUP_FD int lock = store_lock(c->store, true, hold_ms > 0 ? 0 : WAIT_MS, err);

    c->deadline_ns = hold_ms > 0 ? clock_monotonic_ns() + hold_ms * NS_PER_MS : 0;
    if (lock < 0 || store_load_packs(c->store, err) < 0 ||
        store_visit_roots(c->store, add_candidate, c, err) < 0 ||
        find_limit(c, err) < 0 || mark(c, err) < 0 || remove_roots(c, err) < 0 ||
        store_visit_files(c->store, sweep_file, c, err) < 0 || sweep_packs(c, err) < 0) {
        return -1;
    }
    if (!c->request->is_dry) {
        store_remove_old(c->store->tmp_fd, STORE_TMP_AGE_MS);
        store_remove_old(c->store->bad_fd, STORE_BAD_AGE_MS);
    }
    return 0;
}

int store_collect(struct store *store, const struct store_gc_request *request,
                  struct store_gc_result *out, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *marked = oidset_new(MARKED_MAX);
    struct collect c = {
        .store = store,
        .request = request,
        .marked = marked,
        .now_ms = clock_utc_ms(),
    };
    int result = collect(&c, err);

    free(c.candidates);
    if (result < 0) {
        return error_wrap(err, "store: collect");
    }
    *out = c.result;
    return 0;
}
