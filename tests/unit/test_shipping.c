#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "executor/shipping.h"
#include "tests/unit/runs.h"
#include "tests/unit/stores.h"

#define NAME "projects/0123.tar"
#define FILE_THERE "cluster/" NAME
#define DAY_MS (24 * HOUR_MS)

/* A node, a run of it, and a cluster whose file system is a folder. */
struct place {
    const struct scratch *s;
    struct noderoot *root;
    struct programs *programs;
    struct clusterfs fs;
    char *base;
    int run_fd;
    struct shipping shipping;
};

static void place_open(struct place *p, const struct scratch *s)
{
    struct runspec spec;

    p->s = s;
    p->root = node_root(s);
    assert_non_null(p->root);
    runs_make_spec(&spec, "arun");
    assert_true(runs_accept(p->root, &spec, NULL) >= 0);
    runspec_release(&spec);
    p->programs = programs_new(-1, -1);
    clusterfs_init(&p->fs, p->programs);
    p->base = xasprintf("file://%s/cluster", s->path);
    p->run_fd = rundir_open(p->root, "arun", NULL);
    p->shipping = (struct shipping){.root = p->root,
                                    .fs = &p->fs,
                                    .base = p->base,
                                    .run = "arun",
                                    .run_fd = p->run_fd};
    scratch_write(s, "made", "");
}

static void place_close(struct place *p)
{
    close(p->run_fd);
    clusterfs_release(&p->fs);
    programs_free(p->programs);
    noderoot_free(p->root);
    free(p->base);
}

/* Say in a file that it was made. */
static int make(void *context, int fd, struct error *err)
{
    const struct place *p = context;
    CLEANUP_FD int made = openat(p->s->fd, "made", O_WRONLY | O_APPEND | O_CLOEXEC);

    (void)err;
    assert_int_equal(fdio_write_full(made, "x", 1), 0);
    return fdio_write_full(fd, "content", 7);
}

static int make_nothing(void *context, int fd, struct error *err)
{
    (void)context, (void)fd;
    return error_set(err, ERR_UNSUPPORTED, "it cannot be made");
}

static int send(struct place *p, struct error *err)
{
    CLEANUP_FREE char *uri = NULL;
    const struct cargo cargo = {
        .name = NAME, .what = "the thing", .make = make, .context = p};
    int result = shipping_send(&p->shipping, &cargo, &uri, err);

    if (result >= 0) {
        CLEANUP_FREE char *want = xasprintf("%s/" NAME, p->base);
        assert_string_equal(uri, want);
    }
    return result;
}

static void it_is_made_and_sent_once(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    assert_file(p.s, "cluster/" NAME, "content");
    assert_int_equal(send(&p, &err), 0);
    assert_file(p.s, "made", "x");
    assert_false(scratch_exists(p.s, "root/shipped/.tmp-arun"));
    place_close(&p);
}

/* Where nobody asks the cluster, only the record can know: it is believed. */
static void what_is_recorded_is_asked_of_nobody(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    assert_int_equal(files_remove_tree(p.s->fd, "cluster", NULL), 0);
    assert_int_equal(send(&p, &err), 0);
    assert_false(scratch_exists(p.s, "cluster"));
    place_close(&p);
}

static void what_vanished_and_was_forgotten_is_sent_again(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    assert_int_equal(files_remove_tree(p.s->fd, "cluster", NULL), 0);
    shipping_forget(&p.shipping, NAME);
    assert_int_equal(send(&p, &err), 1);
    assert_file(p.s, "cluster/" NAME, "content");
    place_close(&p);
}

static void what_another_node_sent_is_not_made(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_mkdir(p.s, "cluster");
    scratch_mkdir(p.s, "cluster/projects");
    scratch_write(p.s, "cluster/" NAME, "content");
    assert_int_equal(send(&p, &err), 0);
    assert_file(p.s, "made", "");
    place_close(&p);
}

static void a_failure_leaves_nothing_and_the_next_one_tries(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *uri = NULL;

    place_open(&p, *state);
    const struct cargo cargo = {.name = NAME, .what = "the thing", .make = make_nothing};
    assert_int_equal(shipping_send(&p.shipping, &cargo, &uri, &err), -1);
    assert_string_equal(err.text, "pack the thing: it cannot be made");
    assert_false(scratch_exists(p.s, "root/shipped/.tmp-arun"));
    assert_false(scratch_exists(p.s, "cluster/" NAME));
    assert_int_equal(send(&p, &err), 1);
    place_close(&p);
}

/* Their starts lie apart: each has to find the others' lock, or their record. */
static void of_many_at_once_one_makes_it(void **state)
{
    struct place p;
    pid_t children[6];

    place_open(&p, *state);
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(send(&p, NULL) < 0);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_file(p.s, "made", "x");
    assert_file(p.s, "cluster/" NAME, "content");
    place_close(&p);
}

/* ---- What janitor does */

static uint64_t collect(const struct place *p, bool is_dry)
{
    struct sweep sweep = {.is_dry = is_dry};
    uint64_t count = 0;

    shipping_collect(p->root, 2 * DAY_MS, &sweep, &count);
    assert_int_equal(sweep.warnings.count, 0);
    sweep_release(&sweep);
    return count;
}

