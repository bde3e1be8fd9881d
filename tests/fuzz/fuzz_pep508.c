/*
 * pep508: a line as a requirement, as a marker, as versions and as a Python.
 *
 * What is accepted is written in a spelling that reads as itself.
 */
#include "tests/fuzz/fuzz.h"

#include "common/pep440.h"
#include "controller/pep508.h"

static void check_refusal(const struct error *err)
{
    fuzz_check_error(err);
    assert(err->code == ERR_CONFIG);
}

static void try_requirement(const char *text)
{
    CLEANUP_PEP508 struct pep508 first = {.name = NULL};
    CLEANUP_PEP508 struct pep508 second = {.name = NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    struct error err = ERROR_INIT;

    if (pep508_parse(text, &first, &err) < 0) {
        check_refusal(&err);
        return;
    }
    pep508_write(&first, &out);
    assert(pep508_parse(out.data, &second, &err) == 0);
    pep508_write(&second, &again);
    assert(strcmp(out.data, again.data) == 0);
    assert(strcmp(first.name, second.name) == 0);
}

static void try_marker(const char *text)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    struct error err = ERROR_INIT;

    if (pep508_marker(text, &out, &err) < 0) {
        check_refusal(&err);
        return;
    }
    assert(pep508_marker(out.data, &again, &err) == 0);
    assert(strcmp(out.data, again.data) == 0);
}

static void try_versions(const char *text)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf python = STRBUF_INIT;
    struct error err = ERROR_INIT;

    if (pep440_specifiers(text, strlen(text), &out, &err) < 0) {
        check_refusal(&err);
    } else {
        assert(pep440_specifiers(out.data, out.length, &again, &err) == 0);
        assert(strcmp(out.data, again.data) == 0);
    }
    if (pep440_python(text, &python, &err) == 0) {
        strbuf_reset(&again);
        assert(pep440_specifiers(python.data, python.length, &again, &err) == 0);
        assert(strcmp(python.data, again.data) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = xstrndup((const char *)data, size);

    try_requirement(text);
    try_marker(text);
    try_versions(text);
    return 0;
}
