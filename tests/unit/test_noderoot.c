#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/json.h"
#include "executor/noderoot.h"
#include "tests/unit/node.h"

static struct noderoot *open_in(struct scratch *s, struct error *err)
{
    CLEANUP_FREE char *path = files_join(s->path, "a/b/root");
    return noderoot_open(path, err);
}

static void opening_makes_what_is_missing(void **state)
{
    struct error err = ERROR_INIT;
    static const char *const folders[] = {"bin", "runs", "queue"};
    CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, &err);
    struct stat st;
    assert_non_null(root);
    assert_int_equal(fstat(root->fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        assert_int_equal(fstatat(root->fd, folders[i], &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
    }
    CLEANUP_FREE char *format = file_text(root->fd, "format");
    assert_string_equal(format, "2\n");
    assert_int_equal(strlen(root->node), 64);
    assert_int_equal(strlen(root->boot), 36);
    CLEANUP_FREE char *node = file_text(root->fd, "node");
    CLEANUP_JSON struct json *j = json_parse(node, strlen(node), NULL);
    assert_string_equal(json_string(json_get(j, "id")), root->node);
}

static void opening_again_changes_nothing(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *one = open_in(*state, NULL);
    CLEANUP_FREE char *boots = file_text(one->fd, "boots");
    CLEANUP(noderoot_cleanup) struct noderoot *two = open_in(*state, NULL);
    CLEANUP_FREE char *again = file_text(two->fd, "boots");
    assert_string_equal(boots, again);
    assert_string_equal(one->node, two->node);
}

static void a_newer_format_is_left_alone(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, NULL);
    static const struct {
        const char *text;
        enum error_code code;
    } formats[] = {{"3\n", ERR_VERSION}, {"", ERR_CORRUPT}, {"x\n", ERR_CORRUPT}};
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        file_write(root->fd, "format", formats[i].text);
        assert_null(open_in(*state, &err));
        assert_int_equal(err.code, formats[i].code);
    }
}

/* An older executor that comes by finds every object: it knows no pack files. */
static void packs_are_kept_only_where_nobody_misses_them(void **state)
{
    static const struct {
        const char *format;
        bool has_packs;
    } rows[] = {{"1\n", false}, {"2\n", true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(noderoot_cleanup) struct noderoot *made = open_in(*state, NULL);
        file_write(made->fd, "format", rows[i].format);
        CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, NULL);
        CLEANUP(store_cleanup) struct store *store = noderoot_open_store(root, NULL);
        assert_non_null(store);
        assert_int_equal(faccessat(root->fd, "store/packs", F_OK, 0) == 0,
                         rows[i].has_packs);
        assert_int_equal(files_remove_tree(root->fd, "store", NULL), 0);
    }
}

static void a_root_that_others_may_write_is_refused(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, NULL);
    assert_int_equal(fchmod(root->fd, 0720), 0);
    assert_null(open_in(*state, &err));
    assert_int_equal(err.code, ERR_ACCESS);
    assert_true(strlen(err.hint) > 0);
}

static void write_boots(struct noderoot *root, const char *last)
{
    CLEANUP_FREE char *text =
        xasprintf("{\"boot\":\"%s\",\"time\":\"2026-01-01T00:00:00.000Z\"}\n"
                  "{\"boot\":\"%s\",\"time\":\"2026-01-02T00:00:00.000Z\"}\n",
                  root->boot, last);
    file_write(root->fd, "boots", text);
}

static void a_boot_that_comes_back_is_another_machine(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, NULL);
    write_boots(root, "00000000-0000-0000-0000-000000000000");
    assert_null(open_in(*state, &err));
    assert_int_equal(err.code, ERR_MISMATCH);
}

static void a_new_boot_is_noted_behind_a_torn_line(void **state)
{
    CLEANUP(noderoot_cleanup) struct noderoot *root = open_in(*state, NULL);
    file_write(root->fd, "boots", "{\"boot\":\"00000000-0000-0000-0000-0000000000");
    CLEANUP(noderoot_cleanup) struct noderoot *again = open_in(*state, NULL);
    assert_non_null(again);
    CLEANUP_FREE char *boots = file_text(root->fd, "boots");
    assert_non_null(strstr(boots, "\n{\"boot\":\""));
    assert_non_null(strstr(boots, root->boot));
    CLEANUP(noderoot_cleanup) struct noderoot *third = open_in(*state, NULL);
    assert_non_null(third);
    CLEANUP_FREE char *same = file_text(root->fd, "boots");
    assert_string_equal(boots, same);
}

static void the_executors_digest_is_that_of_its_file(void **state)
{
    char one[OID_HEX_SIZE];
    char two[OID_HEX_SIZE];
    (void)state;
    assert_int_equal(noderoot_executor_digest(one, NULL), 0);
    assert_int_equal(noderoot_executor_digest(two, NULL), 0);
    assert_string_equal(one, two);
    assert_int_equal(strlen(one), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(opening_makes_what_is_missing),
        NODE_TEST(opening_again_changes_nothing),
        NODE_TEST(a_newer_format_is_left_alone),
        NODE_TEST(packs_are_kept_only_where_nobody_misses_them),
        NODE_TEST(a_root_that_others_may_write_is_refused),
        NODE_TEST(a_boot_that_comes_back_is_another_machine),
        NODE_TEST(a_new_boot_is_noted_behind_a_torn_line),
        cmocka_unit_test(the_executors_digest_is_that_of_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
