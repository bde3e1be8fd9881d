/*
 * ignore: what of a project folder stays here.            [controller]
 *
 * In this order, the first that says something counts:
 *   1. snapshot.include: the paths it names, and what is in them, are taken;
 *   2. the .errandignore files, the nearest first;
 *   3. the .gitignore files, the nearest first, up to the top of the git repository that
 *      the project lies in; then its info/exclude; then the user's core.excludesFile.
 *      Where the project has a .amlignore, it stands in for all of these;
 *   4. what is built in: .git, virtual environments, conda environments, __pycache__,
 *      .ipynb_checkpoints; outputs and logs in the project's own folder.
 * Within a file the last rule that matches counts (gitignore(5)). A rule that takes in
 * beats what is built in only where it has the name in full. A folder that is left out is
 * not entered, so that nothing in it can be taken in again, except by 1.
 *
 * As in git, a repository within the project has its own rules: the .gitignore files
 * above it say nothing about what is in it. And what git tracks is in, whatever its rules
 * say (those of 3: a .errandignore, and what is built in, leave out tracked files too). A
 * project that the repository around it ignores is not taken for a part of it.
 *
 * The caller walks: ignore_takes for every entry of a folder, ignore_enter for a folder
 * that was taken (and first of all for the project itself), ignore_leave when it is done.
 */
#ifndef CONTROLLER_IGNORE_H
#define CONTROLLER_IGNORE_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/strvec.h"

#include <stdbool.h>

struct ignore;

struct ignore_options {
    const char *project;          /* absolute, without symbolic links */
    const struct strvec *include; /* paths in it; may be NULL */
    const char *own;              /* errand's own folder, as project; may be NULL */
};

/* Blocks on disk and for the git program. Errors: ERR_CONFIG (a path to include that
 * leaves the project), and those of reading an ignore file. */
struct ignore *ignore_new(const struct ignore_options *options, struct error *err);
void ignore_free(struct ignore *ig);
DEFINE_CLEANUP_FREE(ignore)

/* Why; valid until the folder is left. All empty: no rule says anything. */
struct ignore_reason {
    const char *file; /* ".gitignore", or NULL */
    unsigned line;
    const char *rule;     /* "data/" */
    const char *built_in; /* "virtual environment", or NULL */
    const char *included; /* the path of snapshot.include, or NULL */
    bool is_gits;         /* one of git's rules leaves it out, or would */
    bool is_tracked; /* git tracks it, or something in it, so that rule does not count */
    bool is_passage; /* a folder that is left out, but entered for what is in it all the
                        same */
    bool is_implied; /* its folder is such a one, and this is why */
};

/* Names whose presence in a folder means something; bit i of marks stands for row i. */
#define IGNORE_MARKS(ROW)                                                                \
    ROW(GITIGNORE, ".gitignore")                                                         \
    ROW(ERRANDIGNORE, ".errandignore")                                                   \
    ROW(AMLIGNORE, ".amlignore")                                                         \
    ROW(GIT, ".git")                                                                     \
    ROW(VENV, "pyvenv.cfg")                                                              \
    ROW(CONDA, "conda-meta")

enum ignore_mark {
#define ROW(symbol, name) IGNORE_MARK_##symbol,
    IGNORE_MARKS(ROW)
#undef ROW
        IGNORE_MARK_COUNT
};
extern const char *const ignore_mark_names[IGNORE_MARK_COUNT];

/*
 * True where the entry is in. path: from the project's folder, of less than TREE_PATH_MAX
 * bytes, without a slash in front; name: its end; it lies in the folder that was entered
 * last.
 */
bool ignore_takes(struct ignore *ig, const char *path, const char *name, bool is_folder,
                  struct ignore_reason *out);

/*
 * The open folder dir_fd at path ("": the project) has these marks: read its rules. 0: it
 * is entered; 1: it is left out after all (*out says why), and not to be left by
 * ignore_leave; -1: err.
 */
int ignore_enter(struct ignore *ig, int dir_fd, const char *path, unsigned marks,
                 struct ignore_reason *out, struct error *err);
void ignore_leave(struct ignore *ig);

/* Append ".gitignore:3: data/", "built-in: .git", "snapshot.include: data/a.csv", "git
 * tracks it (else left out by .gitignore:3: data/)", or of a passage ".gitignore:3: data/
 * (but for what git tracks)". */
void ignore_describe(const struct ignore_reason *reason, struct strbuf *out);

#endif
