#define _GNU_SOURCE /* getline */
#include "controller/openssh_explain.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/oid.h"
#include "common/strbuf.h"
#include "common/subprocess.h"
#include "controller/ssh_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SSH_OWN_FAILURE 255
#define EXIT_NOT_EXECUTABLE                                                              \
    126 /* a shell says so, and 127, of what it cannot execute                           \
         */
#define KNOWN_HOSTS_LINES_MAX 1000000

/* What ssh complains of, in the words of its releases since 7.4, and what to do. Of the
 * lines it said the last one counts that is in the table. */
static const struct failure {
    const char *words;
    enum error_code code;
    bool is_vague; /* where another line says more, that one counts */
    const char *phase, *hint;
} failures[] = {
    {"no matching host key type found", ERR_CONNECT, false, "handshake",
     "the server has no kind of host key that this ssh takes: see HostKeyAlgorithms in "
     "ssh_config(5)"},
    {"no matching", ERR_CONNECT, false, "handshake",
     "the two ends share no such algorithm: see ssh_config(5), and the server's "
     "sshd_config(5)"},
    {"Could not resolve hostname", ERR_CONNECT, false, "resolve",
     "check the host's name (errand target list) and this machine's network"},
    /* A jump host's: the machine's own is explained apart. */
    {"Host key verification failed", ERR_HOST_KEY, false, "host key",
     "connect to it once by hand"},
    {"Connection refused", ERR_CONNECT, false, "connect",
     "is sshd running there, and is the port right?"},
    {"No route to host", ERR_CONNECT, false, "connect",
     "is the machine up and the network right?"},
    {"Network is unreachable", ERR_CONNECT, false, "connect",
     "is this machine's network up?"},
    {"Not allowed at this time", ERR_CONNECT, false, "connect",
     "the server penalises this address for earlier failures: wait a minute"},
    {"Too many authentication failures", ERR_LOGIN, false, "login",
     "too many keys were offered: name the right one with --identity FILE"},
    {"Protocol major versions differ", ERR_CONNECT, false, "handshake",
     "the server speaks SSH 1 alone, which is broken: is it the right port? Else it has "
     "to "
     "be upgraded"},
    {"during banner exchange", ERR_CONNECT, false, "handshake",
     "the port is open, but no SSH server speaks: is it the right port, or is the "
     "machine "
     "overloaded?"},
    {"invalid format", ERR_CONNECT, false, "handshake",
     "what answers on this port is no SSH server: is it the right port?"},
    {"timed out", ERR_CONNECT, true, "connect",
     "is the machine up, and does a firewall let the port through?"},
    {"Connection closed by", ERR_CONNECT, true, "handshake",
     "the server hung up: too many connections at once (MaxStartups in its sshd_config), "
     "or it does not want this address"},
    {"Connection reset", ERR_CONNECT, true, "handshake",
     "the server hung up: too many connections at once (MaxStartups in its sshd_config), "
     "or it does not want this address"},
    {"Bad configuration option", ERR_CONFIG, false, "configuration",
     "mend the file, or name another with --ssh-config"},
    {"terminating, ", ERR_CONFIG, true, "configuration",
     "mend the file, or name another with --ssh-config"},
    {"Bad owner or permissions on", ERR_CONFIG, false, "configuration",
     "nobody else may write that file: chmod 600"},
};

static const struct failure *failure_of(const char *line)
{
    for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
        if (strstr(line, failures[i].words) != NULL) {
            return &failures[i];
        }
    }
    return NULL;
}

/* The line that tells most, and its row; NULL where no line is in the table. Before the
 * login no line is the server's, so that an earlier one may be preferred. */
static const char *find_failure(const struct ssh_words *words,
                                const struct failure **out_failure)
{
    const char *best = NULL;
    for (size_t i = words->said.count; i > 0; i--) {
        const char *line = words->said.items[i - 1];
        const struct failure *failure = failure_of(line);
        if (failure != NULL && (best == NULL || !failure->is_vague)) {
            best = line;
            *out_failure = failure;
            if (!failure->is_vague || words->phase >= SSH_LOGS_IN) {
                return best;
            }
        }
    }
    return best;
}

/* Append "; it said: ..." where the far end said anything since it is in; before, ssh's
 * own words count, too. */
static void append_said(const struct ssh_words *words, const char *noise,
                        struct strbuf *out)
{
    size_t before = words->phase == SSH_IS_IN ? words->said_before : 0;
    const char *said =
        words->said.count > before ? words->said.items[words->said.count - 1] : noise;
    if (said[0] != '\0') {
        strbuf_printf(out, "; it said: %s", said);
    }
}

/* ---- host keys ---- */

