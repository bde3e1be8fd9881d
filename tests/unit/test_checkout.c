#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store.h"
#include "executor/checkout.h"
#include "tests/unit/runs.h"
#include "tests/unit/snapshots.h"

struct setting {
    struct scratch *scratch;
    struct store *store;
    struct runspec spec;
    struct noderoot node; /* without spares */
    int run_fd;
};

/* A snapshot with a script and, where asked, an outputs folder of its own. */
static void set_up(struct setting *t, struct scratch *s, bool has_outputs)
{
    t->scratch = s;
    t->node = (struct noderoot){.path = s->path, .fd = s->fd};
    CLEANUP_FREE char *path = files_join(s->path, "store");
    t->store = store_open(path, NULL);
    assert_non_null(t->store);
    assert_int_equal(mkdirat(s->fd, "project", 0700), 0);
    file_write(s->fd, "project/train.py", "as sent");
    if (has_outputs) {
        assert_int_equal(mkdirat(s->fd, "project/outputs", 0700), 0);
        file_write(s->fd, "project/outputs/seed", "from the snapshot");
    }
    CLEANUP_FD int project = files_open_dir(s->fd, "project", NULL);
    runs_make_spec(&t->spec, "run-a");
    t->spec.root = snapshots_take(t->store, project);
    assert_int_equal(mkdirat(s->fd, "run", 0700), 0);
    t->run_fd = files_open_dir(s->fd, "run", NULL);
    assert_int_equal(mkdirat(t->run_fd, "work", 0700), 0);
}

static void tear_down(struct setting *t)
{
    store_free(t->store);
    runspec_release(&t->spec);
    close(t->run_fd);
}

static void check_out(struct setting *t)
{
    struct checkout_facts facts;
    struct error err = ERROR_INIT;
    assert_int_equal(checkout_make(&t->node, t->run_fd, t->store, &t->spec, &facts, &err),
                     0);
    assert_int_equal(faccessat(t->run_fd, "work.new", F_OK, 0), -1);
    assert_int_equal(faccessat(t->run_fd, "work.old", F_OK, 0), -1);
}

static void assert_text(struct setting *t, const char *path, const char *text)
{
    CLEANUP_FREE char *found = file_text(t->run_fd, path);
    assert_string_equal(found, text);
}

static bool is_there(struct setting *t, const char *path)
{
    return faccessat(t->run_fd, path, F_OK, 0) == 0;
}

static void the_first_attempt_has_the_snapshot_and_empty_outputs(void **state)
{
    struct setting t;
    set_up(&t, *state, false);
    strvec_push(&t.spec.outputs, "a/b/c");
    check_out(&t);
    assert_text(&t, "work/train.py", "as sent");
    assert_true(is_there(&t, "work/outputs"));
    assert_true(is_there(&t, "work/a/b/c"));
    tear_down(&t);
}

static void a_further_attempt_is_fresh_but_for_its_outputs(void **state)
{
    struct setting t;
    set_up(&t, *state, true);
    check_out(&t);
    assert_text(&t, "work/outputs/seed", "from the snapshot");
    file_write(t.run_fd, "work/train.py", "changed by the script");
    file_write(t.run_fd, "work/left", "over");
    file_write(t.run_fd, "work/outputs/model", "half trained");
    assert_int_equal(unlinkat(t.run_fd, "work/outputs/seed", 0), 0);
    check_out(&t);
    assert_text(&t, "work/train.py", "as sent");
    assert_false(is_there(&t, "work/left"));
    assert_text(&t, "work/outputs/model", "half trained");
    assert_false(is_there(&t, "work/outputs/seed"));
    tear_down(&t);
}

/* Each place where it can be interrupted, then again. */
static void an_interrupted_checkout_loses_no_outputs(void **state)
{
    struct setting t;
    set_up(&t, *state, true);
    check_out(&t);
    file_write(t.run_fd, "work/outputs/model", "half trained");
    /* While the new tree was being written. */
    assert_int_equal(mkdirat(t.run_fd, "work.new", 0700), 0);
    file_write(t.run_fd, "work.new/half", "written");
    assert_int_equal(mkdirat(t.run_fd, "work.new/outputs", 0700), 0);
    check_out(&t);
    assert_text(&t, "work/outputs/model", "half trained");
    assert_false(is_there(&t, "work/half"));
    /* After the outputs were moved. */
    assert_int_equal(mkdirat(t.run_fd, "work.new", 0700), 0);
    assert_int_equal(renameat(t.run_fd, "work/outputs", t.run_fd, "work.new/outputs"), 0);
    check_out(&t);
    assert_text(&t, "work/outputs/model", "half trained");
    /* Between the two renames. */
    assert_int_equal(renameat(t.run_fd, "work", t.run_fd, "work.new"), 0);
    assert_int_equal(mkdirat(t.run_fd, "work.old", 0700), 0);
    check_out(&t);
    assert_text(&t, "work/outputs/model", "half trained");
    assert_text(&t, "work/train.py", "as sent");
    tear_down(&t);
}

static void a_link_in_the_place_of_outputs_is_not_followed(void **state)
{
    struct setting t;
    set_up(&t, *state, false);
    check_out(&t);
    assert_int_equal(mkdirat(t.scratch->fd, "elsewhere", 0700), 0);
    file_write(t.scratch->fd, "elsewhere/precious", "kept");
    assert_int_equal(unlinkat(t.run_fd, "work/outputs", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("../../elsewhere", t.run_fd, "work/outputs"), 0);
    check_out(&t);
    CLEANUP_FREE char *found = file_text(t.scratch->fd, "elsewhere/precious");
    assert_string_equal(found, "kept");
    struct stat st;
    assert_int_equal(fstatat(t.run_fd, "work/outputs", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    tear_down(&t);
}

static void a_missing_object_is_an_error_that_leaves_the_old_tree(void **state)
{
    struct setting t;
    struct checkout_facts facts;
    struct error err = ERROR_INIT;
    set_up(&t, *state, false);
    check_out(&t);
    memset(&t.spec.root, 1, sizeof(t.spec.root));
    assert_int_equal(checkout_make(&t.node, t.run_fd, t.store, &t.spec, &facts, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_text(&t, "work/train.py", "as sent");
    tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(the_first_attempt_has_the_snapshot_and_empty_outputs),
        NODE_TEST(a_further_attempt_is_fresh_but_for_its_outputs),
        NODE_TEST(an_interrupted_checkout_loses_no_outputs),
        NODE_TEST(a_link_in_the_place_of_outputs_is_not_followed),
        NODE_TEST(a_missing_object_is_an_error_that_leaves_the_old_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
