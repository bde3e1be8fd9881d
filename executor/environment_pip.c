/*
 * environment_pip: Python's own venv, and the pip that it brings.            [executor]
 *
 * Slow, and there wherever Python is whole. Source: docs.python.org/3/library/venv.html,
 * pip.pypa.io; pip 18.1 (Python 3.6) to 24.2 were seen to take these.
 */
#include "executor/environment_pip.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "common/files.h"
#include "common/json.h"
#include "common/pep440.h"
#include "common/variables.h"
#include "executor/environment.h"

#define REPORT_MAX ((size_t)64 << 20)

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

/* pip 22.2 and later say what they installed, with hashes. */
static bool can_report(const struct build *b)
{
    return b->python != NULL &&
           pep440_compare(b->python->detail[PYTHON_PIP], "22.2") >= 0;
}

int environment_pip_install(struct build *b, const char *python, struct error *err)
{
    const char *argv[16] = {python, "-I", "-m", "pip", "install"};
    size_t n = 5;
    if (!b->has_requirements) {
        return 0;
    }
    set_up(b);
    if (can_report(b)) {
        argv[n++] = "--report";
        argv[n++] = "report.json";
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

/* The hash of what was installed under this name; NULL: it is not known. Borrowed. */
static const char *find_hash(const struct json *report, const char *name, size_t length)
{
    const struct json *item = json_first(json_get(report, "install"));
    for (; item != NULL; item = json_next(item)) {
        const char *found = json_string(json_get(json_get(item, "metadata"), "name"));
        const struct json *archive =
            json_get(json_get(item, "download_info"), "archive_info");
        if (found != NULL && strlen(found) == length &&
            strncasecmp(found, name, length) == 0) {
            return json_string(json_get(json_get(archive, "hashes"), "sha256"));
        }
    }
    return NULL;
}

/* What a new virtual environment has before anything was asked for. */
static bool is_seed(const char *name, size_t length)
{
    static const char *const seeds[] = {"pip", "setuptools", "wheel"};
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
        if (strlen(seeds[i]) == length && strncmp(seeds[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

bool environment_pip_is_package(const char *line)
{
    const char *behind = line + strcspn(line, "= @\n");
    return strncmp(line, "-e ", 3) == 0 || strncmp(behind, "==", 2) == 0 ||
           strncmp(behind, " @ ", 3) == 0;
}

/* One line of `pip freeze`. */
static int add_line(struct build *b, const struct json *report, const char *line,
                    size_t length, struct error *err)
{
    size_t name_length = strcspn(line, "= @\n");
    const char *hash = find_hash(report, line, name_length);
    if (!environment_pip_is_package(line) ||
        (hash == NULL && is_seed(line, name_length))) {
        return 0;
    }
    b->packages++;
    if (strbuf_add(&b->lock, line, length, err) < 0) {
        return -1;
    }
    if (hash != NULL) {
        strbuf_printf(&b->lock, " \\\n    --hash=sha256:%.64s", hash);
    }
    strbuf_putc(&b->lock, '\n');
    return 0;
}

static struct json *read_report(const struct build *b)
{
    CLEANUP_FREE char *path = files_join(b->inputs, "report.json");
    struct strbuf text;
    strbuf_init(&text, REPORT_MAX);
    struct json *report = files_read(AT_FDCWD, path, &text, NULL) < 0
                              ? NULL
                              : json_parse(text.data, text.length, NULL);
    strbuf_release(&text);
    return report;
}

static int record(struct build *b, const char *python, struct error *err)
{
    const char *const argv[] = {python, "-I", "-m", "pip", "freeze", "--all", NULL};
    CLEANUP_JSON struct json *report = read_report(b);
    int status = programs_run(b->programs, argv, true, err);
    if (status != 0) {
        return status < 0
                   ? -1
                   : error_set(err, ERR_SPAWN, "pip cannot list what it installed");
    }
    b->packages = 0;
    for (const char *line = programs_text(b->programs)->data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (add_line(b, report, line, length, err) < 0) {
            return -1;
        }
        line += length + (line[length] == '\n');
    }
    return 0;
}

static int make(struct build *b, struct error *err)
{
    CLEANUP_FREE char *python = files_join(b->prefix, "bin/python");
    const char *const venv[] = {b->python->real, "-I", "-m", "venv", b->prefix, NULL};
    set_up(b);
    if (environment_builder_run(b, venv, err) < 0 ||
        environment_pip_install(b, python, err) < 0 || check(b, python, err) < 0 ||
        record(b, python, err) < 0) {
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
