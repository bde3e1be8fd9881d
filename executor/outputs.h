/*
 * outputs: what a run left, as a tree whose content stays where it is. [executor]
 *
 * The finalize stage hashes the output folders in place: trees go into the node's store,
 * content is only indexed (FORMATS.md 4.8). serve streams it from work/ through
 * outputs_source, which verifies what it reads: a file that was changed since is
 * ERR_CHANGED, by name.
 */
#ifndef EXECUTOR_OUTPUTS_H
#define EXECUTOR_OUTPUTS_H

#include "common/object.h"
#include "common/runspec.h"
#include "common/store.h"

/* Hash, write outputs.index and outputs.json. What cannot be read is a warning in
 * outputs.json, not an error. */
int outputs_collect(int run_fd, struct store *store, const struct runspec *spec,
                    struct error *err);

struct outputs_reader;
/* Errors: ERR_NOT_FOUND (nothing was collected). */
struct outputs_reader *outputs_open(int run_fd, struct store *store, struct error *err);
void outputs_reader_free(struct outputs_reader *r);
DEFINE_CLEANUP_FREE(outputs_reader)
struct object_source outputs_source(struct outputs_reader *r);

#endif
