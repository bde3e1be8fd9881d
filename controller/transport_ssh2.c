/*
 * SSH in this process, by libssh2: no second program, and the connection is ours to tune
 * and to keep. What it cannot do is left to the ssh program (transport_openssh.c).
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "controller/dial.h"
#include "controller/openssh_explain.h"
#include "controller/ssh2_host_key.h"
#include "controller/ssh2_login.h"
#include "controller/ssh2_session.h"
#include "controller/ssh2_words.h"
#include "controller/ssh_settings.h"
#include "controller/transport_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum phase {
    PHASE_CONNECT,
    PHASE_HANDSHAKE,
    PHASE_HOST_KEY,
    PHASE_LOGIN,
    PHASE_START,
    PHASE_IN,
    PHASE_FAILED,
};

struct ssh2_link {
    struct link link;
    enum phase phase;
    int64_t begun_ns, settled_ns;         /* ssh -G was asked, and has answered */
    int64_t entered_ns[PHASE_FAILED + 1]; /* when each phase began; 0: not */
    char *by_hand;
    struct strbuf where; /* "gpu1 (me@10.1.2.3 port 22)" */
    char *command, *password_env, *place;
    struct transport_options options;
    struct ssh_settings settings;
    struct known_hosts *known;
    struct dial *dial;
    struct ssh2_session *session;
    struct ssh2_login *login;
    struct strbuf host_key; /* for people */
    int64_t deadline_ns;
    struct loop_timer *deadline, *wake;
    bool may_have_more; /* to read, without the socket being ready */
    char *beyond;       /* why the ssh program should be tried, or NULL */
    struct error failure;
};

static struct ssh2_link *of(struct link *link)
{
    return (struct ssh2_link *)link;
}

static void enter(struct ssh2_link *s, enum phase phase)
{
    s->phase = phase;
    s->entered_ns[phase] = clock_monotonic_ns();
}

static const char *phase_name(enum phase phase)
{
    static const char *const names[] = {
        [PHASE_CONNECT] = "connect",   [PHASE_HANDSHAKE] = "handshake",
        [PHASE_HOST_KEY] = "host key", [PHASE_LOGIN] = "login",
        [PHASE_START] = "start",       [PHASE_IN] = "start",
        [PHASE_FAILED] = "connect",
    };
    return names[phase];
}

/* ---- failures ---- */

static void fail(struct ssh2_link *s, enum error_code code, const char *text,
                 const char *hint)
{
    bool is_resolving = s->phase == PHASE_CONNECT && !dial_is_resolved(s->dial);
    (void)error_set(&s->failure, code, "%s: %s: %s", s->where.data,
                    is_resolving ? "resolve" : phase_name(s->phase), text);
    (void)(hint != NULL ? error_hint(&s->failure, "%s", hint)
                        : error_hint(&s->failure, "by hand: %s", s->by_hand));
    enter(s, PHASE_FAILED);
}

/* A step of the session failed. */
static void fail_session(struct ssh2_link *s)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    enum ssh2_cause cause = ssh2_session_cause(s->session, &text);
    if (cause == SSH2_CAUSE_ALGORITHMS || cause == SSH2_CAUSE_UNREADABLE) {
        s->beyond = xstrndup(text.data, strcspn(text.data, "("));
        s->beyond[strlen(s->beyond) - 1] = '\0';
    }
    /* A connection that was cut says nothing of the login: it is worth another try. */
    enum error_code code = cause == SSH2_CAUSE_LATE     ? ERR_TIMED_OUT
                           : cause == SSH2_CAUSE_CLOSED ? ERR_CONNECT
                           : cause == SSH2_CAUSE_FULL   ? ERR_BUSY
                           : s->phase == PHASE_LOGIN    ? ERR_LOGIN
                           : s->phase > PHASE_LOGIN     ? ERR_BOOTSTRAP
                                                        : ERR_CONNECT;
    fail(s, code, text.data, ssh2_hint_of_cause(cause));
}

