#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/target.h"
#include "tests/unit/place.h"

static struct config *load(const struct place *p)
{
    const struct config_options options = {.want_untrusted = false};
    struct error err = ERROR_INIT;
    struct config *config = config_load(p->home, &options, &err);
    if (config == NULL) {
        fail_msg("%s", err.text);
    }
    return config;
}

static struct target *find(const struct place *p, const char *name, struct error *err)
{
    CLEANUP(config_cleanup) struct config *config = load(p);
    return target_find(config, p->home, name, err);
}

static void names_are_checked(void **state)
{
    (void)state;
    assert_true(target_name_is_valid("gpu1"));
    assert_true(target_name_is_valid("GPU-1.lan_2"));
    assert_true(target_name_is_valid("1"));
    assert_false(target_name_is_valid(""));
    assert_false(target_name_is_valid("-x"));
    assert_false(target_name_is_valid(".x"));
    assert_false(target_name_is_valid("_x"));
    assert_false(target_name_is_valid("a/b"));
    assert_false(target_name_is_valid("a b"));
    assert_false(target_name_is_valid("\xc3\xa4"));
    char longest[66];
    memset(longest, 'a', sizeof longest);
    longest[65] = '\0';
    assert_false(target_name_is_valid(longest));
    longest[64] = '\0';
    assert_true(target_name_is_valid(longest));
}

static void local_is_there_by_itself(void **state)
{
    const struct place *p = *state;
    CLEANUP(target_cleanup) struct target *target = find(p, "local", NULL);
    CLEANUP_FREE char *root = place_path(p, "home/state/local");
    assert_non_null(target);
    assert_string_equal(target->transport, "local");
    assert_string_equal(target->root, root);
    assert_null(target->host);
}

static void what_was_saved_is_found(void **state)
{
    const struct place *p = *state;
    const struct target saved = {
        .name = (char[]){"gpu.1"},
        .host = (char[]){"me@[2001:db8::1]"},
        .port = 2222,
        .identity = (char[]){"keys/my key"},
        .ssh_config = (char[]){"~/cfg"},
        .known_hosts = (char[]){"/etc/known"},
        .transport = (char[]){"openssh"},
        .root = (char[]){"~/work \"x\""},
        .interpreter = (char[]){"/usr/bin/python3"},
    };
    assert_int_equal(target_save(p->home, &saved, false, NULL), 0);
    CLEANUP(target_cleanup) struct target *found = find(p, "gpu.1", NULL);
    assert_non_null(found);
    CLEANUP_FREE char *identity = place_path(p, "project/keys/my key");
    CLEANUP_FREE char *ssh_config = place_path(p, "cfg");
    assert_string_equal(found->host, "me@2001:db8::1");
    assert_int_equal(found->port, 2222);
    assert_string_equal(found->identity, identity);
    assert_string_equal(found->ssh_config, ssh_config);
    assert_string_equal(found->known_hosts, "/etc/known");
    assert_string_equal(found->transport, "openssh");
    assert_string_equal(found->root, saved.root);
    assert_string_equal(found->interpreter, "/usr/bin/python3");
}