/* The fingerprint of the key in a line of a known_hosts file: append, as ssh-keygen has
 * it. */
static bool append_fingerprint(const char *line, struct strbuf *out)
{
    const char *key = strstr(line, " AAAA");
    CLEANUP_FREE char *text = key != NULL ? xstrdup(key + 1) : NULL;
    CLEANUP_STRBUF struct strbuf blob = STRBUF_INIT;
    if (text == NULL) {
        return false;
    }
    text[strcspn(text, " \t\r\n")] = '\0';
    if (bytes_from_base64(&blob, text, NULL) != 0) {
        return false;
    }
    struct oid digest;
    oid_of_bytes(blob.data, blob.length, &digest);
    strbuf_puts(out, "SHA256:");
    bytes_to_base64(out, digest.digest, sizeof digest.digest);
    while (out->data[out->length - 1] == '=') {
        strbuf_truncate(out, out->length - 1);
    }
    return true;
}

/* "the key SHA256:... (FILE:LINE)" for what ssh calls "FILE:LINE": append. */
static void append_known(const char *place, struct strbuf *out)
{
    const char *colon = strrchr(place, ':');
    CLEANUP_FREE char *path =
        xstrndup(place, colon != NULL ? (size_t)(colon - place) : strlen(place));
    long wanted = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    CLEANUP_FILE FILE *file =
        wanted > 0 && wanted < KNOWN_HOSTS_LINES_MAX ? fopen(path, "re") : NULL;
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    for (long i = 1; file != NULL && getline(&line, &size, file) > 0; i++) {
        if (i == wanted) {
            strbuf_puts(out, "the key ");
            if (!append_fingerprint(line, out)) {
                strbuf_puts(out, "another");
            }
            strbuf_printf(out, " (%s)", place);
            return;
        }
    }
    strbuf_printf(out, "another key (%s)", place);
}

static int explain_changed(const struct openssh_story *story,
                           const struct ssh_words *words, const char *shown,
                           struct error *err)
{
    CLEANUP_STRBUF struct strbuf known = STRBUF_INIT;
    const char *offending = ssh_words_find(words, "Offending ");
    const char *place = offending != NULL ? strstr(offending, " key in ") : NULL;
    append_known(place != NULL ? place + strlen(" key in ") : "known_hosts", &known);
    const char *remove = ssh_words_find(words, "ssh-keygen ");
    error_set(err, ERR_HOST_KEY,
              "%s: host key: THE KEY HAS CHANGED: the machine shows %s, and known is %s",
              story->where, shown, known.data);
    return error_hint(err,
                      "it was set up anew, or somebody is in between: ask its "
                      "administrator; only if the new key is right, forget the old one: "
                      "%s",
                      remove != NULL ? remove + strspn(remove, " ") : "ssh-keygen -R");
}

static int explain_host_key(const struct openssh_story *story,
                            const struct ssh_words *words, struct error *err)
{
    const char *shown = words->host_key != NULL ? words->host_key : "another key";
    if (ssh_words_find(words, "REMOTE HOST IDENTIFICATION HAS CHANGED") != NULL) {
        return explain_changed(story, words, shown, err);
    }
    if (ssh_words_find(words, "is marked as revoked") != NULL) {
        error_set(err, ERR_HOST_KEY,
                  "%s: host key: the machine shows %s, which is marked as revoked",
                  story->where, shown);
        return error_hint(err, "do not connect: ask the machine's administrator");
    }
    if (ssh_words_find(words, "key is known for") == NULL && story->may_ask) {
        return error_set(err, ERR_HOST_KEY,
                         "%s: host key: %s was not accepted; nothing was sent",
                         story->where, shown);
    }
    error_set(err, ERR_HOST_KEY,
              "%s: host key: the machine is not known here yet; it shows %s",
              story->where, shown);
    return error_hint(err,
                      "compare that with what its administrator says, then take it: from "
                      "a terminal, or by errand target check %s --accept-new",
                      story->target);
}

/* ---- login ---- */

/* The name between quotes in a line, malloc'ed; "the key file" where there is none. */
static char *quoted_in(const char *line)
{
    const char *from = strpbrk(line, "'\"");
    const char *to = from != NULL ? strchr(from + 1, *from) : NULL;
    return to != NULL ? xstrndup(from + 1, (size_t)(to - from) - 1)
                      : xstrdup("the key file");
}

/* "FILE" of "FILE ED25519 SHA256:... explicit", malloc'ed. */
static char *file_of_key(const char *key)
{
    const char *digest = strstr(key, " SHA256:");
    size_t length = digest != NULL ? (size_t)(digest - key) : strlen(key);
    while (digest != NULL && length > 0 && key[length - 1] != ' ') {
        length--;
    }
    return xstrndup(key, length > 0 && digest != NULL ? length - 1 : length);
}

