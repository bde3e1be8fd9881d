/* screen: the log at home, to a standard output that takes it when it likes. */
#include "controller/screen.h"

#include "common/fdio.h"
#include "common/files.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HOLE ((uint64_t)1 << 20)

/* A log at home, and a pipe (or a file) in the place of stdout. */
struct scene {
    char dir[64];
    struct runlog log;
    struct terminal *terminal;
    struct screen *screen;
    struct loop *loop;
    int stdout_before, out_fd;
};

static void open_log(struct scene *s)
{
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/errand-test-screen-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->log = (struct runlog){.dir = s->dir, .current = RUNLOG_DRIVER};
    s->log.dir_fd = files_open_dir(AT_FDCWD, s->dir, NULL);
    assert_true(s->log.dir_fd >= 0);
    s->log.files[RUNLOG_DRIVER] = (struct runlog_file){.name = "driver.log"};
    s->log.files[RUNLOG_DRIVER].fd =
        openat(s->log.dir_fd, "driver.log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(s->log.files[RUNLOG_DRIVER].fd >= 0);
}

/* fd becomes stdout; out_fd is where what is shown can be read. */
static void begin(struct scene *s, int fd, int out_fd)
{
    open_log(s);
    s->stdout_before = dup(STDOUT_FILENO);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    fdio_close(&fd);
    s->out_fd = out_fd;
    s->loop = loop_new();
    s->terminal = terminal_new(true);
    s->screen = screen_new(&s->log, s->terminal, (struct screen_place){0});
}

static void begin_pipe(struct scene *s)
{
    int ends[2];
    assert_int_equal(fdio_pipe(ends, NULL), 0);
    assert_int_equal(fdio_set_nonblocking(ends[0], true, NULL), 0);
    begin(s, ends[1], ends[0]);
}

static void finish(struct scene *s)
{
    screen_free(s->screen);
    terminal_free(s->terminal);
    loop_free(s->loop);
    assert_int_equal(dup2(s->stdout_before, STDOUT_FILENO), STDOUT_FILENO);
    fdio_close(&s->stdout_before);
    fdio_close(&s->out_fd);
    fdio_close(&s->log.files[RUNLOG_DRIVER].fd);
    loggaps_release(&s->log.files[RUNLOG_DRIVER].gaps);
    fdio_close(&s->log.dir_fd);
    assert_int_equal(files_remove_tree(AT_FDCWD, s->dir, NULL), 0);
}

static char byte_at(uint64_t offset)
{
    return (char)('a' + offset % 25);
}

/* What came from the network: the bytes from the log's offset on. */
static void arrive(struct scene *s, size_t length)
{
    struct runlog_file *file = &s->log.files[RUNLOG_DRIVER];
    CLEANUP_FREE char *data = xmalloc(length);
    for (size_t i = 0; i < length; i++) {
        data[i] = byte_at(file->offset + i);
    }
    assert_int_equal(runlog_data(&s->log, data, length, NULL), 0);
}

/* Let the screen show for as long as stdout takes something. */
static void show(struct scene *s)
{
    screen_update(s->screen, s->loop);
    for (int i = 0; i < 100 && screen_is_busy(s->screen); i++) {
        assert_int_equal(loop_step(s->loop, 0, NULL), 0);
    }
}

/* Read what is in the pipe; it has to be the log's bytes from offset on. How many. */
static size_t take_shown(const struct scene *s, uint64_t offset)
{
    char block[4096];
    size_t total = 0;
    ssize_t got;
    while ((got = fdio_read(s->out_fd, block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            assert_int_equal(block[i], byte_at(offset + total + (size_t)i));
        }
        total += (size_t)got;
    }
    return total;
}

static void a_pipe_that_nobody_reads_holds_nothing_up(void **state)
{
    (void)state;
    struct scene s;
    size_t shown = 0;
    begin_pipe(&s);
    arrive(&s, 1000000);
    show(&s);
    assert_true(screen_is_busy(s.screen));
    arrive(&s, 1000);
    while (shown < 1001000) {
        size_t got = take_shown(&s, shown);
        assert_true(got > 0);
        shown += got;
        show(&s);
    }
    assert_false(screen_is_busy(s.screen));
    finish(&s);
}

static void stdout_itself_stays_as_it_was(void **state)
{
    (void)state;
    struct scene s;
    begin_pipe(&s);
    arrive(&s, 1000);
    show(&s);
    assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(take_shown(&s, 0), 1000);
    finish(&s);
}

static void a_file_gets_it_behind_what_others_wrote(void **state)
{
    (void)state;
    struct scene s;
    struct stat st;
    char name[] = "/tmp/errand-test-screen-out-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(fdio_write_full(fd, "before", 6), 0);
    int out_fd = open(name, O_RDONLY | O_CLOEXEC);
    begin(&s, fd, out_fd);
    assert_int_equal(unlink(name), 0);
    arrive(&s, 700000);
    show(&s);
    assert_int_equal(fdio_write_full(STDOUT_FILENO, "after", 5), 0);
    assert_int_equal(fstat(out_fd, &st), 0);
    assert_int_equal(st.st_size, 6 + 700000 + 5);
    assert_int_equal(lseek(out_fd, 6 + 700000, SEEK_SET), 6 + 700000);
    char end[5];
    assert_int_equal(fdio_read_full(out_fd, end, 5), 5);
    assert_memory_equal(end, "after", 5);
    finish(&s);
}

/* The network side says where it goes on. */
static void move_to(struct scene *s, int64_t generation, uint64_t offset, uint64_t gap)
{
    CLEANUP_JSON struct json *at = json_new_object();
    json_add_string(at, "file", "driver.log");
    json_add_integer(at, "generation", generation);
    json_add_integer(at, "offset", (int64_t)offset);
    json_add_integer(at, "gap", (int64_t)gap);
    json_add_string(at, "why", "limit");
    assert_int_equal(runlog_at(&s->log, at, NULL), 0);
}

static void what_is_missing_is_not_shown(void **state)
{
    (void)state;
    struct scene s;
    begin_pipe(&s);
    arrive(&s, 10);
    /* The node cut the log from the front: what was there is not to be had. */
    move_to(&s, 0, HOLE, HOLE - 10);
    arrive(&s, 20);
    move_to(&s, 0, 2 * HOLE + 7, HOLE - 13);
    arrive(&s, 5);
    show(&s);
    assert_false(screen_is_busy(s.screen));
    char block[4096];
    assert_int_equal(fdio_read_full(s.out_fd, block, 35), 35);
    for (unsigned i = 0; i < 35; i++) {
        uint64_t offset = i < 10 ? i : i < 30 ? HOLE + i - 10 : 2 * HOLE + 7 + i - 30;
        assert_int_equal(block[i], byte_at(offset));
    }
    assert_int_equal(fdio_read(s.out_fd, block, 1), -1); /* nothing more */
    assert_int_equal(screen_shown(s.screen).offset, 2 * HOLE + 12);
    finish(&s);
}

static void what_was_lost_with_a_generation_is_passed_over(void **state)
{
    (void)state;
    struct scene s;
    begin_pipe(&s);
    arrive(&s, 10);
    move_to(&s, 1, HOLE, HOLE + 50); /* 50 of the first, and the beginning of this one */
    arrive(&s, 20);
    show(&s);
    char block[4096];
    assert_int_equal(fdio_read_full(s.out_fd, block, 30), 30);
    assert_int_equal(block[9], byte_at(9));
    assert_int_equal(block[10], byte_at(HOLE));
    assert_int_equal(fdio_read(s.out_fd, block, 1), -1);
    assert_int_equal(screen_shown(s.screen).generation, 1);
    finish(&s);
}

static void what_another_follower_wrote_ahead_waits(void **state)
{
    (void)state;
    struct scene s;
    begin_pipe(&s);
    arrive(&s, 100);
    char ahead[50];
    memset(ahead, 'A', sizeof ahead);
    assert_int_equal(
        fdio_pwrite_full(s.log.files[RUNLOG_DRIVER].fd, ahead, sizeof ahead, 150), 0);
    show(&s);
    assert_int_equal(take_shown(&s, 0), 100);
    arrive(&s, 100);
    show(&s);
    assert_int_equal(take_shown(&s, 100), 100);
    finish(&s);
}

static void a_reader_who_went_away_is_an_error(void **state)
{
    (void)state;
    struct scene s;
    struct error err = ERROR_INIT;
    begin_pipe(&s);
    fdio_close(&s.out_fd);
    arrive(&s, 10);
    show(&s);
    assert_false(screen_is_busy(s.screen));
    assert_true(screen_has_failed(s.screen, &err));
    assert_int_equal(err.sys, EPIPE);
    finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_nobody_reads_holds_nothing_up),
        cmocka_unit_test(stdout_itself_stays_as_it_was),
        cmocka_unit_test(a_file_gets_it_behind_what_others_wrote),
        cmocka_unit_test(what_is_missing_is_not_shown),
        cmocka_unit_test(what_was_lost_with_a_generation_is_passed_over),
        cmocka_unit_test(what_another_follower_wrote_ahead_waits),
        cmocka_unit_test(a_reader_who_went_away_is_an_error),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
