/*
 * supervisor: the machine that takes a run from acceptance to its end. [executor]
 *
 * Guardian and shim are two processes with one struct supervisor each, made by fork and
 * so alike. Two roles are shared out between them:
 *
 *   acting   runs the state machine below: journal, requests, limits, clean-up, verdict.
 *            The guardian, until it dies; then the shim.
 *   parent   starts the stages' processes, sees and records their ends. The shim, until
 *            it dies; then the guardian, which inherits them as a subreaper.
 *
 * Between them is a socket pair: the acting one orders stages and says why it ends them,
 * the parent reports. Its end tells each of the other's death; the one left then has
 * both roles and works out from the files where the run stands (supervisor_recover), as
 * an adopter does that finds neither alive.
 *
 * The machine is a table, phase x event -> handler (supervisor.c). Events are noted in
 * a set and delivered one by one by the loop, so that a handler never runs within
 * another. Nothing allocates but the reading of requests, of outputs.json, of the pin of
 * an environment and, at a take-over, of the journal's end.
 */
#ifndef EXECUTOR_SUPERVISOR_H
#define EXECUTOR_SUPERVISOR_H

#include "common/log.h"
#include "common/runspec.h"
#include "executor/cgroup.h"
#include "executor/journal.h"
#include "executor/logcap.h"
#include "executor/noderoot.h"
#include "executor/processes.h"
#include "executor/queue.h"
#include "executor/requests.h"
#include "executor/stage.h"

enum phase {
    PHASE_IDLE,       /* nothing of this attempt was started */
    PHASE_PREPARING,  /* the environment is looked for, built, or waited for */
    PHASE_LAUNCHING,  /* the stage's process makes the checkout */
    PHASE_RUNNING,    /* the script runs */
    PHASE_RESTARTING, /* the attendant has died, and is started again */
    PHASE_ENDING,     /* processes are being ended, the script's or what it left */
    PHASE_FINALIZING, /* outputs are being collected */
    PHASE_FINISHING,  /* the last line could not be written; it is tried again */
    PHASE_DONE,
    PHASE_COUNT
};

enum event {
    EVENT_BEGIN,
    EVENT_STARTED, /* the script was executed */
    EVENT_ENDED,   /* the stage's process has ended: incoming */
    EVENT_CANCEL,  /* cancel has it */
    EVENT_LIMIT,   /* the phase's deadline */
    EVENT_ROUND,   /* next_round_ns has come */
    EVENT_COUNT
};

enum cause {
    CAUSE_NONE, /* it ended by itself */
    CAUSE_CANCEL,
    CAUSE_LIMIT,
};

struct supervisor {
    /* The same from the start on. */
    struct noderoot *root;
    struct runspec spec;
    char run_path[4096];
    int run_fd, exit_fd, entry_fd, control_fd;
    struct queue_entry entry;
    struct stage_setting setting;
    struct cgroup cgroup;
    struct processes *processes;
    struct log log;
    bool is_fresh;          /* nobody supervised this run before us */
    bool wants_environment; /* the script needs one, which the pin names once it is ready
                             */
    bool has_to_ship; /* its cluster may lack that, which the prepare stage sees to */

    /* Roles. */
    bool is_acting, is_parent;
    pid_t peer;
    int peer_fd; /* -1: it is gone */
    int signal_fd, limit_fd;
    int adopted_fd; /* pidfd of a process that is not our child; -1: none */

    /* The parent's. */
    struct stage_process stage;

