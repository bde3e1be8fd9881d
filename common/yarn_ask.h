/*
 * yarn_ask: questions to YARN's servers, over any struct http.            [engine]
 *
 * A ResourceManager may have a twin: each address is asked in turn, beginning with the
 * one that answered last; a standby's redirect is followed. Nothing here waits or asks
 * twice. Of the errors, two are YARN's own word: ERR_NOT_FOUND (it knows no such thing)
 * and ERR_LOGIN or ERR_ACCESS (it does, and refuses); ERR_CANCELED is the caller's
 * stop_fd; after any other one nothing is known.
 */
#ifndef COMMON_YARN_ASK_H
#define COMMON_YARN_ASK_H

#include "common/http.h"
#include "common/strvec.h"
#include "common/yarn.h"

/* All is borrowed; zero-initialised, then filled. */
struct yarn {
    struct http *http;
    const struct strvec *managers; /* "http://rm1:8088", at least one */
    const char *history;           /* "http://jhs:19888", or NULL: there is none */
    const char *user;              /* who asks, where YARN believes names; or NULL */
    int64_t timeout_ms;            /* of one request */
    size_t active;                 /* the manager that answered last; 0 at first */
};

/* The application with this tag; *out_count of them (there should be one), *out the one
 * that was started first. */
int yarn_find(struct yarn *yarn, const char *tag, struct yarn_app *out, size_t *out_count,
              struct error *err);
/* id as yarn_id_is_valid has it, here and below. */
int yarn_look(struct yarn *yarn, const char *id, struct yarn_app *out, struct error *err);
int yarn_attempts(struct yarn *yarn, const char *id,
                  struct yarn_container out[YARN_ATTEMPTS_MAX], size_t *out_count,
                  struct error *err);
/* Ask for its end. Success: the manager took it, or it has ended already; look to see it.
 */
int yarn_kill(struct yarn *yarn, const char *id, struct error *err);

enum yarn_keeper {
    YARN_KEEPER_NODE,    /* while the container runs, and a moment longer */
    YARN_KEEPER_HISTORY, /* once logs are collected */
};
/*
 * What a container's log (file: "stdout") has beyond its first have bytes. Success: *out
 * tells its length; where that is more than have, spool_fd (a file, overwritten) holds
 * the new bytes from offset out->content_at on, out->length of them, and out->start is
 * have. Errors: as above; ERR_NOT_FOUND: this keeper has it not, or not yet, or no more;
 * ERR_CHANGED: the log is shorter than have.
 */
int yarn_read_log(struct yarn *yarn, enum yarn_keeper keeper,
                  const struct yarn_container *container, const char *file, uint64_t have,
                  int spool_fd, struct yarn_log *out, struct error *err);

#endif
