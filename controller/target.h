/*
 * target: a named place to run.            [controller]
 */
#ifndef CONTROLLER_TARGET_H
#define CONTROLLER_TARGET_H

#include "controller/config.h"

#define TARGET_KIND_TABLE(ROW)                                                           \
    ROW(SSH, "ssh")                                                                      \
    ROW(SPARK, "spark") /* scripts are for Spark unless it is said otherwise */          \
    ROW(LIVY, "livy")   /* no machine, but a Livy server (target_livy.h) */

enum target_kind {
#define ROW(symbol, name) TARGET_KIND_##symbol,
    TARGET_KIND_TABLE(ROW)
#undef ROW
        TARGET_KIND_COUNT
};
/* Static storage. */
const char *target_kind_name(enum target_kind kind);
/* Errors: ERR_USAGE. */
int target_kind_parse(const char *name, enum target_kind *out, struct error *err);

struct runspec_livy;

struct target {
    char *name;
    enum target_kind kind;
    char *host;   /* as given to ssh: "user@host" or an alias; NULL for local */
    int64_t port; /* 0: ssh's own */
    struct strvec addresses; /* as host, where that does not answer; in order */
    char *identity, *ssh_config, *known_hosts; /* absolute paths, or NULL */
    char *transport;                           /* "auto", "ssh2", "openssh", "local" */
    char *password_env; /* environment variable with a passphrase or password, or NULL */
    char *root;        /* on the node; NULL: ~/.errand; for local: a folder of the home */
    char *interpreter; /* or NULL */
    char *spark_home;  /* on the node, or NULL: what is found */
    struct runspec_livy *livy; /* of kind livy; else NULL */
    char *livy_base;           /* what errand and that server share, or NULL */
    struct strvec variables;
    char *settings; /* where the target is described, for hints: "FILE" or "FILE:LINE" */
};

/* Errors: ERR_NOT_FOUND with the nearest name, ERR_CONFIG. */
struct target *target_find(const struct config *config, const struct home *home,
                           const char *name, struct error *err);
void target_free(struct target *target);
DEFINE_CLEANUP_FREE(target)

/*
 * Take apart what a person writes for a machine: "[user@]host", "[user@]host:port" (an
 * IPv6 address with a port in brackets), or either as "ssh://...". *out_host: as ssh
 * takes it, malloc'ed. *port: what was said elsewhere, 0 for nothing; set where the text
 * has one. Errors: ERR_USAGE (no such port, or another than *port).
 */
int target_parse_place(const char *text, char **out_host, int64_t *port,
                       struct error *err);

/* The same target at addresses.items[i]; a user that stands not there is host's. NULL:
 * ERR_CONFIG. The caller's. */
struct target *target_elsewhere(const struct target *target, size_t i, struct error *err);

/* 1 to 64 of a-z A-Z 0-9 . _ - beginning with a letter or digit. */
bool target_name_is_valid(const char *name);
/* path as it will mean the same from any folder, malloc'ed. NULL where path is NULL. */
char *target_absolute(const char *path);
/* Write targets.d/NAME.yaml. Errors: ERR_EXISTS unless want_replace, ERR_USAGE (a host
 * that begins with '-', ...). */
int target_save(const struct home *home, const struct target *target, bool want_replace,
                struct error *err);
int target_remove(const struct home *home, const char *name, struct error *err);

#endif
