#define _GNU_SOURCE /* realpath, gethostname */
#include "controller/submission_plan.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/variables.h"
#include "controller/submission_environment.h"
#include "controller/submission_spark.h"
#include "controller/target_livy.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPERIMENT_MAX ((size_t)128) /* bytes: FORMATS.md 4.1 */
#define SECRET_MAX ((size_t)64 << 10)
#define NAMES_LOOKED_AT 2000

/* ---- the script ---- */

static bool is_python(const char *name)
{
    return strlen(name) > strlen(".py") && bytes_end_with(name, ".py");
}

static int script_missing(const char *given, struct error *err)
{
    CLEANUP_FREE char *copy = xstrdup(given);
    char *slash = strrchr(copy, '/');
    const char *base = slash != NULL ? slash + 1 : copy;
    const char *folder = slash != NULL ? copy : ".";
    if (slash != NULL) {
        *slash = '\0';
    }
    error_set(err, ERR_NOT_FOUND, "there is no script %s", given);
    CLEANUP_DIR DIR *dir = opendir(folder[0] != '\0' ? folder : "/");
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL &&
           names.count < NAMES_LOOKED_AT) {
        strvec_push(&names, entry->d_name);
    }
    const char *nearest =
        cli_nearest(base, (const char *const *)strvec_argv(&names), names.count);
    if (nearest != NULL) {
        return error_hint(err, "did you mean %s%s%s?", slash != NULL ? copy : "",
                          slash != NULL ? "/" : "", nearest);
    }
    CLEANUP_FREE char *cwd = getcwd(NULL, 0);
    const char *where = cwd != NULL ? cwd : "this folder";
    return is_python(given)
               ? error_hint(err, "it was looked for in %s", where)
               : error_hint(err,
                            "it was looked for in %s; a command goes behind two hyphens: "
                            "errand run -- %s",
                            where, given);
}

char *submission_script_path(const char *project, const char *given, struct error *err)
{
    struct stat st;
    if (given[0] == '\0') {
        error_set(err, ERR_USAGE, "the script's name is empty");
        return NULL;
    }
    if (stat(given, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            (void)script_missing(given, err);
        } else {
            (void)error_sys(err, "look at the script %s", given);
        }
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, ERR_USAGE, "%s is %s, not a script", given,
                  S_ISDIR(st.st_mode) ? "a folder" : "no plain file");
        return NULL;
    }
    /* The folder is resolved, the script's own name is kept: it may be a symbolic link in
     * the project. */
    CLEANUP_FREE char *copy = xstrdup(given);
    char *slash = strrchr(copy, '/');
    const char *name = slash != NULL ? slash + 1 : copy;
    if (slash != NULL) {
        *slash = '\0';
    }
    char folder[PATH_MAX];
    char top[PATH_MAX];
    if (realpath(slash == NULL ? "." : (copy[0] != '\0' ? copy : "/"), folder) == NULL ||
        realpath(project, top) == NULL) {
        (void)error_sys(err, "find the folder of %s", given);
        return NULL;
    }
    size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(folder, top, length) != 0 ||
        (folder[length] != '/' && folder[length] != '\0')) {
        error_set(err, ERR_USAGE, "%s is outside the project %s", given, top);
        error_hint(err, "only the project's folder is sent; move it there, or run "
                        "errand in its folder");
        return NULL;
    }
    const char *rest = folder + length + (folder[length] == '/' ? 1 : 0);
    return rest[0] != '\0' ? files_join(rest, name) : xstrdup(name);
}

