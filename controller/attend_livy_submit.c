/* attend_livy, up to a batch whose id is known: one POST that counts. */
#include "controller/attend_livy_inside.h"

#include "common/attemptnote.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/spark_paths.h"
#include "common/ticket.h"
#include "common/variables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RETRY_MS 2000
#define CROWDED_MS 5000
#define LOOKS 5 /* for a batch whose POST was not answered */
#define ZOMBIES_MAX 5

static bool is_late(int64_t since_ns, int64_t limit_ms)
{
    return clock_monotonic_ns() - since_ns > limit_ms * NS_PER_MS;
}

/* ---- Which batch */

static const char *batch_file(const struct attendance *a)
{
    return a->task == ATTEND_LIVY_SCRIPT ? "livy.batch" : "livy.question";
}

static void keep_batch(struct attendance *a, const struct livy_batch *batch)
{
    a->batch = batch->id;
    (void)snprintf(a->word, sizeof a->word, "%s", batch->word);
    (void)snprintf(a->application, sizeof a->application, "%s", batch->application);
    (void)attemptnote_write(a->run_fd, batch_file(a), a->attempt, batch->id, NULL);
}

struct search {
    struct attendance *a;
    struct livy_batch found;
    bool is_found;
};

/* A server without names: the driver says its tag in its first line. */
static int look_into(void *context, const struct livy_batch *batch)
{
    struct search *search = context;
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    bool is_there = false;
    CLEANUP_FREE char *mark = xasprintf("errand-driver %s", search->a->tag);
    if (livy_ask_log(&search->a->livy, batch->id, &answer, &is_there, NULL) == 0 &&
        is_there && strstr(answer.body.data, mark) != NULL) {
        search->found = *batch;
        search->is_found = true;
        return 1;
    }
    return 0;
}

static int find_unnamed(struct attendance *a, bool *out_is_there, struct error *err)
{
    struct search search = {.a = a};
    int64_t id = attemptnote_read(a->run_fd, batch_file(a), a->attempt);
    if (id >= 0) {
        CLEANUP_FREE char *which = xasprintf("%lld", (long long)id);
        int result =
            livy_ask_batch(&a->livy, which, &search.found, &search.is_found, err);
        if (result < 0) {
            return -1;
        }
    } else if (livy_ask_batches(&a->livy, look_into, &search, err) < 0) {
        return -1;
    }
    *out_is_there = search.is_found;
    if (search.is_found) {
        keep_batch(a, &search.found);
    }
    return 0;
}

int attendance_find(struct attendance *a, bool *out_is_there, struct error *err)
{
    struct livy_batch batch;
    if (!a->server.has_names) {
        return find_unnamed(a, out_is_there, err);
    }
    if (livy_ask_batch(&a->livy, a->tag, &batch, out_is_there, err) < 0) {
        return -1;
    }
    if (*out_is_there && livy_is_zombie(&batch)) {
        *out_is_there = false;
        return livy_ask_delete(&a->livy, a->tag, err);
    }
    if (*out_is_there) {
        keep_batch(a, &batch);
    }
    return 0;
}

/* ---- The batch */

struct posting {
    struct strvec jars, py_files, files, archives, conf;
    char *driver; /* URI */
};

static void release_posting(struct posting *p)
{
    strvec_release(&p->jars);
    strvec_release(&p->py_files);
    strvec_release(&p->files);
    strvec_release(&p->archives);
    strvec_release(&p->conf);
    free(p->driver);
}

static void add_joined(struct strvec *conf, const char *key, const struct strvec *items)
{
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;
    for (size_t i = 0; i < items->count; i++) {
        strbuf_printf(&list, "%s%s", i > 0 ? "," : "", items->items[i]);
    }
    if (items->count > 0) {
        strvec_pushf(conf, "%s=%s", key, list.data);
    }
}

/* As executors on YARN have it; where a driver's JVM is all of Spark, it says itself. */
static void add_python_path(const struct attendance *a, struct strvec *conf)
{
    CLEANUP_STRVEC struct strvec paths = STRVEC_INIT;
    spark_paths_in_container(&a->spec, &paths);
    if (a->environment.identity[0] != '\0' && !attendance_has_whole_environment(a)) {
        strvec_push(&paths, SPARK_ALIAS_ENVIRONMENT);
    }
    spark_paths_add_conf(&paths, &a->spark->conf, conf);
}

