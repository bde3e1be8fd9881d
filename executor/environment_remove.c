#define _GNU_SOURCE /* O_NOFOLLOW, O_DIRECTORY */
#include "executor/environment_remove.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "executor/environment_list.h"
#include "executor/shipping.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_DEADLINE_MS 10000
#define GONE ".gone-"
#define SLOTS_MAX 1024

/* ---- putting aside ---- */

/* Rename a folder of envs/ to a name that says it is gone; out may be NULL. */
static int put_aside(int envs_fd, const char *path, struct strvec *out, struct error *err)
{
    uint64_t random;
    bytes_random(&random, sizeof random);
    CLEANUP_FREE char *gone = xasprintf(GONE "%016" PRIx64, random);
    if (renameat(envs_fd, path, envs_fd, gone) < 0) {
        return error_sys(err, "put envs/%s aside", path);
    }
    strvec_push(out, gone);
    return 0;
}

/* When it became ready. */
static int64_t ready_ns(int folder_fd, const char *build)
{
    CLEANUP_FREE char *ready = files_join(build, "READY");
    struct stat st;
    return fstatat(folder_fd, ready, &st, AT_SYMLINK_NOFOLLOW) == 0
               ? clock_ns_of(&st.st_mtim)
               : 0;
}

/* `current` names the newest build that is left. */
static int choose_current(int folder_fd, const struct strvec *builds, const char *without,
                          struct error *err)
{
    const char *newest = NULL;
    int64_t newest_ns = 0;
    for (size_t i = 0; i < builds->count; i++) {
        int64_t ns = ready_ns(folder_fd, builds->items[i]);
        if (strcmp(builds->items[i], without) != 0 && ns >= newest_ns) {
            newest = builds->items[i];
            newest_ns = ns;
        }
    }
    (void)unlinkat(folder_fd, ".current", 0);
    if (newest == NULL || symlinkat(newest, folder_fd, ".current") < 0 ||
        renameat(folder_fd, ".current", folder_fd, "current") < 0) {
        return error_sys(err, "name another build the current one");
    }
    return 0;
}

/* Put a build aside, or all of its identity where it is the last one. envs/lock is held.
 * Errors: ERR_BUSY (it is being built). */
static int put_build_aside(int envs_fd, const char *identity, const char *build,
                           struct strvec *gone, struct error *err)
{
    CLEANUP_STRVEC struct strvec builds = STRVEC_INIT;
    CLEANUP_FREE char *lock_path = files_join(identity, "lock");
    CLEANUP_FD int lock = files_lock(envs_fd, lock_path, true, 0, err);
    if (lock < 0) {
        return -1;
    }
    CLEANUP_FD int folder_fd = files_open_dir(envs_fd, identity, err);
    if (folder_fd < 0) {
        return -1;
    }
    environment_list_builds(folder_fd, true, &builds);
    bool is_last = builds.count == 0 || (builds.count == 1 && build != NULL &&
                                         strcmp(builds.items[0], build) == 0);
    if (build == NULL || is_last) {
        return put_aside(envs_fd, identity, gone, err);
    }
    char current[RUN_ENVIRONMENT_WORD_SIZE];
    ssize_t length = readlinkat(folder_fd, "current", current, sizeof current - 1);
    current[length > 0 ? length : 0] = '\0';
    CLEANUP_FREE char *path = files_join(identity, build);
    if (strcmp(current, build) == 0 &&
        choose_current(folder_fd, &builds, build, err) < 0) {
        return -1;
    }
    return put_aside(envs_fd, path, gone, err);
}

/* ---- one ---- */

static bool is_meant(const struct environment_entry *entry, const char *build)
{
    return build == NULL || strcmp(entry->facts.build, build) == 0;
}

