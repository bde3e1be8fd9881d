#define _GNU_SOURCE /* O_NOFOLLOW, O_DIRECTORY */
#include "executor/environment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/pep440.h"
#include "executor/environment_check.h"
#include "executor/environment_existing.h"
#include "executor/environment_livy.h"
#include "executor/environment_spark.h"

#define PIN_FILE "environment"
#define PIN_MAX ((size_t)16 << 10)
#define READY_MAX ((size_t)16 << 10)
#define LOCK_COPY "environment.lock"
#define CREDENTIAL_PREFIX "ERRAND_CREDENTIALS_"
#define DOCUMENT_FORMAT 1
#define HOLD_DEADLINE_MS 1000
#define LOCK_FILE_MAX ((size_t)32 << 20)

/* ---- The run's wishes */

bool environment_is_wanted(const struct runspec *spec)
{
    return spec->environment.has_definition || spec->environment.pin_identity[0] != '\0';
}

const char *environment_source(const struct runspec *spec)
{
    const char *source = spec->environment.definition.source;
    return source != NULL ? source : "";
}

bool environment_is_credential(const char *secret_name)
{
    return strncmp(secret_name, CREDENTIAL_PREFIX, strlen(CREDENTIAL_PREFIX)) == 0;
}

/* ---- The pin */

void environment_pin_init(struct environment_pin *pin)
{
    *pin = (struct environment_pin){.prefix = NULL};
    run_environment_init(&pin->facts);
}

void environment_pin_release(struct environment_pin *pin)
{
    free(pin->prefix);
    free(pin->interpreter);
    environment_pin_init(pin);
}

/* A member that may be missing. */
static int take_path(const struct json *j, const char *key, char **out, struct error *err)
{
    struct strbuf path;
    strbuf_init(&path, PIN_MAX);
    if (json_is_null(json_get(j, key)) || json_get(j, key) == NULL) {
        return 0;
    }
    if (json_get_bytes(j, "pin", key, &path, err) < 0) {
        strbuf_release(&path);
        return -1;
    }
    free(*out);
    *out = strbuf_detach(&path);
    return 0;
}

static void add_path(struct json *j, const char *key, const char *path)
{
    if (path != NULL) {
        json_add_bytes(j, key, path, strlen(path));
    }
}

int environment_read_pin(int run_fd, struct environment_pin *pin, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, PIN_MAX);
    int result = files_read(run_fd, PIN_FILE, &text, err);
    CLEANUP_JSON struct json *j =
        result < 0 ? NULL : json_parse(text.data, text.length, err);
    strbuf_release(&text);
    const char *activation = json_string(json_get(j, "activation"));
    if (j == NULL || run_environment_from_json(j, &pin->facts, err) < 0 ||
        take_path(j, "prefix", &pin->prefix, err) < 0 ||
        take_path(j, "interpreter", &pin->interpreter, err) < 0) {
        return -1;
    }
    snprintf(pin->activation, sizeof(pin->activation), "%s",
             activation != NULL ? activation : "none");
    return 0;
}

bool environment_is_pinned(int run_fd)
{
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    return environment_read_pin(run_fd, &pin, NULL) == 0;
}

int environment_write_pin(int run_fd, const struct environment_pin *pin,
                          struct error *err)
{
    CLEANUP_JSON struct json *j = run_environment_to_json(&pin->facts);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    add_path(j, "prefix", pin->prefix);
    add_path(j, "interpreter", pin->interpreter);
    json_add_string(j, "activation", pin->activation);
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    CLEANUP_FD int fd =
        openat(run_fd, "." PIN_FILE,
               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fdio_write_full(fd, text.data, text.length) < 0 ||
        renameat(run_fd, "." PIN_FILE, run_fd, PIN_FILE) < 0) {
        return error_sys(err, "note which environment the run has");
    }
    return 0;
}

/* ---- Choosing */

bool environment_is_afar(const struct environment *e)
{
    return e->afar.version[0] != '\0';
}

const char *environment_python(const struct environment *e)
{
    return environment_is_afar(e) ? e->afar.version : e->python->version;
}

