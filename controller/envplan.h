/*
 * envplan: from what was said, or lies beside the script, to a run's environment.
 *                                                                            [controller]
 *
 *     envplan_open (which environment is meant; its variables are known)
 *     -> envplan_fill (its files are read, the definition is made; nothing was sent yet)
 *     -> envplan_digests (local content, once there is a snapshot)
 *     -> envplan_release
 *
 * Nothing said: the script's own header, uv.lock, pyproject.toml, requirements.txt,
 * environment.yml or .azureml/conda_dependencies.yml, beside the script or at the top of
 * the project. Named environments lie in environments/NAME.yaml of the project or of the
 * user's configuration; some come with errand (curated.def).
 */
#ifndef CONTROLLER_ENVPLAN_H
#define CONTROLLER_ENVPLAN_H

#include "common/object.h"
#include "common/runspec.h"
#include "controller/requirements.h"

struct envplan_request {
    const char *project;     /* the folder that is sent */
    const char *user_folder; /* the user's configuration, or NULL */
    const struct json *wish; /* envwish_read's, or NULL: nothing was said */
    const char *script;      /* in the snapshot, or NULL: a plain command */
    bool may_discover;       /* look beside the script where nothing was said */
};

struct envplan {
    char *project, *user_folder, *script;
    struct json *layers[8]; /* wishes, what is extended first */
    size_t layer_count;
    char *name;              /* for people: "requirements.txt" */
    struct strvec variables; /* "K=V", of the environment; of one name the last counts */
    struct requirements requirements;
    bool is_open; /* requirements are */
};

void envplan_init(struct envplan *plan);
void envplan_release(struct envplan *plan);
#define CLEANUP_ENVPLAN __attribute__((cleanup(envplan_release)))

/*
 * Find out what is meant. 1, or 0 where the run has no environment of its own (nothing
 * was said or found, or "none"). Errors: ERR_CONFIG, ERR_NOT_FOUND (with what there is),
 * ERR_IO ...
 */
int envplan_open(struct envplan *plan, const struct envplan_request *request,
                 struct error *err);
/*
 * Make the definition; variables are the run's, with the environment's, secrets the names
 * of those that it has: both are borrowed until envplan_release. Credentials and notes
 * are in plan->requirements. Errors: ERR_CONFIG ("requirements.txt:3: ...") ...
 */
int envplan_fill(struct envplan *plan, const struct strvec *variables,
                 const struct strvec *secrets, struct runspec_environment *out,
                 struct error *err);
/* "requirements.txt, 3 packages, 1 not pinned": append it. */
void envplan_describe(const struct envplan *plan, const struct envspec *spec,
                      struct strbuf *out);
/* Find the digests of what lies in the snapshot below root. Errors: ERR_CONFIG (it is not
 * in the snapshot; *out_missing, where not NULL, is its path, borrowed from spec),
 * source's. */
int envplan_digests(struct envspec *spec, const struct object_source *source,
                    const struct oid *root, const char **out_missing, struct error *err);

/* Append the names of all environments that lie in environments/ of the two folders (the
 * second may be NULL), and of those that come with errand, sorted. */
void envplan_names(const char *project, const char *user_folder, struct strvec *out);
/* True where a file of this name is one that an environment may be read from. */
bool envplan_is_source(const char *name);

/* Row i of those that come with errand: its name, what it is, its YAML. False behind the
 * last.
 */
bool envplan_curated(size_t i, const char **out_name, const char **out_help,
                     const char **out_text);

#endif
