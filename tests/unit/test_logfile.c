#define _GNU_SOURCE /* mkdtemp, O_DIRECTORY, fallocate */
#include "executor/logfile.h"

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "driver.log"

struct fixture {
    char path[64];
    int fd;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "%s/logfile.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->path));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->fd);
    (void)files_remove_tree(AT_FDCWD, f->path, NULL);
    free(f);
    return 0;
}

static void write_log(const struct fixture *f, int flags, const void *data, size_t length)
{
    int fd = openat(f->fd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fdio_write_full(fd, data, length), 0);
    close(fd);
}

static void append(const struct fixture *f, const char *text)
{
    write_log(f, O_APPEND, text, strlen(text));
}

static void rewrite(const struct fixture *f, const char *text)
{
    write_log(f, O_TRUNC, text, strlen(text));
}

/* Read all there is; "" where nothing. */
static void read_rest(struct logfile *l, struct strbuf *out)
{
    char buffer[LOGFILE_READ_MAX];
    for (;;) {
        ssize_t got = logfile_read(l, buffer, sizeof buffer, NULL);
        assert_true(got >= 0);
        if (got == 0) {
            return;
        }
        assert_int_equal(strbuf_add(out, buffer, (size_t)got, NULL), 0);
    }
}

static void expect_rest(struct logfile *l, const char *text)
{
    struct strbuf got CLEANUP_STRBUF = STRBUF_INIT;
    read_rest(l, &got);
    assert_string_equal(got.data, text);
}

static void fill(char *out, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++) {
        seed = seed * 1103515245u + 12345u;
        out[i] = (char)('a' + (seed >> 16) % 26);
    }
}

static void a_growing_file_is_read_to_the_byte(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 3, 0, NULL);
    expect_rest(&l, "");
    append(f, "one\n");
    expect_rest(&l, "one\n");
    append(f, "two\nthr");
    append(f, "ee\n");
    expect_rest(&l, "two\nthree\n");
    assert_int_equal(l.generation, 3);
    assert_int_equal(l.offset, 14);
    assert_false(l.has_jumped);
    logfile_release(&l);
}

static void it_goes_on_at_every_offset_with_the_right_tail(void **state)
{
    struct fixture *f = *state;
    static char text[10000];
    fill(text, sizeof text - 1, 1);
    rewrite(f, text);
    for (size_t offset = 0; offset < sizeof text; offset += 13) {
        struct logfile l;
        struct oid tail;
        size_t length = offset < LOGFILE_TAIL ? offset : LOGFILE_TAIL;
        oid_of_bytes(text + offset - length, length, &tail);
        logfile_open(&l, f->fd, NAME, 0, (int64_t)offset, &tail);
        assert_false(l.has_jumped);
        expect_rest(&l, text + offset);
        logfile_release(&l);
    }
}

static void a_tail_of_other_bytes_begins_a_new_generation(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    struct oid tail;
    append(f, "these are other bytes than before\n");
    oid_of_bytes("0123456789", 10, &tail);
    logfile_open(&l, f->fd, NAME, 7, 10, &tail);
    assert_true(l.has_jumped);
    assert_int_equal(l.generation, 8);
    assert_int_equal(l.offset, 0);
    expect_rest(&l, "these are other bytes than before\n");
    logfile_release(&l);
}

static void an_offset_behind_the_end_begins_a_new_generation(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    append(f, "short");
    logfile_open(&l, f->fd, NAME, 0, 6, NULL);
    assert_int_equal(l.generation, 1);
    expect_rest(&l, "short");
    logfile_release(&l);
}

static void a_file_that_is_gone_begins_a_new_generation(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 0, 6, NULL);
    assert_int_equal(l.generation, 1);
    expect_rest(&l, "");
    append(f, "back");
    expect_rest(&l, "back");
    logfile_release(&l);
}

static void a_file_cut_while_read_jumps_and_names_the_known_loss(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    char four[4];
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    append(f, "0123456789");
    assert_int_equal(logfile_read(&l, four, sizeof four, NULL), 4);
    assert_int_equal(logfile_size(&l), 10);
    rewrite(f, "ab");
    expect_rest(&l, "ab");
    assert_true(l.has_jumped);
    assert_int_equal(l.generation, 1);
    assert_int_equal(l.gap, 6);
    logfile_release(&l);
}

static void a_file_cut_and_grown_again_unseen_is_noticed(void **state)
{
    struct fixture *f = *state;
    for (size_t length = 1; length < 3 * LOGFILE_TAIL; length += 97) {
        char *before = xcalloc(1, length + 1), *after = xcalloc(1, 2 * length + 1);
        struct logfile l;
        fill(before, length, 5);
        fill(after, 2 * length, 6);
        after[length - 1] = '\n'; /* never the last letter of before */
        rewrite(f, before);
        logfile_open(&l, f->fd, NAME, 0, 0, NULL);
        expect_rest(&l, before);
        rewrite(f, after);
        expect_rest(&l, after);
        assert_true(l.has_jumped);
        assert_int_equal(l.generation, 1);
        logfile_release(&l);
        free(before);
        free(after);
    }
}

