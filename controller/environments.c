#include "controller/environments.h"

#include "controller/livy_collect.h"
#include "controller/livy_reach.h"
#include "controller/target.h"
#include "controller/target_livy.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX 8192
#define PREFIX_MIN 4 /* hexadecimal digits that are taken for the beginning of one */
#define SHOWN_DIGITS 12

int environments_open(struct environments *e, struct command_context *context,
                      const char *target_name, struct error *err)
{
    *e = (struct environments){.context = context};
    const struct config *config = command_config(context, err);
    if (config == NULL) {
        return -1;
    }
    struct client_options options = {.may_ask = terminal_can_ask(context->terminal)};
    e->target = target_find(
        config, context->home,
        target_name != NULL ? target_name : config_string(config, "target"), err);
    e->client =
        e->target != NULL ? client_connect(context, e->target, &options, err) : NULL;
    return e->client != NULL ? 0 : -1;
}

char *environments_target_of_run(struct command_context *context, const char *name)
{
    struct history_run run;
    char *target = NULL;
    history_run_init(&run);
    if (command_history(context, NULL) != NULL &&
        history_find(context->history, name, &run, NULL) == 0) {
        target = xstrdup(run.target);
    }
    history_run_release(&run);
    return target;
}

void environments_release(struct environments *e)
{
    if (e->context != NULL) {
        command_keep(e->context, TAKE_PTR(e->client));
    }
    if (e->reach != NULL) {
        livy_reach_release(e->reach);
        free(TAKE_PTR(e->reach));
    }
    target_free(TAKE_PTR(e->target));
    json_free(TAKE_PTR(e->report));
}

/* ---- asking ---- */

static int take_report(void *context, const struct json *report, struct error *err)
{
    struct json **kept = context;
    const struct json *list;
    if (json_get_array(report, "ENVIRONMENTS' report", "environments", LIST_MAX, &list,
                       err) != 0) {
        return -1;
    }
    json_free(*kept);
    *kept = json_copy(report);
    return 0;
}

/* identity and build may be NULL. *out is the caller's, also after a failure. */
static int ask(struct environments *e, const char *action, const char *identity,
               const char *build, bool is_forced, struct json **out, struct error *err)
{
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "action", action);
    json_add_string(body, "identity", identity);
    json_add_string(body, "build", build);
    json_add_bool(body, "is_forced", is_forced);
    return client_ask(e->client, MSG_ENVIRONMENTS, body, take_report, out, NULL, err);
}

int environments_read(struct environments *e, struct error *err)
{
    return ask(e, "list", NULL, NULL, false, &e->report, err);
}

const struct json *environments_list(const struct environments *e)
{
    return json_get(e->report, "environments");
}

struct json *environments_show(struct environments *e, const struct json *found,
                               struct error *err)
{
    CLEANUP_JSON struct json *report = NULL;
    if (ask(e, "show", json_string(json_get(found, "identity")),
            json_string(json_get(found, "build")), false, &report, err) != 0) {
        return NULL;
    }
    const struct json *shown = json_first(json_get(report, "environments"));
    if (shown == NULL) {
        error_set(err, ERR_NOT_FOUND, "%s has no such environment any more",
                  e->target->name);
        return NULL;
    }
    return json_copy(shown);
}

static int reach_livy(struct environments *e, struct error *err)
{
    CLEANUP_FREE char *password = NULL;
    if (e->reach != NULL) {
        return 0;
    }
    if (target_livy_password(e->context, e->target, &password, err) != 0) {
        return -1;
    }
    e->reach = xcalloc(1, sizeof *e->reach);
    if (livy_reach_open(e->reach, e->target, TAKE_PTR(password), err) != 0) {
        livy_reach_release(e->reach);
        free(TAKE_PTR(e->reach));
        return -1;
    }
    return 0;
}

static int remove_from_livy(struct environments *e, const char *identity,
                            const char *build, bool is_forced, struct error *err)
{
    struct error why = ERROR_INIT;
    if (reach_livy(e, &why) == 0 &&
        livy_collect_environment(&e->reach->place, identity, build, is_forced, &why) ==
            0) {
        return 0;
    }
    if (why.code == ERR_UNSUPPORTED) {
        terminal_note(e->context->terminal, "%s: it stays in the cluster: %s",
                      e->target->name, why.text);
        return 0;
    }
    (void)error_copy(err, &why);
    error_wrap(err, "the environment is removed here, but not in the cluster");
    return error_hint(err, "errand node gc %s removes it there once it is old",
                      e->target->name);
}

