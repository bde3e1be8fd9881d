/*
 * wildmatch: a pattern, a newline, and what it is compared with. Whatever the pattern, it
 * is compiled and judged; one without special bytes matches itself alone; and where only
 * * ? and \ are special, the verdict is that of the C library's fnmatch.
 */
#include "controller/wildmatch.h"

#include <assert.h>
#include <fnmatch.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* fnmatch takes time exponential in the stars. */
#define STARS_MAX 4
#define TEXT_MAX 256

/* Not where fnmatch differs from git on purpose, or by mistake: glibc's finds no slash
 * behind a star that is written with a backslash. */
static bool is_for_fnmatch(const char *pattern, size_t length)
{
    size_t stars = 0;

    for (size_t i = 0; i < length; i++) {
        stars += pattern[i] == '*';
        if (pattern[i] == '[' || (i > 0 && pattern[i - 1] == '*' && pattern[i] == '*') ||
            (i > 0 && pattern[i - 1] == '\\' && pattern[i] == '/')) {
            return false;
        }
    }
    return stars <= STARS_MAX;
}

static void compare(const char *pattern, size_t pattern_length, const char *text,
                    size_t length)
{
    CLEANUP(wildmatch_cleanup)
    struct wildmatch *w = wildmatch_new(pattern, pattern_length);
    bool is_match = wildmatch_matches(w, text, length);
    size_t literal = wildmatch_literal_length(pattern, pattern_length);

    assert(literal <= pattern_length);
    if (literal == pattern_length) {
        assert(is_match ==
               (length == pattern_length && memcmp(pattern, text, length) == 0));
    } else if (is_match) {
        assert(length >= literal && memcmp(pattern, text, literal) == 0);
    }
    if (length <= TEXT_MAX && is_for_fnmatch(pattern, pattern_length)) {
        assert(is_match == (fnmatch(pattern, text, FNM_PATHNAME) == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = memchr(data, '\n', size);
    size_t length = newline ? (size_t)(newline - data) : size;
    CLEANUP_FREE char *pattern = xstrndup((const char *)data, length);
    size_t rest = newline ? size - length - 1 : 0;
    CLEANUP_FREE char *text = xstrndup(newline ? (const char *)newline + 1 : "", rest);

    /* Neither has a NUL: lines end there, and so do paths. */
    compare(pattern, strlen(pattern), text, strlen(text));
    compare(pattern, strlen(pattern), pattern, strlen(pattern));
    return 0;
}
