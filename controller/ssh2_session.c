#include "controller/ssh2_session.h"

#include "common/clock.h"
#include "controller/ssh2_algorithms.h"
#include "controller/ssh2_socket.h"
#include "controller/ssh_wire.h"
#include "controller/terminal.h"

#include <errno.h>
#include <libssh2.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libssh2 " LIBSSH2_VERSION
#define WINDOW_SIZE (16U << 20)
#define PACKET_SIZE 32768U
#define QUEUE_HIGH ((size_t)64 << 10) /* the stream takes no more above this */
#define STDERR_MAX ((size_t)4 << 10)  /* of what is kept, from its end */

#define EXIT_BY_SIGNAL 128
#define EXIT_STATUS_NS (500 * NS_PER_MS)

struct ssh2_session {
    LIBSSH2_SESSION *ssh;
    LIBSSH2_CHANNEL *channel;
    struct ssh2_socket socket;
    struct strbuf words;               /* stderr */
    struct strbuf goodbye;             /* of the server's DISCONNECT, made safe */
    struct ssh2_algorithms algorithms; /* as they were offered */
    struct strbuf blob;                /* of the key that is tried */
    const struct ssh2_signer *signer;
    const struct ssh2_answerer *answerer;
    bool has_signed;
    int code; /* libssh2's, of the last failure */
    char *said;
};

bool ssh2_session_takes_kind(const char *kind)
{
    return ssh2_algorithms_take_kind(LIBSSH2_VERSION_NUM, kind);
}

/* ---- the socket ---- */

static ssize_t queue_bytes(libssh2_socket_t fd, const void *data, size_t length,
                           int flags, void **abstract)
{
    struct ssh2_session *s = *abstract;
    (void)fd;
    (void)flags;
    return ssh2_socket_queue(&s->socket, data, length);
}

static ssize_t take_bytes(libssh2_socket_t fd, void *out, size_t length, int flags,
                          void **abstract)
{
    struct ssh2_session *s = *abstract;
    (void)fd;
    (void)flags;
    return ssh2_socket_take(&s->socket, out, length);
}

bool ssh2_session_flush(struct ssh2_session *s)
{
    return ssh2_socket_flush(&s->socket);
}

bool ssh2_session_is_queued(const struct ssh2_session *s)
{
    return ssh2_socket_queued(&s->socket) > 0;
}

int ssh2_session_fd(const struct ssh2_session *s)
{
    return s->socket.fd;
}

void ssh2_session_set_deadline(struct ssh2_session *s, int64_t deadline_ns)
{
    s->socket.deadline_ns = deadline_ns;
}

/* ---- life ---- */

static void take_goodbye(LIBSSH2_SESSION *ssh, int reason, const char *message,
                         int length, const char *language, int language_length,
                         void **abstract)
{
    struct ssh2_session *s = *abstract;
    (void)ssh;
    (void)reason;
    (void)language;
    (void)language_length;
    if (length > 0 && s->goodbye.length == 0) {
        size_t shown = (size_t)length < 300 ? (size_t)length : 300;
        terminal_make_safe(message, shown, &s->goodbye);
    }
}

static void set_preferences(struct ssh2_session *s)
{
    static const int methods[SSH_KEX_LIST_COUNT] = {
        [SSH_KEX_METHODS] = LIBSSH2_METHOD_KEX,
        [SSH_KEX_HOST_KEYS] = LIBSSH2_METHOD_HOSTKEY,
        [SSH_KEX_CIPHERS_OUT] = LIBSSH2_METHOD_CRYPT_CS,
        [SSH_KEX_CIPHERS_IN] = LIBSSH2_METHOD_CRYPT_SC,
        [SSH_KEX_MACS_OUT] = LIBSSH2_METHOD_MAC_CS,
        [SSH_KEX_MACS_IN] = LIBSSH2_METHOD_MAC_SC,
    };
    for (size_t i = 0; i < SSH_KEX_LIST_COUNT; i++) {
        (void)libssh2_session_method_pref(s->ssh, methods[i], s->algorithms.lists[i]);
    }
    (void)libssh2_session_method_pref(s->ssh, LIBSSH2_METHOD_COMP_CS, "none");
    (void)libssh2_session_method_pref(s->ssh, LIBSSH2_METHOD_COMP_SC, "none");
}

static void set_callback(LIBSSH2_SESSION *ssh, int which, void (*callback)(void))
{
    void *pointer = NULL; /* as which libssh2 keeps it */
    memcpy(&pointer, &callback, sizeof pointer);
    (void)libssh2_session_callback_set(ssh, which, pointer);
}

