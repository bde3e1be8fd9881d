/* livy_python: what is kept of the Python of a Livy's cluster. */
#include "scratch.h"

#include "common/livy_python.h"

static void make_spec(struct runspec *spec)
{
    runspec_init(spec);
    spec->spark = runspec_spark_new();
    spec->spark->livy = runspec_livy_new();
    spec->spark->livy->url = xstrdup("https://cluster.example.net/livy");
}

static bool is_kept(struct scratch *s, const struct runspec *spec,
                    const struct livy_python *python, struct livy_python *out)
{
    assert_int_equal(livy_python_write(s->fd, spec, python, NULL), 0);
    return livy_python_read(s->fd, spec, out);
}

static void what_is_kept_reads_back(void **state)
{
    struct scratch *s = scratch_new();
    const struct livy_python python = {"3.11.7", "linux-x86_64", "glibc-2.36"};
    struct livy_python got;
    struct runspec spec;
    (void)state;
    make_spec(&spec);
    assert_false(livy_python_read(s->fd, &spec, &got));
    assert_true(is_kept(s, &spec, &python, &got));
    assert_string_equal(got.version, "3.11.7");
    assert_string_equal(got.platform, "linux-x86_64");
    assert_string_equal(got.libc, "glibc-2.36");
    spec.interpreter = xstrdup("/opt/python3.9");
    assert_false(livy_python_read(s->fd, &spec, &got));
    runspec_release(&spec);
    scratch_free(s);
}

/* The rest stayed, and who knew the version otherwise named folders after it. */
static void of_what_is_not_plain_nothing_is_left(void **state)
{
    static const struct livy_python pythons[] = {
        {"../3.11", "linux-x86_64", "glibc-2.36"},
        {"3.11.7", "../../linux", "glibc-2.36"},
        {"3.11.7", "linux-x86_64", "a b"},
        {"", "linux-x86_64", "glibc-2.36"},
    };
    struct scratch *s = scratch_new();
    struct runspec spec;
    (void)state;
    make_spec(&spec);
    for (size_t i = 0; i < ARRAY_SIZE(pythons); i++) {
        struct livy_python got;
        assert_false(is_kept(s, &spec, &pythons[i], &got));
        assert_string_equal(got.version, "");
        assert_string_equal(got.platform, "");
        assert_string_equal(got.libc, "");
    }
    runspec_release(&spec);
    scratch_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_reads_back),
        cmocka_unit_test(of_what_is_not_plain_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
