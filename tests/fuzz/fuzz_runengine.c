/*
 * runengine: any lines as a run's `engine`. A line that is refused changes nothing; what
 * is known is text of one line that passes again as a member of a journal line.
 */
#include "tests/fuzz/fuzz.h"

#include "common/bytes.h"
#include "common/runengine.h"

static void check_member(void *context, const char *key, const char *text)
{
    (void)context;
    (void)key;
    assert(bytes_is_utf8(text, strlen(text)));
    assert(strpbrk(text, "\r\n\t\x1b") == NULL);
}

static void check_again(const struct run_engine *engine)
{
    CLEANUP_JSON struct json *j = run_engine_to_json(engine);
    CLEANUP_JSON struct json *second = NULL;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, again = STRBUF_INIT;
    struct run_engine back;

    json_write(j, false, &text);
    assert(run_engine_from_json(j, &back, NULL) == 0);
    second = run_engine_to_json(&back);
    json_write(second, false, &again);
    assert(strcmp(text.data, again.data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    struct run_engine engine;

    run_engine_init(&engine);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline != NULL ? newline : end) - at);
        struct run_engine before = engine;
        struct engine_line said;
        struct error err = ERROR_INIT;

        if (run_engine_take(&engine, at, length, &said, &err) < 0) {
            fuzz_check_error(&err);
            assert(memcmp(&before, &engine, sizeof(before)) == 0);
        } else {
            assert(said.seq > 0 && said.attempt == engine.attempt);
            check_member(NULL, "text", said.text);
            run_engine_each(&engine, check_member, NULL);
            if (run_engine_is_known(&engine)) {
                check_again(&engine);
            }
        }
        at += length + (newline != NULL);
    }
    return 0;
}