static void a_replaced_file_is_read_after_the_end_of_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    append(f, "old");
    expect_rest(&l, "old");
    int writer = openat(f->fd, NAME, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(renameat(f->fd, NAME, f->fd, "driver.log.1"), 0);
    assert_int_equal(write(writer, "+", 1), 1);
    append(f, "new");
    struct strbuf got CLEANUP_STRBUF = STRBUF_INIT;
    read_rest(&l, &got);
    assert_string_equal(got.data, "+new");
    assert_int_equal(l.generation, 1);
    assert_int_equal(l.gap, 0);
    close(writer);
    logfile_release(&l);
}

static void what_is_no_file_is_as_if_not_there(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    assert_int_equal(mkfifoat(f->fd, NAME, 0600), 0);
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    expect_rest(&l, "");
    assert_int_equal(unlinkat(f->fd, NAME, 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", f->fd, NAME), 0);
    expect_rest(&l, "");
    assert_int_equal(logfile_size(&l), 0);
    logfile_release(&l);
}

static void expect_last_lines(const struct fixture *f, int64_t count, const char *text)
{
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 0, -count, NULL);
    assert_true(l.has_jumped);
    expect_rest(&l, text);
    assert_int_equal(l.generation, 0);
    logfile_release(&l);
}

static void the_last_lines_are_found(void **state)
{
    struct fixture *f = *state;
    append(f, "one\ntwo\nthree\n");
    expect_last_lines(f, 1, "three\n");
    expect_last_lines(f, 2, "two\nthree\n");
    expect_last_lines(f, 3, "one\ntwo\nthree\n");
    expect_last_lines(f, 99, "one\ntwo\nthree\n");
    append(f, "fo");
    expect_last_lines(f, 1, "fo");
    expect_last_lines(f, 2, "three\nfo");
    rewrite(f, "");
    expect_last_lines(f, 3, "");
}

static void the_last_lines_are_at_most_a_mebibyte(void **state)
{
    struct fixture *f = *state;
    size_t size = (3u << 20) / 2;
    char *text = xcalloc(1, size + 1);
    memset(text, 'x', size);
    rewrite(f, text);
    expect_last_lines(f, 1, text + size - LOGFILE_LAST_LINES_MAX);
    free(text);
}

static void no_more_is_read_than_was_asked_for(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    char buffer[4] = "";
    append(f, "0123456789");
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    assert_int_equal(logfile_read(&l, buffer, 3, NULL), 3);
    assert_memory_equal(buffer, "012", 4);
    assert_int_equal(logfile_read(&l, buffer, 0, NULL), 0);
    assert_int_equal(l.offset, 3);
    logfile_release(&l);
}

/* ---- a log whose beginning was given up ---- */

#define BLOCK ((size_t)64 << 10)

/* Give up the first blocks, as logcap does. */
static void punch(const struct fixture *f, size_t blocks)
{
    int fd = openat(f->fd, NAME, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                               (off_t)(blocks * BLOCK)),
                     0);
    close(fd);
}

/* A log of so many blocks; free what it gives. */
static char *write_blocks(const struct fixture *f, size_t blocks)
{
    char *text = xcalloc(1, blocks * BLOCK + 1);
    fill(text, blocks * BLOCK, 9);
    rewrite(f, text);
    return text;
}

static void expect_gap(struct logfile *l, uint64_t gap, const char *why)
{
    assert_true(l->has_jumped);
    assert_int_equal(l->gap, gap);
    assert_string_equal(l->why, why);
    l->has_jumped = false; /* as who has told its reader does */
    l->gap = 0;
}

static void a_late_reader_hears_of_a_gap_of_the_exact_size(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = write_blocks(f, 8);
    static const size_t offsets[] = {0, 1, 4095, 4096, BLOCK - 1, 3 * BLOCK - 1};
    punch(f, 3);
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        struct logfile l;
        struct oid tail;
        size_t length = offsets[i] < LOGFILE_TAIL ? offsets[i] : LOGFILE_TAIL;
        oid_of_bytes(text + offsets[i] - length, length, &tail);
        logfile_open(&l, f->fd, NAME, 2, (int64_t)offsets[i], &tail);
        expect_rest(&l, text + 3 * BLOCK);
        expect_gap(&l, 3 * BLOCK - offsets[i], "limit");
        assert_int_equal(l.generation, 2);
        assert_int_equal(l.offset, 8 * BLOCK);
        logfile_release(&l);
    }
}

static void a_reader_behind_the_hole_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = write_blocks(f, 5);
    static const size_t behind[] = {0, 1, 100, LOGFILE_TAIL - 1, LOGFILE_TAIL, 9999};
    punch(f, 3);
    for (size_t i = 0; i < ARRAY_SIZE(behind); i++) {
        struct logfile l;
        struct oid tail;
        size_t offset = 3 * BLOCK + behind[i];
        oid_of_bytes(text + offset - LOGFILE_TAIL, LOGFILE_TAIL, &tail);
        logfile_open(&l, f->fd, NAME, 0, (int64_t)offset, &tail);
        expect_rest(&l, text + offset);
        assert_false(l.has_jumped);
        logfile_release(&l);
    }
}

