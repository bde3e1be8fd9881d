#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/strvec.h"
#include "common/subprocess.h"
#include "tests/unit/child.h"
#include "tests/unit/kernel.h"

/* ---- what this program is when a test starts it -------------------------------------
 */

#define SELF "/proc/self/exe"
#define PATIENCE_MS 60000

static void say(const char *text)
{
    if (fdio_write_full(STDOUT_FILENO, text, strlen(text)) < 0) {
        _exit(1);
    }
}

/* The open descriptors: "0 1 2 ". */
static int tell_descriptors(void)
{
    char text[16];

    for (int fd = 0; fd < 2048; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            snprintf(text, sizeof(text), "%d ", fd);
            say(text);
        }
    }
    return 0;
}

/* The signals that are ignored or blocked; handlers do not live through exec. */
static int tell_signals(void)
{
    struct sigaction action;
    sigset_t mask;
    char text[32];

    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int i = 1; i < NSIG; i++) {
        if (sigaction(i, NULL, &action) == 0 &&
            (action.sa_handler == SIG_IGN || sigismember(&mask, i) == 1)) {
            snprintf(text, sizeof(text), "%d ", i);
            say(text);
        }
    }
    return 0;
}

static int tell_session(void)
{
    say(getsid(0) == getpid() && getpgrp() == getpid() ? "own" : "other");
    return 0;
}

static int hang(void)
{
    say("x");
    while (pause() < 0) {
    }
    return 0;
}

static int hang_on(void)
{
    signal(SIGTERM, SIG_IGN);
    return hang();
}

/* Start one that hangs on to stdout, and end. */
static int leave_behind(void)
{
    static const char *const argv[] = {SELF, "hang", NULL};
    struct subprocess sp = {
        .argv = argv,
        .in = SUBPROCESS_NULL,
        .out = SUBPROCESS_INHERIT,
        .error = SUBPROCESS_INHERIT,
    };
    char text[32];

    if (subprocess_start(&sp, NULL) < 0) {
        return 1;
    }
    snprintf(text, sizeof(text), " %d", (int)sp.pid);
    say(text);
    return 0;
}

/* The same in one session: both hang. */
static int hang_with_child(void)
{
    return leave_behind() == 0 ? hang() : 1;
}

#define FLOOD_BYTES 300000

static int flood(void)
{
    for (int i = 0; i < FLOOD_BYTES / 10; i++) {
        if (fdio_write_full(STDOUT_FILENO, "0123456789", 10) < 0 ||
            fdio_write_full(STDERR_FILENO, "abcdefghij", 10) < 0) {
            return 1;
        }
    }
    return 0;
}

static int count_input(void)
{
    char text[32];
    char block[4096];
    size_t total = 0;
    ssize_t got;

    while ((got = fdio_read(STDIN_FILENO, block, sizeof(block))) > 0) {
        total += (size_t)got;
    }
    snprintf(text, sizeof(text), "%zu", total);
    say(text);
    return 0;
}

static int fill(void)
{
    static const char block[4096];
    ssize_t wrote;

    while ((wrote = write(STDOUT_FILENO, block, sizeof(block))) > 0) {
    }
    return wrote < 0 && errno == EFBIG ? 0 : 1;
}

static const struct role {
    const char *name;
    int (*play)(void);
} roles[] = {
    {"descriptors", tell_descriptors},
    {"signals", tell_signals},
    {"session", tell_session},
    {"hang", hang},
    {"hang-on", hang_on},
    {"hang-with-child", hang_with_child},
    {"leave-behind", leave_behind},
    {"flood", flood},
    {"fill", fill},
    {"count", count_input},
};

/* ---- help ---------------------------------------------------------------------------
 */

static int reset(void **state)
{
    (void)state;
    kernel_reset();
    return 0;
}

