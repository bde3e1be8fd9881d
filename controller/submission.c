#include "controller/submission.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/variables.h"
#include "controller/submission_environment.h"
#include "controller/submission_inside.h"
#include "controller/submission_plan.h"
#include "controller/submission_spark.h"

#include <stdlib.h>
#include <string.h>

void submission_init(struct submission *s)
{
    *s = (struct submission){.lock_fd = -1, .missing_objects = UINT64_MAX};
    runspec_init(&s->spec);
    strbuf_init(&s->bytes, RUNSPEC_SIZE_MAX);
}

void submission_over(struct submission *s)
{
    fdio_close(&s->lock_fd);
}

/* The rooting is over, or is waited for. */
static void settle_root(struct submission *s)
{
    struct command_context *context = s->base_of.context;
    struct error why = ERROR_INIT;
    if (s->base_of.loop != NULL && s->rooting != NULL) {
        loop_unwatch(s->base_of.loop, rooting_fd(s->rooting));
    }
    int result = rooting_finish(TAKE_PTR(s->rooting), &why);
    if (context == NULL) {
        return;
    }
    s->base_of.context = NULL;
    /* What is not durable at home is no base of the next submission. */
    if (result != 0) {
        terminal_warn(context->terminal, "the snapshot is not kept here: %s", why.text);
    } else if (history_set_last_root(context->history, s->base_of.target,
                                     s->base_of.store, s->base_of.node, &s->spec.root,
                                     &why) != 0) {
        terminal_warn(context->terminal, "the next submission sends more: %s", why.text);
    }
}

static void root_is_settled(void *opaque, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    settle_root(opaque);
}

void submission_note_base(struct submission *s, struct command_context *context,
                          struct client *client, const struct target *target)
{
    const struct client_node *node = client_node(client);
    if (s->spec.files == 0) { /* nothing begins with it (take_nothing) */
        settle_root(s);
        return;
    }
    s->base_of.context = context;
    s->base_of.target = xstrdup(target->name);
    s->base_of.store = xstrdup(node->store);
    s->base_of.node = xstrdup(node->node);
    if (s->rooting == NULL) {
        settle_root(s);
        return;
    }
    s->base_of.loop = client_loop(client);
    loop_watch(s->base_of.loop, rooting_fd(s->rooting), LOOP_READ, root_is_settled, s);
}

/* git is done, or is waited for. That nothing is known of a commit is no failure. */
static void settle_git(struct submission *s)
{
    struct gitinfo info;
    if (s->git.reading == NULL) {
        return;
    }
    loop_unwatch(s->git.loop, gitinfo_fd(s->git.reading));
    if (gitinfo_finish(TAKE_PTR(s->git.reading), &info, NULL) == 0) {
        (void)history_set_git(s->git.history, s->spec.run, &info, NULL);
    }
    gitinfo_release(&info);
}

static void git_is_settled(void *opaque, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    settle_git(opaque);
}

static void ask_git(struct submission *s, const struct command_context *context,
                    struct loop *loop)
{
    s->git.history = context->history;
    s->git.loop = loop;
    s->git.reading = gitinfo_start(config_project(context->config));
    if (s->git.reading != NULL) {
        loop_watch(loop, gitinfo_fd(s->git.reading), LOOP_READ, git_is_settled, s);
    }
}

void submission_release(struct submission *s)
{
    settle_root(s);
    settle_git(s);
    free(s->base_of.target);
    free(s->base_of.store);
    free(s->base_of.node);
    submission_over(s);
    runspec_release(&s->spec);
    strbuf_release(&s->bytes);
    snapshot_release(&s->snapshot);
    json_free(TAKE_PTR(s->secrets));
    for (size_t i = 0; i < s->secret_variables.count; i++) {
        variables_wipe(s->secret_variables.items[i]);
    }
    strvec_release(&s->secret_variables);
}

/* ---- the snapshot ---- */

/* A script that a rule left out would fail on the node with a sentence that helps nobody.
 */
static int check_is_in(const struct submission *s, struct command_context *context,
                       const char *path, struct error *err)
{
    struct tree_entry entry;
    struct object_source source = store_source(context->store);
    int found = tree_find(&source, &s->snapshot.root, path, &entry, err);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    bool is_in = false;
    (void)snapshot_why(context->home, context->config, path, &why, &is_in, NULL);
    error_set(err, ERR_USAGE, "%s is not in the snapshot: %s", path, why.data);
    return error_hint(err, "take it in with `snapshot: {include: [%s]}` in errand.yaml",
                      path);
}

