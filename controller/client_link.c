#include "controller/client_internal.h"

#include "common/clock.h"

#include <stdlib.h>

#define FULL_TRIES_MAX 5 /* of a server that has no room; with their pauses some 5 s */

/* Take the other transport, once. */
static bool fall_back(struct client *c, const char *why)
{
    const struct transport *other = transport_fallback(c->target);
    if (other == NULL || other == c->transport) {
        return false;
    }
    free(c->reason);
    c->reason = xasprintf("not %s: %s", c->transport->name, why);
    c->transport = other;
    return true;
}

/* A connection of our own. */
static int open_own_link(struct client *c, struct error *err)
{
    const struct config *config = c->context->config;
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct transport_options transport = {
        .connect_timeout_ms = config_integer(config, "connect_timeout"),
        .login_timeout_ms = config_integer(config, "login_timeout"),
        .may_ask = c->options.may_ask,
        .want_accept_new = c->options.want_accept_new,
        .may_fall_back = transport_fallback(c->target) != NULL,
        .terminal = c->context->terminal,
        .ssh_program = config_string(config, "ssh"),
    };
    if (c->target->host != NULL) {
        if (install_line(&c->executors, c->target->root, &line, err) != 0) {
            return -1;
        }
        transport.command = line.data;
    }
    struct error why = ERROR_INIT;
    c->link = c->transport->open(c->target, &transport, &why);
    if (c->link == NULL && why.code == ERR_UNSUPPORTED && fall_back(c, why.text)) {
        c->link = c->transport->open(c->target, &transport, &why);
    }
    return c->link != NULL ? 0 : error_copy(err, &why);
}

static void find_place(const struct command_context *context, const struct target *target,
                       const char *executor, struct keeper_place *out)
{
    keeper_place_init(out, context->home, target, executor,
                      config_string(context->config, "ssh"),
                      config_integer(context->config, "keep_connection"));
}

/* The same for who has no connection. */
static int find_place_of(struct command_context *context, const struct target *target,
                         struct keeper_place *out, struct error *err)
{
    struct executor_file file = {0};
    *out = (struct keeper_place){.folder = NULL};
    if (command_config(context, err) == NULL || executor_file_find(&file, err) != 0) {
        return -1;
    }
    find_place(context, target, file.digest, out);
    executor_file_release(&file);
    return 0;
}

bool client_is_kept(struct command_context *context, const struct target *target)
{
    struct keeper_place place;
    bool is_kept =
        find_place_of(context, target, &place, NULL) == 0 && keeper_is_there(&place);
    keeper_place_release(&place);
    return is_kept;
}

int client_disconnect(struct command_context *context, const struct target *target,
                      bool *out_was_there, struct error *err)
{
    struct keeper_place place;
    *out_was_there = false;
    int result = find_place_of(context, target, &place, err);
    if (result == 0) {
        result = keeper_end(&place, out_was_there, err);
    }
    keeper_place_release(&place);
    return result == 0 ? 0 : error_wrap(err, "%s", target->name);
}

/* Over the link that is kept, or over one of our own. */
static int open_link(struct client *c, struct error *err)
{
    const char *reason = NULL;
    c->transport = transport_find(c->target, &reason, err);
    c->reason = xstrdup(reason != NULL ? reason : "");
    if (c->transport == NULL ||
        executor_files_find(c->context->config, &c->executors, err) != 0) {
        return -1;
    }
    find_place(c->context, c->target, c->executors.items[0].digest, &c->place);
    c->link = c->options.want_own ? NULL : keeper_connect(&c->place);
    c->is_kept = c->link != NULL;
    return c->is_kept ? 0 : open_own_link(c, err);
}

/* Until client_wait nobody reads or writes; the transport's own work goes on. */
static void comes_about(void *context, unsigned events)
{
    struct client *c = context;
    if ((events & LOOP_READ) != 0) { /* it waits; nobody needs to be told again */
        c->spoke_ns = clock_monotonic_ns();
        link_watch(c->link, c->loop, 0, comes_about, c);
    }
}

struct client *client_start(struct command_context *context, const struct target *target,
                            const struct client_options *options, struct error *err)
{
    if (command_config(context, err) == NULL) {
        return NULL;
    }
    struct client *c = xcalloc(1, sizeof *c);
    c->context = context;
    c->target = target;
    c->options = *options;
    c->target_name = xstrdup(target->name);
    c->idle_ns = config_integer(context->config, "idle_timeout") * NS_PER_MS;
    c->loop = options->loop != NULL ? options->loop : loop_new();
    c->owns_loop = options->loop == NULL;
    c->buffer = xmalloc(CLIENT_READ_SIZE);
    c->started_ns = clock_monotonic_ns();
    if (open_link(c, err) != 0) {
        client_free(c);
        return NULL;
    }
    link_watch(c->link, c->loop, LOOP_READ, comes_about, c);
    return c;
}

