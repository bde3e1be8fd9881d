#include "controller/ssh2_login.h"

#include "common/clock.h"
#include "controller/ssh_agent.h"
#include "controller/ssh_key.h"
#include "controller/ssh_rsa.h"
#include "controller/ssh_wire.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX 32
#define ATTEMPTS_MAX (FILES_MAX + SSH_AGENT_KEYS_MAX)
#define PASSPHRASE_TRIES 3
#define WORD_TRIES 3 /* passwords, rounds of questions */

struct key_file {
    const char *path;
    struct ssh_key key;
    bool is_there;
    bool is_in_agent;
};

struct attempt {
    const struct ssh_agent_key *agent_key; /* or */
    struct key_file *file;
};

enum stage {
    STAGE_KEYS,
    STAGE_KEY_TAKEN, /* the current one, and it was not enough, or its signature not good
                      */
    STAGE_METHODS,
    STAGE_INTERACTIVE,
    STAGE_PASSWORD,
    STAGE_OVER,
};

struct ssh2_login {
    struct ssh2_session *session;
    struct ssh2_login_options options;
    struct ssh_agent *agent;
    struct ssh_agent_keys agent_keys;
    struct key_file files[FILES_MAX];
    size_t file_count;
    struct attempt attempts[ATTEMPTS_MAX];
    size_t attempt_count, current;
    enum stage stage;
    bool is_begun; /* the current attempt */
    unsigned tries;
    struct ssh_rsa *rsa;
    struct strbuf blob;   /* of the current attempt */
    struct strbuf secret; /* passphrase or password of the current attempt */
    struct ssh2_signer signer;
    struct ssh2_answerer answerer;
    struct strbuf methods; /* that the server takes */
    struct strbuf begun;   /* the way so far, where it takes several */
    struct strbuf tried;   /* for the sentence */
    struct strbuf hint;    /* what would help, or empty */
    const char *beyond;
    bool is_env_used, is_broken;
    int64_t asked_ns;
    char *way;
};

static void note(struct ssh2_login *l, const char *what, const char *how)
{
    strbuf_printf(&l->tried, "%s%s %s", l->tried.length > 0 ? ", " : "", what, how);
}

/* ---- what there is to try ---- */

/* That a usual file is not there is nothing to speak of; one that was named is. */
static void note_unread(struct ssh2_login *l, const char *path, const struct error *err)
{
    if (err->code == ERR_NOT_FOUND && !l->options.settings->only_identities) {
        return;
    }
    note(l, path,
         err->code == ERR_NOT_FOUND ? "is not there"
         : err->hint[0] != '\0'     ? "may be read by others, so it was not used"
                                    : "could not be read");
    if (l->hint.length == 0) {
        strbuf_puts(&l->hint, err->hint);
    }
}

static void read_files(struct ssh2_login *l)
{
    const struct strvec *paths = &l->options.settings->identities;
    for (size_t i = 0; i < paths->count && l->file_count < FILES_MAX; i++) {
        struct key_file *file = &l->files[l->file_count++];
        struct error err = ERROR_INIT;
        file->path = paths->items[i];
        file->is_there = ssh_key_read(&file->key, file->path, &err) == 0;
        if (!file->is_there) {
            note_unread(l, file->path, &err);
        }
        if (file->is_there && file->key.is_hardware) {
            l->beyond = "a security key";
        } else if (file->is_there && ssh_key_has_certificate(file->path)) {
            l->beyond = "a certificate";
        }
        if (file->key.blob.length == 0) {
            ssh_key_read_public(&file->key, file->path, file->is_there);
        }
    }
}

static void add_attempt(struct ssh2_login *l, const struct ssh_agent_key *key,
                        struct key_file *file)
{
    if (l->attempt_count < ATTEMPTS_MAX) {
        l->attempts[l->attempt_count++] = (struct attempt){key, file};
    }
}

static struct key_file *file_of(struct ssh2_login *l, const struct ssh_agent_key *key)
{
    for (size_t i = 0; i < l->file_count; i++) {
        const struct strbuf *blob = &l->files[i].key.blob;
        if (blob->length == key->blob_length &&
            memcmp(blob->data, key->blob, blob->length) == 0) {
            return &l->files[i];
        }
    }
    return NULL;
}

