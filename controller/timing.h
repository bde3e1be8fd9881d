/*
 * timing: where the time of a command went, phase by phase (--timing). [controller]
 *
 * It is always noted, because that costs nothing, and shown where somebody asks. Phases
 * of this machine have a place on its clock, counted from the command's start, and may
 * overlap: the snapshot is made while the connection comes about. What the node measured
 * is a duration of its own clock and has no place on ours. What did not happen, or is not
 * known, is shown as that: a connection that is kept is not dialled.
 *
 * Each phase is noted once: what a lost link makes happen again is not.
 */
#ifndef CONTROLLER_TIMING_H
#define CONTROLLER_TIMING_H

#include "common/json.h"
#include "common/runstate.h"
#include "common/strvec.h"

#include <stdint.h>

enum timing_phase {
#define ROW(symbol, name, is_part, is_node) TIMING_##symbol,
#include "controller/timing.def"
#undef ROW
    TIMING_COUNT
};

struct timing_span {
    int64_t at_ns;   /* since the command's start; -1: not on our clock, or unknown */
    int64_t took_ns; /* -1: it has no duration, or unknown */
};

struct timing {
    int64_t start_ns; /* monotonic */
    struct timing_span spans[TIMING_COUNT];
    const char *connection; /* how it came about: a transport's name, "kept", or NULL;
                               static */
};

/* The command starts now. */
void timing_init(struct timing *timing);
/* A phase of this machine went from one moment to another (clock_monotonic_ns). */
void timing_span(struct timing *timing, enum timing_phase phase, int64_t begin_ns,
                 int64_t end_ns);
/* A phase that began then ends now. */
void timing_since(struct timing *timing, enum timing_phase phase, int64_t begin_ns);
/* This happens now. */
void timing_moment(struct timing *timing, enum timing_phase phase);
/* What the node says; -1 (RUN_TOOK_UNKNOWN): it does not know. */
void timing_node(struct timing *timing, enum timing_phase phase, int64_t took_us);
/* What the journal says of the run. */
void timing_run(struct timing *timing, const struct run_status *status);

/* Lines for people, up to now. */
void timing_write(const struct timing *timing, struct strvec *out);
/* {"total_us","connection","phases":[{"phase","on","at_us","took_us"}]}, up to now. */
struct json *timing_to_json(const struct timing *timing);

#endif
