#define _GNU_SOURCE /* st_mtim */
#include "executor/spark_node.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/subprocess.h"
#include "common/variables.h"
#include "executor/embedded.h"
#include "executor/variables_of_run.h"

#define WHAT "what is known of the node's Spark"
#define CACHE_FILE "spark.json"
#define CACHE_FORMAT 1
#define ANSWER_MAX ((size_t)256 << 10)
#define LIST_MAX 64
#define FILES_MAX 1024
#define TEXT_MAX 4096

/* Variables that decide what is found. */
static const char *const deciding[] = {"PATH",
                                       "HOME",
                                       "SPARK_HOME",
                                       "SPARK_CONF_DIR",
                                       "HADOOP_CONF_DIR",
                                       "YARN_CONF_DIR",
                                       "PYSPARK_PYTHON",
                                       "JAVA_HOME",
                                       "BASH_ENV",
                                       "HADOOP_HOME",
                                       "HADOOP_USER_NAME"};

static const struct text_row {
    const char *key;
    size_t offset;
} texts[] = {
#define ROW(name) {#name, offsetof(struct spark_node, name)},
    SPARK_NODE_TEXTS(ROW)
#undef ROW
};

static char **text_at(struct spark_node *node, size_t i)
{
    return (char **)(void *)((char *)node + texts[i].offset);
}

void spark_node_init(struct spark_node *node)
{
    *node = (struct spark_node){.submit = NULL};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        *text_at(node, i) = xstrdup("");
    }
}

void spark_node_release(struct spark_node *node)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        free(*text_at(node, i));
    }
    strvec_release(&node->rm);
    strvec_release(&node->webhdfs);
    *node = (struct spark_node){.submit = NULL};
}

bool spark_node_is_at_least(const struct spark_node *node, unsigned major, unsigned minor)
{
    char *end = NULL;
    unsigned long have_major = strtoul(node->version, &end, 10);
    unsigned long have_minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    return have_major > major || (have_major == major && have_minor >= minor);
}

/* ---- What the probe says ---- */

static int no_spark(const struct json *j, struct error *err)
{
    const char *named = json_string(json_get(j, "named"));

    /* A run's end keeps one sentence, and no hint. */
    if (named != NULL && named[0] != '\0') {
        return error_set(err, ERR_NOT_FOUND,
                         "there is no Spark in %.200s on the node: no bin/spark-submit; "
                         "mend the target's spark_home",
                         named);
    }
    return error_set(
        err, ERR_NOT_FOUND,
        "there is no Spark on the node: no spark-submit in PATH, SPARK_HOME, "
        "/usr/lib/spark, /opt/spark or other usual places; install it, set "
        "targets.NAME.spark_home, or add pyspark to the environment");
}

static int take_list(const struct json *j, const char *key, struct strvec *out,
                     struct error *err)
{
    const struct json *array;

    if (json_get_array(j, WHAT, key, LIST_MAX, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        const char *text = json_string(item);

        if (text == NULL || strlen(text) > TEXT_MAX) {
            return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" has an item that is no URL",
                             key);
        }
        strvec_push(out, text);
    }
    return 0;
}

static int take_answer(const struct json *j, struct spark_node *node, struct error *err)
{
    const char *submit = json_string(json_get(j, "submit"));

    if (submit != NULL && submit[0] == '\0') {
        return no_spark(j, err);
    }
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *text;

        if (json_get_string(j, WHAT, texts[i].key, &text, err) < 0) {
            return -1;
        }
        if (strlen(text) > TEXT_MAX) {
            return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" is too long", texts[i].key);
        }
        free(*text_at(node, i));
        *text_at(node, i) = xstrdup(text);
    }
    strvec_release(&node->rm);
    strvec_release(&node->webhdfs);
    return take_list(j, "rm", &node->rm, err) < 0 ||
                   take_list(j, "webhdfs", &node->webhdfs, err) < 0
               ? -1
               : 0;
}

/* ---- What is kept of it ---- */

