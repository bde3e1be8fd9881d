#define _GNU_SOURCE /* pid_t and what is beside it */
#include "executor/supervisor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "executor/attended.h"
#include "executor/environment.h"

/* A build, a checkout or a collection that takes longer is stuck. */
#define LAUNCH_LIMIT_NS (INT64_C(6) * 3600 * NS_PER_S)
#define ADOPTED_ROUND_NS (1 * NS_PER_S)

typedef enum phase handler(struct supervisor *s);

void supervisor_note(struct supervisor *s, enum event event)
{
    s->events |= 1U << event;
}

/* From one moment to another, where both were seen. */
static int64_t took_us(int64_t begin_ns, int64_t end_ns)
{
    return begin_ns != 0 && end_ns != 0 ? (end_ns - begin_ns) / NS_PER_US
                                        : RUN_TOOK_UNKNOWN;
}

void supervisor_took(const struct supervisor *s, int64_t out[RUN_TOOK_COUNT])
{
    bool is_over = s->ended_ns != 0;
    int64_t start_us =
        is_over ? RUN_TOOK_UNKNOWN : took_us(s->ordered_ns, s->executed_ns);
    out[RUN_TOOK_CHECKOUT] = start_us < 0 ? RUN_TOOK_UNKNOWN : s->checkout_us;
    out[RUN_TOOK_LAUNCH] = start_us < 0 ? RUN_TOOK_UNKNOWN : start_us - s->checkout_us;
    out[RUN_TOOK_SCRIPT] = took_us(s->executed_ns, s->ended_ns);
    out[RUN_TOOK_ENDING] =
        is_over ? took_us(s->ended_ns, clock_monotonic_ns()) : RUN_TOOK_UNKNOWN;
}

/* Append one line. A failure is noted in control.log; the run goes on, and the next line
 * says what counts. */
static void append(struct supervisor *s, const struct journal_entry *entry)
{
    struct error err = ERROR_INIT;
    if (journal_append(&s->journal, entry, 1, &err) < 0) {
        log_line(&s->log, "%s: %s", run_state_name(entry->state), err.text);
    }
}

/* Those that only the building of an environment needs are no loss once it is there. */
static bool lacks_secrets(const struct supervisor *s, bool has_environment)
{
    bool needs_any = false;
    for (size_t i = 0; i < s->spec.secrets.count; i++) {
        needs_any |=
            !has_environment || !environment_is_credential(s->spec.secrets.items[i]);
    }
    return needs_any && s->setting.secrets == NULL;
}

/* The attempt's end without a process. */
static enum phase end_unstarted(struct supervisor *s, enum run_exit_kind kind, int code,
                                const char *text)
{
    s->end = (struct exitslot){
        .attempt = s->attempt, .stage = STAGE_RUN, .exit = {.kind = kind, .code = code}};
    snprintf(s->end.text, sizeof(s->end.text), "%s", text);
    s->has_end = true;
    return supervisor_end(s);
}

/* The environment is not there yet, or has to be looked at. */
static enum phase prepare(struct supervisor *s)
{
    const struct journal_entry line = {.state = RUN_PREPARING,
                                       .attempt = s->attempt,
                                       .reason = environment_source(&s->spec)};
    if (s->journal.state != RUN_PREPARING) {
        append(s, &line);
    }
    /* Of one that is done again the last end is no end. */
    (void)exitslot_clear(s->exit_fd, s->attempt, STAGE_PREPARE, NULL);
    supervisor_set_limit(s, clock_boottime_ns() + LAUNCH_LIMIT_NS);
    supervisor_order_stage(s, STAGE_PREPARE);
    return PHASE_PREPARING;
}

static enum phase launch(struct supervisor *s)
{
    s->log_offset = supervisor_file_size(s, "driver.log");
    s->oom_kills = supervisor_count_oom_kills();
    cgroup_begin_attempt(&s->cgroup);
    supervisor_set_limit(s, clock_boottime_ns() + LAUNCH_LIMIT_NS);
    s->ordered_ns = clock_monotonic_ns();
    supervisor_order_stage(s, STAGE_RUN);
    return PHASE_LAUNCHING;
}

static enum phase begin(struct supervisor *s)
{
    bool has_environment =
        !s->has_to_ship && (!s->wants_environment || environment_is_pinned(s->run_fd));
    s->has_to_ship = false; /* the stage that begins now does it */
    s->ordered_ns = s->executed_ns = s->ended_ns = 0;
    if (!s->is_fresh) {
        supervisor_clear_leftovers(s);
    }
    if (lacks_secrets(s, has_environment)) {
        return end_unstarted(s, RUN_EXIT_COULD_NOT_START, 125,
                             "secrets gone: they were in the memory of the supervisors, "
                             "which have died; submit the run again");
    }
    return has_environment ? launch(s) : prepare(s);
}

