/*
 * wheels_download: pip, or uv and pip, get wheels for another machine. [controller]
 *
 * pip takes wheels alone for another platform, and tags that are named one by one. It
 * judges markers by the Python that it runs under: so it runs under one of the node's
 * series where this machine has that; else uv, which judges by the node's, resolves
 * first, and pip downloads exactly that. Source: `pip download --help` (pip 20.3 and
 * later take several --platform), docs.astral.sh/uv/reference/cli, PEP 600, PEP 656.
 */
#define _GNU_SOURCE /* O_CLOEXEC in openat */
#include "controller/wheels_inside.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"

#define LIST_MAX ((size_t)16 << 20)
#define PLACE "requirements.txt"
#define CONSTRAINTS "constraints.txt"
#define PINNED "pinned.txt"
#define GLIBC_OLDEST 5 /* manylinux_2_5 is manylinux1 */

struct download {
    const struct wheels_request *r;
    struct hometool tool;
    struct strbuf said;      /* by the last program */
    const char *launcher[6]; /* what starts pip: "python3.11 -m pip" */
    char python_name[16];    /* "python3.11" */
    bool has_constraints;
    bool is_same_series; /* pip runs under the node's series of Python */
};

/* "3.11" of "3.11.7", and "3.11.7" of "3.11.7rc1". */
static char *series_of(const char *version)
{
    const char *dot = strchr(version, '.');
    size_t length = dot != NULL ? (size_t)(dot - version) + 1 : strlen(version);
    while (isdigit((unsigned char)version[length])) {
        length++;
    }
    return xstrndup(version, length);
}

static char *release_of(const char *version)
{
    return xstrndup(version, strspn(version, "0123456789."));
}

/* ---- what the programs read ---- */

/* A line of a list, whose "${NAME}" is WHEELS_SECRET NAME here. */
static int add_line(const char *text, struct strbuf *out, struct error *err)
{
    for (const char *at; (at = strstr(text, "${")) != NULL; text = at + 2) {
        if (strbuf_add(out, text, (size_t)(at + 2 - text), err) < 0 ||
            strbuf_add(out, WHEELS_SECRET, strlen(WHEELS_SECRET), err) < 0) {
            return -1;
        }
    }
    return strbuf_add(out, text, strlen(text), err);
}

static int add_item(const struct wheels_request *r,
                    const struct envspec_requirement *item, struct strbuf *out,
                    struct error *err)
{
    if (item->text != NULL) {
        return add_line(item->text, out, err);
    }
    CLEANUP_FREE char *path = files_join(r->project, item->path);
    if (strbuf_add(out, path, strlen(path), err) < 0) {
        return -1;
    }
    if (item->extras[0] != '\0') {
        strbuf_printf(out, "[%s]", item->extras);
    }
    if (item->marker[0] != '\0') {
        strbuf_printf(out, " ; %s", item->marker);
    }
    return 0;
}

/* Not those that choose between wheels and what has to be built: pip lets the last one
 * count, and one of a list comes after --only-binary=:all: of ours. Hashes are asked for
 * elsewhere. */
static bool is_for_here(const char *option)
{
    static const char *const others[] = {"--no-binary", "--only-binary",
                                         "--prefer-binary", "--require-hashes"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (strncmp(option, others[i], strlen(others[i])) == 0) {
            return false;
        }
    }
    return true;
}

static int add_options(const struct wheels_request *r, struct strbuf *out,
                       struct error *err)
{
    const struct envspec *d = r->definition;
    for (size_t i = 0; i < d->options.count; i++) {
        if (is_for_here(d->options.items[i])) {
            if (add_line(d->options.items[i], out, err) < 0) {
                return -1;
            }
            strbuf_putc(out, '\n');
        }
    }
    for (size_t i = 0; i < d->find_links.count; i++) {
        CLEANUP_FREE char *path = files_join(r->project, d->find_links.items[i].path);
        strbuf_printf(out, "--find-links %s\n", path);
    }
    return 0;
}

static int write_list(int dir_fd, const char *name, const struct strbuf *text,
                      struct error *err)
{
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 || fdio_write_full(fd, text->data, text->length) < 0
               ? error_sys(err, "write a list of requirements")
               : 0;
}

