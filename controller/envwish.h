/*
 * envwish: what was said about an environment, in one place.            [controller]
 *
 * A text or a map, as it stands under `environment:`, in environments/NAME.yaml or behind
 * --environment, checked against environment_keys.def and kept as JSON: an object of the
 * keys that were said (FILE and FILES absolute, LIST and FILES lists, FLAG true or
 * false), with "folder" (where what is relative begins), "origin" ("errand.yaml:3"), and
 * "is_file" where it is a file of its own, which nobody was asked to trust. A text is
 * {"use": TEXT}: what it names is found out later (envplan.h).
 */
#ifndef CONTROLLER_ENVWISH_H
#define CONTROLLER_ENVWISH_H

#include "common/json.h"
#include "controller/yaml.h"

enum envwish_type {
    ENVWISH_TEXT,
    ENVWISH_FLAG,
    ENVWISH_FILE,
    ENVWISH_FILES,
    ENVWISH_LIST,
    ENVWISH_MAP,
};

struct envwish_key {
    const char *key;
    enum envwish_type type;
    bool is_source;
    const char *help;
};
extern const struct envwish_key envwish_keys[];
extern const size_t envwish_key_count;

/* Check and convert; folder is absolute. The caller's, or NULL: ERR_CONFIG. */
struct json *envwish_read(const struct yaml_node *node, const char *folder,
                          const char *origin, struct error *err);

/* A file of one environment (environments/NAME.yaml). NULL: as files_read, ERR_CONFIG. */
struct json *envwish_file(const char *path, struct error *err);

#endif
