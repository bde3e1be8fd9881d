/*
 * included: the paths of snapshot.include.            [controller]
 *
 * They are taken, with all that is in them, whatever ignore rules say.
 */
#ifndef CONTROLLER_INCLUDED_H
#define CONTROLLER_INCLUDED_H

#include "common/error.h"
#include "common/strvec.h"

enum included_relation {
    INCLUDED_APART, /* from all of them */
    INCLUDED_ABOVE, /* a folder on the way to one of them */
    INCLUDED_IT,    /* one of them */
    INCLUDED_BELOW, /* in one of them */
};

/* Add path to paths without "." components and superfluous slashes; the project itself is
 * "". Errors: ERR_CONFIG (it is absolute, or leaves the project). */
int included_add(struct strvec *paths, const char *path, struct error *err);

/* How path (from the project, no slash in front or behind) stands to paths, and to which
 * of them: borrowed from paths, unset where it is apart. */
enum included_relation included_relate(const struct strvec *paths, const char *path,
                                       const char **out_included);

#endif
