/*
 * openssh_explain: why a connection through the ssh program failed, as a sentence.
 * [controller]
 *
 * Says the phase, the host and port, the cause and what to do next, from ssh's words
 * (ssh_words.h) and its exit status.
 */
#ifndef CONTROLLER_OPENSSH_EXPLAIN_H
#define CONTROLLER_OPENSSH_EXPLAIN_H

#include "controller/link_process.h"

struct openssh_story {
    const char *where;   /* "gpu1 (me@10.1.2.3 port 22)" */
    const char *by_hand; /* the command that a person would type: "ssh gpu1" */
    const char *target;
    const char *settings; /* the file that describes it */
    bool may_ask;
};

/* Always returns -1. Errors: ERR_CONFIG, ERR_CONNECT, ERR_HOST_KEY, ERR_LOGIN, ERR_LINK,
 * ERR_TIMED_OUT, or the code of end->end->cause. */
int openssh_explain(const struct openssh_story *story, const struct process_end *end,
                    struct error *err);

/* Logged in, but no executor began, over whichever transport: how what runs there ended
 * ("exited with status 1") and its status (126 and more: it could not be executed); said:
 * "; it said: ...", or "". Always returns -1: ERR_BOOTSTRAP. */
int explain_no_executor(const struct openssh_story *story, int status, const char *how,
                        const char *said, struct error *err);

#endif
