#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "executor/embedded.h"
#include "executor/spark_submit.h"

struct fixture {
    struct runspec spec;
    struct spark_node node;
    struct spark_place place;
    struct strvec argv;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    runspec_init(&f->spec);
    memcpy(f->spec.run, "k7m2abcd", sizeof("k7m2abcd"));
    f->spec.experiment = xstrdup("words");
    f->spec.framework = FRAMEWORK_PYSPARK;
    f->spec.script = xstrdup("job.py");
    f->spec.spark = runspec_spark_new();
    spark_node_init(&f->node);
    free(f->node.submit);
    f->node.submit = xstrdup("/opt/spark/bin/spark-submit");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    runspec_release(&f->spec);
    spark_node_release(&f->node);
    spark_place_release(&f->place);
    strvec_release(&f->argv);
    free(f);
    return 0;
}

static void set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static void build(struct fixture *f, const char *driver_python, const char *python,
                  const struct strvec *archives, const struct strvec *conf)
{
    struct error err = ERROR_INIT;
    const struct spark_submission submission = {.spec = &f->spec,
                                                .node = &f->node,
                                                .place = &f->place,
                                                .attempt = 2,
                                                .work = "/r/work",
                                                .driver = "/r/errand_driver.py",
                                                .driver_python = driver_python,
                                                .executor_python = python,
                                                .archives = archives,
                                                .conf = conf};

    if (f->place.master == NULL) {
        assert_int_equal(spark_place_choose(&f->place, f->spec.spark, &f->node, &err), 0);
    }
    strvec_release(&f->argv);
    spark_submit_arguments(&submission, &f->argv);
}

static void assert_words(const struct fixture *f, const char *const *words)
{
    size_t count = 0;

    for (; words[count] != NULL; count++) {
        if (count >= f->argv.count || strcmp(f->argv.items[count], words[count]) != 0) {
            fail_msg("word %zu is %s, not %s", count,
                     count < f->argv.count ? f->argv.items[count] : "missing",
                     words[count]);
        }
    }
    assert_int_equal(f->argv.count, count);
}

/* How many words are this one. */
static size_t count(const struct fixture *f, const char *word)
{
    size_t n = 0;

    for (size_t i = 0; i < f->argv.count; i++) {
        n += strcmp(f->argv.items[i], word) == 0;
    }
    return n;
}

/* Where this --conf stands; 0: nowhere. */
static size_t place_of_conf(const struct fixture *f, const char *conf)
{
    for (size_t i = 1; i < f->argv.count; i++) {
        if (strcmp(f->argv.items[i], conf) == 0 &&
            strcmp(f->argv.items[i - 1], "--conf") == 0) {
            return i;
        }
    }
    return 0;
}

static void nothing_wished_is_sparks_own_default_here(void **state)
{
    struct fixture *f = *state;

    build(f, "/usr/bin/python3", "/usr/bin/python3", NULL, NULL);
    assert_words(
        f, (const char *const[]){"/opt/spark/bin/spark-submit", "--master", "local[*]",
                                 "--deploy-mode", "client", "--name", "words k7m2abcd",
                                 "--conf", "spark.pyspark.python=/usr/bin/python3",
                                 "--conf", "spark.pyspark.driver.python=/usr/bin/python3",
                                 "/r/errand_driver.py", NULL});
}

static void on_yarn_the_script_runs_in_the_cluster_and_nobody_waits(void **state)
{
    struct fixture *f = *state;

    set(&f->node.master, "yarn");
    set(&f->node.version, "3.5.9");
    build(f, NULL, "./environment/bin/python", NULL, NULL);
    assert_true(f->place.is_cluster && f->place.is_yarn && !f->place.is_local);
    assert_int_equal(count(f, "cluster"), 1);
    assert_int_not_equal(place_of_conf(f, "spark.yarn.tags=errand-k7m2abcd-2"), 0);
    assert_int_not_equal(place_of_conf(f, "spark.yarn.maxAppAttempts=1"), 0);
    assert_int_not_equal(place_of_conf(f, "spark.yarn.submit.waitAppCompletion=false"),
                         0);
    assert_int_not_equal(
        place_of_conf(f,
                      "spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python"),
        0);
    assert_int_not_equal(
        place_of_conf(f, "spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python"), 0);
    for (size_t i = 0; i < f->argv.count; i++) {
        assert_null(strstr(f->argv.items[i], "driver.python"));
    }
    assert_string_equal(f->argv.items[f->argv.count - 1], "/r/errand_driver.py");
}

