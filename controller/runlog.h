/*
 * runlog: the files of a run as they are kept at home.            [controller]
 *
 * state/runs/<id>/driver.log and the other files of RUN_FILE_TABLE; a later generation of
 * a file (it was replaced or truncated on the node) has its number behind the name:
 * driver.log.1. Bytes are written at their own offset, so several followers at one home
 * do no harm. What is there says where to go on; what the node no longer had is noted
 * beside it (loggap.h). The prepare stage's files are made when something comes of them:
 * most runs have none.
 */
#ifndef CONTROLLER_RUNLOG_H
#define CONTROLLER_RUNLOG_H

#include "common/json.h"
#include "common/runstate.h"
#include "controller/home.h"
#include "controller/loggap.h"

#include <stdbool.h>
#include <stdint.h>

#define RUNLOG_FILES RUN_FILE_COUNT
#define RUNLOG_DRIVER RUN_FILE_DRIVER_LOG
#define RUNLOG_GENERATIONS_MAX 1000

struct runlog_file {
    const char *name;
    int fd; /* of the generation being written; -1: nothing came of it yet */
    int64_t generation;
    uint64_t offset; /* of the next byte that comes */
    struct loggaps gaps;
};

struct runlog {
    int dir_fd; /* state/runs/<id> */
    char *dir;
    struct runlog_file files[RUNLOG_FILES];
    int current; /* the file that AT named last, or -1 */
};

/* Nothing of the run is at home: its positions are the beginnings. Needs no
 * runlog_close. */
void runlog_init(struct runlog *log);
/* Open what is at home, making it if need be. Errors: ERR_IO, ERR_NO_SPACE. */
int runlog_open(struct runlog *log, const struct home *home, const char *id,
                struct error *err);
void runlog_close(struct runlog *log);

/* The "files" of FOLLOW: where each file goes on, with the digest of what is before. */
int runlog_positions(const struct runlog *log, struct json *files, struct error *err);

/* AT: the DATA that follows is of this file from there. What is missing before it is
 * noted, unless another follower at this home has dealt with it. Errors: ERR_PROTOCOL,
 * ERR_NO_SPACE ... */
int runlog_at(struct runlog *log, const struct json *body, struct error *err);
/* DATA. Errors: ERR_PROTOCOL (no AT before), ERR_NO_SPACE ... */
int runlog_data(struct runlog *log, const void *data, size_t length, struct error *err);
/* Sync all files: before COLLECTED. */
int runlog_sync(const struct runlog *log, struct error *err);
/* Sizes at home, as an object: name to bytes, over all generations. */
void runlog_sizes(const struct runlog *log, struct json *out);

/* How many bytes of driver.log are known to be missing at home. Makes nothing; 0 where
 * nothing is at home or it cannot be read. */
uint64_t runlog_missing(const struct home *home, const char *id);

/* The name of a generation of a file: "driver.log", "driver.log.1". malloc'ed. */
char *runlog_name(const char *file, int64_t generation);

#endif
