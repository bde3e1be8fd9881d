/*
 * runs: specifications and accepted runs for tests of the executor.            [tests]
 */
#ifndef TESTS_UNIT_RUNS_H
#define TESTS_UNIT_RUNS_H

#include <stdio.h>

#include "executor/rundir.h"
#include "tests/unit/node.h"

/* A specification with nothing special in it. */
static inline void runs_make_spec(struct runspec *spec, const char *id)
{
    runspec_init(spec);
    snprintf(spec->run, sizeof(spec->run), "%s", id);
    free(spec->experiment);
    spec->experiment = xstrdup("tests");
    memset(spec->controller, '0', 32);
    free(spec->submitter);
    spec->submitter = xstrdup("tester@here");
    spec->created_utc_ms = 1000;
    spec->framework = FRAMEWORK_COMMAND;
    strvec_push(&spec->command, "true");
    spec->attempts = 1;
    spec->grace_ms = 1000;
    strvec_push(&spec->outputs, "outputs");
}

/* rundir_accept of its encoding. */
static inline int runs_accept(struct noderoot *root, const struct runspec *spec,
                              struct error *err)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    runspec_encode(spec, &bytes);
    return rundir_accept(root, spec, bytes.data, bytes.length, "570e", "d16e57", err);
}

#endif
