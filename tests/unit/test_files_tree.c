#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "tests/unit/child.h"
#include "tests/unit/kernel.h"

#define NOBODY 65534
/* A name of 20 bytes: 2000 of them are ten times PATH_MAX. */
#define DEEP_NAME "folder-within-folder"
#define DEEP_LEVELS 2000

struct place {
    char path[64];
    int fd;
    struct error err;
};

static int make_place(void **state)
{
    struct place *place = xcalloc(1, sizeof(*place));

    memcpy(place->path, "/tmp/test_files_tree.XXXXXX",
           sizeof("/tmp/test_files_tree.XXXXXX"));
    place->fd =
        mkdtemp(place->path) == NULL ? -1 : open(place->path, O_RDONLY | O_DIRECTORY);
    *state = place;
    return place->fd < 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;

    kernel_reset();
    close(place->fd);
    files_remove_tree(AT_FDCWD, place->path, NULL);
    free(place);
    return 0;
}

static bool is_there(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put(int dir_fd, const char *name, size_t length)
{
    CLEANUP_FREE char *bytes = xcalloc(1, length);
    CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fdio_write_full(fd, bytes, length), 0);
}

/* levels folders, one in the other, each with a file beside the next. */
static void make_deep(int dir_fd, const char *name, int levels)
{
    int fd = files_open_or_make_dir(dir_fd, name, NULL);

    for (int i = 0; i < levels; i++) {
        int next;

        put(fd, "file", 10);
        next = files_open_or_make_dir(fd, DEEP_NAME, NULL);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

/* ---- removal ------------------------------------------------------------------------
 */

static void what_is_not_there_is_removed_already(void **state)
{
    struct place *place = *state;

    assert_int_equal(files_remove_tree(place->fd, "none", &place->err), 0);
    assert_int_equal(files_remove_tree(place->fd, "none/below", &place->err), 0);
    assert_int_equal(place->err.code, ERR_NONE);
}

static void files_and_links_are_removed_and_not_followed(void **state)
{
    struct place *place = *state;

    assert_int_equal(mkdirat(place->fd, "kept", 0700), 0);
    put(place->fd, "kept/file", 1);
    put(place->fd, "file", 1);
    assert_int_equal(symlinkat("kept", place->fd, "link"), 0);
    assert_int_equal(mkdirat(place->fd, "tree", 0700), 0);
    assert_int_equal(symlinkat("../kept", place->fd, "tree/link"), 0);
    assert_int_equal(symlinkat("/", place->fd, "tree/root"), 0);
    assert_int_equal(mkfifoat(place->fd, "tree/fifo", 0600), 0);
    assert_int_equal(files_remove_tree(place->fd, "file", &place->err), 0);
    assert_int_equal(files_remove_tree(place->fd, "link", &place->err), 0);
    assert_int_equal(files_remove_tree(place->fd, "tree", &place->err), 0);
    assert_false(is_there(place->fd, "file"));
    assert_false(is_there(place->fd, "link"));
    assert_false(is_there(place->fd, "tree"));
    assert_true(is_there(place->fd, "kept/file"));
}

static void wide_trees_are_removed(void **state)
{
    struct place *place = *state;
    CLEANUP_FD int top = files_open_or_make_dir(place->fd, "tree", &place->err);

    for (int i = 0; i < 40; i++) {
        CLEANUP_FREE char *name = xasprintf("%d", i);
        CLEANUP_FD int fd = files_open_or_make_dir(top, name, &place->err);

        for (int j = 0; j < 40; j++) {
            CLEANUP_FREE char *below = xasprintf("%d", j);

            put(fd, below, 0);
        }
    }
    assert_int_equal(files_remove_tree(place->fd, "tree", &place->err), 0);
    assert_false(is_there(place->fd, "tree"));
}

static int remove_with_few_descriptors(void *context)
{
    const struct place *place = context;
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};

    if (setrlimit(RLIMIT_NOFILE, &few) < 0) {
        return 1;
    }
    return files_remove_tree(place->fd, "tree", NULL) == 0 ? 0 : 2;
}

static void deep_trees_are_removed_with_few_descriptors(void **state)
{
    struct place *place = *state;

    make_deep(place->fd, "tree", DEEP_LEVELS);
    assert_int_equal(in_child(remove_with_few_descriptors, place), 0);
    assert_false(is_there(place->fd, "tree"));
}

static void deep_trees_are_removed_on_old_kernels(void **state)
{
    struct place *place = *state;

    kernel_lose(SYS_openat2);
    make_deep(place->fd, "tree", 200);
    assert_int_equal(files_remove_tree(place->fd, "tree", &place->err), 0);
    assert_false(is_there(place->fd, "tree"));
}

static void names_at_the_top_may_be_taken(void **state)
{
    struct place *place = *state;

    make_deep(place->fd, "tree", 100);
    put(place->fd, "tree/.errand-removed-0", 1);
    assert_int_equal(mkdirat(place->fd, "tree/.errand-removed-1", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "tree/.errand-removed-2", 0700), 0);
    put(place->fd, "tree/.errand-removed-2/file", 1);
    assert_int_equal(files_remove_tree(place->fd, "tree", &place->err), 0);
    assert_false(is_there(place->fd, "tree"));
}

/* Root needs no permission: take the part of somebody who does. */
static bool become_nobody(void)
{
    return geteuid() != 0 ||
           (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static int remove_locked_folders(void *context)
{
    const struct place *place = context;

    if (!become_nobody() || mkdirat(place->fd, "tree", 0700) < 0 ||
        mkdirat(place->fd, "tree/a", 0700) < 0 ||
        mkdirat(place->fd, "tree/a/b", 0700) < 0 ||
        mkdirat(place->fd, "tree/a/b/c", 0700) < 0 ||
        fchmodat(place->fd, "tree/a/b", 0, 0) < 0 ||
        fchmodat(place->fd, "tree/a", 0500, 0) < 0 ||
        fchmodat(place->fd, "tree", 0, 0) < 0) {
        return 1;
    }
    return files_remove_tree(place->fd, "tree", NULL) == 0 ? 0 : 2;
}

static void folders_without_permission_are_removed(void **state)
{
    struct place *place = *state;

    assert_int_equal(fchmod(place->fd, 0777), 0);
    assert_int_equal(in_child(remove_locked_folders, place), 0);
    assert_false(is_there(place->fd, "tree"));
    kernel_lose(SYS_openat2);
    assert_int_equal(in_child(remove_locked_folders, place), 0);
    assert_false(is_there(place->fd, "tree"));
}

static int remove_foreign(void *context)
{
    const struct place *place = context;
    struct error err = ERROR_INIT;

    if (!become_nobody()) {
        return 1;
    }
    if (files_remove_tree(place->fd, "tree", &err) == 0) {
        return 2;
    }
    return err.code == ERR_ACCESS && strncmp(err.text, "remove tree: ", 13) == 0 ? 0 : 3;
}

static void all_but_what_belongs_to_others_is_removed(void **state)
{
    struct place *place = *state;

    if (geteuid() != 0) {
        skip();
    }
    make_deep(place->fd, "tree", 2);
    assert_int_equal(mkdirat(place->fd, "tree/theirs", 0755), 0);
    put(place->fd, "tree/theirs/file", 1);
    assert_int_equal(fchmod(place->fd, 0777), 0);
    assert_int_equal(fchownat(place->fd, "tree", NOBODY, NOBODY, 0), 0);
    assert_int_equal(fchownat(place->fd, "tree/" DEEP_NAME, NOBODY, NOBODY, 0), 0);
    assert_int_equal(
        fchownat(place->fd, "tree/" DEEP_NAME "/" DEEP_NAME, NOBODY, NOBODY, 0), 0);
    assert_int_equal(in_child(remove_foreign, place), 0);
    assert_true(is_there(place->fd, "tree/theirs/file"));
    assert_false(is_there(place->fd, "tree/file"));
    assert_false(is_there(place->fd, "tree/" DEEP_NAME));
}

#define NO_MOUNTS 77

/* A folder of somebody else's, bound into the tree, must keep its files. */
static int remove_around_mount(void *context)
{
    const struct place *place = context;
    struct error err = ERROR_INIT;

    if (fchdir(place->fd) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("theirs", "tree/bound", NULL, MS_BIND, NULL) < 0) {
        return NO_MOUNTS;
    }
    if (files_remove_tree(place->fd, "tree", &err) == 0 || !is_there(place->fd, "tree")) {
        return 1;
    }
    return is_there(place->fd, "theirs/file") && !is_there(place->fd, "tree/file") ? 0
                                                                                   : 2;
}

static void mount_points_are_not_entered(void **state)
{
    struct place *place = *state;
    int ended;

    make_deep(place->fd, "tree", 1);
    assert_int_equal(mkdirat(place->fd, "tree/bound", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "theirs", 0700), 0);
    put(place->fd, "theirs/file", 1);
    ended = in_child(remove_around_mount, place);
    if (ended == NO_MOUNTS) {
        skip();
    }
    assert_int_equal(ended, 0);
}

/* ---- disk usage ---------------------------------------------------------------------
 */

static uint64_t blocks_of(int dir_fd, const char *name)
{
    struct stat found;

    assert_int_equal(fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW), 0);
    return (uint64_t)found.st_blocks * 512;
}

static void usage_is_the_sum_of_blocks(void **state)
{
    struct place *place = *state;
    uint64_t bytes = 0;
    uint64_t expected;

    assert_int_equal(mkdirat(place->fd, "tree", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "tree/below", 0700), 0);
    put(place->fd, "tree/file", 100000);
    put(place->fd, "tree/below/file", 5000);
    assert_int_equal(symlinkat("/", place->fd, "tree/link"), 0);
    expected = blocks_of(place->fd, "tree") + blocks_of(place->fd, "tree/below") +
               blocks_of(place->fd, "tree/file") +
               blocks_of(place->fd, "tree/below/file") +
               blocks_of(place->fd, "tree/link");
    assert_int_equal(files_disk_usage(place->fd, "tree", &bytes, &place->err), 0);
    assert_int_equal(bytes, expected);
    assert_true(bytes >= 105000);
    assert_int_equal(files_disk_usage(place->fd, "tree/file", &bytes, &place->err), 0);
    assert_int_equal(bytes, blocks_of(place->fd, "tree/file"));
}

static void usage_counts_a_file_of_several_names_once(void **state)
{
    struct place *place = *state;
    uint64_t bytes = 0;
    uint64_t with_folder;

    assert_int_equal(mkdirat(place->fd, "tree", 0700), 0);
    put(place->fd, "tree/one", 65536);
    assert_int_equal(linkat(place->fd, "tree/one", place->fd, "tree/two", 0), 0);
    with_folder = blocks_of(place->fd, "tree") + blocks_of(place->fd, "tree/one");
    assert_int_equal(files_disk_usage(place->fd, "tree", &bytes, &place->err), 0);
    assert_int_equal(bytes, with_folder);
    assert_int_equal(renameat(place->fd, "tree/two", place->fd, "two"), 0);
    assert_int_equal(files_disk_usage(place->fd, "tree", &bytes, &place->err), 0);
    assert_int_equal(bytes,
                     blocks_of(place->fd, "tree") + blocks_of(place->fd, "two") / 2);
}

static int measure_with_few_descriptors(void *context)
{
    const struct place *place = context;
    struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    uint64_t bytes = 0;
    uint64_t one = 0;

    if (setrlimit(RLIMIT_NOFILE, &few) < 0 ||
        files_disk_usage(place->fd, "tree/file", &one, NULL) < 0 ||
        files_disk_usage(place->fd, "tree", &bytes, NULL) < 0) {
        return 1;
    }
    return bytes >= one * DEEP_LEVELS ? 0 : 2;
}

static void usage_of_deep_trees_needs_few_descriptors(void **state)
{
    struct place *place = *state;

    make_deep(place->fd, "tree", DEEP_LEVELS);
    assert_int_equal(in_child(measure_with_few_descriptors, place), 0);
}

static void usage_of_what_is_not_there_is_an_error(void **state)
{
    struct place *place = *state;
    uint64_t bytes = 7;

    assert_int_equal(files_disk_usage(place->fd, "none", &bytes, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(bytes, 7);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(what_is_not_there_is_removed_already),
        IN_PLACE(files_and_links_are_removed_and_not_followed),
        IN_PLACE(wide_trees_are_removed),
        IN_PLACE(deep_trees_are_removed_with_few_descriptors),
        IN_PLACE(deep_trees_are_removed_on_old_kernels),
        IN_PLACE(names_at_the_top_may_be_taken),
        IN_PLACE(folders_without_permission_are_removed),
        IN_PLACE(all_but_what_belongs_to_others_is_removed),
        IN_PLACE(mount_points_are_not_entered),
        IN_PLACE(usage_is_the_sum_of_blocks),
        IN_PLACE(usage_counts_a_file_of_several_names_once),
        IN_PLACE(usage_of_deep_trees_needs_few_descriptors),
        IN_PLACE(usage_of_what_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