/* The script, and what else the run names by its path. */
static int check_program(const struct submission *s, struct command_context *context,
                         struct error *err)
{
    CLEANUP_STRVEC struct strvec paths = STRVEC_INIT;
    if (s->spec.script != NULL) {
        strvec_push(&paths, s->spec.script);
    }
    if (s->spec.spark != NULL) {
        submission_spark_paths(s->spec.spark, &paths);
    }
    for (size_t i = 0; i < paths.count; i++) {
        if (check_is_in(s, context, paths.items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Make the snapshot durable at home, in a child unless it is already. */
static int start_rooting(struct submission *s, const struct command_context *context,
                         struct error *err)
{
    const struct oid *base = oid_is_zero(&s->snapshot.base) ? NULL : &s->snapshot.base;
    if (store_has_root(context->store, &s->snapshot.root)) {
        return store_add_root(context->store, &s->snapshot.root, base, err);
    }
    CLEANUP_FREE char *path = home_path(context->home, "store");
    s->rooting = rooting_start(path, &s->snapshot.root, base, err);
    return s->rooting == NULL ? -1 : 0;
}

/* Entries between looks at the loop: a look costs a poll. */
#define ENTRIES_A_LOOK 64

struct reading {
    struct submission *submission;
    struct command_context *context;
    const struct target *target;
    const struct submission_request *request;
    struct interrupt *interrupt;
    unsigned entries;
};

/* The connection that was begun comes about meanwhile, and Ctrl-C counts. */
static int look_around(const struct reading *reading, struct error *err)
{
    if (loop_step(reading->interrupt->loop, 0, err) != 0) {
        return -1;
    }
    return reading->interrupt->is_interrupted
               ? error_set(err, ERR_CANCELED, "interrupted while reading the project")
               : 0;
}

static int entry_goes_by(void *context, const char *path, const struct tree_entry *entry,
                         struct error *err)
{
    struct reading *reading = context;
    (void)path;
    (void)entry;
    return ++reading->entries % ENTRIES_A_LOOK == 0 ? look_around(reading, err) : 0;
}

/* A large project is shown, and left alone when Ctrl-C comes. */
static int reading_goes_on(void *context, const struct snapshot_reading *so_far,
                           struct error *err)
{
    const struct reading *reading = context;
    if (submission_look_ahead(reading->submission, reading->context, reading->target,
                              reading->request, so_far, err) != 0) {
        return -1;
    }
    terminal_progress(reading->context->terminal, "reading the project",
                      so_far->read_bytes, 0);
    return look_around(reading, err);
}

static int take_nothing(struct submission *s, struct command_context *context,
                        struct error *err)
{
    if (command_store(context, err) == NULL ||
        submission_environment_nothing(s, context, err) != 0) {
        return -1;
    }
    return start_rooting(s, context, err);
}

int submission_snapshot(struct submission *s, struct command_context *context,
                        const struct target *target,
                        const struct submission_request *request,
                        struct interrupt *interrupt, struct error *err)
{
    if (submission_environment_stays(s, request)) {
        return take_nothing(s, context, err);
    }
    int64_t begin_ns = clock_monotonic_ns();
    struct reading reading = {.submission = s,
                              .context = context,
                              .target = target,
                              .request = request,
                              .interrupt = interrupt};
    struct snapshot_options options = {.want_force = request->want_force,
                                       .leaves_root = true,
                                       .visit = entry_goes_by,
                                       .visit_context = &reading,
                                       .progress = reading_goes_on,
                                       .progress_context = &reading};
    int result = command_store(context, err) == NULL
                     ? -1
                     : snapshot_make(context->home, context->config, context->store,
                                     &options, &s->snapshot, err);
    terminal_progress_clear(context->terminal);
    timing_since(&context->timing, TIMING_SNAPSHOT, begin_ns);
    if (result != 0 || start_rooting(s, context, err) != 0) {
        return -1;
    }
    submission_say_problems(s, context);
    submission_say_left_out(s, context);
    s->spec.root = s->snapshot.root;
    s->spec.files = s->snapshot.totals.files;
    s->spec.size_bytes = s->snapshot.totals.size_bytes;
    return check_program(s, context, err) != 0
               ? -1
               : submission_environment_digests(s, context, err);
}

int submission_record(struct submission *s, struct command_context *context,
                      const struct target *target, struct loop *loop, struct error *err)
{
    int64_t begin_ns = clock_monotonic_ns();
    s->lock_fd = home_lock_run(context->home, s->spec.run, err);
    if (s->lock_fd < 0) {
        return -1;
    }
    strbuf_reset(&s->bytes);
    s->spec.created_utc_ms = clock_utc_ms();
    runspec_encode(&s->spec, &s->bytes);
    int result =
        history_add_run(context->history, &s->spec, s->bytes.data, s->bytes.length,
                        target->name, config_project(context->config), err);
    if (result == 0) {
        ask_git(s, context, loop);
    }
    timing_since(&context->timing, TIMING_RECORD, begin_ns);
    return result;
}