static bool has_succeeded(const struct exitslot *slot)
{
    return slot->exit.kind == RUN_EXIT_EXITED && slot->exit.code == 0;
}

static enum phase prepared(struct supervisor *s)
{
    if (has_succeeded(&s->incoming)) {
        return launch(s);
    }
    s->end = s->incoming;
    s->has_end = true;
    supervisor_set_limit(s, 0);
    return supervisor_end(s);
}

static enum phase started(struct supervisor *s)
{
    int64_t took[RUN_TOOK_COUNT];
    s->was_executed = true;
    logcap_restart(&s->logcap);
    s->executed_ns = clock_monotonic_ns();
    supervisor_took(s, took);
    s->deadline_ns = s->spec.time_limit_ms > 0
                         ? clock_boottime_ns() + s->spec.time_limit_ms * NS_PER_MS
                         : 0;
    supervisor_set_limit(s, s->deadline_ns);
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    if (s->wants_environment) {
        (void)environment_read_pin(s->run_fd, &pin, NULL);
    }
    const struct journal_entry line = {.state = RUN_RUNNING,
                                       .attempt = s->attempt,
                                       .reason = "",
                                       .process = &s->process,
                                       .environment = &pin.facts,
                                       .took_us = took,
                                       .has_log_offset = true,
                                       .log_offset = s->log_offset};
    append(s, &line);
    return PHASE_RUNNING;
}

/* The run stage has ended: what it left is ended now. */
static enum phase stage_ended(struct supervisor *s)
{
    s->end = s->incoming;
    s->has_end = true;
    s->ended_ns = clock_monotonic_ns();
    s->was_executed = s->was_executed || s->end.exit.kind != RUN_EXIT_COULD_NOT_START;
    supervisor_set_limit(s, 0);
    return supervisor_end(s);
}

/* The stage has ended while it was being ended. */
static enum phase end_noted(struct supervisor *s)
{
    s->end = s->incoming;
    s->has_end = true;
    s->ended_ns = clock_monotonic_ns();
    return supervisor_round(s);
}

static void note_cancel(struct supervisor *s)
{
    char reason[512];
    snprintf(reason, sizeof(reason), "%s%s%s",
             s->cancel.by[0] != '\0' ? s->cancel.by : "somebody",
             s->cancel.reason[0] != '\0' ? ": " : " asked for it", s->cancel.reason);
    const struct journal_entry line = {
        .state = RUN_CANCEL_REQUESTED, .attempt = s->attempt, .reason = reason};
    if (s->journal.state != RUN_CANCEL_REQUESTED) {
        append(s, &line);
    }
    s->cause = CAUSE_CANCEL;
    supervisor_tell_cause(s);
    supervisor_set_limit(s, 0);
}

static enum phase canceled(struct supervisor *s)
{
    note_cancel(s);
    return supervisor_end(s);
}

static void note_limit(struct supervisor *s)
{
    s->cause = CAUSE_LIMIT;
    supervisor_tell_cause(s);
    log_line(&s->log, "the time limit is reached");
}

static enum phase limit_reached(struct supervisor *s)
{
    note_limit(s);
    return supervisor_end(s);
}

/* While the attendant is away, nobody else can end its job. */
static enum phase canceled_unattended(struct supervisor *s)
{
    note_cancel(s);
    return supervisor_hasten_restart(s);
}

static enum phase limit_reached_unattended(struct supervisor *s)
{
    note_limit(s);
    return supervisor_hasten_restart(s);
}

/* An adopted process whose end nobody reports is looked at now and then, unless the
 * kernel has pidfds. */
static enum phase look_at_adopted(struct supervisor *s)
{
    if (process_is_alive(&s->process)) {
        s->next_round_ns =
            s->adopted_fd < 0 ? clock_monotonic_ns() + ADOPTED_ROUND_NS : 0;
        return PHASE_RUNNING;
    }
    return supervisor_end(s);
}

static enum phase collected(struct supervisor *s)
{
    s->is_collected = has_succeeded(&s->incoming);
    return supervisor_finish(s);
}

static enum phase stop_collecting(struct supervisor *s)
{
    log_line(&s->log, "the collection of outputs is given up");
    supervisor_clear_leftovers(s);
    return PHASE_FINALIZING;
}

