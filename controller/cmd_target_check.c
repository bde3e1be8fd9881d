/* errand target check. */
#include "common/clock.h"
#include "controller/client.h"
#include "controller/command.h"
#include "controller/target_check.h"

#include <stdio.h>
#include <string.h>

struct check_args {
    bool is_json, is_deep, want_accept_new;
};

#define FIELD(name) offsetof(struct check_args, name)

static int64_t since_ms(int64_t since_ns)
{
    return (clock_monotonic_ns() - since_ns) / NS_PER_MS;
}

static const char *text_of(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    return value != NULL && json_is_string(value) ? json_string(value) : "";
}

/* A hint of the node, malloc'ed: what only we know of the target stands in braces there
 * (PROTOCOL.md). */
static char *fill_hint(const struct target *target, const char *hint)
{
    const struct {
        const char *name, *value;
    } rows[] = {{"{target}", target->name}, {"{settings}", target->settings}};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (const char *at = hint; *at != '\0';) {
        size_t used = 0;
        for (size_t i = 0; i < ARRAY_SIZE(rows) && used == 0; i++) {
            if (strncmp(at, rows[i].name, strlen(rows[i].name)) == 0) {
                strbuf_puts(&text, rows[i].value);
                used = strlen(rows[i].name);
            }
        }
        if (used == 0) {
            strbuf_putc(&text, *at);
        }
        at += used > 0 ? used : 1;
    }
    return strbuf_detach(&text);
}

/* One REPORT of CHECK: facts of the node, and what was found there. */
static int take_report(void *context, const struct json *report, struct error *err)
{
    struct target_checking *c = context;
    const struct json *checks = NULL;
    if (json_get_array(report, "CHECK's report", "checks", 1000, &checks, err) != 0) {
        return -1;
    }
    if (c->node == NULL && json_is_object(json_get(report, "node"))) {
        c->node = json_copy(json_get(report, "node"));
    }
    for (const struct json *check = json_first(checks); check != NULL;
         check = json_next(check)) {
        const struct json *is_ok = json_get(check, "ok");
        CLEANUP_FREE char *hint = fill_hint(c->target, text_of(check, "hint"));
        target_check_step(c, text_of(check, "step"), is_ok == NULL || json_bool(is_ok),
                          -1, text_of(check, "detail"), hint);
    }
    return 0;
}

static void say_link(struct target_checking *c, const struct client *client)
{
    size_t count = 0;
    const struct client_step *steps = client_steps(client, &count);
    for (size_t i = 0; i < count; i++) {
        target_check_step(c, steps[i].name, true, steps[i].duration_ns / NS_PER_MS,
                          steps[i].detail, NULL);
    }
    CLEANUP_JSON struct json *facts = client_link_facts(client);
    for (const struct json *fact = json_first(facts); fact != NULL;
         fact = json_next(fact)) {
        target_check_step(c, json_key(fact), true, -1,
                          json_is_string(fact) ? json_string(fact) : "", NULL);
    }
}

static void say_clock(struct target_checking *c, const struct client_node *node)
{
    int64_t skew_ms =
        node->clock_skew_ms < 0 ? -node->clock_skew_ms : node->clock_skew_ms;
    char text[CLOCK_TEXT_SIZE];
    clock_format_duration(text, skew_ms);
    CLEANUP_FREE char *detail =
        xasprintf("%s %s ours", text, node->clock_skew_ms < 0 ? "behind" : "ahead of");
    target_check_step(
        c, "clock", true, -1, detail,
        skew_ms > 5000
            ? "times of runs are the node's: set its clock (timedatectl set-ntp true)"
            : NULL);
}

/* The step at which connecting failed. */
static const char *failed_step(enum error_code code)
{
    switch (code) {
    case ERR_HOST_KEY:
    case ERR_LOGIN:
        return error_code_name(code);
    case ERR_BOOTSTRAP:
    case ERR_NO_SPACE:
    case ERR_UNSUPPORTED:
        return error_code_name(ERR_BOOTSTRAP);
    default: /* of what may come from outside */
        return "connect";
    }
}

static void say_transport(struct target_checking *c, const struct client *client,
                          struct json *document)
{
    const char *reason = NULL;
    const char *name = client_transport(client, &reason);
    json_add_string(document, "transport", name);
    CLEANUP_FREE char *why = xasprintf("%s (%s)", name, reason);
    target_check_step(c, "transport", true, -1, why, NULL);
}

