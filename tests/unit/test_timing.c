#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/clock.h"
#include "controller/timing.h"

/* The phase's object in what timing_to_json gives. */
static const struct json *phase_of(const struct json *document, const char *name)
{
    const struct json *phases = json_get(document, "phases");
    for (const struct json *p = json_first(phases); p != NULL; p = json_next(p)) {
        if (strcmp(json_string(json_get(p, "phase")), name) == 0) {
            return p;
        }
    }
    return NULL;
}

static void each_phase_has_a_name_of_its_own(void **state)
{
    static const char *const names[] = {
#define ROW(symbol, name, is_part, is_node) name,
#include "controller/timing.def"
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(strlen(names[i]) < 15); /* it fits its column */
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(names[i], names[k]);
        }
    }
}

static void what_did_not_happen_is_null(void **state)
{
    struct timing t;
    (void)state;
    timing_init(&t);
    timing_node(&t, TIMING_CHECKOUT, RUN_TOOK_UNKNOWN);
    CLEANUP_JSON struct json *document = timing_to_json(&t);
    assert_true(json_is_null(json_get(document, "connection")));
    const struct json *phases = json_get(document, "phases");
    size_t count = 0;
    for (const struct json *p = json_first(phases); p != NULL; p = json_next(p)) {
        assert_true(json_is_null(json_get(p, "at_us")));
        assert_true(json_is_null(json_get(p, "took_us")));
        count++;
    }
    assert_int_equal(count, TIMING_COUNT);
}

static void a_phase_counts_once_and_from_the_start(void **state)
{
    struct timing t;
    (void)state;
    timing_init(&t);
    timing_span(&t, TIMING_SUBMIT, t.start_ns + 5 * NS_PER_MS,
                t.start_ns + 7 * NS_PER_MS);
    timing_span(&t, TIMING_SUBMIT, t.start_ns + 50 * NS_PER_MS,
                t.start_ns + 70 * NS_PER_MS);
    CLEANUP_JSON struct json *document = timing_to_json(&t);
    const struct json *submit = phase_of(document, "submit");
    assert_string_equal(json_string(json_get(submit, "on")), "here");
    assert_int_equal(json_integer(json_get(submit, "at_us")), 5000);
    assert_int_equal(json_integer(json_get(submit, "took_us")), 2000);
}

/* No time of the node's is ever set against our clock. */
static void what_the_node_says_has_no_place_on_our_clock(void **state)
{
    struct timing t;
    struct run_status status;
    (void)state;
    timing_init(&t);
    run_status_init(&status);
    status.took_us[RUN_TOOK_CHECKOUT] = 1500;
    status.took_us[RUN_TOOK_ENDING] = INT64_MAX; /* as bad as a node can say */
    timing_run(&t, &status);
    CLEANUP_JSON struct json *document = timing_to_json(&t);
    const struct json *checkout = phase_of(document, "checkout");
    assert_string_equal(json_string(json_get(checkout, "on")), "node");
    assert_true(json_is_null(json_get(checkout, "at_us")));
    assert_int_equal(json_integer(json_get(checkout, "took_us")), 1500);
    assert_true(json_is_null(json_get(phase_of(document, "ending"), "took_us")));
    assert_true(json_is_null(json_get(phase_of(document, "launch"), "took_us")));
}

static void people_read_milliseconds(void **state)
{
    struct timing t;
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    (void)state;
    timing_init(&t);
    t.connection = "kept";
    timing_span(&t, TIMING_CONNECTION, t.start_ns, t.start_ns + 1234567);
    timing_node(&t, TIMING_CHECK, 2500);
    timing_write(&t, &lines);
    assert_int_equal(lines.count, TIMING_COUNT + 2);
    assert_string_equal(lines.items[1 + TIMING_CONNECTION],
                        "connection             0.0       1.2  kept");
    assert_string_equal(lines.items[1 + TIMING_CHECK],
                        "  check                  -       2.5  node");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_phase_has_a_name_of_its_own),
        cmocka_unit_test(what_did_not_happen_is_null),
        cmocka_unit_test(a_phase_counts_once_and_from_the_start),
        cmocka_unit_test(what_the_node_says_has_no_place_on_our_clock),
        cmocka_unit_test(people_read_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
