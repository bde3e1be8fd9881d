/*
 * keeper: a connection that stays for the next command.            [controller]
 *
 * Logging in costs more than most of what errand then asks. So a command that ends may
 * leave its link with a small process of its own, as ssh's ControlPersist does: the
 * command forks, and the child goes on with the open session. It listens on a socket and
 * shares the link among the commands that come (mux.h): to each it says the executor's
 * marker, and passes on frames. It ends when nobody used it for a while, when the link
 * ends or leads nowhere, when the machine slept, when its socket file is gone, and on
 * SIGTERM; whoever was on it connects anew.
 *
 * Where: state/links/<name>, a socket (0600, in a 0700 folder, and the peer's uid is
 * checked), and <name>.lock, which is held while the keeper lives. The name is a digest
 * of everything that decides where the link leads and how: settings, executor, this boot.
 * Changed settings have another name, and the old link is left to its end.
 *
 * It holds no descriptor, folder or terminal of the command that it came from, and no
 * ERRAND_* variable. A keeper that cannot be reached, is slow to answer, or carries as
 * many submissions as one link may, costs a command nothing but a connection of its own.
 */
#ifndef CONTROLLER_KEEPER_H
#define CONTROLLER_KEEPER_H

#include "common/oid.h"
#include "controller/home.h"
#include "controller/link.h"
#include "controller/target.h"

struct client;

/* Where a target's link is kept. */
struct keeper_place {
    char *folder; /* NULL: nowhere; no link is kept */
    char name[OID_HEX_SIZE];
    char *target;       /* its name */
    char *title;        /* what the process shows itself as in ps */
    char *password_env; /* a variable that the keeper forgets, or NULL */
    int64_t idle_ms;    /* so long without use */
};

/*
 * The place for this target's link. Empty for the target local, or where no folder can be
 * had. executor: the digest of the executor that is asked for; ssh: the ssh program;
 * idle_ms 0: nothing is kept there from now on.
 */
void keeper_place_init(struct keeper_place *place, const struct home *home,
                       const struct target *target, const char *executor, const char *ssh,
                       int64_t idle_ms);
void keeper_place_release(struct keeper_place *place);

/* A link through the keeper that is there; NULL: none is, or it takes no more. Never
 * blocks. */
struct link *keeper_connect(const struct keeper_place *place);
/* True while a keeper lives there. */
bool keeper_is_there(const struct keeper_place *place);
/* End the keeper that is there, if any, and wait until it has. *out_was_there. Errors:
 * ERR_BUSY: it lives on (waited for 10 s). */
int keeper_end(const struct keeper_place *place, bool *out_was_there, struct error *err);

/*
 * Leave a client's link with a new process, where it is idle and has a place. The client
 * is gone for the caller in any case: where no process could be started, or a keeper is
 * there already, its link is ended. To be called when everything else of the command is
 * over: files, databases, output. argv: main's, whose memory shows the child's title.
 */
void keeper_leave(struct client *client, char **argv);

#endif