/* The key is right and cannot be used. 0: that is not what happened. */
static int explain_key(const struct openssh_story *story, const struct ssh_words *words,
                       struct error *err)
{
    const char *open = ssh_words_find(words, "are too open");
    const char *missing = ssh_words_find(words, "no such identity: ");
    if (missing == NULL) {
        missing = ssh_words_find(words, "not accessible: ");
    }
    if (open != NULL) {
        CLEANUP_FREE char *file = quoted_in(open);
        error_set(err, ERR_LOGIN,
                  "%s: login: others may read the private key %s, so ssh ignores it",
                  story->where, file);
        return error_hint(err, "chmod 600 %s", file);
    }
    if (missing != NULL && words->accepted_key == NULL && words->offered.count == 0) {
        error_set(err, ERR_LOGIN, "%s: login: there is no key to offer: %s", story->where,
                  missing);
        return error_hint(err, "name the private key: set identity: in %s",
                          story->settings);
    }
    if (words->accepted_key != NULL && words->methods != NULL &&
        ssh_words_find(words, "with partial success") != NULL) {
        CLEANUP_FREE char *file = file_of_key(words->accepted_key);
        error_set(err, ERR_LOGIN,
                  "%s: login: the key %s is not enough; the server takes %s as well",
                  story->where, file, words->methods);
        return error_hint(err, "a password is asked for on a terminal only");
    }
    if (words->accepted_key != NULL) {
        CLEANUP_FREE char *file = file_of_key(words->accepted_key);
        error_set(err, ERR_LOGIN, "%s: login: the server would take the key %s, but %s",
                  story->where, file,
                  story->may_ask ? "its passphrase was not given"
                                 : "its passphrase is asked for on a terminal only");
        return error_hint(err, "give the key to an agent: ssh-add %s", file);
    }
    return 0;
}

static void append_offered(const struct ssh_words *words, struct strbuf *out)
{
    strbuf_puts(out, words->offered.count == 0 ? "no key was offered" : "offered: ");
    for (size_t i = 0; i < words->offered.count; i++) {
        CLEANUP_FREE char *file = file_of_key(words->offered.items[i]);
        strbuf_printf(out, "%s%s", i > 0 ? ", " : "", file);
    }
}

static int explain_login(const struct openssh_story *story, const struct ssh_words *words,
                         struct error *err)
{
    if (explain_key(story, words, err) != 0) {
        return -1;
    }
    CLEANUP_STRBUF struct strbuf offered = STRBUF_INIT;
    append_offered(words, &offered);
    const char *methods = words->methods != NULL ? words->methods : "something else";
    bool wants_words =
        strstr(methods, "password") != NULL || strstr(methods, "keyboard") != NULL;
    error_set(err, ERR_LOGIN, "%s: login: permission denied; the server takes %s, %s",
              story->where, methods, offered.data);
    return error_hint(err,
                      "%sis the user right, and is the public key in "
                      "~/.ssh/authorized_keys there? By hand: %s",
                      wants_words && !story->may_ask
                          ? "a password is asked for on a terminal only; "
                          : "",
                      story->by_hand);
}

/* ---- the rest ---- */

/* The connection was there and ended before the server said who it is, as one does that
 * has no room for another (MaxStartups). */
static bool has_no_room(const struct ssh_words *words, const char *line)
{
    return words->phase == SSH_SHAKES_HANDS && words->software == NULL &&
           (strstr(line, "Connection closed by") != NULL ||
            strstr(line, "Connection reset") != NULL);
}

/* ssh itself gave up. 0: not for a reason that is known here. */
static int explain_own_failure(const struct openssh_story *story,
                               const struct ssh_words *words, struct error *err)
{
    const struct failure *failure = NULL;
    const char *denied = ssh_words_find(words, "Permission denied (");
    const char *line = find_failure(words, &failure);
    if (words->has_proxy && words->phase == SSH_CONNECTS) {
        const char *said = denied != NULL ? denied : line;
        error_set(err, ERR_CONNECT, "%s: connect: no way through the jump host: %s",
                  story->where, said != NULL ? said : "it said nothing");
        return error_hint(err,
                          "ProxyJump or ProxyCommand in your ssh configuration leads "
                          "there; by hand: %s",
                          story->by_hand);
    }
    if (ssh_words_find(words, "Host key verification failed") != NULL) {
        return explain_host_key(story, words, err);
    }
    if (denied != NULL) {
        return explain_login(story, words, err);
    }
    if (failure == NULL) {
        return 0;
    }
    const char *phase = failure->is_vague ? ssh_phase_name(words->phase) : failure->phase;
    bool is_full = has_no_room(words, line);
    error_set(err, is_full ? ERR_BUSY : failure->code, "%s: %s: %s", story->where, phase,
              line);
    return error_hint(err, "%s", failure->hint);
}