/* What a role says, with the request's own settings. */
static char *said_by(const char *role, struct subprocess sp)
{
    const char *const argv[] = {SELF, role, NULL};
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status = -1;

    sp.argv = argv;
    sp.out = SUBPROCESS_PIPE;
    sp.error = SUBPROCESS_INHERIT;
    if (subprocess_start(&sp, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(fdio_read_all(sp.stdout_fd, role, &sb, &err), 0);
    assert_int_equal(subprocess_wait(&sp, &status, &err), 0);
    assert_int_equal(status, 0);
    return strbuf_detach(&sb);
}

static void start(struct subprocess *sp, const char *const *argv)
{
    struct error err = ERROR_INIT;

    sp->argv = argv;
    sp->in = SUBPROCESS_NULL;
    sp->out = SUBPROCESS_PIPE;
    sp->error = SUBPROCESS_INHERIT;
    if (subprocess_start(sp, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* The role has begun to hang. */
static void wait_until_it_hangs(const struct subprocess *sp)
{
    char byte = 0;

    while (byte != 'x') {
        assert_int_equal(fdio_read_full(sp->stdout_fd, &byte, 1), 1);
    }
}

/* Nobody holds the other end any more, within the tests' patience. */
static void assert_ends(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char block[64];
    ssize_t got;

    do {
        assert_int_equal(poll(&waiting, 1, PATIENCE_MS), 1);
        got = fdio_read(fd, block, sizeof(block));
    } while (got > 0);
    assert_int_equal(got, 0);
}

static void assert_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void assert_output(const char *const *argv, const char *expected)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status = -1;

    if (subprocess_capture(argv, &out, NULL, PATIENCE_MS, &status, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(status, 0);
    assert_string_equal(out.data, expected);
}

/* ---- starting -----------------------------------------------------------------------
 */

static void words_arrive_as_they_are(void **state)
{
    static const char *const argv[] = {"printf",  "[%s]", "a b", "",
                                       "'\"$x\\", "\xff", NULL};

    (void)state;
    assert_output(argv, "[a b][]['\"$x\\][\xff]");
}

static void the_environment_is_ours_or_the_given_one(void **state)
{
    static const char *const argv[] = {"/usr/bin/env", NULL};
    static const char *const env[] = {"A=1", "B=x y", NULL};
    static const char *const none[] = {NULL};
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct subprocess sp = {.env = env};
    int status;

    (void)state;
    start(&sp, argv);
    assert_int_equal(fdio_read_all(sp.stdout_fd, "env", &sb, NULL), 0);
    assert_string_equal(sb.data, "A=1\nB=x y\n");
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    sp.env = none;
    start(&sp, argv);
    strbuf_reset(&sb);
    assert_int_equal(fdio_read_all(sp.stdout_fd, "env", &sb, NULL), 0);
    assert_string_equal(sb.data, "");
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    assert_int_equal(setenv("ERRAND_TEST_OWN", "yes", 1), 0);
    sp.env = NULL;
    start(&sp, argv);
    assert_int_equal(fdio_read_all(sp.stdout_fd, "env", &sb, NULL), 0);
    assert_non_null(strstr(sb.data, "ERRAND_TEST_OWN=yes\n"));
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    unsetenv("ERRAND_TEST_OWN");
}

/* A folder with programs of every wrong kind, and one right. */
static char *make_programs(void)
{
    char path[] = "/tmp/test_subprocess.XXXXXX";
    int fd;

    assert_non_null(mkdtemp(path));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(fd, "a", 0700), 0);
    assert_int_equal(mkdirat(fd, "b", 0700), 0);
    assert_int_equal(files_write_atomic(fd, "a/tool", "#!/bin/sh\n", 10, 0600, NULL), 0);
    assert_int_equal(
        files_write_atomic(fd, "b/tool", "#!/bin/sh\necho b\n", 17, 0700, NULL), 0);
    assert_int_equal(files_write_atomic(fd, "a/locked", "", 0, 0600, NULL), 0);
    assert_int_equal(files_write_atomic(fd, "a/bare", "echo bare\n", 10, 0700, NULL), 0);
    assert_int_equal(files_write_atomic(fd, "a/lost", "#!/no/such\n", 11, 0700, NULL), 0);
    assert_int_equal(mkdirat(fd, "a/folder", 0700), 0);
    close(fd);
    return xstrdup(path);
}

static int start_from(const char *path, const char *program, struct error *err)
{
    const char *const argv[] = {program, NULL};
    CLEANUP_FREE char *path_line = xasprintf("PATH=%s/a:%s/none:%s/b", path, path, path);
    const char *const env[] = {"X=1", path_line, NULL};
    struct subprocess sp = {.argv = argv, .env = env, .out = SUBPROCESS_PIPE};
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    int status = -1;

    sp.in = SUBPROCESS_NULL;
    sp.error = SUBPROCESS_INHERIT;
    if (subprocess_start(&sp, err) < 0) {
        assert_int_equal(sp.pid, -1);
        assert_int_equal(sp.stdout_fd, -1);
        assert_no_children();
        return -1;
    }
    assert_int_equal(fdio_read_all(sp.stdout_fd, program, &sb, err), 0);
    assert_string_equal(sb.data, "b\n");
    return subprocess_wait(&sp, &status, err);
}

static void programs_are_looked_up_in_the_path_they_get(void **state)
{
    CLEANUP_FREE char *path = make_programs();
    struct error err = ERROR_INIT;

    (void)state;
    /* The first one found cannot be executed: as a shell does, go on. */
    assert_int_equal(start_from(path, "tool", &err), 0);
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(files_remove_tree(AT_FDCWD, path, NULL), 0);
}

static void what_cannot_be_executed_is_an_error_of_the_call(void **state)
{
    static const struct {
        const char *program;
        int number;
    } rows[] = {
        {"none", ENOENT},   {"locked", EACCES}, {"bare", ENOEXEC},
        {"folder", EACCES}, {"lost", ENOENT},   {"/no/such/program", ENOENT},
        {"", ENOENT},       {"/", EACCES},
    };
    CLEANUP_FREE char *path = make_programs();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        assert_int_equal(start_from(path, rows[i].program, &err), -1);
        assert_int_equal(err.code, ERR_SPAWN);
        assert_int_equal(err.sys, rows[i].number);
        assert_non_null(strstr(err.text, rows[i].program));
        assert_non_null(strstr(err.text, strerror(rows[i].number)));
    }
    assert_int_equal(files_remove_tree(AT_FDCWD, path, NULL), 0);
}

static void without_a_path_the_usual_folders_are_searched(void **state)
{
    static const char *const argv[] = {"true", NULL};
    static const char *const none[] = {NULL};
    struct subprocess sp = {.env = none};
    int status = -1;

    (void)state;
    start(&sp, argv);
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    assert_int_equal(status, 0);
}

static void the_working_folder_is_an_open_one(void **state)
{
    static const char *const argv[] = {"pwd", NULL};
    static const char *const env[] = {NULL};
    struct subprocess sp = {.env = env, .has_dir = true};
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    CLEANUP_FD int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct error err = ERROR_INIT;
    int status;

    (void)state;
    sp.dir_fd = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    start(&sp, argv);
    assert_int_equal(fdio_read_all(sp.stdout_fd, "pwd", &sb, NULL), 0);
    assert_string_equal(sb.data, "/usr\n");
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    fdio_close(&sp.dir_fd);
    sp.dir_fd = file;
    assert_int_equal(subprocess_start(&sp, &err), -1);
    assert_int_equal(err.code, ERR_SPAWN);
    assert_int_equal(err.sys, ENOTDIR);
    assert_non_null(strstr(err.text, "working folder"));
    assert_no_children();
}

/* ---- descriptors --------------------------------------------------------------------
 */

static void check_descriptors(void)
{
    int fds[] = {open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY | O_CLOEXEC),
                 open("/dev/null", O_RDONLY | O_CLOEXEC)};
    struct subprocess sp = {.in = SUBPROCESS_NULL};
    CLEANUP_FREE char *expected = NULL;
    CLEANUP_FREE char *said = said_by("descriptors", sp);
    CLEANUP_FREE char *said_of_kept = NULL;

    assert_string_equal(said, "0 1 2 ");
    assert_int_equal(dup3(fds[2], 900, O_CLOEXEC), 900);
    close(fds[2]);
    fds[2] = 900;
    sp.keep_fds = fds + 1;
    sp.keep_fd_count = 2;
    said_of_kept = said_by("descriptors", sp);
    expected = xasprintf("0 1 2 %d 900 ", fds[1]);
    assert_string_equal(said_of_kept, expected);
    assert_int_equal(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        close(fds[i]);
    }
}

static void a_child_has_only_the_descriptors_it_was_given(void **state)
{
    (void)state;
    check_descriptors();
}

static void that_is_so_on_old_kernels(void **state)
{
    (void)state;
    kernel_lose(SYS_close_range);
    check_descriptors();
}

static void descriptors_that_are_not_open_are_an_error(void **state)
{
    static const char *const argv[] = {"true", NULL};
    const int closed = 1000;
    struct subprocess sp = {.argv = argv, .keep_fds = &closed, .keep_fd_count = 1};
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(subprocess_start(&sp, &err), -1);
    assert_int_equal(err.code, ERR_SPAWN);
    assert_int_equal(err.sys, EBADF);
    sp.keep_fd_count = 0;
    sp.in = 1000;
    sp.out = SUBPROCESS_PIPE;
    assert_int_equal(subprocess_start(&sp, &err), -1);
    assert_int_equal(err.code, ERR_SPAWN);
    assert_int_equal(err.sys, EBADF);
    assert_int_equal(sp.stdout_fd, -1);
}

static void input_goes_through_a_pipe(void **state)
{
    static const char *const argv[] = {SELF, "count", NULL};
    struct subprocess sp = {.argv = argv,
                            .in = SUBPROCESS_PIPE,
                            .out = SUBPROCESS_PIPE,
                            .error = SUBPROCESS_NULL};
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    CLEANUP_FREE char *bytes = xcalloc(1, 200000);
    int status;

    (void)state;
    assert_int_equal(subprocess_start(&sp, NULL), 0);
    assert_int_equal(sp.stderr_fd, -1);
    assert_int_equal(fcntl(sp.stdin_fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fdio_write_full(sp.stdin_fd, bytes, 200000), 0);
    fdio_close(&sp.stdin_fd);
    assert_int_equal(fdio_read_all(sp.stdout_fd, "count", &sb, NULL), 0);
    assert_string_equal(sb.data, "200000");
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    assert_int_equal(sp.stdout_fd, -1);
}

/* With out and error exchanged, the child's words arrive crosswise. */
static int exchange(void *context)
{
    static const char *const argv[] = {"sh", "-c", "echo out; echo error >&2", NULL};
    struct subprocess sp = {.argv = argv, .in = SUBPROCESS_NULL, .out = 2, .error = 1};
    const int *fds = context;
    int status = -1;

    dup2(fds[0], 1);
    dup2(fds[1], 2);
    if (subprocess_start(&sp, NULL) < 0 || subprocess_wait(&sp, &status, NULL) < 0) {
        return 1;
    }
    return status == 0 ? 0 : 2;
}

static void standard_descriptors_may_be_exchanged(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    int out[2];
    int error[2];
    int fds[2];

    (void)state;
    assert_int_equal(fdio_pipe(out, NULL), 0);
    assert_int_equal(fdio_pipe(error, NULL), 0);
    fds[0] = out[1];
    fds[1] = error[1];
    assert_int_equal(in_child(exchange, fds), 0);
    fdio_close(&out[1]);
    fdio_close(&error[1]);
    assert_int_equal(fdio_read_all(out[0], "out", &sb, NULL), 0);
    assert_string_equal(sb.data, "error\n");
    strbuf_reset(&sb);
    assert_int_equal(fdio_read_all(error[0], "error", &sb, NULL), 0);
    assert_string_equal(sb.data, "out\n");
    fdio_close(&out[0]);
    fdio_close(&error[0]);
}

/* A caller without 0, 1 and 2: the pipes get these very numbers. */
static int start_with_closed(void *context)
{
    static const char *const argv[] = {SELF, "count", NULL};
    struct subprocess sp = {.argv = argv,
                            .in = SUBPROCESS_PIPE,
                            .out = SUBPROCESS_PIPE,
                            .error = SUBPROCESS_INHERIT};
    struct strbuf sb = STRBUF_INIT;
    int status = -1;

    (void)context;
    fdio_close_from(0);
    if (subprocess_start(&sp, NULL) < 0) {
        return 1;
    }
    if (fdio_write_full(sp.stdin_fd, "abc", 3) < 0) {
        return 2;
    }
    fdio_close(&sp.stdin_fd);
    if (fdio_read_all(sp.stdout_fd, "count", &sb, NULL) < 0 ||
        strcmp(sb.data, "3") != 0) {
        return 3;
    }
    return subprocess_wait(&sp, &status, NULL) == 0 && status == 0 ? 0 : 4;
}

static void a_caller_may_have_no_standard_descriptors(void **state)
{
    (void)state;
    assert_int_equal(in_child(start_with_closed, NULL), 0);
}

/* ---- signals and sessions -----------------------------------------------------------
 */

static void ignore_it(int signal_number)
{
    (void)signal_number;
}

static int start_with_strange_signals(void *context)
{
    struct sigaction handled = {.sa_handler = ignore_it};
    struct subprocess sp = {.in = SUBPROCESS_NULL};
    CLEANUP_FREE char *said = NULL;
    sigset_t blocked;
    sigset_t after;

    (void)context;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMIN + 3, SIG_IGN);
    sigaction(SIGCHLD, &handled, NULL);
    sigaction(SIGTERM, &handled, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    said = said_by("signals", sp);
    sigprocmask(SIG_SETMASK, NULL, &after);
    if (sigismember(&after, SIGUSR1) != 1 || sigismember(&after, SIGUSR2) != 0) {
        return 1;
    }
    return strcmp(said, "") == 0 ? 0 : 2;
}

static void a_child_has_default_signals(void **state)
{
    (void)state;
    assert_int_equal(in_child(start_with_strange_signals, NULL), 0);
}

static void a_child_has_a_session_of_its_own_where_wanted(void **state)
{
    struct subprocess sp = {.in = SUBPROCESS_NULL};
    CLEANUP_FREE char *without = said_by("session", sp);
    CLEANUP_FREE char *with = NULL;

    (void)state;
    sp.want_session = true;
    with = said_by("session", sp);
    assert_string_equal(without, "other");
    assert_string_equal(with, "own");
}

static void a_child_outlives_ctrl_c_where_wanted(void **state)
{
    static const char *const argv[] = {SELF, "hang", NULL};
    static const int signals[] = {SIGINT, SIGQUIT, SIGTERM};
    struct subprocess sp = {.want_no_interrupt = true};
    int status = 0;

    (void)state;
    start(&sp, argv);
    wait_until_it_hangs(&sp);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        assert_int_equal(kill(sp.pid, signals[i]), 0);
    }
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void a_childs_file_ends_at_the_limit(void **state)
{
    static const char *const argv[] = {SELF, "fill", NULL};
    FILE *file = tmpfile();
    struct subprocess sp = {.argv = argv,
                            .in = SUBPROCESS_NULL,
                            .error = SUBPROCESS_INHERIT,
                            .file_limit_bytes = 100000};
    struct stat st;
    int status = -1;

    (void)state;
    assert_non_null(file);
    sp.out = fileno(file);
    assert_int_equal(subprocess_start(&sp, NULL), 0);
    assert_int_equal(subprocess_wait(&sp, &status, NULL), 0);
    assert_int_equal(status, 0);
    assert_int_equal(fstat(fileno(file), &st), 0);
    assert_int_equal(st.st_size, 100000);
    (void)fclose(file);
}

static int start_and_die(void *context)
{
    static const char *const argv[] = {SELF, "hang", NULL};
    const int *ends = context;
    struct subprocess sp = {.argv = argv,
                            .in = SUBPROCESS_NULL,
                            .out = ends[1],
                            .error = SUBPROCESS_INHERIT,
                            .want_parent_death = true};
    char byte;

    if (subprocess_start(&sp, NULL) < 0) {
        return 1;
    }
    return fdio_read_full(ends[0], &byte, 1) == 1 ? 0 : 2;
}

static void a_child_dies_with_its_parent_where_wanted(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, NULL), 0);
    assert_int_equal(in_child(start_and_die, ends), 0);
    fdio_close(&ends[1]);
    assert_ends(ends[0]);
    fdio_close(&ends[0]);
}

/* ---- the end ------------------------------------------------------------------------
 */

static void waiting_twice_is_an_error(void **state)
{
    static const char *const argv[] = {"sh", "-c", "exit 7", NULL};
    struct subprocess sp = {.in = 0};
    struct error err = ERROR_INIT;
    int status;

    (void)state;
    start(&sp, argv);
    assert_int_equal(subprocess_wait(&sp, &status, &err), 0);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(sp.pid, -1);
    assert_int_equal(subprocess_wait(&sp, &status, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    subprocess_stop(&sp, 0);
}

static void check_stop(const char *role, int grace_ms)
{
    const char *const argv[] = {SELF, role, NULL};
    struct subprocess sp = {.in = 0};

    start(&sp, argv);
    wait_until_it_hangs(&sp);
    subprocess_stop(&sp, grace_ms);
    assert_int_equal(sp.pid, -1);
    assert_int_equal(sp.stdout_fd, -1);
    assert_no_children();
}

static void stopping_is_gentle_first_and_then_firm(void **state)
{
    int64_t began_ns = clock_monotonic_ns();

    (void)state;
    check_stop("hang", PATIENCE_MS);
    assert_true(clock_monotonic_ns() - began_ns < PATIENCE_MS * NS_PER_MS);
    check_stop("hang-on", 10);
    check_stop("hang-on", 0);
}

static void stopping_works_without_pidfds(void **state)
{
    (void)state;
    kernel_lose(SYS_pidfd_open);
    check_stop("hang", PATIENCE_MS);
    check_stop("hang-on", 10);
}

static void stopping_a_session_stops_its_group(void **state)
{
    static const char *const argv[] = {SELF, "hang-with-child", NULL};
    struct subprocess sp = {.want_session = true};
    CLEANUP_FD int out = -1;

    (void)state;
    start(&sp, argv);
    wait_until_it_hangs(&sp);
    out = fcntl(sp.stdout_fd, F_DUPFD_CLOEXEC, 3);
    subprocess_stop(&sp, PATIENCE_MS);
    assert_ends(out);
}

/* ---- capture ------------------------------------------------------------------------
 */

static void check_capture(void)
{
    static const char *const argv[] = {SELF, "flood", NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf error_out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status = -1;

    assert_int_equal(
        subprocess_capture(argv, &out, &error_out, PATIENCE_MS, &status, &err), 0);
    assert_int_equal(status, 0);
    assert_int_equal(out.length, FLOOD_BYTES);
    assert_int_equal(error_out.length, FLOOD_BYTES);
    assert_memory_equal(out.data + FLOOD_BYTES - 10, "0123456789", 10);
    assert_memory_equal(error_out.data + FLOOD_BYTES - 10, "abcdefghij", 10);
    strbuf_reset(&out);
    assert_int_equal(subprocess_capture(argv, &out, NULL, -1, &status, &err), 0);
    assert_int_equal(out.length, FLOOD_BYTES);
}

static void both_outputs_are_collected_at_once(void **state)
{
    (void)state;
    check_capture();
    kernel_lose(SYS_pidfd_open);
    check_capture();
}

static void too_much_output_ends_the_program(void **state)
{
    static const char *const argv[] = {SELF, "flood", NULL};
    struct error err = ERROR_INIT;
    struct strbuf out;
    int status;

    (void)state;
    strbuf_init(&out, 1000);
    assert_int_equal(subprocess_capture(argv, &out, NULL, PATIENCE_MS, &status, &err),
                     -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_no_children();
    strbuf_release(&out);
}

static void check_timeout(void)
{
    static const char *const argv[] = {SELF, "hang-on", NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status;

    assert_int_equal(subprocess_capture(argv, &out, NULL, 20, &status, &err), -1);
    assert_int_equal(err.code, ERR_TIMED_OUT);
    assert_non_null(strstr(err.text, "20 ms"));
    assert_no_children();
}

static void a_program_over_its_time_is_ended(void **state)
{
    (void)state;
    check_timeout();
    kernel_lose(SYS_pidfd_open);
    check_timeout();
}

/* The one left behind would hold the pipe open for ever. */
static void check_leftover(void)
{
    static const char *const argv[] = {SELF, "leave-behind", NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    const char *number;
    int status = -1;

    assert_int_equal(subprocess_capture(argv, &out, NULL, PATIENCE_MS, &status, &err), 0);
    assert_int_equal(status, 0);
    number = strchr(out.data, ' ');
    assert_non_null(number);
    assert_int_equal(kill((pid_t)strtol(number, NULL, 10), SIGKILL), 0);
}

static void the_end_is_the_programs_not_its_outputs(void **state)
{
    (void)state;
    check_leftover();
    kernel_lose(SYS_pidfd_open);
    check_leftover();
}

#define EACH(test) cmocka_unit_test_teardown(test, reset)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        EACH(words_arrive_as_they_are),
        EACH(the_environment_is_ours_or_the_given_one),
        EACH(programs_are_looked_up_in_the_path_they_get),
        EACH(what_cannot_be_executed_is_an_error_of_the_call),
        EACH(without_a_path_the_usual_folders_are_searched),
        EACH(the_working_folder_is_an_open_one),
        EACH(a_child_has_only_the_descriptors_it_was_given),
        EACH(that_is_so_on_old_kernels),
        EACH(descriptors_that_are_not_open_are_an_error),
        EACH(input_goes_through_a_pipe),
        EACH(standard_descriptors_may_be_exchanged),
        EACH(a_caller_may_have_no_standard_descriptors),
        EACH(a_child_has_default_signals),
        EACH(a_child_has_a_session_of_its_own_where_wanted),
        EACH(a_child_outlives_ctrl_c_where_wanted),
        EACH(a_childs_file_ends_at_the_limit),
        EACH(a_child_dies_with_its_parent_where_wanted),
        EACH(waiting_twice_is_an_error),
        EACH(stopping_is_gentle_first_and_then_firm),
        EACH(stopping_works_without_pidfds),
        EACH(stopping_a_session_stops_its_group),
        EACH(both_outputs_are_collected_at_once),
        EACH(too_much_output_ends_the_program),
        EACH(a_program_over_its_time_is_ended),
        EACH(the_end_is_the_programs_not_its_outputs),
    };

    for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(roles); i++) {
        if (strcmp(argv[1], roles[i].name) == 0) {
            return roles[i].play();
        }
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
