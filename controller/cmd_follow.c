/* errand follow, errand logs, errand wait. */
#include "controller/command.h"
#include "controller/following.h"
#include "controller/refresh.h"
#include "controller/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"

struct follow_args {
    const char *to;
    int64_t give_up_after_ms;
    const char *tail; /* a number, or NULL: everything */
    bool is_json, is_quiet, is_verbose, is_control, is_prepare, is_engine;
};

#define FIELD(name) offsetof(struct follow_args, name)

/* ---- follow ---- */

static int follow_verb(void *context, void *opaque, char *const *operands,
                       size_t operand_count)
{
    const struct follow_args *args = opaque;
    struct following f = {.context = context};
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = EXIT_ERRAND;
    (void)operand_count;
    history_run_init(&run);
    if (following_open(&f, context, operands[0], &run, &err) != 0 ||
        (args->to != NULL && fetch_check_to(args->to, &err) != 0) ||
        following_check_accepted(&f, &run, &err) != 0) {
        status = command_fail(context, args->is_json, &err, EXIT_ERRAND);
    } else {
        f.is_json = args->is_json;
        f.to = args->to;
        f.watch.options.want_screen = !args->is_json && !args->is_quiet;
        f.watch.options.want_build_log = args->is_verbose;
        f.watch.options.give_up_after_ms = args->give_up_after_ms;
        status = following_go(&f, &run);
    }
    history_run_release(&run);
    following_release(&f);
    return status;
}

