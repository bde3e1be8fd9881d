/*
 * submissions: which runs are being submitted on a connection.            [executor]
 *
 * A controller sends FOLLOW in the same flight as SUBMIT, when the run is not there yet:
 * whoever follows waits here for how the submission ends. An entry lives as long as
 * anybody holds it; nothing blocks.
 *
 *     submit:  submissions_begin -> submissions_end
 *     follow:  submissions_find  -> submissions_outcome ... -> submissions_drop
 */
#ifndef EXECUTOR_SUBMISSIONS_H
#define EXECUTOR_SUBMISSIONS_H

#include "common/mem.h"

#include <stdbool.h>

struct submission;

/* Of one connection, all zero at first. */
struct submissions {
    struct submission *first;
};

enum submission_outcome {
    SUBMISSION_OPEN,
    SUBMISSION_ACCEPTED,
    SUBMISSION_FAILED, /* or given up by the controller */
};

/* A submission of the run begins; the caller holds what is returned until
 * submissions_end. */
struct submission *submissions_begin(struct submissions *all, const char *run);
/* It is over. NULL is ignored. */
void submissions_end(struct submissions *all, struct submission *submission,
                     bool is_accepted);

/* The open submission of this run, held until submissions_drop; NULL: there is none. */
struct submission *submissions_find(struct submissions *all, const char *run);
enum submission_outcome submissions_outcome(const struct submission *submission);
/* NULL is ignored. */
void submissions_drop(struct submissions *all, struct submission *submission);

#endif
