#include "controller/ssh2_host_key.h"

#include "controller/ssh2_session.h"

#include <string.h>
#include <strings.h>

static void append_key(struct strbuf *out, const void *key, size_t length)
{
    (void)known_hosts_key_kind(out, key, length);
    strbuf_putc(out, ' ');
    known_hosts_fingerprint(out, key, length);
}

static int refuse_changed(const struct ssh2_host_key_options *o, const char *key,
                          const struct known_hosts_line *line, struct error *err)
{
    CLEANUP_STRBUF struct strbuf old = STRBUF_INIT;
    append_key(&old, line->key, line->key_length);
    error_set(err, ERR_HOST_KEY,
              "the server's key has CHANGED: it is %s, but %s:%zu has %s", key,
              line->path, line->number, old.data);
    return error_hint(err,
                      "the machine was set up anew, or somebody is in between: find out "
                      "which; if it is right, ssh-keygen -R '%s' -f '%s' and try again",
                      known_hosts_name(o->known), line->path);
}

static int refuse_revoked(const char *key, const struct known_hosts_line *line,
                          struct error *err)
{
    error_set(err, ERR_HOST_KEY, "the server's key %s is marked as revoked in %s:%zu",
              key, line->path, line->number);
    return error_hint(err, "do not connect; ask the administrator");
}

/* Show the key, and ask until the answer is yes, no or the key's fingerprint. */
static bool ask(const struct ssh2_host_key_options *o, const char *key)
{
    const char *fingerprint = strchr(key, ' ');
    terminal_show(o->terminal, "%s: the server's key is not known here:", o->where);
    terminal_show(o->terminal, "  %s", key);
    for (;;) {
        CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
        if (terminal_ask_line(o->terminal,
                              "Is that the right key (yes/no, or its fingerprint)? ",
                              true, &answer, NULL) != 0 ||
            strcasecmp(answer.data, "no") == 0) {
            return false;
        }
        if (strcasecmp(answer.data, "yes") == 0 ||
            (fingerprint != NULL && strcmp(answer.data, fingerprint + 1) == 0)) {
            return true;
        }
    }
}

static void record(const struct ssh2_host_key_options *o, const void *key, size_t length,
                   struct strbuf *out)
{
    struct error err = ERROR_INIT;
    if (o->settings->user_hosts.count == 0) {
        return;
    }
    const char *path = o->settings->user_hosts.items[0];
    if (known_hosts_add(o->known, path, key, length, o->settings->want_hash, &err) != 0) {
        terminal_warn(o->terminal, "the host key was not recorded: %s", err.text);
        return;
    }
    strbuf_printf(out, ", new: added to %s", path);
}

static int judge_unknown(const struct ssh2_host_key_options *o, const void *key,
                         size_t length, struct strbuf *out, struct error *err)
{
    bool is_asked = !o->want_accept_new && o->may_ask;
    if (o->want_accept_new || (is_asked && ask(o, out->data))) {
        record(o, key, length, out);
        return 0;
    }
    error_set(err, ERR_HOST_KEY, "the server's key %s %s", out->data,
              is_asked ? "was not accepted; nothing was sent" : "is not known here");
    return error_hint(err, "compare it with the one that the administrator names, then "
                           "connect once from a terminal, or use --accept-new");
}

int ssh2_host_key_judge(const struct ssh2_host_key_options *o, const void *key,
                        size_t length, struct strbuf *out, struct error *err)
{
    struct known_hosts_line line;
    append_key(out, key, length);
    switch (known_hosts_check(o->known, key, length, &line)) {
    case KNOWN_HOSTS_KNOWN:
        strbuf_printf(out, ", known in %s:%zu", line.path, line.number);
        return 0;
    case KNOWN_HOSTS_CHANGED:
        return refuse_changed(o, out->data, &line, err);
    case KNOWN_HOSTS_REVOKED:
        return refuse_revoked(out->data, &line, err);
    case KNOWN_HOSTS_UNKNOWN:
        break;
    }
    return judge_unknown(o, key, length, out, err);
}

int ssh2_host_key_read_known(const struct ssh_settings *settings,
                             struct known_hosts **out, struct error *err)
{
    const struct strvec *lists[] = {&settings->user_hosts, &settings->global_hosts};
    *out = settings->host_key_alias != NULL
               ? known_hosts_new(settings->host_key_alias, 0)
               : known_hosts_new(settings->hostname, settings->port);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (size_t k = 0; k < lists[i]->count; k++) {
            if (known_hosts_read(*out, lists[i]->items[k], err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

const char *ssh2_host_key_beyond(const struct known_hosts *known)
{
    const char *kind = NULL;
    bool has_taken = false;
    for (size_t i = 0; (kind = known_hosts_kind(known, i)) != NULL; i++) {
        has_taken = has_taken || ssh2_session_takes_kind(kind);
    }
    if (has_taken) {
        return NULL;
    }
    if (known_hosts_has_authority(known)) {
        return "a certificate authority in the known hosts";
    }
    return known_hosts_kind(known, 0) != NULL ? "the kind of the host's known key" : NULL;
}
