/*
 * outputs: what a run left, as a tree whose content stays where it is. [executor]
 *
 * The finalize stage hashes the output folders in place (FORMATS.md 4.8): content is only
 * indexed; trees, lists and link targets, which are small, go into a file of the run's
 * own, so that nothing of it depends on what the node's store keeps. serve streams both
 * through outputs_source, which verifies what it reads: a file that was changed since is
 * ERR_CHANGED, by name.
 */
#ifndef EXECUTOR_OUTPUTS_H
#define EXECUTOR_OUTPUTS_H

#include "common/mem.h"
#include "common/object.h"
#include "common/runspec.h"

/* outputs.json is never longer: it becomes part of a journal line. */
#define OUTPUTS_JSON_MAX 2048

/* Hash, write outputs.objects, outputs.index and outputs.json. What cannot be read is a
 * warning in outputs.json, not an error. */
int outputs_collect(int run_fd, const struct runspec *spec, struct error *err);
/* True where a folder of spec->outputs has anything in it, or outputs did not come from a
 * cluster (cluster_outputs.h), which collecting them tells. */
bool outputs_are_there(int run_fd, const struct runspec *spec);

struct outputs_reader;
/* Errors: ERR_NOT_FOUND (nothing was collected), ERR_CORRUPT. */
struct outputs_reader *outputs_open(int run_fd, struct error *err);
void outputs_reader_free(struct outputs_reader *r);
DEFINE_CLEANUP_FREE(outputs_reader)
/* Valid as long as r. */
struct object_source outputs_source(struct outputs_reader *r);

#endif
