#include "common/runstate.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define WHAT "journal line"
#define WARNINGS_MAX 1024
#define STATUS_SIGNAL_BASE 128 /* a shell's convention */
#define STATUS_TIMED_OUT 124
#define STATUS_OURS 125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define STATUS_CANCELED (STATUS_SIGNAL_BASE + 15)
#define STATUS_OUT_OF_MEMORY (STATUS_SIGNAL_BASE + 9)

/* --- states --------------------------------------------------------------------------
 */

struct state_row {
    const char *name;
    bool is_final;
};

static const struct state_row states[] = {
#define ROW(symbol, name, is_final) [RUN_##symbol] = {name, is_final},
    RUN_STATE_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(states) == RUN_STATE_COUNT, "a row for every state");

const char *run_state_name(enum run_state state)
{
    return states[state].name;
}

bool run_state_is_final(enum run_state state)
{
    return states[state].is_final;
}

int run_state_parse(const char *name, enum run_state *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (strcmp(states[i].name, name) == 0) {
            *out = (enum run_state)i;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, "\"%.40s\" is no state of a run", name);
}

/* --- files ---------------------------------------------------------------------------
 */

static const char *const files[] = {
#define ROW(symbol, name) [RUN_FILE_##symbol] = name,
    RUN_FILE_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(files) == RUN_FILE_COUNT, "a name for every file");

const char *run_file_name(enum run_file file)
{
    return files[file];
}

/* --- signals -------------------------------------------------------------------------
 */

struct signal_row {
    int number;
    const char *name;
};

static const struct signal_row signals[] = {
#define SIGNAL(name)                                                                     \
    {                                                                                    \
        name, #name                                                                      \
    }
    SIGNAL(SIGABRT),   SIGNAL(SIGALRM), SIGNAL(SIGBUS),    SIGNAL(SIGCHLD),
    SIGNAL(SIGCONT),   SIGNAL(SIGFPE),  SIGNAL(SIGHUP),    SIGNAL(SIGILL),
    SIGNAL(SIGINT),    SIGNAL(SIGKILL), SIGNAL(SIGPIPE),   SIGNAL(SIGQUIT),
    SIGNAL(SIGSEGV),   SIGNAL(SIGSTOP), SIGNAL(SIGSYS),    SIGNAL(SIGTERM),
    SIGNAL(SIGTRAP),   SIGNAL(SIGTSTP), SIGNAL(SIGTTIN),   SIGNAL(SIGTTOU),
    SIGNAL(SIGUSR1),   SIGNAL(SIGUSR2), SIGNAL(SIGVTALRM), SIGNAL(SIGXCPU),
    SIGNAL(SIGXFSZ),   SIGNAL(SIGURG),
/* Outside POSIX.1-2008; a platform without them reads their names as not known. */
#ifdef SIGIO
    SIGNAL(SIGIO),
#endif
#ifdef SIGPROF
    SIGNAL(SIGPROF),
#endif
#ifdef SIGPWR
    SIGNAL(SIGPWR),
#endif
#ifdef SIGSTKFLT
    SIGNAL(SIGSTKFLT),
#endif
#ifdef SIGWINCH
    SIGNAL(SIGWINCH),
#endif
#undef SIGNAL
};

#define SIGNAL_MAX 127 /* what a wait status has room for */

const char *run_signal_name(int signal, char out[RUN_SIGNAL_SIZE])
{
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (signals[i].number == signal) {
            snprintf(out, RUN_SIGNAL_SIZE, "%s", signals[i].name);
            return out;
        }
    }
    snprintf(out, RUN_SIGNAL_SIZE, "SIG%d", signal);
    return out;
}

int run_signal_parse(const char *name)
{
    uint64_t number;

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (strcmp(signals[i].name, name) == 0) {
            return signals[i].number;
        }
    }
    if (strncmp(name, "SIG", 3) == 0 &&
        bytes_parse_u64(name + 3, SIGNAL_MAX, &number, NULL) == 0) {
        return (int)number;
    }
    return 0;
}

