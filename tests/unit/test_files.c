#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "tests/unit/child.h"
#include "tests/unit/kernel.h"

/* ---- a system that fails where it is told to ----------------------------------------
 */

static int fsync_errno;               /* of the next call; 0: none fails */
static int linkat_errno;              /* of each call */
static int renameat_errno;            /* of each call */
static int flock_interrupts;          /* so many calls fail with EINTR */
static const char *unlinked_by_flock; /* removed when the next call has succeeded */
static long filesystem_type;          /* what statfs says, where not 0 */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_linkat(int old_fd, const char *old, int new_fd, const char *new, int flags);
int __wrap_linkat(int old_fd, const char *old, int new_fd, const char *new, int flags);
int __real_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __real_statfs64(const char *path, struct statfs *out);
int __wrap_statfs64(const char *path, struct statfs *out);

int __wrap_fsync(int fd)
{
    if (fsync_errno != 0) {
        errno = fsync_errno;
        fsync_errno = 0;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_linkat(int old_fd, const char *old, int new_fd, const char *new, int flags)
{
    if (linkat_errno != 0) {
        errno = linkat_errno;
        return -1;
    }
    return __real_linkat(old_fd, old, new_fd, new, flags);
}

int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new)
{
    if (renameat_errno != 0) {
        errno = renameat_errno;
        return -1;
    }
    return __real_renameat(old_fd, old, new_fd, new);
}

int __wrap_flock(int fd, int operation)
{
    int result;

    if (flock_interrupts > 0) {
        flock_interrupts--;
        errno = EINTR;
        return -1;
    }
    result = __real_flock(fd, operation);
    if (result == 0 && unlinked_by_flock != NULL) {
        unlink(unlinked_by_flock);
        unlinked_by_flock = NULL;
    }
    return result;
}

int __wrap_statfs64(const char *path, struct statfs *out)
{
    int result = __real_statfs64(path, out);

    if (filesystem_type != 0) {
        out->f_type = filesystem_type;
    }
    return result;
}

/* ---- a folder for each test ---------------------------------------------------------
 */

struct place {
    char path[64];
    int fd;
    struct error err;
};

static int make_place(void **state)
{
    struct place *place = xcalloc(1, sizeof(*place));

    memcpy(place->path, "/tmp/test_files.XXXXXX", sizeof("/tmp/test_files.XXXXXX"));
    place->fd =
        mkdtemp(place->path) == NULL ? -1 : open(place->path, O_RDONLY | O_DIRECTORY);
    *state = place;
    return place->fd < 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;

    kernel_reset();
    fsync_errno = linkat_errno = renameat_errno = flock_interrupts = 0;
    filesystem_type = 0;
    close(place->fd);
    files_remove_tree(AT_FDCWD, place->path, NULL);
    free(place);
    return 0;
}

static void put(int dir_fd, const char *name, const char *text)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fdio_write_full(fd, text, strlen(text)), 0);
}

static void assert_holds(int dir_fd, const char *name, const char *text)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    assert_int_equal(files_read(dir_fd, name, &sb, NULL), 0);
    assert_string_equal(sb.data, text);
}

static bool is_there(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static size_t count_entries(int dir_fd, const char *name)
{
    CLEANUP_DIR DIR *stream = fdopendir(openat(dir_fd, name, O_RDONLY | O_DIRECTORY));
    size_t count = 0;

    while (readdir(stream) != NULL) {
        count++;
    }
    return count - 2;
}

static mode_t mode_of(int dir_fd, const char *name)
{
    struct stat found;

    assert_int_equal(fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW), 0);
    return found.st_mode & 07777;
}

/* ---- folders ------------------------------------------------------------------------
 */

