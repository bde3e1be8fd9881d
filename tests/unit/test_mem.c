#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/unit/death.h"

static void copies_hold_the_same_bytes(void **state)
{
    CLEANUP_FREE char *text = xstrdup("abc");
    CLEANUP_FREE char *part = xstrndup("abcdef", 2);
    CLEANUP_FREE char *nothing = xstrndup(NULL, 0);
    CLEANUP_FREE void *bytes = xmemdup("a\0b", 3);

    (void)state;
    assert_string_equal(text, "abc");
    assert_string_equal(part, "ab");
    assert_string_equal(nothing, "");
    assert_memory_equal(bytes, "a\0b", 3);
}

static void nothing_is_a_pointer_too(void **state)
{
    CLEANUP_FREE void *a = xmalloc(0);
    CLEANUP_FREE void *b = xcalloc(0, 8);
    CLEANUP_FREE void *c = xcalloc(8, 0);
    CLEANUP_FREE void *d = xrealloc(NULL, 0, 8);
    CLEANUP_FREE void *e = xmemdup(NULL, 0);

    (void)state;
    assert_true((uintptr_t)a != 0 && (uintptr_t)b != 0 && (uintptr_t)c != 0);
    assert_true((uintptr_t)d != 0 && (uintptr_t)e != 0);
}

static void calloc_clears(void **state)
{
    static const char zeros[64];
    CLEANUP_FREE void *p = xcalloc(8, 8);

    (void)state;
    assert_memory_equal(p, zeros, sizeof(zeros));
}

static void realloc_keeps_what_was_there(void **state)
{
    CLEANUP_FREE int *p = xrealloc(NULL, 2, sizeof(int));

    (void)state;
    p[0] = 7;
    p[1] = 8;
    p = xrealloc(p, 100000, sizeof(int));
    p[99999] = 9;
    assert_int_equal(p[0], 7);
    assert_int_equal(p[1], 8);
}

static void asprintf_takes_any_length(void **state)
{
    CLEANUP_FREE char *text = xasprintf("%s/%d", "dir", 7);
    CLEANUP_FREE char *wide = xasprintf("%5000d", 1);
    CLEANUP_FREE char *empty = xasprintf("%s", "");

    (void)state;
    assert_string_equal(text, "dir/7");
    assert_int_equal(strlen(wide), 5000);
    assert_string_equal(empty, "");
}

static void ask_for_more_than_a_size_can_say(void)
{
    free(xrealloc(NULL, SIZE_MAX / 2, 3));
}

static void an_overflowing_size_ends_the_program(void **state)
{
    char said[200];

    (void)state;
    assert_int_equal(death_by(ask_for_more_than_a_size_can_say, said, sizeof(said)),
                     SIGABRT);
    assert_string_equal(said, "errand: out of memory\n");
}

static void scopes_close_what_they_own(void **state)
{
    int copy;

    (void)state;
    {
        CLEANUP_FD int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP_FILE FILE *file = fopen("/dev/null", "r");
        CLEANUP_DIR DIR *dir = opendir("/");

        assert_true(fd >= 0);
        assert_non_null(file);
        assert_non_null(dir);
        copy = fd;
        errno = EXDEV;
    }
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void empty_values_need_no_cleanup(void **state)
{
    (void)state;
    errno = EXDEV;
    {
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FD int fd = -1;
        CLEANUP_FILE FILE *file = NULL;
        CLEANUP_DIR DIR *dir = NULL;

        assert_true(text == NULL && fd == -1 && file == NULL && dir == NULL);
    }
    assert_int_equal(errno, EXDEV);
}

static char *make_text(void)
{
    CLEANUP_FREE char *text = xstrdup("kept");

    return TAKE_PTR(text);
}

static void taking_gives_ownership_up(void **state)
{
    CLEANUP_FREE char *text = make_text();
    CLEANUP_FREE char *other = NULL;
    int fd = 77;

    (void)state;
    assert_string_equal(text, "kept");
    other = TAKE_PTR(text);
    assert_null(text);
    assert_string_equal(other, "kept");
    assert_int_equal(take_fd(&fd), 77);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_hold_the_same_bytes),
        cmocka_unit_test(nothing_is_a_pointer_too),
        cmocka_unit_test(calloc_clears),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(asprintf_takes_any_length),
        cmocka_unit_test(an_overflowing_size_ends_the_program),
        cmocka_unit_test(scopes_close_what_they_own),
        cmocka_unit_test(empty_values_need_no_cleanup),
        cmocka_unit_test(taking_gives_ownership_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