static int complain(const struct environment *e, const struct envspec *d,
                    struct error *err)
{
    CLEANUP_STRBUF struct strbuf hint = STRBUF_INIT;
    const struct builder *b;
    for (size_t i = 0; (b = environment_builder_at(i)) != NULL; i++) {
        if ((b->kinds & 1U << d->kind) != 0 &&
            (!environment_is_afar(e) || b->builds_afar) &&
            (d->builder == NULL || d->builder[0] == '\0' ||
             strcmp(d->builder, b->name) == 0)) {
            strbuf_printf(&hint, "%s%s", hint.length > 0 ? ", or " : "", b->missing);
        }
    }
    if (hint.length == 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "this executor cannot build an environment of kind %s%s%.40s",
                         envspec_kind_name(d->kind),
                         d->builder != NULL && d->builder[0] != '\0' ? " with " : "",
                         d->builder != NULL ? d->builder : "");
    }
    error_set(
        err, ERR_NOT_FOUND, "the node has nothing to build the environment with%s%.31s",
        environment_is_afar(e) ? " for the cluster's Python " : "", e->afar.version);
    return error_hint(err, "%.400s; looked for in " TOOLS_PLACES, hint.data);
}

/* 1: it can be used, and e says so; 0: a program would have to be started; -1: not. */
static int try_builder(struct environment *e, const struct builder *b,
                       struct tools *tools)
{
    e->program = NULL;
    if (environment_is_afar(e) && !b->builds_afar) {
        return -1;
    }
    if (b->program != TOOL_SORT_COUNT) {
        if (tools_find(tools, b->program, &e->program) == 0) {
            return 0;
        }
        if (e->program == NULL) {
            return -1;
        }
    }
    if (b->can_use != NULL && !b->can_use(e->python, e->program)) {
        return -1;
    }
    e->builder = b;
    return 1;
}

/* The one that Spark has, which its executors have too. As tools_python; *is_chosen:
 * whether that decides. */
static int choose_cluster_python(struct environment *e, const char *wish,
                                 struct tools *tools, bool *is_chosen, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    bool is_must = false;
    int found = environment_spark_python(e->root, e->spec, tools_may_start(tools), &path,
                                         &is_must);
    if (found == 1 && path != NULL) {
        found = tools_python_at(tools, path, &e->python, err);
    }
    bool fits = found == 1 && path != NULL && pep440_fits(e->python->version, wish);
    *is_chosen = found == 0 || fits;
    if (found == 1 && path != NULL && is_must && !fits) {
        error_set(err, ERR_UNSUPPORTED,
                  "the environment is for Python %s, the cluster's Python is %s: %.300s",
                  wish, e->python->version, path);
        error_hint(err,
                   "change `python`, or spark.pyspark.python of the cluster; a conda "
                   "environment brings its own (`environment: {conda: "
                   "environment.yml, builder: micromamba}`)");
        *is_chosen = true;
        return -1;
    }
    return found;
}

/* Whether what is built with this interpreter works with that one too. */
static bool can_stand_for(const struct tool *python, const struct livy_python *afar)
{
    const char *libc = python->detail[PYTHON_LIBC];
    size_t family = strcspn(afar->libc, "-") + 1;
    return (afar->platform[0] == '\0' ||
            strcmp(python->detail[PYTHON_PLATFORM], afar->platform) == 0) &&
           (afar->libc[0] == '\0' || strcmp(libc, afar->libc) == 0 ||
            (strncmp(libc, afar->libc, family) == 0 &&
             pep440_compare(libc + family, afar->libc + family) < 0));
}

/* The cluster's is not here: one of its series that can stand for it, or any, with which
 * a builder that can builds for afar. As tools_python. */
static int choose_for_livy(struct environment *e, const char *wish, struct tools *tools,
                           struct error *err)
{
    char series[48];
    if (!environment_livy_python(e->root, e->spec, &e->afar)) {
        return tools_may_start(tools)
                   ? error_set(err, ERR_NOT_FOUND, "the cluster's Python is not known")
                   : 0;
    }
    if (!pep440_fits(e->afar.version, wish)) {
        return error_set(err, ERR_UNSUPPORTED,
                         "the environment is for Python %s (`python`), and the "
                         "cluster's is %s",
                         wish, e->afar.version);
    }
    snprintf(series, sizeof(series), "==%.*s.*", (int)pep440_series(e->afar.version),
             e->afar.version);
    int found = tools_python(tools, series, &e->python, NULL);
    if (found == 1 && can_stand_for(e->python, &e->afar)) {
        e->afar = (struct livy_python){.version = ""};
    }
    return found >= 0 ? found : tools_python(tools, "", &e->python, err);
}

