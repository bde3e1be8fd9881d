#include "common/runspec_spark.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define WHAT "run specification: spark"
#define TEXT_MAX 4096
#define CONF_VALUE_MAX ((size_t)64 << 10)
#define UPLOAD_COMMAND_MAX 256

/* --- words ---------------------------------------------------------------------------
 */

static const char *const deploy_names[] = {
#define ROW(symbol, name) [SPARK_DEPLOY_##symbol] = (name),
    SPARK_DEPLOY_TABLE(ROW)
#undef ROW
};
static const char *const auth_names[] = {
#define ROW(symbol, name) [LIVY_AUTH_##symbol] = (name),
    LIVY_AUTH_TABLE(ROW)
#undef ROW
};
static const char *const upload_names[] = {
#define ROW(symbol, name) [LIVY_UPLOAD_##symbol] = (name),
    LIVY_UPLOAD_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(deploy_names) == SPARK_DEPLOY_COUNT, "a name for every mode");
_Static_assert(ARRAY_SIZE(auth_names) == LIVY_AUTH_COUNT, "a name for every way");
_Static_assert(ARRAY_SIZE(upload_names) == LIVY_UPLOAD_COUNT, "a name for every way");

/* The index of name among names, or -1. */
static int parse_word(const char *const *names, size_t count, const char *name,
                      const char *what, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return error_set(err, ERR_CORRUPT, "\"%.40s\" is no %s", name, what);
}

const char *spark_deploy_name(enum spark_deploy mode)
{
    return deploy_names[mode];
}

int spark_deploy_parse(const char *name, enum spark_deploy *out, struct error *err)
{
    int i = parse_word(deploy_names, SPARK_DEPLOY_COUNT, name, "deploy mode", err);

    *out = i < 0 ? *out : (enum spark_deploy)i;
    return i < 0 ? -1 : 0;
}

const char *livy_auth_name(enum livy_auth auth)
{
    return auth_names[auth];
}

int livy_auth_parse(const char *name, enum livy_auth *out, struct error *err)
{
    int i = parse_word(auth_names, LIVY_AUTH_COUNT, name, "way to log in to Livy", err);

    *out = i < 0 ? *out : (enum livy_auth)i;
    return i < 0 ? -1 : 0;
}

const char *livy_upload_name(enum livy_upload upload)
{
    return upload_names[upload];
}

int livy_upload_parse(const char *name, enum livy_upload *out, struct error *err)
{
    int i = parse_word(upload_names, LIVY_UPLOAD_COUNT, name, "way to upload", err);

    *out = i < 0 ? *out : (enum livy_upload)i;
    return i < 0 ? -1 : 0;
}

/* --- the members that are alike -------------------------------------------------------
 */

/* Byte strings that may be missing. */
struct text_row {
    const char *key;
    size_t offset;
    int (*check)(const char *, struct error *); /* or NULL */
};

#define TEXT(type, name, check)                                                          \
    {                                                                                    \
#name, offsetof(struct type, name), check                                        \
    }

static const struct text_row spark_texts[] = {
    TEXT(runspec_spark, master, spark_master_check),
    TEXT(runspec_spark, home, NULL),
    TEXT(runspec_spark, queue, spark_item_check),
    TEXT(runspec_spark, driver_memory, spark_memory_check),
    TEXT(runspec_spark, executor_memory, spark_memory_check),
    TEXT(runspec_spark, principal, spark_item_check),
    TEXT(runspec_spark, keytab, spark_item_check),
    TEXT(runspec_spark, base, spark_base_check),
    TEXT(runspec_spark, attendant, NULL),
};
static const struct text_row livy_texts[] = {
    TEXT(runspec_livy, url, NULL),      TEXT(runspec_livy, user, NULL),
    TEXT(runspec_livy, ca, NULL),       TEXT(runspec_livy, webhdfs, NULL),
    TEXT(runspec_livy, yarn_url, NULL),
};

/* Lists of byte strings. */
static const struct list_row {
    const char *key;
    size_t offset;
    int (*check)(const char *, struct error *);
} lists[] = {
#define LIST(name, check)                                                                \
    {                                                                                    \
#name, offsetof(struct runspec_spark, name), check                               \
    }
    LIST(packages, spark_package_check),
    LIST(repositories, spark_item_check),
    LIST(exclude_packages, spark_exclude_check),
    LIST(jars, spark_item_check),
    LIST(py_files, spark_item_check),
    LIST(files, spark_item_check),
    LIST(archives, spark_item_check),
#undef LIST
};

