#define _GNU_SOURCE /* strchrnul, prctl, NSIG */
#include "common/subprocess.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/strvec.h"

extern char **environ; /* POSIX has it so: NOLINT(*-non-const-global-variables) */

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

/* What the child was about to do, for the sentence. */
enum step {
    STEP_LIMIT,
    STEP_SESSION,
    STEP_PARENT_DEATH,
    STEP_DESCRIPTORS,
    STEP_FOLDER,
    STEP_EXECUTE,
    STEP_COUNT
};

struct failure {
    int32_t step;
    int32_t number; /* errno */
};

/* All that the child needs, made before the fork: it must not allocate. */
struct launch {
    const struct subprocess *sp;
    struct strvec programs; /* paths to try */
    int std_fds[3];         /* what becomes 0, 1 and 2; each above 2 */
    int opened_fds[3];      /* those of std_fds that are ours to close, or -1 */
    int report_fd;          /* above 2 */
    int *keep_fds;          /* the caller's and report_fd */
    size_t keep_fd_count;
    pid_t parent;
};

static void launch_release(struct launch *launch)
{
    for (size_t i = 0; i < ARRAY_SIZE(launch->opened_fds); i++) {
        fdio_close(&launch->opened_fds[i]);
    }
    fdio_close(&launch->report_fd);
    strvec_release(&launch->programs);
    free(launch->keep_fds);
}

/* ---- before the fork -------------------------------------------------------------- */

static const char *path_of(const char *const *env)
{
    const char *path = env == NULL ? getenv("PATH") : NULL;

    for (; env != NULL && *env != NULL && path == NULL; env++) {
        if (strncmp(*env, "PATH=", 5) == 0) {
            path = *env + 5;
        }
    }
    return path != NULL ? path : PATH_DEFAULT;
}

/* As execvp: an empty part of PATH is the working folder. */
static void find_programs(struct strvec *programs, const char *name,
                          const char *const *env)
{
    if (strchr(name, '/') != NULL || name[0] == '\0') {
        strvec_push(programs, name);
        return;
    }
    for (const char *part = path_of(env); part != NULL;) {
        const char *end = strchrnul(part, ':');
        CLEANUP_FREE char *folder = xstrndup(part, (size_t)(end - part));

        strvec_adopt(programs, files_join(folder[0] == '\0' ? "." : folder, name));
        part = *end == ':' ? end + 1 : NULL;
    }
}

/* Descriptors 0 to 2 are about to be replaced: have fd above them. *opened is the copy,
 * where one was made. */
static int lift(int fd, int *opened)
{
    if (fd > STDERR_FILENO) {
        return fd;
    }
    *opened = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return *opened;
}

/* As lift, for a descriptor that is ours. */
static int adopt(int fd, int *opened, struct error *err)
{
    CLEANUP_FD int own = fd;

    if (own > STDERR_FILENO) {
        *opened = take_fd(&own);
        return *opened;
    }
    return lift(own, opened) >= 0 ? *opened : error_sys(err, "copy a descriptor");
}

/* Returns what becomes descriptor index of the child. */
static int prepare_std(int wanted, int index, int *opened, int *out_caller,
                       struct error *err)
{
    if (wanted == SUBPROCESS_INHERIT) {
        wanted = fcntl(index, F_GETFD) < 0 ? SUBPROCESS_NULL : index;
    }
    if (wanted == SUBPROCESS_PIPE) {
        int child_end = index == STDIN_FILENO ? 0 : 1;
        int ends[2];

        if (fdio_pipe(ends, err) < 0) {
            return -1;
        }
        *out_caller = ends[1 - child_end];
        return adopt(ends[child_end], opened, err);
    }
    if (wanted == SUBPROCESS_NULL) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        return null < 0 ? error_sys(err, "open /dev/null") : adopt(null, opened, err);
    }
    if (fcntl(wanted, F_GETFD) < 0 || (wanted = lift(wanted, opened)) < 0) {
        return error_sys(err, "pass on a descriptor");
    }
    return wanted;
}

