#define _GNU_SOURCE /* getpwuid's pw_dir, strsep */
#include "controller/ssh_settings.h"

#include "common/bytes.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/subprocess.h"
#include "controller/terminal.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESOLVE_TIMEOUT_MS 10000
#define SSH_PORT 22

void ssh_settings_push_place(struct strvec *argv, const struct target *target)
{
    if (target->ssh_config != NULL) {
        strvec_push(argv, "-F");
        strvec_push(argv, target->ssh_config);
    }
    if (target->port != 0) {
        strvec_push(argv, "-p");
        strvec_pushf(argv, "%lld", (long long)target->port);
    }
    if (target->identity != NULL) {
        strvec_push(argv, "-i");
        strvec_push(argv, target->identity);
    }
}

void ssh_settings_push(struct strvec *argv, const struct target *target)
{
    ssh_settings_push_place(argv, target);
    if (target->identity != NULL) {
        strvec_push(argv, "-oIdentitiesOnly=yes");
    }
    if (target->known_hosts != NULL) {
        strvec_pushf(argv, "-oUserKnownHostsFile=\"%s\"", target->known_hosts);
        strvec_push(argv, "-oGlobalKnownHostsFile=/dev/null");
    }
}

char *ssh_settings_by_hand(const struct target *target, const char *ssh_program)
{
    CLEANUP_STRVEC struct strvec words = STRVEC_INIT;
    struct strbuf text = STRBUF_INIT;
    strvec_push(&words, ssh_program);
    ssh_settings_push_place(&words, target);
    strvec_push(&words, target->host);
    for (size_t i = 0; i < words.count; i++) {
        strbuf_puts(&text, i > 0 ? " " : "");
        subprocess_quote(&text, words.items[i]);
    }
    return strbuf_detach(&text);
}

static int name_another(const struct target *target, struct error *err)
{
    return error_hint(err, "mend it, or name another: set ssh_config: in %s",
                      target->settings);
}

int ssh_settings_check(const struct target *target, struct error *err)
{
    if (target->ssh_config == NULL || access(target->ssh_config, R_OK) == 0) {
        return 0;
    }
    (void)error_sys(err, "%s: configuration: read %s", target->name, target->ssh_config);
    return name_another(target, err);
}

/* Reading one line's value; false: this value is beyond us. */
struct reading {
    struct ssh_settings *settings;
    const struct target *target;
};
typedef bool line_reader(struct reading *reading, const char *value);

static const char *home_folder(void)
{
    const struct passwd *me = getpwuid(getuid()); /* as ssh: not $HOME */
    return me != NULL ? me->pw_dir : "/";
}

/* A path with ~ and the tokens of ssh_config(5) that mean the two ends: false for others.
 */
static bool expand(const struct ssh_settings *s, const char *path, struct strbuf *out)
{
    if (path[0] == '~' && path[1] != '/') {
        return false;
    }
    if (path[0] == '~') {
        strbuf_puts(out, home_folder());
        path++;
    }
    for (; *path != '\0'; path++) {
        const struct passwd *me = NULL;
        if (*path == '$') {
            return false;
        }
        if (*path != '%') {
            strbuf_putc(out, *path);
            continue;
        }
        switch (*++path) {
        case '%':
            strbuf_putc(out, '%');
            break;
        case 'd':
            strbuf_puts(out, home_folder());
            break;
        case 'h':
            strbuf_puts(out, s->hostname);
            break;
        case 'r':
            strbuf_puts(out, s->user);
            break;
        case 'p':
            strbuf_printf(out, "%u", (unsigned)s->port);
            break;
        case 'u':
            me = getpwuid(getuid());
            strbuf_puts(out, me != NULL ? me->pw_name : "");
            break;
        default:
            return false;
        }
    }
    return true;
}

static bool add_path(struct ssh_settings *s, const char *path, struct strvec *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (strcmp(path, "none") == 0) {
        return true;
    }
    if (!expand(s, path, &text) || text.data[0] != '/') {
        return false;
    }
    strvec_push(out, text.data);
    return true;
}

static bool add_paths(struct ssh_settings *s, const char *value, struct strvec *out)
{
    CLEANUP_FREE char *copy = xstrdup(value);
    char *rest = copy;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (word[0] != '\0' && !add_path(s, word, out)) {
            return false;
        }
    }
    return true;
}

