#include "executor/janitor.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/oidset.h"
#include "common/sweep.h"
#include "executor/environment_remove.h"
#include "executor/rundir.h"
#include "executor/runview.h"
#include "executor/shipping.h"
#include "executor/spare.h"
#include "executor/supervise.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_MS (INT64_C(60) * 60 * 1000)
#define EXECUTOR_PREFIX "errand-executor-"

struct janitor {
    const struct janitor_request *request;
    int64_t now_ms;
    struct oidset *roots;    /* snapshots that runs refer to */
    struct strvec executors; /* digests of those that live runs began with */
    struct sweep sweep;
    uint64_t runs, work_trees, executor_count, leftovers, spares, shipped;
    uint64_t kept_runs, kept_runs_bytes, kept_executors, kept_executors_bytes;
    struct environment_collection environments;
    bool is_store_due; /* after this round */
};

static bool has_ended(const struct janitor *j, const char *id, const struct runview *view)
{
    return run_state_is_final(view->status.state) && view->status.ended_utc_ms != 0 &&
           !supervise_is_alive(j->request->root, id);
}

/* Its submitter has all there is; outputs that could not be collected are nowhere else.
 */
static bool is_at_home(const struct runview *view)
{
    return view->is_collected && view->status.has_outputs;
}

/* How long the run has been over; one that is at home: how long it has been there. */
static int64_t age_ms(const struct janitor *j, const struct runview *view)
{
    struct stat st;
    int64_t since_ms = view->status.ended_utc_ms;
    if (is_at_home(view) && fstatat(view->run_fd, "collected", &st, 0) == 0 &&
        clock_ms_of(&st.st_mtim) > since_ms) {
        since_ms = clock_ms_of(&st.st_mtim);
    }
    return j->now_ms - since_ms;
}

/* Ended, and either safe at its submitter's or forgotten. */
static bool is_run_due(const struct janitor *j, const char *id,
                       const struct runview *view)
{
    int64_t keep_ms = j->request->keep_ms;
    if (!is_at_home(view) && keep_ms < j->request->keep_uncollected_ms) {
        keep_ms = j->request->keep_uncollected_ms;
    }
    return has_ended(j, id, view) && age_ms(j, view) >= keep_ms;
}

/* Its work tree serves nobody any more: all of its outputs are at home. */
static bool is_work_due(const struct janitor *j, const char *id,
                        const struct runview *view)
{
    return is_at_home(view) && view->status.outputs_warnings == NULL &&
           has_ended(j, id, view) && age_ms(j, view) >= j->request->keep_work_ms;
}

