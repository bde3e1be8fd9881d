/*
 * poetry: what a project says that keeps its needs in Poetry's own tables. [controller]
 *
 * Poetry 1 had them in [tool.poetry] before there was a standard, in words of its own:
 * "^1.2" is ">=1.2,<2", a bare version is exactly that one, `python` is one of the
 * dependencies. They are put into the standard's words and tables, so that all else reads
 * but one kind of project. Where a package comes from (git, url, path) stays where it is:
 * its keys are those of uv's sources. Source: Poetry's documentation, "Dependency
 * specification" and "The pyproject.toml file".
 */
#ifndef CONTROLLER_POETRY_H
#define CONTROLLER_POETRY_H

#include "common/json.h"

/*
 * Add project and dependency-groups to a pyproject.toml that has but [tool.poetry].
 * Others are left as they are, and so is one with a build script, which alone knows what
 * it makes. shown is the file's name in sentences. Errors: ERR_CONFIG (what is no
 * constraint, or one that the standard cannot say: "^1 || ^3").
 */
int poetry_standardise(struct json *document, const char *shown, struct error *err);

/* ">=1.2,<2" of "^1.2"; "" of "*". Errors: as above. */
int poetry_constraint(const char *text, struct strbuf *out, struct error *err);

#endif