/* The agent's keys: named ones first, then, unless only those count, all others. */
static void add_agent_keys(struct ssh2_login *l, bool want_named)
{
    for (size_t i = 0; i < l->agent_keys.count; i++) {
        const struct ssh_agent_key *key = &l->agent_keys.items[i];
        struct ssh_reader reader = {key->blob, key->blob_length, false};
        struct key_file *file = file_of(l, key);
        if ((file != NULL) != want_named) {
            continue;
        }
        if (!ssh_key_is_plain(ssh_get_string(&reader))) {
            l->beyond = "a security key or certificate of the agent";
            continue;
        }
        if (file != NULL) {
            file->is_in_agent = true;
        }
        add_attempt(l, key, file);
    }
}

static void add_files(struct ssh2_login *l, bool want_encrypted)
{
    for (size_t i = 0; i < l->file_count; i++) {
        struct key_file *file = &l->files[i];
        if (file->is_there && !file->is_in_agent && !file->key.is_hardware &&
            file->key.is_encrypted == want_encrypted) {
            add_attempt(l, NULL, file);
        }
    }
}

struct ssh2_login *ssh2_login_new(struct ssh2_session *session,
                                  const struct ssh2_login_options *options)
{
    struct ssh2_login *l = xcalloc(1, sizeof *l);
    const struct ssh_settings *settings = options->settings;
    l->session = session;
    l->options = *options;
    strbuf_init(&l->blob, STRBUF_TEXT_LIMIT);
    strbuf_init(&l->secret, STRBUF_TEXT_LIMIT);
    strbuf_init(&l->methods, STRBUF_TEXT_LIMIT);
    strbuf_init(&l->begun, STRBUF_TEXT_LIMIT);
    strbuf_init(&l->tried, STRBUF_TEXT_LIMIT);
    strbuf_init(&l->hint, STRBUF_TEXT_LIMIT);
    if (!settings->takes_keys) {
        l->stage = STAGE_METHODS;
        return l;
    }
    read_files(l);
    l->agent = settings->agent != NULL ? ssh_agent_open(settings->agent, NULL) : NULL;
    if (l->agent != NULL && ssh_agent_list(l->agent, &l->agent_keys, NULL) == 0) {
        add_agent_keys(l, true);
        if (!settings->only_identities) {
            add_agent_keys(l, false);
        }
    }
    add_files(l, false);
    add_files(l, true);
    return l;
}

static void forget_secret(struct ssh2_login *l)
{
    mem_wipe(l->secret.data, l->secret.length);
    strbuf_reset(&l->secret);
}

void ssh2_login_free(struct ssh2_login *l)
{
    if (l == NULL) {
        return;
    }
    forget_secret(l);
    for (size_t i = 0; i < l->file_count; i++) {
        ssh_key_release(&l->files[i].key);
    }
    ssh_agent_keys_release(&l->agent_keys);
    ssh_agent_free(l->agent);
    ssh_rsa_free(l->rsa);
    strbuf_release(&l->blob);
    strbuf_release(&l->secret);
    strbuf_release(&l->methods);
    strbuf_release(&l->begun);
    strbuf_release(&l->tried);
    strbuf_release(&l->hint);
    free(l->way);
    free(l);
}

/* ---- questions ---- */

