/*
 * toml: any bytes as a document. What is read can be written as JSON, and is not deeper
 * than is said.
 */
#include "tests/fuzz/fuzz.h"

#include "controller/toml.h"

static unsigned depth_of(const struct json *j)
{
    unsigned deepest = 0;

    if (!json_is_object(j) && !json_is_array(j)) {
        return 0;
    }
    for (const struct json *item = json_first(j); item != NULL; item = json_next(item)) {
        unsigned depth = depth_of(item);

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *j = toml_parse("f", (const char *)data, size, &err);
    CLEANUP_JSON struct json *back = NULL;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;

    if (j == NULL) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CONFIG || err.code == ERR_LIMIT);
        return 0;
    }
    /* A header's path and a value below it, each as deep as may be. */
    assert(depth_of(j) <= 2 * TOML_DEPTH_MAX + 2);
    json_write_sorted(j, &text);
    back = json_parse(text.data, text.length, NULL);
    if (back != NULL) { /* else it is deeper than JSON may be */
        json_write_sorted(back, &again);
        assert(strcmp(text.data, again.data) == 0);
    }
    return 0;
}
