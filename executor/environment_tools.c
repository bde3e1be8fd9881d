#define _GNU_SOURCE /* st_mtim */
#include "executor/environment_tools.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/pep440.h"
#include "common/strvec.h"
#include "executor/environment_ask.h"

#define TOOLS_FILE "envs/tools.json"
#define TOOLS_FILE_MAX ((size_t)1 << 20)
#define TOOLS_MAX 512
#define TOOLS_FORMAT 1
#define NAMES_MAX 256 /* that match a pattern in one folder */
#define MINOR_MIN 6
#define MINOR_MAX 20
#define SHOWN_MAX 8

struct tools {
    const struct noderoot *root;
    bool may_start, has_learnt;
    int stop_fd;                  /* -1: none */
    struct tool items[TOOLS_MAX]; /* as far as count, all is touched; and never moved */
    size_t count;
    struct json *kept; /* what tools.json said; NULL: nothing */
};

static const char *const sort_names[] = {
#define ROW(symbol, name) [TOOL_##symbol] = (name),
    TOOL_TABLE(ROW)
#undef ROW
};

static const char *const detail_names[] = {[PYTHON_IMPLEMENTATION] = "implementation",
                                           [PYTHON_PLATFORM] = "platform",
                                           [PYTHON_LIBC] = "libc",
                                           [PYTHON_PIP] = "pip"};

/* ---- Which file it is */

static void add_stamp(struct strbuf *out, const struct stat *st)
{
    strbuf_printf(out, "%llx:%llx:%lld:%lld.%ld:%lld.%ld", (unsigned long long)st->st_dev,
                  (unsigned long long)st->st_ino, (long long)st->st_size,
                  (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                  (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

/* A shim of pyenv starts what is chosen elsewhere: in a variable, or in a file beside its
 * folder. */
static void add_choice(struct strbuf *out, const char *path)
{
    const char *folder = strstr(path, "/shims/");
    const char *chosen = getenv("PYENV_VERSION");
    if (folder == NULL) {
        return;
    }
    CLEANUP_FREE char *file = xasprintf("%.*s/version", (int)(folder - path), path);
    struct stat st;
    strbuf_printf(out, " %.40s", chosen != NULL ? chosen : "");
    if (stat(file, &st) == 0) {
        strbuf_putc(out, ' ');
        add_stamp(out, &st);
    }
}

/* The stamp of a program, malloc'ed; NULL: it is none. */
static char *stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0) {
        return NULL;
    }
    struct strbuf out = STRBUF_INIT;
    add_stamp(&out, &st);
    add_choice(&out, path);
    return strbuf_detach(&out);
}

/* ---- Looking */

static struct tool *find_stamp(struct tools *t, enum tool_sort sort, const char *stamp)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].sort == sort && strcmp(t->items[i].stamp, stamp) == 0) {
            return &t->items[i];
        }
    }
    return NULL;
}

/* NULL: it is no program. One file counts once, whatever its names. */
static struct tool *add_tool(struct tools *t, enum tool_sort sort, const char *path,
                             bool is_default)
{
    CLEANUP_FREE char *stamp = path[0] == '/' ? stamp_of(path) : NULL;
    if (stamp == NULL) {
        return NULL;
    }
    struct tool *tool = find_stamp(t, sort, stamp);
    if (tool == NULL && t->count < TOOLS_MAX) {
        tool = &t->items[t->count++];
        *tool =
            (struct tool){.sort = sort, .path = xstrdup(path), .stamp = TAKE_PTR(stamp)};
    }
    if (tool != NULL) {
        tool->is_default |= is_default;
    }
    return tool;
}

static void look_in_folder(struct tools *t, const char *folder, bool is_in_path)
{
    for (enum tool_sort sort = TOOL_PYTHON; sort < TOOL_SORT_COUNT; sort++) {
        CLEANUP_FREE char *path = files_join(folder, sort_names[sort]);
        (void)add_tool(t, sort, path, is_in_path);
    }
    for (int minor = MINOR_MAX; minor >= MINOR_MIN; minor--) {
        CLEANUP_FREE char *path = xasprintf("%s/python3.%d", folder, minor);
        (void)add_tool(t, TOOL_PYTHON, path, false);
    }
}

