#include "executor/environment_existing.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/pep440.h"

#define NOTES_MAX ((size_t)1 << 20)

static bool is_prefix(const char *folder)
{
    CLEANUP_FREE char *python = files_join(folder, "bin/python");
    return access(python, X_OK) == 0;
}

/* The folder of a conda environment by name; NULL: none is noted. */
static char *find_conda(const char *name)
{
    CLEANUP_FREE char *notes = tools_locate("~/.conda/environments.txt");
    struct strbuf text;
    char *found = NULL;
    strbuf_init(&text, NOTES_MAX);
    if (notes != NULL && files_read(AT_FDCWD, notes, &text, NULL) == 0) {
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\n", &rest); line != NULL && found == NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            const char *slash = strrchr(line, '/');
            if (slash != NULL && strcmp(slash + 1, name) == 0 && is_prefix(line)) {
                found = xstrdup(line);
            }
        }
    }
    strbuf_release(&text);
    return found;
}

static int find_interpreter(const char *location, struct environment_pin *out,
                            struct error *err)
{
    out->interpreter = tools_locate(location);
    if (out->interpreter == NULL) {
        error_set(err, ERR_NOT_FOUND, "the node has no interpreter %.300s", location);
        return error_hint(err, "name it by its absolute path on the node");
    }
    /* <prefix>/bin/python: what lies beside it goes with it. */
    char *slash = strrchr(out->interpreter, '/');
    size_t length = (size_t)(slash - out->interpreter);
    if (length > 4 && strncmp(slash - 4, "/bin", 4) == 0) {
        out->prefix = xstrndup(out->interpreter, length - 4);
    }
    snprintf(out->activation, sizeof(out->activation), "none");
    return 0;
}

static int find_folder(const char *location, bool is_conda, struct environment_pin *out,
                       struct error *err)
{
    bool is_name = strchr(location, '/') == NULL;
    out->prefix = !is_name   ? tools_locate(location)
                  : is_conda ? find_conda(location)
                             : NULL;
    if (out->prefix == NULL || !is_prefix(out->prefix)) {
        error_set(err, ERR_NOT_FOUND, "the node has no %s %.300s",
                  is_conda ? "conda environment" : "virtual environment", location);
        return error_hint(err,
                          "name the absolute path of its folder on the node (the one "
                          "with bin/python in it)");
    }
    out->interpreter = files_join(out->prefix, "bin/python");
    snprintf(out->activation, sizeof(out->activation), "%s", is_conda ? "conda" : "venv");
    return 0;
}

static int find(const struct envspec *d, struct environment_pin *out, struct error *err)
{
    switch (d->location_kind) {
    case ENVSPEC_LOCATION_INTERPRETER:
        return find_interpreter(d->location, out, err);
    case ENVSPEC_LOCATION_VENV:
        return find_folder(d->location, false, out, err);
    case ENVSPEC_LOCATION_CONDA:
        return find_folder(d->location, true, out, err);
    case ENVSPEC_LOCATION_COUNT:
        break;
    }
    return error_set(err, ERR_INTERNAL, "an environment of no kind");
}

int environment_existing(const struct runspec *spec, struct tools *tools,
                         int64_t begun_ns, struct environment_pin *out, struct error *err)
{
    const struct envspec *d = &spec->environment.definition;
    const char *wish = d->python != NULL ? d->python : "";
    const struct tool *python = NULL;
    if (find(d, out, err) < 0) {
        return -1;
    }
    int known = tools_python_at(tools, out->interpreter, &python, err);
    if (known <= 0) {
        return known;
    }
    if (!pep440_fits(python->version, wish)) {
        error_set(err, ERR_UNSUPPORTED, "%.300s is Python %s, which does not fit %s",
                  out->interpreter, python->version, wish);
        return error_hint(err, "change `python`, or name another environment");
    }
    snprintf(out->facts.kind, sizeof(out->facts.kind), "%s", envspec_kind_name(d->kind));
    snprintf(out->facts.python, sizeof(out->facts.python), "%.31s", python->version);
    out->facts.is_reused = true;
    out->facts.spent_ms = (clock_monotonic_ns() - begun_ns) / NS_PER_MS;
    return 1;
}
