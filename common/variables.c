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
            mem_wipe(list->items[i - 1],
                     strlen(list->items[i - 1])); /* a secret, perhaps */
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

/* Behind "${SCOPE:" where text has that; NULL: it has not. */
static const char *find_question(const char *text, const char *scope,
                                 const char **out_begin)
{
    size_t length = strlen(scope);

    for (const char *at = text; (at = strstr(at, "${")) != NULL; at += 2) {
        if (strncmp(at + 2, scope, length) == 0 && at[2 + length] == ':') {
            *out_begin = at;
            return at + 2 + length + 1;
        }
    }
    return NULL;
}

bool variables_asks(const char *text, const char *scope)
{
    const char *begin;

    return find_question(text, scope, &begin) != NULL;
}

int variables_expand(const char *text, const char *scope, variables_finder *find,
                     void *context, struct strbuf *out, struct error *err)
{
    const char *begin;
    const char *name;

    while ((name = find_question(text, scope, &begin)) != NULL) {
        size_t length =
            strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789_");
        CLEANUP_FREE char *wanted = xstrndup(name, length);
        const char *value;

        if (length == 0 || name[length] != '}') {
            return error_set(err, ERR_CONFIG, "\"%.60s\": it has the form ${%s:NAME}",
                             begin, scope);
        }
        value = find(context, wanted, err);
        if (value == NULL || strbuf_add(out, text, (size_t)(begin - text), err) < 0 ||
            strbuf_add(out, value, strlen(value), err) < 0) {
            return -1;
        }
        text = name + length + 1;
    }
    return strbuf_add(out, text, strlen(text), err);
}
