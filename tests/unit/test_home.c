#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/place.h"

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void the_folders_are_private_and_the_id_stays(void **state)
{
    const struct place *p = *state;
    assert_int_equal(mode_of(p->home->config), 0700);
    assert_int_equal(mode_of(p->home->state), 0700);
    assert_int_equal(strlen(p->home->controller), 32);
    CLEANUP_FREE char *id = home_path(p->home, "controller");
    assert_int_equal(mode_of(id), 0600);
    CLEANUP(home_cleanup) struct home *again = home_open(NULL);
    assert_string_equal(again->controller, p->home->controller);
}

static void without_errand_home_the_xdg_folders_are_used(void **state)
{
    const struct place *p = *state;
    assert_int_equal(unsetenv("ERRAND_HOME"), 0);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", "relative, so ignored", 1), 0);
    CLEANUP(home_cleanup) struct home *plain = home_open(NULL);
    CLEANUP_FREE char *config = place_path(p, ".config/errand");
    CLEANUP_FREE char *state_dir = place_path(p, ".local/state/errand");
    assert_string_equal(plain->config, config);
    assert_string_equal(plain->state, state_dir);
    CLEANUP_FREE char *xdg = place_path(p, "xdg");
    assert_int_equal(setenv("XDG_CONFIG_HOME", xdg, 1), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", xdg, 1), 0);
    CLEANUP(home_cleanup) struct home *named = home_open(NULL);
    CLEANUP_FREE char *expected = place_path(p, "xdg/errand");
    assert_string_equal(named->config, expected);
    assert_string_equal(named->state, expected);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
}

static void a_relative_home_is_refused(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(setenv("ERRAND_HOME", "here", 1), 0);
    assert_null(home_open(&err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "not absolute"));
    assert_int_equal(unsetenv("ERRAND_HOME"), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_null(home_open(&err));
    assert_non_null(strstr(err.text, "HOME is not set"));
}

static void a_damaged_id_gets_a_sentence(void **state)
{
    static const char *const texts[] = {"", "x\n", "0123456789abcdef0123456789abcdeg\n",
                                        "0123456789ABCDEF0123456789ABCDEF\n"};
    const struct place *p = *state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct error err = ERROR_INIT;
        place_write(p, "home/state/controller", texts[i]);
        assert_null(home_open(&err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void a_runs_folder_is_made_where_it_is_needed(void **state)
{
    const struct place *p = *state;
    CLEANUP_FREE char *dir = home_run_dir(p->home, "abcd", NULL);
    assert_int_equal(mode_of(dir), 0700);
    CLEANUP_FREE char *again = home_run_dir(p->home, "abcd", NULL);
    assert_string_equal(dir, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(the_folders_are_private_and_the_id_stays),
        place_test(without_errand_home_the_xdg_folders_are_used),
        place_test(a_relative_home_is_refused),
        place_test(a_damaged_id_gets_a_sentence),
        place_test(a_runs_folder_is_made_where_it_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
