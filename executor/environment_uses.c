#include "executor/environment_uses.h"

#include "executor/environment.h"
#include "executor/rundir.h"
#include "executor/runview.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void environment_uses_release(struct environment_uses *uses)
{
    free(uses->items);
    *uses = (struct environment_uses){.items = NULL};
}

bool environment_use_is_of(const struct environment_use *use, const char *identity,
                           const char *build)
{
    return strcmp(use->identity, identity) == 0 &&
           (use->build[0] == '\0' || strcmp(use->build, build) == 0);
}

static void add(struct environment_uses *uses, const char *run, const char *identity,
                const char *build)
{
    uses->items = xrealloc(uses->items, uses->count + 1, sizeof *uses->items);
    struct environment_use *use = &uses->items[uses->count++];
    *use = (struct environment_use){.run = ""};
    memcpy(use->run, run, strlen(run) + 1);
    memcpy(use->identity, identity, strlen(identity) + 1);
    memcpy(use->build, build, strlen(build) + 1);
}

/* True where a power cut took what was in the pin, which is not synced. */
static bool is_lost(int run_fd)
{
    struct stat st;
    return fstatat(run_fd, "environment", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_size == 0;
}

/* 1: the run has a pin, in facts; 0: it has none (yet), or has lost it and finds its
 * environment anew; -1: err. */
static int read_pin(int run_fd, struct run_environment *facts, struct error *err)
{
    struct error why = ERROR_INIT;
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    if (environment_read_pin(run_fd, &pin, &why) == 0) {
        *facts = pin.facts;
        return 1;
    }
    return why.code == ERR_NOT_FOUND || is_lost(run_fd)
               ? 0
               : error_set(err, why.code, "%s", why.text);
}

static int add_wish(struct environment_uses *uses, const char *run, int run_fd,
                    struct error *err)
{
    struct runspec spec;
    runspec_init(&spec);
    int result = rundir_read_spec(run_fd, &spec, NULL, err);
    const struct runspec_environment *wish = &spec.environment;
    if (result == 0 && wish->pin_identity[0] != '\0') {
        add(uses, run, wish->pin_identity,
            wish->pin_build != NULL ? wish->pin_build : "");
    }
    runspec_release(&spec);
    return result;
}

static int look_at(struct environment_uses *uses, const struct noderoot *root,
                   const char *run, struct error *err)
{
    struct run_environment facts;
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    CLEANUP_FD int run_fd = rundir_open(root, run, NULL);
    if (run_fd < 0) {
        return 0; /* removed meanwhile */
    }
    /* The pin first: a run that ends meanwhile needs nothing, one that begins does. */
    struct error why = ERROR_INIT;
    int has_pin = read_pin(run_fd, &facts, &why);
    if (runview_open(&view, root, run, err) < 0) {
        return error_wrap(err, "run %s", run);
    }
    if (view.run_fd < 0 || run_state_is_final(view.status.state)) {
        return 0;
    }
    if (has_pin < 0) {
        error_set(err, why.code, "%s", why.text);
        return error_wrap(err, "run %s", run);
    }
    if (has_pin == 1 && facts.identity[0] != '\0') {
        add(uses, run, facts.identity, facts.build);
    }
    return has_pin == 1 ? 0 : add_wish(uses, run, run_fd, err);
}

int environment_uses_read(const struct noderoot *root, struct environment_uses *out,
                          struct error *err)
{
    CLEANUP_STRVEC struct strvec runs = STRVEC_INIT;
    *out = (struct environment_uses){.items = NULL};
    if (rundir_list(root, &runs, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < runs.count; i++) {
        struct error why = ERROR_INIT;
        if (look_at(out, root, runs.items[i], &why) < 0 &&
            out->unreadable.code == ERR_NONE) {
            out->unreadable = why;
        }
    }
    return 0;
}