static void add_conf(const struct attendance *a, struct strvec *conf)
{
    const struct runspec_spark *spark = a->spark;
    const char *python = a->spec.interpreter;
    for (size_t i = 0; i < spark->conf.count; i++) {
        strvec_push(conf, spark->conf.items[i]);
    }
    add_joined(conf, "spark.jars.packages", &spark->packages);
    add_joined(conf, "spark.jars.repositories", &spark->repositories);
    add_joined(conf, "spark.jars.excludes", &spark->exclude_packages);
    strvec_pushf(conf, "spark.yarn.tags=%s", a->tag);
    strvec_pushf(conf, "spark.yarn.maxAppAttempts=%lld", (long long)spark->max_attempts);
    add_python_path(a, conf);
    if (python != NULL) {
        strvec_pushf(conf, "spark.pyspark.python=%s", python);
        strvec_pushf(conf, "spark.yarn.appMasterEnv.PYSPARK_PYTHON=%s", python);
        strvec_pushf(conf, "spark.executorEnv.PYSPARK_PYTHON=%s", python);
    }
    if (spark->principal != NULL) {
        strvec_pushf(conf, "spark.kerberos.principal=%s", spark->principal);
        strvec_pushf(conf, "spark.yarn.principal=%s", spark->principal);
    }
    if (spark->keytab != NULL) {
        strvec_pushf(conf, "spark.kerberos.keytab=%s", spark->keytab);
        strvec_pushf(conf, "spark.yarn.keytab=%s", spark->keytab);
    }
}

/* The login's variables of the driver's machine are nobody's to know here. */
static int check_variables(const struct attendance *a, struct error *err)
{
    for (size_t i = 0; i < a->spec.variables.count; i++) {
        const char *pair = a->spec.variables.items[i];
        if (variables_asks(pair, VARIABLES_THERE)) {
            error_set(err, ERR_UNSUPPORTED,
                      "variables: %.*s: ${" VARIABLES_THERE
                      ":NAME} asks for a login's variables, and Livy's driver has none",
                      (int)strcspn(pair, "="), pair);
            return error_hint(err, "say the value, or read it in the script");
        }
    }
    return 0;
}

/* What the driver and executors of a script need. */
static int send_script(struct attendance *a, struct posting *p, const char *driver,
                       struct error *err)
{
    CLEANUP_FREE char *project = attendance_project_name(a);
    CLEANUP_FREE char *archive = livy_place_uri(&a->place, project);
    CLEANUP_FREE char *environment = NULL;
    if (check_variables(a, err) < 0 ||
        livy_place_make_dir(&a->place, "projects", err) < 0 ||
        attendance_send_project(a, project, err) < 0 ||
        attendance_send_environment(a, &environment, err) < 0 ||
        attendance_send_files(a, "jar", &a->spark->jars, &p->jars, err) < 0 ||
        attendance_send_files(a, "py", &a->spark->py_files, &p->py_files, err) < 0 ||
        attendance_send_files(a, "file", &a->spark->files, &p->files, err) < 0 ||
        attendance_send_files(a, "archive", &a->spark->archives, &p->archives, err) < 0 ||
        attendance_send_driver(a, archive, environment, driver, err) < 0) {
        return -1;
    }
    strvec_pushf(&p->archives, "%s#" SPARK_ALIAS_PROJECT, archive);
    if (environment != NULL) {
        strvec_pushf(&p->archives, "%s#" SPARK_ALIAS_ENVIRONMENT, environment);
    }
    return 0;
}

/* Of which the Python may come in an archive of the cluster's. One of the project's is
 * not here yet. */
static int send_question(struct attendance *a, struct posting *p, const char *driver,
                         struct error *err)
{
    for (size_t i = 0; i < a->spark->archives.count; i++) {
        if (spark_is_uri(a->spark->archives.items[i])) {
            strvec_push(&p->archives, a->spark->archives.items[i]);
        }
    }
    return attendance_send_driver(a, NULL, NULL, driver, err);
}

