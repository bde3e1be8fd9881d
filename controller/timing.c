#include "controller/timing.h"

#include "common/clock.h"

#include <stdio.h>

#define UNKNOWN (-1)
#define NUMBER_SIZE 32

static const struct {
    const char *name;
    bool is_part, is_node;
} phases[] = {
#define ROW(symbol, name, is_part, is_node) [TIMING_##symbol] = {name, is_part, is_node},
#include "controller/timing.def"
#undef ROW
};

void timing_init(struct timing *t)
{
    *t = (struct timing){.start_ns = clock_monotonic_ns()};
    for (int i = 0; i < TIMING_COUNT; i++) {
        t->spans[i] = (struct timing_span){UNKNOWN, UNKNOWN};
    }
}

static void note(struct timing *t, enum timing_phase phase, struct timing_span span)
{
    struct timing_span *mine = &t->spans[phase];
    if (mine->at_ns == UNKNOWN && mine->took_ns == UNKNOWN) {
        *mine = span;
    }
}

void timing_span(struct timing *t, enum timing_phase phase, int64_t begin_ns,
                 int64_t end_ns)
{
    note(t, phase, (struct timing_span){begin_ns - t->start_ns, end_ns - begin_ns});
}

void timing_since(struct timing *t, enum timing_phase phase, int64_t begin_ns)
{
    timing_span(t, phase, begin_ns, clock_monotonic_ns());
}

void timing_moment(struct timing *t, enum timing_phase phase)
{
    note(t, phase, (struct timing_span){clock_monotonic_ns() - t->start_ns, UNKNOWN});
}

void timing_node(struct timing *t, enum timing_phase phase, int64_t took_us)
{
    if (took_us >= 0 && took_us <= INT64_MAX / NS_PER_US) {
        note(t, phase, (struct timing_span){UNKNOWN, took_us * NS_PER_US});
    }
}

void timing_run(struct timing *t, const struct run_status *status)
{
    static const enum timing_phase told[] = {
        [RUN_TOOK_CHECKOUT] = TIMING_CHECKOUT,
        [RUN_TOOK_LAUNCH] = TIMING_LAUNCH,
        [RUN_TOOK_SCRIPT] = TIMING_SCRIPT,
        [RUN_TOOK_ENDING] = TIMING_ENDING,
    };
    _Static_assert(ARRAY_SIZE(told) == RUN_TOOK_COUNT, "each time has its phase");
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        timing_node(t, told[i], status->took_us[i]);
    }
}

/* "12.3", or "-". */
static const char *format_ms(int64_t ns, char out[NUMBER_SIZE])
{
    if (ns == UNKNOWN) {
        return "-";
    }
    (void)snprintf(out, NUMBER_SIZE, "%.1f", (double)ns / (double)NS_PER_MS);
    return out;
}

static void write_line(const struct timing *t, enum timing_phase phase,
                       struct strvec *out)
{
    char at[NUMBER_SIZE];
    char took[NUMBER_SIZE];
    const struct timing_span *span = &t->spans[phase];
    const char *how = phase == TIMING_CONNECTION && t->connection != NULL ? t->connection
                      : phases[phase].is_node                             ? "node"
                                                                          : "";
    strvec_pushf(out, "%-*s%-*s %9s %9s%s%s", phases[phase].is_part ? 2 : 0, "",
                 phases[phase].is_part ? 14 : 16, phases[phase].name,
                 format_ms(span->at_ns, at), format_ms(span->took_ns, took),
                 how[0] != '\0' ? "  " : "", how);
}

void timing_write(const struct timing *t, struct strvec *out)
{
    char total[NUMBER_SIZE];
    strvec_pushf(out, "%-16s %9s %9s", "timing, in ms", "at", "took");
    for (int i = 0; i < TIMING_COUNT; i++) {
        write_line(t, (enum timing_phase)i, out);
    }
    strvec_pushf(out, "%-16s %9s %9s", "all", "0.0",
                 format_ms(clock_monotonic_ns() - t->start_ns, total));
}

static struct json *json_us(int64_t ns)
{
    return ns == UNKNOWN ? json_new_null() : json_new_integer(ns / NS_PER_US);
}

struct json *timing_to_json(const struct timing *t)
{
    struct json *document = json_new_object();
    json_add(document, "total_us", json_us(clock_monotonic_ns() - t->start_ns));
    json_add_string(document, "connection", t->connection);
    struct json *list = json_add(document, "phases", json_new_array());
    for (int i = 0; i < TIMING_COUNT; i++) {
        struct json *phase = json_append(list, json_new_object());
        json_add_string(phase, "phase", phases[i].name);
        json_add_string(phase, "on", phases[i].is_node ? "node" : "here");
        json_add(phase, "at_us", json_us(t->spans[i].at_ns));
        json_add(phase, "took_us", json_us(t->spans[i].took_ns));
    }
    return document;
}
