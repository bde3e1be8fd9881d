#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/processes.h"
#include "tests/unit/node.h"

static const struct cgroup no_cgroup = {.parent_fd = -1, .fd = -1};

/* A child that runs with this environment and waits until its pipe closes. */
struct sleeper {
    pid_t pid;
    int gate;
};

static struct sleeper start(char *const environment[])
{
    struct sleeper s;
    int gate[2];
    int ready[2];
    char byte;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    s.pid = fork();
    if (s.pid == 0) {
        char script[] = "echo; read -r x";
        char name[] = "sh";
        char option[] = "-c";
        char *argv[] = {name, option, script, NULL};
        dup2(gate[0], 0);
        dup2(ready[1], 1);
        close(gate[0]);
        close(gate[1]);
        execve("/bin/sh", argv, environment);
        _exit(1);
    }
    close(gate[0]);
    close(ready[1]);
    /* Its word, not the pipe's end: execve closes descriptors before /proc has the
     * environment. */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    s.gate = gate[1];
    return s;
}

static int finish(struct sleeper *s)
{
    int status = 0;
    close(s->gate);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    return status;
}

static void a_process_is_recognised_by_pid_and_start(void **state)
{
    char *const nothing[] = {NULL};
    struct sleeper s = start(nothing);
    struct process_id id;
    (void)state;
    assert_true(process_identify(s.pid, &id));
    assert_int_equal(id.pid, s.pid);
    assert_true(process_is_alive(&id));
    struct process_id other = id;
    other.start++;
    assert_false(process_is_alive(&other));
    assert_int_equal(process_open(&other), -1);
    int fd = process_open(&id);
    if (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 0), 0);
        kill(s.pid, SIGKILL);
        assert_int_equal(poll(&p, 1, 10000), 1);
        close(fd);
    } else {
        kill(s.pid, SIGKILL);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)s.pid, &info, WEXITED | WNOWAIT), 0);
    }
    assert_false(process_is_alive(&id)); /* a zombie does not live */
    finish(&s);
    assert_false(process_identify(s.pid, &id));
}

static void descendants_are_found_and_ended(void **state)
{
    char *const nothing[] = {NULL};
    (void)state;
    CLEANUP(processes_cleanup)
    struct processes *p = processes_new("run-under-test", &no_cgroup, 0);
    size_t before = 0;
    assert_true(processes_find(p, &before));
    struct sleeper a = start(nothing);
    struct sleeper b = start(nothing);
    size_t count = 0;
    assert_true(processes_find(p, &count));
    assert_int_equal(count, before + 2);
    processes_signal(p, SIGTERM);
    processes_signal(p, SIGTERM);
    assert_true(WIFSIGNALED(finish(&a)));
    assert_true(WIFSIGNALED(finish(&b)));
    assert_int_equal(processes_signalled(p), before + 2);
    assert_true(processes_find(p, &count));
    assert_int_equal(count, before);
}

/* A process that is nobody's child of ours: known by its environment alone. */
static pid_t start_stranger(char *const environment[])
{
    int said[2];
    pid_t stranger = 0;
    assert_int_equal(pipe(said), 0);
    pid_t between = fork();
    if (between == 0) {
        struct sleeper s = start(environment);
        (void)!write(said[1], &s.pid, sizeof(s.pid));
        pause(); /* holds the gate and is its parent, outside of the tree that is looked
                    at */
        _exit(0);
    }
    assert_int_equal(read(said[0], &stranger, sizeof(stranger)), sizeof(stranger));
    close(said[0]);
    close(said[1]);
    return stranger;
}

/* Look from a child, so that the stranger, our own grandchild, is not below the looker.
 */
