#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "controller/attend_livy_inside.h"
#include "tests/unit/http_fake.h"
#include "tests/unit/scratch.h"

#define ROOT "http://nn.test:9870/webhdfs/v1"
#define FOLDER ROOT "/base/runs/errand-r-1"
#define LOOK "?op=GETFILESTATUS"
#define OPEN "?op=OPEN&offset=0&length=4"

/* An attendant whose driver has ended, at WebHDFS, which answers as the list says. */
struct stage {
    struct scratch *scratch;
    struct fake_http http;
    struct runspec_livy livy;
    struct attendance attendance;
};

static void begin(struct stage *s, const struct fake_answer *answers, size_t count)
{
    char url[] = ROOT, folder[] = "runs/errand-r-1";
    *s = (struct stage){.scratch = scratch_new(),
                        .livy = {.upload = LIVY_UPLOAD_WEBHDFS, .webhdfs = xstrdup(url)}};
    fake_init(&s->http, answers, count);
    scratch_mkdir(s->scratch, "work");
    s->attendance = (struct attendance){.http = &s->http.http,
                                        .run_fd = s->scratch->fd,
                                        .stop_fd = -1,
                                        .attempt = 1,
                                        .task = ATTEND_LIVY_PYTHON,
                                        .folder = xstrdup(folder)};
    runspec_init(&s->attendance.spec);
    assert_int_equal(
        livy_place_init(&s->attendance.place, &s->livy, "/base", &s->http.http, NULL), 0);
}

static void end(struct stage *s)
{
    fake_assert_done(&s->http);
    livy_place_release(&s->attendance.place);
    runspec_release(&s->attendance.spec);
    free(s->attendance.folder);
    free(s->livy.webhdfs);
    scratch_free(s->scratch);
}

/* A gateway that has no answer for a moment: what it had was given up at once. */
static void what_a_moment_kept_back_is_brought_afterwards(void **state)
{
    static const char four[] = "{\"FileStatus\":{\"length\":4}}";
    static const struct fake_answer answers[] = {
        {.method = "GET", .url = FOLDER "/outputs.tar" LOOK, .status = 503},
        {.method = "GET", .url = FOLDER "/outputs.tar" LOOK, .status = 404},
        {.method = "GET", .url = FOLDER "/metrics" LOOK, .status = 200, .body = four},
        {.method = "GET",
         .url = FOLDER "/metrics" OPEN "&noredirect=true",
         .error = ERR_TIMED_OUT},
        {.method = "GET", .url = FOLDER "/metrics" LOOK, .status = 200, .body = four},
        {.method = "GET",
         .url = FOLDER "/metrics" OPEN "&noredirect=true",
         .status = 307,
         .location = "http://dn.test/x"},
        {.method = "GET", .url = "http://dn.test/x", .status = 200, .body = "{}\n\n"},
    };
    struct stage s;
    (void)state;
    begin(&s, answers, ARRAY_SIZE(answers));
    attendance_bring(&s.attendance);
    assert_true(s.attendance.is_home);
    CLEANUP_STRBUF struct strbuf metrics = STRBUF_INIT;
    assert_int_equal(files_read(s.scratch->fd, "metrics", &metrics, NULL), 0);
    assert_string_equal(metrics.data, "{}\n\n");
    end(&s);
}

/* The folder there is kept as long as not all of it is here. */
static void what_nobody_may_read_is_not_at_home(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET", .url = FOLDER "/outputs.tar" LOOK, .status = 404},
        {.method = "GET", .url = FOLDER "/metrics" LOOK, .status = 403},
    };
    struct stage s;
    (void)state;
    begin(&s, answers, ARRAY_SIZE(answers));
    attendance_bring(&s.attendance);
    assert_false(s.attendance.is_home);
    end(&s);
}

/* ---- the shared folder ---- */

static void begin_local(struct stage *s)
{
    *s = (struct stage){.scratch = scratch_new(), .livy = {.upload = LIVY_UPLOAD_LOCAL}};
    fake_init(&s->http, NULL, 0);
    assert_int_equal(livy_place_init(&s->attendance.place, &s->livy, s->scratch->path,
                                     &s->http.http, NULL),
                     0);
}

static void end_local(struct stage *s)
{
    livy_place_release(&s->attendance.place);
    scratch_free(s->scratch);
}

static ino_t inode_of(const struct scratch *s, const char *name)
{
    struct stat st;
    assert_int_equal(fstatat(s->fd, name, &st, 0), 0);
    return st.st_ino;
}

/* YARN refuses one that changed since another run named it. */
static void what_is_there_whole_stays_the_file_that_it_is(void **state)
{
    struct stage s;
    (void)state;
    begin_local(&s);
    const struct livy_place *place = &s.attendance.place;
    CLEANUP_FREE char *file = scratch_path(s.scratch, "here");
    assert_int_equal(files_write_atomic(AT_FDCWD, file, "abc", 3, 0600, NULL), 0);
    assert_int_equal(livy_place_put_once(place, "there", 0644, file, NULL), 0);
    ino_t first = inode_of(s.scratch, "there");
    assert_int_equal(livy_place_put_once(place, "there", 0644, file, NULL), 0);
    assert_true(inode_of(s.scratch, "there") == first);
    assert_int_equal(files_write_atomic(AT_FDCWD, file, "abcd", 4, 0600, NULL), 0);
    assert_int_equal(livy_place_put_once(place, "there", 0644, file, NULL), 0);
    assert_false(inode_of(s.scratch, "there") == first);
    end_local(&s);
}

/* The kernel says 4,096 bytes of this one, and has a few. */
static void a_file_that_has_become_shorter_is_said_to_have(void **state)
{
    struct error err = ERROR_INIT;
    struct stage s;
    (void)state;
    begin_local(&s);
    errno = 0;
    assert_int_equal(
        livy_place_put(&s.attendance.place, "there", 0644, "/sys/class/net/lo/mtu", &err),
        -1);
    assert_non_null(strstr(err.text, "it has become shorter"));
    assert_int_equal(faccessat(s.scratch->fd, "there", F_OK, 0), -1);
    end_local(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_moment_kept_back_is_brought_afterwards),
        cmocka_unit_test(what_nobody_may_read_is_not_at_home),
        cmocka_unit_test(what_is_there_whole_stays_the_file_that_it_is),
        cmocka_unit_test(a_file_that_has_become_shorter_is_said_to_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
