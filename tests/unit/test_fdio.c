#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"
#include "tests/unit/child.h"
#include "tests/unit/death.h"
#include "tests/unit/kernel.h"

/* ---- a kernel that cuts short -------------------------------------------------------
 */

/* While set, each second call fails with EINTR, and the others move at most 3 bytes. */
static bool is_choppy;
static unsigned chop_calls;

ssize_t __real_read(int fd, void *out, size_t length);
ssize_t __wrap_read(int fd, void *out, size_t length);
ssize_t __real_write(int fd, const void *data, size_t length);
ssize_t __wrap_write(int fd, const void *data, size_t length);
ssize_t __real_pread64(int fd, void *out, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *out, size_t length, off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t length, off_t offset);

/* True: the call is to fail. */
static bool chop(size_t *length)
{
    if (!is_choppy) {
        return false;
    }
    if (chop_calls++ % 2 == 0) {
        errno = EINTR;
        return true;
    }
    *length = *length > 3 ? 3 : *length;
    return false;
}

ssize_t __wrap_read(int fd, void *out, size_t length)
{
    return chop(&length) ? -1 : __real_read(fd, out, length);
}

ssize_t __wrap_write(int fd, const void *data, size_t length)
{
    return chop(&length) ? -1 : __real_write(fd, data, length);
}

ssize_t __wrap_pread64(int fd, void *out, size_t length, off_t offset)
{
    return chop(&length) ? -1 : __real_pread64(fd, out, length, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t length, off_t offset)
{
    return chop(&length) ? -1 : __real_pwrite64(fd, data, length, offset);
}

static int reset(void **state)
{
    (void)state;
    is_choppy = false;
    chop_calls = 0;
    kernel_reset();
    return 0;
}

/* ---- help ---------------------------------------------------------------------------
 */

/* An unnamed file with these bytes, its position at the beginning. */
static int file_of(const void *data, size_t length)
{
    char path[] = "/tmp/test_fdio.XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(fdio_pwrite_full(fd, data, length, 0), 0);
    return fd;
}

static char *pattern(size_t length)
{
    char *bytes = xmalloc(length);

    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)(i * 31 + i / 251);
    }
    return bytes;
}

/* ---- reading and writing ------------------------------------------------------------
 */

static void interrupted_and_short_calls_are_gone_on_with(void **state)
{
    CLEANUP_FREE char *sent = pattern(1000);
    char got[1000] = {0};
    struct error err = ERROR_INIT;
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, &err), 0);
    is_choppy = true;
    assert_int_equal(fdio_write_full(ends[1], sent, sizeof(got)), 0);
    assert_int_equal(fdio_read_full(ends[0], got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, sent, sizeof(got));
    assert_true(chop_calls > 1000);
    fdio_close(&ends[0]);
    fdio_close(&ends[1]);
}

static void interrupted_calls_at_an_offset_are_gone_on_with(void **state)
{
    const uint64_t offset = ((uint64_t)5 << 30) + 7;
    CLEANUP_FREE char *sent = pattern(100);
    CLEANUP_FD int fd = file_of("", 0);
    char got[101];

    (void)state;
    is_choppy = true;
    assert_int_equal(fdio_pwrite_full(fd, sent, 100, offset), 0);
    assert_int_equal(fdio_pread_full(fd, got, 100, offset), 100);
    assert_memory_equal(got, sent, 100);
    assert_int_equal(fdio_pread_full(fd, got, 101, offset), 100);
    assert_int_equal(fdio_pread_full(fd, got, 1, offset + 100), 0);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    assert_true(chop_calls > 100);
}

static void single_calls_retry_interrupts_alone(void **state)
{
    struct error err = ERROR_INIT;
    char got[10];
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, &err), 0);
    is_choppy = true;
    assert_int_equal(fdio_write(ends[1], "abcdef", 6), 3);
    assert_int_equal(fdio_read(ends[0], got, sizeof(got)), 3);
    fdio_close(&ends[1]);
    assert_int_equal(fdio_read(ends[0], got, sizeof(got)), 0);
    fdio_close(&ends[0]);
    assert_int_equal(fdio_read(-1, got, sizeof(got)), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fdio_write(-1, got, sizeof(got)), -1);
}

