/*
 * enginenotes: shows where a run's job is in an engine outside the node. [controller]
 *
 * Fed with what comes of the run's file `engine`: each sentence of its attendant is a
 * line on stderr, once; how far the job is stands in a line that is rewritten. What is
 * known is kept, for who asks later.
 */
#ifndef CONTROLLER_ENGINENOTES_H
#define CONTROLLER_ENGINENOTES_H

#include "common/runengine.h"
#include "controller/terminal.h"

struct enginenotes {
    struct terminal *terminal;   /* borrowed; NULL: nothing is shown */
    struct run_engine engine;    /* as the last line said */
    bool is_new;                 /* set by each further line, for who keeps it */
    struct strbuf line;          /* what has come of one that is not whole */
    char told[ENGINE_TEXT_SIZE]; /* the last sentence */
};

void enginenotes_init(struct enginenotes *notes, struct terminal *terminal);
void enginenotes_release(struct enginenotes *notes);
/* The next bytes of `engine`; what is no line of it is passed over. */
void enginenotes_feed(struct enginenotes *notes, const void *data, size_t length);

#endif
