#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/frame.h"

/* The example in PROTOCOL.md: these bytes are for good. */
static const uint8_t example[FRAME_HEADER_SIZE] = {0x10, 0x32, 0x00, 0x00, 0x08, 0x01,
                                                   0x00, 0x00, 0x04, 0x03, 0x02, 0x01};

static void encodes_little_endian(void **state)
{
    struct frame_header header = {
        .length = 0x3210, .type = 8, .flags = FRAME_FLAG_LAST, .stream = 0x01020304};
    uint8_t out[FRAME_HEADER_SIZE];

    (void)state;
    memset(out, 0xff, sizeof(out));
    frame_encode(out, &header);
    assert_memory_equal(out, example, sizeof(out));
}

static void decodes_what_it_encodes(void **state)
{
    struct frame_header header;

    (void)state;
    assert_int_equal(frame_decode(example, &header, NULL), 0);
    assert_int_equal(header.length, 0x3210);
    assert_int_equal(header.type, 8);
    assert_int_equal(header.flags, FRAME_FLAG_LAST);
    assert_int_equal(header.stream, 0x01020304);
}

static void refuses_each_reserved_bit(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 24; bit++) {
        uint8_t in[FRAME_HEADER_SIZE] = {0};
        struct frame_header header = {.stream = 7};
        struct error err = ERROR_INIT;

        in[5 + bit / 8] = (uint8_t)(1u << bit % 8);
        if (bit == 0) {
            assert_int_equal(frame_decode(in, &header, &err), 0);
            continue;
        }
        assert_int_equal(frame_decode(in, &header, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(header.stream, 7);
    }
}

static void bounds_the_length(void **state)
{
    struct frame_header header = {.length = FRAME_CONTROL_MAX};
    struct error err = ERROR_INIT;
    uint8_t bytes[FRAME_HEADER_SIZE];

    (void)state;
    frame_encode(bytes, &header);
    assert_int_equal(frame_decode(bytes, &header, &err), 0);
    for (uint32_t over = 1; over <= UINT32_MAX / 2; over *= 2) {
        header.length = FRAME_CONTROL_MAX + over;
        frame_encode(bytes, &header);
        assert_int_equal(frame_decode(bytes, &header, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_little_endian),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(refuses_each_reserved_bit),
        cmocka_unit_test(bounds_the_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
