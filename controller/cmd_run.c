/* errand run, errand submit. */
#include "common/clock.h"
#include "common/files.h"
#include "common/livy_python.h"
#include "controller/command.h"
#include "controller/following.h"
#include "controller/livy_tidy.h"
#include "controller/provision.h"
#include "controller/submission.h"

#include <stdio.h>
#include <string.h>

struct run_args {
    const char *target, *to;
    struct submission_request request;
    int64_t give_up_after_ms;
    bool is_json, is_quiet, is_verbose, want_accept_new, want_timing;
};

#define FIELD(name) offsetof(struct run_args, name)
#define REQUEST(name) offsetof(struct run_args, request.name)

#define OPTIONS_OF_BOTH                                                                  \
    CLI_STRING('t', "target", "TARGET", "where to run", FIELD(target)),                  \
        CLI_STRING('e', "environment", "WHAT", "a file, a name, or none",                \
                   REQUEST(environment)),                                                \
        CLI_STRING(0, "experiment", "EXPERIMENT", "the series it belongs to",            \
                   REQUEST(experiment)),                                                 \
        CLI_LIST(0, "env", "K=V", "set a variable; K alone: as it is here",              \
                 REQUEST(variables)),                                                    \
        CLI_LIST(0, "secret", "NAME", "a variable that is never stored",                 \
                 REQUEST(secrets)),                                                      \
        CLI_LIST(0, "tag", "K=V", "note something with the run", REQUEST(tags)),         \
        CLI_STRING(0, "framework", "FRAMEWORK", "python, pyspark or command",            \
                   REQUEST(framework)),                                                  \
        CLI_STRING(0, "interpreter", "PYTHON", "python on the node",                     \
                   REQUEST(interpreter)),                                                \
        CLI_TIME(0, "time-limit", "TIME", "end it after this long; 0s: never",           \
                 REQUEST(time_limit), 0),                                                \
        CLI_TIME(0, "grace", "TIME", "between asking and killing", REQUEST(grace),       \
                 RUNSPEC_GRACE_MAX_MS),                                                  \
        CLI_RANGE(0, "attempts", "N", "start it again if it fails", REQUEST(attempts),   \
                  1, RUNSPEC_ATTEMPTS_MAX),                                              \
        CLI_STRING(0, "log-max-size", "SIZE", "of the log on the node; 0: no limit",     \
                   REQUEST(log_max_size)),                                               \
        CLI_FLAG(0, "force", "also for / or your home folder", REQUEST(want_force)),     \
        CLI_FLAG(0, "refresh", "build the environment anew", REQUEST(want_refresh)),     \
        CLI_STRING(0, "wheels-from", "WHERE", "controller: packages come from here",     \
                   REQUEST(wheels_from)),                                                \
        CLI_FLAG('y', "yes", "do not ask about large folders", REQUEST(want_yes)),       \
        CLI_FLAG(0, "accept-new", "take the host key of a new machine",                  \
                 FIELD(want_accept_new)),                                                \
        CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",               \
                     FIELD(give_up_after_ms)),                                           \
        CLI_FLAG(0, "timing", "say where the time went", FIELD(want_timing)),            \
        CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json))

#define SPARK(name) offsetof(struct run_args, request.spark.name)

#define OPTIONS_OF_SPARK                                                                 \
    CLI_STRING(0, "master", "MASTER", "Spark's: yarn, local[N], spark://HOST:PORT",      \
               SPARK(master)),                                                           \
        CLI_STRING(0, "deploy-mode", "MODE", "Spark's: auto, client or cluster",         \
                   SPARK(deploy_mode)),                                                  \
        CLI_STRING(0, "queue", "QUEUE", "YARN's", SPARK(queue)),                         \
        CLI_LIST(0, "spark-conf", "K=V", "a setting of Spark", SPARK(conf)),             \
        CLI_LIST(0, "packages", "PACKAGE", "Maven packages for Spark", SPARK(packages)), \
        CLI_LIST(0, "repositories", "URL", "where Maven packages are as well",           \
                 SPARK(repositories)),                                                   \
        CLI_LIST(0, "jars", "FILE", "jars for Spark: of the project, or URIs",           \
                 SPARK(jars)),                                                           \
        CLI_LIST(0, "py-files", "FILE", "modules and zips for Spark", SPARK(py_files)),  \
        CLI_LIST(0, "files", "FILE", "files for Spark's executors", SPARK(files)),       \
        CLI_LIST(0, "archives", "FILE", "archives for Spark's executors",                \
                 SPARK(archives)),                                                       \
        CLI_STRING(0, "driver-memory", "SIZE", "of Spark's driver",                      \
                   SPARK(driver_memory)),                                                \
        CLI_STRING(0, "executor-memory", "SIZE", "of each of Spark's executors",         \
                   SPARK(executor_memory)),                                              \
        CLI_RANGE(0, "executor-cores", "N", "of each of Spark's executors",              \
                  SPARK(executor_cores), 1, SPARK_CORES_MAX),                            \
        CLI_RANGE(0, "num-executors", "N", "how many executors Spark starts",            \
                  SPARK(num_executors), 1, SPARK_EXECUTORS_MAX),                         \
        CLI_STRING(0, "spark-base", "URI", "folder there for what errand uploads",       \
                   SPARK(base))