static int prepare_stds(struct launch *launch, struct subprocess *sp, struct error *err)
{
    const int wanted[] = {sp->in, sp->out, sp->error};
    int *const callers[] = {&sp->stdin_fd, &sp->stdout_fd, &sp->stderr_fd};

    for (int i = 0; i < 3; i++) {
        launch->std_fds[i] =
            prepare_std(wanted[i], i, &launch->opened_fds[i], callers[i], err);
        if (launch->std_fds[i] < 0) {
            return -1;
        }
    }
    return 0;
}

static int prepare_kept(struct launch *launch, const struct subprocess *sp,
                        struct error *err)
{
    launch->keep_fds = xcalloc(sp->keep_fd_count + 1, sizeof(*launch->keep_fds));
    for (size_t i = 0; i < sp->keep_fd_count; i++) {
        /* A closed one could be the number that a pipe of ours gets. */
        if (fcntl(sp->keep_fds[i], F_GETFD) < 0) {
            return error_sys(err, "keep descriptor %d", sp->keep_fds[i]);
        }
        launch->keep_fds[i] = sp->keep_fds[i];
    }
    launch->keep_fd_count = sp->keep_fd_count;
    return 0;
}

/* The pipe over which the child reports. Returns its read end. */
static int prepare_report(struct launch *launch, struct error *err)
{
    CLEANUP_FD int read_end = -1;
    int ends[2];

    if (fdio_pipe(ends, err) < 0) {
        return -1;
    }
    read_end = ends[0];
    if (adopt(ends[1], &launch->report_fd, err) < 0) {
        return -1;
    }
    launch->keep_fds[launch->keep_fd_count++] = launch->report_fd;
    return take_fd(&read_end);
}

/* ---- the child: async-signal-safe calls only ----------------------------------------
 */

static void fail(const struct launch *launch, enum step step) __attribute__((noreturn));

static void fail(const struct launch *launch, enum step step)
{
    const struct failure failure = {.step = step, .number = errno};

    /* Where not even this can be said, the parent finds a child that ended with 127. */
    _exit(fdio_write_full(launch->report_fd, &failure, sizeof(failure)) < 0 ? 126 : 127);
}

static void become_default(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    for (int i = 1; i < NSIG; i++) {
        sigaction(i, &action, NULL); /* not SIGKILL, not SIGSTOP: nothing to reset */
    }
}

static void ignore_interrupts(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
}

static void child_descriptors(const struct launch *launch)
{
    for (int i = 0; i < 3; i++) {
        if (dup2(launch->std_fds[i], i) < 0) {
            fail(launch, STEP_DESCRIPTORS);
        }
    }
    for (size_t i = 0; i < launch->keep_fd_count; i++) {
        int fd = launch->keep_fds[i];

        if (fd != launch->report_fd && fdio_set_cloexec(fd, false, NULL) < 0) {
            fail(launch, STEP_DESCRIPTORS);
        }
    }
    fdio_close_except(STDERR_FILENO + 1, launch->keep_fds, launch->keep_fd_count);
}

static void child_execute(const struct launch *launch)
{
    const struct subprocess *sp = launch->sp;
    const char *const *env = sp->env != NULL ? sp->env : (const char *const *)environ;
    int told = ENOENT;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < launch->programs.count; i++) {
        /* execve changes neither list; its type is older than const. */
        execve(launch->programs.items[i], (char *const *)(uintptr_t)sp->argv,
               (char *const *)(uintptr_t)env);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
            fail(launch, STEP_EXECUTE);
        }
        told = errno == EACCES ? EACCES : told;
    }
    errno = told;
    fail(launch, STEP_EXECUTE);
}

/* Without the signal, which would end the child instead of failing its write. */
static void limit_files(const struct launch *launch)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0) {
        fail(launch, STEP_LIMIT);
    }
    if (limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur > launch->sp->file_limit_bytes) {
        limit.rlim_cur = (rlim_t)launch->sp->file_limit_bytes;
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0) {
            fail(launch, STEP_LIMIT);
        }
    }
    (void)signal(SIGXFSZ, SIG_IGN);
}