void ssh2_session_free(struct ssh2_session *s)
{
    if (s == NULL) {
        return;
    }
    s->socket.is_closing = true;
    if (s->ssh != NULL && s->socket.broken == 0 && !s->socket.has_ended) {
        (void)libssh2_session_disconnect(s->ssh, "done");
        (void)ssh2_session_flush(s);
    }
    ssh2_socket_shutdown(&s->socket);
    ssh2_session_disown(s);
}

struct ssh2_session *ssh2_session_new(int fd, const char *const *kinds, struct error *err)
{
    struct ssh2_session *s = xcalloc(1, sizeof *s);
    ssh2_socket_init(&s->socket, fd);
    strbuf_init(&s->words, 2 * STDERR_MAX);
    strbuf_init(&s->goodbye, STRBUF_TEXT_LIMIT);
    strbuf_init(&s->blob, STRBUF_TEXT_LIMIT);
    ssh2_algorithms_init(&s->algorithms, LIBSSH2_VERSION_NUM, kinds);
    s->ssh = libssh2_init(0) == 0 ? libssh2_session_init_ex(NULL, NULL, NULL, s) : NULL;
    if (s->ssh == NULL) {
        (void)error_set(err, ERR_UNSUPPORTED, "libssh2 could not be started");
        ssh2_session_free(s);
        return NULL;
    }
    libssh2_session_set_blocking(s->ssh, 0);
    set_callback(s->ssh, LIBSSH2_CALLBACK_SEND, (void (*)(void))queue_bytes);
    set_callback(s->ssh, LIBSSH2_CALLBACK_RECV, (void (*)(void))take_bytes);
    set_callback(s->ssh, LIBSSH2_CALLBACK_DISCONNECT, (void (*)(void))take_goodbye);
    set_preferences(s);
    return s;
}

/* What libssh2 still says on its way is queued, and not sent. */
void ssh2_session_disown(struct ssh2_session *s)
{
    if (s == NULL) {
        return;
    }
    s->socket.is_closing = true; /* nothing of what follows waits for an answer */
    if (s->ssh != NULL) {
        (void)libssh2_session_free(s->ssh);
    }
    ssh2_socket_release(&s->socket);
    strbuf_release(&s->words);
    strbuf_release(&s->goodbye);
    strbuf_release(&s->blob);
    ssh2_algorithms_release(&s->algorithms);
    free(s->said);
    free(s);
}

/* ---- steps ---- */

/* What a call of libssh2 came to. */
static enum ssh2_step step_of(struct ssh2_session *s, int code)
{
    (void)ssh2_session_flush(s);
    if (code == 0) {
        return SSH2_DONE;
    }
    if (code == LIBSSH2_ERROR_EAGAIN && s->socket.broken == 0) {
        return SSH2_AGAIN;
    }
    char *text = NULL;
    (void)libssh2_session_last_error(s->ssh, &text, NULL, 0);
    free(s->said);
    s->said = xstrdup(text != NULL ? text : "");
    s->code = code;
    return SSH2_FAILED;
}

enum ssh2_step ssh2_session_handshake(struct ssh2_session *s)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    enum ssh2_step step = step_of(s, libssh2_session_handshake(s->ssh, s->socket.fd));
    /* libssh2 would wait for what never comes. */
    bool is_over = ssh2_socket_greeting(&s->socket) == SSH2_GREETING_SSH_1;
    return step == SSH2_AGAIN && is_over ? SSH2_FAILED : step;
}

const void *ssh2_session_host_key(const struct ssh2_session *s, size_t *out_length)
{
    int type = 0;
    return libssh2_session_hostkey(s->ssh, out_length, &type);
}

static int sign(LIBSSH2_SESSION *ssh, unsigned char **out, size_t *out_length,
                const unsigned char *data, size_t length, void **abstract)
{
    struct ssh2_session *s = *abstract;
    CLEANUP_STRBUF struct strbuf signature = STRBUF_INIT;
    (void)ssh;
    s->has_signed = s->signer->sign(s->signer->context, data, length, &signature) == 0;
    if (!s->has_signed) {
        return -1;
    }
    *out = xmemdup(signature.data, signature.length);
    *out_length = signature.length;
    return 0;
}

static enum ssh2_step login_step(struct ssh2_session *s, int code)
{
    enum ssh2_step step = step_of(s, code);
    s->socket.has_logged_in = s->socket.has_logged_in || step == SSH2_DONE;
    return step;
}

