/*
 * runengine: a run's job in an engine outside the node, as journals and --json say it.
 * [wire]
 *
 * Fixed arrays, so that it may be copied and be kept by who allocates nothing. It is made
 * by folding the lines of the run's file `engine` (FORMATS.md 4.11), which its attendant
 * writes, and stands in the run's last journal line.
 */
#ifndef COMMON_RUNENGINE_H
#define COMMON_RUNENGINE_H

#include "common/json.h"

#define ENGINE_LINE_MAX 8192
#define ENGINE_TEXT_SIZE 512 /* of a line's sentence, with its NUL */

/* ROW(member, size): texts, "" where nobody said. */
#define RUN_ENGINE_TABLE(ROW)                                                            \
    ROW(kind, 16)        /* "yarn", "livy", "standalone", "local" */                     \
    ROW(application, 96) /* its id there */                                              \
    ROW(tag, 112)        /* by which it is found */                                      \
    ROW(queue, 128)                                                                      \
    ROW(state, 24) /* in the engine's own words */                                       \
    ROW(final_status, 24)                                                                \
    ROW(tracking_url, 256)                                                               \
    ROW(diagnostics, 256) /* the first line that says something */                       \
    ROW(progress, 96)     /* how far it is, in a few words; only while somebody follows */

struct run_engine {
    int64_t attempt; /* of the run; 0: nothing is known */
#define ROW(member, size) char member[size];
    RUN_ENGINE_TABLE(ROW)
#undef ROW
};

void run_engine_init(struct run_engine *engine);
/* False: the run has none, as far as is known. */
bool run_engine_is_known(const struct run_engine *engine);

/* Set a member that RUN_ENGINE_TABLE has to text, cut at a character where it is too
 * long, control characters as spaces. True where that changed it. */
bool run_engine_set(char *member, size_t size, const char *text);

/* Call visit with each member's name and text, in the table's order, empty ones too. */
typedef void run_engine_visit(void *context, const char *key, const char *text);
void run_engine_each(const struct run_engine *engine, run_engine_visit *visit,
                     void *context);

/* The members that are known. The caller's to free. */
struct json *run_engine_to_json(const struct run_engine *engine);
/* Errors: ERR_CORRUPT (out is unchanged). */
int run_engine_from_json(const struct json *j, struct run_engine *out, struct error *err);

/* Take the member "engine" of a journal line, where it has one. Errors: ERR_CORRUPT (out
 * is unchanged). */
int run_engine_take_member(const struct json *line, struct run_engine *out,
                           struct error *err);

/* What happened, in a line of `engine`. */
#define ENGINE_EVENT_TABLE(ROW)                                                          \
    ROW(SUBMITTING, "submitting") /* it may be there from now on */                      \
    ROW(SUBMITTED, "submitted")   /* its id is known */                                  \
    ROW(STATE, "state")                                                                  \
    ROW(LOG, "log") /* where what is appended to driver.log next comes from */           \
    ROW(NOTE, "note")                                                                    \
    ROW(PROGRESS, "progress")                                                            \
    ROW(ENDED, "ended") /* the attendant's last word */

enum engine_event {
#define ROW(symbol, name) ENGINE_##symbol,
    ENGINE_EVENT_TABLE(ROW)
#undef ROW
        ENGINE_EVENT_COUNT
};
/* Static storage. */
const char *engine_event_name(enum engine_event event);

/* What a line says beside the engine's own members. */
struct engine_line {
    int64_t seq, utc_ms, attempt;
    enum engine_event event;
    char text[ENGINE_TEXT_SIZE]; /* a sentence for a person, or "" */
};

/*
 * One line (without newline) of `engine`, which says all that is known: engine is as it
 * says. *out (may be NULL) is the line. Errors: ERR_CORRUPT; both are
 * unchanged.
 */
int run_engine_take(struct run_engine *engine, const char *line, size_t length,
                    struct engine_line *out, struct error *err);

#endif
