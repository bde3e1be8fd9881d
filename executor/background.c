#define _GNU_SOURCE /* sched_setscheduler, syscall */
#include "executor/background.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/subprocess.h"
#include "common/variables.h"

#define NICENESS 19
#define IOPRIO_IDLE (3 << 13) /* ioprio_set(2): IOPRIO_CLASS_IDLE */
#define IOPRIO_THIS_PROCESS 1

void background_start(const char *const *argv)
{
    CLEANUP_STRVEC struct strvec environment = STRVEC_INIT;
    variables_inherit(&environment);
    struct subprocess sp = {
        .argv = argv,
        .env = (const char *const *)strvec_argv(&environment),
        .in = SUBPROCESS_NULL,
        .out = SUBPROCESS_NULL,
        .error = SUBPROCESS_NULL,
        .want_session = true,
    };
    int status;
    if (subprocess_start(&sp, NULL) == 0) {
        (void)subprocess_wait(&sp, &status, NULL); /* it forks at once */
    }
}

bool background_become(bool is_idle, int *out_status)
{
    const struct sched_param none = {.sched_priority = 0};
    pid_t pid = fork();
    *out_status = pid < 0;
    if (pid != 0) {
        return false;
    }
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    if (!is_idle) {
        return true;
    }
#ifdef SCHED_IDLE
    (void)sched_setscheduler(0, SCHED_IDLE, &none);
#endif
#ifdef SYS_ioprio_set
    (void)syscall(SYS_ioprio_set, IOPRIO_THIS_PROCESS, 0, IOPRIO_IDLE);
#endif
    return true;
}
