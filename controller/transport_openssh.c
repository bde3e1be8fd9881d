/*
 * The ssh program as a child. All that the user configured for ssh counts: aliases,
 * ProxyJump, keys, certificates, agents. ssh itself asks on the terminal, where there is
 * one; without one it runs in batch mode.
 */
#include "controller/link_process.h"
#include "controller/transport_table.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/strvec.h"
#include "common/subprocess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define RESOLVE_TIMEOUT_MS 10000
#define SSH_OWN_FAILURE 255

struct openssh {
    char *target, *host;
    struct strvec resolve; /* the `ssh -G` that tells what the settings come to */
    bool may_ask;
};

static void free_openssh(void *context)
{
    struct openssh *o = context;
    free(o->target);
    free(o->host);
    strvec_release(&o->resolve);
    free(o);
}

/* The value of a line "key value" in what `ssh -G` printed: append to out. */
static bool resolved_value(const char *text, const char *key, struct strbuf *out)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            const char *value = line + length + 1;
            size_t size = end != NULL ? (size_t)(end - value) : strlen(value);
            terminal_make_safe(value, size, out);
            return true;
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static bool resolve(const struct openssh *o, struct strbuf *out)
{
    int status = 0;
    struct strvec argv = o->resolve;
    return subprocess_capture((const char *const *)strvec_argv(&argv), out, NULL,
                              RESOLVE_TIMEOUT_MS, &status, NULL) == 0 &&
           WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct json *describe(const void *context)
{
    static const char *const keys[] = {"hostname",  "port",         "user",
                                       "proxyjump", "proxycommand", "controlpath"};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (!resolve(context, &text)) {
        return NULL;
    }
    struct json *facts = json_new_object();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        CLEANUP_STRBUF struct strbuf value = STRBUF_INIT;
        if (resolved_value(text.data, keys[i], &value)) {
            json_add_string(facts, keys[i], value.data);
        }
    }
    return facts;
}

/* What ssh says when it fails, what that is, and what to do: the first row whose words
 * occur counts. */
static const struct failure {
    const char *words;
    enum error_code code;
    const char *phase, *hint;
} failures[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", ERR_HOST_KEY, "host key",
     "the machine was set up anew, or somebody is in between: find out which; if it is "
     "right, remove the old key with "
     "ssh-keygen -R and try again"},
    {"is marked as revoked", ERR_HOST_KEY, "host key",
     "this key was revoked: do not connect; ask the administrator"},
    {"Host key verification failed", ERR_HOST_KEY, "host key",
     "the key is not known here: connect once from a terminal and check its fingerprint, "
     "or use --accept-new"},
    {"No matching host key", ERR_HOST_KEY, "host key",
     "the two ends share no kind of host key: see HostKeyAlgorithms"},
    {"no matching host key type found", ERR_HOST_KEY, "handshake",
     "see HostKeyAlgorithms in ssh_config(5)"},
    {"no matching", ERR_CONNECT, "handshake",
     "the two ends share no algorithm: see ssh_config(5)"},
    {"Permission denied", ERR_LOGIN, "login",
     "check user, key and agent: ssh-add -l; errand target add has --identity FILE; a "
     "password can be asked for on a "
     "terminal only"},
    {"Too many authentication failures", ERR_LOGIN, "login",
     "the agent offered too many keys: name one with --identity FILE"},
    {"Could not resolve hostname", ERR_CONNECT, "resolve",
     "check the host's name: errand target list"},
    {"Connection refused", ERR_CONNECT, "connect",
     "is sshd running there, and is the port right?"},
    {"timed out", ERR_CONNECT, "connect",
     "is the machine up, and does a firewall let the port through?"},
    {"No route to host", ERR_CONNECT, "connect",
     "is the machine up and the network right?"},
    {"Network is unreachable", ERR_CONNECT, "connect", "is this machine's network up?"},
    {"Not allowed at this time", ERR_CONNECT, "connect",
     "the server penalises this address for earlier failures: wait a minute"},
    {"Connection closed by", ERR_CONNECT, "handshake",
     "the server hung up: too many connections at once (MaxStartups), or it does not "
     "want this address"},
    {"Connection reset", ERR_CONNECT, "handshake",
     "the server hung up: too many connections at once (MaxStartups), or it does not "
     "want this address"},
    {"Bad configuration option", ERR_CONFIG, "configuration",
     "mend ~/.ssh/config, or name another with --ssh-config"},
    {"Bad owner or permissions", ERR_CONFIG, "configuration", "chmod 600 ~/.ssh/config"},
    {"UNPROTECTED PRIVATE KEY", ERR_LOGIN, "login", "chmod 600 the key file"},
};

static const struct failure *find_failure(const char *words)
{
    for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
        if (strstr(words, failures[i].words) != NULL) {
            return &failures[i];
        }
    }
    return NULL;
}

