#include "executor/spark_submit.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/files.h"
#include "common/json.h"
#include "executor/embedded.h"

/* ---- Where ---- */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The node's own default may be what older Sparks took: yarn-client. */
static const char *own_master(const struct spark_node *node)
{
    if (node->master[0] == '\0') {
        return "local[*]"; /* as Spark itself has it */
    }
    return begins_with(node->master, "yarn-") ? "yarn" : node->master;
}

int spark_place_choose(struct spark_place *place, const struct runspec_spark *spark,
                       const struct spark_node *node, struct error *err)
{
    const char *master = spark->master != NULL ? spark->master : own_master(node);

    if (spark_master_check(master, err) < 0) {
        error_set(err, ERR_UNSUPPORTED,
                  "Spark on the node is set to the master %.200s, which errand does not "
                  "know",
                  master);
        return error_hint(err, "name another one with --master");
    }
    place->master = xstrdup(master);
    place->is_yarn = strcmp(master, "yarn") == 0;
    place->is_local = begins_with(master, "local");
    place->is_cluster = spark->deploy_mode == SPARK_DEPLOY_CLUSTER ||
                        (spark->deploy_mode == SPARK_DEPLOY_AUTO && place->is_yarn);
    if (place->is_cluster && !place->is_yarn) {
        error_set(err, ERR_UNSUPPORTED,
                  "with the master %.200s Spark runs Python scripts in client mode alone",
                  master);
        return error_hint(err, "leave the deploy mode out, or name the master yarn");
    }
    return 0;
}

void spark_place_release(struct spark_place *place)
{
    free(place->master);
    *place = (struct spark_place){.master = NULL};
}

/* ---- The argument vector ---- */

char *spark_tag(const char *run, int64_t attempt)
{
    return xasprintf("errand-%s-%lld", run, (long long)attempt);
}

static void add(struct strvec *argv, const char *option, const char *value)
{
    if (value != NULL) {
        strvec_push(argv, option);
        strvec_push(argv, value);
    }
}

static void add_number(struct strvec *argv, const char *option, int64_t n)
{
    if (n > 0) {
        strvec_push(argv, option);
        strvec_pushf(argv, "%lld", (long long)n);
    }
}

static void add_conf(struct strvec *argv, const char *key, const char *value)
{
    strvec_push(argv, "--conf");
    strvec_pushf(argv, "%s=%s", key, value);
}

/* Names with commas between them; those of the project by their place in work. */
static void add_list(struct strvec *argv, const char *option, const struct strvec *items,
                     const struct strvec *more, const char *work)
{
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;

    for (size_t i = 0; i < items->count; i++) {
        const char *item = items->items[i];
        CLEANUP_FREE char *path =
            work != NULL && !spark_is_uri(item) ? files_join(work, item) : xstrdup(item);

        strbuf_printf(&list, "%s%s", list.length > 0 ? "," : "", path);
    }
    for (size_t i = 0; more != NULL && i < more->count; i++) {
        strbuf_printf(&list, "%s%s", list.length > 0 ? "," : "", more->items[i]);
    }
    if (list.length > 0) {
        add(argv, option, list.data);
    }
}

static void add_files(const struct spark_submission *s, struct strvec *argv)
{
    const struct runspec_spark *spark = s->spec->spark;

    add_list(argv, "--packages", &spark->packages, NULL, NULL);
    add_list(argv, "--exclude-packages", &spark->exclude_packages, NULL, NULL);
    add_list(argv, "--repositories", &spark->repositories, NULL, NULL);
    add_list(argv, "--jars", &spark->jars, NULL, s->work);
    add_list(argv, "--py-files", &spark->py_files, NULL, s->work);
    add_list(argv, "--files", &spark->files, NULL, s->work);
    add_list(argv, "--archives", &spark->archives, s->archives, s->work);
}

/* What YARN is told beside what the user says. Source: Spark's page "Running Spark on
 * YARN". */
static void add_yarn_conf(const struct spark_submission *s, struct strvec *argv)
{
    CLEANUP_FREE char *tag = spark_tag(s->spec->run, s->attempt);
    CLEANUP_FREE char *attempts =
        xasprintf("%lld", (long long)s->spec->spark->max_attempts);

    add_conf(argv, "spark.yarn.tags", tag);
    add_conf(argv, "spark.yarn.maxAppAttempts", attempts);
    if (s->place->is_cluster) {
        add_conf(argv, "spark.yarn.submit.waitAppCompletion", "false");
        add_conf(argv, "spark.yarn.appMasterEnv.PYSPARK_PYTHON", s->executor_python);
    } else if (spark_node_is_at_least(s->node, 3, 3)) {
        /* Else a script goes on, and ends well, whose application was killed. */
        add_conf(argv, "spark.yarn.am.clientModeExitOnError", "true");
        add_conf(argv, "spark.yarn.am.clientModeTreatDisconnectAsFailed", "true");
    }
    add_conf(argv, "spark.executorEnv.PYSPARK_PYTHON", s->executor_python);
}