static size_t count_from_a_child(const char *run_id, uint64_t oldest)
{
    int said[2];
    size_t count = 0;
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        struct processes *p = processes_new(run_id, &no_cgroup, oldest);
        (void)processes_find(p, &count);
        (void)!write(said[1], &count, sizeof(count));
        _exit(0);
    }
    assert_int_equal(read(said[0], &count, sizeof(count)), sizeof(count));
    waitpid(child, NULL, 0);
    close(said[0]);
    close(said[1]);
    return count;
}

static void end_children(void)
{
    CLEANUP(processes_cleanup)
    struct processes *p = processes_new("nobody-s-run", &no_cgroup, 0);
    size_t count = 1;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (count > 0) {
        (void)processes_find(p, &count);
        processes_kill(p);
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}

static void a_process_that_carries_the_id_is_found_wherever_it_is(void **state)
{
    char id[] = "ERRAND_RUN_ID=run-under-test";
    char role[] = "ERRAND_ROLE=supervisor";
    char other[] = "ERRAND_RUN_ID=run-under-testing";
    char filler[20000];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    memcpy(filler, "FILL=", 5);
    char *const ours[] = {filler, id, NULL};
    char *const supervisors[] = {id, role, NULL};
    char *const others[] = {other, NULL};
    (void)state;
    pid_t stranger = start_stranger(ours);
    start_stranger(supervisors);
    start_stranger(others);
    assert_int_equal(count_from_a_child("run-under-test", 0), 1);
    struct process_id identity;
    assert_true(process_identify(stranger, &identity));
    assert_int_equal(count_from_a_child("run-under-test", identity.start), 1);
    assert_int_equal(count_from_a_child("run-under-test", identity.start + 1000000), 0);
    end_children();
}

static void what_carries_another_live_runs_id_is_spared_with_all_below_it(void **state)
{
    struct scratch *scratch = *state;
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(scratch);
    char id[] = "ERRAND_RUN_ID=inner-run";
    CLEANUP_FREE char *dir = xasprintf("ERRAND_RUN_DIR=%s/runs/inner-run", root->path);
    char *const environment[] = {id, dir, NULL};
    size_t before = 0;
    size_t count = 0;
    CLEANUP(processes_cleanup)
    struct processes *p = processes_new("outer-run", &no_cgroup, 0);
    assert_int_equal(mkdirat(root->fd, "runs/inner-run", 0700), 0);
    assert_true(processes_find(p, &before));
    struct sleeper inner = start(environment);
    file_write(root->fd, "queue/inner-run", "{}");
    assert_true(processes_find(p, &count));
    assert_int_equal(count, before);
    processes_kill(p);
    struct process_id identity;
    assert_true(process_identify(inner.pid, &identity));
    /* A run that is over has no say. */
    assert_int_equal(unlinkat(root->fd, "queue/inner-run", 0), 0);
    assert_true(processes_find(p, &count));
    assert_int_equal(count, before + 1);
    finish(&inner);
}

static void the_process_on_record_is_ours_if_it_is_the_very_one(void **state)
{
    char *const nothing[] = {NULL};
    struct process_id id;
    (void)state;
    pid_t stranger = start_stranger(nothing);
    assert_true(process_identify(stranger, &id));
    for (uint64_t off = 0; off < 2; off++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            struct processes *p = processes_new("run-under-test", &no_cgroup, 0);
            struct process_id recorded = {.pid = id.pid, .start = id.start + off};
            size_t count = 0;
            processes_set_recorded(p, &recorded);
            (void)processes_find(p, &count);
            _exit((int)count);
        }
        waitpid(child, &status, 0);
        assert_int_equal(WEXITSTATUS(status), off == 0 ? 1 : 0);
    }
    end_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_recognised_by_pid_and_start),
        cmocka_unit_test(descendants_are_found_and_ended),
        cmocka_unit_test(a_process_that_carries_the_id_is_found_wherever_it_is),
        NODE_TEST(what_carries_another_live_runs_id_is_spared_with_all_below_it),
        cmocka_unit_test(the_process_on_record_is_ours_if_it_is_the_very_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
