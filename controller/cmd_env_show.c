/* errand env show: an environment, and why it is this one.            [controller] */
#include "common/clock.h"
#include "common/files.h"
#include "controller/environment_lines.h"
#include "controller/environment_local.h"
#include "controller/environments.h"

#include <string.h>

struct env_show_args {
    const char *target, *build;
    bool is_json, want_lock, want_log;
};

#define FIELD(name) offsetof(struct env_show_args, name)

static void put(struct strbuf *out, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        strbuf_printf(out, "%-11s ", name);
        terminal_make_safe(text, strlen(text), out);
        strbuf_putc(out, '\n');
    }
}

static void put_member(struct strbuf *out, const struct json *shown, const char *key)
{
    put(out, key, json_string(json_get(shown, key)));
}

static void put_time(struct strbuf *out, const char *name, const struct json *shown,
                     const char *key)
{
    char time[CLOCK_TEXT_SIZE], age[CLOCK_TEXT_SIZE];
    int64_t utc_ms = 0;
    if (json_get_time(shown, "environment", key, &utc_ms, NULL) == 0 && utc_ms != 0) {
        clock_format(time, utc_ms);
        clock_format_duration(age, clock_utc_ms() - utc_ms);
        strbuf_printf(out, "%-11s %s (%s ago)\n", name, time, age);
    }
}

static void put_lines(struct strbuf *out, const char *head, const struct strvec *lines)
{
    strbuf_printf(out, lines->count > 0 ? "\n%s\n" : "", head);
    for (size_t i = 0; i < lines->count; i++) {
        size_t word = strcspn(lines->items[i], " ");
        const char *rest = lines->items[i] + word;
        strbuf_printf(out, rest[0] != '\0' ? "  %-11.*s" : "  %.*s", (int)word,
                      lines->items[i]);
        terminal_make_safe(rest, strlen(rest), out);
        strbuf_putc(out, '\n');
    }
}

static void put_place(struct strbuf *out, const struct environments *e,
                      const struct json *shown)
{
    const char *build = json_string(json_get(shown, "build"));
    if (json_bool(json_get(shown, "is_ready")) && build != NULL) {
        CLEANUP_FREE char *path =
            xasprintf("%s/envs/%s/%s/prefix", client_node(e->client)->root,
                      json_string(json_get(shown, "identity")), build);
        put(out, "place", path);
    }
}

static void put_facts(struct strbuf *out, const struct environments *e,
                      const struct json *shown)
{
    static const char *const before[] = {"identity", "build",  "name",
                                         "kind",     "python", "builder"};
    char size[FILES_SIZE_TEXT];
    const struct json *bytes = json_get(shown, "size_bytes");
    const struct json *packages = json_get(shown, "packages");
    for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
        put_member(out, shown, before[i]);
    }
    if (json_is_integer(packages)) {
        strbuf_printf(out, "%-11s %lld\n", "packages", (long long)json_integer(packages));
    }
    if (json_is_integer(bytes)) {
        files_format_size(size, (uint64_t)json_integer(bytes));
        put(out, "size", size);
    }
    put_member(out, shown, "state");
    put_member(out, shown, "message");
    put_time(out, "created", shown, "created");
    put_time(out, "last used", shown, "last_used");
    put_place(out, e, shown);
    for (const struct json *run = json_first(json_get(shown, "used_by")); run != NULL;
         run = json_next(run)) {
        put(out, "used by", json_string(run));
    }
}

static int print_people(const struct environments *e, const struct json *shown)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRVEC struct strvec reasons = STRVEC_INIT, installed = STRVEC_INIT;
    const struct json *document = json_get(shown, "document");
    const char *lock = json_string(json_get(shown, "lock"));
    put_facts(&text, e, shown);
    environment_lines(json_get(document, "definition"), &reasons);
    environment_node_lines(document, &reasons);
    put_lines(&text, "its identity is the digest of", &reasons);
    environment_lock_lines(lock != NULL ? lock : "", &installed);
    put_lines(&text, "installed", &installed);
    return command_print(e->context, &text);
}

/* A text of the node's, as it is. */
static int print_text(const struct environments *e, const struct json *shown,
                      const char *key, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const struct json *value = json_get(shown, key);
    if (value == NULL || json_is_null(value) ||
        json_bytes(value, "environment", &text, err) != 0) {
        return error_set(err, ERR_NOT_FOUND, "%s has no %s of this environment",
                         e->target->name, key);
    }
    return terminal_script_output(e->context->terminal, text.data, text.length, err);
}

