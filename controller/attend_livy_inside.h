/* attend_livy_inside: what the parts of attend_livy share.            [controller] */
#ifndef CONTROLLER_ATTEND_LIVY_INSIDE_H
#define CONTROLLER_ATTEND_LIVY_INSIDE_H

#include "common/enginelog.h"
#include "common/livy.h"
#include "common/livy_python.h"
#include "common/log.h"
#include "common/runenvironment.h"
#include "common/runspec.h"
#include "common/runstate.h"
#include "controller/attend_livy.h"
#include "controller/livy_place.h"

/* How it ended, as driver.result has it. */
struct livy_ending {
    const char *kind; /* "exited", "signaled", "could_not_start", "unknown"; NULL: it has
                         not */
    int code;
    char signal[RUN_SIGNAL_SIZE];
    char text[1024]; /* a sentence, or "" */
};

struct attendance {
    /* From the beginning on. */
    struct runspec spec;
    struct run_environment environment; /* pinned; its identity may be "" */
    const struct runspec_spark *spark;  /* spec's */
    char *password;
    char *run_folder, *tag, *folder; /* folder: of the attempt, in place */
    int run_fd, log_fd, engine_log_fd, stop_fd;
    uint64_t engine_log_at; /* where Livy's log of this attendant begins: before it are
                               other attempts */
    int64_t attempt;
    enum attend_livy_task task;
    struct http_settings settings;
    struct http *http;
    struct livy livy;
    struct livy_server server;
    struct livy_place place;
    struct enginelog engine;
    struct log log;

    bool is_canceled;
    int64_t batch; /* its id, or -1 */
    struct livy_tail tail;
    char word[32];        /* Livy's last word on its state */
    char application[64]; /* YARN's id of it, or "" */
    bool is_over;         /* by Livy's word */
    bool is_forgotten;    /* Livy knows it no more */
    int failures;         /* in a row */
    char *told;           /* what YARN was last told to say, or NULL */
    int yarn_failures;    /* in a row; the first was said */
    int64_t yarn_ns;      /* it is not asked before */
    uint64_t taken;       /* bytes of the driver's log */
    char alive[24];       /* the last sign of life */
    int64_t alive_ns;     /* when it was new; 0: never */
    int64_t shown_ns;     /* when it was last shown that somebody waits; 0: not yet */
    struct livy_ending ending;
    bool is_home; /* what the script left is here */
};

/* Append to `engine`, and to control.log; of a task that prepares, to stderr alone. */
void attendance_say(struct attendance *a, enum engine_event event, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));
/* The file of the run's folder that Livy's log goes to. */
const char *attendance_log_name(const struct attendance *a);
/* Wait. False, at once: the run is being canceled, which was not known before. */
bool attendance_pause(struct attendance *a, int64_t ms);
/* After a failed exchange: whether trying again may help; what does not answer several
 * times is said once. */
bool attendance_may_pass(struct attendance *a, const struct error *err);
/* It answers. */
void attendance_passed(struct attendance *a);
/* Note how it ended. */
void attendance_end(struct attendance *a, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* attend_livy_send.c. The project's archive in place. malloc'ed. */
char *attendance_project_name(const struct attendance *a);
/* What a command brought may be there no more, as the script was not started: it is sent
 * again by the next run. Nothing where one can look. */
void attendance_doubt_sent(const struct attendance *a);
/* The project, by its digest: what is there is not sent again. name:
 * in place. Errors: livy_place.h's, archive.h's. */
int attendance_send_project(struct attendance *a, const char *name, struct error *err);
/* A list of files: what lies in the project is brought to the attempt's folder, each in
 * one of its own, called after kind, so that it keeps its name. out: their URIs. Errors:
 * also ERR_UNSUPPORTED (it leads out of the project). */
int attendance_send_files(struct attendance *a, const char *kind,
                          const struct strvec *items, struct strvec *out,
                          struct error *err);
/* The environment's archive in place; malloc'ed. */
char *attendance_environment_name(const struct attendance *a);
/* The run's environment, whose archive is "environments/IDENTITY-BUILD.tar" in place:
 * *out_uri, malloc'ed; NULL: the run has none. Errors: ERR_NOT_FOUND (it is neither there
 * nor packed here). */
int attendance_send_environment(struct attendance *a, char **out_uri, struct error *err);
/* True where it brings its Python, which then starts the script. */
bool attendance_has_whole_environment(const struct attendance *a);
/* The driver with this attempt's settings. Of the archives, URIs, each may be NULL. */
int attendance_send_driver(struct attendance *a, const char *project,
                           const char *environment, const char *name, struct error *err);

/* attend_livy_submit.c: everything up to a batch whose id is known. Errors: what cannot
 * pass; ERR_CANCELED, also out of the middle of a POST: a batch may be there. */
int attendance_submit(struct attendance *a, struct error *err);
/* Ask once which Livy it is, and find the folder that is shared. Errors: as livy.h. */
int attendance_reach(struct attendance *a, struct error *err);
/* The same until there is an answer, as long as a submission may take. */
int attendance_reach_patiently(struct attendance *a, struct error *err);
/* The batch of the tag, if there is one; a zombie is removed. *out_is_there. Errors: as
 * livy.h. */
int attendance_find(struct attendance *a, bool *out_is_there, struct error *err);

/* Forget the batch, which has ended and began nothing, here and in Livy; the next one is
 * asked for under the same name. Errors: as livy.h. */
int attendance_forget_batch(struct attendance *a, struct error *err);

/* attend_livy_watch.c: from then on to its end, which is in ending. */
void attendance_watch(struct attendance *a);
/* End it, and prove that. */
void attendance_cancel(struct attendance *a);

/* attend_livy_verdict.c. A driver has begun, as far as can be known. */
bool attendance_was_claimed(struct attendance *a);
/* Note how it ended, where the driver left no word: what Livy's log says. */
void attendance_end_without_word(struct attendance *a);
/* True where the batch never began as the cluster lacks what it was sent, which Spark
 * said: it may be asked for once more. */
bool attendance_is_missed(struct attendance *a);
/* Say where Livy's word and the driver's differ. */
void attendance_compare_words(struct attendance *a);

/* attend_livy_yarn.c. Where its address is known: take what it says of the run's
 * application, and tell what is new. */
void attendance_look_at_yarn(struct attendance *a);
/* Where its address is known: wait until it has no application of the run that is alive.
 * False: it still has, or does not say. */
bool attendance_is_gone_from_yarn(struct attendance *a, int64_t deadline_ns);

/* attend_livy_home.c: a file of the attempt's folder, for place. malloc'ed. */
char *attendance_name(const struct attendance *a, const char *name);
/* While there is no driver that gives signs of life, show now and then in the folder that
 * somebody waits for one (livy_collect.h). */
void attendance_show(struct attendance *a);
/* Outputs and metrics. What fails is said; the verdict is another matter. */
void attendance_bring(struct attendance *a);
/* Once the ending is written down: remove the attempt's folder, if all of it is here. */
void attendance_clean(struct attendance *a);

#endif
