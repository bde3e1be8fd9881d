#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/mem.h"

static void a_file_is_written_read_and_removed(void **state)
{
    char path[] = "/tmp/test_files.XXXXXX";
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct error err = ERROR_INIT;
    CLEANUP_FD int fd = -1;

    (void)state;
    assert_non_null(mkdtemp(path));
    fd = files_open_dir(AT_FDCWD, path, &err);
    assert_true(fd >= 0);
    assert_int_equal(files_write_atomic(fd, "a", "one", 3, 0600, &err), 0);
    assert_int_equal(files_write_atomic(fd, "a", "two", 3, 0600, &err), 0);
    assert_int_equal(files_create_atomic(fd, "a", "three", 5, 0600, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(files_read(fd, "a", &sb, &err), 0);
    assert_string_equal(sb.data, "two");
    assert_int_equal(files_remove_tree(AT_FDCWD, path, &err), 0);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_read_and_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
