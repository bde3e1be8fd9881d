#include "controller/ssh_words.h"

#include "common/mem.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 200 /* for people: what a server babbles has no end */

const char *ssh_phase_name(enum ssh_phase phase)
{
    static const char *const names[] = {"resolve",  "connect", "handshake",
                                        "host key", "login",   "start"};
    _Static_assert(ARRAY_SIZE(names) == SSH_PHASE_COUNT, "a name for every phase");
    assert(phase < SSH_PHASE_COUNT);
    return names[phase];
}

#define FIELD(name) offsetof(struct ssh_words, name)
#define NO_FIELD 0 /* where the phase is: never a text's place */

/* What a line that begins so means: at least this phase was reached, and what follows the
 * beginning (or the words `after`, if any) is worth keeping. */
static const struct meaning {
    const char *begin;
    enum ssh_phase phase;
    size_t text; /* place of the char * that the rest of the line goes to */
    const char *after;
} meanings[] = {
    {"debug1: Connecting to ", SSH_CONNECTS, NO_FIELD, NULL},
    {"debug1: Connection established.", SSH_SHAKES_HANDS, NO_FIELD, NULL},
    {"debug1: kex_exchange_identification: banner", SSH_SHAKES_HANDS, NO_FIELD, NULL},
    {"debug1: Remote protocol version", SSH_SHAKES_HANDS, FIELD(software),
     "remote software version "},
    {"debug1: Authenticating to ", SSH_SHAKES_HANDS, NO_FIELD, NULL},
    {"debug1: kex: algorithm: ", SSH_SHAKES_HANDS, FIELD(key_exchange), ""},
    {"debug1: kex: client->server cipher: ", SSH_SHAKES_HANDS, FIELD(cipher), ""},
    {"debug1: Server host key: ", SSH_CHECKS_KEY, FIELD(host_key), ""},
    {"debug1: Found key in ", SSH_CHECKS_KEY, FIELD(found_in), ""},
    {"debug1: SSH2_MSG_NEWKEYS received", SSH_LOGS_IN, NO_FIELD, NULL},
    {"debug1: SSH2_MSG_SERVICE_ACCEPT received", SSH_LOGS_IN, NO_FIELD, NULL},
    {"debug1: Authentications that can continue: ", SSH_LOGS_IN, FIELD(methods), ""},
    {"debug1: Server accepts key: ", SSH_LOGS_IN, FIELD(accepted_key), ""},
    {"Authenticated to ", SSH_IS_IN, FIELD(method), "using \""},
    {"debug1: Authentication succeeded (", SSH_IS_IN, FIELD(method), ""},
    {"debug1: Entering interactive session.", SSH_IS_IN, NO_FIELD, NULL},
    /* Told after the end. */
    {"Transferred: sent ", SSH_RESOLVES, NO_FIELD, NULL},
    {"Bytes per second: sent ", SSH_RESOLVES, NO_FIELD, NULL},
};

static void keep(struct ssh_words *words, const struct meaning *meaning, const char *line)
{
    const char *rest = line + strlen(meaning->begin);
    if (meaning->after != NULL && meaning->after[0] != '\0') {
        rest = strstr(rest, meaning->after);
        if (rest == NULL) {
            return;
        }
        rest += strlen(meaning->after);
    }
    char **text = (char **)((char *)words + meaning->text);
    free(*text);
    *text = xstrndup(rest, strcspn(rest, meaning->text == FIELD(method) ? "\")." : ""));
}

static bool starts_with(const char *line, const char *begin)
{
    return strncmp(line, begin, strlen(begin)) == 0;
}

static void reach(struct ssh_words *words, enum ssh_phase phase)
{
    if (phase > words->phase) {
        words->phase = phase;
        words->said_before = words->said.count;
    }
}

/* True where the line is one of the table. */
static bool take_meaning(struct ssh_words *words, const char *line)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
        const struct meaning *meaning = &meanings[i];
        if (starts_with(line, meaning->begin)) {
            reach(words, meaning->phase);
            if (meaning->text != NO_FIELD) {
                keep(words, meaning, line);
            }
            return true;
        }
    }
    return false;
}

/* LogVerbose in the user's configuration brings more of them. */
static bool is_progress(const char *line)
{
    return starts_with(line, "debug1: ") || starts_with(line, "debug2: ") ||
           starts_with(line, "debug3: ");
}

static void take_line(struct ssh_words *words, const char *line)
{
    static const char offer[] = "debug1: Offering public key: ";
    if (take_meaning(words, line)) {
        return;
    }
    if (starts_with(line, offer) && words->offered.count < LINES_MAX) {
        strvec_push(&words->offered, line + strlen(offer));
    }
    if (starts_with(line, "debug1: Executing proxy command")) {
        words->has_proxy = true;
        reach(words, SSH_CONNECTS);
    }
    if (starts_with(line, "debug1: mux_client_request_session: master session")) {
        words->is_multiplexed = words->phase < SSH_CONNECTS;
        reach(words, SSH_IS_IN);
    }
    if (starts_with(line, "debug1: client_input_channel_req: ") &&
        strstr(line, " rtype exit-signal ") != NULL) {
        words->was_killed = true;
    }
    if (is_progress(line) || line[0] == '\0') {
        return;
    }
    if (words->said.count == LINES_MAX) {
        strvec_remove(&words->said, 0);
        words->said_before -= words->said_before > 0 ? 1 : 0;
    }
    strvec_push(&words->said, line);
}

void ssh_words_read(struct ssh_words *words, const char *text)
{
    *words = (struct ssh_words){.offered = STRVEC_INIT, .said = STRVEC_INIT};
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        CLEANUP_FREE char *line = xstrndup(text, length);
        take_line(words, line);
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

void ssh_words_release(struct ssh_words *words)
{
    free(words->software);
    free(words->key_exchange);
    free(words->cipher);
    free(words->host_key);
    free(words->found_in);
    free(words->methods);
    free(words->accepted_key);
    free(words->method);
    strvec_release(&words->offered);
    strvec_release(&words->said);
    *words = (struct ssh_words){.offered = STRVEC_INIT, .said = STRVEC_INIT};
}

const char *ssh_words_find(const struct ssh_words *words, const char *needle)
{
    for (size_t i = words->said.count; i > 0; i--) {
        if (strstr(words->said.items[i - 1], needle) != NULL) {
            return words->said.items[i - 1];
        }
    }
    return NULL;
}