static void look_in_path(struct tools *t)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ":");
        CLEANUP_FREE char *folder = xstrndup(at, length);
        look_in_folder(t, folder, true);
        at += length + (at[length] == ':');
    }
}

/* The names in folder that match, sorted, so that what is found first is so each time. */
static void match_names(const char *folder, const char *pattern, struct strvec *out)
{
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0 && out->count < NAMES_MAX) {
            strvec_push(out, entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    strvec_sort(out);
}

/* Look in all folders below this one that the pattern names, component by component. */
static void look_below(struct tools *t, const char *folder, const char *pattern)
{
    size_t length = strcspn(pattern, "/");
    if (length == 0) {
        look_in_folder(t, folder, false);
        return;
    }
    CLEANUP_FREE char *name = xstrndup(pattern, length);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    if (strchr(name, '*') == NULL) {
        strvec_push(&names, name);
    } else {
        match_names(folder, name, &names);
    }
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP_FREE char *path = files_join(folder, names.items[i]);
        look_below(t, path, pattern + length + (pattern[length] == '/'));
    }
}

static void look_everywhere(struct tools *t)
{
    static const char *const patterns[] = {"usr/local/bin",   "usr/bin",
                                           "opt/python*/bin", "opt/*/python*/bin",
                                           "opt/conda/bin",   "opt/mini*/bin"};
    static const struct {
        const char *variable, *fallback, *below;
    } places[] = {{"HOME", NULL, ".local/bin"},
                  {"HOME", NULL, ".cargo/bin"},
                  {"HOME", NULL, "mini*/bin"},
                  {"MAMBA_ROOT_PREFIX", "micromamba", "bin"},
                  {"PYENV_ROOT", ".pyenv", "versions/*/bin"},
                  {"UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "*/bin"}};
    const char *home = getenv("HOME");
    look_in_path(t);
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        look_below(t, "/", patterns[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        const char *at = getenv(places[i].variable);
        CLEANUP_FREE char *base = at != NULL ? xstrdup(at)
                                  : home != NULL && places[i].fallback != NULL
                                      ? files_join(home, places[i].fallback)
                                      : xstrdup("");
        if (base[0] == '/') {
            look_below(t, base, places[i].below);
        }
    }
    look_below(t, t->root->path, "bin");
    look_below(t, t->root->top, "bin");
}

/* ---- What was learnt before */

static void recall(struct tools *t, struct tool *tool)
{
    const struct json *kept = json_get(t->kept, tool->path);
    const char *stamp = json_string(json_get(kept, "stamp"));
    const char *version = json_string(json_get(kept, "version"));
    const char *real = json_string(json_get(kept, "real"));
    const char *real_stamp = json_string(json_get(kept, "real_stamp"));
    if (stamp == NULL || version == NULL || real == NULL || real_stamp == NULL ||
        strcmp(stamp, tool->stamp) != 0) {
        return;
    }
    CLEANUP_FREE char *now = real[0] != '\0' ? stamp_of(real) : xstrdup("");
    if (now == NULL || strcmp(now, real_stamp) != 0) {
        return;
    }
    tool->is_known = true;
    tool->is_usable = real[0] == '/';
    tool->real = xstrdup(real);
    snprintf(tool->version, sizeof(tool->version), "%s", version);
    for (size_t i = 0; i < ARRAY_SIZE(detail_names); i++) {
        const char *detail = json_string(json_get(kept, detail_names[i]));
        snprintf(tool->detail[i], sizeof(tool->detail[i]), "%s",
                 detail != NULL ? detail : "");
    }
}

static void read_kept(struct tools *t)
{
    struct strbuf text;
    strbuf_init(&text, TOOLS_FILE_MAX);
    if (files_read(t->root->fd, TOOLS_FILE, &text, NULL) == 0) {
        CLEANUP_JSON struct json *j = json_parse(text.data, text.length, NULL);
        if (json_integer(json_get(j, "format")) == TOOLS_FORMAT) {
            t->kept = json_copy(json_get(j, "tools"));
        }
    }
    strbuf_release(&text);
}

/* What another PATH finds stays, as long as the file does. */
static void keep_others(const struct tools *t, struct json *all)
{
    for (const struct json *one = json_first(t->kept); one != NULL;
         one = json_next(one)) {
        const char *path = json_key(one);
        const char *stamp = json_string(json_get(one, "stamp"));
        CLEANUP_FREE char *now = stamp_of(path);
        bool is_ours = false;
        for (size_t i = 0; i < t->count; i++) {
            is_ours |= strcmp(t->items[i].path, path) == 0;
        }
        if (!is_ours && now != NULL && stamp != NULL && strcmp(now, stamp) == 0 &&
            json_count(all) < TOOLS_MAX) {
            json_add(all, path, json_copy(one));
        }
    }
}

static void keep(const struct tools *t)
{
    CLEANUP_JSON struct json *j = json_new_object();
    struct strbuf text = STRBUF_INIT;
    json_add_integer(j, "format", TOOLS_FORMAT);
    struct json *all = json_add(j, "tools", json_new_object());
    keep_others(t, all);
    for (size_t i = 0; i < t->count; i++) {
        const struct tool *tool = &t->items[i];
        if (!tool->is_known || json_get(all, tool->path) != NULL) {
            continue;
        }
        CLEANUP_FREE char *stamp = tool->is_usable ? stamp_of(tool->real) : xstrdup("");
        struct json *one = json_add(all, tool->path, json_new_object());
        json_add_string(one, "stamp", tool->stamp);
        json_add_string(one, "real", tool->is_usable ? tool->real : "");
        json_add_string(one, "real_stamp", stamp != NULL ? stamp : "");
        json_add_string(one, "version", tool->version);
        for (size_t d = 0; d < ARRAY_SIZE(detail_names); d++) {
            json_add_string(one, detail_names[d], tool->detail[d]);
        }
    }
    json_write(j, false, &text);
    /* Best effort: without it the next one asks again. */
    (void)mkdirat(t->root->fd, "envs", 0700);
    (void)files_write_atomic(t->root->fd, TOOLS_FILE, text.data, text.length, 0600, NULL);
    strbuf_release(&text);
}

/* ---- Asking */

static void ask(struct tools *t, struct tool *tool)
{
    if (environment_ask(tool, t->stop_fd) < 0) {
        t->may_start = false;
    } else {
        t->has_learnt = true;
    }
}

/* False: it would have to be started. */
static bool know(struct tools *t, struct tool *tool)
{
    if (!tool->is_known && t->may_start) {
        ask(t, tool);
    }
    return tool->is_known;
}

/* ---- Life */

bool tools_may_start(const struct tools *tools)
{
    return tools->may_start;
}

struct tools *tools_new(const struct noderoot *root, bool may_start, bool is_refresh)
{
    struct tools *t = xcalloc(1, sizeof(*t));
    t->root = root;
    t->may_start = may_start;
    t->stop_fd = -1;
    look_everywhere(t);
    if (!is_refresh) {
        read_kept(t);
    }
    for (size_t i = 0; i < t->count; i++) {
        recall(t, &t->items[i]);
    }
    return t;
}

void tools_set_stop(struct tools *t, int stop_fd)
{
    t->stop_fd = stop_fd;
}

void tools_free(struct tools *t)
{
    if (t == NULL) {
        return;
    }
    if (t->has_learnt) {
        keep(t);
    }
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i].path);
        free(t->items[i].stamp);
        free(t->items[i].real);
    }
    json_free(t->kept);
    free(t);
}