/* "gpu1 (me@10.1.2.3 port 22)": append. */
static void append_where(const struct openssh *o, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_puts(out, o->target);
    if (!resolve(o, &text)) {
        strbuf_printf(out, " (%s)", o->host);
        return;
    }
    CLEANUP_STRBUF struct strbuf host = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf port = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf user = STRBUF_INIT;
    (void)resolved_value(text.data, "hostname", &host);
    (void)resolved_value(text.data, "port", &port);
    (void)resolved_value(text.data, "user", &user);
    strbuf_printf(out, " (%s@%s port %s)", user.data, host.data, port.data);
}

/* The last line of ssh's words that says something, as the cause. */
static const char *last_line(const char *words)
{
    const char *newline = strrchr(words, '\n');
    return newline != NULL && newline[1] != '\0' ? newline + 1 : words;
}

static int explain(const void *context, int status, const char *words, const char *noise,
                   struct error *err)
{
    const struct openssh *o = context;
    CLEANUP_STRBUF struct strbuf where = STRBUF_INIT;
    append_where(o, &where);
    const struct failure *failure = find_failure(words);
    if (failure != NULL && WIFEXITED(status) && WEXITSTATUS(status) == SSH_OWN_FAILURE) {
        error_set(err, failure->code, "%s: %s: %s", where.data, failure->phase,
                  failure->code == ERR_HOST_KEY ? words : last_line(words));
        return error_hint(err, "%s", failure->hint);
    }
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    subprocess_describe_status(status, &how);
    const char *said = words[0] != '\0' ? last_line(words) : noise;
    error_set(err, ERR_LINK,
              "%s: the connection ended before the executor answered: ssh %s%s%s",
              where.data, how.data, said[0] != '\0' ? ": " : "", said);
    return error_hint(err, "try it by hand: ssh %s true", o->host);
}

/* The options that `ssh -G` and the connection share. */
static void push_settings(struct strvec *argv, const struct target *target)
{
    if (target->ssh_config != NULL) {
        strvec_push(argv, "-F");
        strvec_push(argv, target->ssh_config);
    }
    if (target->port != 0) {
        strvec_pushf(argv, "-p%lld", (long long)target->port);
    }
    if (target->identity != NULL) {
        strvec_push(argv, "-i");
        strvec_push(argv, target->identity);
        strvec_push(argv, "-oIdentitiesOnly=yes");
    }
    if (target->known_hosts != NULL) {
        strvec_pushf(argv, "-oUserKnownHostsFile=\"%s\"", target->known_hosts);
        strvec_push(argv, "-oGlobalKnownHostsFile=/dev/null");
    }
}

static void push_connection(struct strvec *argv, const struct transport_options *options)
{
    int64_t connect_s = (options->connect_timeout_ms + 999) / 1000;
    strvec_pushf(argv, "-oConnectTimeout=%lld",
                 (long long)(connect_s > 0 ? connect_s : 1));
    strvec_push(argv, "-oServerAliveInterval=15");
    strvec_push(argv, "-oServerAliveCountMax=3");
    strvec_push(argv, "-oEscapeChar=none");
    strvec_push(argv, "-oForwardAgent=no");
    strvec_push(argv, "-oForwardX11=no");
    strvec_push(argv, "-oClearAllForwardings=yes");
    strvec_push(argv, "-oRequestTTY=no");
    strvec_push(argv, "-oRemoteCommand=none");
    strvec_push(argv, "-oLogLevel=ERROR");
    strvec_pushf(argv, "-oBatchMode=%s", options->may_ask ? "no" : "yes");
    strvec_pushf(argv, "-oStrictHostKeyChecking=%s",
                 options->want_accept_new ? "accept-new"
                                          : (options->may_ask ? "ask" : "yes"));
}

static struct link *open_openssh(const struct target *target,
                                 const struct transport_options *options,
                                 struct error *err)
{
    struct openssh *o = xcalloc(1, sizeof *o);
    o->target = xstrdup(target->name);
    o->host = xstrdup(target->host);
    o->may_ask = options->may_ask;
    strvec_push(&o->resolve, options->ssh_program);
    strvec_push(&o->resolve, "-G");
    push_settings(&o->resolve, target);
    strvec_push(&o->resolve, "--");
    strvec_push(&o->resolve, target->host);

    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    strvec_push(&argv, options->ssh_program);
    push_settings(&argv, target);
    push_connection(&argv, options);
    strvec_push(&argv, "--");
    strvec_push(&argv, target->host);
    strvec_push(&argv, options->command);
    struct link_process_options process = {
        .argv = strvec_argv(&argv),
        .explain = explain,
        .describe = describe,
        .context = o,
        .free_context = free_openssh,
    };
    struct link *link = link_process_open(&process, err);
    if (link == NULL && err != NULL && err->code == ERR_SPAWN) {
        error_hint(err, "install OpenSSH's client (apt-get install openssh-client)");
    }
    return link;
}

const struct transport transport_openssh = {
    .name = "openssh",
    .help = "the ssh program, with all that ~/.ssh/config says",
    .open = open_openssh,
};
