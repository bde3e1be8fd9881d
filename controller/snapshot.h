/*
 * snapshot: the project folder at the moment of submission.            [controller]
 *
 * ignore rules (ignore.h) + stat index (statindex.h) + common/ingest, into the
 * controller's own store. Afterwards the root is in the store's roots.
 */
#ifndef CONTROLLER_SNAPSHOT_H
#define CONTROLLER_SNAPSHOT_H

#include "common/store.h"
#include "common/strvec.h"
#include "controller/config.h"

struct snapshot_problem {
    char *path;
    char *text; /* "permission denied", "changed each time it was read" */
};

struct snapshot_left_out {
    char *path; /* a file or folder that a rule left out, not walked */
    char *rule; /* ".gitignore:3: data/", "built-in: .git" */
};

struct snapshot {
    struct oid root;
    struct tree_totals totals;
    struct snapshot_problem *problems;
    size_t problem_count; /* at most 1000 are kept; problem_total counts */
    size_t problem_total;
    struct snapshot_left_out *left_out; /* the first 1000, folders whole */
    size_t left_out_count, left_out_total;
};

struct snapshot_options {
    bool want_force; /* also for / and $HOME */
    bool is_dry;     /* compute the root, put nothing into the store */
};

/* Errors: ERR_USAGE (the project is / or $HOME), ERR_IO, ERR_NO_SPACE ... Files that
 * could not be read are problems, not errors. */
int snapshot_make(const struct home *home, const struct config *config,
                  struct store *store, const struct snapshot_options *options,
                  struct snapshot *out, struct error *err);
void snapshot_release(struct snapshot *snapshot);

/* Why path (relative to the project) is in or out: append a sentence that names the rule.
 * Errors: ERR_NOT_FOUND. */
int snapshot_why(const struct config *config, const char *path, struct strbuf *out,
                 bool *out_is_in, struct error *err);

/* What root has and base (may be NULL) does not have at the same path, files only: for
 * "sent: 1 file, 3 KB". */
int snapshot_count_new(const struct store *store, const struct oid *root,
                       const struct oid *base, struct tree_totals *out,
                       struct error *err);

#endif
