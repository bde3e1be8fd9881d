#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/supervise.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "executor/arguments.h"
#include "executor/exitslot.h"
#include "executor/outputs.h"
#include "executor/processes.h"
#include "executor/rundir.h"

/* The supervisor's last line tells why: our slot has room for it on a full disk too. */
static void say_why(int run_fd, int64_t attempt, const char *text)
{
    CLEANUP_FD int exit_fd = openat(run_fd, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct process_id self = {.pid = 0};
    (void)process_identify(getpid(), &self);
    struct exitslot slot = {
        .attempt = attempt,
        .stage = STAGE_FINALIZE,
        .exit = {.kind = RUN_EXIT_EXITED, .code = 1},
        .start = self.start,
        .by = "finalize",
    };
    snprintf(slot.text, sizeof(slot.text), "%.*s", EXITSLOT_TEXT_MAX - 1, text);
    if (exit_fd >= 0) {
        (void)exitslot_write(exit_fd, &slot, NULL);
    }
}

int finalize_main(int argc, char **argv)
{
    struct arguments args;
    struct error err = ERROR_INIT;
    if (arguments_parse(argc, argv, &args, &err) < 0) {
        fprintf(stderr, "errand-executor: %s\n", err.text);
        return 2;
    }
    CLEANUP(noderoot_cleanup) struct noderoot *root = noderoot_open(args.root, &err);
    CLEANUP_FD int run_fd = root == NULL ? -1 : rundir_open(root, args.run, &err);
    if (run_fd < 0) {
        return 1;
    }
    CLEANUP_FD int log_fd =
        openat(run_fd, "control.log", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    const struct log log = {.fd = log_fd, .word = "finalize"};
    struct runspec spec;
    runspec_init(&spec);
    int result = rundir_read_spec(run_fd, &spec, NULL, &err);
    if (result == 0) {
        result = outputs_collect(run_fd, &spec, &err);
    }
    if (result < 0) {
        log_line(&log, "the outputs could not be collected: %s", err.text);
        say_why(run_fd, args.attempt, err.text);
    }
    runspec_release(&spec);
    return result < 0;
}
