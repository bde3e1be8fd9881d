/*
 * scratch: a folder for one test, and quick ways to fill and look at it. [tests]
 *
 * Paths are relative to the folder. Every call asserts that it worked.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

struct scratch {
    char *path;
    int fd;
};

static inline struct scratch *scratch_new(void)
{
    struct scratch *s = xcalloc(1, sizeof(*s));
    const char *base = getenv("TMPDIR");

    s->path = xasprintf("%s/errand-test-XXXXXX", base && base[0] ? base : "/tmp");
    assert_non_null(mkdtemp(s->path));
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(s->fd >= 0);
    return s;
}

static inline void scratch_free(struct scratch *s)
{
    if (s) {
        close(s->fd);
        assert_int_equal(files_remove_tree(AT_FDCWD, s->path, NULL), 0);
        free(s->path);
        free(s);
    }
}
DEFINE_CLEANUP_FREE(scratch)
#define CLEANUP_SCRATCH __attribute__((cleanup(scratch_cleanup)))

static inline char *scratch_path(const struct scratch *s, const char *name)
{
    return xasprintf("%s/%s", s->path, name);
}

static inline void scratch_mkdir(const struct scratch *s, const char *path)
{
    assert_int_equal(mkdirat(s->fd, path, 0755), 0);
}

static inline int scratch_open_dir(const struct scratch *s, const char *path)
{
    int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Make or replace a file. */
static inline void scratch_write_bytes(const struct scratch *s, const char *path,
                                       const void *data, size_t length, mode_t mode)
{
    CLEANUP_FD int fd =
        openat(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(fdio_write_full(fd, data, length), 0);
}

static inline void scratch_write(const struct scratch *s, const char *path,
                                 const char *text)
{
    scratch_write_bytes(s, path, text, strlen(text), 0644);
}

static inline void scratch_link(const struct scratch *s, const char *path,
                                const char *target)
{
    assert_int_equal(symlinkat(target, s->fd, path), 0);
}

static inline bool scratch_exists(const struct scratch *s, const char *path)
{
    struct stat st;

    return fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline struct stat scratch_stat(const struct scratch *s, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static inline void assert_file(const struct scratch *s, const char *path,
                               const char *text)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    assert_int_equal(files_read(s->fd, path, &sb, NULL), 0);
    assert_string_equal(sb.data, text);
    assert_int_equal(sb.length, strlen(text));
}

static inline void assert_link(const struct scratch *s, const char *path,
                               const char *target)
{
    char text[4096];
    ssize_t got = readlinkat(s->fd, path, text, sizeof(text) - 1);

    assert_true(got >= 0);
    text[got] = '\0';
    assert_string_equal(text, target);
}

#endif
