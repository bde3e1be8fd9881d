/*
 * metrics: what a run wrote to $ERRAND_METRICS (FORMATS.md 4.10), as it is at home.
 * [controller]
 *
 * Read line by line in bounded memory, all generations of the file one behind another. A
 * line that is none is counted and passed over: a script may write anything.
 */
#ifndef CONTROLLER_METRICS_H
#define CONTROLLER_METRICS_H

#include "common/json.h"
#include "controller/home.h"

#define METRICS_LINE_MAX ((size_t)128 << 10)
#define METRICS_NAME_MAX 255
#define METRICS_NAMES_MAX 1000

/* One value of one metric: a number, a text, a truth, or a row (an object). Borrowed. */
struct metric_value {
    const char *name;
    bool has_step;
    int64_t step;
    const struct json *value;
};
/* Return -1 with err to stop. */
typedef int metrics_visitor(void *context, const struct metric_value *value,
                            struct error *err);

/* Lines that say nothing: how many, the number of the first, from 1, and why. */
struct metrics_unread {
    uint64_t lines, first_line;
    struct error first;
};

/*
 * Visit the values of the run, in the order in which they were written; limit_bytes: read
 * no further (0: all). A run without metrics has none. *unread starts all zero. Errors:
 * the visitor's, ERR_IO ...
 */
int metrics_read(const struct home *home, const char *id, uint64_t limit_bytes,
                 metrics_visitor *visit, void *context, struct metrics_unread *unread,
                 struct error *err);

/* ---- in short ---- */

struct metric {
    char *name;
    uint64_t count;
    struct json *latest; /* as metric_value has it */
    bool has_step, has_range;
    int64_t step;    /* of the latest */
    double min, max; /* of the numbers, where there are any (has_range) */
};

/* In the order in which they were first written. Starts all zero. */
struct metrics {
    struct metric *items;
    size_t count;
    uint64_t left_out; /* values of names beyond METRICS_NAMES_MAX */
};
void metrics_release(struct metrics *metrics);

/* A metrics_visitor whose context is a struct metrics. */
int metrics_sum_up(void *context, const struct metric_value *value, struct error *err);

/* The value in a line, for people: append. Numbers have at most six digits. */
void metrics_format(const struct json *value, struct strbuf *out);
void metrics_format_number(double value, struct strbuf *out);

#endif