/* What decides which answer it is: the wish, the variables, and this program's own text.
 */
static void make_key(const struct spark_wish *wish, char out[OID_HEX_SIZE])
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct oid digest;

    strbuf_printf(&text, "%s\n%s\n", wish->home != NULL ? wish->home : "",
                  wish->fallback != NULL ? wish->fallback : "");
    for (size_t i = 0; i < ARRAY_SIZE(deciding); i++) {
        const char *value = variables_find(wish->variables, deciding[i]);

        strbuf_printf(&text, "%s=%s\n", deciding[i], value != NULL ? value : "");
    }
    strbuf_puts(&text, spark_probe_text);
    oid_of_bytes(text.data, text.length, &digest);
    oid_to_hex(&digest, out);
}

/* Whether the file is as [path, device, inode, size, mtime in ms] or [path] says. */
static bool is_as_it_was(const struct json *file)
{
    const char *path = json_string(json_at(file, 0));
    struct stat st;

    if (path == NULL) {
        return false;
    }
    if (stat(path, &st) < 0) {
        return json_count(file) == 1;
    }
    return json_count(file) == 5 &&
           json_integer(json_at(file, 1)) == (int64_t)st.st_dev &&
           json_integer(json_at(file, 2)) == (int64_t)st.st_ino &&
           json_integer(json_at(file, 3)) == (int64_t)st.st_size &&
           json_integer(json_at(file, 4)) ==
               (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

static bool are_as_they_were(const struct json *files)
{
    if (!json_is_array(files) || json_count(files) > FILES_MAX) {
        return false;
    }
    for (const struct json *file = json_first(files); file != NULL;
         file = json_next(file)) {
        if (!is_as_it_was(file)) {
            return false;
        }
    }
    return true;
}

/* True where the kept answer is still right; node has it. */
static bool find_kept(const struct noderoot *root, const char *key,
                      struct spark_node *node)
{
    struct strbuf text;
    CLEANUP_JSON struct json *j = NULL;
    bool is_found = false;

    strbuf_init(&text, ANSWER_MAX);
    if (files_read(root->fd, CACHE_FILE, &text, NULL) == 0) {
        j = json_parse(text.data, text.length, NULL);
    }
    strbuf_release(&text);
    const char *kept_key = json_string(json_get(j, "key"));
    const struct json *answer = json_get(j, "answer");
    if (kept_key != NULL && strcmp(kept_key, key) == 0 &&
        json_integer(json_get(j, "format")) == CACHE_FORMAT &&
        are_as_they_were(json_get(answer, "files"))) {
        is_found = take_answer(answer, node, NULL) == 0;
    }
    return is_found;
}

/* Best effort: without it the next run asks again. */
static void keep(const struct noderoot *root, const char *key, const struct json *answer)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    json_add_integer(j, "format", CACHE_FORMAT);
    json_add_string(j, "key", key);
    json_add(j, "answer", json_copy(answer));
    json_write(j, false, &text);
    (void)files_write_atomic(root->fd, CACHE_FILE, text.data, text.length, 0600, NULL);
}

/* ---- Asking ---- */

static char *wish_text(const struct spark_wish *wish)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    json_add_string(j, "home", wish->home != NULL ? wish->home : "");
    json_add_string(j, "fallback", wish->fallback != NULL ? wish->fallback : "");
    json_write(j, false, &text);
    return strbuf_detach(&text);
}

static int start_probe(const struct spark_wish *wish, const char *wanted,
                       struct subprocess *sp, struct error *err)
{
    static const char *const pythons[] = {"python3", "python", "python2",
                                          "/usr/libexec/platform-python"};