/* The one that the run names, or the best that fits. As tools_python. */
static int choose_python(struct environment *e, const struct envspec *d,
                         struct tools *tools, struct error *err)
{
    const char *wish = d->python != NULL ? d->python : "";
    const char *name = e->spec->interpreter;
    if (environment_livy_is(e->spec)) {
        return choose_for_livy(e, wish, tools, err);
    }
    if (name == NULL) {
        bool is_chosen = false;
        int found = choose_cluster_python(e, wish, tools, &is_chosen, err);
        return is_chosen ? found : tools_python(tools, wish, &e->python, err);
    }
    CLEANUP_FREE char *path = tools_locate(name);
    if (path == NULL) {
        return error_set(err, ERR_NOT_FOUND, "the node has no interpreter %.300s", name);
    }
    int found = tools_python_at(tools, path, &e->python, err);
    if (found == 1 && !pep440_fits(e->python->version, wish)) {
        error_set(err, ERR_UNSUPPORTED, "%.300s is Python %s, which does not fit %s",
                  path, e->python->version, wish);
        return error_hint(err, "change `python` or `interpreter`");
    }
    return found;
}

static int choose_builder(struct environment *e, const struct envspec *d,
                          struct tools *tools, struct error *err)
{
    const struct builder *b;
    for (size_t i = 0; (b = environment_builder_at(i)) != NULL; i++) {
        if ((b->kinds & 1U << d->kind) == 0 ||
            (d->builder != NULL && d->builder[0] != '\0' &&
             strcmp(d->builder, b->name) != 0)) {
            continue;
        }
        if (b->needs_python && e->python == NULL) {
            int found = choose_python(e, d, tools, err);
            if (found <= 0) {
                return found;
            }
        }
        int result = try_builder(e, b, tools);
        if (result >= 0) {
            if (!b->needs_python) {
                e->python = NULL;
                environment_livy_libc(e->root, e->spec, e->libc);
            }
            return result;
        }
    }
    return complain(e, d, err);
}

/* Of a Python that is elsewhere its path and last number say nothing. */
static void add_series(struct json *python, const char *version)
{
    CLEANUP_FREE char *series = xasprintf("%.*s", (int)pep440_series(version), version);
    json_add_string(python, "version", series);
}

static void make_document(struct environment *e, const struct envspec *d)
{
    assert(e->builder != NULL); /* one was chosen */
    CLEANUP_JSON struct json *j = json_new_object();
    struct json *builder = json_add(j, "builder", json_new_object());
    json_add_integer(j, "format", DOCUMENT_FORMAT);
    json_add(j, "definition", envspec_identity(d));
    json_add_string(builder, "name", e->builder->name);
    json_add_string(builder, "version", e->builder->version(e->python, e->program));
    if (environment_is_afar(e)) {
        struct json *python = json_add(j, "interpreter", json_new_object());
        add_series(python, e->afar.version);
        json_add_string(j, "platform", e->afar.platform);
        json_add_string(j, "libc", e->afar.libc);
    } else if (e->python != NULL) {
        struct json *python = json_add(j, "interpreter", json_new_object());
        json_add_bytes(python, "path", e->python->real, strlen(e->python->real));
        json_add_string(python, "implementation",
                        e->python->detail[PYTHON_IMPLEMENTATION]);
        json_add_string(python, "version", e->python->version);
        json_add_string(j, "platform", e->python->detail[PYTHON_PLATFORM]);
        json_add_string(j, "libc", e->python->detail[PYTHON_LIBC]);
    } else {
        /* Nodes may share a folder of environments. */
        CLEANUP_FREE char *platform = noderoot_platform();
        json_add_string(j, "platform", platform);
        if (e->libc[0] != '\0') {
            CLEANUP_FREE char *libc = xasprintf("glibc-%s", e->libc);
            json_add_string(j, "libc", libc);
        }
    }
    struct oid digest;
    json_write_sorted(j, &e->document);
    strbuf_putc(&e->document, '\n');
    oid_of_bytes(e->document.data, e->document.length, &digest);
    oid_to_hex(&digest, e->identity);
}

