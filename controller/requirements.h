/*
 * requirements: pip's requirement lists and files, read into a definition. [controller]
 *
 * All of the format: comments, continued lines, nested -r and -c, -e, hashes, markers,
 * extras, addresses, version control, local wheels and folders, index options, ${VAR},
 * UTF-8 with and without a mark and UTF-16 with one. What is wrong is said with file and
 * line. Source: pip's documentation, "Requirements File Format", and pip's behaviour.
 *
 * ${VAR} of a variable of the run is replaced here; that of a secret stays for the node;
 * any other is an error. A user and password that stand in an address are taken out of
 * it:
 * ${ERRAND_CREDENTIALS_1} takes their place, and they become secrets of that name.
 *
 * Local content must lie in the project; its digest is found once there is a snapshot.
 *
 * Life: requirements_init -> requirements_file, requirements_line ... ->
 * requirements_finish -> requirements_release. After an error only release is left.
 */
#ifndef CONTROLLER_REQUIREMENTS_H
#define CONTROLLER_REQUIREMENTS_H

#include "common/envspec.h"

#define REQUIREMENTS_SIZE_MAX ((size_t)4 << 20) /* of all files together */
#define REQUIREMENTS_FILES_MAX 64
#define REQUIREMENTS_DEPTH_MAX 16
#define REQUIREMENTS_CREDENTIALS "ERRAND_CREDENTIALS_"

/* A requirement that was read, to be compared with later ones. */
struct requirement_seen;

struct requirements {
    char *project;                  /* absolute, resolved */
    const struct strvec *variables; /* of the run, "K=V"; borrowed */
    const struct strvec *secrets;   /* names; borrowed */
    struct envspec *spec;           /* borrowed: what is filled */
    struct strvec credentials;      /* "ERRAND_CREDENTIALS_1=user:password" */
    struct strvec notes;            /* sentences of what is odd and harmless */
    size_t pinned, unpinned;        /* of the requirements, constraints apart */
    /* within the module: */
    struct requirement_seen *seen;
    size_t seen_count;
    struct strvec open; /* files that are being read, for those that include themselves */
    size_t files, size_bytes;
};

/* project: the folder that is sent; what the other three point to is borrowed for the
 * life of r. Errors: ERR_NOT_FOUND, ERR_ACCESS ... */
int requirements_init(struct requirements *r, const char *project,
                      const struct strvec *variables, const struct strvec *secrets,
                      struct envspec *spec, struct error *err);
/* Wipes the credentials. */
void requirements_release(struct requirements *r);
#define CLEANUP_REQUIREMENTS __attribute__((cleanup(requirements_release)))

/* Read a file, and those that it includes. is_constraints: as with -c. Errors: ERR_CONFIG
 * ("requirements.txt:3: ..."), ERR_LIMIT, ERR_NOT_FOUND, ERR_IO ... */
int requirements_file(struct requirements *r, const char *path, bool is_constraints,
                      struct error *err);
/* One line as a file has it; origin ("packages: item 2") stands in
 * sentences, relative paths begin at folder. Errors: as requirements_file. */
int requirements_line(struct requirements *r, const char *text, const char *folder,
                      const char *origin, bool is_constraint, struct error *err);
/* The same text, of a list that has requirements alone, no options (pyproject.toml). */
int requirements_dependency(struct requirements *r, const char *text, const char *folder,
                            const char *origin, struct error *err);
/* What all lines together must hold, and the definition in order (envspec_normalize).
 * Errors: ERR_CONFIG. */
int requirements_finish(struct requirements *r, struct error *err);

/* The text of a list as the file has it, as UTF-8: marks at its beginning are understood.
 * Errors: ERR_CONFIG (what is no UTF-16 though its mark says so). */
int requirements_decode(const char *data, size_t length, struct strbuf *out,
                        struct error *err);

/* A channel's address with variables and credentials seen to, as in a requirement.
 * Errors: ERR_CONFIG. */
int requirements_channel(struct requirements *r, const char *text, struct strbuf *out,
                         struct error *err);

/* A path as sentences show it: relative to the project where it lies there. The caller's.
 */
char *requirements_shown(const struct requirements *r, const char *path);

#endif
