/*
 * pep508: one requirement, as it stands in lists and files of packages. [controller]
 *
 * "Scikit_Learn [Pandas] >= 1.2 ; python_version<'3.9'" is read into its parts and
 * written in one spelling: "scikit-learn[pandas]>=1.2 ; python_version < \"3.9\"". Names
 * follow PEP 503, specifiers PEP 440. Source: PEP 508.
 */
#ifndef CONTROLLER_PEP508_H
#define CONTROLLER_PEP508_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>

struct pep508 {
    char *name;       /* normalised */
    char *extras;     /* "a,b", sorted; or "" */
    char *specifiers; /* canonical, or "" */
    char *url;        /* of a direct reference, or NULL */
    char *marker;     /* canonical, or "" */
};
void pep508_release(struct pep508 *requirement);
#define CLEANUP_PEP508 __attribute__((cleanup(pep508_release)))

/*
 * Read a requirement that is the whole of text. out was zeroed, and is to be released in
 * any case. Errors: ERR_CONFIG (what is wrong with it, without its text; often a hint).
 */
int pep508_parse(const char *text, struct pep508 *out, struct error *err);
/* Append it in its one spelling. */
void pep508_write(const struct pep508 *requirement, struct strbuf *out);

/* Append a name as PEP 503 has it. Errors: ERR_CONFIG (it is none). */
int pep508_name(const char *text, size_t length, struct strbuf *out, struct error *err);
/* Append "[a, B]"'s inside as "a,b", sorted. Errors: ERR_CONFIG. */
int pep508_extras(const char *text, size_t length, struct strbuf *out, struct error *err);
/* Append a marker in its one spelling. Errors: ERR_CONFIG. */
int pep508_marker(const char *text, struct strbuf *out, struct error *err);

#endif
