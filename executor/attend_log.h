/*
 * attend_log: the driver's output, from a container's log into driver.log. [executor]
 *
 * driver.log has one writer, this one. What it appends is the container's stdout byte for
 * byte, in segments that the run's `engine` tells of before their first byte
 * (enginelog.h): so whoever goes on after a kill knows from driver.log's size where it
 * was. The driver wrapper's last word is found in it, kept back, and read.
 *
 * Life: attend_log_open -> attend_log_begin (a container) -> attend_log_look ... ->
 * attend_log_close.
 */
#ifndef EXECUTOR_ATTEND_LOG_H
#define EXECUTOR_ATTEND_LOG_H

#include "common/enginelog.h"
#include "common/runstate.h"
#include "common/yarn_ask.h"

#define ATTEND_WORD "errand-driver" /* a line "\nerrand-driver TOKEN {JSON}\n" */
#define ATTEND_NEEDLE_SIZE (sizeof(ATTEND_WORD) + ENGINE_TOKEN_SIZE + 4)

/* How the driver wrapper says that the script ended. */
struct attend_word {
    struct run_exit exit; /* kind NONE: it has not said */
    char text[4096];      /* its JSON */
};

struct attend_log {
    struct enginelog *engine; /* borrowed, as yarn is */
    struct yarn *yarn;
    int driver_fd, spool_fd;
    struct yarn_container container; /* attempt 0: none yet */
    uint64_t have;                   /* so much of its log is in driver.log */
    char needle[ATTEND_NEEDLE_SIZE]; /* how the last word begins */
    struct attend_word word;
    /* The end of what is there may be the beginning of the word: it is kept back until
     * the next look at a log of the same length. */
    bool is_holding;
    uint64_t held_total;
};

/* engine's token is that of the wrapper that writes this attempt's log. Errors: by errno.
 */
int attend_log_open(struct attend_log *log, int run_fd, struct enginelog *engine,
                    struct yarn *yarn, struct error *err);
void attend_log_close(struct attend_log *log);

/* From now on it is this container's; where it was already, nothing happens. One that
 * engine's segment is of is gone on with. Errors: by errno. */
int attend_log_begin(struct attend_log *log, const struct yarn_container *container,
                     struct error *err);

/*
 * Append what is new. is_final: nothing will follow, so that nothing is kept back.
 * *out_grown: whether anything was new; *out_is_whole: the word has come. Errors: as
 * yarn_read_log, and ERR_IO, ERR_NO_SPACE of driver.log; what was appended counts.
 */
int attend_log_look(struct attend_log *log, enum yarn_keeper keeper, bool is_final,
                    bool *out_grown, struct error *err);
/* The same of bytes that a program brought: length of them in the file from offset at on
 * are the whole log of the container. */
int attend_log_take(struct attend_log *log, int fd, uint64_t at, uint64_t length,
                    struct error *err);

/* The word's JSON, as the wrapper writes it. Errors: ERR_CORRUPT. */
int attend_word_parse(const char *json, size_t length, struct attend_word *out,
                      struct error *err);

#endif
