/*
 * transport: an open byte stream to an executor on the node.            [controller]
 *
 * A transport is a row in a table: a name and a function that starts the connection. What
 * it gives is a struct link (link.h). The far end runs the bootstrap line (install.h), so
 * what comes first is noise, then a marker.
 *
 * Deadlines: the transport enforces connect and login deadlines; while it asks the user
 * something the clock stands still.
 */
#ifndef CONTROLLER_TRANSPORT_H
#define CONTROLLER_TRANSPORT_H

#include "controller/link.h"
#include "controller/target.h"
#include "controller/terminal.h"

struct transport_options {
    int64_t connect_timeout_ms, login_timeout_ms;
    bool may_ask;              /* questions (host key, password) on the terminal */
    bool want_accept_new;      /* --accept-new: take an unknown host key */
    bool may_fall_back;        /* another transport is tried where link_beyond says so */
    struct terminal *terminal; /* where to ask; borrowed until the link is freed */
    const char *ssh_program;   /* "ssh" */
    const char
        *command; /* the line for the far end's shell (openssh), or NULL for local */
};

struct transport {
    const char *name; /* "local", "openssh", "ssh2" */
    const char *help;
    /* Start connecting; may block for a process start only. Errors: ERR_SPAWN,
     * ERR_CONFIG, ERR_UNSUPPORTED (another transport might do it). */
    struct link *(*open)(const struct target *target,
                         const struct transport_options *options, struct error *err);
};

/* The transport of a name, or for "auto" the one to try first; *out_reason (static) says
 * why. NULL: ERR_CONFIG. */
const struct transport *transport_find(const struct target *target,
                                       const char **out_reason, struct error *err);
/* The one to try next where the target leaves the choice to us ("auto"), once; NULL:
 * none.
 */
const struct transport *transport_fallback(const struct target *target);
const struct transport *
transport_at(size_t i); /* NULL behind the last: for tests and help */
/* Check a name as a target may have it: a row of the table, or "auto". Errors: ERR_USAGE
 * with the names that there are. */
int transport_check_name(const char *name, struct error *err);

#endif
