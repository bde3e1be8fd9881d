#include "executor/probe_spark.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/files.h"
#include "common/http.h"
#include "common/strvec.h"
#include "common/subprocess.h"
#include "common/variables.h"
#include "common/yarn_ask.h"
#include "executor/http_curl.h"
#include "executor/spark_node.h"
#include "executor/spark_submit.h"

#define SERVER_TIMEOUT_MS 5000
#define ANSWER_MAX ((size_t)4 << 20)
#define JOB_TIMEOUT_MS 180000
#define JOB_SAID_MAX ((size_t)1 << 20)
#define QUEUES_SHOWN 32

/* One task, and on whose Python it ran. The word in front tells it from what else a Spark
 * may print. */
static const char job_text[] =
    "import platform\n"
    "from pyspark import SparkContext\n"
    "sc = SparkContext()\n"
    "say = lambda _: '%s on %s' % (platform.python_version(), platform.node())\n"
    "there = sc.parallelize([1], 1).map(say).collect()[0]\n"
    "print('\\nerrand-check driver Python %s, executor Python %s' % (say(1), there))\n"
    "sc.stop()\n";
#define JOB_WORD "errand-check "

struct probing {
    const struct probe_spark_request *request;
    struct json *checks;
    struct spark_node node;
    struct spark_place place;
    struct http *http;
};

static void add(struct probing *p, const char *step, bool is_ok, const char *hint,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add(struct probing *p, const char *step, bool is_ok, const char *hint,
                const char *format, ...)
{
    CLEANUP_STRBUF struct strbuf detail = STRBUF_INIT;
    struct json *check = json_append(p->checks, json_new_object());
    va_list args;

    va_start(args, format);
    strbuf_vprintf(&detail, format, args);
    va_end(args);
    json_add_string(check, "step", step);
    json_add_bool(check, "ok", is_ok);
    json_add_string(check, "detail", detail.data);
    json_add_string(check, "hint", hint != NULL && hint[0] != '\0' ? hint : NULL);
}

/* ---- Spark ---- */

/* The target's variables are this process's from here on: its children have them. */
static void take_variables(const struct json *wish)
{
    for (const struct json *item = json_first(json_get(wish, "variables")); item != NULL;
         item = json_next(item)) {
        const char *pair = json_string(item);
        const char *equals = pair != NULL ? strchr(pair, '=') : NULL;

        if (equals != NULL) {
            CLEANUP_FREE char *name = xstrndup(pair, (size_t)(equals - pair));
            (void)setenv(name, equals + 1, 1);
        }
    }
}

static bool find_spark(struct probing *p)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRVEC struct strvec variables = STRVEC_INIT;
    const struct spark_wish wish = {
        .home = json_string(json_get(p->request->wish, "home")), .variables = &variables};

    variables_inherit(&variables);
    if (spark_node_find(p->request->root, &wish, &p->node, &err) < 0) {
        add(p, "spark", false, err.hint, "%s", err.text);
        return false;
    }
    add(p, "spark", true, NULL, "Spark %s%s%s in %s, by %s",
        p->node.version[0] != '\0' ? p->node.version : "of unknown version",
        p->node.scala[0] != '\0' ? " for Scala " : "", p->node.scala, p->node.home,
        p->node.submit);
    return true;
}

static bool find_master(struct probing *p)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = runspec_spark_new();
    const char *master = json_string(json_get(p->request->wish, "master"));
    const char *why = master != NULL              ? "the target's"
                      : p->node.master[0] != '\0' ? "from spark-defaults.conf"
                                                  : "nothing is configured";
    struct error err = ERROR_INIT;

    spark->master = master != NULL ? xstrdup(master) : NULL;
    if (spark_place_choose(&p->place, spark, &p->node, &err) < 0) {
        add(p, "master", false, err.hint, "%s", err.text);
        return false;
    }
    add(p, "master", true, NULL, "%s (%s); scripts run %s", p->place.master, why,
        p->place.is_cluster ? "in the cluster" : "on the node");
    return true;
}

static void say_python(struct probing *p)
{
    bool is_there = p->node.python_version[0] != '\0';

    add(p, "spark_python", is_there,
        is_there ? NULL
                 : "install it there, or name another one: spark.pyspark.python in "
                   "spark-defaults.conf, or interpreter: in {settings}",
        is_there ? "Python %s, %s%s" : "%s%s%s cannot be started on the node",
        is_there ? p->node.python_version
                 : (p->node.python[0] != '\0' ? p->node.python : "python3"),
        is_there ? p->node.python : "", "");
}

