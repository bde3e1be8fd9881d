/*
 * submission_plan: what to run, from configuration, options and operands (submission.h
 * declares it).            [controller]
 *
 * The script is found in the project, its framework by configuration, name or first line;
 * variables are merged (target, configuration, command line; the last one counts);
 * secrets are read where the configuration says they are.
 */
#ifndef CONTROLLER_SUBMISSION_PLAN_H
#define CONTROLLER_SUBMISSION_PLAN_H

#include "controller/submission.h"

/*
 * The path of a script, as the user gave it (relative to the current folder), relative to
 * the project: malloc'ed. Errors: ERR_NOT_FOUND with the nearest name in its folder,
 * ERR_USAGE (a folder; outside the project).
 */
char *submission_script_path(const char *project, const char *given, struct error *err);

#endif
