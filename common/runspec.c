#include "common/runspec.h"

#include <stdlib.h>
#include <string.h>

#include "common/runspec_environment.h"
#include "common/tree.h"

#define WHAT "run specification"
#define EXPERIMENT_MAX 128
#define SUBMITTER_MAX 512
#define NAME_MAX_BYTES 255 /* of a variable, a secret, a tag's key */
#define ITEMS_MAX 4096     /* variables, secrets, outputs, tags */
#define ARGUMENT_MAX RUNSPEC_SIZE_MAX
#define LIMIT_MAX_MS INT64_C(315360000000) /* ten years */
#define SLOTS_MAX 65536
#define PRIORITY_MAX 1000000

/* --- frameworks ----------------------------------------------------------------------
 */

static const char *const framework_names[] = {
#define ROW(symbol, name, meaning) [FRAMEWORK_##symbol] = (name),
    FRAMEWORK_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(framework_names) == FRAMEWORK_COUNT,
               "a name for every framework");

const char *framework_name(enum framework framework)
{
    return framework_names[framework];
}

int framework_parse(const char *name, enum framework *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(framework_names); i++) {
        if (strcmp(framework_names[i], name) == 0) {
            *out = (enum framework)i;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, "\"%.40s\" is no framework", name);
}

/* --- life ----------------------------------------------------------------------------
 */

void runspec_init(struct runspec *spec)
{
    *spec = (struct runspec){
        .framework = FRAMEWORK_PYTHON,
        .attempts = 1,
        .grace_ms = RUNSPEC_GRACE_DEFAULT_MS,
        .log_max_bytes = RUNSPEC_LOG_MAX_DEFAULT,
        .slots = 1,
        .environment.slots = RUNSPEC_PREPARE_SLOTS_DEFAULT,
    };
    envspec_init(&spec->environment.definition);
}

void runspec_release(struct runspec *spec)
{
    free(spec->experiment);
    free(spec->submitter);
    free(spec->script);
    free(spec->interpreter);
    runspec_environment_release(&spec->environment);
    runspec_spark_free(spec->spark);
    strvec_release(&spec->command);
    strvec_release(&spec->variables);
    strvec_release(&spec->secrets);
    strvec_release(&spec->outputs);
    strvec_release(&spec->tags);
    strvec_release(&spec->on_end);
    runspec_init(spec);
}

/* --- encoding ------------------------------------------------------------------------
 */

static void add_bytes_or_null(struct json *object, const char *key, const char *s)
{
    if (s == NULL) {
        json_add(object, key, json_new_null());
    } else {
        json_add_bytes(object, key, s, strlen(s));
    }
}

static struct json *bytes_array(const struct strvec *sv)
{
    struct json *array = json_new_array();

    for (size_t i = 0; i < sv->count; i++) {
        json_append(array, json_new_bytes(sv->items[i], strlen(sv->items[i])));
    }
    return array;
}

/* Length of the name in "name=value"; all of it where there is no '='. */
static size_t name_length(const char *pair)
{
    return strcspn(pair, "=");
}

static bool is_named_again(const struct strvec *pairs, size_t i)
{
    size_t length = name_length(pairs->items[i]);

    for (size_t k = i + 1; k < pairs->count; k++) {
        if (name_length(pairs->items[k]) == length &&
            memcmp(pairs->items[k], pairs->items[i], length) == 0) {
            return true;
        }
    }
    return false;
}

/* An object of "name=value" pairs; values as byte strings where is_bytes. */
static struct json *pairs_object(const struct strvec *pairs, bool is_bytes)
{
    struct json *object = json_new_object();

    for (size_t i = 0; i < pairs->count; i++) {
        const char *pair = pairs->items[i];
        size_t length = name_length(pair);
        const char *value = pair[length] == '=' ? pair + length + 1 : "";
        CLEANUP_FREE char *name = xstrndup(pair, length);

        if (!is_named_again(pairs, i)) {
            json_add(object, name,
                     is_bytes ? json_new_bytes(value, strlen(value))
                              : json_new_string(value));
        }
    }
    return object;
}

static struct json *submitter_object(const struct runspec *spec)
{
    struct json *object = json_new_object();

    json_add_string(object, "controller", spec->controller);
    json_add_string(object, "name", spec->submitter != NULL ? spec->submitter : "");
    return object;
}

static struct json *snapshot_object(const struct runspec *spec)
{
    struct json *object = json_new_object();
    char hex[OID_HEX_SIZE];

    oid_to_hex(&spec->root, hex);
    json_add_string(object, "root", hex);
    json_add_integer(object, "files", (int64_t)spec->files);
    json_add_integer(object, "size_bytes", (int64_t)spec->size_bytes);
    return object;
}

