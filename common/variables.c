#define _GNU_SOURCE /* environ */
#include "common/variables.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool variables_is_own(const char *text)
{
    return strncmp(text, VARIABLES_OWN, strlen(VARIABLES_OWN)) == 0;
}

void variables_inherit(struct strvec *out)
{
    for (char *const *e = environ; *e != NULL; e++) {
        if (!variables_is_own(*e)) {
            strvec_push(out, *e);
        }
    }
}

void variables_forget(void)
{
    for (char **e = environ; *e != NULL;) {
        char *text = *e;
        CLEANUP_FREE char *name = xstrndup(text, strcspn(text, "="));

        if (!variables_is_own(text) || unsetenv(name) != 0) {
            e++;
            continue;
        }
        mem_wipe(text, strlen(text)); /* what follows it in environ moved up */
    }
}

void variables_wipe(const char *name)
{
    char *value = name != NULL ? getenv(name) : NULL;

    if (value != NULL) {
        mem_wipe(value, strlen(value));
    }
}
