/* errand attend livy: what a run's stage starts; no verb of a person's. [controller] */
#include "common/bytes.h"
#include "controller/attend_livy.h"
#include "controller/command.h"

struct attend_args {
    char *run_folder, *attempt, *task;
};

#define FIELD(name) offsetof(struct attend_args, name)

static int attend_verb(void *opaque, void *opaque_args, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque;
    const struct attend_args *args = opaque_args;
    struct error err = ERROR_INIT;
    uint64_t attempt = 0;
    enum attend_livy_task task = ATTEND_LIVY_SCRIPT;
    (void)operands, (void)operand_count;
    if (args->run_folder == NULL || args->attempt == NULL ||
        bytes_parse_u64(args->attempt, RUNSPEC_ATTEMPTS_MAX, &attempt, &err) != 0) {
        error_set(&err, ERR_USAGE, "errand attend livy is started by errand itself");
        return command_fail(context, false, &err, EXIT_ERRAND);
    }
    if (args->task != NULL && attend_livy_task_parse(args->task, &task, &err) != 0) {
        return command_fail(context, false, &err, EXIT_ERRAND);
    }
    return attend_livy(args->run_folder, (int64_t)attempt, task);
}

static const struct cli_option attend_options[] = {
    CLI_STRING(0, "run-folder", "DIR", "the run's folder", FIELD(run_folder)),
    CLI_STRING(0, "attempt", "N", "which attempt", FIELD(attempt)),
    CLI_STRING(0, "task", "WHAT", "what to do: script, python or environment",
               FIELD(task)),
    CLI_END,
};

const struct cli_command cmd_attend_livy = {
    .name = "attend livy",
    .usage = "--run-folder DIR --attempt N [--task WHAT]",
    .help = "look after a run on a Livy's cluster",
    .options = attend_options,
    .args_size_bytes = sizeof(struct attend_args),
    .run = attend_verb,
    .usage_status = EXIT_ERRAND,
};