static bool has_conf(const struct strvec *conf, const char *key)
{
    size_t length = strlen(key);

    for (size_t i = 0; i < conf->count; i++) {
        if (strncmp(conf->items[i], key, length) == 0 && conf->items[i][length] == '=') {
            return true;
        }
    }
    return false;
}

/* Of a key that is there twice Spark takes the last one: ours come last. */
static void add_settings(const struct spark_submission *s, struct strvec *argv)
{
    const struct strvec *conf = &s->spec->spark->conf;

    for (size_t i = 0; i < conf->count; i++) {
        add(argv, "--conf", conf->items[i]);
    }
    for (size_t i = 0; s->conf != NULL && i < s->conf->count; i++) {
        add(argv, "--conf", s->conf->items[i]);
    }
    add_conf(argv, "spark.pyspark.python", s->executor_python);
    if (s->driver_python != NULL) {
        add_conf(argv, "spark.pyspark.driver.python", s->driver_python);
    }
    if (s->place->is_yarn) {
        add_yarn_conf(s, argv);
    }
}

void spark_submit_arguments(const struct spark_submission *s, struct strvec *argv)
{
    const struct runspec_spark *spark = s->spec->spark;

    strvec_push(argv, s->node->submit);
    add(argv, "--master", s->place->master);
    add(argv, "--deploy-mode", s->place->is_cluster ? "cluster" : "client");
    if (!has_conf(&spark->conf, "spark.app.name")) {
        strvec_push(argv, "--name");
        strvec_pushf(argv, "%s %s", s->spec->experiment, s->spec->run);
    }
    add(argv, "--queue", spark->queue);
    add(argv, "--driver-memory", spark->driver_memory);
    add(argv, "--executor-memory", spark->executor_memory);
    add_number(argv, "--executor-cores", spark->executor_cores);
    add_number(argv, "--num-executors", spark->num_executors);
    add(argv, "--principal", spark->principal);
    add(argv, "--keytab", spark->keytab);
    add_files(s, argv);
    add_settings(s, argv);
    strvec_push(argv, s->driver);
}

/* ---- The driver's settings ---- */

static struct json *bytes_array(const struct strvec *items)
{
    struct json *array = json_new_array();

    for (size_t i = 0; items != NULL && i < items->count; i++) {
        json_append(array, json_new_bytes(items->items[i], strlen(items->items[i])));
    }
    return array;
}

static struct json *variables_object(const struct strvec *variables)
{
    struct json *object = json_new_object();

    for (size_t i = 0; variables != NULL && i < variables->count; i++) {
        const char *pair = variables->items[i];
        CLEANUP_FREE char *name = xstrndup(pair, strcspn(pair, "="));
        const char *value = pair + strlen(name) + (pair[strlen(name)] == '=');

        if (json_get(object, name) == NULL) {
            json_add_bytes(object, name, value, strlen(value));
        }
    }
    return object;
}

static void add_text(struct json *j, const char *key, const char *text)
{
    if (text != NULL) {
        json_add_bytes(j, key, text, strlen(text));
    }
}

void spark_driver_write(const struct spark_driver *driver, struct strbuf *out)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    add_text(j, "script", driver->spec->script);
    json_add(j, "arguments", bytes_array(&driver->spec->command));
    add_text(j, "project", driver->project);
    json_add(j, "python_path", bytes_array(driver->python_path));
    json_add(j, "variables", variables_object(driver->variables));
    add_text(j, "log", driver->log);
    add_text(j, "result", driver->result);
    add_text(j, "context", driver->context);
    json_add_string(j, "token", driver->token);
    json_add_integer(j, "attempt", driver->attempt);
    add_text(j, "copy_of", driver->copy_of);
    add_text(j, "prefix", driver->prefix);
    if (driver->outputs != NULL) {
        struct json *outputs = json_add(j, "outputs", json_new_object());

        json_add(outputs, "folders", bytes_array(&driver->spec->outputs));
        json_add_string(outputs, "uri", driver->outputs);
        CLEANUP_FREE char *metrics =
            xasprintf("%s%s", driver->outputs, SPARK_METRICS_SUFFIX);
        json_add_string(outputs, "metrics", metrics);
    }
    json_write(j, false, &text);
    strbuf_puts(out, spark_driver_text);
    strbuf_puts(out, "\nmain(decode(\"");
    bytes_to_base64(out, text.data, text.length);
    strbuf_puts(out, "\"), __file__)\n");
    mem_wipe(text.data, text.length);
}
