/*
 * secrets: what a stage reads from the descriptor on which its supervisor hands them
 * over. [executor]
 */
#ifndef EXECUTOR_SECRETS_H
#define EXECUTOR_SECRETS_H

#include "common/error.h"

/* "NAME=value", for the time of the call. */
typedef void secrets_visitor(void *context, const char *setting);

/* Read them all, from the beginning where the descriptor has one, and wipe what was read.
 * Errors: ERR_LIMIT, ERR_IO. */
int secrets_read(int fd, secrets_visitor *visit, void *context, struct error *err);

#endif