    for (size_t i = 0; i < ARRAY_SIZE(pythons); i++) {
        const char *const argv[] = {pythons[i], "-c", spark_probe_text, wanted, NULL};

        *sp =
            (struct subprocess){.argv = argv,
                                .env = (const char *const *)strvec_argv(wish->variables),
                                .in = SUBPROCESS_NULL,
                                .out = SUBPROCESS_PIPE,
                                .error = SUBPROCESS_NULL};
        if (subprocess_start(sp, err) == 0) {
            return 0;
        }
    }
    error_set(err, ERR_NOT_FOUND,
              "there is no Python on the node's PATH, which Spark needs for a script");
    return error_hint(err, "install python3 there, or put it into PATH");
}

static struct json *ask(const struct spark_wish *wish, struct error *err)
{
    CLEANUP_FREE char *wanted = wish_text(wish);
    struct subprocess sp;
    struct strbuf answer;
    struct json *j = NULL;
    int status = 0;

    if (start_probe(wish, wanted, &sp, err) < 0) {
        return NULL;
    }
    strbuf_init(&answer, ANSWER_MAX);
    int result = fdio_read_all(sp.stdout_fd, "the answer about Spark", &answer, err);
    if (subprocess_wait(&sp, &status, result == 0 ? err : NULL) < 0 || result < 0) {
        strbuf_release(&answer);
        return NULL;
    }
    j = json_parse(answer.data, answer.length, err);
    if (j == NULL) {
        CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;

        subprocess_describe_status(status, &how);
        error_set(err, ERR_CORRUPT, "looking for Spark on the node: its Python %s",
                  how.data);
    }
    strbuf_release(&answer);
    return j;
}

static int check_java(const struct spark_node *node, struct error *err)
{
    if (node->java[0] != '\0') {
        return 0;
    }
    error_set(err, ERR_NOT_FOUND,
              "%.300s finds no Java: JAVA_HOME has none, and none is in PATH",
              node->submit);
    return error_hint(err,
                      "install a JRE that Spark %s can use, or set JAVA_HOME with "
                      "--env or targets.NAME.variables",
                      node->version);
}

int spark_node_find(const struct noderoot *root, const struct spark_wish *wish,
                    struct spark_node *node, struct error *err)
{
    char key[OID_HEX_SIZE];

    make_key(wish, key);
    if (find_kept(root, key, node)) {
        return check_java(node, err);
    }
    CLEANUP_JSON struct json *answer = ask(wish, err);
    if (answer == NULL || take_answer(answer, node, err) < 0) {
        return -1;
    }
    keep(root, key, answer);
    return check_java(node, err);
}

/* ---- For a run ---- */

/* Not those of a Python environment, in which errand itself may have been started. */
static int make_variables(const struct runspec *spec, struct strvec *out,
                          struct error *err)
{
    variables_inherit(out);
    return variables_of_run(spec, out, err);
}

/* The environment's Spark finds itself by its Python. */
static int find_brought(const struct noderoot *root, struct spark_wish *wish,
                        const char *prefix, struct spark_node *node, struct error *err)
{
    CLEANUP_FREE char *submit = files_join(prefix, "bin/spark-submit");

    wish->fallback = submit;
    variables_setf(wish->variables, "PYSPARK_PYTHON=%s/bin/python", prefix);
    return spark_node_find(root, wish, node, err);
}

int spark_node_find_for(const struct noderoot *root, const struct runspec *spec,
                        const char *prefix, bool may_start, struct spark_node *node,
                        struct error *err)
{
    CLEANUP_STRVEC struct strvec variables = STRVEC_INIT;
    struct spark_wish wish = {.home = spec->spark->home, .variables = &variables};
    struct error why = ERROR_INIT;
    char key[OID_HEX_SIZE];

    if (make_variables(spec, &variables, err) < 0) {
        return -1;
    }
    if (!may_start) {
        make_key(&wish, key);
        return find_kept(root, key, node);
    }
    int result = spark_node_find(root, &wish, node, &why);
    if (result < 0 && why.code == ERR_NOT_FOUND && prefix != NULL) {
        spark_node_release(node);
        spark_node_init(node);
        result = find_brought(root, &wish, prefix, node, &why);
    }
    if (result < 0 && err != NULL) {
        *err = why;
    }
    return result < 0 ? -1 : 1;
}