/* clang-format off */
static handler *const table[PHASE_COUNT][EVENT_COUNT] = {
    [PHASE_IDLE] =       {[EVENT_BEGIN] = begin, [EVENT_CANCEL] = canceled},
    [PHASE_PREPARING] =  {[EVENT_ENDED] = prepared, [EVENT_CANCEL] = canceled,
                          [EVENT_LIMIT] = limit_reached},
    [PHASE_LAUNCHING] =  {[EVENT_STARTED] = started, [EVENT_ENDED] = stage_ended,
                          [EVENT_CANCEL] = canceled, [EVENT_LIMIT] = limit_reached},
    [PHASE_RUNNING] =    {[EVENT_ENDED] = stage_ended, [EVENT_CANCEL] = canceled,
                          [EVENT_LIMIT] = limit_reached, [EVENT_ROUND] = look_at_adopted},
    [PHASE_RESTARTING] = {[EVENT_STARTED] = supervisor_started_again,
                          [EVENT_ENDED] = stage_ended,
                          [EVENT_ROUND] = supervisor_start_again,
                          [EVENT_CANCEL] = canceled_unattended,
                          [EVENT_LIMIT] = limit_reached_unattended},
    [PHASE_ENDING] =     {[EVENT_ENDED] = end_noted, [EVENT_CANCEL] = supervisor_hurry,
                          [EVENT_ROUND] = supervisor_round},
    [PHASE_FINALIZING] = {[EVENT_ENDED] = collected, [EVENT_CANCEL] = stop_collecting,
                          [EVENT_LIMIT] = stop_collecting},
    [PHASE_FINISHING] =  {[EVENT_ROUND] = supervisor_finish},
};
/* clang-format on */

static const char *const phase_names[PHASE_COUNT] = {
    [PHASE_IDLE] = "idle",
    [PHASE_PREPARING] = "preparing",
    [PHASE_LAUNCHING] = "launching",
    [PHASE_RUNNING] = "running",
    [PHASE_RESTARTING] = "restarting",
    [PHASE_ENDING] = "ending",
    [PHASE_FINALIZING] = "finalizing",
    [PHASE_FINISHING] = "finishing",
    [PHASE_DONE] = "done",
};

const char *supervisor_phase_name(enum phase phase)
{
    return phase_names[phase];
}

bool supervisor_handles(enum phase phase, enum event event)
{
    return table[phase][event] != NULL;
}

/* An end that is not of the stage the phase waits for says nothing to it. */
static bool is_for_phase(const struct supervisor *s, enum event event)
{
    return event != EVENT_ENDED ||
           (s->incoming.stage == s->awaited && s->incoming.attempt == s->attempt);
}

/* A cancel comes before a start, so that what was canceled is not started. */
static const enum event order[EVENT_COUNT] = {EVENT_CANCEL, EVENT_STARTED, EVENT_ENDED,
                                              EVENT_LIMIT,  EVENT_BEGIN,   EVENT_ROUND};

void supervisor_deliver(struct supervisor *s)
{
    while (s->events != 0 && s->phase != PHASE_DONE) {
        size_t i = 0;
        while ((s->events & (1U << order[i])) == 0) {
            i++;
        }
        s->events &= ~(1U << order[i]);
        handler *handle = table[s->phase][order[i]];
        if (handle != NULL && is_for_phase(s, order[i])) {
            s->phase = handle(s);
        }
    }
}

/* When the attempt's time is over (boot time, ns), counted from the process's start, or
 * from that of an attendant's first one. */
static int64_t limit_of_process(const struct supervisor *s, uint64_t start)
{
    int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);
    if (s->deadline_ns != 0) {
        return s->deadline_ns;
    }
    return (int64_t)start * tick_ns + s->spec.time_limit_ms * NS_PER_MS;
}

/* True where a signal ended the process after its time was over: then it was ours, though
 * whoever sent it died before it could say so. */
static bool was_over_limit(const struct supervisor *s, const struct exitslot *end)
{
    int64_t ago_ns = (clock_utc_ms() - end->utc_ms) * NS_PER_MS;
    return s->spec.time_limit_ms > 0 && end->exit.kind == RUN_EXIT_SIGNALED &&
           end->start != 0 &&
           clock_boottime_ns() - ago_ns >= limit_of_process(s, end->start);
}