static bool begins_with_hash_bang(const char *given)
{
    char first[2];
    CLEANUP_FD int fd = open(given, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fdio_read_full(fd, first, sizeof first) == 2 && first[0] == '#' &&
           first[1] == '!';
}

/* wants_spark: the target is a Spark, or an option is for one. */
static int choose_framework(struct runspec *spec, const char *configured,
                            bool wants_spark, const char *given, struct error *err)
{
    if (configured != NULL && configured[0] != '\0') {
        return framework_parse(configured, &spec->framework, err);
    }
    if (is_python(given)) {
        spec->framework = wants_spark ? FRAMEWORK_PYSPARK : FRAMEWORK_PYTHON;
        return 0;
    }
    if (begins_with_hash_bang(given)) {
        spec->framework = FRAMEWORK_COMMAND;
        return 0;
    }
    error_set(
        err, ERR_USAGE,
        "%s: how is it started? Its name does not end in .py and its first line is no #!",
        given);
    return error_hint(err,
                      "--framework python runs it with python3; a plain command goes "
                      "behind --: errand run -- sh %s",
                      given);
}

static int check_executable(const char *given, struct error *err)
{
    if (access(given, X_OK) != 0) {
        error_set(err, ERR_USAGE, "%s begins with #! but is not executable", given);
        return error_hint(err, "chmod +x %s", given);
    }
    return 0;
}

/* Fill spec->spark where the framework has it, or an environment is prepared for it; else
 * its options mean nothing. */
static int plan_spark(struct runspec *spec, const struct config *config,
                      const struct target *target,
                      const struct submission_request *request, bool wants_spark,
                      struct error *err)
{
    const char *option = submission_spark_option(&request->spark);
    if (spec->framework == FRAMEWORK_PYSPARK ||
        (request->is_preparation && wants_spark)) {
        return submission_spark_plan(spec, config, target, &request->spark, err);
    }
    if (option == NULL) {
        return 0;
    }
    error_set(err, ERR_USAGE, "%s is for the framework pyspark, and this run's is %s",
              option, framework_name(spec->framework));
    return error_hint(err, request->is_plain_command
                               ? "Spark starts a Python script, not a command"
                               : "--framework pyspark starts the script with Spark");
}

static int plan_program(struct runspec *spec, const struct config *config,
                        const struct target *target,
                        const struct submission_request *request, struct error *err)
{
    bool wants_spark = target->kind != TARGET_KIND_SSH ||
                       submission_spark_option(&request->spark) != NULL;
    const char *configured = request->framework != NULL
                                 ? request->framework
                                 : config_string(config, "framework");
    if (request->operand_count == 0) {
        error_set(err, ERR_USAGE, "run what? Name a script, or a command behind --");
        return error_hint(err, "errand run train.py; errand run -- make all");
    }
    wants_spark |=
        configured != NULL && strcmp(configured, framework_name(FRAMEWORK_PYSPARK)) == 0;
    size_t first = 0;
    if (request->is_plain_command) {
        spec->framework = FRAMEWORK_COMMAND;
    } else {
        const char *given = request->operands[0];
        spec->script = submission_script_path(config_project(config), given, err);
        if (spec->script == NULL ||
            choose_framework(spec, configured, wants_spark, given, err) != 0 ||
            (spec->framework == FRAMEWORK_COMMAND && check_executable(given, err) != 0)) {
            return -1;
        }
        first = 1;
    }
    for (size_t i = first; i < request->operand_count; i++) {
        strvec_push(&spec->command, request->operands[i]);
    }
    if (target->kind == TARGET_KIND_LIVY && spec->framework != FRAMEWORK_PYSPARK &&
        !request->is_preparation) {
        error_set(err, ERR_USAGE,
                  "%s is a Livy server, which starts PySpark scripts alone",
                  target->name);
        return error_hint(err, "leave --framework out, or name another target");
    }
    return plan_spark(spec, config, target, request, wants_spark, err);
}

/* ---- variables, tags, secrets ---- */

static bool is_variable_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool is_good = name[i] == '_' || (name[i] >= 'A' && name[i] <= 'Z') ||
                       (name[i] >= 'a' && name[i] <= 'z') ||
                       (i > 0 && name[i] >= '0' && name[i] <= '9');
        if (!is_good) {
            return false;
        }
    }
    return length > 0;
}

static const char *find_here(void *context, const char *name, struct error *err)
{
    const char *value = getenv(name);
    (void)context;
    if (value == NULL) {
        error_set(err, ERR_CONFIG, "${" VARIABLES_HERE ":%s}: it is not set here", name);
    }
    return value;
}

static const char *find_nothing(void *context, const char *name, struct error *err)
{
    (void)context, (void)name, (void)err;
    return "";
}

/* "K=V" with this machine's variables; what asks for the node's stays, and is looked at.
 * The caller's; NULL: err. */
static char *expand_here(const char *pair, struct error *err)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf dropped = STRBUF_INIT;
    if (variables_expand(pair, VARIABLES_HERE, find_here, NULL, &out, err) != 0 ||
        variables_expand(pair, VARIABLES_THERE, find_nothing, NULL, &dropped, err) != 0) {
        (void)error_wrap(err, "variables: %.*s", (int)strcspn(pair, "="), pair);
        return NULL;
    }
    return strbuf_detach(&out);
}

/* Set "K=V", replacing an earlier value of K. */
static void set_pair(struct strvec *pairs, const char *pair)
{
    size_t length = strcspn(pair, "=") + 1;
    for (size_t i = 0; i < pairs->count; i++) {
        if (strncmp(pairs->items[i], pair, length) == 0) {
            strvec_remove(pairs, i);
            break;
        }
    }
    strvec_push(pairs, pair);
}

