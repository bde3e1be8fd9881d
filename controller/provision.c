#include "controller/provision.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "common/variables.h"
#include "controller/assessment.h"
#include "controller/bringing.h"
#include "controller/homeprogram.h"
#include "controller/requirements.h"
#include "controller/wheels.h"

/* What is known while it goes on. All borrowed but the last three. */
struct work {
    struct submission *s;
    struct command_context *context;
    struct client *client;
    const struct target *target;
    const bool *is_interrupted;
    bool wants_wheels, is_refresh;
    char *uv; /* a uv that may come along, or NULL */
    struct tree_entry entries[2];
    size_t entry_count;
};

static void release(struct work *w)
{
    free(w->uv);
}

/* ---- settings ---- */

/* The target's own, else that for all of them. */
static const char *setting(const struct config *config, const struct target *target,
                           const char *key)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.%s", target->name, key);
    const char *own = config_string(config, path);
    return own != NULL && own[0] != '\0' ? own : config_string(config, key);
}

int provision_wants_wheels(const struct config *config, const struct target *target,
                           const struct submission_request *request, bool *out,
                           struct error *err)
{
    bool is_option = request->wheels_from != NULL;
    const char *word =
        is_option ? request->wheels_from : setting(config, target, "wheels_from");
    *out = word != NULL && strcmp(word, "controller") == 0;
    if (*out || word == NULL || strcmp(word, "index") == 0) {
        return 0;
    }
    error_set(err, is_option ? ERR_USAGE : ERR_CONFIG,
              "%s: \"%s\" is no place where wheels come from",
              is_option ? "--wheels-from" : "wheels_from", word);
    return error_hint(err,
                      "controller: this machine collects them; index: the node does");
}

/* ---- is the question needed? ---- */

/* True where the newest run of this project on the node that got an environment had the
 * same one. */
static bool was_there(const struct work *w)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    struct runspec spec;
    struct oid mine;
    struct oid its;
    bytes.limit_bytes = RUNSPEC_SIZE_MAX;
    runspec_init(&spec);
    bool is_same =
        history_prepared_spec(w->context->history, client_node(w->client)->store,
                              config_project(w->context->config), &bytes, NULL) == 0 &&
        bytes.length > 0 && runspec_decode(bytes.data, bytes.length, &spec, NULL) == 0 &&
        spec.environment.has_definition;
    if (is_same) {
        envspec_digest(&w->s->spec.environment.definition, &mine);
        envspec_digest(&spec.environment.definition, &its);
        is_same = oid_equal(&mine, &its);
    }
    runspec_release(&spec);
    return is_same;
}

/* ---- what comes along ---- */

static int add_uv(struct work *w, struct error *err)
{
    struct tree_entry *entry = &w->entries[w->entry_count];
    struct error why = ERROR_INIT;
    if (homeprogram_put(w->uv, client_node(w->client)->platform, w->context->store, entry,
                        &why) == 0) {
        entry->name = "uv";
        entry->name_length = strlen(entry->name);
        w->entry_count++;
        return 0;
    }
    if (why.code != ERR_UNSUPPORTED) {
        return error_copy(err, &why);
    }
    terminal_warn(w->context->terminal, "bootstrap_uv: %s: %s", w->uv, why.text);
    return 0;
}

/* A login that stood in an address leaves it no other address. */
static bool may_pass(const char *name, const struct strbuf *value)
{
    return strncmp(name, REQUIREMENTS_CREDENTIALS, strlen(REQUIREMENTS_CREDENTIALS)) !=
               0 ||
           strcspn(value->data, "/?#") == value->length;
}

/* This process's variables, and the run's secrets under names that mean nothing to the
 * programs. Its variables are in the lists already, where those ask for them. */
static void make_environment(const struct work *w, struct strvec *out)
{
    variables_inherit(out);
    variables_set(out, "UV_PYTHON_DOWNLOADS=never");
    variables_set(out, "NO_COLOR=1");
    for (const struct json *one = json_first(w->s->secrets); one != NULL;
         one = json_next(one)) {
        CLEANUP_STRBUF struct strbuf value = STRBUF_INIT;
        if (json_bytes(one, json_key(one), &value, NULL) == 0 &&
            may_pass(json_key(one), &value)) {
            variables_setf(out, WHEELS_SECRET "%s=%s", json_key(one), value.data);
        }
        mem_wipe(value.data, value.length);
    }
}

static void say_wheels(const struct work *w, const struct wheels *wheels,
                       const struct assessment *node)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, wheels->size_bytes);
    terminal_note(w->context->terminal,
                  "wheels: %llu file%s, %s, for Python %s on %s, collected %s%s",
                  (unsigned long long)wheels->files, wheels->files == 1 ? "" : "s", size,
                  node->python, node->platform, wheels->is_reused ? "before" : "by ",
                  wheels->is_reused ? "" : wheels->tool);
}

