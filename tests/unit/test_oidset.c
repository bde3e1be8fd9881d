#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/oidset.h"

static struct oid numbered(uint64_t i)
{
    struct oid oid;

    oid_of_bytes(&i, sizeof(i), &oid);
    return oid;
}

static void what_was_added_is_found(void **state)
{
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(100000);

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        struct oid oid = numbered(i);

        assert_int_equal(oidset_add(set, OBJECT_CONTENT, &oid, i, NULL), 1);
    }
    assert_int_equal(oidset_count(set), 100000);
    for (uint64_t i = 0; i < 100000; i++) {
        struct oid oid = numbered(i);

        assert_true(oidset_has(set, OBJECT_CONTENT, &oid));
        assert_false(oidset_has(set, OBJECT_TREE, &oid));
        assert_int_equal(*oidset_value(set, OBJECT_CONTENT, &oid), i);
        oid = numbered(i + 100000);
        assert_false(oidset_has(set, OBJECT_CONTENT, &oid));
        assert_null(oidset_value(set, OBJECT_CONTENT, &oid));
    }
}

static void adding_again_keeps_the_value(void **state)
{
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(2);
    struct oid oid = numbered(1);

    (void)state;
    assert_int_equal(oidset_add(set, OBJECT_TREE, &oid, 5, NULL), 1);
    assert_int_equal(oidset_add(set, OBJECT_TREE, &oid, 6, NULL), 0);
    assert_int_equal(*oidset_value(set, OBJECT_TREE, &oid), 5);
    *oidset_value(set, OBJECT_TREE, &oid) = 7;
    assert_int_equal(*oidset_value(set, OBJECT_TREE, &oid), 7);
    assert_int_equal(oidset_add(set, OBJECT_LIST, &oid, 8, NULL), 1);
    assert_int_equal(*oidset_value(set, OBJECT_TREE, &oid), 7);
    assert_int_equal(oidset_count(set), 2);
}

static void the_limit_is_exact(void **state)
{
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(100);
    CLEANUP(oidset_cleanup) struct oidset *none = oidset_new(0);
    struct error err = ERROR_INIT;
    struct oid oid;

    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        oid = numbered(i);
        assert_int_equal(oidset_add(set, OBJECT_LIST, &oid, 0, &err), 1);
    }
    oid = numbered(100);
    assert_int_equal(oidset_add(set, OBJECT_LIST, &oid, 0, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    oid = numbered(99);
    assert_int_equal(oidset_add(set, OBJECT_LIST, &oid, 0, NULL), 0);
    assert_true(oidset_remove(set, OBJECT_LIST, &oid));
    oid = numbered(100);
    assert_int_equal(oidset_add(set, OBJECT_LIST, &oid, 0, NULL), 1);
    assert_int_equal(oidset_add(none, OBJECT_LIST, &oid, 0, NULL), -1);
}

/* The other end chooses digests: here all begin with the same 24 bytes. */
static void alike_digests_do_no_harm(void **state)
{
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(1u << 20);
    struct oid oid = {{0}};

    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        memcpy(oid.digest + 24, &i, sizeof(i));
        assert_int_equal(oidset_add(set, OBJECT_CONTENT, &oid, i, NULL), 1);
    }
    for (uint64_t i = 0; i < 200000; i++) {
        memcpy(oid.digest + 24, &i, sizeof(i));
        assert_int_equal(*oidset_value(set, OBJECT_CONTENT, &oid), i);
    }
}

/* Against the simplest model there is. */
static void removing_leaves_all_others(void **state)
{
    enum { COUNT = 500, STEPS = 50000 };
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(COUNT);
    bool is_in[COUNT] = {false};
    uint64_t random = 88172645463325252u;
    size_t count = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        struct oid oid;
        size_t i;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i = (size_t)(random >> 8) % COUNT;
        oid = numbered(i);
        if (random & 1) {
            assert_int_equal(oidset_add(set, OBJECT_TREE, &oid, i, NULL), !is_in[i]);
        } else {
            assert_int_equal(oidset_remove(set, OBJECT_TREE, &oid), is_in[i]);
        }
        count = count + (random & 1) * !is_in[i] - !(random & 1) * is_in[i];
        is_in[i] = random & 1;
        assert_int_equal(oidset_count(set), count);
        if (step % 1000 == 0) {
            for (size_t k = 0; k < COUNT; k++) {
                oid = numbered(k);
                assert_int_equal(oidset_has(set, OBJECT_TREE, &oid), is_in[k]);
            }
        }
    }
}

static void all_are_visited_once(void **state)
{
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(1000);
    bool seen[1000] = {false};
    enum object_kind kind;
    struct oid oid;
    uint64_t value;
    size_t cursor = 0, count = 0;

    (void)state;
    assert_false(oidset_next(set, &cursor, &kind, &oid, &value));
    for (uint64_t i = 0; i < 1000; i++) {
        oid = numbered(i);
        assert_int_equal(
            oidset_add(set, i % 2 ? OBJECT_LIST : OBJECT_TREE, &oid, i, NULL), 1);
    }
    for (cursor = 0; oidset_next(set, &cursor, &kind, &oid, &value); count++) {
        struct oid want = numbered(value);

        assert_true(value < 1000 && !seen[value]);
        seen[value] = true;
        assert_true(oid_equal(&want, &oid));
        assert_int_equal(kind, value % 2 ? OBJECT_LIST : OBJECT_TREE);
    }
    assert_int_equal(count, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(adding_again_keeps_the_value),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(alike_digests_do_no_harm),
        cmocka_unit_test(removing_leaves_all_others),
        cmocka_unit_test(all_are_visited_once),
    };

    return cmocka_run_group_tests_name("oidset", tests, NULL, NULL);
}