static int set_variable(struct strvec *variables, const char *pair, struct error *err)
{
    size_t length = strcspn(pair, "=");
    if (!is_variable_name(pair, length)) {
        return error_set(err, ERR_USAGE, "\"%.*s\" is no name of an environment variable",
                         (int)length, pair);
    }
    if (variables_is_own(pair)) {
        return error_set(err, ERR_USAGE,
                         "%.*s: variables that begin with " VARIABLES_OWN
                         " are errand's own",
                         (int)length, pair);
    }
    if (pair[length] == '=') {
        CLEANUP_FREE char *expanded = expand_here(pair, err);
        if (expanded == NULL) {
            return -1;
        }
        set_pair(variables, expanded);
        return 0;
    }
    const char *value = getenv(pair);
    if (value == NULL) {
        return error_set(err, ERR_USAGE,
                         "--env %s: it is not set here; give it a value with %s=VALUE",
                         pair, pair);
    }
    CLEANUP_FREE char *full = xasprintf("%s=%s", pair, value);
    set_pair(variables, full);
    return 0;
}

static int set_variables(struct strvec *variables, const struct strvec *pairs,
                         struct error *err)
{
    for (size_t i = 0; pairs != NULL && i < pairs->count; i++) {
        if (set_variable(variables, pairs->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_tags(struct strvec *tags, const struct strvec *pairs, struct error *err)
{
    for (size_t i = 0; pairs != NULL && i < pairs->count; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        if (equals == NULL || equals == pairs->items[i]) {
            return error_set(err, ERR_USAGE, "tag %s: it has the form KEY=VALUE",
                             pairs->items[i]);
        }
        set_pair(tags, pairs->items[i]);
    }
    return 0;
}

/* source: "env:NAME" or "file:PATH". */
static int read_secret(const char *name, const char *source, struct strbuf *out,
                       struct error *err)
{
    if (strncmp(source, "env:", 4) == 0) {
        const char *value = getenv(source + 4);
        if (value == NULL) {
            return error_set(err, ERR_USAGE,
                             "secret %s: %s is not set in the environment", name,
                             source + 4);
        }
        return strbuf_add(out, value, strlen(value), err);
    }
    if (strncmp(source, "file:", 5) == 0) {
        if (files_read(AT_FDCWD, source + 5, out, err) != 0) {
            return error_wrap(err, "secret %s", name);
        }
        while (out->length > 0 && out->data[out->length - 1] == '\n') {
            strbuf_truncate(out, out->length - 1);
        }
        return 0;
    }
    return error_set(err, ERR_CONFIG,
                     "secret %s: %s: it has the form env:NAME or file:PATH", name,
                     source);
}

static int add_secret(struct submission *s, const char *name, const char *source,
                      struct error *err)
{
    CLEANUP_STRBUF struct strbuf value = STRBUF_INIT;
    value.limit_bytes = SECRET_MAX;
    if (!is_variable_name(name, strlen(name))) {
        return error_set(err, ERR_USAGE,
                         "secret %s: that is no name of an environment variable", name);
    }
    mem_wipe_freed();
    if (read_secret(name, source, &value, err) != 0) {
        return -1;
    }
    if (strncmp(source, "env:", 4) == 0) {
        strvec_push(&s->secret_variables, source + 4);
    }
    if (s->secrets == NULL) {
        s->secrets = json_new_object();
    }
    if (json_get(s->secrets, name) == NULL) {
        json_add_bytes(s->secrets, name, value.data, value.length);
        strvec_push(&s->spec.secrets, name);
    }
    mem_wipe(value.data, value.length);
    return 0;
}

static int plan_secrets(struct submission *s, const struct config *config,
                        const struct strvec *named, struct error *err)
{
    const struct strvec *configured = config_map(config, "secrets");
    for (size_t i = 0; i < named->count; i++) {
        CLEANUP_FREE char *source = xasprintf("env:%s", named->items[i]);
        if (add_secret(s, named->items[i], source, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; configured != NULL && i < configured->count; i++) {
        CLEANUP_FREE char *name = xstrdup(configured->items[i]);
        char *equals = strchr(name, '=');
        *equals = '\0';
        if (add_secret(s, name, equals + 1, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the rest ---- */

static char *submitter_name(void)
{
    char host[256] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    const struct passwd *user = getpwuid(getuid());
    return xasprintf("%s@%s", user != NULL ? user->pw_name : "?", host);
}

/* The project folder's name, or what the user chose. */
static char *experiment_name(const struct config *config, const char *chosen)
{
    const char *configured = config_string(config, "experiment");
    if (chosen != NULL || (configured != NULL && configured[0] != '\0')) {
        return xstrdup(chosen != NULL ? chosen : configured);
    }
    char top[PATH_MAX];
    const char *project =
        realpath(config_project(config), top) != NULL ? top : config_project(config);
    const char *slash = strrchr(project, '/');
    const char *name = slash != NULL ? slash + 1 : project;
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    terminal_make_safe(name, strlen(name), &safe);
    if (safe.length == 0) {
        return xstrdup("default");
    }
    size_t most = safe.length < EXPERIMENT_MAX ? safe.length : EXPERIMENT_MAX;
    return xstrndup(safe.data, bytes_utf8_prefix(safe.data, most));
}

static int plan_log_max(struct runspec *spec, const struct config *config,
                        const char *chosen, struct error *err)
{
    spec->log_max_bytes = config_size(config, "log_max_size");
    if (chosen != NULL && files_parse_size(chosen, &spec->log_max_bytes, err) != 0) {
        return error_wrap(err, "--log-max-size");
    }
    if (spec->log_max_bytes > 0 && spec->log_max_bytes < RUNSPEC_LOG_MAX_LEAST) {
        return error_set(err, chosen != NULL ? ERR_USAGE : ERR_CONFIG,
                         "%s: it takes at least 1M, or 0 for no limit",
                         chosen != NULL ? "--log-max-size" : "log_max_size");
    }
    return 0;
}

static int plan_limits(struct runspec *spec, const struct config *config,
                       const struct submission_request *request, struct error *err)
{
    spec->time_limit_ms = request->time_limit.is_given
                              ? request->time_limit.ms
                              : config_integer(config, "time_limit");
    spec->grace_ms =
        request->grace.is_given ? request->grace.ms : config_integer(config, "grace");
    spec->attempts =
        request->attempts > 0 ? request->attempts : config_integer(config, "attempts");
    return plan_log_max(spec, config, request->log_max_size, err);
}

static int check_experiment(const char *name, struct error *err)
{
    size_t length = strlen(name);
    if (length == 0 || length > 128) {
        return error_set(err, ERR_USAGE, "an experiment's name has 1 to 128 bytes");
    }
    return 0;
}

int submission_plan(struct submission *s, struct command_context *context,
                    const struct target *target, const struct submission_request *request,
                    struct error *err)
{
    const struct config *config = context->config;
    struct runspec *spec = &s->spec;
    const struct strvec *outputs = config_list(config, "outputs");
    const char *interpreter = request->interpreter;
    if (plan_program(spec, config, target, request, err) != 0) {
        return -1;
    }
    if (interpreter == NULL) {
        interpreter = target->interpreter != NULL ? target->interpreter
                                                  : config_string(config, "interpreter");
    }
    run_id_make(spec->run);
    memcpy(spec->controller, context->home->controller, sizeof spec->controller);
    spec->submitter = submitter_name();
    spec->experiment = experiment_name(config, request->experiment);
    spec->interpreter =
        interpreter != NULL && interpreter[0] != '\0' ? xstrdup(interpreter) : NULL;
    if (plan_limits(spec, config, request, err) != 0) {
        return -1;
    }
    for (size_t i = 0; outputs != NULL && i < outputs->count; i++) {
        if (!runspec_path_is_valid(outputs->items[i])) {
            return error_set(err, ERR_CONFIG, "outputs: %s is no path within the project",
                             outputs->items[i]);
        }
        strvec_push(&spec->outputs, outputs->items[i]);
    }
    if (request->is_preparation) {
        strvec_push(&spec->tags, HISTORY_PREPARATION_TAG "=true");
    }
    CLEANUP_ENVPLAN struct envplan environment;
    envplan_init(&environment);
    int has_environment =
        submission_environment_open(s, context, target, request, &environment, err);
    if (has_environment > 0 && target->kind == TARGET_KIND_LIVY &&
        submission_environment_names_python(s, &environment)) {
        has_environment = 0; /* it is there */
    }
    if (has_environment < 0 || check_experiment(spec->experiment, err) != 0 ||
        set_variables(&spec->variables, &environment.variables, err) != 0 ||
        set_variables(&spec->variables, &target->variables, err) != 0 ||
        set_variables(&spec->variables, config_map(config, "variables"), err) != 0 ||
        set_variables(&spec->variables, &request->variables, err) != 0 ||
        set_tags(&spec->tags, config_map(config, "tags"), err) != 0 ||
        set_tags(&spec->tags, &request->tags, err) != 0) {
        return -1;
    }
    if (plan_secrets(s, config, &request->secrets, err) != 0 ||
        (target->kind == TARGET_KIND_LIVY &&
         target_livy_plan(s, context, target, err) != 0)) {
        return -1;
    }
    return has_environment > 0
               ? submission_environment_fill(s, context, target, &environment, err)
               : 0;
}