/* Numbers that may be missing. */
static const struct number_row {
    const char *key;
    size_t offset;
    int64_t min, max, fallback;
} numbers[] = {
#define NUMBER(name, min, max, fallback)                                                 \
    {                                                                                    \
#name, offsetof(struct runspec_spark, name), min, max, fallback                  \
    }
    NUMBER(executor_cores, 1, SPARK_CORES_MAX, 0),
    NUMBER(num_executors, 1, SPARK_EXECUTORS_MAX, 0),
    NUMBER(max_attempts, 1, SPARK_ATTEMPTS_MAX, 1),
    NUMBER(submit_timeout_ms, 1000, SPARK_SUBMIT_TIMEOUT_MAX_MS,
           SPARK_SUBMIT_TIMEOUT_DEFAULT_MS),
#undef NUMBER
};

static void *at(const void *base, size_t offset)
{
    return (char *)(uintptr_t)base + offset;
}

/* --- life ----------------------------------------------------------------------------
 */

struct runspec_spark *runspec_spark_new(void)
{
    struct runspec_spark *spark = xcalloc(1, sizeof *spark);

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        *(int64_t *)at(spark, numbers[i].offset) = numbers[i].fallback;
    }
    return spark;
}

struct runspec_livy *runspec_livy_new(void)
{
    return xcalloc(1, sizeof(struct runspec_livy));
}

static void free_texts(const void *base, const struct text_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(*(char **)at(base, rows[i].offset));
    }
}

void runspec_livy_free(struct runspec_livy *livy)
{
    if (livy != NULL) {
        free_texts(livy, livy_texts, ARRAY_SIZE(livy_texts));
        strvec_release(&livy->upload_command);
        free(livy);
    }
}

void runspec_spark_free(struct runspec_spark *spark)
{
    if (spark == NULL) {
        return;
    }
    free_texts(spark, spark_texts, ARRAY_SIZE(spark_texts));
    strvec_release(&spark->conf);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        strvec_release(at(spark, lists[i].offset));
    }
    runspec_livy_free(spark->livy);
    free(spark);
}

int runspec_spark_set_conf(struct runspec_spark *spark, const char *pair,
                           struct error *err)
{
    size_t length = strcspn(pair, "=") + 1;

    if (spark_conf_check(pair, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < spark->conf.count; i++) {
        if (strncmp(spark->conf.items[i], pair, length) == 0) {
            strvec_remove(&spark->conf, i);
            break;
        }
    }
    strvec_push(&spark->conf, pair);
    strvec_sort(&spark->conf);
    return 0;
}

/* --- encoding ------------------------------------------------------------------------
 */

static void add_texts(struct json *j, const void *base, const struct text_row *rows,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = *(char **)at(base, rows[i].offset);

        if (text != NULL) {
            json_add_bytes(j, rows[i].key, text, strlen(text));
        }
    }
}

static void add_list(struct json *j, const char *key, const struct strvec *sv)
{
    struct json *array;

    if (sv->count == 0) {
        return;
    }
    array = json_add(j, key, json_new_array());
    for (size_t i = 0; i < sv->count; i++) {
        json_append(array, json_new_bytes(sv->items[i], strlen(sv->items[i])));
    }
}

static struct json *livy_to_json(const struct runspec_livy *livy)
{
    struct json *j = json_new_object();

    add_texts(j, livy, livy_texts, ARRAY_SIZE(livy_texts));
    json_add_string(j, "auth", livy_auth_name(livy->auth));
    json_add_string(j, "upload", livy_upload_name(livy->upload));
    add_list(j, "upload_command", &livy->upload_command);
    return j;
}

struct json *runspec_spark_to_json(const struct runspec_spark *spark)
{
    struct json *j = json_new_object();

    json_add_string(j, "deploy_mode", spark_deploy_name(spark->deploy_mode));
    add_texts(j, spark, spark_texts, ARRAY_SIZE(spark_texts));
    add_list(j, "conf", &spark->conf);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        add_list(j, lists[i].key, at(spark, lists[i].offset));
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t n = *(int64_t *)at(spark, numbers[i].offset);

        if (n != numbers[i].fallback) {
            json_add_integer(j, numbers[i].key, n);
        }
    }
    if (spark->livy != NULL) {
        json_add(j, "livy", livy_to_json(spark->livy));
    }
    return j;
}

/* --- decoding ------------------------------------------------------------------------
 */

static bool is_said(const struct json *value)
{
    return value != NULL && !json_is_null(value);
}

static int refuse(struct error *err, const char *key, const char *why)
{
    return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" %s", key, why);
}

/* A byte string, not empty, as a C string. NULL: err. */
static char *take_bytes(const struct json *value, const char *key, size_t max,
                        struct error *err)
{
    CLEANUP_FREE char *bytes = json_take_bytes(value, WHAT, key, max, err);
    if (bytes != NULL && bytes[0] == '\0') {
        refuse(err, key, "is empty");
        return NULL;
    }
    return TAKE_PTR(bytes);
}

static int check_text(const char *key, const char *text,
                      int (*check)(const char *, struct error *), struct error *err)
{
    struct error inner = ERROR_INIT;

    if (check == NULL || check(text, &inner) == 0) {
        return 0;
    }
    return error_set(err, ERR_CORRUPT, WHAT ": \"%s\": %s", key, inner.text);
}

