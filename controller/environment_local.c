#include "controller/environment_local.h"

#include "controller/following.h"
#include "controller/submission.h"

#include <unistd.h>

bool environment_local_is_meant(const char *name)
{
    return access(name, F_OK) == 0;
}

/* True where what it is made of has digests that only a snapshot knows. */
static bool has_local_content(const struct envspec *spec)
{
    const struct envspec_requirements *lists[] = {&spec->requirements, &spec->constraints,
                                                  &spec->find_links};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (size_t k = 0; k < lists[i]->count; k++) {
            if (lists[i]->items[k].text == NULL) {
                return true;
            }
        }
    }
    return spec->lock_file_count > 0;
}

static int plan(struct submission *s, struct following *f,
                const struct submission_request *request, struct error *err)
{
    if (submission_plan(s, f->context, f->target, request, err) != 0) {
        return -1;
    }
    return has_local_content(&s->spec.environment.definition)
               ? submission_snapshot(s, f->context, f->target, request, &f->interrupt,
                                     err)
               : 0;
}

int environment_local_read(struct environment_source *out,
                           struct command_context *context, const char *what,
                           const char *target, struct oid *out_digest, struct error *err)
{
    char word[] = "true";
    char *command[] = {word, NULL};
    const struct submission_request request = {
        .environment = what,
        .is_preparation = true,
        .is_plain_command = true,
        .want_yes = true,
        .operands = command,
        .operand_count = 1,
    };
    struct submission s;
    struct following f;
    submission_init(&s);
    int result = following_init(&f, context, target, err);
    result = result == 0 ? plan(&s, &f, &request, err) : -1;
    if (result == 0) {
        const struct envspec *spec = &s.spec.environment.definition;
        run_environment_init(&out->facts);
        out->label = xstrdup(spec->source != NULL ? spec->source : "the project's");
        out->definition = envspec_identity(spec);
        envspec_digest(spec, out_digest);
    }
    submission_release(&s);
    following_release(&f);
    return result;
}
