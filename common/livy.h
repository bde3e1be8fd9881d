/*
 * livy: what an Apache Livy server is asked about batches, and what it answers.  [engine]
 *
 * Livy starts spark-submit for who can reach nothing but its address. The first part is
 * functions over bytes, the second the calls, each one exchange over a struct http;
 * repeating is the caller's. Spoken with 0.5 to 0.9, whose answers differ:
 *
 *   0.5         no names: nothing in an answer says whose batch it is
 *   0.7         a name is one batch's alone, and finds it: the key that makes a POST
 * whose answer was lost harmless. A POST that is refused while the batch is being
 *               prepared leaves a "zombie" with the name, starting for ever, until DELETE
 *   errors      an object with "msg", a bare JSON string (0.5, and bad JSON in all), HTML
 *               (CSRF protection, the gateway in front), or nothing
 *   the state   "dead" is every end that is not well: no exit status is ever told, and
 *               what Livy forgot (retention, a restart) is a 404
 *   the log     the last lines of spark-submit's output in a window that moves on without
 *               a mark (struct livy_tail)
 *
 * The address is used as the user gave it: what a "Location" says lacks the gateway's
 * path.
 */
#ifndef COMMON_LIVY_H
#define COMMON_LIVY_H

#include "common/http.h"
#include "common/json.h"
#include "common/strvec.h"

#define LIVY_ANSWER_MAX ((size_t)64 << 20) /* of a log, whose lines have no bound */
#define LIVY_LINES_MAX 20000               /* of a window */

/* ---- Answers */

struct livy_server {
    char version[64]; /* "0.7.1-incubating" */
    bool has_names;   /* a batch's name is known to the server */
};
/* GET /version. Errors: ERR_CORRUPT. */
int livy_decode_version(const char *text, size_t length, struct livy_server *out,
                        struct error *err);

/* ROW(symbol, word, is_final) */
#define LIVY_STATE_TABLE(ROW)                                                            \
    ROW(NOT_STARTED, "not_started", false)                                               \
    ROW(STARTING, "starting", false)                                                     \
    ROW(RECOVERING, "recovering", false)                                                 \
    ROW(IDLE, "idle", false)                                                             \
    ROW(RUNNING, "running", false)                                                       \
    ROW(BUSY, "busy", false)                                                             \
    ROW(SHUTTING_DOWN, "shutting_down", false)                                           \
    ROW(ERROR, "error", true)                                                            \
    ROW(DEAD, "dead", true)                                                              \
    ROW(KILLED, "killed", true)                                                          \
    ROW(SUCCESS, "success", true)                                                        \
    ROW(OTHER, "", false) /* a word that no version known here has */

enum livy_state {
#define ROW(symbol, word, is_final) LIVY_##symbol,
    LIVY_STATE_TABLE(ROW)
#undef ROW
        LIVY_STATE_COUNT
};
/* LIVY_OTHER where the word is none of them. */
enum livy_state livy_state_parse(const char *word);
/* Nothing follows it. */
bool livy_state_is_final(enum livy_state state);

struct livy_batch {
    int64_t id;
    char name[128]; /* "": it has none, or this version tells none */
    char word[32];  /* the state as it was said */
    enum livy_state state;
    char application[64];    /* "application_...", or "" */
    char tracking_url[1024]; /* or "" */
    char driver_log_url[1024];
    bool is_silent; /* not even the heads of a log: spark-submit was never started */
};
/* GET /batches/ID, and the answer to POST. Errors: ERR_CORRUPT. */
int livy_decode_batch(const char *text, size_t length, struct livy_batch *out,
                      struct error *err);
/* GET /batches: each batch in turn. A visitor that returns other than 0 ends it, and that
 * is returned. Errors: ERR_CORRUPT. */
typedef int livy_visitor(void *context, const struct livy_batch *batch);
int livy_decode_batches(const char *text, size_t length, livy_visitor *visit,
                        void *context, struct error *err);
/* GET /batches/ID/state. word has the size of livy_batch.word. Errors: ERR_CORRUPT. */
int livy_decode_state(const char *text, size_t length, char word[32], struct error *err);