/* Nobody is left who could know: what the record and the process itself tell. */
static void recover_unseen(struct supervisor *s)
{
    s->process = s->entry.process;
    s->was_executed = true;
    processes_set_recorded(s->processes, &s->process);
    bool is_same_boot = strcmp(s->process.boot, s->setting.boot) == 0;
    if (attended_is(s->run_fd, s->attempt) &&
        !(is_same_boot && process_is_alive(&s->process))) {
        s->process.pid = 0; /* what it looked after is elsewhere: a further one is */
        s->phase = supervisor_end(s);
        return;
    }
    if (!is_same_boot) {
        s->process.pid = 0;
        s->phase = end_unstarted(s, RUN_EXIT_NODE_RESTARTED, 0, "");
        return;
    }
    if (!process_is_alive(&s->process)) {
        s->phase = end_unstarted(s, RUN_EXIT_SUPERVISOR_LOST, 0, "");
        return;
    }
    s->is_adopted = true;
    s->adopted_fd = process_open(&s->process);
    log_line(&s->log, "adopted process %lld", (long long)s->process.pid);
    if (s->cause == CAUSE_CANCEL) {
        s->phase = supervisor_end(s);
        return;
    }
    if (s->spec.time_limit_ms > 0) {
        supervisor_set_limit(s, limit_of_process(s, s->process.start));
    }
    s->phase = PHASE_RUNNING;
    supervisor_note(s, EVENT_ROUND);
}

/* The stage is a child of ours, and we did not run the machine so far. */
static void recover_own_stage(struct supervisor *s)
{
    s->awaited = s->stage.stage;
    if (s->stage.stage == STAGE_PREPARE) {
        s->is_ordered = true;
        s->phase = PHASE_PREPARING;
        supervisor_set_limit(s, clock_boottime_ns() + LAUNCH_LIMIT_NS);
        if (s->cause != CAUSE_NONE) {
            s->phase = supervisor_end(s);
        }
        return;
    }
    if (s->stage.stage == STAGE_FINALIZE) {
        s->phase = PHASE_FINALIZING;
        supervisor_set_limit(s, clock_boottime_ns() + LAUNCH_LIMIT_NS);
        return;
    }
    s->process = s->stage.id;
    s->is_ordered = true;
    s->phase = PHASE_LAUNCHING;
    if (s->journal.state == RUN_RUNNING || s->journal.state == RUN_CANCEL_REQUESTED) {
        s->was_executed = true;
        s->phase = PHASE_RUNNING;
    } else if (s->stage.is_executed) {
        supervisor_note(s, EVENT_STARTED);
    }
    if (s->cause != CAUSE_NONE || s->journal.state == RUN_CANCEL_REQUESTED) {
        s->cause = s->cause != CAUSE_NONE ? s->cause : CAUSE_CANCEL;
        s->phase = supervisor_end(s);
    } else if (s->phase == PHASE_RUNNING && s->spec.time_limit_ms > 0) {
        supervisor_set_limit(s, limit_of_process(s, s->process.start));
    }
}

void supervisor_recover(struct supervisor *s)
{
    s->attempt = s->journal.attempt;
    s->awaited = STAGE_RUN;
    if (run_state_is_final(s->journal.state)) {
        supervisor_leave(s);
        s->phase = PHASE_DONE;
        return;
    }
    struct exitslot slot;
    bool is_recorded = s->entry.process.pid != 0 && s->entry.attempt == s->attempt;
    if (s->journal.state == RUN_CANCEL_REQUESTED) {
        s->cause = CAUSE_CANCEL;
    }
    enum exitslot_state state = exitslot_read(s->exit_fd, s->attempt, STAGE_RUN, &s->end);
    s->has_end = state != EXITSLOT_EMPTY;
    if (state == EXITSLOT_BAD) {
        s->end = (struct exitslot){
            .attempt = s->attempt, .stage = STAGE_RUN, .exit.kind = RUN_EXIT_UNKNOWN};
    }
    s->was_executed = s->has_end && s->end.exit.kind != RUN_EXIT_COULD_NOT_START;
    supervisor_recover_attended(s);
    s->is_collected =
        exitslot_read(s->exit_fd, s->attempt, STAGE_FINALIZE, &slot) == EXITSLOT_VALID &&
        has_succeeded(&slot);
    if (!s->has_end &&
        exitslot_read(s->exit_fd, s->attempt, STAGE_PREPARE, &slot) == EXITSLOT_VALID &&
        !has_succeeded(&slot)) {
        s->end = slot;
        s->has_end = true;
    }
    if (s->cause == CAUSE_NONE && s->has_end && was_over_limit(s, &s->end)) {
        s->cause = CAUSE_LIMIT;
    }
    if (s->stage.id.pid != 0) {
        recover_own_stage(s);
    } else if (s->has_end) { /* NOLINT(bugprone-branch-clone): the order decides */
        s->phase = supervisor_end(s);
    } else if (is_recorded) {
        recover_unseen(s);
    } else if (s->cause == CAUSE_CANCEL) {
        s->phase = supervisor_end(s);
    } else {
        s->phase = PHASE_IDLE;
        supervisor_note(s, EVENT_BEGIN);
    }
}
