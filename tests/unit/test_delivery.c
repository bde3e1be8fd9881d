#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/delivery.h"

static void nothing_arrives_where_nothing_was_packed(void **state)
{
    struct delivery d = {0};

    (void)state;
    assert_int_equal(delivery_reach(&d, 0), 0);
    assert_int_equal(delivery_reach(&d, 100), 0);
    delivery_release(&d);
}

static void packs_count_by_their_bodies(void **state)
{
    struct delivery d = {0};

    (void)state;
    delivery_add(&d, 1000, 10); /* compresses well */
    delivery_add(&d, 500, 500); /* not at all */
    assert_int_equal(delivery_reach(&d, 9), 900);
    assert_int_equal(delivery_reach(&d, 10), 1000);
    assert_int_equal(delivery_reach(&d, 11), 1001);
    assert_int_equal(delivery_reach(&d, 509), 1499);
    assert_int_equal(delivery_reach(&d, 510), 1500);
    delivery_add(&d, 4, 2);
    assert_int_equal(delivery_reach(&d, 511), 1502);
    assert_int_equal(delivery_reach(&d, 9999), 1504);
    delivery_release(&d);
}

static void any_number_of_packs_is_under_way(void **state)
{
    struct delivery d = {0};
    uint64_t made = 0;

    (void)state;
    for (uint64_t reached = 0; reached < 1000; reached++) {
        for (int i = 0; i < 3; i++, made++) {
            delivery_add(&d, 20, 2);
        }
        assert_int_equal(delivery_reach(&d, 2 * reached + 1), 20 * reached + 10);
    }
    assert_int_equal(delivery_reach(&d, 2 * made), 20 * made);
    delivery_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_arrives_where_nothing_was_packed),
        cmocka_unit_test(packs_count_by_their_bodies),
        cmocka_unit_test(any_number_of_packs_is_under_way),
    };

    return cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
}
