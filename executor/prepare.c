#define _GNU_SOURCE /* environ */
#include "executor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/log.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/environment_build.h"
#include "executor/environment_livy.h"
#include "executor/environment_spark.h"
#include "executor/exitslot.h"
#include "executor/processes.h"
#include "executor/rundir.h"
#include "executor/secrets.h"
#include "executor/variables_of_run.h"

/*
 * prepare: the stage that gives a run its environment. It ends with 0 once the run's pin
 * is there, else with 1 and a sentence in its slot. Where the run is being ended
 * (SIGTERM) it takes away what it began to build, and dies of that signal.
 */

#define EXIT_FAILED 1

/* Of the node's login environment, what would lead a builder elsewhere. */
static const char *const misleading[] = {"PYTHONHOME",
                                         "PYTHONPATH",
                                         "PYTHONSTARTUP",
                                         "VIRTUAL_ENV",
                                         "CONDA_PREFIX",
                                         "PIP_TARGET",
                                         "PIP_PREFIX",
                                         "PIP_USER",
                                         "PIP_ROOT",
                                         "PIP_REQUIRE_VIRTUALENV",
                                         "UV_PROJECT_ENVIRONMENT",
                                         "UV_PYTHON",
                                         "UV_TARGET",
                                         "UV_PREFIX",
                                         "UV_SYSTEM_PYTHON",
                                         "UV_CACHE_DIR",
                                         "PIP_CACHE_DIR"};

struct stage_of_run {
    struct noderoot *root;
    struct runspec spec;
    int run_fd, exit_fd, prepare_log_fd, stop_fd;
    int64_t attempt;
    struct log log;
    struct programs *programs;
    char *password; /* "NAME=..." of an attendant's */
};

/* Into the slot, which has room for it on a full disk too. */
static int give_up(const struct stage_of_run *s, const struct error *why)
{
    struct process_id self = {.pid = 0};
    (void)process_identify(getpid(), &self);
    struct exitslot slot = {
        .attempt = s->attempt,
        .stage = STAGE_PREPARE,
        .exit = {.kind = RUN_EXIT_EXITED, .code = EXIT_FAILED},
        .start = self.start,
        .by = "prepare",
    };
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "%s%s%s", why->text, why->hint[0] != '\0' ? "; " : "",
                  why->hint);
    snprintf(slot.text, sizeof(slot.text), "%.*s", EXITSLOT_TEXT_MAX - 1, text.data);
    log_line(&s->log, "%s", why->text);
    if (s->programs != NULL) {
        programs_say(s->programs, "error: %s", why->text);
        if (why->hint[0] != '\0') {
            programs_say(s->programs, "hint: %s", why->hint);
        }
    }
    if (s->exit_fd >= 0) {
        (void)exitslot_write(s->exit_fd, &slot, NULL);
    }
    return EXIT_FAILED;
}

