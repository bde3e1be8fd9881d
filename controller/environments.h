/*
 * environments: the environments that are on a target, as its node tells of them.
 * [controller]
 *
 *     environments_open (connects) -> environments_read -> environments_find ... ->
 * environments_release
 *
 * An environment is named by the beginning of its identity, by what it was made from
 * ("requirements.txt"), or by a run that has it.
 */
#ifndef CONTROLLER_ENVIRONMENTS_H
#define CONTROLLER_ENVIRONMENTS_H

#include "controller/client.h"

struct livy_reach;

struct environments {
    struct command_context *context;
    struct target *target;
    struct client *client;
    struct livy_reach *reach; /* of a Livy's cluster, once it was needed */
    struct json *report; /* PROTOCOL.md, ENVIRONMENTS; NULL before environments_read */
};

/* target_name NULL: the configured one. Errors: target_find's, client_connect's. */
int environments_open(struct environments *e, struct command_context *context,
                      const char *target_name, struct error *err);
void environments_release(struct environments *e);
#define CLEANUP_ENVIRONMENTS __attribute__((cleanup(environments_release)))

/* The target of the run of this name; NULL: there is none of that name here. The
 * caller's.
 */
char *environments_target_of_run(struct command_context *context, const char *name);

/* Ask for all of them. Errors: client_ask's. */
int environments_read(struct environments *e, struct error *err);
/* The list; an array, borrowed. */
const struct json *environments_list(const struct environments *e);
/*
 * One that was read: of several builds the one that build (may be NULL) or the run says,
 * else the current one. Borrowed. NULL: ERR_NOT_FOUND, ERR_USAGE (ambiguous: which ones).
 */
const struct json *environments_find(const struct environments *e, const char *name,
                                     const char *build, struct error *err);

/* The current build of the definition with this digest (of its identity form). Borrowed;
 * NULL: there is none. */
const struct json *environments_find_definition(const struct environments *e,
                                                const struct oid *digest);

/* All that the node has of one that was read (`show`). The caller's; NULL: err. */
struct json *environments_show(struct environments *e, const struct json *found,
                               struct error *err);
/* Remove it: this build, or with all_builds each of its identity; of a Livy's target also
 * in its cluster, as far as one can there. Errors: also ERR_BUSY; livy_collect.h's, where
 * it is removed here alone. */
int environments_remove(struct environments *e, const struct json *found, bool all_builds,
                        bool is_forced, struct error *err);

#endif
