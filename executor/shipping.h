/*
 * shipping: files that a cluster needs are put there once, by what they are. [executor]
 *
 * A file has a name that stands for its content ("projects/<digest>.tar") below a folder
 * in the cluster's file system. What was put there this node remembers
 * (<root>/shipped/<digest of the folder>/NAME), so that the next run asks nobody and
 * sends nothing; whoever makes a file that is not there yet holds its record's lock, so
 * that ten runs at once make and send it once. A record may be wrong: somebody cleaned
 * up in the cluster. Who finds that out forgets it, and the file is sent again.
 *
 * A record's modification time is when the file was last used by this node; once a day
 * that is noted in the cluster too, where it costs little. janitor removes what no node
 * has used for long and no live run here names (shipping_collect).
 */
#ifndef EXECUTOR_SHIPPING_H
#define EXECUTOR_SHIPPING_H

#include "common/sweep.h"
#include "executor/clusterfs.h"
#include "executor/noderoot.h"

/* All borrowed. */
struct shipping {
    const struct noderoot *root;
    struct clusterfs *fs; /* its programs say what goes on */
    const char *base;     /* URI of the folder in the cluster, no slash behind it */
    const char *run;      /* the run's id: what is half-way carries it */
    int run_fd;           /* the run's folder: what it needs is noted there */
    /* A record is not believed where it is quick to ask: for who cannot try again. */
    bool wants_proof;
};

/* What is to be sent. */
struct cargo {
    const char *name; /* below base; stands for the content */
    const char *what; /* for people: "the project", "the environment" */
    /* Making it takes long, so that it is worth a look whether another node has sent it.
     */
    bool is_costly;
    /* Write it to the file, which is empty. */
    int (*make)(void *context, int fd, struct error *err);
    void *context;
};

/*
 * Have it there. 1: it was sent; 0: it was there; -1: err (clusterfs.h's, make's). *out:
 * its URI, malloc'ed. Waits for who sends the same now; then, where that failed, it is
 * sent here.
 */
int shipping_send(const struct shipping *s, const struct cargo *cargo, char **out,
                  struct error *err);
/* True where it was sent, as far as is known. Asks nobody; fs may be NULL. */
bool shipping_is_known(const struct shipping *s, const char *name);
/* It is not there any more, whatever was remembered. */
void shipping_forget(const struct shipping *s, const char *name);

/* Note that the run needs what is at uri, or will be: nobody removes it while it lives.
 */
int shipping_need(const struct shipping *s, const char *uri, struct error *err);

/* Remove in the cluster what this node sent there, nobody has used for keep_ms, and no
 * run that has not ended needs; outputs that nobody fetched for as long; and what was
 * left half-made, there and here. *out_count: how many. */
void shipping_collect(const struct noderoot *root, int64_t keep_ms, struct sweep *sweep,
                      uint64_t *out_count);
/* Remove in each cluster what this node sent there under a name that begins so. Errors:
 * clusterfs.h's; what could be removed is. */
int shipping_remove(const struct noderoot *root, const char *name_prefix,
                    struct error *err);

#endif
