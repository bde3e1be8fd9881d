/* What comes between a collection's two looks: somebody begins to need what was put
 * aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "controller/livy_collect.h"
#include "controller/livy_uses.h"
#include "tests/unit/http_fake.h"
#include "tests/unit/place.h"

#define OLD_S ((time_t)40 * 86400)
#define BATCHES "{\"from\":0,\"total\":0,\"sessions\":[]}"

/* What is to happen right after something was put aside. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static void (*meanwhile)(const struct place *);
static const struct place *where;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

int __real_files_rename_noreplace(int from_dir_fd, const char *from, int to_dir_fd,
                                  const char *to, struct error *err);
int __wrap_files_rename_noreplace(int from_dir_fd, const char *from, int to_dir_fd,
                                  const char *to, struct error *err);

int __wrap_files_rename_noreplace(int from_dir_fd, const char *from, int to_dir_fd,
                                  const char *to, struct error *err)
{
    int result = __real_files_rename_noreplace(from_dir_fd, from, to_dir_fd, to, err);
    if (meanwhile != NULL && strstr(to, ".gone.") != NULL) {
        void (*act)(const struct place *) = meanwhile;
        meanwhile = NULL;
        act(where);
    }
    return result;
}

static bool is_there(const struct place *p, const char *name)
{
    CLEANUP_FREE char *path = place_path(p, name);
    return access(path, F_OK) == 0;
}

static void make_folder(const struct place *p, const char *name)
{
    CLEANUP_FREE char *path = place_path(p, name);
    assert_int_equal(files_make_dirs(path, NULL), 0);
}

static void make_old(const struct place *p, const char *name)
{
    CLEANUP_FREE char *path = place_path(p, name);
    const struct timespec then = {.tv_sec = time(NULL) - OLD_S};
    const struct timespec times[2] = {then, then};
    place_write(p, name, "content");
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* With base/projects/old.tar there, and this happening in between; the report. */
static struct json *collect(const struct place *p, void (*between)(const struct place *))
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = "http://livy/batches?from=0&size=100",
         .status = 200,
         .body = BATCHES},
    };
    struct runspec_livy server = {.upload = LIVY_UPLOAD_LOCAL};
    struct fake_http fake;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = xasprintf("file://%s/base", p->dir);
    __attribute__((cleanup(livy_place_release))) struct livy_place place = {.way = NULL};
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    const struct livy livy = {.http = &fake.http, .url = "http://livy"};
    make_old(p, "base/projects/old.tar");
    assert_int_equal(livy_place_init(&place, &server, base, &fake.http, &err), 0);
    where = p;
    meanwhile = between;
    struct json *report = livy_collect(
        &(struct livy_collect){.place = &place, .livy = &livy, .keep_ms = 1}, &err);
    if (report == NULL) {
        fail_msg("%s", err.text);
    }
    assert_null(meanwhile);
    return report;
}

static void check(const struct json *report, const char *key, int64_t wanted)
{
    assert_int_equal(json_integer(json_get(report, key)), wanted);
}

static void nothing(const struct place *p)
{
    assert_false(is_there(p, "base/projects/old.tar"));
}

static void what_nobody_needs_goes(void **state)
{
    const struct place *p = *state;
    CLEANUP_JSON struct json *report = collect(p, nothing);
    check(report, "roots", 1);
    assert_false(is_there(p, "base/projects/old.tar"));
    assert_false(is_there(p, "base/projects/.gone.old.tar"));
}

static void begin_to_need(const struct place *p)
{
    make_folder(p, "base/runs/errand-late-1/uses/projects+old.tar");
}

/* Whoever looked before it was put aside relies on it. */
static void what_is_needed_meanwhile_comes_back(void **state)
{
    const struct place *p = *state;
    CLEANUP_JSON struct json *report = collect(p, begin_to_need);
    check(report, "roots", 0);
    check(report, "kept_roots", 1);
    assert_true(is_there(p, "base/projects/old.tar"));
    assert_false(is_there(p, "base/projects/.gone.old.tar"));
}

static void send_again(const struct place *p)
{
    begin_to_need(p);
    place_write(p, "base/projects/old.tar", "sent again");
}

/* Whoever looked after it was put aside sent it. */
static void what_is_sent_again_meanwhile_stays(void **state)
{
    const struct place *p = *state;
    CLEANUP_FREE char *path = place_path(p, "base/projects/old.tar");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *report = collect(p, send_again);
    check(report, "roots", 0);
    assert_int_equal(files_read(AT_FDCWD, path, &text, NULL), 0);
    assert_string_equal(text.data, "sent again");
    assert_false(is_there(p, "base/projects/.gone.old.tar"));
}

static void come_from_before(const struct place *p)
{
    make_folder(p, "base/runs/errand-late-1");
}

static void where_it_is_not_known_what_is_needed_all_comes_back(void **state)
{
    const struct place *p = *state;
    CLEANUP_JSON struct json *report = collect(p, come_from_before);
    check(report, "roots", 0);
    assert_int_equal(json_count(json_get(report, "warnings")), 1);
    assert_true(is_there(p, "base/projects/old.tar"));
}

/* A file system that is not one's own says what lies there. */
static void a_name_that_leads_elsewhere_is_none(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = "http://nn/webhdfs/v1/base/runs?op=LISTSTATUS",
         .status = 200,
         .body = "{\"FileStatuses\":{\"FileStatus\":[{\"pathSuffix\":\"../../home\"},"
                 "{\"pathSuffix\":\"..\"},{\"pathSuffix\":\"x\"}]}}"},
    };
    char url[] = "http://nn/webhdfs/v1";
    struct runspec_livy server = {.upload = LIVY_UPLOAD_WEBHDFS, .webhdfs = url};
    struct fake_http fake;
    CLEANUP_LISTING struct livy_listing found = LIVY_LISTING_INIT;
    __attribute__((cleanup(livy_place_release))) struct livy_place place = {.way = NULL};
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(livy_place_init(&place, &server, "/base", &fake.http, NULL), 0);
    assert_int_equal(livy_place_list(&place, LIVY_RUNS, &found, NULL), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.entries[0].name, "x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_needs_goes),
        TEST(what_is_needed_meanwhile_comes_back),
        TEST(what_is_sent_again_meanwhile_stays),
        TEST(where_it_is_not_known_what_is_needed_all_comes_back),
        TEST(a_name_that_leads_elsewhere_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