static const struct cli_option run_options[] = {
    OPTIONS_OF_BOTH,
    OPTIONS_OF_SPARK,
    CLI_STRING(0, "to", "DIR", "put the outputs there as well", FIELD(to)),
    CLI_FLAG('q', "quiet", "do not show the log", FIELD(is_quiet)),
    CLI_FLAG('v', "verbose", "show all of an environment's build log", FIELD(is_verbose)),
    CLI_END,
};

static const struct cli_option submit_options[] = {
    OPTIONS_OF_BOTH,
    OPTIONS_OF_SPARK,
    CLI_END,
};

/* "k7m2... on gpu1: sent 1 of 350 files, 3 KB; the project has 14 MB". */
static void say_sent(const struct following *f, const struct submission *s,
                     const struct target *target)
{
    char sent[FILES_SIZE_TEXT];
    char all[FILES_SIZE_TEXT];
    unsigned long long files = s->spec.files;
    const char *plural = files == 1 ? "" : "s";
    files_format_size(sent, s->sent_content_bytes);
    files_format_size(all, s->spec.size_bytes);
    if (files == 0) {
        terminal_note(f->context->terminal, "%s on %s: nothing of the project is sent",
                      s->spec.run, target->name);
    } else if (s->sent_files == 0) {
        terminal_note(
            f->context->terminal,
            "%s on %s: nothing to send: the project's %llu file%s, %s, %s there already",
            s->spec.run, target->name, files, plural, all, files == 1 ? "is" : "are");
    } else if (s->sent_files == files) {
        terminal_note(f->context->terminal,
                      "%s on %s: sent the project's %llu file%s, %s", s->spec.run,
                      target->name, files, plural, all);
    } else {
        terminal_note(f->context->terminal,
                      "%s on %s: sent %llu of the project's %llu files, %s of %s",
                      s->spec.run, target->name, (unsigned long long)s->sent_files, files,
                      sent, all);
    }
}

static void say_node(const struct following *f)
{
    const struct client_node *node = client_node(f->watch.client);
    int64_t skew_ms =
        node->clock_skew_ms < 0 ? -node->clock_skew_ms : node->clock_skew_ms;
    if (node->was_installed) {
        terminal_note(f->context->terminal, "the executor was brought to %s",
                      f->target->name);
    }
    if (skew_ms > 5000) {
        char text[CLOCK_TEXT_SIZE];
        clock_format_duration(text, skew_ms);
        terminal_warn(f->context->terminal, "the clock of %s is %s %s ours",
                      f->target->name, text,
                      node->clock_skew_ms < 0 ? "behind" : "ahead of");
    }
}

/* Send, and where the link breaks meanwhile, connect and send the same bytes again: the
 * node starts them once. */
static int send_until_accepted(struct following *f, struct submission *s,
                               struct error *err)
{
    for (;;) {
        int result = submission_send(s, f->context, f->watch.client, f->target,
                                     &f->interrupt.is_interrupted, err);
        if (s->has_progress) {
            watch_is_well(&f->watch);
        }
        if (result == 0 || !watch_may_pass(err) || f->interrupt.is_interrupted) {
            return result;
        }
        struct error why = *err;
        if (watch_reconnect(&f->watch, &why, err) != 0) {
            return -1;
        }
    }
}

