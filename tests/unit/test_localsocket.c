#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/localsocket.h"
#include "tests/unit/scratch.h"

static int fchdir_fails_at; /* counted down; 0: it works */

int __real_fchdir(int fd);
int __wrap_fchdir(int fd);

int __wrap_fchdir(int fd)
{
    if (fchdir_fails_at > 0 && --fchdir_fails_at == 0) {
        errno = EACCES;
        return -1;
    }
    return __real_fchdir(fd);
}

static void what_one_writes_the_other_reads(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    char before[PATH_MAX], after[PATH_MAX], text[4];
    struct stat st;

    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    CLEANUP_FD int listening = localsocket_listen(s->path, "name", NULL);
    assert_true(listening >= 0);
    assert_int_equal(fstatat(s->fd, "name", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    CLEANUP_FD int one = localsocket_connect(s->path, "name", NULL);
    CLEANUP_FD int other = localsocket_accept(listening);
    assert_true(one >= 0 && other >= 0);
    assert_int_equal(fdio_write(one, "abc", 4), 4);
    assert_int_equal(fdio_read(other, text, sizeof text), 4);
    assert_string_equal(text, "abc");
    assert_int_equal(fdio_read(one, text, sizeof text), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(localsocket_accept(listening), -1);
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
}

static void a_path_may_be_longer_than_an_address(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    char name[101] = {0};

    (void)state;
    memset(name, 'x', sizeof name - 1);
    scratch_mkdir(s, name);
    CLEANUP_FREE char *folder = xasprintf("%s/%s", s->path, name);
    CLEANUP_FD int listening = localsocket_listen(folder, "name", NULL);
    CLEANUP_FD int one = localsocket_connect(folder, "name", NULL);
    assert_true(listening >= 0 && one >= 0);
}

static void nobody_there_is_an_error(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct error err = ERROR_INIT;
    char name[200] = {0};

    (void)state;
    assert_int_equal(localsocket_connect(s->path, "name", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(localsocket_connect(s->path, name, &err), -1);
    assert_int_equal(err.sys, ENAMETOOLONG);
    CLEANUP_FD int listening = localsocket_listen(s->path, "name", NULL);
    fdio_close(&listening); /* the file stays */
    assert_int_equal(localsocket_connect(s->path, "name", &err), -1);
    assert_int_equal(err.sys, ECONNREFUSED);
}

static void a_folder_that_cannot_be_gone_back_to_is_not_left(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FD int listening = localsocket_listen(s->path, "name", NULL);
    struct error err = ERROR_INIT;
    char before[PATH_MAX], after[PATH_MAX];

    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    fchdir_fails_at = 1;
    assert_int_equal(localsocket_connect(s->path, "name", &err), -1);
    assert_int_equal(err.sys, EACCES);
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_writes_the_other_reads),
        cmocka_unit_test(a_path_may_be_longer_than_an_address),
        cmocka_unit_test(nobody_there_is_an_error),
        cmocka_unit_test(a_folder_that_cannot_be_gone_back_to_is_not_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