/* --- exits ---------------------------------------------------------------------------
 */

enum exit_member {
    HAS_NOTHING,
    HAS_CODE,
    HAS_SIGNAL,
};

struct exit_row {
    const char *name;
    const char *meaning;
};

static const struct exit_row exits[] = {[RUN_EXIT_NONE] = {"none", "has not ended"},
#define ROW(symbol, name, meaning) [RUN_EXIT_##symbol] = {name, meaning},
                                        RUN_EXIT_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(exits) == RUN_EXIT_COUNT, "a row for every kind of exit");

/* What beside its kind an exit says. */
static enum exit_member exit_member(enum run_exit_kind kind)
{
    if (kind == RUN_EXIT_EXITED || kind == RUN_EXIT_COULD_NOT_START) {
        return HAS_CODE;
    }
    if (kind == RUN_EXIT_SIGNALED || kind == RUN_EXIT_OUT_OF_MEMORY) {
        return HAS_SIGNAL;
    }
    return HAS_NOTHING;
}

struct json *run_exit_to_json(const struct run_exit *exit)
{
    struct json *j = json_new_object();
    char name[RUN_SIGNAL_SIZE];

    json_add_string(j, "kind", exits[exit->kind].name);
    if (exit_member(exit->kind) == HAS_CODE) {
        json_add_integer(j, "code", exit->code);
    } else if (exit_member(exit->kind) == HAS_SIGNAL) {
        json_add_string(j, "signal", run_signal_name(exit->signal, name));
    }
    return j;
}

static int parse_exit_kind(const char *name, enum run_exit_kind *out, struct error *err)
{
    for (size_t i = RUN_EXIT_NONE + 1; i < ARRAY_SIZE(exits); i++) {
        if (strcmp(exits[i].name, name) == 0) {
            *out = (enum run_exit_kind)i;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, "exit: \"%.40s\" is no way to end", name);
}

int run_exit_from_json(const struct json *j, struct run_exit *out, struct error *err)
{
    struct run_exit exit = {.kind = RUN_EXIT_NONE};
    const char *text;
    int64_t code;

    if (json_get_string(j, "exit", "kind", &text, err) < 0 ||
        parse_exit_kind(text, &exit.kind, err) < 0) {
        return -1;
    }
    if (exit_member(exit.kind) == HAS_CODE) {
        if (json_get_integer(j, "exit", "code", 0, UINT8_MAX, &code, err) < 0) {
            return -1;
        }
        exit.code = (int)code;
    } else if (exit_member(exit.kind) == HAS_SIGNAL) {
        if (json_get_string(j, "exit", "signal", &text, err) < 0) {
            return -1;
        }
        exit.signal = run_signal_parse(text);
    }
    *out = exit;
    return 0;
}

void run_exit_describe(const struct run_exit *exit, struct strbuf *out)
{
    char name[RUN_SIGNAL_SIZE];

    if (exit->kind == RUN_EXIT_EXITED) {
        strbuf_printf(out, "exited with status %d", exit->code);
    } else if (exit->kind == RUN_EXIT_SIGNALED && exit->signal != 0) {
        strbuf_printf(out, "was killed by %s", run_signal_name(exit->signal, name));
    } else {
        strbuf_puts(out, exits[exit->kind].meaning);
    }
}

/* As a shell would say it; 0 only for what a run may end well with. */
static int status_of_exit(const struct run_exit *exit)
{
    switch (exit->kind) {
    case RUN_EXIT_EXITED:
        return exit->code;
    case RUN_EXIT_SIGNALED:
        return STATUS_SIGNAL_BASE + exit->signal;
    case RUN_EXIT_OUT_OF_MEMORY:
        return STATUS_OUT_OF_MEMORY;
    case RUN_EXIT_TIMED_OUT:
        return STATUS_TIMED_OUT;
    case RUN_EXIT_CANCELED:
        return STATUS_CANCELED;
    case RUN_EXIT_COULD_NOT_START:
        return exit->code == STATUS_NOT_EXECUTABLE || exit->code == STATUS_NOT_FOUND
                   ? exit->code
                   : STATUS_OURS;
    case RUN_EXIT_NONE:
    case RUN_EXIT_NODE_RESTARTED:
    case RUN_EXIT_SUPERVISOR_LOST:
    case RUN_EXIT_ENVIRONMENT_FAILED:
    case RUN_EXIT_UNKNOWN:
    case RUN_EXIT_COUNT:
        break;
    }
    return STATUS_OURS;
}

int run_exit_status(enum run_state state, const struct run_exit *exit)
{
    int status = status_of_exit(exit);

    if (state == RUN_CANCELED) {
        return STATUS_CANCELED;
    }
    if (!run_state_is_final(state) || (state == RUN_FAILED && status == 0)) {
        return STATUS_OURS;
    }
    return status;
}

/* --- journal -------------------------------------------------------------------------
 */

void run_status_init(struct run_status *status)
{
    *status = (struct run_status){.state = RUN_STARTING};
    run_environment_init(&status->environment);
    run_took_forget(status->took_us);
}

static void free_warnings(struct strvec *warnings)
{
    if (warnings != NULL) {
        strvec_release(warnings);
        free(warnings);
    }
}

void run_status_release(struct run_status *status)
{
    free(status->reason);
    free(status->queued);
    free_warnings(status->outputs_warnings);
    run_status_init(status);
}

/* A member of a fixed length that may be absent: text of hexadecimal digits and '-'. */
static int take_name(const struct json *line, const char *key, char *out, size_t size,
                     struct error *err)
{
    const char *s;

    if (json_get(line, key) == NULL) {
        return 0;
    }
    if (json_get_string(line, WHAT, key, &s, err) < 0) {
        return -1;
    }
    if (strlen(s) >= size || strspn(s, "0123456789abcdef-") != strlen(s)) {
        return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" is no name of its kind", key);
    }
    snprintf(out, size, "%s", s);
    return 0;
}

