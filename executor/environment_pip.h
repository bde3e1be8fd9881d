/*
 * environment_pip: the pip of an environment installs what a definition asks for.
 * [executor]
 */
#ifndef EXECUTOR_ENVIRONMENT_PIP_H
#define EXECUTOR_ENVIRONMENT_PIP_H

#include "executor/environment_builder.h"

/* Install requirements.txt, where there is one, with the pip of this interpreter. Errors:
 * as environment_builder_run. */
int environment_pip_install(struct build *b, const char *python, struct error *err);

/* Is this line of `pip freeze` a package? Comments and warnings stand between them. */
bool environment_pip_is_package(const char *line);

#endif
