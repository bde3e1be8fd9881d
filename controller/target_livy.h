/*
 * target_livy: a target that is a Livy server.            [controller]
 *
 * Its runs are runs on this machine, whose script is elsewhere: so target has the
 * transport and the root of "local", and all verbs work as for any run. What is said of
 * the server goes into each run's specification; the password goes as a secret.
 */
#ifndef CONTROLLER_TARGET_LIVY_H
#define CONTROLLER_TARGET_LIVY_H

#include "common/http.h"
#include "controller/submission.h"
#include "controller/target.h"

/* What the configuration says of the server; the caller's. NULL: err. Errors: ERR_CONFIG.
 */
struct runspec_livy *target_livy_read(const struct config *config, const char *name,
                                      struct error *err);
/* Could it be one: addresses, login, and nothing that would send a password unencrypted
 * to another machine? Errors: ERR_USAGE. */
int target_livy_check(const struct runspec_livy *livy, const char *base,
                      struct error *err);
/* Append its keys, as targets.d/NAME.yaml has them. */
void target_livy_write(const struct target *target, struct strbuf *out);

/* Put it into the specification of a run, whose Spark was planned. Errors: ERR_CONFIG,
 * ERR_LOGIN (there is no password). */
int target_livy_plan(struct submission *s, struct command_context *context,
                     const struct target *target, struct error *err);
/* How one logs in there, as HTTP has it. */
enum http_login target_livy_login(const struct runspec_livy *livy);
/* The password: from the variable that the target names, or asked on a terminal; NULL
 * where the login needs none. The caller's, wiped when freed. Errors: ERR_LOGIN. */
int target_livy_password(struct command_context *context, const struct target *target,
                         char **out, struct error *err);

#endif
