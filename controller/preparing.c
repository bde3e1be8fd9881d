#include "controller/preparing.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES 4096 /* of a longer one the rest is not shown */
#define REWRITE_NS NS_PER_S
#define WAITED_MS 1000 /* who waited so long was not served from what was there */
#define END_LINES 12
#define END_BYTES ((size_t)16 << 10)

struct preparing {
    struct terminal *terminal;
    struct loop *loop;
    struct loop_timer *timer; /* rewrites the line; NULL: nothing stands there */
    bool want_lines;
    bool has_shown;
    enum run_state state;
    bool is_told; /* what the environment is */
    int64_t since_ns;
    struct strbuf line; /* that is coming in */
    struct strbuf last; /* the newest whole line that says something */
};

struct preparing *preparing_new(struct terminal *terminal, struct loop *loop,
                                bool want_lines, const struct run_status *status)
{
    struct preparing *p = xcalloc(1, sizeof *p);
    p->terminal = terminal;
    p->loop = loop;
    p->want_lines = want_lines || !terminal_is_live(terminal);
    strbuf_init(&p->line, LINE_MAX_BYTES);
    strbuf_init(&p->last, LINE_MAX_BYTES);
    p->is_told = run_environment_is_known(&status->environment);
    preparing_follow(p, status);
    return p;
}

/* Nothing is being made any more. */
static void stop(struct preparing *p)
{
    if (p->timer != NULL) {
        loop_timer_cancel(p->loop, TAKE_PTR(p->timer));
        terminal_progress_clear(p->terminal);
    }
}

void preparing_free(struct preparing *p)
{
    if (p == NULL) {
        return;
    }
    stop(p);
    strbuf_release(&p->line);
    strbuf_release(&p->last);
    free(p);
}

bool preparing_has_shown(const struct preparing *p)
{
    return p->has_shown;
}

static void on_timer(void *context);

/* The line of the terminal, and when it is to be written next. */
static void rewrite(struct preparing *p)
{
    char past[CLOCK_TEXT_SIZE];
    int64_t now = clock_monotonic_ns();
    clock_format_duration(past, (now - p->since_ns) / NS_PER_MS);
    terminal_status(p->terminal, "preparing the environment, %s%s%s", past,
                    p->last.length > 0 ? ": " : "", p->last.data);
    loop_timer_cancel(p->loop, p->timer);
    p->timer = loop_timer_at(p->loop, now + REWRITE_NS, on_timer, p);
}

static void on_timer(void *context)
{
    struct preparing *p = context;
    p->timer = NULL;
    rewrite(p);
}

static void end_line(struct preparing *p)
{
    size_t blank = strspn(p->line.data, " \t");
    if (blank == p->line.length) {
        strbuf_reset(&p->line);
        return;
    }
    if (p->want_lines) {
        terminal_show(p->terminal, "  | %s", p->line.data);
        p->has_shown = true;
    }
    strbuf_reset(&p->last);
    strbuf_puts(&p->last, p->line.data + blank);
    strbuf_reset(&p->line);
}

void preparing_feed(struct preparing *p, const void *data, size_t length)
{
    const char *bytes = data;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            end_line(p);
        } else if (bytes[i] != '\0') {
            (void)strbuf_add(&p->line, bytes + i, 1, NULL);
        }
    }
    if (p->timer != NULL) {
        rewrite(p);
    }
}

/* The environment is there: which, and whether this run had to wait for it. */
static void tell(struct preparing *p, const struct run_environment *e)
{
    CLEANUP_STRBUF struct strbuf what = STRBUF_INIT;
    char past[CLOCK_TEXT_SIZE];
    run_environment_describe(e, &what);
    p->is_told = true;
    if (e->build[0] == '\0') {
        terminal_note(p->terminal, "environment: %s",
                      what.length > 0 ? what.data : e->kind);
    } else if (!e->is_reused) {
        terminal_note(p->terminal, "environment ready: %s", what.data);
    } else if (e->spent_ms < WAITED_MS) {
        terminal_note(p->terminal, "environment ready (used before): %s", what.data);
    } else {
        clock_format_duration(past, e->spent_ms);
        terminal_note(p->terminal,
                      "environment ready after %s (another run built it): %s", past,
                      what.data);
    }
}

void preparing_follow(struct preparing *p, const struct run_status *status)
{
    enum run_state before = p->state;
    p->state = status->state;
    if (status->state == RUN_PREPARING && before != RUN_PREPARING) {
        p->since_ns = clock_monotonic_ns();
        if (!p->want_lines) {
            rewrite(p);
        }
    } else if (status->state != RUN_PREPARING && before == RUN_PREPARING) {
        end_line(p);
        stop(p);
    }
    if (status->state == RUN_RUNNING && !p->is_told &&
        run_environment_is_known(&status->environment)) {
        tell(p, &status->environment);
    }
}

/* ---- the end ---- */

/* Where the last END_LINES lines of text begin. */
static const char *find_last_lines(const char *text, size_t length)
{
    size_t lines = 0;
    for (size_t i = length; i > 0; i--) {
        if (text[i - 1] == '\n' && i != length && ++lines == END_LINES) {
            return text + i;
        }
    }
    return text;
}

void preparing_show_end(struct terminal *terminal, const struct home *home,
                        const char *run)
{
    char block[END_BYTES + 1];
    struct stat st;
    CLEANUP_FREE char *name = xasprintf("runs/%s/prepare.log", run);
    CLEANUP_FREE char *path = home_path(home, name);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        return;
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t offset = size > END_BYTES ? size - END_BYTES : 0;
    ssize_t got = fdio_pread_full(fd, block, END_BYTES, offset);
    if (got <= 0) {
        return;
    }
    block[got] = '\0';
    terminal_show(terminal, "the end of the build log:");
    for (const char *line = find_last_lines(block, (size_t)got); *line != '\0';) {
        size_t length = strcspn(line, "\n");
        terminal_show(terminal, "  | %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}
