/*
 * json_texts: documents in tests.            [tests]
 *
 * Include behind cmocka.h.
 */
#ifndef TESTS_UNIT_JSON_TEXTS_H
#define TESTS_UNIT_JSON_TEXTS_H

#include <string.h>

#include "common/json.h"

/* text must be a document. The caller owns it. */
static inline struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (j == NULL) {
        print_error("%s: %s\n", text, err.text);
    }
    assert_non_null(j);
    assert_int_equal(err.code, ERR_NONE);
    return j;
}

/* text must be refused, with this code and these words in the sentence. */
static inline void assert_refused(const char *text, size_t length, enum error_code code,
                                  const char *said)
{
    struct error err = ERROR_INIT;
    struct json *j = json_parse(text, length, &err);

    if (j != NULL || err.code != code || strstr(err.text, said) == NULL) {
        print_error("%.*s: \"%s\", expected \"%s\"\n", (int)length, text, err.text, said);
    }
    assert_null(j);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, said));
}

/* As text reads when it was parsed and written again. */
static inline void assert_rewritten(const char *text, const char *expected)
{
    CLEANUP_JSON struct json *j = parse(text);
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    json_write(j, false, &out);
    assert_string_equal(out.data, expected);
}

#endif
