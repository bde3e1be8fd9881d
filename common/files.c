#define _GNU_SOURCE /* syscall, syncfs */
#include "common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/mem.h"

#define FOLDER_MODE 0700
#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TEMPORARY_RANDOM_BYTES 8
/* flock has no deadline; between two tries we wait this long at most. */
#define LOCK_PAUSE_MAX_MS 50
/* From linux/fs.h, which does not go together with all versions of sys/mount.h. */
#define NOREPLACE_FLAG 1U

static int make_dir(const char *path)
{
    struct stat found;
    int saved;

    if (mkdir(path, FOLDER_MODE) == 0) {
        return 0;
    }
    saved = errno;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode)) {
        return 0;
    }
    errno = saved;
    return -1;
}

int files_make_dirs(const char *path, struct error *err)
{
    CLEANUP_FREE char *part = xstrdup(path);

    for (char *at = part; *at != '\0';) {
        char *slash = strchr(at + 1, '/');
        int failed;

        if (slash != NULL) {
            *slash = '\0';
        }
        failed = make_dir(part);
        if (failed < 0) {
            return error_sys(err, "make the folder %s", part);
        }
        if (slash == NULL) {
            break;
        }
        *slash = '/';
        at = slash + strspn(slash, "/") - 1;
        if (at[1] == '\0') {
            break;
        }
    }
    return 0;
}

int files_open_dir(int dir_fd, const char *path, struct error *err)
{
    int fd = openat(dir_fd, path, OPEN_FOLDER);

    return fd >= 0 ? fd : error_sys(err, "open the folder %s", path);
}

int files_open_or_make_dir(int dir_fd, const char *name, struct error *err)
{
    if (mkdirat(dir_fd, name, FOLDER_MODE) < 0 && errno != EEXIST) {
        int saved = errno;
        int fd = openat(dir_fd, name, OPEN_FOLDER);

        if (fd >= 0) {
            return fd;
        }
        errno = saved;
        return error_sys(err, "make the folder %s", name);
    }
    return files_open_dir(dir_fd, name, err);
}

size_t files_read_tail(int dir_fd, const char *name, uint64_t start, void *out,
                       size_t size)
{
    struct stat st;
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return 0;
    }
    uint64_t end = (uint64_t)st.st_size;
    uint64_t from = end > start && end - start > size ? end - size : start;
    ssize_t got = fdio_pread_full(fd, out, size, from);
    return got > 0 ? (size_t)got : 0;
}

int files_read(int dir_fd, const char *path, struct strbuf *sb, struct error *err)
{
    CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        return error_sys(err, "open %s", path);
    }
    return fdio_read_all(fd, path, sb, err);
}

