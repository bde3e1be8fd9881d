#include "controller/wildmatch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum token_kind {
    TOKEN_BYTE,     /* this byte */
    TOKEN_ANY,      /* ?: one byte, no slash */
    TOKEN_SET,      /* [...]: one byte of a set */
    TOKEN_STAR,     /* *: bytes, no slash */
    TOKEN_DEEP,     /* **: any bytes */
    TOKEN_DEEP_DIR, /* ** and a slash: nothing, or any bytes and a slash */
};

struct token {
    uint8_t kind;
    uint8_t byte;
    uint32_t set; /* index */
};

/* A set of bytes. */
struct set {
    uint32_t bits[8];
};

struct wildmatch {
    struct token *tokens;
    struct set *sets;
    size_t token_count, set_count, set_capacity;
    bool is_impossible;
};

/* What is left of a pattern. */
struct input {
    const char *start, *at, *end;
};

static void set_add(struct set *set, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++) {
        set->bits[c / 32] |= UINT32_C(1) << (c % 32);
    }
}

static bool set_has(const struct set *set, uint8_t c)
{
    return (set->bits[c / 32] >> (c % 32) & 1) != 0;
}

/* Byte ranges of the classes: ASCII as git's own ctype has it (git-compat-util.h,
 * ctype.c: no \v and \f among the spaces). */
static const struct {
    const char *name;
    const char *ranges; /* pairs: from, to */
} classes[] = {
    {"alnum", "09AZaz"},   {"alpha", "AZaz"},
    {"blank", "  \t\t"},   {"cntrl", "\x01\x1f\x7f\x7f"},
    {"digit", "09"},       {"graph", "!~"},
    {"lower", "az"},       {"print", " ~"},
    {"punct", "!/:@[`{~"}, {"space", "  \t\n\r\r"},
    {"upper", "AZ"},       {"xdigit", "09AFaf"},
};

static bool add_class(struct set *set, const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        const char *r = classes[i].ranges;

        if (strlen(classes[i].name) != length ||
            memcmp(classes[i].name, name, length) != 0) {
            continue;
        }
        for (; *r != '\0'; r += 2) {
            set_add(set, (uint8_t)r[0], (uint8_t)r[1]);
        }
        return true;
    }
    return false;
}

/* The byte at the input, 0 at its end. */
static uint8_t peek(const struct input *in)
{
    return in->at < in->end ? (uint8_t)*in->at : 0;
}

/*
 * [:name:] at the input, whose "[" was seen as the byte at in->at and whose ":" follows.
 * 1: taken, in->at is at its "]"; 0: it is no such thing, in->at is where it was; -1: it
 * makes the pattern impossible.
 */
static int parse_class(struct input *in, struct set *set)
{
    const char *name = in->at + 2;
    const char *close = memchr(name, ']', (size_t)(in->end - name));

    if (!close) {
        return -1;
    }
    if (close == name || close[-1] != ':') {
        return 0;
    }
    in->at = close;
    return add_class(set, name, (size_t)(close - 1 - name)) ? 1 : -1;
}

/* A byte of a set, a backslash before it taken off. 0: the pattern ends here. */
static uint8_t set_byte(struct input *in)
{
    if (peek(in) == '\\') {
        in->at++;
    }
    return peek(in);
}

/* One item of a set; *previous: what a "-" behind it would begin a range with, 0:
 * nothing. in->at is at the item's last byte afterwards. */
static bool parse_item(struct input *in, struct set *set, uint8_t *previous)
{
    uint8_t c = peek(in);
    uint8_t next = in->at + 1 < in->end ? (uint8_t)in->at[1] : 0;

    if (c == '-' && *previous != 0 && next != 0 && next != ']') {
        in->at++;
        c = set_byte(in);
        if (c >= *previous) {
            set_add(set, *previous, c);
        }
        *previous = 0;
        return c != 0;
    }
    if (c == '[' && next == ':') {
        int taken = parse_class(in, set);

        if (taken != 0) {
            *previous = 0;
            return taken > 0;
        }
    } else {
        c = set_byte(in);
    }
    if (c != 0) {
        set_add(set, c, c);
    }
    *previous = c;
    return c != 0;
}

/* [...] at the input, to behind its "]". */
static bool parse_set(struct input *in, struct set *set)
{
    bool is_negated;
    uint8_t previous = 0;

    in->at++;
    is_negated = peek(in) == '!' || peek(in) == '^';
    in->at += is_negated;
    do {
        if (!parse_item(in, set, &previous)) {
            return false;
        }
        in->at++;
    } while (peek(in) != ']');
    in->at++;
    for (size_t i = 0; is_negated && i < ARRAY_SIZE(set->bits); i++) {
        set->bits[i] = ~set->bits[i];
    }
    set->bits['/' / 32] &= ~(UINT32_C(1) << ('/' % 32));
    return true;
}

static struct token new_set(struct wildmatch *w, struct input *in)
{
    struct set set = {.bits = {0}};

