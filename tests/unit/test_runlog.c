#include "controller/runlog.h"

#include "scratch.h"

/* A home, and the files of run "run" in it. */
struct fixture {
    struct scratch *s;
    struct home home;
    struct runlog log;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->s = scratch_new();
    f->home.state = f->s->path;
    assert_int_equal(runlog_open(&f->log, &f->home, "run", NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    runlog_close(&f->log);
    scratch_free(f->s);
    free(f);
    return 0;
}

/* Another errand, or the same one later. */
static void open_again(struct fixture *f)
{
    runlog_close(&f->log);
    assert_int_equal(runlog_open(&f->log, &f->home, "run", NULL), 0);
}

static void at(struct runlog *log, int64_t generation, int64_t offset, int64_t gap,
               const char *why)
{
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "file", "driver.log");
    json_add_integer(body, "generation", generation);
    json_add_integer(body, "offset", offset);
    json_add_integer(body, "gap", gap);
    if (why != NULL) {
        json_add_string(body, "why", why);
    }
    assert_int_equal(runlog_at(log, body, NULL), 0);
}

static void data(struct runlog *log, const char *text)
{
    assert_int_equal(runlog_data(log, text, strlen(text), NULL), 0);
}

static const struct runlog_file *driver(const struct fixture *f)
{
    return &f->log.files[RUNLOG_DRIVER];
}

static void assert_gap(const struct runlog_file *file, size_t i, int64_t generation,
                       uint64_t from, uint64_t to, enum loggap_why why)
{
    assert_true(i < file->gaps.count);
    assert_int_equal(file->gaps.items[i].generation, generation);
    assert_int_equal(file->gaps.items[i].from, from);
    assert_int_equal(file->gaps.items[i].to, to);
    assert_int_equal(file->gaps.items[i].why, why);
}

static void what_the_node_gave_up_is_noted_and_gone_on_behind(void **state)
{
    struct fixture *f = *state;
    at(&f->log, 0, 0, 0, NULL);
    data(&f->log, "0123");
    at(&f->log, 0, 1000, 996, "limit");
    /* Ended here, it goes on behind the gap and does not find it again. */
    open_again(f);
    assert_int_equal(driver(f)->offset, 1000);
    assert_int_equal(driver(f)->gaps.count, 1);
    assert_gap(driver(f), 0, 0, 4, 1000, LOGGAP_LIMIT);
    at(&f->log, 0, 1000, 0, NULL);
    data(&f->log, "4567");
    open_again(f);
    assert_int_equal(driver(f)->offset, 1004);
    assert_gap(driver(f), 0, 0, 4, 1000, LOGGAP_LIMIT);
}

static void what_was_lost_with_a_generation_lies_behind_its_end(void **state)
{
    struct fixture *f = *state;
    at(&f->log, 0, 0, 0, NULL);
    data(&f->log, "0123");
    at(&f->log, 1, 0, 6, "cut");
    data(&f->log, "new");
    assert_int_equal(driver(f)->gaps.count, 1);
    assert_gap(driver(f), 0, 0, 4, 10, LOGGAP_CUT);
    /* Lost of the one, and given up of the next. */
    at(&f->log, 2, 100, 107, "cut");
    data(&f->log, "newest");
    open_again(f);
    assert_int_equal(driver(f)->generation, 2);
    assert_int_equal(driver(f)->offset, 106);
    assert_int_equal(driver(f)->gaps.count, 3);
    assert_gap(driver(f), 1, 1, 3, 10, LOGGAP_CUT);
    assert_gap(driver(f), 2, 2, 0, 100, LOGGAP_CUT);
    struct stat st = scratch_stat(f->s, "runs/run/driver.log");
    assert_int_equal(st.st_size, 4);
}

/* Found with a log that was cut twice between two looks: the newest generation was not
 * found again, and its bytes came twice. */
static void a_generation_that_nobody_saw_leaves_no_hole_in_the_count(void **state)
{
    struct fixture *f = *state;
    at(&f->log, 0, 0, 0, NULL);
    data(&f->log, "0123");
    at(&f->log, 3, 0, 0, NULL);
    data(&f->log, "new");
    open_again(f);
    assert_int_equal(driver(f)->generation, 3);
    assert_int_equal(driver(f)->offset, 3);
}

static void what_another_follower_has_is_not_missing(void **state)
{
    struct fixture *f = *state;
    struct runlog other;
    at(&f->log, 0, 0, 0, NULL);
    data(&f->log, "0123");
    assert_int_equal(runlog_open(&other, &f->home, "run", NULL), 0);
    at(&other, 0, 4, 0, NULL);
    data(&other, "456789");
    /* This one slept meanwhile, and hears of a gap that is none at home. */
    at(&f->log, 0, 8, 4, "limit");
    assert_int_equal(driver(f)->gaps.count, 0);
    data(&f->log, "89");
    /* And now of one of which the other had a part. */
    at(&other, 0, 100, 90, "limit");
    data(&other, "x");
    at(&f->log, 0, 101, 91, "limit");
    assert_int_equal(driver(f)->gaps.count, 1);
    assert_gap(driver(f), 0, 0, 10, 100, LOGGAP_LIMIT);
    at(&f->log, 0, 200, 99, "limit");
    assert_gap(driver(f), 1, 0, 101, 200, LOGGAP_LIMIT);
    runlog_close(&other);
    open_again(f);
    assert_int_equal(loggaps_total(&driver(f)->gaps), 90 + 99);
}

static void a_removed_run_ends_with_a_gap(void **state)
{
    struct fixture *f = *state;
    at(&f->log, 0, 0, 0, NULL);
    data(&f->log, "0123");
    at(&f->log, 0, 10, 6, "removed");
    CLEANUP_JSON struct json *sizes = json_new_object();
    runlog_sizes(&f->log, sizes);
    assert_int_equal(json_integer(json_get(sizes, "driver.log")), 10);
    assert_gap(driver(f), 0, 0, 4, 10, LOGGAP_REMOVED);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_the_node_gave_up_is_noted_and_gone_on_behind),
        TEST(what_was_lost_with_a_generation_lies_behind_its_end),
        TEST(a_generation_that_nobody_saw_leaves_no_hole_in_the_count),
        TEST(what_another_follower_has_is_not_missing),
        TEST(a_removed_run_ends_with_a_gap),
    };
    return cmocka_run_group_tests_name("runlog", tests, NULL, NULL);
}