/* The folder part of path, "." where there is none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return xstrdup(".");
    }
    return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static char *temporary_name(void)
{
    uint8_t random[TEMPORARY_RANDOM_BYTES];
    char text[2 * TEMPORARY_RANDOM_BYTES + 1];

    bytes_random(random, sizeof(random));
    bytes_to_hex(text, random, sizeof(random));
    return xasprintf(FILES_TEMPORARY_PREFIX "%s", text);
}

void files_start_sync(int fd)
{
#ifdef __linux__
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd;
#endif
}

static int write_file(int fd, const void *data, size_t length, mode_t mode,
                      struct error *err)
{
    if (fd < 0) {
        return error_sys(err, "make a file");
    }
    if (fdio_write_full(fd, data, length) < 0) {
        return error_sys(err, "write");
    }
    return fchmod(fd, mode) < 0 ? error_sys(err, "set the mode") : 0;
}

int files_aside_write(struct files_aside *aside, int dir_fd, const char *path,
                      const void *data, size_t length, mode_t mode, struct error *err)
{
    CLEANUP_FREE char *folder = folder_of(path);

    *aside = (struct files_aside){.path = xstrdup(path), .fd = -1};
    aside->folder_fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (aside->folder_fd < 0) {
        error_sys(err, "open its folder");
        error_wrap(err, "write %s", path);
        files_aside_drop(aside);
        return -1;
    }
    aside->temporary = temporary_name();
    aside->fd =
        openat(aside->folder_fd, aside->temporary,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (write_file(aside->fd, data, length, mode, err) < 0) {
        error_wrap(err, "write %s", path);
        files_aside_drop(aside);
        return -1;
    }
    files_start_sync(aside->fd);
    return 0;
}

void files_aside_drop(struct files_aside *aside)
{
    if (aside->temporary != NULL) {
        (void)unlinkat(aside->folder_fd, aside->temporary, 0);
    }
    fdio_close(&aside->fd);
    fdio_close(&aside->folder_fd);
    free(aside->temporary);
    free(aside->path);
    *aside = (struct files_aside){.fd = -1, .folder_fd = -1};
}

static int put_in_place(const struct files_aside *aside, bool may_replace,
                        struct error *err)
{
    const char *slash = strrchr(aside->path, '/');
    const char *name = slash == NULL ? aside->path : slash + 1;

    if (!may_replace) {
        return files_rename_noreplace(aside->folder_fd, aside->temporary,
                                      aside->folder_fd, name, err);
    }
    if (renameat(aside->folder_fd, aside->temporary, aside->folder_fd, name) < 0) {
        return error_sys(err, "rename the new file");
    }
    return 0;
}

/* Sync and close the file. */
static int finish_file(struct files_aside *aside, struct error *err)
{
    if (fsync(aside->fd) < 0) {
        return error_sys(err, "sync");
    }
    if (close(take_fd(&aside->fd)) < 0 && errno != EINTR) {
        return error_sys(err, "close");
    }
    return 0;
}

static int commit(struct files_aside *aside, bool may_replace, struct error *err)
{
    int result = finish_file(aside, err);

    if (result == 0) {
        result = put_in_place(aside, may_replace, err);
    }
    if (result == 0) {
        free(TAKE_PTR(aside->temporary)); /* it is in place */
        result = files_sync_dir(aside->folder_fd, err);
    }
    if (result < 0) {
        error_wrap(err, "write %s", aside->path);
    }
    files_aside_drop(aside);
    return result;
}

int files_aside_commit(struct files_aside *aside, struct error *err)
{
    return commit(aside, true, err);
}

static int write_beside(int dir_fd, const char *path, const void *data, size_t length,
                        mode_t mode, bool may_replace, struct error *err)
{
    struct files_aside aside;

    return files_aside_write(&aside, dir_fd, path, data, length, mode, err) < 0
               ? -1
               : commit(&aside, may_replace, err);
}

int files_write_atomic(int dir_fd, const char *path, const void *data, size_t length,
                       mode_t mode, struct error *err)
{
    return write_beside(dir_fd, path, data, length, mode, true, err);
}

int files_create_atomic(int dir_fd, const char *path, const void *data, size_t length,
                        mode_t mode, struct error *err)
{
    return write_beside(dir_fd, path, data, length, mode, false, err);
}

int files_sync_dir(int dir_fd, struct error *err)
{
    /* Filesystems that cannot sync a folder say EINVAL; there is nothing to be had. */
    if (fsync(dir_fd) < 0 && errno != EINVAL) {
        return error_sys(err, "sync a folder");
    }
    return 0;
}

int files_sync_filesystem(int fd, struct error *err)
{
#ifdef __linux__
    if (syncfs(fd) == 0) {
        return 0;
    }
    if (errno != ENOSYS) {
        return error_sys(err, "sync the filesystem");
    }
#else
    (void)fd;
    (void)err;
#endif
    sync();
    return 0;
}

static int rename_exists(const char *name, struct error *err)
{
    return error_set(err, ERR_EXISTS, "%s is there already", name);
}

/* Where neither the kernel nor the filesystem helps: look, then rename. A file that
 * comes between the two is replaced; a folder is not. */
static int look_and_rename(int old_dir_fd, const char *old_name, int new_dir_fd,
                           const char *new_name, struct error *err)
{
    struct stat found;

    if (fstatat(new_dir_fd, new_name, &found, AT_SYMLINK_NOFOLLOW) == 0) {
        return rename_exists(new_name, err);
    }
    if (renameat(old_dir_fd, old_name, new_dir_fd, new_name) == 0) {
        return 0;
    }
    if (errno == EEXIST || errno == ENOTEMPTY) {
        return rename_exists(new_name, err);
    }
    return error_sys(err, "rename %s to %s", old_name, new_name);
}