/* ---- Choosing */

/* The first one that PATH has as python3; else, where no name is plain, the newest. */
static int find_default(struct tools *t, const struct tool **out)
{
    for (size_t i = 0; i < t->count; i++) {
        struct tool *tool = &t->items[i];
        if (tool->sort != TOOL_PYTHON || !tool->is_default) {
            continue;
        }
        if (!know(t, tool)) {
            return 0;
        }
        if (tool->is_usable) {
            *out = tool;
            return 1;
        }
    }
    return -1;
}

static bool is_better(const struct tool *tool, const struct tool *best)
{
    bool is_early = pep440_is_early(tool->version);
    if (best == NULL) {
        return true;
    }
    if (is_early != pep440_is_early(best->version)) {
        return !is_early;
    }
    return pep440_compare(tool->version, best->version) > 0;
}

static int find_newest(struct tools *t, const char *specifiers, const struct tool **out)
{
    const struct tool *best = NULL;
    for (size_t i = 0; i < t->count; i++) {
        struct tool *tool = &t->items[i];
        if (tool->sort != TOOL_PYTHON) {
            continue;
        }
        if (!know(t, tool)) {
            return 0;
        }
        if (tool->is_usable && pep440_fits(tool->version, specifiers) &&
            is_better(tool, best)) {
            best = tool;
        }
    }
    *out = best;
    return best != NULL ? 1 : -1;
}