    if (!parse_set(in, &set)) {
        w->is_impossible = true;
        in->at = in->end;
        return (struct token){.kind = TOKEN_ANY};
    }
    if (w->set_count == w->set_capacity) {
        w->set_capacity = w->set_capacity > 0 ? w->set_capacity * 2 : 2;
        w->sets = xrealloc(w->sets, w->set_capacity, sizeof(*w->sets));
    }
    w->sets[w->set_count++] = set;
    return (struct token){.kind = TOKEN_SET, .set = (uint32_t)(w->set_count - 1)};
}

/* Stars at the input. Two and more are deep where slashes or the ends are around them. */
static struct token parse_stars(struct input *in)
{
    const char *first = in->at;
    const char *next;

    while (peek(in) == '*') {
        in->at++;
    }
    next = in->at;
    if (next - first < 2 || (first > in->start && first[-1] != '/')) {
        return (struct token){.kind = TOKEN_STAR};
    }
    if (next == in->end || (next[0] == '\\' && next + 1 < in->end && next[1] == '/')) {
        return (struct token){.kind = TOKEN_DEEP};
    }
    if (next[0] != '/') {
        return (struct token){.kind = TOKEN_STAR};
    }
    in->at++;
    return (struct token){.kind = TOKEN_DEEP_DIR};
}

static struct token parse_token(struct wildmatch *w, struct input *in)
{
    struct token token = {.kind = TOKEN_BYTE};

    switch (*in->at) {
    case '*':
        return parse_stars(in);
    case '[':
        return new_set(w, in);
    case '?':
        token.kind = TOKEN_ANY;
        break;
    case '\\':
        in->at++;
        w->is_impossible = w->is_impossible || in->at == in->end;
        token.byte = peek(in);
        in->at -= in->at == in->end;
        break;
    default:
        token.byte = (uint8_t)*in->at;
        break;
    }
    in->at++;
    return token;
}

struct wildmatch *wildmatch_new(const char *pattern, size_t length)
{
    struct wildmatch *w = xcalloc(1, sizeof(*w));
    struct input in = {.start = pattern, .at = pattern, .end = pattern + length};

    w->tokens = xcalloc(length + 1, sizeof(*w->tokens));
    while (in.at < in.end) {
        w->tokens[w->token_count++] = parse_token(w, &in);
    }
    return w;
}

void wildmatch_free(struct wildmatch *w)
{
    if (w) {
        free(w->tokens);
        free(w->sets);
        free(w);
    }
}

static bool matches_one(const struct wildmatch *w, const struct token *token, uint8_t c)
{
    if (token->kind == TOKEN_BYTE) {
        return token->byte == c;
    }
    return token->kind == TOKEN_ANY ? c != '/' : set_has(&w->sets[token->set], c);
}

/* Where a match is taken up again after a failure: behind a star that takes one byte (or
 * one folder) more than before. */
struct retry {
    size_t token; /* 0: there is no star */
    size_t text;
};

/* Let a deep star take more. False: nothing is left. */
static bool take_deep(const struct wildmatch *w, struct retry *deep, const char *text,
                      size_t length)
{
    const char *slash;

    if (deep->token == 0 || deep->text >= length) {
        return false;
    }
    if (w->tokens[deep->token - 1].kind == TOKEN_DEEP) {
        deep->text++;
        return true;
    }
    slash = memchr(text + deep->text, '/', length - deep->text);
    deep->text = slash ? (size_t)(slash + 1 - text) : length;
    return slash != NULL;
}

/*
 * Only the last star of each kind is ever tried again: a * cannot leave its folder and a
 * later star of the same folder can take what an earlier one would; a later ** can take
 * anything.
 */
bool wildmatch_matches(const struct wildmatch *w, const char *text, size_t length)
{
    struct retry star = {0, 0}, deep = {0, 0};
    size_t p = 0, t = 0;

    if (w->is_impossible) {
        return false;
    }
    for (;;) {
        const struct token *token = &w->tokens[p];

        if (p == w->token_count && t == length) {
            return true;
        }
        if (p < w->token_count && token->kind >= TOKEN_STAR) {
            struct retry *retry = token->kind == TOKEN_STAR ? &star : &deep;

            star.token = 0;
            *retry = (struct retry){.token = ++p, .text = t};
            continue;
        }
        if (p < w->token_count && t < length && matches_one(w, token, (uint8_t)text[t])) {
            p++;
            t++;
            continue;
        }
        if (star.token > 0 && star.text < length && text[star.text] != '/') {
            star.text++;
            p = star.token;
            t = star.text;
            continue;
        }
        star.token = 0;
        if (!take_deep(w, &deep, text, length)) {
            return false;
        }
        p = deep.token;
        t = deep.text;
    }
}

size_t wildmatch_literal_length(const char *pattern, size_t length)
{
    size_t n = 0;

    while (n < length && pattern[n] != '*' && pattern[n] != '?' && pattern[n] != '[' &&
           pattern[n] != '\\') {
        n++;
    }
    return n;
}
