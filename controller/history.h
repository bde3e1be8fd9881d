/*
 * history: what this controller remembers of every run (FORMATS.md 5.2). [controller]
 *
 * One SQLite file, WAL, busy timeout; several errands at once are safe. The journal's
 * lines are what a run's row is computed from, so that history works when the node is
 * gone.
 */
#ifndef CONTROLLER_HISTORY_H
#define CONTROLLER_HISTORY_H

#include "common/runspec.h"
#include "common/runstate.h"
#include "controller/gitinfo.h"
#include "controller/home.h"

struct history;
/* Errors: ERR_CORRUPT, ERR_BUSY, ERR_ACCESS, ERR_IO. A file of a newer errand is read,
 * and every writing call below is ERR_VERSION. */
struct history *history_open(const struct home *home, struct error *err);
void history_free(struct history *history);
DEFINE_CLEANUP_FREE(history)

struct history_run {
    char id[RUN_ID_SIZE];
    char *store; /* "" until accepted */
    char *node;  /* that accepted it, or that it is being sent to; "" where nothing was
                    sent yet */
    char *experiment, *target, *project;
    char *spec; /* the very bytes */
    size_t spec_length;
    int64_t created_utc_ms;
    uint64_t sent_files, sent_bytes;
    int64_t collected_utc_ms; /* 0: not everything is at home */
    struct strvec lines;      /* the journal's, as far as it was seen */
    struct strvec tags;       /* "key=value", sorted; as they are now */
    char *note;               /* or NULL */
    struct gitinfo git;       /* commit NULL: not known */
    struct run_status status; /* folded from the lines; state Starting where there are
                                 none; final where the run was given up */
    bool is_given_up;         /* so, and not by its journal: it may go on */
};
void history_run_init(struct history_run *run);
void history_run_release(struct history_run *run);
/* A run that was given up is asked about again: its status is what its lines say. */
void history_run_reopen(struct history_run *run);

/* Before anything is sent: durable when it returns. Errors: ERR_EXISTS. */
int history_add_run(struct history *h, const struct runspec *spec, const void *spec_bytes,
                    size_t spec_length, const char *target, const char *project,
                    struct error *err);
/* The run is about to be sent to this node: from now on only the node knows whether it
 * was accepted. */
int history_set_sent(struct history *h, const char *id, const char *node,
                     struct error *err);
/* The run was accepted by this store: durable when it returns. A run that was given up is
 * open again. */
int history_set_accepted(struct history *h, const char *id, const char *store,
                         const char *node, uint64_t sent_files, uint64_t sent_bytes,
                         struct error *err);
/* Add journal lines, and compute the run's row from all of them; ones already there are
 * ignored. Errors: ERR_CORRUPT (no such line can follow: none was added). */
int history_add_lines(struct history *h, const char *id, const struct strvec *lines,
                      struct error *err);
/* Where the run's job is, as its node says while it goes on; what the journal says counts
 * more. Not known: forget what was known. */
int history_set_engine(struct history *h, const char *id, const struct run_engine *engine,
                       struct error *err);
/* All of it is at home: durable when it returns, with all that was noted before. */
int history_set_collected(struct history *h, const char *id, struct error *err);
/* What git said of the project when the run was submitted. */
int history_set_git(struct history *h, const char *id, const struct gitinfo *git,
                    struct error *err);
/*
 * A run that no node has and none will get: it is Failed, could_not_start, unless a node
 * says otherwise. The reason shows in list and show. A run that ended stays as it is;
 * one that was given up has not, as far as is known.
 */
int history_set_not_started(struct history *h, const char *id, const char *reason,
                            struct error *err);
/* A run whose node cannot be asked: it is Canceled, unknown, until its journal says
 * otherwise. As above. */
int history_set_given_up(struct history *h, const char *id, const char *reason,
                         struct error *err);

/*
 * What a person says of a run: known here alone. A note is the tag HISTORY_NOTE_TAG,
 * which is not among history_run's tags.
 */
#define HISTORY_NOTE_TAG "errand.note"
/* So is where a run's job is, until its journal says it: as JSON. */
#define HISTORY_ENGINE_TAG "errand.engine"
/* A run that only prepares an environment has this one: it is not the last run, and is
 * listed where it is asked for. */
#define HISTORY_PREPARATION_TAG "errand.prepare"
#define HISTORY_TAG_KEY_MAX 255
#define HISTORY_TAG_VALUE_MAX 1024
#define HISTORY_TAGS_MAX 5000
#define HISTORY_NOTE_MAX ((size_t)64 << 10)
/* Each change is "key=value", or "key-" to take that tag away; all of them, or none.
 * Errors: ERR_USAGE, ERR_LIMIT (too long, too many), ERR_NOT_FOUND (no such run; no such
 * tag to take away). */
int history_change_tags(struct history *h, const char *id, char *const *changes,
                        size_t count, struct error *err);
/* "": it has none any more. Errors: ERR_USAGE (not UTF-8), ERR_LIMIT, ERR_NOT_FOUND. */
int history_set_note(struct history *h, const char *id, const char *note,
                     struct error *err);
/* Forget the run and all that is said of it. Errors: ERR_NOT_FOUND. */
int history_remove_run(struct history *h, const char *id, struct error *err);

/* By id, unique prefix, or "@": the last one that a node accepted, or may have (it was
 * sent and the answer did not come). out was initialised. Errors: ERR_NOT_FOUND
 * (nearest), ERR_USAGE (ambiguous: which ones). */
int history_find(struct history *h, const char *name, struct history_run *out,
                 struct error *err);

struct history_query {
    const char *target, *experiment; /* NULL: all */
    bool only_open;                  /* not final, or not collected */
    bool skips_preparations;         /* HISTORY_PREPARATION_TAG */
    int64_t limit;                   /* newest first; 0: all */
};
/* Return -1 with err to stop. */
typedef int history_visitor(void *context, const struct history_run *run,
                            struct error *err);
/* Errors: the visitor's, or as history_find. */
int history_visit(struct history *h, const struct history_query *query,
                  history_visitor *visit, void *context, struct error *err);
/* Append the snapshots, as digests, of runs that were accepted and have not ended. */
int history_open_roots(struct history *h, struct strvec *out, struct error *err);
/* Experiments, with the number of runs. */
int history_count_runs(struct history *h, const char *experiment, uint64_t *out,
                       struct error *err);

/* Targets: the last snapshot known to be in the target's store (zero: none), and what was
 * learned of the node. */
int history_last_root(struct history *h, const char *target, const char *store,
                      struct oid *out, struct error *err);
/* The best base for a snapshot of project: the last that was accepted of it by that
 * store, else the target's last one of any project; zero: none. */
int history_base_root(struct history *h, const char *target, const char *store,
                      const char *project, struct oid *out, struct error *err);
/* The specification of the newest run of project on that store that got an environment:
 * append its bytes; nothing where there is none. */
int history_prepared_spec(struct history *h, const char *store, const char *project,
                          struct strbuf *out, struct error *err);
/* The experiment of the newest run on that store which had this environment: appended;
 * nothing where there is none. */
int history_environment_experiment(struct history *h, const char *store,
                                   const char *identity, struct strbuf *out,
                                   struct error *err);
int history_set_last_root(struct history *h, const char *target, const char *store,
                          const char *node, const struct oid *root, struct error *err);
/* The node has answered for the store now; when it last did (0: never). */
int history_set_seen(struct history *h, const char *target, const char *store,
                     const char *node, struct error *err);
int history_seen(struct history *h, const char *target, const char *store,
                 int64_t *out_utc_ms, struct error *err);

#endif
