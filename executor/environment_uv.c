/*
 * environment_uv: uv builds a virtual environment.            [executor]
 *
 * Source: docs.astral.sh/uv, and what uv 0.13 was seen to do. uv shares its cache's files
 * with environments by hard links unless told otherwise: then a script that writes into
 * its environment changes every other one. So files are cloned where the filesystem can,
 * else copied.
 */
#define _GNU_SOURCE /* FICLONE */
#include "executor/environment.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/variables.h"

static const char *version(const struct tool *python, const struct tool *program)
{
    (void)python;
    return program->version;
}

/* Whether this filesystem shares blocks between files: tried with two small ones. */
static bool can_clone(const char *folder)
{
    CLEANUP_FREE char *from = files_join(folder, ".clone-from");
    CLEANUP_FREE char *to = files_join(folder, ".clone-to");
    CLEANUP_FD int a = open(from, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP_FD int b = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool result = a >= 0 && b >= 0 && fdio_write_full(a, "clone", 5) == 0 &&
                  ioctl(b, FICLONE, a) == 0;
    (void)unlink(from);
    (void)unlink(to);
    return result;
}

static void set_up(struct build *b)
{
    struct strvec *e = programs_environment(b->programs);
    const struct noderoot *root = b->environment->root;
    variables_setf(e, "UV_CACHE_DIR=%s/envs/cache/uv", root->path);
    variables_setf(e, "UV_LINK_MODE=%s", can_clone(b->folder) ? "clone" : "copy");
    variables_set(e, "UV_PYTHON_DOWNLOADS=never");
    variables_set(e, "UV_NO_PROGRESS=1");
}

static bool wants_hashes(const struct envspec *d)
{
    return strvec_contains(&d->options, "--require-hashes");
}

static int install(struct build *b, struct error *err)
{
    const char *argv[12] = {b->program->real, "pip", "install", "-p", b->prefix};
    size_t n = 5;
    if (!b->has_requirements) {
        return 0;
    }
    if (wants_hashes(b->definition)) {
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
static int check(struct build *b, struct error *err)
{
    const char *const argv[] = {b->program->real, "pip", "check", "-q", "-p",
                                b->prefix,        NULL};
    int status = programs_run(b->programs, argv, false, err);
    if (status > 0) {
        programs_say(b->programs, "warning: the packages do not all fit together");
    }
    return status < 0 ? -1 : 0;
}

static int64_t count_lines(const struct strbuf *text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text->length; i++) {
        count += text->data[i] == '\n';
    }
    return count;
}

/* With hashes where the index's answers are still in the cache, which they are right
 * after an installation; else what is installed, without. */
static int record(struct build *b, struct error *err)
{
    const char *const freeze[] = {b->program->real, "pip", "freeze", "-q", "-p",
                                  b->prefix,        NULL};
    const char *const hash[] = {b->program->real,
                                "pip",
                                "compile",
                                "-q",
                                "--offline",
                                "--no-deps",
                                "--no-header",
                                "--no-annotate",
                                "--generate-hashes",
                                "-p",
                                b->prefix,
                                "installed.txt",
                                NULL};
    struct strbuf *text = programs_text(b->programs);
    int status = programs_run(b->programs, freeze, true, err);
    if (status != 0) {
        return status < 0 ? -1
                          : error_set(err, ERR_SPAWN, "uv cannot list what it installed");
    }
    b->packages = count_lines(text);
    if (strbuf_add(&b->lock, text->data, text->length, err) < 0) {
        return -1;
    }
    CLEANUP_FREE char *list = files_join(b->inputs, "installed.txt");
    if (files_write_atomic(AT_FDCWD, list, text->data, text->length, 0600, err) < 0) {
        return -1;
    }
    status = b->packages > 0 ? programs_run(b->programs, hash, true, err) : 1;
    if (status == 0) {
        strbuf_reset(&b->lock);
        return strbuf_add(&b->lock, text->data, text->length, err);
    }
    return status < 0 ? -1 : 0;
}

static int make(struct build *b, struct error *err)
{
    const char *const venv[] = {b->program->real, "venv",    "-q", "-p",
                                b->python->real,  b->prefix, NULL};
    set_up(b);
    if (environment_builder_run(b, venv, err) < 0 || install(b, err) < 0 ||
        check(b, err) < 0 || record(b, err) < 0) {
        return -1;
    }
    return 0;
}

const struct builder builder_uv = {
    .name = "uv",
    .kinds = 1U << ENVSPEC_PACKAGES,
    .needs_python = true,
    .program = TOOL_UV,
    .version = version,
    .missing = "install uv (curl -LsSf https://astral.sh/uv/install.sh | sh)",
    .make = make,
};
