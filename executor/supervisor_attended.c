/*
 * supervisor_attended: an attendant that died is started again. [executor]
 *
 * What it looks after lives elsewhere and goes on; nobody else can tell how it ends, or
 * end it. The ENDING phase has proven that all the old one started on this node is gone.
 */
#define _GNU_SOURCE /* pid_t and what is beside it */
#include "executor/supervisor.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "executor/attended.h"
#include "executor/environment_livy.h"

#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 10000

/* That a further start failed is not how the job ended, whoever says it: launch, or the
 * parent of one that was killed or could not be forked. The attendant itself is believed.
 */
static bool is_jobs_end(const struct supervisor *s, const struct exitslot *slot)
{
    return s->restarts == 0 || slot->exit.kind != RUN_EXIT_COULD_NOT_START ||
           strcmp(slot->by, "attend") == 0;
}

void supervisor_recover_attended(struct supervisor *s)
{
    int64_t since_ms = 0;
    bool has_begun =
        s->journal.state == RUN_RUNNING || s->journal.state == RUN_CANCEL_REQUESTED;
    if (has_begun && attended_is(s->run_fd, s->attempt)) {
        s->was_executed = true;
        s->restarts = s->restarts > 0 ? s->restarts : 1;
        if (s->spec.time_limit_ms > 0 && s->deadline_ns == 0 &&
            attended_since(s->run_fd, &since_ms, NULL) == 0) {
            int64_t left_ms = since_ms + s->spec.time_limit_ms - clock_utc_ms();
            s->deadline_ns = clock_boottime_ns() + left_ms * NS_PER_MS;
            s->deadline_ns = s->deadline_ns > 0 ? s->deadline_ns : 1; /* long over */
        }
    }
}

bool supervisor_needs_attendant(const struct supervisor *s)
{
    struct exitslot slot;
    if (!s->was_executed || s->survivors > 0 || s->restarts > ATTENDED_RESTARTS_MAX ||
        !attended_is(s->run_fd, s->attempt)) {
        return false;
    }
    return exitslot_read(s->exit_fd, s->attempt, STAGE_RUN, &slot) != EXITSLOT_VALID ||
           !is_jobs_end(s, &slot);
}

static enum phase give_up(struct supervisor *s)
{
    struct exitslot last = s->end;
    bool has_failed = s->has_end && last.exit.kind == RUN_EXIT_COULD_NOT_START;
    s->end = (struct exitslot){
        .attempt = s->attempt, .stage = STAGE_RUN, .exit.kind = RUN_EXIT_UNKNOWN};
    if (has_failed) {
        snprintf(s->end.text, sizeof(s->end.text),
                 "its attendant could not be started again, and whether its job still "
                 "runs is not known: %.200s",
                 last.text);
    } else {
        snprintf(s->end.text, sizeof(s->end.text),
                 "its attendant died %d times: whether its job still runs is not known",
                 ATTENDED_RESTARTS_MAX + 1);
    }
    s->has_end = true;
    s->restarts++; /* given up, whether or not the slot can say so */
    (void)exitslot_write(s->exit_fd, &s->end, NULL);
    log_line(&s->log, "%s", s->end.text);
    return supervisor_conclude(s);
}

enum phase supervisor_restart(struct supervisor *s)
{
    struct error err = ERROR_INIT;
    if (s->restarts >= ATTENDED_RESTARTS_MAX) {
        return give_up(s);
    }
    /* The slot may have what launch said of the last start, and would say it of the next.
     */
    if (exitslot_clear(s->exit_fd, s->attempt, STAGE_RUN, &err) < 0) {
        log_line(&s->log, "%s", err.text);
    }
    int64_t pause_ms = PAUSE_FIRST_MS << s->restarts;
    s->next_round_ns = clock_monotonic_ns() +
                       (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS) * NS_PER_MS;
    s->restarts++;
    s->has_end = s->is_adopted = s->is_ordered = false;
    s->process = (struct process_id){.pid = 0};
    s->end = (struct exitslot){.attempt = 0};
    supervisor_set_limit(s, s->cause == CAUSE_NONE ? s->deadline_ns : 0);
    if (s->cause == CAUSE_NONE) { /* one that came while the old one was cleared away */
        supervisor_look_for_requests(s);
    }
    log_line(&s->log, "the attendant has died; it is started again");
    return PHASE_RESTARTING;
}

enum phase supervisor_start_again(struct supervisor *s)
{
    if (!s->is_ordered) {
        s->is_adopted = false;
        supervisor_order_stage(s, STAGE_RUN);
    }
    return PHASE_RESTARTING;
}

enum phase supervisor_started_again(struct supervisor *s)
{
    processes_set_recorded(s->processes, &s->process);
    return s->cause != CAUSE_NONE ? supervisor_end(s) : PHASE_RUNNING;
}

enum phase supervisor_hasten_restart(struct supervisor *s)
{
    return supervisor_start_again(s);
}

bool supervisor_is_attended_now(struct supervisor *s)
{
    if (s->awaited == STAGE_PREPARE) { /* it may have asked a cluster for something */
        return !s->has_end && environment_livy_is(&s->spec);
    }
    return s->was_executed && !s->has_end && s->process.pid != 0 &&
           attended_is(s->run_fd, s->attempt) && process_is_alive(&s->process);
}