static const struct cli_option follow_options[] = {
    CLI_STRING(0, "to", "DIR", "put the outputs there as well", FIELD(to)),
    CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",
                 FIELD(give_up_after_ms)),
    CLI_FLAG('q', "quiet", "do not show the log", FIELD(is_quiet)),
    CLI_FLAG('v', "verbose", "show all of an environment's build log", FIELD(is_verbose)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_follow = {
    .name = "follow",
    .usage = "RUN [options]",
    .help = "show a run's log until it ends; its outputs come home",
    .details = "The exit status is the script's own, as with errand run.",
    .options = follow_options,
    .args_size_bytes = sizeof(struct follow_args),
    .min_operands = 1,
    .max_operands = 1,
    .usage_status = EXIT_ERRAND,
    .run = follow_verb,
};

/* ---- logs ---- */

/* A generation of a file at home, to be printed. */
struct printing {
    int fd;
    int64_t generation;
    uint64_t size_bytes;
    const struct loggaps *gaps;
};

/* The offset at which the last count lines begin; what is missing is passed over. */
static int find_tail(const struct printing *p, int64_t count, uint64_t *out,
                     struct error *err)
{
    char block[65536];
    uint64_t end = p->size_bytes;
    int64_t lines = 0;
    *out = 0;
    while (end > 0) {
        const struct loggap *gap = loggaps_before(p->gaps, p->generation, end);
        if (gap != NULL && gap->to >= end) {
            end = gap->from;
            continue;
        }
        uint64_t there = end - (gap != NULL ? gap->to : 0);
        size_t length = there < sizeof block ? (size_t)there : sizeof block;
        if (fdio_pread_full(p->fd, block, length, end - length) != (ssize_t)length) {
            return error_sys(err, "read the log");
        }
        for (size_t i = length; i > 0; i--) {
            bool is_last_byte = end - length + i == p->size_bytes;
            if (block[i - 1] == '\n' && !is_last_byte && ++lines == count) {
                *out = end - length + i;
                return 0;
            }
        }
        end -= length;
    }
    return 0;
}

static int print_from(struct command_context *context, const struct printing *p,
                      uint64_t offset, struct error *err)
{
    char block[65536];
    ssize_t length = 1;
    while (length > 0) {
        const struct loggap *gap = loggaps_next(p->gaps, p->generation, offset);
        if (gap != NULL && gap->from <= offset) {
            char text[LOGGAP_TEXT_SIZE];
            loggap_describe(gap, text);
            terminal_warn(context->terminal, "%s", text);
            offset = gap->to;
            continue;
        }
        uint64_t there = gap != NULL ? gap->from - offset : sizeof block;
        length = fdio_pread_full(
            p->fd, block, there < sizeof block ? (size_t)there : sizeof block, offset);
        if (length > 0 &&
            terminal_script_output(context->terminal, block, (size_t)length, err) != 0) {
            return -1;
        }
        offset += length > 0 ? (uint64_t)length : 0;
    }
    return length < 0 ? error_sys(err, "read the log") : 0;
}

/* Print one generation, or its tail (-1: all). */
static int print_generation(struct command_context *context, const struct runlog *log,
                            const struct runlog_file *file, int64_t generation,
                            int64_t tail, struct error *err)
{
    CLEANUP_FREE char *name = runlog_name(file->name, generation);
    CLEANUP_FD int fd = openat(log->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    uint64_t offset = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return error_sys(err, "open %s/%s", log->dir, name);
    }
    const struct printing p = {fd, generation, (uint64_t)st.st_size, &file->gaps};
    if (tail == 0) {
        offset = p.size_bytes;
    } else if (tail > 0 && find_tail(&p, tail, &offset, err) != 0) {
        return -1;
    }
    return print_from(context, &p, offset, err);
}

/* Logs that most runs have none of. */
static int no_such_log(const struct history_run *run, enum run_file which,
                       struct error *err)
{
    bool is_engine = which == RUN_FILE_ENGINE_LOG;
    error_set(err, ERR_NOT_FOUND, "%s has no %s%s", run->id,
              is_engine ? "log of an engine" : "build log",
              run_state_is_final(run->status.state) ? "" : " so far");
    return error_hint(err, is_engine
                               ? "only a run of the framework pyspark has one"
                               : "only a run that an environment is built for has one");
}

static int print_log(struct command_context *context, const struct history_run *run,
                     enum run_file which, int64_t tail, struct error *err)
{
    struct runlog log;
    if (runlog_open(&log, context->home, run->id, err) != 0) {
        return -1;
    }
    const struct runlog_file *file = &log.files[which];
    int result = file->fd >= 0 ? 0 : no_such_log(run, which, err);
    for (int64_t g = tail >= 0 ? file->generation : 0;
         result == 0 && g <= file->generation; g++) {
        result = print_generation(context, &log, file, g, tail, err);
    }
    runlog_close(&log);
    return result;
}

/* -1: everything. */
static int parse_tail(const char *text, int64_t *out, struct error *err)
{
    uint64_t count = 0;
    *out = -1;
    if (text == NULL) {
        return 0;
    }
    if (bytes_parse_u64(text, INT64_MAX, &count, err) != 0) {
        return error_set(err, ERR_USAGE, "--tail %s: it takes a number of lines", text);
    }
    *out = (int64_t)count;
    return 0;
}

static enum run_file which_log(const struct follow_args *args)
{
    if (args->is_prepare || args->is_engine) {
        return args->is_engine ? RUN_FILE_ENGINE_LOG : RUN_FILE_PREPARE_LOG;
    }
    return args->is_control ? RUN_FILE_CONTROL_LOG : RUN_FILE_DRIVER_LOG;
}

static int logs_verb(void *context, void *opaque, char *const *operands,
                     size_t operand_count)
{
    const struct follow_args *args = opaque;
    struct following f = {.context = context};
    struct history_run run;
    struct error err = ERROR_INIT;
    int64_t tail = -1;
    int status = 0;
    (void)operand_count;
    if (args->is_prepare + args->is_control + args->is_engine > 1) {
        error_set(&err, ERR_USAGE,
                  "--control, --prepare and --engine are logs of their own: name one");
        return command_fail_usage(context, &cmd_logs, false, &err);
    }
    if (parse_tail(args->tail, &tail, &err) != 0) {
        return command_fail_usage(context, &cmd_logs, false, &err);
    }
    history_run_init(&run);
    if (following_open(&f, context, operands[0], &run, &err) != 0 ||
        following_check_accepted(&f, &run, &err) != 0 ||
        following_update(&f, &run, &err) != 0 ||
        print_log(context, &run, which_log(args), tail, &err) != 0) {
        status = f.interrupt.is_interrupted ? EXIT_INTERRUPTED : 1;
        if (!f.interrupt.is_interrupted && err.sys != EPIPE) {
            status = command_fail(context, false, &err, 1);
        }
    }
    history_run_release(&run);
    following_release(&f);
    return status;
}

static const struct cli_option logs_options[] = {
    CLI_STRING('n', "tail", "N", "the last N lines", FIELD(tail)),
    CLI_FLAG(0, "control", "what errand did, instead of the script's log",
             FIELD(is_control)),
    CLI_FLAG(0, "prepare", "how its environment was built, instead of the script's log",
             FIELD(is_prepare)),
    CLI_FLAG(0, "engine", "what Spark said, instead of the script's log",
             FIELD(is_engine)),
    CLI_END,
};

const struct cli_command cmd_logs = {
    .name = "logs",
    .usage = "RUN [options]",
    .help = "print what a run's log has now",
    .options = logs_options,
    .args_size_bytes = sizeof(struct follow_args),
    .min_operands = 1,
    .max_operands = 1,
    .run = logs_verb,
};

/* ---- wait ---- */

/* Wait for one run; its exit status, or that of the interrupt. failure: as struct
 * following has it. */
static int wait_for(struct command_context *context, const struct follow_args *args,
                    const char *name, struct json *runs, bool *out_interrupted,
                    struct error *failure)
{
    struct following f = {.context = context};
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = EXIT_ERRAND;
    history_run_init(&run);
    if (following_open(&f, context, name, &run, &err) != 0 ||
        following_check_accepted(&f, &run, &err) != 0) {
        *failure = err;
    } else {
        f.failure = failure;
        f.watch.options.give_up_after_ms = args->give_up_after_ms;
        status = following_go(&f, &run);
        *out_interrupted = f.interrupt.is_interrupted;
        if (following_reload(&f, &run, &err) == 0 &&
            run_state_is_final(run.status.state)) {
            (void)json_append(runs, command_run_to_json(&run, NULL));
        }
    }
    history_run_release(&run);
    following_release(&f);
    return status;
}

static int wait_verb(void *opaque_context, void *opaque, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque_context;
    const struct follow_args *args = opaque;
    struct error err = ERROR_INIT;
    int status = 0;
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *runs = json_add(document, "runs", json_new_array());
    if (command_check_runs(context, operands, operand_count, &err) != 0) {
        return command_fail(context, args->is_json, &err, EXIT_ERRAND);
    }
    for (size_t i = 0; i < operand_count; i++) {
        struct error failure = ERROR_INIT;
        bool is_interrupted = false;
        int one = wait_for(context, args, operands[i], runs, &is_interrupted, &failure);
        if (is_interrupted) {
            return one;
        }
        if (failure.code != ERR_NONE) {
            command_fail_in(context, args->is_json ? document : NULL, &failure);
        }
        status = status == 0 ? one : status;
    }
    if (args->is_json && command_print_json(context, document) != 0) {
        return EXIT_ERRAND;
    }
    return status;
}

static const struct cli_option wait_options[] = {
    CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",
                 FIELD(give_up_after_ms)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_wait = {
    .name = "wait",
    .usage = "RUN... [options]",
    .help = "wait until runs have ended; outputs come home",
    .details = "The exit status is that of the first run, in the order given, that did "
               "not end with 0.",
    .options = wait_options,
    .args_size_bytes = sizeof(struct follow_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .usage_status = EXIT_ERRAND,
    .run = wait_verb,
};
