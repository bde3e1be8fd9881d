/*
 * files_tree: what files does with whole trees, however deep.            [base]
 */
#define _GNU_SOURCE /* O_PATH, syscall */
#include "common/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"
#include "common/strvec.h"

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Folders open at a time, one within the other. What lies deeper waits. */
#define DEPTH_MAX 32
/* How often we go again over a tree into which somebody keeps writing. */
#define STUBBORN_PASSES 16
/* From linux/openat2.h, which systems with older headers lack. */
#define NO_CROSSING 0x01 /* RESOLVE_NO_XDEV */
struct how_to_open {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/*
 * Open a folder within a folder, but no mount point: what somebody else mounted there (a
 * bind mount of their data) is not part of the tree. Linux before 5.6 sees only mounts
 * of other filesystems.
 */
static int open_below(int dir_fd, const char *name)
{
    struct stat here;
    struct stat below;
    int fd;

#ifdef SYS_openat2
    struct how_to_open how = {.flags = OPEN_FOLDER, .resolve = NO_CROSSING};

    fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return fd;
    }
#endif
    fd = openat(dir_fd, name, OPEN_FOLDER);
    if (fd >= 0 && (fstat(dir_fd, &here) < 0 || fstat(fd, &below) < 0 ||
                    here.st_dev != below.st_dev)) {
        close(fd);
        errno = EXDEV;
        return -1;
    }
    return fd;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A stream over the folder, which is closed with it; NULL with errno. */
static DIR *stream_of(int *fd)
{
    DIR *stream = fdopendir(*fd);

    if (stream != NULL) {
        *fd = -1;
    }
    return stream;
}

/* ---- removal ---------------------------------------------------------------------- */

/*
 * The tree is taken apart from the leaves up, DEPTH_MAX folders at a time. A folder
 * deeper than that is moved to the top of the tree, where the next pass finds it: so
 * neither memory nor descriptors grow with the depth, and no path is ever written out.
 */
struct removal {
    int top_fd;
    unsigned long moved;   /* folders so far; makes their names */
    unsigned long removed; /* in this pass */
    bool has_moved;        /* in this pass */
    struct error failure;  /* the first of this pass */
};

static void note_failure(struct removal *r, const char *what, const char *name)
{
    if (r->failure.code == ERR_NONE) {
        error_sys(&r->failure, "%s %s", what, name);
    }
}

/* Give ourselves all rights on a folder that cannot be opened. Never through a symbolic
 * link: /proc/self/fd leads to what O_PATH opened, and fchmodat cannot be told. */
static void unlock_closed(int dir_fd, const char *name)
{
#ifdef O_PATH
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char path[64];

    if (fd >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        chmod(path, S_IRWXU);
    }
#else
    fchmodat(dir_fd, name, S_IRWXU, AT_SYMLINK_NOFOLLOW);
#endif
}

static int open_for_removal(int dir_fd, const char *name)
{
    struct stat found;
    int fd = open_below(dir_fd, name);

    if (fd < 0 && errno == EACCES) {
        unlock_closed(dir_fd, name);
        fd = open_below(dir_fd, name);
    }
    if (fd >= 0 && fstat(fd, &found) == 0 && (found.st_mode & S_IRWXU) != S_IRWXU) {
        fchmod(fd, S_IRWXU);
    }
    return fd;
}

/* Move a folder to the top of the tree. What has the new name there is to be removed
 * anyway: an empty folder is replaced, all else keeps its name and we take the next. */
static void move_to_top(struct removal *r, int dir_fd, const char *name)
{
    char top_name[64];

    do {
        snprintf(top_name, sizeof(top_name), ".errand-removed-%lu", r->moved++);
        if (renameat(dir_fd, name, r->top_fd, top_name) == 0) {
            r->has_moved = true;
            return;
        }
    } while (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR);
    note_failure(r, "move", name);
}

static void empty_folder(struct removal *r, DIR *stream, int depth);

/* A folder within dir_fd. */
static void remove_folder(struct removal *r, int dir_fd, const char *name, int depth)
{
    CLEANUP_DIR DIR *stream = NULL;
    CLEANUP_FD int fd = open_for_removal(dir_fd, name);

    if (fd < 0 || (stream = stream_of(&fd)) == NULL) {
        if (errno != ENOENT) {
            note_failure(r, "open the folder", name);
        }
        return;
    }
    if (depth == DEPTH_MAX) {
        move_to_top(r, dir_fd, name);
        return;
    }
    empty_folder(r, stream, depth);
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0) {
        r->removed++;
    } else if (errno != ENOENT) {
        note_failure(r, "remove the folder", name);
    }
}

static void remove_entry(struct removal *r, int dir_fd, const char *name, int depth)
{
    if (unlinkat(dir_fd, name, 0) == 0) {
        r->removed++;
        return;
    }
    /* POSIX says EPERM of a folder, Linux EISDIR. */
    if (errno == EISDIR || errno == EPERM) {
        struct stat found;
        int saved = errno;

        if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(found.st_mode)) {
            remove_folder(r, dir_fd, name, depth);
            return;
        }
        errno = saved;
    }
    if (errno != ENOENT) {
        note_failure(r, "remove", name);
    }
}

static void empty_folder(struct removal *r, DIR *stream, int depth)
{
    const struct dirent *entry;

    for (;;) {
        errno = 0;
        entry = readdir(stream);
        if (entry == NULL) {
            break;
        }
        if (!is_dots(entry->d_name)) {
            remove_entry(r, dirfd(stream), entry->d_name, depth + 1);
        }
    }
    if (errno != 0) {
        note_failure(r, "list", "a folder");
    }
}

/* Passes over an open tree until its top can be removed. */
static int remove_open_tree(struct removal *r, int dir_fd, const char *name, DIR *stream,
                            struct error *err)
{
    int stubborn = 0;