static struct json *environment_object(const struct runspec *spec)
{
    struct json *object = runspec_environment_to_json(&spec->environment);

    json_add(object, "variables", pairs_object(&spec->variables, true));
    return object;
}

static struct json *resources_object(const struct runspec *spec)
{
    struct json *object = json_new_object();

    json_add_integer(object, "slots", spec->slots);
    json_add_integer(object, "gpus", spec->gpus);
    json_add_integer(object, "priority", spec->priority);
    return object;
}

void runspec_encode(const struct runspec *spec, struct strbuf *out)
{
    CLEANUP_JSON struct json *j = json_new_object();

    json_add_integer(j, "format", RUNSPEC_FORMAT);
    json_add_string(j, "run", spec->run);
    json_add_string(j, "experiment", spec->experiment != NULL ? spec->experiment : "");
    json_add_time(j, "created", spec->created_utc_ms);
    json_add(j, "submitter", submitter_object(spec));
    json_add(j, "snapshot", snapshot_object(spec));
    json_add_string(j, "framework", framework_name(spec->framework));
    add_bytes_or_null(j, "script", spec->script);
    json_add(j, "command", bytes_array(&spec->command));
    add_bytes_or_null(j, "interpreter", spec->interpreter);
    json_add(j, "environment", environment_object(spec));
    if (spec->spark != NULL) {
        json_add(j, "spark", runspec_spark_to_json(spec->spark));
    }
    json_add(j, "secrets", json_new_strings(&spec->secrets));
    json_add_integer(j, "attempts", spec->attempts);
    json_add(j, "time_limit_ms",
             spec->time_limit_ms > 0 ? json_new_integer(spec->time_limit_ms)
                                     : json_new_null());
    json_add_integer(j, "grace_ms", spec->grace_ms);
    json_add(j, "log_max_bytes",
             spec->log_max_bytes > 0 ? json_new_integer((int64_t)spec->log_max_bytes)
                                     : json_new_null());
    json_add(j, "resources", resources_object(spec));
    json_add(j, "outputs", bytes_array(&spec->outputs));
    json_add(j, "tags", pairs_object(&spec->tags, false));
    json_add(j, "on_end",
             spec->on_end.count > 0 ? bytes_array(&spec->on_end) : json_new_null());
    json_write(j, false, out);
}

/* --- decoding ------------------------------------------------------------------------
 */

bool runspec_path_is_valid(const char *path)
{
    size_t length = strlen(path);

    if (length == 0 || length >= TREE_PATH_MAX) {
        return false;
    }
    for (const char *part = path;;) {
        size_t part_length = strcspn(part, "/");

        if (part_length == 0 || part_length > TREE_NAME_MAX ||
            (part_length == 1 && part[0] == '.') ||
            (part_length == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (part[part_length] == '\0') {
            return true;
        }
        part += part_length + 1;
    }
}

static int refuse(struct error *err, const char *key, const char *why)
{
    return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" %s", key, why);
}

static int take_string(const struct json *j, const char *key, size_t min, size_t max,
                       char **out, struct error *err)
{
    const char *s;

    if (json_get_string(j, WHAT, key, &s, err) < 0) {
        return -1;
    }
    if (strlen(s) < min || strlen(s) > max) {
        return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" has not %zu to %zu bytes", key,
                         min, max);
    }
    *out = xstrdup(s);
    return 0;
}

/* A byte string or null, not empty. */
static int take_bytes_or_null(const struct json *j, const char *key, char **out,
                              struct error *err)
{
    const struct json *value = json_get(j, key);

    if (value == NULL) {
        return refuse(err, key, "is missing");
    }
    if (json_is_null(value)) {
        return 0;
    }
    *out = json_take_bytes(value, WHAT, key, ARGUMENT_MAX, err);
    if (*out == NULL) {
        return -1;
    }
    return (*out)[0] != '\0' ? 0 : refuse(err, key, "is empty");
}

static int take_array(const struct json *j, const char *key, size_t max_count,
                      struct strvec *out, struct error *err)
{
    const struct json *array;

    if (json_get_array(j, WHAT, key, max_count, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        char *s = json_take_bytes(item, WHAT, key, ARGUMENT_MAX, err);

        if (s == NULL) {
            return -1;
        }
        strvec_adopt(out, s);
    }
    return 0;
}

/* As take_array, where null is the same as nothing. */
static int take_array_or_null(const struct json *j, const char *key, size_t max_count,
                              struct strvec *out, struct error *err)
{
    return json_is_null(json_get(j, key)) ? 0 : take_array(j, key, max_count, out, err);
}

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= NAME_MAX_BYTES && strchr(name, '=') == NULL;
}