/* A node that was not reached yet may be misspelt: only who names a time waits for it. */
static int wait_for_node(void *context, struct error *err)
{
    struct following *f = context;
    if (client_is_open(f->watch.client) || client_wait(f->watch.client, err) == 0) {
        return 0;
    }
    if (f->watch.options.give_up_after_ms == 0 || !watch_may_pass(err) ||
        f->interrupt.is_interrupted) {
        return -1;
    }
    struct error why = *err;
    return watch_reconnect(&f->watch, &why, err);
}

/* What the environment needs of this machine; over as many connections as it takes. */
static int provide(struct following *f, const struct run_args *args, struct submission *s,
                   struct error *err)
{
    if (!s->spec.environment.has_definition) {
        return 0;
    }
    if (wait_for_node(f, err) != 0) {
        return -1;
    }
    for (;;) {
        int result = provision(s, f->context, f->watch.client, f->target, &args->request,
                               &f->interrupt.is_interrupted, err);
        if (result == 0 || !watch_may_pass(err) || f->interrupt.is_interrupted) {
            return result;
        }
        struct error why = *err;
        if (watch_reconnect(&f->watch, &why, err) != 0) {
            return -1;
        }
    }
}

static int prepare(struct following *f, struct run_args *args, struct submission *s,
                   struct error *err)
{
    struct client_options options = {
        .may_ask = f->watch.options.may_ask,
        .want_accept_new = args->want_accept_new,
        .loop = f->loop,
        .is_interrupted = &f->interrupt.is_interrupted,
    };
    f->watch.options.want_accept_new = args->want_accept_new;
    f->watch.options.give_up_after_ms = args->give_up_after_ms;
    if (submission_plan(s, f->context, f->target, &args->request, err) != 0) {
        return -1;
    }
    f->watch.client = client_start(f->context, f->target, &options, err);
    args->request.before_question = wait_for_node;
    args->request.before_question_context = f;
    if (f->watch.client == NULL ||
        submission_snapshot(s, f->context, f->target, &args->request, &f->interrupt,
                            err) != 0 ||
        provide(f, args, s, err) != 0) {
        return -1;
    }
    if (submission_is_large(s, f->context->config) &&
        (wait_for_node(f, err) != 0 ||
         submission_confirm_size(s, f->context, f->target,
                                 client_node(f->watch.client)->store, &args->request,
                                 err) != 0)) {
        return -1;
    }
    return submission_record(s, f->context, f->target, f->loop, err) != 0
               ? -1
               : wait_for_node(f, err);
}

/* Where the run is on a Livy's cluster, which has nobody of ours to do it. */
static void plan_tidying(struct following *f, const struct submission *s)
{
    if (f->target->livy != NULL && f->context->tidy == NULL) {
        f->context->tidy = livy_tidy_plan(
            f->context, f->target, json_string(json_get(s->secrets, LIVY_PASSWORD)));
    }
}

/* Until the run is accepted. After a failure the history says why it never was. */
static int submit(struct following *f, struct run_args *args, struct submission *s,
                  struct error *err)
{
    int result = prepare(f, args, s, err);
    if (result == 0) {
        say_node(f);
        result = send_until_accepted(f, s, err);
    }
    if (result != 0 && s->bytes.length > 0 && s->fate == SUBMISSION_NOT_STARTED) {
        (void)history_set_not_started(f->context->history, s->spec.run, err->text, NULL);
    }
    submission_over(s);
    if (result == 0) {
        say_sent(f, s, f->target);
        plan_tidying(f, s);
    }
    return result;
}

/* What can truly be said of the run where the answer to it was not waited for: as an
 * error of its own, or as the hint of one. */
static void tell_fate(const struct following *f, const struct submission *s, char *out,
                      size_t size)
{
    const char *run = s->spec.run;
    if (s->bytes.length == 0) {
        (void)snprintf(out, size, "nothing was sent");
    } else if (s->fate == SUBMISSION_NOT_STARTED) {
        (void)snprintf(out, size, "nothing was started on %s", f->target->name);
    } else if (s->fate == SUBMISSION_UNKNOWN) {
        (void)snprintf(out, size,
                       "whether %s was accepted is not known; errand show %s asks %s",
                       run, run, f->target->name);
    } else {
        (void)snprintf(out, size,
                       "%s was accepted and goes on; come back with: errand follow %s",
                       run, run);
    }
}

