/*
 * pyproject: what a Python project says it needs.            [controller]
 *
 * The static part of pyproject.toml: dependencies, optional dependencies (extras), groups
 * and requires-python, with uv's sources and indexes. The project itself is not
 * installed: it is imported from the run's own folder, so that a changed line of it makes
 * no new environment. A project whose dependencies only its build can tell (dynamic,
 * setup.py) is local content instead. Source: PEP 621, PEP 735; uv's documentation,
 * "Dependency sources".
 */
#ifndef CONTROLLER_PYPROJECT_H
#define CONTROLLER_PYPROJECT_H

#include "controller/requirements.h"

/*
 * Add what the project in folder (in the snapshot; "" is its root) needs to r, with these
 * extras ("a,b" or ""). Returns 1, or 0 where only a build can tell: nothing was added.
 * Errors: ERR_CONFIG (the file, an extra that is not there, a folder that is no project),
 * as requirements_dependency.
 */
int pyproject_expand(struct requirements *r, const char *folder, const char *extras,
                     const char *origin, struct error *err);
/* The same for the groups that are named. Errors: also ERR_CONFIG (no such group). */
int pyproject_groups(struct requirements *r, const char *folder,
                     const struct strvec *groups, struct error *err);

/* What a script's own header (PEP 723) asks for; document is its TOML, script its path in
 * the snapshot. Errors: as pyproject_expand. */
int pyproject_script(struct requirements *r, const struct json *document,
                     const char *script, struct error *err);
/* The project in folder is imported from there: its src/ where it has one. */
void pyproject_import_from(struct requirements *r, const char *folder);

/* Read and parse folder/pyproject.toml; out_shown is its name in sentences, the caller's.
 * NULL: err, ERR_NOT_FOUND where there is none. */
struct json *pyproject_read(const struct requirements *r, const char *folder,
                            char **out_shown, struct error *err);

/* And python (specifiers, as PEP 440 has them) to what is wanted. Errors: ERR_CONFIG. */
int pyproject_want_python(struct requirements *r, const char *specifiers,
                          const char *origin, struct error *err);

#endif
