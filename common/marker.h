/*
 * marker: the line with which the far end begins, found in whatever noise comes before
 * it.            [wire]
 *
 * The remote side may print banners and shell noise first. The executor begins with a
 * newline and
 *
 *     ERRAND-EXECUTOR {"protocol":1,...}
 *
 * and the bootstrap script, where it finds no executor to start, with
 *
 *     ERRAND-BOOTSTRAP missing|nohome|nospace|noexec|failed <words>
 *
 * each on a line of its own. At most MARKER_NOISE_MAX bytes of noise are skipped; the
 * last MARKER_NOISE_KEEP of them are kept for the sentence when nothing comes.
 */
#ifndef COMMON_MARKER_H
#define COMMON_MARKER_H

#include "common/json.h"
#include "common/strbuf.h"

#define MARKER_EXECUTOR "ERRAND-EXECUTOR "
#define MARKER_BOOTSTRAP "ERRAND-BOOTSTRAP "
#define MARKER_NOISE_MAX ((size_t)256 << 10)
#define MARKER_NOISE_KEEP ((size_t)2 << 10)
#define MARKER_LINE_MAX ((size_t)16 << 10)

enum marker_kind {
    MARKER_NONE, /* more bytes are needed */
    MARKER_IS_EXECUTOR,
    MARKER_IS_BOOTSTRAP,
};

struct marker {
    struct strbuf line;    /* the line being read */
    struct strbuf noise;   /* the end of what was skipped */
    size_t noise_bytes;    /* all that was skipped */
    bool is_line_too_long; /* the rest of this line is noise */
    bool has_words;        /* line is a bootstrap marker's, until the next input */
};

void marker_init(struct marker *m);
void marker_release(struct marker *m);

/* Append the last MARKER_NOISE_KEEP bytes of what was skipped, a line that has not ended
 * included, as they came: for the sentence when no marker comes. */
void marker_noise(const struct marker *m, struct strbuf *out);

/*
 * Take bytes up to and including the marker line; *out_used says how many (what follows
 * is the protocol's, or the next marker's). For MARKER_IS_EXECUTOR *out_json is the
 * line's object (the caller's to free), for MARKER_IS_BOOTSTRAP m->line has the words
 * behind the marker. Errors: ERR_PROTOCOL (a marker with a bad object), ERR_LIMIT (too
 * much noise).
 */
int marker_input(struct marker *m, const void *data, size_t length, size_t *out_used,
                 enum marker_kind *out_kind, struct json **out_json, struct error *err);

/*
 * Check what the executor says of itself, in protocol 1 (PROTOCOL.md, "Opening"): every
 * member is there and within its bounds. Errors: ERR_PROTOCOL.
 */
int marker_check(const struct json *facts, struct error *err);

#endif
