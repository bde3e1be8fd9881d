/*
 * environment_uses: which environments runs need that have not ended. [executor]
 *
 * A run needs the build that its pin names, and before it has a pin the one that its
 * specification names. Life: environment_uses_read -> items -> environment_uses_release.
 */
#ifndef EXECUTOR_ENVIRONMENT_USES_H
#define EXECUTOR_ENVIRONMENT_USES_H

#include "common/message.h"
#include "common/runenvironment.h"
#include "executor/noderoot.h"

struct environment_use {
    char run[RUN_ID_SIZE];
    char identity[OID_HEX_SIZE];
    char build[RUN_ENVIRONMENT_WORD_SIZE]; /* "": each of that identity */
};

struct environment_uses {
    struct environment_use *items;
    size_t count;
    struct error unreadable; /* a run whose record cannot be read may need anything: the
                                first one; ERR_NONE: all are known */
};

/* Errors: ERR_IO (the runs could not be listed). */
int environment_uses_read(const struct noderoot *root, struct environment_uses *out,
                          struct error *err);
void environment_uses_release(struct environment_uses *uses);
#define CLEANUP_ENVIRONMENT_USES __attribute__((cleanup(environment_uses_release)))

/* True where it needs this build. */
bool environment_use_is_of(const struct environment_use *use, const char *identity,
                           const char *build);

#endif