static int take_names(const struct json *j, const char *key, struct strvec *out,
                      struct error *err)
{
    const struct json *array;

    if (json_get_array(j, WHAT, key, ITEMS_MAX, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        const char *name = json_string(item);

        if (name == NULL || !name_is_valid(name) || strvec_contains(out, name)) {
            return refuse(err, key, "has an item that is no name of its own");
        }
        strvec_push(out, name);
    }
    return 0;
}

/* An object of strings, or where is_bytes of byte strings, as "name=value". */
static int take_pairs(const struct json *j, const char *key, bool is_bytes,
                      struct strvec *out, struct error *err)
{
    const struct json *object;

    if (json_get_object(j, WHAT, key, &object, err) < 0) {
        return -1;
    }
    if (json_count(object) > ITEMS_MAX) {
        return refuse(err, key, "has too many members");
    }
    for (const struct json *item = json_first(object); item != NULL;
         item = json_next(item)) {
        CLEANUP_FREE char *value = NULL;

        if (!name_is_valid(json_key(item))) {
            return refuse(err, key, "has a key that is no name");
        }
        if (!is_bytes && !json_is_string(item)) {
            return refuse(err, key, "has a value that is no string");
        }
        value = json_take_bytes(item, WHAT, key, ARGUMENT_MAX, err);
        if (value == NULL) {
            return -1;
        }
        strvec_pushf(out, "%s=%s", json_key(item), value);
    }
    return 0;
}

static int take_count(const struct json *j, const char *key, uint64_t *out,
                      struct error *err)
{
    int64_t n;

