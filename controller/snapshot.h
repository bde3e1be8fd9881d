/*
 * snapshot: the project folder at the moment of submission.            [controller]
 *
 * ignore rules (ignore.h) + stat index (statindex.h) + common/ingest, into the
 * controller's own store. Afterwards the root is in the store's roots.
 *
 * The stat index of the last snapshot is believed only while its root is in the store.
 * The store's lock is held shared meanwhile, so that nobody collects what is not read
 * again.
 */
#ifndef CONTROLLER_SNAPSHOT_H
#define CONTROLLER_SNAPSHOT_H

#include "common/store.h"
#include "common/strvec.h"
#include "controller/config.h"

struct snapshot_problem {
    char *path;
    char *text; /* "permission denied", "changed each time it was read" */
    bool is_in; /* it is in the snapshot all the same: a link that leaves the project */
};

struct snapshot_left_out {
    char *path; /* a file or folder that a rule left out, as a whole or nearly */
    char *rule; /* as ignore_describe says it */
    bool is_folder, is_built_in;
    /* How large it is, of the first few that a rule of the project leaves out, at a
     * glance (peek.h); is_size_all: there is not more. */
    uint64_t size_bytes;
    bool is_size_all;
};

struct snapshot {
    struct oid root;
    struct oid base; /* of which it was made, all zero where there is none */
    struct tree_totals totals;
    struct snapshot_problem *problems;
    size_t problem_count; /* at most 1000 are kept; problem_total counts */
    size_t problem_total;
    struct snapshot_left_out *left_out; /* the first 1000, folders whole */
    size_t left_out_count, left_out_total;
};

/* An entry that is in; folders after what is in them. As tree_visitor, without its 1. */
typedef int snapshot_visitor(void *context, const char *path,
                             const struct tree_entry *entry, struct error *err);

/* How far the reading of what the last snapshot does not have has come. */
struct snapshot_reading {
    uint64_t read_bytes;
    uint64_t met_files, met_bytes; /* read, or about to be: as large as stat says */
};

struct snapshot_options {
    bool want_force;  /* also for / and $HOME */
    bool is_dry;      /* compute the root, put nothing into the store */
    bool leaves_root; /* the objects are put there; the root is the caller's to add */
    bool is_glance;   /* as is_dry, but nothing is read: the root says nothing, and visit
                         hears only of folders, and of files that the last snapshot did
                         not have, or not as large */
    /* Hear of every entry. May be NULL. */
    snapshot_visitor *visit;
    void *visit_context;
    /* Hear how the reading goes, for each object that was read; -1 with err to stop. May
     * be NULL. */
    int (*progress)(void *context, const struct snapshot_reading *reading,
                    struct error *err);
    void *progress_context;
};

/* Errors: ERR_USAGE (the project is / or $HOME, or $HOME lies in it), ERR_CONFIG, ERR_IO,
 * ERR_NO_SPACE ... Files that could not be read are problems, not errors. Blocks on disk.
 * After a failure out is empty. */
int snapshot_make(const struct home *home, const struct config *config,
                  struct store *store, const struct snapshot_options *options,
                  struct snapshot *out, struct error *err);
void snapshot_release(struct snapshot *snapshot);

/*
 * Why path (relative to the project) is in or out: append "in: ..." or "left out by
 * .gitignore:3: data/", which names the rule. Errors: ERR_NOT_FOUND (out then says so
 * too).
 */
int snapshot_why(const struct home *home, const struct config *config, const char *path,
                 struct strbuf *out, bool *out_is_in, struct error *err);

/*
 * Visit what root has and base (may be NULL) does not have at the same path: files and
 * symbolic links, and folders in which something was visited, after it, with the sum of
 * its sizes.
 */
int snapshot_visit_new(struct store *store, const struct oid *root,
                       const struct oid *base, snapshot_visitor *visit, void *context,
                       struct error *err);

#endif
