#include "controller/environment_source.h"

#include "common/files.h"
#include "controller/environment_lines.h"
#include "controller/environment_local.h"
#include "controller/environments.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_MAX ((size_t)32 << 20)

void environment_source_release(struct environment_source *source)
{
    free(source->label);
    json_free(source->definition);
    json_free(source->document);
    free(source->lock);
    *source = (struct environment_source){.label = NULL};
    run_environment_init(&source->facts);
}

/* ---- a run ---- */

/* What came home with the run. It must be what the run said that it has: somebody will
 * install by it. */
static int read_lock(struct environment_source *out, const struct home *home,
                     const char *run, struct error *err)
{
    struct error why = ERROR_INIT;
    struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
    CLEANUP_FREE char *name = xasprintf("runs/%s/environment.lock", run);
    CLEANUP_FREE char *path = home_path(home, name);
    struct oid digest;
    char hex[OID_HEX_SIZE];
    strbuf_init(&text, LOCK_MAX);
    if (files_read(AT_FDCWD, path, &text, &why) != 0) {
        return why.code == ERR_NOT_FOUND ? 0 : error_set(err, why.code, "%s", why.text);
    }
    oid_of_bytes(text.data, text.length, &digest);
    oid_to_hex(&digest, hex);
    if (out->facts.lock[0] != '\0' && strcmp(hex, out->facts.lock) != 0) {
        return error_set(err, ERR_CORRUPT, "%s is not the lock that run %s had", path,
                         run);
    }
    out->lock = strbuf_detach(&text);
    return 0;
}

static int read_definition(struct environment_source *out, const struct history_run *run,
                           struct error *err)
{
    struct runspec spec;
    runspec_init(&spec);
    int result = runspec_decode(run->spec, run->spec_length, &spec, err);
    if (result == 0 && spec.environment.has_definition) {
        out->definition = envspec_identity(&spec.environment.definition);
    } else if (result == 0) {
        error_set(err, ERR_NOT_FOUND, "run %s had no environment of its own", run->id);
        result = error_hint(err, "it used the Python of its target");
    }
    runspec_release(&spec);
    return result;
}

/* 1: there is such a run; 0: there is none; -1: err. */
static int read_run(struct environment_source *out, struct command_context *context,
                    const char *name, struct error *err)
{
    struct history_run run;
    struct error why = ERROR_INIT;
    int result = 1;
    if (command_history(context, err) == NULL) {
        return -1;
    }
    history_run_init(&run);
    if (history_find(context->history, name, &run, &why) != 0) {
        result = why.code == ERR_NOT_FOUND && strcmp(name, "@") != 0
                     ? 0
                     : error_set(err, why.code, "%s", why.text);
    } else {
        out->label = xasprintf("run %s", run.id);
        out->facts = run.status.environment;
        if (read_definition(out, &run, err) != 0 ||
            read_lock(out, context->home, run.id, err) != 0) {
            result = -1;
        }
    }
    history_run_release(&run);
    return result;
}

/* ---- what a node has ---- */

/* The report has the lock itself where a pin has its digest. */
static int take_facts(struct environment_source *out, const struct json *shown,
                      struct error *err)
{
    static const char *const keys[] = {"kind",   "identity", "build",     "builder",
                                       "python", "packages", "size_bytes"};
    CLEANUP_JSON struct json *facts = json_new_object();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct json *value = json_get(shown, keys[i]);
        if (value != NULL) {
            json_add(facts, keys[i], json_copy(value));
        }
    }
    return run_environment_from_json(facts, &out->facts, err);
}

static int take_shown(struct environment_source *out, const struct environments *e,
                      const struct json *shown, struct error *err)
{
    const struct json *document = json_get(shown, "document");
    const struct json *definition = json_get(document, "definition");
    const char *lock = json_string(json_get(shown, "lock"));
    if (definition == NULL || take_facts(out, shown, err) != 0) {
        return error_set(err, ERR_CORRUPT, "%s does not say what the environment is",
                         e->target->name);
    }
    out->label = xasprintf("%.12s on %s", out->facts.identity, e->target->name);
    out->document = json_copy(document);
    out->definition = json_copy(definition);
    out->lock = lock != NULL ? xstrdup(lock) : NULL;
    return 0;
}

static int read_target(struct environment_source *out, struct command_context *context,
                       const char *name, const char *target, struct error *err)
{
    struct environments e CLEANUP_ENVIRONMENTS = {.context = NULL};
    if (environments_open(&e, context, target, err) != 0 ||
        environments_read(&e, err) != 0) {
        return -1;
    }
    const struct json *found = environments_find(&e, name, NULL, err);
    CLEANUP_JSON struct json *shown =
        found != NULL ? environments_show(&e, found, err) : NULL;
    return shown != NULL ? take_shown(out, &e, shown, err) : -1;
}

/* A run whose lock did not come home: its own target may have what it had. */
static void ask_its_target(struct environment_source *out,
                           struct command_context *context, const char *name)
{
    struct environments e CLEANUP_ENVIRONMENTS = {.context = NULL};
    CLEANUP_FREE char *target = environments_target_of_run(context, name);
    if (target == NULL || out->facts.identity[0] == '\0' ||
        environments_open(&e, context, target, NULL) != 0 ||
        environments_read(&e, NULL) != 0) {
        return;
    }
    const struct json *found = environments_find(&e, name, NULL, NULL);
    CLEANUP_JSON struct json *shown =
        found != NULL ? environments_show(&e, found, NULL) : NULL;
    const char *lock = json_string(json_get(shown, "lock"));
    out->lock = lock != NULL ? xstrdup(lock) : NULL;
}

int environment_source_read(struct environment_source *out,
                            struct command_context *context, const char *name,
                            const char *target, struct error *err)
{
    *out = (struct environment_source){.label = NULL};
    run_environment_init(&out->facts);
    if (environment_local_is_meant(name)) {
        struct oid digest;
        return environment_local_read(out, context, name, target, &digest, err);
    }
    int found = read_run(out, context, name, err);
    if (found > 0 && out->lock == NULL) {
        ask_its_target(out, context, name);
    }
    if (found != 0) {
        return found > 0 ? 0 : -1;
    }
    return read_target(out, context, name, target, err);
}

void environment_source_lines(const struct environment_source *source, bool want_node,
                              struct strvec *out)
{
    environment_lines(source->definition, out);
    if (want_node) {
        environment_node_lines(source->document, out);
    }
}