static int prepare(struct attendance *a, struct posting *p, struct error *err)
{
    CLEANUP_FREE char *driver = xasprintf("%s/driver.py", a->folder);
    if (livy_place_make_dir(&a->place, a->folder, err) < 0 ||
        (a->task == ATTEND_LIVY_SCRIPT ? send_script(a, p, driver, err)
                                       : send_question(a, p, driver, err)) < 0) {
        return -1;
    }
    p->driver = livy_place_uri(&a->place, driver);
    add_conf(a, &p->conf);
    return 0;
}

/* Whether a POST that was not answered made a batch: looked for several times, as the
 * gateway may have given up before Livy began. */
static int look_for_lost(struct attendance *a, bool *out_is_there, struct error *err)
{
    for (int i = 0; i < LOOKS; i++) {
        if (attendance_find(a, out_is_there, err) == 0) {
            if (*out_is_there) {
                return 0;
            }
        } else if (!attendance_may_pass(a, err)) {
            return -1;
        } else {
            i--; /* that was no look */
        }
        if (!attendance_pause(a, RETRY_MS)) {
            return error_set(err, ERR_CANCELED, "canceled");
        }
    }
    return 0;
}

static int refuse(struct attendance *a, const struct http_response *answer,
                  struct error *err)
{
    CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
    bool is_there = false;
    livy_put_reason(answer, &reason);
    (void)attendance_find(a, &is_there, NULL); /* what is refused may stay as a zombie */
    if (answer->status == 401 || answer->status == 403) {
        return error_set(err, ERR_LOGIN, "Livy did not take the batch: %s%s", reason.data,
                         answer->status == 401 ? http_login_doubt(a->livy.http) : "");
    }
    error_set(err, ERR_UNSUPPORTED, "Livy did not take the batch: %s", reason.data);
    if (strstr(reason.data, "Local path") != NULL) {
        return error_hint(err,
                          "a folder of HDFS is named with its scheme, --base "
                          "hdfs://HOST:PORT/...; one of Livy's machine is allowed in "
                          "livy.file.local-dir-whitelist");
    }
    return -1;
}

enum step { STEP_DONE, STEP_AGAIN, STEP_FAILED };

/* One POST, and what it came to. */
static enum step post_once(struct attendance *a, const struct livy_job *job,
                           struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct livy_batch batch;
    bool is_there = false;
    enum livy_fate fate = LIVY_UNCERTAIN;
    if (livy_ask_post(&a->livy, job, &answer, err) == 0) {
        fate = livy_judge_post(&answer);
        if (fate == LIVY_TAKEN &&
            livy_decode_batch(answer.body.data, answer.body.length, &batch, NULL) == 0) {
            keep_batch(a, &batch);
            return STEP_DONE;
        }
        if (fate == LIVY_REFUSED) {
            (void)refuse(a, &answer, err);
            return STEP_FAILED;
        }
        if (fate == LIVY_CROWDED) {
            attendance_say(a, ENGINE_NOTE,
                           "waiting: Livy starts as many batches as it may");
            return attendance_pause(a, CROWDED_MS) ? STEP_AGAIN : STEP_FAILED;
        }
        CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
        livy_put_reason(&answer, &reason);
        error_set(err, ERR_BUSY, "Livy's answer to the batch was lost: %s", reason.data);
    }
    if (!attendance_may_pass(a, err) && fate != LIVY_DUPLICATE) {
        return STEP_FAILED;
    }
    if (err->code != ERR_CONNECT || fate == LIVY_DUPLICATE) {
        if (look_for_lost(a, &is_there, err) < 0) {
            return STEP_FAILED;
        }
        if (is_there) {
            attendance_say(a, ENGINE_NOTE, "found the batch that Livy had begun");
            return STEP_DONE;
        }
    } else if (!attendance_pause(a, RETRY_MS)) {
        return STEP_FAILED;
    }
    return STEP_AGAIN;
}

static void warn_of_ticket(struct attendance *a)
{
    CLEANUP_STRBUF struct strbuf warning = STRBUF_INIT;
    if (a->settings.login == HTTP_LOGIN_NEGOTIATE &&
        ticket_warn(a->spec.time_limit_ms, &warning)) {
        attendance_say(a, ENGINE_NOTE, "%s", warning.data);
    }
}