static int fail_interrupted(struct following *f, const struct submission *s, bool is_json)
{
    char fate[ERROR_HINT_MAX];
    struct error err = ERROR_INIT;
    tell_fate(f, s, fate, sizeof fate);
    if (is_json) {
        error_set(&err, ERR_CANCELED, "interrupted; %s", fate);
        return command_fail(f->context, true, &err, EXIT_INTERRUPTED);
    }
    terminal_note(f->context->terminal, "interrupted; %s", fate);
    return EXIT_INTERRUPTED;
}

static int fail_submission(struct following *f, const struct submission *s, bool is_json,
                           struct error *err, int own_status)
{
    char fate[ERROR_HINT_MAX];
    if (f->interrupt.is_interrupted) {
        return fail_interrupted(f, s, is_json);
    }
    if (s->fate != SUBMISSION_NOT_STARTED) {
        tell_fate(f, s, fate, sizeof fate);
        (void)error_hint(err, "%s", fate);
    }
    return command_fail(f->context, is_json, err,
                        err->code == ERR_USAGE && own_status != EXIT_ERRAND ? 2
                                                                            : own_status);
}

static void set_request(const struct command_context *context, struct run_args *args,
                        char *const *operands, size_t operand_count)
{
    args->request.operands = operands;
    args->request.operand_count = operand_count;
    args->request.is_plain_command = context->has_terminator;
}

/* As a submission's on_sent. */
static int follow_ahead(void *context, struct client *client, const char *run,
                        struct error *err)
{
    struct following *f = context;
    return watch_ahead(&f->watch, client, run, err);
}

static int run_verb(void *opaque_context, void *opaque, char *const *operands,
                    size_t operand_count)
{
    struct run_args *args = opaque;
    struct following f;
    struct submission s;
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = EXIT_ERRAND;
    submission_init(&s);
    s.on_sent = follow_ahead;
    s.on_sent_context = &f;
    history_run_init(&run);
    set_request(opaque_context, args, operands, operand_count);
    if (following_init(&f, opaque_context, args->target, &err) != 0 ||
        (args->to != NULL && fetch_check_to(args->to, &err) != 0) ||
        submit(&f, args, &s, &err) != 0) {
        status = fail_submission(&f, &s, args->is_json, &err, EXIT_ERRAND);
    } else if (f.interrupt.is_interrupted) {
        status = fail_interrupted(&f, &s, args->is_json);
    } else if (history_find(f.context->history, s.spec.run, &run, &err) != 0) {
        status = command_fail(f.context, args->is_json, &err, EXIT_ERRAND);
    } else {
        f.is_json = args->is_json;
        f.to = args->to;
        f.want_timing = args->want_timing;
        f.watch.options.want_screen = !args->is_json && !args->is_quiet;
        f.watch.options.want_build_log = args->is_verbose;
        status = following_go(&f, &run);
    }
    history_run_release(&run);
    submission_release(&s);
    following_release(&f);
    return status;
}

/* Whom the id does not reach hears of the run all the same. */
static int print_id(const struct following *f, const char *run)
{
    int status = command_print_line(f->context, run);
    if (status != 0) {
        terminal_note(f->context->terminal,
                      "%s was accepted and goes on; come back with: errand follow %s",
                      run, run);
    }
    return status;
}

static int submit_verb(void *opaque_context, void *opaque, char *const *operands,
                       size_t operand_count)
{
    struct run_args *args = opaque;
    struct following f;
    struct submission s;
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = 0;
    submission_init(&s);
    history_run_init(&run);
    set_request(opaque_context, args, operands, operand_count);
    if (following_init(&f, opaque_context, args->target, &err) != 0 ||
        submit(&f, args, &s, &err) != 0) {
        status = fail_submission(&f, &s, args->is_json, &err, 1);
    } else if (f.interrupt.is_interrupted) {
        status = fail_interrupted(&f, &s, args->is_json);
    } else if (!args->is_json) {
        status = print_id(&f, s.spec.run);
        if (args->want_timing) {
            command_say_timing(f.context);
        }
    } else if (history_find(f.context->history, s.spec.run, &run, &err) != 0) {
        status = command_fail(f.context, true, &err, 1);
    } else {
        CLEANUP_JSON struct json *document = command_run_to_json(&run, f.context->home);
        if (args->want_timing) {
            json_add(document, "timing", timing_to_json(&f.context->timing));
        }
        status = command_print_json(f.context, document);
    }
    history_run_release(&run);
    submission_release(&s);
    following_release(&f);
    return status;
}