static void fail_login(struct ssh2_link *s)
{
    if (ssh2_login_is_broken(s->login)) {
        fail_session(s);
        return;
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf hint = STRBUF_INIT;
    const char *beyond = ssh2_login_explain(s->login, &text, &hint);
    s->beyond = beyond != NULL ? xstrdup(beyond) : NULL;
    if (hint.length == 0) {
        strbuf_printf(&hint,
                      "is the user right, and is the public key in "
                      "~/.ssh/authorized_keys there? By hand: %s",
                      s->by_hand);
    }
    fail(s, ERR_LOGIN, text.data, hint.data);
}

static void judge_host_key(struct ssh2_link *s)
{
    size_t length = 0;
    struct error err = ERROR_INIT;
    int64_t since_ns = clock_monotonic_ns();
    const void *key = ssh2_session_host_key(s->session, &length);
    const struct ssh2_host_key_options options = {
        .known = s->known,
        .settings = &s->settings,
        .terminal = s->options.terminal,
        .may_ask = s->options.may_ask,
        .want_accept_new = s->options.want_accept_new,
        .where = s->where.data,
    };
    enter(s, PHASE_HOST_KEY);
    if (ssh2_host_key_judge(&options, key, length, &s->host_key, &err) != 0) {
        fail(s, err.code, err.text, err.hint);
    }
    s->deadline_ns += clock_monotonic_ns() - since_ns; /* a person may have been asked */
}

/* ---- going on ---- */

static void arm_deadline(struct ssh2_link *s);

static void set_deadline(struct ssh2_link *s, int64_t deadline_ns)
{
    s->deadline_ns = deadline_ns;
    if (s->session != NULL) {
        ssh2_session_set_deadline(s->session, deadline_ns);
    }
    arm_deadline(s);
}

static void begin_login(struct ssh2_link *s)
{
    const struct ssh2_login_options options = {
        .settings = &s->settings,
        .terminal = s->options.terminal,
        .may_ask = s->options.may_ask,
        .may_fall_back = s->options.may_fall_back,
        .password_env = s->password_env,
        .place = s->place,
    };
    enter(s, PHASE_LOGIN);
    s->login = ssh2_login_new(s->session, &options);
}

/* A person thinks as long as they like. */
static enum ssh2_step step_login(struct ssh2_link *s)
{
    int64_t asked_ns = ssh2_login_asked_ns(s->login);
    ssh2_session_set_deadline(s->session, INT64_MAX);
    enum ssh2_step step = ssh2_login_step(s->login);
    set_deadline(s, s->deadline_ns + ssh2_login_asked_ns(s->login) - asked_ns);
    return step;
}

/* One step; false: nothing goes on until the socket is ready, or it is over. */
static bool advance(struct ssh2_link *s)
{
    enum ssh2_step step = SSH2_DONE;
    switch (s->phase) {
    case PHASE_HANDSHAKE:
        step = ssh2_session_handshake(s->session);
        if (step == SSH2_DONE) {
            judge_host_key(s);
        }
        break;
    case PHASE_HOST_KEY:
        set_deadline(s, s->deadline_ns);
        begin_login(s);
        break;
    case PHASE_LOGIN:
        step = step_login(s);
        if (step == SSH2_DONE) {
            enter(s, PHASE_START);
        }
        break;
    case PHASE_START:
        step = ssh2_session_exec(s->session, s->command);
        if (step == SSH2_DONE) {
            enter(s, PHASE_IN);
            s->may_have_more = true;
            set_deadline(s, INT64_MAX);
        }
        break;
    case PHASE_CONNECT:
    case PHASE_IN:
    case PHASE_FAILED:
        return false;
    }
    if (step == SSH2_FAILED && s->phase == PHASE_LOGIN) {
        fail_login(s);
    } else if (step == SSH2_FAILED) {
        fail_session(s);
    }
    return step == SSH2_DONE;
}

/* What the user may do now, of what is watched for. */
static unsigned ready_events(const struct ssh2_link *s)
{
    if (s->phase == PHASE_FAILED) {
        return LOOP_READ;
    }
    if (s->phase != PHASE_IN) {
        return 0;
    }
    return (s->may_have_more ? LOOP_READ : 0) |
           (ssh2_session_has_room(s->session) ? LOOP_WRITE : 0);
}

static void watch_socket(struct ssh2_link *s);

static void notify(struct ssh2_link *s)
{
    unsigned events = ready_events(s) & s->link.watcher.events;
    watch_socket(s);
    if (events != 0) {
        s->link.watcher.handler(s->link.watcher.context, events);
    }
}

static void woken(void *context)
{
    struct ssh2_link *s = context;
    s->wake = NULL;
    notify(s);
}

static void socket_ready(void *context, int fd, unsigned events)
{
    struct ssh2_link *s = context;
    (void)fd;
    (void)ssh2_session_flush(s->session);
    if ((events & LOOP_READ) != 0) {
        while (advance(s)) {
        }
        s->may_have_more = true;
    }
    notify(s);
}

/* Poll the socket for what the session waits for; and wake up by ourselves where the user
 * can go on without it. */
static void watch_socket(struct ssh2_link *s)
{
    struct loop *loop = s->link.watcher.loop;
    if (loop == NULL) {
        return;
    }
    if (s->session != NULL) {
        unsigned events = (s->phase == PHASE_FAILED ? 0 : LOOP_READ) |
                          (ssh2_session_is_queued(s->session) ? LOOP_WRITE : 0);
        loop_watch(loop, ssh2_session_fd(s->session), events, socket_ready, s);
    }
    bool can_go_on = (ready_events(s) & s->link.watcher.events) != 0;
    if (can_go_on && s->wake == NULL) {
        s->wake = loop_timer_at(loop, clock_monotonic_ns(), woken, s);
    } else if (!can_go_on) {
        loop_timer_cancel(loop, s->wake);
        s->wake = NULL;
    }
}

static void deadline_passed(void *context)
{
    struct ssh2_link *s = context;
    char waited[CLOCK_TEXT_SIZE];
    s->deadline = NULL;
    if (s->phase == PHASE_CONNECT) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        clock_format_duration(waited, s->options.connect_timeout_ms);
        dial_describe(s->dial, &text);
        strbuf_printf(&text, " after %s", waited);
        fail(s, ERR_TIMED_OUT, text.data,
             "is the machine up, and does a firewall let the port through? "
             "`connect_timeout` in config.yaml sets how long errand waits");
        dial_unwatch(s->dial);
    } else {
        while (advance(s)) { /* the session sees that it is late */
        }
        if (s->phase != PHASE_FAILED && s->phase != PHASE_IN) {
            fail(s, ERR_TIMED_OUT, "the server does not go on",
                 "is the machine overloaded? `login_timeout` in config.yaml sets how "
                 "long errand waits");
        }
    }
    notify(s);
}