static int check_removable(const struct environment_list *list, const char *identity,
                           const char *build, bool is_forced, struct error *err)
{
    size_t found = 0;
    if (list->unreadable.code != ERR_NONE && !is_forced) {
        error_set(err, list->unreadable.code, "%s", list->unreadable.text);
        return error_wrap(err, "which environments are needed is not known");
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct environment_entry *entry = &list->entries[i];
        if (!is_meant(entry, build)) {
            continue;
        }
        found++;
        if (entry->state == ENVIRONMENT_BUILDING) {
            error_set(err, ERR_BUSY, "environment %.12s is being built", identity);
            return entry->message == NULL
                       ? -1
                       : error_hint(err, "errand cancel %s ends that", entry->message);
        }
        if (entry->used_by.count > 0 && !is_forced) {
            error_set(err, ERR_BUSY, "environment %.12s is used by run %s%s", identity,
                      entry->used_by.items[0],
                      entry->used_by.count > 1 ? " and others" : "");
            return error_hint(err, "it can go when they have ended; --force removes it "
                                   "all the same, and they fail");
        }
    }
    return found > 0 ? 0
                     : error_set(err, ERR_NOT_FOUND, "there is no environment %.12s%s%s",
                                 identity, build != NULL ? " with build " : "",
                                 build != NULL ? build : "");
}

int environment_remove(const struct noderoot *root, const char *identity,
                       const char *build, bool is_forced, struct error *err)
{
    CLEANUP_STRVEC struct strvec gone = STRVEC_INIT;
    struct environment_list list CLEANUP_ENVIRONMENT_LIST = {.entries = NULL};
    CLEANUP_FD int envs_fd = files_open_dir(root->fd, "envs", err);
    CLEANUP_FD int lock =
        envs_fd < 0 ? -1 : files_lock(envs_fd, "lock", true, LOCK_DEADLINE_MS, err);
    if (lock < 0 || environment_list_read(root, identity, &list, err) < 0 ||
        check_removable(&list, identity, build, is_forced, err) < 0) {
        return -1;
    }
    int result = put_build_aside(envs_fd, identity, build, &gone, err);
    fdio_close(&lock);
    for (size_t i = 0; result == 0 && i < gone.count; i++) {
        result = files_remove_tree(envs_fd, gone.items[i], err);
    }
    CLEANUP_FREE char *archives =
        xasprintf("environments/%s-%s%s", identity, build != NULL ? build : "",
                  build != NULL ? ".tar" : "");
    if (result == 0 && shipping_remove(root, archives, err) < 0) {
        error_wrap(err, "the environment is removed here, but not in the cluster");
        return error_hint(err, "errand node gc removes it there once it is old");
    }
    return result;
}

/* ---- collecting ---- */

struct collecting {
    const struct noderoot *root;
    struct environment_collection *c;
    struct sweep *sweep;
    int envs_fd;
    int64_t now_ms;
    struct strvec gone; /* put aside, to be removed */
};

/* Without a build: all of the identity. Where nothing is to be removed it is counted as
 * it lies. */
static bool discard(struct collecting *k, const char *identity, const char *build)
{
    struct error why = ERROR_INIT;
    if (k->sweep->is_dry) {
        CLEANUP_FREE char *path =
            build != NULL ? files_join(identity, build) : xstrdup(identity);
        strvec_push(&k->gone, path);
        return true;
    }
    if (put_build_aside(k->envs_fd, identity, build, &k->gone, &why) < 0) {
        if (why.code != ERR_BUSY) {
            sweep_warn(k->sweep, &why);
        }
        return false;
    }
    return true;
}

static int64_t last_use(const struct environment_entry *entry)
{
    return entry->used_utc_ms > entry->created_utc_ms ? entry->used_utc_ms
                                                      : entry->created_utc_ms;
}

static int by_last_use(const void *a, const void *b)
{
    const struct environment_entry *const *x = a, *const *y = b;
    int64_t left = last_use(*x), right = last_use(*y);
    return left < right ? -1 : left > right;
}