static void who_keeps_up_loses_nothing_to_a_hole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = write_blocks(f, 4);
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    expect_rest(&l, text);
    append(f, "x");
    punch(f, 4); /* all that is compared on every read */
    append(f, "yz");
    expect_rest(&l, "xyz");
    assert_false(l.has_jumped);
    assert_int_equal(l.offset, 4 * BLOCK + 3);
    logfile_release(&l);
}

static void a_hole_that_overtakes_a_reader_is_a_gap_in_its_generation(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = write_blocks(f, 8);
    struct logfile l;
    char some[100];
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    assert_int_equal(logfile_read(&l, some, sizeof some, NULL), sizeof some);
    punch(f, 2);
    assert_int_equal(logfile_read(&l, some, sizeof some, NULL), sizeof some);
    assert_memory_equal(some, text + 2 * BLOCK, sizeof some);
    expect_gap(&l, 2 * BLOCK - 100, "limit");
    punch(f, 5);
    expect_rest(&l, text + 5 * BLOCK);
    expect_gap(&l, 3 * BLOCK - 100, "limit");
    assert_int_equal(l.generation, 0);
    logfile_release(&l);
}

static void a_file_cut_and_given_up_unseen_is_believed(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    char four[4];
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    append(f, "0123456789");
    assert_int_equal(logfile_read(&l, four, sizeof four, NULL), 4);
    assert_int_equal(logfile_size(&l), 10);
    CLEANUP_FREE char *text = write_blocks(f, 3);
    punch(f, 2);
    expect_rest(&l, text + 2 * BLOCK);
    /* That the file is another one is not to be seen: its beginning is gone. */
    expect_gap(&l, 2 * BLOCK - 4, "limit");
    rewrite(f, "ab");
    expect_rest(&l, "ab");
    assert_int_equal(l.generation, 1);
    logfile_release(&l);
}

static void the_last_lines_do_not_reach_into_the_hole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = write_blocks(f, 3);
    punch(f, 2);
    append(f, "\nlast\n");
    expect_last_lines(f, 1, "last\n");
    struct logfile l;
    logfile_open(&l, f->fd, NAME, 0, -9, NULL);
    assert_int_equal(l.offset, 2 * BLOCK);
    logfile_release(&l);
}

/* Only what is given up from the front is a gap; a hole that the script made elsewhere
 * reads as zeros, as any file's does. */
static void a_hole_elsewhere_reads_as_zeros(void **state)
{
    struct fixture *f = *state;
    struct logfile l;
    CLEANUP_FREE char *text = write_blocks(f, 4);
    int fd = openat(f->fd, NAME, O_WRONLY | O_CLOEXEC);
    assert_int_equal(fdio_pwrite_full(fd, "back", 4, 8 * BLOCK), 0);
    close(fd);
    punch(f, 2);
    char *all = xcalloc(1, LOGFILE_READ_MAX);
    size_t total = 0;
    logfile_open(&l, f->fd, NAME, 0, 0, NULL);
    for (ssize_t got; (got = logfile_read(&l, all, LOGFILE_READ_MAX, NULL)) > 0;) {
        total += (size_t)got;
    }
    expect_gap(&l, 2 * BLOCK, "limit");
    assert_int_equal(total, 6 * BLOCK + 4);
    free(all);
    logfile_release(&l);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_growing_file_is_read_to_the_byte),
        TEST(it_goes_on_at_every_offset_with_the_right_tail),
        TEST(a_tail_of_other_bytes_begins_a_new_generation),
        TEST(an_offset_behind_the_end_begins_a_new_generation),
        TEST(a_file_that_is_gone_begins_a_new_generation),
        TEST(a_file_cut_while_read_jumps_and_names_the_known_loss),
        TEST(a_file_cut_and_grown_again_unseen_is_noticed),
        TEST(a_replaced_file_is_read_after_the_end_of_the_old_one),
        TEST(what_is_no_file_is_as_if_not_there),
        TEST(the_last_lines_are_found),
        TEST(the_last_lines_are_at_most_a_mebibyte),
        TEST(no_more_is_read_than_was_asked_for),
        TEST(a_late_reader_hears_of_a_gap_of_the_exact_size),
        TEST(a_reader_behind_the_hole_goes_on_where_it_was),
        TEST(who_keeps_up_loses_nothing_to_a_hole),
        TEST(a_hole_that_overtakes_a_reader_is_a_gap_in_its_generation),
        TEST(a_file_cut_and_given_up_unseen_is_believed),
        TEST(the_last_lines_do_not_reach_into_the_hole),
        TEST(a_hole_elsewhere_reads_as_zeros),
    };
    return cmocka_run_group_tests_name("logfile", tests, NULL, NULL);
}
