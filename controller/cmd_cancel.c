/* errand cancel. */
#include "common/clock.h"
#include "controller/cancel.h"
#include "controller/command.h"
#include "controller/following.h"
#include "controller/refresh.h"

struct cancel_args {
    const char *reason;
    struct cli_time grace; /* without: the run's own */
    bool is_json, want_force, no_wait;
    int64_t give_up_after_ms;
};

#define FIELD(name) offsetof(struct cancel_args, name)
#define QUIET_NS (5 * NS_PER_S)

/* Why the run ended as it did, with what was proved. */
static void say(struct command_context *context, const struct history_run *run)
{
    const struct run_status *status = &run->status;
    CLEANUP_STRBUF struct strbuf proof = STRBUF_INIT;
    if (status->state == RUN_CANCELED && status->proof[0] != '\0') {
        strbuf_printf(&proof, "; processes: %lld ended, %lld could not be, proof: %s",
                      (long long)status->ended, (long long)status->survivors,
                      status->proof);
    }
    terminal_note(context->terminal, "%s %s%s%s%s", run->id,
                  run_state_name(status->state),
                  status->reason != NULL && status->reason[0] != '\0' ? ": " : "",
                  status->reason != NULL ? status->reason : "", proof.data);
}

struct ending {
    const struct following *f;
    struct loop_timer *timer; /* NULL once it was told */
};

/* It takes a while: that it goes on, and what for. */
static void say_waiting(void *opaque)
{
    struct ending *ending = opaque;
    const struct following *f = ending->f;
    ending->timer = NULL;
    terminal_note(f->context->terminal,
                  "%s was told to end %s, and has not proved yet that nothing of it is "
                  "left; Ctrl-C stops the waiting alone",
                  f->target->name, f->interrupt.run);
}

/* Until it has ended. */
static int wait_for_end(struct following *f, struct history_run *run, struct error *err)
{
    struct ending ending = {.f = f};
    ending.timer =
        loop_timer_at(f->loop, clock_monotonic_ns() + QUIET_NS, say_waiting, &ending);
    int result = watch_run(&f->watch, run, err);
    loop_timer_cancel(f->loop, ending.timer);
    return result;
}

/* A node that is gone for ever cannot be asked: the run is given up here alone. */
static int give_up(struct following *f, struct history_run *run, struct error *err)
{
    if (history_set_given_up(f->context->history, run->id,
                             "given up: the node was not asked (--force)", err) != 0) {
        return -1;
    }
    terminal_warn(
        f->context->terminal,
        "%s was given up here; if the node lives, the run may still go on there",
        run->id);
    return 0;
}

/* Whether it was accepted is not known here: ask, and end it where it was not. */
static int settle(struct following *f, struct history_run *run, struct error *err)
{
    if (refresh_acceptance(f->context, run, err) != 0) {
        if (err->code == ERR_BUSY) {
            error_set(err, ERR_BUSY, "%s is being sent by another errand", run->id);
            error_hint(err, "end that one, with Ctrl-C");
        }
        return -1;
    }
    if (run->store[0] != '\0' || run_state_is_final(run->status.state)) {
        return 0;
    }
    /* A connection that froze may still bring it there: it is asked about again. */
    terminal_warn(f->context->terminal,
                  "%s does not have %s; what was sent of it may still arrive, for a "
                  "quarter of an hour: errand show %s asks again",
                  run->target, run->id, run->id);
    return history_set_given_up(f->context->history, run->id,
                                "canceled before it was accepted, as far as is known",
                                err);
}

static bool is_out_of_reach(const struct error *err)
{
    return watch_may_pass(err) || err->code == ERR_NOT_FOUND || err->code == ERR_MISMATCH;
}

static int cancel_open(struct following *f, const struct cancel_args *args,
                       struct history_run *run, struct error *err)
{
    if (run_state_is_final(run->status.state) && !run->is_given_up) {
        terminal_note(f->context->terminal, "%s had ended before", run->id);
        say(f->context, run);
        return 0;
    }
    int settled = run->store[0] == '\0' ? settle(f, run, err) : 0;
    if (settled != 0 && args->want_force && is_out_of_reach(err)) {
        return give_up(f, run, err);
    }
    if (settled != 0) {
        return settled;
    }
    if (run->store[0] == '\0') {
        if (following_reload(f, run, err) != 0) {
            return -1;
        }
        say(f->context, run);
        return 0;
    }
    int result =
        cancel_run(f->context, &f->watch.client, f->loop, f->target, run, args->reason,
                   args->grace.is_given ? args->grace.ms : -1, err);
    if (result != 0 && args->want_force && is_out_of_reach(err)) {
        return give_up(f, run, err);
    }
    if (result != 0 || args->no_wait) {
        return result;
    }
    f->interrupt.run = run->id;
    f->watch.options.give_up_after_ms = args->give_up_after_ms;
    if (wait_for_end(f, run, err) != 0) {
        return -1;
    }
    say(f->context, run);
    return 0;
}

/* Open what is needed, and cancel. */
static int cancel_found(struct following *f, const struct cancel_args *args,
                        struct history_run *run, struct error *err)
{
    if (following_init_run(f, f->context, run, err) == 0) {
        return cancel_open(f, args, run, err);
    }
    /* The target was forgotten: nobody can be asked. */
    return args->want_force && err->code == ERR_NOT_FOUND ? give_up(f, run, err) : -1;
}

static int cancel_one(struct command_context *context, const struct cancel_args *args,
                      const char *name, struct json *document, struct json *runs)
{
    struct following f = {.context = context};
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = 0;
    history_run_init(&run);
    if (history_find(context->history, name, &run, &err) != 0 ||
        cancel_found(&f, args, &run, &err) != 0) {
        status = f.interrupt.is_interrupted ? EXIT_INTERRUPTED : 1;
        if (!f.interrupt.is_interrupted) {
            command_fail_in(context, args->is_json ? document : NULL, &err);
        }
    } else if (following_reload(&f, &run, &err) == 0) {
        (void)json_append(runs, command_run_to_json(&run, NULL));
    }
    history_run_release(&run);
    following_release(&f);
    return status;
}

static int cancel_verb(void *opaque_context, void *opaque, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque_context;
    const struct cancel_args *args = opaque;
    struct error err = ERROR_INIT;
    int status = 0;
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *runs = json_add(document, "runs", json_new_array());
    if (command_check_runs(context, operands, operand_count, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    for (size_t i = 0; i < operand_count; i++) {
        int one = cancel_one(context, args, operands[i], document, runs);
        status = status == 0 ? one : status;
    }
    int printed = args->is_json ? command_print_json(context, document) : 0;
    return status == 0 ? printed : status;
}

static const struct cli_option cancel_options[] = {
    CLI_STRING(0, "reason", "TEXT", "noted with the run", FIELD(reason)),
    CLI_TIME(0, "grace", "TIME", "between asking and killing", FIELD(grace),
             RUNSPEC_GRACE_MAX_MS),
    CLI_FLAG(0, "no-wait", "do not wait for the end", FIELD(no_wait)),
    CLI_FLAG(0, "force", "give up a run whose node is gone", FIELD(want_force)),
    CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",
                 FIELD(give_up_after_ms)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_cancel = {
    .name = "cancel",
    .usage = "RUN... [options]",
    .help = "end runs, with all their processes, and say what was proved",
    .options = cancel_options,
    .args_size_bytes = sizeof(struct cancel_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .run = cancel_verb,
};
