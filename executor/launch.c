#define _GNU_SOURCE /* environ */
#include "executor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/log.h"
#include "common/store.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/attended.h"
#include "executor/checkout.h"
#include "executor/command.h"
#include "executor/container.h"
#include "executor/environment.h"
#include "executor/environment_activate.h"
#include "executor/environment_livy.h"
#include "executor/exitslot.h"
#include "executor/launch_livy.h"
#include "executor/launch_spark.h"
#include "executor/processes.h"
#include "executor/rundir.h"
#include "executor/secrets.h"
#include "executor/stage.h"
#include "executor/variables_of_run.h"

#define EXIT_FAILED 125
#define IMAGE_MAX ((size_t)4 << 10)

struct launch {
    struct noderoot *root;
    struct runspec spec;
    int run_fd, exit_fd;
    int64_t attempt, checkout_ns;
    struct log log;
    struct strvec environment;
    struct command command;
    struct environment_pin pin;
    char *interpreter; /* of the run's environment; NULL: it has none */
    bool is_contained;
};

/* Why it could not start: {step, code, sentence}, into the slot. Returns the exit status.
 */
static int give_up(const struct launch *l, const char *step, int code, const char *text)
{
    struct process_id self = {.pid = 0};
    (void)process_identify(getpid(), &self);
    struct exitslot slot = {
        .attempt = l->attempt,
        .stage = STAGE_RUN,
        .exit = {.kind = RUN_EXIT_COULD_NOT_START, .code = code},
        .start = self.start,
        .by = "launch",
    };
    snprintf(slot.step, sizeof(slot.step), "%s", step);
    snprintf(slot.text, sizeof(slot.text), "%s", text);
    struct error err = ERROR_INIT;
    log_line(&l->log, "%s: %s", step, text);
    if (exitslot_write(l->exit_fd, &slot, &err) < 0) {
        log_line(&l->log, "%s", err.text);
    }
    return code;
}

/* ---- The environment */

static void add_secret(void *context, const char *setting)
{
    struct launch *l = context;
    CLEANUP_FREE char *name = xstrndup(setting, strcspn(setting, "="));
    if (!environment_is_credential(name)) {
        variables_set(&l->environment, setting);
    }
}

/* The login environment that the supervisors kept (an image has its own), then the run's
 * variables and secrets, then errand's own. */