/* What spark-submit has, and has another name or no option here. */
static const struct cli_foreign of_spark_submit[] = {
    {"conf", "say --spark-conf spark.K=V"},
    {"total-executor-cores", "say --spark-conf spark.cores.max=N"},
    {"driver-cores", "say --spark-conf spark.driver.cores=N"},
    {"exclude-packages",
     "say it in errand.yaml: spark: {exclude_packages: [GROUP:NAME]}"},
    {"principal", "say it in errand.yaml: spark: {principal: ..., keytab: ...}"},
    {"keytab", "say it in errand.yaml: spark: {principal: ..., keytab: ...}"},
    {"properties-file", "say its lines by --spark-conf K=V, or in errand.yaml: spark: "
                        "{conf: {K: V}}"},
    {"name", "an application has the name of its run; --experiment names several runs"},
    {"class", "errand runs Python scripts alone"},
    {NULL, NULL},
};

const struct cli_command cmd_run = {
    .name = "run",
    .usage = "[options] SCRIPT [ARGUMENT...] | [options] -- COMMAND [ARGUMENT...]",
    .help = "run a script there and follow it; its outputs come home",
    .details =
        "The project's folder is sent as it is now, only what the node does not have. "
        "Options after SCRIPT are the script's. The log goes to stdout, all else to "
        "stderr.\n\n"
        "The exit status is the script's own; 128+n: killed by signal n; 124: time "
        "limit; 126, 127: could not be started; 130: Ctrl-C, or another "
        "signal to errand: the run goes on; 125: errand's own failures.",
    .options = run_options,
    .args_size_bytes = sizeof(struct run_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .stops_at_operand = true,
    .usage_status = EXIT_ERRAND,
    .run = run_verb,
    .foreign = of_spark_submit,
};

const struct cli_command cmd_submit = {
    .name = "submit",
    .usage = "[options] SCRIPT [ARGUMENT...] | [options] -- COMMAND [ARGUMENT...]",
    .help = "start a script and print its run's id",
    .options = submit_options,
    .args_size_bytes = sizeof(struct run_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .stops_at_operand = true,
    .run = submit_verb,
    .foreign = of_spark_submit,
};

/* ---- env prepare: a run of nothing ---- */

static int prepare_verb(void *opaque_context, void *opaque, char *const *operands,
                        size_t operand_count)
{
    struct command_context *context = opaque_context;
    struct run_args *args = opaque;
    char word[] = "true";
    char *command[] = {word, NULL};
    args->request.is_preparation = true;
    args->request.environment = operand_count > 0 ? operands[0] : NULL;
    context->has_terminator = true; /* the operands are a command */
    return run_verb(context, args, command, 1);
}

static const struct cli_option prepare_options[] = {
    CLI_STRING('t', "target", "TARGET", "where to build it", FIELD(target)),
    CLI_FLAG(0, "refresh", "build it anew although it is there", REQUEST(want_refresh)),
    CLI_STRING(0, "wheels-from", "WHERE", "controller: packages come from here",
               REQUEST(wheels_from)),
    CLI_LIST(0, "env", "K=V", "set a variable; K alone: as it is here",
             REQUEST(variables)),
    CLI_LIST(0, "secret", "NAME", "a variable that is never stored", REQUEST(secrets)),
    CLI_FLAG('y', "yes", "do not ask about large folders", REQUEST(want_yes)),
    CLI_FLAG(0, "accept-new", "take the host key of a new machine",
             FIELD(want_accept_new)),
    CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",
                 FIELD(give_up_after_ms)),
    CLI_FLAG('v', "verbose", "show all of the build log", FIELD(is_verbose)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_env_prepare = {
    .name = "env prepare",
    .usage = "[WHAT] [options]",
    .help = "build an environment on a target, for the runs to come",
    .details =
        "WHAT is a file (requirements.txt, pyproject.toml, environment.yml), or the name "
        "of an "
        "environment; without it, the project's. It is built by a run that does nothing "
        "else, and which may be canceled like any other; it is not the last run (@), and "
        "the project is sent only where something of it is built in.",
    .options = prepare_options,
    .args_size_bytes = sizeof(struct run_args),
    .max_operands = 1,
    .usage_status = EXIT_ERRAND,
    .run = prepare_verb,
};