/* ---- Hadoop ---- */

static struct json *get(struct probing *p, const char *base, const char *path,
                        struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = xasprintf("%s%s", base, path);
    const struct http_request request = {.method = "GET",
                                         .url = url,
                                         .timeout_ms = SERVER_TIMEOUT_MS,
                                         .limit_bytes = ANSWER_MAX};

    if (http_follow(p->http, &request, &answer, err) < 0) {
        return NULL;
    }
    if (answer.status != 200) {
        http_unexpected(&request, &answer, err);
        return NULL;
    }
    return json_parse_lenient(answer.body.data, answer.body.length, err);
}

static void say_hdfs(struct probing *p)
{
    struct error err = ERROR_INIT;

    if (p->node.hadoop_conf_dir[0] == '\0') {
        add(p, "hadoop", !p->place.is_yarn,
            p->place.is_yarn ? "set HADOOP_CONF_DIR with variables: in {settings}" : NULL,
            "no configuration of Hadoop is there");
        return;
    }
    add(p, "hadoop", true, NULL, "%s; default file system %s; security %s",
        p->node.hadoop_conf_dir, p->node.fs[0] != '\0' ? p->node.fs : "not configured",
        p->node.security);
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_puts(&path, "/webhdfs/v1/?op=GETHOMEDIRECTORY&user.name=");
    http_put_component(&path, p->node.user);
    for (size_t i = 0; i < p->node.webhdfs.count; i++) {
        CLEANUP_JSON struct json *answer =
            get(p, p->node.webhdfs.items[i], path.data, &err);
        const char *home = json_string(json_get(answer, "Path"));

        if (home != NULL) {
            add(p, "hdfs", true, NULL, "%s answers; home %s", p->node.webhdfs.items[i],
                home);
            return;
        }
    }
    if (p->node.webhdfs.count > 0) {
        add(p, "hdfs", false, "is HDFS up, and does the node reach it?", "%s", err.text);
    }
}

static void collect_queues(const struct json *j, struct strvec *out)
{
    const char *name = json_string(json_get(j, "queueName"));
    bool is_leaf =
        name != NULL && json_count(json_get(json_get(j, "queues"), "queue")) == 0;

    if (is_leaf && out->count < QUEUES_SHOWN && !strvec_contains(out, name)) {
        strvec_push(out, name);
    }
    for (const struct json *item = json_first(j); item != NULL; item = json_next(item)) {
        if (json_is_object(item) || json_is_array(item)) {
            collect_queues(item, out);
        }
    }
}

static void say_queues(struct probing *p, const char *base)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *answer = get(p, base, "/ws/v1/cluster/scheduler", &err);
    CLEANUP_STRVEC struct strvec queues = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf names = STRBUF_INIT;

    collect_queues(json_get(answer, "scheduler"), &queues);
    for (size_t i = 0; i < queues.count; i++) {
        strbuf_printf(&names, "%s%s", i > 0 ? ", " : "", queues.items[i]);
    }
    if (queues.count > 0) {
        add(p, "queues", true, NULL, "%s", names.data);
    }
}

static void say_yarn(struct probing *p)
{
    struct error err = ERROR_INIT;

    if (!p->place.is_yarn) {
        return;
    }
    for (size_t i = 0; i < p->node.rm.count; i++) {
        const char *base = p->node.rm.items[i];
        CLEANUP_JSON struct json *answer = get(p, base, "/ws/v1/cluster/info", &err);
        const struct json *info = json_get(answer, "clusterInfo");
        const char *state = json_string(json_get(info, "haState"));
        const char *version = json_string(json_get(info, "hadoopVersion"));

        if (state != NULL && strcmp(state, "ACTIVE") == 0) {
            add(p, "yarn", true, NULL, "%s answers: Hadoop %s", base,
                version != NULL ? version : "of unknown version");
            say_queues(p, base);
            return;
        }
        if (state != NULL) {
            error_set(&err, ERR_BUSY, "%s is %s", base, state);
        }
    }
    add(p, "yarn", false,
        "is YARN up, and does the node reach it? yarn-site.xml names its address", "%s",
        p->node.rm.count > 0 ? err.text
                             : "yarn-site.xml names no address of the ResourceManager");
}

/* ---- A job ---- */