/* A batch that was refused and stayed: what a refused POST leaves (0.7 and later). */
bool livy_is_zombie(const struct livy_batch *batch);

/* What an answer that is no success says: one line, without control characters, appended
 * to out: the message, HTML without its tags, or the status alone. */
void livy_put_reason(const struct http_response *answer, struct strbuf *out);

/* What became of a POST. */
enum livy_fate {
    LIVY_TAKEN,     /* 201: decode the batch */
    LIVY_REFUSED,   /* no batch runs; a zombie may have stayed */
    LIVY_DUPLICATE, /* a batch, perhaps ours, has the name */
    LIVY_CROWDED,   /* nothing was made: too many at a time; later it may work */
    LIVY_UNCERTAIN, /* it may have been made */
};
enum livy_fate livy_judge_post(const struct http_response *answer);

/* ---- The log */

/*
 * What was seen of a batch's log so far, so that of the next window the new lines are
 * known: those behind the longest end of the last window that begins this one. Where the
 * windows share no line, lines may have been lost between them, and it is said so. Equal
 * lines over a whole window cannot be told apart: of those the fewest are taken as new.
 *
 * The part behind "\nstderr: ", YARN's diagnostics among it, is a list of its own, whose
 * lines are replaced.
 */
struct livy_tail {
    struct {
        uint64_t *digests;
        size_t count;
    } parts[2];
};
void livy_tail_release(struct livy_tail *tail);

/* is_hole: line is NULL, lines were lost here. */
typedef int livy_line_visitor(void *context, const char *line, bool is_hole,
                              struct error *err);
/* Take GET /batches/ID/log?from=0&size=-1. After a failure of the visitor the window
 * counts as not taken. Errors: ERR_CORRUPT, ERR_LIMIT (more than LIVY_LINES_MAX lines),
 * the visitor's. */
int livy_tail_take(struct livy_tail *tail, const char *text, size_t length,
                   livy_line_visitor *visit, void *context, struct error *err);

/* ---- Asking */

/* A batch as it is posted; borrowed. NULL, 0 and empty: not said. */
struct livy_job {
    const char *file, *name, *queue, *proxy_user, *driver_memory, *executor_memory;
    int64_t executor_cores, num_executors;
    const struct strvec *args, *jars, *py_files, *files, *archives;
    const struct strvec *conf; /* "spark.k=v" */
};
/* The body of POST /batches. */
void livy_encode_job(const struct livy_job *job, struct strbuf *out);

/* Where to ask. */
struct livy {
    struct http *http;
    const char
        *url; /* "https://cluster.example.net/livy"; a slash at its end is ignored */
};

/*
 * One exchange each; out (answer) is the caller's. They return 0 where an answer came
 * that can be read, and set *out_is_there false for a 404; -1 else, with http_perform's
 * errors, or ERR_LOGIN (401, 403), ERR_BUSY (502, 503, 504, 429: trying later helps),
 * ERR_PROTOCOL (all other statuses, an answer that cannot be read).
 */
int livy_ask_version(const struct livy *livy, struct livy_server *out, struct error *err);
/* which: an id, or a name where the server has them. */
int livy_ask_batch(const struct livy *livy, const char *which, struct livy_batch *out,
                   bool *out_is_there, struct error *err);
int livy_ask_state(const struct livy *livy, int64_t id, char word[32], bool *out_is_there,
                   struct error *err);
int livy_ask_log(const struct livy *livy, int64_t id, struct http_response *answer,
                 bool *out_is_there, struct error *err);
/* All batches, page by page. Returns the visitor's too. */
int livy_ask_batches(const struct livy *livy, livy_visitor *visit, void *context,
                     struct error *err);
/* Blocks until Livy has ended the batch: 150 s at most, as it looks for an application
 * for two minutes. What is not there is success. */
int livy_ask_delete(const struct livy *livy, const char *which, struct error *err);
/* Errors: http_perform's alone: what the answer means says livy_judge_post. */
int livy_ask_post(const struct livy *livy, const struct livy_job *job,
                  struct http_response *answer, struct error *err);

#endif
