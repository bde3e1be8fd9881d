/*
 * submission_inside: what submission.c (the snapshot, the record) and submission_send.c
 * share; for them alone.                                                    [controller]
 */
#ifndef CONTROLLER_SUBMISSION_INSIDE_H
#define CONTROLLER_SUBMISSION_INSIDE_H

#include "controller/submission.h"

/*
 * The node has all of the snapshot: the next submission to it is compared with this one,
 * as soon as the snapshot is kept here, too. What goes wrong is told as a warning.
 */
void submission_note_base(struct submission *s, struct command_context *context,
                          struct client *client, const struct target *target);

#endif
