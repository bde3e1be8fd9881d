/* watch_reconnect: connecting again, for as long as it takes.            [controller] */
#include "controller/watch.h"

#include "common/clock.h"

/* Where there is no line to rewrite, the wait is told of when it begins, when there is
 * another cause, and then ever more rarely: a night is a dozen lines. */
_Static_assert(ERR_COUNT <= 64, "said_codes has a bit for each");
#define SAY_AGAIN_NS (60 * NS_PER_S)
#define SAY_RARELY_NS (3600 * NS_PER_S)
#define REWRITE_NS NS_PER_S

bool watch_may_pass(const struct error *err)
{
    return err->code == ERR_LINK || err->code == ERR_CONNECT ||
           err->code == ERR_TIMED_OUT || err->code == ERR_BUSY;
}

void watch_is_well(struct watch *watch)
{
    watch->trouble = (struct watch_trouble){0};
}

struct client *watch_connect(struct watch *watch, struct error *err)
{
    struct client_options options = {
        .may_ask = watch->options.may_ask,
        .want_accept_new = watch->options.want_accept_new,
        .loop = watch->interrupt->loop,
        .is_interrupted = &watch->interrupt->is_interrupted,
    };
    if (watch->trouble.since_ns == 0) {
        watch->trouble.since_ns = clock_monotonic_ns();
    }
    struct client *client = client_connect(watch->context, watch->target, &options, err);
    if (client != NULL) {
        watch_is_well(watch);
    }
    return client;
}

/* Again, at an hour when nobody may be there: without questions, which have no deadline,
 * unless nothing else helps. */
static struct client *connect_again(struct watch *watch, struct error *err)
{
    struct client_options options = {
        .want_accept_new = watch->options.want_accept_new,
        .is_again = true,
        .want_own = true, /* a kept one may be what was lost, without knowing it yet */
        .loop = watch->interrupt->loop,
        .is_interrupted = &watch->interrupt->is_interrupted,
    };
    struct client *client = client_connect(watch->context, watch->target, &options, err);
    bool may_help = err->code == ERR_LOGIN || err->code == ERR_HOST_KEY;
    if (client == NULL && may_help && watch->options.may_ask &&
        !watch->interrupt->is_interrupted) {
        options.may_ask = true;
        client = client_connect(watch->context, watch->target, &options, err);
    }
    return client;
}

/* Until then, or the interrupt. */
static int sleep_until(const struct watch *watch, int64_t end_ns, struct error *err)
{
    bool is_over = false;
    struct loop *loop = watch->interrupt->loop;
    struct loop_timer *timer = loop_flag_at(loop, end_ns, &is_over);
    int result = 0;
    while (result == 0 && !is_over && !watch->interrupt->is_interrupted) {
        result = loop_step(loop, -1, err);
    }
    if (!is_over) {
        loop_timer_cancel(loop, timer);
    }
    return result;
}

bool watch_trouble_is_news(struct watch_trouble *t, enum error_code code, int64_t now_ns,
                           bool is_live)
{
    uint64_t bit = UINT64_C(1) << code;
    bool is_first = t->said_ns == 0;
    if (!is_first && (t->said_codes & bit) != 0 &&
        (is_live || now_ns < t->say_again_ns)) {
        return false;
    }
    int64_t pause_ns = is_first ? SAY_AGAIN_NS : 2 * (now_ns - t->said_ns);
    pause_ns = pause_ns < SAY_AGAIN_NS ? SAY_AGAIN_NS : pause_ns;
    t->say_again_ns = now_ns + (pause_ns < SAY_RARELY_NS ? pause_ns : SAY_RARELY_NS);
    t->said_ns = now_ns;
    t->said_codes |= bit;
    return true;
}

static void say_trouble(struct watch *watch, const struct error *why, int64_t delay_ms)
{
    struct watch_trouble *t = &watch->trouble;
    char past[CLOCK_TEXT_SIZE], delay[CLOCK_TEXT_SIZE];
    int64_t now = clock_monotonic_ns();
    bool is_first = t->said_ns == 0;
    if (!watch_trouble_is_news(t, why->code, now,
                               terminal_is_live(watch->context->terminal))) {
        return;
    }
    t->is_said = true;
    clock_format_duration(delay, delay_ms);
    clock_format_duration(past, (now - t->since_ns) / NS_PER_MS);
    if (is_first) {
        terminal_note(watch->context->terminal, "%s; trying again in %s", why->text,
                      delay);
    } else {
        terminal_note(watch->context->terminal,
                      "%s; no connection for %s now, next try in %s", why->text, past,
                      delay);
    }
}

