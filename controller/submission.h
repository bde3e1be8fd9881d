/*
 * submission: from a command line to a run that the node has accepted. [controller]
 *
 *     submission_init -> submission_plan (what to run, from configuration and options) ->
 * submission_snapshot
 *     -> submission_record (the specification is fixed and in the history, durable) ->
 * submission_send (over a connection)
 *     -> submission_release
 *
 * The connection can be made while the snapshot is. After submission_record the very same
 * bytes may be sent any number of times: the node starts the run at most once.
 */
#ifndef CONTROLLER_SUBMISSION_H
#define CONTROLLER_SUBMISSION_H

#include "common/cli.h"
#include "common/runspec.h"
#include "common/transfer.h"
#include "controller/client.h"
#include "controller/gitinfo.h"
#include "controller/interrupt.h"
#include "controller/rooting.h"
#include "controller/snapshot.h"
#include "controller/target.h"

/* What the command line says of Spark; as struct submission_request. */
struct submission_spark {
    const char *master, *deploy_mode, *queue, *base, *driver_memory, *executor_memory;
    int64_t executor_cores, num_executors;
    struct strvec conf; /* "spark.key=value" */
    /* Each item may be several with commas between them. */
    struct strvec packages, repositories, jars, py_files, files, archives;
};

/* What the command line says beyond the configuration; NULL, zero or empty: nothing. */
struct submission_request {
    const char *experiment, *framework, *interpreter;
    const char *environment; /* as --environment has it */
    const char *wheels_from; /* "controller" or "index" */
    struct strvec variables; /* "K=V", or "K": as it is here */
    struct strvec tags;      /* "k=v" */
    struct strvec secrets;   /* names, taken from the environment */
    struct cli_time time_limit, grace;
    int64_t attempts;
    struct submission_spark spark;
    const char *log_max_size; /* as a person writes a size; NULL: as configured */
    bool is_plain_command;    /* operands are a command, not a script */
    bool is_preparation; /* the environment is what the run is about: there must be one,
                            and the project's is looked for */
    bool want_refresh;   /* build it anew although it is there */
    bool want_force;     /* also / and $HOME */
    bool want_yes;       /* large folders: do not ask */
    /* Before the person is asked about a large folder: so that the question does not
     * stand beside one of the connection's. May be NULL. */
    int (*before_question)(void *context, struct error *err);
    void *before_question_context;
    char *const *operands;
    size_t operand_count;
};

/* What is known of whether the node has the run. */
enum submission_fate {
    SUBMISSION_NOT_STARTED, /* it has not, and will not get it by itself */
    SUBMISSION_UNKNOWN,     /* all was sent, and the answer did not come */
    SUBMISSION_ACCEPTED,
};

struct submission {
    struct runspec spec;
    struct strbuf bytes; /* of spec.json */
    struct snapshot snapshot;
    /* Of its root, which becomes the base of the next submission to the store that has
     * accepted this one: as soon as it is durable at home, at the latest when the
     * submission is released. Nobody waits for it. */
    struct rooting *rooting;
    struct {
        struct command_context *context; /* NULL: none has accepted it */
        struct loop *loop;               /* that looks for the rooting's end */
        char *target, *store, *node;
    } base_of;
    /* What git says of the project, asked when the run is recorded and noted as soon as
     * it is known, at the latest when the submission is released. */
    struct {
        struct gitinfo_reading *reading; /* NULL: nothing is to come */
        struct loop *loop;
        struct history *history;
    } git;
    struct json *secrets; /* name to byte string, or NULL; freed memory is wiped */
    struct strvec secret_variables; /* of our environment, wiped by submission_release */
    bool has_looked_ahead;
    bool is_size_told; /* that much goes was said, and agreed to where it was asked */
    int lock_fd;       /* home_lock_run, from submission_record on until it is over */
    enum submission_fate fate;
    bool is_new; /* after sending: accepted now, not before */
    uint64_t sent_files, sent_bytes, wire_bytes;
    uint64_t sent_content_bytes; /* of sent_bytes what is files' content, not folders' */
    bool has_progress;        /* the last submission_send got further than those before */
    uint64_t missing_objects; /* the fewest that a node asked for first */
    /* What is to go in the same flight as SUBMIT; may be NULL. Called each time that it
     * was queued, before the objects are. What comes on the streams that it opens is
     * handed out after submission_send. */
    int (*on_sent)(void *context, struct client *client, const char *run,
                   struct error *err);
    void *on_sent_context;
};

void submission_init(struct submission *submission);
/* Waits for the rooting's end. Forgets the secrets, also in this process's environment:
 * it may stay (keeper.h). */
void submission_release(struct submission *submission);

/* Errors: ERR_USAGE, ERR_NOT_FOUND (the script: with the nearest name), ERR_CONFIG. */
int submission_plan(struct submission *submission, struct command_context *context,
                    const struct target *target, const struct submission_request *request,
                    struct error *err);
/* Errors: snapshot_make's; ERR_USAGE where the script was left out of the snapshot (with
 * the rule); ERR_CANCELED (interrupt, whose signals are looked for meanwhile; the person
 * does not want to send so much). */
int submission_snapshot(struct submission *submission, struct command_context *context,
                        const struct target *target,
                        const struct submission_request *request,
                        struct interrupt *interrupt, struct error *err);
/*
 * While the project is read: where that will be much (snapshot.warn_files, warn_size) is
 * known as soon as a little of it was, by a walk that looks at sizes alone. Say so, with
 * the biggest folders, and ask on a terminal, unless want_yes. Errors: ERR_CANCELED (the
 * person does not want it), before_question's, snapshot_make's.
 */
int submission_look_ahead(struct submission *submission, struct command_context *context,
                          const struct target *target,
                          const struct submission_request *request,
                          const struct snapshot_reading *reading, struct error *err);
/*
 * The same once the snapshot was made, for the node whose store it is: it may lack what
 * was not read anew. Nothing where is_size_told, or the snapshot is not so large.
 */
bool submission_is_large(const struct submission *submission,
                         const struct config *config);
int submission_confirm_size(struct submission *submission,
                            struct command_context *context, const struct target *target,
                            const char *store, const struct submission_request *request,
                            struct error *err);
/* Say which files could not be taken, and why. */
void submission_say_problems(const struct submission *submission,
                             struct command_context *context);
/* Say in a line what was left out by the project's rules, where that is large as far as
 * can be seen at a glance (peek.h). */
void submission_say_left_out(const struct submission *submission,
                             struct command_context *context);
/* Fix the bytes and note the run in the history. loop: looks for git's answer. */
int submission_record(struct submission *submission, struct command_context *context,
                      const struct target *target, struct loop *loop, struct error *err);
/*
 * Send it and wait until it is accepted; progress on the terminal. is_interrupted (may be
 * NULL) ends it: where the node may have accepted it by then, its answer is waited for,
 * for three seconds at most. Whatever it returns, fate is the truth. Errors: ERR_LINK
 * (try again over another connection), ERR_CANCELED, the executor's own.
 */
int submission_send(struct submission *submission, struct command_context *context,
                    struct client *client, const struct target *target,
                    const bool *is_interrupted, struct error *err);
/* Nothing more will be sent: other errands may look after the run. */
void submission_over(struct submission *submission);

#endif
