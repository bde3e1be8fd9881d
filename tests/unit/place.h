/*
 * place: a folder of its own for each test, with a controller's home in it.
 *
 * cmocka_unit_test_setup_teardown(test, place_setup, place_teardown): *state is a
 * struct place; ERRAND_HOME is <dir>/home, HOME is <dir>, the current folder is
 * <dir>/project.
 */
#ifndef TESTS_UNIT_PLACE_H
#define TESTS_UNIT_PLACE_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/mem.h"
#include "controller/home.h"

struct place {
    char dir[64];
    struct home *home;
};

static inline char *place_path(const struct place *s, const char *name)
{
    return files_join(s->dir, name);
}

/* Write text into <dir>/name; the folders above it are made. */
static inline void place_write(const struct place *s, const char *name, const char *text)
{
    CLEANUP_FREE char *path = place_path(s, name);
    CLEANUP_FREE char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(files_make_dirs(folder, NULL), 0);
    assert_int_equal(files_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL),
                     0);
}

static inline int place_setup(void **state)
{
    struct place *s = xcalloc(1, sizeof *s);
    memcpy(s->dir, "/tmp/errand_unit.XXXXXX", sizeof "/tmp/errand_unit.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    CLEANUP_FREE char *home = place_path(s, "home");
    CLEANUP_FREE char *project = place_path(s, "project");
    assert_int_equal(files_make_dirs(project, NULL), 0);
    assert_int_equal(chdir(project), 0);
    assert_int_equal(setenv("ERRAND_HOME", home, 1), 0);
    assert_int_equal(setenv("HOME", s->dir, 1), 0);
    s->home = home_open(NULL);
    assert_non_null(s->home);
    *state = s;
    return 0;
}

static inline int place_teardown(void **state)
{
    struct place *s = *state;
    home_free(s->home);
    int rc = chdir("/") == 0 ? files_remove_tree(AT_FDCWD, s->dir, NULL) : -1;
    free(s);
    return rc;
}

#define place_test(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

#endif
