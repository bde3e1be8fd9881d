/*
 * json: what is accepted is written as a document that reads back the same. The lenient
 * reader takes all that the strict one takes, as the same values.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write j and read it back; what was written is left in text. */
static struct json *reread(const struct json *j, bool is_pretty, struct strbuf *text)
{
    struct json *back;

    strbuf_reset(text);
    json_write(j, is_pretty, text);
    back = json_parse(text->data, text->length, NULL);
    assert(back != NULL);
    return back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_STRBUF struct strbuf first = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf second = STRBUF_INIT;
    CLEANUP_JSON struct json *lenient = NULL;
    CLEANUP_JSON struct json *read = NULL;
    CLEANUP_JSON struct json *plain = NULL;
    CLEANUP_JSON struct json *pretty = NULL;
    struct error err = ERROR_INIT;

    lenient = json_parse_lenient((const char *)data, size, NULL);
    read = json_parse((const char *)data, size, &err);
    if (read == NULL) {
        assert(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        return 0;
    }
    assert(err.code == ERR_NONE);
    pretty = reread(read, true, &first);
    strbuf_reset(&first);
    json_write(read, false, &first);
    plain = reread(pretty, false, &second);
    assert(strcmp(first.data, second.data) == 0);
    assert(lenient != NULL);
    strbuf_reset(&second);
    json_write(lenient, false, &second);
    assert(strcmp(first.data, second.data) == 0);
    return 0;
}
