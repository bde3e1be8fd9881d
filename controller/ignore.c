#include "controller/ignore.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/tree.h"
#include "controller/gitplace.h"
#include "controller/ignore_file.h"

/* How what is in a folder is judged. */
enum mode {
    BY_RULES,
    IS_PASSAGE, /* the folder is left out; only paths to include are in */
    IS_WHOLE,   /* the folder is included; only what is built in stays out */
};

/* A file's rules, for what lies below a folder. */
struct list {
    struct ignore_file *file; /* owned, unless is_borrowed */
    size_t base;              /* where paths begin for it, in bytes of the full path */
    bool is_borrowed;
};

/* The later stand before the earlier. */
struct lists {
    struct list *items;
    size_t count, capacity;
};

struct level {
    enum mode mode;
    size_t errand_count, git_count; /* of the lists above it */
    size_t git_from;                /* the first of git's lists that counts */
    struct ignore_reason why;       /* of IS_PASSAGE */
};

struct ignore {
    struct strvec include;
    char *project;
    char *own; /* errand's folder, from the project; NULL: not in it */
    struct ignore_file *global;
    struct lists errand, git;
    struct level *levels;
    size_t level_count, level_capacity;
    bool has_amlignore;
    /* What ignore_takes found out about the folder that is entered next. */
    struct level next;
    bool next_is_named;
    /* The path from the top of the repository: the project's own and a slash, then the
     * entry's. */
    size_t prefix_length;
    char *full;
};

const char *const ignore_mark_names[IGNORE_MARK_COUNT] = {
#define ROW(symbol, name) name,
    IGNORE_MARKS(ROW)
#undef ROW
};

/* What is built in and goes by its name. */
static const struct built_in {
    const char *name;
    bool is_for_folders, is_at_top;
} built_ins[] = {
    {".git", false, false},
    {"__pycache__", true, false},
    {".ipynb_checkpoints", true, false},
    {"outputs", true, true},
    {"logs", true, true},
};

#define OWN_FOLDER "errand's own folder"

static bool has_mark(unsigned marks, enum ignore_mark mark)
{
    return (marks >> mark & 1) != 0;
}

/* ---- lists ---- */

static void push_list(struct lists *lists, struct ignore_file *file, size_t base,
                      bool is_borrowed)
{
    if (lists->count == lists->capacity) {
        lists->capacity = lists->capacity > 0 ? lists->capacity * 2 : 16;
        lists->items = xrealloc(lists->items, lists->capacity, sizeof(*lists->items));
    }
    lists->items[lists->count++] =
        (struct list){.file = file, .base = base, .is_borrowed = is_borrowed};
}

static void pop_lists(struct lists *lists, size_t count)
{
    while (lists->count > count) {
        struct list *last = &lists->items[--lists->count];

        if (!last->is_borrowed) {
            ignore_file_free(last->file);
        }
    }
}

/* A path as a sentence names it: from the project, or whole where it lies elsewhere. */
static const char *show(const struct ignore *ig, const char *path)
{
    size_t length = strlen(ig->project);

    if (strncmp(path, ig->project, length) == 0 && path[length] == '/') {
        return path + length + 1;
    }
    return path;
}

/* A file that may have rules. */
struct source {
    int dir_fd;
    const char *name;
    const char *shown;
    bool is_nofollow;
};

/* Read it into lists, where it is there. */
static int read_list(struct ignore *ig, struct lists *lists, const struct source *source,
                     size_t base, struct error *err)
{
    struct error inner = ERROR_INIT;
    struct ignore_file *file =
        ignore_file_read(source->dir_fd, source->name, show(ig, source->shown),
                         source->is_nofollow, &inner);

    if (file) {
        push_list(lists, file, base, false);
    }
    return inner.code == ERR_NONE ? 0 : error_set(err, inner.code, "%s", inner.text);
}

static const struct ignore_rule *find_rule(const struct lists *lists, size_t from,
                                           const char *full, struct ignore_entry *entry,
                                           struct ignore_reason *out)
{
    for (size_t i = lists->count; i-- > from;) {
        const struct list *list = &lists->items[i];
        const struct ignore_rule *rule;

        entry->path = full + list->base;
        entry->path_length = (size_t)(entry->name + entry->name_length - entry->path);
        rule = ignore_file_match(list->file, entry);
        if (rule) {
            out->file = ignore_file_shown(list->file);
            out->line = rule->line;
            out->rule = rule->text;
            return rule;
        }
    }
    return NULL;
}

/* The rule about the full path, whose last component has name_length bytes. */
static const struct ignore_rule *judge(const struct ignore *ig, size_t git_from,
                                       const char *full, size_t length,
                                       size_t name_length, bool is_folder,
                                       struct ignore_reason *out)
{
    struct ignore_entry entry = {
        .name = full + length - name_length,
        .name_length = name_length,
        .is_folder = is_folder,
    };
    const struct ignore_rule *rule = find_rule(&ig->errand, 0, full, &entry, out);

