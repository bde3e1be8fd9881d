/* runspec_spark_check: what each of a user's Spark settings may be.            [wire] */
#include "common/runspec_spark.h"

#include <string.h>
#include <strings.h>

#include "common/mem.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define CONF_PREFIX "spark."
#define CONF_KEY_MAX 512
#define MEMORY_DIGITS_MAX 12

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* --- master ---------------------------------------------------------------------------
 */

/* What stands in the brackets of local[…]: threads, or threads and failures. */
static bool is_local_count(const char *text)
{
    size_t length = text[0] == '*' ? 1 : strspn(text, DIGITS);

    if (length == 0 || length > 6 || (text[0] == '0' && length == 1)) {
        return false;
    }
    if (text[length] == ',') {
        size_t more = strspn(text + length + 1, DIGITS);

        length += more > 0 && more <= 6 ? more + 1 : 0;
    }
    return strcmp(text + length, "]") == 0;
}

/* "HOST:PORT", several with commas. */
static bool is_standalone(const char *places)
{
    return strchr(places, ':') != NULL && strpbrk(places, " \t\r\n\"'/#?") == NULL;
}

int spark_master_check(const char *master, struct error *err)
{
    if (strcmp(master, "yarn") == 0 || strcmp(master, "local") == 0 ||
        (begins_with(master, "local[") && is_local_count(master + strlen("local["))) ||
        (begins_with(master, "spark://") && is_standalone(master + strlen("spark://")))) {
        return 0;
    }
    error_set(err, ERR_USAGE, "\"%.200s\" is no Spark master that errand knows", master);
    return error_hint(err, begins_with(master, "yarn-")
                               ? "say yarn, and the deploy mode apart"
                               : "it is yarn, local[N], local[*] or spark://HOST:PORT; "
                                 "left out, the one that Spark on the node is set to");
}

bool spark_master_is_not_yarn(const char *master)
{
    return master != NULL && strcmp(master, "yarn") != 0;
}

/* --- conf -----------------------------------------------------------------------------
 */

/* Keys that errand sets itself, and how a user says the same. */
static const struct {
    const char *key;
    const char *instead;
} owned[] = {
    {"spark.master", "say --master, or spark.master in errand.yaml"},
    {"spark.submit.deployMode", "say --deploy-mode, or spark.deploy_mode in errand.yaml"},
    {"spark.yarn.queue", "say --queue, or spark.queue in errand.yaml"},
    {"spark.yarn.tags", "errand finds the application by its tag"},
    {"spark.yarn.maxAppAttempts", "say spark.max_attempts in errand.yaml"},
    {"spark.yarn.submit.waitAppCompletion", "errand itself waits for the end"},
    {"spark.jars.packages", "say --packages, or spark.packages in errand.yaml"},
    {"spark.jars.repositories",
     "say --repositories, or spark.repositories in errand.yaml"},
    {"spark.jars.excludes", "say spark.exclude_packages in errand.yaml"},
    {"spark.jars", "say --jars, or spark.jars in errand.yaml"},
    {"spark.yarn.dist.jars", "say --jars, or spark.jars in errand.yaml"},
    {"spark.submit.pyFiles", "say --py-files, or spark.py_files in errand.yaml"},
    {"spark.files", "say --files, or spark.files in errand.yaml"},
    {"spark.yarn.dist.files", "say --files, or spark.files in errand.yaml"},
    {"spark.archives", "say --archives, or spark.archives in errand.yaml"},
    {"spark.yarn.dist.archives", "say --archives, or spark.archives in errand.yaml"},
    {"spark.pyspark.python", "say --interpreter, or name an environment"},
    {"spark.pyspark.driver.python", "say --interpreter, or name an environment"},
    {"spark.yarn.appMasterEnv.PYSPARK_PYTHON",
     "say --interpreter, or name an environment"},
    {"spark.yarn.appMasterEnv.PYSPARK_DRIVER_PYTHON",
     "say --interpreter, or name an environment"},
    {"spark.executorEnv.PYSPARK_PYTHON", "say --interpreter, or name an environment"},
    {"spark.kerberos.principal", "say spark.principal in errand.yaml"},
    {"spark.kerberos.keytab", "say spark.keytab in errand.yaml"},
    {"spark.yarn.principal", "say spark.principal in errand.yaml"},
    {"spark.yarn.keytab", "say spark.keytab in errand.yaml"},
};

