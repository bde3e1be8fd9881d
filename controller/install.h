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

struct executor_file {
    char *path;
    uint64_t size_bytes;
    char digest[OID_HEX_SIZE];
};

/*
 * The executor beside this program (errand-executor), or in ../libexec/errand. Errors:
 * ERR_NOT_FOUND, ERR_IO.
 */
int executor_file_find(struct executor_file *out, struct error *err);
/*
 * The executor for another platform as uname names it ("Linux", "aarch64"):
 * errand-executor-linux-aarch64 in the same folders or in the folder that `executors`
 * configures. Errors: ERR_UNSUPPORTED, with where it was looked for.
 */
int executor_file_find_platform(const struct config *config, const char *os,
                                const char *machine, struct executor_file *out,
                                struct error *err);
void executor_file_release(struct executor_file *file);

/*
 * Append the line for the far end's shell. root: NULL for ~/.errand, else absolute or
 * beginning with "~/". Errors: ERR_CONFIG (a root with characters other than letters,
 * digits and ._/~+-).
 */
int install_line(const struct executor_file *file, const char *root, struct strbuf *out,
                 struct error *err);

#define INSTALL_NAME_SIZE 64

/*
 * What the words behind MARKER_BOOTSTRAP mean. 0: "missing", the executor is wanted, for
 * this platform: names of letters, digits and ._- alone, which may become part of a
 * file's name; -1: ERR_BOOTSTRAP with a sentence and a hint.
 */
int install_answer(const char *words, const char *target, char os[INSTALL_NAME_SIZE],
                   char machine[INSTALL_NAME_SIZE], struct error *err);

#endif
