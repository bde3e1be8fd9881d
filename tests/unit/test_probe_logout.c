#define _GNU_SOURCE /* mkdtemp */
#include "executor/probe.h"

#include "common/files.h"
#include "common/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    char *path = xstrdup("/tmp/logind.XXXXXX");
    assert_non_null(mkdtemp(path));
    *state = path;
    return 0;
}

static int tear_down(void **state)
{
    (void)files_remove_tree(AT_FDCWD, *state, NULL);
    free(*state);
    return 0;
}

static void put(const char *prefix, const char *name, const char *text)
{
    CLEANUP_FREE char *path = files_join(prefix, name);
    CLEANUP_FREE char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(files_make_dirs(folder, NULL), 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void without_a_file_nobody_is_killed(void **state)
{
    assert_false(probe_kills_user_processes(*state, "me", false));
}

static void the_main_file_is_read(void **state)
{
    put(*state, "etc/systemd/logind.conf",
        "[Login]\n#KillUserProcesses=no\n"
        " KillUserProcesses = yes \n");
    assert_true(probe_kills_user_processes(*state, "me", false));
    assert_false(probe_kills_user_processes(*state, "root", true));
    put(*state, "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=yes\n");
    assert_false(probe_kills_user_processes(*state, "me", false));
    put(*state, "etc/systemd/logind.conf", "[Other]\nKillUserProcesses=yes\n");
    assert_false(probe_kills_user_processes(*state, "me", false));
}

static void the_last_drop_in_by_name_wins(void **state)
{
    put(*state, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n");
    put(*state, "usr/lib/systemd/logind.conf.d/50-vendor.conf",
        "[Login]\nKillUserProcesses=no\n");
    assert_false(probe_kills_user_processes(*state, "me", false));
    put(*state, "etc/systemd/logind.conf.d/60-site.conf",
        "[Login]\nKillUserProcesses=1\n");
    assert_true(probe_kills_user_processes(*state, "me", false));
    put(*state, "run/systemd/logind.conf.d/90-note.txt",
        "[Login]\nKillUserProcesses=no\n");
    assert_true(probe_kills_user_processes(*state, "me", false));
}

static void of_equal_names_the_administrators_counts(void **state)
{
    put(*state, "usr/lib/systemd/logind.conf.d/50-x.conf",
        "[Login]\nKillUserProcesses=yes\n");
    assert_true(probe_kills_user_processes(*state, "me", false));
    put(*state, "etc/systemd/logind.conf.d/50-x.conf", "");
    assert_false(probe_kills_user_processes(*state, "me", false));
}

static void users_are_excluded_and_chosen_by_name(void **state)
{
    put(*state, "etc/systemd/logind.conf",
        "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=root  me\n");
    assert_false(probe_kills_user_processes(*state, "me", false));
    assert_true(probe_kills_user_processes(*state, "mel", false));
    put(*state, "etc/systemd/logind.conf",
        "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=guest\n");
    assert_false(probe_kills_user_processes(*state, "me", false));
    assert_true(probe_kills_user_processes(*state, "guest", false));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_nobody_is_killed),
        TEST(the_main_file_is_read),
        TEST(the_last_drop_in_by_name_wins),
        TEST(of_equal_names_the_administrators_counts),
        TEST(users_are_excluded_and_chosen_by_name),
    };
    return cmocka_run_group_tests_name("probe_logout", tests, NULL, NULL);
}
