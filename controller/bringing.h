/*
 * bringing: a tree goes to a node beside the project: programs, wheels. [controller]
 *
 * PROTOCOL.md, BRING. Only what the node does not have is sent; where it has all of it, a
 * question and an answer.
 */
#ifndef CONTROLLER_BRINGING_H
#define CONTROLLER_BRINGING_H

#include "common/oid.h"
#include "controller/client.h"

/*
 * Send the tree root, whose closure the store of context has, and wait until the node has
 * all of it. what: for people, "sending wheels". *out_bytes: of objects that were sent.
 * is_interrupted may be NULL. Errors: ERR_CANCELED, ERR_LINK (again over another
 * connection), the node's.
 */
int bringing_send(struct command_context *context, struct client *client,
                  const struct oid *root, const char *what, const bool *is_interrupted,
                  uint64_t *out_bytes, struct error *err);

#endif