/* Set the record's last use so long ago. */
static void age_record(const struct place *p, int64_t age_ms)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    struct oid digest;
    char hex[OID_HEX_SIZE];

    oid_of_bytes(p->base, strlen(p->base), &digest);
    oid_to_hex(&digest, hex);
    strbuf_printf(&path, "root/shipped/%.16s/projects+0123.tar", hex);
    make_old(p->s, path.data, age_ms);
}

static void end_run(const struct place *p)
{
    int fd = openat(p->run_fd, "journal", O_WRONLY | O_APPEND | O_CLOEXEC);
    static const char line[] =
        "{\"seq\":2,\"time\":\"2026-11-28T00:00:00.000Z\",\"attempt\":1,\"state\":"
        "\"Completed\",\"reason\":\"\",\"exit\":{\"kind\":\"exited\",\"code\":0}}\n";

    assert_int_equal(fdio_write_full(fd, line, strlen(line)), 0);
    close(fd);
}

static void what_nobody_used_for_long_goes_from_the_cluster(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    end_run(&p);
    make_old(p.s, FILE_THERE, 30 * DAY_MS);
    age_record(&p, DAY_MS);
    assert_int_equal(collect(&p, false), 0);
    age_record(&p, 3 * DAY_MS);
    assert_int_equal(collect(&p, true), 1);
    assert_true(scratch_exists(p.s, "cluster/" NAME));
    assert_int_equal(collect(&p, false), 1);
    assert_false(scratch_exists(p.s, "cluster/" NAME));
    assert_int_equal(send(&p, &err), 1);
    place_close(&p);
}

static void what_a_live_run_needs_stays_however_old(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    age_record(&p, 300 * DAY_MS);
    assert_int_equal(collect(&p, false), 0);
    assert_true(scratch_exists(p.s, "cluster/" NAME));
    place_close(&p);
}

/* By another node, which says so once a day. */
static void what_somebody_used_there_lately_stays(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    end_run(&p);
    age_record(&p, 30 * DAY_MS);
    make_old(p.s, FILE_THERE, 3 * DAY_MS - HOUR_MS);
    assert_int_equal(collect(&p, false), 0);
    assert_true(scratch_exists(p.s, FILE_THERE));
    make_old(p.s, FILE_THERE, 3 * DAY_MS + HOUR_MS);
    assert_int_equal(collect(&p, false), 1);
    assert_false(scratch_exists(p.s, FILE_THERE));
    place_close(&p);
}

static void what_the_killed_left_there_goes(void **state)
{
    static const struct {
        const char *name;
        int64_t age_ms;
        bool stays;
    } rows[] = {
        {"cluster/projects/.tmp.brun.x.tar", 2 * DAY_MS, false},
        {"cluster/projects/.tmp.crun.x.tar", HOUR_MS, true},
        {"cluster/projects/y.tar._COPYING_", 2 * DAY_MS, false},
        {"cluster/projects/of-another-node.tar", 300 * DAY_MS, true},
        {"cluster/outputs/brun-1.tar", 3 * DAY_MS, false},
        {"cluster/outputs/brun-2.tar.tmp", 3 * DAY_MS, false},
        {"cluster/outputs/crun-1.tar", DAY_MS, true},
        {"cluster/outputs/arun-1.tar", 3 * DAY_MS, true}, /* which lives */
    };
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    CLEANUP_FREE char *needed = xasprintf("%s/outputs/arun-1.tar", p.base);
    assert_int_equal(shipping_need(&p.shipping, needed, &err), 0);
    scratch_mkdir(p.s, "cluster/outputs");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        scratch_write(p.s, rows[i].name, "x");
        make_old(p.s, rows[i].name, rows[i].age_ms);
    }
    assert_int_equal(collect(&p, true), 4);
    assert_int_equal(collect(&p, false), 4);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(scratch_exists(p.s, rows[i].name), rows[i].stays);
    }
    place_close(&p);
}

static void what_begins_with_a_name_is_removed_at_once(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    assert_int_equal(shipping_remove(p.root, "projects/1", &err), 0);
    assert_true(scratch_exists(p.s, FILE_THERE));
    assert_int_equal(shipping_remove(p.root, "projects/012", &err), 0);
    assert_false(scratch_exists(p.s, FILE_THERE));
    assert_false(shipping_is_known(&p.shipping, NAME));
    place_close(&p);
}

static void a_use_makes_it_young_again(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    assert_int_equal(send(&p, &err), 1);
    end_run(&p);
    age_record(&p, 3 * DAY_MS);
    assert_int_equal(send(&p, &err), 0);
    assert_int_equal(collect(&p, false), 0);
    assert_true(scratch_exists(p.s, "cluster/" NAME));
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(it_is_made_and_sent_once),
        NODE_TEST(what_is_recorded_is_asked_of_nobody),
        NODE_TEST(what_vanished_and_was_forgotten_is_sent_again),
        NODE_TEST(what_another_node_sent_is_not_made),
        NODE_TEST(a_failure_leaves_nothing_and_the_next_one_tries),
        NODE_TEST(of_many_at_once_one_makes_it),
        NODE_TEST(what_nobody_used_for_long_goes_from_the_cluster),
        NODE_TEST(what_a_live_run_needs_stays_however_old),
        NODE_TEST(what_somebody_used_there_lately_stays),
        NODE_TEST(what_the_killed_left_there_goes),
        NODE_TEST(what_begins_with_a_name_is_removed_at_once),
        NODE_TEST(a_use_makes_it_young_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
