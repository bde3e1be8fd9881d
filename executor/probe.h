/*
 * probe: what kind of node this is, and what about it will hurt.            [executor]
 *
 * Facts are for `show` and for later choices; checks are for people: each says what was
 * looked at, whether it is as it should be, and, where not, the very command that mends
 * it.
 */
#ifndef EXECUTOR_PROBE_H
#define EXECUTOR_PROBE_H

#include "common/json.h"
#include "common/store.h"
#include "executor/noderoot.h"

struct probe_request {
    const struct noderoot *root;
    struct store *store;
    const struct json *spark; /* CHECK's "spark": look for that too; or NULL */
    bool is_deep; /* verify every object of the store too, and run a Spark job */
};

/*
 * {"node":{...facts...},"checks":[{"step","ok","detail","hint"},...]}, the caller's to
 * free; "hint" is null where there is nothing to do. Asks other programs (python3,
 * nvidia-smi), each with a deadline, so it may block for half a minute; deep for as long
 * as the store takes to read. Never fails for what it finds.
 */
struct json *probe_node(const struct probe_request *request, struct error *err);

/*
 * For tests: does the login manager end this account's processes at logout? Reads
 * logind.conf and its drop-ins below prefix ("" for the real ones), as logind.conf(5) has
 * them. user may be NULL.
 */
bool probe_kills_user_processes(const char *prefix, const char *user, bool is_root);

#endif
