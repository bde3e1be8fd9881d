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
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/enginelog.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/spark_paths.h"
#include "common/ticket.h"
#include "common/variables.h"
#include "executor/arguments.h"
#include "executor/cluster_outputs.h"
#include "executor/clusterfs.h"
#include "executor/environment.h"
#include "executor/exitslot.h"
#include "executor/http_curl.h"
#include "executor/processes.h"
#include "executor/rundir.h"
#include "executor/spark_node.h"
#include "executor/spark_ship.h"
#include "executor/spark_submit.h"
#include "executor/variables_of_run.h"

#define EXIT_FAILED 125
#define OUTPUTS_TOLD_MIN ((uint64_t)16 << 20)
#define DRIVER_FILE "errand_driver.py"
#define PROJECT_ALIAS "project" /* as spark_ship calls it */
#define WORK_ALIAS "work"

struct attending {
    struct noderoot *root;
    struct runspec spec;
    int run_fd, exit_fd;
    int64_t attempt;
    struct log log;
    int stop_fd; /* readable once SIGTERM has come */
    struct environment_pin pin;
    struct strvec login;     /* the environment that this process began with */
    struct strvec variables; /* the run's, by that */
    struct programs *programs;
    struct clusterfs fs;
    struct spark_node node;
    struct spark_place place;
    char *tag;
    struct strvec
        taken; /* URIs of what the driver left in the cluster, and is here now */
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
    if (environment_is_wanted(&a->spec) &&
        environment_read_pin(a->run_fd, &a->pin, err) < 0) {
        return -1;
    }
    if (spark_node_find_for(a->root, &a->spec, a->pin.prefix, true, &a->node, err) < 0 ||
        spark_place_choose(&a->place, a->spec.spark, &a->node, err) < 0) {
        return -1;
    }
    if (a->node.rm.count == 0) {
        error_set(err, ERR_NOT_FOUND,
                  "the node's configuration names no ResourceManager (looked in %s)",
                  a->node.hadoop_conf_dir);
        return error_hint(err, "is HADOOP_CONF_DIR right?");
    }
    for (char *const *setting = environ; *setting != NULL; setting++) {
        strvec_push(&a->login, *setting);
    }
    if (variables_of_run(&a->spec, &a->variables, err) < 0 ||
        variables_of_run_adopt(&a->spec, err) < 0) {
        return -1;
    }
    a->programs = programs_new(a->stop_fd, -1);
    programs_set_control(a->programs, &a->log);
    variables_inherit(programs_environment(a->programs));
    clusterfs_init(&a->fs, a->programs);
    spark_ship_reach(&a->node, &a->fs);
    return 0;
}

/* ---- What is submitted */

static char *run_path(const struct attending *a, const char *name)
{
    return xasprintf("%s/runs/%s/%s", a->root->path, a->spec.run, name);
}

