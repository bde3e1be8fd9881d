#define _GNU_SOURCE /* pipe2, memfd_create, F_SETPIPE_SZ */
#include "executor/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"
#include "executor/attended.h"
#include "executor/processes.h"
#include "executor/secrets.h"

#define NUMBER_TEXT 24
#define EXIT_NOT_STARTED 125

void stage_init(struct stage_process *sp)
{
    *sp = (struct stage_process){.report_fd = -1};
}

/* -1 without an error: there are none. */
static int open_secrets(const struct stage_setting *setting, struct error *err)
{
    return setting->secrets == NULL
               ? -1
               : secrets_open(setting->secrets, setting->secrets_length, err);
}

struct child {
    int report_fd, go_fd, secrets_fd; /* the child's ends */
};

static void keep_open(int fd)
{
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, 0);
    }
}

static const char *const verbs[] = {
    [STAGE_PREPARE] = "prepare", [STAGE_RUN] = "launch", [STAGE_FINALIZE] = "finalize"};

/* As for a login, whatever supervise was started with: a shell's background job ignores
 * INT and QUIT, what nohup starts HUP, and ignored signals stay so across exec. */
static void default_signals(void)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++) {
        (void)sigaction(i, &normal, NULL); /* SIGKILL and SIGSTOP are so already */
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: become the stage. */
static void execute(const struct stage_setting *setting, const struct stage_process *sp,
                    const struct child *child) __attribute__((noreturn));
static void execute(const struct stage_setting *setting, const struct stage_process *sp,
                    const struct child *child)
{
    char attempt[NUMBER_TEXT];
    char fds[3][NUMBER_TEXT];
    snprintf(attempt, sizeof(attempt), "%lld", (long long)sp->attempt);
    snprintf(fds[0], NUMBER_TEXT, "%d", child->report_fd);
    snprintf(fds[1], NUMBER_TEXT, "%d", child->go_fd);
    snprintf(fds[2], NUMBER_TEXT, "%d", child->secrets_fd);
    const char *const argv[] = {"errand-executor",
                                verbs[sp->stage],
                                "--root",
                                setting->root_path,
                                "--run",
                                setting->run_id,
                                "--attempt",
                                attempt,
                                "--report-fd",
                                fds[0],
                                "--go-fd",
                                fds[1],
                                child->secrets_fd >= 0 ? "--secrets-fd" : NULL,
                                fds[2],
                                NULL};
    keep_open(child->report_fd);
    keep_open(child->go_fd);
    keep_open(child->secrets_fd);
    (void)setsid();
    (void)umask(setting->umask);
    default_signals();
    char *arguments[ARRAY_SIZE(argv)];
    memcpy(arguments, argv, sizeof(argv));
    execve("/proc/self/exe", arguments, setting->environment);
    _exit(EXIT_NOT_STARTED);
}

/* Put the process on record, durably. */
static int record(const struct stage_setting *setting, const struct stage_process *sp,
                  struct error *err)
{
    setting->entry->process = sp->id;
    setting->entry->attempt = sp->attempt;
    return queue_write(setting->entry_fd, setting->entry, err);
}

/* Fork, record, and say "go". */
static int start_child(struct stage_process *sp, const struct stage_setting *setting,
                       const struct child *child, int go_fd, struct error *err)
{
    pid_t pid = fork();
    if (pid < 0) {
        error_sys(err, "start a process");
        if (err != NULL) {
            err->code = ERR_SPAWN;
        }
        return -1;
    }
    if (pid == 0) {
        execute(setting, sp, child);
    }
    if (!process_identify(pid, &sp->id)) { /* it has ended already: a zombie of ours */
        sp->id = (struct process_id){.pid = pid};
    }
    snprintf(sp->id.boot, sizeof(sp->id.boot), "%s", setting->boot);
    (void)cgroup_add(setting->cgroup, pid);
    if (sp->stage == STAGE_RUN && record(setting, sp, err) < 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        setting->entry->process.pid = 0;
        sp->id.pid = 0;
        return -1;
    }
    (void)fdio_write(go_fd, "g", 1);
    return 0;
}

int stage_start(struct stage_process *sp, const struct stage_setting *setting,
                int64_t attempt, enum stage stage, struct error *err)
{
    stage_init(sp);
    sp->stage = stage;
    sp->attempt = attempt;
    int report[2];
    int go[2];
    if (fdio_pipe(report, err) < 0) {
        return -1;
    }
    if (fdio_pipe(go, err) < 0) {
        fdio_close(&report[0]);
        fdio_close(&report[1]);
        return -1;
    }
    struct error failure = ERROR_INIT;
    CLEANUP_FD int secrets_fd =
        stage != STAGE_FINALIZE ? open_secrets(setting, &failure) : -1;
    const struct child child = {report[1], go[0], secrets_fd};
    int result =
        failure.code != ERR_NONE ? -1 : start_child(sp, setting, &child, go[1], &failure);
    fdio_close(&report[1]);
    fdio_close(&go[0]);
    fdio_close(&go[1]);
    if (result < 0) {
        fdio_close(&report[0]);
        if (err != NULL) {
            *err = failure;
        }
        return -1;
    }
    (void)fdio_set_nonblocking(report[0], true, NULL);
    sp->report_fd = report[0];
    return 0;
}

bool stage_read_report(struct stage_process *sp)
{
    struct stage_report said;
    ssize_t got = fdio_read(sp->report_fd, &said, sizeof(said));
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    if (got == (ssize_t)sizeof(said)) { /* a pipe takes and gives so little whole */
        sp->said_now = said.word == STAGE_REPORT_NOW;
        sp->checkout_us = said.checkout_us;
        return false;
    }
    fdio_close(&sp->report_fd);
    sp->is_executed = sp->said_now;
    return true;
}

/* What the slot says of a process that ended thus. One that ended before it executed its
 * program could not start, whatever ended it. */
static void describe_end(struct exitslot *slot, const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED) {
        slot->exit.kind = RUN_EXIT_EXITED;
        slot->exit.code = info->si_status;
    } else {
        slot->exit.kind = RUN_EXIT_SIGNALED;
        slot->exit.signal = info->si_status;
    }
}

