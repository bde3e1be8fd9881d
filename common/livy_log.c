/* livy_tail: what is new in a window that moves. */
#include "common/livy.h"

#include <stdlib.h>
#include <string.h>

#define WHAT "Livy's log"
#define FIRST_HEAD "stdout: "
#define SECOND_HEAD "\nstderr: "

/* A window, taken apart. Lines are borrowed from its document. */
struct window {
    struct {
        const char **lines;
        uint64_t *digests;
        size_t count;
    } parts[2];
};

void livy_tail_release(struct livy_tail *tail)
{
    for (size_t i = 0; i < 2; i++) {
        free(tail->parts[i].digests);
        tail->parts[i].digests = NULL;
        tail->parts[i].count = 0;
    }
}

static void release_window(struct window *w)
{
    for (size_t i = 0; i < 2; i++) {
        free(w->parts[i].lines);
        free(w->parts[i].digests);
    }
}

/* FNV-1a, 64 bits. */
static uint64_t digest_of(const char *line)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    for (; *line != '\0'; line++) {
        digest = (digest ^ (unsigned char)*line) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static int take_apart(const struct json *lines, struct window *w, struct error *err)
{
    size_t count = json_count(lines), part = 0;
    for (size_t i = 0; i < 2; i++) {
        w->parts[i].lines = xcalloc(count + 1, sizeof *w->parts[i].lines);
        w->parts[i].digests = xcalloc(count + 1, sizeof *w->parts[i].digests);
    }
    for (const struct json *item = json_first(lines); item != NULL;
         item = json_next(item)) {
        const char *line = json_string(item);
        if (line == NULL) {
            return error_set(err, ERR_CORRUPT, WHAT " has a line that is no text");
        }
        if (item == json_first(lines) && strcmp(line, FIRST_HEAD) == 0) {
            continue;
        }
        if (part == 0 && strcmp(line, SECOND_HEAD) == 0) {
            part = 1;
            continue;
        }
        w->parts[part].lines[w->parts[part].count] = line;
        w->parts[part].digests[w->parts[part].count++] = digest_of(line);
    }
    return 0;
}

/* How many of the first lines of a window were seen: the longest end of the old one that
 * begins it. Where that is none, *out_is_hole says whether there was an old one. */
static size_t overlap(const uint64_t *old, size_t old_count, const uint64_t *now,
                      size_t count, bool *out_is_hole)
{
    size_t length = old_count < count ? old_count : count;
    for (; length > 0; length--) {
        if (memcmp(old + old_count - length, now, length * sizeof *now) == 0) {
            break;
        }
    }
    *out_is_hole = length == 0 && old_count > 0 && count > 0;
    return length;
}

static int visit_part(const struct livy_tail *tail, const struct window *w, size_t part,
                      livy_line_visitor *visit, void *context, struct error *err)
{
    bool is_hole = false;
    size_t seen = overlap(tail->parts[part].digests, tail->parts[part].count,
                          w->parts[part].digests, w->parts[part].count, &is_hole);
    /* Diagnostics are replaced, not continued. */
    if (is_hole && part == 0 && visit(context, NULL, true, err) < 0) {
        return -1;
    }
    for (size_t i = seen; i < w->parts[part].count; i++) {
        if (visit(context, w->parts[part].lines[i], false, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int livy_tail_take(struct livy_tail *tail, const char *text, size_t length,
                   livy_line_visitor *visit, void *context, struct error *err)
{
    CLEANUP_JSON struct json *j = json_parse_lenient(text, length, err);
    const struct json *lines = NULL;
    __attribute__((cleanup(release_window))) struct window w = {{{NULL, NULL, 0}}};
    if (j == NULL) {
        return error_wrap(err, WHAT);
    }
    if (json_get_array(j, WHAT, "log", LIVY_LINES_MAX, &lines, err) < 0 ||
        take_apart(lines, &w, err) < 0) {
        return -1;
    }
    for (size_t part = 0; part < 2; part++) {
        if (visit_part(tail, &w, part, visit, context, err) < 0) {
            return -1;
        }
    }
    for (size_t part = 0; part < 2; part++) {
        /* An empty window says nothing: a batch that is being recovered has one. */
        if (w.parts[part].count > 0) {
            free(tail->parts[part].digests);
            tail->parts[part].digests = TAKE_PTR(w.parts[part].digests);
            tail->parts[part].count = w.parts[part].count;
        }
    }
    return 0;
}
