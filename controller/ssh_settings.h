/*
 * ssh_settings: what the user's configuration of ssh comes to for a target. [controller]
 *
 * `ssh -G` is asked, so that aliases, Match blocks and includes count; without an ssh
 * program the target's own fields do. What the built-in transport cannot follow is told:
 * each line that differs from ssh's own defaults has to be on a list of those that it
 * follows, or that mean nothing to errand.
 */
#ifndef CONTROLLER_SSH_SETTINGS_H
#define CONTROLLER_SSH_SETTINGS_H

#include "common/strvec.h"
#include "controller/target.h"

#include <stdbool.h>
#include <stdint.h>

struct ssh_settings {
    char *hostname, *user;
    uint16_t port;
    int family;               /* AF_UNSPEC, AF_INET, AF_INET6 */
    char *host_key_alias;     /* or NULL */
    struct strvec identities; /* absolute paths; whether they exist is not known */
    bool only_identities;     /* of the agent's keys, only those of the files */
    char *agent;              /* its socket, or NULL */
    struct strvec user_hosts, global_hosts; /* known_hosts files, absolute */
    bool want_hash;                         /* new lines there are hashed */
    bool takes_keys, takes_password, takes_interactive;
    char *beyond; /* the first line that only ssh can follow, "proxyjump b"; NULL: none */
};

/* Append the words of an ssh command line that say where to go, as a person would type
 * them; and all that the target says besides. */
void ssh_settings_push_place(struct strvec *argv, const struct target *target);
void ssh_settings_push(struct strvec *argv, const struct target *target);

/* "ssh -p 2222 gpu1": what a person would type; a fresh string. */
char *ssh_settings_by_hand(const struct target *target, const char *ssh_program);
/* Whether the configuration that the target names can be read: ssh takes a missing one
 * for an empty one. Errors: by errno. */
int ssh_settings_check(const struct target *target, struct error *err);

/* Ask ssh_program, which may block for a moment. Errors: ERR_CONFIG (ssh's own words),
 * ERR_TIMED_OUT. */
int ssh_settings_resolve(struct ssh_settings *out, const struct target *target,
                         const char *ssh_program, struct error *err);
void ssh_settings_release(struct ssh_settings *settings);

/* The same from what `ssh -G` printed for the target, and for the bare host without any
 * configuration. */
void ssh_settings_parse(struct ssh_settings *out, const struct target *target,
                        const char *text, const char *defaults);

#endif