static void describe_not_started(struct exitslot *slot, const siginfo_t *info)
{
    slot->exit.kind = RUN_EXIT_COULD_NOT_START;
    slot->exit.code = EXIT_NOT_STARTED;
    snprintf(slot->step, sizeof(slot->step), "launch");
    snprintf(slot->text, sizeof(slot->text),
             info->si_code == CLD_EXITED
                 ? "launch ended with status %d before it executed the script"
                 : "launch was ended by signal %d before it executed the script",
             info->si_status);
}

bool stage_reap(struct stage_process *sp, const struct stage_setting *setting,
                struct exitslot *out)
{
    siginfo_t info = {.si_pid = 0};
    if (sp->id.pid == 0 ||
        waitid(P_PID, (id_t)sp->id.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0) {
        return false;
    }
    for (int reads = 0; sp->report_fd >= 0 && reads < 4; reads++) {
        (void)stage_read_report(sp);
    }
    struct error err = ERROR_INIT;
    if (exitslot_read(setting->exit_fd, sp->attempt, sp->stage, out) != EXITSLOT_VALID) {
        *out = (struct exitslot){
            .attempt = sp->attempt, .stage = sp->stage, .start = sp->id.start};
        snprintf(out->by, sizeof(out->by), "%s", setting->by);
        if (sp->stage == STAGE_RUN && !sp->is_executed) {
            describe_not_started(out, &info);
        } else {
            describe_end(out, &info);
        }
        bool is_jobs_end = sp->stage != STAGE_RUN || !sp->is_executed ||
                           out->exit.kind != RUN_EXIT_SIGNALED ||
                           !attended_is(setting->run_fd, sp->attempt);
        /* A failure costs the record only if both supervisors die before the journal's
         * last line; the end itself is in *out. */
        if (is_jobs_end) {
            (void)exitslot_write(setting->exit_fd, out, &err);
        }
    }
    while (waitpid((pid_t)sp->id.pid, NULL, 0) < 0 && errno == EINTR) {
    }
    sp->id.pid = 0;
    return true;
}

void stage_reap_others(const struct stage_process *sp, pid_t spare)
{
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
            info.si_pid == 0 || info.si_pid == sp->id.pid || info.si_pid == spare) {
            return;
        }
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}
