#include "controller/housekeeping.h"

#include <fcntl.h>
#include <string.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/oidset.h"
#include "controller/statindex.h"

#define ROOTS_MAX ((size_t)1 << 24)

struct cleaning {
    const struct housekeeping_request *request;
    struct housekeeping_result *out;
    struct sweep sweep;
    struct oidset *needed; /* snapshots of runs that go on */
    struct oidset *gone;   /* those that collection took, or would take */
    int64_t now_ms;
};

void housekeeping_result_release(struct housekeeping_result *result)
{
    strvec_release(&result->warnings);
}

/* ---- the store ---- */

static int find_needed(struct cleaning *c, struct error *err)
{
    CLEANUP_STRVEC struct strvec roots = STRVEC_INIT;
    struct oid oid;
    if (history_open_roots(c->request->history, &roots, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < roots.count; i++) {
        if (oid_from_hex(roots.items[i], &oid, err) != 0 ||
            oidset_add(c->needed, OBJECT_TREE, &oid, 0, err) < 0) {
            return error_wrap(err, "the history's snapshots");
        }
    }
    return 0;
}

static enum store_need judge(void *context, const struct store_root *root)
{
    const struct cleaning *c = context;
    if (oidset_has(c->needed, OBJECT_TREE, &root->oid)) {
        return STORE_NEEDED;
    }
    return c->now_ms - root->utc_ms < c->request->keep_ms ? STORE_WANTED : STORE_UNUSED;
}

static void note_gone(void *context, const struct store_root *root)
{
    struct cleaning *c = context;
    (void)oidset_add(c->gone, OBJECT_TREE, &root->oid, 0, NULL);
}

static int clean_store(struct cleaning *c, struct error *err)
{
    const struct housekeeping_request *r = c->request;
    const struct store_gc_request request = {
        .judge = judge,
        .gone = note_gone,
        .context = c,
        .spare_ms = MS_PER_DAY,
        .max_bytes = r->max_store_bytes,
        .min_free_bytes = r->min_free_bytes,
        .will_free_bytes = r->is_dry ? c->sweep.bytes : 0,
        .is_dry = r->is_dry,
    };
    if (store_collect(r->store, &request, &c->out->store, err) == 0) {
        return 0;
    }
    if (err != NULL && err->code == ERR_BUSY) {
        error_hint(err, "a snapshot is being made or fetched; try again when it is done");
    }
    return -1;
}

/* ---- the rest ---- */

static void remove_leftover(void *context, int dir_fd, const char *name)
{
    struct cleaning *c = context;
    sweep_remove(&c->sweep, dir_fd, name, &c->out->leftovers);
}

/* An index counts only while the store has its root. */
static void clean_index(void *context, int dir_fd, const char *name)
{
    struct cleaning *c = context;
    struct oid digest, root;
    if (oid_from_hex(name, &digest, NULL) != 0) {
        return;
    }
    statindex_peek(dir_fd, name, &root);
    if (!store_has_root(c->request->store, &root) ||
        oidset_has(c->gone, OBJECT_TREE, &root)) {
        sweep_remove(&c->sweep, dir_fd, name, &c->out->indexes);
    }
}

/* A folder of runs/: what a fetch that was interrupted left beside the outputs. */
static void clean_run(void *context, int dir_fd, const char *name)
{
    struct cleaning *c = context;
    size_t prefix = sizeof FILES_TEMPORARY_PREFIX - 1;
    if (strncmp(name, FILES_TEMPORARY_PREFIX, prefix) == 0) {
        return; /* being removed */
    }
    CLEANUP_FD int run_fd = files_open_dir(dir_fd, name, NULL);
    if (run_fd >= 0) {
        sweep_old(run_fd, "outputs.errand-*", MS_PER_DAY, remove_leftover, c);
        sweep_old(run_fd, FILES_TEMPORARY_PREFIX "*", MS_PER_DAY, remove_leftover, c);
        c->out->runs++;
    }
}

static void sweep_folder(struct cleaning *c, const char *path, const char *pattern,
                         int64_t min_age_ms, sweep_visitor *visit)
{
    CLEANUP_FD int fd = files_open_dir(AT_FDCWD, path, NULL);
    if (fd >= 0) {
        sweep_old(fd, pattern, min_age_ms, visit, c);
    }
}

static void sweep_state(struct cleaning *c, const char *name, const char *pattern,
                        int64_t min_age_ms, sweep_visitor *visit)
{
    CLEANUP_FREE char *path = home_path(c->request->home, name);
    sweep_folder(c, path, pattern, min_age_ms, visit);
}

static void clean_leftovers(struct cleaning *c)
{
    static const char temporary[] = FILES_TEMPORARY_PREFIX "*";
    const struct home *home = c->request->home;
    CLEANUP_FREE char *targets = files_join(home->config, "targets.d");
    sweep_folder(c, home->config, temporary, MS_PER_DAY, remove_leftover);
    sweep_folder(c, targets, temporary, MS_PER_DAY, remove_leftover);
    sweep_folder(c, home->state, temporary, MS_PER_DAY, remove_leftover);
    sweep_state(c, "index", "*.tmp-*", MS_PER_DAY, remove_leftover);
    sweep_state(c, "runs", temporary, MS_PER_DAY, remove_leftover);
    sweep_state(c, "runs", "*", 0, clean_run);
}

static void count_what_stays(struct cleaning *c)
{
    CLEANUP_FD int state_fd = files_open_dir(AT_FDCWD, c->request->home->state, NULL);
    if (state_fd >= 0) {
        (void)files_disk_usage(state_fd, "runs", &c->out->runs_bytes, NULL);
        (void)files_disk_usage(state_fd, "local", &c->out->local_bytes, NULL);
    }
}

int housekeeping_clean(const struct housekeeping_request *request,
                       struct housekeeping_result *out, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *needed = oidset_new(ROOTS_MAX);
    CLEANUP(oidset_cleanup) struct oidset *gone = oidset_new(ROOTS_MAX);
    struct cleaning c = {
        .request = request,
        .out = out,
        .sweep = {.is_dry = request->is_dry},
        .needed = needed,
        .gone = gone,
        .now_ms = clock_utc_ms(),
    };
    *out = (struct housekeeping_result){.indexes = 0};
    /* Leftovers first: they may be what fills the disk. Indexes last: they follow their
     * snapshots. */
    int result = find_needed(&c, err);
    if (result == 0) {
        clean_leftovers(&c);
        result = clean_store(&c, err);
    }
    if (result == 0) {
        sweep_state(&c, "index", "*", MS_PER_DAY, clean_index);
        count_what_stays(&c);
        out->bytes = c.sweep.bytes + out->store.bytes_removed;
    }
    out->warnings = c.sweep.warnings;
    return result;
}
