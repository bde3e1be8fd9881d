#define _GNU_SOURCE /* pid_t and what is beside it */
#include "executor/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#include "common/clock.h"
#include "common/enginelog.h"
#include "common/subprocess.h"
#include "executor/attended.h"
#include "executor/container.h"

#define ROUND_FIRST_MS 5
#define ROUND_MAX_MS 100
#define UNKILLABLE_NS (60 * NS_PER_S)
#define LEFTOVERS_NS (10 * NS_PER_S)
#define APPLICATION_MS 120000

/* Who ends a job elsewhere and proves it is not hurried. */
static int64_t grace_ms(struct supervisor *s)
{
    int64_t grace = s->cause == CAUSE_CANCEL && s->cancel.grace_ms >= 0
                        ? s->cancel.grace_ms
                        : s->spec.grace_ms;
    return grace < ATTENDED_GRACE_MS && supervisor_is_attended_now(s) ? ATTENDED_GRACE_MS
                                                                      : grace;
}

enum phase supervisor_end(struct supervisor *s)
{
    int64_t now = clock_monotonic_ns();
    s->kill_at_ns = now + grace_ms(s) * NS_PER_MS;
    s->give_up_at_ns = s->kill_at_ns + UNKILLABLE_NS;
    s->round_ms = ROUND_FIRST_MS;
    s->sent_term = false;
    s->phase = PHASE_ENDING;
    return supervisor_round(s);
}

enum phase supervisor_hurry(struct supervisor *s)
{
    int64_t kill_at = clock_monotonic_ns() + s->cancel.grace_ms * NS_PER_MS;
    if (supervisor_is_attended_now(s)) {
        return PHASE_ENDING;
    }
    if (kill_at < s->kill_at_ns) {
        s->kill_at_ns = kill_at;
        s->give_up_at_ns = kill_at + UNKILLABLE_NS;
        return supervisor_round(s);
    }
    return PHASE_ENDING;
}

/* True where the run stage's process will still be reported by its parent. */
static bool awaits_end(struct supervisor *s)
{
    if (s->has_end || !(s->is_ordered || s->is_adopted)) {
        return false;
    }
    if (!s->is_adopted || process_is_alive(&s->process)) {
        return true;
    }
    /* Its parents are dead; what they may have written before is all there is. */
    s->end = (struct exitslot){
        .attempt = s->attempt, .stage = STAGE_RUN, .exit.kind = RUN_EXIT_SUPERVISOR_LOST};
    struct exitslot slot;
    switch (exitslot_read(s->exit_fd, s->attempt, STAGE_RUN, &slot)) {
    case EXITSLOT_VALID:
        s->end = slot;
        break;
    case EXITSLOT_BAD:
        s->end.exit.kind = RUN_EXIT_UNKNOWN;
        break;
    case EXITSLOT_EMPTY:
        break;
    }
    s->has_end = true;
    return false;
}

/* No container of the run is left: an engine with a service of its own keeps them when
 * all of the run's processes are gone. Blocks, at most for a minute: there is nothing
 * else to do before that is known. */
static bool container_has_ended(struct supervisor *s)
{
    struct error err = ERROR_INIT;
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    if (!s->wants_environment || environment_read_pin(s->run_fd, &pin, NULL) < 0 ||
        container_end(&pin, s->spec.run, s->attempt, &err) == 0) {
        return true;
    }
    log_line(&s->log, "%s", err.text);
    return false;
}

/* Nor an application in YARN whose driver was a process of this node: with its driver
 * killed it may go on, or wait for its turn first. Blocks, as above. */
static bool application_has_ended(struct supervisor *s)
{
    struct run_engine engine;
    struct engine_line last;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status = 0;
    if (s->spec.spark == NULL || attended_is(s->run_fd, s->attempt)) {
        return true;
    }
    if (enginelog_read(s->run_fd, s->attempt, &engine, &last, &err) < 0) {
        log_line(&s->log,
                 "whether an application of the run goes on in YARN is not known: %s",
                 err.text);
        return false;
    }
    if (strcmp(engine.kind, "yarn") != 0 || last.event == ENGINE_ENDED) {
        return true;
    }
    CLEANUP_FREE char *self = noderoot_program();
    CLEANUP_FREE char *attempt = xasprintf("%lld", (long long)s->attempt);
    const char *const argv[] = {self,    "attend",    "end",       "--root", s->root->top,
                                "--run", s->spec.run, "--attempt", attempt,  NULL};
    if (subprocess_capture(argv, &out, NULL, APPLICATION_MS, &status, &err) < 0) {
        log_line(&s->log, "%s", err.text);
        return false;
    }
    return status == 0;
}

static enum phase ended(struct supervisor *s, size_t left, bool is_proven)
{
    if (left == 0 && (!container_has_ended(s) || !application_has_ended(s))) {
        left = 1;
        is_proven = false;
    }
    s->survivors = (int64_t)left;
    s->ended = (int64_t)processes_signalled(s->processes) - s->survivors;
    if (s->ended < 0) {
        s->ended = 0;
    }
    s->proof = !is_proven ? "none" : cgroup_is_empty(&s->cgroup) ? "cgroup" : "tree";
    s->next_round_ns = 0;
    return supervisor_conclude(s);
}

enum phase supervisor_round(struct supervisor *s)
{
    size_t left = 0;
    bool is_complete = processes_find(s->processes, &left);
    bool awaits = awaits_end(s);
    int64_t now = clock_monotonic_ns();
    if (left == 0 && !awaits) {
        return ended(s, 0, is_complete);
    }
    if (now >= s->give_up_at_ns) {
        log_line(&s->log, "%zu processes cannot be ended", left);
        return ended(s, left, false);
    }
    if (now >= s->kill_at_ns) {
        processes_kill(s->processes);
    } else if (!s->sent_term) {
        processes_signal(s->processes, SIGTERM);
        processes_signal(s->processes, SIGCONT);
        s->sent_term = true;
    }
    int64_t next = now + s->round_ms * NS_PER_MS;
    s->next_round_ns = now < s->kill_at_ns && next > s->kill_at_ns ? s->kill_at_ns : next;
    s->round_ms = s->round_ms * 2 < ROUND_MAX_MS ? s->round_ms * 2 : ROUND_MAX_MS;
    return PHASE_ENDING;
}

void supervisor_clear_leftovers(struct supervisor *s)
{
    int64_t deadline = clock_monotonic_ns() + LEFTOVERS_NS;
    size_t left = 0;
    (void)processes_find(s->processes, &left);
    while (left > 0 && clock_monotonic_ns() < deadline) {
        processes_kill(s->processes);
        (void)poll(NULL, 0, ROUND_FIRST_MS);
        stage_reap_others(&s->stage, s->peer);
        (void)processes_find(s->processes, &left);
    }
}