static int print(const struct environments *e, const struct env_show_args *args,
                 const struct json *shown, struct error *err)
{
    if (args->is_json) {
        return command_print_json(e->context, shown);
    }
    if (args->want_lock || args->want_log) {
        return print_text(e, shown, args->want_lock ? "lock" : "log", err);
    }
    return print_people(e, shown);
}

/* ---- what is here ---- */

/* What files and settings here come to, and what a target has of it. */
struct here {
    struct environment_source source;
    struct oid digest;
    struct environments there;
    struct json *shown; /* what the target has, or NULL */
};

static void here_release(struct here *h)
{
    environment_source_release(&h->source);
    environments_release(&h->there);
    json_free(h->shown);
}

static int look_there(struct here *h, struct command_context *context, const char *target,
                      struct error *err)
{
    if (environments_open(&h->there, context, target, err) != 0 ||
        environments_read(&h->there, err) != 0) {
        return -1;
    }
    const struct json *found = environments_find_definition(&h->there, &h->digest);
    h->shown = found != NULL ? environments_show(&h->there, found, err) : NULL;
    return found != NULL && h->shown == NULL ? -1 : 0;
}

static int print_here(struct command_context *context, const struct here *h, bool is_json)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char hex[OID_HEX_SIZE];
    oid_to_hex(&h->digest, hex);
    if (is_json) {
        CLEANUP_JSON struct json *document = json_new_object();
        json_add_string(document, "name", h->source.label);
        json_add_string(document, "definition_digest", hex);
        json_add(document, "definition", json_copy(h->source.definition));
        json_add(document, "there",
                 h->shown != NULL ? json_copy(h->shown) : json_new_null());
        return command_print_json(context, document);
    }
    put(&text, "name", h->source.label);
    put(&text, "definition", hex);
    environment_lines(h->source.definition, &lines);
    put_lines(&text,
              "its identity is the digest of this and of the node's Python and builder",
              &lines);
    return command_print(context, &text);
}

static int show_here(struct command_context *context, const struct env_show_args *args,
                     const char *what)
{
    struct error err = ERROR_INIT;
    CLEANUP(here_release) struct here h = {.shown = NULL};
    if (environment_local_read(&h.source, context, what, args->target, &h.digest, &err) !=
            0 ||
        (args->target != NULL && look_there(&h, context, args->target, &err) != 0)) {
        return command_fail(context, args->is_json, &err, 1);
    }
    if (h.shown != NULL && !args->is_json) {
        return print_people(&h.there, h.shown);
    }
    if (args->target != NULL && h.shown == NULL) {
        terminal_note(context->terminal,
                      "%s does not have it yet; errand env prepare "
                      "--target %s builds it",
                      args->target, args->target);
    }
    return print_here(context, &h, args->is_json);
}

static int show_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_show_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP_ENVIRONMENTS struct environments e = {.context = NULL};
    const struct json *found = NULL;
    if (operand_count == 0 || environment_local_is_meant(operands[0])) {
        return show_here(context, args, operand_count > 0 ? operands[0] : NULL);
    }
    CLEANUP_FREE char *of_run =
        args->target == NULL ? environments_target_of_run(context, operands[0]) : NULL;
    if (environments_open(&e, context, args->target != NULL ? args->target : of_run,
                          &err) == 0 &&
        environments_read(&e, &err) == 0) {
        found = environments_find(&e, operands[0], args->build, &err);
    }
    CLEANUP_JSON struct json *shown =
        found != NULL ? environments_show(&e, found, &err) : NULL;
    int status = shown == NULL ? 1 : print(&e, args, shown, &err);
    return err.code != ERR_NONE ? command_fail(context, args->is_json, &err, 1) : status;
}

static const struct cli_option show_options[] = {
    CLI_STRING('t', "target", "TARGET", "on this target", FIELD(target)),
    CLI_STRING(0, "build", "BUILD", "this build of it, not the current one",
               FIELD(build)),
    CLI_FLAG(0, "lock", "print what is installed, with hashes", FIELD(want_lock)),
    CLI_FLAG(0, "log", "print the end of its build log", FIELD(want_log)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_env_show = {
    .name = "env show",
    .usage = "[ENVIRONMENT] [options]",
    .help = "tell what is in an environment, and why it is this one",
    .details =
        "ENVIRONMENT is a file here, the beginning of an identity, what it was made "
        "from as errand env list shows it, or a run that has it, whose own target is "
        "asked then. Without it, or "
        "with a file, what the project comes to is told, without asking a node; "
        "with --target what the target has of that.",
    .options = show_options,
    .args_size_bytes = sizeof(struct env_show_args),
    .max_operands = 1,
    .run = show_verb,
};