enum ssh2_step ssh2_session_key(struct ssh2_session *s, const char *user,
                                const void *blob, size_t length,
                                const struct ssh2_signer *signer)
{
    void *self = s;
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    if (s->signer != signer) { /* a new key */
        strbuf_reset(&s->blob);
        if (ssh_put_key_for_signing(&s->blob, blob, length, NULL) != 0) {
            return SSH2_FAILED;
        }
    }
    s->signer = signer;
    enum ssh2_step step = login_step(
        s, libssh2_userauth_publickey(s->ssh, user, (const unsigned char *)s->blob.data,
                                      s->blob.length, sign, &self));
    s->signer = step == SSH2_AGAIN ? signer : NULL;
    return step;
}

enum ssh2_step ssh2_session_key_file(struct ssh2_session *s, const char *user,
                                     const char *path, const char *passphrase)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    s->has_signed = true; /* by libssh2 */
    return login_step(s, libssh2_userauth_publickey_fromfile_ex(s->ssh, user,
                                                                (unsigned)strlen(user),
                                                                NULL, path, passphrase));
}

/* A key that the server does not take at all is LIBSSH2_ERROR_AUTHENTICATION_FAILED. */
bool ssh2_session_key_was_taken(const struct ssh2_session *s)
{
    return s->has_signed && s->code == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
}

bool ssh2_session_file_failed(const struct ssh2_session *s)
{
    return s->code == LIBSSH2_ERROR_FILE || s->code == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED;
}

enum ssh2_step ssh2_session_password(struct ssh2_session *s, const char *user,
                                     const char *password)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    return login_step(s, libssh2_userauth_password_ex(s->ssh, user,
                                                      (unsigned)strlen(user), password,
                                                      (unsigned)strlen(password), NULL));
}

static void append_safe(struct strbuf *out, const void *text, size_t length)
{
    terminal_make_safe(text, length < 500 ? length : 500, out);
}

/* Called by libssh2 for each set of questions; those without an answer get an empty one,
 * which the server refuses. */
static void answer(const char *name, int name_length, const char *instruction,
                   int instruction_length, int count,
                   const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                   LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
    const struct ssh2_session *s = *abstract;
    CLEANUP_STRBUF struct strbuf intro = STRBUF_INIT;
    append_safe(&intro, name, name_length > 0 ? (size_t)name_length : 0);
    strbuf_puts(&intro, intro.length > 0 && instruction_length > 0 ? ": " : "");
    append_safe(&intro, instruction,
                instruction_length > 0 ? (size_t)instruction_length : 0);
    for (int i = 0; i < count; i++) {
        CLEANUP_STRBUF struct strbuf prompt = STRBUF_INIT;
        struct strbuf text = STRBUF_INIT;
        append_safe(&prompt, prompts[i].text, prompts[i].length);
        if (s->answerer->answer(s->answerer->context, intro.data, prompt.data,
                                prompts[i].echo != 0, &text) != 0) {
            strbuf_reset(&text);
        }
        responses[i].length = (unsigned)text.length;
        responses[i].text = strbuf_detach(&text);
    }
}

enum ssh2_step ssh2_session_interactive(struct ssh2_session *s, const char *user,
                                        const struct ssh2_answerer *answerer)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    s->answerer = answerer;
    return login_step(s, libssh2_userauth_keyboard_interactive_ex(
                             s->ssh, user, (unsigned)strlen(user), answer));
}

enum ssh2_step ssh2_session_methods(struct ssh2_session *s, const char *user,
                                    struct strbuf *out)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    const char *list = libssh2_userauth_list(s->ssh, user, (unsigned)strlen(user));
    if (list != NULL) {
        append_safe(out, list, strlen(list));
        return SSH2_DONE;
    }
    return login_step(s, libssh2_userauth_authenticated(s->ssh)
                             ? 0
                             : libssh2_session_last_errno(s->ssh));
}

enum ssh2_step ssh2_session_exec(struct ssh2_session *s, const char *command)
{
    ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
    if (s->channel == NULL) {
        s->channel = libssh2_channel_open_ex(s->ssh, "session", strlen("session"),
                                             WINDOW_SIZE, PACKET_SIZE, NULL, 0);
        if (s->channel == NULL) {
            return step_of(s, libssh2_session_last_errno(s->ssh));
        }
    }
    enum ssh2_step step =
        step_of(s, libssh2_channel_process_startup(s->channel, "exec", strlen("exec"),
                                                   command, (unsigned)strlen(command)));
    s->socket.is_stream = step == SSH2_DONE;
    return step;
}

/* ---- the stream ---- */

/* What the command said on stderr is taken away at once, so that it does not fill the
 * window; its end is kept. */
