/*
 * attend_main: the verb attend: an attendant of this node's Spark on YARN. [executor]
 */
#define _GNU_SOURCE /* environ, O_NOFOLLOW */
#include "executor/attend.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/store.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/environment.h"
#include "executor/exitslot.h"
#include "executor/http_curl.h"
#include "executor/processes.h"
#include "executor/rundir.h"
#include "executor/spark_node.h"
#include "executor/spark_submit.h"

#define EXIT_FAILED 125
#define DRIVER_FILE "errand_driver.py"
#define PROJECT_FILE "project.tar"
#define PROJECT_ALIAS "project"

struct attending {
    struct noderoot *root;
    struct runspec spec;
    int run_fd, exit_fd;
    int64_t attempt;
    struct log log;
    struct strvec environment; /* of what is started */
    struct spark_node node;
    struct spark_place place;
    char *tag;
};

static int open_run(struct attending *a, const struct arguments *args, struct error *err)
{
    a->attempt = args->attempt;
    a->root = noderoot_open(args->root, err);
    a->run_fd = a->root == NULL ? -1 : rundir_open(a->root, args->run, err);
    if (a->run_fd < 0 || rundir_read_spec(a->run_fd, &a->spec, NULL, err) < 0) {
        return -1;
    }
    a->exit_fd = openat(a->run_fd, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    a->log = (struct log){.fd = openat(a->run_fd, "control.log",
                                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                          .word = "attend"};
    if (a->exit_fd < 0) {
        return error_sys(err, "open the record of ends");
    }
    return a->spec.spark != NULL
               ? 0
               : error_set(err, ERR_USAGE, "the run is none of the framework pyspark");
}

/* Is there perhaps a job already? Then only one that goes on can say how it ends. */
static bool may_be_submitted(const struct attending *a)
{
    struct stat st;
    return a->run_fd >= 0 &&
           fstatat(a->run_fd, "engine", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

static int find_spark(struct attending *a, struct error *err)
{
    const struct spark_wish wish = {.home = a->spec.spark->home,
                                    .variables = &a->environment};
    for (char *const *setting = environ; *setting != NULL; setting++) {
        strvec_push(&a->environment, *setting);
    }
    if (spark_node_find(a->root, &wish, &a->node, err) < 0 ||
        spark_place_choose(&a->place, a->spec.spark, &a->node, err) < 0) {
        return -1;
    }
    if (a->node.rm.count == 0) {
        error_set(err, ERR_NOT_FOUND,
                  "the node's configuration names no ResourceManager (looked in %s)",
                  a->node.hadoop_conf_dir);
        return error_hint(err, "is HADOOP_CONF_DIR right?");
    }
    return 0;
}

/* ---- What is submitted */

static char *run_path(const struct attending *a, const char *name)
{
    return xasprintf("%s/runs/%s/%s", a->root->path, a->spec.run, name);
}

/* The snapshot as an archive in the run's folder, which spark-submit brings along. */
static int archive_project(struct attending *a, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(a->root, err);
    CLEANUP_FD int fd =
        store == NULL
            ? -1
            : openat(a->run_fd, PROJECT_FILE,
                     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct archive_facts facts;
    if (fd < 0) {
        return store == NULL ? -1 : error_sys(err, "make " PROJECT_FILE);
    }
    const struct archive_request request = {.out_fd = fd};
    const struct object_source source = store_source(store);
    return archive_snapshot(&request, &source, &a->spec.root, &facts, err);
}

/* Beside the run's own: who it is, and that the engine started it. */
static void add_variables(const struct attending *a, struct strvec *out)
{
    for (size_t i = 0; i < a->spec.variables.count; i++) {
        variables_set(out, a->spec.variables.items[i]);
    }
    for (size_t i = 0; i < a->spec.secrets.count; i++) {
        const char *name = a->spec.secrets.items[i];
        const char *value = getenv(name);
        if (value != NULL && !environment_is_credential(name)) {
            variables_setf(out, "%s=%s", name, value);
        }
    }
    variables_setf(out, "%s=%s", RUN_ID_VARIABLE, a->spec.run);
    variables_setf(out, "%s=engine", ROLE_VARIABLE);
    variables_setf(out, "ERRAND_EXPERIMENT=%s", a->spec.experiment);
    variables_setf(out, "ERRAND_ATTEMPT=%lld", (long long)a->attempt);
}

/* Where modules of the project are found, in a container. */
static void add_python_path(const struct attending *a, struct strvec *out)
{
    const char *slash = strrchr(a->spec.script, '/');
    if (slash != NULL) {
        strvec_pushf(out, PROJECT_ALIAS "/%.*s", (int)(slash - a->spec.script),
                     a->spec.script);
    }
    strvec_push(out, PROJECT_ALIAS);
}

static int write_driver(struct attending *a, const char *token, struct error *err)
{
    CLEANUP_STRVEC struct strvec variables = STRVEC_INIT, python_path = STRVEC_INIT;
    struct strbuf text;
    strbuf_init(&text, (size_t)16 << 20);
    add_variables(a, &variables);
    add_python_path(a, &python_path);
    const struct spark_driver driver = {.spec = &a->spec,
                                        .attempt = a->attempt,
                                        .project = PROJECT_ALIAS,
                                        .python_path = &python_path,
                                        .variables = &variables,
                                        .token = token};
    spark_driver_write(&driver, &text);
    int result =
        files_write_atomic(a->run_fd, DRIVER_FILE, text.data, text.length, 0600, err);
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
    return result;
}

static int submission(void *context, const char *token, struct strvec *argv,
                      struct strvec *environment, struct error *err)
{
    struct attending *a = context;
    CLEANUP_STRVEC struct strvec archives = STRVEC_INIT, conf = STRVEC_INIT;
    CLEANUP_FREE char *work = run_path(a, "work");
    CLEANUP_FREE char *driver = run_path(a, DRIVER_FILE);
    const char *python = a->node.python[0] != '\0' ? a->node.python : "python3";
    if (archive_project(a, err) < 0 || write_driver(a, token, err) < 0) {
        return -1;
    }
    strvec_pushf(&archives, "%s/runs/%s/" PROJECT_FILE "#" PROJECT_ALIAS, a->root->path,
                 a->spec.run);
    strvec_push(&conf, "spark.executorEnv.PYTHONPATH=" PROJECT_ALIAS);
    const struct spark_submission submission = {.spec = &a->spec,
                                                .node = &a->node,
                                                .place = &a->place,
                                                .attempt = a->attempt,
                                                .work = work,
                                                .driver = driver,
                                                .executor_python = python,
                                                .archives = &archives,
                                                .conf = &conf};
    spark_submit_arguments(&submission, argv);
    for (size_t i = 0; i < a->environment.count; i++) {
        strvec_push(environment, a->environment.items[i]);
    }
    /* spark-env.sh would set its own where there is none. */
    variables_setf(environment, "PYSPARK_PYTHON=%s", python);
    variables_unset(environment, "PYSPARK_DRIVER_PYTHON");
    variables_unset(environment, "PYSPARK_DRIVER_PYTHON_OPTS");
    return 0;
}

/* ---- Attending */

/* "http://jhs:19888" of "http://jhs:19888/jobhistory/logs"; NULL: there is none. */
static char *history_of(const char *log_server)
{
    const char *host = strstr(log_server, "://");
    return host == NULL || http_check_url(log_server, NULL) < 0
               ? NULL
               : xstrndup(log_server,
                          (size_t)(host + 3 - log_server) + strcspn(host + 3, "/?#"));
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void attend(struct attending *a, struct attend_verdict *out)
{
    bool is_kerberos = strcmp(a->node.security, "kerberos") == 0;
    const struct http_settings settings = {.login = is_kerberos ? HTTP_LOGIN_NEGOTIATE
                                                                : HTTP_LOGIN_NONE};
    const char *curl = or_null(a->node.curl);
    CLEANUP_HTTP struct http *http =
        http_curl_new(curl != NULL ? curl : "curl", &settings);
    CLEANUP_FREE char *history = history_of(a->node.log_server);
    const struct attend_yarn what = {
        .run_fd = a->run_fd,
        .attempt = a->attempt,
        .tag = a->tag,
        .http = http,
        .managers = &a->node.rm,
        .history = history,
        .user = is_kerberos ? NULL : or_null(a->node.user),
        .yarn = or_null(a->node.yarn),
        .hadoop = or_null(a->node.hadoop),
        .staging = or_null(a->node.staging),
        .submit_timeout_ms = a->spec.spark->submit_timeout_ms,
        .submission = submission,
        .context = a,
        .log = &a->log,
    };
    attend_yarn(&what, out);
}

/* What cannot be said by how a process ends stands in the slot. */
static void write_slot(struct attending *a, const struct attend_verdict *verdict)
{
    struct error err = ERROR_INIT;
    struct process_id self = {.pid = 0};
    (void)process_identify(getpid(), &self);
    struct exitslot slot = {.attempt = a->attempt,
                            .stage = STAGE_RUN,
                            .exit = verdict->exit,
                            .start = self.start,
                            .by = "attend"};
    snprintf(slot.text, sizeof(slot.text), "%.*s", EXITSLOT_TEXT_MAX - 1, verdict->text);
    if (a->exit_fd >= 0 && exitslot_write(a->exit_fd, &slot, &err) < 0) {
        log_line(&a->log, "%s", err.text);
    }
}

static int end_like(const struct run_exit *exit)
{
    const struct rlimit none = {0, 0};
    sigset_t all;
    if (exit->kind != RUN_EXIT_SIGNALED) {
        return exit->kind == RUN_EXIT_UNKNOWN ? EXIT_FAILED : exit->code;
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(exit->signal, SIG_DFL);
    (void)kill(getpid(), exit->signal);
    sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    return 128 + exit->signal;
}

static void release(struct attending *a)
{
    noderoot_free(a->root);
    runspec_release(&a->spec);
    strvec_release(&a->environment);
    spark_node_release(&a->node);
    spark_place_release(&a->place);
    free(a->tag);
}

static void set_signals(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* It could not begin. With a job that may be there, that is no end: a further start may
 * go better, and the supervisors see to it. */
static int give_up(struct attending *a, const struct error *err)
{
    struct attend_verdict verdict = {
        .exit = {.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_FAILED}};
    log_line(&a->log, "%s", err->text);
    if (may_be_submitted(a)) {
        (void)kill(getpid(), SIGKILL);
    }
    snprintf(verdict.text, sizeof(verdict.text), "%.250s%s%.250s", err->text,
             err->hint[0] != '\0' ? "; " : "", err->hint);
    write_slot(a, &verdict);
    return EXIT_FAILED;
}

int attend_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    struct attend_verdict verdict;
    CLEANUP(release)
    struct attending a = {.run_fd = -1, .exit_fd = -1, .log.fd = -1};
    set_signals();
    runspec_init(&a.spec);
    spark_node_init(&a.node);
    if (argc < 2 || strcmp(argv[1], "yarn") != 0) {
        fprintf(stderr, "errand-executor: attend: which engine? There is yarn.\n");
        return 2;
    }
    if (arguments_parse(argc - 1, argv + 1, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    if (open_run(&a, &args, &err) < 0 || find_spark(&a, &err) < 0) {
        return give_up(&a, &err);
    }
    a.tag = spark_tag(a.spec.run, a.attempt);
    attend(&a, &verdict);
    write_slot(&a, &verdict);
    return end_like(&verdict.exit);
}
