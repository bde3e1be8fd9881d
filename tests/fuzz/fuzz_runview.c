/*
 * runview, journal: any bytes as a run's journal, or as the tombstone of a removed run.
 *
 * The first byte: 0: the rest is a tombstone; 1: a journal. A journal that can be read
 * can be read again in pieces with the same result; and where its writer opens it too, a
 * line that is appended is read: reader and writer agree on where it ends.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "executor/runview.h"

#define RUN "abcdefgh"

static void make_folders(int fd)
{
    static const char *const names[] = {"runs", "runs/" RUN};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (mkdirat(fd, names[i], 0700) < 0) {
            mem_abort("fuzz: no folder");
        }
    }
}

/* What the status and the lines say of each other. */
static void check(const struct runview *view)
{
    CLEANUP_JSON struct json *lines = NULL;
    size_t first = 0;

    assert((int64_t)view->lines.count >= view->status.seq);
    lines = runview_lines(view, &first, SIZE_MAX);
    assert(first == view->lines.count && json_count(lines) == first);
}

static void append(int run_fd, const struct runview *before)
{
    struct journal journal;
    const struct journal_entry entry = {
        .state = RUN_FAILED,
        .attempt = before->status.attempt,
        .reason = "the harness",
        .exit = &(const struct run_exit){.kind = RUN_EXIT_UNKNOWN}};
    CLEANUP(run_status_release) struct run_status status;
    struct error err = ERROR_INIT;

    run_status_init(&status);
    if (before->status.seq == 0 || run_state_is_final(before->status.state)) {
        return;
    }
    if (journal_open(&journal, run_fd, &err) < 0) {
        fuzz_fail("its writer cannot open what its reader can read");
    }
    assert(journal.seq == before->status.seq && journal.state == before->status.state);
    if (journal_append(&journal, &entry, 1, &err) < 0) {
        fuzz_fail("nothing could be appended");
    }
    journal_close(&journal);
    if (journal_read(run_fd, &status, &err) < 0) {
        fuzz_fail("the journal cannot be read after its writer was there");
    }
    assert(status.state == RUN_FAILED && status.seq == before->status.seq + 1);
}

static void view_run(const struct noderoot *root, bool is_removed)
{
    CLEANUP_RUNVIEW struct runview view;
    struct error err = ERROR_INIT;

    runview_init(&view);
    if (runview_open(&view, root, RUN, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        return;
    }
    assert((view.run_fd < 0) == is_removed);
    check(&view);
    if (!is_removed) {
        append(view.run_fd, &view);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    bool is_removed = fuzz_byte(&in) == 0;
    char *path = fuzz_folder();
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct noderoot root = {.top = path, .path = path, .fd = fd};

    if (fd < 0) {
        mem_abort("fuzz: no folder");
    }
    make_folders(fd);
    if (is_removed) {
        (void)unlinkat(fd, "runs/" RUN, AT_REMOVEDIR);
        fuzz_write(fd, "runs/" RUN ".tombstone", in.data, in.size);
    } else {
        fuzz_write(fd, "runs/" RUN "/spec.json", "{}", 2);
        fuzz_write(fd, "runs/" RUN "/journal", in.data, in.size);
    }
    view_run(&root, is_removed);
    fuzz_folder_remove(path);
    return 0;
}