    return rule ? rule : find_rule(&ig->git, git_from, full, &entry, out);
}

/* ---- what lies above the project ---- */

/* Rules of the repository that is about to be walked, at top (absolute, whole). */
static int read_repository(struct ignore *ig, const char *top, size_t base,
                           struct error *err)
{
    CLEANUP_FREE char *exclude = gitplace_exclude_path(top);
    struct source source = {.dir_fd = AT_FDCWD, .name = exclude, .shown = exclude};

    if (ig->global) {
        push_list(&ig->git, ig->global, base, true);
    }
    return exclude ? read_list(ig, &ig->git, &source, base, err) : 0;
}

/* The rules in the folder that is the first length bytes of the project's path. */
static int read_above(struct ignore *ig, size_t length, size_t base, struct error *err)
{
    CLEANUP_FREE char *folder = xstrndup(ig->project, length);
    CLEANUP_FREE char *git = files_join(folder, ".gitignore");
    CLEANUP_FREE char *errand = files_join(folder, ".errandignore");
    struct source git_source = {AT_FDCWD, git, git, true};
    struct source errand_source = {AT_FDCWD, errand, errand, true};

    return read_list(ig, &ig->git, &git_source, base, err) < 0 ||
                   read_list(ig, &ig->errand, &errand_source, base, err) < 0
               ? -1
               : 0;
}

/*
 * Read the rules of the repository that the project lies in, from its top (the first
 * top_length bytes of the project's path) down to above the project. 1: they leave the
 * project out; -1: err.
 */
static int read_all_above(struct ignore *ig, const char *top, struct error *err)
{
    size_t top_length = strlen(top);
    size_t skip = top_length + (top_length > 1); /* behind top and its slash */
    const char *project = ig->project;
    size_t length = top_length;

    if (read_repository(ig, top, 0, err) < 0) {
        return -1;
    }
    while (length < strlen(project)) {
        size_t base = length == top_length ? 0 : length + 1 - skip;
        size_t start = skip + base;
        struct ignore_reason why = {.file = NULL};
        const struct ignore_rule *rule;

        if (read_above(ig, length, base, err) < 0) {
            return -1;
        }
        length = start + strcspn(project + start, "/");
        rule = judge(ig, 0, project + skip, length - skip, length - start, true, &why);
        if (rule && !rule->is_negated) {
            return 1;
        }
    }
    return 0;
}

static void set_prefix(struct ignore *ig, const char *prefix)
{
    size_t length = strlen(prefix);

    free(ig->full);
    ig->prefix_length = length > 0 ? length + 1 : 0;
    ig->full = xmalloc(length + TREE_PATH_MAX + 2);
    memcpy(ig->full, prefix, length);
    ig->full[length] = '/';
}

static int read_outer(struct ignore *ig, struct error *err)
{
    CLEANUP_FREE char *top = NULL;
    size_t top_length = gitplace_find_top(ig->project);
    int result = 1;

    if (top_length > 0) {
        top = xstrndup(ig->project, top_length);
        result = read_all_above(ig, top, err);
    }
    if (result < 0) {
        return -1;
    }
    if (result == 0) {
        size_t skip = top_length + (top_length > 1 && ig->project[top_length] == '/');

        set_prefix(ig, ig->project + skip);
        return 0;
    }
    pop_lists(&ig->git, 0);
    pop_lists(&ig->errand, 0);
    set_prefix(ig, "");
    if (ig->global) {
        push_list(&ig->git, ig->global, 0, true);
    }
    return 0;
}

/* ---- paths to include ---- */

static bool is_component(const char *path, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(path, text, length) == 0;
}

/* Keep the path without "." components and superfluous slashes. */
static int add_include(struct ignore *ig, const char *path, struct error *err)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    const char *p = path;

    if (path[0] == '/') {
        return error_set(err, ERR_CONFIG,
                         "snapshot.include: %s: paths begin at the project's folder",
                         path);
    }
    while (*p != '\0') {
        size_t length = strcspn(p, "/");

        if (is_component(p, length, "..")) {
            return error_set(err, ERR_CONFIG, "snapshot.include: %s leaves the project",
                             path);
        }
        if (length > 0 && !is_component(p, length, ".")) {
            strbuf_printf(&clean, "%s%.*s", clean.length > 0 ? "/" : "", (int)length, p);
        }
        p += length + (p[length] == '/');
    }
    strvec_push(&ig->include, clean.data);
    return 0;
}

enum relation {
    IS_APART,
    IS_ABOVE, /* a folder on the way to a path to include */
    IS_IT,
    IS_BELOW,
};