int tools_python(struct tools *t, const char *specifiers, const struct tool **out,
                 struct error *err)
{
    int found = specifiers[0] == '\0' ? find_default(t, out) : -1;
    if (found < 0) {
        found = find_newest(t, specifiers, out);
    }
    if (found >= 0) {
        return found;
    }
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;
    tools_describe_pythons(t, &list);
    if (list.length == 0) {
        error_set(err, ERR_NOT_FOUND, "the node has no Python 3");
        return error_hint(err, "install one (apt install python3, or uv python install), "
                               "then run again");
    }
    error_set(err, ERR_NOT_FOUND, "no Python on the node fits %.200s; it has %.600s",
              specifiers, list.data);
    return error_hint(err, "install one that fits (uv python install, pyenv install, or "
                           "the system's packages), or change `python`");
}

static char *locate_in_path(const char *name)
{
    for (const char *at = getenv("PATH"); at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        CLEANUP_FREE char *folder = xstrndup(at, length);
        CLEANUP_FREE char *path = files_join(folder, name);
        if (path[0] == '/' && access(path, X_OK) == 0) {
            return TAKE_PTR(path);
        }
        at += length + (at[length] == ':');
    }
    return NULL;
}

char *tools_locate(const char *name)
{
    const char *home = getenv("HOME");
    if (strncmp(name, "~/", 2) == 0) {
        return home != NULL && home[0] == '/' ? files_join(home, name + 2) : NULL;
    }
    if (strchr(name, '/') == NULL) {
        return locate_in_path(name);
    }
    return name[0] == '/' ? xstrdup(name) : NULL;
}

int tools_python_at(struct tools *t, const char *path, const struct tool **out,
                    struct error *err)
{
    struct tool *tool = add_tool(t, TOOL_PYTHON, path, false);
    if (tool == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%.400s is no program on the node", path);
    }
    if (!tool->is_known) {
        recall(t, tool);
    }
    if (!know(t, tool)) {
        return 0;
    }
    *out = tool;
    return tool->is_usable
               ? 1
               : error_set(err, ERR_NOT_FOUND,
                           "%.400s does not start as a Python 3.6 or later", path);
}

int tools_find(struct tools *t, enum tool_sort sort, const struct tool **out)
{
    *out = NULL;
    for (size_t i = 0; i < t->count; i++) {
        struct tool *tool = &t->items[i];
        if (tool->sort != sort) {
            continue;
        }
        if (!know(t, tool)) {
            return 0;
        }
        if (tool->is_usable) {
            *out = tool;
            return 1;
        }
    }
    return 1;
}

/* The newest usable interpreter that is older than limit; NULL: none is. */
static const struct tool *next_older(const struct tools *t, const struct tool *limit)
{
    const struct tool *best = NULL;
    for (size_t i = 0; i < t->count; i++) {
        const struct tool *tool = &t->items[i];
        if (tool->sort == TOOL_PYTHON && tool->is_usable &&
            (limit == NULL || pep440_compare(tool->version, limit->version) < 0) &&
            (best == NULL || pep440_compare(tool->version, best->version) > 0)) {
            best = tool;
        }
    }
    return best;
}

void tools_describe_pythons(struct tools *t, struct strbuf *out)
{
    int shown = 0;
    for (const struct tool *tool = next_older(t, NULL); tool != NULL && shown < SHOWN_MAX;
         tool = next_older(t, tool)) {
        strbuf_printf(out, "%s%s", shown++ > 0 ? ", " : "", tool->version);
    }
}
