#include "controller/following.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/store.h"
#include "controller/cancel.h"
#include "controller/fetch.h"
#include "controller/preparing.h"
#include "controller/refresh.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define EXIT_READER_GONE (128 + SIGPIPE)
/* All is at home: for no longer than this a node that is gone is told so again. */
#define TELL_MS 60000

int following_init(struct following *f, struct command_context *context,
                   const char *target_name, struct error *err)
{
    *f = (struct following){.context = context};
    if (command_config(context, err) == NULL || command_history(context, err) == NULL) {
        return -1;
    }
    f->loop = loop_new();
    if (interrupt_init(&f->interrupt, f->loop, context->terminal, err) != 0) {
        return -1;
    }
    f->watch = (struct watch){.context = context, .interrupt = &f->interrupt};
    f->watch.options.may_ask = terminal_can_ask(context->terminal);
    f->target = target_find(
        context->config, context->home,
        target_name != NULL ? target_name : config_string(context->config, "target"),
        err);
    f->watch.target = f->target;
    return f->target != NULL ? 0 : -1;
}

bool following_is_at_home(const struct history_run *run)
{
    return run_state_is_final(run->status.state) && run->collected_utc_ms != 0;
}

int following_init_run(struct following *f, struct command_context *context,
                       const struct history_run *run, struct error *err)
{
    struct error inner = ERROR_INIT;
    if (following_init(f, context, run->target, &inner) == 0) {
        return 0;
    }
    if (f->watch.interrupt != NULL && inner.code == ERR_NOT_FOUND &&
        following_is_at_home(run)) {
        return 0;
    }
    return error_copy(err, &inner);
}

int following_connect(struct following *f, const struct history_run *run,
                      struct error *err)
{
    struct client_options options = {.may_ask = f->watch.options.may_ask,
                                     .loop = f->loop};
    if (f->watch.client != NULL) {
        return 0;
    }
    if (f->target == NULL) {
        error_set(err, ERR_NOT_FOUND, "the target of %s, %s, is not configured any more",
                  run->id, run->target);
        return error_hint(err, "errand target add %s HOST names it again", run->target);
    }
    f->watch.client = client_connect(f->context, f->target, &options, err);
    return f->watch.client != NULL ? 0 : -1;
}

int following_open(struct following *f, struct command_context *context, const char *name,
                   struct history_run *run, struct error *err)
{
    if (command_history(context, err) == NULL ||
        history_find(context->history, name, run, err) != 0) {
        return -1;
    }
    return following_init_run(f, context, run, err);
}

int following_check_accepted(struct following *f, struct history_run *run,
                             struct error *err)
{
    if (run->store[0] == '\0' && !run_state_is_final(run->status.state) &&
        refresh_acceptance(f->context, run, err) != 0) {
        return err->code != ERR_BUSY
                   ? -1
                   : error_set(err, ERR_BUSY, "%s is being sent by another errand",
                               run->id);
    }
    if (run->store[0] != '\0') {
        return 0;
    }
    if (run_state_is_final(run->status.state)) {
        error_set(err, ERR_NOT_FOUND, "%s was never accepted by %s: %s", run->id,
                  run->target, run->status.reason != NULL ? run->status.reason : "");
    } else {
        error_set(err, ERR_NOT_FOUND,
                  "%s does not have %s: errand was ended while it sent it", run->target,
                  run->id);
    }
    return error_hint(err, "send it again with errand run");
}

void following_release(struct following *f)
{
    command_keep(f->context, TAKE_PTR(f->watch.client));
    target_free(f->target);
    f->target = NULL;
    loop_free(f->loop);
    f->loop = NULL;
}

int following_reload(struct following *f, struct history_run *run, struct error *err)
{
    CLEANUP_FREE char *id = xstrdup(run->id);
    history_run_release(run);
    history_run_init(run);
    return history_find(f->context->history, id, run, err);
}

int following_update(struct following *f, struct history_run *run, struct error *err)
{
    if (following_is_at_home(run)) {
        return 0;
    }
    f->watch.options.until_now = true;
    f->watch.options.give_up_after_ms = WATCH_NEVER_AGAIN;
    f->interrupt.run = NULL;
    if (watch_run(&f->watch, run, err) == 0) {
        return 0;
    }
    if (!watch_may_pass(err)) {
        return -1;
    }
    terminal_warn(f->context->terminal, "%s; this is what had come before", err->text);
    return 0;
}

/* ---- the end ---- */