static int explain_late(const struct openssh_story *story, const struct ssh_words *words,
                        const struct link_end *end, struct error *err)
{
    static const char *const what[] = {
        [SSH_RESOLVES] = "the name is not resolved",
        [SSH_CONNECTS] = "no connection comes about",
        [SSH_SHAKES_HANDS] = "the port is open, but no SSH server answers",
        [SSH_CHECKS_KEY] = "nobody says whether the key is right",
        [SSH_LOGS_IN] = "the server does not answer the login",
        [SSH_IS_IN] = "logged in, but no executor begins",
    };
    _Static_assert(ARRAY_SIZE(what) == SSH_PHASE_COUNT, "a text for every phase");
    char waited[CLOCK_TEXT_SIZE];
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    clock_format_duration(waited, end->late_ms);
    append_said(words, end->noise, &said);
    error_set(err, ERR_TIMED_OUT, "%s: %s: %s after %s%s", story->where,
              ssh_phase_name(words->phase), what[words->phase], waited, said.data);
    return error_hint(err,
                      "by hand: %s; `connect_timeout` and `login_timeout` in config.yaml "
                      "set how long errand waits",
                      story->by_hand);
}

int explain_no_executor(const struct openssh_story *story, int status, const char *how,
                        const char *said, struct error *err)
{
    error_set(err, ERR_BOOTSTRAP,
              "%s: start: logged in, but what runs there %s and no executor began%s",
              story->where, how, said);
    if (status >= EXIT_NOT_EXECUTABLE) {
        return error_hint(err, "is the executor's file there damaged? Then remove "
                               "bin/errand-executor-* in ~/.errand (or in the target's "
                               "--root); the next connection brings it anew");
    }
    return error_hint(err,
                      "a login shell that lets nobody in, a ForceCommand or a start-up "
                      "file that ends the shell? By hand: %s echo ok",
                      story->by_hand);
}

static int explain_ended(const struct openssh_story *story, const struct ssh_words *words,
                         const struct process_end *p, struct error *err)
{
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    if (words->was_killed) {
        strbuf_puts(&how, "was killed by a signal");
    } else {
        subprocess_describe_status(p->status, &how);
    }
    append_said(words, p->end->noise, &said);
    const char *closed = ssh_words_find(words, ": open failed: ");
    if (words->phase == SSH_IS_IN && closed != NULL) {
        error_set(err, ERR_BOOTSTRAP,
                  "%s: start: logged in, but the server opens no session: %s",
                  story->where, closed);
        return error_hint(err, "the account may only forward ports (MaxSessions 0 in its "
                               "sshd_config)? Ask the administrator");
    }
    bool is_own = WIFEXITED(p->status) && WEXITSTATUS(p->status) == SSH_OWN_FAILURE &&
                  !words->was_killed;
    if (words->phase < SSH_IS_IN || !WIFEXITED(p->status) || is_own) {
        error_set(err, ERR_LINK, "%s: %s: ssh %s%s", story->where,
                  ssh_phase_name(words->phase), how.data, said.data);
        return error_hint(err, "by hand: %s", story->by_hand);
    }
    return explain_no_executor(
        story, words->was_killed ? EXIT_NOT_EXECUTABLE : WEXITSTATUS(p->status), how.data,
        said.data, err);
}

static int explain(const struct openssh_story *story, const struct ssh_words *words,
                   const struct process_end *p, struct error *err)
{
    const struct error *cause = p->end->cause;
    if (cause != NULL) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        append_said(words, p->end->noise, &said);
        error_set(err, cause->code, "%s: start: %s%s", story->where, cause->text,
                  said.data);
        return cause->hint[0] != '\0' ? error_hint(err, "%s", cause->hint)
                                      : error_hint(err, "by hand: %s", story->by_hand);
    }
    if (p->end->late_ms > 0) {
        return explain_late(story, words, p->end, err);
    }
    if (words->phase < SSH_IS_IN && explain_own_failure(story, words, err) != 0) {
        return -1;
    }
    return explain_ended(story, words, p, err);
}

int openssh_explain(const struct openssh_story *story, const struct process_end *end,
                    struct error *err)
{
    struct ssh_words words;
    ssh_words_read(&words, end->words);
    int result = explain(story, &words, end, err);
    ssh_words_release(&words);
    return result;
}
