/*
 * runstate: how a run goes: its states, how it ended, and what a journal says of it.
 * [wire]
 *
 * A journal is folded line by line into a struct run_status, the same way on both sides;
 * nothing else decides what state a run is in. How the process ended (exit) is apart from
 * the verdict (state), and what came of the outputs apart from both.
 */
#ifndef COMMON_RUNSTATE_H
#define COMMON_RUNSTATE_H

#include "common/json.h"
#include "common/oid.h"
#include "common/runengine.h"
#include "common/runenvironment.h"
#include "common/strvec.h"

#define JOURNAL_LINE_MAX 4096

/* ROW(symbol, name, is_final) in the order in which a run passes them. */
#define RUN_STATE_TABLE(ROW)                                                             \
    ROW(STARTING, "Starting", false)                                                     \
    ROW(PREPARING, "Preparing", false)                                                   \
    ROW(QUEUED, "Queued", false)                                                         \
    ROW(RUNNING, "Running", false)                                                       \
    ROW(CANCEL_REQUESTED, "CancelRequested", false)                                      \
    ROW(FINALIZING, "Finalizing", false)                                                 \
    ROW(COMPLETED, "Completed", true)                                                    \
    ROW(FAILED, "Failed", true)                                                          \
    ROW(CANCELED, "Canceled", true)                                                      \
    ROW(NOT_RESPONDING, "NotResponding", false)

enum run_state {
#define ROW(symbol, name, is_final) RUN_##symbol,
    RUN_STATE_TABLE(ROW)
#undef ROW
        RUN_STATE_COUNT
};
/* Static storage. */
const char *run_state_name(enum run_state state);
/* Nothing follows a final state. */
bool run_state_is_final(enum run_state state);
/* Errors: ERR_CORRUPT. */
int run_state_parse(const char *name, enum run_state *out, struct error *err);

/* ROW(symbol, name, meaning) */
#define RUN_EXIT_TABLE(ROW)                                                              \
    ROW(EXITED, "exited", "exited with a status")                                        \
    ROW(SIGNALED, "signaled", "was killed by a signal")                                  \
    ROW(OUT_OF_MEMORY, "out_of_memory", "ran out of memory")                             \
    ROW(TIMED_OUT, "timed_out", "reached its time limit")                                \
    ROW(CANCELED, "canceled", "was canceled")                                            \
    ROW(NODE_RESTARTED, "node_restarted", "the node was restarted while it ran")         \
    ROW(SUPERVISOR_LOST, "supervisor_lost",                                              \
        "both supervisors died and nobody saw its end")                                  \
    ROW(ENVIRONMENT_FAILED, "environment_failed", "its environment could not be made")   \
    ROW(COULD_NOT_START, "could_not_start", "could not be started")                      \
    ROW(UNKNOWN, "unknown", "ended in a way that is not known")

enum run_exit_kind {
    RUN_EXIT_NONE, /* it has not ended */
#define ROW(symbol, name, meaning) RUN_EXIT_##symbol,
    RUN_EXIT_TABLE(ROW)
#undef ROW
        RUN_EXIT_COUNT
};

struct run_exit {
    enum run_exit_kind kind;
    int code;   /* exited, could_not_start */
    int signal; /* this platform's number, 0: not known here; signaled, out_of_memory */
};

/* "SIGKILL", as records have it; "SIG40" for a number without a name. Allocates nothing.
 * Returns out. */
#define RUN_SIGNAL_SIZE 16
const char *run_signal_name(int signal, char out[RUN_SIGNAL_SIZE]);
/* The number of a name; 0 where this platform has none of that name. */
int run_signal_parse(const char *name);

/* FORMATS.md 4.2. Errors: ERR_CORRUPT. */
struct json *run_exit_to_json(const struct run_exit *exit);
int run_exit_from_json(const struct json *j, struct run_exit *out, struct error *err);
/* "exited with status 3", "was killed by SIGKILL": append. */
void run_exit_describe(const struct run_exit *exit, struct strbuf *out);
/* The exit status of run, follow and wait (design: the script's own, 128 + n, 124, 126,
 * 127, 143, 137, else 125). */
int run_exit_status(enum run_state state, const struct run_exit *exit);

