/*
 * ssh2_host_key: is the server the one that it should be? [controller]
 *
 * A known key is; a changed or revoked one never is; about one that nobody knows a person
 * decides, or --accept-new, and it is then recorded.
 */
#ifndef CONTROLLER_SSH2_HOST_KEY_H
#define CONTROLLER_SSH2_HOST_KEY_H

#include "controller/known_hosts.h"
#include "controller/ssh_settings.h"
#include "controller/terminal.h"

struct ssh2_host_key_options { /* all borrowed */
    const struct known_hosts *known;
    const struct ssh_settings *settings;
    struct terminal *terminal;
    bool may_ask, want_accept_new;
    const char *where; /* "gpu1 (me@10.1.2.3 port 22)" */
};

/* Judge the server's key; blocks while a person is asked. out: the key, and where it is
 * known, for people; appended in any case. Errors: ERR_HOST_KEY. */
int ssh2_host_key_judge(const struct ssh2_host_key_options *options, const void *key,
                        size_t length, struct strbuf *out, struct error *err);

/* What the files of known hosts say of the host: *out is the caller's, also after an
 * error. Errors: those of reading a file that is there. */
int ssh2_host_key_read_known(const struct ssh_settings *settings,
                             struct known_hosts **out, struct error *err);
/* Why the host's key can only be judged by the ssh program: "a certificate authority in
 * the known hosts"; NULL where it need not be. Static storage. */
const char *ssh2_host_key_beyond(const struct known_hosts *known);

#endif
