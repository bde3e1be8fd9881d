#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/webhdfs.h"
#include "tests/unit/http_fake.h"

#define ROOT "http://nn.test:9870/webhdfs/v1"
#define FILE_HERE "/somewhere/here"
#define DATA "http://dn.test:9864/webhdfs/v1/a?op=CREATE&namenoderpcaddress=nn"

static void paths_are_encoded_and_a_query_goes_with_each_call(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/user/a%20b%3F?op=MKDIRS&permission=755&user.name=me",
         .status = 200,
         .body = "{\"boolean\":true}"},
        {.method = "DELETE",
         .url = ROOT "/x?op=DELETE&recursive=true&user.name=me",
         .status = 200,
         .body = "{\"boolean\":false}"},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT "/?user.name=me"};
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_make_dirs(&fs, "/user/a b?", 0755, NULL), 0);
    assert_int_equal(webhdfs_remove(&fs, "/x", NULL), 0);
}

static void a_file_goes_where_the_answer_points_without_the_password(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=CREATE&overwrite=true&permission=600",
         .status = 307,
         .location = DATA},
        {.method = "PUT", .url = DATA, .status = 201},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_put_file(&fs, "/a", 0600, FILE_HERE, NULL), 0);
    fake_assert_done(&fake);
    assert_string_equal(fake.body[0], "");
    assert_string_equal(fake.body[1], FILE_HERE);
    assert_false(fake.is_foreign[0]);
    assert_true(fake.is_foreign[1]);
}

static void a_gateway_points_at_itself_and_gets_the_password(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=CREATE&overwrite=true&permission=644",
         .status = 200,
         .body = "{\"Location\":\"" ROOT "/data/a\"}"},
        {.method = "PUT", .url = ROOT "/data/a", .status = 201},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_put_file(&fs, "/a", 0644, FILE_HERE, NULL), 0);
    assert_false(fake.is_foreign[1]);
}

/* nginx sends no more of a body than fits into a socket once a data node has said "100
 * Continue", which data nodes say unasked. */
static void a_large_file_goes_through_a_gateway_in_pieces(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=CREATE&overwrite=true&permission=644",
         .status = 307,
         .location = ROOT "/data/a"},
        {.method = "PUT", .url = ROOT "/data/a", .status = 201},
        {.method = "POST",
         .url = ROOT "/a?op=APPEND",
         .status = 307,
         .location = ROOT "/data/a?more"},
        {.method = "POST", .url = ROOT "/data/a?more", .status = 200},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    char path[] = "/tmp/test-webhdfs-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(ftruncate(fd, WEBHDFS_PIECE), 0);
    assert_int_equal(pwrite(fd, "rest", 4, WEBHDFS_PIECE), 4);
    close(fd);
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_put_pieces(&fs, "/a", 0644, path, NULL), 0);
    fake_assert_done(&fake);
    assert_string_equal(fake.body[3], "rest");
    unlink(path);
}

static void a_large_file_goes_whole_to_a_data_node(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=CREATE&overwrite=true&permission=644",
         .status = 307,
         .location = DATA},
        {.method = "PUT", .url = DATA, .status = 201},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    char path[] = "/tmp/test-webhdfs-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(ftruncate(fd, 2 * WEBHDFS_PIECE), 0);
    close(fd);
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_put_pieces(&fs, "/a", 0644, path, NULL), 0);
    fake_assert_done(&fake);
    unlink(path);
}

static void a_place_that_is_no_address_is_not_written_to(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=CREATE&overwrite=true&permission=644",
         .status = 200,
         .body = "{\"Location\":\"file:///etc/passwd\"}"}};
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    struct error err = ERROR_INIT;
    (void)state;
    fake_init(&fake, answers, 1);
    assert_int_equal(webhdfs_put_file(&fs, "/a", 0644, FILE_HERE, &err), -1);
}

