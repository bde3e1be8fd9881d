/*
 * background: what goes on once a command is over.            [controller]
 *
 * In a process that has left all that the command was in: its session, descriptors,
 * folder and run.
 */
#ifndef CONTROLLER_BACKGROUND_H
#define CONTROLLER_BACKGROUND_H

/*
 * Fork. 1: this is the child, which has left, and never returns to what the command was
 * doing; 0: this is the parent, and the child has left; -1: there is no child. argv:
 * main's, whose place in memory gets the title; secret: a variable whose value is wiped
 * in the child, or NULL.
 */
int background_leave(char **argv, const char *title, const char *secret);

#endif
