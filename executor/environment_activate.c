#include "executor/environment_activate.h"

#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/variables.h"
#include "executor/container.h"

static bool is_set_by_run(const struct runspec *spec, const char *name)
{
    return variables_find(&spec->variables, name) != NULL;
}

/* What the node's login says of its own Pythons. */
static void forget_others(const struct runspec *spec, struct strvec *variables)
{
    static const char *const names[] = {"PYTHONHOME",        "PYTHONPATH",
                                        "VIRTUAL_ENV",       "CONDA_PREFIX",
                                        "CONDA_DEFAULT_ENV", "PYENV_VERSION"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!is_set_by_run(spec, names[i])) {
            variables_unset(variables, names[i]);
        }
    }
    variables_unset(variables, "PYTHONHOME");
}

/* In front of what the variable has. */
static void put_first(struct strvec *variables, const char *name, const char *first)
{
    const char *rest = variables_find(variables, name);
    bool has_rest = rest != NULL && rest[0] != '\0';
    variables_setf(variables, "%s=%s%s%s", name, first, has_rest ? ":" : "",
                   has_rest ? rest : "");
}

static void add_paths(const struct runspec *spec, const char *work,
                      struct strvec *variables)
{
    const struct strvec *paths = &spec->environment.definition.paths;
    for (size_t i = paths->count; i > 0; i--) {
        CLEANUP_FREE char *path = paths->items[i - 1][0] != '\0'
                                      ? files_join(work, paths->items[i - 1])
                                      : xstrdup(work);
        put_first(variables, "PYTHONPATH", path);
    }
}

/* An interpreter out of /usr/bin does not put that folder in front of all others. */
static bool is_in_path(const struct strvec *variables, const char *folder)
{
    const char *at = variables_find(variables, "PATH");
    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ":");
        if (length == strlen(folder) && strncmp(at, folder, length) == 0) {
            return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

static void set_variables(const struct environment_pin *pin, struct strvec *variables)
{
    if (pin->prefix == NULL) {
        return;
    }
    CLEANUP_FREE char *bin = files_join(pin->prefix, "bin");
    if (strcmp(pin->activation, "none") != 0 || !is_in_path(variables, bin)) {
        put_first(variables, "PATH", bin);
    }
    if (strcmp(pin->activation, "venv") == 0) {
        variables_setf(variables, "VIRTUAL_ENV=%s", pin->prefix);
    } else if (strcmp(pin->activation, "conda") == 0) {
        variables_setf(variables, "CONDA_PREFIX=%s", pin->prefix);
        variables_setf(variables, "CONDA_DEFAULT_ENV=%s", pin->prefix);
    }
}

/* A pyspark among the environment's packages is started by itself, and finds the Spark
 * and the Python of the node's login in its own one's place. */
static void forget_spark(const struct environment_pin *pin, const struct runspec *spec,
                         struct strvec *variables)
{
    static const char *const names[] = {"SPARK_HOME", "PYSPARK_PYTHON",
                                        "PYSPARK_DRIVER_PYTHON"};
    const char *dot = strchr(pin->facts.python, '.');
    if (spec->spark != NULL || pin->prefix == NULL || dot == NULL) {
        return;
    }
    int minor = (int)(dot - pin->facts.python + 1 + strcspn(dot + 1, "."));
    CLEANUP_FREE char *path =
        xasprintf("%s/lib/python%.*s/site-packages/pyspark/__init__.py", pin->prefix,
                  minor, pin->facts.python);
    for (size_t i = 0; i < ARRAY_SIZE(names) && access(path, F_OK) == 0; i++) {
        if (!is_set_by_run(spec, names[i])) {
            variables_unset(variables, names[i]);
        }
    }
}

int environment_activate(const struct environment_pin *pin, const struct runspec *spec,
                         const char *work, struct strvec *variables,
                         char **out_interpreter, struct error *err)
{
    bool is_image = strcmp(pin->activation, CONTAINER_ACTIVATION) == 0;
    if (pin->interpreter == NULL || access(pin->interpreter, X_OK) < 0) {
        return error_set(err, ERR_NOT_FOUND,
                         "the run's environment is gone: %.300s cannot be started",
                         pin->interpreter != NULL ? pin->interpreter : "nothing");
    }
    if (!is_image) {
        forget_others(spec, variables);
        forget_spark(pin, spec, variables);
        set_variables(pin, variables);
        *out_interpreter = xstrdup(pin->interpreter);
    }
    add_paths(spec, work, variables);
    return 0;
}