static int link_and_unlink(int old_dir_fd, const char *old_name, int new_dir_fd,
                           const char *new_name, struct error *err)
{
    if (linkat(old_dir_fd, old_name, new_dir_fd, new_name, 0) < 0) {
        if (errno == EEXIST) {
            return rename_exists(new_name, err);
        }
        return look_and_rename(old_dir_fd, old_name, new_dir_fd, new_name, err);
    }
    if (unlinkat(old_dir_fd, old_name, 0) < 0) {
        return error_sys(err, "remove %s, which has become %s", old_name, new_name);
    }
    return 0;
}

int files_rename_noreplace(int old_dir_fd, const char *old_name, int new_dir_fd,
                           const char *new_name, struct error *err)
{
    struct stat found;

#ifdef SYS_renameat2
    /* Linux 3.15; not every filesystem has it. */
    if (syscall(SYS_renameat2, old_dir_fd, old_name, new_dir_fd, new_name,
                NOREPLACE_FLAG) == 0) {
        return 0;
    }
    if (errno == EEXIST) {
        return rename_exists(new_name, err);
    }
#endif
    if (fstatat(old_dir_fd, old_name, &found, AT_SYMLINK_NOFOLLOW) < 0) {
        return error_sys(err, "rename %s", old_name);
    }
    if (S_ISDIR(found.st_mode)) {
        return look_and_rename(old_dir_fd, old_name, new_dir_fd, new_name, err);
    }
    return link_and_unlink(old_dir_fd, old_name, new_dir_fd, new_name, err);
}

static int open_lock(int dir_fd, const char *path, bool is_exclusive)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int fd = openat(dir_fd, path, O_RDWR | O_CREAT | flags, S_IRUSR | S_IWUSR);

    if (fd < 0 && !is_exclusive && (errno == EACCES || errno == EROFS)) {
        fd = openat(dir_fd, path, O_RDONLY | flags);
    }
    return fd;
}

static int flock_until(int fd, int operation, int64_t deadline_ns)
{
    int pause_ms = 1;

    for (;;) {
        int64_t left_ms;

        if (flock(fd, deadline_ns < 0 ? operation : operation | LOCK_NB) == 0) {
            return 0;
        }
        if (errno == EINTR) {
            continue;
        }
        left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (errno != EWOULDBLOCK || left_ms <= 0) {
            return -1;
        }
        poll(NULL, 0, left_ms < pause_ms ? (int)left_ms : pause_ms);
        pause_ms = pause_ms * 2 < LOCK_PAUSE_MAX_MS ? pause_ms * 2 : LOCK_PAUSE_MAX_MS;
    }
}

