#include "common/outfolders.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#define UNPACKED ".outputs-unpacked"
#define FILES_MAX UINT64_C(10000000)

/* Open the folder that path's last part is in, making what is missing. *out_name: that
 * part, borrowed from path. */
static int open_parent(int top_fd, const char *path, bool may_make, const char **out_name,
                       struct error *err)
{
    CLEANUP_FD int fd = fcntl(top_fd, F_DUPFD_CLOEXEC, 0);
    const char *slash;
    while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
        CLEANUP_FREE char *name = xstrndup(path, (size_t)(slash - path));
        int next = may_make ? files_open_or_make_dir(fd, name, err)
                            : files_open_dir(fd, name, err);
        fdio_close(&fd);
        fd = next;
        path = slash + 1;
    }
    *out_name = path;
    return take_fd(&fd);
}

/* One of the folders takes its place in work/. What the driver did not have stays. */
static int take_folder(int unpacked_fd, int work_fd, const char *path, struct error *err)
{
    const char *name = path;
    struct stat st;
    CLEANUP_FD int from = open_parent(unpacked_fd, path, false, &name, NULL);
    if (from < 0 || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return 0;
    }
    CLEANUP_FD int to = open_parent(work_fd, path, true, &name, err);
    if (to < 0 || files_remove_tree(to, name, err) < 0) {
        return -1;
    }
    return renameat(from, name, to, name) < 0 ? error_sys(err, "take %.300s", path) : 0;
}

int outfolders_take(int from_fd, int work_fd, const struct strvec *folders,
                    struct error *err)
{
    for (size_t i = 0; i < folders->count; i++) {
        if (take_folder(from_fd, work_fd, folders->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int unpack_aside(int tar_fd, int run_fd, struct error *err)
{
    struct archive_facts facts;
    struct stat st;
    if (fstat(tar_fd, &st) < 0 || lseek(tar_fd, 0, SEEK_SET) < 0) {
        return error_sys(err, "read the outputs");
    }
    const struct worktree_limits limits = {.max_files = FILES_MAX,
                                           .max_size_bytes = (uint64_t)st.st_size};
    CLEANUP_FD int aside = files_remove_tree(run_fd, UNPACKED, err) < 0
                               ? -1
                               : files_open_or_make_dir(run_fd, UNPACKED, err);
    if (aside < 0 || archive_unpack(tar_fd, aside, &limits, &facts, err) < 0) {
        return -1;
    }
    return take_fd(&aside);
}

int outfolders_unpack(int tar_fd, int run_fd, int work_fd, const struct strvec *folders,
                      struct error *err)
{
    CLEANUP_FD int aside = unpack_aside(tar_fd, run_fd, err);
    int result = aside < 0 ? -1 : outfolders_take(aside, work_fd, folders, err);
    (void)files_remove_tree(run_fd, UNPACKED, NULL);
    return result;
}
