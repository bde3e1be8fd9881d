/* livy_place, a folder of this machine. */
#define _GNU_SOURCE /* O_NOFOLLOW */
#include "controller/livy_place_inside.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0755

/* Others, Livy's account among them, are to read what is there. */
static int local_make_dir(const struct livy_place *place, const char *path,
                          struct error *err)
{
    (void)place;
    CLEANUP_FREE char *copy = xstrdup(path);
    for (char *at = strchr(copy + 1, '/');; at = strchr(at + 1, '/')) {
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdir(copy, FOLDER_MODE) == 0) {
            (void)chmod(copy, FOLDER_MODE);
        } else if (errno != EEXIST) {
            return error_sys(err, "make the folder %s", copy);
        }
        if (at == NULL) {
            return 0;
        }
        *at = '/';
    }
}

static int local_put(const struct livy_place *place, const char *path, unsigned mode,
                     const char *file, struct error *err)
{
    (void)place;
    struct stat st;
    CLEANUP_FD int in = open(file, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int out =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int64_t copied = in < 0 || out < 0 || fstat(in, &st) != 0
                         ? -1
                         : fdio_copy(in, out, (uint64_t)st.st_size);
    if (copied >= 0 && copied < st.st_size) {
        return error_set(err, ERR_CHANGED, "copy %s to %s: it has become shorter", file,
                         path);
    }
    /* A folder that is mounted may say at the end alone that it is full. */
    return copied < 0 || fchmod(out, mode) != 0 || close(take_fd(&out)) != 0
               ? error_sys(err, "copy %s to %s", file, path)
               : 0;
}

static int local_rename(const struct livy_place *place, const char *from, const char *to,
                        struct error *err)
{
    (void)place;
    return rename(from, to) == 0 ? 0 : error_sys(err, "rename %s to %s", from, to);
}

static int local_settle(const struct livy_place *place, const char *from, const char *to,
                        struct error *err)
{
    (void)place;
    return files_rename_noreplace(AT_FDCWD, from, AT_FDCWD, to, err);
}

/* Reading a folder is no use of it. */
static void take_stat(const struct stat *st, const char *name, struct webhdfs_entry *out)
{
    int64_t written = clock_ms_of(&st->st_mtim), read = clock_ms_of(&st->st_atim);
    bool is_folder = S_ISDIR(st->st_mode);
    *out = (struct webhdfs_entry){.name = name,
                                  .is_folder = is_folder,
                                  .used_utc_ms =
                                      is_folder || written > read ? written : read,
                                  .size_bytes = is_folder ? 0 : (uint64_t)st->st_size};
}

static int local_look(const struct livy_place *place, const char *path,
                      bool *out_is_there, struct webhdfs_entry *out, struct error *err)
{
    (void)place;
    struct stat st;
    *out_is_there = stat(path, &st) == 0;
    if (!*out_is_there) {
        return errno == ENOENT ? 0 : error_sys(err, "look at %s", path);
    }
    take_stat(&st, "", out);
    return 0;
}

static int local_list(const struct livy_place *place, const char *path,
                      webhdfs_visit *visit, void *context, struct error *err)
{
    (void)place;
    CLEANUP_DIR DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? 0 : error_sys(err, "list %s", path);
    }
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
        struct stat st;
        struct webhdfs_entry found;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            take_stat(&st, entry->d_name, &found);
            visit(context, &found);
        }
    }
    return errno != 0 ? error_sys(err, "list %s", path) : 0;
}

/* The time of its last change stays, as in WebHDFS. */
static int local_touch(const struct livy_place *place, const char *path,
                       struct error *err)
{
    (void)place;
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0
               ? 0
               : error_sys(err, "mark %s", path);
}

/* -1: err; *out_is_there false: nothing to open. */
static int open_local(const char *path, bool *out_is_there, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *out_is_there = fd >= 0;
    if (fd < 0 && errno != ENOENT) {
        error_sys(err, "read %s", path);
    }
    return fd;
}

static int local_read(const struct livy_place *place, const char *path, uint64_t offset,
                      size_t length, struct strbuf *out, bool *out_is_there,
                      struct error *err)
{
    (void)place;
    struct error inner = ERROR_INIT;
    CLEANUP_FD int fd = open_local(path, out_is_there, &inner);
    if (fd < 0) {
        return inner.code == ERR_NONE ? 0 : error_copy(err, &inner);
    }
    return livy_place_read_part(fd, path, offset, length, out, err);
}

static int local_fetch(const struct livy_place *place, const char *path,
                       uint64_t max_bytes, int fd, bool *out_is_there, struct error *err)
{
    (void)place;
    struct error inner = ERROR_INIT;
    CLEANUP_FD int in = open_local(path, out_is_there, &inner);
    if (in < 0) {
        return inner.code == ERR_NONE ? 0 : error_copy(err, &inner);
    }
    return livy_place_copy_whole(in, path, max_bytes, fd, err);
}

static int local_remove(const struct livy_place *place, const char *path,
                        struct error *err)
{
    (void)place;
    return files_remove_tree(AT_FDCWD, path, err);
}

const struct livy_place_way livy_place_local = {.can_follow = true,
                                                .make_dir = local_make_dir,
                                                .put = local_put,
                                                .rename = local_rename,
                                                .settle = local_settle,
                                                .look = local_look,
                                                .list = local_list,
                                                .touch = local_touch,
                                                .read = local_read,
                                                .fetch = local_fetch,
                                                .remove = local_remove};
