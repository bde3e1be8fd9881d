/*
 * runstate: any lines as a run's journal.
 *
 * A line that is refused leaves the status as it was; one that was taken is ignored when
 * it comes again; nothing follows a final state; however it ended, there is an exit
 * status and a sentence for it; and what it says of an environment passes again.
 */
#include "tests/fuzz/fuzz.h"

#include "common/runstate.h"

/* All that a status says, as text. */
static void describe(const struct run_status *s, struct strbuf *out)
{
    strbuf_reset(out);
    strbuf_printf(out, "%lld %d %lld %s %s %lld %lld %lld %d %d %d %s %lld %lld %s %lld",
                  (long long)s->seq, (int)s->state, (long long)s->attempt,
                  s->reason ? s->reason : "-", s->queued ? s->queued : "-",
                  (long long)s->created_utc_ms, (long long)s->started_utc_ms,
                  (long long)s->ended_utc_ms, (int)s->exit.kind, s->exit.code,
                  s->exit.signal, s->proof, (long long)s->ended, (long long)s->survivors,
                  s->process.boot, (long long)s->process.pid);
    strbuf_printf(
        out, " %llu %llu %s %s %s %s %d %llu %llu %zu %llu %llu %llu",
        (unsigned long long)s->process.start, (unsigned long long)s->log_offset, s->node,
        s->store, s->boot, s->executor, s->has_outputs,
        (unsigned long long)s->outputs_files, (unsigned long long)s->outputs_size_bytes,
        s->outputs_warnings ? s->outputs_warnings->count : 0,
        (unsigned long long)s->driver_log_bytes, (unsigned long long)s->control_log_bytes,
        (unsigned long long)s->metrics_bytes);
    CLEANUP_JSON struct json *environment = run_environment_to_json(&s->environment);
    json_write(environment, false, out);
}

static void check_exit(const struct run_status *status)
{
    CLEANUP_JSON struct json *written = run_exit_to_json(&status->exit);
    CLEANUP_STRBUF struct strbuf sentence = STRBUF_INIT;
    struct run_exit again;
    int code = run_exit_status(status->state, &status->exit);

    assert(code >= 0 && code <= 255);
    /* Nobody is told 0 but of a script that returned it. */
    assert(code != 0 || (status->state == RUN_COMPLETED &&
                         status->exit.kind == RUN_EXIT_EXITED && status->exit.code == 0));
    if (status->exit.kind == RUN_EXIT_NONE) {
        return;
    }
    run_exit_describe(&status->exit, &sentence);
    assert(sentence.length > 0);
    if (run_exit_from_json(written, &again, NULL) < 0) {
        fuzz_fail("our own exit does not pass");
    }
    assert(again.kind == status->exit.kind && again.code == status->exit.code &&
           again.signal == status->exit.signal);
}

static void check_environment(const struct run_environment *environment)
{
    CLEANUP_JSON struct json *written = run_environment_to_json(environment);
    struct run_environment again;

    if (run_environment_is_known(environment) &&
        run_environment_from_json(written, &again, NULL) < 0) {
        fuzz_fail("our own environment does not pass");
    }
}

static void take(struct run_status *status, const char *line, size_t length)
{
    CLEANUP_STRBUF struct strbuf before = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf after = STRBUF_INIT;
    bool was_final = status->seq > 0 && run_state_is_final(status->state);
    struct error err = ERROR_INIT;
    int64_t seq = status->seq;
    int result;

    describe(status, &before);
    result = run_status_take(status, line, length, &err);
    describe(status, &after);
    if (result < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT && strcmp(before.data, after.data) == 0);
        return;
    }
    assert(status->seq == seq || (status->seq == seq + 1 && !was_final));
    assert(status->seq != seq || strcmp(before.data, after.data) == 0);
    check_exit(status);
    check_environment(&status->environment);
    result = run_status_take(status, line, length, NULL);
    describe(status, &before);
    assert(result == 0 && strcmp(before.data, after.data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    CLEANUP(run_status_release) struct run_status status;

    run_status_init(&status);
    while (in.size > 0) {
        const uint8_t *end = memchr(in.data, '\n', in.size);
        struct fuzz_input line =
            fuzz_take(&in, end != NULL ? (size_t)(end - in.data) : in.size);

        take(&status, (const char *)line.data, line.size);
        (void)fuzz_byte(&in);
    }
    return 0;
}
