/* cgroup: what is read of a group's files. A folder stands for the group: what the kernel
 * does is tested where there is one to be had (e2e). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "executor/cgroup.h"
#include "tests/unit/node.h"

static void kill_so_many(const struct scratch *s, int count)
{
    CLEANUP_FREE char *text = xasprintf("low 0\noom 1\noom_kill %d\n", count);
    scratch_write(s, "memory.events", text);
}

/* An attempt that somebody killed was called out of memory, as the one before it was. */
static void what_killed_an_attempt_is_no_proof_for_the_next(void **state)
{
    const struct scratch *s = *state;
    struct cgroup cg = {.parent_fd = -1, .fd = s->fd};
    kill_so_many(s, 3);
    cgroup_begin_attempt(&cg);
    assert_false(cgroup_was_out_of_memory(&cg));
    kill_so_many(s, 4);
    assert_true(cgroup_was_out_of_memory(&cg));
    cgroup_begin_attempt(&cg);
    assert_false(cgroup_was_out_of_memory(&cg));
}

static void without_a_group_nothing_is_proven(void **state)
{
    struct cgroup cg = {.parent_fd = -1, .fd = -1};
    (void)state;
    cgroup_begin_attempt(&cg);
    assert_false(cgroup_was_out_of_memory(&cg));
    assert_false(cgroup_is_empty(&cg));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(what_killed_an_attempt_is_no_proof_for_the_next),
        NODE_TEST(without_a_group_nothing_is_proven),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
