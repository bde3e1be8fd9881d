/*
 * The ssh program as a child. All that the user configured for ssh counts: aliases,
 * ProxyJump, keys, certificates, agents. ssh itself asks on the terminal, where there is
 * one; without one it runs in batch mode.
 */
#include "controller/link_process.h"
#include "controller/openssh_explain.h"
#include "controller/ssh_settings.h"
#include "controller/ssh_words.h"
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
/* What a server says on stderr must not fill our disk; ssh writes nothing else as large.
 */
#define WORDS_MAX ((uint64_t)64 << 20)

struct openssh {
    char *target, *settings, *host;
    struct strvec resolve; /* the `ssh -G` that tells what the settings come to */
    char *by_hand;         /* what a person would type to get there */
    bool may_ask;
};

static void free_openssh(void *context)
{
    struct openssh *o = context;
    free(o->target);
    free(o->settings);
    free(o->host);
    free(o->by_hand);
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

/* "me@10.1.2.3 port 22" of what `ssh -G` printed: append. */
static void append_address(const struct strbuf *settings, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf host = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf port = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf user = STRBUF_INIT;
    (void)resolved_value(settings->data, "hostname", &host);
    (void)resolved_value(settings->data, "port", &port);
    (void)resolved_value(settings->data, "user", &user);
    strbuf_printf(out, "%s@%s port %s", user.data, host.data, port.data);
}

/* "gpu1 (me@10.1.2.3 port 22)": append. */
static void append_where(const struct openssh *o, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf settings = STRBUF_INIT;
    strbuf_printf(out, "%s (", o->target);
    if (resolve(o, &settings)) {
        append_address(&settings, out);
    } else {
        strbuf_puts(out, o->host);
    }
    strbuf_putc(out, ')');
}

static void add_fact(struct json *facts, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_add_string(facts, key, text);
    }
}

/* As add_fact, less what begins with one of these words: what is as always. */
static void add_fact_until(struct json *facts, const char *key, const char *text,
                           const char *const *ends)
{
    CLEANUP_FREE char *copy = text != NULL ? xstrdup(text) : NULL;
    for (size_t i = 0; copy != NULL && ends[i] != NULL; i++) {
        char *end = strstr(copy, ends[i]);
        if (end != NULL) {
            *end = '\0';
        }
    }
    add_fact(facts, key, copy);
}

static void add_host_key(struct json *facts, const struct ssh_words *words)
{
    if (words->host_key == NULL) {
        return;
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, words->host_key);
    if (words->found_in != NULL) {
        strbuf_printf(&text, ", known in %s", words->found_in);
    } else if (ssh_words_find(words, "Permanently added") != NULL) {
        strbuf_puts(&text, ", new: added to the known hosts");
    }
    add_fact(facts, "host_key", text.data);
}

static struct json *describe(const void *context, const char *text)
{
    const struct openssh *o = context;
    struct ssh_words words;
    CLEANUP_STRBUF struct strbuf settings = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf jump = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf address = STRBUF_INIT;
    ssh_words_read(&words, text);
    struct json *facts = json_new_object();
    if (resolve(o, &settings)) {
        append_address(&settings, &address);
        add_fact(facts, "address", address.data);
        (void)(resolved_value(settings.data, "proxyjump", &jump) ||
               resolved_value(settings.data, "proxycommand", &jump));
        add_fact(facts, "jump_host", jump.data);
    }
    add_fact(facts, "server", words.software);
    if (words.is_multiplexed) {
        add_fact(facts, "shared", "over the connection that your ssh keeps open");
    }
    add_host_key(facts, &words);
    add_fact(facts, "key_exchange", words.key_exchange);
    add_fact_until(facts, "cipher", words.cipher,
                   (const char *const[]){" MAC: <implicit>", " compression: none", NULL});
    CLEANUP_FREE char *login = words.method != NULL && words.accepted_key != NULL
                                   ? xasprintf("%s, %s", words.method, words.accepted_key)
                                   : NULL;
    add_fact_until(facts, "login", login != NULL ? login : words.method,
                   (const char *const[]){" explicit", NULL});
    ssh_words_release(&words);
    return facts;
}

/* ssh asks about an unknown key, for a passphrase or a password between these. */
static bool may_be_asking(const void *context, const char *text)
{
    const struct openssh *o = context;
    struct ssh_words words;
    ssh_words_read(&words, text);
    bool asks = words.phase == SSH_CHECKS_KEY || words.phase == SSH_LOGS_IN ||
                (words.has_proxy && words.phase == SSH_CONNECTS);
    ssh_words_release(&words);
    return o->may_ask && asks;
}

static int explain(const void *context, const struct process_end *end, struct error *err)
{
    const struct openssh *o = context;
    CLEANUP_STRBUF struct strbuf where = STRBUF_INIT;
    append_where(o, &where);
    const struct openssh_story story = {
        .where = where.data,
        .by_hand = o->by_hand,
        .target = o->target,
        .settings = o->settings,
        .may_ask = o->may_ask,
    };
    return openssh_explain(&story, end, err);
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
    strvec_push(argv, "-oLogLevel=DEBUG1"); /* ssh_words.h reads it */
    strvec_pushf(argv, "-oBatchMode=%s", options->may_ask ? "no" : "yes");
    strvec_pushf(argv, "-oStrictHostKeyChecking=%s",
                 options->want_accept_new ? "accept-new"
                                          : (options->may_ask ? "ask" : "yes"));
}

static struct link *open_openssh(const struct target *target,
                                 const struct transport_options *options,
                                 struct error *err)
{
    if (ssh_settings_check(target, err) != 0) {
        return NULL;
    }
    struct openssh *o = xcalloc(1, sizeof *o);
    o->target = xstrdup(target->name);
    o->settings = xstrdup(target->settings);
    o->host = xstrdup(target->host);
    o->by_hand = ssh_settings_by_hand(target, options->ssh_program);
    o->may_ask = options->may_ask;
    strvec_push(&o->resolve, options->ssh_program);
    strvec_push(&o->resolve, "-G");
    ssh_settings_push(&o->resolve, target);
    strvec_push(&o->resolve, "--");
    strvec_push(&o->resolve, target->host);

    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    strvec_push(&argv, options->ssh_program);
    ssh_settings_push(&argv, target);
    push_connection(&argv, options);
    strvec_push(&argv, "--");
    strvec_push(&argv, target->host);
    strvec_push(&argv, options->command);
    struct link_process_options process = {
        .argv = strvec_argv(&argv),
        .has_terminal = options->may_ask,
        .words_max_bytes = WORDS_MAX,
        .explain = explain,
        .describe = describe,
        .may_be_asking = may_be_asking,
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