static enum relation relate(const struct ignore *ig, const char *path,
                            const char **out_include)
{
    size_t length = ig->include.count > 0 ? strlen(path) : 0;
    enum relation found = IS_APART;

    for (size_t i = 0; i < ig->include.count && found < IS_IT; i++) {
        const char *include = ig->include.items[i];
        size_t include_length = strlen(include);
        size_t common = length < include_length ? length : include_length;

        if (memcmp(path, include, common) != 0) {
            continue;
        }
        if (length == include_length) {
            found = IS_IT;
        } else if (length > include_length &&
                   (include_length == 0 || path[include_length] == '/')) {
            found = IS_BELOW;
        } else if (length < include_length && include[length] == '/') {
            found = IS_ABOVE;
        } else {
            continue;
        }
        *out_include = include;
    }
    return found;
}

/* ---- life ---- */

static char *below(const char *folder, const char *path)
{
    size_t length = strlen(folder);

    if (!path || strncmp(path, folder, length) != 0 || path[length] != '/') {
        return NULL;
    }
    return xstrdup(path + length + 1);
}

struct ignore *ignore_new(const struct ignore_options *options, struct error *err)
{
    CLEANUP(ignore_cleanup) struct ignore *ig = xcalloc(1, sizeof(*ig));
    CLEANUP_FREE char *global = gitplace_global_excludes(options->project);
    struct error inner = ERROR_INIT;

    ig->project = xstrdup(options->project);
    ig->own = below(ig->project, options->own);
    for (size_t i = 0; options->include && i < options->include->count; i++) {
        if (add_include(ig, options->include->items[i], err) < 0) {
            return NULL;
        }
    }
    ig->global = global
                     ? ignore_file_read(AT_FDCWD, global, show(ig, global), false, &inner)
                     : NULL;
    if (inner.code != ERR_NONE) {
        error_set(err, inner.code, "%s", inner.text);
        return NULL;
    }
    return read_outer(ig, err) < 0 ? NULL : TAKE_PTR(ig);
}

void ignore_free(struct ignore *ig)
{
    if (ig) {
        pop_lists(&ig->errand, 0);
        pop_lists(&ig->git, 0);
        ignore_file_free(ig->global);
        strvec_release(&ig->include);
        free(ig->errand.items);
        free(ig->git.items);
        free(ig->levels);
        free(ig->project);
        free(ig->own);
        free(ig->full);
        free(ig);
    }
}

/* ---- judging ---- */

static const char *find_built_in(const struct ignore *ig, const char *path,
                                 const char *name, bool is_folder)
{
    for (size_t i = 0; i < ARRAY_SIZE(built_ins); i++) {
        const struct built_in *b = &built_ins[i];

        if (strcmp(b->name, name) == 0 && (is_folder || !b->is_for_folders) &&
            (!b->is_at_top || ig->level_count == 1)) {
            return b->name;
        }
    }
    return ig->own && strcmp(path, ig->own) == 0 ? OWN_FOLDER : NULL;
}

static bool judge_by_rules(struct ignore *ig, const char *path, const char *name,
                           bool is_folder, struct ignore_reason *out)
{
    const struct level *level = &ig->levels[ig->level_count - 1];
    size_t length = strlen(path);
    const struct ignore_rule *rule;

    assert(length < TREE_PATH_MAX);
    memcpy(ig->full + ig->prefix_length, path, length + 1);
    rule = judge(ig, level->git_from, ig->full, ig->prefix_length + length, strlen(name),
                 is_folder, out);
    if (rule && !rule->is_negated) {
        return false;
    }
    ig->next_is_named = rule && rule->names_it;
    if (!ig->next_is_named) {
        out->built_in = find_built_in(ig, path, name, is_folder);
    }
    return !out->built_in;
}

bool ignore_takes(struct ignore *ig, const char *path, const char *name, bool is_folder,
                  struct ignore_reason *out)
{
    const struct level *level = &ig->levels[ig->level_count - 1];
    const char *include = NULL;
    enum relation relation = relate(ig, path, &include);

    *out = (struct ignore_reason){.file = NULL};
    ig->next = (struct level){.mode = IS_WHOLE};
    ig->next_is_named = relation == IS_IT;
    if (relation == IS_IT || relation == IS_BELOW) {
        out->built_in =
            relation == IS_IT ? NULL : find_built_in(ig, path, name, is_folder);
        out->included = include;
        return !out->built_in;
    }
    ig->next.mode = BY_RULES;
    if (level->mode == IS_PASSAGE) {
        *out = level->why;
    } else if (judge_by_rules(ig, path, name, is_folder, out)) {
        return true;
    }
    ig->next.mode = IS_PASSAGE;
    ig->next.why = *out;
    return relation == IS_ABOVE && is_folder;
}

