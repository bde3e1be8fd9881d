/*
 * config_table: the rows of config_keys.def, and what a value of each type may be.
 * [controller]
 *
 * Within the controller's configuration only: config.c reads files with it,
 * config_write.c prints it. A row's path may have one level NAME, which stands for any
 * target's name.
 */
#ifndef CONTROLLER_CONFIG_TABLE_H
#define CONTROLLER_CONFIG_TABLE_H

#include "common/error.h"
#include "common/strbuf.h"
#include "common/strvec.h"
#include "controller/yaml.h"

#include <stdint.h>

/* ROW(symbol, word): the word is what the reference calls the type. */
#define CONFIG_TYPE_TABLE(ROW)                                                           \
    ROW(STRING, "a text")                                                                \
    ROW(FRAMEWORK, "python, command or pyspark")                                         \
    ROW(TRANSPORT, "auto, ssh2, openssh or local")                                       \
    ROW(KIND, "ssh, spark or livy")                                                      \
    ROW(DEPLOY_MODE, "auto, client or cluster")                                          \
    ROW(BYTES, "a text")                                                                 \
    ROW(FILE, "a path")                                                                  \
    ROW(INTEGER, "a number")                                                             \
    ROW(DURATION, "a length of time (90s, 15m, 2h, 7d)")                                 \
    ROW(SIZE, "a size (64K, 10M, 2G)")                                                   \
    ROW(LIST, "a list of texts")                                                         \
    ROW(MAP, "a map of names to texts")                                                  \
    ROW(ENVIRONMENT, "an environment: a text or a map")

enum config_type {
#define ROW(symbol, word) CONFIG_##symbol,
    CONFIG_TYPE_TABLE(ROW)
#undef ROW
        CONFIG_TYPE_COUNT
};

enum config_scope {
    CONFIG_PROJECT,
    CONFIG_USER,
};

struct config_key {
    const char *path;
    enum config_type type;
    const char *fallback; /* YAML, or "" */
    const char *example;  /* YAML, or "" */
    enum config_scope scope;
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* What the reference calls a type. Static storage. */
const char *config_type_word(enum config_type type);

/* What stands before a target's name in a path. */
#define CONFIG_TARGETS "targets."

/* The row of a path as it is used ("targets.gpu1.port"), or NULL. */
const struct config_key *config_key_find(const char *path);
/* True where path is the first levels of some row, as that is written ("targets"). */
bool config_key_is_group(const char *path);
/*
 * The key, in the same group as path, whose last level is nearest to path's ("tagret":
 * "target"), or NULL. Static storage.
 */
const char *config_key_nearest(const char *path);
/* The first key of any group whose last level is path's ("include": "snapshot.include"),
 * or NULL. Static storage. */
const char *config_key_elsewhere(const char *path);

/* A value, read and checked. */
struct config_value {
    char *path;
    const struct config_key *key;
    char *origin;        /* "errand.yaml:12" */
    char *text;          /* of all types but LIST and MAP; a FILE's is absolute; an
                            ENVIRONMENT's is JSON (envwish.h) */
    uint64_t number;     /* INTEGER; DURATION: milliseconds; SIZE: bytes */
    struct strvec items; /* LIST; MAP: "K=V", sorted by K */
};
void config_value_free(struct config_value *value);
DEFINE_CLEANUP_FREE(config_value)

/*
 * Read node as the value of path, whose row is key. file_dir: where a relative FILE
 * begins. origin: borrowed, in sentences too. Errors: ERR_CONFIG.
 */
struct config_value *config_value_read(const char *path, const struct config_key *key,
                                       const struct yaml_node *node, const char *file_dir,
                                       const char *origin, struct error *err);

#endif
