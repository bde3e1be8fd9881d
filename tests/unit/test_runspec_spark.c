#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/runspec_spark.h"

static char *text_of(const struct runspec_spark *spark)
{
    CLEANUP_JSON struct json *j = runspec_spark_to_json(spark);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    json_write(j, false, &text);
    return strbuf_detach(&text);
}

/* NULL: refused, with a sentence. */
static struct runspec_spark *read_text(const char *text)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    struct runspec_spark *spark;

    assert_non_null(j);
    spark = runspec_spark_from_json(j, &err);
    if (spark == NULL) {
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_non_null(strstr(err.text, "run specification: "));
    }
    return spark;
}

/* What text is decoded to is encoded as text again. */
static void assert_comes_back(const char *text)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = read_text(text);
    CLEANUP_FREE char *again = NULL;

    assert_non_null(spark);
    again = text_of(spark);
    assert_string_equal(again, text);
}

static void what_is_not_wished_is_not_written(void **state)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = runspec_spark_new();
    CLEANUP_FREE char *text = text_of(spark);

    (void)state;
    assert_string_equal(text, "{\"deploy_mode\":\"auto\"}");
    assert_comes_back(text);
    assert_int_equal(spark->max_attempts, 1);
    assert_int_equal(spark->submit_timeout_ms, SPARK_SUBMIT_TIMEOUT_DEFAULT_MS);
}

static void everything_comes_back(void **state)
{
    (void)state;
    assert_comes_back(
        "{\"deploy_mode\":\"cluster\",\"master\":\"yarn\",\"home\":\"/opt/spark\","
        "\"queue\":\"ml\",\"driver_memory\":\"2g\",\"executor_memory\":\"512m\","
        "\"principal\":\"me@X\",\"keytab\":\"/k\",\"base\":\"hdfs:///user/me\","
        "\"attendant\":\"/usr/bin/errand\",\"conf\":[\"spark.a=1\",\"spark.b=x=,y\"],"
        "\"packages\":[\"g.h:a_2.12:1.0\"],\"repositories\":[\"https://m/r\"],"
        "\"exclude_packages\":[\"g:*\"],\"jars\":[\"lib/a.jar\",\"hdfs:///b.jar\"],"
        "\"py_files\":[\"t.zip\"],\"files\":[\"a b.csv#x\"],\"archives\":[\"m.tgz#m\"],"
        "\"executor_cores\":4,\"num_executors\":8,\"max_attempts\":2,"
        "\"submit_timeout_ms\":1000,"
        "\"livy\":{\"url\":\"https://c/livy\",\"user\":\"admin\",\"ca\":\"/ca.pem\","
        "\"webhdfs\":\"https://c/webhdfs\",\"yarn_url\":\"https://c/yarnui\","
        "\"auth\":\"negotiate\",\"upload\":\"command\",\"upload_command\":[\"az\",\"-x\"]"
        "}}");
}

static void what_it_may_not_be_is_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"deploy_mode\":\"remote\"}",
        "{\"deploy_mode\":\"auto\",\"master\":\"\"}",
        "{\"deploy_mode\":\"auto\",\"master\":\"mesos://x\"}",
        "{\"deploy_mode\":\"auto\",\"home\":7}",
        "{\"deploy_mode\":\"auto\",\"queue\":{\"base64\":\"YQBi\"}}",
        "{\"deploy_mode\":\"auto\",\"conf\":[\"spark.b=1\",\"spark.a=1\"]}",
        "{\"deploy_mode\":\"auto\",\"conf\":[\"spark.a=1\",\"spark.a=2\"]}",
        "{\"deploy_mode\":\"auto\",\"conf\":[\"spark.yarn.tags=x\"]}",
        "{\"deploy_mode\":\"auto\",\"conf\":\"spark.a=1\"}",
        "{\"deploy_mode\":\"auto\",\"packages\":[\"a:b\"]}",
        "{\"deploy_mode\":\"auto\",\"jars\":[\"a,b\"]}",
        "{\"deploy_mode\":\"auto\",\"jars\":[\"\"]}",
        "{\"deploy_mode\":\"auto\",\"executor_cores\":0}",
        "{\"deploy_mode\":\"auto\",\"num_executors\":100001}",
        "{\"deploy_mode\":\"auto\",\"max_attempts\":0}",
        "{\"deploy_mode\":\"auto\",\"submit_timeout_ms\":999}",
        "{\"deploy_mode\":\"auto\",\"livy\":[]}",
        "{\"deploy_mode\":\"auto\",\"livy\":{\"auth\":\"none\",\"upload\":\"local\"}}",
        "{\"deploy_mode\":\"auto\",\"livy\":{\"url\":\"u\",\"auth\":\"x\",\"upload\":"
        "\"local\"}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct runspec_spark *spark = read_text(bad[i]);

        if (spark != NULL) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void lists_are_bounded(void **state)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = runspec_spark_new();
    CLEANUP_FREE char *fits = NULL;
    CLEANUP_FREE char *beyond = NULL;

    (void)state;
    for (int i = 0; i < SPARK_ITEMS_MAX; i++) {
        strvec_push(&spark->jars, "a.jar");
    }
    fits = text_of(spark);
    assert_comes_back(fits);
    strvec_push(&spark->jars, "a.jar");
    beyond = text_of(spark);
    assert_null(read_text(beyond));
}

static void of_two_values_of_a_key_the_last_counts(void **state)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = runspec_spark_new();
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(runspec_spark_set_conf(spark, "spark.b=1", &err), 0);
    assert_int_equal(runspec_spark_set_conf(spark, "spark.a=1", &err), 0);
    assert_int_equal(runspec_spark_set_conf(spark, "spark.b=2", &err), 0);
    assert_int_equal(spark->conf.count, 2);
    assert_string_equal(spark->conf.items[0], "spark.a=1");
    assert_string_equal(spark->conf.items[1], "spark.b=2");
    assert_int_equal(runspec_spark_set_conf(spark, "b=2", &err), -1);
}

