#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "common/spark_explain.h"
#include "tests/unit/recorded.h"

/* What real ones said. NULL: it says nothing that the table has, which is as it should be
 * where the script's own end says all. */
static void test_recorded_failures_are_sentences(void **state)
{
    static const struct {
        const char *name;
        const char *said, *hint;
    } rows[] = {
        {"yarn/refused.queue.stderr", "there is no queue nobody", "--queue"},
        {"yarn/refused.memory.stderr",
         "the AM asks for 102400+10240 MB of memory, and a container of this cluster may "
         "have 8192 MB",
         "--driver-memory"},
        {"failures/executor_memory_above_maximum.submit.stderr",
         "the executor asks for 102400 MB and 10240 MB of overhead, and a container of "
         "this cluster may have 8192 MB",
         "--executor-memory"},
        {"yarn/refused.package_missing.stderr",
         "the Maven package org.example#nothing;1.0 could not be found",
         "--repositories"},
        {"yarn/refused.file_missing.stderr", "there is no hdfs://localhost:9000/no/such",
         ""},
        {"yarn/refused.script_missing.stderr", "there is no file:/no/such/script.py", ""},
        {"yarn/no_context.app.json",
         "the script never made a SparkContext, which YARN calls a failure whatever the "
         "script ended with",
         "framework python"},
        {"yarn/ok.submit.stderr", NULL, NULL},
        {"yarn/exit7.submit.stderr", NULL, NULL},
        {"yarn/exception.submit.stderr", NULL, NULL},
        {"yarn/live.submit.stderr", NULL, NULL},
        {"yarn/exit7.app.json", NULL, NULL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        struct error err = ERROR_INIT;
        recorded(rows[i].name, &text);
        bool is_known = spark_explain(text.data, text.length, &err);
        if (is_known != (rows[i].said != NULL)) {
            fail_msg("%s: \"%s\"", rows[i].name, err.text);
        }
        if (is_known) {
            assert_string_equal(err.text, rows[i].said);
            assert_non_null(strstr(err.hint, rows[i].hint));
        }
    }
}

/* What the rig cannot be made to say; the words are those of the programs' sources. */
static void test_known_words_are_sentences(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        /* Spark 3.5 and 4, where more is asked for; 3.0; 2.4; 2.3 */
        {"Required executor memory (4096 MB), offHeap memory (2048) MB, overhead (1024 "
         "MB), and PySpark memory (3072 MB) is above the max threshold (8192 MB) of",
         "the executor asks for memory (4096 MB), offHeap memory (2048) MB, overhead "
         "(1024 MB), and PySpark memory (3072 MB), and a container of this cluster may "
         "have 8192 MB"},
        {"Required executor memory (20480), offHeap memory (0) MB, overhead (2048 MB), "
         "and PySpark memory (0 MB) is above the max threshold (8192 MB) of",
         "the executor asks for memory (20480), offHeap memory (0) MB, overhead (2048 "
         "MB), and PySpark memory (0 MB), and a container of this cluster may have 8192 "
         "MB"},
        {"Required executor memory (20480), overhead (2048 MB), and PySpark memory (0 "
         "MB) is above the max threshold (8192 MB) of",
         "the executor asks for memory (20480), overhead (2048 MB), and PySpark memory "
         "(0 "
         "MB), and a container of this cluster may have 8192 MB"},
        {"Required executor memory (20480+2048 MB) is above the max threshold (8192 MB)",
         "the executor asks for 20480+2048 MB of memory, and a container of this cluster "
         "may have 8192 MB"},
        {"java.util.concurrent.TimeoutException: Futures timed out after [100000 "
         "milliseconds]",
         "the script made no SparkContext within 100 s, and YARN waits no longer"},
        {"Application application_1_55 failed 1 times (global limit =2; local limit is "
         "=1) "
         "due to ApplicationMaster for attempt appattempt_1_55_000001 timed out. Failing "
         "the application.",
         "YARN heard nothing of the driver for too long, and ended it"},
        {"Exception: Python in worker has different version (3, 8) than that in driver "
         "3.11, PySpark cannot run",
         "the executors' Python is (3, 8) and the driver's is 3.11"},
        {"pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] "
         "Python in worker has different version: 3.8 than",
         "the driver's Python and the executors' are of different minor versions"},
        {"ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.26' "
         "not found",
         "a package was built for a newer C++ library than the nodes have "
         "(GLIBCXX_3.4.26)"},
        {"/lib64/libc.so.6: version `GLIBC_2.34' not found",
         "a package was built for a newer system than the nodes have (GLIBC_2.34)"},
        {"java.lang.UnsupportedClassVersionError: org/x/Y has been compiled by a more "
         "recent version",
         "the class org/x/Y was compiled for a newer Java than the cluster has"},
        {"java.io.IOException: Cannot run program \"./environment/bin/python\": error=2, "
         "No such file or directory",
         "a node has no Python ./environment/bin/python"},
        {"java.io.IOException: Cannot run program \"/opt/my python\": error=13, "
         "Permission denied",
         "a node may not execute the Python /opt/my python"},
        {"ModuleNotFoundError: No module named 'pandas'",
         "Python has no module 'pandas' where it was imported"},
        {"AccessControlException: User ana cannot submit applications to queue root.ml\n",
         "you may not submit to the queue root.ml"},
        {"org.apache.hadoop.hdfs.server.namenode.SafeModeException: Cannot create "
         "directory /x. Name node is in safe mode.",
         "HDFS is in safe mode and takes no files"},
        {"org.apache.hadoop.security.AccessControlException: Permission denied: "
         "user=ana, "
         "access=WRITE, inode=\"/user\":hdfs:hdfs:drwxr-xr-x",
         "HDFS does not let ana (WRITE) at /user"},
        {"GSSException: No valid credentials provided (Mechanism level: Failed to find "
         "any Kerberos tgt)",
         "there is no Kerberos ticket"},
        {"Container [pid=1] is running beyond physical memory limits. Current usage",
         "YARN ended a container that used more memory than it may"},
        {"ExecutorLostFailure: Container killed by YARN for exceeding memory limits. 5.5 "
         "GB of 5.5 GB physical memory used\n",
         "YARN ended an executor that exceeded memory limits. 5.5 GB of 5.5 GB physical "
         "memory used"},
        {"Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n",
         "a JVM ran out of memory (Java heap space)"},
        {"Max number of executor failures (3) reached",
         "Spark gave up as executors kept failing (limit: 3)"},
        {"INFO Client: Retrying connect to server: localhost/127.0.0.1:8032. Already "
         "tried 0 time(s)",
         "localhost/127.0.0.1:8032 does not answer"},
        {"java.net.BindException: Address already in use: Service 'SparkUI' failed after "
         "16 retries",
         "a port that Spark wants is taken: Address already in use"},
        {"Exception in thread \"main\" org.apache.spark.SparkException: Executor memory "
         "must be a positive number\n\tat org.apache",
         "Executor memory must be a positive number"},
        {"SparkException: Could not parse Master URL: 'yarm'\n",
         "Spark knows no master 'yarm'"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        if (!spark_explain(rows[i].text, strlen(rows[i].text), &err)) {
            fail_msg("nothing knows: %s", rows[i].text);
        }
        assert_string_equal(err.text, rows[i].said);
    }
}

static void test_the_last_error_is_the_one(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"26/11/28 INFO Client: x\nException in thread \"main\" java.lang.X: why\n\tat "
         "a.b(C.java)\n\tat d\nCaused by: y\n",
         "Exception in thread \"main\" java.lang.X: why"},
        {"Error: one\nError: two\nRun with --help for usage help\n", "Error: two"},
        {"26/11/28 ERROR Client: x\n26/11/28 INFO y\n", "26/11/28 ERROR Client: x"},
        {"/bin/x: line 3: java: not found", "/bin/x: line 3: java: not found"},
        {"26/11/28 INFO Client: x\n", ""},
        {"", ""},
    };
    static const char bytes[] = "a\nError\0 here\n";
    char said[100];
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        spark_last_words(rows[i].text, strlen(rows[i].text), said, sizeof(said));
        assert_string_equal(said, rows[i].said);
    }
    spark_last_words(bytes, sizeof(bytes) - 1, said, sizeof(said));
    assert_string_equal(said, "Error  here");
    spark_last_words("Error: long", 11, said, 6);
    assert_string_equal(said, "Error");
}

static void test_any_bytes_may_be_text(void **state)
{
    static const char text[] = "\xff\0\0to unknown queue: \0\xfe\n";
    struct error err = ERROR_INIT;
    (void)state;

    assert_false(spark_explain("", 0, &err));
    assert_int_equal(err.code, ERR_NONE);
    (void)spark_explain(text, sizeof(text) - 1, &err);
    assert_false(spark_explain("to unknown queue: x", 10, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_failures_are_sentences),
        cmocka_unit_test(test_known_words_are_sentences),
        cmocka_unit_test(test_the_last_error_is_the_one),
        cmocka_unit_test(test_any_bytes_may_be_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
