/*
 * secrets: what a stage reads from the descriptor on which its supervisor hands them
 * over. [executor]
 */
#ifndef EXECUTOR_SECRETS_H
#define EXECUTOR_SECRETS_H

#include "common/error.h"

#include <stddef.h>

/*
 * A descriptor from which another process reads them ("NAME=value" NUL ...), from its
 * beginning: memory where the kernel has memfd_create (Linux 3.17), else a pipe made
 * large enough. Nothing is allocated. Errors: ERR_LIMIT, ERR_IO.
 */
int secrets_open(const void *settings, size_t length, struct error *err);

/* "NAME=value", for the time of the call. */
typedef void secrets_visitor(void *context, const char *setting);

/* Read them all, from the beginning where the descriptor has one, and wipe what was read.
 * Errors: ERR_LIMIT, ERR_IO. */
int secrets_read(int fd, secrets_visitor *visit, void *context, struct error *err);

#endif