/* Another link, in place of the one that failed. */
static int open_again(struct client *c, struct error *err)
{
    *err = (struct error)ERROR_INIT;
    c->spoke_ns = 0;
    link_free(TAKE_PTR(c->link));
    free(TAKE_PTR(c->node.version));
    free(TAKE_PTR(c->node.platform));
    free(TAKE_PTR(c->node.root));
    return open_own_link(c, err) == 0 ? client_open_once(c, err) : -1;
}

/* The first link, or the one beside it that may do better. */
static int open_somehow(struct client *c, struct error *err)
{
    int result = client_open_once(c, err);
    if (result != 0 && c->is_kept && !client_is_interrupted(c)) {
        /* The keeper ended, or hangs: not our user's business. */
        c->is_kept = false;
        result = open_again(c, err);
    }
    const char *beyond = result != 0 && c->link != NULL ? link_beyond(c->link) : NULL;
    if (beyond != NULL && !client_is_interrupted(c) && fall_back(c, beyond)) {
        terminal_note(c->context->terminal, "%s: trying the %s transport (%s)",
                      c->target_name, c->transport->name, c->reason);
        result = open_again(c, err);
    }
    return result;
}

/* Where nobody answers at one address of the target, at the next one. */
static int open_at_any_address(struct client *c, struct error *err)
{
    const struct target *first = c->target;
    int result = open_somehow(c, err);
    for (size_t i = 0; result != 0 && err->code == ERR_CONNECT &&
                       i < first->addresses.count && !client_is_interrupted(c);
         i++) {
        struct target *other = target_elsewhere(first, i, err);
        if (other == NULL) {
            return -1;
        }
        terminal_note(c->context->terminal, "%s; trying %s", err->text,
                      first->addresses.items[i]);
        link_free(TAKE_PTR(c->link));
        target_free(c->elsewhere);
        c->elsewhere = other;
        c->target = other;
        result = open_again(c, err);
    }
    return result;
}

/* Until then, or the interrupt. */
static int pause_for(const struct client *c, int64_t delay_ms, struct error *err)
{
    bool is_over = false;
    struct loop_timer *timer =
        loop_flag_at(c->loop, clock_monotonic_ns() + delay_ms * NS_PER_MS, &is_over);
    int result = 0;
    while (result == 0 && !is_over && !client_is_interrupted(c)) {
        result = loop_step(c->loop, -1, err);
    }
    if (!is_over) {
        loop_timer_cancel(c->loop, timer);
    }
    return result;
}

/* A server without room (MaxStartups of sshd_config) has some a moment later: others are
 * logging in. A caller that tries again by itself does so with its own pauses. */
static int open_where_there_is_room(struct client *c, struct error *err)
{
    int64_t since_ns = clock_monotonic_ns();
    int result = open_at_any_address(c, err);
    unsigned tries = 1;
    while (result != 0 && err->code == ERR_BUSY && !c->options.is_again &&
           tries < FULL_TRIES_MAX && !client_is_interrupted(c)) {
        int64_t delay_ms = client_backoff_ms(tries - 1);
        if (tries == 1) {
            terminal_note(c->context->terminal, "%s; trying again a few times",
                          err->text);
        }
        if (pause_for(c, delay_ms, err) != 0) {
            return -1;
        }
        if (!client_is_interrupted(c)) {
            result = open_again(c, err);
            tries++;
        }
    }
    if (result != 0 && err->code == ERR_BUSY && tries > 1) {
        char past[CLOCK_TEXT_SIZE];
        struct error last = *err;
        clock_format_duration(past, (clock_monotonic_ns() - since_ns) / NS_PER_MS);
        error_set(err, ERR_BUSY, "%.900s (%u times in %s)", last.text, tries, past);
        (void)error_hint(err, "%s", last.hint);
    }
    return result;
}

int client_wait(struct client *c, struct error *err)
{
    struct error why = ERROR_INIT;
    int result = open_where_there_is_room(c, &why);
    if (result != 0) {
        /* Ctrl-C at a question of ssh's goes to both, and ssh's end may be seen first. */
        (void)loop_step(c->loop, 0, NULL);
        (void)error_copy(err, &why);
    }
    c->target = NULL;
    return result;
}

struct client *client_connect(struct command_context *context,
                              const struct target *target,
                              const struct client_options *options, struct error *err)
{
    struct client *c = client_start(context, target, options, err);
    if (c != NULL && client_wait(c, err) != 0) {
        client_free(c);
        return NULL;
    }
    return c;
}