static void arm_deadline(struct ssh2_link *s)
{
    struct loop *loop = s->link.watcher.loop;
    if (loop == NULL) {
        return;
    }
    loop_timer_cancel(loop, s->deadline);
    s->deadline = s->phase < PHASE_IN && s->deadline_ns != INT64_MAX
                      ? loop_timer_at(loop, s->deadline_ns, deadline_passed, s)
                      : NULL;
}

static void dialled(void *context)
{
    struct ssh2_link *s = context;
    struct error err = ERROR_INIT;
    CLEANUP_STRVEC struct strvec kinds = STRVEC_INIT;
    int fd = dial_take(s->dial, &err);
    if (fd < 0) {
        fail(s, ERR_CONNECT, err.text, ssh2_hint_of_connect(err.sys));
        notify(s);
        return;
    }
    const char *kind = NULL;
    for (size_t i = 0; (kind = known_hosts_kind(s->known, i)) != NULL; i++) {
        strvec_push(&kinds, kind); /* known ones are offered first */
    }
    enter(s, PHASE_HANDSHAKE);
    s->session = ssh2_session_new(fd, (const char *const *)strvec_argv(&kinds), &err);
    if (s->session == NULL) {
        fail(s, err.code, err.text, NULL);
    } else {
        set_deadline(s, clock_monotonic_ns() + s->options.login_timeout_ms * NS_PER_MS);
        while (advance(s)) {
        }
    }
    notify(s);
}

/* ---- the link ---- */

static ssize_t ssh2_read(struct link *link, void *out, size_t size)
{
    struct ssh2_link *s = of(link);
    if (s->phase == PHASE_FAILED) {
        return 0;
    }
    if (s->phase != PHASE_IN) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = ssh2_session_read(s->session, out, size);
    s->may_have_more = got > 0;
    watch_socket(s);
    return got;
}