static void take_stderr(struct ssh2_session *s)
{
    char part[STDERR_MAX];
    ssize_t got = 0;
    while ((got = libssh2_channel_read_stderr(s->channel, part, sizeof part)) > 0) {
        (void)strbuf_add(&s->words, part, (size_t)got, NULL);
        if (s->words.length > STDERR_MAX) {
            strbuf_consume(&s->words, s->words.length - STDERR_MAX);
        }
    }
}

ssize_t ssh2_session_read(struct ssh2_session *s, void *out, size_t size)
{
    size_t total = 0;
    ssize_t got = 0;
    /* No more than is taken: what libssh2 holds beyond it would only grow. */
    ssh2_socket_begin_turn(&s->socket, size);
    /* Before the stream: each of the two takes from the socket what is there for both,
     * and nobody is told of what it leaves for the other. */
    take_stderr(s);
    while (total < size && (got = libssh2_channel_read(s->channel, (char *)out + total,
                                                       size - total)) > 0) {
        total += (size_t)got;
    }
    (void)ssh2_session_flush(s); /* window adjustments */
    if (total > 0) {
        return (ssize_t)total;
    }
    if (got == 0 && libssh2_channel_eof(s->channel)) {
        return 0;
    }
    if (!s->socket.has_ended && (got == LIBSSH2_ERROR_EAGAIN || got == 0)) {
        errno = EAGAIN;
        return -1;
    }
    (void)step_of(s, (int)got);
    errno = s->socket.broken != 0 ? s->socket.broken
                                  : (s->socket.has_ended ? ECONNRESET : EPROTO);
    return -1;
}

bool ssh2_session_has_room(const struct ssh2_session *s)
{
    return ssh2_socket_queued(&s->socket) < QUEUE_HIGH &&
           libssh2_channel_window_write_ex(s->channel, NULL) > 0;
}

ssize_t ssh2_session_write(struct ssh2_session *s, const void *data, size_t length)
{
    size_t total = 0;
    ssh2_socket_begin_turn(&s->socket, PACKET_SIZE); /* as above */
    while (total < length && s->socket.broken == 0 &&
           ssh2_socket_queued(&s->socket) < QUEUE_HIGH) {
        ssize_t got =
            libssh2_channel_write(s->channel, (const char *)data + total, length - total);
        if (got < 0 && got != LIBSSH2_ERROR_EAGAIN) {
            (void)step_of(s, (int)got);
            errno = s->socket.broken != 0 ? s->socket.broken : EPIPE;
            return -1;
        }
        if (got <= 0) {
            break;
        }
        total += (size_t)got;
        (void)ssh2_session_flush(s);
    }
    (void)ssh2_session_flush(s);
    if (s->socket.broken != 0) {
        errno = s->socket.broken;
        return -1;
    }
    if (total == 0 && length > 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)total;
}

bool ssh2_session_is_cut(const struct ssh2_session *s)
{
    return s->socket.has_ended &&
           (s->channel == NULL || libssh2_channel_eof(s->channel) == 0);
}

/* It comes with the channel's end, behind the end of what the command wrote. */
int ssh2_session_exit_status(struct ssh2_session *s, struct strbuf *how)
{
    char *name = NULL;
    int64_t deadline_ns = clock_monotonic_ns() + EXIT_STATUS_NS;
    while (s->channel != NULL && s->socket.broken == 0 && !s->socket.has_ended &&
           clock_monotonic_ns() < deadline_ns) {
        ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
        if (libssh2_channel_wait_closed(s->channel) != LIBSSH2_ERROR_EAGAIN) {
            break;
        }
        (void)ssh2_socket_wait(&s->socket, EXIT_STATUS_NS / NS_PER_MS);
    }
    if (s->channel != NULL &&
        libssh2_channel_get_exit_signal(s->channel, &name, NULL, NULL, NULL, NULL,
                                        NULL) == 0 &&
        name != NULL) {
        libssh2_free(s->ssh, name);
        strbuf_puts(how, "was killed by a signal");
        return EXIT_BY_SIGNAL;
    }
    int status = s->channel != NULL ? libssh2_channel_get_exit_status(s->channel) : 0;
    if (status > 0) {
        strbuf_printf(how, "exited with status %d", status);
    } else {
        strbuf_puts(how, "ended");
    }
    return status;
}

const struct strbuf *ssh2_session_stderr(struct ssh2_session *s)
{
    if (s->channel != NULL) {
        ssh2_socket_begin_turn(&s->socket, SSH2_SOCKET_TURN);
        take_stderr(s);
    }
    return &s->words;
}

/* ---- words ---- */

static bool append_lacking(const struct ssh2_session *s, struct strbuf *text)
{
    size_t before = text->length;
    strbuf_printf(text, "%s and the server share no ", LIBRARY);
    if (ssh_kexinit_lacking(s->socket.greeting.data, s->socket.greeting.length,
                            s->algorithms.lists, text)) {
        return true;
    }
    strbuf_truncate(text, before);
    return false;
}

