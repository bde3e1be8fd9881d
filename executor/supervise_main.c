#define _GNU_SOURCE /* prctl */
#include "executor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/environment.h"
#include "executor/environment_spark.h"
#include "executor/rundir.h"
#include "executor/supervisor.h"

#define SECRETS_MAX ((size_t)1 << 20)

/* What the process that was started hears from the guardian that it forked. */
struct readiness {
    int status; /* the exit status */
    char text[ERROR_TEXT_MAX];
};

/* ---- Secrets: a JSON object becomes "NAME=value" NUL ... */

static int add_secret(struct strbuf *out, const struct json *item, struct error *err)
{
    const char *name = json_key(item);
    struct strbuf value;
    strbuf_init(&value, SECRETS_MAX);
    int result = json_bytes(item, "secrets", &value, err);
    if (result == 0 && (strchr(name, '=') != NULL || name[0] == '\0' ||
                        memchr(value.data, '\0', value.length) != NULL)) {
        result = error_set(err, ERR_CORRUPT, "the secret %s cannot be a variable", name);
    }
    if (result == 0) {
        strbuf_printf(out, "%s=%s", name, value.data);
        strbuf_putc(out, '\0');
        mem_wipe(value.data, value.length);
    }
    strbuf_release(&value);
    return result;
}

static int read_secrets(int fd, struct strbuf *out, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, SECRETS_MAX);
    int result = fdio_read_all(fd, "the secrets", &text, err);
    CLEANUP_JSON struct json *j =
        result < 0 ? NULL : json_parse(text.data, text.length, NULL);
    if (result == 0 && j == NULL) {
        result = error_set(err, ERR_CORRUPT, "the secrets are no JSON");
    }
    for (const struct json *item = json_first(j); item != NULL && result == 0;
         item = json_next(item)) {
        result = add_secret(out, item, err);
    }
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
    return result;
}

/* ---- What both processes have from the start */

/* The stages' environment: ours without what is errand's, and the run's cookies. */
static void make_environment(const struct supervisor *s, struct strvec *out)
{
    variables_inherit(out);
    strvec_pushf(out, "%s=%s", RUN_ID_VARIABLE, s->spec.run);
    strvec_pushf(out, "%s=%s", RUN_DIR_VARIABLE, s->run_path);
}

static int open_files(struct supervisor *s, struct error *err)
{
    s->exit_fd = openat(s->run_fd, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (s->exit_fd < 0) {
        return error_sys(err, "open %s/exit", s->run_path);
    }
    s->control_fd =
        openat(s->run_fd, "control", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (s->control_fd < 0) {
        return error_sys(err, "open %s/control", s->run_path);
    }
    s->log = (struct log){.fd = openat(s->run_fd, "control.log",
                                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                          .word = "guardian"};
    return 0;
}

static int open_run(struct supervisor *s, const struct arguments *args, struct error *err)
{
    s->root = noderoot_open(args->root, err);
    s->run_fd = s->root == NULL ? -1 : rundir_open(s->root, args->run, err);
    if (s->run_fd < 0) {
        return -1;
    }
    snprintf(s->run_path, sizeof(s->run_path), "%s/runs/%s", s->root->path, args->run);
    s->entry_fd = queue_hold(s->root, args->run, err);
    if (s->entry_fd < 0 || queue_read(s->entry_fd, &s->entry, err) < 0 ||
        rundir_read_spec(s->run_fd, &s->spec, NULL, err) < 0 || open_files(s, err) < 0 ||
        journal_open(&s->journal, s->run_fd, err) < 0) {
        return -1;
    }
    s->is_fresh = !args->is_adopting && s->journal.seq == 1 && s->entry.process.pid == 0;
    return 0;
}

/* Everything that takes memory. */
static int prepare(struct supervisor *s, const struct arguments *args,
                   struct strvec *environment, struct strbuf *secrets, struct error *err)
{
    if (args->secrets_fd >= 0 && read_secrets(args->secrets_fd, secrets, err) < 0) {
        return -1;
    }
    if (open_run(s, args, err) < 0) {
        return -1;
    }
    s->wants_environment = environment_is_wanted(&s->spec);
    if (s->wants_environment && !environment_is_pinned(s->run_fd)) {
        (void)environment_find(s->root, s->run_fd, &s->spec);
    }
    s->has_to_ship = environment_spark_is_due(s->root, s->run_fd, &s->spec);
    make_environment(s, environment);
    cgroup_open(&s->cgroup, s->spec.run);
    struct process_id self;
    uint64_t oldest = s->entry.process.start;
    if (s->is_fresh && process_identify(getpid(), &self)) {
        oldest = self.start;
    }
    s->processes = processes_new(s->spec.run, &s->cgroup, oldest);
    s->entry.is_granted = true;
    logcap_init(&s->logcap, s->spec.log_max_bytes);
    s->setting = (struct stage_setting){
        .root_path = s->root->top,
        .run_id = s->spec.run,
        .boot = s->root->boot,
        .run_fd = s->run_fd,
        .exit_fd = s->exit_fd,
        .entry_fd = s->entry_fd,
        .entry = &s->entry,
        .cgroup = &s->cgroup,
        .environment = strvec_argv(environment),
        .secrets = secrets->length > 0 ? secrets->data : NULL,
        .secrets_length = secrets->length,
    };
    if (secrets->length > 0) {
        /* Nobody but root reads our memory, and no core has it. */
        (void)prctl(PR_SET_DUMPABLE, 0);
    }
    return 0;
}

/* ---- The two processes */

static int open_own(struct supervisor *s, struct error *err)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    s->signal_fd = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    s->limit_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->limit_fd < 0 && errno == EINVAL) { /* Linux before 3.15 */
        s->limit_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    }
    if (s->signal_fd < 0 || s->limit_fd < 0) {
        return error_sys(err, "make the descriptors to wait on");
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return 0;
}

static void become_shim(struct supervisor *s, int peer_fd)
{
    (void)prctl(PR_SET_NAME, "errand-shim");
    s->log.word = "shim";
    s->setting.by = "shim";
    s->is_parent = true;
    s->peer = getppid();
    s->peer_fd = peer_fd;
    journal_close(&s->journal); /* only the acting one writes; opened anew to act */
    struct error err = ERROR_INIT;
    if (open_own(s, &err) < 0) {
        log_line(&s->log, "%s", err.text);
        _exit(1);
    }
}

/* Fork the shim. Both hold the queue entry from here on. */
static int split(struct supervisor *s, struct error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return error_sys(err, "make a socket pair");
    }
    pid_t pid = fork();
    if (pid < 0) {
        return error_sys(err, "start the shim");
    }
    if (pid == 0) {
        fdio_close(&ends[0]);
        become_shim(s, ends[1]);
        return 0;
    }
    fdio_close(&ends[1]);
    (void)prctl(PR_SET_NAME, "errand-guardian");
    s->setting.by = "guardian";
    s->is_acting = true;
    s->peer = pid;
    s->peer_fd = ends[0];
    processes_set_peer(s->processes, pid);
    return open_own(s, err);
}

static void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void detach_files(void)
{
    CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++) {
        (void)dup2(null, fd);
    }
}

