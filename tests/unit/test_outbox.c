#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/outbox.h"
#include "common/strbuf.h"

static const uint8_t zeros[FRAME_DATA_MAX];

/* Queue a frame whose stream number is its name. */
static void add(struct outbox *box, size_t slot, enum outbox_class class, uint32_t name,
                uint32_t length)
{
    struct frame_header header = {.length = length, .type = 8, .stream = name};

    outbox_add(box, slot, class, &header, zeros);
}

/* Write everything; the names of the frames in order. */
static void drain(struct outbox *box, char *out, size_t size)
{
    struct strbuf bytes;
    size_t length;
    const void *part;
    size_t at = 0;
    size_t used = 0;

    strbuf_init(&bytes, SIZE_MAX);
    while ((part = outbox_output(box, &length)) != NULL && length > 0) {
        assert_int_equal(strbuf_add(&bytes, part, length, NULL), 0);
        outbox_output_done(box, length);
    }
    while (at < bytes.length) {
        struct frame_header header;

        assert_int_equal(frame_decode((const uint8_t *)bytes.data + at, &header, NULL),
                         0);
        assert_true(used + 1 < size);
        out[used++] = (char)header.stream;
        at += FRAME_HEADER_SIZE + header.length;
    }
    assert_int_equal(at, bytes.length);
    out[used] = '\0';
    strbuf_release(&bytes);
}

static void an_empty_box_has_no_output(void **state)
{
    struct outbox *box = outbox_new();
    size_t length = 1;

    (void)state;
    outbox_output(box, &length);
    assert_int_equal(length, 0);
    assert_int_equal(outbox_pending(box), 0);
    outbox_free(box);
}

static void the_connection_goes_first_then_control_then_data_in_turns(void **state)
{
    struct outbox *box = outbox_new();
    char order[32];

    (void)state;
    add(box, 1, OUTBOX_DATA, 'd', 10);
    add(box, 1, OUTBOX_DATA, 'd', 10);
    add(box, 2, OUTBOX_DATA, 'e', 10);
    add(box, 2, OUTBOX_CONTROL, 'E', 10);
    add(box, 2, OUTBOX_DATA, 'e', 10);
    add(box, 4, OUTBOX_CONTROL, 'x', 10);
    add(box, 3, OUTBOX_CONTROL, 'y', 10);
    add(box, 4, OUTBOX_CONTROL, 'z', 10);
    add(box, 0, OUTBOX_CONTROL, '0', 10);
    drain(box, order, sizeof(order));
    assert_string_equal(order, "0xyzdeEde");
    outbox_free(box);
}

static void turns_go_on_where_they_were(void **state)
{
    struct outbox *box = outbox_new();
    char order[32];

    (void)state;
    add(box, 1, OUTBOX_DATA, 'a', 10);
    add(box, 2, OUTBOX_DATA, 'b', 10);
    drain(box, order, sizeof(order));
    add(box, 1, OUTBOX_DATA, 'a', 10);
    add(box, 2, OUTBOX_DATA, 'b', 10);
    add(box, 3, OUTBOX_DATA, 'c', 10);
    drain(box, order, sizeof(order));
    assert_string_equal(order, "cab");
    outbox_free(box);
}

static void small_frames_go_out_in_one_piece_and_large_ones_alone(void **state)
{
    struct outbox *box = outbox_new();
    size_t length;

    (void)state;
    add(box, 1, OUTBOX_CONTROL, 'a', 100);
    add(box, 1, OUTBOX_CONTROL, 'b', 100);
    add(box, 1, OUTBOX_DATA, 'c', FRAME_DATA_MAX);
    outbox_output(box, &length);
    assert_int_equal(length, 2 * (FRAME_HEADER_SIZE + 100));
    outbox_output_done(box, length);
    outbox_output(box, &length);
    assert_int_equal(length, FRAME_HEADER_SIZE + FRAME_DATA_MAX);
    outbox_output_done(box, length - 1);
    outbox_output(box, &length);
    assert_int_equal(length, 1);
    assert_int_equal(outbox_pending(box), 1);
    outbox_free(box);
}

static void what_is_queued_is_counted(void **state)
{
    struct outbox *box = outbox_new();
    char order[8];

    (void)state;
    add(box, 1, OUTBOX_CONTROL, 'a', 8);
    add(box, 1, OUTBOX_DATA, 'b', 88);
    add(box, 2, OUTBOX_DATA, 'c', 188);
    assert_int_equal(outbox_slot_bytes(box, 1), 120);
    assert_int_equal(outbox_data_bytes(box, 1), 100);
    assert_int_equal(outbox_data_total(box), 300);
    assert_int_equal(outbox_pending(box), 320);
    drain(box, order, sizeof(order));
    assert_int_equal(outbox_slot_bytes(box, 1) + outbox_slot_bytes(box, 2), 0);
    assert_int_equal(outbox_data_total(box) + outbox_pending(box), 0);
    outbox_free(box);
}

static void dropping_leaves_opening_frames_and_other_slots(void **state)
{
    struct outbox *box = outbox_new();
    char order[16];

    (void)state;
    add(box, 1, OUTBOX_OPENING, 'o', 8);
    add(box, 1, OUTBOX_DATA, 'd', 8);
    add(box, 1, OUTBOX_OPENING, 'p', 8);
    add(box, 1, OUTBOX_CONTROL, 'c', 8);
    add(box, 2, OUTBOX_DATA, 'x', 8);
    outbox_drop(box, 1);
    assert_int_equal(outbox_data_total(box), 20);
    assert_int_equal(outbox_slot_bytes(box, 1), 40);
    assert_int_equal(outbox_pending(box), 60);
    add(box, 1, OUTBOX_CONTROL, 'r', 8);
    drain(box, order, sizeof(order));
    assert_string_equal(order, "oprx");
    outbox_drop(box, 1);
    assert_int_equal(outbox_pending(box), 0);
    outbox_free(box);
}

static void what_was_begun_is_not_dropped(void **state)
{
    struct outbox *box = outbox_new();
    char order[16];
    size_t length;

    (void)state;
    add(box, 1, OUTBOX_DATA, 'a', FRAME_DATA_MAX);
    add(box, 1, OUTBOX_DATA, 'b', FRAME_DATA_MAX);
    outbox_output(box, &length);
    outbox_drop(box, 1);
    assert_int_equal(outbox_pending(box), FRAME_HEADER_SIZE + FRAME_DATA_MAX);
    drain(box, order, sizeof(order));
    assert_string_equal(order, "a");
    outbox_free(box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_box_has_no_output),
        cmocka_unit_test(the_connection_goes_first_then_control_then_data_in_turns),
        cmocka_unit_test(turns_go_on_where_they_were),
        cmocka_unit_test(small_frames_go_out_in_one_piece_and_large_ones_alone),
        cmocka_unit_test(what_is_queued_is_counted),
        cmocka_unit_test(dropping_leaves_opening_frames_and_other_slots),
        cmocka_unit_test(what_was_begun_is_not_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
