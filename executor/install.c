#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/install.h"

#include "common/files.h"
#include "common/mem.h"
#include "common/oid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Length of the folder's part of a path, with the slash. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* True where own lies in path's folder under another name. By what the folders are: the
 * path may lead through symbolic links that own, from /proc, has no more. */
static bool is_beside(const char *own, const char *path)
{
    CLEANUP_FREE char *own_folder = xstrndup(own, folder_length(own));
    CLEANUP_FREE char *folder = xstrndup(path, folder_length(path));
    struct stat mine, target;
    return stat(own_folder, &mine) == 0 && stat(folder, &target) == 0 &&
           mine.st_dev == target.st_dev && mine.st_ino == target.st_ino &&
           strcmp(own + folder_length(own), path + folder_length(path)) != 0;
}

/* True where path is own already. */
static bool is_same_file(const char *own, const char *path)
{
    struct stat mine, target;
    return stat(own, &mine) == 0 && stat(path, &target) == 0 &&
           mine.st_dev == target.st_dev && mine.st_ino == target.st_ino;
}

static int sync_folder_of(const char *path, struct error *err)
{
    CLEANUP_FREE char *folder = xstrndup(path, folder_length(path));
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "open %s", folder) : files_sync_dir(fd, err);
}

static int verify_self(int fd, const char *digest, struct error *err)
{
    struct oid wanted, found;
    if (oid_from_hex(digest, &wanted, NULL) < 0) {
        return error_set(err, ERR_USAGE, "--digest takes 64 hexadecimal digits");
    }
    if (oid_of_fd(fd, &found, err) < 0) {
        return -1;
    }
    if (!oid_equal(&wanted, &found)) {
        char hex[OID_HEX_SIZE];
        oid_to_hex(&found, hex);
        return error_set(err, ERR_CORRUPT,
                         "the executor arrived damaged: its digest is %.12s... and not "
                         "%.12s...",
                         hex, digest);
    }
    return 0;
}

int install_self(const char *path, const char *digest, struct error *err)
{
    char own[4096];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0) {
        return error_sys(err, "find this program's own file");
    }
    own[length] = '\0';
    if (path[0] != '/') {
        return error_set(err, ERR_USAGE, "--install takes an absolute path");
    }
    CLEANUP_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_sys(err, "open %s", own);
    }
    if (verify_self(fd, digest, err) < 0) {
        if (is_beside(own, path)) {
            (void)unlink(own);
        }
        return -1;
    }
    if (is_same_file(own, path)) {
        return 0;
    }
    if (!is_beside(own, path)) {
        return error_set(err, ERR_USAGE, "%s is not in the folder of %s", own, path);
    }
    if (fsync(fd) < 0) {
        return error_sys(err, "sync %s", own);
    }
    if (rename(own, path) < 0) {
        return error_sys(err, "rename %s to %s", own, path);
    }
    return sync_folder_of(path, err);
}
