/*
 * requirements_inside: what the parts of requirements share.                 [controller]
 */
#ifndef CONTROLLER_REQUIREMENTS_INSIDE_H
#define CONTROLLER_REQUIREMENTS_INSIDE_H

#include "controller/pep508.h"
#include "controller/requirements.h"

struct requirement_seen {
    char *name;       /* or NULL: an address without a name, local content */
    char *specifiers; /* or the address */
    char *marker;
    char *origin;
    bool is_constraint;
    bool has_hash;
    bool is_pinned;
};

/* Where a line stands. */
struct requirement_place {
    const char *folder; /* relative paths begin here */
    const char *origin; /* "requirements.txt:3" */
    bool is_constraint;
};

/*
 * Expand ${VAR}, and take credentials out of addresses. text and out are one line each.
 * Errors: ERR_CONFIG, without the origin.
 */
int requirements_expand(struct requirements *r, const char *text, struct strbuf *out,
                        struct error *err);

/* A line that begins with an option; words are its parts. Errors: as requirements_file,
 * without the origin. */
int requirements_options(struct requirements *r, const struct strvec *words,
                         const struct requirement_place *place, struct error *err);

/* A requirement and its own options (--hash). Errors: as requirements_options. */
int requirements_add(struct requirements *r, const char *text,
                     const struct strvec *options, const struct requirement_place *place,
                     struct error *err);
/* What -e names. */
int requirements_add_editable(struct requirements *r, const char *text,
                              const struct requirement_place *place, struct error *err);

/* The path in the snapshot of what lies at path, relative to folder. The caller's, or
 * NULL: ERR_CONFIG (it is outside the project), ERR_NOT_FOUND. */
char *requirements_path(const struct requirements *r, const char *folder,
                        const char *path, bool *out_is_folder, struct error *err);

/* Note a requirement, and compare it with those that were read. Errors: ERR_CONFIG. */
int requirements_see(struct requirements *r, const struct requirement_seen *seen,
                     struct error *err);

#endif