static void run_child(const struct launch *launch) __attribute__((noreturn));

static void run_child(const struct launch *launch)
{
    const struct subprocess *sp = launch->sp;

    become_default();
    if (sp->want_no_interrupt) {
        ignore_interrupts();
    }
    if (sp->file_limit_bytes > 0) {
        limit_files(launch);
    }
    if (sp->want_session && setsid() < 0) {
        fail(launch, STEP_SESSION);
    }
#ifdef __linux__
    if (sp->want_parent_death || sp->want_parent_kill) {
        if (prctl(PR_SET_PDEATHSIG, sp->want_parent_kill ? SIGKILL : SIGTERM) < 0) {
            fail(launch, STEP_PARENT_DEATH);
        }
        if (getppid() != launch->parent) { /* it died before we asked */
            _exit(127);
        }
    }
#endif
    if (sp->has_dir && fchdir(sp->dir_fd) < 0) {
        fail(launch, STEP_FOLDER);
    }
    child_descriptors(launch);
    child_execute(launch);
    _exit(127);
}

/* ---- the parent ---------------------------------------------------------------------
 */

/* Start the child with all signals blocked: one that comes before it has dropped our
 * handlers would be handled, in the child, as if it were ours. */
static pid_t fork_blocked(const struct launch *launch)
{
    sigset_t all;
    sigset_t before;
    pid_t pid;
    int saved;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        run_child(launch);
    }
    saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

static int explain(const struct failure *failure, const char *program, struct error *err)
{
    static const char *const steps[STEP_COUNT] = {
        [STEP_LIMIT] = "limit the files of",
        [STEP_SESSION] = "make a session for",
        [STEP_PARENT_DEATH] = "tie to this process:",
        [STEP_DESCRIPTORS] = "set up the descriptors of",
        [STEP_FOLDER] = "enter the working folder of",
        [STEP_EXECUTE] = "execute",
    };

    error_set(err, ERR_SPAWN, "%s %s: %s", steps[failure->step], program,
              strerror(failure->number));
    if (err != NULL) {
        err->sys = failure->number;
    }
    return -1;
}

static int launch_child(struct launch *launch, struct subprocess *sp, struct error *err)
{
    struct failure failure;
    CLEANUP_FD int report_fd = prepare_report(launch, err);
    ssize_t got;
    int status;

    if (report_fd < 0) {
        return -1;
    }
    sp->pid = fork_blocked(launch);
    if (sp->pid < 0) {
        return error_sys(err, "fork");
    }
    fdio_close(&launch->report_fd);
    got = fdio_read_full(report_fd, &failure, sizeof(failure));
    if (got != (ssize_t)sizeof(failure)) {
        return 0; /* closed by exec, or by a signal's death, which the wait will tell */
    }
    subprocess_wait(sp, &status, NULL);
    assert(failure.step >= 0 && failure.step < STEP_COUNT);
    return explain(&failure, sp->argv[0], err);
}

int subprocess_start(struct subprocess *sp, struct error *err)
{
    struct launch launch = {
        .sp = sp,
        .programs = STRVEC_INIT,
        .opened_fds = {-1, -1, -1},
        .report_fd = -1,
        .parent = getpid(),
    };
    int result;

    assert(sp->argv != NULL && sp->argv[0] != NULL);
    sp->pid = -1;
    sp->stdin_fd = -1;
    sp->stdout_fd = -1;
    sp->stderr_fd = -1;
    find_programs(&launch.programs, sp->argv[0], sp->env);
    result = prepare_stds(&launch, sp, err) < 0 || prepare_kept(&launch, sp, err) < 0 ||
                     launch_child(&launch, sp, err) < 0
                 ? -1
                 : 0;
    launch_release(&launch);
    if (result < 0) {
        sp->pid = -1;
        subprocess_stop(sp, 0);
        if (err != NULL && err->code != ERR_SPAWN) {
            err->code = ERR_SPAWN;
            error_wrap(err, "start %s", sp->argv[0]);
        }
    }
    return result;
}