static void folders_are_made_with_those_above(void **state)
{
    struct place *place = *state;
    CLEANUP_FREE char *deep = files_join(place->path, "a//b/c/");
    CLEANUP_FREE char *link = files_join(place->path, "link/d");

    assert_int_equal(files_make_dirs(deep, &place->err), 0);
    assert_int_equal(files_make_dirs(deep, &place->err), 0);
    assert_int_equal(mode_of(place->fd, "a"), 0700);
    assert_int_equal(mode_of(place->fd, "a/b/c"), 0700);
    assert_int_equal(symlinkat("a", place->fd, "link"), 0);
    assert_int_equal(files_make_dirs(link, &place->err), 0);
    assert_true(is_there(place->fd, "a/d"));
    assert_int_equal(files_make_dirs("/", &place->err), 0);
    assert_int_equal(place->err.code, ERR_NONE);
}

static void relative_folders_are_made_where_we_are(void **state)
{
    struct place *place = *state;
    CLEANUP_FD int here = open(".", O_RDONLY | O_DIRECTORY);

    assert_int_equal(fchdir(place->fd), 0);
    assert_int_equal(files_make_dirs("x/y", &place->err), 0);
    assert_int_equal(files_make_dirs("z", &place->err), 0);
    assert_int_equal(fchdir(here), 0);
    assert_true(is_there(place->fd, "x/y"));
    assert_true(is_there(place->fd, "z"));
}

static void a_file_in_the_way_of_a_folder_is_an_error(void **state)
{
    struct place *place = *state;
    CLEANUP_FREE char *file = files_join(place->path, "file");
    CLEANUP_FREE char *below = files_join(place->path, "file/x/y");

    put(place->fd, "file", "");
    assert_int_equal(files_make_dirs(file, &place->err), -1);
    assert_int_equal(place->err.code, ERR_EXISTS);
    assert_int_equal(files_make_dirs(below, &place->err), -1);
    assert_int_equal(place->err.sys, EEXIST);
    assert_non_null(strstr(place->err.text, file));
    assert_int_equal(files_open_or_make_dir(place->fd, "file", &place->err), -1);
    assert_int_equal(place->err.sys, ENOTDIR);
}

