/*
 * envspec: what a run's Python environment is made of.            [wire]
 *
 * The definition (FORMATS.md 4.1.1): the controller finds the source (files, keys,
 * options), checks it, and reduces it to this; the node chooses interpreter and builder
 * and builds. A struct envspec owns all it points to. What comes from the other end is
 * checked so that the node may put each text on a command line or into a requirements
 * file as it is: none has control characters, none begins like an option where options
 * are read.
 *
 * Two definitions that mean the same have the same identity form: order, names, comments
 * and credentials are not in it. Lists that have no order are kept sorted
 * (envspec_normalize), and a definition that is not is refused.
 *
 * Life: envspec_init -> fields, envspec_add_* -> envspec_normalize -> envspec_to_json ...
 * -> envspec_release.
 */
#ifndef COMMON_ENVSPEC_H
#define COMMON_ENVSPEC_H

#include "common/json.h"
#include "common/oid.h"
#include "common/strvec.h"

#define ENVSPEC_FORMAT 1
#define ENVSPEC_ITEMS_MAX 4096              /* of each list */
#define ENVSPEC_TEXT_MAX ((size_t)64 << 10) /* of a requirement with its hashes */
#define ENVSPEC_NAME_MAX 255

/* ROW(symbol, name, meaning) */
#define ENVSPEC_KIND_TABLE(ROW)                                                          \
    ROW(PACKAGES, "packages", "requirements, by uv or by venv and pip")                  \
    ROW(LOCK, "lock", "a uv.lock, by uv")                                                \
    ROW(CONDA, "conda", "conda packages, by micromamba, mamba or conda")                 \
    ROW(EXISTING, "existing", "an interpreter, virtual or conda environment there")      \
    ROW(IMAGE, "image", "a container image, by podman or docker")

enum envspec_kind {
#define ROW(symbol, name, meaning) ENVSPEC_##symbol,
    ENVSPEC_KIND_TABLE(ROW)
#undef ROW
        ENVSPEC_KIND_COUNT
};
/* Static storage. */
const char *envspec_kind_name(enum envspec_kind kind);

/* ROW(symbol, name): how an existing environment is named. */
#define ENVSPEC_LOCATION_TABLE(ROW)                                                      \
    ROW(INTERPRETER, "interpreter") /* a program: a path, or a name in PATH */           \
    ROW(VENV, "venv")               /* a folder */                                       \
    ROW(CONDA, "conda")             /* a folder, or a conda environment's name */

enum envspec_location {
#define ROW(symbol, name) ENVSPEC_LOCATION_##symbol,
    ENVSPEC_LOCATION_TABLE(ROW)
#undef ROW
        ENVSPEC_LOCATION_COUNT
};
/* Static storage. */
const char *envspec_location_name(enum envspec_location location);

/* The programs that may be wished for: "uv", "pip", "micromamba" ... */
bool envspec_builder_is_known(const char *name);

/* A requirement's line that a requirements file may have as it is: no control characters,
 * no comment, no option but --hash, no backslash at its end. Errors: ERR_CORRUPT. */
int envspec_line_check(const char *text, struct error *err);

/* The options that a definition may have: "--index-url URL". Errors: ERR_CORRUPT. */
int envspec_option_check(const char *option, struct error *err);

/* One requirement or constraint: a line, or something that lies in the snapshot. */
struct envspec_requirement {
    char *text; /* canonical PEP 508 with its hashes; NULL: local content */
    /* of local content: */
    char *path; /* in the snapshot, or in what was brought; "" is its root */
    char *name; /* the last part of the path: a wheel's name says what it is */
    bool is_folder;
    struct oid digest; /* of the object or tree; zero while it is not known */
    char *extras;      /* "a,b", or "" */
    char *marker;      /* or "" */
    bool is_editable;  /* it was asked for with -e */
    bool is_brought;   /* it lies in the tree that came beside the snapshot */
};

struct envspec_requirements {
    struct envspec_requirement *items;
    size_t count;
};

struct envspec_file {
    char *path; /* in the snapshot */
    struct oid digest;
};

struct envspec {
    enum envspec_kind kind;
    char *source;  /* for people: "requirements.txt"; not in the identity */
    char *python;  /* PEP 440 specifiers, canonical; "" : the node's python3 */
    char *builder; /* a wish, or "" */
    struct envspec_requirements requirements;
    struct envspec_requirements constraints;
    struct envspec_requirements find_links; /* local folders with wheels, no lines */
    struct strvec options;                  /* in their order */
    struct strvec channels;                 /* in their order */
    struct strvec conda;                    /* conda specs, sorted */
    /* LOCK: */
    char *lock_project;              /* folder in the snapshot, "" is its root */
    struct envspec_file *lock_files; /* sorted by path */
    size_t lock_file_count;
    struct strvec lock_groups, lock_extras; /* sorted */
    /* EXISTING: */
    enum envspec_location location_kind;
    char *location; /* bytes */
    /* IMAGE: */
    char *image;
    struct strvec paths; /* folders of the work tree for PYTHONPATH; "" is its root */
};

/* Kind PACKAGES, nothing in it. */
void envspec_init(struct envspec *spec);
void envspec_release(struct envspec *spec);
#define CLEANUP_ENVSPEC __attribute__((cleanup(envspec_release)))

/* Append a copy of a line, or local content (is_folder, digest, is_editable are the
 * caller's to set on the result, which is borrowed until the next one is added). */
void envspec_add_line(struct envspec_requirements *list, const char *text);
struct envspec_requirement *envspec_add_local(struct envspec_requirements *list,
                                              const char *path, const char *extras,
                                              const char *marker);
void envspec_add_lock_file(struct envspec *spec, const char *path,
                           const struct oid *digest);

/* The order of requirements: lines, then local content by what it is, not where it lies.
 * 0: the same. */
int envspec_compare(const struct envspec_requirement *a,
                    const struct envspec_requirement *b);
/* Sort what has no order, and drop what is there twice. */
void envspec_normalize(struct envspec *spec);

/* The definition as JSON; spec is normalized. The caller's. */
struct json *envspec_to_json(const struct envspec *spec);
/*
 * Check and read; spec was initialised, and is to be released in any case. Unknown keys
 * are ignored. Errors: ERR_CORRUPT (what is wrong), ERR_VERSION (a newer format).
 */
int envspec_from_json(const struct json *j, struct envspec *spec, struct error *err);

/* What of the definition is in the identity, for the caller to add to. The caller's. */
struct json *envspec_identity(const struct envspec *spec);
/* SHA-256 over the identity form as json_write_sorted writes it. */
void envspec_digest(const struct envspec *spec, struct oid *out);

/* Append text without what stands between "://" and "@" of each URL in it. */
void envspec_without_userinfo(const char *text, struct strbuf *out);

#endif
