/*
 * attend: a run whose job is in another engine, looked after from this node. [executor]
 *
 * An attendant is the run stage's process in the script's place: it finds or submits the
 * job by the run's tag, writes the driver's output to driver.log as its only writer, ends
 * as the job did, and on SIGTERM ends the job and proves it. It may be killed at any
 * instruction and started again: what it does next follows from the run's `engine`
 * (enginelog.h) and from what the engine says of the tag; never is a second job made.
 */
#ifndef EXECUTOR_ATTEND_H
#define EXECUTOR_ATTEND_H

#include "common/http.h"
#include "common/log.h"
#include "common/runstate.h"
#include "common/strvec.h"

/* How the job ended, and in a sentence why, "" where the exit says all. */
struct attend_verdict {
    struct run_exit exit; /* EXITED, SIGNALED, COULD_NOT_START, UNKNOWN */
    char text[512];
    char word[4096]; /* the driver wrapper's last word, JSON, or "" */
};

/* What is to be submitted: argv and environment of a program, to be appended to. token:
 * the driver wrapper's last word has it. May take long. Errors: whatever. */
typedef int attend_submission(void *context, const char *token, struct strvec *argv,
                              struct strvec *environment, struct error *err);

/* All is borrowed. */
struct attend_yarn {
    int run_fd;
    int64_t attempt; /* of the run */
    const char *tag;
    struct http *http;
    const struct strvec *managers; /* as struct yarn has them, as what follows */
    const char *history;
    const char *user;
    const char *yarn; /* the program, or NULL: the node has none */
    int64_t submit_timeout_ms;
    attend_submission *submission;
    /* The cluster says that something which was there before does not exist: submission
     * is to bring it again. NULL: nothing can be done. */
    void (*forget)(void *context);
    /* A killed application may have left its staging folder. NULL: it stays. */
    void (*clean)(void *context, const char *application);
    /* It was submitted, or will not be: what was only for that can go. May be NULL. */
    void (*submitted)(void *context);
    void *context;
    const struct log *log; /* control.log */
};

/*
 * Look after the run's application to its end. SIGTERM and SIGCHLD are blocked in the
 * caller; a SIGTERM, also one that was pending, ends the application. Returns once the
 * verdict is in *out: always. Blocks as long as the job takes.
 */
void attend_yarn(const struct attend_yarn *what, struct attend_verdict *out);

/* The verb: `errand-executor attend yarn --root DIR --run ID --attempt N`, executed by
 * launch in the script's place. */
int attend_main(int argc, char **argv);

#endif