static bool is_yes(const char *value)
{
    return strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
}

static bool read_identity(struct reading *r, const char *value)
{
    return add_path(r->settings, value, &r->settings->identities);
}

static bool read_only_identities(struct reading *r, const char *value)
{
    r->settings->only_identities = is_yes(value);
    return true;
}

static bool read_agent(struct reading *r, const char *value)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    if (strcmp(value, "SSH_AUTH_SOCK") == 0) {
        return true;
    }
    free(TAKE_PTR(r->settings->agent));
    if (strcmp(value, "none") == 0) {
        return true;
    }
    if (!expand(r->settings, value, &path)) {
        return false;
    }
    r->settings->agent = strbuf_detach(&path);
    return true;
}

static bool read_user_hosts(struct reading *r, const char *value)
{
    if (r->target->known_hosts != NULL) { /* a path, which may have spaces */
        strvec_push(&r->settings->user_hosts, r->target->known_hosts);
        return true;
    }
    return add_paths(r->settings, value, &r->settings->user_hosts);
}

static bool read_global_hosts(struct reading *r, const char *value)
{
    return add_paths(r->settings, value, &r->settings->global_hosts);
}

static bool read_hash(struct reading *r, const char *value)
{
    r->settings->want_hash = is_yes(value);
    return true;
}

static bool read_alias(struct reading *r, const char *value)
{
    free(r->settings->host_key_alias);
    r->settings->host_key_alias = xstrdup(value);
    return true;
}

static bool read_keys(struct reading *r, const char *value)
{
    r->settings->takes_keys = is_yes(value);
    return is_yes(value) || strcmp(value, "no") == 0 || strcmp(value, "false") == 0;
}

static bool read_password(struct reading *r, const char *value)
{
    r->settings->takes_password = is_yes(value);
    return true;
}

static bool read_interactive(struct reading *r, const char *value)
{
    r->settings->takes_interactive = is_yes(value);
    return true;
}

static bool read_family(struct reading *r, const char *value)
{
    r->settings->family = strcmp(value, "inet") == 0    ? AF_INET
                          : strcmp(value, "inet6") == 0 ? AF_INET6
                                                        : AF_UNSPEC;
    return true;
}

/* Only with a ticket would ssh log in that way. */
static bool read_gssapi(struct reading *r, const char *value)
{
    char cache[64];
    (void)r;
    (void)snprintf(cache, sizeof cache, "/tmp/krb5cc_%ld", (long)getuid());
    return !is_yes(value) || (getenv("KRB5CCNAME") == NULL && access(cache, F_OK) != 0);
}

/* A connection that the user's own ssh keeps open is the fastest one there is. */
static bool read_control_path(struct reading *r, const char *value)
{
    struct stat st;
    (void)r;
    return stat(value, &st) != 0 || !S_ISSOCK(st.st_mode);
}

static bool pass_over(struct reading *r, const char *value)
{
    (void)r;
    (void)value;
    return true;
}

/*
 * The lines that the built-in transport follows, or that mean nothing to errand: it asks
 * for no terminal, forwards nothing, has its own keepalive, and decides itself what an
 * unknown host key means.
 */