static int run_job(struct probing *p, const char *script, const char *tag,
                   struct strbuf *said, struct strbuf *log, struct error *err)
{
    CLEANUP_FREE char *tags = xasprintf("spark.yarn.tags=%s", tag);
    const char *const argv[] = {p->node.submit,
                                "--master",
                                p->place.master,
                                "--deploy-mode",
                                "client",
                                "--name",
                                "errand target check",
                                "--num-executors",
                                "1",
                                "--conf",
                                "spark.ui.enabled=false",
                                "--conf",
                                "spark.yarn.maxAppAttempts=1",
                                "--conf",
                                tags,
                                script,
                                NULL};
    int status = 0;

    if (subprocess_capture(argv, said, log, JOB_TIMEOUT_MS, &status, err) < 0) {
        return -1;
    }
    return status == 0 ? 0 : error_set(err, ERR_SPAWN, "spark-submit failed");
}

/* The last line of Spark's log that says what is wrong; log is cut up for it. */
static const char *telling_line(struct strbuf *log)
{
    const char *best = "it said nothing";

    for (char *line = log->data; line != NULL && *line != '\0';) {
        char *newline = strchr(line, '\n');

        if (newline != NULL) {
            *newline = '\0';
        }
        if (strstr(line, "ERROR") != NULL || strstr(line, "Exception") != NULL ||
            strstr(line, "Error") != NULL) {
            best = line;
        }
        line = newline != NULL ? newline + 1 : NULL;
    }
    return best;
}

/* A spark-submit that was ended may have left its application in YARN, waiting: that says
 * why, and goes too. */
static void end_job(struct probing *p, const char *tag, struct strbuf *out)
{
    bool is_kerberos = strcmp(p->node.security, "kerberos") == 0;
    struct yarn yarn = {.http = p->http,
                        .managers = &p->node.rm,
                        .user =
                            is_kerberos || p->node.user[0] == '\0' ? NULL : p->node.user,
                        .timeout_ms = SERVER_TIMEOUT_MS};
    CLEANUP_FREE struct yarn_app *app = xmalloc(sizeof(*app));
    size_t count = 0;

    if (!p->place.is_yarn || p->node.rm.count == 0 ||
        yarn_find(&yarn, tag, app, &count, NULL) < 0 || count == 0 ||
        yarn_phase(app) == YARN_PHASE_ENDED) {
        return;
    }
    if (yarn_phase(app) == YARN_PHASE_WAITING) {
        yarn_tell(app, out);
    }
    (void)yarn_kill(&yarn, app->id, NULL);
}

static void say_job(struct probing *p)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf waited = STRBUF_INIT;
    uint8_t random[8];
    char tag[sizeof("errand-check-") + 2 * sizeof random] = "errand-check-";
    struct strbuf said;
    struct strbuf log;
    CLEANUP_FREE char *script =
        xasprintf("%s/.check-%ld.py", p->request->root->path, (long)getpid());

    strbuf_init(&said, JOB_SAID_MAX);
    strbuf_init(&log, JOB_SAID_MAX);
    bytes_random(random, sizeof random);
    bytes_to_hex(tag + strlen(tag), random, sizeof random);
    (void)setenv("PYSPARK_PYTHON", p->node.python, 1);
    int result = files_write_atomic(AT_FDCWD, script, job_text, sizeof job_text - 1, 0600,
                                    &err) < 0
                     ? -1
                     : run_job(p, script, tag, &said, &log, &err);
    const char *word = said.data != NULL ? strstr(said.data, JOB_WORD) : NULL;
    if (result == 0 && word != NULL) {
        word += strlen(JOB_WORD);
        add(p, "job", true, NULL, "%.*s", (int)strcspn(word, "\n"), word);
    } else {
        end_job(p, tag, &waited);
        add(p, "job", false, "the node's own spark-submit fails alike: try it there",
            "%s: %.400s", result < 0 ? err.text : "the job said nothing",
            waited.length > 0 ? waited.data
            : log.length > 0  ? telling_line(&log)
                              : "");
    }
    (void)unlink(script);
    strbuf_release(&said);
    strbuf_release(&log);
}

void probe_spark(const struct probe_spark_request *request, struct json *checks)
{
    struct probing p = {.request = request, .checks = checks};

    take_variables(request->wish);
    (void)signal(SIGPIPE, SIG_IGN);
    spark_node_init(&p.node);
    if (find_spark(&p) && find_master(&p)) {
        p.http = http_curl_new(p.node.curl[0] != '\0' ? p.node.curl : "curl", NULL);
        say_python(&p);
        say_hdfs(&p);
        say_yarn(&p);
        if (request->is_deep) {
            say_job(&p);
        }
        http_free(p.http);
    }
    spark_place_release(&p.place);
    spark_node_release(&p.node);
}
