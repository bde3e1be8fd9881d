/*
 * environment_builder: a way of building environments, and the table of all. [executor]
 *
 * A builder fills a folder (the prefix) at its final path with the programs of the node,
 * and says what it put there. All else is the same for all of them and not their concern:
 * choosing, locks, logs, the check that it works, the record, read-only files, cleaning
 * up after a failure. The order of the table is the order in which they are tried.
 */
#ifndef EXECUTOR_ENVIRONMENT_BUILDER_H
#define EXECUTOR_ENVIRONMENT_BUILDER_H

#include "common/envspec.h"
#include "executor/environment_program.h"
#include "executor/environment_tools.h"

struct environment;

/* A build that goes on. */
struct build {
    /* Borrowed; there before `make`. */
    const struct environment *environment;
    const struct envspec *definition;
    const struct tool *python, *program;
    struct programs *programs; /* their working folder is inputs */
    const char *folder;        /* absolute: envs/<identity>/<build> */
    const char *prefix;        /* absolute: folder/prefix, which is not there yet */
    const char *inputs;        /* absolute: folder/inputs, with the files below */
    bool has_requirements, has_constraints; /* requirements.txt, constraints.txt */

    /* What `make` says: what is installed, one package a line, with hashes where they are
     * known. */
    struct strbuf lock;
    char python_version[32]; /* where the builder brings its own; else "" */
    int64_t packages;        /* in it; -1: not known */
    const char *activation;  /* "venv", "conda" or "image"; static */
    const char *start; /* what starts it; NULL: prefix/bin/python. Borrowed as long as the
                          build is */
};

struct builder {
    const char *name; /* as a definition wishes for it */
    unsigned kinds;   /* bits 1 << enum envspec_kind */
    bool needs_python;
    bool builds_afar;       /* also for a Python that is not here (environment.afar) */
    enum tool_sort program; /* TOOL_SORT_COUNT: none beside the interpreter */
    /* False where this interpreter or program is not enough. NULL: it always is. */
    bool (*can_use)(const struct tool *python, const struct tool *program);
    /* Its version, for the identity. */
    const char *(*version)(const struct tool *python, const struct tool *program);
    const char *missing; /* what to do where it cannot be used: "install uv (...)" */
    /* Fill the prefix. A failure's sentence is environment_explain's or the system's.
     * ERR_CANCELED: the run is being ended. */
    int (*make)(struct build *b, struct error *err);
    /* Whether it works, once it is made. NULL: as any prefix with bin/python. Errors: as
     * environment_check. */
    int (*check)(struct build *b, struct error *err);
};

extern const struct builder builder_uv, builder_uv_lock, builder_pip, builder_micromamba,
    builder_mamba, builder_conda, builder_podman, builder_docker;

/* The i-th builder, NULL behind the last. */
const struct builder *environment_builder_at(size_t i);

/* For builders: run a program and turn its failure into a sentence. */
int environment_builder_run(struct build *b, const char *const *argv, struct error *err);

#endif
