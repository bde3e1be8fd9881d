/*
 * tidy: the janitor's round that nobody asked for.            [executor]
 *
 * A connection says in HELLO how often a node is to be tidied and what is kept. Where
 * that is due, the connection's end starts `errand-executor tidy`, a process of its own
 * behind all others. <root>/tidied is its lock and its record (FORMATS.md 3): of many
 * connections that end at once one begins a round, and a round that was killed, or for
 * whose record the disk had no room, is tried again after TIDY_AGAIN_MS.
 *
 * What goes is the janitor's decision (janitor.h), as of somebody who asked.
 */
#ifndef EXECUTOR_TIDY_H
#define EXECUTOR_TIDY_H

#include "common/json.h"
#include "common/strbuf.h"
#include "executor/noderoot.h"

struct tidy_wish {
    int64_t every_ms;     /* 0: never */
    int64_t keep_work_ms; /* a work tree, since all of the run is at home */
    int64_t keep_runs_ms; /* the run; environments and executors, since their last use */
};

/* What HELLO says of it (its shape was checked); nothing: never. */
void tidy_read_wish(const struct json *hello, struct tidy_wish *out);

/*
 * At a connection's end: start the round where it is due, and note that this executor is
 * in use. A root that has no record yet gets one instead: in a new one there is nothing
 * to do. executor: this program's digest. Returns at once.
 */
void tidy_start(const struct noderoot *root, const char *executor,
                const struct tidy_wish *wish);

/* For people: append when the last round was, and what it freed. */
void tidy_describe(const struct noderoot *root, struct strbuf *out);

/* The verb: `errand-executor tidy --root DIR --every 1d --keep-work 3d --keep-runs 30d`.
 */
int tidy_main(int argc, char **argv);

#endif
