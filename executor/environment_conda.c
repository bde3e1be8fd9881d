/*
 * environment_conda: micromamba, mamba or conda fill a prefix; pip what is beside.
 * [executor]
 *
 * Source: docs.conda.io, mamba.readthedocs.io; mamba 2.8 and conda 26.7 and 4.3 were seen
 * to take these. All three replace a prefix that is there without asking, and leave a
 * half-built one behind, which is the caller's to remove. mamba with -q says nothing of
 * its errors. Files are copied, not linked: a script that writes into its environment
 * changes no other.
 */
#include "executor/environment.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/files.h"
#include "common/json.h"
#include "common/variables.h"
#include "executor/environment_pip.h"

#define RECORD_MAX ((size_t)64 << 20)

static const char *version(const struct tool *python, const struct tool *program)
{
    (void)python;
    return program->version;
}

static void set_up(struct build *b)
{
    struct strvec *e = programs_environment(b->programs);
    const char *root = b->environment->root->path;
    variables_setf(e, "CONDA_PKGS_DIRS=%s/envs/cache/conda", root);
    variables_set(e, "CONDA_ALWAYS_COPY=1");
    variables_set(e, "CONDA_NUMBER_CHANNEL_NOTICES=0");
    variables_set(e, "MAMBA_ALWAYS_COPY=1");
    if (b->environment->libc[0] != '\0') { /* as conda calls the one that it finds here */
        variables_setf(e, "CONDA_OVERRIDE_GLIBC=%s", b->environment->libc);
    }
    if (b->program->sort != TOOL_CONDA) {
        variables_setf(e, "MAMBA_ROOT_PREFIX=%s/envs/cache/mamba", root);
    }
}

/* mamba 1 is conda with another solver, and knows no option more. */
static bool knows_no_rc(const struct tool *program)
{
    return program->sort == TOOL_MICROMAMBA ||
           (program->sort == TOOL_MAMBA && strncmp(program->version, "1.", 2) != 0 &&
            strncmp(program->version, "0.", 2) != 0);
}

/* Channels that are named are the only ones: then "nodefaults" says nothing more, and
 * conda would take it for a channel. Without any, the node's own count. */
static void add_channels(const struct build *b, struct strvec *argv)
{
    const struct strvec *channels = &b->definition->channels;
    if (channels->count == 0) {
        return;
    }
    if (knows_no_rc(b->program)) {
        strvec_push(argv, "--no-rc");
    }
    strvec_push(argv, "--override-channels");
    for (size_t i = 0; i < channels->count; i++) {
        if (strcmp(channels->items[i], "nodefaults") != 0) {
            strvec_push(argv, "-c");
            strvec_push(argv, channels->items[i]);
        }
    }
}

static int create(struct build *b, struct error *err)
{
    const struct strvec *specs = &b->definition->conda;
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    strvec_push(&argv, b->program->real);
    strvec_push(&argv, "create");
    strvec_push(&argv, "-y");
    strvec_push(&argv, "-p");
    strvec_push(&argv, b->prefix);
    add_channels(b, &argv);
    for (size_t i = 0; i < specs->count; i++) {
        strvec_push(&argv, specs->items[i]);
    }
    return environment_builder_run(b, (const char *const *)strvec_argv(&argv), err);
}

/* ---- What is there */

/* One file of conda-meta: a package. */
static int add_package(struct build *b, int meta_fd, const char *name,
                       struct strvec *lines, struct strvec *names, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, RECORD_MAX);
    CLEANUP_JSON struct json *j = files_read(meta_fd, name, &text, err) < 0
                                      ? NULL
                                      : json_parse(text.data, text.length, err);
    strbuf_release(&text);
    const char *package = json_string(json_get(j, "name"));
    const char *url = json_string(json_get(j, "url"));
    const char *md5 = json_string(json_get(j, "md5"));
    const char *number = json_string(json_get(j, "version"));
    if (j == NULL) {
        return error_wrap(err, "conda-meta/%s", name);
    }
    if (package == NULL || url == NULL) {
        return 0;
    }
    strvec_push(names, package);
    if (strcmp(package, "python") == 0 && number != NULL) {
        snprintf(b->python_version, sizeof(b->python_version), "%s", number);
    }
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    envspec_without_userinfo(url, &clean);
    strvec_pushf(lines, "%s%s%s", clean.data, md5 != NULL ? "#" : "",
                 md5 != NULL ? md5 : "");
    return 0;
}

