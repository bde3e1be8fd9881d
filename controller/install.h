/*
 * install: bringing the executor to a node over the connection that is open already.
 * [controller]
 *
 * The line that the node's shell runs looks for the executor of exactly our digest,
 * executes it, and where it is not there asks for it (MARKER_BOOTSTRAP "missing"), takes
 * it from standard input, and executes it (PROTOCOL.md, "Bootstrap"). So a first
 * connection costs one flight more, not a second login. The line has no quote, backslash
 * or '!' within its single quotes, so that sh, csh, tcsh and fish take it alike.
 */
#ifndef CONTROLLER_INSTALL_H
#define CONTROLLER_INSTALL_H

#include "common/oid.h"
#include "common/strbuf.h"
#include "controller/config.h"

/* An executor that lies here. */
struct executor_file {
    char *path;
    uint64_t size_bytes;
    char digest[OID_HEX_SIZE];
    char platform[64]; /* as uname has it: "Linux-x86_64" */
};

#define EXECUTOR_FILES_MAX 16

struct executor_files {
    struct executor_file items[EXECUTOR_FILES_MAX];
    size_t count;
};

/*
 * The executor for this machine: errand-executor beside this program, or in
 * ../libexec/errand. Errors: ERR_NOT_FOUND, ERR_IO.
 */
int executor_file_find(struct executor_file *out, struct error *err);
void executor_file_release(struct executor_file *file);
/*
 * All executors that are here: that for this machine, and those for others
 * (errand-executor-linux-aarch64) in the same folders and in the one that `executors`
 * configures. Errors: ERR_NOT_FOUND (not even one), ERR_IO.
 */
int executor_files_find(const struct config *config, struct executor_files *out,
                        struct error *err);
void executor_files_release(struct executor_files *files);

/* Check that a root can be given to a remote shell, as install_line asks. Errors:
 * ERR_CONFIG. */
int install_check_root(const char *root, struct error *err);
/*
 * Append the line for the far end's shell. root: NULL for ~/.errand, else absolute or
 * beginning with "~/". Errors: ERR_CONFIG (a root with characters other than letters,
 * digits and ._/~+-).
 */
int install_line(const struct executor_files *files, const char *root, struct strbuf *out,
                 struct error *err);

/*
 * What the words behind MARKER_BOOTSTRAP mean: the file that is wanted there, borrowed
 * from files; or NULL: ERR_UNSUPPORTED, ERR_BOOTSTRAP, ERR_NO_SPACE with a hint, made
 * safe. settings: the file where the target is described, for the hint.
 */
const struct executor_file *install_answer(const char *words, const char *settings,
                                           const struct executor_files *files,
                                           struct error *err);

#endif
