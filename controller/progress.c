#include "controller/progress.h"

#include "common/clock.h"
#include "common/files.h"

#include <string.h>

/* A rate is measured over at least so long, and older ones weigh half. */
#define MEASURE_NS NS_PER_S
#define UNKNOWN (-1.0)

void progress_init(struct progress *p)
{
    *p = (struct progress){.bytes_per_s = UNKNOWN};
    strbuf_init(&p->what, STRBUF_TEXT_LIMIT);
}

void progress_release(struct progress *p)
{
    strbuf_release(&p->what);
}

void progress_clear(struct progress *p)
{
    strbuf_reset(&p->what);
    p->bytes_per_s = UNKNOWN;
}

static void measure(struct progress *p, uint64_t done_bytes, int64_t now_ns)
{
    int64_t passed_ns = now_ns - p->since_ns;
    if (passed_ns < MEASURE_NS) {
        return;
    }
    uint64_t bytes = done_bytes > p->since_bytes ? done_bytes - p->since_bytes : 0;
    double rate = (double)bytes * (double)NS_PER_S / (double)passed_ns;
    p->bytes_per_s = p->bytes_per_s < 0 ? rate : (p->bytes_per_s + rate) / 2;
    p->since_ns = now_ns;
    p->since_bytes = done_bytes;
}

static void append_rate(const struct progress *p, uint64_t left_bytes, struct strbuf *out)
{
    char text[FILES_SIZE_TEXT];
    char left[CLOCK_TEXT_SIZE];
    if (p->bytes_per_s < 0) {
        return;
    }
    files_format_size(text, (uint64_t)p->bytes_per_s);
    strbuf_printf(out, ", %s/s", text);
    if (left_bytes > 0 && p->bytes_per_s >= 1) {
        double left_s = (double)left_bytes / p->bytes_per_s;
        clock_format_duration(left, (int64_t)((left_s < 1e9 ? left_s : 1e9) * 1000));
        strbuf_printf(out, ", %s left", left);
    }
}

void progress_describe(struct progress *p, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes, int64_t now_ns, struct strbuf *out)
{
    char done[FILES_SIZE_TEXT];
    char total[FILES_SIZE_TEXT];
    if (strcmp(p->what.data, what) != 0) {
        progress_clear(p);
        strbuf_puts(&p->what, what);
        p->since_ns = now_ns;
        p->since_bytes = done_bytes;
    }
    measure(p, done_bytes, now_ns);
    files_format_size(done, done_bytes);
    strbuf_printf(out, "%s: %s", what, done);
    if (total_bytes > 0) {
        files_format_size(total, total_bytes);
        double part = 100.0 * (double)done_bytes / (double)total_bytes;
        strbuf_printf(out, " of %s (%.0f %%)", total, part > 100 ? 100 : part);
    }
    append_rate(p, total_bytes > done_bytes ? total_bytes - done_bytes : 0, out);
}