static void say(int ready_fd, int status, const char *text)
{
    struct readiness r = {.status = status};
    snprintf(r.text, sizeof(r.text), "%s", text);
    (void)fdio_write_full(ready_fd, &r, sizeof(r));
}

/* What prepare made. Descriptors stay open, and the queue entry held, until the process
 * is gone. */
static void free_supervisor(struct supervisor **p)
{
    struct supervisor *s = *p;
    processes_free(s->processes);
    logcap_close(&s->logcap);
    runspec_release(&s->spec);
    noderoot_free(s->root);
    free(s);
}

/* The process that stays. */
static int stay(const struct arguments *args, int *ready_fd)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRVEC struct strvec environment = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf secrets;
    strbuf_init(&secrets, SECRETS_MAX);
    CLEANUP(free_supervisor) struct supervisor *s = xcalloc(1, sizeof(*s));
    s->run_fd = s->exit_fd = s->entry_fd = s->control_fd = -1;
    s->peer_fd = s->signal_fd = s->limit_fd = s->adopted_fd = -1;
    s->cancel.grace_ms = -1;
    logcap_init(&s->logcap, 0);
    runspec_init(&s->spec);
    stage_init(&s->stage);
    (void)setsid();
    block_signals();
    s->setting.umask = umask(077);
    mode_t login_umask = s->setting.umask;
    if (prepare(s, args, &environment, &secrets, &err) < 0) {
        say(*ready_fd, err.code == ERR_BUSY ? SUPERVISE_BUSY : 1, err.text);
        return 1;
    }
    s->setting.umask = login_umask;
    detach_files();
    if (fchdir(s->run_fd) < 0 || split(s, &err) < 0) {
        say(*ready_fd, 1, err.text);
        return 1;
    }
    if (s->is_acting) {
        say(*ready_fd, 0, "");
    }
    fdio_close(ready_fd);
    return supervisor_loop(s);
}

int supervise_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    int ready[2];
    if (arguments_parse(argc, argv, &args, &err) < 0 || fdio_pipe(ready, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "errand-executor: fork: %s\n", strerror(errno));
        return 1;
    }
    if (pid == 0) {
        fdio_close(&ready[0]);
        return stay(&args, &ready[1]);
    }
    fdio_close(&ready[1]);
    struct readiness r = {.status = 1, .text = "the guardian died at its start"};
    struct readiness said;
    if (fdio_read_full(ready[0], &said, sizeof(said)) == (ssize_t)sizeof(said)) {
        r = said;
        r.text[sizeof(r.text) - 1] = '\0';
    }
    if (r.status != 0) {
        fprintf(stderr, "%s\n", r.text);
    }
    return r.status;
}
