/*
 * environment_tools: the interpreters and the builders that a node has. [executor]
 *
 * Looked for where people put them (TOOLS_PLACES, and pyenv's and uv's folders). Asking a
 * program for its version means starting it, so what it said is kept in envs/tools.json
 * and believed as long as the file is the same (device, inode, size, times); so a ready
 * environment is found without starting any program. What stands for another program (a
 * virtual environment's python, pyenv's shims) is known by the program that it starts.
 *
 * Life: tools_new -> tools_python, tools_find ... -> tools_free, which keeps what was
 * learnt.
 */
#ifndef EXECUTOR_ENVIRONMENT_TOOLS_H
#define EXECUTOR_ENVIRONMENT_TOOLS_H

#include "common/strbuf.h"
#include "executor/noderoot.h"

#include <stdbool.h>

/* For people: where builders are looked for (look_everywhere's tables). */
#define TOOLS_PLACES "PATH, /usr, /usr/local, /opt, ~/.local/bin and ~/.cargo/bin"

/* ROW(symbol, name): builders that are programs, by the name that they have on the disk.
 */
#define TOOL_TABLE(ROW)                                                                  \
    ROW(PYTHON, "python3")                                                               \
    ROW(UV, "uv")                                                                        \
    ROW(MICROMAMBA, "micromamba")                                                        \
    ROW(MAMBA, "mamba")                                                                  \
    ROW(CONDA, "conda")                                                                  \
    ROW(PODMAN, "podman")                                                                \
    ROW(DOCKER, "docker")

enum tool_sort {
#define ROW(symbol, name) TOOL_##symbol,
    TOOL_TABLE(ROW)
#undef ROW
        TOOL_SORT_COUNT
};

struct tool {
    enum tool_sort sort;
    char *path;  /* absolute, where it was found */
    char *stamp; /* which file that is */
    bool is_known;
    bool is_usable;     /* it said what it is */
    bool is_default;    /* PATH has it under the plain name */
    char *real;         /* absolute: what to start */
    char version[32];   /* "3.11.7" */
    char detail[4][32]; /* interpreters: see below */
};

/* What is known of an interpreter beside its version. */
enum {
    PYTHON_IMPLEMENTATION, /* "cpython" */
    PYTHON_PLATFORM,       /* "linux-x86_64" */
    PYTHON_LIBC,           /* "glibc-2.36", "musl" */
    PYTHON_PIP,            /* the pip that a new virtual environment gets; "": none */
};

struct tools;

/*
 * Find what is there. may_start: programs that are not known are started and asked, for
 * at most 10 s each. is_refresh: what was kept is not believed. Never fails: what cannot
 * be read is not there.
 */
struct tools *tools_new(const struct noderoot *root, bool may_start, bool is_refresh);
void tools_free(struct tools *tools);
DEFINE_CLEANUP_FREE(tools)
/* Once this is readable (borrowed; a signalfd) no program is waited for any longer, and
 * none is started: whoever needs one gets 0. */
void tools_set_stop(struct tools *tools, int stop_fd);

/* Whether programs are started to find out. */
bool tools_may_start(const struct tools *tools);

/*
 * The interpreter to use: the newest that fits the PEP 440 specifiers, or for "" the
 * node's own python3. 1: *out (borrowed from tools); 0: a program would have to be
 * started first; -1: err, ERR_NOT_FOUND, says which there are.
 */
int tools_python(struct tools *tools, const char *specifiers, const struct tool **out,
                 struct error *err);
/* The absolute path of a program that is named as a user would: by its path, below "~/",
 * or as PATH has it. malloc'ed; NULL: it is none of these. */
char *tools_locate(const char *name);
/* What an interpreter's path says, where that is one: as tools_python. */
int tools_python_at(struct tools *tools, const char *path, const struct tool **out,
                    struct error *err);
/* The builder of this sort: as tools_python; but where there is none, *out is NULL and
 * the result 1. */
int tools_find(struct tools *tools, enum tool_sort sort, const struct tool **out);

/* Append "3.11.7, 3.9.18": the versions that are there, the newest first, at most 8. */
void tools_describe_pythons(struct tools *tools, struct strbuf *out);

#endif