static void say_outputs(const struct following *f, const struct history_run *run,
                        const struct fetch_result *result, const char *path)
{
    char size[FILES_SIZE_TEXT];
    for (size_t i = 0; i < result->warnings.count && i < 10; i++) {
        terminal_warn(f->context->terminal, "outputs: %s", result->warnings.items[i]);
    }
    if (f->to != NULL && oid_is_zero(&run->status.outputs_root)) {
        terminal_note(f->context->terminal, "no outputs: nothing was put in %s", f->to);
        return;
    }
    if (path == NULL || (result->totals.files == 0 && f->to == NULL)) {
        return;
    }
    files_format_size(size, result->totals.size_bytes);
    terminal_note(f->context->terminal, "outputs: %llu file%s, %s, in %s",
                  (unsigned long long)result->totals.files,
                  result->totals.files == 1 ? "" : "s", size, path);
}

static void say_end(const struct following *f, const struct history_run *run)
{
    const struct run_status *status = &run->status;
    char took[CLOCK_TEXT_SIZE];
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    int64_t begin =
        status->started_utc_ms != 0 ? status->started_utc_ms : status->created_utc_ms;
    bool has_no_environment = status->exit.kind == RUN_EXIT_ENVIRONMENT_FAILED;
    if (has_no_environment && f->watch.options.want_screen &&
        !f->watch.has_shown_preparation) {
        preparing_show_end(f->context->terminal, f->context->home, run->id);
    }
    clock_format_duration(took, status->ended_utc_ms - begin);
    if (status->reason != NULL && status->reason[0] != '\0') {
        strbuf_puts(&how, status->reason);
    } else {
        run_exit_describe(&status->exit, &how);
    }
    terminal_note(f->context->terminal, "%s %s after %s: %s", run->id,
                  run_state_name(status->state), took, how.data);
    if (has_no_environment) {
        terminal_note(f->context->terminal,
                      "all of its build log: errand logs --prepare %s", run->id);
    }
}

/* A try that failed: connect again where that may help. 0: try once more. */
static int collect_again(struct following *f, struct error *err)
{
    struct error why = *err;
    if (!watch_may_pass(&why) || f->interrupt.is_interrupted) {
        return -1;
    }
    return watch_reconnect(&f->watch, &why, err);
}

/* All is at home, whatever the node hears of it: that it could not be told is no failure
 * of the run's. */
static void tell(struct following *f, const struct history_run *run,
                 const struct fetch_result *result)
{
    struct error err = ERROR_INIT;
    int64_t *limit_ms = &f->watch.options.give_up_after_ms;
    *limit_ms = *limit_ms > 0 && *limit_ms < TELL_MS ? *limit_ms : TELL_MS;
    while (fetch_tell(f->context, f->watch.client, run, result, &err) != 0) {
        if (collect_again(f, &err) != 0) {
            terminal_warn(f->context->terminal,
                          "%s was not told that all is at home, and keeps the run for "
                          "longer: %s",
                          f->target->name, err.text);
            return;
        }
    }
}

int following_collect(struct following *f, struct history_run *run, char **out_path,
                      struct fetch_result *result, struct error *err)
{
    while (fetch_collect(f->context, f->watch.client, run, &f->interrupt.is_interrupted,
                         out_path, result, err) != 0) {
        if (result->has_progress) {
            watch_is_well(&f->watch);
        }
        fetch_result_release(result);
        *result = (struct fetch_result){0};
        if (collect_again(f, err) != 0) {
            return -1;
        }
    }
    watch_is_well(&f->watch);
    tell(f, run, result);
    return 0;
}

int following_write_outputs(struct following *f, const struct history_run *run,
                            const char *to, struct error *err)
{
    const struct oid *root = &run->status.outputs_root;
    CLEANUP(fetch_result_release) struct fetch_result result = {0};
    if (command_store(f->context, err) == NULL) {
        return -1;
    }
    if (!store_use_root(f->context->store, root) &&
        (following_connect(f, run, err) != 0 ||
         fetch_objects(f->context, f->watch.client, run->id, &f->interrupt.is_interrupted,
                       &result, err) != 0)) {
        return -1;
    }
    return fetch_write(f->context, root, to, err);
}

static int write_to(struct following *f, const struct history_run *run, char **path,
                    struct error *err)
{
    if (f->to == NULL || oid_is_zero(&run->status.outputs_root)) {
        return 0;
    }
    if (following_write_outputs(f, run, f->to, err) != 0) {
        return error_hint(err,
                          "they are at home, in %s; errand outputs %s --to DIR "
                          "writes them elsewhere",
                          *path, run->id);
    }
    mem_cleanup_free(path);
    *path = xstrdup(f->to);
    return 0;
}

