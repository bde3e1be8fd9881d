#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "tests/unit/death.h"

static void an_empty_buffer_is_a_string(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct strbuf other;

    (void)state;
    strbuf_init(&other, 10);
    assert_string_equal(sb.data, "");
    assert_string_equal(other.data, "");
    strbuf_reset(&sb);
    strbuf_truncate(&sb, 0);
    strbuf_consume(&sb, 0);
    assert_int_equal(strbuf_add(&sb, NULL, 0, NULL), 0);
    assert_string_equal(sb.data, "");
    assert_int_equal(sb.length, 0);
}

static void bytes_add_up_and_end_in_nul(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(strbuf_add(&sb, "a\0b", 3, NULL), 0);
        assert_int_equal(sb.data[sb.length], '\0');
        assert_true(sb.length < sb.capacity);
    }
    assert_int_equal(sb.length, 3000);
    assert_memory_equal(sb.data + 2997, "a\0b", 4);
}

static void the_limit_is_exact(void **state)
{
    CLEANUP_STRBUF struct strbuf sb;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_init(&sb, 5);
    assert_int_equal(strbuf_add(&sb, "abcd", 4, &err), 0);
    assert_int_equal(strbuf_add(&sb, "ef", 2, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(sb.data, "abcd");
    assert_int_equal(sb.length, 4);
    assert_int_equal(strbuf_add(&sb, "e", 1, &err), 0);
    assert_int_equal(strbuf_add(&sb, "f", 1, NULL), -1);
    assert_int_equal(strbuf_add(&sb, "", 0, NULL), 0);
    assert_string_equal(sb.data, "abcde");
    assert_true(sb.capacity <= 6);
}

static void huge_lengths_do_not_wrap(void **state)
{
    CLEANUP_STRBUF struct strbuf sb;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_init(&sb, SIZE_MAX);
    strbuf_puts(&sb, "x");
    assert_null(strbuf_reserve(&sb, SIZE_MAX, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(strbuf_reserve(&sb, SIZE_MAX - 1, &err));
    assert_string_equal(sb.data, "x");
}

static void a_limit_of_nothing_holds_nothing(void **state)
{
    CLEANUP_STRBUF struct strbuf sb;

    (void)state;
    strbuf_init(&sb, 0);
    assert_int_equal(strbuf_add(&sb, "a", 1, NULL), -1);
    assert_non_null(strbuf_reserve(&sb, 0, NULL));
    assert_string_equal(sb.data, "");
}

static void room_is_used_as_far_as_it_was_filled(void **state)
{
    CLEANUP_STRBUF struct strbuf sb;
    char *room;

    (void)state;
    strbuf_init(&sb, 100);
    strbuf_puts(&sb, "ab");
    room = strbuf_reserve(&sb, 98, NULL);
    assert_non_null(room);
    memcpy(room, "cd!", 4);
    strbuf_grown(&sb, 2);
    assert_string_equal(sb.data, "abcd");
    assert_null(strbuf_reserve(&sb, 97, NULL));
    strbuf_grown(&sb, 0);
    assert_string_equal(sb.data, "abcd");
}

static void consumes_from_the_front_and_cuts_at_the_end(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    (void)state;
    strbuf_puts(&sb, "abcdef");
    strbuf_consume(&sb, 2);
    assert_string_equal(sb.data, "cdef");
    strbuf_truncate(&sb, 3);
    assert_string_equal(sb.data, "cde");
    strbuf_consume(&sb, 3);
    assert_string_equal(sb.data, "");
    strbuf_puts(&sb, "again");
    strbuf_reset(&sb);
    assert_int_equal(sb.length, 0);
    assert_string_equal(sb.data, "");
    assert_true(sb.capacity > 0);
}

static void text_is_put_together(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    (void)state;
    strbuf_putc(&sb, '<');
    strbuf_puts(&sb, "n=");
    strbuf_printf(&sb, "%d %s", 42, "x");
    strbuf_printf(&sb, "%s", "");
    strbuf_putc(&sb, '>');
    assert_string_equal(sb.data, "<n=42 x>");
    strbuf_printf(&sb, "%4000d", 1);
    assert_int_equal(sb.length, 4008);
}

static void detached_bytes_belong_to_the_caller(void **state)
{
    struct strbuf sb;
    char *first;
    char *second;

    (void)state;
    strbuf_init(&sb, 10);
    strbuf_puts(&sb, "abc");
    first = strbuf_detach(&sb);
    second = strbuf_detach(&sb);
    assert_string_equal(first, "abc");
    assert_string_equal(second, "");
    assert_int_equal(sb.length, 0);
    assert_int_equal(sb.limit_bytes, 10);
    strbuf_puts(&sb, "d");
    assert_string_equal(first, "abc");
    assert_string_equal(sb.data, "d");
    strbuf_release(&sb);
    free(first);
    free(second);
}

static void a_released_buffer_is_usable_again(void **state)
{
    struct strbuf sb;

    (void)state;
    strbuf_init(&sb, 3);
    strbuf_puts(&sb, "abc");
    strbuf_release(&sb);
    strbuf_release(&sb);
    assert_string_equal(sb.data, "");
    assert_int_equal(sb.limit_bytes, 3);
    assert_int_equal(strbuf_add(&sb, "abcd", 4, NULL), -1);
    assert_int_equal(strbuf_add(&sb, "abc", 3, NULL), 0);
    strbuf_release(&sb);
}

static void put_over_the_limit(void)
{
    struct strbuf sb;

    strbuf_init(&sb, 3);
    strbuf_puts(&sb, "abcd");
}

static void print_over_the_limit(void)
{
    struct strbuf sb;

    strbuf_init(&sb, 3);
    strbuf_printf(&sb, "%d", 1234);
}

static void our_own_text_over_the_limit_ends_the_program(void **state)
{
    char said[200];

    (void)state;
    assert_int_equal(death_by(put_over_the_limit, said, sizeof(said)), SIGABRT);
    assert_non_null(strstr(said, "limit"));
    assert_int_equal(death_by(print_over_the_limit, said, sizeof(said)), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_a_string),
        cmocka_unit_test(bytes_add_up_and_end_in_nul),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(a_limit_of_nothing_holds_nothing),
        cmocka_unit_test(room_is_used_as_far_as_it_was_filled),
        cmocka_unit_test(consumes_from_the_front_and_cuts_at_the_end),
        cmocka_unit_test(text_is_put_together),
        cmocka_unit_test(detached_bytes_belong_to_the_caller),
        cmocka_unit_test(a_released_buffer_is_usable_again),
        cmocka_unit_test(our_own_text_over_the_limit_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
