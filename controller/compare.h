/*
 * compare: what differs between two runs, as far as it is known here.     [controller]
 *
 * Life: compare_runs fills a struct compare, which compare_release empties.
 */
#ifndef CONTROLLER_COMPARE_H
#define CONTROLLER_COMPARE_H

#include "controller/command.h"

#define COMPARE_FILES_MAX 10000

/* One fact that is not the same: "command", "tag team", "metric loss". a or b is NULL
 * where that run has none, or it is not known. */
struct compare_fact {
    char *what, *a, *b;
};

struct compare {
    struct compare_fact *facts;
    size_t fact_count;
    /* Lines of what was installed: "- " for a's alone, "+ " for b's; empty where that is
     * not known of both. */
    struct strvec environment;
    /* Paths behind "- " (a's alone), "+ " (b's), "~ " (in both, and not the same); of a
     * folder that one side does not have its path with a slash. */
    struct strvec files;
    uint64_t files_left_out; /* beyond COMPARE_FILES_MAX */
    struct error no_files;   /* why files is not known; code ERR_NONE: it is */
};

/* Compare. Blocks on disk; asks nobody. out starts all zero and is to be released in any
 * case. Errors: the store's that could not be opened. */
int compare_runs(struct command_context *context, const struct history_run *a,
                 const struct history_run *b, struct compare *out, struct error *err);
void compare_release(struct compare *compare);

#endif