/* Connect, and say over which transport; NULL: it was said why not. */
static struct client *connect_to(struct target_checking *c, const struct check_args *args,
                                 const struct target *target, struct json *document,
                                 struct error *err)
{
    int64_t since_ns = clock_monotonic_ns();
    struct client_options options = {
        .may_ask = terminal_can_ask(c->context->terminal),
        .want_accept_new = args->want_accept_new,
        .want_own = true,
    };
    struct client *client = client_start(c->context, target, &options, err);
    if (client == NULL) {
        json_add_string(document, "transport", target->transport);
        target_check_step(c, "connect", false, since_ms(since_ns), err->text, err->hint);
        return NULL;
    }
    int result = client_wait(client, err);
    say_transport(c, client, document);
    if (result != 0) {
        target_check_step(c, failed_step(err->code), false, since_ms(since_ns), err->text,
                          err->hint);
        client_free(client);
        return NULL;
    }
    return client;
}

/* Which Spark the node is asked about. */
static struct json *spark_wish(const struct target_checking *c)
{
    const struct target *target = c->target;
    struct json *wish = json_new_object();
    CLEANUP_FREE char *key = xasprintf("targets.%s.master", target->name);
    const char *master = config_string(c->context->config, key);
    if (target->spark_home != NULL) {
        json_add_string(wish, "home", target->spark_home);
    }
    if (master != NULL) {
        json_add_string(wish, "master", master);
    }
    json_add(wish, "variables", json_new_strings(&target->variables));
    return wish;
}

static int ask_node(struct target_checking *c, const struct check_args *args,
                    struct client *client, struct error *err)
{
    int64_t since_ns = clock_monotonic_ns();
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_bool(body, "deep", args->is_deep);
    if (c->target->kind == TARGET_KIND_SPARK) {
        json_add(body, "spark", spark_wish(c));
    }
    if (client_ask(client, MSG_CHECK, body, take_report, c, NULL, err) != 0) {
        target_check_step(c, "executor", false, since_ms(since_ns), err->text, err->hint);
        return -1;
    }
    target_check_step(c, "answer", true, since_ms(since_ns),
                      "the node's part of all this, in one answer", NULL);
    return 0;
}

/* Every step; those that failed were shown. */
static int check(struct target_checking *c, const struct check_args *args,
                 const struct target *target, struct json *document, struct error *err)
{
    CLEANUP(client_cleanup)
    struct client *client = connect_to(c, args, target, document, err);
    if (client == NULL) {
        return -1;
    }
    const struct client_node *node = client_node(client);
    say_link(c, client);
    CLEANUP_FREE char *executor =
        xasprintf("%s on %s, root %s", node->version, node->platform, node->root);
    target_check_step(c, "executor", true, -1, executor, NULL);
    say_clock(c, node);
    return ask_node(c, args, client, err);
}

static void add_node(struct target_checking *c, struct json *document)
{
    (void)json_add(document, "node", c->node != NULL ? c->node : json_new_null());
    c->node = NULL;
}

static int check_verb(void *opaque_context, void *opaque, char *const *operands,
                      size_t operand_count)
{
    struct command_context *context = opaque_context;
    const struct check_args *args = opaque;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *document = json_new_object();
    CLEANUP(target_cleanup) struct target *target = NULL;
    if (command_config(context, &err) != NULL) {
        target = target_find(context->config, context->home,
                             operand_count > 0 ? operands[0]
                                               : config_string(context->config, "target"),
                             &err);
    }
    if (target == NULL) {
        return command_fail(context, args->is_json, &err, 1);
    }
    json_add_string(document, "target", target->name);
    CLEANUP_JSON struct json *steps = json_new_array();
    struct target_checking c = {.context = context,
                                .is_json = args->is_json,
                                .is_ok = true,
                                .steps = steps,
                                .target = target};
    (void)(target->livy != NULL ? target_check_livy(&c)
                                : check(&c, args, target, document, &err));
    json_add_bool(document, "ok", c.is_ok);
    (void)json_add(document, "steps", TAKE_PTR(steps));
    add_node(&c, document);
    int printed = args->is_json ? command_print_json(context, document) : 0;
    return c.is_ok ? printed : 1;
}

static const struct cli_option check_options[] = {
    CLI_FLAG(0, "deep", "also what takes seconds: the store, a Spark job",
             FIELD(is_deep)),
    CLI_FLAG(0, "accept-new", "take the host key of a new machine",
             FIELD(want_accept_new)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_target_check = {
    .name = "target check",
    .usage = "[TARGET] [options]",
    .help = "connect, and show every step, its time, and what is missing",
    .options = check_options,
    .args_size_bytes = sizeof(struct check_args),
    .min_operands = 0,
    .max_operands = 1,
    .run = check_verb,
};
