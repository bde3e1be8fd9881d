/*
 * livy: any bytes as each of its answers. The first byte says how many of the rest are a
 * first window of a log; all of it is a batch, a list, a refusal, and a second window.
 */
#include "tests/fuzz/fuzz.h"

#include "common/livy.h"

static int visit_batch(void *context, const struct livy_batch *batch)
{
    (void)context;
    assert(batch->id >= 0 && batch->state < LIVY_STATE_COUNT);
    assert(memchr(batch->name, '\0', sizeof batch->name) != NULL);
    (void)livy_is_zombie(batch);
    return 0;
}

static int visit_line(void *context, const char *line, bool is_hole, struct error *err)
{
    size_t *lines = context;
    (void)err;
    assert(is_hole == (line == NULL));
    *lines += 1;
    return 0;
}

static void check(int result, const struct error *err)
{
    if (result < 0) {
        fuzz_check_error(err);
    }
}

static void take_windows(const char *text, size_t first, size_t length)
{
    struct livy_tail tail = {{{NULL, 0}}};
    struct error err = ERROR_INIT;
    size_t lines = 0;
    check(livy_tail_take(&tail, text, first, visit_line, &lines, &err), &err);
    int result = livy_tail_take(&tail, text, length, visit_line, &lines, &err);
    check(result, &err);
    lines = 0;
    /* The same window again has nothing new. */
    assert(result < 0 ||
           livy_tail_take(&tail, text, length, visit_line, &lines, NULL) == 0);
    assert(lines == 0);
    livy_tail_release(&tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    size_t first = fuzz_byte(&in);
    const char *text = (const char *)in.data;
    struct livy_server server;
    struct livy_batch batch;
    struct error err = ERROR_INIT;
    char word[32];
    check(livy_decode_version(text, in.size, &server, &err), &err);
    check(livy_decode_batch(text, in.size, &batch, &err), &err);
    check(livy_decode_batches(text, in.size, visit_batch, NULL, &err), &err);
    check(livy_decode_state(text, in.size, word, &err), &err);
    take_windows(text, first < in.size ? first : in.size, in.size);

    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
    answer.status = 400;
    if (strbuf_add(&answer.body, text, in.size, NULL) == 0) {
        livy_put_reason(&answer, &reason);
        assert(reason.length > 0 && reason.length <= 600);
        assert(strpbrk(reason.data, "\r\n\t\x1b") == NULL);
        (void)livy_judge_post(&answer);
    }
    return 0;
}
