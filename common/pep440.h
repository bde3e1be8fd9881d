/*
 * pep440: versions and version specifiers as Python packages have them. [base]
 *
 * The controller checks them and brings them into one spelling: "v1.0-Alpha.1" is
 * "1.0a1", "> 1 , <2" is "<2,>1". What is written here is read by uv and pip. The node
 * compares the versions of its interpreters with them (pep440_order). Source: PEP 440,
 * and its appendix B for what is accepted.
 */
#ifndef COMMON_PEP440_H
#define COMMON_PEP440_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Append the version in text[0..length) in its one spelling. Errors: ERR_CONFIG (it is no
 * version; the sentence quotes it).
 */
int pep440_version(const char *text, size_t length, struct strbuf *out,
                   struct error *err);
/*
 * Append the specifiers in text[0..length), separated by commas, each in its one
 * spelling, sorted, once each. Nothing but blanks gives nothing. Errors: ERR_CONFIG,
 * often with what was probably meant as the hint.
 */
int pep440_specifiers(const char *text, size_t length, struct strbuf *out,
                      struct error *err);
/*
 * As pep440_specifiers, for a version of Python, where a bare one means its series:
 * "3.11" gives "==3.11.*", "3.11.7" gives "==3.11.7".
 */
int pep440_python(const char *text, struct strbuf *out, struct error *err);

/* True where canonical specifiers name one version: "==1.2", "===x". */
bool pep440_is_pinned(const char *specifiers);
/* The same version: "1.0" and "1.0.0" are. Both canonical. */
bool pep440_same(const char *a, const char *b);

/* ---- The order of versions. Those of interpreters and of pip: a release and, before its
 * day, a0, b1 or rc2; other suffixes do not count. Nothing allocates. */

/* Below, equal or above 0, as a is older than, the same as, or newer than b. What is no
 * number counts as the end. */
int pep440_compare(const char *a, const char *b);
/* True where version fits every one of the specifiers, "==3.11.*" or ">=3.9,<3.13"; ""
 * fits all. A specifier that is none fits nothing. */
bool pep440_fits(const char *version, const char *specifiers);
/* The length of "3.11" in "3.11.7": the series of a Python, all of which take the same
 * compiled packages. */
size_t pep440_series(const char *version);
bool pep440_same_series(const char *a, const char *b);
/* True for 3.14.0rc1 and the like. */
bool pep440_is_early(const char *version);

#endif