static int read_packages(struct build *b, struct strvec *lines, struct strvec *names,
                         struct error *err)
{
    CLEANUP_FREE char *path = files_join(b->prefix, "conda-meta");
    CLEANUP_FD int fd = files_open_dir(AT_FDCWD, path, err);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
    const struct dirent *entry;
    if (dir == NULL) {
        return error_set(err, ERR_SPAWN, "%s left no conda environment behind",
                         b->environment->builder->name);
    }
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0 &&
            add_package(b, fd, entry->d_name, lines, names, err) < 0) {
            return -1;
        }
    }
    strvec_sort(lines);
    return 0;
}

static bool is_condas(const struct strvec *names, const char *line, size_t length)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strlen(names->items[i]) == length &&
            strncasecmp(names->items[i], line, length) == 0) {
            return true;
        }
    }
    return false;
}

/* What pip added, as comments: conda's format has no place for it. */
static int add_pips(struct build *b, const char *python, const struct strvec *names,
                    struct error *err)
{
    const char *const argv[] = {python, "-I", "-m", "pip", "freeze", "--all", NULL};
    if (!b->has_requirements) {
        return 0;
    }
    int status = programs_run(b->programs, argv, true, err);
    if (status != 0) {
        return status < 0
                   ? -1
                   : error_set(err, ERR_SPAWN, "pip cannot list what it installed");
    }
    for (const char *line = programs_text(b->programs)->data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (environment_pip_is_package(line) &&
            !is_condas(names, line, strcspn(line, "= @\n"))) {
            strbuf_printf(&b->lock, "# pip: %.*s\n", (int)length, line);
            b->packages++;
        }
        line += length + (line[length] == '\n');
    }
    return 0;
}

/* In conda's own format: `conda create --file` takes it. */
static int record(struct build *b, const char *python, struct error *err)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    if (read_packages(b, &lines, &names, err) < 0) {
        return -1;
    }
    strbuf_puts(&b->lock, "@EXPLICIT\n");
    for (size_t i = 0; i < lines.count; i++) {
        strbuf_printf(&b->lock, "%s\n", lines.items[i]);
    }
    b->packages = (int64_t)lines.count;
    return add_pips(b, python, &names, err);
}

static int make(struct build *b, struct error *err)
{
    CLEANUP_FREE char *python = files_join(b->prefix, "bin/python");
    set_up(b);
    b->activation = "conda";
    if (create(b, err) < 0) {
        return -1;
    }
    if (access(python, X_OK) < 0) {
        error_set(err, ERR_UNSUPPORTED, "the conda packages bring no Python");
        return error_hint(err, "add python to the dependencies");
    }
    return environment_pip_install(b, python, err) < 0 ? -1 : record(b, python, err);
}

const struct builder builder_micromamba = {
    .name = "micromamba",
    .kinds = 1U << ENVSPEC_CONDA,
    .program = TOOL_MICROMAMBA,
    .version = version,
    .missing = "install micromamba (\"${SHELL}\" <(curl -L micro.mamba.pm/install.sh))",
    .make = make,
};

const struct builder builder_mamba = {
    .name = "mamba",
    .kinds = 1U << ENVSPEC_CONDA,
    .program = TOOL_MAMBA,
    .version = version,
    .missing = "mamba (Miniforge)",
    .make = make,
};

const struct builder builder_conda = {
    .name = "conda",
    .kinds = 1U << ENVSPEC_CONDA,
    .program = TOOL_CONDA,
    .version = version,
    .missing = "conda",
    .make = make,
};
