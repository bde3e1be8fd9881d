/*
 * marker, install: whatever a login prints before the executor speaks, however cut.
 *
 * What comes of it is the same for every way of cutting it; memory is bounded; what the
 * bootstrap line answers names one of the executors here, or is a sentence.
 */
#include "tests/fuzz/fuzz.h"

#include "common/marker.h"
#include "controller/install.h"

static void note_answer(const char *words, struct strbuf *notes)
{
    static const struct executor_files files = {
        .items = {{.platform = "Linux-x86_64"}, {.platform = "Linux-aarch64"}},
        .count = 2,
    };
    struct error err = ERROR_INIT;
    const struct executor_file *file = install_answer(words, "gpu1", &files, &err);

    if (file != NULL) {
        assert(strstr(words, "Linux") != NULL);
        strbuf_printf(notes, "missing %s\n", file->platform);
        return;
    }
    fuzz_check_error(&err);
    assert(err.code == ERR_BOOTSTRAP || err.code == ERR_UNSUPPORTED ||
           err.code == ERR_NO_SPACE);
    assert(err.hint[0] != '\0' && strpbrk(err.text, "\n\033") == NULL);
    strbuf_printf(notes, "%s\n", err.text);
}

/* Take bytes until they are used up, the executor spoke, or all is lost. */
static bool take(struct marker *m, const uint8_t *data, size_t size, size_t *used,
                 struct strbuf *notes)
{
    CLEANUP_JSON struct json *facts = NULL;
    struct error err = ERROR_INIT;
    enum marker_kind kind = MARKER_NONE;

    if (marker_input(m, data, size, used, &kind, &facts, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_PROTOCOL || err.code == ERR_LIMIT);
        strbuf_printf(notes, "%s\n", err.text);
        return false;
    }
    assert(*used <= size && (kind != MARKER_NONE || *used == size));
    assert((facts != NULL) == (kind == MARKER_IS_EXECUTOR));
    assert(m->line.length <= MARKER_LINE_MAX && m->noise.length <= 2 * MARKER_NOISE_KEEP);
    if (kind == MARKER_IS_BOOTSTRAP) {
        note_answer(m->line.data, notes);
    } else if (kind == MARKER_IS_EXECUTOR) {
        if (marker_check(facts, &err) < 0) {
            fuzz_check_error(&err);
            assert(err.code == ERR_PROTOCOL);
        }
        json_write(facts, false, notes);
        return false;
    }
    return true;
}

static void feed(const uint8_t *data, size_t size, size_t piece, struct strbuf *notes)
{
    CLEANUP(marker_release) struct marker m;
    size_t at = 0;
    bool goes_on = true;

    marker_init(&m);
    while (goes_on && at < size) {
        size_t used = 0;

        goes_on =
            take(&m, data + at, size - at < piece ? size - at : piece, &used, notes);
        at += used;
    }
    marker_noise(&m, notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 7};
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;

    feed(data, size, size, &whole);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        CLEANUP_STRBUF struct strbuf cut = STRBUF_INIT;

        feed(data, size, pieces[i], &cut);
        assert(whole.length == cut.length &&
               memcmp(whole.data, cut.data, whole.length) == 0);
    }
    return 0;
}