static int add_wheels(struct work *w, const struct assessment *node, struct error *err)
{
    struct envspec *d = &w->s->spec.environment.definition;
    CLEANUP_FREE char *found = w->uv == NULL ? homeprogram_find("uv") : NULL;
    CLEANUP_STRVEC struct strvec environment = STRVEC_INIT;
    struct wheels wheels;
    if (wheels_check(d, node, err) < 0) {
        return -1;
    }
    mem_wipe_freed();
    make_environment(w, &environment);
    const struct hometool tool = {.client = w->client,
                                  .is_interrupted = w->is_interrupted,
                                  .environment = &environment,
                                  .dir_fd = AT_FDCWD};
    const struct wheels_request request = {
        .context = w->context,
        .project = config_project(w->context->config),
        .definition = d,
        .node = node,
        .tool = &tool,
        .uv = w->uv != NULL ? w->uv : found,
        .is_refresh = w->is_refresh,
    };
    if (wheels_collect(&request, &wheels, err) < 0) {
        return -1;
    }
    say_wheels(w, &wheels, node);
    wheels_put_in(&wheels, d);
    w->entries[w->entry_count++] = (struct tree_entry){
        .kind = TREE_FOLDER,
        .size_bytes = wheels.size_bytes,
        .oid = wheels.folder,
        .name = WHEELS_FOLDER,
        .name_length = strlen(WHEELS_FOLDER),
    };
    return 0;
}

static int make_tree(struct work *w, struct error *err)
{
    const struct object_sink sink = store_sink(w->context->store);
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct oid *root = &w->s->spec.environment.brought;
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < w->entry_count; i++) {
        if (tree_writer_add(writer, &w->entries[i], err) < 0) {
            return -1;
        }
    }
    /* As a root of the store its objects stay while they travel. */
    return tree_writer_finish(writer, &sink, root, &size_bytes, err) < 0
               ? -1
               : store_add_root(w->context->store, root, NULL, err);
}

/* ---- all of it ---- */

static int gather(struct work *w, struct error *err)
{
    struct assessment node;
    if (assessment_ask(w->client, &w->s->spec, w->uv != NULL, &node, err) < 0) {
        return -1;
    }
    if (node.is_ready) {
        return 0;
    }
    if ((node.wants_uv && add_uv(w, err) < 0) ||
        (w->wants_wheels && add_wheels(w, &node, err) < 0)) {
        return -1;
    }
    return w->entry_count == 0 ? 0 : make_tree(w, err);
}

static int bring(struct work *w, struct error *err)
{
    const struct oid *root = &w->s->spec.environment.brought;
    char size[FILES_SIZE_TEXT];
    uint64_t sent = 0;
    if (oid_is_zero(root)) {
        return 0;
    }
    if (bringing_send(w->context, w->client, root, "sending what the environment needs",
                      w->is_interrupted, &sent, err) < 0) {
        return -1;
    }
    files_format_size(size, sent);
    if (sent > 0) {
        terminal_note(w->context->terminal,
                      "sent %s of what the environment is built from", size);
    }
    return 0;
}

int provision(struct submission *s, struct command_context *context,
              struct client *client, const struct target *target,
              const struct submission_request *request, const bool *is_interrupted,
              struct error *err)
{
    CLEANUP(release)
    struct work w = {.s = s,
                     .context = context,
                     .client = client,
                     .target = target,
                     .is_interrupted = is_interrupted,
                     .is_refresh = request->want_refresh};
    const char *uv = setting(context->config, target, "bootstrap_uv");
    /* What a Livy's cluster gets is built on this machine, which has what it has. */
    if (!s->spec.environment.has_definition || target->kind == TARGET_KIND_LIVY) {
        return 0;
    }
    if (provision_wants_wheels(context->config, target, request, &w.wants_wheels, err) <
        0) {
        return -1;
    }
    w.uv = uv != NULL && uv[0] != '\0' ? homeprogram_find(uv) : NULL;
    if (uv != NULL && uv[0] != '\0' && w.uv == NULL) {
        terminal_warn(context->terminal, "bootstrap_uv: %s is no program here", uv);
    }
    /* Gathered before, and the link was lost: the definition is what it should be. */
    bool is_gathered = !oid_is_zero(&s->spec.environment.brought);
    if (!is_gathered && (w.wants_wheels || !was_there(&w)) && gather(&w, err) < 0) {
        return -1;
    }
    return bring(&w, err);
}
