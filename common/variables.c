#define _GNU_SOURCE /* environ */
#include "common/variables.h"

#include "common/mem.h"
#include "common/strbuf.h"

#include <stdarg.h>
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

static bool is_named(const char *setting, const char *name, size_t length)
{
    return strncmp(setting, name, length) == 0 && setting[length] == '=';
}

const char *variables_find(const struct strvec *list, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = list->count; i > 0; i--) {
        if (is_named(list->items[i - 1], name, length)) {
            return list->items[i - 1] + length + 1;
        }
    }
    return NULL;
}

static void unset(struct strvec *list, const char *name, size_t length)
{
    for (size_t i = list->count; i > 0; i--) {
        if (is_named(list->items[i - 1], name, length)) {
            strvec_remove(list, i - 1);
        }
    }
}

void variables_set(struct strvec *list, const char *setting)
{
    unset(list, setting, strcspn(setting, "="));
    strvec_push(list, setting);
}

void variables_setf(struct strvec *list, const char *format, ...)
{
    CLEANUP_STRBUF struct strbuf setting = STRBUF_INIT;
    va_list args;

    va_start(args, format);
    strbuf_vprintf(&setting, format, args);
    va_end(args);
    variables_set(list, setting.data);
}

void variables_unset(struct strvec *list, const char *name)
{
    unset(list, name, strlen(name));
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
