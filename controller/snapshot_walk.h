/*
 * snapshot_walk: what snapshot_make and snapshot_why share: the project's folder and its
 * rules.            [controller]
 */
#ifndef CONTROLLER_SNAPSHOT_WALK_H
#define CONTROLLER_SNAPSHOT_WALK_H

#include "controller/config.h"
#include "controller/ignore.h"

struct snapshot_project {
    char *path; /* absolute, without symbolic links */
    int fd;
    struct ignore *ignore;
};
#define SNAPSHOT_PROJECT_INIT                                                            \
    {                                                                                    \
        .path = NULL, .fd = -1, .ignore = NULL                                           \
    }

/* Find and open the project, which starts as SNAPSHOT_PROJECT_INIT and is released in any
 * case. Errors: by errno. */
int snapshot_project_open(struct snapshot_project *project, const struct config *config,
                          struct error *err);
/* Read the rules that lie above it: ignore is set. Errors: ignore_new's. Blocks for the
 * git program. */
int snapshot_project_read_rules(struct snapshot_project *project, const struct home *home,
                                const struct config *config, struct error *err);
void snapshot_project_release(struct snapshot_project *project);

#endif
