#include "executor/spare.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/sweep.h"
#include "common/worktree.h"
#include "executor/arguments.h"
#include "executor/background.h"
#include "executor/rundir.h"
#include "executor/runview.h"

#define BOOT_FILE "boot"
#define LOCK_FILE "lock"
/* What is made, and what is removed: both are removed by the next who holds the lock. */
#define TEMPORARY_PREFIX "."

static int open_spares(const struct noderoot *node, struct error *err)
{
    return files_open_or_make_dir(node->fd, "spares", err);
}

/* The spares were made under this boot. */
static bool is_this_boot(const struct noderoot *node, int spares_fd)
{
    CLEANUP_STRBUF struct strbuf boot;
    strbuf_init(&boot, 64);
    return files_read(spares_fd, BOOT_FILE, &boot, NULL) == 0 &&
           strcmp(boot.data, node->boot) == 0;
}

/* ---- which there are ---- */

struct spare {
    struct oid root;
    int64_t used_ns;
};

static int64_t last_use_ns(int spares_fd, const char *name)
{
    struct stat st;
    if (fstatat(spares_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    return clock_ns_of(&st.st_mtim);
}

static int compare_uses(const void *a, const void *b)
{
    const struct spare *left = a;
    const struct spare *right = b;
    return (left->used_ns < right->used_ns) - (left->used_ns > right->used_ns);
}

struct spares {
    struct spare items[2 * SPARES_MAX];
    size_t count;
};

static void add_spare(void *context, int spares_fd, const char *name)
{
    struct spares *spares = context;
    struct spare *spare = &spares->items[spares->count];
    if (spares->count < ARRAY_SIZE(spares->items) &&
        oid_from_hex(name, &spare->root, NULL) == 0) {
        spare->used_ns = last_use_ns(spares_fd, name);
        spares->count++;
    }
}

/* The last used first. Normally there are no more than SPARES_MAX. */
static void list_spares(int spares_fd, struct spares *out)
{
    out->count = 0;
    sweep_old(spares_fd, "*", 0, add_spare, out);
    qsort(out->items, out->count, sizeof *out->items, compare_uses);
}

#define GONE_SIZE 32

/* Nobody finds it any more from this moment on. gone: its name until it is removed. */
static bool put_away(int spares_fd, const char *name, char gone[GONE_SIZE])
{
    uint64_t random;
    bytes_random(&random, sizeof random);
    snprintf(gone, GONE_SIZE, TEMPORARY_PREFIX "gone-%016llx",
             (unsigned long long)random);
    return renameat(spares_fd, name, spares_fd, gone) == 0;
}

static void drop(void *context, int spares_fd, const char *name)
{
    char gone[GONE_SIZE];
    (void)context;
    if (put_away(spares_fd, name, gone)) {
        (void)files_remove_tree(spares_fd, gone, NULL);
    }
}

/* ---- taking ---- */

/* Is it worth changing this spare into root, of so many bytes? */
static bool is_near(const struct object_source *source, const struct oid *spare,
                    const struct oid *root, uint64_t size_bytes)
{
    uint64_t limit = size_bytes / 2 + 1;
    uint64_t distance = limit;
    return oid_equal(spare, root) ||
           (worktree_distance(source, spare, root, limit, &distance, NULL) == 0 &&
            distance < limit);
}

int spare_take(const struct noderoot *node, struct store *store, const struct oid *root,
               int dir_fd, const char *name)
{
    CLEANUP_FD int spares_fd = files_open_dir(node->fd, "spares", NULL);
    const struct object_source source = store_source(store);
    struct spares spares;
    struct store_root facts;
    if (spares_fd < 0 || !is_this_boot(node, spares_fd) ||
        store_read_root(store, root, &facts, NULL) < 0) {
        return 0;
    }
    list_spares(spares_fd, &spares);
    for (size_t i = 0; i < spares.count; i++) {
        const struct oid *base = &spares.items[i].root;
        char hex[OID_HEX_SIZE];
        oid_to_hex(base, hex);
        if (!store_has_root(store, base) ||
            !is_near(&source, base, root, facts.totals.size_bytes) ||
            renameat(spares_fd, hex, dir_fd, name) != 0) {
            continue; /* or another run was quicker */
        }
        CLEANUP_FD int fd = files_open_dir(dir_fd, name, NULL);
        if (fd >= 0 && worktree_update(fd, &source, base, root, NULL) == 0) {
            return 1;
        }
        (void)files_remove_tree(dir_fd, name, NULL);
        return 0;
    }
    return 0;
}

/* ---- making ---- */

static void drop_unknown(void *context, int spares_fd, const char *name)
{
    if (strcmp(name, BOOT_FILE) != 0 && strcmp(name, LOCK_FILE) != 0) {
        drop(context, spares_fd, name);
    }
}

/* With the lock held: what was left half-made or half-removed, and what another boot
 * left. */
static int tidy(const struct noderoot *node, int spares_fd, struct error *err)
{
    if (is_this_boot(node, spares_fd)) {
        sweep_old(spares_fd, TEMPORARY_PREFIX "*", 0, drop, NULL);
        return 0;
    }
    sweep_old(spares_fd, "*", 0, drop_unknown, NULL);
    return files_write_atomic(spares_fd, BOOT_FILE, node->boot, strlen(node->boot), 0600,
                              err);
}

/* Make room for one more. */
static void evict(int spares_fd)
{
    struct spares spares;
    list_spares(spares_fd, &spares);
    for (size_t i = SPARES_MAX - 1; i < spares.count; i++) {
        char hex[OID_HEX_SIZE];
        oid_to_hex(&spares.items[i].root, hex);
        drop(NULL, spares_fd, hex);
    }
}

static int write_spare(int spares_fd, struct store *store, const struct oid *root,
                       const char *hex, struct error *err)
{
    static const char aside[] = TEMPORARY_PREFIX "new";
    const struct object_source source = store_source(store);
    struct tree_totals totals;
    CLEANUP_FD int lock = store_lock(store, false, -1, err);
    CLEANUP_FD int fd = lock < 0 ? -1 : files_open_or_make_dir(spares_fd, aside, err);
    if (fd < 0) {
        return -1;
    }
    if (worktree_write(fd, &source, root, NULL, &totals, err) < 0) {
        (void)files_remove_tree(spares_fd, aside, NULL);
        return -1;
    }
    if (futimens(fd, NULL) != 0 || renameat(spares_fd, aside, spares_fd, hex) != 0) {
        return error_sys(err, "put the spare in its place");
    }
    return 0;
}

static bool is_worth_it(const struct noderoot *node, const struct store_root *facts)
{
    uint64_t free_bytes = 0;
    return facts->totals.files >= SPARE_FILES_MIN &&
           facts->totals.size_bytes <= SPARE_SIZE_MAX &&
           files_free_bytes(node->path, &free_bytes, NULL) == 0 &&
           free_bytes >= 2 * SPARE_SIZE_MAX;
}

int spare_make(const struct noderoot *node, struct store *store, const struct oid *root,
               struct error *err)
{
    struct store_root facts;
    char hex[OID_HEX_SIZE];
    CLEANUP_FD int spares_fd = open_spares(node, err);
    if (spares_fd < 0 || store_read_root(store, root, &facts, err) < 0) {
        return -1;
    }
    if (!is_worth_it(node, &facts)) {
        return 0;
    }
    struct error busy = ERROR_INIT;
    CLEANUP_FD int lock = files_lock(spares_fd, LOCK_FILE, true, 0, &busy);
    if (lock < 0) {
        return 0; /* somebody else is at it */
    }
    if (tidy(node, spares_fd, err) < 0) {
        return -1;
    }
    oid_to_hex(root, hex);
    if (utimensat(spares_fd, hex, NULL, AT_SYMLINK_NOFOLLOW) == 0) {
        return 0;
    }
    evict(spares_fd);
    return write_spare(spares_fd, store, root, hex, err);
}

/* ---- sweeping ---- */

#define UNUSED_MS (INT64_C(24) * 60 * 60 * 1000)

struct sweeping {
    struct sweep *sweep;
    uint64_t count;
};

static void sweep_one(void *context, int spares_fd, const char *name)
{
    struct sweeping *s = context;
    struct oid root;
    char gone[GONE_SIZE];
    if (oid_from_hex(name, &root, NULL) < 0) {
        return;
    }
    if (s->sweep->is_dry) {
        sweep_remove(s->sweep, spares_fd, name, &s->count);
    } else if (put_away(spares_fd, name, gone)) {
        sweep_remove(s->sweep, spares_fd, gone, &s->count);
    }
}

void spare_sweep(const struct noderoot *node, struct sweep *sweep, uint64_t *count)
{
    CLEANUP_FD int spares_fd = files_open_dir(node->fd, "spares", NULL);
    struct sweeping s = {.sweep = sweep};
    if (spares_fd >= 0) {
        sweep_old(spares_fd, "*", UNUSED_MS, sweep_one, &s);
    }
    *count += s.count;
}

/* ---- the process ---- */

#define BEGIN_TIMEOUT_NS                                                                 \
    (60 * NS_PER_S) /* a run that did not begin by then gets none                        \
                     */
#define BEGIN_POLL_MS 50

void spare_start(const struct noderoot *node, const char *run, uint64_t files)
{
    if (files < SPARE_FILES_MIN) {
        return;
    }
    CLEANUP_FREE char *program = noderoot_program();
    const char *argv[] = {program, "spare", "--root", node->top, "--run", run, NULL};
    background_start(argv);
}

/* Until the run has its own work tree. False: it has not, and will not soon. */
static bool wait_for_begin(const struct noderoot *node, const char *run)
{
    int64_t deadline_ns = clock_monotonic_ns() + BEGIN_TIMEOUT_NS;
    while (clock_monotonic_ns() < deadline_ns) {
        struct runview view CLEANUP_RUNVIEW;
        runview_init(&view);
        if (runview_open(&view, node, run, NULL) < 0) {
            return false;
        }
        if (view.status.started_utc_ms != 0 || run_state_is_final(view.status.state)) {
            return true;
        }
        (void)poll(NULL, 0, BEGIN_POLL_MS);
    }
    return false;
}

static int make_for_run(const struct noderoot *node, const char *run, struct error *err)
{
    struct runspec spec;
    runspec_init(&spec);
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(node, err);
    CLEANUP_FD int run_fd = store == NULL ? -1 : rundir_open(node, run, err);
    int result = run_fd < 0 ? -1 : rundir_read_spec(run_fd, &spec, NULL, err);
    if (result == 0 && wait_for_begin(node, run)) {
        result = spare_make(node, store, &spec.root, err);
    }
    runspec_release(&spec);
    return result;
}

int spare_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    if (arguments_parse(argc, argv, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    int status;
    if (!background_become(true, &status)) {
        return status;
    }
    CLEANUP(noderoot_cleanup) struct noderoot *node = noderoot_open(args.root, &err);
    if (node == NULL || make_for_run(node, args.run, &err) < 0) {
        fprintf(stderr, "errand-executor: spare: %s\n", err.text);
        return 1;
    }
    return 0;
}
