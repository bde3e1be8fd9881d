/*
 * envplan_inside: what the parts of envplan share.            [controller]
 */
#ifndef CONTROLLER_ENVPLAN_INSIDE_H
#define CONTROLLER_ENVPLAN_INSIDE_H

#include "controller/envplan.h"

/*
 * The wish that a text stands for: a file here, something on the node, a name. NULL: err.
 * *out_name: how it is called. is_none: it says that there is none.
 */
struct json *envplan_meaning(const struct envplan *plan, const char *text,
                             const char *folder, char **out_name, bool *is_none,
                             struct error *err);
/* What lies beside the script; NULL: nothing (err is untouched), or err. */
struct json *envplan_discover(const struct envplan *plan, char **out_name,
                              struct error *err);

/* Read a conda environment file into plan->requirements and its spec. wants_conda: conda
 * is to have it, also where it names Python and packages of PyPI alone. Errors:
 * ERR_CONFIG, ERR_NOT_FOUND ... */
int envplan_conda(struct envplan *plan, const char *path, bool wants_conda,
                  struct error *err);
/* "variables" of a conda file, appended to plan->variables. */
int envplan_conda_variables(struct envplan *plan, const char *path, struct error *err);

/* The header of a script as TOML, in its own lines; 1, or 0: it has none. Errors:
 * ERR_CONFIG (two headers, one that is not closed), files_read's. */
int envplan_header(const char *path, const char *shown, struct strbuf *out,
                   struct error *err);
/* What the script's header asks for. */
int envplan_script(struct envplan *plan, struct error *err);

/* A uv.lock. */
int envplan_lock(struct envplan *plan, const struct json *layer, const char *path,
                 struct error *err);

/* A path here as a folder or file in the snapshot. NULL: err (outside the project). */
char *envplan_inside(const struct envplan *plan, const char *path, struct error *err);

/* This machine's variables are read where the user's own configuration says so, or one
 * that was agreed to: not in files that come with a project. Errors: ERR_CONFIG. */
int envplan_check_question(const struct envplan *plan, const struct json *layer,
                           const char *pair, struct error *err);

#endif