static bool is_there(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The work tree, and what says where in it the outputs are; specification, journal and
 * logs stay. It has no name any more before anything of it goes. */
static void drop_work(struct janitor *j, int run_fd)
{
    static const char aside[] = "work.gone";
    static const char *const index[] = {"outputs.index", "outputs.objects"};
    uint64_t count = 0;
    if (j->request->is_dry) {
        if (is_there(run_fd, "work")) {
            sweep_remove(&j->sweep, run_fd, "work", &j->work_trees);
        }
        return;
    }
    if (is_there(run_fd, aside)) { /* who was at it was interrupted */
        sweep_remove(&j->sweep, run_fd, aside, &count);
    }
    if (renameat(run_fd, "work", run_fd, aside) == 0) {
        sweep_remove(&j->sweep, run_fd, aside, &j->work_trees);
    }
    for (size_t i = 0; i < ARRAY_SIZE(index); i++) {
        if (is_there(run_fd, index[i])) {
            sweep_remove(&j->sweep, run_fd, index[i], &count);
        }
    }
}

/* In the background nobody asks what stays, and to measure it costs most. */
static uint64_t measure_kept(const struct janitor *j, int dir_fd, const char *name)
{
    uint64_t bytes = 0;
    if (!j->request->is_background) {
        (void)files_disk_usage(dir_fd, name, &bytes, NULL);
    }
    return bytes;
}

/* What a run that stays keeps from being removed. */
static int keep_run(struct janitor *j, int runs_fd, const char *id,
                    const struct run_status *status, struct error *err)
{
    j->kept_runs_bytes += measure_kept(j, runs_fd, id);
    struct runspec spec;
    runspec_init(&spec);
    CLEANUP_FD int run_fd = rundir_open(j->request->root, id, err);
    int failed =
        run_fd < 0 || rundir_read_spec(run_fd, &spec, NULL, err) < 0 ||
        oidset_add(j->roots, OBJECT_TREE, &spec.root, 0, err) < 0 ||
        (!oid_is_zero(&spec.environment.brought) &&
         oidset_add(j->roots, OBJECT_TREE, &spec.environment.brought, 0, err) < 0);
    runspec_release(&spec);
    if (!run_state_is_final(status->state)) {
        strvec_push(&j->executors, status->executor);
    }
    j->kept_runs++;
    return failed ? -1 : 0;
}

static int clean_run(struct janitor *j, int runs_fd, const char *id, struct error *err)
{
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    struct error why = ERROR_INIT;
    bool is_readable = runview_open(&view, j->request->root, id, &why) == 0;
    if (!is_readable) {
        sweep_warn(&j->sweep, &why);
    } else if (view.run_fd < 0) {
        return 0; /* removed meanwhile */
    }
    if (is_readable && !is_run_due(j, id, &view) && is_work_due(j, id, &view)) {
        uint64_t before = j->sweep.bytes;
        drop_work(j, view.run_fd);
        j->kept_runs_bytes -= j->request->is_dry ? j->sweep.bytes - before : 0;
    }
    if (!is_readable || !is_run_due(j, id, &view)) {
        return keep_run(j, runs_fd, id, &view.status, err);
    }
    uint64_t bytes = 0;
    (void)files_disk_usage(runs_fd, id, &bytes, NULL);
    if (!j->request->is_dry && rundir_remove(j->request->root, id, &why) < 0) {
        sweep_warn(&j->sweep, &why);
        return keep_run(j, runs_fd, id, &view.status, err);
    }
    j->runs++;
    j->sweep.bytes += bytes;
    return 0;
}

/*
 * True where every run that stays is known, so that snapshots and executors may be
 * judged. A specification that nobody can read keeps nothing: nobody can start it. One
 * that could not be read now, or only by a newer program, may keep anything.
 */
static bool clean_runs(struct janitor *j, int runs_fd, const struct strvec *ids)
{
    bool are_all_known = true;
    for (size_t i = 0; i < ids->count; i++) {
        struct error why = ERROR_INIT;
        if (clean_run(j, runs_fd, ids->items[i], &why) < 0) {
            sweep_warn(&j->sweep, &why);
            are_all_known &= why.code == ERR_CORRUPT || why.code == ERR_NOT_FOUND;
        }
    }
    return are_all_known;
}

static void remove_leftover(void *context, int dir_fd, const char *name)
{
    struct janitor *j = context;
    sweep_remove(&j->sweep, dir_fd, name, &j->leftovers);
}

static void remove_executor(void *context, int dir_fd, const char *name)
{
    struct janitor *j = context;
    const char *digest = name + strlen(EXECUTOR_PREFIX);
    struct oid oid;
    if (oid_from_hex(digest, &oid, NULL) == 0 &&
        strcmp(digest, j->request->executor) != 0 &&
        !strvec_contains(&j->executors, digest)) {
        sweep_remove(&j->sweep, dir_fd, name, &j->executor_count);
    }
}

static void count_executor(void *context, int dir_fd, const char *name)
{
    struct janitor *j = context;
    j->kept_executors++;
    j->kept_executors_bytes += measure_kept(j, dir_fd, name);
}

/* What was being tried when its program was killed: a uv that came along, a Spark. */
static void clean_trials(struct janitor *j)
{
    int root_fd = j->request->root->fd;
    CLEANUP_FD int bin_fd = files_open_dir(root_fd, "bin", NULL);
    sweep_old(root_fd, ".check-*", HOUR_MS, remove_leftover, j);
    if (bin_fd >= 0) {
        sweep_old(bin_fd, ".uv-*", HOUR_MS, remove_leftover, j);
    }
}

/* may_judge: every run that stays is known. In a root that several nodes share, the
 * others' runs are not ours to see. */
static void clean_bin(struct janitor *j, bool may_judge)
{
    CLEANUP_FREE char *bin = files_join(j->request->root->top, "bin");
    CLEANUP_FD int bin_fd = files_open_dir(AT_FDCWD, bin, NULL);
    if (bin_fd < 0) {
        return;
    }
    sweep_old(bin_fd, ".new-*", HOUR_MS, remove_leftover, j);
    sweep_old(bin_fd, EXECUTOR_PREFIX "*", 0, count_executor, j);
    if (may_judge && !j->request->root->is_network) {
        uint64_t before = j->sweep.bytes;
        int64_t keep_ms = j->request->keep_executors_ms;
        sweep_old(bin_fd, EXECUTOR_PREFIX "*",
                  keep_ms > MS_PER_DAY ? keep_ms : MS_PER_DAY, remove_executor, j);
        j->kept_executors -= j->executor_count;
        if (!j->request->is_background) {
            j->kept_executors_bytes -= j->sweep.bytes - before;
        }
    }
}

static enum store_need judge_root(void *context, const struct store_root *root)
{
    const struct janitor *j = context;
    if (oidset_has(j->roots, OBJECT_TREE, &root->oid)) {
        return STORE_NEEDED;
    }
    return j->now_ms - root->utc_ms < j->request->keep_ms ? STORE_WANTED : STORE_UNUSED;
}

static int note_due_root(void *context, const struct store_root *root, struct error *err)
{
    struct janitor *j = context;
    (void)err;
    j->is_store_due |=
        j->now_ms - root->utc_ms >= MS_PER_DAY && judge_root(j, root) == STORE_UNUSED;
    return 0;
}

/* Is there anything to collect? Asked without a lock, since a wrong answer costs little.
 */
static bool is_store_due(struct janitor *j)
{
    const struct janitor_request *r = j->request;
    j->is_store_due = !r->is_background || r->is_store_due;
    return j->is_store_due ||
           (store_visit_roots(r->store, note_due_root, j, NULL) == 0 && j->is_store_due);
}

static int clean_store(struct janitor *j, struct store_gc_result *out, struct error *err)
{
    const struct janitor_request *r = j->request;
    const struct store_gc_request request = {
        .judge = judge_root,
        .context = j,
        .spare_ms = MS_PER_DAY,
        .max_bytes = r->max_store_bytes,
        .min_free_bytes = r->min_free_bytes,
        .will_free_bytes = r->is_dry ? j->sweep.bytes : 0,
        .hold_ms = r->is_background ? JANITOR_HOLD_MS : 0,
        .is_dry = r->is_dry,
    };
    if (!is_store_due(j)) {
        return 0;
    }
    if (store_collect(r->store, &request, out, err) < 0) {
        return -1;
    }
    j->is_store_due = out->is_cut;
    return 0;
}

static struct json *make_report(struct janitor *j, const struct store_gc_result *store)
{
    struct json *report = json_new_object();
    json_add_bool(report, "is_dry", j->request->is_dry);
    json_add_integer(report, "runs", (int64_t)j->runs);
    json_add_integer(report, "work_trees", (int64_t)j->work_trees);
    json_add_integer(report, "roots", (int64_t)store->roots_removed);
    json_add_integer(report, "objects", (int64_t)store->objects_removed);
    json_add_integer(report, "executors", (int64_t)j->executor_count);
    json_add_integer(report, "environments", (int64_t)j->environments.environments);
    json_add_integer(report, "caches", (int64_t)j->environments.caches);
    json_add_integer(report, "leftovers",
                     (int64_t)(j->leftovers + j->environments.leftovers));
    json_add_integer(report, "spares", (int64_t)j->spares);
    json_add_integer(report, "shipped", (int64_t)j->shipped);
    json_add_integer(report, "bytes", (int64_t)(j->sweep.bytes + store->bytes_removed));
    json_add_integer(report, "kept_runs", (int64_t)j->kept_runs);
    json_add_integer(report, "kept_environments", (int64_t)j->environments.kept);
    json_add_integer(report, "kept_runs_bytes", (int64_t)j->kept_runs_bytes);
    json_add_integer(report, "kept_executors", (int64_t)j->kept_executors);
    json_add_integer(report, "kept_executors_bytes", (int64_t)j->kept_executors_bytes);
    json_add_integer(report, "kept_objects", (int64_t)store->objects_kept);
    json_add_integer(report, "kept_bytes", (int64_t)store->bytes_kept);
    if (store->roots_damaged > 0) {
        struct error why = ERROR_INIT;
        error_set(&why, ERR_CORRUPT, "%llu snapshots had lost something and were removed",
                  (unsigned long long)store->roots_damaged);
        sweep_warn(&j->sweep, &why);
    }
    if (j->request->is_background) {
        json_add_bool(report, "is_store_due", j->is_store_due);
    }
    json_add(report, "warnings", json_new_strings(&j->sweep.warnings));
    return report;
}

struct json *janitor_clean(const struct janitor_request *request, struct error *err)
{
    struct strvec ids CLEANUP_STRVEC = STRVEC_INIT;
    struct store_gc_result store = {0};
    struct janitor j = {
        .request = request,
        .now_ms = clock_utc_ms(),
        .sweep = {.is_dry = request->is_dry},
        .environments = {.keep_ms = request->keep_environments_ms,
                         .is_background = request->is_background,
                         .min_free_bytes = request->min_free_bytes},
    };
    CLEANUP_FD int runs_fd = files_open_dir(request->root->fd, "runs", err);
    if (runs_fd < 0 || rundir_list(request->root, &ids, err) < 0) {
        return NULL;
    }
    CLEANUP(oidset_cleanup) struct oidset *roots = oidset_new(2 * ids.count + 1);
    j.roots = roots;
    struct error why = ERROR_INIT;
    bool are_all_known = clean_runs(&j, runs_fd, &ids);
    if (!request->is_dry && rundir_sweep(request->root, &why) < 0) {
        sweep_warn(&j.sweep, &why);
    }
    spare_sweep(request->root, &j.sweep, &j.spares);
    environment_collect(request->root, &j.environments, &j.sweep);
    shipping_collect(request->root,
                     request->keep_environments_ms > MS_PER_DAY
                         ? request->keep_environments_ms
                         : MS_PER_DAY,
                     &j.sweep, &j.shipped);
    clean_trials(&j);
    clean_bin(&j, are_all_known);
    if (are_all_known && clean_store(&j, &store, &why) < 0) {
        sweep_warn(&j.sweep, &why);
    }
    struct json *report = make_report(&j, &store);
    strvec_release(&j.executors);
    sweep_release(&j.sweep);
    return report;
}