    for (;;) {
        r->removed = 0;
        r->has_moved = false;
        r->failure = (struct error)ERROR_INIT;
        rewinddir(stream);
        empty_folder(r, stream, 0);
        if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return 0;
        }
        note_failure(r, "remove the folder", name);
        if (!r->has_moved && (r->removed == 0 || ++stubborn > STUBBORN_PASSES)) {
            break;
        }
    }
    if (err != NULL) {
        *err = r->failure;
    }
    return error_wrap(err, "remove %s", name);
}

int files_remove_tree(int dir_fd, const char *name, struct error *err)
{
    CLEANUP_DIR DIR *stream = NULL;
    CLEANUP_FD int fd = -1;
    struct removal removal = {.top_fd = -1};

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return error_sys(err, "remove %s", name);
    }
    fd = openat(dir_fd, name, OPEN_FOLDER);
    if (fd < 0 && errno == EACCES) {
        unlock_closed(dir_fd, name);
        fd = openat(dir_fd, name, OPEN_FOLDER);
    }
    if (fd < 0) {
        return errno == ENOENT ? 0 : error_sys(err, "remove %s", name);
    }
    fchmod(fd, S_IRWXU);
    stream = stream_of(&fd);
    if (stream == NULL) {
        return error_sys(err, "remove %s", name);
    }
    removal.top_fd = dirfd(stream);
    return remove_open_tree(&removal, dir_fd, name, stream, err);
}

/* ---- disk usage ------------------------------------------------------------------- */

struct usage {
    uint64_t bytes;
    struct strvec deeper; /* folders at a multiple of DEPTH_MAX, from the top */
};

/* A file with several names counts with its share: where all of them lie in the tree,
 * together once. */
static void add_usage(struct usage *usage, const struct stat *found)
{
    uint64_t bytes = (uint64_t)found->st_blocks * 512;

    if (!S_ISDIR(found->st_mode) && found->st_nlink > 1) {
        bytes /= (uint64_t)found->st_nlink;
    }
    usage->bytes += bytes;
}

/* Open a path of any length below an open folder, folder by folder. */
static int open_long_path(int top_fd, const char *path)
{
    CLEANUP_FREE char *part = xstrdup(path);
    int fd = dup(top_fd);

    for (char *at = part; fd >= 0 && at != NULL;) {
        char *slash = strchr(at, '/');
        int next;

        if (slash != NULL) {
            *slash = '\0';
        }
        next = openat(fd, at, OPEN_FOLDER);
        close(fd);
        fd = next;
        at = slash == NULL ? NULL : slash + 1;
    }
    return fd;
}

static int measure_folder(struct usage *usage, int *fd, const char *path, int depth,
                          struct error *err);

static int measure_entry(struct usage *usage, int dir_fd, const char *path,
                         const char *name, int depth, struct error *err)
{
    CLEANUP_FREE char *below = files_join(path, name);
    CLEANUP_FD int fd = -1;
    struct stat found;

    if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : error_sys(err, "look at %s", below);
    }
    add_usage(usage, &found);
    if (!S_ISDIR(found.st_mode)) {
        return 0;
    }
    if (depth == DEPTH_MAX) {
        strvec_push(&usage->deeper, below);
        return 0;
    }
    fd = open_below(dir_fd, name);
    if (fd < 0) {
        return errno == ENOENT || errno == EXDEV
                   ? 0
                   : error_sys(err, "open the folder %s", below);
    }
    return measure_folder(usage, &fd, below, depth, err);
}

static int measure_folder(struct usage *usage, int *fd, const char *path, int depth,
                          struct error *err)
{
    CLEANUP_DIR DIR *stream = stream_of(fd);
    const struct dirent *entry;

    if (stream == NULL) {
        return error_sys(err, "list %s", path);
    }
    for (;;) {
        errno = 0;
        entry = readdir(stream);
        if (entry == NULL) {
            return errno == 0 ? 0 : error_sys(err, "list %s", path);
        }
        if (!is_dots(entry->d_name) && measure_entry(usage, dirfd(stream), path,
                                                     entry->d_name, depth + 1, err) < 0) {
            return -1;
        }
    }
}

static int measure_tree(struct usage *usage, int top_fd, struct error *err)
{
    CLEANUP_FD int fd = dup(top_fd);

    if (fd < 0) {
        return error_sys(err, "list a folder");
    }
    if (measure_folder(usage, &fd, "", 0, err) < 0) {
        return -1;
    }
    while (usage->deeper.count > 0) {
        CLEANUP_FREE char *path = xstrdup(usage->deeper.items[usage->deeper.count - 1]);

        strvec_remove(&usage->deeper, usage->deeper.count - 1);
        fdio_close(&fd);
        fd = open_long_path(top_fd, path);
        if (fd < 0 && errno != ENOENT) {
            return error_sys(err, "open the folder %s", path);
        }
        if (fd >= 0 && measure_folder(usage, &fd, path, 0, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int files_disk_usage(int dir_fd, const char *name, uint64_t *out_bytes, struct error *err)
{
    struct usage usage = {.deeper = STRVEC_INIT};
    CLEANUP_FD int fd = -1;
    struct stat found;
    int result = 0;

    if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0) {
        return error_sys(err, "look at %s", name);
    }
    add_usage(&usage, &found);
    if (S_ISDIR(found.st_mode)) {
        fd = openat(dir_fd, name, OPEN_FOLDER);
        result =
            fd < 0 ? error_sys(err, "open the folder") : measure_tree(&usage, fd, err);
    }
    strvec_release(&usage.deeper);
    if (result < 0) {
        return error_wrap(err, "measure %s", name);
    }
    *out_bytes = usage.bytes;
    return 0;
}
