/*
 * gitinfo: which commit a project is at, and whether it was changed since. [controller]
 *
 * The git program says so, aside: it looks at every file that it knows, which takes as
 * long as a snapshot does, and nobody waits for it.
 *
 * Life: gitinfo_start -> gitinfo_finish (best once gitinfo_fd can be read from) ->
 * gitinfo_release.
 */
#ifndef CONTROLLER_GITINFO_H
#define CONTROLLER_GITINFO_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>

struct gitinfo {
    char *repository; /* where it is fetched from, without user and password; NULL: from
                         nowhere */
    char *branch;     /* NULL: none is checked out */
    char *commit;     /* hexadecimal; NULL: there is none yet, and nothing is known */
    bool is_dirty;    /* files below the project that git knows differ from the commit */
};

struct gitinfo_reading;

/* Begin to ask for folder (absolute). NULL: it lies in no repository, or git cannot be
 * run; then nothing is known. */
struct gitinfo_reading *gitinfo_start(const char *folder);
/* Can be read from once git is as good as done. */
int gitinfo_fd(const struct gitinfo_reading *reading);
/*
 * Wait for git, ten seconds at most, and free the reading. out is filled in any case.
 * Errors: ERR_TIMED_OUT, ERR_SPAWN (git's own end).
 */
int gitinfo_finish(struct gitinfo_reading *reading, struct gitinfo *out,
                   struct error *err);
void gitinfo_release(struct gitinfo *info);

/* For tests: what `git status --porcelain=v2 --branch` said. */
void gitinfo_take_status(const char *text, struct gitinfo *out);
/* Append an address without user and password: "https://host/x" of
 * "https://me:secret@host/x"; "git@host:x", which cannot have a password, stays. */
void gitinfo_put_address(const char *address, struct strbuf *out);

#endif
