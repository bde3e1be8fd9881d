#include "controller/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/runstate.h"
#include "controller/runlog.h"

#define BLOCK_SIZE ((size_t)64 << 10)
#define STEP "step"

struct reading {
    metrics_visitor *visit;
    void *context;
    struct metrics_unread *unread;
    struct strbuf line;
    bool is_too_long; /* the line, whose rest is passed over */
    uint64_t line_number, left_bytes;
};

/* ---- a line ---- */

/* The length of a number that JSON does not have and Python writes all the same; 0 where
 * text does not begin with one. */
static size_t no_number_length(const char *text, size_t length)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t size = strlen(names[i]);
        if (length >= size && memcmp(text, names[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

/* Append the line with such numbers as strings: a loss that is NaN is what one wants to
 * see. */
static void quote_no_numbers(const char *text, size_t length, struct strbuf *out)
{
    bool is_in_string = false;
    for (size_t i = 0; i < length; i++) {
        size_t skip = is_in_string ? 0 : no_number_length(text + i, length - i);
        if (skip > 0) {
            strbuf_printf(out, "\"%.*s\"", (int)skip, text + i);
            i += skip - 1;
            continue;
        }
        strbuf_putc(out, text[i]);
        if (is_in_string && text[i] == '\\' && i + 1 < length) {
            strbuf_putc(out, text[++i]);
        } else if (text[i] == '"') {
            is_in_string = !is_in_string;
        }
    }
}

static bool is_scalar(const struct json *value)
{
    return json_is_number(value) || json_is_string(value) || json_is_bool(value);
}

/* The rows of a table: an object of columns, arrays of one length. 0: it is none. */
static size_t table_rows(const struct json *value)
{
    size_t rows = 0;
    for (const struct json *column = json_first(value); column != NULL;
         column = json_next(column)) {
        if (!json_is_array(column) || json_count(column) == 0 ||
            (rows != 0 && json_count(column) != rows)) {
            return 0;
        }
        rows = json_count(column);
    }
    return rows;
}

/* Items are visited side by side: json_at would begin anew for each row. */
static int visit_table(struct reading *r, struct metric_value *value, size_t rows,
                       struct error *err)
{
    const struct json *table = value->value;
    size_t columns = json_count(table);
    CLEANUP_FREE const struct json **cells = xcalloc(columns, sizeof(*cells));
    size_t i = 0;
    for (const struct json *c = json_first(table); c != NULL; c = json_next(c)) {
        cells[i++] = json_first(c);
    }
    for (size_t row = 0; row < rows; row++) {
        CLEANUP_JSON struct json *object = json_new_object();
        i = 0;
        for (const struct json *c = json_first(table); c != NULL; c = json_next(c)) {
            (void)json_add(object, json_key(c), json_copy(cells[i]));
            cells[i] = json_next(cells[i]);
            i++;
        }
        value->value = object;
        if (r->visit(r->context, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A scalar, a list of them, a row, or a table. */
static int visit_member(struct reading *r, const struct json *member,
                        struct metric_value *value, struct error *err)
{
    size_t rows = json_is_object(member) ? table_rows(member) : 0;
    value->value = member;
    if (rows > 0) {
        return visit_table(r, value, rows, err);
    }
    if (!json_is_array(member)) {
        return r->visit(r->context, value, err);
    }
    for (const struct json *item = json_first(member); item != NULL;
         item = json_next(item)) {
        value->value = item;
        if (r->visit(r->context, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_member(const struct json *member, struct error *err)
{
    const char *name = json_key(member);
    bool is_good = is_scalar(member) || json_is_object(member) || json_is_array(member);
    for (const struct json *item = json_is_array(member) ? json_first(member) : NULL;
         item != NULL; item = json_next(item)) {
        is_good = is_good && is_scalar(item);
    }
    if (name[0] == '\0' || strlen(name) > METRICS_NAME_MAX) {
        return error_set(err, ERR_CORRUPT, "a metric's name has 1 to %d bytes",
                         METRICS_NAME_MAX);
    }
    return is_good ? 0
                   : error_set(err, ERR_CORRUPT,
                               "%s: a number, a text, true or false, a list of them, or "
                               "an object is expected",
                               name);
}

static struct json *parse_line(const struct reading *r, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, 2 * METRICS_LINE_MAX);
    if (r->is_too_long) {
        (void)error_set(err, ERR_LIMIT, "longer than %zu bytes", METRICS_LINE_MAX);
        return NULL;
    }
    quote_no_numbers(r->line.data, r->line.length, &text);
    CLEANUP_JSON struct json *j = json_parse(text.data, text.length, err);
    if (j != NULL && !json_is_object(j)) {
        (void)error_set(err, ERR_CORRUPT, "no object, such as {\"loss\": 0.5}");
        return NULL;
    }
    for (const struct json *m = json_first(j); m != NULL; m = json_next(m)) {
        if (check_member(m, err) != 0) {
            return NULL;
        }
    }
    return TAKE_PTR(j);
}

/* is_whole: its newline is there; else it may still be being written, and one that cannot
 * be read is no mistake. */
static int take_line(struct reading *r, bool is_whole, struct error *err)
{
    struct error why = ERROR_INIT;
    r->line_number++;
    if (r->line.length == 0 && !r->is_too_long) {
        return 0;
    }
    CLEANUP_JSON struct json *line = parse_line(r, &why);
    if (line == NULL) {
        if (is_whole && r->unread->lines++ == 0) {
            r->unread->first_line = r->line_number;
            r->unread->first = why;
        }
        return 0;
    }
    const struct json *step = json_get(line, STEP);
    struct metric_value value = {.has_step = json_is_integer(step),
                                 .step = json_integer(step)};
    for (const struct json *m = json_first(line); m != NULL; m = json_next(m)) {
        value.name = json_key(m);
        if (strcmp(value.name, STEP) != 0 && visit_member(r, m, &value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the file ---- */

static int end_line(struct reading *r, bool is_whole, struct error *err)
{
    int result = take_line(r, is_whole, err);
    strbuf_reset(&r->line);
    r->is_too_long = false;
    return result;
}

static int take_block(struct reading *r, const char *data, size_t length,
                      struct error *err)
{
    while (length > 0) {
        const char *end = memchr(data, '\n', length);
        size_t part = end != NULL ? (size_t)(end - data) : length;
        r->is_too_long = r->is_too_long || strbuf_add(&r->line, data, part, NULL) != 0;
        if (end == NULL) {
            return 0;
        }
        if (end_line(r, true, err) != 0) {
            return -1;
        }
        data = end + 1;
        length -= part + 1;
    }
    return 0;
}

static int read_file(struct reading *r, int fd, struct error *err)
{
    CLEANUP_FREE char *block = xmalloc(BLOCK_SIZE);
    ssize_t length = 0;
    while (r->left_bytes > 0) {
        size_t want = r->left_bytes < BLOCK_SIZE ? (size_t)r->left_bytes : BLOCK_SIZE;
        length = fdio_read_full(fd, block, want);
        if (length <= 0) {
            break;
        }
        r->left_bytes -= (uint64_t)length;
        if (take_block(r, block, (size_t)length, err) != 0) {
            return -1;
        }
    }
    return length < 0 ? error_sys(err, "read the metrics") : end_line(r, false, err);
}

int metrics_read(const struct home *home, const char *id, uint64_t limit_bytes,
                 metrics_visitor *visit, void *context, struct metrics_unread *unread,
                 struct error *err)
{
    struct reading r = {.visit = visit,
                        .context = context,
                        .unread = unread,
                        .left_bytes = limit_bytes == 0 ? UINT64_MAX : limit_bytes};
    CLEANUP_FREE char *runs = home_path(home, "runs");
    CLEANUP_FREE char *folder = xasprintf("%s/%s", runs, id);
    int result = 0;
    strbuf_init(&r.line, METRICS_LINE_MAX);
    for (int64_t g = 0; result == 0 && g < RUNLOG_GENERATIONS_MAX; g++) {
        CLEANUP_FREE char *name = runlog_name(run_file_name(RUN_FILE_METRICS), g);
        CLEANUP_FREE char *path = xasprintf("%s/%s", folder, name);
        CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            result = errno == ENOENT ? 0 : error_sys(err, "open %s", path);
            break;
        }
        result = read_file(&r, fd, err);
    }
    strbuf_release(&r.line);
    return result;
}

/* ---- in short ---- */

static struct metric *find_or_add(struct metrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->count; i++) {
        if (strcmp(metrics->items[i].name, name) == 0) {
            return &metrics->items[i];
        }
    }
    if (metrics->count == METRICS_NAMES_MAX) {
        metrics->left_out++;
        return NULL;
    }
    metrics->items = xrealloc(metrics->items, metrics->count + 1, sizeof *metrics->items);
    metrics->items[metrics->count] = (struct metric){.name = xstrdup(name)};
    return &metrics->items[metrics->count++];
}

int metrics_sum_up(void *context, const struct metric_value *value, struct error *err)
{
    struct metric *metric = find_or_add(context, value->name);
    (void)err;
    if (metric == NULL) {
        return 0;
    }
    metric->count++;
    metric->has_step = value->has_step;
    metric->step = value->step;
    json_free(metric->latest);
    metric->latest = json_copy(value->value);
    if (json_is_number(value->value)) {
        double number = json_number(value->value);
        metric->min = !metric->has_range || number < metric->min ? number : metric->min;
        metric->max = !metric->has_range || number > metric->max ? number : metric->max;
        metric->has_range = true;
    }
    return 0;
}

void metrics_release(struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->count; i++) {
        free(metrics->items[i].name);
        json_free(metrics->items[i].latest);
    }
    free(metrics->items);
    *metrics = (struct metrics){.items = NULL};
}

void metrics_format_number(double value, struct strbuf *out)
{
    bool is_whole = value == floor(value) && fabs(value) < 1e15;
    strbuf_printf(out, is_whole ? "%.0f" : "%.6g", value);
}

void metrics_format(const struct json *value, struct strbuf *out)
{
    if (json_is_number(value)) {
        metrics_format_number(json_number(value), out);
    } else if (json_is_string(value)) {
        strbuf_puts(out, json_string(value));
    } else if (json_is_object(value)) {
        const char *between = "";
        for (const struct json *m = json_first(value); m != NULL; m = json_next(m)) {
            strbuf_printf(out, "%s%s=", between, json_key(m));
            metrics_format(m, out);
            between = " ";
        }
    } else {
        json_write(value, false, out);
    }
}