/* A number that may be absent. */
static int take_count(const struct json *line, const char *key, uint64_t *out,
                      struct error *err)
{
    int64_t n;

    if (json_get(line, key) == NULL) {
        return 0;
    }
    if (json_get_integer(line, WHAT, key, 0, JSON_INTEGER_MAX, &n, err) < 0) {
        return -1;
    }
    *out = (uint64_t)n;
    return 0;
}

static int take_process(const struct json *line, struct process_id *out,
                        struct error *err)
{
    const struct json *process;
    int64_t start;

    if (json_get(line, "process") == NULL) {
        return 0;
    }
    if (json_get_object(line, WHAT, "process", &process, err) < 0 ||
        take_name(process, "boot", out->boot, sizeof(out->boot), err) < 0 ||
        json_get_integer(process, WHAT, "pid", 0, INT32_MAX, &out->pid, err) < 0 ||
        json_get_integer(process, WHAT, "start", 0, JSON_INTEGER_MAX, &start, err) < 0) {
        return -1;
    }
    out->start = (uint64_t)start;
    return 0;
}

static int take_environment(const struct json *line, struct run_environment *out,
                            struct error *err)
{
    const struct json *environment = json_get(line, "environment");

    if (environment == NULL || json_is_null(environment)) {
        return 0;
    }
    return run_environment_from_json(environment, out, err) == 0
               ? 0
               : error_wrap(err, "%s", WHAT);
}

static int take_clean_up(const struct json *line, struct run_status *out,
                         struct error *err)
{
    static const char *const proofs[] = {"cgroup", "tree", "none"};
    uint64_t ended = 0;
    uint64_t survivors = 0;
    const char *proof;
    size_t i = 0;

