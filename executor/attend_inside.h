/*
 * attend_inside: what attend_yarn's files share. [executor]
 */
#ifndef EXECUTOR_ATTEND_INSIDE_H
#define EXECUTOR_ATTEND_INSIDE_H

#include "common/subprocess.h"
#include "executor/attend.h"
#include "executor/attend_log.h"

struct attendance {
    const struct attend_yarn *what;
    struct yarn yarn;
    struct enginelog engine;
    struct attend_log log;
    struct yarn_app app; /* as it was seen last; id "" before */
    int term_fd, child_fd;
    bool is_driver_here; /* it is no container's; YARN may say RUNNING before */
    bool has_context;    /* it has told of its SparkContext */
    bool is_canceled;    /* SIGTERM has come */
    int64_t
        cancel_by_ns;   /* monotonic: by when all that a cancel needs is done; 0: none */
    bool is_silent;     /* YARN did not answer the last time, which was told */
    bool is_lost;       /* YARN does not know the application any more, or not one that
                           may have been submitted long ago */
    bool is_log_silent; /* the driver's output could not be read, which was told */
    bool is_log_lost;   /* its end could not be read at all */
    char told[ENGINE_TEXT_SIZE];   /* the last sentence about the application */
    struct subprocess submit;      /* pid -1: it does not run */
    int64_t begin_ns, progress_ns; /* monotonic: since when; when to ask how far it is */
    int progress_failures;         /* one after the other, up to some */
    bool has_submitted; /* this process started it; submit_status once it has ended */
    int submit_status;
    char trouble[ENGINE_TEXT_SIZE]; /* why it was not submitted, or not ended; "" */
};

/* attend_yarn.c */
/* Begin with a run: a is filled, and to be closed in any case. SIGTERM and SIGCHLD are
 * blocked from here on. Errors: enginelog_open's, by errno. */
int attendance_open(struct attendance *a, const struct attend_yarn *what,
                    struct error *err);
void attendance_close(struct attendance *a);
/* Wait so long, at most until the submitting program has ended or a SIGTERM comes, which
 * sets is_canceled. Returns false where it came now. */
bool attendance_pause(struct attendance *a, int64_t ms);
/* So much, ms, of at most most_ms: what a cancel leaves of its time. At least 1. */
int64_t attendance_left_ms(const struct attendance *a, int64_t most_ms);
/* Tell a person: a line of `engine` and of control.log. */
void attendance_say(struct attendance *a, enum engine_event event, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));
/* YARN answered, or err says why not: told once. */
void attendance_note_answer(struct attendance *a, const struct error *err);
/* Look at the application; a change is told. 1: seen; 0: YARN does not answer; -1: it
 * knows it not. */
int attendance_look(struct attendance *a);
/* The same, to its end: true where it has ended, or where YARN has not known it for
 * longer than one that was restarted may take to remember. *forgotten_ns: since when it
 * does not (monotonic); 0, as before the first call: it does, or did not answer. */
bool attendance_has_gone(struct attendance *a, int64_t *forgotten_ns);
/* Look for the application by its tag; *out_count of them. 0, or -1: no answer. */
int attendance_find(struct attendance *a, size_t *out_count);
/* Ask by tag until YARN has answered "none" for so long, or until the deadline
 * (monotonic; 0: none). True: it is there. False: it is not, or a SIGTERM came. */
bool attendance_find_for(struct attendance *a, int64_t settle_ns, int64_t deadline_ns);
/* Append what the driver has written, of the container that is the newest; true where
 * there was something. */
bool attendance_read_log(struct attendance *a);
/* End the submitting program, and wait for that. */
void attendance_stop_submitting(struct attendance *a);

/* attend_driver.c */
/* How far the application is, where it is time to ask and somebody follows. */
void attendance_look_at_progress(struct attendance *a);

/* attend_end.c */
/* End the application and prove it, as far as it can be proven. */
void attendance_cancel(struct attendance *a);
/* Read the driver's output to its end. */
void attendance_drain(struct attendance *a);
/* Does what spark-submit said end with something that does not exist? */
bool attendance_lacks_files(struct attendance *a);
/* What came of it; told as the last line of `engine`. */
void attendance_judge(struct attendance *a, struct attend_verdict *out);

#endif