static int write_items(const struct download *d, const char *name,
                       const struct envspec_requirements *list, bool has_options,
                       struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    text.limit_bytes = LIST_MAX;
    if (has_options && add_options(d->r, &text, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (add_item(d->r, &list->items[i], &text, err) < 0) {
            return -1;
        }
        strbuf_putc(&text, '\n');
    }
    return write_list(d->tool.dir_fd, name, &text, err);
}

/* ---- which programs ---- */

/* 1: it is one; 0: it is not there, or does not work; -1: err. */
static int try_launcher(struct download *d, const char *const *words, size_t count,
                        struct error *err)
{
    const char *argv[8];
    int status = 1;
    struct error why = ERROR_INIT;
    memcpy(argv, words, count * sizeof(*argv));
    argv[count] = "--version";
    argv[count + 1] = NULL;
    if (hometool_run(&d->tool, argv, &d->said, &status, &why) < 0) {
        return why.code == ERR_SPAWN ? 0 : error_copy(err, &why);
    }
    if (status != 0) {
        return 0;
    }
    memcpy(d->launcher, words, count * sizeof(*argv));
    d->launcher[count] = NULL;
    return 1;
}

/* "pip 24.0" of "pip 24.0 from /usr/lib/... (python 3.11)"; and whether that is the
 * node's series. */
static void learn_pip(struct download *d, struct wheels *out)
{
    CLEANUP_FREE char *series = series_of(d->r->node->python);
    CLEANUP_FREE char *mark = xasprintf("(python %s)", series);
    const char *end = strchr(d->said.data, ' ');
    size_t length = end != NULL ? (size_t)(end - d->said.data) : 0;
    length += end != NULL ? 1 + strcspn(end + 1, " \n") : 0;
    d->is_same_series = strstr(d->said.data, mark) != NULL;
    (void)snprintf(out->tool, sizeof(out->tool), "%.*s", length < 40 ? (int)length : 40,
                   d->said.data);
}

static int find_pip(struct download *d, struct wheels *out, struct error *err)
{
    CLEANUP_FREE char *series = series_of(d->r->node->python);
    (void)snprintf(d->python_name, sizeof(d->python_name), "python%.8s", series);
    const char *const rows[][4] = {{d->python_name, "-m", "pip", NULL},
                                   {"python3", "-m", "pip", NULL},
                                   {"pip3", NULL},
                                   {"pip", NULL},
                                   {d->r->uv, "tool", "run", "pip"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t count = 0;
        while (count < ARRAY_SIZE(rows[i]) && rows[i][count] != NULL) {
            count++;
        }
        int found = count > 0 ? try_launcher(d, rows[i], count, err) : 0;
        if (found > 0) {
            learn_pip(d, out);
        }
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    error_set(err, ERR_NOT_FOUND,
              "wheels are to come from here, and this machine has no pip");
    return error_hint(err, "install pip (apt install python3-pip), or uv and name it: "
                           "bootstrap_uv");
}

/* ---- for which machine ---- */

static const char *machine_of(const struct assessment *node)
{
    return node->platform + strlen("linux-");
}

static int minor_of_glibc(const struct assessment *node)
{
    static const char begin[] = "glibc-2.";
    uint64_t minor = 0;
    if (strncmp(node->libc, begin, sizeof(begin) - 1) != 0 ||
        bytes_parse_u64(node->libc + sizeof(begin) - 1, 99, &minor, NULL) != 0) {
        return 0;
    }
    return (int)minor;
}

/* Every tag that the node takes, the newest first. */
static void add_platforms(const struct assessment *node, struct strvec *argv)
{
    static const char *const old[] = {"manylinux2014", "manylinux2010", "manylinux1"};
    const char *machine = machine_of(node);
    int minor = minor_of_glibc(node);
    for (int i = minor; i >= GLIBC_OLDEST; i--) {
        strvec_push(argv, "--platform");
        strvec_pushf(argv, "manylinux_2_%d_%s", i, machine);
    }
    for (size_t i = 0; minor > 0 && i < ARRAY_SIZE(old); i++) {
        strvec_push(argv, "--platform");
        strvec_pushf(argv, "%s_%s", old[i], machine);
    }
    for (int i = 2; minor == 0 && i >= 0; i--) {
        strvec_push(argv, "--platform");
        strvec_pushf(argv, "musllinux_1_%d_%s", i, machine);
    }
    strvec_push(argv, "--platform");
    strvec_pushf(argv, "linux_%s", machine);
}

/* As uv calls it: it knows some versions of glibc. */
static char *uv_platform(const struct assessment *node)
{
    static const int known[] = {40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17};
    int minor = minor_of_glibc(node);
    if (minor == 0) {
        return xasprintf("%s-unknown-linux-musl", machine_of(node));
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i] <= minor) {
            return xasprintf("%s-manylinux_2_%d", machine_of(node), known[i]);
        }
    }
    return xasprintf("%s-manylinux2014", machine_of(node));
}

/* ---- work ---- */

/* What of their words says it best: pip's first ERROR, uv's innermost cause. */
static const char *best_line(const char *text, int *out_length)
{
    static const char *const marks[] = {"cause: Because ", "ERROR: Could not",
                                        "ERROR: ", "cause: ", "error: "};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        const char *found = strstr(text, marks[i]);
        if (found != NULL) {
            found += strlen("ERROR: "); /* all words in front are as long */
            *out_length = (int)strcspn(found, "\n");
            return found;
        }
    }
    *out_length = (int)strcspn(text, "\n");
    return text;
}

/* pip: "... satisfies the requirement x==1 (from versions: 0.9, 2.0)". */
static const char *unmet(const char *text, int *out_length)
{
    static const char before[] = "satisfies the requirement ";
    const char *found = strstr(text, before);
    const char *end = found != NULL ? strstr(found, " (from versions:") : NULL;
    if (end == NULL) {
        return NULL;
    }
    found += sizeof(before) - 1;
    *out_length = (int)(end - found);
    return found;
}

