#include "common/spark_explain.h"

#include <stdio.h>
#include <string.h>

#include "common/explain.h"
#include "common/mem.h"

/* Causes stand before what they cause. */
static const struct explain_row rows[] = {
    /* what the script or its environment lacks */
    {"User did not initialize spark context", ERR_NONE,
     "the script never made a SparkContext, which YARN calls a failure whatever the "
     "script ended with",
     "run it with the framework python if it needs no Spark"},
    {"Futures timed out after [{}000 milliseconds]", ERR_TIMED_OUT,
     "the script made no SparkContext within {} s, and YARN waits no longer",
     "make it before the long work, or give --spark-conf spark.yarn.am.waitTime=600s"},
    {"Futures timed out after [{} milliseconds]", ERR_TIMED_OUT,
     "the script made no SparkContext within {} ms, and YARN waits no longer",
     "make it before the long work, or give --spark-conf spark.yarn.am.waitTime=600s"},
    {"SparkContext did not initialize after waiting for {}000 ms", ERR_TIMED_OUT,
     "the script made no SparkContext within {} s, and YARN waits no longer",
     "make it before the long work, or give --spark-conf spark.yarn.am.waitTime=600s"},
    {"SparkContext did not initialize after waiting for {} ms", ERR_TIMED_OUT,
     "the script made no SparkContext within {} ms, and YARN waits no longer",
     "make it before the long work, or give --spark-conf spark.yarn.am.waitTime=600s"},
    {"ApplicationMaster for attempt {} timed out", ERR_TIMED_OUT,
     "YARN heard nothing of the driver for too long, and ended it",
     "was its node overloaded, or did its JVM hang?"},
    {"[PYTHON_VERSION_MISMATCH]", ERR_MISMATCH,
     "the driver's Python and the executors' are of different minor versions",
     "use an environment that both get, or name one interpreter that every node has"},
    {"Python in worker has different version {*} than that in driver {},", ERR_MISMATCH,
     "the executors' Python is {} and the driver's is {}",
     "use an environment that both get, or name one interpreter that every node has"},
    {"version `GLIBCXX_{}'", ERR_UNSUPPORTED,
     "a package was built for a newer C++ library than the nodes have (GLIBCXX_{})",
     "take an older version of it, or build the environment on the cluster"},
    {"version `GLIBC_{}'", ERR_UNSUPPORTED,
     "a package was built for a newer system than the nodes have (GLIBC_{})",
     "take an older version of it, or build the environment on the cluster"},
    {"UnsupportedClassVersionError: {} ", ERR_UNSUPPORTED,
     "the class {} was compiled for a newer Java than the cluster has",
     "take a build of the jar for this cluster's Java"},
    {"unresolved dependency: {}: not found", ERR_NOT_FOUND,
     "the Maven package {} could not be found",
     "check its name and version, and that the node reaches the repository "
     "(--repositories)"},
    {"Cannot run program \"{*}\": error=13", ERR_ACCESS,
     "a node may not execute the Python {}",
     "it must be executable on every node, or come with an environment of errand's"},
    {"Cannot run program \"{*}\"", ERR_NOT_FOUND, "a node has no Python {}",
     "it must be there on every node, or come with an environment of errand's"},
    {"No module named {}\n", ERR_NOT_FOUND,
     "Python has no module {} where it was imported", "add it to the run's environment"},
    /* what the cluster refuses */
    {"Required executor memory ({} MB), offHeap memory (0) MB, overhead ({*}), and "
     "PySpark memory (0 MB) is above the max threshold ({*})",
     ERR_LIMIT,
     "the executor asks for {} MB and {} of overhead, and a container of this cluster "
     "may have {}",
     "lower --executor-memory or spark.executor.memoryOverhead"},
    {"Required executor {*} and PySpark {*} is above the max threshold ({*})", ERR_LIMIT,
     "the executor asks for {} and PySpark {}, and a container of this cluster may have "
     "{}",
     "lower --executor-memory, spark.executor.memoryOverhead, spark.memory.offHeap.size "
     "or spark.executor.pyspark.memory"},
    {"Required {} memory ({*}) is above the max threshold ({*})", ERR_LIMIT,
     "the {} asks for {} of memory, and a container of this cluster may have {}",
     "lower --driver-memory or --executor-memory, or their memoryOverhead"},
    {"to unknown queue: {}\n", ERR_NOT_FOUND, "there is no queue {}",
     "name one that is there with --queue"},
    {"cannot submit applications to queue {}\n", ERR_ACCESS,
     "you may not submit to the queue {}", "name another one with --queue"},
    {"submitted to a STOPPED queue", ERR_ACCESS, "the queue takes no applications now",
     "name another one with --queue"},
    {"Name node is in safe mode", ERR_BUSY, "HDFS is in safe mode and takes no files",
     "wait until it has left it, or ask the cluster's administrator"},
    {"Permission denied: user={}, access={}, inode=\"{*}\"", ERR_ACCESS,
     "HDFS does not let {} ({}) at {}",
     "ask who owns it, or choose another folder (--spark-base)"},
    {"Failed to find any Kerberos tgt", ERR_LOGIN, "there is no Kerberos ticket",
     "kinit on the node, or give the target a principal and a keytab"},
    {"Client cannot authenticate via:[TOKEN, KERBEROS]", ERR_LOGIN,
     "the Kerberos ticket has expired, or there never was one",
     "kinit on the node, or give the target a principal and a keytab"},
    {"GSSException: {*}\n", ERR_LOGIN, "Kerberos refused: {}",
     "kinit on the node, or give the target a principal and a keytab"},
    {"Path does not exist: {}\n", ERR_NOT_FOUND, "there is no {}", NULL},
    {"FileNotFoundException: File does not exist: {}\n", ERR_NOT_FOUND, "there is no {}",
     NULL},
    {"FileNotFoundException: File {} does not exist", ERR_NOT_FOUND, "there is no {}",
     NULL},
    {"Cluster deploy mode is currently not supported for python", ERR_UNSUPPORTED,
     "a standalone cluster runs Python in client mode only", "leave --deploy-mode away"},
    /* memory */
    {"running beyond physical memory limits", ERR_LIMIT,
     "YARN ended a container that used more memory than it may",
     "raise --driver-memory or --executor-memory, or spark.executor.memoryOverhead for "
     "what Python takes"},
    {"running beyond virtual memory limits", ERR_LIMIT,
     "YARN ended a container that used more virtual memory than it may",
     "raise --driver-memory or --executor-memory, or have the cluster's "
     "yarn.nodemanager.vmem-check-enabled put off"},
    {"Container killed by YARN for exceeding {*}\n", ERR_LIMIT,
     "YARN ended an executor that exceeded {}",
     "raise --executor-memory or spark.executor.memoryOverhead"},
    {"java.lang.OutOfMemoryError: {*}\n", ERR_LIMIT, "a JVM ran out of memory ({})",
     "raise --driver-memory if the driver collected much, else --executor-memory, or use "
     "more partitions"},
    {"\nMemoryError", ERR_LIMIT, "Python ran out of memory",
     "raise --driver-memory, or spark.executor.memoryOverhead where it was an "
     "executor's"},
    {"Max number of executor failures ({}) reached", ERR_LIMIT,
     "Spark gave up as executors kept failing (limit: {})",
     "their own logs tell why: yarn logs -applicationId with the application's id"},
    /* what does not answer */
    {"java.net.BindException: {*}: Service ", ERR_BUSY,
     "a port that Spark wants is taken: {}",
     "leave the ports to Spark, or raise spark.port.maxRetries"},
    {"java.net.BindException: Address already in use", ERR_BUSY,
     "a port that Spark wants is taken",
     "leave the ports to Spark, or raise spark.port.maxRetries"},
    {"Retrying connect to server: {}. Already", ERR_CONNECT, "{} does not answer",
     "is the ResourceManager down, or is HADOOP_CONF_DIR another cluster's?"},
    {"java.net.UnknownHostException: {}\n", ERR_CONNECT, "the name {} cannot be resolved",
     NULL},
    {"org.apache.spark.SparkException: {} memory must be a positive number", ERR_USAGE,
     "{} memory must be a positive number", "memory is given as 2g or 512m"},
    {"Could not parse Master URL: {}\n", ERR_USAGE, "Spark knows no master {}", NULL},
};

