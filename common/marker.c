#include "common/marker.h"

#include <string.h>

#include "common/oid.h"
#include "common/shape.h"

#define EXECUTOR_LENGTH (sizeof(MARKER_EXECUTOR) - 1)
#define BOOTSTRAP_LENGTH (sizeof(MARKER_BOOTSTRAP) - 1)

void marker_init(struct marker *m)
{
    strbuf_init(&m->line, MARKER_LINE_MAX);
    strbuf_init(&m->noise, MARKER_NOISE_KEEP);
    m->noise_bytes = 0;
    m->is_line_too_long = false;
    m->has_words = false;
}

void marker_release(struct marker *m)
{
    strbuf_release(&m->line);
    strbuf_release(&m->noise);
}

/* Append, and keep the last MARKER_NOISE_KEEP bytes. */
static void keep_end(struct strbuf *sb, const char *data, size_t length)
{
    if (length > MARKER_NOISE_KEEP) {
        data += length - MARKER_NOISE_KEEP;
        length = MARKER_NOISE_KEEP;
    }
    if (sb->length + length > MARKER_NOISE_KEEP) {
        strbuf_consume(sb, sb->length + length - MARKER_NOISE_KEEP);
    }
    (void)strbuf_add(sb, data, length, NULL);
}

static int skip(struct marker *m, const char *data, size_t length, struct error *err)
{
    m->noise_bytes += length;
    keep_end(&m->noise, data, length);
    if (m->noise_bytes > MARKER_NOISE_MAX) {
        return error_set(err, ERR_LIMIT,
                         "the far end printed more than %zu bytes and no executor began",
                         MARKER_NOISE_MAX);
    }
    return 0;
}

void marker_noise(const struct marker *m, struct strbuf *out)
{
    struct strbuf end;

    strbuf_init(&end, MARKER_NOISE_KEEP);
    keep_end(&end, m->noise.data, m->noise.length);
    if (!m->has_words) {
        keep_end(&end, m->line.data, m->line.length);
    }
    (void)strbuf_add(out, end.data, end.length, NULL);
    strbuf_release(&end);
}

/* Take the bytes of one line that are here; the newline is not among them. */
static int take_part(struct marker *m, const char *data, size_t length, struct error *err)
{
    if (!m->is_line_too_long && length <= MARKER_LINE_MAX - m->line.length) {
        return strbuf_add(&m->line, data, length, err);
    }
    if (!m->is_line_too_long) {
        m->is_line_too_long = true;
        if (skip(m, m->line.data, m->line.length, err) < 0) {
            return -1;
        }
        strbuf_reset(&m->line);
    }
    return skip(m, data, length, err);
}

static bool begins_with(const struct strbuf *line, const char *word, size_t length)
{
    return line->length >= length && memcmp(line->data, word, length) == 0;
}

/* A terminal's line end, where the far end has made one of ours. */
static void cut_carriage_return(struct strbuf *line)
{
    if (line->length > 0 && line->data[line->length - 1] == '\r') {
        strbuf_truncate(line, line->length - 1);
    }
}

static int take_executor(struct marker *m, struct json **out_json, struct error *err)
{
    struct error inner = ERROR_INIT;
    CLEANUP_JSON struct json *j = json_parse(m->line.data + EXECUTOR_LENGTH,
                                             m->line.length - EXECUTOR_LENGTH, &inner);

    if (j == NULL) {
        return error_set(err, ERR_PROTOCOL, "the executor's first line: %s", inner.text);
    }
    if (!json_is_object(j)) {
        return error_set(err, ERR_PROTOCOL, "the executor's first line: not an object");
    }
    *out_json = TAKE_PTR(j);
    strbuf_reset(&m->line);
    return 0;
}

/* A whole line is here. */
static int end_line(struct marker *m, enum marker_kind *out_kind, struct json **out_json,
                    struct error *err)
{
    int result;

    if (!m->is_line_too_long && begins_with(&m->line, MARKER_EXECUTOR, EXECUTOR_LENGTH)) {
        cut_carriage_return(&m->line);
        if (take_executor(m, out_json, err) < 0) {
            return -1;
        }
        *out_kind = MARKER_IS_EXECUTOR;
        return 0;
    }
    if (!m->is_line_too_long &&
        begins_with(&m->line, MARKER_BOOTSTRAP, BOOTSTRAP_LENGTH)) {
        cut_carriage_return(&m->line);
        strbuf_consume(&m->line, BOOTSTRAP_LENGTH);
        m->has_words = true;
        *out_kind = MARKER_IS_BOOTSTRAP;
        return 0;
    }
    result = skip(m, m->line.data, m->line.length, err);
    if (result == 0) {
        result = skip(m, "\n", 1, err);
    }
    strbuf_reset(&m->line);
    m->is_line_too_long = false;
    return result;
}

int marker_input(struct marker *m, const void *data, size_t length, size_t *out_used,
                 enum marker_kind *out_kind, struct json **out_json, struct error *err)
{
    const char *bytes = data;
    size_t used = 0;

    *out_kind = MARKER_NONE;
    *out_json = NULL;
    if (m->has_words) {
        strbuf_reset(&m->line);
        m->has_words = false;
    }
    while (used < length && *out_kind == MARKER_NONE) {
        const char *newline = memchr(bytes + used, '\n', length - used);
        size_t part = newline != NULL ? (size_t)(newline - bytes) - used : length - used;

        if (take_part(m, bytes + used, part, err) < 0) {
            return -1;
        }
        used += part;
        if (newline != NULL) {
            used++;
            if (end_line(m, out_kind, out_json, err) < 0) {
                return -1;
            }
        }
    }
    *out_used = used;
    return 0;
}

/* --- what the executor says ----------------------------------------------------------
 */

#define WORD_MAX 128

static const struct shape a_protocol = {.kind = SHAPE_INTEGER, .min = 1, .max = 1};
static const struct shape a_word = {.kind = SHAPE_STRING, .min = 1, .max = WORD_MAX};
static const struct shape features = {.kind = SHAPE_ARRAY, .max = 64, .item = &a_word};
static const struct shape a_digest = {.kind = SHAPE_HEX, .max = OID_HEX_SIZE - 1};
static const struct shape a_store = {.kind = SHAPE_HEX, .max = 32};
static const struct shape a_boot = {.kind = SHAPE_STRING, .min = 1, .max = 39};
static const struct shape a_time = {.kind = SHAPE_TIME};
static const struct shape a_root = {.kind = SHAPE_STRING, .min = 1, .max = 4095};
static const struct shape_member fact_members[] = {
    {.key = "protocol", .shape = &a_protocol},
    {.key = "features", .shape = &features},
    {.key = "version", .shape = &a_word},
    {.key = "digest", .shape = &a_digest},
    {.key = "store", .shape = &a_store},
    {.key = "node", .shape = &a_digest},
    {.key = "boot", .shape = &a_boot},
    {.key = "platform", .shape = &a_word},
    {.key = "time", .shape = &a_time},
    {.key = "root", .shape = &a_root},
    {.key = NULL},
};
static const struct shape all_facts = {.kind = SHAPE_OBJECT, .members = fact_members};

int marker_check(const struct json *facts, struct error *err)
{
    struct error inner = ERROR_INIT;

    if (shape_check(&all_facts, facts, &inner) < 0) {
        return error_set(err, ERR_PROTOCOL, "executor's marker: %s", inner.text);
    }
    return 0;
}
