/*
 * recorded: what real servers answered (tests/fixtures), for tests of who reads it.
 * [tests]
 */
#ifndef TESTS_UNIT_RECORDED_H
#define TESTS_UNIT_RECORDED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "common/files.h"
#include "common/mem.h"
#include "common/strbuf.h"

/* Append the bytes of tests/fixtures/NAME. */
static inline void recorded(const char *name, struct strbuf *out)
{
    const char *source = getenv("ERRAND_SOURCE_DIR");
    struct error err = ERROR_INIT;

    assert_non_null(source);
    CLEANUP_FREE char *path = xasprintf("%s/tests/fixtures/%s", source, name);
    if (files_read(AT_FDCWD, path, out, &err) < 0) {
        fail_msg("%s: %s", path, err.text);
    }
}

#endif