static void a_port_may_stand_behind_the_host(void **state)
{
    static const struct {
        const char *text;
        int64_t before;
        const char *host; /* NULL: refused */
        int64_t port;
    } rows[] = {
        {"gpu1", 0, "gpu1", 0},
        {"gpu1", 22, "gpu1", 22},
        {"me@gpu1:2222", 0, "me@gpu1", 2222},
        {"me@gpu1:2222", 2222, "me@gpu1", 2222},
        {"ssh://me@gpu1", 0, "me@gpu1", 0},
        {"ssh://me@gpu1:65535/", 0, "me@gpu1", 65535},
        {"me@[2001:db8::1]:22", 0, "me@2001:db8::1", 22},
        {"[::1]", 0, "::1", 0},
        {"ssh://[::1]:22", 0, "::1", 22},
        {"2001:db8::1", 0, "2001:db8::1", 0},
        {"a@b@gpu1:1", 0, "a@b@gpu1", 1},
        {"gpu1:", 0, NULL, 0},
        {"gpu1:0", 0, NULL, 0},
        {"gpu1:65536", 0, NULL, 0},
        {"gpu1:work", 0, NULL, 0},
        {"gpu1:22", 23, NULL, 0},
        {"[::1", 0, NULL, 0},
        {"[::1]22", 0, NULL, 0},
        {"ssh://gpu1/work", 0, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *host = NULL;
        int64_t port = rows[i].before;
        struct error err = ERROR_INIT;
        int result = target_parse_place(rows[i].text, &host, &port, &err);
        assert_int_equal(result, rows[i].host == NULL ? -1 : 0);
        assert_int_equal(err.code, rows[i].host == NULL ? ERR_USAGE : ERR_NONE);
        if (rows[i].host != NULL) {
            assert_string_equal(host, rows[i].host);
            assert_int_equal(port, rows[i].port);
        }
    }
}

static void a_port_behind_the_host_counts_in_a_file_too(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    place_write(p, "home/config/config.yaml",
                "targets: {t: {host: \"me@gpu1:2222\"}, u: {host: \"gpu1:x\"}}\n");
    CLEANUP(target_cleanup) struct target *found = find(p, "t", NULL);
    assert_string_equal(found->host, "me@gpu1");
    assert_int_equal(found->port, 2222);
    assert_null(find(p, "u", &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "config.yaml:1: \"gpu1:x\" is no host"));
}

static void a_target_is_replaced_only_on_request(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    struct target target = {.name = (char[]){"t"}, .host = (char[]){"one"}};
    assert_int_equal(target_save(p->home, &target, false, &err), 0);
    target.host = (char[]){"two"};
    assert_int_equal(target_save(p->home, &target, false, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_non_null(strstr(err.hint, "--force"));
    assert_int_equal(target_save(p->home, &target, true, &err), 0);
    CLEANUP(target_cleanup) struct target *found = find(p, "t", NULL);
    assert_string_equal(found->host, "two");
}

static void a_host_that_ssh_would_take_for_more_is_refused(void **state)
{
    static char hosts[][24] = {
        "-oProxyCommand=x", "", "a b", "a\nb", "a\tb", "\x7f", "me@", "@host", "me@-oX",
    };
    const struct place *p = *state;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        struct error err = ERROR_INIT;
        const struct target target = {.name = (char[]){"t"}, .host = hosts[i]};
        assert_int_equal(target_save(p->home, &target, false, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    place_write(p, "home/config/config.yaml", "targets: {t: {host: \"-oX\"}}\n");
    struct error err = ERROR_INIT;
    assert_null(find(p, "t", &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "config.yaml:1: \"-oX\" is no host"));
}

static void a_wrong_target_gets_a_sentence(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    const struct target local = {.name = (char[]){"local"}, .host = (char[]){"h"}};
    assert_int_equal(target_save(p->home, &local, false, &err), -1);
    assert_non_null(strstr(err.text, "\"local\" is this machine"));
    const struct target no_host = {.name = (char[]){"t"}};
    assert_int_equal(target_save(p->home, &no_host, false, &err), -1);
    const struct target bad_name = {.name = (char[]){"a/b"}, .host = (char[]){"h"}};
    assert_int_equal(target_save(p->home, &bad_name, false, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    const struct target bad_path = {
        .name = (char[]){"t"}, .host = (char[]){"h"}, .identity = (char[]){"\xff"}};
    assert_int_equal(target_save(p->home, &bad_path, false, &err), -1);
    assert_non_null(strstr(err.text, "not UTF-8"));

    place_write(p, "home/config/config.yaml",
                "targets: {gpu1: {host: h}, none: {port: 1}, local: {host: h}}\n");
    assert_null(find(p, "gpu2", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "did you mean \"gpu1\"?"));
    assert_null(find(p, "completely-else", &err));
    assert_non_null(strstr(err.hint, "errand target list"));
    assert_null(find(p, "none", &err));
    assert_non_null(strstr(err.text, "has no host"));
    assert_null(find(p, "local", &err));
    assert_non_null(strstr(err.text, "it has no host"));
}

static void a_target_can_be_removed(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    const struct target target = {.name = (char[]){"t"}, .host = (char[]){"h"}};
    assert_int_equal(target_save(p->home, &target, false, NULL), 0);
    assert_int_equal(target_remove(p->home, "t", NULL), 0);
    assert_null(find(p, "t", NULL));
    assert_int_equal(target_remove(p->home, "t", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(target_remove(p->home, "../../state/controller", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        place_test(local_is_there_by_itself),
        place_test(what_was_saved_is_found),
        cmocka_unit_test(a_port_may_stand_behind_the_host),
        place_test(a_port_behind_the_host_counts_in_a_file_too),
        place_test(a_target_is_replaced_only_on_request),
        place_test(a_host_that_ssh_would_take_for_more_is_refused),
        place_test(a_wrong_target_gets_a_sentence),
        place_test(a_target_can_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
