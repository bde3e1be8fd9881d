/*
 * yarn: what YARN's servers answer, and what it means.            [engine]
 *
 * Pure functions over bytes that came from a ResourceManager, a NodeManager or a history
 * server (Hadoop 2.9 to 3.5). Who asks them is yarn_ask. What the servers write is no
 * strict JSON: keys stand twice, integers are beyond 2^53; what is of use here is checked
 * one by one.
 *
 * Three truths that shape this: an application is found by its tag, before anybody knows
 * its id; ACCEPTED means "waiting" only until the driver's container is there, after that
 * the script may already run; and a log has no offsets, so that what is new is reckoned
 * from its length.
 */
#ifndef COMMON_YARN_H
#define COMMON_YARN_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YARN_ID_SIZE 64         /* "application_1795857943610_0002" */
#define YARN_CONTAINER_SIZE 128 /* "container_e01_1795857943610_0002_01_000001" */
#define YARN_NAME_SIZE 256      /* a queue, a user */
#define YARN_ADDRESS_SIZE 1024
#define YARN_DIAGNOSTICS_SIZE 16384 /* more is cut off */
#define YARN_TAG_MAX 100            /* bytes of a tag, ASCII */
#define YARN_ATTEMPTS_MAX 64        /* of one application that are looked at */
#define YARN_ANSWER_MAX ((size_t)4 << 20)

/* YarnApplicationState; what is not here is OTHER. */
#define YARN_STATE_TABLE(ROW)                                                            \
    ROW(NEW)                                                                             \
    ROW(NEW_SAVING)                                                                      \
    ROW(SUBMITTED) ROW(ACCEPTED) ROW(RUNNING) ROW(FINISHED) ROW(FAILED) ROW(KILLED)
/* FinalApplicationStatus. */
#define YARN_FINAL_TABLE(ROW)                                                            \
    ROW(UNDEFINED) ROW(SUCCEEDED) ROW(FAILED) ROW(KILLED) ROW(ENDED)

enum yarn_state {
#define ROW(name) YARN_##name,
    YARN_STATE_TABLE(ROW)
#undef ROW
        YARN_STATE_OTHER
};
enum yarn_final {
#define ROW(name) YARN_FINAL_##name,
    YARN_FINAL_TABLE(ROW)
#undef ROW
        YARN_FINAL_OTHER
};
/* "ACCEPTED"; "UNKNOWN" for OTHER. Static storage. */
const char *yarn_state_name(enum yarn_state state);
const char *yarn_final_name(enum yarn_final final);

/* Where an application is, for a person and for who follows it. */
enum yarn_phase {
    YARN_PHASE_WAITING,  /* nothing of it runs */
    YARN_PHASE_STARTING, /* its driver's container is there: the script may run */
    YARN_PHASE_RUNNING,  /* there is a SparkContext */
    YARN_PHASE_ENDED,
};

struct yarn_app {
    char id[YARN_ID_SIZE];
    char user[YARN_NAME_SIZE], queue[YARN_NAME_SIZE];
    enum yarn_state state;
    enum yarn_final final;
    char tracking_url[YARN_ADDRESS_SIZE];    /* "" until there is one */
    char driver_logs[YARN_ADDRESS_SIZE];     /* amContainerLogs of the newest attempt; "":
                                                it has no container */
    char diagnostics[YARN_DIAGNOSTICS_SIZE]; /* its first bytes, whole characters */
    int64_t started_utc_ms, finished_utc_ms; /* 0: not yet */
    int64_t containers;                      /* running ones, the driver's too; 0 after */
    bool are_logs_collected; /* aggregation has come to its end, well or not; false also
                                where it was never to begin */
};

/*
 * An answer of /ws/v1/cluster/apps/ID, and one of /apps?applicationTags=...: *out_count
 * applications, of which the one that was started first is in *out. Errors: ERR_PROTOCOL:
 * it is no such answer (a gateway's page, half an answer).
 */
int yarn_parse_app(const char *body, size_t length, struct yarn_app *out,
                   struct error *err);
int yarn_parse_apps(const char *body, size_t length, struct yarn_app *out,
                    size_t *out_count, struct error *err);

/* Where a container's logs are: http://NODE:8042/node/containerlogs/CONTAINER/USER. */
struct yarn_container {
    char node[YARN_ADDRESS_SIZE]; /* "http://NODE:8042" */
    char id[YARN_CONTAINER_SIZE];
    int attempt; /* 1 and up; in the id */
};
/* Errors: ERR_PROTOCOL. */
int yarn_parse_container(const char *logs_url, struct yarn_container *out,
                         struct error *err);
/*
 * An answer of /apps/ID/appattempts: the drivers' containers, oldest attempt first; those
 * that never had one are left out. *out_count <= YARN_ATTEMPTS_MAX. Errors: ERR_PROTOCOL,
 * ERR_LIMIT.
 */
int yarn_parse_attempts(const char *body, size_t length,
                        struct yarn_container out[YARN_ATTEMPTS_MAX], size_t *out_count,
                        struct error *err);

/* Is this a ResourceManager's word that it knows no such application (status 404)? A
 * gateway's 404 is not. */
bool yarn_is_unknown(const char *body, size_t length);
/* Is this the page of a ResourceManager while none is active, whatever its status? */
bool yarn_is_standby(const char *body, size_t length);
/* An id as YARN makes them, so that it can stand in an address and on a command line. */
bool yarn_id_is_valid(const char *id);

/* From its state, and whether its driver has a container. */
enum yarn_phase yarn_phase(const struct yarn_app *app);
/*
 * One plain sentence for a person: where it is, and if it waits, on what: "waits in queue
 * default: the queue's share for drivers is used up; it asks for 2432 MB and 1 core".
 * Begins with the id. Appends.
 */
void yarn_tell(const struct yarn_app *app, struct strbuf *out);

/* What the script ended with, where the diagnostics say so (what Spark's
 * ApplicationMaster says of it): the last "User application exited with status N". */
bool yarn_script_status(const char *diagnostics, int *out_status);
/* What the driver's container ended with ("exitCode: 137"): its own number, or YARN's
 * below 0. */
bool yarn_container_status(const char *diagnostics, int *out_status);
#define YARN_CONTAINER_UNLAUNCHED (-1000) /* it never ran: its files could not be had */
/* Why YARN, not the script, ended a container: the words for a number such as -104 or
 * 137; NULL where there are none. Static storage. */
const char *yarn_container_reason(int status);

/*
 * A log as a NodeManager's or history server's REST gives it: a head, bytes, an end.
 * asked: the size parameter of the request: 0: the head alone; below 0: so many bytes
 * from the end; above: from the front. The content is then min(|asked|, total) bytes.
 */
#define YARN_LOG_HEAD_MAX ((size_t)4096)
struct yarn_log {
    uint64_t total;      /* the log's length at that moment */
    uint64_t content_at; /* where the content begins in the answer */
    uint64_t length;     /* bytes of content */
    uint64_t start;      /* what of the log its first byte is */
};
/* head: the answer's first bytes, at least YARN_LOG_HEAD_MAX of them or all; size: the
 * whole answer's. Errors: ERR_NOT_FOUND (the server's word that there is none),
 * ERR_PROTOCOL. */
int yarn_parse_log(const char *head, size_t length, uint64_t size, int64_t asked,
                   struct yarn_log *out, struct error *err);
/* Do these bytes, which follow the content, end such an answer? What is counted is
 * checked by what is said. */
bool yarn_is_log_end(const char *bytes, size_t length);

#endif