static const char *secret_of_environment(const struct ssh2_login *l)
{
    const char *name = l->options.password_env;
    const char *value = name != NULL && !l->is_env_used ? getenv(name) : NULL;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool can_ask(const struct ssh2_login *l)
{
    return l->options.may_ask || secret_of_environment(l) != NULL;
}

/* The environment's answer once, then a person's. */
static int ask(struct ssh2_login *l, const char *question, bool is_shown,
               struct strbuf *out)
{
    const char *value = secret_of_environment(l);
    mem_wipe_freed(); /* libssh2 copies it, and this process may stay (keeper.h) */
    if (value != NULL) {
        l->is_env_used = true;
        strbuf_puts(out, value);
        return 0;
    }
    if (!l->options.may_ask) {
        return -1;
    }
    int64_t since_ns = clock_monotonic_ns();
    int result = terminal_ask_line(l->options.terminal, question, is_shown, out, NULL);
    l->asked_ns += clock_monotonic_ns() - since_ns;
    return result;
}

static int answer(void *context, const char *instruction, const char *prompt,
                  bool is_shown, struct strbuf *out)
{
    struct ssh2_login *l = context;
    CLEANUP_FREE char *question = xasprintf("(%s) %s%s%s", l->options.place, instruction,
                                            instruction[0] != '\0' ? " " : "", prompt);
    return ask(l, question, is_shown, out);
}

/* ---- keys ---- */

static int sign_by_agent(void *context, const void *data, size_t length,
                         struct strbuf *out)
{
    struct ssh2_login *l = context;
    const struct ssh_agent_key *key = l->attempts[l->current].agent_key;
    struct ssh_reader blob = {key->blob, key->blob_length, false};
    bool is_rsa = ssh_bytes_are(ssh_get_string(&blob), "ssh-rsa");
    CLEANUP_STRBUF struct strbuf signature = STRBUF_INIT;
    if (ssh_agent_sign(l->agent, key, data, length, is_rsa ? SSH_AGENT_RSA_SHA2_512 : 0,
                       &signature, NULL) != 0) {
        return -1;
    }
    struct ssh_reader reader = {(const uint8_t *)signature.data, signature.length, false};
    struct ssh_bytes kind = ssh_get_string(&reader);
    struct ssh_bytes bytes = ssh_get_string(&reader);
    if (reader.is_broken || (is_rsa && !ssh_bytes_are(kind, "rsa-sha2-512"))) {
        return -1; /* an agent that knows nothing but SHA-1 */
    }
    return strbuf_add(out, bytes.data, bytes.length, NULL);
}

static int sign_by_rsa(void *context, const void *data, size_t length, struct strbuf *out)
{
    const struct ssh2_login *l = context;
    return ssh_rsa_sign(l->rsa, data, length, out, NULL);
}

static const char *label_of(const struct attempt *a)
{
    return a->file != NULL ? a->file->path : a->agent_key->comment;
}

static int ask_passphrase(struct ssh2_login *l, const struct key_file *file)
{
    CLEANUP_FREE char *question =
        xasprintf("Enter passphrase for key '%s': ", file->path);
    forget_secret(l);
    if (!can_ask(l)) {
        note(l, file->path,
             "needs its passphrase, which is asked for on a terminal only");
        strbuf_reset(&l->hint);
        strbuf_printf(&l->hint, "give the key to an agent: ssh-add %s", file->path);
        return -1;
    }
    return ask(l, question, false, &l->secret);
}

/* The private key of a file, where we sign ourselves. -1: this attempt is over. */
static int load_rsa(struct ssh2_login *l, const struct key_file *file)
{
    struct error err = ERROR_INIT;
    ssh_rsa_free(TAKE_PTR(l->rsa));
    l->rsa = ssh_rsa_new(&file->key, l->secret.length > 0 ? l->secret.data : NULL, &err);
    if (l->rsa != NULL) {
        strbuf_reset(&l->blob);
        return ssh_rsa_blob(l->rsa, &l->blob, NULL);
    }
    if (err.code == ERR_UNSUPPORTED) {
        l->beyond = "an encrypted RSA key in OpenSSH's format";
    }
    note(l, file->path, err.text);
    return err.code == ERR_ACCESS && ++l->tries < PASSPHRASE_TRIES && can_ask(l) ? 1 : -1;
}

/* 0: the attempt is under way; 1: once more; -1: it is over. */
static int begin_attempt(struct ssh2_login *l)
{
    const struct attempt *a = &l->attempts[l->current];
    if (a->agent_key != NULL) {
        strbuf_reset(&l->blob);
        l->signer = (struct ssh2_signer){l, sign_by_agent};
        return strbuf_add(&l->blob, a->agent_key->blob, a->agent_key->blob_length, NULL);
    }
    const struct key_file *file = a->file;
    bool is_ours = file->key.is_rsa;
    if (file->key.is_openssh && is_ours && file->key.is_encrypted) {
        return load_rsa(l, file); /* says that this cannot be */
    }
    if (file->key.is_encrypted && ask_passphrase(l, file) != 0) {
        return -1;
    }
    l->signer = (struct ssh2_signer){l, sign_by_rsa};
    return is_ours ? load_rsa(l, file) : 0;
}

static enum ssh2_step run_attempt(struct ssh2_login *l)
{
    const struct attempt *a = &l->attempts[l->current];
    const char *user = l->options.settings->user;
    if (a->agent_key != NULL || a->file->key.is_rsa) {
        return ssh2_session_key(l->session, user, l->blob.data, l->blob.length,
                                &l->signer);
    }
    return ssh2_session_key_file(l->session, user, a->file->path,
                                 l->secret.length > 0 ? l->secret.data : NULL);
}

static void next_attempt(struct ssh2_login *l)
{
    l->current++;
    l->is_begun = false;
    l->tries = 0;
    forget_secret(l);
}

/* A step that failed: is there anything left of the session? */
static bool is_refusal(struct ssh2_login *l)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    enum ssh2_cause cause = ssh2_session_cause(l->session, &text);
    l->is_broken = cause == SSH2_CAUSE_CLOSED || cause == SSH2_CAUSE_EXPELLED ||
                   cause == SSH2_CAUSE_UNREADABLE || cause == SSH2_CAUSE_LATE ||
                   cause == SSH2_CAUSE_BABBLE;
    return !l->is_broken;
}

