/*
 * arguments: the options that supervise, launch and finalize share.            [executor]
 */
#ifndef EXECUTOR_ARGUMENTS_H
#define EXECUTOR_ARGUMENTS_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct arguments {
    const char *root, *run;           /* required; borrowed from argv */
    int64_t attempt;                  /* 1 where not given */
    int report_fd, go_fd, secrets_fd; /* -1 where not given */
    bool is_adopting;
};

/* argv[0] is the verb. Errors: ERR_USAGE. */
int arguments_parse(int argc, char **argv, struct arguments *out, struct error *err);

#endif
