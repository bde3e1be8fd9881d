/*
 * environment_uv: uv builds a virtual environment.            [executor]
 *
 * Source: docs.astral.sh/uv, and what uv 0.13 was seen to do. uv shares its cache's files
 * with environments by hard links unless told otherwise: then a script that writes into
 * its environment changes every other one. So files are cloned where the filesystem can.
 * Else they are linked, as what is ready is read-only, and copied for root, whom that
 * does not keep from writing.
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
#include "common/pep440.h"
#include "common/variables.h"
#include "executor/environment_settings.h"

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

/* Whether the definition says itself where packages come from. One more index is beside
 * what the node's own settings say, as for pip. */
static bool has_sources(const struct envspec *d)
{
    bool has_any = d->find_links.count > 0;
    for (size_t i = 0; i < d->options.count; i++) {
        has_any |= strncmp(d->options.items[i], "--index-url", 11) == 0 ||
                   strncmp(d->options.items[i], "--no-index", 10) == 0 ||
                   strncmp(d->options.items[i], "--find-links", 12) == 0;
    }
    return has_any;
}

/* uv trusts authorities of its own; the node's, where it has any, are its user's. Older
 * versions call it native TLS. */
static void trust_system(struct strvec *e)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt",
                                          "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
        if (access(bundles[i], R_OK) == 0) {
            if (variables_find(e, "UV_SYSTEM_CERTS") == NULL) {
                variables_set(e, "UV_SYSTEM_CERTS=1");
            }
            if (variables_find(e, "UV_NATIVE_TLS") == NULL) {
                variables_set(e, "UV_NATIVE_TLS=1");
            }
            return;
        }
    }
}

static void set_up(struct build *b)
{
    struct strvec *e = programs_environment(b->programs);
    const struct noderoot *root = b->environment->root;
    variables_setf(e, "UV_CACHE_DIR=%s/envs/cache/uv", root->path);
    variables_setf(e, "UV_LINK_MODE=%s",
                   can_clone(b->folder) ? "clone"
                   : geteuid() == 0     ? "copy"
                                        : "hardlink");
    variables_set(e, "UV_PYTHON_DOWNLOADS=never");
    variables_set(e, "UV_NO_PROGRESS=1");
    environment_settings_for_uv(e, has_sources(b->definition));
    trust_system(e);
}

static bool wants_hashes(const struct envspec *d)
{
    return strvec_contains(&d->options, "--require-hashes");
}

/* ---- For a Python that is not here: a folder of packages, and no interpreter */

static const struct livy_python *afar_of(const struct build *b)
{
    return &b->environment->afar;
}

static bool is_afar(const struct build *b)
{
    return environment_is_afar(b->environment);
}

/* The newest C library that uv has a name for and that is not newer than the cluster's;
 * where that is not known, the oldest. */
static void add_platform(const struct build *b, struct strvec *argv)
{
    static const int known[] = {40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28};
    const struct livy_python *afar = afar_of(b);
    const char *machine = strchr(afar->platform, '-');
    const char *const own = strchr(b->python->detail[PYTHON_PLATFORM], '-');
    int minor = 17;
    machine = machine != NULL ? machine + 1 : own != NULL ? own + 1 : "x86_64";
    for (size_t i = 0; i < ARRAY_SIZE(known) && minor == 17; i++) {
        char version[32];
        snprintf(version, sizeof(version), "glibc-2.%d", known[i]);
        if (strncmp(afar->libc, version, strlen("glibc-")) == 0 &&
            pep440_compare(afar->libc + strlen("glibc-"), version + strlen("glibc-")) >=
                0) {
            minor = known[i];
        }
    }
    strvec_push(argv, "--python-platform");
    if (strcmp(afar->libc, "musl") == 0) {
        strvec_pushf(argv, "%s-unknown-linux-musl", machine);
    } else {
        strvec_pushf(argv, "%s-manylinux_2_%d", machine, minor);
    }
}

/* Which Python packages are for: the environment's own, or the one that is afar. */
static void add_python(const struct build *b, struct strvec *argv)
{
    strvec_push(argv, "-p");
    strvec_push(argv, is_afar(b) ? b->python->real : b->prefix);
    if (is_afar(b)) {
        strvec_push(argv, "--python-version");
        strvec_pushf(argv, "%.*s", (int)pep440_series(afar_of(b)->version),
                     afar_of(b)->version);
        add_platform(b, argv);
    }
}

/* Where an environment has its packages; for afar there is nothing else in it. */
static char *packages_of(const struct build *b)
{
    const char *version = afar_of(b)->version;
    return xasprintf("%s/lib/python%.*s/site-packages", b->prefix,
                     (int)pep440_series(version), version);
}

static void begin(const struct build *b, struct strvec *argv, const char *verb)
{
    strvec_push(argv, b->program->real);
    strvec_push(argv, "pip");
    strvec_push(argv, verb);
}

static int run(struct build *b, struct strvec *argv, struct error *err)
{
    return environment_builder_run(b, (const char *const *)strvec_argv(argv), err);
}

