/*
 * background: work for nobody in particular, in a process of its own. [executor]
 *
 * background_start starts one of this program's verbs in a session of its own, away from
 * the connection or run that thought of it; the verb's main calls background_become,
 * which leaves the caller with nothing to wait for.
 */
#ifndef EXECUTOR_BACKGROUND_H
#define EXECUTOR_BACKGROUND_H

#include <stdbool.h>

/* argv: this program's path (noderoot_program), a verb, options, NULL. Returns at once,
 * without a word where it could not be started. */
void background_start(const char *const *argv);

/*
 * In the verb's process: go on as a child whose parent has ended, behind others (nice
 * 19). is_idle: with only the CPU and disk that nobody else wants; not for who takes
 * locks for which others wait. True: go on; false: exit with *out_status.
 */
bool background_become(bool is_idle, int *out_status);

#endif
