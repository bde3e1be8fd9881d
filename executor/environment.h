/*
 * environment: which environment a run needs on this node, and whether it is there.
 * [executor]
 *
 * A run's definition and what the node has (interpreter, builder) make an identity: the
 * SHA-256 of a document that says all that decides what is built (FORMATS.md 3.1). Under
 * envs/<identity>/ lie its builds; READY in a build's folder says that it is whole, and
 * `current` names the newest. A run pins the build that it uses, in its own folder, under
 * the shared lock of envs/lock: what is pinned by a run that has not ended is not
 * removed.
 *
 * A ready environment is found without starting a program (environment_find); all else is
 * the prepare stage's (environment_build.h).
 */
#ifndef EXECUTOR_ENVIRONMENT_H
#define EXECUTOR_ENVIRONMENT_H

#include "common/livy_python.h"
#include "common/runenvironment.h"
#include "common/runspec.h"
#include "executor/environment_builder.h"
#include "executor/environment_tools.h"

#define ENVIRONMENT_BUILD_SIZE RUN_ENVIRONMENT_WORD_SIZE

/* An environment of this node. Everything but the document is borrowed. */
struct environment {
    const struct noderoot *root;
    const struct runspec *spec;
    const struct builder *builder; /* NULL: it is an existing one */
    const struct tool *python;     /* NULL: the builder brings its own */
    /* Where it is for a Python that is not here, that one; else its version is "". Then
     * python is any, and starts nothing of the environment. */
    struct livy_python afar;
    char
        libc[32]; /* glibc's version where one with its own Python is for elsewhere; "" */
    const struct tool *program;  /* the builder's, where it has one */
    char identity[OID_HEX_SIZE]; /* "" of an existing one */
    struct strbuf document;      /* whose digest the identity is */
};

/* What a run has: its file `environment`, the pin. */
struct environment_pin {
    struct run_environment facts;
    char *prefix;       /* the folder whose bin/ comes first in PATH; or NULL */
    char *interpreter;  /* what starts a Python script; of an image, its engine */
    char activation[8]; /* "venv", "conda", "image" or "none": how it is made use of */
};

void environment_pin_init(struct environment_pin *pin);
void environment_pin_release(struct environment_pin *pin);
#define CLEANUP_PIN __attribute__((cleanup(environment_pin_release)))

/* ---- For the supervisors */

/* True where the run needs an environment of some kind. */
bool environment_is_wanted(const struct runspec *spec);
/* What it was asked for by, for people. Borrowed from spec. */
const char *environment_source(const struct runspec *spec);
/* True for a secret that only the building needs, and the script does not get. */
bool environment_is_credential(const char *secret_name);
/* True where the run's environment is known and was there. */
bool environment_is_pinned(int run_fd);
/* Read the pin; pin was initialised. Errors: ERR_NOT_FOUND, ERR_CORRUPT. */
int environment_read_pin(int run_fd, struct environment_pin *pin, struct error *err);

/* Where the run's environment is there already, pin it. 1: pinned; 0: it has to be
 * prepared (or it is wrong, which the prepare stage says). Starts no program. */
int environment_find(const struct noderoot *root, int run_fd, const struct runspec *spec);

/* ---- For the prepare stage */

/* Find interpreter and builder, and compute the identity; e is zeroed. 1; 0: a program
 * would have to be started first (see tools_new); -1: ERR_NOT_FOUND, with what to
 * install.
 */
int environment_choose(struct environment *e, const struct noderoot *root,
                       const struct runspec *spec, struct tools *tools,
                       struct error *err);
void environment_release(struct environment *e);

/* Whether it is built for a Python that is not here. */
bool environment_is_afar(const struct environment *e);
/* The version of the Python that it is for; there is one (e->python). Borrowed. */
const char *environment_python(const struct environment *e);

/* "envs/<identity>" below the root. */
struct environment_path {
    char text[128];
};
struct environment_path environment_folder(const struct environment *e);

/* Hold envs/lock, shared: nothing is removed meanwhile. timeout_ms as files_lock has it.
 * Returns the descriptor. Errors: ERR_BUSY (environments are being removed, or looked
 * through for that). */
int environment_hold(const struct noderoot *root, int timeout_ms, struct error *err);
/*
 * Pin a ready build: the one of this name, or (NULL) the newest; also one of a folder
 * that an administrator keeps. The caller holds the environments. is_reused goes into the
 * pin, and the time since begun_ns (clock_monotonic_ns), when the run began to look for
 * it. 1: pinned, and out (initialised) says what; 0: there is none; -1: err.
 */
int environment_take(const struct environment *e, int run_fd, const char *build,
                     bool is_reused, int64_t begun_ns, struct environment_pin *out,
                     struct error *err);
/* The folder of a ready build (NULL: the newest), here or in a folder that an
 * administrator keeps: a descriptor, or -1. Nothing is pinned. */
int environment_open_build(const struct environment *e, const char *build);
/* True where a build is ready, here or in a folder that an administrator keeps. Nothing
 * is pinned: it may go at any time. */
bool environment_is_ready(const struct environment *e);
/* Write the pin. Not synced: after a power cut it is found anew. */
int environment_write_pin(int run_fd, const struct environment_pin *pin,
                          struct error *err);

#endif