static int install(struct build *b, struct error *err)
{
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    CLEANUP_FREE char *packages = is_afar(b) ? packages_of(b) : NULL;
    if (packages != NULL && files_make_dirs(packages, err) < 0) {
        return -1;
    }
    if (!b->has_requirements) {
        return 0;
    }
    begin(b, &argv, "install");
    add_python(b, &argv);
    if (packages != NULL) {
        strvec_push(&argv, "--target");
        strvec_push(&argv, packages);
    }
    if (wants_hashes(b->definition)) {
        strvec_push(&argv, "--require-hashes");
    }
    strvec_push(&argv, "-r");
    strvec_push(&argv, "requirements.txt");
    if (b->has_constraints) {
        strvec_push(&argv, "-c");
        strvec_push(&argv, "constraints.txt");
    }
    return run(b, &argv, err);
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

/* Of the lines that the builder read, those that say where packages come from. */
static void add_sources(const char *requirements, struct strbuf *out)
{
    static const char *const kinds[] = {"--index-url ", "--extra-index-url ",
                                        "--find-links ", "--no-index"};
    for (const char *line = requirements; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
            if (strncmp(line, kinds[k], strlen(kinds[k])) == 0) {
                strbuf_printf(out, "%.*s\n", (int)length, line);
            }
        }
        line += length + (line[length] == '\n');
    }
}

/* What is installed, below the options that say where it came from. */
static int write_installed(const struct build *b, const struct strbuf *list,
                           struct error *err)
{
    CLEANUP_FREE char *requirements = files_join(b->inputs, "requirements.txt");
    CLEANUP_FREE char *path = files_join(b->inputs, "installed.txt");
    CLEANUP_STRBUF struct strbuf asked = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (b->has_requirements && files_read(AT_FDCWD, requirements, &asked, err) < 0) {
        return -1;
    }
    add_sources(asked.data, &text);
    if (strbuf_add(&text, list->data, list->length, err) < 0) {
        return -1;
    }
    return files_write_atomic(AT_FDCWD, path, text.data, text.length, 0600, err);
}

/* With hashes where the index's answers are still in the cache, which they are right
 * after an installation; else what is installed, without. */
static int record(struct build *b, struct error *err)
{
    static const char *const options[] = {
        "-q",           "--offline",     "--no-deps",
        "--no-header",  "--no-annotate", "--generate-hashes",
        "installed.txt"};
    CLEANUP_STRVEC struct strvec freeze = STRVEC_INIT;
    CLEANUP_STRVEC struct strvec hash = STRVEC_INIT;
    struct strbuf *text = programs_text(b->programs);
    begin(b, &freeze, "freeze");
    strvec_push(&freeze, "-q");
    strvec_push(&freeze, is_afar(b) ? "--path" : "-p");
    strvec_adopt(&freeze, is_afar(b) ? packages_of(b) : xstrdup(b->prefix));
    begin(b, &hash, "compile");
    add_python(b, &hash);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        strvec_push(&hash, options[i]);
    }
    int status =
        programs_run(b->programs, (const char *const *)strvec_argv(&freeze), true, err);
    if (status != 0) {
        return status < 0 ? -1
                          : error_set(err, ERR_SPAWN, "uv cannot list what it installed");
    }
    b->packages = count_lines(text);
    if (strbuf_add(&b->lock, text->data, text->length, err) < 0) {
        return -1;
    }
    if (write_installed(b, text, err) < 0) {
        return -1;
    }
    status = b->packages > 0
                 ? programs_run(b->programs, (const char *const *)strvec_argv(&hash),
                                true, err)
                 : 1;
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
    if (is_afar(b)) {
        b->activation = "none";
        return install(b, err) < 0 || record(b, err) < 0 ? -1 : 0;
    }
    if (environment_builder_run(b, venv, err) < 0 || install(b, err) < 0 ||
        check(b, err) < 0 || record(b, err) < 0) {
        return -1;
    }
    return 0;
}

/* As it is locked, without the project itself, which is imported from the work tree; for
 * afar, by requirements. */
static int sync_lock(struct build *b, struct error *err)
{
    const struct envspec *d = b->definition;
    CLEANUP_FREE char *project =
        files_join(b->inputs, d->lock_project != NULL ? d->lock_project : "");
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    const char *const words[] = {b->program->real,
                                 is_afar(b) ? "export" : "sync",
                                 "--frozen",
                                 is_afar(b) ? "--no-emit-workspace"
                                            : "--no-install-workspace",
                                 "--no-default-groups",
                                 "--project",
                                 project,
                                 "-p",
                                 b->python->real};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        strvec_push(&argv, words[i]);
    }
    for (size_t i = 0; i < d->lock_groups.count; i++) {
        strvec_pushf(&argv, "--group=%s", d->lock_groups.items[i]);
    }
    for (size_t i = 0; i < d->lock_extras.count; i++) {
        strvec_pushf(&argv, "--extra=%s", d->lock_extras.items[i]);
    }
    if (is_afar(b)) {
        strvec_push(&argv, "-q");
        strvec_push(&argv, "-o");
        strvec_push(&argv, "requirements.txt");
        b->has_requirements = true;
    }
    variables_setf(programs_environment(b->programs), "UV_PROJECT_ENVIRONMENT=%s",
                   b->prefix);
    return run(b, &argv, err);
}

static int make_from_lock(struct build *b, struct error *err)
{
    set_up(b);
    if (is_afar(b)) {
        return sync_lock(b, err) < 0 ? -1 : make(b, err);
    }
    if (sync_lock(b, err) < 0 || check(b, err) < 0 || record(b, err) < 0) {
        return -1;
    }
    return 0;
}

const struct builder builder_uv = {
    .name = "uv",
    .kinds = 1U << ENVSPEC_PACKAGES,
    .needs_python = true,
    .builds_afar = true,
    .program = TOOL_UV,
    .version = version,
    .missing = "install uv (curl -LsSf https://astral.sh/uv/install.sh | sh)",
    .make = make,
};

const struct builder builder_uv_lock = {
    .name = "uv",
    .kinds = 1U << ENVSPEC_LOCK,
    .needs_python = true,
    .builds_afar = true,
    .program = TOOL_UV,
    .version = version,
    .missing = "install uv (curl -LsSf https://astral.sh/uv/install.sh | sh)",
    .make = make_from_lock,
};
