#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/spare.h"
#include "tests/unit/scratch.h"
#include "tests/unit/snapshots.h"

#define FILES 520 /* of which a few changes are a small part */

struct setting {
    struct scratch *scratch;
    struct noderoot node;
    struct store *store;
    int project_fd;
};

/* The folder's tree, put into the store and made a root. */
static struct oid snapshot(struct setting *t, int dir_fd)
{
    struct oid root = snapshots_take(t->store, dir_fd);

    assert_int_equal(store_add_root(t->store, &root, NULL, NULL), 0);
    return root;
}

static void write_file(int dir_fd, const char *name, const char *text)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static int set_up(void **state)
{
    struct setting *t = xcalloc(1, sizeof(*t));
    struct scratch *s = t->scratch = scratch_new();
    CLEANUP_FREE char *path = files_join(s->path, "store");

    t->node = (struct noderoot){.top = s->path, .path = s->path, .fd = s->fd};
    memcpy(t->node.boot, "this-boot", 10);
    t->store = store_open(path, NULL);
    t->project_fd = files_open_or_make_dir(s->fd, "project", NULL);
    for (int i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "file%d", i);
        write_file(t->project_fd, name, "the same in all");
    }
    assert_int_equal(symlinkat("file1", t->project_fd, "link"), 0);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *t = *state;

    store_free(t->store);
    close(t->project_fd);
    scratch_free(t->scratch);
    free(t);
    return 0;
}