    if (json_get_integer(j, WHAT, key, 0, JSON_INTEGER_MAX, &n, err) < 0) {
        return -1;
    }
    *out = (uint64_t)n;
    return 0;
}

static int check_format(const struct json *j, struct error *err)
{
    int64_t format;

    if (json_get_integer(j, WHAT, "format", 1, JSON_INTEGER_MAX, &format, err) < 0) {
        return -1;
    }
    if (format > RUNSPEC_FORMAT) {
        return error_set(err, ERR_VERSION,
                         WHAT ": its format is newer than this program knows");
    }
    return 0;
}

static int take_identity(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *submitter;
    const char *s;

    if (json_get_string(j, WHAT, "run", &s, err) < 0) {
        return -1;
    }
    if (!run_id_is_valid(s)) {
        return refuse(err, "run", "is no run id");
    }
    memcpy(spec->run, s, strlen(s) + 1);
    if (take_string(j, "experiment", 1, EXPERIMENT_MAX, &spec->experiment, err) < 0 ||
        json_get_time(j, WHAT, "created", &spec->created_utc_ms, err) < 0 ||
        json_get_object(j, WHAT, "submitter", &submitter, err) < 0 ||
        take_string(submitter, "name", 0, SUBMITTER_MAX, &spec->submitter, err) < 0 ||
        json_get_string(submitter, WHAT, "controller", &s, err) < 0) {
        return -1;
    }
    if (strlen(s) != sizeof(spec->controller) - 1 ||
        strspn(s, "0123456789abcdef") != strlen(s)) {
        return refuse(err, "controller", "is no controller's id");
    }
    memcpy(spec->controller, s, sizeof(spec->controller));
    return 0;
}

static int take_snapshot(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *snapshot;
    const char *root;

    if (json_get_object(j, WHAT, "snapshot", &snapshot, err) < 0 ||
        json_get_string(snapshot, WHAT, "root", &root, err) < 0 ||
        take_count(snapshot, "files", &spec->files, err) < 0 ||
        take_count(snapshot, "size_bytes", &spec->size_bytes, err) < 0) {
        return -1;
    }
    if (oid_from_hex(root, &spec->root, err) < 0) {
        return error_wrap(err, WHAT ": \"root\"");
    }
    return 0;
}

static int check_program(const struct runspec *spec, struct error *err)
{
    if (spec->script != NULL && !runspec_path_is_valid(spec->script)) {
        return refuse(err, "script", "is no path in the snapshot");
    }
    if (spec->script == NULL && spec->framework != FRAMEWORK_COMMAND) {
        return refuse(err, "script", "is null, and the framework needs one");
    }
    if (spec->script == NULL &&
        (spec->command.count == 0 || spec->command.items[0][0] == '\0')) {
        return refuse(err, "command", "names no program");
    }
    return 0;
}

static int take_program(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *environment;
    const char *name;

    if (json_get_string(j, WHAT, "framework", &name, err) < 0) {
        return -1;
    }
    if (framework_parse(name, &spec->framework, err) < 0) {
        return error_wrap(err, WHAT);
    }
    if (take_bytes_or_null(j, "script", &spec->script, err) < 0 ||
        take_array(j, "command", RUNSPEC_ARGUMENTS_MAX, &spec->command, err) < 0 ||
        take_bytes_or_null(j, "interpreter", &spec->interpreter, err) < 0 ||
        check_program(spec, err) < 0 ||
        json_get_object(j, WHAT, "environment", &environment, err) < 0 ||
        take_pairs(environment, "variables", true, &spec->variables, err) < 0 ||
        take_names(j, "secrets", &spec->secrets, err) < 0) {
        return -1;
    }
    return runspec_environment_from_json(environment, &spec->environment, err);
}

static int take_spark(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *value = json_get(j, "spark");
    bool is_said = value != NULL && !json_is_null(value);

    /* A command's is what its environment is prepared for. */
    if (spec->framework == FRAMEWORK_COMMAND
            ? is_said && spec->script != NULL
            : is_said != (spec->framework == FRAMEWORK_PYSPARK)) {
        return refuse(err, "spark", "belongs to the framework pyspark, and to it alone");
    }
    if (is_said) {
        spec->spark = runspec_spark_from_json(value, err);
    }
    return is_said && spec->spark == NULL ? -1 : 0;
}

/* Specifications of older controllers do not say; the default is theirs too. */
static int take_log_max(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *value = json_get(j, "log_max_bytes");
    int64_t bytes = 0;

    if (value == NULL) {
        return 0;
    }
    if (!json_is_null(value) &&
        json_get_integer(j, WHAT, "log_max_bytes", RUNSPEC_LOG_MAX_LEAST,
                         JSON_INTEGER_MAX, &bytes, err) < 0) {
        return -1;
    }
    spec->log_max_bytes = (uint64_t)bytes;
    return 0;
}

static int take_limits(const struct json *j, struct runspec *spec, struct error *err)
{
    const struct json *resources;

    if (!json_is_null(json_get(j, "time_limit_ms")) &&
        json_get_integer(j, WHAT, "time_limit_ms", 1, LIMIT_MAX_MS, &spec->time_limit_ms,
                         err) < 0) {
        return -1;
    }
    if (json_get_integer(j, WHAT, "attempts", 1, RUNSPEC_ATTEMPTS_MAX, &spec->attempts,
                         err) < 0 ||
        json_get_integer(j, WHAT, "grace_ms", 0, RUNSPEC_GRACE_MAX_MS, &spec->grace_ms,
                         err) < 0 ||
        take_log_max(j, spec, err) < 0 ||
        json_get_object(j, WHAT, "resources", &resources, err) < 0 ||
        json_get_integer(resources, WHAT, "slots", 0, SLOTS_MAX, &spec->slots, err) < 0 ||
        json_get_integer(resources, WHAT, "gpus", 0, SLOTS_MAX, &spec->gpus, err) < 0 ||
        json_get_integer(resources, WHAT, "priority", -PRIORITY_MAX, PRIORITY_MAX,
                         &spec->priority, err) < 0) {
        return -1;
    }
    return 0;
}

static int take_rest(const struct json *j, struct runspec *spec, struct error *err)
{
    if (take_array(j, "outputs", ITEMS_MAX, &spec->outputs, err) < 0 ||
        take_pairs(j, "tags", false, &spec->tags, err) < 0 ||
        take_array_or_null(j, "on_end", RUNSPEC_ARGUMENTS_MAX, &spec->on_end, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < spec->outputs.count; i++) {
        if (!runspec_path_is_valid(spec->outputs.items[i])) {
            return refuse(err, "outputs", "has an item that is no path in the work tree");
        }
    }
    return 0;
}

int runspec_decode(const char *text, size_t length, struct runspec *spec,
                   struct error *err)
{
    CLEANUP_JSON struct json *j = NULL;

    if (length > RUNSPEC_SIZE_MAX) {
        return error_set(err, ERR_LIMIT, WHAT ": %zu bytes, more than %zu", length,
                         RUNSPEC_SIZE_MAX);
    }
    j = json_parse(text, length, err);
    if (j == NULL) {
        return error_wrap(err, WHAT);
    }
    if (check_format(j, err) < 0 || take_identity(j, spec, err) < 0 ||
        take_snapshot(j, spec, err) < 0 || take_program(j, spec, err) < 0 ||
        take_spark(j, spec, err) < 0 || take_limits(j, spec, err) < 0 ||
        take_rest(j, spec, err) < 0) {
        return -1;
    }
    return 0;
}
