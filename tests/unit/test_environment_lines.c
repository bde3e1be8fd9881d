#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "controller/environment_lines.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The lines, one a line. */
static void assert_lines(const struct strvec *lines, const char *expected)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < lines->count; i++) {
        strbuf_printf(&text, "%s\n", lines->items[i]);
    }
    assert_string_equal(text.data, expected);
}

static void assert_definition(const char *definition, const char *expected)
{
    CLEANUP_JSON struct json *j = json_parse(definition, strlen(definition), NULL);
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    assert_non_null(j);
    environment_lines(j, &lines);
    assert_lines(&lines, expected);
}

static void everything_that_decides_is_a_line(void **state)
{
    (void)state;
    assert_definition(
        "{\"format\":1,\"kind\":\"packages\",\"python\":\">=3.9\",\"builder\":"
        "\"uv\",\"requirements\":[\"a==1\",{\"kind\":\"f\",\"name\":\"b.whl\","
        "\"digest\":\"" DIGEST "\",\"extras\":\"x\",\"marker\":\"os_name=='nt'\"},"
        "{\"kind\":\"d\",\"digest\":\"" DIGEST "\",\"is_editable\":true}],"
        "\"constraints\":[\"c<2\"],\"options\":[\"--pre\"]}",
        "kind packages\n"
        "python >=3.9\n"
        "requirement a==1\n"
        "requirement b.whl [x]; os_name=='nt' (content 0123456789ab)\n"
        "requirement a folder (content 0123456789ab, editable)\n"
        "constraint c<2\n"
        "option --pre\n"
        "builder uv\n");
    assert_definition("{\"kind\":\"lock\",\"lock\":{\"files\":[\"" DIGEST
                      "\"],\"groups\":[\"dev\"],\"extras\":[\"gpu\"]}}",
                      "kind lock\n"
                      "lock-file (content 0123456789ab)\n"
                      "group dev\n"
                      "extra gpu\n");
    assert_definition(
        "{\"kind\":\"existing\",\"location\":{\"venv\":{\"base64\":\"/w==\"}}}",
        "kind existing\nvenv \xff\n");
    assert_definition("{}", "");
    assert_definition("[1]", "");
}

static void a_node_adds_its_own(void **state)
{
    static const char text[] =
        "{\"interpreter\":{\"path\":\"/usr/bin/python3\",\"implementation\":\"cpython\","
        "\"version\":\"3.11.2\"},\"platform\":\"linux-x86_64\",\"libc\":\"glibc-2.36\","
        "\"builder\":{\"name\":\"uv\",\"version\":\"0.5.1\"}}";
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    CLEANUP_JSON struct json *empty = json_new_object();
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    (void)state;
    environment_node_lines(empty, &lines);
    environment_node_lines(j, &lines);
    assert_lines(&lines, "interpreter /usr/bin/python3 (cpython 3.11.2)\n"
                         "platform linux-x86_64\n"
                         "libc glibc-2.36\n"
                         "built-with uv 0.5.1\n");
}

static void a_lock_is_read_without_hashes_and_comments(void **state)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    (void)state;
    environment_lock_lines("# made by uv\n\nnumpy==1.26.4 \\\n    --hash=sha256:8a \\\n"
                           "    --hash=sha256:8b\nsix==1.16.0 --hash=sha256:1c\n"
                           "last==1 ; marker # why",
                           &lines);
    assert_lines(&lines, "numpy==1.26.4\nsix==1.16.0\nlast==1 ; marker\n");
}

static void compare(const char *const *a, const char *const *b, const char *expected)
{
    CLEANUP_STRVEC struct strvec left = STRVEC_INIT, right = STRVEC_INIT,
                                 lines = STRVEC_INIT;
    for (; *a != NULL; a++) {
        strvec_push(&left, *a);
    }
    for (; *b != NULL; b++) {
        strvec_push(&right, *b);
    }
    assert_int_equal(environment_lines_differ(&left, &right, &lines),
                     expected[0] == '\0');
    assert_lines(&lines, expected);
}

static void what_differs_stands_side_by_side(void **state)
{
    (void)state;
    compare((const char *[]){"python >=3.9", "requirement a==1", "requirement b", NULL},
            (const char *[]){"requirement a==1", "requirement b", "python >=3.9", NULL},
            "");
    compare((const char *[]){"python >=3.9", "requirement a==1", "requirement ab==1",
                             "requirement gone", NULL},
            (const char *[]){"requirement new", "requirement ab==2", "python >=3.11",
                             "requirement a>=1", NULL},
            "- python >=3.9\n+ python >=3.11\n"
            "- requirement a==1\n+ requirement a>=1\n"
            "- requirement ab==1\n+ requirement ab==2\n"
            "- requirement gone\n+ requirement new\n");
    compare((const char *[]){"numpy==1", "six==1", NULL},
            (const char *[]){"six==2", "numpy==1", NULL}, "- six==1\n+ six==2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_decides_is_a_line),
        cmocka_unit_test(a_node_adds_its_own),
        cmocka_unit_test(a_lock_is_read_without_hashes_and_comments),
        cmocka_unit_test(what_differs_stands_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
