#define _GNU_SOURCE /* signalfd, timerfd with CLOCK_BOOTTIME */
#include "executor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"

/* What goes between guardian and shim, which are one program: a struct as it is. */
enum message {
    MESSAGE_ORDER,   /* acting to parent: start this stage */
    MESSAGE_CAUSE,   /* acting to parent: why the run is being ended */
    MESSAGE_STARTED, /* parent to acting: the script was executed */
    MESSAGE_ENDED,   /* parent to acting: the stage has ended */
};

struct letter {
    enum message message;
    enum stage stage;
    int64_t attempt;
    enum cause cause;
    struct cancel_request cancel;
    struct process_id process;
    int64_t checkout_us;
    struct exitslot end;
};

uint64_t supervisor_file_size(const struct supervisor *s, const char *name)
{
    struct stat st;
    return fstatat(s->run_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size
                                                                   : 0;
}

void supervisor_set_limit(struct supervisor *s, int64_t boottime_ns)
{
    /* A time that has passed still has to fire, and 0 disarms. */
    struct itimerspec when = {.it_value.tv_sec = 0};
    if (boottime_ns != 0) {
        int64_t at = boottime_ns > 1 ? boottime_ns : 1;
        when.it_value.tv_sec = (time_t)(at / NS_PER_S);
        when.it_value.tv_nsec = (long)(at % NS_PER_S);
    }
    s->events &= ~(1U << EVENT_LIMIT);
    (void)timerfd_settime(s->limit_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A failure is the peer's death, which its descriptor will tell. */
static void send_letter(struct supervisor *s, const struct letter *letter)
{
    ssize_t sent;
    do {
        sent = send(s->peer_fd, letter, sizeof(*letter), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
}

void supervisor_tell_cause(struct supervisor *s)
{
    if (s->peer_fd >= 0) {
        const struct letter letter = {
            .message = MESSAGE_CAUSE, .cause = s->cause, .cancel = s->cancel};
        send_letter(s, &letter);
    }
}

static void announce_started(struct supervisor *s)
{
    if (s->is_acting) {
        s->process = s->stage.id;
        s->checkout_us = s->stage.checkout_us;
        supervisor_note(s, EVENT_STARTED);
    } else {
        const struct letter letter = {.message = MESSAGE_STARTED,
                                      .attempt = s->stage.attempt,
                                      .process = s->stage.id,
                                      .checkout_us = s->stage.checkout_us};
        send_letter(s, &letter);
    }
}

static void announce_end(struct supervisor *s, const struct exitslot *end)
{
    if (s->is_acting) {
        s->incoming = *end;
        supervisor_note(s, EVENT_ENDED);
    } else {
        const struct letter letter = {.message = MESSAGE_ENDED, .end = *end};
        send_letter(s, &letter);
    }
}

/* As the parent: start a stage. What cannot be started has ended. */
static void start_stage(struct supervisor *s, int64_t attempt, enum stage stage)
{
    struct error err = ERROR_INIT;
    if (stage == STAGE_RUN) { /* for one who may have to judge it later */
        cgroup_begin_attempt(&s->cgroup);
    }
    if (stage_start(&s->stage, &s->setting, attempt, stage, &err) == 0) {
        return;
    }
    log_line(&s->log, "%s", err.text);
    struct exitslot end = {
        .attempt = attempt,
        .stage = stage,
        .exit = {.kind = RUN_EXIT_COULD_NOT_START, .code = 125},
    };
    snprintf(end.by, sizeof(end.by), "%s", s->setting.by);
    snprintf(end.step, sizeof(end.step), "start");
    snprintf(end.text, sizeof(end.text), "%.*s", EXITSLOT_TEXT_MAX - 1, err.text);
    (void)exitslot_write(s->exit_fd, &end, NULL);
    announce_end(s, &end);
}

void supervisor_order_stage(struct supervisor *s, enum stage stage)
{
    s->is_ordered = true;
    s->awaited = stage;
    if (s->is_parent) {
        start_stage(s, s->attempt, stage);
        return;
    }
    const struct letter letter = {
        .message = MESSAGE_ORDER, .stage = stage, .attempt = s->attempt};
    send_letter(s, &letter);
}

static void take_letter(struct supervisor *s, const struct letter *letter)
{
    switch (letter->message) {
    case MESSAGE_ORDER:
        start_stage(s, letter->attempt, letter->stage);
        break;
    case MESSAGE_CAUSE:
        s->cause = letter->cause;
        s->cancel = letter->cancel;
        break;
    case MESSAGE_STARTED:
        s->process = letter->process;
        s->checkout_us = letter->checkout_us;
        supervisor_note(s, EVENT_STARTED);
        break;
    case MESSAGE_ENDED:
        s->incoming = letter->end;
        supervisor_note(s, EVENT_ENDED);
        break;
    }
}

void supervisor_look_for_requests(struct supervisor *s)
{
    struct cancel_request found;
    if (requests_find_cancel(s->run_fd, s->spec.grace_ms, &found)) {
        s->cancel = found;
        supervisor_note(s, EVENT_CANCEL);
    }
}

/* The guardian is gone: the shim acts. It has its children, and the files. */
static void take_over(struct supervisor *s)
{
    struct error err = ERROR_INIT;
    s->is_acting = true;
    processes_set_peer(s->processes, 0);
    if (journal_open(&s->journal, s->run_fd, &err) < 0) {
        log_line(&s->log, "%s", err.text);
        s->phase = PHASE_DONE;
        return;
    }
    if (!run_state_is_final(s->journal.state)) { /* else it had simply done its work */
        log_line(&s->log, "the guardian is gone, the shim takes over");
        supervisor_look_for_requests(s);
    }
    supervisor_recover(s);
}

/* A stage whose parent was the shim. What is on record is a child of ours now, or has
 * been reaped, with its slot written. */
static void inherit_run_stage(struct supervisor *s)
{
    struct error err = ERROR_INIT;
    if (queue_read(s->entry_fd, &s->entry, &err) < 0) {
        log_line(&s->log, "%s", err.text);
    }
    if (s->entry.process.pid == 0 || s->entry.attempt != s->attempt) {
        /* Never recorded, so never executed: begin again. */
        supervisor_clear_leftovers(s);
        if (s->phase == PHASE_LAUNCHING) {
            s->phase = PHASE_IDLE;
            supervisor_note(s, EVENT_BEGIN);
        } else {
            s->is_ordered = false; /* nobody's end is awaited any more */
            supervisor_note(s, EVENT_ROUND);
        }
        return;
    }
    s->process = s->entry.process;
    s->stage.id = s->entry.process;
    s->stage.stage = STAGE_RUN;
    s->stage.attempt = s->attempt;
    s->stage.is_executed = true; /* it may have been, which is what counts */
    if (s->phase == PHASE_LAUNCHING || s->phase == PHASE_RESTARTING) {
        supervisor_note(s, EVENT_STARTED);
    }
}

static void note_slot(struct supervisor *s)
{
    struct exitslot slot;
    enum exitslot_state state = exitslot_read(s->exit_fd, s->attempt, STAGE_RUN, &slot);
    if (state == EXITSLOT_EMPTY) {
        return;
    }
    if (state == EXITSLOT_BAD) {
        slot = (struct exitslot){
            .attempt = s->attempt, .stage = STAGE_RUN, .exit.kind = RUN_EXIT_UNKNOWN};
    }
    s->incoming = slot;
    supervisor_note(s, EVENT_ENDED);
}

/* A stage other than the script's: what is left of it goes, and unless it had ended it
 * is done once more, which does no harm. */
static void inherit_side_stage(struct supervisor *s)
{
    struct exitslot slot;
    supervisor_clear_leftovers(s);
    stage_reap_others(&s->stage, 0);
    if (exitslot_read(s->exit_fd, s->attempt, s->awaited, &slot) == EXITSLOT_VALID) {
        s->incoming = slot;
        supervisor_note(s, EVENT_ENDED);
    } else {
        supervisor_order_stage(s, s->awaited);
    }
}

/* The shim is gone: the guardian is the stages' parent. */
static void inherit(struct supervisor *s)
{
    log_line(&s->log, "the shim is gone, the guardian takes its children");
    /* Its descriptors close before its children are ours; wait for the latter. */
    while (waitpid(s->peer, NULL, 0) < 0 && errno == EINTR) {
    }
    s->is_parent = true;
    s->setting.by = "guardian";
    processes_set_peer(s->processes, 0);
    if (s->phase == PHASE_FINALIZING || s->phase == PHASE_PREPARING) {
        if ((s->events & (1U << EVENT_ENDED)) == 0) {
            inherit_side_stage(s);
        }
        return;
    }
    if ((s->events & (1U << EVENT_ENDED)) == 0 && !s->has_end && !s->is_adopted &&
        s->phase != PHASE_IDLE) {
        inherit_run_stage(s);
        struct exitslot end;
        if (s->stage.id.pid == 0) {
            return;
        }
        if (stage_reap(&s->stage, &s->setting, &end)) {
            announce_end(s, &end);
        } else if (!process_is_alive(&s->process)) {
            s->stage.id.pid = 0;
            note_slot(s);
            if ((s->events & (1U << EVENT_ENDED)) == 0) {
                s->is_adopted = true; /* nobody will report it: lost */
                if (s->phase == PHASE_RESTARTING) {
                    s->is_ordered = false; /* it is the last one, not the next */
                    s->events &= ~(1U << EVENT_STARTED);
                }
                supervisor_note(s, EVENT_ROUND);
            }
        }
    }
}

static void peer_is_gone(struct supervisor *s)
{
    fdio_close(&s->peer_fd);
    if (s->is_acting) {
        inherit(s);
        stage_reap_others(&s->stage, 0);
    } else {
        take_over(s);
    }
    s->peer = 0;
}

static void read_peer(struct supervisor *s)
{
    struct letter letter;
    while (s->peer_fd >= 0) {
        ssize_t got = recv(s->peer_fd, &letter, sizeof(letter), MSG_DONTWAIT);
        if (got == (ssize_t)sizeof(letter)) {
            take_letter(s, &letter);
        } else if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0 && errno == EAGAIN) {
            return;
        } else {
            peer_is_gone(s);
        }
    }
}

static void read_children(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (fdio_read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    }
    if (!s->is_parent) { /* the shim is gone, whose children are not known here yet */
        return;
    }
    stage_reap_others(&s->stage, s->peer);
    struct exitslot end;
    bool was_executed = s->stage.is_executed;
    struct process_id id = s->stage.id;
    if (stage_reap(&s->stage, &s->setting, &end)) {
        if (!was_executed && s->stage.is_executed) {
            s->stage.id = id;
            announce_started(s);
            s->stage.id.pid = 0;
        }
        announce_end(s, &end);
        stage_reap_others(&s->stage, s->peer);
    }
}

static void read_report(struct supervisor *s)
{
    if (s->stage.report_fd >= 0 && stage_read_report(&s->stage) && s->stage.is_executed) {
        announce_started(s);
    }
}

static void read_control(struct supervisor *s)
{
    char bytes[256];
    while (fdio_read(s->control_fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes)) {
    }
    supervisor_look_for_requests(s);
}

static void read_limit(struct supervisor *s)
{
    uint64_t times;
    if (fdio_read(s->limit_fd, &times, sizeof(times)) == (ssize_t)sizeof(times)) {
        supervisor_note(s, EVENT_LIMIT);
    }
}

static void read_adopted(struct supervisor *s)
{
    fdio_close(&s->adopted_fd);
    supervisor_note(s, EVENT_ROUND);
}

/* The acting one's descriptors come last. */
enum source {
    SOURCE_CHILDREN,
    SOURCE_PEER,
    SOURCE_REPORT,
    SOURCE_CONTROL,
    SOURCE_LIMIT,
    SOURCE_ADOPTED,
    SOURCE_COUNT
};

static void (*const readers[SOURCE_COUNT])(struct supervisor *s) = {
    [SOURCE_CHILDREN] = read_children, [SOURCE_PEER] = read_peer,
    [SOURCE_REPORT] = read_report,     [SOURCE_CONTROL] = read_control,
    [SOURCE_LIMIT] = read_limit,       [SOURCE_ADOPTED] = read_adopted,
};

static bool is_due(int64_t at_ns)
{
    return at_ns != 0 && clock_monotonic_ns() >= at_ns;
}

/* What poll(2) waits at most: until the next round or the next look at the log. */
static int time_to_wait(const struct supervisor *s)
{
    int64_t next = s->next_round_ns;
    int64_t look = s->is_acting ? s->logcap.next_ns : 0;
    if (look != 0 && (next == 0 || look < next)) {
        next = look;
    }
    if (next == 0) {
        return -1;
    }
    int64_t left = next - clock_monotonic_ns();
    return left <= 0 ? 0 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

static void wait_and_read(struct supervisor *s)
{
    const int fds[SOURCE_COUNT] = {
        [SOURCE_CHILDREN] = s->signal_fd,
        [SOURCE_PEER] = s->peer_fd,
        [SOURCE_REPORT] = s->stage.report_fd,
        [SOURCE_CONTROL] = s->is_acting ? s->control_fd : -1,
        [SOURCE_LIMIT] = s->is_acting ? s->limit_fd : -1,
        [SOURCE_ADOPTED] = s->is_acting ? s->adopted_fd : -1,
    };
    struct pollfd polls[SOURCE_COUNT];
    for (int i = 0; i < SOURCE_COUNT; i++) {
        polls[i] =
            (struct pollfd){.fd = fds[i], .events = POLLIN}; /* -1 is passed over */
    }
    int ready = poll(polls, SOURCE_COUNT, time_to_wait(s));
    if (is_due(s->next_round_ns)) {
        s->next_round_ns = 0;
        supervisor_note(s, EVENT_ROUND);
    }
    if (s->is_acting && is_due(s->logcap.next_ns)) {
        logcap_look(&s->logcap, s->run_fd, &s->log);
    }
    for (int i = 0; ready > 0 && i < SOURCE_COUNT; i++) {
        if (polls[i].revents != 0) {
            readers[i](s);
        }
    }
}

int supervisor_loop(struct supervisor *s)
{
    if (s->is_acting) {
        supervisor_look_for_requests(s);
        supervisor_recover(s);
    }
    while (true) {
        if (s->is_acting) {
            supervisor_deliver(s);
        }
        if (s->phase == PHASE_DONE) {
            return 0;
        }
        wait_and_read(s);
    }
}