/* What came first is not what an SSH 2 server says. */
static enum ssh2_cause cause_of_greeting(const struct ssh2_session *s,
                                         enum ssh2_greeting greeting, struct strbuf *text)
{
    const char *words = s->socket.greeting.data;
    if (greeting == SSH2_GREETING_SSH_1) {
        size_t length = 0;
        const char *version = ssh2_socket_version(&s->socket, &length);
        strbuf_puts(text, "the server speaks SSH 1 alone (");
        append_safe(text, version, length);
        strbuf_puts(text, ")");
        return SSH2_CAUSE_SSH_1;
    }
    if (greeting == SSH2_GREETING_REFUSAL) {
        strbuf_puts(text, "the server turns connections away: ");
        append_safe(text, words, strcspn(words, "\r\n"));
        return strstr(words, "MaxStartups") != NULL ? SSH2_CAUSE_FULL : SSH2_CAUSE_CLOSED;
    }
    strbuf_puts(text, "what answers on this port is no SSH server");
    return SSH2_CAUSE_BABBLE;
}

/* libssh2 gave up, or the server said no, on a connection that is whole. */
static enum ssh2_cause cause_of_library(const struct ssh2_session *s, struct strbuf *text)
{
    if (!s->socket.has_logged_in && s->said != NULL &&
        strncmp(s->said, "Waiting for ", strlen("Waiting for ")) == 0) {
        strbuf_printf(text, "%s cannot read what the server sends (%s, %d)", LIBRARY,
                      s->said, s->code);
        return SSH2_CAUSE_UNREADABLE;
    }
    bool has_no_session = s->socket.has_logged_in && s->channel == NULL;
    strbuf_printf(text, "%s%s (%s, %d)",
                  has_no_session ? "logged in, but the server opens no session: " : "",
                  s->said != NULL ? s->said : "", LIBRARY, s->code);
    if (has_no_session) {
        return SSH2_CAUSE_NO_SESSION;
    }
    bool is_refused = s->code == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
                      s->code == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
    return is_refused ? SSH2_CAUSE_REFUSED : SSH2_CAUSE_OTHER;
}

enum ssh2_cause ssh2_session_cause(const struct ssh2_session *s, struct strbuf *text)
{
    if (s->socket.is_late) {
        strbuf_puts(text, s->socket.received > 0 ? "it did not go on in time"
                                                 : "the server says nothing");
        return SSH2_CAUSE_LATE;
    }
    if (s->socket.does_babble) {
        strbuf_puts(text, "what the server says is not SSH, and does not end");
        return SSH2_CAUSE_BABBLE;
    }
    enum ssh2_greeting greeting = ssh2_socket_greeting(&s->socket);
    if (greeting != SSH2_GREETING_NONE && greeting != SSH2_GREETING_SSH) {
        return cause_of_greeting(s, greeting, text);
    }
    if (!s->socket.has_logged_in && append_lacking(s, text)) {
        return SSH2_CAUSE_ALGORITHMS;
    }
    if (s->goodbye.length > 0) {
        strbuf_printf(text, "the server hung up: %s", s->goodbye.data);
        return SSH2_CAUSE_EXPELLED;
    }
    if (s->socket.broken != 0 || s->socket.has_ended) {
        strbuf_printf(text, "the server hung up%s%s%s",
                      greeting == SSH2_GREETING_NONE ? " before it said a word" : "",
                      s->socket.broken != 0 ? ": " : "",
                      s->socket.broken != 0 ? strerror(s->socket.broken) : "");
        return greeting == SSH2_GREETING_NONE ? SSH2_CAUSE_FULL : SSH2_CAUSE_CLOSED;
    }
    return cause_of_library(s, text);
}

struct ssh2_fact ssh2_session_fact(const struct ssh2_session *s, size_t i)
{
    static const struct {
        const char *key;
        int method;
    } facts[] = {
        {"server", -1},
        {"key_exchange", LIBSSH2_METHOD_KEX},
        {"cipher", LIBSSH2_METHOD_CRYPT_CS},
        {"mac", LIBSSH2_METHOD_MAC_CS},
    };
    if (i >= ARRAY_SIZE(facts)) {
        return (struct ssh2_fact){NULL, NULL};
    }
    const char *value = facts[i].method < 0
                            ? libssh2_session_banner_get(s->ssh)
                            : libssh2_session_methods(s->ssh, facts[i].method);
    return (struct ssh2_fact){facts[i].key, value};
}
