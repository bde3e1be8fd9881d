/*
 * runspec: any bytes as a run's specification.
 *
 * What is accepted is written as a specification that says the same: the second writing
 * has the bytes of the first.
 */
#include "tests/fuzz/fuzz.h"

#include "common/runspec.h"

static void check(const struct runspec *spec)
{
    assert(run_id_is_valid(spec->run));
    assert(spec->script == NULL || runspec_path_is_valid(spec->script));
    assert(spec->script != NULL || spec->command.count > 0);
    assert((spec->spark != NULL) == (spec->framework == FRAMEWORK_PYSPARK));
    assert(spec->attempts >= 1 && spec->attempts <= RUNSPEC_ATTEMPTS_MAX);
    assert(spec->grace_ms >= 0 && spec->time_limit_ms >= 0);
    for (size_t i = 0; i < spec->variables.count; i++) {
        const char *variable = spec->variables.items[i];

        assert(variable[0] != '=' && strchr(variable, '=') != NULL);
    }
    for (size_t i = 0; i < spec->outputs.count; i++) {
        assert(runspec_path_is_valid(spec->outputs.items[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(runspec_release) struct runspec spec;
    CLEANUP(runspec_release) struct runspec again;
    CLEANUP_STRBUF struct strbuf first = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf second = STRBUF_INIT;
    struct error err = ERROR_INIT;

    runspec_init(&spec);
    runspec_init(&again);
    if (runspec_decode((const char *)data, size, &spec, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT || err.code == ERR_VERSION ||
               err.code == ERR_LIMIT);
        return 0;
    }
    check(&spec);
    runspec_encode(&spec, &first);
    if (runspec_decode(first.data, first.length, &again, &err) < 0) {
        assert(err.code == ERR_LIMIT); /* escapes made it longer */
        return 0;
    }
    runspec_encode(&again, &second);
    assert(strcmp(first.data, second.data) == 0);
    return 0;
}