/* ---- folders ---- */

static void push_level(struct ignore *ig, const struct level *level)
{
    struct level *added;

    if (ig->level_count == ig->level_capacity) {
        ig->level_capacity = ig->level_capacity > 0 ? ig->level_capacity * 2 : 32;
        ig->levels = xrealloc(ig->levels, ig->level_capacity, sizeof(*ig->levels));
    }
    added = &ig->levels[ig->level_count++];
    *added = *level;
    added->errand_count = ig->errand.count;
    added->git_count = ig->git.count;
    added->git_from = ig->level_count > 1 ? ig->levels[ig->level_count - 2].git_from : 0;
}

static const char *find_environment(unsigned marks)
{
    if (has_mark(marks, IGNORE_MARK_VENV)) {
        return "virtual environment (pyvenv.cfg)";
    }
    return has_mark(marks, IGNORE_MARK_CONDA) ? "conda environment (conda-meta)" : NULL;
}

static int read_own(struct ignore *ig, struct lists *lists, int dir_fd, const char *path,
                    const char *name, struct error *err)
{
    CLEANUP_FREE char *shown = files_join(path, name);
    size_t base = ig->prefix_length + (path[0] == '\0' ? 0 : strlen(path) + 1);
    struct source source = {dir_fd, name, shown, true};

    return read_list(ig, lists, &source, base, err);
}

static int read_git_rules(struct ignore *ig, int dir_fd, const char *path, unsigned marks,
                          struct error *err)
{
    struct level *level = &ig->levels[ig->level_count - 1];

    if (ig->has_amlignore) {
        return 0;
    }
    if (path[0] != '\0' && has_mark(marks, IGNORE_MARK_GIT)) {
        CLEANUP_FREE char *top = files_join(ig->project, path);

        if (gitplace_find_top(top) == strlen(top)) {
            level->git_from = ig->git.count;
            if (read_repository(ig, top, ig->prefix_length + strlen(path) + 1, err) < 0) {
                return -1;
            }
        }
    }
    return has_mark(marks, IGNORE_MARK_GITIGNORE)
               ? read_own(ig, &ig->git, dir_fd, path, ".gitignore", err)
               : 0;
}

static int read_rules(struct ignore *ig, int dir_fd, const char *path, unsigned marks,
                      struct error *err)
{
    struct level *level = &ig->levels[ig->level_count - 1];

    if (path[0] == '\0' && has_mark(marks, IGNORE_MARK_AMLIGNORE)) {
        size_t count = ig->git.count;

        if (read_own(ig, &ig->git, dir_fd, path, ".amlignore", err) < 0) {
            return -1;
        }
        ig->has_amlignore = ig->git.count > count;
        level->git_from = ig->has_amlignore ? count : 0;
    }
    if (read_git_rules(ig, dir_fd, path, marks, err) < 0) {
        return -1;
    }
    return has_mark(marks, IGNORE_MARK_ERRANDIGNORE)
               ? read_own(ig, &ig->errand, dir_fd, path, ".errandignore", err)
               : 0;
}

int ignore_enter(struct ignore *ig, int dir_fd, const char *path, unsigned marks,
                 struct ignore_reason *out, struct error *err)
{
    const char *environment = path[0] == '\0' ? NULL : find_environment(marks);

    if (path[0] == '\0') {
        const char *include = NULL;

        ig->next = (struct level){.mode = BY_RULES};
        if (relate(ig, path, &include) == IS_IT) {
            ig->next.mode = IS_WHOLE;
        }
    }
    if (environment && !ig->next_is_named && ig->next.mode != IS_PASSAGE) {
        const char *include = NULL;

        *out = (struct ignore_reason){.built_in = environment};
        if (relate(ig, path, &include) != IS_ABOVE) {
            return 1;
        }
        ig->next = (struct level){.mode = IS_PASSAGE, .why = *out};
    }
    push_level(ig, &ig->next);
    if (ig->next.mode == BY_RULES && read_rules(ig, dir_fd, path, marks, err) < 0) {
        ignore_leave(ig);
        return -1;
    }
    return 0;
}

void ignore_leave(struct ignore *ig)
{
    const struct level *level;

    assert(ig->level_count > 0);
    level = &ig->levels[ig->level_count - 1];
    pop_lists(&ig->errand, level->errand_count);
    pop_lists(&ig->git, level->git_count);
    ig->level_count--;
}

void ignore_describe(const struct ignore_reason *reason, struct strbuf *out)
{
    if (reason->built_in) {
        strbuf_printf(out, "built-in: %s", reason->built_in);
    } else if (reason->included) {
        strbuf_printf(out, "snapshot.include: %s", reason->included);
    } else if (reason->file) {
        strbuf_printf(out, "%s:%u: %s", reason->file, reason->line, reason->rule);
    }
}
