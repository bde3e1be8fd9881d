/*
 * environment_pip: Python's own venv, and the pip that it brings.            [executor]
 *
 * Slow, and there wherever Python is whole. Source: docs.python.org/3/library/venv.html,
 * pip.pypa.io; pip 18.1 (Python 3.6) to 24.2 were seen to take these.
 */
#include "executor/environment.h"

#include <string.h>

#include "common/files.h"
#include "common/variables.h"

static bool can_use(const struct tool *python, const struct tool *program)
{
    (void)program;
    return python->detail[PYTHON_PIP][0] != '\0';
}

static const char *version(const struct tool *python, const struct tool *program)
{
    (void)program;
    return python->detail[PYTHON_PIP];
}

static void set_up(struct build *b)
{
    struct strvec *e = programs_environment(b->programs);
    variables_setf(e, "PIP_CACHE_DIR=%s/envs/cache/pip", b->environment->root->path);
    variables_set(e, "PIP_DISABLE_PIP_VERSION_CHECK=1");
    variables_set(e, "PIP_NO_INPUT=1");
    variables_set(e, "PIP_PROGRESS_BAR=off");
}

static int install(struct build *b, const char *python, struct error *err)
{
    const char *argv[12] = {python, "-I", "-m", "pip", "install"};
    size_t n = 5;
    if (!b->has_requirements) {
        return 0;
    }
    if (strvec_contains(&b->definition->options, "--require-hashes")) {
        argv[n++] = "--require-hashes";
    }
    argv[n++] = "-r";
    argv[n++] = "requirements.txt";
    if (b->has_constraints) {
        argv[n++] = "-c";
        argv[n++] = "constraints.txt";
    }
    return environment_builder_run(b, argv, err);
}

/* Packages whose wishes are not all met are told, and no failure: they were asked for. */
static int check(struct build *b, const char *python, struct error *err)
{
    const char *const argv[] = {python, "-I", "-m", "pip", "check", NULL};
    int status = programs_run(b->programs, argv, true, err);
    if (status > 0) {
        programs_say(b->programs, "warning: the packages do not all fit together: %.400s",
                     programs_text(b->programs)->data);
    }
    return status < 0 ? -1 : 0;
}

static int record(struct build *b, const char *python, struct error *err)
{
    const char *const argv[] = {python, "-I", "-m", "pip", "freeze", "--all", NULL};
    struct strbuf *text = programs_text(b->programs);
    int status = programs_run(b->programs, argv, true, err);
    if (status != 0) {
        return status < 0
                   ? -1
                   : error_set(err, ERR_SPAWN, "pip cannot list what it installed");
    }
    b->packages = 0;
    for (size_t i = 0; i < text->length; i++) {
        b->packages += text->data[i] == '\n';
    }
    return strbuf_add(&b->lock, text->data, text->length, err);
}

static int make(struct build *b, struct error *err)
{
    CLEANUP_FREE char *python = files_join(b->prefix, "bin/python");
    const char *const venv[] = {b->python->real, "-I", "-m", "venv", b->prefix, NULL};
    set_up(b);
    if (environment_builder_run(b, venv, err) < 0 || install(b, python, err) < 0 ||
        check(b, python, err) < 0 || record(b, python, err) < 0) {
        return -1;
    }
    return 0;
}

const struct builder builder_pip = {
    .name = "pip",
    .kinds = 1U << ENVSPEC_PACKAGES,
    .needs_python = true,
    .program = TOOL_SORT_COUNT,
    .can_use = can_use,
    .version = version,
    .missing = "give its Python the module venv (apt install python3-venv)",
    .make = make,
};
