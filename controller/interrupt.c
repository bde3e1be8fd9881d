#include "controller/interrupt.h"

#include "common/clock.h"

#include <signal.h>

#define PATIENCE_NS (2 * NS_PER_S)

static void patience_ends(void *context)
{
    struct interrupt *i = context;
    i->patience = NULL;
    i->is_interrupted = true;
}

void interrupt_say_goes_on(const struct interrupt *i)
{
    if (i->run != NULL) {
        terminal_note(i->terminal, "the run goes on; come back with: errand follow %s",
                      i->run);
    }
}

static void signal_came(void *context, int signal_number)
{
    struct interrupt *i = context;
    bool is_second = i->patience != NULL;
    if (is_second && signal_number == SIGINT) {
        loop_timer_cancel(i->loop, i->patience);
        i->patience = NULL;
        i->wants_cancel = true;
        i->is_interrupted = true;
        return;
    }
    if (!is_second) {
        interrupt_say_goes_on(i);
    }
    if (signal_number != SIGINT || i->run == NULL || !terminal_can_ask(i->terminal)) {
        i->is_interrupted = true;
        return;
    }
    terminal_note(i->terminal, "press Ctrl-C again to cancel it");
    i->patience =
        loop_timer_at(i->loop, clock_monotonic_ns() + PATIENCE_NS, patience_ends, i);
}

int interrupt_init(struct interrupt *i, struct loop *loop, struct terminal *terminal,
                   struct error *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    *i = (struct interrupt){.loop = loop, .terminal = terminal};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t n = 0; n < ARRAY_SIZE(signals); n++) {
        if (loop_signal(loop, signals[n], signal_came, i, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void interrupt_reset(struct interrupt *i)
{
    i->is_interrupted = false;
    i->wants_cancel = false;
}