/* Without NULs, with `end` behind it; malloc'ed. */
static char *make_text(const char *text, size_t length, char end)
{
    char *copy = xmalloc(length + 2);
    for (size_t i = 0; i < length; i++) {
        copy[i] = *(text[i] == '\0' ? " " : &text[i]);
    }
    copy[length] = end;
    copy[length + 1] = '\0';
    return copy;
}

bool spark_explain(const char *text, size_t length, struct error *err)
{
    CLEANUP_FREE char *copy = make_text(text, length, '\n'); /* a row may want that */
    return explain(rows, ARRAY_SIZE(rows), copy, err);
}

void spark_last_words(const char *text, size_t length, char *out, size_t size)
{
    CLEANUP_FREE char *copy = make_text(text, length, '\0');
    const char *best = "";

    for (char *line = copy; line != NULL && *line != '\0';) {
        char *newline = strchr(line, '\n');
        if (newline != NULL) {
            *newline = '\0';
        }
        bool is_telling = strncmp(line, "Error", 5) == 0 ||
                          strncmp(line, "Exception in", 12) == 0 ||
                          strstr(line, " ERROR ") != NULL;
        bool is_stack = line[0] == '\t' || line[0] == ' ' || line[0] == '\0';
        if (is_telling || (best[0] == '\0' && newline == NULL && !is_stack)) {
            best = line;
        }
        line = newline != NULL ? newline + 1 : NULL;
    }
    snprintf(out, size, "%.*s", (int)size - 1, best);
}