static bool is_still_named(int fd, int dir_fd, const char *path)
{
    struct stat locked;
    struct stat named;

    return fstat(fd, &locked) == 0 &&
           fstatat(dir_fd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

int files_lock(int dir_fd, const char *path, bool is_exclusive, int timeout_ms,
               struct error *err)
{
    int64_t deadline_ns =
        timeout_ms < 0 ? -1 : clock_monotonic_ns() + timeout_ms * NS_PER_MS;

    for (;;) {
        CLEANUP_FD int fd = open_lock(dir_fd, path, is_exclusive);

        if (fd < 0) {
            return error_sys(err, "open %s", path);
        }
        if (flock_until(fd, is_exclusive ? LOCK_EX : LOCK_SH, deadline_ns) < 0) {
            return errno == EWOULDBLOCK
                       ? error_set(err, ERR_BUSY, "another process has %s locked", path)
                       : error_sys(err, "lock %s", path);
        }
        if (is_still_named(fd, dir_fd, path)) {
            return take_fd(&fd);
        }
    }
}

int files_free_bytes(const char *path, uint64_t *out_bytes, struct error *err)
{
    struct statvfs filesystem;

    if (statvfs(path, &filesystem) < 0) {
        return error_sys(err, "ask for the free space of %s", path);
    }
    *out_bytes = (uint64_t)filesystem.f_bavail * filesystem.f_frsize;
    return 0;
}

#ifdef __linux__
bool files_is_network(const char *path)
{
    /* statfs(2), and linux/magic.h of the kernel's sources. */
    static const uint32_t magics[] = {
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x564c,     /* NCP */
        0x0bd00bd0, /* Lustre */
        0x65735546, /* FUSE: sshfs, s3fs, GlusterFS ... */
        0x00c36400, /* Ceph */
        0x01021997, /* 9P: virtual machines' and WSL's shares */
        0x5346414f, /* AFS */
        0x6b414653, /* kAFS */
        0x73757245, /* Coda */
        0x19830326, /* BeeGFS */
        0x47504653, /* GPFS */
        0xaad7aaea, /* PanFS */
        0x20030528, /* OrangeFS */
        0x7461636f, /* OCFS2 */
        0x01161970, /* GFS2 */
        0x786f4256, /* VirtualBox's shares */
    };
    struct statfs filesystem;

    if (statfs(path, &filesystem) < 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if ((uint32_t)filesystem.f_type == magics[i]) {
            return true;
        }
    }
    return false;
}
#else
bool files_is_network(const char *path)
{
    (void)path;
    return false;
}
#endif

char *files_join(const char *dir, const char *name)
{
    size_t length = strlen(dir);

    if (length == 0 || name[0] == '/') {
        return xstrdup(name);
    }
    while (length > 1 && dir[length - 1] == '/') {
        length--;
    }
    if (length > INT_MAX) {
        mem_abort("a path is too long");
    }
    return xasprintf("%.*s%s%s", (int)length, dir, dir[length - 1] == '/' ? "" : "/",
                     name);
}

void files_format_size(char out[FILES_SIZE_TEXT], uint64_t size_bytes)
{
    static const char units[] = "KMGTPE";
    uint64_t unit = 1000;
    size_t i = 0;

    if (size_bytes < unit) {
        snprintf(out, FILES_SIZE_TEXT, "%" PRIu64 " byte%s", size_bytes,
                 size_bytes == 1 ? "" : "s");
        return;
    }
    while (units[i + 1] != '\0' && size_bytes / unit >= 1000) {
        unit *= 1000;
        i++;
    }
    if (size_bytes / unit < 10) {
        snprintf(out, FILES_SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %cB", size_bytes / unit,
                 size_bytes % unit / (unit / 10), units[i]);
    } else {
        snprintf(out, FILES_SIZE_TEXT, "%" PRIu64 " %cB", size_bytes / unit, units[i]);
    }
}

/* What a number with this behind it is multiplied by; 0: no unit. */
static uint64_t unit_of(const char *text)
{
    static const char units[] = "KMGTPE";
    const char *at = text[0] == '\0' ? NULL : strchr(units, text[0] & ~0x20);
    uint64_t step = 1000;
    uint64_t unit = 1;

    if (at == NULL) {
        return strcmp(text, "") == 0 || strcmp(text, "B") == 0 ? 1 : 0;
    }
    text++;
    if (*text == 'i') {
        step = 1024;
        text++;
    }
    if (strcmp(text, "") != 0 && strcmp(text, "B") != 0) {
        return 0;
    }
    for (const char *u = units; u <= at; u++) {
        unit *= step;
    }
    return unit;
}

int files_parse_size(const char *text, uint64_t *out_bytes, struct error *err)
{
    size_t digits = strspn(text, "0123456789");
    CLEANUP_FREE char *number = xstrndup(text, digits);
    uint64_t unit = unit_of(text + digits);
    uint64_t count;
    uint64_t total;

    if (unit == 0 || digits == 0) {
        return error_set(err, ERR_USAGE,
                         "\"%s\" is not a size such as 512, 64K, 10M or 2GiB", text);
    }
    if (bytes_parse_u64(number, UINT64_MAX, &count, NULL) < 0 ||
        __builtin_mul_overflow(count, unit, &total)) {
        return error_set(err, ERR_USAGE, "the size \"%s\" is too large", text);
    }
    *out_bytes = total;
    return 0;
}