    /* The acting one's. */
    struct journal journal;
    enum phase phase;
    unsigned events; /* bits 1 << enum event */
    int64_t attempt;
    enum cause cause;
    struct cancel_request cancel;
    struct exitslot incoming; /* of EVENT_ENDED */
    struct exitslot end;      /* how the run stage ended, or the prepare stage failed */
    bool has_end;
    enum stage awaited; /* the stage that was ordered last */
    bool was_executed;  /* it may have been */
    bool is_ordered;    /* the parent will report an end */
    bool is_adopted;    /* its process is no child of ours */
    struct process_id process;
    uint64_t log_offset;
    /* Monotonic, 0: not seen by us: the order of the run stage, the script's exec, the
     * stage's end. */
    int64_t ordered_ns, executed_ns, ended_ns;
    int64_t checkout_us;   /* with EVENT_STARTED */
    uint64_t oom_kills;    /* of the machine, when the attempt began */
    int64_t deadline_ns;   /* boot time: the attempt's limit, from its first start; 0: not
                              known, or none */
    int64_t next_round_ns; /* monotonic; 0: none */
    int64_t round_ms, kill_at_ns, give_up_at_ns;
    struct logcap logcap; /* looked at in any phase */
    bool sent_term, is_collected;
    int64_t restarts; /* of the attempt's attendant, since we look after it */
    const char *proof;
    int64_t ended, survivors;
};

/* supervisor.c: the machine. */
void supervisor_note(struct supervisor *s, enum event event);
/* Deliver what was noted, until nothing is left. */
void supervisor_deliver(struct supervisor *s);
/* Work out from the files where the run stands, and go on from there. The caller is
 * acting. */
void supervisor_recover(struct supervisor *s);
/* Where the time went, as the next line of the journal has it: before the script's end
 * what its start took, afterwards the rest. */
void supervisor_took(const struct supervisor *s, int64_t out[RUN_TOOK_COUNT]);
/* The name of a phase, for tests and the log. */
const char *supervisor_phase_name(enum phase phase);
/* True where the table has a handler. */
bool supervisor_handles(enum phase phase, enum event event);

/* supervisor_attended.c: attendants that died (attended.h). Who finds the run as another
 * left it cannot know how often its attendant was started: a start that failed may have
 * been a further one, and then its job goes on; and its time goes on too. */
void supervisor_recover_attended(struct supervisor *s);
/* All of the run's processes on
 * this node are gone: is its attendant to be started again? */
bool supervisor_needs_attendant(const struct supervisor *s);
/* Each returns the next phase: begin to; do; it was executed; a cancel or the limit
 * meanwhile, which the attendant is told once it is there. */
enum phase supervisor_restart(struct supervisor *s);
enum phase supervisor_start_again(struct supervisor *s);
enum phase supervisor_started_again(struct supervisor *s);
enum phase supervisor_hasten_restart(struct supervisor *s);
/* Its own end is near, and more time than a script's is its due. */
bool supervisor_is_attended_now(struct supervisor *s);

/* supervisor_ending.c: clean-up. Each returns the next phase. */
enum phase supervisor_end(struct supervisor *s);   /* begin to end what is left */
enum phase supervisor_round(struct supervisor *s); /* one look, one step */
enum phase supervisor_hurry(struct supervisor *s); /* a cancel with less grace */
/* End at once whatever an interrupted start left. */
void supervisor_clear_leftovers(struct supervisor *s);

/* supervisor_verdict.c: what came of it. */
enum phase supervisor_conclude(struct supervisor *s); /* all is ended: what now? */
enum phase supervisor_finish(struct supervisor *s);   /* the last line */
uint64_t supervisor_count_oom_kills(void);
void supervisor_leave(struct supervisor *s); /* give up what the run held */

/* supervisor_loop.c: roles, messages, waiting. */
int supervisor_loop(struct supervisor *s); /* until the run is final; exit status */
/* Have the parent start a stage. A failure becomes EVENT_ENDED. */
void supervisor_order_stage(struct supervisor *s, enum stage stage);
/* EVENT_CANCEL where one was asked for, whenever that was. */
void supervisor_look_for_requests(struct supervisor *s);
/* Tell the peer why the run is being ended. */
void supervisor_tell_cause(struct supervisor *s);
/* EVENT_LIMIT at this boot time (ns); 0: never. */
void supervisor_set_limit(struct supervisor *s, int64_t boottime_ns);
/* The size of a file of the run's folder; 0 where there is none. */
uint64_t supervisor_file_size(const struct supervisor *s, const char *name);

#endif
