#include "executor/submissions.h"

#include <stdlib.h>
#include <string.h>

struct submission {
    struct submission *next;
    char *run;
    unsigned holders;
    enum submission_outcome outcome;
};

struct submission *submissions_begin(struct submissions *all, const char *run)
{
    struct submission *s = xcalloc(1, sizeof *s);
    *s = (struct submission){.next = all->first, .run = xstrdup(run), .holders = 1};
    all->first = s;
    return s;
}

void submissions_end(struct submissions *all, struct submission *s, bool is_accepted)
{
    if (s != NULL) {
        s->outcome = is_accepted ? SUBMISSION_ACCEPTED : SUBMISSION_FAILED;
        submissions_drop(all, s);
    }
}

struct submission *submissions_find(struct submissions *all, const char *run)
{
    for (struct submission *s = all->first; s != NULL; s = s->next) {
        if (s->outcome == SUBMISSION_OPEN && strcmp(s->run, run) == 0) {
            s->holders++;
            return s;
        }
    }
    return NULL;
}

enum submission_outcome submissions_outcome(const struct submission *s)
{
    return s->outcome;
}

void submissions_drop(struct submissions *all, struct submission *s)
{
    if (s == NULL || --s->holders > 0) {
        return;
    }
    struct submission **at = &all->first;
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    free(s->run);
    free(s);
}