/* Bytes that are missing to what is to be free, once what goes has gone. */
static uint64_t missing_bytes(const struct collecting *k, uint64_t going)
{
    uint64_t free_bytes = UINT64_MAX;
    if (k->c->min_free_bytes == 0 ||
        files_free_bytes(k->root->path, &free_bytes, NULL) < 0) {
        return 0;
    }
    going += k->sweep->is_dry ? k->sweep->bytes : 0;
    free_bytes = free_bytes > UINT64_MAX - going ? UINT64_MAX : free_bytes + going;
    return free_bytes < k->c->min_free_bytes ? k->c->min_free_bytes - free_bytes : 0;
}

static void collect_entry(struct collecting *k, const struct environment_entry *entry,
                          uint64_t *going)
{
    int64_t unused_ms = k->now_ms - last_use(entry);
    bool is_due = unused_ms >= k->c->keep_ms ||
                  (unused_ms >= MS_PER_DAY && missing_bytes(k, *going) > 0);
    if (entry->state == ENVIRONMENT_BUILDING) {
        return;
    }
    /* All of the folder goes where only a failure lies in it. */
    const char *build = entry->state == ENVIRONMENT_FAILED ? NULL : entry->facts.build;
    if (entry->used_by.count > 0 || !is_due ||
        !discard(k, entry->facts.identity, build)) {
        k->c->kept += entry->state == ENVIRONMENT_READY;
        return;
    }
    *(entry->state == ENVIRONMENT_READY ? &k->c->environments : &k->c->leftovers) += 1;
    *going += entry->facts.size_bytes > 0 ? (uint64_t)entry->facts.size_bytes : 0;
}

/* The longest unused first. */
static void collect_entries(struct collecting *k, const struct environment_list *list)
{
    uint64_t going = 0;
    CLEANUP_FREE const struct environment_entry **order =
        xcalloc(list->count + 1, sizeof *order);
    for (size_t i = 0; i < list->count; i++) {
        order[i] = &list->entries[i];
    }
    qsort(order, list->count, sizeof *order, by_last_use);
    for (size_t i = 0; i < list->count; i++) {
        collect_entry(k, order[i], &going);
    }
}

static void discard_leftover(struct collecting *k, const char *path)
{
    struct error why = ERROR_INIT;
    if (k->sweep->is_dry) {
        strvec_push(&k->gone, path);
    } else if (put_aside(k->envs_fd, path, &k->gone, &why) < 0) {
        sweep_warn(k->sweep, &why);
        return;
    }
    k->c->leftovers++;
}

/* Builds that are not whole, and that nobody is at; a folder in which nothing else is. */
static void collect_half_built(struct collecting *k, const char *identity)
{
    CLEANUP_STRVEC struct strvec builds = STRVEC_INIT, whole = STRVEC_INIT;
    struct stat st;
    CLEANUP_FREE char *lock_path = files_join(identity, "lock");
    CLEANUP_FD int folder_fd = files_open_dir(k->envs_fd, identity, NULL);
    CLEANUP_FD int lock =
        folder_fd < 0 ? -1 : files_lock(k->envs_fd, lock_path, true, 0, NULL);
    if (lock < 0) {
        return; /* it is being built, or gone */
    }
    environment_list_builds(folder_fd, true, &whole);
    environment_list_builds(folder_fd, false, &builds);
    if (whole.count == 0 && fstatat(folder_fd, "failed", &st, AT_SYMLINK_NOFOLLOW) != 0) {
        discard_leftover(k, identity);
        return;
    }
    for (size_t i = 0; i < builds.count; i++) {
        CLEANUP_FREE char *path = files_join(identity, builds.items[i]);
        discard_leftover(k, path);
    }
}

/* What a removal that was killed put aside. */
static void collect_gone(void *context, int dir_fd, const char *name)
{
    struct collecting *k = context;
    (void)dir_fd;
    strvec_push(&k->gone, name);
    k->c->leftovers++;
}

