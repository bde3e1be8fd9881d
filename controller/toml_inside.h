/*
 * toml_inside: what the parts of toml share: a place in the text, and scalars.
 * [controller]
 */
#ifndef CONTROLLER_TOML_INSIDE_H
#define CONTROLLER_TOML_INSIDE_H

#include "controller/toml.h"

#include <stdbool.h>

struct toml_reader {
    const char *name;
    const char *at, *end; /* *end is NUL */
    unsigned line;
};

/* "NAME:LINE: why". */
int toml_refuse(const struct toml_reader *r, struct error *err, const char *why);
/* Blanks and tabs. */
void toml_skip_blanks(struct toml_reader *r);
/* Blanks, comments and line ends. Errors: ERR_CONFIG (a control character). */
int toml_skip_lines(struct toml_reader *r, struct error *err);
/* Blanks, a comment, and the end of the line or text. Errors: ERR_CONFIG. */
int toml_end_line(struct toml_reader *r, struct error *err);

/* A string of any of the four kinds, where one begins; may_be_long: also over lines.
 * Errors: ERR_CONFIG. */
int toml_string(struct toml_reader *r, bool may_be_long, struct strbuf *out,
                struct error *err);
/* Anything but a string, an array or a table. NULL: err. */
struct json *toml_word(struct toml_reader *r, struct error *err);

#endif
