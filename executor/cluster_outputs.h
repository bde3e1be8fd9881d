/*
 * cluster_outputs: what a driver in the cluster left comes to the node.
 * [executor]
 *
 * The driver wrapper puts one archive of the output folders into the cluster's file
 * system, and says how large it is. It is fetched, unpacked beside work/ with every entry
 * checked, and its folders then take the place of those in work/; from there on they are
 * collected like any run's. A failure of this is not one of the run: the outputs that did
 * not come are a warning.
 */
#ifndef EXECUTOR_CLUSTER_OUTPUTS_H
#define EXECUTOR_CLUSTER_OUTPUTS_H

#include "common/runspec.h"
#include "executor/clusterfs.h"

/* All borrowed. */
struct cluster_outputs {
    struct clusterfs *fs;
    const char *uri;      /* of the archive, in a folder of its own */
    uint64_t size_bytes;  /* as the driver said */
    const char *run_path; /* the run's folder, absolute */
    int run_fd;           /* the same, open */
    int64_t attempt;
    const struct runspec *spec;
};

/*
 * Bring them into work/. Can be repeated, also after it was interrupted. Errors:
 * clusterfs.h's, archive.h's, ERR_CORRUPT (another size than was said); then work/ is as
 * it was.
 */
int cluster_outputs_take(const struct cluster_outputs *o, struct error *err);
/* The same for the file of the driver's metrics, whose lines come behind those of the
 * attempts before. Errors: clusterfs.h's, ERR_CORRUPT, by errno. */
int cluster_metrics_take(const struct cluster_outputs *o, struct error *err);
/* Once the run's end is on record, so that nobody takes them again: remove the archive in
 * the cluster, after what was taken is on this node's disk. Where that fails it stays,
 * and janitor tries again. */
void cluster_outputs_drop(const struct cluster_outputs *o);

/* They did not come: one sentence for the warnings that the run ends with. */
void cluster_outputs_note_failure(int run_fd, const char *text);
/* That is of an earlier try or attempt: no more. Allocates nothing. */
void cluster_outputs_clear_failure(int run_fd);
/* Append that sentence, where there is one. */
bool cluster_outputs_failure(int run_fd, struct strbuf *out);

#endif
