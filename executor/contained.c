#define _GNU_SOURCE /* environ */
#include "executor/contained.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/variables.h"
#include "executor/command.h"
#include "executor/exitslot.h"
#include "executor/rundir.h"
#include "executor/secrets.h"

#define EXIT_FAILED 125

struct contained {
    struct runspec spec;
    struct command command;
    struct strvec environment;
    int run_fd;
    int words_fd; /* standard output as the engine gave it */
};

static int fail(const struct contained *c, int code, const char *text)
{
    (void)fdio_write_line(c->words_fd, "failed %d %s", code, text);
    return code;
}

/* ---- Before the script */

static void add_variable(void *context, const char *setting)
{
    struct contained *c = context;
    variables_set(&c->environment, setting);
}

/* Whose user the image does not know has "/" as home: nothing can be kept there. */
static void find_home(struct contained *c)
{
    const char *home = variables_find(&c->environment, "HOME");
    if (home == NULL || home[0] != '/' || access(home, W_OK) < 0) {
        variables_set(&c->environment, "HOME=/tmp");
    }
}

static int open_run(struct contained *c, const char *folder, struct error *err)
{
    for (char *const *at = environ; *at != NULL; at++) {
        strvec_push(&c->environment, *at);
    }
    if (secrets_read(0, add_variable, c, err) < 0) {
        return -1;
    }
    find_home(c);
    c->run_fd = files_open_dir(AT_FDCWD, folder, err);
    if (c->run_fd < 0 || rundir_read_spec(c->run_fd, &c->spec, NULL, err) < 0) {
        return -1;
    }
    CLEANUP_FD int work = files_open_dir(c->run_fd, "work", err);
    return work < 0 || fchdir(work) < 0 ? error_sys(err, "enter the work tree") : 0;
}

static int open_streams(const struct contained *c, struct error *err)
{
    CLEANUP_FD int log =
        openat(c->run_fd, "driver.log", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
        dup2(log, 2) < 0) {
        return error_sys(err, "open driver.log");
    }
    return 0;
}

/* ---- The script, and this process as the container's first */

static void become_script(struct contained *c, int failure_fd) __attribute__((noreturn));
static void become_script(struct contained *c, int failure_fd)
{
    sigset_t none;
    sigemptyset(&none);
    (void)setsid();
    command_offer_to_oom_killer();
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    execve(c->command.program, strvec_argv(&c->command.argv),
           strvec_argv(&c->environment));
    int failure = errno;
    (void)fdio_write(failure_fd, &failure, sizeof(failure));
    _exit(EXIT_FAILED);
}

/* Its process, once it was executed; 0: it was not, and said so. */
static pid_t start_script(struct contained *c, int *out_code)
{
    char text[EXITSLOT_TEXT_MAX];
    int ends[2];
    int failure = 0;
    if (fdio_pipe(ends, NULL) < 0) {
        *out_code = fail(c, EXIT_FAILED, "no pipe");
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_script(c, ends[1]);
    }
    fdio_close(&ends[1]);
    ssize_t got = pid < 0 ? 0 : fdio_read_full(ends[0], &failure, sizeof(failure));
    fdio_close(&ends[0]);
    if (pid > 0 && got == 0) {
        (void)fdio_write_line(c->words_fd, "started");
        return pid;
    }
    *out_code =
        pid < 0 ? EXIT_FAILED : command_explain(&c->command, failure, text, sizeof(text));
    *out_code = fail(c, *out_code, pid < 0 ? "no process can be made" : text);
    return 0;
}

/* True once the script has ended; whoever it left behind is reaped too. */
static bool reap(pid_t script, int *out_status)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == script) {
            *out_status = status;
            return true;
        }
    }
    return false;
}

static int await_end(const struct contained *c, pid_t script, const sigset_t *signals,
                     bool want_forward)
{
    int status = 0;
    while (!reap(script, &status)) {
        int number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD && want_forward) {
            (void)kill(script, number);
        }
    }
    if (WIFSIGNALED(status)) {
        (void)fdio_write_line(c->words_fd, "signaled %d", WTERMSIG(status));
        return 128 + WTERMSIG(status);
    }
    (void)fdio_write_line(c->words_fd, "exited %d", WEXITSTATUS(status));
    return WEXITSTATUS(status);
}

static int run_script(struct contained *c, const char *folder, bool want_forward)
{
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    char text[EXITSLOT_TEXT_MAX];
    struct error err = ERROR_INIT;
    sigset_t signals;
    int code = 0;
    sigemptyset(&signals);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        sigaddset(&signals, numbers[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    if (open_run(c, folder, &err) < 0) {
        return fail(c, EXIT_FAILED, err.text);
    }
    code =
        command_resolve(&c->command, &c->spec, NULL, &c->environment, text, sizeof(text));
    if (code != 0) {
        return fail(c, code, text);
    }
    if (open_streams(c, &err) < 0) {
        return fail(c, EXIT_FAILED, err.text);
    }
    pid_t script = start_script(c, &code);
    return script == 0 ? code : await_end(c, script, &signals, want_forward);
}

int contained_main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "errand-executor: contained FOLDER UMASK hold|forward\n");
        return 2;
    }
    struct contained c = {.run_fd = -1};
    c.words_fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
    (void)umask((mode_t)strtoul(argv[2], NULL, 8) & 0777);
    runspec_init(&c.spec);
    int code = run_script(&c, argv[1], strcmp(argv[3], "forward") == 0);
    runspec_release(&c.spec);
    command_release(&c.command);
    strvec_release(&c.environment);
    fdio_close(&c.run_fd);
    fdio_close(&c.words_fd);
    return code;
}
