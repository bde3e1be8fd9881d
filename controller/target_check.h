/*
 * target_check: the steps of `errand target check`, one after another. [controller]
 */
#ifndef CONTROLLER_TARGET_CHECK_H
#define CONTROLLER_TARGET_CHECK_H

#include "controller/command.h"
#include "controller/target.h"

struct target_checking {
    struct command_context *context;
    bool is_json;
    bool is_ok;
    struct json *steps; /* array of the document */
    struct json *node;  /* what CHECK said of the node, or NULL */
    const struct target *target;
};

/* Note a step, and show it where people read. time_ms -1: it has none of its own. */
void target_check_step(struct target_checking *c, const char *step, bool is_ok,
                       int64_t time_ms, const char *detail, const char *hint);

/* A Livy server: its answer, its login, and the folder that it shares with errand. -1: a
 * step failed, and was shown. */
int target_check_livy(struct target_checking *c);

#endif