static void make(struct setting *t, const struct oid *root)
{
    struct error err = ERROR_INIT;

    if (spare_make(&t->node, t->store, root, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static bool has_spare(struct setting *t, const struct oid *root)
{
    char path[16 + OID_HEX_SIZE] = "spares/";

    oid_to_hex(root, path + strlen(path));
    return faccessat(t->scratch->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Take it as folder name, which then is the snapshot to the last bit. */
static void assert_taken(struct setting *t, const struct oid *root, const char *name)
{
    assert_int_equal(spare_take(&t->node, t->store, root, t->scratch->fd, name), 1);
    CLEANUP_FD int fd = files_open_dir(t->scratch->fd, name, NULL);
    struct oid found = snapshot(t, fd);

    assert_true(oid_equal(&found, root));
}

static void assert_none(struct setting *t, const struct oid *root)
{
    assert_int_equal(spare_take(&t->node, t->store, root, t->scratch->fd, "work"), 0);
    assert_int_equal(faccessat(t->scratch->fd, "work", F_OK, 0), -1);
}

static void a_spare_of_the_snapshot_is_taken_once(void **state)
{
    struct setting *t = *state;
    struct oid root = snapshot(t, t->project_fd);

    assert_none(t, &root);
    make(t, &root);
    make(t, &root); /* is there already */
    assert_taken(t, &root, "work");
    assert_false(has_spare(t, &root));
    assert_int_equal(spare_take(&t->node, t->store, &root, t->scratch->fd, "other"), 0);
}

static void a_spare_of_a_near_snapshot_is_brought_up_to_date(void **state)
{
    struct setting *t = *state;
    struct oid before = snapshot(t, t->project_fd);

    make(t, &before);
    write_file(t->project_fd, "file7", "changed");
    assert_int_equal(unlinkat(t->project_fd, "file8", 0), 0);
    assert_int_equal(unlinkat(t->project_fd, "link", 0), 0);
    assert_int_equal(mkdirat(t->project_fd, "link", 0755), 0);
    struct oid after = snapshot(t, t->project_fd);
    assert_taken(t, &after, "work");
}

static void a_spare_of_another_project_is_left_alone(void **state)
{
    struct setting *t = *state;
    struct oid other = snapshot(t, t->project_fd);

    make(t, &other);
    for (int i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "file%d", i);
        assert_int_equal(unlinkat(t->project_fd, name, 0), 0);
    }
    write_file(t->project_fd, "all is new", "all is new");
    struct oid root = snapshot(t, t->project_fd);
    assert_none(t, &root);
    assert_true(has_spare(t, &other));
}

static void a_spare_of_another_boot_is_not_believed(void **state)
{
    struct setting *t = *state;
    struct oid root = snapshot(t, t->project_fd);

    make(t, &root);
    memcpy(t->node.boot, "next-boot", 10);
    assert_none(t, &root);
    write_file(t->project_fd, "file7", "changed");
    struct oid after = snapshot(t, t->project_fd);
    make(t, &after);
    assert_false(has_spare(t, &root));
    assert_taken(t, &after, "work");
}

static void a_spare_whose_snapshot_was_collected_is_not_used(void **state)
{
    struct setting *t = *state;
    struct oid before = snapshot(t, t->project_fd);

    make(t, &before);
    write_file(t->project_fd, "file7", "changed");
    struct oid after = snapshot(t, t->project_fd);
    assert_int_equal(store_remove_root(t->store, &before, NULL), 0);
    assert_none(t, &after);
}

static void there_are_few(void **state)
{
    struct setting *t = *state;
    struct oid roots[SPARES_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        write_file(t->project_fd, "file0", (char[]){(char)('a' + i), '\0'});
        roots[i] = snapshot(t, t->project_fd);
        make(t, &roots[i]);
    }
    assert_false(has_spare(t, &roots[0]));
    for (size_t i = 1; i < ARRAY_SIZE(roots); i++) {
        assert_true(has_spare(t, &roots[i]));
    }
}

static void what_was_left_half_made_is_removed(void **state)
{
    struct setting *t = *state;
    struct oid root = snapshot(t, t->project_fd);

    make(t, &root);
    assert_int_equal(mkdirat(t->scratch->fd, "spares/.new", 0700), 0);
    write_file(t->scratch->fd, "spares/.new/file", "half");
    assert_int_equal(mkdirat(t->scratch->fd, "spares/.gone-1", 0700), 0);
    write_file(t->project_fd, "file7", "changed");
    struct oid after = snapshot(t, t->project_fd);
    make(t, &after);
    assert_int_equal(faccessat(t->scratch->fd, "spares/.gone-1", F_OK, 0), -1);
    assert_int_equal(faccessat(t->scratch->fd, "spares/.new", F_OK, 0), -1);
    assert_taken(t, &after, "work");
}

static void those_unused_for_a_day_are_swept(void **state)
{
    struct setting *t = *state;
    struct oid old = snapshot(t, t->project_fd);
    struct sweep sweep = {.is_dry = true};
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    char path[16 + OID_HEX_SIZE] = "spares/";
    uint64_t count = 0;

    make(t, &old);
    write_file(t->project_fd, "file7", "changed");
    struct oid new = snapshot(t, t->project_fd);
    make(t, &new);
    oid_to_hex(&old, path + strlen(path));
    assert_int_equal(utimensat(t->scratch->fd, path, long_ago, 0), 0);
    spare_sweep(&t->node, &sweep, &count);
    assert_int_equal(count, 1);
    assert_true(has_spare(t, &old));
    sweep.is_dry = false;
    spare_sweep(&t->node, &sweep, &count);
    assert_int_equal(count, 2);
    assert_true(sweep.bytes > 0);
    assert_false(has_spare(t, &old));
    assert_true(has_spare(t, &new));
    sweep_release(&sweep);
}

static void a_small_project_has_none(void **state)
{
    struct setting *t = *state;

    for (int i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "file%d", i);
        (void)unlinkat(t->project_fd, name, 0);
    }
    struct oid root = snapshot(t, t->project_fd);
    make(t, &root);
    assert_false(has_spare(t, &root));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_spare_of_the_snapshot_is_taken_once),
        TEST(a_spare_of_a_near_snapshot_is_brought_up_to_date),
        TEST(a_spare_of_another_project_is_left_alone),
        TEST(a_spare_of_another_boot_is_not_believed),
        TEST(a_spare_whose_snapshot_was_collected_is_not_used),
        TEST(there_are_few),
        TEST(what_was_left_half_made_is_removed),
        TEST(those_unused_for_a_day_are_swept),
        TEST(a_small_project_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