int environments_remove(struct environments *e, const struct json *found, bool all_builds,
                        bool is_forced, struct error *err)
{
    CLEANUP_JSON struct json *report = NULL;
    const char *identity = json_string(json_get(found, "identity"));
    const char *build = all_builds ? NULL : json_string(json_get(found, "build"));
    if (ask(e, "remove", identity, build, is_forced, &report, err) != 0) {
        return -1;
    }
    return e->target->livy != NULL ? remove_from_livy(e, identity, build, is_forced, err)
                                   : 0;
}

/* ---- finding ---- */

/* What is looked for: an entry is it where the member of this name has, or begins with,
 * the text. */
struct wanted {
    const char *key, *text;
    bool is_prefix;
    const char *build; /* NULL: the current one */
};

static bool is_it(const struct json *entry, const struct wanted *wanted)
{
    const char *text = json_string(json_get(entry, wanted->key));
    return text != NULL &&
           (wanted->is_prefix ? strncmp(text, wanted->text, strlen(wanted->text)) == 0
                              : strcmp(text, wanted->text) == 0);
}

static const char *identity_of(const struct json *entry)
{
    return json_string(json_get(entry, "identity"));
}

/* Among builds of one identity. */
static bool is_better(const struct json *entry, const struct json *best,
                      const char *build)
{
    const char *name = json_string(json_get(entry, "build"));
    if (build != NULL) {
        return name != NULL && strcmp(name, build) == 0;
    }
    return best == NULL || !json_bool(json_get(best, "is_current"));
}

static int look_for(const struct environments *e, const char *name,
                    const struct wanted *wanted, const struct json **out,
                    struct error *err)
{
    const struct json *first = NULL;
    *out = NULL;
    for (const struct json *entry = json_first(environments_list(e)); entry != NULL;
         entry = json_next(entry)) {
        if (!is_it(entry, wanted)) {
            continue;
        }
        if (first != NULL && strcmp(identity_of(first), identity_of(entry)) != 0) {
            return error_set(err, ERR_USAGE,
                             "\"%s\" may be each of several environments: %.*s, %.*s ...",
                             name, SHOWN_DIGITS, identity_of(first), SHOWN_DIGITS,
                             identity_of(entry));
        }
        first = first == NULL ? entry : first;
        *out = is_better(entry, *out, wanted->build) ? entry : *out;
    }
    return 0;
}

/* Which environment a run has, if it is one of this controller's. */
static int look_for_run(const struct environments *e, const char *name, const char *build,
                        const struct json **out, struct error *err)
{
    struct history_run run;
    int result = 0;
    history_run_init(&run);
    if (command_history(e->context, err) == NULL) {
        result = -1;
    } else if (history_find(e->context->history, name, &run, NULL) == 0 &&
               run.status.environment.identity[0] != '\0') {
        const struct run_environment *has = &run.status.environment;
        const struct wanted wanted = {
            .key = "identity",
            .text = has->identity,
            .build = build != NULL           ? build
                     : has->build[0] != '\0' ? has->build
                                             : NULL,
        };
        result = look_for(e, name, &wanted, out, err);
    }
    history_run_release(&run);
    return result;
}

const struct json *environments_find_definition(const struct environments *e,
                                                const struct oid *digest)
{
    char hex[OID_HEX_SIZE];
    const struct json *found = NULL;
    oid_to_hex(digest, hex);
    for (const struct json *entry = json_first(environments_list(e)); entry != NULL;
         entry = json_next(entry)) {
        const char *of = json_string(json_get(entry, "definition_digest"));
        if (of != NULL && strcmp(of, hex) == 0 &&
            (found == NULL || json_bool(json_get(entry, "is_current")))) {
            found = entry;
        }
    }
    return found;
}

static bool may_be_identity(const char *name)
{
    size_t length = strlen(name);
    return length >= PREFIX_MIN && strspn(name, "0123456789abcdef") == length;
}

const struct json *environments_find(const struct environments *e, const char *name,
                                     const char *build, struct error *err)
{
    const struct json *found = NULL;
    const struct wanted by_identity = {"identity", name, true, build};
    const struct wanted by_name = {"name", name, false, build};
    if ((may_be_identity(name) && look_for(e, name, &by_identity, &found, err) != 0) ||
        (found == NULL && look_for(e, name, &by_name, &found, err) != 0) ||
        (found == NULL && look_for_run(e, name, build, &found, err) != 0)) {
        return NULL;
    }
    if (found == NULL) {
        error_set(err, ERR_NOT_FOUND, "%s has no environment \"%.80s\"%s%.40s",
                  e->target->name, name, build != NULL ? " with build " : "",
                  build != NULL ? build : "");
        (void)error_hint(err, "errand env list --target %s shows those it has",
                         e->target->name);
    }
    return found;
}
