/*
 * attend: a run whose job is in another engine, looked after from this node. [executor]
 *
 * An attendant is the run stage's process in the script's place: it finds or submits the
 * job by the run's tag, writes the driver's output to driver.log as its only writer, ends
 * as the job did, and on SIGTERM ends the job and proves it. It may be killed at any
 * instruction and started again: what it does next follows from the run's `engine`
 * (enginelog.h) and from what the engine says of the tag; never is a second job made.
 *
 * Where the driver itself runs on this node, there is nothing to be taken up again: it is
 * looked at (attend_driver), and what its death leaves in YARN is ended (attend_end).
 */
#ifndef EXECUTOR_ATTEND_H
#define EXECUTOR_ATTEND_H

#include "common/http.h"
#include "common/log.h"
#include "common/runengine.h"
#include "common/runstate.h"
#include "common/strvec.h"
#include "common/subprocess.h"
#include "executor/spark_node.h"

/* How the job ended, and in a sentence why, "" where the exit says all. */
struct attend_verdict {
    struct run_exit exit; /* EXITED, SIGNALED, COULD_NOT_START, UNKNOWN */
    char text[512];
    char word[4096]; /* the driver wrapper's last word, JSON, or "" */
    /* The application that has ended without cleaning up after itself; "": none. */
    char remains[sizeof(((struct run_engine *)0)->application)];
};

/* What is to be submitted: argv and environment of a program, to be appended to. token:
 * the driver wrapper's last word has it. May take long. Errors: whatever. */
typedef int attend_submission(void *context, const char *token, struct strvec *argv,
                              struct strvec *environment, struct error *err);

/* All is borrowed. */
struct attend_yarn {
    const char *run;
    int run_fd;
    int64_t attempt; /* of the run */
    const char *tag;
    struct http *http;
    const struct strvec *managers; /* as struct yarn has them, as what follows; NULL:
                                      the job is not YARN's (attend_driver) */
    const char *history;
    const char *user;
    const char *yarn; /* the program, or NULL: the node has none */
    int64_t submit_timeout_ms;
    attend_submission *submission;
    /* The cluster says that something which was there before does not exist: submission
     * is to bring it again. NULL: nothing can be done. */
    void (*forget)(void *context);
    /* attend_end's: a killed application may have left its staging folder. NULL: it
     * stays. */
    void (*clean)(void *context, const char *application);
    /* It was submitted, or will not be: what was only for that can go. May be NULL. */
    void (*submitted)(void *context);
    void *context;
    const char *warning;   /* told before something is submitted; NULL: nothing is */
    const struct log *log; /* control.log */
};

/*
 * Look after the run's application to its end. SIGTERM and SIGCHLD are blocked in the
 * caller; a SIGTERM, also one that was pending, ends the application. Returns once the
 * verdict is in *out: always. Blocks as long as the job takes.
 */
void attend_yarn(const struct attend_yarn *what, struct attend_verdict *out);

/*
 * A driver of this node (client mode) is looked at by who started it: `engine` says what
 * its SparkContext is, as spark_driver.py wrote it into the run's file context, and where
 * its application is in YARN. That there may be one is written down before the driver is
 * started (attend_announce). Waits for the driver's end (its status as waitpid has it),
 * and for that of its application: where this does not come, attend_end is to see to it.
 * Errors: by errno; of the second, subprocess_wait's alone.
 */
int attend_announce(const struct attend_yarn *what, struct error *err);
int attend_driver(const struct attend_yarn *what, const char *context,
                  struct subprocess *driver, int *out_status, struct error *err);
/* End what YARN still has of a run whose driver is gone. True: there is nothing any more.
 * Takes a minute at most. */
bool attend_end(const struct attend_yarn *what);

/* Who asks a node's YARN, and how: fill in managers, user, yarn and http of what, which
 * borrows from node. The carrier is also the caller's to free. */
struct http *attend_reach(struct attend_yarn *what, const struct spark_node *node);

/* The verb: `errand-executor attend yarn --root DIR --run ID --attempt N`, executed by
 * launch in the script's place; and `attend end ...`, attend_end for the supervisors. */
int attend_main(int argc, char **argv);

#endif
