#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "executor/exitslot.h"
#include "executor/queue.h"
#include "executor/requests.h"
#include "tests/unit/runs.h"

static int open_accepted(struct noderoot *root, const char *id)
{
    struct runspec spec;
    struct error err = ERROR_INIT;
    runs_make_spec(&spec, id);
    assert_int_equal(runs_accept(root, &spec, &err), 1);
    runspec_release(&spec);
    int fd = rundir_open(root, id, &err);
    assert_true(fd >= 0);
    return fd;
}

static size_t count_names(struct noderoot *root, const char *folder)
{
    int fd = files_open_dir(root->fd, folder, NULL);
    DIR *dir = fdopendir(fd);
    size_t count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count - 2;
}

static void finish(int run_fd)
{
    const struct run_exit exit = {.kind = RUN_EXIT_EXITED};
    const struct journal_entry last = {
        .state = RUN_COMPLETED, .attempt = 1, .exit = &exit};
    struct journal j;
    assert_int_equal(journal_open(&j, run_fd, NULL), 0);
    assert_int_equal(journal_append(&j, &last, 1, NULL), 0);
    journal_close(&j);
}

static void an_accepted_run_has_all_its_files(void **state)
{
    static const char *const names[] = {"spec.json", "journal",     "exit",
                                        "requests",  "control",     "driver.log",
                                        "metrics",   "control.log", "work"};
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(fstatat(fd, names[i], &st, 0), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
    assert_int_equal(fstatat(fd, "control", &st, 0), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(fstatat(fd, "exit", &st, 0), 0);
    assert_int_equal(st.st_size, 3 * EXITSLOT_SIZE);
    assert_int_equal(faccessat(root->fd, "queue/run-a", F_OK, 0), 0);
    assert_int_equal(count_names(root, "runs"), 1);
    struct run_status status;
    run_status_init(&status);
    assert_int_equal(journal_read(fd, &status, NULL), 0);
    assert_int_equal(status.state, RUN_STARTING);
    assert_string_equal(status.node, root->node);
    assert_string_equal(status.boot, root->boot);
    run_status_release(&status);
}

static void the_specification_reads_back_with_its_digest(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct runspec spec;
    struct oid digest;
    struct oid same;
    runspec_init(&spec);
    assert_int_equal(rundir_read_spec(fd, &spec, &digest, NULL), 0);
    assert_string_equal(spec.run, "run-a");
    CLEANUP_FREE char *text = file_text(fd, "spec.json");
    oid_of_bytes(text, strlen(text), &same);
    assert_true(oid_equal(&digest, &same));
    runspec_release(&spec);
}

static void the_same_id_is_accepted_once(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    struct runspec spec;
    struct error err = ERROR_INIT;
    runs_make_spec(&spec, "run-a");
    assert_int_equal(runs_accept(root, &spec, &err), 1);
    assert_int_equal(runs_accept(root, &spec, &err), 0);
    spec.attempts = 2;
    assert_int_equal(runs_accept(root, &spec, &err), -1);
    assert_int_equal(err.code, ERR_MISMATCH);
    assert_int_equal(count_names(root, "runs"), 1);
    runspec_release(&spec);
}

static void a_removed_run_leaves_its_tombstone(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct error err = ERROR_INIT;
    struct runspec spec;
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    assert_int_equal(rundir_remove(root, "run-a", &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    finish(fd);
    assert_int_equal(rundir_remove(root, "run-a", &err), 0);
    assert_int_equal(rundir_open(root, "run-a", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(rundir_list(root, &ids, &err), 0);
    assert_int_equal(ids.count, 0);
    assert_int_equal(faccessat(root->fd, "queue/run-a", F_OK, 0), -1);
    CLEANUP_FREE char *text = file_text(root->fd, "runs/run-a.tombstone");
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    assert_int_equal(json_count(json_get(j, "journal")), 2);
    runs_make_spec(&spec, "run-a");
    assert_int_equal(runs_accept(root, &spec, &err), 0);
    spec.attempts = 2;
    assert_int_equal(runs_accept(root, &spec, &err), -1);
    assert_int_equal(err.code, ERR_MISMATCH);
    runspec_release(&spec);
}

static void a_run_whose_supervisors_live_is_not_removed(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct error err = ERROR_INIT;
    finish(fd);
    CLEANUP_FD int held = queue_hold(root, "run-a", &err);
    assert_true(held >= 0);
    assert_int_equal(rundir_remove(root, "run-a", &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
}

/* On a full disk most of a run goes before its tombstone is there. */
static void a_run_that_has_lost_most_is_known_and_removed(void **state)
{
    static const char *const gone[] = {"exit",       "requests", "control",    "work",
                                       "driver.log", "metrics",  "control.log"};
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct runspec spec;
    finish(fd);
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        assert_int_equal(files_remove_tree(fd, gone[i], NULL), 0);
    }
    runs_make_spec(&spec, "run-a");
    assert_int_equal(runs_accept(root, &spec, NULL), 0);
    runspec_release(&spec);
    assert_int_equal(rundir_remove(root, "run-a", NULL), 0);
    assert_int_equal(faccessat(root->fd, "runs/run-a.tombstone", F_OK, 0), 0);
    assert_int_equal(count_names(root, "runs"), 1);
}

static void names_that_are_no_ids_open_nothing(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    static const char *const names[] = {"", ".", "..", "../queue", "a/b", "UPPER", "ab"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct error err = ERROR_INIT;
        assert_int_equal(rundir_open(root, names[i], &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
}

static void a_request_is_written_and_pokes(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct cancel_request found;
    char byte = 0;
    assert_false(requests_find_cancel(fd, 7, &found));
    CLEANUP_FD int control = openat(fd, "control", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(rundir_request(fd, "cancel", "wrong data", "me", -1, NULL), 0);
    assert_int_equal(read(control, &byte, 1), 1);
    assert_true(requests_find_cancel(fd, 7, &found));
    assert_int_equal(found.grace_ms, 7);
    assert_string_equal(found.reason, "wrong data");
    assert_string_equal(found.by, "me");
    assert_int_equal(rundir_request(fd, "cancel", "now", "you", 0, NULL), 0);
    assert_true(requests_find_cancel(fd, 7, &found));
    assert_int_equal(found.grace_ms, 0);
    CLEANUP_FREE char *path = xasprintf("runs/run-a/requests");
    assert_int_equal(count_names(root, path), 2);
}

static void nobody_listening_is_no_error(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    assert_int_equal(rundir_request(fd, "cancel", "", "me", 5, NULL), 0);
}

static void what_is_no_request_is_ignored(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    struct cancel_request found;
    file_write(fd, "requests/.tmp-1", "{\"request\":\"cancel\"}");
    file_write(fd, "requests/1-a.json", "nonsense");
    file_write(fd, "requests/2-a.json", "{\"request\":\"dance\"}");
    file_write(fd, "requests/3-a.json", "[]");
    assert_int_equal(mkdirat(fd, "requests/4-a.json", 0700), 0);
    assert_false(requests_find_cancel(fd, 7, &found));
    file_write(fd, "requests/5-a.json", "{\"request\":\"cancel\",\"grace_ms\":-4}");
    assert_true(requests_find_cancel(fd, 7, &found));
    assert_int_equal(found.grace_ms, 7);
}

static void old_leftovers_are_swept_and_young_ones_kept(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(mkdirat(root->fd, "runs/.new-run-a-123", 0700), 0);
    assert_int_equal(mkdirat(root->fd, "runs/.gone-run-b-123", 0700), 0);
    assert_int_equal(mkdirat(root->fd, "runs/.new-run-c-123", 0700), 0);
    assert_int_equal(utimensat(root->fd, "runs/.new-run-a-123", old, 0), 0);
    assert_int_equal(utimensat(root->fd, "runs/.gone-run-b-123", old, 0), 0);
    assert_int_equal(rundir_sweep(root, NULL), 0);
    assert_int_equal(count_names(root, "runs"), 1);
    assert_int_equal(faccessat(root->fd, "runs/.new-run-c-123", F_OK, 0), 0);
}

static void what_was_collected_is_noted(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = node_root(*state);
    CLEANUP_FD int fd = open_accepted(root, "run-a");
    assert_false(rundir_is_collected(fd));
    assert_int_equal(rundir_set_collected(fd, "{}", 2, NULL), 0);
    assert_true(rundir_is_collected(fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(an_accepted_run_has_all_its_files),
        NODE_TEST(the_specification_reads_back_with_its_digest),
        NODE_TEST(the_same_id_is_accepted_once),
        NODE_TEST(a_removed_run_leaves_its_tombstone),
        NODE_TEST(a_run_whose_supervisors_live_is_not_removed),
        NODE_TEST(a_run_that_has_lost_most_is_known_and_removed),
        NODE_TEST(names_that_are_no_ids_open_nothing),
        NODE_TEST(a_request_is_written_and_pokes),
        NODE_TEST(nobody_listening_is_no_error),
        NODE_TEST(what_is_no_request_is_ignored),
        NODE_TEST(old_leftovers_are_swept_and_young_ones_kept),
        NODE_TEST(what_was_collected_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