static void in_client_mode_on_yarn_a_killed_application_is_a_failure(void **state)
{
    struct fixture *f = *state;

    set(&f->spec.spark->master, "yarn");
    f->spec.spark->deploy_mode = SPARK_DEPLOY_CLIENT;
    set(&f->node.version, "3.2.4");
    build(f, "/p", "/p", NULL, NULL);
    assert_int_equal(place_of_conf(f, "spark.yarn.am.clientModeExitOnError=true"), 0);
    assert_int_equal(place_of_conf(f, "spark.yarn.submit.waitAppCompletion=false"), 0);
    set(&f->node.version, "3.3.0");
    build(f, "/p", "/p", NULL, NULL);
    assert_int_not_equal(place_of_conf(f, "spark.yarn.am.clientModeExitOnError=true"), 0);
    set(&f->node.version, "4.1.4");
    build(f, "/p", "/p", NULL, NULL);
    assert_int_not_equal(place_of_conf(f, "spark.yarn.am.clientModeExitOnError=true"), 0);
    set(&f->node.version, "");
    build(f, "/p", "/p", NULL, NULL);
    assert_int_equal(place_of_conf(f, "spark.yarn.am.clientModeExitOnError=true"), 0);
}

static void errands_own_settings_come_last(void **state)
{
    struct fixture *f = *state;
    CLEANUP_STRVEC struct strvec more = STRVEC_INIT;

    strvec_push(&more, "spark.executorEnv.PYTHONPATH=./environment");
    assert_int_equal(runspec_spark_set_conf(f->spec.spark, "spark.z=1", NULL), 0);
    assert_int_equal(runspec_spark_set_conf(f->spec.spark, "spark.app.name=mine", NULL),
                     0);
    build(f, "/p", "/p", NULL, &more);
    assert_int_equal(count(f, "--name"), 0);
    assert_true(place_of_conf(f, "spark.z=1") > 0);
    assert_true(place_of_conf(f, "spark.z=1") <
                place_of_conf(f, "spark.executorEnv.PYTHONPATH=./environment"));
    assert_true(place_of_conf(f, "spark.executorEnv.PYTHONPATH=./environment") <
                place_of_conf(f, "spark.pyspark.python=/p"));
}

static void what_lies_in_the_project_is_named_by_its_place(void **state)
{
    struct fixture *f = *state;
    struct runspec_spark *spark = f->spec.spark;
    CLEANUP_STRVEC struct strvec archives = STRVEC_INIT;

    strvec_push(&archives, "hdfs:///e.tar#environment");
    strvec_push(&spark->jars, "lib/a.jar");
    strvec_push(&spark->jars, "hdfs:///b.jar");
    strvec_push(&spark->py_files, "t.zip");
    strvec_push(&spark->files, "a b.csv#x");
    strvec_push(&spark->archives, "m.tgz#m");
    strvec_push(&spark->packages, "g:a:1");
    strvec_push(&spark->packages, "g:b:2");
    strvec_push(&spark->exclude_packages, "g:*");
    strvec_push(&spark->repositories, "https://m");
    spark->queue = xstrdup("ml");
    spark->principal = xstrdup("me@X");
    spark->keytab = xstrdup("/k");
    spark->driver_memory = xstrdup("1g");
    spark->executor_memory = xstrdup("2g");
    spark->executor_cores = 3;
    spark->num_executors = 4;
    build(f, "/p", "/p", &archives, NULL);
    assert_words(f, (const char *const[]){"/opt/spark/bin/spark-submit",
                                          "--master",
                                          "local[*]",
                                          "--deploy-mode",
                                          "client",
                                          "--name",
                                          "words k7m2abcd",
                                          "--queue",
                                          "ml",
                                          "--driver-memory",
                                          "1g",
                                          "--executor-memory",
                                          "2g",
                                          "--executor-cores",
                                          "3",
                                          "--num-executors",
                                          "4",
                                          "--principal",
                                          "me@X",
                                          "--keytab",
                                          "/k",
                                          "--packages",
                                          "g:a:1,g:b:2",
                                          "--exclude-packages",
                                          "g:*",
                                          "--repositories",
                                          "https://m",
                                          "--jars",
                                          "/r/work/lib/a.jar,hdfs:///b.jar",
                                          "--py-files",
                                          "/r/work/t.zip",
                                          "--files",
                                          "/r/work/a b.csv#x",
                                          "--archives",
                                          "/r/work/m.tgz#m,hdfs:///e.tar#environment",
                                          "--conf",
                                          "spark.pyspark.python=/p",
                                          "--conf",
                                          "spark.pyspark.driver.python=/p",
                                          "/r/errand_driver.py",
                                          NULL});
    assert_int_equal(count(f, "--properties-file"), 0);
}

