/*
 * hometool: a program of this machine that works while a connection goes on. [controller]
 *
 * pip and uv take minutes; meanwhile the link is looked after, and Ctrl-C counts.
 */
#ifndef CONTROLLER_HOMETOOL_H
#define CONTROLLER_HOMETOOL_H

#include "controller/client.h"

#define HOMETOOL_TEXT_MAX ((size_t)4 << 20) /* of what one says: more ends it */

struct hometool {
    /* All borrowed. */
    struct client *client;
    const bool *is_interrupted; /* may be NULL */
    struct strvec *environment; /* "K=V": all of it */
    int dir_fd;                 /* the programs' working folder */
};

/*
 * Run it to its end, nothing on stdin; text gets what it said, both streams as they came.
 * 0 and *out_status, as a shell has it. Errors: ERR_SPAWN (there is no such program),
 * ERR_CANCELED (it was ended), ERR_LIMIT, client_step's.
 */
int hometool_run(const struct hometool *tool, const char *const *argv,
                 struct strbuf *text, int *out_status, struct error *err);
/* True where it starts and ends well. */
bool hometool_answers(const struct hometool *tool, const char *const *argv);

#endif