static ssize_t ssh2_write(struct link *link, const void *data, size_t length)
{
    struct ssh2_link *s = of(link);
    if (s->phase != PHASE_IN) {
        errno = s->phase == PHASE_FAILED ? EPIPE : EAGAIN;
        return -1;
    }
    ssize_t written = ssh2_session_write(s->session, data, length);
    s->may_have_more = true; /* libssh2 reads before it writes: no socket tells of it */
    watch_socket(s);
    return written;
}

static void ssh2_watch(struct link *link)
{
    struct ssh2_link *s = of(link);
    if (s->phase == PHASE_CONNECT) {
        dial_watch(s->dial, link->watcher.loop, dialled, s);
    }
    if (s->deadline == NULL && s->phase < PHASE_IN) {
        arm_deadline(s);
    }
    watch_socket(s);
}

static void ssh2_unwatch(struct link *link)
{
    struct ssh2_link *s = of(link);
    loop_timer_cancel(link->watcher.loop, s->deadline);
    loop_timer_cancel(link->watcher.loop, s->wake);
    s->deadline = s->wake = NULL;
    if (s->dial != NULL) {
        dial_unwatch(s->dial);
    }
    if (s->session != NULL) {
        loop_unwatch(link->watcher.loop, ssh2_session_fd(s->session));
    }
}

static int ssh2_explain(struct link *link, const struct link_end *end, struct error *err)
{
    struct ssh2_link *s = of(link);
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    if (s->phase != PHASE_FAILED && end->cause == NULL && end->late_ms <= 0 &&
        ssh2_session_is_cut(s->session)) {
        fail_session(s);
    }
    if (s->phase == PHASE_FAILED) {
        return error_copy(err, &s->failure);
    }
    ssh2_append_said(s->session, end->noise, &said);
    if (end->cause != NULL) {
        error_set(err, end->cause->code, "%s: start: %s%s", s->where.data,
                  end->cause->text, said.data);
        return end->cause->hint[0] != '\0' ? error_hint(err, "%s", end->cause->hint)
                                           : error_hint(err, "by hand: %s", s->by_hand);
    }
    if (end->late_ms > 0) {
        return ssh2_explain_late(s->where.data, end->late_ms, said.data, s->by_hand, err);
    }
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    int status = ssh2_session_exit_status(s->session, &how);
    const struct openssh_story story = {.where = s->where.data, .by_hand = s->by_hand};
    return explain_no_executor(&story, status, how.data, said.data, err);
}

/* Before the login is over the deadlines are this file's. */
static bool ssh2_may_be_asking(const struct link *link)
{
    return ((const struct ssh2_link *)link)->phase < PHASE_START;
}

static const char *ssh2_beyond(const struct link *link)
{
    return ((const struct ssh2_link *)link)->beyond;
}

static struct json *ssh2_facts(const struct link *link)
{
    const struct ssh2_link *s = (const struct ssh2_link *)link;
    struct json *facts = json_new_object();
    CLEANUP_FREE char *address =
        xasprintf("%s@%s port %u", s->settings.user, dial_address(s->dial),
                  (unsigned)s->settings.port);
    json_add_string(facts, "address", address);
    json_add_string(facts, "host_key", s->host_key.data);
    for (size_t i = 0; s->session != NULL; i++) {
        struct ssh2_fact fact = ssh2_session_fact(s->session, i);
        if (fact.key == NULL) {
            break;
        }
        CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
        const char *value = fact.value != NULL ? fact.value : "";
        terminal_make_safe(value, strlen(value), &safe);
        json_add_string(facts, fact.key, safe.data);
    }
    if (s->login != NULL && ssh2_login_way(s->login) != NULL) {
        json_add_string(facts, "login", ssh2_login_way(s->login));
    }
    return facts;
}

