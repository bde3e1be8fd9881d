#include "executor/environment_spark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/spark_ship.h"
#include "executor/spark_submit.h"

#define FIRST_ATTEMPT 1

static bool is_spark(const struct runspec *spec)
{
    return spec->spark != NULL && spec->spark->livy == NULL;
}

int environment_spark_python(const struct noderoot *root, const struct runspec *spec,
                             bool may_start, char **out, bool *is_must)
{
    struct spark_node node CLEANUP_SPARK_NODE;
    struct spark_place place = {.master = NULL};

    *out = NULL;
    *is_must = false;
    spark_node_init(&node);
    if (!is_spark(spec) || spec->interpreter != NULL) {
        return 1;
    }
    int found = spark_node_find_for(root, spec, NULL, may_start, &node, NULL);
    if (found == 1 && spark_place_choose(&place, spec->spark, &node, NULL) == 0) {
        bool is_here = node.python[0] == '/' && access(node.python, X_OK) == 0;
        *out = is_here ? xstrdup(node.python) : NULL;
        *is_must = is_here && !place.is_local;
    }
    spark_place_release(&place);
    return found != 0;
}

/* Which environment, and whether it goes as an archive. False: there is none. */
static bool read_packed(int run_fd, const struct runspec *spec,
                        struct environment_pin *pin)
{
    return environment_is_wanted(spec) && environment_read_pin(run_fd, pin, NULL) == 0 &&
           pin->facts.identity[0] != '\0';
}

bool environment_spark_is_due(const struct noderoot *root, int run_fd,
                              const struct runspec *spec)
{
    struct environment_pin pin CLEANUP_PIN;
    struct spark_node node CLEANUP_SPARK_NODE;
    struct spark_place place = {.master = NULL};
    bool is_due = false;

    environment_pin_init(&pin);
    spark_node_init(&node);
    if (spec->spark == NULL || !read_packed(run_fd, spec, &pin)) {
        return false;
    }
    if (spec->spark->livy != NULL) {
        return true; /* it alone says what it has */
    }
    if (spark_node_find_for(root, spec, pin.prefix, false, &node, NULL) != 1) {
        return true; /* what the node has is not known yet */
    }
    if (spark_place_choose(&place, spec->spark, &node, NULL) == 0 && !place.is_local) {
        const struct spark_ship s = {
            .root = root, .spec = spec, .run_fd = run_fd, .pin = &pin, .node = &node};
        is_due = !spark_ship_has_environment(&s);
    }
    spark_place_release(&place);
    return is_due;
}

static int ship(const struct preparation *p, const struct spark_node *node,
                const struct environment_pin *pin, struct error *err)
{
    struct clusterfs fs CLEANUP_CLUSTERFS;
    struct spark_shipment out CLEANUP_SHIPMENT;
    const struct spark_ship s = {.root = p->root,
                                 .spec = p->spec,
                                 .run_fd = p->run_fd,
                                 .pin = pin,
                                 .fs = &fs,
                                 .node = node};

    clusterfs_init(&fs, p->programs);
    spark_shipment_init(&out);
    spark_ship_reach(node, &fs);
    /* A command has nothing on executors: it is here for the environment. */
    return p->spec->framework == FRAMEWORK_PYSPARK
               ? spark_ship(&s, FIRST_ATTEMPT, &out, err)
               : spark_ship_environment(&s, &out, err);
}

int environment_spark_prepare(const struct preparation *p, struct error *err)
{
    struct environment_pin pin CLEANUP_PIN;
    struct spark_node node CLEANUP_SPARK_NODE;
    struct spark_place place = {.master = NULL};
    int result = 0;

    environment_pin_init(&pin);
    spark_node_init(&node);
    if (!is_spark(p->spec)) {
        return 0;
    }
    bool has_pin = environment_is_wanted(p->spec);
    if ((has_pin && environment_read_pin(p->run_fd, &pin, err) < 0) ||
        spark_node_find_for(p->root, p->spec, pin.prefix, true, &node, err) < 0) {
        return -1;
    }
    if (spark_place_choose(&place, p->spec->spark, &node, err) < 0) {
        result = -1;
    } else if (!place.is_local) {
        result = ship(p, &node, has_pin ? &pin : NULL, err);
    }
    spark_place_release(&place);
    return result;
}