/* Beside the run's own: who it is, and that the engine started it. */
static void add_variables(const struct attending *a, struct strvec *out)
{
    for (size_t i = 0; i < a->variables.count; i++) {
        strvec_push(out, a->variables.items[i]);
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

/* What the run needs on the cluster. Borrowed from a. */
static struct spark_ship cargo(struct attending *a)
{
    return (struct spark_ship){.root = a->root,
                               .spec = &a->spec,
                               .run_fd = a->run_fd,
                               .pin = environment_is_wanted(&a->spec) ? &a->pin : NULL,
                               .fs = &a->fs,
                               .node = &a->node};
}

/* Project and environment as the cluster has them, brought where it has them not. */
static int ship(struct attending *a, struct spark_shipment *out, struct error *err)
{
    const struct spark_ship s = cargo(a);
    return spark_ship(&s, a->attempt, out, err);
}

static void forget(void *context)
{
    const struct spark_ship s = cargo(context);
    spark_ship_forget(&s);
}

/* What an application that was ended left in the cluster. */
static void clean(void *context, const char *application)
{
    struct attending *a = context;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = a->node.staging[0] != '\0'
                                  ? xstrdup(a->node.staging)
                                  : xasprintf("%s/user/%s", a->node.fs, a->node.user);
    const struct spark_ship s = cargo(a);
    CLEANUP_FREE char *outputs = spark_ship_outputs(&s, a->attempt);
    CLEANUP_STRVEC struct strvec uris = STRVEC_INIT;
    strvec_pushf(&uris, "%s/.sparkStaging/%s", base, application);
    if (outputs != NULL) { /* half-way, or more */
        strvec_push(&uris, outputs);
        strvec_pushf(&uris, "%s.tmp", outputs);
        strvec_pushf(&uris, "%s%s", outputs, SPARK_METRICS_SUFFIX);
        strvec_pushf(&uris, "%s%s.tmp", outputs, SPARK_METRICS_SUFFIX);
    }
    if (clusterfs_remove_all(&a->fs, &uris, &err) < 0) {
        log_line(&a->log, "the staging folder %s may still be there: %s", uris.items[0],
                 err.text);
    }
}

/* The driver's settings, secrets among them, are with the job now. */
static void drop_driver(void *context)
{
    const struct attending *a = context;
    (void)unlinkat(a->run_fd, DRIVER_FILE, 0);
}

/* The script may write in its own copy of the project. */
static int write_driver(struct attending *a, const struct spark_shipment *shipment,
                        const char *token, struct error *err)
{
    CLEANUP_STRVEC struct strvec variables = STRVEC_INIT, python_path = STRVEC_INIT;
    struct strbuf text;
    add_variables(a, &variables);
    strbuf_init(&text, (size_t)16 << 20);
    spark_ship_add_driver_path(shipment, WORK_ALIAS, &python_path);
    const struct spark_driver driver = {.spec = &a->spec,
                                        .attempt = a->attempt,
                                        .project = WORK_ALIAS,
                                        .copy_of = PROJECT_ALIAS,
                                        .python_path = &python_path,
                                        .variables = &variables,
                                        .prefix = shipment->prefix,
                                        .outputs = shipment->outputs,
                                        .token = token};
    spark_driver_write(&driver, &text);
    int result =
        files_write_atomic(a->run_fd, DRIVER_FILE, text.data, text.length, 0600, err);
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
    return result;
}

/* spark-env.sh would set its own Python where there is none. */
static void make_environment(const struct attending *a, const char *python,
                             struct strvec *out)
{
    for (size_t i = 0; i < a->login.count; i++) {
        strvec_push(out, a->login.items[i]);
    }
    for (size_t i = 0; i < a->variables.count; i++) {
        variables_set(out, a->variables.items[i]);
    }
    variables_setf(out, "PYSPARK_PYTHON=%s", python);
    variables_unset(out, "PYSPARK_DRIVER_PYTHON");
    variables_unset(out, "PYSPARK_DRIVER_PYTHON_OPTS");
    if (a->spec.spark->home != NULL) {
        variables_setf(out, "SPARK_HOME=%s", a->node.home);
    }
}

static int submission(void *context, const char *token, struct strvec *argv,
                      struct strvec *environment, struct error *err)
{
    struct attending *a = context;
    CLEANUP_SHIPMENT struct spark_shipment shipment;
    CLEANUP_STRVEC struct strvec conf = STRVEC_INIT;
    CLEANUP_FREE char *work = run_path(a, "work");
    CLEANUP_FREE char *driver = run_path(a, DRIVER_FILE);
    spark_shipment_init(&shipment);
    if (ship(a, &shipment, err) < 0 || write_driver(a, &shipment, token, err) < 0) {
        return -1;
    }
    const char *python = shipment.python != NULL       ? shipment.python
                         : a->spec.interpreter != NULL ? a->spec.interpreter
                         : a->node.python[0] != '\0'   ? a->node.python
                                                       : "python3";
    spark_paths_add_conf(&shipment.python_path, &a->spec.spark->conf, &conf);
    const struct spark_submission submission = {.spec = &a->spec,
                                                .node = &a->node,
                                                .place = &a->place,
                                                .attempt = a->attempt,
                                                .work = work,
                                                .driver = driver,
                                                .executor_python = python,
                                                .archives = &shipment.archives,
                                                .conf = &conf};
    spark_submit_arguments(&submission, argv);
    make_environment(a, python, environment);
    return 0;
}

/* ---- What its driver left */

/* A kind of it: what it is for whoever reads, and how it is taken. */
struct left {
    const char *key;    /* in the driver's last word */
    const char *suffix; /* of its address, behind that of the outputs */
    int (*take)(const struct cluster_outputs *o, struct error *err);
};

static const struct left lefts[] = {
    {"outputs", "", cluster_outputs_take},
    {"metrics", SPARK_METRICS_SUFFIX, cluster_metrics_take},
};

/* The sentence for what stayed away. */
static void note_lost(struct attending *a, const struct left *left, const char *why)
{
    CLEANUP_FREE char *text =
        xasprintf("the %s did not come from the cluster: %s", left->key, why);
    log_line(&a->log, "%s", text);
    cluster_outputs_note_failure(a->run_fd, text);
}

/* That takes a while, during which nothing else is seen: whoever follows is told. */
static void tell_of(const struct attending *a, const struct left *left,
                    uint64_t size_bytes)
{
    char size[FILES_SIZE_TEXT];
    struct enginelog engine;
    files_format_size(size, size_bytes);
    CLEANUP_FREE char *text =
        xasprintf("brings the %s, %s, from the cluster", left->key, size);
    log_line(&a->log, "%s", text);
    if (size_bytes >= OUTPUTS_TOLD_MIN &&
        enginelog_open(&engine, a->run_fd, "yarn", a->attempt, NULL) == 0) {
        (void)enginelog_append(&engine, ENGINE_NOTE, text, NULL);
        enginelog_close(&engine);
    }
}

/* said: {"size_bytes":N} or {"error":"..."}. */
static int take_left(struct attending *a, const struct left *left,
                     const struct json *said, struct error *err)
{
    const struct spark_ship s = cargo(a);
    const char *why = json_string(json_get(said, "error"));
    CLEANUP_FREE char *outputs = spark_ship_outputs(&s, a->attempt);
    CLEANUP_FREE char *run_folder = xasprintf("%s/runs/%s", a->root->path, a->spec.run);
    int64_t size;
    if (why != NULL || outputs == NULL) {
        return error_set(err, ERR_IO, "%s", why != NULL ? why : "it has no file system");
    }
    if (json_get_integer(said, left->key, "size_bytes", 0, JSON_INTEGER_MAX, &size, err) <
        0) {
        return -1;
    }
    tell_of(a, left, (uint64_t)size);
    CLEANUP_FREE char *uri = xasprintf("%s%s", outputs, left->suffix);
    const struct cluster_outputs o = {.fs = &a->fs,
                                      .uri = uri,
                                      .size_bytes = (uint64_t)size,
                                      .run_path = run_folder,
                                      .run_fd = a->run_fd,
                                      .attempt = a->attempt,
                                      .spec = &a->spec};
    if (left->take(&o, err) < 0) {
        return -1;
    }
    strvec_push(&a->taken, uri);
    return 0;
}

/* As the driver's last word says. */
static void take_what_is_left(struct attending *a, const char *word)
{
    CLEANUP_JSON struct json *j = json_parse(word, strlen(word), NULL);
    cluster_outputs_clear_failure(a->run_fd);
    for (size_t i = 0; i < ARRAY_SIZE(lefts); i++) {
        const struct json *said = json_get(j, lefts[i].key);
        struct error err = ERROR_INIT;
        if (json_is_object(said) && take_left(a, &lefts[i], said, &err) < 0) {
            note_lost(a, &lefts[i], err.text);
        }
    }
}

/* The verdict stands: who is started again takes nothing a second time. */
static void drop_what_is_left(struct attending *a)
{
    for (size_t i = 0; i < a->taken.count; i++) {
        const struct cluster_outputs o = {.fs = &a->fs,
                                          .uri = a->taken.items[i],
                                          .run_fd = a->run_fd,
                                          .spec = &a->spec};
        cluster_outputs_drop(&o);
    }
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

struct http *attend_reach(struct attend_yarn *what, const struct spark_node *node)
{
    bool is_kerberos = strcmp(node->security, "kerberos") == 0;
    const struct http_settings settings = {.login = is_kerberos ? HTTP_LOGIN_NEGOTIATE
                                                                : HTTP_LOGIN_NONE};
    const char *curl = or_null(node->curl);
    what->managers = &node->rm;
    what->user = is_kerberos ? NULL : or_null(node->user);
    what->yarn = or_null(node->yarn);
    what->http = http_curl_new(curl != NULL ? curl : "curl", &settings);
    return what->http;
}

static void attend(struct attending *a, struct attend_verdict *out)
{
    CLEANUP_FREE char *history = history_of(a->node.log_server);
    CLEANUP_STRBUF struct strbuf warning = STRBUF_INIT;
    bool has_warning = strcmp(a->node.security, "kerberos") == 0 &&
                       ticket_warn(a->spec.time_limit_ms, &warning);
    struct attend_yarn what = {
        .run = a->spec.run,
        .run_fd = a->run_fd,
        .attempt = a->attempt,
        .tag = a->tag,
        .history = history,
        .submit_timeout_ms = a->spec.spark->submit_timeout_ms,
        .submission = submission,
        .forget = forget,
        .submitted = drop_driver,
        .context = a,
        .warning = has_warning ? warning.data : NULL,
        .log = &a->log,
    };
    CLEANUP_HTTP struct http *http = attend_reach(&what, &a->node);
    attend_yarn(&what, out);
}

/* For the supervisors of a run whose driver was a process of this node. */
static int end_application(struct attending *a)
{
    struct attend_yarn what = {
        .run = a->spec.run,
        .run_fd = a->run_fd,
        .attempt = a->attempt,
        .tag = a->tag,
        .clean = clean,
        .context = a,
        .log = &a->log,
    };
    CLEANUP_HTTP struct http *http = attend_reach(&what, &a->node);
    return attend_end(&what) ? 0 : EXIT_FAILED;
}

/* What cannot be said by how a process ends stands in the slot. False: it does not. */
static bool write_slot(struct attending *a, const struct attend_verdict *verdict)
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
    if (a->exit_fd < 0) {
        return false;
    }
    if (exitslot_write(a->exit_fd, &slot, &err) < 0) {
        log_line(&a->log, "%s", err.text);
        return false;
    }
    return true;
}

static int end_like(const struct run_exit *exit)
{
    const struct rlimit none = {0, 0};
    sigset_t all;
    if (exit->kind != RUN_EXIT_SIGNALED) { /* nothing that the slot alone tells is good */
        bool has_code =
            exit->kind == RUN_EXIT_EXITED || exit->kind == RUN_EXIT_COULD_NOT_START;
        return has_code ? exit->code : EXIT_FAILED;
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
    environment_pin_release(&a->pin);
    clusterfs_release(&a->fs);
    programs_free(a->programs);
    spark_node_release(&a->node);
    spark_place_release(&a->place);
    strvec_release(&a->login);
    strvec_release(&a->variables);
    free(a->tag);
    strvec_release(&a->taken);
}

/* A descriptor that is readable while a SIGTERM is pending. */
static int set_signals(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    sigdelset(&mask, SIGCHLD);
    return signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
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
    (void)write_slot(a, &verdict);
    return EXIT_FAILED;
}

int attend_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    struct attend_verdict verdict;
    CLEANUP(release)
    struct attending a = {.run_fd = -1, .exit_fd = -1, .log.fd = -1};
    a.stop_fd = set_signals();
    runspec_init(&a.spec);
    environment_pin_init(&a.pin);
    spark_node_init(&a.node);
    clusterfs_init(&a.fs, NULL);
    bool is_end = argc > 1 && strcmp(argv[1], "end") == 0;
    if (argc < 2 || (!is_end && strcmp(argv[1], "yarn") != 0)) {
        fprintf(stderr, "errand-executor: attend: what? There are yarn and end.\n");
        return 2;
    }
    if (arguments_parse(argc - 1, argv + 1, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    bool is_ready = open_run(&a, &args, &err) == 0 && find_spark(&a, &err) == 0;
    if (is_end && !is_ready) {
        log_line(&a.log, "%s", err.text);
        return EXIT_FAILED;
    }
    if (!is_ready) {
        return give_up(&a, &err);
    }
    a.tag = spark_tag(a.spec.run, a.attempt);
    if (is_end) {
        return end_application(&a);
    }
    attend(&a, &verdict);
    take_what_is_left(&a, verdict.word);
    if (write_slot(&a, &verdict)) {
        drop_what_is_left(&a);
    }
    if (verdict.remains[0] != '\0') { /* whatever becomes of us, the verdict stands */
        clean(&a, verdict.remains);
    }
    return end_like(&verdict.exit);
}
