#include "controller/submission_spark.h"

#include "common/files.h"
#include "common/mem.h"
#include "controller/submission_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OPTION(field) offsetof(struct submission_spark, field)
#define FIELD(field) offsetof(struct runspec_spark, field)

/* Texts: the option, the key, and where each is kept. */
static const struct text_row {
    const char *option, *key;
    size_t from, to;
    int (*check)(const char *, struct error *);
} texts[] = {
    {"--queue", "spark.queue", OPTION(queue), FIELD(queue), spark_item_check},
    {"--driver-memory", "spark.driver_memory", OPTION(driver_memory),
     FIELD(driver_memory), spark_memory_check},
    {"--executor-memory", "spark.executor_memory", OPTION(executor_memory),
     FIELD(executor_memory), spark_memory_check},
    {"--spark-base", "spark.base", OPTION(base), FIELD(base), spark_base_check},
    {NULL, "spark.principal", 0, FIELD(principal), spark_item_check},
    {NULL, "spark.keytab", 0, FIELD(keytab), spark_item_check},
};

/* Lists; of files, those that are no URIs lie in the project. */
static const struct list_row {
    const char *option, *key;
    size_t from, to;
    int (*check)(const char *, struct error *);
    bool is_files;
} lists[] = {
    {"--packages", "spark.packages", OPTION(packages), FIELD(packages),
     spark_package_check, false},
    {"--repositories", "spark.repositories", OPTION(repositories), FIELD(repositories),
     spark_item_check, false},
    {NULL, "spark.exclude_packages", 0, FIELD(exclude_packages), spark_exclude_check,
     false},
    {"--jars", "spark.jars", OPTION(jars), FIELD(jars), spark_item_check, true},
    {"--py-files", "spark.py_files", OPTION(py_files), FIELD(py_files), spark_item_check,
     true},
    {"--files", "spark.files", OPTION(files), FIELD(files), spark_item_check, true},
    {"--archives", "spark.archives", OPTION(archives), FIELD(archives), spark_item_check,
     true},
};

static const struct number_row {
    const char *option, *key;
    size_t from, to;
    int64_t max;
} numbers[] = {
    {"--executor-cores", "spark.executor_cores", OPTION(executor_cores),
     FIELD(executor_cores), SPARK_CORES_MAX},
    {"--num-executors", "spark.num_executors", OPTION(num_executors),
     FIELD(num_executors), SPARK_EXECUTORS_MAX},
};

static const void *in(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static void *at(struct runspec_spark *spark, size_t offset)
{
    return (char *)spark + offset;
}

const char *submission_spark_option(const struct submission_spark *options)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i].option != NULL && *(char *const *)in(options, texts[i].from)) {
            return texts[i].option;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (lists[i].option != NULL &&
            ((const struct strvec *)in(options, lists[i].from))->count > 0) {
            return lists[i].option;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (*(const int64_t *)in(options, numbers[i].from) > 0) {
            return numbers[i].option;
        }
    }
    return options->master != NULL        ? "--master"
           : options->deploy_mode != NULL ? "--deploy-mode"
           : options->conf.count > 0      ? "--spark-conf"
                                          : NULL;
}

/* A sentence about what an option said, or a key's value. */
static int wrong(const struct config *config, const char *option, const char *key,
                 struct error *err)
{
    if (option != NULL) {
        return error_wrap(err, "%s", option);
    }
    if (err->code == ERR_USAGE) {
        err->code = ERR_CONFIG;
    }
    return error_wrap(err, "%s: %s", config_origin(config, key), key);
}

/* ---- files ---- */

static int no_file(const char *given, struct error *err)
{
    error_set(err, ERR_NOT_FOUND, "there is no file %s in the project", given);
    return error_hint(err, "a file on the node or in the cluster is named by its URI: "
                           "local:/opt/x.jar, hdfs:///apps/x.jar");
}

/* Where given, relative to folder, lies in the project, malloc'ed, its #NAME kept. */
static char *find_file(const char *project, const char *folder, const char *given,
                       struct error *err)
{
    CLEANUP_FREE char *path = xstrndup(given, strcspn(given, "#"));
    CLEANUP_FREE char *full = folder != NULL ? files_join(folder, path) : xstrdup(path);
    struct stat st;

    if (stat(full, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (stat(full, &st) == 0) {
            error_set(err, ERR_USAGE, "%s is %s, and Spark takes files alone", path,
                      S_ISDIR(st.st_mode) ? "a folder" : "no plain file");
            error_hint(err, "the project's own modules reach driver and executors "
                            "without being named; pack any other folder");
        } else {
            no_file(path, err);
        }
        return NULL;
    }
    CLEANUP_FREE char *found = submission_script_path(project, full, err);
    return found != NULL ? xasprintf("%s%s", found, given + strlen(path)) : NULL;
}

void submission_spark_paths(const struct runspec_spark *spark, struct strvec *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const struct strvec *items = in(spark, lists[i].to);

        for (size_t k = 0; lists[i].is_files && k < items->count; k++) {
            if (!spark_is_uri(items->items[k])) {
                strvec_adopt(out,
                             xstrndup(items->items[k], strcspn(items->items[k], "#")));
            }
        }
    }
}

/* ---- each kind ---- */

static int plan_texts(struct runspec_spark *spark, const struct config *config,
                      const struct submission_spark *options, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct text_row *row = &texts[i];
        const char *said =
            row->option != NULL ? *(char *const *)in(options, row->from) : NULL;
        const char *text = said != NULL ? said : config_string(config, row->key);

        if (text == NULL) {
            continue;
        }
        if (row->check(text, err) != 0) {
            return wrong(config, said != NULL ? row->option : NULL, row->key, err);
        }
        *(char **)at(spark, row->to) = xstrdup(text);
    }
    return 0;
}

