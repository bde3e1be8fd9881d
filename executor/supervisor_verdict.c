#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/enginelog.h"
#include "common/fdio.h"
#include "common/subprocess.h"
#include "executor/attended.h"
#include "executor/cluster_outputs.h"
#include "executor/outputs.h"

#define COLLECT_LIMIT_NS (INT64_C(12) * 3600 * NS_PER_S)
#define FINISH_RETRY_NS (2 * NS_PER_S)
#define REASON_SIZE 1024
#define PATH_SHOWN_MAX 256 /* a longer one is not shown: a cut one is another one */
/* Less room than this is none. */
#define DISK_FULL_BYTES ((uint64_t)64 << 10)

uint64_t supervisor_count_oom_kills(void)
{
    char text[8192];
    CLEANUP_FD int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : fdio_read_full(fd, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    const char *at = strstr(text, "\noom_kill ");
    return at != NULL ? strtoull(at + 10, NULL, 10) : 0;
}

/* How the run ended: what its parent saw, unless we ended it ourselves. */
static struct run_exit decide_exit(const struct supervisor *s)
{
    struct run_exit exit = s->end.exit;
    if (s->cause == CAUSE_CANCEL) {
        return (struct run_exit){.kind = RUN_EXIT_CANCELED};
    }
    if ((s->has_end && s->end.stage == STAGE_PREPARE) ||
        (s->cause == CAUSE_LIMIT && s->awaited == STAGE_PREPARE)) {
        return (struct run_exit){.kind = RUN_EXIT_ENVIRONMENT_FAILED};
    }
    if (s->cause == CAUSE_LIMIT) {
        return (struct run_exit){.kind = RUN_EXIT_TIMED_OUT};
    }
    if (!s->has_end) {
        return (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
    }
    if (exit.kind == RUN_EXIT_SIGNALED && exit.signal == SIGKILL &&
        cgroup_was_out_of_memory(&s->cgroup)) {
        exit.kind = RUN_EXIT_OUT_OF_MEMORY;
    }
    return exit;
}

static enum run_state decide_state(const struct run_exit *exit)
{
    if (exit->kind == RUN_EXIT_CANCELED) {
        return RUN_CANCELED;
    }
    return exit->kind == RUN_EXIT_EXITED && exit->code == 0 ? RUN_COMPLETED : RUN_FAILED;
}

static const char *const meanings[] = {
#define ROW(symbol, name, meaning) [RUN_EXIT_##symbol] = meaning,
    RUN_EXIT_TABLE(ROW)
#undef ROW
};

static void describe_signal(const struct supervisor *s, int signal, char out[REASON_SIZE])
{
    /* Evidence, not proof: the kernel killed somebody for memory meanwhile. */
    bool is_likely_memory =
        signal == SIGKILL && supervisor_count_oom_kills() > s->oom_kills;
    snprintf(out, REASON_SIZE, "was killed by %s%s", subprocess_signal_name(signal),
             is_likely_memory ? ", likely out of memory: the kernel's OOM killer was at "
                                "work on this machine meanwhile"
                              : "");
}

/* Evidence again: a script that failed for want of room rarely says so in its status. */
static void describe_disk(const struct supervisor *s, char *out)
{
    struct statvfs fs;
    size_t used = strlen(out);
    if (fstatvfs(s->run_fd, &fs) == 0 &&
        ((uint64_t)fs.f_bavail * fs.f_frsize < DISK_FULL_BYTES ||
         (fs.f_files > 0 && fs.f_favail == 0))) {
        snprintf(out + used, REASON_SIZE - used, "; the disk of %s is full",
                 strlen(s->root->path) <= PATH_SHOWN_MAX ? s->root->path
                                                         : "the node's root");
    }
}

static void describe_preparation(const struct supervisor *s, char *out)
{
    const struct run_exit *exit = &s->end.exit;
    char how[REASON_SIZE];
    const char *who = "";
    if (s->cause == CAUSE_LIMIT) {
        snprintf(how, sizeof(how), "it was not ready after six hours");
    } else if (s->end.text[0] != '\0') {
        snprintf(how, sizeof(how), "%s", s->end.text);
    } else if (exit->kind == RUN_EXIT_SIGNALED) {
        who = "the prepare stage ";
        describe_signal(s, exit->signal, how);
    } else {
        who = "the prepare stage ";
        snprintf(how, sizeof(how), "exited with status %d", exit->code);
    }
    snprintf(out, REASON_SIZE, "%s: %s%.*s", meanings[RUN_EXIT_ENVIRONMENT_FAILED], who,
             REASON_SIZE / 2, how);
}

/* An attendant was told to end its job, and says more than that it did. */
static void describe_attended_end(const struct supervisor *s, char *out)
{
    size_t used = strlen(out);
    if (s->has_end && s->end.text[0] != '\0' && attended_is(s->run_fd, s->attempt)) {
        snprintf(out + used, REASON_SIZE - used, "; %s", s->end.text);
    }
}

/* By us, or by who has limits of its own. */
static void describe_time_out(const struct supervisor *s, char *out)
{
    char limit[CLOCK_TEXT_SIZE];
    if (s->cause != CAUSE_LIMIT) {
        snprintf(out, REASON_SIZE, "%s",
                 s->end.text[0] != '\0' ? s->end.text : meanings[RUN_EXIT_TIMED_OUT]);
        return;
    }
    clock_format_duration(limit, s->spec.time_limit_ms);
    snprintf(out, REASON_SIZE, "%s%s",
             s->was_executed ? "reached its time limit of "
                             : "its checkout did not come to an end",
             s->was_executed ? limit : "");
    describe_attended_end(s, out);
}

static void describe(const struct supervisor *s, const struct run_exit *exit, char *out)
{
    out[0] = '\0';
    switch (exit->kind) {
    case RUN_EXIT_EXITED:
        snprintf(out, REASON_SIZE, "exited with status %d%s%s", exit->code,
                 s->end.text[0] != '\0' ? ": " : "", s->end.text);
        if (exit->code != 0) {
            describe_disk(s, out);
        }
        break;
    case RUN_EXIT_SIGNALED:
        describe_signal(s, exit->signal, out);
        if (s->end.text[0] != '\0') {
            size_t used = strlen(out);
            snprintf(out + used, REASON_SIZE - used, ": %s", s->end.text);
        }
        describe_disk(s, out);
        break;
    case RUN_EXIT_TIMED_OUT:
        describe_time_out(s, out);
        break;
    case RUN_EXIT_CANCELED:
        snprintf(out, REASON_SIZE, "%s%s%s%s", "canceled",
                 s->cancel.by[0] != '\0' ? " by " : "", s->cancel.by,
                 s->cancel.reason[0] != '\0' ? ": " : "");
        snprintf(out + strlen(out), REASON_SIZE - strlen(out), "%s", s->cancel.reason);
        describe_attended_end(s, out);
        break;
    case RUN_EXIT_COULD_NOT_START:
        snprintf(out, REASON_SIZE, "could not start: %s", s->end.text);
        break;
    case RUN_EXIT_ENVIRONMENT_FAILED:
        describe_preparation(s, out);
        describe_disk(s, out);
        break;
    case RUN_EXIT_OUT_OF_MEMORY:
    case RUN_EXIT_NODE_RESTARTED:
    case RUN_EXIT_SUPERVISOR_LOST:
    case RUN_EXIT_UNKNOWN:
        snprintf(out, REASON_SIZE, "%s%s%s", meanings[exit->kind],
                 s->end.text[0] != '\0' ? ": " : "", s->end.text);
        break;
    case RUN_EXIT_NONE:
    case RUN_EXIT_COUNT:
        break;
    }
}

/* A script that failed by itself is started again; nothing else is. */
static bool may_try_again(const struct supervisor *s, const struct run_exit *exit)
{
    bool has_failed = (exit->kind == RUN_EXIT_EXITED && exit->code != 0) ||
                      exit->kind == RUN_EXIT_SIGNALED ||
                      exit->kind == RUN_EXIT_OUT_OF_MEMORY;
    return has_failed && s->attempt < s->spec.attempts && s->survivors == 0;
}

static enum phase begin_again(struct supervisor *s)
{
    s->has_end = s->was_executed = s->is_adopted = s->is_ordered = false;
    s->restarts = 0;
    s->deadline_ns = 0;
    s->process = (struct process_id){.pid = 0};
    s->end = (struct exitslot){.attempt = 0};
    supervisor_look_for_requests(s); /* a cancel that only hurried the clean-up counts */
    supervisor_note(s, EVENT_BEGIN);
    return PHASE_IDLE;
}

static enum phase try_again(struct supervisor *s, const struct run_exit *exit)
{
    char how[REASON_SIZE];
    char reason[REASON_SIZE + 64];
    struct error err = ERROR_INIT;
    describe(s, exit, how);
    snprintf(reason, sizeof(reason), "attempt %lld %s", (long long)s->attempt, how);
    const struct journal_entry line = {
        .state = RUN_STARTING, .attempt = s->attempt + 1, .reason = reason};
    if (exitslot_allocate(s->exit_fd, s->attempt + 1, STAGE_RUN, &err) < 0 ||
        exitslot_allocate(s->exit_fd, s->attempt + 1, STAGE_FINALIZE, &err) < 0 ||
        journal_append(&s->journal, &line, 1, &err) < 0) {
        log_line(&s->log, "no further attempt: %s", err.text);
        return supervisor_finish(s);
    }
    cluster_outputs_clear_failure(s->run_fd);
    s->attempt++;
    return begin_again(s);
}

/* The stage's parent died before it said "go", and no other cause ends the run: nothing
 * was executed, so that the same attempt may begin. */
static bool was_never_begun(const struct supervisor *s)
{
    return s->has_end && s->cause == CAUSE_NONE && s->survivors == 0 &&
           s->end.exit.kind == RUN_EXIT_COULD_NOT_START &&
           strcmp(s->end.step, STAGE_STEP_GO) == 0;
}

enum phase supervisor_conclude(struct supervisor *s)
{
    struct run_exit exit = decide_exit(s);
    if (supervisor_needs_attendant(s)) {
        return supervisor_restart(s);
    }
    if (was_never_begun(s) &&
        exitslot_clear(s->exit_fd, s->attempt, STAGE_RUN, NULL) == 0) {
        return begin_again(s);
    }
    if (may_try_again(s, &exit)) {
        return try_again(s, &exit);
    }
    if (s->was_executed && !s->is_collected && outputs_are_there(s->run_fd, &s->spec)) {
        const struct journal_entry line = {
            .state = RUN_FINALIZING, .attempt = s->attempt, .reason = ""};
        struct error err = ERROR_INIT;
        if (journal_append(&s->journal, &line, 1, &err) < 0) {
            log_line(&s->log, "Finalizing: %s", err.text);
        }
        supervisor_set_limit(s, clock_boottime_ns() + COLLECT_LIMIT_NS);
        supervisor_order_stage(s, STAGE_FINALIZE);
        return PHASE_FINALIZING;
    }
    return supervisor_finish(s);
}

/* outputs.json, whole, or NULL. */
static const char *read_outputs(const struct supervisor *s, char out[OUTPUTS_JSON_MAX])
{
    CLEANUP_FD int fd =
        openat(s->run_fd, "outputs.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : fdio_read_full(fd, out, OUTPUTS_JSON_MAX);
    if (got <= 0 || got == OUTPUTS_JSON_MAX) {
        return NULL;
    }
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return out;
}

void supervisor_leave(struct supervisor *s)
{
    struct error err = ERROR_INIT;
    if (queue_remove(s->root, s->spec.run, &err) < 0) {
        log_line(&s->log, "%s", err.text);
    }
    cgroup_remove(&s->cgroup);
}

/* Why they could not be collected, as far as it is known, and where they are. */
static void describe_outputs(const struct supervisor *s, char *out)
{
    struct exitslot slot;
    size_t used = strlen(out);
    bool is_known =
        exitslot_read(s->exit_fd, s->attempt, STAGE_FINALIZE, &slot) == EXITSLOT_VALID &&
        slot.text[0] != '\0';
    bool is_shown = strlen(s->run_path) <= PATH_SHOWN_MAX;
    snprintf(
        out + used, REASON_SIZE - used,
        "; its outputs could not be collected%s%s; they are still on the node%s%.*s%s",
        is_known ? ": " : "", is_known ? slot.text : "", is_shown ? ", in " : "",
        is_shown ? PATH_SHOWN_MAX : 0, s->run_path, is_shown ? "/work" : "");
}

enum phase supervisor_finish(struct supervisor *s)
{
    static const char nothing[] =
        "{\"root\":null,\"files\":0,\"size_bytes\":0,\"warnings\":[]}";
    char outputs[OUTPUTS_JSON_MAX];
    char reason[REASON_SIZE];
    int64_t took[RUN_TOOK_COUNT];
    struct run_exit exit = decide_exit(s);
    describe(s, &exit, reason);
    supervisor_took(s, took);
    bool has_outputs = s->was_executed && outputs_are_there(s->run_fd, &s->spec);
    const char *found = !has_outputs      ? nothing
                        : s->is_collected ? read_outputs(s, outputs)
                                          : NULL;
    if (found == NULL) {
        describe_outputs(s, reason);
    }
    struct run_engine engine;
    struct engine_line last;
    (void)enginelog_read(s->run_fd, s->attempt, &engine, &last, NULL);
    logcap_look(&s->logcap, s->run_fd, &s->log); /* what stays is within the limit */
    const struct journal_entry line = {
        .state = decide_state(&exit),
        .attempt = s->attempt,
        .reason = reason,
        .engine = &engine,
        .took_us = took,
        .exit = &exit,
        .proof = s->proof != NULL ? s->proof : "none",
        .ended = s->ended,
        .survivors = s->survivors,
        .has_outputs = true,
        .outputs_json = found,
        .has_logs = true,
        .driver_log_bytes = supervisor_file_size(s, "driver.log"),
        .control_log_bytes = supervisor_file_size(s, "control.log"),
        .metrics_bytes = supervisor_file_size(s, "metrics"),
    };
    struct error err = ERROR_INIT;
    if (journal_append(&s->journal, &line, 1, &err) < 0) {
        log_line(&s->log, "the last line cannot be written, trying again: %s", err.text);
        s->next_round_ns = clock_monotonic_ns() + FINISH_RETRY_NS;
        return PHASE_FINISHING;
    }
    supervisor_leave(s);
    return PHASE_DONE;
}