static const struct {
    const char *key;
    line_reader *read;
} lines[] = {
    {"addressfamily", read_family},
    {"batchmode", pass_over},
    {"clearallforwardings", pass_over},
    {"connectionattempts", pass_over},
    {"connecttimeout", pass_over},
    {"controlmaster", pass_over},
    {"controlpath", read_control_path},
    {"controlpersist", pass_over},
    {"dynamicforward", pass_over},
    {"enableescapecommandline", pass_over},
    {"escapechar", pass_over},
    {"exitonforwardfailure", pass_over},
    {"fingerprinthash", pass_over},
    {"forkafterauthentication", pass_over},
    {"forwardagent", pass_over},
    {"forwardx11", pass_over},
    {"forwardx11timeout", pass_over},
    {"forwardx11trusted", pass_over},
    {"gatewayports", pass_over},
    {"globalknownhostsfile", read_global_hosts},
    {"gssapiauthentication", read_gssapi},
    {"gssapidelegatecredentials", pass_over},
    {"hashknownhosts", read_hash},
    {"host", pass_over},
    {"hostkeyalias", read_alias},
    {"hostname", pass_over},
    {"identitiesonly", read_only_identities},
    {"identityagent", read_agent},
    {"identityfile", read_identity},
    {"ipqos", pass_over},
    {"kbdinteractiveauthentication", read_interactive},
    {"localforward", pass_over},
    {"loglevel", pass_over},
    {"logverbose", pass_over},
    {"numberofpasswordprompts", pass_over},
    {"passwordauthentication", read_password},
    {"permitlocalcommand", pass_over},
    {"port", pass_over},
    {"pubkeyauthentication", read_keys},
    {"remotecommand", pass_over},
    {"remoteforward", pass_over},
    {"requesttty", pass_over},
    {"sendenv", pass_over},
    {"serveralivecountmax", pass_over},
    {"serveraliveinterval", pass_over},
    {"sessiontype", pass_over},
    {"stdinnull", pass_over},
    {"streamlocalbindmask", pass_over},
    {"streamlocalbindunlink", pass_over},
    {"stricthostkeychecking", pass_over},
    {"tcpkeepalive", pass_over},
    {"updatehostkeys", pass_over},
    {"user", pass_over},
    {"userknownhostsfile", read_user_hosts},
    {"visualhostkey", pass_over},
    {"xauthlocation", pass_over},
};

static line_reader *find_reader(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (strcmp(lines[i].key, key) == 0) {
            return lines[i].read;
        }
    }
    return NULL;
}

/* The value of a key's first line: a fresh string, or NULL. */
static char *first_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            line += length + 1;
            return xstrndup(line, strcspn(line, "\n"));
        }
    }
    return NULL;
}

