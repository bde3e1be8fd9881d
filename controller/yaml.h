/*
 * yaml: configuration files, from bytes to a small tree.            [controller]
 *
 * The one user of libyaml, through its events, under caps: a file has at most
 * YAML_SIZE_MAX bytes, is nested at most YAML_DEPTH_MAX deep and has at most
 * YAML_COUNT_MAX members in one map or list. There are no anchors, aliases, merges, tags
 * or second documents, no tabs before the first word of a line, no keys that are there
 * twice or are no plain strings. Every node knows its line, for sentences.
 *
 * Scalars are kept as they are written; what they mean is the reader's business.
 */
#ifndef CONTROLLER_YAML_H
#define CONTROLLER_YAML_H

#include "common/error.h"
#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define YAML_SIZE_MAX ((size_t)256 << 10)
#define YAML_DEPTH_MAX 16
#define YAML_COUNT_MAX 1000

enum yaml_kind {
    YAML_SCALAR,
    YAML_MAP,
    YAML_LIST,
};

struct yaml_node {
    enum yaml_kind kind;
    unsigned line; /* from 1; of a map's member: the line of its key */
    char *key;     /* of a map's member, else NULL */
    char *text;    /* of a scalar: UTF-8 without NUL */
    bool is_null;  /* a scalar that says nothing: empty, ~ or null, unquoted */
    size_t count;  /* of the children */
    struct yaml_node *first, *last; /* children of a map or list, in their order */
    struct yaml_node *next;
};

/*
 * Parse one document; name stands in sentences ("errand.yaml"). An empty one is an empty
 * map. Errors: ERR_CONFIG ("errand.yaml:3: ...").
 */
struct yaml_node *yaml_parse(const char *name, const char *data, size_t length,
                             struct error *err);
/* As yaml_parse, of a file. Errors: as files_read, too. */
struct yaml_node *yaml_read(const char *path, const char *name, struct error *err);
void yaml_node_free(struct yaml_node *node);
DEFINE_CLEANUP_FREE(yaml_node)

/* Append text as a scalar that reads back as the same string: plain where that is safe,
 * else in double quotes. Bytes that are no
 * UTF-8 become U+FFFD. */
struct strbuf;
void yaml_write_scalar(struct strbuf *out, const char *text);

#endif
