#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/exitslot.h"
#include "tests/unit/node.h"

static int open_exit(struct scratch *s)
{
    int fd = openat(s->fd, "exit", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static struct exitslot make_slot(int64_t attempt, enum stage stage, struct run_exit exit)
{
    struct exitslot slot = {
        .attempt = attempt, .stage = stage, .exit = exit, .start = 123, .by = "shim"};
    return slot;
}

static void each_kind_of_end_reads_back(void **state)
{
    static const struct run_exit ends[] = {
        {.kind = RUN_EXIT_EXITED, .code = 0},
        {.kind = RUN_EXIT_EXITED, .code = 255},
        {.kind = RUN_EXIT_SIGNALED, .signal = 9},
        {.kind = RUN_EXIT_COULD_NOT_START, .code = 127},
        {.kind = RUN_EXIT_TIMED_OUT},
        {.kind = RUN_EXIT_UNKNOWN},
    };
    CLEANUP_FD int fd = open_exit(*state);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        int64_t attempt = 1 + (int64_t)i;
        struct exitslot out;
        struct exitslot slot = make_slot(attempt, STAGE_RUN, ends[i]);
        snprintf(slot.step, sizeof(slot.step), "exec");
        snprintf(slot.text, sizeof(slot.text), "a \"text\" with\nodd bytes \xff");
        assert_int_equal(exitslot_allocate(fd, attempt, STAGE_RUN, NULL), 0);
        assert_int_equal(exitslot_read(fd, attempt, STAGE_RUN, &out), EXITSLOT_EMPTY);
        assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
        assert_int_equal(exitslot_read(fd, attempt, STAGE_RUN, &out), EXITSLOT_VALID);
        assert_int_equal(out.exit.kind, ends[i].kind);
        assert_int_equal(out.exit.code, ends[i].code);
        assert_int_equal(out.exit.signal, ends[i].signal);
        assert_int_equal(out.start, 123);
        assert_string_equal(out.by, "shim");
        assert_string_equal(out.step, "exec");
        assert_string_equal(out.text, "a \"text\" with\nodd bytes ?");
    }
}

/* Making room for it again kept what a stage's first start had said. */
static void a_cleared_slot_is_empty_and_its_neighbours_are_not(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    const struct run_exit end = {.kind = RUN_EXIT_EXITED, .code = 3};
    struct exitslot out;
    for (enum stage stage = STAGE_PREPARE; stage <= STAGE_FINALIZE; stage++) {
        struct exitslot slot = make_slot(1, stage, end);
        assert_int_equal(exitslot_allocate(fd, 1, stage, NULL), 0);
        assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    }
    assert_int_equal(exitslot_allocate(fd, 1, STAGE_RUN, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_VALID);
    assert_int_equal(exitslot_clear(fd, 1, STAGE_RUN, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_EMPTY);
    assert_int_equal(exitslot_read(fd, 1, STAGE_PREPARE, &out), EXITSLOT_VALID);
    assert_int_equal(exitslot_read(fd, 1, STAGE_FINALIZE, &out), EXITSLOT_VALID);
}

static void slots_do_not_touch_each_other(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct exitslot out;
    struct exitslot slot =
        make_slot(2, STAGE_FINALIZE, (struct run_exit){.kind = RUN_EXIT_EXITED});
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_EMPTY);
    assert_int_equal(exitslot_read(fd, 2, STAGE_RUN, &out), EXITSLOT_EMPTY);
    assert_int_equal(exitslot_read(fd, 2, STAGE_FINALIZE, &out), EXITSLOT_VALID);
    assert_int_equal(exitslot_read(fd, 3, STAGE_PREPARE, &out), EXITSLOT_EMPTY);
}

/* Any byte that changed makes it unknown, never another end. */
static void a_damaged_slot_is_known_as_such(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct exitslot slot =
        make_slot(1, STAGE_PREPARE, (struct run_exit){.kind = RUN_EXIT_EXITED});
    char bytes[EXITSLOT_SIZE];
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), EXITSLOT_SIZE);
    assert_int_equal(bytes[EXITSLOT_SIZE - 1], '\n');
    for (size_t i = 0; i < EXITSLOT_SIZE - 1; i++) {
        struct exitslot out;
        char bad = (char)(bytes[i] ^ 1);
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)i), 1);
        assert_int_equal(exitslot_read(fd, 1, STAGE_PREPARE, &out), EXITSLOT_BAD);
        assert_int_equal(pwrite(fd, bytes + i, 1, (off_t)i), 1);
    }
    for (off_t size = 1; size < EXITSLOT_SIZE; size += 37) {
        struct exitslot out;
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(exitslot_read(fd, 1, STAGE_PREPARE, &out), EXITSLOT_BAD);
    }
}

static void a_slot_of_another_place_is_not_believed(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct exitslot out;
    struct exitslot slot =
        make_slot(1, STAGE_PREPARE, (struct run_exit){.kind = RUN_EXIT_EXITED});
    char bytes[EXITSLOT_SIZE];
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), EXITSLOT_SIZE);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), EXITSLOT_SIZE), EXITSLOT_SIZE);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_BAD);
}

static void text_that_grows_by_escapes_still_fits(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct exitslot out;
    struct exitslot slot = make_slot(
        1000, STAGE_RUN, (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = 1});
    memset(slot.text, 1, sizeof(slot.text) - 1);
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1000, STAGE_RUN, &out), EXITSLOT_VALID);
    assert_int_equal(out.exit.code, 1);
}

static void an_end_that_no_process_has_is_not_believed(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct exitslot out;
    struct exitslot slot =
        make_slot(1, STAGE_RUN, (struct run_exit){.kind = RUN_EXIT_EXITED, .code = 256});
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_BAD);
    slot.exit.code = -1;
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_BAD);
}

static void allocating_keeps_what_is_there(void **state)
{
    CLEANUP_FD int fd = open_exit(*state);
    struct stat st;
    struct exitslot out;
    struct exitslot slot =
        make_slot(1, STAGE_RUN, (struct run_exit){.kind = RUN_EXIT_EXITED, .code = 3});
    assert_int_equal(exitslot_write(fd, &slot, NULL), 0);
    assert_int_equal(exitslot_allocate(fd, 1, STAGE_RUN, NULL), 0);
    assert_int_equal(exitslot_allocate(fd, 2, STAGE_FINALIZE, NULL), 0);
    assert_int_equal(exitslot_read(fd, 1, STAGE_RUN, &out), EXITSLOT_VALID);
    assert_int_equal(out.exit.code, 3);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 6 * EXITSLOT_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(each_kind_of_end_reads_back),
        NODE_TEST(a_cleared_slot_is_empty_and_its_neighbours_are_not),
        NODE_TEST(slots_do_not_touch_each_other),
        NODE_TEST(a_damaged_slot_is_known_as_such),
        NODE_TEST(a_slot_of_another_place_is_not_believed),
        NODE_TEST(text_that_grows_by_escapes_still_fits),
        NODE_TEST(an_end_that_no_process_has_is_not_believed),
        NODE_TEST(allocating_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