int environment_choose(struct environment *e, const struct noderoot *root,
                       const struct runspec *spec, struct tools *tools, struct error *err)
{
    const struct envspec *d = &spec->environment.definition;
    *e = (struct environment){.root = root, .spec = spec, .document = STRBUF_INIT};
    int result = choose_builder(e, d, tools, err);
    if (result == 1) {
        make_document(e, d);
    }
    return result;
}

void environment_release(struct environment *e)
{
    strbuf_release(&e->document);
}

struct environment_path environment_folder(const struct environment *e)
{
    struct environment_path path;
    snprintf(path.text, sizeof(path.text), "envs/%s", e->identity);
    return path;
}

/* ---- Ready builds */

static bool build_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < ENVIRONMENT_BUILD_SIZE &&
           strspn(name, "0123456789TZabcdefghijklmnopqrstuvwxyz-") == length;
}

/* Copy what the environment consists of into the run's folder. */
static void copy_lock(int build_fd, int run_fd)
{
    CLEANUP_FD int from = openat(build_fd, "lock.txt", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_FD int to = openat(
        run_fd, LOCK_COPY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (from >= 0 && to >= 0 && fdio_copy(from, to, LOCK_FILE_MAX) < 0) {
        (void)unlinkat(run_fd, LOCK_COPY, 0); /* half of it would say too little */
    }
}

/* It was used now. In an administrator's folder nobody is told. */
static void note_use(int build_fd)
{
    CLEANUP_FD int fd =
        openat(build_fd, "used", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        (void)futimens(fd, NULL);
    }
}

/* What READY of the open build folder says. */
static int read_ready(int build_fd, const char *identity, const char *build,
                      struct environment_pin *out, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, READY_MAX);
    int result = files_read(build_fd, "READY", &text, err);
    CLEANUP_JSON struct json *j =
        result < 0 ? NULL : json_parse(text.data, text.length, err);
    strbuf_release(&text);
    if (j == NULL || run_environment_from_json(j, &out->facts, err) < 0) {
        return -1;
    }
    if (strcmp(out->facts.identity, identity) != 0 ||
        strcmp(out->facts.build, build) != 0) {
        return error_set(err, ERR_CORRUPT, "READY is another build's");
    }
    const char *activation = json_string(json_get(j, "activation"));
    snprintf(out->activation, sizeof(out->activation), "%s",
             activation != NULL ? activation : "venv");
    free(TAKE_PTR(out->interpreter));
    return take_path(j, "interpreter", &out->interpreter, err);
}

/* The build's name by `current`. False: there is none. */
static bool read_current(int folder_fd, char out[ENVIRONMENT_BUILD_SIZE])
{
    ssize_t length = readlinkat(folder_fd, "current", out, ENVIRONMENT_BUILD_SIZE - 1);
    out[length > 0 ? length : 0] = '\0';
    return build_is_valid(out);
}

/* Look in one folder of environments. 1: found, *out_build_fd is its folder. */
static int look_in(const char *base, const char *identity, const char *build,
                   struct environment_pin *out, int *out_build_fd)
{
    char name[ENVIRONMENT_BUILD_SIZE];
    CLEANUP_FREE char *path = files_join(base, identity);
    CLEANUP_FD int folder = files_open_dir(AT_FDCWD, path, NULL);
    if (folder < 0) {
        return 0;
    }
    if (build != NULL) {
        snprintf(name, sizeof(name), "%s", build);
    }
    if (build != NULL ? !build_is_valid(name) : !read_current(folder, name)) {
        return 0;
    }
    CLEANUP_FD int build_fd = files_open_dir(folder, name, NULL);
    if (build_fd < 0 || read_ready(build_fd, identity, name, out, NULL) < 0) {
        return 0;
    }
    CLEANUP_FREE char *inside = xasprintf("%s/%s/prefix", path, name);
    free(out->prefix);
    out->prefix = TAKE_PTR(inside);
    if (out->interpreter == NULL) {
        out->interpreter = files_join(out->prefix, "bin/python");
    }
    *out_build_fd = take_fd(&build_fd);
    return 1;
}

/* A folder that nobody but root, or we, can write into. */
static bool is_trustworthy(const char *folder)
{
    struct stat st;
    return stat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
           (st.st_uid == 0 || st.st_uid == geteuid()) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int environment_hold(const struct noderoot *root, int timeout_ms, struct error *err)
{
    if (mkdirat(root->fd, "envs", 0700) < 0 && errno != EEXIST) {
        return error_sys(err, "make %s/envs", root->path);
    }
    return files_lock(root->fd, "envs/lock", false, timeout_ms, err);
}

/* In our own folder first. As look_in. */
static int look_everywhere(const struct environment *e, const char *build,
                           struct environment_pin *out, int *out_build_fd)
{
    const struct strvec *shared = &e->spec->environment.shared;
    CLEANUP_FREE char *own = files_join(e->root->path, "envs");
    int found = look_in(own, e->identity, build, out, out_build_fd);
    for (size_t i = 0; found == 0 && i < shared->count; i++) {
        CLEANUP_FREE char *folder = tools_locate(shared->items[i]); /* "~/" or absolute */
        if (folder != NULL && is_trustworthy(folder)) {
            found = look_in(folder, e->identity, build, out, out_build_fd);
        }
    }
    return found;
}

int environment_open_build(const struct environment *e, const char *build)
{
    struct environment_pin pin CLEANUP_PIN;
    int build_fd = -1;
    environment_pin_init(&pin);
    return look_everywhere(e, build, &pin, &build_fd) == 1 ? build_fd : -1;
}

bool environment_is_ready(const struct environment *e)
{
    CLEANUP_FD int build_fd = environment_open_build(e, NULL);
    return build_fd >= 0;
}

int environment_take(const struct environment *e, int run_fd, const char *build,
                     bool is_reused, int64_t begun_ns, struct environment_pin *out,
                     struct error *err)
{
    CLEANUP_FD int build_fd = -1;
    if (look_everywhere(e, build, out, &build_fd) == 0) {
        return 0;
    }
    out->facts.is_reused = is_reused;
    out->facts.spent_ms = (clock_monotonic_ns() - begun_ns) / NS_PER_MS;
    copy_lock(build_fd, run_fd);
    if (environment_write_pin(run_fd, out, err) < 0) {
        return -1;
    }
    note_use(build_fd);
    return 1;
}

/* ---- Without a program */

/* For a supervisor, which does not wait for long: the prepare stage does. */
static bool take_quickly(const struct environment *e, int run_fd, const char *build,
                         int64_t begun_ns)
{
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    CLEANUP_FD int held = environment_hold(e->root, HOLD_DEADLINE_MS, NULL);
    return held >= 0 &&
           environment_take(e, run_fd, build, true, begun_ns, &pin, NULL) == 1;
}

/* One that the specification names by identity. */
static void set_identity(struct environment *e, const struct noderoot *root,
                         const struct runspec *spec)
{
    *e = (struct environment){.root = root, .spec = spec, .document = STRBUF_INIT};
    snprintf(e->identity, sizeof(e->identity), "%s", spec->environment.pin_identity);
}

/* What the run names was seen to be importable; else the prepare stage has to try. */
static bool was_checked(const struct environment *e)
{
    const struct strvec *imports = &e->spec->environment.imports;
    CLEANUP_FD int build_fd = imports->count > 0 ? environment_open_build(e, NULL) : -1;
    return environment_was_checked(build_fd, imports);
}

int environment_find(const struct noderoot *root, int run_fd, const struct runspec *spec)
{
    const struct runspec_environment *wish = &spec->environment;
    int64_t begun_ns = clock_monotonic_ns();
    struct environment_pin pin CLEANUP_PIN;
    struct environment e;
    environment_pin_init(&pin);
    if (wish->pin_identity[0] != '\0') {
        set_identity(&e, root, spec);
        return take_quickly(&e, run_fd, wish->pin_build, begun_ns);
    }
    if (wish->is_refresh) {
        return 0;
    }
    CLEANUP(tools_cleanup) struct tools *tools = tools_new(root, false, false);
    if (wish->definition.kind == ENVSPEC_EXISTING) {
        return wish->imports.count == 0 &&
               environment_existing(spec, tools, begun_ns, &pin, NULL) == 1 &&
               environment_write_pin(run_fd, &pin, NULL) == 0;
    }
    bool is_there = environment_choose(&e, root, spec, tools, NULL) == 1 &&
                    was_checked(&e) && take_quickly(&e, run_fd, NULL, begun_ns);
    environment_release(&e);
    return is_there;
}
