/*
 * environment_ask: what is this program, and of which version? [executor]
 *
 * It is started and says so itself: an interpreter answers a question of ours, a builder
 * has --version.
 */
#ifndef EXECUTOR_ENVIRONMENT_ASK_H
#define EXECUTOR_ENVIRONMENT_ASK_H

#include "executor/environment_tools.h"

/*
 * Start the tool, wait for at most 10 s, and fill in what it says; one that does not say
 * it is known, and not usable. -1: stop_fd (-1: none) became readable meanwhile; the tool
 * is ended, and not known.
 */
int environment_ask(struct tool *tool, int stop_fd);

#endif
