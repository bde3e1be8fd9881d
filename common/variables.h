/*
 * variables: environments as lists of "NAME=VALUE", and what in them is errand's own.
 * [base]
 *
 * A run's script may use errand itself. What the outer errand told it, in variables that
 * begin with ERRAND_, is nothing for what the inner one starts, nor for who looks into
 * /proc for the processes of a run.
 */
#ifndef COMMON_VARIABLES_H
#define COMMON_VARIABLES_H

#include "common/strvec.h"

#include <stdbool.h>

/* All of errand's own begin with this. */
#define VARIABLES_OWN "ERRAND_"

/* True where text ("NAME" or "NAME=VALUE") is one of errand's own. */
bool variables_is_own(const char *text);

/* Append all others of this process's environment. */
void variables_inherit(struct strvec *out);

/* The value of a variable, borrowed from list; NULL: it is not there. Where it is there
 * twice, the last. */
const char *variables_find(const struct strvec *list, const char *name);
/* "NAME=VALUE" replaces what NAME was. */
void variables_set(struct strvec *list, const char *setting);
void variables_setf(struct strvec *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Remove a variable; one that is not there is success. */
void variables_unset(struct strvec *list, const char *name);

/* Remove errand's own from this process's environment, and overwrite their text, which
 * others of this user can read otherwise. */
void variables_forget(void);

/* Overwrite the value of a variable that held a secret; NULL and what is not set are
 * ignored. */
void variables_wipe(const char *name);

#endif