/* ROW(symbol, name): the files of a run that can be followed. The first three are there
 * from its acceptance on, and its final line says how long they are; the next two are the
 * prepare stage's, and stay as they are once it has ended; the last one is what Spark
 * says and where its job is. */
#define RUN_FILE_TABLE(ROW)                                                              \
    ROW(DRIVER_LOG, "driver.log")                                                        \
    ROW(CONTROL_LOG, "control.log")                                                      \
    ROW(METRICS, "metrics")                                                              \
    ROW(PREPARE_LOG, "prepare.log")                                                      \
    ROW(ENVIRONMENT_LOCK, "environment.lock")                                            \
    ROW(ENGINE_LOG, "engine.log")                                                        \
    ROW(ENGINE, "engine")

enum run_file {
#define ROW(symbol, name) RUN_FILE_##symbol,
    RUN_FILE_TABLE(ROW)
#undef ROW
        RUN_FILE_COUNT
};
/* Static storage. */
const char *run_file_name(enum run_file file);

/* What is running, recognisable after pids were used again. */
struct process_id {
    char boot[40];  /* boot id, or "" */
    int64_t pid;    /* 0: none */
    uint64_t start; /* field 22 of /proc/pid/stat */
};

/*
 * Where the time of an attempt went, in microseconds of the node's monotonic clock:
 * ROW(symbol, key), in the line that is written when it is over. What nobody measured
 * from beginning to end, because a supervisor died meanwhile, is not known.
 */
#define RUN_TOOK_TABLE(ROW)                                                              \
    ROW(CHECKOUT, "checkout_us") /* Running: the snapshot became the work tree */        \
    ROW(LAUNCH,                                                                          \
        "launch_us") /* Running: the rest, from the order to the script's exec */        \
    ROW(SCRIPT, "script_us") /* final: the script itself */                              \
    ROW(ENDING, "ending_us") /* final: from its end to this line: clean-up, outputs */

enum run_took {
#define ROW(symbol, key) RUN_TOOK_##symbol,
    RUN_TOOK_TABLE(ROW)
#undef ROW
        RUN_TOOK_COUNT
};
#define RUN_TOOK_UNKNOWN (-1)
/* The key of its member of "took". Static storage. */
const char *run_took_key(enum run_took what);
/* Nothing is known. */
void run_took_forget(int64_t took_us[RUN_TOOK_COUNT]);
/* Take those that a journal line has. Errors: ERR_CORRUPT. */
int run_took_take(const struct json *line, int64_t took_us[RUN_TOOK_COUNT],
                  struct error *err);

/* All that a journal says. Strings are the struct's own. */
struct run_status {
    int64_t seq; /* of the last line taken; 0: none */
    enum run_state state;
    int64_t attempt;
    char *reason; /* of the last line; never NULL after the first */
    char *queued; /* what it waits for while it is Queued; else NULL */
    int64_t created_utc_ms, started_utc_ms,
        ended_utc_ms; /* first line, first Running, final; 0: not yet */
    struct run_exit exit;
    char proof[8]; /* how the clean-up proved itself: "cgroup", "tree", "none"; or "" */
    int64_t ended, survivors; /* processes that the clean-up ended, and could not end */
    struct process_id process;
    uint64_t log_offset; /* where the current attempt's part of driver.log begins */
    struct run_environment environment; /* as the last line said that told of one */
    struct run_engine engine;           /* the same */
    char node[OID_HEX_SIZE], store[33], boot[40], executor[OID_HEX_SIZE];
    bool has_outputs; /* they were collected; outputs_root is zero where there are none */
    struct oid outputs_root;
    uint64_t outputs_files, outputs_size_bytes;
    struct strvec *outputs_warnings;                             /* NULL: none */
    uint64_t driver_log_bytes, control_log_bytes, metrics_bytes; /* final */
    int64_t took_us[RUN_TOOK_COUNT]; /* of the current attempt, or RUN_TOOK_UNKNOWN */
};

void run_status_init(struct run_status *status);
void run_status_release(struct run_status *status);

/*
 * Fold one line (without newline) into status. A line already taken (seq <= status->seq)
 * is ignored, so that a journal may be read again. Errors: ERR_CORRUPT (no such line can
 * follow; status is unchanged).
 */
int run_status_take(struct run_status *status, const char *line, size_t length,
                    struct error *err);

#endif
