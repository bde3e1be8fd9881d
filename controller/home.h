/*
 * home: where the controller keeps things (FORMATS.md 5).            [controller]
 *
 * ERRAND_HOME has config/ and state/; without it the XDG folders errand/ are used. Made
 * 0700 when first needed. An ERRAND_HOME that is not absolute is an error.
 */
#ifndef CONTROLLER_HOME_H
#define CONTROLLER_HOME_H

#include "common/error.h"
#include "common/mem.h"

#include <stdint.h>

struct home {
    char *config;        /* folder of config.yaml and targets.d/ */
    char *state;         /* folder of history.db, store/, runs/, ... */
    char controller[33]; /* this controller's id */
};

/* Find and make the folders. Errors: ERR_CONFIG, ERR_ACCESS, ERR_NO_SPACE, ERR_IO. */
struct home *home_open(struct error *err);
void home_free(struct home *home);
DEFINE_CLEANUP_FREE(home)

/* state/<name>, malloc'ed. */
char *home_path(const struct home *home, const char *name);
/* state/runs/<id>, made if need be, malloc'ed. */
char *home_run_dir(const struct home *home, const char *id, struct error *err);
/*
 * Lock what is kept of a run at home: held by who sends it until it is accepted, and by
 * who brings its results home, so that of several errands one does it. Returns the
 * descriptor, whose closing releases it; at once. Errors: ERR_BUSY (another errand has
 * it), as home_run_dir.
 */
int home_lock_run(const struct home *home, const char *id, struct error *err);
/* The run is being sent by who holds its lock, now; when it was last (0: never). */
void home_note_sending(int lock_fd);
int64_t home_sending_utc_ms(const struct home *home, const char *id);

#endif
