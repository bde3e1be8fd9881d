/*
 * ssh2_login: finds a way in: the agent's keys, key files, then what a person types.
 * [controller]
 *
 * Each key is tried once, those first that cost no question: the agent's (first those
 * that the configuration names), key files without a passphrase, then those with one. A
 * passphrase, a password or an answer comes from a terminal or from the environment
 * variable that the target names, never from a command line.
 */
#ifndef CONTROLLER_SSH2_LOGIN_H
#define CONTROLLER_SSH2_LOGIN_H

#include "controller/ssh2_session.h"
#include "controller/ssh_settings.h"
#include "controller/terminal.h"

struct ssh2_login_options {
    const struct ssh_settings *settings; /* borrowed, as all of these */
    struct terminal *terminal;
    bool may_ask;
    bool may_fall_back;       /* what only ssh can do is left to it, before questions */
    const char *password_env; /* or NULL */
    const char *place;        /* "me@gpu1", for questions */
};

struct ssh2_login;

/* Looks at the agent and the key files; blocks for the agent's answer. */
struct ssh2_login *ssh2_login_new(struct ssh2_session *session,
                                  const struct ssh2_login_options *options);
void ssh2_login_free(struct ssh2_login *login);
DEFINE_CLEANUP_FREE(ssh2_login)

/* Go on; blocks while a person is asked. SSH2_FAILED: see ssh2_login_explain, or, where
 * the session broke, ssh2_session_cause. */
enum ssh2_step ssh2_login_step(struct ssh2_login *login);
/* How long people were asked so far. */
int64_t ssh2_login_asked_ns(const struct ssh2_login *login);
/* What got in: "publickey: /home/me/.ssh/id_ed25519". Borrowed. */
const char *ssh2_login_way(const struct ssh2_login *login);
/* What was tried, and what the server takes: a part of a sentence, appended to out; what
 * would help, where that is known: appended to hint. Returns a way in that only the ssh
 * program has ("a security key"), or NULL; static storage. */
const char *ssh2_login_explain(const struct ssh2_login *login, struct strbuf *out,
                               struct strbuf *hint);
/* Whether the last failure is that of the session and not of the login. */
bool ssh2_login_is_broken(const struct ssh2_login *login);

#endif