/* Report a failure, or leave it to who asked for it. Returns status. */
static int fail(struct following *f, const struct error *err, int status)
{
    if (f->failure != NULL) {
        *f->failure = *err;
        return status;
    }
    return command_fail(f->context, f->is_json, err, status);
}

static int report_json(struct following *f, struct history_run *run)
{
    struct error err = ERROR_INIT;
    if (following_reload(f, run, &err) != 0) {
        return fail(f, &err, EXIT_ERRAND);
    }
    CLEANUP_JSON struct json *document = command_run_to_json(run, f->context->home);
    if (f->want_timing) {
        json_add(document, "timing", timing_to_json(&f->context->timing));
    }
    return command_print_json(f->context, document) == 0 ? 0 : EXIT_ERRAND;
}

static int finish(struct following *f, struct history_run *run)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = NULL;
    CLEANUP(fetch_result_release) struct fetch_result result = {0};
    int collected = 0;
    f->interrupt.run = NULL; /* it has ended: nothing goes on that Ctrl-C could leave */
    timing_run(&f->context->timing, &run->status);
    if (run->collected_utc_ms == 0) {
        int64_t begin_ns = clock_monotonic_ns();
        collected = following_collect(f, run, &path, &result, &err);
        timing_since(&f->context->timing, TIMING_OUTPUTS, begin_ns);
    } else if (run->status.has_outputs) {
        path = fetch_home_path(f->context->home, run->id);
        result.totals = (struct tree_totals){run->status.outputs_files,
                                             run->status.outputs_size_bytes};
    }
    if (collected == 0) {
        collected = write_to(f, run, &path, &err);
    }
    if (!f->is_json) {
        say_end(f, run);
    }
    if (collected != 0) {
        if (!following_is_at_home(run)) {
            (void)error_hint(&err,
                             "the run itself ended; its outputs are still on the node: "
                             "errand outputs %s",
                             run->id);
        }
        return fail(f, &err,
                    f->interrupt.is_interrupted ? EXIT_INTERRUPTED : EXIT_ERRAND);
    }
    if (f->is_json && report_json(f, run) != 0) {
        return EXIT_ERRAND;
    }
    if (!f->is_json) {
        say_outputs(f, run, &result, path);
        if (f->want_timing) {
            command_say_timing(f->context);
        }
    }
    return run_exit_status(run->status.state, &run->status.exit);
}

/* ---- the interrupt ---- */

/* Without a connection the request never left; with one it may have arrived. */
static void say_not_canceled(const struct following *f, const struct history_run *run,
                             struct error *err)
{
    bool was_sent = f->watch.client != NULL;
    error_wrap(err,
               was_sent ? "whether %s will be canceled is not known"
                        : "the run goes on, %s could not be canceled now",
               run->id);
    (void)error_hint(err, "later: errand cancel %s", run->id);
    terminal_error(f->context->terminal, err);
}

static void say_goes_on(void *context)
{
    const struct following *f = context;
    interrupt_say_goes_on(&f->interrupt);
}

/* The second Ctrl-C: ask, and cancel where the person says so. True: go on following. */
static bool ask_to_cancel(struct following *f, const struct history_run *run)
{
    struct error err = ERROR_INIT;
    bool wants = false;
    if (terminal_ask_yes_no(f->context->terminal, "cancel the run?", false, say_goes_on,
                            f, &wants, &err) != 0 ||
        !wants) {
        say_goes_on(f);
        return false;
    }
    interrupt_reset(&f->interrupt);
    if (f->watch.client == NULL) {
        f->watch.client = watch_connect(&f->watch, &err);
    }
    if (f->watch.client == NULL || cancel_run(f->context, &f->watch.client, f->loop,
                                              f->target, run, NULL, -1, &err) != 0) {
        say_not_canceled(f, run, &err);
        f->interrupt.is_interrupted = true;
        return false;
    }
    return true;
}

int following_go(struct following *f, struct history_run *run)
{
    struct error err = ERROR_INIT;
    f->interrupt.run = run->id;
    int result = watch_run(&f->watch, run, &err);
    while (result != 0 && f->interrupt.wants_cancel && ask_to_cancel(f, run)) {
        result = watch_run(&f->watch, run, &err);
    }
    if (result == 0) {
        return finish(f, run);
    }
    if (f->interrupt.is_interrupted) {
        return EXIT_INTERRUPTED;
    }
    if (err.sys == EPIPE) {
        terminal_note(f->context->terminal,
                      "nobody reads the log any more; the run goes on; come back with: "
                      "errand follow %s; end it with: errand cancel %s",
                      run->id, run->id);
        return EXIT_READER_GONE;
    }
    return fail(f, &err, EXIT_ERRAND);
}
