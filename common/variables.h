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

#include "common/strbuf.h"
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

/*
 * Append text with each "${SCOPE:NAME}" replaced by what find says of NAME (borrowed by
 * us until the next call; NULL: the error is find's). All else stays as it is. Errors:
 * ERR_CONFIG (no name, no brace at the end), find's.
 */
typedef const char *variables_finder(void *context, const char *name, struct error *err);
int variables_expand(const char *text, const char *scope, variables_finder *find,
                     void *context, struct strbuf *out, struct error *err);
/* True where text ("NAME=VALUE" or a value) asks for a variable of that side. */
bool variables_asks(const char *text, const char *scope);
#define VARIABLES_HERE "controller" /* ${controller:NAME}: where errand was called */
#define VARIABLES_THERE "node"      /* ${node:NAME}: where the script runs */

/* Remove errand's own from this process's environment, and overwrite their text, which
 * others of this user can read otherwise. */
void variables_forget(void);

/* Overwrite the value of a variable that held a secret; NULL and what is not set are
 * ignored. */
void variables_wipe(const char *name);

#endif