static int post(struct attendance *a, const struct posting *p, struct error *err)
{
    const struct runspec_spark *spark = a->spark;
    const struct livy_job job = {
        .file = p->driver,
        .name = a->tag,
        .queue = spark->queue,
        .driver_memory = spark->driver_memory,
        .executor_memory = spark->executor_memory,
        .executor_cores = spark->executor_cores,
        .num_executors = spark->num_executors,
        .jars = &p->jars,
        .py_files = &p->py_files,
        .files = &p->files,
        .archives = &p->archives,
        .conf = &p->conf,
    };
    int64_t since_ns = clock_monotonic_ns();
    warn_of_ticket(a);
    attendance_say(a, ENGINE_SUBMITTING, "asking Livy for the batch %s", a->tag);
    for (;;) {
        enum step step = post_once(a, &job, err);
        if (step != STEP_AGAIN) {
            return step == STEP_DONE ? 0 : -1;
        }
        if (is_late(since_ns, spark->submit_timeout_ms)) {
            return error_set(err, ERR_TIMED_OUT,
                             "Livy did not take the batch within %lld s "
                             "(spark.submit_timeout)",
                             (long long)(spark->submit_timeout_ms / 1000));
        }
    }
}

int attendance_reach(struct attendance *a, struct error *err)
{
    if (livy_ask_version(&a->livy, &a->server, err) < 0) {
        return -1;
    }
    int result = livy_place_init(&a->place, a->spark->livy, a->spark->base, a->http, err);
    if (result < 0) {
        livy_place_release(&a->place);
    }
    return result;
}

int attendance_reach_patiently(struct attendance *a, struct error *err)
{
    int64_t since_ns = clock_monotonic_ns();
    while (attendance_reach(a, err) < 0) {
        if (!attendance_may_pass(a, err) ||
            is_late(since_ns, a->spark->submit_timeout_ms) ||
            !attendance_pause(a, RETRY_MS)) {
            return -1;
        }
    }
    attendance_passed(a);
    return 0;
}

int attendance_submit(struct attendance *a, struct error *err)
{
    __attribute__((cleanup(release_posting))) struct posting p = {.driver = NULL};
    bool is_there = false;
    bool may_be_there = a->engine.may_be_submitted;
    if (attendance_reach_patiently(a, err) < 0) {
        return -1;
    }
    if (may_be_there) {
        if (look_for_lost(a, &is_there, err) < 0) {
            return -1;
        }
        bool has_claim = false;
        uint64_t size = 0;
        CLEANUP_FREE char *claim = xasprintf("%s/claim", a->folder);
        if (!is_there &&
            livy_place_size(&a->place, claim, &has_claim, &size, NULL) == 0 &&
            has_claim) {
            a->is_forgotten = true; /* it was begun; Livy knows it no more */
        }
    }
    if (!is_there && !a->is_forgotten &&
        (prepare(a, &p, err) < 0 || post(a, &p, err) < 0)) {
        return -1;
    }
    attendance_passed(a);
    (void)run_engine_set(a->engine.engine.application,
                         sizeof a->engine.engine.application, a->application);
    if (a->batch >= 0) {
        (void)run_engine_set(a->engine.engine.state, sizeof a->engine.engine.state,
                             a->word);
        attendance_say(a, ENGINE_SUBMITTED, "batch %lld of Livy %s is %s",
                       (long long)a->batch, a->server.version, a->word);
    }
    return 0;
}

int attendance_forget_batch(struct attendance *a, struct error *err)
{
    CLEANUP_FREE char *id = xasprintf("%lld", (long long)a->batch);
    if (a->batch >= 0 && livy_ask_delete(&a->livy, id, err) < 0) {
        return -1;
    }
    struct stat st;
    if (fstat(a->engine_log_fd, &st) == 0) {
        a->engine_log_at = (uint64_t)st.st_size;
    }
    livy_tail_release(&a->tail);
    a->tail = (struct livy_tail){0};
    a->batch = -1;
    (void)attemptnote_write(a->run_fd, batch_file(a), a->attempt, -1, NULL);
    a->word[0] = a->application[0] = '\0';
    a->engine.engine.state[0] = '\0';
    a->is_over = a->is_forgotten = false;
    a->ending = (struct livy_ending){.kind = NULL};
    return 0;
}
