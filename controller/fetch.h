/*
 * fetch: outputs come home, as a snapshot goes out.            [controller]
 *
 * Objects go into the controller's store, the files into runs/<id>/outputs/, made aside
 * and renamed. The folder `outputs` of the work tree gives its content directly; any
 * other folder that the run named as outputs lies below outputs/ under its own name.
 */
#ifndef CONTROLLER_FETCH_H
#define CONTROLLER_FETCH_H

#include "common/tree.h"
#include "controller/client.h"

struct fetch_result {
    bool has_outputs;  /* false: the run left none */
    bool has_progress; /* something came, also where it failed afterwards */
    struct oid root;
    struct tree_totals totals;
    struct strvec warnings;
};
void fetch_result_release(struct fetch_result *result);

/* Bring the outputs into the store, complete and durable. Errors: ERR_LINK,
 * ERR_NOT_FOUND, ERR_CHANGED, ERR_NO_SPACE ... */
int fetch_objects(struct command_context *context, struct client *client, const char *id,
                  const bool *is_interrupted, struct fetch_result *out,
                  struct error *err);

/*
 * Write an outputs tree from the store into the folder to, which must not exist or be
 * empty; it appears whole. Errors: ERR_EXISTS, ERR_NO_SPACE ...
 */
int fetch_write(struct command_context *context, const struct oid *root, const char *to,
                struct error *err);

/* state/runs/<id>/outputs, malloc'ed. */
char *fetch_home_path(const struct home *home, const char *id);

/*
 * All that is done when a run has ended: outputs home (into to as well, where not NULL),
 * everything synced, the history told, COLLECTED sent. A run that was collected before is
 * left as it is. *out_path: where the outputs lie, malloc'ed; NULL: there are none.
 */
int fetch_collect(struct command_context *context, struct client *client,
                  struct history_run *run, const bool *is_interrupted, char **out_path,
                  struct fetch_result *out, struct error *err);

#endif
