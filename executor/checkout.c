#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/worktree.h"
#include "executor/spare.h"

/* Open the folder that holds the last component of path (below dir_fd), whose name goes
 * into out_name. No symbolic link is followed; want_make: missing folders are made. */
static int open_parent(int dir_fd, const char *path, bool want_make,
                       const char **out_name, struct error *err)
{
    CLEANUP_FD int fd = files_open_dir(dir_fd, ".", err);
    const char *at = path;
    while (fd >= 0) {
        size_t length = strcspn(at, "/");
        if (at[length] == '\0') {
            *out_name = at;
            return take_fd(&fd);
        }
        CLEANUP_FREE char *name = xstrndup(at, length);
        int next = want_make ? files_open_or_make_dir(fd, name, err)
                             : files_open_dir(fd, name, err);
        close(fd);
        fd = next;
        at += length + 1;
    }
    return -1;
}

static bool is_there(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Move one output folder from one work tree into the other, where it replaces what is
 * there. What does not exist is not moved. */
static int move_output(int from_fd, int to_fd, const char *path, struct error *err)
{
    const char *name = NULL;
    CLEANUP_FD int from = open_parent(from_fd, path, false, &name, NULL);
    if (from < 0 || !is_there(from, name)) {
        return 0;
    }
    CLEANUP_FD int to = open_parent(to_fd, path, true, &name, err);
    if (to < 0 || files_remove_tree(to, name, err) < 0) {
        return error_wrap(err, "carry %s over", path);
    }
    if (renameat(from, name, to, name) < 0) {
        return error_sys(err, "carry %s over", path);
    }
    return 0;
}

/* An interrupted checkout may have moved outputs already: they go back. Those that work/
 * still has were not moved, and the snapshot's are dropped. */
static void return_outputs(int run_fd, const struct runspec *spec)
{
    CLEANUP_FD int work = files_open_dir(run_fd, "work", NULL);
    CLEANUP_FD int aside = files_open_dir(run_fd, "work.new", NULL);
    for (size_t i = 0; work >= 0 && aside >= 0 && i < spec->outputs.count; i++) {
        const char *name = NULL;
        const char *path = spec->outputs.items[i];
        CLEANUP_FD int parent = open_parent(work, path, false, &name, NULL);
        if (parent < 0 || !is_there(parent, name)) {
            (void)move_output(aside, work, path, NULL);
        }
    }
}

static int clear_interrupted(int run_fd, const struct runspec *spec, struct error *err)
{
    if (!is_there(run_fd, "work") && is_there(run_fd, "work.new")) {
        /* It ended between its two renames: the new tree was whole. */
        if (renameat(run_fd, "work.new", run_fd, "work") < 0) {
            return error_sys(err, "mend an interrupted checkout");
        }
    } else if (is_there(run_fd, "work.new")) {
        return_outputs(run_fd, spec);
    }
    return files_remove_tree(run_fd, "work.new", err) < 0 ||
                   files_remove_tree(run_fd, "work.old", err) < 0
               ? -1
               : 0;
}

static int carry_over(int run_fd, int new_fd, const struct runspec *spec,
                      struct error *err)
{
    CLEANUP_FD int old_fd = files_open_dir(run_fd, "work", NULL);
    for (size_t i = 0; old_fd >= 0 && i < spec->outputs.count; i++) {
        if (move_output(old_fd, new_fd, spec->outputs.items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A path whose parents the snapshot has as files or links stays missing: it is the
 * project's own doing. */
static void make_outputs(int work_fd, const struct runspec *spec)
{
    for (size_t i = 0; i < spec->outputs.count; i++) {
        const char *name = NULL;
        CLEANUP_FD int parent =
            open_parent(work_fd, spec->outputs.items[i], true, &name, NULL);
        if (parent >= 0) {
            (void)mkdirat(parent, name, 0777);
        }
    }
}

static int take_place(int run_fd, struct error *err)
{
    if (unlinkat(run_fd, "work", AT_REMOVEDIR) < 0 && errno != ENOENT &&
        renameat(run_fd, "work", run_fd, "work.old") < 0) {
        return error_sys(err, "put the old work tree aside");
    }
    if (renameat(run_fd, "work.new", run_fd, "work") < 0) {
        return error_sys(err, "put the work tree in its place");
    }
    return files_remove_tree(run_fd, "work.old", err);
}

/* Make work.new, the snapshot alone. */
static int write_snapshot(const struct noderoot *node, int run_fd, struct store *store,
                          const struct oid *root, struct checkout_facts *out,
                          struct error *err)
{
    const struct object_source source = store_source(store);
    struct store_root facts;
    out->was_spare = store_read_root(store, root, &facts, NULL) == 0 &&
                     spare_take(node, store, root, run_fd, "work.new") == 1;
    if (out->was_spare) {
        out->totals = facts.totals;
        return 0;
    }
    CLEANUP_FD int fd = files_open_or_make_dir(run_fd, "work.new", err);
    return fd < 0 ? -1 : worktree_write(fd, &source, root, NULL, &out->totals, err);
}

int checkout_make(const struct noderoot *node, int run_fd, struct store *store,
                  const struct runspec *spec, struct checkout_facts *out,
                  struct error *err)
{
    /* Collection of the store waits meanwhile. */
    CLEANUP_FD int lock = store_lock(store, false, -1, err);
    if (lock < 0 || clear_interrupted(run_fd, spec, err) < 0 ||
        write_snapshot(node, run_fd, store, &spec->root, out, err) < 0) {
        return -1;
    }
    CLEANUP_FD int new_fd = files_open_dir(run_fd, "work.new", err);
    if (new_fd < 0 || carry_over(run_fd, new_fd, spec, err) < 0) {
        return -1;
    }
    make_outputs(new_fd, spec);
    return take_place(run_fd, err);
}
