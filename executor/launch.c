#define _GNU_SOURCE /* environ */
#include "executor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/log.h"
#include "common/store.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/checkout.h"
#include "executor/environment.h"
#include "executor/environment_activate.h"
#include "executor/exitslot.h"
#include "executor/processes.h"
#include "executor/rundir.h"
#include "executor/secrets.h"
#include "executor/stage.h"

#define EXIT_FAILED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127
#define OOM_SCORE "500\n"

struct launch {
    struct noderoot *root;
    struct runspec spec;
    int run_fd, exit_fd;
    int64_t attempt, checkout_ns;
    struct log log;
    struct strvec environment, argv;
    char *interpreter; /* of the run's environment; NULL: it has none */
    char *program;     /* what is executed */
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

/* The login environment that the supervisors kept, then the run's variables and secrets,
 * then errand's own. */
static int make_environment(struct launch *l, int secrets_fd, struct error *err)
{
    struct strvec *e = &l->environment;
    for (char *const *at = environ; *at != NULL; at++) {
        strvec_push(e, *at);
    }
    for (size_t i = 0; i < l->spec.variables.count; i++) {
        variables_set(e, l->spec.variables.items[i]);
    }
    if (secrets_fd >= 0 && secrets_read(secrets_fd, add_secret, l, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < l->spec.secrets.count; i++) {
        if (!environment_is_credential(l->spec.secrets.items[i]) &&
            variables_find(e, l->spec.secrets.items[i]) == NULL) {
            return error_set(err, ERR_NOT_FOUND, "the secret %s was not sent",
                             l->spec.secrets.items[i]);
        }
    }
    if (variables_find(e, "PYTHONUNBUFFERED") == NULL) {
        strvec_push(e, "PYTHONUNBUFFERED=1");
    }
    CLEANUP_FREE char *dir = xasprintf("%s/runs/%s", l->root->path, l->spec.run);
    CLEANUP_FREE char *work = files_join(dir, "work");
    if (environment_is_wanted(&l->spec) &&
        environment_activate(l->run_fd, &l->spec, work, e, &l->interpreter, err) < 0) {
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

/* ---- What is executed */

/* Look name up in the run's own PATH, as execvp(3) does. NULL: not found, or (errno
 * EACCES) found where it may not be executed. The working folder is work/. */
static char *find_in_path(const char *name, const char *path)
{
    bool is_denied = false;
    for (const char *at = path; at != NULL;) {
        size_t length = strcspn(at, ":");
        CLEANUP_FREE char *dir = xstrndup(length > 0 ? at : ".", length > 0 ? length : 1);
        CLEANUP_FREE char *file = files_join(dir, name);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(file, X_OK) == 0) {
                return TAKE_PTR(file);
            }
            is_denied = true;
        }
        at = at[length] == ':' ? at + length + 1 : NULL;
    }
    errno = is_denied ? EACCES : ENOENT;
    return NULL;
}

/*
 * What starts a python script, malloc'ed: as it was named, "~/" being the run's HOME.
 * Python looks for its virtual environment from argv[0], so that this is what stands
 * there too. NULL: there is no HOME.
 */
static char *find_interpreter(const struct launch *l)
{
    const char *name = l->interpreter != NULL ? l->interpreter : l->spec.interpreter;
    const char *home = variables_find(&l->environment, "HOME");
    if (name == NULL || strncmp(name, "~/", 2) != 0) {
        return xstrdup(name != NULL ? name : "python3");
    }
    return home != NULL && home[0] == '/' ? files_join(home, name + 2) : NULL;
}

/* Fill argv and program. Returns 0, or an exit status (126, 127) with a sentence. */
static int resolve(struct launch *l, char *text, size_t size)
{
    const struct runspec *spec = &l->spec;
    bool is_python = spec->framework == FRAMEWORK_PYTHON && spec->script != NULL;
    CLEANUP_FREE char *interpreter = is_python ? find_interpreter(l) : NULL;
    const char *first = is_python ? interpreter : spec->script;
    if (is_python && first == NULL) {
        snprintf(text, size, "%.100s: HOME is not set on the node", spec->interpreter);
        return EXIT_NOT_FOUND;
    }
    if (first != NULL) {
        strvec_push(&l->argv, first);
    }
    if (is_python) {
        strvec_push(&l->argv, spec->script);
    }
    for (size_t i = 0; i < spec->command.count; i++) {
        strvec_push(&l->argv, spec->command.items[i]);
    }
    if (l->argv.count == 0 || l->argv.items[0][0] == '\0') {
        snprintf(text, size, "the command is empty");
        return EXIT_NOT_FOUND;
    }
    const char *name = l->argv.items[0];
    bool is_script = !is_python && spec->script != NULL;
    if (is_script || strchr(name, '/') != NULL) {
        /* A script without a slash lies in the working folder, not in PATH. */
        l->program = is_script ? xasprintf("./%s", name) : xstrdup(name);
        return 0;
    }
    l->program = find_in_path(name, variables_find(&l->environment, "PATH"));
    if (l->program == NULL) {
        bool is_denied = errno == EACCES;
        snprintf(text, size,
                 is_denied ? "%.100s in PATH may not be executed"
                           : "%.100s: not found in PATH",
                 name);
        return is_denied ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND;
    }
    return 0;
}

/* Say why execve failed, so that a person knows what to change. */
static int explain(const char *program, int failure, char *text, size_t size)
{
    switch (failure) {
    case ENOENT:
        if (access(program, F_OK) == 0) {
            snprintf(text, size, "%.100s: the program in its #! line was not found",
                     program);
        } else {
            snprintf(text, size, "%.100s: not found", program);
        }
        return EXIT_NOT_FOUND;
    case EACCES:
        snprintf(text, size, "%.100s: may not be executed (chmod +x?)", program);
        return EXIT_NOT_EXECUTABLE;
    case ENOEXEC:
        snprintf(text, size, "%.100s: neither a program nor a script with a #! line",
                 program);
        return EXIT_NOT_EXECUTABLE;
    case E2BIG:
        snprintf(text, size, "%.100s: arguments and environment are too long", program);
        return EXIT_NOT_EXECUTABLE;
    default:
        snprintf(text, size, "%.80s: %.60s", program, strerror(failure));
        return EXIT_NOT_EXECUTABLE;
    }
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

/* driver.log as stdout and stderr, one open file; nothing as stdin. */
static int open_streams(const struct launch *l, struct error *err)
{
    CLEANUP_FD int log =
        openat(l->run_fd, "driver.log",
               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
        dup2(log, 2) < 0) {
        return error_sys(err, "open driver.log");
    }
    return 0;
}

/* Where the kernel has to choose, the script goes before its supervisors. */
static void offer_to_oom_killer(void)
{
    CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdio_write(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1);
    }
}

/* Wait until the process is on record. False: the supervisor died, and nobody would know
 * of a script that began now. */
static bool wait_for_go(int go_fd)
{
    char byte;
    return go_fd < 0 || fdio_read(go_fd, &byte, 1) == 1;
}

static void report(int report_fd, const struct stage_report *said)
{
    if (report_fd >= 0) {
        (void)fdio_write(report_fd, said, sizeof(*said));
    }
}

static int start_script(struct launch *l, const struct arguments *args)
{
    char text[EXITSLOT_TEXT_MAX];
    struct error err = ERROR_INIT;
    if (make_environment(l, args->secrets_fd, &err) < 0) {
        return give_up(l, "environment", EXIT_FAILED, err.text);
    }
    if (check_out(l, &err) < 0) {
        return give_up(l, "checkout", EXIT_FAILED, err.text);
    }
    CLEANUP_FD int work = files_open_dir(l->run_fd, "work", &err);
    if (work < 0 || fchdir(work) < 0) {
        return give_up(l, "checkout", EXIT_FAILED, "the work tree cannot be entered");
    }
    int code = resolve(l, text, sizeof(text));
    if (code != 0) {
        return give_up(l, "exec", code, text);
    }
    if (!wait_for_go(args->go_fd)) {
        return EXIT_FAILED;
    }
    if (open_streams(l, &err) < 0) {
        return give_up(l, "exec", EXIT_FAILED, err.text);
    }
    offer_to_oom_killer();
    struct stage_report said = {.word = STAGE_REPORT_NOW,
                                .checkout_us = l->checkout_ns / NS_PER_US};
    report(args->report_fd, &said);
    execve(l->program, strvec_argv(&l->argv), strvec_argv(&l->environment));
    code = explain(l->program, errno, text, sizeof(text));
    code = give_up(l, "exec", code, text);
    said.word = STAGE_REPORT_FAILED;
    report(args->report_fd, &said);
    return code;
}

/* Descriptors are the process's, which ends. */
static void release(struct launch *l)
{
    noderoot_free(l->root);
    runspec_release(&l->spec);
    strvec_release(&l->environment);
    strvec_release(&l->argv);
    free(l->interpreter);
    free(l->program);
}

int launch_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    CLEANUP(release)
    struct launch l = {.run_fd = -1, .exit_fd = -1, .log.fd = -1};
    runspec_init(&l.spec);
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
