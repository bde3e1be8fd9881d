#include "controller/transport.h"

#include "common/mem.h"
#include "common/strbuf.h"
#include "controller/transport_table.h"

#include <string.h>

#define AUTO "auto"

static const struct transport *const transports[] = {
    &transport_local,
    &transport_openssh,
    &transport_ssh2,
};

const struct transport *transport_at(size_t i)
{
    return i < ARRAY_SIZE(transports) ? transports[i] : NULL;
}

/* auto: what fits the target. */
static const struct transport *choose(const struct target *target,
                                      const char **out_reason)
{
    if (target->host == NULL) {
        *out_reason = "the target is this machine";
        return &transport_local;
    }
    *out_reason = "built in; nothing in your ssh configuration needs another";
    return &transport_ssh2;
}

static bool is_auto(const struct target *target)
{
    return target->transport == NULL || strcmp(target->transport, AUTO) == 0;
}

const struct transport *transport_fallback(const struct target *target)
{
    return target->host != NULL && is_auto(target) ? &transport_openssh : NULL;
}

int transport_check_name(const char *name, struct error *err)
{
    CLEANUP_STRBUF struct strbuf names = STRBUF_INIT;
    strbuf_puts(&names, AUTO);
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        if (strcmp(transports[i]->name, name) == 0) {
            return 0;
        }
        strbuf_printf(&names, ", %s", transports[i]->name);
    }
    if (strcmp(name, AUTO) == 0) {
        return 0;
    }
    error_set(err, ERR_USAGE, "there is no transport \"%s\"", name);
    return error_hint(err, "there are: %s", names.data);
}

const struct transport *transport_find(const struct target *target,
                                       const char **out_reason, struct error *err)
{
    if (target->host == NULL || is_auto(target)) {
        return choose(target, out_reason);
    }
    struct error unknown = ERROR_INIT;
    if (transport_check_name(target->transport, &unknown) != 0) {
        error_set(err, ERR_CONFIG, "target %s: %s", target->name, unknown.text);
        error_hint(err, "%s", unknown.hint);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        if (strcmp(transports[i]->name, target->transport) == 0) {
            *out_reason = "the target says so";
            return transports[i];
        }
    }
    return NULL;
}
