#include "controller/gitinfo.h"
#include "tests/unit/scratch.h"

static void the_head_says_commit_and_branch(void **state)
{
    struct gitinfo info = {.commit = NULL};

    (void)state;
    gitinfo_take_status("# branch.oid 7a0e7979\n# branch.head feature/x\n"
                        "# branch.upstream origin/x\n# branch.ab +1 -0\n",
                        &info);
    assert_string_equal(info.commit, "7a0e7979");
    assert_string_equal(info.branch, "feature/x");
    assert_false(info.is_dirty);
    gitinfo_release(&info);
}

static void a_line_of_a_file_is_a_change(void **state)
{
    struct gitinfo info = {.commit = NULL};

    (void)state;
    gitinfo_take_status("# branch.oid 7a0e7979\n# branch.head (detached)\n"
                        "1 .M N... 100644 100644 100644 7a 7a # branch.head no\n",
                        &info);
    assert_string_equal(info.commit, "7a0e7979");
    assert_null(info.branch);
    assert_true(info.is_dirty);
    gitinfo_release(&info);
}

static void before_the_first_commit_there_is_none(void **state)
{
    struct gitinfo info = {.commit = NULL};

    (void)state;
    gitinfo_take_status("# branch.oid (initial)\n# branch.head main", &info);
    assert_null(info.commit);
    assert_string_equal(info.branch, "main");
    gitinfo_release(&info);
}

static void an_address_loses_user_and_password(void **state)
{
    static const char *const cases[][2] = {
        {"https://me:secret@host/x.git", "https://host/x.git"},
        {"https://me:se@cret@host", "https://host"},
        {"https://host/a@b", "https://host/a@b"},
        {"https://host?who=me@home", "https://host?who=me@home"},
        {"ssh://git@host:22/x", "ssh://host:22/x"},
        {"git@host:x.git", "git@host:x.git"},
        {"/srv/git/x@y", "/srv/git/x@y"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        gitinfo_put_address(cases[i][0], &out);
        assert_string_equal(out.data, cases[i][1]);
    }
}

static void outside_of_a_repository_nobody_is_asked(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_null(gitinfo_start(s->path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_says_commit_and_branch),
        cmocka_unit_test(a_line_of_a_file_is_a_change),
        cmocka_unit_test(before_the_first_commit_there_is_none),
        cmocka_unit_test(an_address_loses_user_and_password),
        cmocka_unit_test(outside_of_a_repository_nobody_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
