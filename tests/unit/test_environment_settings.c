#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/variables.h"
#include "executor/environment_settings.h"
#include "scratch.h"

static void assert_is(const struct strvec *list, const char *name, const char *value)
{
    const char *found = variables_find(list, name);
    if (value == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, value);
    }
}

/* A home whose pip.conf says everything, so that the machine's own counts for nothing. */
static const char conf[] = "# mirror\n"
                           "[global]\n"
                           "index-url = https://mirror/simple\n"
                           "extra-index-url =\n"
                           "    https://one/simple\n"
                           "    https://two/simple\n"
                           "; more\n"
                           "[install]\n"
                           "find-links: /wheels /more\n"
                           "trusted-host = mirror\n"
                           "[freeze]\n"
                           "cert = /wrong.pem\n"
                           "[global]\n"
                           "cert = /ca.pem\n";

static struct scratch *make_home(struct strvec *list)
{
    struct scratch *s = scratch_new();
    scratch_mkdir(s, ".config");
    scratch_mkdir(s, ".config/pip");
    scratch_write(s, ".config/pip/pip.conf", conf);
    variables_setf(list, "HOME=%s", s->path);
    return s;
}

static void a_file_of_pip_counts_for_uv(void **state)
{
    struct strvec list CLEANUP_STRVEC = STRVEC_INIT;
    CLEANUP_SCRATCH struct scratch *home = make_home(&list);
    (void)state;
    (void)home;
    environment_settings_for_uv(&list, false);
    assert_is(&list, "UV_INDEX_URL", "https://mirror/simple");
    assert_is(&list, "UV_EXTRA_INDEX_URL", "https://one/simple https://two/simple");
    assert_is(&list, "UV_FIND_LINKS", "/wheels,/more");
    assert_is(&list, "UV_INSECURE_HOST", "mirror");
    assert_is(&list, "SSL_CERT_FILE", "/ca.pem");
}

static void variables_count_more_and_uvs_own_most(void **state)
{
    struct strvec list CLEANUP_STRVEC = STRVEC_INIT;
    CLEANUP_SCRATCH struct scratch *home = make_home(&list);
    (void)state;
    (void)home;
    strvec_push(&list, "PIP_INDEX_URL=https://variable/simple");
    strvec_push(&list, "PIP_CERT=/variable.pem");
    strvec_push(&list, "SSL_CERT_FILE=/own.pem");
    environment_settings_for_uv(&list, false);
    assert_is(&list, "UV_INDEX_URL", "https://variable/simple");
    assert_is(&list, "SSL_CERT_FILE", "/own.pem");
}

static void a_definition_with_sources_keeps_to_them(void **state)
{
    struct strvec list CLEANUP_STRVEC = STRVEC_INIT;
    CLEANUP_SCRATCH struct scratch *home = make_home(&list);
    (void)state;
    (void)home;
    environment_settings_for_uv(&list, true);
    assert_is(&list, "UV_INDEX_URL", NULL);
    assert_is(&list, "UV_FIND_LINKS", NULL);
    assert_is(&list, "SSL_CERT_FILE", "/ca.pem");
}

static void a_user_without_files_is_left_alone(void **state)
{
    struct strvec list CLEANUP_STRVEC = STRVEC_INIT;
    CLEANUP_SCRATCH struct scratch *home = make_home(&list);
    (void)state;
    (void)home;
    strvec_push(&list, "PIP_CONFIG_FILE=/dev/null");
    environment_settings_for_uv(&list, false);
    assert_int_equal(list.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_pip_counts_for_uv),
        cmocka_unit_test(variables_count_more_and_uvs_own_most),
        cmocka_unit_test(a_definition_with_sources_keeps_to_them),
        cmocka_unit_test(a_user_without_files_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
