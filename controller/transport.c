#include "controller/transport.h"

#include "common/mem.h"
#include "controller/transport_table.h"

#include <string.h>

static const struct transport *const transports[] = {
    &transport_local,
    &transport_openssh,
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
    *out_reason = "the target is reached over SSH";
    return &transport_openssh;
}

const struct transport *transport_find(const struct target *target,
                                       const char **out_reason, struct error *err)
{
    if (target->transport == NULL || strcmp(target->transport, "auto") == 0) {
        return choose(target, out_reason);
    }
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        if (strcmp(transports[i]->name, target->transport) == 0) {
            if ((target->host == NULL) != (transports[i] == &transport_local)) {
                error_set(err, ERR_CONFIG, "target %s: transport %s %s", target->name,
                          target->transport,
                          target->host == NULL ? "needs a host" : "takes no host");
                return NULL;
            }
            *out_reason = "the target says so";
            return transports[i];
        }
    }
    error_set(err, ERR_CONFIG, "target %s: there is no transport %s", target->name,
              target->transport);
    error_hint(err, "there are: auto, local, openssh");
    return NULL;
}
