#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "controller/enginenotes.h"
#include "tests/unit/scratch.h"

#define LINE(seq, event, text)                                                           \
    "{\"seq\":" #seq                                                                     \
    ",\"time\":\"2026-11-28T10:00:00.000Z\",\"attempt\":1,\"event\":\"" event            \
    "\",\"text\":\"" text "\"}\n"
#define FED                                                                              \
    "half of a line\n" LINE(1, "submitting", "") LINE(2, "state", "it waits")            \
        LINE(3, "log", "") LINE(4, "state", "it waits") LINE(5, "state", "it runs")      \
            LINE(6, "ended", "it ended")

/* What is said on stderr, fed in pieces of so many bytes. */
static void feed(struct scratch *scratch, size_t piece)
{
    struct enginenotes notes;
    struct terminal *terminal = terminal_new(false);
    int saved = dup(STDERR_FILENO);
    int fd = openat(scratch->fd, "said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    enginenotes_init(&notes, terminal);
    for (size_t at = 0; at < strlen(FED); at += piece) {
        size_t left = strlen(FED) - at;
        enginenotes_feed(&notes, FED + at, left < piece ? left : piece);
    }
    enginenotes_release(&notes);
    terminal_free(terminal);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(fd);
}

static void each_sentence_is_told_once(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    (void)state;
    for (size_t piece = 1; piece < strlen(FED); piece = piece * 3 + 1) {
        feed(scratch, piece);
        assert_file(scratch, "said", "errand: it waits\nerrand: it runs\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sentence_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
