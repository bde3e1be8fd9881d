#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "executor/environment_explain.h"

/* What uv 0.13 and pip 23.2 said, shortened where it is long. */
static const struct {
    const char *text;
    enum error_code code;
    const char *sentence; /* a part of it */
} said[] = {
    {"Using Python 3.11.7 environment at: /x\n"
     "error: No solution found when resolving dependencies\n"
     "  cause: Because nosuchpkg was not found in the package registry and you require "
     "nosuchpkg, we can conclude that your requirements are unsatisfiable.\n",
     ERR_NOT_FOUND, "the package index has no package nosuchpkg"},
    {"  cause: Because there is no version of tiny==9 and you require tiny==9, we can "
     "conclude that your requirements are unsatisfiable.\n",
     ERR_NOT_FOUND, "there is no tiny==9"},
    {"  cause: Because only tiny<=1.1 is available and you require tiny>=5, we can "
     "conclude that your requirements are unsatisfiable.\n",
     ERR_NOT_FOUND, "only tiny<=1.1 is available, and tiny>=5 is required"},
    {"  cause: Because all versions of needs depend on tiny>=1.1 and you require "
     "tiny==1.0, we can conclude that your requirements and all versions of needs are "
     "incompatible.\n"
     "         And because you require needs, we can conclude that your requirements are "
     "unsatisfiable.\n",
     ERR_NOT_FOUND,
     "cannot all be met: all versions of needs depend on tiny>=1.1 and you require "
     "tiny==1.0"},
    {"The conflict is caused by:\n    The user requested tiny==1.0\n"
     "    needs 1.0 depends on tiny>=1.1\n\nTo fix this you could try to:\n",
     ERR_NOT_FOUND, "The user requested tiny==1.0, needs 1.0 depends on tiny>=1.1"},
    {"error: Failed to download `tiny==1.0`\n  cause: Hash mismatch for `tiny==1.0`\n",
     ERR_CORRUPT, "tiny==1.0 is not the file that its hash"},
    {"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you "
     "have updated the package versions, please update the hashes. Otherwise, examine "
     "the package contents carefully; someone may have tampered with them.\n"
     "    tiny==1.0 from http://x/tiny-1.0-py3-none-any.whl#sha256=c0\n",
     ERR_CORRUPT, "tiny==1.0 is not the file that its hash"},
    {"error: In `--require-hashes` mode, all requirements must have a hash, but none "
     "were "
     "provided for: tiny==1.0\n",
     ERR_CONFIG, "hashes are required, and tiny==1.0 has none"},
    {"  cause: Because oldabi==1.0 has no wheels with a matching Python implementation "
     "tag (e.g., `cp311`) and only oldabi==1.0 is available, we can conclude that\n",
     ERR_UNSUPPORTED, "oldabi==1.0 has no wheel for this Python and machine"},
    {"error: Failed to fetch: http://127.0.0.1:9/simple/tiny/\n"
     "  cause: tcp connect error\n  cause: Connection refused (os error 111)\n",
     ERR_CONNECT, "the package index refused the connection"},
    {"WARNING: Retrying (Retry(total=0)) after connection broken by "
     "'NewConnectionError('<x>: Failed to establish a new connection: [Errno 111] "
     "Connection refused')': /simple/tiny/\n"
     "ERROR: Could not find a version that satisfies the requirement tiny (from "
     "versions: "
     "none)\n",
     ERR_CONNECT, "the package index refused the connection"},
    {"  cause: dns error\n"
     "  cause: failed to lookup address information: Name or service not known\n",
     ERR_CONNECT, "cannot find the package index by its name"},
    {"  cause: client error (Connect)\n  cause: invalid peer certificate: "
     "UnknownIssuer\n",
     ERR_CONNECT, "the certificate of the package index is not trusted"},
    {"error: Failed to fetch: http://x/simple/tiny/\n"
     "  cause: HTTP status server error (500 Internal Server Error) for url (http://x)\n",
     ERR_CONNECT, "the package index answered 500 Internal Server Error"},
    {"hint: An index (http://x/simple/) returned a 403 Forbidden error. Check that the "
     "index URL is correct and the credentials are valid.\n",
     ERR_ACCESS, "the package index answered 403 Forbidden"},
    {"ERROR: Could not find a version that satisfies the requirement tiny==9 (from "
     "versions: 1.0, 1.1)\nERROR: No matching distribution found for tiny==9\n",
     ERR_NOT_FOUND, "no version is tiny==9 for this Python; there are 1.0, 1.1"},
    {"      error: [Errno 2] No such file or directory: 'gcc'\n"
     "  ERROR: Failed building wheel for cext\n",
     ERR_UNSUPPORTED, "the node has no compiler"},
    {"      cext.c:1:10: fatal error: Python.h: No such file or directory\n",
     ERR_UNSUPPORTED, "the node has no Python.h"},
    {"error: Failed to build `x @ file:///n/envs/ab/20261128T125043Z-cfc9/inputs/0/p`\n"
     "  cause: The build backend returned an error\n",
     ERR_UNSUPPORTED, "x, which is part of the project, cannot be built"},
    {"error: Failed to build `badsetup==1.0`\n  cause: The build backend returned an "
     "error\n",
     ERR_UNSUPPORTED, "badsetup==1.0 has no wheel for this Python and machine"},
    {"error: Failed to install: x.whl (x==1)\n  cause: failed to copy file\n"
     "  cause: No space left on device (os error 28)\n",
     ERR_NO_SPACE, "the node's disk is full"},
    {"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on "
     "device\n",
     ERR_NO_SPACE, "the node's disk is full"},
};

static void what_builders_say_becomes_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
        struct error err = ERROR_INIT;
        assert_int_equal(environment_explain("uv", said[i].text, 1, &err), -1);
        if (strstr(err.text, said[i].sentence) == NULL || err.code != said[i].code) {
            fail_msg("%s\nbecame %s: %s", said[i].text, error_code_name(err.code),
                     err.text);
        }
        assert_true(err.hint[0] != '\0');
        assert_null(strchr(err.text, '\n'));
    }
}

static void what_no_row_knows_is_told_in_the_builders_words(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(environment_explain("pip", "one\nERROR: what?\ntwo\n", 3, &err), -1);
    assert_string_equal(err.text, "pip failed (status 3): ERROR: what?");
    assert_int_equal(environment_explain("uv", "", 137, &err), -1);
    assert_string_equal(err.text, "uv failed (signal 9)");
}

/* A line of any length, and marks without an end, are bounded. */
static void long_texts_are_cut(void **state)
{
    static char text[100000];
    struct error err = ERROR_INIT;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "cause: Because ", 15);
    assert_int_equal(environment_explain("uv", text, 1, &err), -1);
    assert_true(strlen(err.text) < 600);
    memcpy(text, "Hash mismatch f", 15);
    assert_int_equal(environment_explain("uv", text, 1, &err), -1);
    assert_true(strlen(err.text) < 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_builders_say_becomes_a_sentence),
        cmocka_unit_test(what_no_row_knows_is_told_in_the_builders_words),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