/* Each row: taken or not; and what the hint says to do. */
static void a_key_of_conf_is_sparks_and_not_errands(void **state)
{
    static const struct {
        const char *pair, *hint;
    } bad[] = {
        {"executor.memory=4g", "did you mean spark.executor.memory=4g?"},
        {"spark.yarn.tags=x", "by its tag"},
        {"spark.master=yarn", "--master"},
        {"spark.submit.deployMode=client", "--deploy-mode"},
        {"spark.pyspark.python=python3", "--interpreter"},
        {"spark.a", ""},
        {"=x", ""},
        {"spark.=x", ""},
        {"spark.a b=x", ""},
        {"spark.a\nb=x", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_INIT;

        assert_int_equal(spark_conf_check(bad[i].pair, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.hint, bad[i].hint));
    }
    assert_int_equal(spark_conf_check("spark.a.B-c_d=", NULL), 0);
    assert_int_equal(spark_conf_check("spark.x=a b=c,\"d\"", NULL), 0);
    assert_int_equal(spark_conf_check("spark.yarn.tags2=a", NULL), 0);
}

static void assert_verdicts(int (*check)(const char *, struct error *),
                            const char *const *good, const char *const *bad)
{
    for (; *good != NULL; good++) {
        if (check(*good, NULL) != 0) {
            fail_msg("refused: %s", *good);
        }
    }
    for (; *bad != NULL; bad++) {
        struct error err = ERROR_INIT;

        if (check(*bad, &err) == 0) {
            fail_msg("taken: %s", *bad);
        }
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void each_setting_has_its_form(void **state)
{
    (void)state;
    assert_verdicts(
        spark_master_check,
        (const char *const[]){"yarn", "local", "local[2]", "local[*]", "local[4,2]",
                              "local[*,3]", "spark://h:7077", "spark://a:1,b:2", NULL},
        (const char *const[]){"", "YARN", "yarn-cluster", "local[0]", "local[", "local[]",
                              "local[2", "local[x]", "local[2]x", "spark://", "spark://h",
                              "spark://h:1/x", "k8s://x", NULL});
    assert_verdicts(spark_memory_check,
                    (const char *const[]){"512m", "4g", "4G", "4gb", "1024", "1t", NULL},
                    (const char *const[]){"", "g", "0g", "4 g", "4.5g", "-1g", "4x",
                                          "9999999999999g", NULL});
    assert_verdicts(spark_package_check,
                    (const char *const[]){"org.apache.spark:spark-avro_2.12:3.5.1", NULL},
                    (const char *const[]){"", "a:b", "a:b:c:d", "a::c", "a:b:c ", "a:*:c",
                                          "a/b/c", NULL});
    assert_verdicts(spark_exclude_check, (const char *const[]){"g:a", "g:*", "*:a", NULL},
                    (const char *const[]){"", "g", "g:a:v", "g:**", NULL});
    assert_verdicts(spark_base_check,
                    (const char *const[]){"/user/me", "hdfs:///x", "abfss://c@a/x", NULL},
                    (const char *const[]){"", "x/y", "/a b", "/a#b", NULL});
    assert_verdicts(spark_item_check,
                    (const char *const[]){"a b.jar#x", "\xff.zip", NULL},
                    (const char *const[]){"", "a,b", "-x", "a\nb", NULL});
}

static void a_scheme_tells_a_uri_from_a_path(void **state)
{
    (void)state;
    assert_true(spark_is_uri("hdfs://nn/x"));
    assert_true(spark_is_uri("local:/opt/x.jar"));
    assert_true(spark_is_uri("s3a://b/x"));
    assert_false(spark_is_uri("lib/a:b.jar"));
    assert_false(spark_is_uri("/opt/x.jar"));
    assert_false(spark_is_uri("x.jar"));
    assert_false(spark_is_uri(":x"));
    assert_false(spark_is_uri("1a:x"));
}

static void every_word_reads_back(void **state)
{
    enum spark_deploy mode = SPARK_DEPLOY_AUTO;
    enum livy_auth auth = LIVY_AUTH_BASIC;
    enum livy_upload upload = LIVY_UPLOAD_WEBHDFS;

    (void)state;
    for (int i = 0; i < SPARK_DEPLOY_COUNT; i++) {
        assert_int_equal(
            spark_deploy_parse(spark_deploy_name((enum spark_deploy)i), &mode, NULL), 0);
        assert_int_equal(mode, i);
    }
    for (int i = 0; i < LIVY_AUTH_COUNT; i++) {
        assert_int_equal(livy_auth_parse(livy_auth_name((enum livy_auth)i), &auth, NULL),
                         0);
        assert_int_equal(auth, i);
    }
    for (int i = 0; i < LIVY_UPLOAD_COUNT; i++) {
        assert_int_equal(
            livy_upload_parse(livy_upload_name((enum livy_upload)i), &upload, NULL), 0);
        assert_int_equal(upload, i);
    }
    assert_int_equal(spark_deploy_parse("", &mode, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_wished_is_not_written),
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(what_it_may_not_be_is_refused),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(of_two_values_of_a_key_the_last_counts),
        cmocka_unit_test(a_key_of_conf_is_sparks_and_not_errands),
        cmocka_unit_test(each_setting_has_its_form),
        cmocka_unit_test(a_scheme_tells_a_uri_from_a_path),
        cmocka_unit_test(every_word_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