static int take_texts(const struct json *j, const void *base, const struct text_row *rows,
                      size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        char **text = at(base, rows[i].offset);

        if (!is_said(json_get(j, rows[i].key))) {
            continue;
        }
        *text = take_bytes(json_get(j, rows[i].key), rows[i].key, TEXT_MAX, err);
        if (*text == NULL || check_text(rows[i].key, *text, rows[i].check, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int take_list(const struct json *j, const char *key, size_t max_count, size_t max,
                     int (*check)(const char *, struct error *), struct strvec *out,
                     struct error *err)
{
    const struct json *array;

    if (!is_said(json_get(j, key))) {
        return 0;
    }
    if (json_get_array(j, WHAT, key, max_count, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        char *text = take_bytes(item, key, max, err);

        if (text == NULL) {
            return -1;
        }
        strvec_adopt(out, text);
        if (check_text(key, text, check, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Each key once: of two values, Spark would take the one that nobody expects. */
static int check_conf_keys(const struct strvec *conf, struct error *err)
{
    for (size_t i = 1; i < conf->count; i++) {
        const char *pair = conf->items[i];

        if (strcmp(conf->items[i - 1], pair) >= 0 ||
            strncmp(conf->items[i - 1], pair, strcspn(pair, "=") + 1) == 0) {
            return refuse(err, "conf", "is not sorted, or has a key twice");
        }
    }
    return 0;
}

static int take_word(const struct json *j, const char *key, const char *const *names,
                     size_t count, int *out, struct error *err)
{
    const char *word;

    if (json_get_string(j, WHAT, key, &word, err) < 0) {
        return -1;
    }
    *out = parse_word(names, count, word, key, err);
    return *out < 0 ? error_wrap(err, WHAT) : 0;
}

static int livy_from_json(const struct json *j, struct runspec_livy *livy,
                          struct error *err)
{
    int auth;
    int upload;

    if (!json_is_object(j)) {
        return refuse(err, "livy", "is no object");
    }
    if (take_texts(j, livy, livy_texts, ARRAY_SIZE(livy_texts), err) < 0 ||
        take_word(j, "auth", auth_names, LIVY_AUTH_COUNT, &auth, err) < 0 ||
        take_word(j, "upload", upload_names, LIVY_UPLOAD_COUNT, &upload, err) < 0 ||
        take_list(j, "upload_command", UPLOAD_COMMAND_MAX, TEXT_MAX, NULL,
                  &livy->upload_command, err) < 0) {
        return -1;
    }
    livy->auth = (enum livy_auth)auth;
    livy->upload = (enum livy_upload)upload;
    return livy->url != NULL ? 0 : refuse(err, "url", "is missing from livy");
}

static int take_numbers(const struct json *j, struct runspec_spark *spark,
                        struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (is_said(json_get(j, numbers[i].key)) &&
            json_get_integer(j, WHAT, numbers[i].key, numbers[i].min, numbers[i].max,
                             at(spark, numbers[i].offset), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int take_lists(const struct json *j, struct runspec_spark *spark,
                      struct error *err)
{
    if (take_list(j, "conf", SPARK_ITEMS_MAX, CONF_VALUE_MAX, spark_conf_check,
                  &spark->conf, err) < 0 ||
        check_conf_keys(&spark->conf, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (take_list(j, lists[i].key, SPARK_ITEMS_MAX, TEXT_MAX, lists[i].check,
                      at(spark, lists[i].offset), err) < 0) {
            return -1;
        }
    }
    return 0;
}

struct runspec_spark *runspec_spark_from_json(const struct json *j, struct error *err)
{
    CLEANUP(runspec_spark_cleanup) struct runspec_spark *spark = runspec_spark_new();
    int deploy_mode;

    if (!json_is_object(j)) {
        refuse(err, "spark", "is no object");
        return NULL;
    }
    if (take_word(j, "deploy_mode", deploy_names, SPARK_DEPLOY_COUNT, &deploy_mode, err) <
            0 ||
        take_texts(j, spark, spark_texts, ARRAY_SIZE(spark_texts), err) < 0 ||
        take_lists(j, spark, err) < 0 || take_numbers(j, spark, err) < 0) {
        return NULL;
    }
    spark->deploy_mode = (enum spark_deploy)deploy_mode;
    if (is_said(json_get(j, "livy"))) {
        spark->livy = runspec_livy_new();
        if (livy_from_json(json_get(j, "livy"), spark->livy, err) < 0) {
            return NULL;
        }
        if (spark->attendant == NULL || spark->attendant[0] != '/') {
            refuse(err, "attendant", "is no absolute path, and livy needs one");
            return NULL;
        }
    }
    return TAKE_PTR(spark);
}
