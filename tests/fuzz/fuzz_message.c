/*
 * message: any body of any message, also as the answer to any request.
 *
 * The first byte is the message's type, the second that of the request which END and
 * REPORT answer; the rest is the body. What passes is written again and passes again: the
 * validators look at values, not at spelling. What is refused says which message it was,
 * and nothing of a secret.
 */
#include "tests/fuzz/fuzz.h"

#include "common/message.h"

static void check_refused(const struct message_row *row, const struct error *err)
{
    fuzz_check_error(err);
    assert(err->code == ERR_PROTOCOL);
    assert(strncmp(err->text, row->name, strlen(row->name)) == 0);
    assert(row->type != MSG_SECRETS || strlen(err->text) < 100);
}

/* Two bodies that say the same. */
static void check_equal(const struct json *a, const struct json *b)
{
    CLEANUP_STRBUF struct strbuf a_text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf b_text = STRBUF_INIT;

    json_write(a, false, &a_text);
    json_write(b, false, &b_text);
    assert(strcmp(a_text.data, b_text.data) == 0);
}

static void check_written_again(const struct message_row *row, const struct json *body)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *again = NULL;
    struct error err = ERROR_INIT;

    if (message_check(row->type, body, &err) < 0) {
        assert(err.code == ERR_LIMIT); /* escapes made it longer */
        return;
    }
    json_write(body, false, &text);
    if (message_validate(row, text.data, text.length, &again, &err) < 0) {
        fuzz_fail("what was written does not pass");
    }
    check_equal(body, again);
}

/* ERROR becomes an error, and that a body that says the same. */
static void check_error_body(const struct json *body)
{
    CLEANUP_JSON struct json *again = NULL;
    struct error first = ERROR_INIT;
    struct error second = ERROR_INIT;

    message_to_error(body, &first);
    assert(first.code != ERR_NONE);
    again = message_from_error(&first);
    if (message_check(MSG_ERROR, again, NULL) < 0) {
        fuzz_fail("our own error does not pass");
    }
    message_to_error(again, &second);
    assert(first.code == second.code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    const struct message_row *row = message_row((uint8_t)fuzz_byte(&in));
    const struct message_row *request = message_row((uint8_t)fuzz_byte(&in));
    CLEANUP_JSON struct json *body = NULL;
    struct error err = ERROR_INIT;

    if (row == NULL) {
        return 0;
    }
    if (message_validate(row, in.data, in.size, &body, &err) < 0) {
        assert(body == NULL);
        check_refused(row, &err);
        return 0;
    }
    assert(in.size <= row->max_bytes && (body != NULL) == (row->body == BODY_JSON));
    if (body == NULL) {
        return 0;
    }
    check_written_again(row, body);
    if (row->type == MSG_ERROR) {
        check_error_body(body);
    }
    if (request != NULL && message_validate_answer(request, row, body, &err) < 0) {
        check_refused(row, &err);
    }
    return 0;
}
