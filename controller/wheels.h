/*
 * wheels: a definition's packages, collected here for a node that has no network.
 * [controller]
 *
 * `pip download` gets them for the node's platform and Python; where this machine has uv,
 * that decides first which they are, for it judges markers by the node's Python. What was
 * collected is kept as objects of the store, so that it is collected once for each
 * definition, platform and series of Python (state/wheels/<key>), and sent once to each
 * node.
 *
 *     wheels_check -> wheels_collect -> wheels_put_in
 */
#ifndef CONTROLLER_WHEELS_H
#define CONTROLLER_WHEELS_H

#include "common/envspec.h"
#include "controller/assessment.h"
#include "controller/hometool.h"

#define WHEELS_FOLDER "wheels" /* its name in the tree that is brought */
/* "${NAME}" of a list is a variable of this name here: so neither can a secret's name
 * change what pip and uv run, nor a list learn what else this process's variables hold.
 */
#define WHEELS_SECRET "ERRAND_SECRET_"

struct wheels_request {
    /* All borrowed. */
    struct command_context *context;
    const char *project;              /* where local content lies */
    const struct envspec *definition; /* with its digests */
    const struct assessment *node;
    const struct hometool *tool; /* dir_fd is not used; its environment has the secrets,
                                  * each as WHEELS_SECRET NAME */
    const char *uv;              /* path or name of a uv here, or NULL */
    bool is_refresh;             /* collect anew although it was before */
};

struct wheels {
    struct oid folder; /* a tree with nothing but wheels */
    uint64_t files, size_bytes;
    bool is_reused; /* nothing was collected now */
    char tool[64];  /* "pip 24.0"; "" where it is reused */
};

/* What cannot be had as wheels is said before anything is collected: what is built runs
 * its own code, and that is the node's to do. Errors:
 * ERR_UNSUPPORTED. */
int wheels_check(const struct envspec *definition, const struct assessment *node,
                 struct error *err);
/* Errors: ERR_NOT_FOUND (no pip or uv here; what no wheel fits), ERR_CONNECT,
 * ERR_CANCELED, the store's. */
int wheels_collect(const struct wheels_request *request, struct wheels *out,
                   struct error *err);
/* Let the definition be built from them alone. */
void wheels_put_in(const struct wheels *wheels, struct envspec *definition);

#endif
