#include "executor/environment_builder.h"

#include "executor/environment.h"
#include "executor/environment_explain.h"

/* In the order in which they are tried. */
static const struct builder *const builders[] = {
    &builder_uv,         &builder_uv_lock, &builder_pip,
    &builder_micromamba, &builder_mamba,   &builder_conda,
    &builder_podman,     &builder_docker,  NULL};

const struct builder *environment_builder_at(size_t i)
{
    return builders[i];
}

int environment_builder_run(struct build *b, const char *const *argv, struct error *err)
{
    int status = programs_run(b->programs, argv, false, err);
    if (status == 0) {
        return 0;
    }
    return status < 0
               ? -1
               : environment_explain(b->environment->builder->name,
                                     programs_text(b->programs)->data, status, err);
}
