#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/treediff.h"
#include "tests/unit/trees.h"

static int note(void *context, const char *path, const struct tree_entry *a,
                const struct tree_entry *b, struct error *err)
{
    struct strbuf *seen = context;
    if (strcmp(path, "stop") == 0) {
        return error_set(err, ERR_CANCELED, "stop");
    }
    strbuf_printf(seen, "%c%s;", a == NULL ? '+' : b == NULL ? '-' : '~', path);
    return 0;
}

static void assert_diff(struct objects *objects, const struct oid *a, const struct oid *b,
                        const char *expected)
{
    CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
    struct error err = ERROR_INIT;
    if (treediff_visit(&objects->source, a, b, note, &seen, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(seen.data, expected);
}

/* x/: in and out, of these texts. */
static struct oid make(struct objects *objects, const char *in, enum tree_kind kind,
                       const char *last)
{
    const struct row inner[] = {{.kind = TREE_FILE, .name = "in", .text = in},
                                {.kind = kind, .name = "out", .text = "1"},
                                {.name = NULL}};
    uint64_t size = 0;
    struct oid folder = trees_make(objects, inner, &size);
    const struct row rows[] = {
        {.kind = TREE_FILE, .name = "a", .text = "1"},
        {.kind = TREE_FOLDER, .name = "x", .folder = &folder, .size_bytes = size},
        {.kind = TREE_FILE, .name = last, .text = "1"},
        {.name = NULL}};
    return trees_make(objects, rows, NULL);
}

static void what_differs_is_told_with_its_path(void **state)
{
    struct objects *objects = objects_new();
    (void)state;
    struct oid one = make(objects, "1", TREE_FILE, "y");
    struct oid changed = make(objects, "2", TREE_FILE, "y");
    struct oid other = make(objects, "1", TREE_EXECUTABLE, "z");
    assert_diff(objects, &one, &one, "");
    assert_diff(objects, &one, &changed, "~x/in;");
    assert_diff(objects, &one, &other, "~x/out;-y;+z;");
    assert_diff(objects, &other, &one, "~x/out;+y;-z;");
    objects_free(objects);
}

static void a_folder_of_one_side_is_one(void **state)
{
    struct objects *objects = objects_new();
    (void)state;
    const struct row none[] = {{.name = NULL}};
    const struct row file[] = {{.kind = TREE_FILE, .name = "x", .text = "1"},
                               {.name = NULL}};
    struct oid empty = trees_make(objects, none, NULL);
    struct oid named = trees_make(objects, file, NULL);
    struct oid one = make(objects, "1", TREE_FILE, "y");
    assert_diff(objects, &empty, &one, "+a;+x;+y;");
    assert_diff(objects, &one, &empty, "-a;-x;-y;");
    assert_diff(objects, &named, &one, "+a;~x;+y;");
    objects_free(objects);
}

static void the_visitor_and_a_missing_object_stop_it(void **state)
{
    struct objects *objects = objects_new();
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
    (void)state;
    struct oid one = make(objects, "1", TREE_FILE, "stop");
    struct oid two = make(objects, "1", TREE_FILE, "y");
    assert_int_equal(treediff_visit(&objects->source, &one, &two, note, &seen, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    two.digest[0] ^= 1;
    assert_int_equal(treediff_visit(&objects->source, &one, &two, note, &seen, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    objects_free(objects);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct objects *objects = objects_new();
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
    char name[201];
    (void)state;
    memset(name, 'n', sizeof name);
    name[200] = '\0';
    const struct row rows[2][2] = {
        {{.kind = TREE_FILE, .name = "f", .text = "1"}, {.name = NULL}},
        {{.kind = TREE_FILE, .name = "f", .text = "2"}, {.name = NULL}}};
    struct oid a = trees_make(objects, rows[0], NULL);
    struct oid b = trees_make(objects, rows[1], NULL);
    struct oid deep_a = trees_nest(objects, &a, 1, name, 20);
    struct oid deep_b = trees_nest(objects, &b, 1, name, 20);
    assert_int_equal(
        treediff_visit(&objects->source, &deep_a, &deep_b, note, &seen, &err), 0);
    deep_a = trees_nest(objects, &a, 1, name, 21);
    deep_b = trees_nest(objects, &b, 1, name, 21);
    assert_int_equal(
        treediff_visit(&objects->source, &deep_a, &deep_b, note, &seen, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    objects_free(objects);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_told_with_its_path),
        cmocka_unit_test(a_folder_of_one_side_is_one),
        cmocka_unit_test(the_visitor_and_a_missing_object_stop_it),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