/* Add one item, or several with commas between them, as spark-submit takes them. */
static int add_items(const struct list_row *row, const char *text, const char *project,
                     const char *folder, struct strvec *out, struct error *err)
{
    for (const char *item = text;; item++) {
        size_t length = strcspn(item, ",");
        CLEANUP_FREE char *copy = xstrndup(item, length);

        if (row->check(copy, err) != 0) {
            return -1;
        }
        if (!row->is_files || spark_is_uri(copy)) {
            strvec_push(out, copy);
        } else {
            char *path = find_file(project, folder, copy, err);

            if (path == NULL) {
                return -1;
            }
            strvec_adopt(out, path);
        }
        item += length;
        if (*item == '\0') {
            return 0;
        }
    }
}

static int plan_list(const struct list_row *row, struct runspec_spark *spark,
                     const struct config *config, const struct submission_spark *options,
                     struct error *err)
{
    const char *project = config_project(config);
    const struct strvec *said = row->option != NULL ? in(options, row->from) : NULL;
    bool is_said = said != NULL && said->count > 0;
    const struct strvec *items = is_said ? said : config_list(config, row->key);
    struct strvec *out = at(spark, row->to);

    for (size_t i = 0; items != NULL && i < items->count; i++) {
        if (add_items(row, items->items[i], project, is_said ? NULL : project, out,
                      err) != 0) {
            return wrong(config, is_said ? row->option : NULL, row->key, err);
        }
    }
    if (out->count > SPARK_ITEMS_MAX) {
        error_set(err, ERR_USAGE, "more than %d items", SPARK_ITEMS_MAX);
        return wrong(config, is_said ? row->option : NULL, row->key, err);
    }
    return 0;
}

static int plan_conf(struct runspec_spark *spark, const struct config *config,
                     const struct strvec *said, struct error *err)
{
    const struct strvec *configured = config_map(config, "spark.conf");

    for (size_t i = 0; configured != NULL && i < configured->count; i++) {
        if (runspec_spark_set_conf(spark, configured->items[i], err) != 0) {
            return wrong(config, NULL, "spark.conf", err);
        }
    }
    for (size_t i = 0; i < said->count; i++) {
        if (runspec_spark_set_conf(spark, said->items[i], err) != 0) {
            return wrong(config, "--spark-conf", NULL, err);
        }
    }
    return 0;
}

static int plan_numbers(struct runspec_spark *spark, const struct config *config,
                        const struct submission_spark *options, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const struct number_row *row = &numbers[i];
        int64_t said = *(const int64_t *)in(options, row->from);
        int64_t n = said > 0 ? said : config_integer(config, row->key);

        if (n > row->max) {
            error_set(err, ERR_USAGE, "%lld is more than %lld", (long long)n,
                      (long long)row->max);
            return wrong(config, said > 0 ? row->option : NULL, row->key, err);
        }
        *(int64_t *)at(spark, row->to) = n;
    }
    spark->max_attempts = config_integer(config, "spark.max_attempts");
    spark->submit_timeout_ms = config_integer(config, "spark.submit_timeout");
    if (spark->submit_timeout_ms < 1000 ||
        spark->submit_timeout_ms > SPARK_SUBMIT_TIMEOUT_MAX_MS) {
        error_set(err, ERR_CONFIG, "it is not between 1s and 1d");
        return wrong(config, NULL, "spark.submit_timeout", err);
    }
    return 0;
}

/* ---- where ---- */

/* Spark itself says so only after its JVM was started. */
static int check_deploy_mode(const struct runspec_spark *spark, struct error *err)
{
    if (spark->deploy_mode != SPARK_DEPLOY_CLUSTER ||
        !spark_master_is_not_yarn(spark->master)) {
        return 0;
    }
    error_set(err, ERR_USAGE,
              "--deploy-mode cluster: with the master %s Spark runs Python scripts in "
              "client mode alone",
              spark->master);
    return error_hint(err, "leave the deploy mode out, or name the master yarn");
}

static int plan_place(struct runspec_spark *spark, const struct config *config,
                      const struct target *target, const struct submission_spark *options,
                      struct error *err)
{
    CLEANUP_FREE char *target_key = xasprintf("targets.%s.master", target->name);
    const char *key = config_has(config, target_key) ? target_key : "spark.master";
    const char *master =
        options->master != NULL ? options->master : config_string(config, key);
    const char *mode = options->deploy_mode != NULL
                           ? options->deploy_mode
                           : config_string(config, "spark.deploy_mode");

    if (master != NULL && spark_master_check(master, err) != 0) {
        return wrong(config, options->master != NULL ? "--master" : NULL, key, err);
    }
    spark->master = master != NULL ? xstrdup(master) : NULL;
    spark->home = target->spark_home != NULL ? xstrdup(target->spark_home) : NULL;
    if (spark_deploy_parse(mode, &spark->deploy_mode, err) != 0) {
        err->code = ERR_USAGE;
        error_hint(err, "it is auto, client or cluster");
        return wrong(config, "--deploy-mode", NULL, err);
    }
    return check_deploy_mode(spark, err);
}

int submission_spark_plan(struct runspec *spec, const struct config *config,
                          const struct target *target,
                          const struct submission_spark *options, struct error *err)
{
    struct runspec_spark *spark = runspec_spark_new();

    spec->spark = spark;
    if (plan_place(spark, config, target, options, err) != 0 ||
        plan_texts(spark, config, options, err) != 0 ||
        plan_conf(spark, config, &options->conf, err) != 0 ||
        plan_numbers(spark, config, options, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (plan_list(&lists[i], spark, config, options, err) != 0) {
            return -1;
        }
    }
    return 0;
}
