#include "controller/ignore.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/tree.h"
#include "controller/gitindex.h"
#include "controller/gitplace.h"
#include "controller/ignore_lists.h"
#include "controller/included.h"

/* How what is in a folder is judged. */
enum mode {
    BY_RULES,
    IS_TRACKED, /* git's rules leave it out; what git tracks is in all the same */
    IS_PASSAGE, /* it is left out; only paths to include are in */
    IS_WHOLE,   /* the folder is included; only what is built in stays out */
};

/* A repository that is walked: the project's, or one in it. */
struct repository {
    struct gitindex *index;
    size_t base; /* where paths begin for it, in bytes of the full path */
};

struct level {
    enum mode mode;
    size_t errand_count, git_count, repository_count; /* of those above it */
    size_t git_from;          /* the first of git's lists that counts */
    struct ignore_reason why; /* it is left out */
};

struct ignore {
    struct strvec include;
    char *project;
    char *own; /* errand's folder, from the project; NULL: not in it */
    struct ignore_lists errand, git;
    struct repository *repositories;
    size_t repository_count, repository_capacity;
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

/* ---- rules ---- */

/* A path as a sentence names it: from the project, or whole where it lies elsewhere. */
static const char *show(const struct ignore *ig, const char *path)
{
    size_t length = strlen(ig->project);

    if (strncmp(path, ig->project, length) == 0 && path[length] == '/') {
        return path + length + 1;
    }
    return path;
}

/* The rule of lists about subject, but for the first from of them. */
static const struct ignore_rule *judge(const struct ignore_lists *lists, size_t from,
                                       const struct ignore_subject *subject,
                                       struct ignore_reason *out)
{
    const struct ignore_rule *rule = ignore_lists_find(lists, from, subject, &out->file);

    if (rule) {
        out->line = rule->line;
        out->rule = rule->text;
    }
    return rule;
}

/* ---- repositories ---- */

static void push_repository(struct ignore *ig, const char *top, size_t base)
{
    if (ig->repository_count == ig->repository_capacity) {
        ig->repository_capacity =
            ig->repository_capacity > 0 ? ig->repository_capacity * 2 : 4;
        ig->repositories = xrealloc(ig->repositories, ig->repository_capacity,
                                    sizeof(*ig->repositories));
    }
    ig->repositories[ig->repository_count++] =
        (struct repository){.index = gitindex_new(top), .base = base};
}

static void pop_repositories(struct ignore *ig, size_t count)
{
    while (ig->repository_count > count) {
        gitindex_free(ig->repositories[--ig->repository_count].index);
    }
}

static enum gitindex_match find_tracked(const struct ignore *ig,
                                        const struct ignore_subject *subject)
{
    const struct repository *repository;

    if (ig->repository_count == 0 || ig->has_amlignore) {
        return GITINDEX_NONE;
    }
    repository = &ig->repositories[ig->repository_count - 1];
    return gitindex_find(repository->index, subject->full + repository->base,
                         subject->is_folder);
}

/* The user's own rules, which git asks its configuration for in folder. */
static int read_global(struct ignore *ig, const char *folder, size_t base,
                       struct error *err)
{
    CLEANUP_FREE char *path = gitplace_global_excludes(folder);
    struct ignore_source source = {AT_FDCWD, path, path ? show(ig, path) : NULL, false};

    return path ? ignore_lists_read(&ig->git, &source, base, err) : 0;
}

/* ---- what lies above the project ---- */

/* Rules of the repository that is about to be walked, at top (absolute, whole). */
static int read_repository(struct ignore *ig, const char *top, size_t base,
                           struct error *err)
{
    CLEANUP_FREE char *exclude = gitplace_exclude_path(top);
    struct ignore_source source = {AT_FDCWD, exclude, exclude ? show(ig, exclude) : NULL,
                                   false};