static void folders_are_not_opened_through_links(void **state)
{
    struct place *place = *state;
    CLEANUP_FD int fd = files_open_or_make_dir(place->fd, "folder", &place->err);
    CLEANUP_FD int again = files_open_or_make_dir(place->fd, "folder", &place->err);

    assert_true(fd >= 0 && again >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(mode_of(place->fd, "folder"), 0700);
    assert_int_equal(symlinkat("folder", place->fd, "link"), 0);
    assert_int_equal(files_open_dir(place->fd, "link", &place->err), -1);
    assert_int_equal(files_open_or_make_dir(place->fd, "link", &place->err), -1);
    assert_int_equal(files_open_dir(place->fd, "none", &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(files_open_or_make_dir(place->fd, "none/x", &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

/* ---- whole files --------------------------------------------------------------------
 */

static void files_are_read_up_to_the_buffers_limit(void **state)
{
    struct place *place = *state;
    struct strbuf sb;

    strbuf_init(&sb, 5);
    put(place->fd, "a", "12345");
    assert_int_equal(files_read(place->fd, "a", &sb, &place->err), 0);
    assert_string_equal(sb.data, "12345");
    assert_int_equal(files_read(place->fd, "a", &sb, &place->err), -1);
    assert_int_equal(place->err.code, ERR_LIMIT);
    assert_int_equal(files_read(place->fd, "b", &sb, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_int_equal(files_read(place->fd, ".", &sb, &place->err), -1);
    assert_int_equal(place->err.sys, EISDIR);
    assert_string_equal(sb.data, "12345");
    strbuf_release(&sb);
}

static void files_are_made_and_replaced(void **state)
{
    struct place *place = *state;
    CLEANUP_FREE char *absolute = files_join(place->path, "b");
    mode_t before = umask(077);

    assert_int_equal(files_write_atomic(place->fd, "a", "one", 3, 0644, &place->err), 0);
    assert_int_equal(mode_of(place->fd, "a"), 0644);
    assert_int_equal(files_write_atomic(place->fd, "a", "", 0, 0400, &place->err), 0);
    assert_int_equal(mode_of(place->fd, "a"), 0400);
    assert_holds(place->fd, "a", "");
    assert_int_equal(mkdirat(place->fd, "d", 0700), 0);
    assert_int_equal(files_write_atomic(place->fd, "d/x", "two", 3, 0600, &place->err),
                     0);
    assert_holds(place->fd, "d/x", "two");
    assert_int_equal(
        files_write_atomic(AT_FDCWD, absolute, "three", 5, 0600, &place->err), 0);
    assert_holds(place->fd, "b", "three");
    assert_int_equal(count_entries(place->fd, "."), 3);
    assert_int_equal(count_entries(place->fd, "d"), 1);
    umask(before);
}

static void replacing_replaces_a_link_and_not_what_it_names(void **state)
{
    struct place *place = *state;

    put(place->fd, "a", "old");
    assert_int_equal(symlinkat("a", place->fd, "link"), 0);
    assert_int_equal(files_write_atomic(place->fd, "link", "new", 3, 0600, &place->err),
                     0);
    assert_holds(place->fd, "a", "old");
    assert_holds(place->fd, "link", "new");
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    struct place *place = *state;

    put(place->fd, "a", "old");
    fsync_errno = ENOSPC;
    assert_int_equal(files_write_atomic(place->fd, "a", "new", 3, 0600, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NO_SPACE);
    assert_non_null(strstr(place->err.text, "write a"));
    assert_holds(place->fd, "a", "old");
    renameat_errno = EIO;
    assert_int_equal(files_write_atomic(place->fd, "a", "new", 3, 0600, &place->err), -1);
    assert_int_equal(place->err.code, ERR_IO);
    assert_holds(place->fd, "a", "old");
    assert_int_equal(count_entries(place->fd, "."), 1);
    assert_int_equal(files_write_atomic(place->fd, "no/a", "", 0, 0600, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

/* The ways in which a kernel or a filesystem can be old: each must give the same. */
static void check_noreplace(struct place *place)
{
    struct error *err = &place->err;
    int fd = place->fd;

    assert_int_equal(files_create_atomic(fd, "a", "one", 3, 0600, err), 0);
    assert_int_equal(files_create_atomic(fd, "a", "two", 3, 0600, err), -1);
    assert_int_equal(err->code, ERR_EXISTS);
    assert_holds(fd, "a", "one");
    assert_int_equal(count_entries(fd, "."), 1);
    put(fd, "b", "other");
    assert_int_equal(files_rename_noreplace(fd, "a", fd, "b", err), -1);
    assert_int_equal(err->code, ERR_EXISTS);
    assert_holds(fd, "b", "other");
    assert_int_equal(files_rename_noreplace(fd, "a", fd, "c", err), 0);
    assert_false(is_there(fd, "a"));
    assert_holds(fd, "c", "one");
    assert_int_equal(mkdirat(fd, "d", 0700), 0);
    assert_int_equal(mkdirat(fd, "e", 0700), 0);
    put(fd, "d/x", "in d");
    assert_int_equal(files_rename_noreplace(fd, "d", fd, "e", err), -1);
    assert_int_equal(err->code, ERR_EXISTS);
    assert_int_equal(files_rename_noreplace(fd, "d", fd, "f", err), 0);
    assert_holds(fd, "f/x", "in d");
    assert_int_equal(symlinkat("nowhere", fd, "link"), 0);
    assert_int_equal(files_rename_noreplace(fd, "b", fd, "link", err), -1);
    assert_int_equal(err->code, ERR_EXISTS);
    assert_int_equal(files_rename_noreplace(fd, "none", fd, "g", err), -1);
    assert_int_equal(err->code, ERR_NOT_FOUND);
    assert_int_equal(count_entries(fd, "."), 5);
}

static void nothing_is_replaced(void **state)
{
    check_noreplace(*state);
}

static void nothing_is_replaced_without_renameat2(void **state)
{
    kernel_lose(SYS_renameat2);
    check_noreplace(*state);
}

static void nothing_is_replaced_where_the_filesystem_cannot(void **state)
{
    kernel_lose(SYS_renameat2);
    kernel_errno = EINVAL;
    check_noreplace(*state);
}

static void nothing_is_replaced_without_links_either(void **state)
{
    kernel_lose(SYS_renameat2);
    linkat_errno = EPERM;
    check_noreplace(*state);
}

static void syncing_works_and_says_when_not(void **state)
{
    struct place *place = *state;

    assert_int_equal(files_sync_dir(place->fd, &place->err), 0);
    assert_int_equal(files_sync_filesystem(place->fd, &place->err), 0);
    fsync_errno = EINVAL;
    assert_int_equal(files_sync_dir(place->fd, &place->err), 0);
    fsync_errno = EIO;
    assert_int_equal(files_sync_dir(place->fd, &place->err), -1);
    assert_int_equal(place->err.sys, EIO);
    assert_int_equal(files_sync_filesystem(-1, &place->err), -1);
    assert_int_equal(place->err.sys, EBADF);
}

/* ---- locks --------------------------------------------------------------------------
 */

struct holder {
    const struct place *place;
    bool is_exclusive;
    int said[2]; /* the child says that it has the lock */
    int end[2];  /* closed: the child may end */
    pid_t child;
};

static int hold(void *context)
{
    struct holder *holder = context;
    int fd = files_lock(holder->place->fd, "lock", holder->is_exclusive, 0, NULL);
    char byte;

    fdio_close(&holder->end[1]);
    if (fd < 0 || fdio_write_full(holder->said[1], "x", 1) < 0) {
        return 1;
    }
    return fdio_read_full(holder->end[0], &byte, 1) == 0 ? 0 : 2;
}

static struct holder start_holder(struct place *place, bool is_exclusive)
{
    struct holder holder = {.place = place, .is_exclusive = is_exclusive};
    char byte;

    assert_int_equal(fdio_pipe(holder.said, &place->err), 0);
    assert_int_equal(fdio_pipe(holder.end, &place->err), 0);
    holder.child = child_start(hold, &holder);
    fdio_close(&holder.said[1]);
    assert_int_equal(fdio_read_full(holder.said[0], &byte, 1), 1);
    return holder;
}

static void end_holder(struct holder *holder)
{
    fdio_close(&holder->end[1]);
    assert_int_equal(child_end(holder->child), 0);
    fdio_close(&holder->end[0]);
    fdio_close(&holder->said[0]);
}

static void a_lock_keeps_others_out_until_its_process_ends(void **state)
{
    struct place *place = *state;
    struct holder holder = start_holder(place, true);
    CLEANUP_FD int fd = -1;

    assert_int_equal(files_lock(place->fd, "lock", true, 0, &place->err), -1);
    assert_int_equal(place->err.code, ERR_BUSY);
    assert_int_equal(files_lock(place->fd, "lock", false, 0, &place->err), -1);
    assert_int_equal(place->err.code, ERR_BUSY);
    assert_int_equal(files_lock(place->fd, "lock", true, 30, &place->err), -1);
    assert_int_equal(place->err.code, ERR_BUSY);
    end_holder(&holder);
    fd = files_lock(place->fd, "lock", true, 0, &place->err);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(mode_of(place->fd, "lock"), 0600);
}

static void shared_locks_go_together(void **state)
{
    struct place *place = *state;
    struct holder holder = start_holder(place, false);
    CLEANUP_FD int fd = files_lock(place->fd, "lock", false, 0, &place->err);

    assert_true(fd >= 0);
    assert_int_equal(files_lock(place->fd, "lock", true, 0, &place->err), -1);
    assert_int_equal(place->err.code, ERR_BUSY);
    end_holder(&holder);
}

/* Take the lock, when its holder lets go. */
static int wait_for_lock(struct holder *holder, int timeout_ms)
{
    fdio_close(&holder->end[1]);
    return files_lock(holder->place->fd, "lock", true, timeout_ms, NULL) >= 0 ? 0 : 1;
}

static int wait_for_ever(void *context)
{
    return wait_for_lock(context, -1);
}

static int wait_a_minute(void *context)
{
    return wait_for_lock(context, 60000);
}

static void waiting_ends_when_the_lock_is_free(void **state)
{
    struct holder holder = start_holder(*state, true);
    pid_t first;
    pid_t second;

    flock_interrupts = 2;
    first = child_start(wait_for_ever, &holder);
    second = child_start(wait_a_minute, &holder);
    end_holder(&holder);
    assert_int_equal(child_end(first), 0);
    assert_int_equal(child_end(second), 0);
}

static void a_lock_file_unlinked_meanwhile_is_opened_anew(void **state)
{
    struct place *place = *state;
    CLEANUP_FREE char *path = files_join(place->path, "lock");
    CLEANUP_FD int fd = -1;
    struct stat locked;
    struct stat named;

    unlinked_by_flock = path;
    fd = files_lock(place->fd, "lock", true, 0, &place->err);
    assert_true(fd >= 0);
    assert_null(unlinked_by_flock);
    assert_int_equal(fstat(fd, &locked), 0);
    assert_int_equal(stat(path, &named), 0);
    assert_int_equal(locked.st_ino, named.st_ino);
}

static void what_cannot_be_a_lock_is_an_error(void **state)
{
    struct place *place = *state;

    assert_int_equal(symlinkat("lock", place->fd, "link"), 0);
    assert_int_equal(files_lock(place->fd, "link", true, 0, &place->err), -1);
    assert_int_equal(place->err.sys, ELOOP);
    assert_int_equal(files_lock(place->fd, "no/lock", true, 0, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
    assert_false(is_there(place->fd, "lock"));
}

/* ---- filesystems --------------------------------------------------------------------
 */

static void free_bytes_are_asked_of_a_path(void **state)
{
    struct place *place = *state;
    uint64_t bytes = 0;

    assert_int_equal(files_free_bytes(place->path, &bytes, &place->err), 0);
    assert_true(bytes > 0);
    assert_int_equal(files_free_bytes("/no/such/path", &bytes, &place->err), -1);
    assert_int_equal(place->err.code, ERR_NOT_FOUND);
}

static void network_filesystems_are_known_by_their_type(void **state)
{
    struct place *place = *state;

    assert_false(files_is_network(place->path));
    assert_false(files_is_network("/no/such/path"));
    filesystem_type = 0x6969;
    assert_true(files_is_network(place->path));
    /* CIFS: negative where the field is signed and has 32 bits. */
    filesystem_type = (long)(int)0xff534d42;
    assert_true(files_is_network(place->path));
    filesystem_type = 0xef53;
    assert_false(files_is_network(place->path));
}

/* ---- text ---------------------------------------------------------------------------
 */

static void paths_are_joined_by_one_slash(void **state)
{
    static const struct {
        const char *dir, *name, *joined;
    } rows[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "b", "a/b"},
        {"", "b", "b"},    {"/", "b", "/b"},   {"//", "b", "/b"},
        {"a", "/b", "/b"}, {"a", "", "a/"},    {"a/b", "c/d", "a/b/c/d"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *joined = files_join(rows[i].dir, rows[i].name);

        assert_string_equal(joined, rows[i].joined);
    }
}

static void sizes_are_shown_in_decimal_units(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 bytes"},
        {1, "1 byte"},
        {812, "812 bytes"},
        {999, "999 bytes"},
        {1000, "1.0 KB"},
        {1999, "1.9 KB"},
        {9999, "9.9 KB"},
        {10000, "10 KB"},
        {35499, "35 KB"},
        {999999, "999 KB"},
        {1000000, "1.0 MB"},
        {1449999999, "1.4 GB"},
        {UINT64_C(1999999999999), "1.9 TB"},
        {UINT64_C(77000000000000000), "77 PB"},
        {UINT64_MAX, "18 EB"},
    };
    char text[FILES_SIZE_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        files_format_size(text, rows[i].bytes);
        assert_string_equal(text, rows[i].text);
    }
}

static void sizes_are_read_with_their_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"64K", 64000},
        {"64k", 64000},
        {"64KB", 64000},
        {"64Ki", 65536},
        {"64KiB", 65536},
        {"10M", 10000000},
        {"2G", 2000000000},
        {"2GiB", UINT64_C(2) << 30},
        {"3T", UINT64_C(3000000000000)},
        {"1Pi", UINT64_C(1) << 50},
        {"15Ei", UINT64_C(15) << 60},
        {"18446744073709551615", UINT64_MAX},
    };
    struct error err = ERROR_INIT;
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(files_parse_size(rows[i].text, &bytes, &err), 0);
        assert_int_equal(bytes, rows[i].bytes);
    }
    assert_int_equal(err.code, ERR_NONE);
}

static void other_sizes_are_refused(void **state)
{
    static const char *const texts[] = {
        "",      "K",   "-1",   "+1",   "1.5G",
        "1 K",   " 1",  "1KK",  "1KBi", "1i",
        "1iB",   "1b",  "1Kib", "1X",   "0x1",
        "16Ei",  "1K ", "1\v",  "20E",  "18446744073709551616",
        "1KiBs",
    };
    struct error err = ERROR_INIT;
    uint64_t bytes = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(files_parse_size(texts[i], &bytes, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.text, texts[i]));
        assert_int_equal(bytes, 7);
    }
}

static void a_tail_is_the_last_that_counts(void **state)
{
    const struct place *place = *state;
    char out[4];

    assert_int_equal(files_read_tail(place->fd, "a", 0, out, sizeof(out)), 0);
    assert_int_equal(files_write_atomic(place->fd, "a", "0123456789", 10, 0600, NULL), 0);
    assert_int_equal(files_read_tail(place->fd, "a", 0, out, sizeof(out)), 4);
    assert_memory_equal(out, "6789", 4);
    assert_int_equal(files_read_tail(place->fd, "a", 8, out, sizeof(out)), 2);
    assert_memory_equal(out, "89", 2);
    assert_int_equal(files_read_tail(place->fd, "a", 11, out, sizeof(out)), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(folders_are_made_with_those_above),
        IN_PLACE(relative_folders_are_made_where_we_are),
        IN_PLACE(a_file_in_the_way_of_a_folder_is_an_error),
        IN_PLACE(folders_are_not_opened_through_links),
        IN_PLACE(files_are_read_up_to_the_buffers_limit),
        IN_PLACE(files_are_made_and_replaced),
        IN_PLACE(replacing_replaces_a_link_and_not_what_it_names),
        IN_PLACE(a_failed_write_leaves_the_old_file_and_nothing_else),
        IN_PLACE(nothing_is_replaced),
        IN_PLACE(nothing_is_replaced_without_renameat2),
        IN_PLACE(nothing_is_replaced_where_the_filesystem_cannot),
        IN_PLACE(nothing_is_replaced_without_links_either),
        IN_PLACE(syncing_works_and_says_when_not),
        IN_PLACE(a_lock_keeps_others_out_until_its_process_ends),
        IN_PLACE(shared_locks_go_together),
        IN_PLACE(waiting_ends_when_the_lock_is_free),
        IN_PLACE(a_lock_file_unlinked_meanwhile_is_opened_anew),
        IN_PLACE(what_cannot_be_a_lock_is_an_error),
        IN_PLACE(free_bytes_are_asked_of_a_path),
        IN_PLACE(network_filesystems_are_known_by_their_type),
        IN_PLACE(a_tail_is_the_last_that_counts),
        cmocka_unit_test(paths_are_joined_by_one_slash),
        cmocka_unit_test(sizes_are_shown_in_decimal_units),
        cmocka_unit_test(sizes_are_read_with_their_units),
        cmocka_unit_test(other_sizes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
