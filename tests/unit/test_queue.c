#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/strvec.h"
#include "executor/queue.h"
#include "tests/unit/node.h"

static int64_t add(struct noderoot *root, const char *id)
{
    struct queue_entry entry = {.accepted_utc_ms = 1000, .priority = -2, .slots = 1};
    struct error err = ERROR_INIT;
    snprintf(entry.run, sizeof(entry.run), "%s", id);
    snprintf(entry.executor, sizeof(entry.executor), "abc");
    CLEANUP_FD int lock = queue_lock(root, &err);
    assert_true(lock >= 0);
    struct files_aside aside;
    assert_int_equal(queue_prepare(root, &entry, &aside, &err), 0);
    assert_int_equal(files_aside_commit(&aside, &err), 0);
    return entry.ticket;
}

static void an_entry_reads_back(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct queue_entry out;
    struct stat st;
    assert_non_null(root);
    assert_int_equal(add(root, "run-a"), 1);
    assert_int_equal(queue_read_id(root, "run-a", &out, NULL), 0);
    assert_string_equal(out.run, "run-a");
    assert_string_equal(out.executor, "abc");
    assert_int_equal(out.accepted_utc_ms, 1000);
    assert_int_equal(out.priority, -2);
    assert_int_equal(out.slots, 1);
    assert_int_equal(out.process.pid, 0);
    assert_false(out.is_granted);
    assert_int_equal(fstatat(root->fd, "queue/run-a", &st, 0), 0);
    assert_int_equal(st.st_size, 4097);
}

static void tickets_count_up_and_survive_damage(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    assert_int_equal(add(root, "run-a"), 1);
    assert_int_equal(add(root, "run-b"), 2);
    assert_int_equal(queue_remove(root, "run-b", NULL), 0);
    assert_int_equal(add(root, "run-c"), 3);
    file_write(root->fd, "queue/ticket", "nonsense");
    assert_true(add(root, "run-d") >= 1);
}

static void a_process_is_put_on_record_in_place(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct queue_entry entry;
    struct queue_entry out;
    struct stat before;
    struct stat after;
    add(root, "run-a");
    CLEANUP_FD int fd = queue_hold(root, "run-a", NULL);
    assert_true(fd >= 0);
    assert_int_equal(queue_read(fd, &entry, NULL), 0);
    assert_int_equal(fstat(fd, &before), 0);
    entry.process = (struct process_id){.boot = "b", .pid = 42, .start = 4711};
    entry.attempt = 3;
    entry.is_granted = true;
    assert_int_equal(queue_write(fd, &entry, NULL), 0);
    assert_int_equal(queue_read_id(root, "run-a", &out, NULL), 0);
    assert_int_equal(out.process.pid, 42);
    assert_int_equal(out.process.start, 4711);
    assert_string_equal(out.process.boot, "b");
    assert_int_equal(out.attempt, 3);
    assert_true(out.is_granted);
    assert_int_equal(fstatat(root->fd, "queue/run-a", &after, 0), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
}

static void a_held_entry_is_busy_until_it_is_given_up(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct error err = ERROR_INIT;
    add(root, "run-a");
    assert_false(queue_is_held(root, "run-a"));
    int fd = queue_hold(root, "run-a", &err);
    assert_true(fd >= 0);
    assert_true(queue_is_held(root, "run-a"));
    assert_int_equal(queue_hold(root, "run-a", &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    close(fd);
    assert_false(queue_is_held(root, "run-a"));
    assert_int_equal(queue_hold(root, "run-b", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void the_list_has_entries_alone(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    add(root, "run-b");
    add(root, "run-a");
    assert_int_equal(queue_list(root, &ids, NULL), 0);
    assert_int_equal(ids.count, 2);
    assert_string_equal(ids.items[0], "run-a");
}

static void what_is_no_entry_is_damaged(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct queue_entry out;
    struct error err = ERROR_INIT;
    file_write(root->fd, "queue/run-a", "{\"run\":\"run-a\"}");
    assert_int_equal(queue_read_id(root, "run-a", &out, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

/* A negative pid, or one that is cut to another, would be somebody else's to kill. */
static void a_process_that_cannot_be_is_damage(void **state)
{
    static const char *const pids[] = {"-1", "0", "4294967297", "\"1\""};
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct queue_entry out;
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_FREE char *text = xasprintf(
            "{\"run\":\"run-a\",\"ticket\":1,\"accepted\":\"2026-11-23T10:00:00.000Z\","
            "\"priority\":0,\"resources\":{\"slots\":1,\"gpus\":0},\"grant\":null,"
            "\"executor\":\"e\",\"process\":{\"boot\":\"b\",\"pid\":%s,\"start\":1,"
            "\"attempt\":1}}",
            pids[i]);
        file_write(root->fd, "queue/run-a", text);
        assert_int_equal(queue_read_id(root, "run-a", &out, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_non_null(strstr(err.text, "pid"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(an_entry_reads_back),
        NODE_TEST(tickets_count_up_and_survive_damage),
        NODE_TEST(a_process_is_put_on_record_in_place),
        NODE_TEST(a_held_entry_is_busy_until_it_is_given_up),
        NODE_TEST(the_list_has_entries_alone),
        NODE_TEST(what_is_no_entry_is_damaged),
        NODE_TEST(a_process_that_cannot_be_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