static int explain(const struct download *d, struct error *err)
{
    const struct assessment *node = d->r->node;
    const char *said = d->said.data;
    int length = 0;
    const char *what = unmet(said, &length);
    if (strstr(said, "Connection") != NULL || strstr(said, "Failed to fetch") != NULL) {
        what = best_line(said, &length);
        return error_set(err, ERR_CONNECT,
                         "wheels: the package index cannot be reached from here: %.*s",
                         length < 400 ? length : 400, what);
    }
    if (what != NULL) {
        error_set(err, ERR_NOT_FOUND, "wheels: none of %.*s fits Python %s on %s with %s",
                  length < 400 ? length : 400, what, node->python, node->platform,
                  node->libc);
    } else {
        what = best_line(said, &length);
        error_set(err, ERR_NOT_FOUND, "wheels for Python %s on %s with %s: %.*s",
                  node->python, node->platform, node->libc, length < 400 ? length : 400,
                  what);
    }
    return error_hint(
        err,
        "a package that exists as source only cannot be brought: build a wheel of it "
        "on a like machine (pip wheel), and name its folder with --find-links");
}

static int run(struct download *d, struct strvec *argv, struct error *err)
{
    int status = 0;
    if (hometool_run(&d->tool, (const char *const *)strvec_argv(argv), &d->said, &status,
                     err) < 0) {
        return -1;
    }
    return status == 0 ? 0 : explain(d, err);
}

/* Let uv say which packages they are, and write that, with where they come from, for pip
 * to read. */
static int resolve(struct download *d, struct error *err)
{
    CLEANUP_FREE char *version = release_of(d->r->node->python);
    CLEANUP_FREE char *platform = uv_platform(d->r->node);
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *const words[] = {d->r->uv,
                                 "pip",
                                 "compile",
                                 "-q",
                                 "--no-header",
                                 "--no-annotate",
                                 "--only-binary",
                                 ":all:",
                                 "--python-version",
                                 version,
                                 "--python-platform",
                                 platform,
                                 PLACE};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        strvec_push(&argv, words[i]);
    }
    if (d->has_constraints) {
        strvec_push(&argv, "-c");
        strvec_push(&argv, CONSTRAINTS);
    }
    strvec_push(&argv, "-o");
    strvec_push(&argv, "resolved.txt");
    if (run(d, &argv, err) < 0) {
        return -1;
    }
    text.limit_bytes = LIST_MAX;
    return add_options(d->r, &text, err) < 0 ||
                   files_read(d->tool.dir_fd, "resolved.txt", &text, err) < 0
               ? -1
               : write_list(d->tool.dir_fd, PINNED, &text, err);
}

static int download(struct download *d, bool is_resolved, struct error *err)
{
    CLEANUP_FREE char *version = release_of(d->r->node->python);
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    const char *const words[] = {"download",
                                 "--disable-pip-version-check",
                                 "--no-input",
                                 "--progress-bar",
                                 "off",
                                 "--only-binary=:all:",
                                 "-d",
                                 WHEELS_FOLDER,
                                 "--python-version",
                                 version,
                                 "--implementation",
                                 strcmp(d->r->node->implementation, "pypy") == 0 ? "pp"
                                                                                 : "cp",
                                 "-r",
                                 is_resolved ? PINNED : PLACE};
    for (size_t i = 0; d->launcher[i] != NULL; i++) {
        strvec_push(&argv, d->launcher[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        strvec_push(&argv, words[i]);
    }
    if (is_resolved) {
        strvec_push(&argv, "--no-deps");
    } else if (d->has_constraints) {
        strvec_push(&argv, "-c");
        strvec_push(&argv, CONSTRAINTS);
    }
    if (!is_resolved && strvec_contains(&d->r->definition->options, "--require-hashes")) {
        strvec_push(&argv, "--require-hashes");
    }
    add_platforms(d->r->node, &argv);
    return run(d, &argv, err);
}

int wheels_download(const struct wheels_request *r, int work_fd, struct wheels *out,
                    struct error *err)
{
    struct download d = {.r = r,
                         .tool = *r->tool,
                         .said = STRBUF_INIT,
                         .has_constraints = r->definition->constraints.count > 0};
    d.tool.dir_fd = work_fd;
    int result = 0;
    if (write_items(&d, PLACE, &r->definition->requirements, true, err) < 0 ||
        write_items(&d, CONSTRAINTS, &r->definition->constraints, false, err) < 0 ||
        find_pip(&d, out, err) < 0) {
        result = -1;
    }
    const char *const ask_uv[] = {r->uv, "--version", NULL};
    bool want_uv = result == 0 && !d.is_same_series && r->uv != NULL &&
                   hometool_answers(&d.tool, ask_uv);
    if (result == 0 && !d.is_same_series && !want_uv) {
        terminal_warn(r->context->terminal,
                      "wheels are chosen by %s under another Python than the node's %s: "
                      "what is needed there alone may be missing",
                      out->tool, r->node->python);
    }
    if (result == 0 &&
        ((want_uv && resolve(&d, err) < 0) || download(&d, want_uv, err) < 0)) {
        result = -1;
    }
    strbuf_release(&d.said);
    return result;
}
