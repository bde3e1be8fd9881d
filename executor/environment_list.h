/*
 * environment_list: the environments of this node, and which runs need them. [executor]
 *
 * Reads what lies under envs/ (FORMATS.md 3.1) and the pins of runs that have not ended.
 * Nothing is locked: what is built or removed meanwhile is as it was a moment ago. Who
 * removes looks again under the lock (environment_remove.h).
 *
 * Life: environment_list_read -> entries -> environment_list_release.
 */
#ifndef EXECUTOR_ENVIRONMENT_LIST_H
#define EXECUTOR_ENVIRONMENT_LIST_H

#include "common/runenvironment.h"
#include "common/strvec.h"
#include "executor/noderoot.h"

#define ENVIRONMENT_LIST_MAX 4096 /* of more, the rest is not told of */

enum environment_state {
    ENVIRONMENT_READY,
    ENVIRONMENT_BUILDING, /* somebody holds the identity's lock */
    ENVIRONMENT_FAILED,   /* the newest build failed, and there is no other */
    ENVIRONMENT_BROKEN,   /* its READY cannot be read: no run takes it */
};

/* A build that is there, or is being made, or failed. */
struct environment_entry {
    struct run_environment facts; /* identity is always there */
    enum environment_state state;
    bool is_current;       /* what the next run takes */
    char *name;            /* what it was asked for by, or NULL */
    struct oid definition; /* digest of the definition's identity form; zero: not known */
    char *message; /* FAILED, BROKEN: why; BUILDING: the run that builds; or NULL */
    int64_t created_utc_ms, used_utc_ms; /* 0: not known */
    struct strvec used_by;               /* runs that have not ended */
};

struct environment_list {
    struct environment_entry *entries; /* by identity, then by build */
    size_t count;
    struct error unreadable; /* as struct environment_uses has it */
};

/* All whose identity begins with prefix ("": all). Errors: ERR_IO. */
int environment_list_read(const struct noderoot *root, const char *prefix,
                          struct environment_list *out, struct error *err);
/* Keep one entry: that of build, or (NULL) the one that the next run takes, else the
 * last. Errors: ERR_NOT_FOUND, ERR_USAGE (several identities). */
int environment_list_pick(struct environment_list *list, const char *build,
                          struct error *err);
void environment_list_release(struct environment_list *list);
#define CLEANUP_ENVIRONMENT_LIST __attribute__((cleanup(environment_list_release)))

/* The identities that have a folder in envs/, be they built or not. Appended, sorted. */
void environment_list_identities(int envs_fd, struct strvec *out);
/* The names of the builds of an identity that have READY (is_ready), or the others.
 * Appended, sorted. */
void environment_list_builds(int folder_fd, bool is_ready, struct strvec *out);

/* True for what may be an identity, and a build's name, as folders are called. */
bool environment_identity_is_valid(const char *name);
bool environment_build_name_is_valid(const char *name);

/*
 * ENVIRONMENTS, list and show (PROTOCOL.md): the report, the caller's to free.
 * has_details: also definition, lock and build log, as far as they fit in a message.
 */
struct json *environment_list_report(const struct noderoot *root,
                                     const struct environment_list *list,
                                     bool has_details);

#endif
