#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/supervise.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "executor/arguments.h"
#include "executor/outputs.h"
#include "executor/rundir.h"

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
    }
    runspec_release(&spec);
    return result < 0;
}
