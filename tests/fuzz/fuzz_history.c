/*
 * history: any lines from a node, and any damage to the file.
 *
 * The first byte: 0: the rest are lines of a run's journal: either all of them are there
 * afterwards or none, and the status is theirs. 1: the rest changes bytes of a history.db
 * that was good (u24 place, u8 value): what is read is a run or a sentence.
 */
#include "tests/fuzz/fuzz.h"

#include "controller/history.h"

#define RUN "abcdefgh"
#define STORE "0123456789abcdef0123456789abcdef"

static void add_run(struct history *h)
{
    CLEANUP(runspec_release) struct runspec spec;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;

    runspec_init(&spec);
    memcpy(spec.run, RUN, sizeof(RUN));
    memset(spec.controller, 'a', sizeof(spec.controller) - 1);
    spec.experiment = xstrdup("mnist");
    spec.submitter = xstrdup("me@here");
    spec.created_utc_ms = 1795820000000;
    spec.script = xstrdup("train.py");
    runspec_encode(&spec, &bytes);
    if (history_add_run(h, &spec, bytes.data, bytes.length, "gpu1", "/p", NULL) < 0 ||
        history_set_accepted(h, RUN, STORE, STORE, 1, 2, NULL) < 0) {
        mem_abort("fuzz: the run was not added");
    }
}

/* As a history_visitor. */
static int see(void *context, const struct history_run *run, struct error *err)
{
    size_t *count = context;

    (void)err;
    assert(run->spec != NULL && run->status.state < RUN_STATE_COUNT);
    (*count)++;
    return 0;
}

static void split(struct fuzz_input in, struct strvec *lines)
{
    while (in.size > 0) {
        const uint8_t *end = memchr(in.data, '\n', in.size);
        struct fuzz_input line =
            fuzz_take(&in, end != NULL ? (size_t)(end - in.data) : in.size);
        CLEANUP_FREE char *text = xstrndup((const char *)line.data, line.size);

        strvec_push(lines, text);
        (void)fuzz_byte(&in);
    }
}

static void try_lines(struct history *h, struct fuzz_input in)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    CLEANUP(history_run_release) struct history_run run;
    struct error err = ERROR_INIT;
    int added;

    history_run_init(&run);
    split(in, &lines);
    added = history_add_lines(h, RUN, &lines, &err);
    if (added < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT);
    }
    if (history_find(h, "@", &run, &err) < 0) {
        fuzz_fail("the run cannot be read");
    }
    assert(added < 0 ? run.lines.count == 0 : run.lines.count <= lines.count);
    assert(run.status.seq == (int64_t)run.lines.count);
}

static void damage(const char *path, struct fuzz_input in)
{
    CLEANUP_STRBUF struct strbuf file = STRBUF_INIT;
    struct error err = ERROR_INIT;

    if (files_read(AT_FDCWD, path, &file, &err) < 0 || file.length == 0) {
        mem_abort("fuzz: history.db cannot be read");
    }
    while (in.size > 0) {
        size_t place = fuzz_u16(&in);

        place |= (size_t)fuzz_byte(&in) << 16;
        file.data[place % file.length] = (char)fuzz_byte(&in);
    }
    fuzz_write(AT_FDCWD, path, file.data, file.length);
}

static void read_damaged(const struct home *home)
{
    struct error err = ERROR_INIT;
    CLEANUP(history_cleanup) struct history *h = history_open(home, &err);
    CLEANUP(history_run_release) struct history_run run;
    const struct history_query query = {.limit = 0};
    size_t count = 0;

    history_run_init(&run);
    if (h == NULL) {
        fuzz_check_error(&err);
        return;
    }
    if (history_visit(h, &query, see, &count, &err) < 0) {
        fuzz_check_error(&err);
    }
    if (history_find(h, RUN, &run, &err) < 0) {
        fuzz_check_error(&err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    bool is_damaged = fuzz_byte(&in) == 1;
    char *folder = fuzz_folder();
    struct home home = {.config = folder, .state = folder};
    CLEANUP_FREE char *path = home_path(&home, "history.db");
    struct history *h = history_open(&home, NULL);

    if (h == NULL) {
        mem_abort("fuzz: no history");
    }
    add_run(h);
    if (!is_damaged) {
        try_lines(h, in);
    }
    history_free(h);
    if (is_damaged) {
        damage(path, in);
        read_damaged(&home);
    }
    fuzz_folder_remove(folder);
    return 0;
}