static int open_run(struct stage_of_run *s, const struct arguments *args,
                    struct error *err)
{
    s->attempt = args->attempt;
    s->root = noderoot_open(args->root, err);
    s->run_fd = s->root == NULL ? -1 : rundir_open(s->root, args->run, err);
    if (s->run_fd < 0) {
        return -1;
    }
    s->exit_fd = openat(s->run_fd, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    s->log = (struct log){.fd = openat(s->run_fd, "control.log",
                                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                          .word = "prepare"};
    s->prepare_log_fd =
        openat(s->run_fd, "prepare.log",
               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->exit_fd < 0 || s->prepare_log_fd < 0) {
        return error_sys(err, "open the run's files");
    }
    return rundir_read_spec(s->run_fd, &s->spec, NULL, err);
}

/* A descriptor that is readable once the run is being ended. */
static int watch_signals(struct error *err)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a curl that ended takes no more */
    int fd = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? error_sys(err, "watch for signals") : fd;
}

static void die_of(int signal_number)
{
    sigset_t none;
    sigemptyset(&none);
    (void)signal(signal_number, SIG_DFL);
    (void)kill(getpid(), signal_number);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool is_misleading(const char *setting)
{
    for (size_t i = 0; i < ARRAY_SIZE(misleading); i++) {
        size_t length = strlen(misleading[i]);
        if (strncmp(setting, misleading[i], length) == 0 && setting[length] == '=') {
            return true;
        }
    }
    return false;
}

/* Every secret of the run: an index may want it; none is ever shown, and of a credential
 * ("user:password") neither the password by itself. */
static void add_secret(void *context, const char *setting)
{
    struct stage_of_run *s = context;
    const char *value = setting + strcspn(setting, "=") + 1;
    if (strncmp(setting, LIVY_PASSWORD "=", sizeof(LIVY_PASSWORD)) == 0) {
        s->password = xstrdup(setting);
    } else {
        variables_set(programs_environment(s->programs), setting);
    }
    programs_hide(s->programs, value);
    if (environment_is_credential(setting)) {
        value += strcspn(value, ":");
        programs_hide(s->programs, value + (*value != '\0'));
    }
}

/* The login environment, then the run's variables and secrets. */
static int make_environment(struct stage_of_run *s, int secrets_fd, struct error *err)
{
    struct strvec *e = programs_environment(s->programs);
    CLEANUP_STRVEC struct strvec all = STRVEC_INIT;
    for (char *const *at = environ; *at != NULL; at++) {
        strvec_push(&all, *at);
    }
    if (variables_of_run(&s->spec, &all, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (!is_misleading(all.items[i])) {
            variables_set(e, all.items[i]);
        }
    }
    variables_set(e, "NO_COLOR=1");
    return secrets_fd >= 0 ? secrets_read(secrets_fd, add_secret, s, err) : 0;
}

static int prepare(struct stage_of_run *s, const struct arguments *args,
                   struct error *err)
{
    if (open_run(s, args, err) < 0) {
        return -1;
    }
    s->stop_fd = watch_signals(err);
    if (s->stop_fd < 0) {
        return -1;
    }
    s->programs = programs_new(s->stop_fd, s->prepare_log_fd);
    if (make_environment(s, args->secrets_fd, err) < 0) {
        return -1;
    }
    const struct preparation p = {.root = s->root,
                                  .spec = &s->spec,
                                  .run_fd = s->run_fd,
                                  .attempt = s->attempt,
                                  .password = s->password,
                                  .programs = s->programs};
    bool is_for_livy = environment_livy_is(&s->spec);
    /* It may be here already, and only lack in the cluster. */
    bool is_due = environment_is_wanted(&s->spec) && !environment_is_pinned(s->run_fd);
    if (is_due && ((is_for_livy && environment_livy_learn(&p, err) < 0) ||
                   environment_prepare(&p, err) < 0)) {
        return -1;
    }
    return is_for_livy ? environment_livy_send(&p, err)
                       : environment_spark_prepare(&p, err);
}

/* Descriptors are the process's, which ends. */
static void release(struct stage_of_run *s)
{
    programs_free(s->programs);
    if (s->password != NULL) {
        mem_wipe(s->password, strlen(s->password));
    }
    free(s->password);
    noderoot_free(s->root);
    runspec_release(&s->spec);
}

int prepare_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    CLEANUP(release)
    struct stage_of_run s = {
        .run_fd = -1, .exit_fd = -1, .prepare_log_fd = -1, .stop_fd = -1, .log.fd = -1};
    runspec_init(&s.spec);
    if (arguments_parse(argc, argv, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    const int ends[] = {args.report_fd, args.go_fd, args.secrets_fd};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (ends[i] >= 0) {
            (void)fdio_set_cloexec(ends[i], true, NULL);
        }
    }
    if (prepare(&s, &args, &err) == 0) {
        return 0;
    }
    if (err.code == ERR_CANCELED) {
        die_of(SIGTERM);
    }
    return give_up(&s, &err);
}