/* A server that is not OpenSSH may not take an RSA key under the name of its signatures,
 * which is the way that works with libssh2 1.10. */
static void note_refused_rsa(struct ssh2_login *l, const struct attempt *a)
{
    const char *banner = ssh2_session_fact(l->session, 0).value;
    bool is_rsa = a->agent_key == NULL && a->file->key.is_rsa;
    if (is_rsa && (banner == NULL || strstr(banner, "OpenSSH") == NULL)) {
        l->beyond = "an RSA key, and a server that is not OpenSSH";
    }
}

/* The attempt failed, and the session lives on: once more, another one, or the question
 * what else the server wants. */
static void take_refusal(struct ssh2_login *l, const struct attempt *a)
{
    bool is_unread = a->agent_key == NULL && ssh2_session_file_failed(l->session);
    if (is_unread && a->file->key.is_encrypted && ++l->tries < PASSPHRASE_TRIES &&
        can_ask(l)) {
        l->is_begun = false;
        return;
    }
    if (ssh2_session_key_was_taken(l->session)) {
        l->stage = STAGE_KEY_TAKEN;
        return;
    }
    note_refused_rsa(l, a);
    note(l, label_of(a), is_unread ? "could not be read" : "was not accepted");
    next_attempt(l);
}

static enum ssh2_step step_keys(struct ssh2_login *l)
{
    while (l->stage == STAGE_KEYS && l->current < l->attempt_count) {
        const struct attempt *a = &l->attempts[l->current];
        int begun = l->is_begun ? 0 : begin_attempt(l);
        if (begun != 0) {
            if (begun < 0) {
                next_attempt(l);
            }
            continue;
        }
        l->is_begun = true;
        enum ssh2_step step = run_attempt(l);
        if (step == SSH2_DONE) {
            l->way = xasprintf("publickey: %s%s", label_of(a),
                               a->agent_key != NULL ? " (agent)" : "");
        }
        if (step != SSH2_FAILED) {
            return step;
        }
        if (!is_refusal(l)) {
            return SSH2_FAILED;
        }
        take_refusal(l, a);
    }
    if (l->stage != STAGE_KEYS) {
        return SSH2_FAILED;
    }
    l->stage = l->beyond != NULL && l->options.may_fall_back ? STAGE_OVER : STAGE_METHODS;
    return SSH2_FAILED;
}

/* ---- what a person types ---- */

static bool does_server_take(const struct ssh2_login *l, const char *method)
{
    return strstr(l->methods.data, method) != NULL;
}

/* Where the server takes no key any more, the one that it took was the first of several
 * ways in that it wants. */
static enum ssh2_step step_key_taken(struct ssh2_login *l)
{
    enum ssh2_step step =
        ssh2_session_methods(l->session, l->options.settings->user, &l->methods);
    if (step == SSH2_AGAIN || (step == SSH2_FAILED && !is_refusal(l))) {
        return step;
    }
    const struct attempt *a = &l->attempts[l->current];
    bool is_part = l->methods.length > 0 && !does_server_take(l, "publickey");
    if (is_part) {
        strbuf_printf(&l->begun, "publickey: %s, then ", label_of(a));
    }
    note(l, label_of(a), is_part ? "is not enough" : "was not accepted");
    next_attempt(l);
    l->stage = STAGE_INTERACTIVE;
    if (!is_part) {
        strbuf_reset(&l->methods);
        l->stage = STAGE_KEYS;
    }
    return SSH2_FAILED;
}

