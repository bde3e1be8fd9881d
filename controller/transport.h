/*
 * transport: an open byte stream to an executor on the node.            [controller]
 *
 * A transport is a row in a table: a name and a function that starts the connection. What
 * it gives is a struct link: one descriptor to read, one to write (they may be the same),
 * both non-blocking, to be polled; the far end's own words (stderr); and how to end it.
 * The far end runs the bootstrap line (install.h), so what comes first is noise, then a
 * marker.
 *
 * Deadlines: the transport enforces connect and login deadlines; while it asks the user
 * something the clock stands still.
 */
#ifndef CONTROLLER_TRANSPORT_H
#define CONTROLLER_TRANSPORT_H

#include "controller/target.h"
#include "controller/terminal.h"

struct transport_options {
    int64_t connect_timeout_ms, login_timeout_ms;
    bool may_ask;            /* questions (host key, password) on the terminal */
    bool want_accept_new;    /* --accept-new: take an unknown host key */
    const char *ssh_program; /* "ssh" */
    const char
        *command; /* the line for the far end's shell (openssh), or NULL for local */
};

struct link;

struct transport {
    const char *name; /* "local", "openssh" */
    const char *help;
    /* Start connecting; may block for a process start only. Errors: ERR_SPAWN,
     * ERR_CONFIG. */
    struct link *(*open)(const struct target *target,
                         const struct transport_options *options, struct error *err);
};

/* The transport of a name, or for "auto" the one that fits the target; *out_reason
 * (static) says why. NULL: ERR_CONFIG. */
const struct transport *transport_find(const struct target *target,
                                       const char **out_reason, struct error *err);
const struct transport *
transport_at(size_t i); /* NULL behind the last: for tests and help */

/* The descriptor to read from, non-blocking; the link's. */
int link_read_fd(const struct link *link);
/* The descriptor to write to, non-blocking; the link's. */
int link_write_fd(const struct link *link);
/* No more will be written: the far end sees the end of its input. */
void link_shutdown(struct link *link);
/* End it at once and free it. Never blocks longer than a second. */
void link_free(struct link *link);
DEFINE_CLEANUP_FREE(link)
/*
 * Explain why the stream ended before or without the executor's word: phase, host and
 * port, cause, next step, from the exit status and the last words on stderr (made safe).
 * noise: what came on stdout before the end (may be ""). Always returns -1.
 */
int link_explain(struct link *link, const char *noise, struct error *err);
/* What was negotiated, for `target check`: an object {"host","port","user",...}; NULL
 * where nothing is known. */
struct json *link_facts(const struct link *link);

#endif