static void what_hdfs_says_is_in_the_sentence(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = ROOT "/a?op=MKDIRS&permission=700",
         .status = 403,
         .body = "{\"RemoteException\":{\"exception\":\"AccessControlException\","
                 "\"message\":\"Permission denied: user=dr.who\\nat x\"}}"},
        {.method = "PUT",
         .url = ROOT "/a?op=RENAME&destination=%2Fb%2Fc",
         .status = 200,
         .body = "{\"boolean\":false}"},
        {.method = "PUT",
         .url = ROOT "/a?op=MKDIRS&permission=700",
         .status = 200,
         .body = "{\"boolean\":false}"},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    struct error err = ERROR_INIT;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_make_dirs(&fs, "/a", 0700, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_non_null(strstr(err.text, "Permission denied: user=dr.who"));
    assert_null(strstr(err.text, "at x"));
    assert_int_equal(webhdfs_rename(&fs, "/a", "/b/c", &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(webhdfs_make_dirs(&fs, "/a", 0700, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void a_size_is_told_or_that_nothing_is_there(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = ROOT "/a?op=GETFILESTATUS",
         .status = 200,
         .body = "{\"FileStatus\":{\"length\":4567,\"type\":\"FILE\"}}"},
        {.method = "GET", .url = ROOT "/a?op=GETFILESTATUS", .status = 404},
        {.method = "GET", .url = ROOT "/a?op=GETFILESTATUS", .status = 200, .body = "{}"},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    uint64_t size = 0;
    bool is_there = false;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_size(&fs, "/a", &is_there, &size, NULL), 0);
    assert_true(is_there);
    assert_int_equal(size, 4567);
    assert_int_equal(webhdfs_size(&fs, "/a", &is_there, &size, NULL), 0);
    assert_false(is_there);
    assert_int_equal(webhdfs_size(&fs, "/a", &is_there, &size, NULL), -1);
}

static void note(void *context, const struct webhdfs_entry *entry)
{
    struct strbuf *text = context;
    strbuf_printf(text, "%s%s %lld %llu;", entry->name, entry->is_folder ? "/" : "",
                  (long long)entry->used_utc_ms, (unsigned long long)entry->size_bytes);
}

/* Its own time of a file is the later one: written, or read. */
static void a_folder_is_listed_with_sizes_and_when_its_files_were_used(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = ROOT "/a?op=LISTSTATUS",
         .status = 200,
         .body =
             "{\"FileStatuses\":{\"FileStatus\":["
             "{\"pathSuffix\":\"x\",\"accessTime\":7,\"modificationTime\":5,\"length\":"
             "9,\"type\":\"FILE\"},{\"pathSuffix\":\"y\",\"accessTime\":0,"
             "\"modificationTime\":6,\"length\":0,\"type\":\"DIRECTORY\"}]}}"},
        {.method = "GET", .url = ROOT "/a?op=LISTSTATUS", .status = 404},
        {.method = "GET", .url = ROOT "/a?op=LISTSTATUS", .status = 200, .body = "{}"},
        {.method = "GET", .url = ROOT "/a?op=LISTSTATUS", .status = 403},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_list(&fs, "/a", note, &text, NULL), 0);
    assert_string_equal(text.data, "x 7 9;y/ 6 0;");
    assert_int_equal(webhdfs_list(&fs, "/a", note, &text, NULL), 0);
    assert_int_equal(webhdfs_list(&fs, "/a", note, &text, NULL), -1);
    assert_int_equal(webhdfs_list(&fs, "/a", note, &text, NULL), -1);
    assert_string_equal(text.data, "x 7 9;y/ 6 0;");
}

#define READ_URL ROOT "/a?op=OPEN&offset=10&length=100"
#define BEHIND(text)                                                                     \
    "{\"RemoteException\":{\"exception\":\"IOException\",\"message\":\"" text "\"}}"

static void reading_behind_the_end_gives_nothing(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET", .url = READ_URL, .status = 307, .location = DATA},
        {.method = "GET", .url = DATA, .status = 200, .body = "news"},
        {.method = "GET",
         .url = READ_URL,
         .status = 403,
         .body = BEHIND("Offset=10 out of the range [0, 10); OPEN, path=/a")},
        {.method = "GET",
         .url = READ_URL,
         .status = 403,
         .body = BEHIND("Cannot seek after EOF")},
        {.method = "GET", .url = READ_URL, .status = 403, .body = BEHIND("Denied")},
        {.method = "GET", .url = READ_URL, .status = 404},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct error err = ERROR_INIT;
    bool is_there = false;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_read(&fs, "/a", 10, 100, -1, &answer, &is_there, NULL), 0);
    assert_string_equal(answer.body.data, "news");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(webhdfs_read(&fs, "/a", 10, 100, -1, &answer, &is_there, NULL),
                         0);
        assert_true(is_there);
        assert_int_equal(answer.body.length, 0);
    }
    assert_int_equal(webhdfs_read(&fs, "/a", 10, 100, -1, &answer, &is_there, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_int_equal(webhdfs_read(&fs, "/a", 10, 100, -1, &answer, &is_there, NULL), 0);
    assert_false(is_there);
}

static void a_file_is_fetched_from_where_its_bytes_are(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = READ_URL "&noredirect=true",
         .status = 200,
         .body = "{\"Location\":\"" DATA "\"}"},
        {.method = "GET", .url = DATA, .status = 200},
    };
    struct fake_http fake;
    struct webhdfs fs = {.http = &fake.http, .url = ROOT};
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    bool is_there = false;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(webhdfs_read(&fs, "/a", 10, 100, 1, &answer, &is_there, NULL), 0);
    fake_assert_done(&fake);
    assert_true(fake.is_foreign[1]);
    assert_true(is_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_encoded_and_a_query_goes_with_each_call),
        cmocka_unit_test(a_file_goes_where_the_answer_points_without_the_password),
        cmocka_unit_test(a_gateway_points_at_itself_and_gets_the_password),
        cmocka_unit_test(a_large_file_goes_through_a_gateway_in_pieces),
        cmocka_unit_test(a_large_file_goes_whole_to_a_data_node),
        cmocka_unit_test(a_place_that_is_no_address_is_not_written_to),
        cmocka_unit_test(what_hdfs_says_is_in_the_sentence),
        cmocka_unit_test(a_folder_is_listed_with_sizes_and_when_its_files_were_used),
        cmocka_unit_test(a_size_is_told_or_that_nothing_is_there),
        cmocka_unit_test(reading_behind_the_end_gives_nothing),
        cmocka_unit_test(a_file_is_fetched_from_where_its_bytes_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