static enum ssh2_step step_methods(struct ssh2_login *l)
{
    enum ssh2_step step =
        ssh2_session_methods(l->session, l->options.settings->user, &l->methods);
    if (step == SSH2_DONE && l->methods.length == 0) {
        l->way = xstrdup("none: the server asks for nothing");
        return SSH2_DONE;
    }
    if (step == SSH2_AGAIN || (step == SSH2_FAILED && !is_refusal(l))) {
        return step;
    }
    l->stage = STAGE_INTERACTIVE;
    return SSH2_FAILED;
}

/* One way of typing: rounds until it is in, or nobody can be asked any more. */
static enum ssh2_step step_words(struct ssh2_login *l, const char *method, bool is_wanted,
                                 enum ssh2_step (*round)(struct ssh2_login *l))
{
    bool is_open = is_wanted && does_server_take(l, method);
    while (is_open && (l->is_begun || (l->tries < WORD_TRIES && can_ask(l)))) {
        enum ssh2_step step = round(l);
        if (step == SSH2_DONE) {
            l->way = xasprintf("%s%s", l->begun.data, method);
        }
        if (step != SSH2_FAILED || !is_refusal(l)) {
            return step;
        }
        l->is_begun = false;
        l->tries++;
    }
    if (is_open) {
        note(l, method, l->tries > 0 ? "was not accepted" : "was not tried");
        if (l->tries == 0 && l->hint.length == 0) {
            strbuf_puts(&l->hint, "a password is asked for on a terminal only, or taken "
                                  "from the environment variable that the target's "
                                  "password_env names");
            strbuf_puts(&l->hint, l->attempt_count > 0 ? "; or is the public key not in "
                                                         "~/.ssh/authorized_keys there?"
                                                       : "");
        }
    }
    l->tries = 0;
    l->stage = l->stage == STAGE_INTERACTIVE ? STAGE_PASSWORD : STAGE_OVER;
    return SSH2_FAILED;
}

static enum ssh2_step interactive_round(struct ssh2_login *l)
{
    l->is_begun = true;
    l->answerer = (struct ssh2_answerer){l, answer};
    return ssh2_session_interactive(l->session, l->options.settings->user, &l->answerer);
}

static enum ssh2_step password_round(struct ssh2_login *l)
{
    if (!l->is_begun) {
        CLEANUP_FREE char *question = xasprintf("%s's password: ", l->options.place);
        forget_secret(l);
        if (ask(l, question, false, &l->secret) != 0) {
            l->tries = WORD_TRIES;
            return SSH2_FAILED;
        }
        l->is_begun = true;
    }
    return ssh2_session_password(l->session, l->options.settings->user, l->secret.data);
}

static enum ssh2_step step_interactive(struct ssh2_login *l)
{
    return step_words(l, "keyboard-interactive", l->options.settings->takes_interactive,
                      interactive_round);
}

static enum ssh2_step step_password(struct ssh2_login *l)
{
    enum ssh2_step step =
        step_words(l, "password", l->options.settings->takes_password, password_round);
    if (step != SSH2_AGAIN) {
        forget_secret(l);
    }
    return step;
}

enum ssh2_step ssh2_login_step(struct ssh2_login *l)
{
    static enum ssh2_step (*const steps[])(struct ssh2_login *) = {
        [STAGE_KEYS] = step_keys,         [STAGE_KEY_TAKEN] = step_key_taken,
        [STAGE_METHODS] = step_methods,   [STAGE_INTERACTIVE] = step_interactive,
        [STAGE_PASSWORD] = step_password,
    };
    enum ssh2_step step = SSH2_FAILED;
    while (step == SSH2_FAILED && !l->is_broken && l->stage != STAGE_OVER) {
        step = steps[l->stage](l);
    }
    return step;
}

int64_t ssh2_login_asked_ns(const struct ssh2_login *l)
{
    return l->asked_ns;
}

const char *ssh2_login_way(const struct ssh2_login *l)
{
    return l->way;
}

const char *ssh2_login_explain(const struct ssh2_login *l, struct strbuf *out,
                               struct strbuf *hint)
{
    strbuf_puts(hint, l->hint.data);
    strbuf_printf(out, "permission denied; the server takes %s; %s",
                  l->methods.length > 0 ? l->methods.data : "something else",
                  l->tried.length > 0 ? l->tried.data : "no key was offered");
    return l->beyond;
}

bool ssh2_login_is_broken(const struct ssh2_login *l)
{
    return l->is_broken;
}