    if (json_get(line, "proof") == NULL) {
        return 0;
    }
    if (json_get_string(line, WHAT, "proof", &proof, err) < 0 ||
        take_count(line, "ended", &ended, err) < 0 ||
        take_count(line, "survivors", &survivors, err) < 0) {
        return -1;
    }
    while (i < ARRAY_SIZE(proofs) && strcmp(proof, proofs[i]) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(proofs)) {
        return error_set(err, ERR_CORRUPT, WHAT ": \"%.40s\" is no proof", proof);
    }
    snprintf(out->proof, sizeof(out->proof), "%s", proof);
    out->ended = (int64_t)ended;
    out->survivors = (int64_t)survivors;
    return 0;
}

static int take_warnings(const struct json *outputs, struct strvec **out,
                         struct error *err)
{
    struct strvec *warnings;
    const struct json *list;

    if (json_get(outputs, "warnings") == NULL) {
        return 0;
    }
    if (json_get_array(outputs, WHAT, "warnings", WARNINGS_MAX, &list, err) < 0) {
        return -1;
    }
    warnings = xcalloc(1, sizeof(*warnings));
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        if (!json_is_string(item)) {
            free_warnings(warnings);
            return error_set(err, ERR_CORRUPT, WHAT ": a warning is no string");
        }
        strvec_push(warnings, json_string(item));
    }
    if (warnings->count == 0) {
        free_warnings(TAKE_PTR(warnings));
    }
    *out = warnings;
    return 0;
}

static int take_outputs(const struct json *line, struct run_status *out,
                        struct error *err)
{
    const struct json *outputs = json_get(line, "outputs");
    const struct json *root = json_get(outputs, "root");

    if (outputs == NULL || json_is_null(outputs)) {
        return 0;
    }
    if (!json_is_object(outputs) || root == NULL ||
        !(json_is_null(root) || json_is_string(root))) {
        return error_set(err, ERR_CORRUPT, WHAT ": \"outputs\" is no result");
    }
    if (json_is_string(root) &&
        oid_from_hex(json_string(root), &out->outputs_root, err) < 0) {
        return -1;
    }
    if (take_count(outputs, "files", &out->outputs_files, err) < 0 ||
        take_count(outputs, "size_bytes", &out->outputs_size_bytes, err) < 0) {
        return -1;
    }
    out->has_outputs = true;
    return take_warnings(outputs, &out->outputs_warnings, err);
}

static int take_final(const struct json *line, struct run_status *out, struct error *err)
{
    const struct json *logs = json_get(line, "logs");
    const struct json *exit = json_get(line, "exit");

    if (exit != NULL && run_exit_from_json(exit, &out->exit, err) < 0) {
        return -1;
    }
    if (take_count(logs, "driver.log", &out->driver_log_bytes, err) < 0 ||
        take_count(logs, "control.log", &out->control_log_bytes, err) < 0 ||
        take_count(logs, "metrics", &out->metrics_bytes, err) < 0 ||
        take_clean_up(line, out, err) < 0) {
        return -1;
    }
    /* Last: it is what allocates. */
    return take_outputs(line, out, err);
}

/* May a line with this state and attempt stand behind status? */
static int check_follows(const struct run_status *status, enum run_state state,
                         int64_t attempt, struct error *err)
{
    if (state == RUN_NOT_RESPONDING) {
        return error_set(err, ERR_CORRUPT, WHAT ": no run says NotResponding of itself");
    }
    if (status->seq == 0 && (state != RUN_STARTING || attempt != 1)) {
        return error_set(err, ERR_CORRUPT, WHAT ": the first is not Starting");
    }
    if (status->seq > 0 && run_state_is_final(status->state)) {
        return error_set(err, ERR_CORRUPT, WHAT ": %s after %s", run_state_name(state),
                         run_state_name(status->state));
    }
    if (status->seq > 0 && attempt != status->attempt && attempt != status->attempt + 1) {
        return error_set(err, ERR_CORRUPT,
                         WHAT ": attempt %" PRId64 " after attempt %" PRId64, attempt,
                         status->attempt);
    }
    if (status->seq > 0 && attempt == status->attempt && state < status->state &&
        state != RUN_CANCEL_REQUESTED) {
        return error_set(err, ERR_CORRUPT, WHAT ": %s after %s in one attempt",
                         run_state_name(state), run_state_name(status->state));
    }
    return 0;
}

