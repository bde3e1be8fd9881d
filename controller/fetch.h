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
 * Before anything is sent: could fetch_write make the folder to? Nothing is left behind,
 * and the answer may be another one later. Errors: as fetch_write.
 */
int fetch_check_to(const char *to, struct error *err);

/*
 * Write an outputs tree from the store into the folder to, which must not exist or be
 * empty; it appears whole. Errors: ERR_EXISTS, ERR_USAGE (".", "..", a mount point),
 * ERR_ACCESS, ERR_NO_SPACE ...
 */
int fetch_write(struct command_context *context, const struct oid *root, const char *to,
                struct error *err);

/* state/runs/<id>/outputs, malloc'ed. */
char *fetch_home_path(const struct home *home, const char *id);

/*
 * Bring the outputs home, everything synced, and note it in the history; the log must be
 * at home already. Of several errands one does it while the others wait; what is at home
 * is left as it is. *out_path: where the outputs lie, malloc'ed; NULL: there are none.
 * Errors: fetch_objects', fetch_write's; ERR_CANCELED.
 */
int fetch_collect(struct command_context *context, struct client *client,
                  struct history_run *run, const bool *is_interrupted, char **out_path,
                  struct fetch_result *out, struct error *err);

/* COLLECTED: tell the node that all of it is at home, so that it need not keep it. result
 * is fetch_collect's. */
int fetch_tell(struct command_context *context, struct client *client,
               const struct history_run *run, const struct fetch_result *result,
               struct error *err);

#endif