static void where_it_runs_is_decided_by_the_run_then_the_node(void **state)
{
    static const struct {
        const char *own, *wish;
        enum spark_deploy mode;
        const char *master; /* NULL: refused */
        bool is_cluster;
    } rows[] = {
        {"", NULL, SPARK_DEPLOY_AUTO, "local[*]", false},
        {"yarn", NULL, SPARK_DEPLOY_AUTO, "yarn", true},
        {"yarn-client", NULL, SPARK_DEPLOY_AUTO, "yarn", true},
        {"yarn", NULL, SPARK_DEPLOY_CLIENT, "yarn", false},
        {"yarn", "local[2]", SPARK_DEPLOY_AUTO, "local[2]", false},
        {"yarn", "spark://h:7077", SPARK_DEPLOY_AUTO, "spark://h:7077", false},
        {"spark://h:7077", NULL, SPARK_DEPLOY_AUTO, "spark://h:7077", false},
        {"", "yarn", SPARK_DEPLOY_CLUSTER, "yarn", true},
        {"", NULL, SPARK_DEPLOY_CLUSTER, NULL, false},
        {"spark://h:7077", NULL, SPARK_DEPLOY_CLUSTER, NULL, false},
        {"k8s://https://h", NULL, SPARK_DEPLOY_AUTO, NULL, false},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        set(&f->node.master, rows[i].own);
        free(TAKE_PTR(f->spec.spark->master));
        f->spec.spark->master = rows[i].wish != NULL ? xstrdup(rows[i].wish) : NULL;
        f->spec.spark->deploy_mode = rows[i].mode;
        spark_place_release(&f->place);
        int result = spark_place_choose(&f->place, f->spec.spark, &f->node, &err);
        assert_int_equal(result, rows[i].master != NULL ? 0 : -1);
        if (result == 0) {
            assert_string_equal(f->place.master, rows[i].master);
            assert_int_equal(f->place.is_cluster, rows[i].is_cluster);
        } else {
            assert_int_equal(err.code, ERR_UNSUPPORTED);
        }
    }
}

/* The settings that stand behind the driver's text. */
static struct json *settings_of(const char *text)
{
    const char *word = strstr(text, "main(decode(\"");
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;

    assert_non_null(word = strrchr(text, '(') + 2);
    CLEANUP_FREE char *base64 = xstrndup(word, strcspn(word, "\""));
    assert_int_equal(bytes_from_base64(&bytes, base64, NULL), 0);
    struct json *j = json_parse(bytes.data, bytes.length, NULL);
    assert_non_null(j);
    return j;
}

static void the_driver_is_told_everything_in_its_own_text(void **state)
{
    struct fixture *f = *state;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf argument = STRBUF_INIT;
    CLEANUP_STRVEC struct strvec path = STRVEC_INIT, variables = STRVEC_INIT;

    strvec_push(&f->spec.command, "\xff\n\"");
    strvec_push(&path, "./environment");
    strvec_push(&variables, "A=b=c");
    const struct spark_driver driver = {.spec = &f->spec,
                                        .attempt = 3,
                                        .project = "./project",
                                        .python_path = &path,
                                        .variables = &variables,
                                        .token = "abcd"};
    spark_driver_write(&driver, &text);
    assert_memory_equal(text.data, spark_driver_text, strlen(spark_driver_text));
    CLEANUP_JSON struct json *j = settings_of(text.data);
    assert_string_equal(json_string(json_get(j, "script")), "job.py");
    assert_string_equal(json_string(json_get(j, "project")), "./project");
    assert_string_equal(json_string(json_get(j, "token")), "abcd");
    assert_int_equal(json_integer(json_get(j, "attempt")), 3);
    assert_null(json_get(j, "log"));
    assert_null(json_get(j, "result"));
    assert_int_equal(
        json_bytes(json_at(json_get(j, "arguments"), 0), "argument", &argument, NULL), 0);
    assert_string_equal(argument.data, "\xff\n\"");
    assert_string_equal(json_string(json_get(json_get(j, "variables"), "A")), "b=c");
    assert_string_equal(json_string(json_at(json_get(j, "python_path"), 0)),
                        "./environment");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_wished_is_sparks_own_default_here, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            on_yarn_the_script_runs_in_the_cluster_and_nobody_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            in_client_mode_on_yarn_a_killed_application_is_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errands_own_settings_come_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_lies_in_the_project_is_named_by_its_place,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_it_runs_is_decided_by_the_run_then_the_node,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_driver_is_told_everything_in_its_own_text,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