/* What only this line says; the rest of status is as it was before it. */
static int read_line(const struct json *line, struct run_status *status,
                     const char **out_reason, struct error *err)
{
    enum run_state state = RUN_STARTING;
    int64_t attempt;
    int64_t time;
    const char *name;

    if (json_get_string(line, WHAT, "state", &name, err) < 0 ||
        run_state_parse(name, &state, err) < 0 ||
        json_get_integer(line, WHAT, "attempt", 1, INT32_MAX, &attempt, err) < 0 ||
        json_get_time(line, WHAT, "time", &time, err) < 0 ||
        json_get_string(line, WHAT, "reason", out_reason, err) < 0 ||
        check_follows(status, state, attempt, err) < 0) {
        return -1;
    }
    if (attempt != status->attempt) {
        status->process = (struct process_id){.pid = 0};
        run_took_forget(status->took_us);
    }
    if (status->seq == 0) {
        status->created_utc_ms = time;
    }
    if (state == RUN_RUNNING && status->started_utc_ms == 0) {
        status->started_utc_ms = time;
    }
    status->state = state;
    status->attempt = attempt;
    if (take_name(line, "node", status->node, sizeof(status->node), err) < 0 ||
        take_name(line, "store", status->store, sizeof(status->store), err) < 0 ||
        take_name(line, "boot", status->boot, sizeof(status->boot), err) < 0 ||
        take_name(line, "executor", status->executor, sizeof(status->executor), err) <
            0 ||
        take_process(line, &status->process, err) < 0 ||
        take_environment(line, &status->environment, err) < 0 ||
        run_engine_take_member(line, &status->engine, err) < 0 ||
        run_took_take(line, status->took_us, err) < 0 ||
        take_count(line, "log_offset", &status->log_offset, err) < 0) {
        return -1;
    }
    if (run_state_is_final(state)) {
        status->ended_utc_ms = time;
        return take_final(line, status, err);
    }
    return 0;
}

static char *queued_text(const struct json *line, enum run_state state)
{
    const char *text = json_string(json_get(line, "queued"));

    return state == RUN_QUEUED && text != NULL ? xstrdup(text) : NULL;
}

int run_status_take(struct run_status *status, const char *line, size_t length,
                    struct error *err)
{
    CLEANUP_JSON struct json *j = NULL;
    struct run_status next = *status;
    struct error inner = ERROR_INIT;
    const char *reason;

    if (length > JOURNAL_LINE_MAX) {
        return error_set(err, ERR_CORRUPT, WHAT ": %zu bytes, more than %d", length,
                         JOURNAL_LINE_MAX);
    }
    j = json_parse(line, length, &inner);
    if (j == NULL) {
        return error_set(err, ERR_CORRUPT, WHAT ": %s", inner.text);
    }
    if (json_get_integer(j, WHAT, "seq", 1, JSON_INTEGER_MAX, &next.seq, err) < 0) {
        return -1;
    }
    if (next.seq <= status->seq) {
        return 0;
    }
    if (next.seq != status->seq + 1) {
        return error_set(err, ERR_CORRUPT,
                         WHAT ": number %" PRId64 " after number %" PRId64, next.seq,
                         status->seq);
    }
    next.seq = status->seq;
    if (read_line(j, &next, &reason, err) < 0) {
        return -1;
    }
    next.seq = status->seq + 1;
    next.reason = xstrdup(reason);
    next.queued = queued_text(j, next.state);
    free(status->reason);
    free(status->queued);
    *status = next;
    return 0;
}