int spark_conf_check(const char *pair, struct error *err)
{
    size_t length = strcspn(pair, "=");

    if (length == 0 || pair[length] != '=' || length > CONF_KEY_MAX) {
        return error_set(err, ERR_USAGE, "\"%.100s\" has not the form spark.KEY=VALUE",
                         pair);
    }
    if (!begins_with(pair, CONF_PREFIX) || length == strlen(CONF_PREFIX)) {
        error_set(err, ERR_USAGE,
                  "%.*s: Spark drops keys that do not begin with \"spark.\"", (int)length,
                  pair);
        return error_hint(err, "did you mean spark.%.100s?", pair);
    }
    for (size_t i = 0; i < length; i++) {
        if (pair[i] <= ' ' || pair[i] > '~') {
            return error_set(err, ERR_USAGE,
                             "%.*s: a key has no blanks or control characters",
                             (int)length, pair);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
        if (strlen(owned[i].key) == length && memcmp(owned[i].key, pair, length) == 0) {
            error_set(err, ERR_USAGE, "%.*s is set by errand itself", (int)length, pair);
            return error_hint(err, "%s", owned[i].instead);
        }
    }
    return 0;
}

/* --- the rest -------------------------------------------------------------------------
 */

/* Parts of Maven's letters, or "*" where is_pattern, with a colon between them. */
static bool is_coordinate(const char *text, size_t parts, bool is_pattern)
{
    for (size_t i = 0; i < parts; i++) {
        size_t length = strspn(text, LETTERS DIGITS "._-");

        if (length == 0 && is_pattern && text[0] == '*') {
            length = 1;
        }
        if (length == 0 || text[length] != (i + 1 < parts ? ':' : '\0')) {
            return false;
        }
        text += length + (i + 1 < parts);
    }
    return true;
}

int spark_package_check(const char *coordinate, struct error *err)
{
    if (is_coordinate(coordinate, 3, false)) {
        return 0;
    }
    error_set(err, ERR_USAGE, "\"%.200s\" is no Maven coordinate", coordinate);
    return error_hint(err, "GROUP:ARTIFACT:VERSION, for example "
                           "org.apache.spark:spark-avro_2.12:3.5.1");
}

int spark_exclude_check(const char *coordinate, struct error *err)
{
    return is_coordinate(coordinate, 2, true)
               ? 0
               : error_set(
                     err, ERR_USAGE,
                     "\"%.200s\" is not the form GROUP:ARTIFACT of what is left out",
                     coordinate);
}

int spark_memory_check(const char *size, struct error *err)
{
    static const char *const units[] = {"", "k", "m", "g", "t", "kb", "mb", "gb", "tb"};
    size_t digits = strspn(size, DIGITS);

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (digits >= 1 && digits <= MEMORY_DIGITS_MAX && strspn(size, "0") < digits &&
            strcasecmp(size + digits, units[i]) == 0) {
            return 0;
        }
    }
    error_set(err, ERR_USAGE, "\"%.100s\" is no size of memory", size);
    return error_hint(err, "a whole number and its unit: 512m, 4g");
}

int spark_item_check(const char *item, struct error *err)
{
    if (item[0] == '\0') {
        return error_set(err, ERR_USAGE, "a name is empty");
    }
    for (const char *p = item; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == ',' || *p == 0x7f) {
            return error_set(err, ERR_USAGE,
                             "\"%.200s\": Spark takes no name with a comma or a control "
                             "character",
                             item);
        }
    }
    return item[0] != '-'
               ? 0
               : error_set(err, ERR_USAGE, "\"%.200s\" begins with a hyphen", item);
}

bool spark_is_uri(const char *item)
{
    size_t length = strspn(item, LETTERS DIGITS "+.-");

    return length > 0 && strchr(LETTERS, item[0]) != NULL && item[length] == ':';
}

int spark_base_check(const char *uri, struct error *err)
{
    if (spark_item_check(uri, err) < 0) {
        return -1;
    }
    if ((uri[0] == '/' || spark_is_uri(uri)) && strpbrk(uri, " #?") == NULL) {
        return 0;
    }
    error_set(err, ERR_USAGE, "\"%.200s\" is no folder in a cluster's file system", uri);
    return error_hint(err, "a URI or an absolute path, for example "
                           "hdfs:///user/me/.errand");
}