    push_repository(ig, top, base);
    return read_global(ig, top, base, err) < 0 ||
                   (exclude && ignore_lists_read(&ig->git, &source, base, err) < 0)
               ? -1
               : 0;
}

/* The rules in the folder that is the first length bytes of the project's path. */
static int read_above(struct ignore *ig, size_t length, size_t base, struct error *err)
{
    CLEANUP_FREE char *folder = xstrndup(ig->project, length);
    CLEANUP_FREE char *git = files_join(folder, ".gitignore");
    CLEANUP_FREE char *errand = files_join(folder, ".errandignore");
    struct ignore_source git_source = {AT_FDCWD, git, show(ig, git), true};
    struct ignore_source errand_source = {AT_FDCWD, errand, show(ig, errand), true};

    return ignore_lists_read(&ig->git, &git_source, base, err) < 0 ||
                   ignore_lists_read(&ig->errand, &errand_source, base, err) < 0
               ? -1
               : 0;
}

/* True where the rules that were read so far leave out the folder that is the first
 * length bytes of the project's path. */
static bool is_left_out(struct ignore *ig, size_t skip, size_t start, size_t length)
{
    CLEANUP_FREE char *folder = xstrndup(ig->project, length);
    struct ignore_subject subject = {folder + skip, length - skip, length - start, true};
    struct ignore_reason why;
    const struct ignore_rule *rule = judge(&ig->errand, 0, &subject, &why);

    if (!rule) {
        rule = judge(&ig->git, 0, &subject, &why);
    }
    return rule && !rule->is_negated;
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

        if (read_above(ig, length, base, err) < 0) {
            return -1;
        }
        length = start + strcspn(project + start, "/");
        if (is_left_out(ig, skip, start, length)) {
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
    ignore_lists_pop(&ig->git, 0);
    ignore_lists_pop(&ig->errand, 0);
    pop_repositories(ig, 0);
    set_prefix(ig, "");
    return read_global(ig, ig->project, 0, err);
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

    ig->project = xstrdup(options->project);
    ig->own = below(ig->project, options->own);
    for (size_t i = 0; options->include && i < options->include->count; i++) {
        if (included_add(&ig->include, options->include->items[i], err) < 0) {
            return NULL;
        }
    }
    return read_outer(ig, err) < 0 ? NULL : TAKE_PTR(ig);
}

void ignore_free(struct ignore *ig)
{
    if (ig) {
        ignore_lists_release(&ig->errand);
        ignore_lists_release(&ig->git);
        pop_repositories(ig, 0);
        free(ig->repositories);
        strvec_release(&ig->include);
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

/* The rule about the entry. In a folder that git's rules leave out its own are not asked:
 * there the folder's counts. */
static const struct ignore_rule *find_counting(const struct ignore *ig,
                                               const struct ignore_subject *subject,
                                               bool *out_is_out,
                                               struct ignore_reason *out)
{
    const struct level *level = &ig->levels[ig->level_count - 1];
    const struct ignore_rule *rule = judge(&ig->errand, 0, subject, out);
    bool is_ours = rule != NULL;

    if (!rule && level->mode == BY_RULES) {
        rule = judge(&ig->git, level->git_from, subject, out);
    }
    *out_is_out = rule && !rule->is_negated;
    if (!rule && level->mode == IS_TRACKED) {
        *out = level->why;
        out->is_implied = *out_is_out = true;
    }
    out->is_gits = *out_is_out && !is_ours;
    return rule;
}

static bool judge_by_rules(struct ignore *ig, const char *path, const char *name,
                           bool is_folder, struct ignore_reason *out)
{
    size_t length = strlen(path);
    struct ignore_subject subject = {ig->full, ig->prefix_length + length, strlen(name),
                                     is_folder};
    const struct ignore_rule *rule;
    bool is_out;

    assert(length < TREE_PATH_MAX);
    memcpy(ig->full + ig->prefix_length, path, length + 1);
    rule = find_counting(ig, &subject, &is_out, out);
    ig->next_is_named = rule && !is_out && rule->names_it;
    if (is_out) {
        enum gitindex_match match =
            out->is_gits ? find_tracked(ig, &subject) : GITINDEX_NONE;

        if (match == GITINDEX_NONE) {
            return false;
        }
        ig->next.mode = match == GITINDEX_IT ? BY_RULES : IS_TRACKED;
        ig->next.why = *out;
        out->is_tracked = true;
    }
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
    enum included_relation relation = included_relate(&ig->include, path, &include);

    *out = (struct ignore_reason){.file = NULL};
    ig->next = (struct level){.mode = IS_WHOLE};
    ig->next_is_named = relation == INCLUDED_IT;
    if (relation == INCLUDED_IT || relation == INCLUDED_BELOW) {
        out->built_in =
            relation == INCLUDED_IT ? NULL : find_built_in(ig, path, name, is_folder);
        out->included = include;
        return !out->built_in;
    }
    ig->next.mode = BY_RULES;
    if (level->mode == IS_PASSAGE) {
        *out = level->why;
        out->is_implied = true;
    } else if (judge_by_rules(ig, path, name, is_folder, out)) {
        out->is_passage = ig->next.mode == IS_TRACKED;
        return true;
    }
    ig->next.mode = IS_PASSAGE;
    ig->next.why = *out;
    out->is_passage = relation == INCLUDED_ABOVE && is_folder;
    return out->is_passage;
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
    added->repository_count = ig->repository_count;
    added->git_from = ig->level_count > 1 ? ig->levels[ig->level_count - 2].git_from : 0;
}

static const char *find_environment(unsigned marks)
{
    if (has_mark(marks, IGNORE_MARK_VENV)) {
        return "virtual environment (pyvenv.cfg)";
    }
    return has_mark(marks, IGNORE_MARK_CONDA) ? "conda environment (conda-meta)" : NULL;
}

static int read_own(struct ignore *ig, struct ignore_lists *lists, int dir_fd,
                    const char *path, const char *name, struct error *err)
{
    CLEANUP_FREE char *shown = files_join(path, name);
    size_t base = ig->prefix_length + (path[0] == '\0' ? 0 : strlen(path) + 1);
    struct ignore_source source = {dir_fd, name, shown, true};

    return ignore_lists_read(lists, &source, base, err);
}

static int read_git_rules(struct ignore *ig, int dir_fd, const char *path, unsigned marks,
                          struct error *err)
{
    struct level *level = &ig->levels[ig->level_count - 1];

    if (ig->has_amlignore || level->mode != BY_RULES) {
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
        if (included_relate(&ig->include, path, &include) == INCLUDED_IT) {
            ig->next.mode = IS_WHOLE;
        }
    }
    if (environment && !ig->next_is_named && ig->next.mode != IS_PASSAGE) {
        const char *include = NULL;

        *out = (struct ignore_reason){.built_in = environment};
        if (included_relate(&ig->include, path, &include) != INCLUDED_ABOVE) {
            return 1;
        }
        ig->next = (struct level){.mode = IS_PASSAGE, .why = *out};
    }
    push_level(ig, &ig->next);
    if (ig->next.mode < IS_PASSAGE && read_rules(ig, dir_fd, path, marks, err) < 0) {
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
    ignore_lists_pop(&ig->errand, level->errand_count);
    ignore_lists_pop(&ig->git, level->git_count);
    pop_repositories(ig, level->repository_count);
    ig->level_count--;
}

static void describe_rule(const struct ignore_reason *reason, struct strbuf *out)
{
    if (reason->built_in) {
        strbuf_printf(out, "built-in: %s", reason->built_in);
    } else if (reason->included) {
        strbuf_printf(out, "snapshot.include: %s", reason->included);
    } else if (reason->file) {
        strbuf_printf(out, "%s:%u: %s", reason->file, reason->line, reason->rule);
    }
}

void ignore_describe(const struct ignore_reason *reason, struct strbuf *out)
{
    if (reason->is_passage) {
        describe_rule(reason, out);
        strbuf_printf(out, " (but for what %s)",
                      reason->is_tracked ? "git tracks" : "snapshot.include names");
    } else if (reason->is_tracked && !reason->built_in) {
        strbuf_puts(out, "git tracks it (else left out by ");
        describe_rule(reason, out);
        strbuf_putc(out, ')');
    } else {
        describe_rule(reason, out);
    }
}