/* True where nobody builds and nobody can begin to: the locks are in fds. */
static bool take_slots(const struct collecting *k, int fds[SLOTS_MAX], size_t *out_count)
{
    CLEANUP_FD int slots_fd = files_open_dir(k->envs_fd, "slots", NULL);
    CLEANUP_DIR DIR *dir = slots_fd < 0 ? NULL : fdopendir(slots_fd);
    *out_count = 0;
    if (dir == NULL) {
        return true;
    }
    int fd = take_fd(&slots_fd);
    for (const struct dirent *d; (d = readdir(dir)) != NULL && *out_count < SLOTS_MAX;) {
        if (d->d_name[0] == '.') {
            continue;
        }
        fds[*out_count] = files_lock(fd, d->d_name, true, 0, NULL);
        if (fds[*out_count] < 0) {
            return false;
        }
        ++*out_count;
    }
    return true;
}

/* The cache of the builders only spares downloads: it goes where nothing was built for as
 * long as an unused environment stays, or where room is missing. */
static void collect_cache(struct collecting *k, const struct environment_list *list)
{
    int fds[SLOTS_MAX];
    size_t count = 0;
    int64_t newest_ms = 0;
    struct stat st;
    struct error why = ERROR_INIT;
    for (size_t i = 0; i < list->count; i++) {
        int64_t created = list->entries[i].created_utc_ms;
        newest_ms = created > newest_ms ? created : newest_ms;
    }
    bool is_due = k->now_ms - newest_ms >= k->c->keep_ms || missing_bytes(k, 0) > 0;
    if (!is_due || fstatat(k->envs_fd, "cache", &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    if (k->sweep->is_dry) {
        strvec_push(&k->gone, "cache");
        k->c->caches = 1;
    } else if (!take_slots(k, fds, &count)) {
        k->c->caches = 0; /* somebody builds */
    } else if (put_aside(k->envs_fd, "cache", &k->gone, &why) < 0) {
        sweep_warn(k->sweep, &why);
    } else {
        k->c->caches = 1;
    }
    for (size_t i = 0; i < count; i++) {
        fdio_close(&fds[i]);
    }
}

static void collect_locked(struct collecting *k)
{
    struct error why = ERROR_INIT;
    CLEANUP_STRVEC struct strvec identities = STRVEC_INIT;
    struct environment_list list CLEANUP_ENVIRONMENT_LIST = {.entries = NULL};
    sweep_old(k->envs_fd, GONE "*", 0, collect_gone, k);
    if (environment_list_read(k->root, "", &list, &why) < 0) {
        sweep_warn(k->sweep, &why);
        return;
    }
    environment_list_identities(k->envs_fd, &identities);
    for (size_t i = 0; i < identities.count; i++) {
        collect_half_built(k, identities.items[i]);
    }
    if (list.unreadable.code != ERR_NONE) {
        sweep_warn(k->sweep, &list.unreadable);
        k->c->kept = list.count;
        return;
    }
    collect_entries(k, &list);
    collect_cache(k, &list);
}

void environment_collect(const struct noderoot *root, struct environment_collection *c,
                         struct sweep *sweep)
{
    struct error why = ERROR_INIT;
    uint64_t ignored = 0;
    CLEANUP_FD int envs_fd = files_open_dir(root->fd, "envs", NULL);
    if (envs_fd < 0) {
        return;
    }
    CLEANUP_FD int lock =
        files_lock(envs_fd, "lock", true, c->is_background ? 0 : LOCK_DEADLINE_MS, &why);
    if (lock < 0) {
        sweep_warn(sweep, &why);
        return;
    }
    struct collecting k = {
        .root = root,
        .c = c,
        .sweep = sweep,
        .envs_fd = envs_fd,
        .now_ms = clock_utc_ms(),
    };
    collect_locked(&k);
    fdio_close(&lock);
    for (size_t i = 0; i < k.gone.count; i++) {
        sweep_remove(sweep, envs_fd, k.gone.items[i], &ignored);
    }
    strvec_release(&k.gone);
}