/* line: not empty. */
static bool has_line(const char *text, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++) {
        if ((at == text || at[-1] == '\n') &&
            (at[length] == '\n' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* One line, which is written to. */
static void read_line(struct reading *r, char *line, const char *defaults)
{
    char *value = strchr(line, ' ');
    if (value == NULL) {
        return;
    }
    bool is_default = has_line(defaults, line);
    CLEANUP_FREE char *whole = xstrdup(line);
    *value++ = '\0';
    line_reader *read = find_reader(line);
    if (read != NULL ? read(r, value) : is_default) {
        return;
    }
    if (r->settings->beyond == NULL) {
        CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
        terminal_make_safe(whole, strlen(whole), &safe);
        r->settings->beyond = strbuf_detach(&safe);
    }
}

static void begin(struct ssh_settings *out)
{
    const char *agent = getenv("SSH_AUTH_SOCK");
    *out = (struct ssh_settings){
        .port = SSH_PORT,
        .family = AF_UNSPEC,
        .agent = agent != NULL && agent[0] != '\0' ? xstrdup(agent) : NULL,
        .takes_keys = true,
        .takes_password = true,
        .takes_interactive = true,
    };
}

void ssh_settings_parse(struct ssh_settings *out, const struct target *target,
                        const char *text, const char *defaults)
{
    struct reading reading = {.settings = out, .target = target};
    uint64_t port = SSH_PORT;
    begin(out);
    out->hostname = first_value(text, "hostname");
    out->user = first_value(text, "user");
    CLEANUP_FREE char *port_text = first_value(text, "port");
    if (out->hostname == NULL || out->user == NULL || port_text == NULL ||
        bytes_parse_u64(port_text, UINT16_MAX, &port, NULL) != 0) {
        out->beyond = xstrdup("what ssh -G prints is not understood");
        return;
    }
    out->port = (uint16_t)port;
    CLEANUP_FREE char *copy = xstrdup(text);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        read_line(&reading, line, defaults);
    }
}

/* Without an ssh program: what the target itself says, and ssh's usual places. */
static void take_target(struct ssh_settings *out, const struct target *target)
{
    static const char *const usual[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa",
                                        "~/.ssh/id_rsa"};
    const char *at = strrchr(target->host, '@');
    const struct passwd *me = getpwuid(getuid());
    begin(out);
    out->hostname = xstrdup(at != NULL ? at + 1 : target->host);
    out->user = at != NULL ? xstrndup(target->host, (size_t)(at - target->host))
                           : xstrdup(me != NULL ? me->pw_name : "");
    out->port = target->port != 0 ? (uint16_t)target->port : SSH_PORT;
    out->only_identities = target->identity != NULL;
    if (target->identity != NULL) {
        strvec_push(&out->identities, target->identity);
    }
    for (size_t i = 0; i < ARRAY_SIZE(usual) && target->identity == NULL; i++) {
        (void)add_path(out, usual[i], &out->identities);
    }
    if (target->known_hosts != NULL) {
        strvec_push(&out->user_hosts, target->known_hosts);
        return;
    }
    (void)add_path(out, "~/.ssh/known_hosts", &out->user_hosts);
    strvec_push(&out->global_hosts, "/etc/ssh/ssh_known_hosts");
}

/* `ssh -G` while it runs. */
struct asking {
    struct strvec argv;
    struct subprocess process;
    bool is_started;
};

static void asking_release(struct asking *a)
{
    if (a->is_started) {
        subprocess_stop(&a->process, 0);
    }
    strvec_release(&a->argv);
}

/* 1: it runs; 0: there is no such program; -1: it could not be started. */
static int ask_ssh(struct asking *a, struct error *err)
{
    struct error failure = ERROR_INIT;
    if (subprocess_capture_start(&a->process, (const char *const *)strvec_argv(&a->argv),
                                 true, &failure) == 0) {
        a->is_started = true;
        return 1;
    }
    if (failure.code == ERR_SPAWN) {
        return 0;
    }
    return error_copy(err, &failure);
}

/* Take its answer; nothing of one that does not run. */
static int hear_ssh(struct asking *a, struct strbuf *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    int status = 0;
    if (!a->is_started) {
        return 0;
    }
    a->is_started = false;
    if (subprocess_capture_finish(&a->process, out, &words, RESOLVE_TIMEOUT_MS, &status,
                                  err) != 0) {
        return -1;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    terminal_make_safe(words.data, strcspn(words.data, "\r\n"), &safe);
    return error_set(err, ERR_CONFIG, "%s -G: %s", a->argv.items[0], safe.data);
}

int ssh_settings_resolve(struct ssh_settings *out, const struct target *target,
                         const char *ssh_program, struct error *err)
{
    CLEANUP(asking_release) struct asking asked = {.argv = STRVEC_INIT};
    CLEANUP(asking_release) struct asking bare = {.argv = STRVEC_INIT};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf defaults = STRBUF_INIT;
    *out = (struct ssh_settings){0};
    if (ssh_settings_check(target, err) != 0) {
        return -1;
    }
    strvec_push(&asked.argv, ssh_program);
    strvec_push(&asked.argv, "-G");
    ssh_settings_push(&asked.argv, target);
    strvec_push(&asked.argv, "--");
    strvec_push(&asked.argv, target->host);
    strvec_push(&bare.argv, ssh_program);
    strvec_push(&bare.argv, "-G");
    strvec_push(&bare.argv, "-Fnone");
    strvec_push(&bare.argv, "--");
    strvec_push(&bare.argv, target->host);
    /* Each takes as long as a program's start: both at once. */
    int is_there = ask_ssh(&asked, err);
    if (is_there == 0) {
        take_target(out, target);
        return 0;
    }
    if (is_there < 0 || ask_ssh(&bare, err) < 0 || hear_ssh(&asked, &text, err) < 0 ||
        hear_ssh(&bare, &defaults, err) < 0) {
        (void)error_wrap(err, "%s: configuration", target->name);
        return name_another(target, err);
    }
    ssh_settings_parse(out, target, text.data, defaults.data);
    if (target->identity != NULL &&
        !strvec_contains(&out->identities, target->identity)) {
        /* ssh passes over one that is not there, and takes the usual ones. */
        strvec_release(&out->identities);
        strvec_push(&out->identities, target->identity);
    }
    return 0;
}

void ssh_settings_release(struct ssh_settings *s)
{
    free(s->hostname);
    free(s->user);
    free(s->host_key_alias);
    free(s->agent);
    free(s->beyond);
    strvec_release(&s->identities);
    strvec_release(&s->user_hosts);
    strvec_release(&s->global_hosts);
    *s = (struct ssh_settings){0};
}