/* Wait for the next try. On a terminal one sees how long it still takes. */
static int wait_for_try(struct watch *watch, int64_t delay_ms, struct error *err)
{
    int64_t end_ns = clock_monotonic_ns() + delay_ms * NS_PER_MS;
    for (;;) {
        int64_t now = clock_monotonic_ns();
        if (now >= end_ns || watch->interrupt->is_interrupted) {
            return 0;
        }
        char past[CLOCK_TEXT_SIZE], left[CLOCK_TEXT_SIZE];
        clock_format_duration(past, (now - watch->trouble.since_ns) / NS_PER_MS);
        clock_format_duration(left, (end_ns - now) / NS_PER_MS);
        terminal_status(watch->context->terminal,
                        "no connection to %s for %s; next try in %s", watch->target->name,
                        past, left);
        int64_t next_ns = end_ns - now > REWRITE_NS ? now + REWRITE_NS : end_ns;
        if (sleep_until(watch, next_ns, err) != 0) {
            return -1;
        }
    }
}

static void say_connected(struct watch *watch)
{
    char past[CLOCK_TEXT_SIZE];
    if (!watch->trouble.is_said) {
        return;
    }
    watch->trouble.is_said = false;
    clock_format_duration(past,
                          (clock_monotonic_ns() - watch->trouble.since_ns) / NS_PER_MS);
    terminal_note(watch->context->terminal, "connected to %s again after %s",
                  watch->target->name, past);
}

static int give_up(const struct watch *watch, const struct error *why, struct error *err)
{
    struct error reason = *why;
    char past[CLOCK_TEXT_SIZE];
    if (watch->options.give_up_after_ms == WATCH_NEVER_AGAIN) {
        return error_copy(err, &reason);
    }
    clock_format_duration(past,
                          (clock_monotonic_ns() - watch->trouble.since_ns) / NS_PER_MS);
    return error_set(err, ERR_TIMED_OUT, "gave up after %s without a connection: %.900s",
                     past, reason.text);
}

/* How long until the next try; -1: there is to be none. */
static int64_t next_delay_ms(struct watch *watch)
{
    int64_t limit_ms = watch->options.give_up_after_ms;
    int64_t delay_ms = client_backoff_ms(watch->trouble.try_count++);
    int64_t past_ms = (clock_monotonic_ns() - watch->trouble.since_ns) / NS_PER_MS;
    if (limit_ms == 0 || past_ms + delay_ms <= limit_ms) {
        return delay_ms;
    }
    /* The last try comes when the time is over, not before. */
    return past_ms < limit_ms ? limit_ms - past_ms : -1;
}

/* Where a connection that is kept did not do, one of our own may, at once: it takes no
 * more submissions; or it may have been dead for long, and who tries no second time asks
 * the node itself nonetheless. */
static bool is_worth_one_try(const struct watch *watch, const struct error *why)
{
    return watch->client != NULL && client_is_shared(watch->client) &&
           (why->code == ERR_BUSY ||
            watch->options.give_up_after_ms == WATCH_NEVER_AGAIN);
}

int watch_reconnect(struct watch *watch, const struct error *why, struct error *err)
{
    struct error reason = *why;
    bool is_shared = is_worth_one_try(watch, why);
    client_free(watch->client);
    watch->client = NULL;
    watch->ahead_stream = 0;
    if (watch->trouble.since_ns == 0) {
        watch->trouble.since_ns = clock_monotonic_ns();
    }
    if (is_shared && (watch->client = connect_again(watch, &reason)) != NULL) {
        return 0;
    }
    while (!watch->interrupt->is_interrupted) {
        int64_t delay_ms = next_delay_ms(watch);
        if (delay_ms < 0) {
            return give_up(watch, &reason, err);
        }
        say_trouble(watch, &reason, delay_ms);
        if (wait_for_try(watch, delay_ms, err) != 0) {
            return -1;
        }
        if (watch->interrupt->is_interrupted) {
            break;
        }
        terminal_status(watch->context->terminal, "connecting to %s",
                        watch->target->name);
        watch->client = connect_again(watch, &reason);
        terminal_progress_clear(watch->context->terminal);
        if (watch->client != NULL) {
            say_connected(watch);
            return 0;
        }
        if (!watch_may_pass(&reason)) {
            return error_copy(err, &reason);
        }
    }
    terminal_progress_clear(watch->context->terminal);
    return error_set(err, ERR_CANCELED, "interrupted");
}