static void failures_come_with_errno(void **state)
{
    CLEANUP_FD int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    char byte = 0;

    (void)state;
    assert_int_equal(fdio_read_full(fd, &byte, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fdio_pread_full(fd, &byte, 1, 0), -1);
    assert_int_equal(fdio_write_full(-1, &byte, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fdio_pwrite_full(-1, &byte, 1, 0), -1);
    assert_int_equal(fdio_write_full(-1, &byte, 0), 0);
}

#define MEGABYTE ((size_t)1 << 20)

static int echo_half(void *context)
{
    CLEANUP_FREE char *bytes = xmalloc(MEGABYTE);
    int fd = *(const int *)context;

    if (fdio_read_full(fd, bytes, MEGABYTE) != (ssize_t)MEGABYTE) {
        return 1;
    }
    return fdio_write_full(fd, bytes, MEGABYTE) == 0 ? 0 : 2;
}

static void a_descriptor_that_does_not_block_is_waited_for(void **state)
{
    CLEANUP_FREE char *sent = pattern(MEGABYTE);
    CLEANUP_FREE char *got = xcalloc(1, MEGABYTE);
    struct error err = ERROR_INIT;
    int ends[2];
    pid_t child;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    child = child_start(echo_half, &ends[1]);
    assert_int_equal(fdio_set_nonblocking(ends[0], true, &err), 0);
    assert_int_equal(fdio_write_full(ends[0], sent, MEGABYTE), 0);
    assert_int_equal(fdio_read_full(ends[0], got, MEGABYTE), MEGABYTE);
    assert_memory_equal(got, sent, MEGABYTE);
    assert_int_equal(child_end(child), 0);
    fdio_close(&ends[0]);
    fdio_close(&ends[1]);
}

static void reading_all_ends_at_the_limit(void **state)
{
    CLEANUP_FD int fd = file_of("0123456789", 10);
    struct error err = ERROR_INIT;
    struct strbuf sb;

    (void)state;
    strbuf_init(&sb, 12);
    strbuf_puts(&sb, "ab");
    assert_int_equal(fdio_read_all(fd, "the file", &sb, &err), 0);
    assert_string_equal(sb.data, "ab0123456789");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    strbuf_reset(&sb);
    strbuf_puts(&sb, "abc");
    assert_int_equal(fdio_read_all(fd, "the file", &sb, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "the file is longer than 12 bytes");
    assert_string_equal(sb.data, "abc");
    strbuf_release(&sb);
}

static void reading_all_goes_over_many_blocks(void **state)
{
    CLEANUP_FREE char *bytes = pattern(100001);
    CLEANUP_FD int fd = file_of(bytes, 100001);
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    is_choppy = true;
    assert_int_equal(fdio_read_all(fd, "the file", &sb, &err), 0);
    assert_int_equal(sb.length, 100001);
    assert_memory_equal(sb.data, bytes, sb.length);
}

static void what_cannot_be_read_leaves_the_buffer_alone(void **state)
{
    CLEANUP_FD int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_puts(&sb, "abc");
    assert_int_equal(fdio_read_all(fd, "the root", &sb, &err), -1);
    assert_int_equal(err.sys, EISDIR);
    assert_non_null(strstr(err.text, "read the root"));
    assert_string_equal(sb.data, "abc");
}

/* ---- copying ------------------------------------------------------------------------
 */

static void check_copy(void)
{
    CLEANUP_FREE char *bytes = pattern(200000);
    CLEANUP_FREE char *got = xcalloc(1, 200000);
    CLEANUP_FD int in = file_of(bytes, 200000);
    CLEANUP_FD int out = file_of("", 0);

    assert_int_equal(lseek(in, 10, SEEK_SET), 10);
    assert_int_equal(fdio_copy(in, out, 150000), 150000);
    assert_int_equal(lseek(in, 0, SEEK_CUR), 150010);
    assert_int_equal(lseek(out, 0, SEEK_CUR), 150000);
    assert_int_equal(fdio_copy(in, out, UINT64_MAX), 200000 - 150010);
    assert_int_equal(fdio_copy(in, out, 1), 0);
    assert_int_equal(fdio_pread_full(out, got, 200000, 0), 199990);
    assert_memory_equal(got, bytes + 10, 199990);
}

static void copies_from_position_to_position(void **state)
{
    (void)state;
    check_copy();
}

static void copies_without_the_kernels_help(void **state)
{
    (void)state;
    kernel_lose(SYS_copy_file_range);
    check_copy();
    is_choppy = true;
    check_copy();
}

static void copies_from_a_pipe_to_an_appending_file(void **state)
{
    CLEANUP_FD int out = file_of("ab", 2);
    struct error err = ERROR_INIT;
    char got[10];
    int ends[2];

    (void)state;
    assert_int_equal(fcntl(out, F_SETFL, O_APPEND), 0);
    assert_int_equal(fdio_pipe(ends, &err), 0);
    assert_int_equal(fdio_write_full(ends[1], "cdef", 4), 0);
    fdio_close(&ends[1]);
    assert_int_equal(fdio_copy(ends[0], out, 100), 4);
    assert_int_equal(fdio_pread_full(out, got, sizeof(got), 0), 6);
    assert_memory_equal(got, "abcdef", 6);
    fdio_close(&ends[0]);
}

static void copies_files_that_say_they_are_empty(void **state)
{
    CLEANUP_FD int in = open("/proc/version", O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int out = file_of("", 0);

    (void)state;
    assert_true(fdio_copy(in, out, 4096) > 10);
}

static void a_copy_that_cannot_be_written_fails(void **state)
{
    CLEANUP_FD int in = file_of("abc", 3);
    CLEANUP_FD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(fdio_copy(in, full, 3), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fdio_copy(full, in, 3), -1);
}

/* ---- descriptors --------------------------------------------------------------------
 */

static void pipes_are_closed_on_exec(void **state)
{
    struct error err = ERROR_INIT;
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, &err), 0);
    assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
    fdio_close(&ends[0]);
    fdio_close(&ends[1]);
}

static void flags_are_set_and_cleared(void **state)
{
    CLEANUP_FD int fd = open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC);
    int before = fcntl(fd, F_GETFL);
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(fdio_set_nonblocking(fd, true, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFL), before | O_NONBLOCK);
    assert_int_equal(fdio_set_nonblocking(fd, false, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFL), before);
    assert_int_equal(fdio_set_cloexec(fd, false, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    assert_int_equal(fdio_set_cloexec(fd, true, &err), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(fdio_set_nonblocking(-1, true, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_int_equal(fdio_set_cloexec(-1, true, &err), -1);
}

static void closing_keeps_errno_and_forgets(void **state)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int was = fd;

    (void)state;
    errno = EPIPE;
    fdio_close(&fd);
    assert_int_equal(fd, -1);
    fdio_close(&fd);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(fcntl(was, F_GETFD), -1);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int keep_some(void *context)
{
    static const int keep[] = {400, 300, 5, 300};

    (void)context;
    for (int fd = 3; fd < 10; fd++) {
        dup2(STDERR_FILENO, fd);
    }
    for (int fd = 299; fd < 302; fd++) {
        dup2(STDERR_FILENO, fd);
    }
    dup2(STDERR_FILENO, 400);
    fdio_close_except(4, keep, ARRAY_SIZE(keep));
    for (int fd = 0; fd < 500; fd++) {
        bool want = fd < 4 || fd == 5 || fd == 300 || fd == 400;

        if (is_open(fd) != want) {
            return 1;
        }
    }
    fdio_close_from(3);
    for (int fd = 0; fd < 500; fd++) {
        if (is_open(fd) != (fd < 3)) {
            return 2;
        }
    }
    return 0;
}

static int keep_some_and_more(void *context)
{
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

    setrlimit(RLIMIT_NOFILE, &limit);
    return keep_some(context);
}

static void all_but_a_list_is_closed(void **state)
{
    (void)state;
    assert_int_equal(in_child(keep_some, NULL), 0);
}

static void all_but_a_list_is_closed_on_old_kernels(void **state)
{
    (void)state;
    kernel_lose(SYS_close_range);
    assert_int_equal(in_child(keep_some, NULL), 0);
}

static void all_but_a_list_is_closed_without_proc(void **state)
{
    (void)state;
    kernel_lose(SYS_close_range);
    kernel_lose(SYS_getdents64);
    assert_int_equal(in_child(keep_some_and_more, NULL), 0);
}

static int sanitize(void *context)
{
    struct stat null;
    struct stat found;
    struct stat before;

    (void)context;
    stat("/dev/null", &null);
    fstat(1, &before);
    close(0);
    close(2);
    fdio_sanitize_std();
    for (int fd = 0; fd < 3; fd++) {
        const struct stat *wanted = fd == 1 ? &before : &null;

        if (fstat(fd, &found) < 0 || found.st_dev != wanted->st_dev ||
            found.st_ino != wanted->st_ino) {
            return 1 + fd;
        }
    }
    return 0;
}

static void closed_standard_descriptors_become_null(void **state)
{
    (void)state;
    assert_int_equal(in_child(sanitize, NULL), 0);
}

static void sanitize_without_descriptors(void)
{
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

    close(0);
    setrlimit(RLIMIT_NOFILE, &none);
    fdio_sanitize_std();
}

static void standard_descriptors_that_stay_closed_end_the_program(void **state)
{
    char said[64];

    (void)state;
    assert_int_equal(death_by(sanitize_without_descriptors, said, sizeof(said)), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(interrupted_and_short_calls_are_gone_on_with, reset),
        cmocka_unit_test_teardown(interrupted_calls_at_an_offset_are_gone_on_with, reset),
        cmocka_unit_test_teardown(single_calls_retry_interrupts_alone, reset),
        cmocka_unit_test(failures_come_with_errno),
        cmocka_unit_test(a_descriptor_that_does_not_block_is_waited_for),
        cmocka_unit_test(reading_all_ends_at_the_limit),
        cmocka_unit_test_teardown(reading_all_goes_over_many_blocks, reset),
        cmocka_unit_test(what_cannot_be_read_leaves_the_buffer_alone),
        cmocka_unit_test(copies_from_position_to_position),
        cmocka_unit_test_teardown(copies_without_the_kernels_help, reset),
        cmocka_unit_test(copies_from_a_pipe_to_an_appending_file),
        cmocka_unit_test(copies_files_that_say_they_are_empty),
        cmocka_unit_test(a_copy_that_cannot_be_written_fails),
        cmocka_unit_test(pipes_are_closed_on_exec),
        cmocka_unit_test(flags_are_set_and_cleared),
        cmocka_unit_test(closing_keeps_errno_and_forgets),
        cmocka_unit_test(all_but_a_list_is_closed),
        cmocka_unit_test_teardown(all_but_a_list_is_closed_on_old_kernels, reset),
        cmocka_unit_test_teardown(all_but_a_list_is_closed_without_proc, reset),
        cmocka_unit_test(closed_standard_descriptors_become_null),
        cmocka_unit_test(standard_descriptors_that_stay_closed_end_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