static int make_environment(struct launch *l, int secrets_fd, struct error *err)
{
    struct strvec *e = &l->environment;
    for (char *const *at = environ; *at != NULL && !l->is_contained; at++) {
        strvec_push(e, *at);
    }
    if (variables_of_run(&l->spec, e, err) < 0) {
        return -1;
    }
    if (secrets_fd >= 0 && secrets_read(secrets_fd, add_secret, l, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < l->spec.secrets.count; i++) {
        /* An attendant may go on without: what it looks after has had them. */
        if (!environment_is_credential(l->spec.secrets.items[i]) &&
            variables_find(e, l->spec.secrets.items[i]) == NULL &&
            !attended_is(l->run_fd, l->attempt)) {
            return error_set(err, ERR_NOT_FOUND, "the secret %s was not sent",
                             l->spec.secrets.items[i]);
        }
    }
    if (variables_find(e, "PYTHONUNBUFFERED") == NULL) {
        strvec_push(e, "PYTHONUNBUFFERED=1");
    }
    CLEANUP_FREE char *dir = xasprintf("%s/runs/%s", l->root->path, l->spec.run);
    CLEANUP_FREE char *work = files_join(dir, "work");
    /* Of a Livy's script it is elsewhere. */
    if (environment_is_wanted(&l->spec) && !environment_livy_is(&l->spec) &&
        environment_activate(&l->pin, &l->spec, work, e, &l->interpreter, err) < 0) {
        return -1;
    }
    variables_setf(e, "%s=%s", RUN_ID_VARIABLE, l->spec.run);
    variables_setf(e, "%s=%s", RUN_DIR_VARIABLE, dir);
    variables_setf(e, "ERRAND_EXPERIMENT=%s", l->spec.experiment);
    variables_setf(e, "ERRAND_ATTEMPT=%lld", (long long)l->attempt);
    variables_setf(e, "ERRAND_METRICS=%s/metrics", dir);
    if (l->spec.outputs.count > 0) {
        variables_setf(e, "ERRAND_OUTPUTS=%s/%s", work, l->spec.outputs.items[0]);
    }
    variables_setf(e, "PWD=%s", work);
    return 0;
}

/* ---- The steps */

static int open_run(struct launch *l, const struct arguments *args, struct error *err)
{
    l->attempt = args->attempt;
    l->root = noderoot_open(args->root, err);
    l->run_fd = l->root == NULL ? -1 : rundir_open(l->root, args->run, err);
    if (l->run_fd < 0 || rundir_read_spec(l->run_fd, &l->spec, NULL, err) < 0) {
        return -1;
    }
    l->exit_fd = openat(l->run_fd, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (l->exit_fd < 0) {
        return error_sys(err, "open the record of ends");
    }
    l->log = (struct log){.fd = openat(l->run_fd, "control.log",
                                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                          .word = "launch"};
    return 0;
}

static int check_out(struct launch *l, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(l->root, err);
    struct checkout_facts facts;
    int64_t begin_ns = clock_monotonic_ns();
    if (store == NULL ||
        checkout_make(l->root, l->run_fd, store, &l->spec, &facts, err) < 0) {
        return -1;
    }
    l->checkout_ns = clock_monotonic_ns() - begin_ns;
    char size[FILES_SIZE_TEXT];
    files_format_size(size, facts.totals.size_bytes);
    log_line(&l->log, "%s %llu files, %s, in %lld ms",
             facts.was_spare ? "brought a spare checkout up to date:" : "checked out",
             (unsigned long long)facts.totals.files, size,
             (long long)(l->checkout_ns / NS_PER_MS));
    return 0;
}

/* The log of this name as stdout and stderr, one open file; nothing as stdin. */
static int open_streams(const struct launch *l, const char *name, struct error *err)
{
    CLEANUP_FD int log = openat(
        l->run_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
        dup2(log, 2) < 0) {
        return error_sys(err, "open %s", name);
    }
    return 0;
}

/* Wait until the process is on record. False: the supervisor died, and nobody would know
 * of a script that began now. */
static bool wait_for_go(int go_fd)
{
    char byte;
    return go_fd < 0 || fdio_read(go_fd, &byte, 1) == 1;
}

/* So it is no end of the script's, whoever reads this process's status. */
static int give_up_untold(const struct launch *l)
{
    return give_up(l, STAGE_STEP_GO, EXIT_FAILED,
                   "its supervisor died before it was to begin");
}

static void report(int report_fd, const struct stage_report *said)
{
    if (report_fd >= 0) {
        (void)fdio_write(report_fd, said, sizeof(*said));
    }
}

/* Become what l->command says. */
static int become(struct launch *l, const struct arguments *args, const char *log)
{
    char text[EXITSLOT_TEXT_MAX];
    struct error err = ERROR_INIT;
    if (!wait_for_go(args->go_fd)) {
        return give_up_untold(l);
    }
    if (open_streams(l, log, &err) < 0) {
        return give_up(l, "exec", EXIT_FAILED, err.text);
    }
    /* What an attendant looks after is elsewhere. */
    if (!attended_is(l->run_fd, l->attempt)) {
        command_offer_to_oom_killer();
    }
    struct stage_report said = {.word = STAGE_REPORT_NOW,
                                .checkout_us = l->checkout_ns / NS_PER_US};
    report(args->report_fd, &said);
    attended_become(l->run_fd, l->attempt);
    (void)signal(SIGPIPE, SIG_DFL);
    execve(l->command.program, strvec_argv(&l->command.argv),
           strvec_argv(&l->environment));
    int code = command_explain(&l->command, errno, text, sizeof(text));
    code = give_up(l, "exec", code, text);
    said.word = STAGE_REPORT_FAILED;
    report(args->report_fd, &said);
    return code;
}

/* Become the script. */
static int execute(struct launch *l, const struct arguments *args)
{
    char text[EXITSLOT_TEXT_MAX];
    int code = command_resolve(&l->command, &l->spec, l->interpreter, &l->environment,
                               text, sizeof(text));
    return code != 0 ? give_up(l, "exec", code, text) : become(l, args, "driver.log");
}

/* End as the script did. */
static int end_like(int status)
{
    const struct rlimit none = {0, 0};
    if (!WIFSIGNALED(status)) {
        return WEXITSTATUS(status);
    }
    sigset_t all;
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(WTERMSIG(status), SIG_DFL);
    (void)kill(getpid(), WTERMSIG(status));
    sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    return 128 + WTERMSIG(status);
}

/* How the script ended, where more is known than this process's own end will say, which
 * is no success of the script's, should the slot not be written. Returns the exit status.
 */
static int note_end(const struct launch *l, struct exitslot *slot)
{
    struct process_id self = {.pid = 0};
    struct error err = ERROR_INIT;
    (void)process_identify(getpid(), &self);
    slot->start = self.start;
    if (slot->text[0] != '\0') {
        log_line(&l->log, "%s", slot->text);
    }
    if (exitslot_write(l->exit_fd, slot, &err) < 0) {
        log_line(&l->log, "%s", err.text);
    }
    if (slot->exit.kind == RUN_EXIT_SIGNALED) {
        return end_like(slot->exit.signal);
    }
    return slot->exit.kind == RUN_EXIT_EXITED ? slot->exit.code : EXIT_FAILED;
}

static char *read_link(const char *path)
{
    char text[4096];
    ssize_t length = readlink(path, text, sizeof(text));
    return length > 0 && length < (ssize_t)sizeof(text) ? xstrndup(text, (size_t)length)
                                                        : NULL;
}

/* The script is the container's; this process stays, and ends as it does. */
static int start_container(struct launch *l, const struct arguments *args)
{
    struct error err = ERROR_INIT;
    int report_fd = args->report_fd;
    int status = 0;
    int code = EXIT_FAILED;
    mode_t mask = umask(0);
    (void)umask(mask);
    CLEANUP_FREE char *folder = xasprintf("%s/runs/%s", l->root->path, l->spec.run);
    CLEANUP_FREE char *self = read_link("/proc/self/exe");
    CLEANUP_FREE char *image_path = files_join(l->pin.prefix, CONTAINER_IMAGE_FILE);
    struct strbuf image;
    strbuf_init(&image, IMAGE_MAX);
    if (self == NULL || access(self, X_OK) < 0) {
        return give_up(l, "container", EXIT_FAILED,
                       "the executor's own file is gone; run it again");
    }
    if (files_read(AT_FDCWD, image_path, &image, &err) < 0) {
        return give_up(l, "container", EXIT_FAILED, err.text);
    }
    const struct container c = {.engine = l->pin.interpreter,
                                .image = image.data,
                                .run = l->spec.run,
                                .folder = folder,
                                .self = self,
                                .attempt = l->attempt,
                                .umask = (unsigned)mask};
    const struct stage_report said = {.word = STAGE_REPORT_NOW,
                                      .checkout_us = l->checkout_ns / NS_PER_US};
    if (!wait_for_go(args->go_fd)) {
        return give_up_untold(l);
    }
    int result =
        container_run(&c, &l->environment, &said, &report_fd, &status, &code, &err);
    strbuf_release(&image);
    if (result > 0) {
        struct exitslot slot = {.attempt = l->attempt,
                                .stage = STAGE_RUN,
                                .exit.kind = RUN_EXIT_UNKNOWN,
                                .by = "launch"};
        snprintf(slot.text, sizeof(slot.text), "%.300s", err.text);
        return note_end(l, &slot);
    }
    return result < 0 ? give_up(l, "container", code, err.text) : end_like(status);
}

/* An attendant starts the cluster's programs, not the run's: it gets what this process
 * has, and the secrets, which it passes on. */
static void leave_login_environment(struct launch *l)
{
    CLEANUP_STRVEC struct strvec all = l->environment;
    l->environment = (struct strvec)STRVEC_INIT;
    for (char *const *at = environ; *at != NULL; at++) {
        strvec_push(&l->environment, *at);
    }
    for (size_t i = 0; i < l->spec.secrets.count; i++) {
        const char *value = variables_find(&all, l->spec.secrets.items[i]);
        if (value != NULL) {
            variables_setf(&l->environment, "%s=%s", l->spec.secrets.items[i], value);
        }
    }
}

/* The script is a Livy's; this process stays, and ends as it does. */
static int start_livy(struct launch *l, const struct arguments *args)
{
    struct exitslot slot = {.attempt = l->attempt, .stage = STAGE_RUN, .by = "launch"};
    int report_fd = args->report_fd;
    int status = 0;
    CLEANUP_FREE char *run_path = xasprintf("%s/runs/%s", l->root->path, l->spec.run);
    const struct launch_livy livy = {.spec = &l->spec,
                                     .run_path = run_path,
                                     .variables = &l->environment,
                                     .log = &l->log,
                                     .attempt = l->attempt,
                                     .run_fd = l->run_fd};
    const struct stage_report said = {.word = STAGE_REPORT_NOW,
                                      .checkout_us = l->checkout_ns / NS_PER_US};
    struct error err = ERROR_INIT;
    if (attended_announce(l->run_fd, l->attempt, &err) < 0) {
        return give_up(l, "livy", EXIT_FAILED, err.text);
    }
    if (!wait_for_go(args->go_fd)) {
        return give_up_untold(l);
    }
    return launch_livy_run(&livy, &said, &report_fd, &slot, &status) ? note_end(l, &slot)
                                                                     : end_like(status);
}

/* Spark's driver: in this process's care, or in that of an attendant, which it becomes.
 */
static int start_spark(struct launch *l, const struct arguments *args)
{
    struct error err = ERROR_INIT;
    if (l->is_contained) {
        return give_up(l, "spark", EXIT_FAILED,
                       "Spark is the node's own, and is not started in a container: the "
                       "run's environment may not be an image");
    }
    struct exitslot slot = {.attempt = l->attempt, .stage = STAGE_RUN, .by = "launch"};
    int report_fd = args->report_fd;
    CLEANUP(launch_spark_release)
    struct launch_spark spark = {.root = l->root,
                                 .spec = &l->spec,
                                 .pin = &l->pin,
                                 .interpreter = l->interpreter,
                                 .variables = &l->environment,
                                 .log = &l->log,
                                 .attempt = l->attempt,
                                 .run_fd = l->run_fd};
    if (launch_spark_prepare(&spark, &err) < 0) {
        return give_up(l, "spark", EXIT_FAILED, err.text);
    }
    if (spark.is_attended) {
        if (attended_announce(l->run_fd, l->attempt, &err) < 0) {
            return give_up(l, "spark", EXIT_FAILED, err.text);
        }
        leave_login_environment(l);
        l->command.argv = spark.argv;
        l->command.program = xstrdup(spark.argv.items[0]);
        spark.argv = (struct strvec)STRVEC_INIT;
        return become(l, args, "engine.log");
    }
    const struct stage_report said = {.word = STAGE_REPORT_NOW,
                                      .checkout_us = l->checkout_ns / NS_PER_US};
    if (!wait_for_go(args->go_fd)) {
        return give_up_untold(l);
    }
    command_offer_to_oom_killer();
    launch_spark_run(&spark, &said, &report_fd, &slot);
    return note_end(l, &slot);
}

static int read_pin(struct launch *l, struct error *err)
{
    if (!environment_is_wanted(&l->spec)) {
        return 0;
    }
    if (environment_read_pin(l->run_fd, &l->pin, err) < 0) {
        return error_wrap(err, "the run's environment");
    }
    l->is_contained = strcmp(l->pin.activation, CONTAINER_ACTIVATION) == 0;
    return 0;
}

static int start_script(struct launch *l, const struct arguments *args)
{
    struct error err = ERROR_INIT;
    if (read_pin(l, &err) < 0 || make_environment(l, args->secrets_fd, &err) < 0) {
        return give_up(l, "environment", EXIT_FAILED, err.text);
    }
    if (check_out(l, &err) < 0) {
        if (!attended_is(l->run_fd, l->attempt)) {
            return give_up(l, "checkout", EXIT_FAILED, err.text);
        }
        /* An attendant that is started again has the work tree of before, which no script
         * was in: its job is not given up for want of another. */
        log_line(&l->log, "goes on in the work tree that is there: %s", err.text);
    }
    CLEANUP_FD int work = files_open_dir(l->run_fd, "work", &err);
    if (work < 0 || fchdir(work) < 0) {
        return give_up(l, "checkout", EXIT_FAILED, "the work tree cannot be entered");
    }
    if (l->spec.framework == FRAMEWORK_PYSPARK && l->spec.spark->livy != NULL) {
        return start_livy(l, args);
    }
    return l->spec.framework == FRAMEWORK_PYSPARK ? start_spark(l, args)
           : l->is_contained                      ? start_container(l, args)
                                                  : execute(l, args);
}

/* Descriptors are the process's, which ends. */
static void release(struct launch *l)
{
    noderoot_free(l->root);
    runspec_release(&l->spec);
    strvec_release(&l->environment);
    command_release(&l->command);
    environment_pin_release(&l->pin);
    free(l->interpreter);
}

int launch_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    CLEANUP(release)
    struct launch l = {.run_fd = -1, .exit_fd = -1, .log.fd = -1};
    runspec_init(&l.spec);
    environment_pin_init(&l.pin);
    (void)signal(SIGPIPE, SIG_IGN); /* a supervisor that died meanwhile hears no report */
    if (arguments_parse(argc, argv, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return EXIT_FAILED;
    }
    const int ends[] = {args.report_fd, args.go_fd, args.secrets_fd};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (ends[i] >= 0) {
            (void)fdio_set_cloexec(ends[i], true, NULL);
        }
    }
    if (open_run(&l, &args, &err) < 0) {
        return l.exit_fd >= 0 ? give_up(&l, "launch", EXIT_FAILED, err.text)
                              : EXIT_FAILED;
    }
    return start_script(&l, &args);
}
