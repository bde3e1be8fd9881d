#include "controller/submission_environment.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/tree.h"

/* The value of a target's own key, or NULL. */
static const char *value_of_target(const struct config *config,
                                   const struct target *target, const char *key)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.%s", target->name, key);
    return config_string(config, path);
}

int submission_environment_open(struct submission *s, struct command_context *context,
                                const struct target *target,
                                const struct submission_request *request,
                                struct envplan *plan, struct error *err)
{
    const char *wish = value_of_target(context->config, target, "environment");
    if (request->environment != NULL &&
        config_set(context->config, "environment", request->environment, "--environment",
                   err) != 0) {
        return -1;
    }
    if (request->environment != NULL || wish == NULL) {
        wish = config_string(context->config, "environment");
    }
    CLEANUP_JSON struct json *document =
        wish != NULL ? json_parse(wish, strlen(wish), err) : NULL;
    if (wish != NULL && document == NULL) {
        return -1;
    }
    const struct envplan_request what = {
        .project = config_project(context->config),
        .user_folder = context->home->config,
        .wish = document,
        .script = s->spec.script,
        .may_discover =
            request->is_preparation ||
            (s->spec.framework != FRAMEWORK_COMMAND && s->spec.interpreter == NULL),
    };
    s->spec.environment.is_refresh = request->want_refresh;
    int result = envplan_open(plan, &what, err);
    if (result == 0 && request->is_preparation) {
        error_set(err, ERR_NOT_FOUND, "nothing in %s says what the environment is",
                  what.project);
        return error_hint(err, "name a file, or write requirements.txt or `environment:` "
                               "in errand.yaml");
    }
    return result;
}

bool submission_environment_names_python(struct submission *s, const struct envplan *plan)
{
    for (size_t i = plan->layer_count; i > 0; i--) {
        const char *interpreter =
            json_string(json_get(plan->layers[i - 1], "interpreter"));
        const char *venv = json_string(json_get(plan->layers[i - 1], "venv"));
        if (interpreter != NULL || venv != NULL) {
            free(s->spec.interpreter);
            s->spec.interpreter = interpreter != NULL ? xstrdup(interpreter)
                                                      : xasprintf("%s/bin/python", venv);
            return true;
        }
    }
    return false;
}

/* Others need the node that they are made on. */
static int check_afar(const struct envspec *d, struct error *err)
{
    if (d->kind == ENVSPEC_PACKAGES || d->kind == ENVSPEC_LOCK ||
        d->kind == ENVSPEC_CONDA) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "an environment of kind %s does not reach a Livy's cluster",
              envspec_kind_name(d->kind));
    return error_hint(
        err, "give its packages (requirements.txt, pyproject.toml, uv.lock, "
             "environment.yml), name a Python that the cluster has (--interpreter "
             "/opt/py/bin/python), or an "
             "archive with one: --archives URI#env --interpreter ./env/bin/python");
}

/* Passwords that stood in addresses travel as secrets, and only the builder gets them. */
static void take_credentials(struct submission *s, const struct requirements *r)
{
    for (size_t i = 0; i < r->credentials.count; i++) {
        const char *value = strchr(r->credentials.items[i], '=') + 1;
        CLEANUP_FREE char *name = xstrndup(r->credentials.items[i],
                                           (size_t)(value - r->credentials.items[i]) - 1);
        mem_wipe_freed();
        if (s->secrets == NULL) {
            s->secrets = json_new_object();
        }
        json_add_bytes(s->secrets, name, value, strlen(value));
        strvec_push(&s->spec.secrets, name);
    }
}

static void take_settings(struct submission *s, const struct command_context *context,
                          const struct target *target)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.shared_environments", target->name);
    const struct strvec *shared = config_list(context->config, path);
    for (size_t i = 0; shared != NULL && i < shared->count; i++) {
        strvec_push(&s->spec.environment.shared, shared->items[i]);
    }
    s->spec.environment.slots = config_integer(context->config, "prepare_slots");
}

int submission_environment_fill(struct submission *s, struct command_context *context,
                                const struct target *target, struct envplan *plan,
                                struct error *err)
{
    struct runspec_environment *environment = &s->spec.environment;
    CLEANUP_STRBUF struct strbuf what = STRBUF_INIT;
    if (envplan_fill(plan, &s->spec.variables, &s->spec.secrets, environment, err) != 0) {
        return -1;
    }
    if (target->kind == TARGET_KIND_LIVY &&
        check_afar(&environment->definition, err) != 0) {
        return -1;
    }
    take_credentials(s, &plan->requirements);
    take_settings(s, context, target);
    if (environment->definition.kind == ENVSPEC_EXISTING) {
        free(TAKE_PTR(s->spec.interpreter));
    }
    for (size_t i = 0; i < plan->requirements.notes.count && i < 10; i++) {
        terminal_warn(context->terminal, "%s", plan->requirements.notes.items[i]);
    }
    envplan_describe(plan, &environment->definition, &what);
    terminal_note(context->terminal, "environment: %s", what.data);
    return 0;
}

int submission_environment_digests(struct submission *s, struct command_context *context,
                                   struct error *err)
{
    struct object_source source = store_source(context->store);
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    const char *missing = NULL;
    bool is_in = false;
    if (!s->spec.environment.has_definition ||
        envplan_digests(&s->spec.environment.definition, &source, &s->snapshot.root,
                        &missing, err) == 0) {
        return 0;
    }
    if (missing == NULL) {
        return -1;
    }
    (void)snapshot_why(context->home, context->config, missing, &why, &is_in, NULL);
    (void)error_set(err, ERR_CONFIG,
                    "the environment needs %s, which is not in the snapshot: %s", missing,
                    why.data);
    return error_hint(err, "take it in with `snapshot: {include: [%s]}` in errand.yaml",
                      missing);
}

static bool has_local(const struct envspec_requirements *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].text == NULL) {
            return true;
        }
    }
    return false;
}

bool submission_environment_stays(const struct submission *s,
                                  const struct submission_request *request)
{
    const struct envspec *d = &s->spec.environment.definition;
    return request->is_preparation && s->spec.environment.has_definition &&
           !has_local(&d->requirements) && !has_local(&d->constraints) &&
           !has_local(&d->find_links) && d->lock_file_count == 0;
}

int submission_environment_nothing(struct submission *s, struct command_context *context,
                                   struct error *err)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    const struct object_sink sink = store_sink(context->store);
    uint64_t size_bytes = 0;
    if (tree_writer_finish(writer, &sink, &s->snapshot.root, &size_bytes, err) != 0) {
        return -1;
    }
    s->spec.root = s->snapshot.root;
    envspec_normalize(&s->spec.environment.definition);
    return 0;
}
