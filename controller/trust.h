/*
 * trust: values in a file that somebody else may have written.            [controller]
 *
 * A project's errand.yaml that came with a clone may say where to connect or what to run
 * on this machine; such values (scope USER), and every value of a file that belongs to
 * another user (root aside), count only once the user has seen them. What is recorded, in
 * state/trust.json (FORMATS.md 5), is the file's path and the digest of those values
 * alone, so that the file may change in all else.
 */
#ifndef CONTROLLER_TRUST_H
#define CONTROLLER_TRUST_H

#include "common/oid.h"
#include "common/strvec.h"
#include "controller/home.h"
#include "controller/terminal.h"

/* What one file says that needs consent. */
struct trust_claim {
    char *path; /* of the file, absolute */
    char digest[OID_HEX_SIZE];
    struct strvec lines; /* "targets.gpu1.host: me@gpu1" */
    bool is_trusted;
};
void trust_claim_release(struct trust_claim *claim);

/* Set claim->is_trusted from what is recorded. Errors: ERR_CORRUPT, ERR_VERSION, ERR_IO.
 */
int trust_check(const struct home *home, struct trust_claim *claim, struct error *err);
/* Record the claim, in place of what was recorded for the same path, and set is_trusted.
 * Several at once are safe. Errors: as trust_check, ERR_NO_SPACE, ERR_BUSY. */
int trust_add(const struct home *home, struct trust_claim *claim, struct error *err);
/* Forget what was recorded for path. Errors: as trust_add. */
int trust_remove(const struct home *home, const char *path, bool *out_was_there,
                 struct error *err);

/* Show the claim on stderr. */
void trust_show(const struct trust_claim *claim, struct terminal *terminal);
/* Show the claim on the terminal and ask; yes is recorded. Errors: ERR_UNTRUSTED (the
 * answer was no, or there is nobody to ask: the sentence says what to do), as trust_add.
 */
int trust_ask(const struct home *home, struct trust_claim *claim,
              struct terminal *terminal, struct error *err);

#endif