static void ssh2_time(const struct link *link, struct timing *timing, int64_t spoke_ns)
{
    const struct ssh2_link *s = (const struct ssh2_link *)link;
    const int64_t *entered = s->entered_ns;
    timing_span(timing, TIMING_SETTINGS, s->begun_ns, s->settled_ns);
    timing_span(timing, TIMING_RESOLVE, s->settled_ns, dial_resolved_ns(s->dial));
    timing_span(timing, TIMING_CONNECT, dial_resolved_ns(s->dial),
                entered[PHASE_HANDSHAKE]);
    timing_span(timing, TIMING_KEY_EXCHANGE, entered[PHASE_HANDSHAKE],
                entered[PHASE_HOST_KEY]);
    timing_span(timing, TIMING_LOGIN, entered[PHASE_LOGIN], entered[PHASE_START]);
    timing_span(timing, TIMING_START, entered[PHASE_START], spoke_ns);
}

static void ssh2_disown(struct link *link)
{
    struct ssh2_link *s = of(link);
    ssh2_login_free(s->login);
    ssh2_session_disown(s->session);
    dial_free(s->dial);
    known_hosts_free(s->known);
    ssh_settings_release(&s->settings);
    strbuf_release(&s->where);
    strbuf_release(&s->host_key);
    free(s->beyond);
    free(s->by_hand);
    free(s->command);
    free(s->password_env);
    free(s->place);
    free(s);
}

static void ssh2_free(struct link *link)
{
    struct ssh2_link *s = of(link);
    ssh2_session_free(TAKE_PTR(s->session));
    ssh2_disown(link);
}

static const struct link_type ssh2_type = {
    .read = ssh2_read,
    .write = ssh2_write,
    .watch = ssh2_watch,
    .unwatch = ssh2_unwatch,
    .explain = ssh2_explain,
    .may_be_asking = ssh2_may_be_asking,
    .beyond = ssh2_beyond,
    .facts = ssh2_facts,
    .time = ssh2_time,
    .disown = ssh2_disown,
    .free = ssh2_free,
};

static struct ssh2_link *new_link(const struct target *target,
                                  const struct transport_options *options)
{
    struct ssh2_link *s = xcalloc(1, sizeof *s);
    s->link.type = &ssh2_type;
    s->by_hand = ssh_settings_by_hand(target, options->ssh_program);
    s->command = xstrdup(options->command);
    s->password_env = target->password_env != NULL ? xstrdup(target->password_env) : NULL;
    s->options = *options;
    s->options.command = NULL; /* borrowed for the call */
    strbuf_init(&s->where, STRBUF_TEXT_LIMIT);
    strbuf_init(&s->host_key, STRBUF_TEXT_LIMIT);
    return s;
}

static int start(struct ssh2_link *s, const struct target *target, struct error *err)
{
    const struct ssh_settings *settings = &s->settings;
    s->begun_ns = clock_monotonic_ns();
    if (ssh_settings_resolve(&s->settings, target, s->options.ssh_program, err) != 0) {
        return -1;
    }
    strbuf_printf(&s->where, "%s (%s@%s port %u)", target->name, settings->user,
                  settings->hostname, (unsigned)settings->port);
    s->place = xasprintf("%s@%s", settings->user, settings->hostname);
    if (ssh2_host_key_read_known(settings, &s->known, err) != 0) {
        return error_wrap(err, "%s: host key", s->where.data);
    }
    const char *beyond =
        settings->beyond != NULL ? settings->beyond : ssh2_host_key_beyond(s->known);
    if (beyond != NULL) {
        (void)error_set(err, ERR_UNSUPPORTED,
                        "%s: the built-in transport cannot follow your ssh "
                        "configuration: %s",
                        s->where.data, beyond);
        return error_hint(err, "set the target's transport to openssh");
    }
    s->settled_ns = clock_monotonic_ns();
    s->deadline_ns = s->settled_ns + s->options.connect_timeout_ms * NS_PER_MS;
    s->dial = dial_start(settings->hostname, settings->port, settings->family, err);
    return s->dial != NULL ? 0 : -1;
}

static struct link *open_ssh2(const struct target *target,
                              const struct transport_options *options, struct error *err)
{
    struct ssh2_link *s = new_link(target, options);
    if (start(s, target, err) != 0) {
        link_free(&s->link);
        return NULL;
    }
    return &s->link;
}

const struct transport transport_ssh2 = {
    .name = "ssh2",
    .help = "SSH in this process, by libssh2",
    .open = open_ssh2,
};
