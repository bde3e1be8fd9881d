#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/launch_spark.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/spark_explain.h"
#include "common/spark_paths.h"
#include "common/subprocess.h"
#include "common/variables.h"
#include "executor/attend.h"
#include "executor/attended.h"
#include "executor/command.h"
#include "executor/variables_of_run.h"

#define DRIVER_FILE "errand_driver.py"
#define CONTEXT_FILE "driver.context"
#define DRIVER_LOG "driver.log"
#define ENGINE_LOG "engine.log"
#define EXIT_FAILED 125
#define EXIT_NOT_STARTED 126
#define RESULT_MAX ((size_t)16 << 10)
#define LOG_TAIL 16384

int launch_spark_open_log(int run_fd, struct error *err)
{
    int fd = openat(run_fd, ENGINE_LOG,
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 ? error_sys(err, "open %s", ENGINE_LOG) : fd;
}

void launch_spark_release(struct launch_spark *l)
{
    spark_node_release(&l->node);
    spark_place_release(&l->place);
    spark_shipment_release(&l->shipment);
    strvec_release(&l->argv);
}

/* ---- Which Spark, which Python ---- */

static int find_node(struct launch_spark *l, struct error *err)
{
    spark_node_init(&l->node);
    if (spark_node_find_for(l->root, l->spec, l->pin->prefix, true, &l->node, err) < 0) {
        return -1;
    }
    if (spark_place_choose(&l->place, l->spec->spark, &l->node, err) < 0) {
        return -1;
    }
    log_line(l->log, "Spark %s in %s: master %s, deploy mode %s",
             l->node.version[0] != '\0' ? l->node.version : "of unknown version",
             l->node.home, l->place.master, l->place.is_cluster ? "cluster" : "client");
    return 0;
}

/* "3.11" of "3.11.7" and of "3.11.2". */
static bool has_same_minor(const char *a, const char *b)
{
    const char *first = strchr(a, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    size_t length = second != NULL ? (size_t)(second - a) : strlen(a);

    return strncmp(a, b, length) == 0 && (b[length] == '.' || b[length] == '\0');
}

/* Executors elsewhere refuse a driver of another minor version, but only once the first
 * of them is at work. What a Python that came along is, the driver's is too. */
static int check_versions(const struct launch_spark *l, const char *driver,
                          const char *executor, struct error *err)
{
    const char *own = l->pin->facts.python;

    if (l->place.is_local || strcmp(driver, executor) == 0 || own[0] == '\0' ||
        executor != l->node.python || l->node.python_version[0] == '\0' ||
        has_same_minor(own, l->node.python_version)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "the run's environment has Python %s, and the cluster's executors %s (%s): "
              "Spark needs the same minor version on both",
              own, l->node.python_version, l->node.python);
    return error_hint(err, "ask for that version of Python in the environment, or name "
                           "the cluster's with --interpreter");
}

/* The interpreter that the run names is in an archive of the user's, which executors
 * unpack, and nobody here: "./env/bin/python". */
static bool is_in_archive(const struct launch_spark *l)
{
    const char *name = l->spec->interpreter;
    return !l->place.is_local && name != NULL && l->spec->spark->archives.count > 0 &&
           name[0] != '/' && name[0] != '~' && strchr(name, '/') != NULL;
}

/* What starts the script: absolute, malloc'ed. NULL: err. */
static char *driver_python(const struct launch_spark *l, struct error *err)
{
    const char *named = is_in_archive(l) ? NULL : l->spec->interpreter;
    const char *wish = l->interpreter != NULL      ? l->interpreter
                       : named != NULL             ? named
                       : l->node.python[0] != '\0' ? l->node.python
                                                   : "python3";
    char *found = command_find_python(wish, l->variables);

    if (found == NULL) {
        error_set(err, ERR_NOT_FOUND, "%.200s: there is no such Python on the node",
                  wish);
    }
    return found;
}

/* ---- What is started ---- */

static char *run_path(const struct launch_spark *l, const char *name)
{
    return xasprintf("%s/runs/%s/%s", l->root->path, l->spec->run, name);
}

static void put_first(struct strvec *variables, const char *name, const char *first)
{
    const char *rest = variables_find(variables, name);
    bool has_rest = rest != NULL && rest[0] != '\0';

    variables_setf(variables, "%s=%s%s%s", name, first, has_rest ? ":" : "",
                   has_rest ? rest : "");
}

/* The project's modules are there for executors on this node too, which Spark's JVM
 * starts. */
static void add_modules(const struct launch_spark *l, const char *work)
{
    const char *slash = strrchr(l->spec->script, '/');

    put_first(l->variables, "PYTHONPATH", work);
    if (slash != NULL) {
        CLEANUP_FREE char *folder =
            xasprintf("%s/%.*s", work, (int)(slash - l->spec->script), l->spec->script);

        put_first(l->variables, "PYTHONPATH", folder);
    }
}

static void result_name(const struct launch_spark *l, char out[64])
{
    snprintf(out, 64, "driver.result.%lld", (long long)l->attempt);
}

static int write_driver(const struct launch_spark *l, const char *work, struct error *err)
{
    char name[64];
    uint8_t random[16];
    char token[2 * sizeof random + 1];
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    result_name(l, name);
    bytes_random(random, sizeof random);
    bytes_to_hex(token, random, sizeof random);
    CLEANUP_FREE char *log = run_path(l, DRIVER_LOG);
    CLEANUP_FREE char *result = run_path(l, name);
    CLEANUP_FREE char *context = run_path(l, CONTEXT_FILE);
    const struct spark_driver driver = {.spec = l->spec,
                                        .attempt = l->attempt,
                                        .project = work,
                                        .log = log,
                                        .result = result,
                                        .context = context,
                                        .token = token};
    spark_driver_write(&driver, &text);
    return files_write_atomic(l->run_fd, DRIVER_FILE, text.data, text.length, 0600, err);
}

/* Executors elsewhere get project and environment by way of the cluster. What is done is
 * seen in control.log. */
static int ship(struct launch_spark *l, struct error *err)
{
    CLEANUP(programs_cleanup) struct programs *programs = programs_new(-1, -1);
    struct clusterfs fs CLEANUP_CLUSTERFS;
    bool has_pin = environment_is_wanted(l->spec);

    spark_shipment_init(&l->shipment);
    clusterfs_init(&fs, programs);
    spark_ship_reach(&l->node, &fs);
    programs_set_control(programs, l->log);
    variables_inherit(programs_environment(programs));
    const struct spark_ship s = {.root = l->root,
                                 .spec = l->spec,
                                 .run_fd = l->run_fd,
                                 .pin = has_pin ? l->pin : NULL,
                                 .fs = &fs,
                                 .node = &l->node,
                                 .wants_proof = true};
    return l->place.is_local ? 0 : spark_ship(&s, l->attempt, &l->shipment, err);
}

/* In client mode: spark-submit. */
static int prepare_submit(struct launch_spark *l, struct error *err)
{
    CLEANUP_FREE char *work = run_path(l, "work");
    CLEANUP_FREE char *driver = run_path(l, DRIVER_FILE);
    CLEANUP_FREE char *python = driver_python(l, err);
    CLEANUP_STRVEC struct strvec conf = STRVEC_INIT;
    bool is_everywhere = l->place.is_local || l->spec->interpreter != NULL ||
                         l->node.python[0] == '\0' ||
                         strcmp(l->pin->facts.kind, "existing") == 0;

    if (python == NULL) {
        return -1;
    }
    if (ship(l, err) < 0) {
        return -1;
    }
    const char *executor = l->shipment.python != NULL ? l->shipment.python
                           : is_in_archive(l)         ? l->spec->interpreter
                           : is_everywhere            ? python
                                                      : l->node.python;
    if (!l->place.is_local) {
        spark_paths_add_conf(&l->shipment.python_path, &l->spec->spark->conf, &conf);
    }
    if (check_versions(l, python, executor, err) < 0 || write_driver(l, work, err) < 0) {
        return -1;
    }
    const struct spark_submission submission = {.spec = l->spec,
                                                .node = &l->node,
                                                .place = &l->place,
                                                .attempt = l->attempt,
                                                .work = work,
                                                .driver = driver,
                                                .driver_python = python,
                                                .executor_python = executor,
                                                .archives = &l->shipment.archives,
                                                .conf = &conf};
    spark_submit_arguments(&submission, &l->argv);
    add_modules(l, work);
    variables_setf(l->variables, "PYSPARK_PYTHON=%s", executor);
    variables_unset(l->variables, "PYSPARK_DRIVER_PYTHON");
    variables_unset(l->variables, "PYSPARK_DRIVER_PYTHON_OPTS");
    if (l->spec->spark->home != NULL) {
        variables_setf(l->variables, "SPARK_HOME=%s", l->node.home);
    }
    return 0;
}

/* In cluster mode: our own attendant. */
static void prepare_attendant(struct launch_spark *l)
{
    CLEANUP_FREE char *self = noderoot_program();

    l->is_attended = true;
    strvec_push(&l->argv, self);
    strvec_push(&l->argv, "attend");
    strvec_push(&l->argv, "yarn");
    strvec_push(&l->argv, "--root");
    strvec_push(&l->argv, l->root->top);
    strvec_push(&l->argv, "--run");
    strvec_push(&l->argv, l->spec->run);
    strvec_push(&l->argv, "--attempt");
    strvec_pushf(&l->argv, "%lld", (long long)l->attempt);
}

/* A start of before gave the script to an attendant, and its application may run: here
 * it is not started beside that, whatever the node says now. */
static int refuse_second_place(const struct launch_spark *l, struct error *err)
{
    if (!attended_is(l->run_fd, l->attempt)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "the run began in a cluster, and the node's Spark in %.200s now chooses "
              "master %.100s in client mode: the script is not started a second time",
              l->node.home, l->place.master);
    return error_hint(err, "bring the node's settings of Spark back");
}

int launch_spark_prepare(struct launch_spark *l, struct error *err)
{
    if (find_node(l, err) < 0) {
        return -1;
    }
    if (l->place.is_cluster) {
        prepare_attendant(l);
        return 0;
    }
    return refuse_second_place(l, err) < 0 || variables_of_run_adopt(l->spec, err) < 0
               ? -1
               : prepare_submit(l, err);
}

/* ---- How it ended ---- */

struct result {
    enum { RESULT_NONE, RESULT_STARTED, RESULT_ENDED, RESULT_FAILED } word;
    struct run_exit exit;         /* ENDED */
    char text[EXITSLOT_TEXT_MAX]; /* FAILED */
};

/* What spark_driver.py wrote down. */
static void read_result(const struct launch_spark *l, struct result *out)
{
    char name[64];
    struct strbuf text;
    CLEANUP_JSON struct json *j = NULL;

    *out = (struct result){.word = RESULT_NONE};
    result_name(l, name);
    strbuf_init(&text, RESULT_MAX);
    if (files_read(l->run_fd, name, &text, NULL) == 0) {
        j = json_parse(text.data, text.length, NULL);
    }
    strbuf_release(&text);
    const char *kind = json_string(json_get(j, "kind"));
    if (kind == NULL) {
        return;
    }
    if (strcmp(kind, "started") == 0) {
        out->word = RESULT_STARTED;
    } else if (strcmp(kind, "could_not_start") == 0) {
        const char *why = json_string(json_get(j, "text"));
        out->word = RESULT_FAILED;
        snprintf(out->text, sizeof(out->text), "%s", why != NULL ? why : "");
    } else if (run_exit_from_json(j, &out->exit, NULL) == 0) {
        out->word = RESULT_ENDED;
    }
}

/* Where Spark missed an archive that was said to be there, it is sent anew by the next
 * run: this one's script has begun. */
static void note_missing(const struct launch_spark *l)
{
    char tail[LOG_TAIL + 1];
    const struct spark_ship s = {.root = l->root,
                                 .spec = l->spec,
                                 .run_fd = l->run_fd,
                                 .pin = environment_is_wanted(l->spec) ? l->pin : NULL,
                                 .node = &l->node};

    tail[files_read_tail(l->run_fd, ENGINE_LOG, 0, tail, LOG_TAIL)] = '\0';
    if (spark_shipment_is_missed(&l->shipment, tail)) {
        spark_ship_forget(&s);
        log_line(l->log, "the cluster lacks what was sent to it: the next run sends it");
    }
}

/* An exception ends a script with 1; what it says tells of Python and of Spark. */
static void add_reason(const struct launch_spark *l, struct exitslot *slot)
{
    char tail[LOG_TAIL];
    struct error said = ERROR_INIT;

    if (slot->exit.kind == RUN_EXIT_EXITED && slot->exit.code == 1 &&
        slot->text[0] == '\0' &&
        spark_explain(tail, files_read_tail(l->run_fd, DRIVER_LOG, 0, tail, sizeof(tail)),
                      &said)) {
        CLEANUP_FREE char *text =
            xasprintf("%s%s%s", said.text, said.hint[0] != '\0' ? "; " : "", said.hint);
        snprintf(slot->text, sizeof(slot->text), "%s", text);
    }
}

/* Spark's last words that say what is wrong, into out. */
static void last_words(const struct launch_spark *l, char *out, size_t size)
{
    char tail[LOG_TAIL];
    size_t length = files_read_tail(l->run_fd, ENGINE_LOG, 0, tail, sizeof(tail));
    spark_last_words(tail, length, out, size);
}

static struct run_exit exit_of(int status)
{
    return WIFSIGNALED(status)
               ? (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = WTERMSIG(status)}
               : (struct run_exit){.kind = RUN_EXIT_EXITED, .code = WEXITSTATUS(status)};
}

/* The two that have to agree: the script as its driver saw it, Spark as its status says.
 */
static void judge(const struct launch_spark *l, const struct result *result, int status,
                  struct exitslot *slot)
{
    char words[200];
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    subprocess_describe_status(status, &how);
    last_words(l, words, sizeof(words));
    slot->exit = exit_of(status);
    switch (result->word) {
    case RESULT_ENDED:
        if (result->exit.kind == RUN_EXIT_EXITED && result->exit.code == 0 && !is_good) {
            snprintf(slot->text, sizeof(slot->text),
                     "the script ended well, but Spark %s: %s", how.data, words);
        } else {
            slot->exit = result->exit;
        }
        break;
    case RESULT_STARTED:
        snprintf(slot->text, sizeof(slot->text),
                 "Spark %s before the script had ended: %s", how.data, words);
        break;
    case RESULT_FAILED:
        slot->exit =
            (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_NOT_STARTED};
        snprintf(slot->text, sizeof(slot->text), "%s", result->text);
        break;
    case RESULT_NONE:
        slot->exit =
            (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_FAILED};
        snprintf(slot->text, sizeof(slot->text), "Spark %s before the script began: %s",
                 how.data, words);
        break;
    }
}

/* ---- Running ---- */

static int start(struct launch_spark *l, struct subprocess *sp, struct error *err)
{
    CLEANUP_FD int log = launch_spark_open_log(l->run_fd, err);

    if (log < 0) {
        return -1;
    }
    *sp = (struct subprocess){.argv = (const char *const *)strvec_argv(&l->argv),
                              .env = (const char *const *)strvec_argv(l->variables),
                              .in = SUBPROCESS_NULL,
                              .out = log,
                              .error = log,
                              .want_parent_death = true};
    return subprocess_start(sp, err);
}

void launch_spark_run(struct launch_spark *l, const struct stage_report *said,
                      int *report_fd, struct exitslot *slot)
{
    struct subprocess sp;
    struct error err = ERROR_INIT;
    struct result result;
    char name[64];
    int status = 0;
    CLEANUP_FREE char *tag = spark_tag(l->spec->run, l->attempt);
    struct attend_yarn what = {.run = l->spec->run,
                               .run_fd = l->run_fd,
                               .attempt = l->attempt,
                               .tag = tag,
                               .log = l->log};
    CLEANUP_HTTP struct http *http = attend_reach(&what, &l->node);

    if (!l->place.is_yarn || l->node.rm.count == 0) {
        what.managers = NULL;
    }
    result_name(l, name);
    (void)unlinkat(l->run_fd, name, 0); /* a started attempt of before a restart */
    (void)unlinkat(l->run_fd, CONTEXT_FILE, 0);
    command_stay();
    if (attend_announce(&what, &err) < 0 || start(l, &sp, &err) < 0) {
        slot->exit =
            (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_NOT_STARTED};
        snprintf(slot->text, sizeof(slot->text), "%.300s", err.text);
        return;
    }
    (void)fdio_write(*report_fd, said, sizeof(*said));
    fdio_close(report_fd);
    if (attend_driver(&what, CONTEXT_FILE, &sp, &status, &err) < 0) {
        slot->exit = (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
        return;
    }
    read_result(l, &result);
    judge(l, &result, status, slot);
    add_reason(l, slot);
    note_missing(l);
}
