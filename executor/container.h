/*
 * container: a run's script in a container of podman's or docker's. [executor]
 *
 * For software, not for isolation: the script has the node's network, shared memory and
 * GPUs, the run's folder under the same path, and the same user, so that all but the
 * programs is as it is without. What starts it in there is this very program (verb
 * `contained`), which is static and so runs in any image: it takes variables and secrets
 * from standard input, so that no command line and no record of the engine has them,
 * writes driver.log itself, is the container's process 1, and says in words on standard
 * output how the script began and ended. So an engine that fails is not taken for a
 * script that does.
 *
 * Docker's containers are no descendants of who starts them: each has a name made of the
 * run's id and attempt, and container_end proves by it that none is left.
 */
#ifndef EXECUTOR_CONTAINER_H
#define EXECUTOR_CONTAINER_H

#include "common/strvec.h"
#include "executor/environment.h"
#include "executor/stage.h"

#define CONTAINER_ACTIVATION "image"
#define CONTAINER_IMAGE_FILE "image" /* in a build's prefix: what the engine starts */

struct container {
    /* All borrowed. */
    const char *engine; /* absolute path of podman or docker */
    const char *image;  /* what it starts */
    const char *run;    /* id */
    const char *folder; /* absolute: the run's */
    const char *self;   /* absolute: this program */
    int64_t attempt;
    unsigned umask;
};

/* "errand-<run>-<attempt>". malloc'ed. */
char *container_name(const char *run, int64_t attempt);
bool container_is_podman(const char *engine);

/* Append the argument vector that starts it. Errors: ERR_UNSUPPORTED (a path that no
 * engine takes). */
int container_arguments(const struct container *c, struct strvec *argv,
                        struct error *err);
/* What of the node's is not given to the container, for people; NULL: nothing. */
const char *container_lacks(const char *engine);

/*
 * In the stage's process: start it, hand variables over, and wait until it has ended.
 * Once the script runs, said goes to *report_fd, which is then closed. How the script
 * ended becomes this process's end: *out_status as waitpid has it. 1: it began, and how
 * it ended is not known: err says why. Errors: ERR_SPAWN, with the engine's words.
 * *out_code is then 125, or 126 and 127 where the script was not found in there.
 */
int container_run(const struct container *c, const struct strvec *variables,
                  const struct stage_report *said, int *report_fd, int *out_status,
                  int *out_code, struct error *err);

/*
 * Where the run with this pin has a container, end it, at once; blocks for as long as
 * the engine does, at most a minute. Errors: it could not be proven that none is left.
 */
int container_end(const struct environment_pin *pin, const char *run, int64_t attempt,
                  struct error *err);

#endif
