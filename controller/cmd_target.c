/* errand target add, list, remove.            [controller] */
#include "common/bytes.h"
#include "controller/client.h"
#include "controller/install.h"
#include "controller/table.h"
#include "controller/target.h"
#include "controller/transport.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct add_args {
    char *port, *identity, *ssh_config, *known_hosts, *transport, *root, *interpreter;
    char *kind, *spark_home;
    char *user, *ca, *auth, *webhdfs, *yarn, *base, *password_env;
    bool want_force;
};

#define FIELD(name) offsetof(struct add_args, name)

/* NULL: none, 0. */
static int parse_port(const char *text, int64_t *out, struct error *err)
{
    uint64_t port = 0;
    if (text != NULL && (bytes_parse_u64(text, 65535, &port, NULL) != 0 || port == 0)) {
        return error_set(err, ERR_USAGE,
                         "--port: %s is no TCP port: those are 1 to 65535", text);
    }
    *out = (int64_t)port;
    return 0;
}

static int check_add(const struct target *target, struct error *err)
{
    bool is_local = target->transport != NULL && strcmp(target->transport, "local") == 0;
    if (target->transport != NULL && transport_check_name(target->transport, err) != 0) {
        return -1;
    }
    if (target->root != NULL && !is_local && install_check_root(target->root, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    for (size_t i = 0; i < target->addresses.count; i++) {
        CLEANUP(target_cleanup) struct target *other = target_elsewhere(target, i, err);
        if (other == NULL) {
            err->code = ERR_USAGE;
            return -1;
        }
    }
    return 0;
}

/* A file may be made later, but most are misspelt. */
static void warn_of_missing(struct terminal *terminal, const char *option,
                            const char *path)
{
    if (path != NULL && path[0] != '~' && access(path, R_OK) != 0) {
        terminal_warn(terminal, "%s: %s cannot be read: %s", option, path,
                      strerror(errno));
    }
}

/* What was said of a Livy server; the caller's to free. NULL: err. */
static struct runspec_livy *make_livy(const struct add_args *args, const char *url,
                                      struct error *err)
{
    struct runspec_livy *livy = runspec_livy_new();
    const struct {
        char **place;
        const char *text;
    } rows[] = {{&livy->url, url},
                {&livy->user, args->user},
                {&livy->webhdfs, args->webhdfs},
                {&livy->yarn_url, args->yarn}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        *rows[i].place = rows[i].text != NULL ? xstrdup(rows[i].text) : NULL;
    }
    livy->ca = target_absolute(args->ca);
    livy->auth = args->user != NULL ? LIVY_AUTH_BASIC : LIVY_AUTH_NONE;
    livy->upload = args->webhdfs == NULL && args->base != NULL &&
                           strncmp(args->base, "file:", 5) == 0
                       ? LIVY_UPLOAD_LOCAL
                       : LIVY_UPLOAD_WEBHDFS;
    if (args->auth != NULL && livy_auth_parse(args->auth, &livy->auth, err) != 0) {
        err->code = ERR_USAGE;
        error_wrap(err, "--auth");
        error_hint(err, "it is basic, none or negotiate");
        runspec_livy_free(livy);
        return NULL;
    }
    return livy;
}

/* NAME URL: a Livy server. */
static int add_livy(struct command_context *context, const struct add_args *args,
                    char *name, const char *url)
{
    struct error err = ERROR_INIT;
    struct target target = {.name = name,
                            .kind = TARGET_KIND_LIVY,
                            .password_env = args->password_env,
                            .interpreter = args->interpreter,
                            .livy_base = args->base};
    target.livy = make_livy(args, url, &err);
    int result = target.livy == NULL || command_home(context, &err) == NULL ||
                         target_save(context->home, &target, args->want_force, &err) != 0
                     ? command_fail(context, false, &err, err.code == ERR_USAGE ? 2 : 1)
                     : 0;
    if (result == 0 && target.livy != NULL) {
        warn_of_missing(context->terminal, "--ca", target.livy->ca);
        terminal_note(context->terminal,
                      "added target %s; try it with: errand target check %s", name, name);
    }
    runspec_livy_free(target.livy);
    return result;
}

static int add_verb(void *opaque, void *opaque_args, char *const *operands,
                    size_t operand_count)
{
    struct command_context *context = opaque;
    const struct add_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *host = NULL;
    if (operand_count > 1 && strncmp(operands[1], "http", 4) == 0 &&
        strstr(operands[1], "://") != NULL) {
        return add_livy(context, args, operands[0], operands[1]);
    }
    struct target target = {
        .name = operands[0],
        .host = operand_count > 1 ? operands[1] : NULL,
        .identity = args->identity,
        .ssh_config = args->ssh_config,
        .known_hosts = args->known_hosts,
        .transport = args->transport,
        .root = args->root,
        .interpreter = args->interpreter,
        .spark_home = args->spark_home,
        .password_env = args->password_env,
    };
    if (command_home(context, &err) == NULL ||
        parse_port(args->port, &target.port, &err) != 0 ||
        (args->kind != NULL && target_kind_parse(args->kind, &target.kind, &err) != 0) ||
        (target.host != NULL &&
         target_parse_place(operands[1], &host, &target.port, &err) != 0)) {
        return command_fail(context, false, &err, err.code == ERR_USAGE ? 2 : 1);
    }
    target.host = host;
    for (size_t i = 2; i < operand_count; i++) {
        strvec_push(&target.addresses, operands[i]);
    }
    int result = check_add(&target, &err) != 0
                     ? -1
                     : target_save(context->home, &target, args->want_force, &err);
    strvec_release(&target.addresses);
    if (result != 0) {
        return command_fail(context, false, &err, err.code == ERR_USAGE ? 2 : 1);
    }
    warn_of_missing(context->terminal, "--identity", target.identity);
    warn_of_missing(context->terminal, "--ssh-config", target.ssh_config);
    terminal_note(context->terminal,
                  "added target %s; try it with: errand target check %s", target.name,
                  target.name);
    return 0;
}

static const struct cli_option add_options[] = {
    CLI_STRING('p', "port", "PORT", "TCP port", FIELD(port)),
    CLI_STRING('i', "identity", "FILE", "private key file", FIELD(identity)),
    CLI_STRING('F', "ssh-config", "FILE", "instead of ~/.ssh/config", FIELD(ssh_config)),
    CLI_STRING(0, "known-hosts", "FILE", "instead of ~/.ssh/known_hosts",
               FIELD(known_hosts)),
    CLI_STRING(0, "transport", "TRANSPORT", "auto, ssh2, openssh or local",
               FIELD(transport)),
    CLI_STRING(0, "root", "PATH-THERE", "errand's folder on the node; default: ~/.errand",
               FIELD(root)),
    CLI_STRING(0, "interpreter", "PYTHON", "python on the node", FIELD(interpreter)),
    CLI_STRING(0, "kind", "KIND", "ssh; spark: scripts run with the node's Spark; livy",
               FIELD(kind)),
    CLI_STRING(0, "spark-home", "PATH-THERE",
               "SPARK_HOME on the node, if it is not found", FIELD(spark_home)),
    CLI_STRING(0, "user", "USER", "Livy: who one is there", FIELD(user)),
    CLI_STRING(0, "password-env", "NAME", "environment variable with the password",
               FIELD(password_env)),
    CLI_STRING(0, "ca", "FILE", "Livy: certificates of one's own authorities", FIELD(ca)),
    CLI_STRING(0, "auth", "WORD", "Livy: basic, negotiate (Kerberos) or none",
               FIELD(auth)),
    CLI_STRING(0, "webhdfs", "URL", "Livy: by which files get to the cluster",
               FIELD(webhdfs)),
    CLI_STRING(0, "yarn", "URL", "Livy: its cluster's ResourceManager, to be asked too",
               FIELD(yarn)),
    CLI_STRING(0, "base", "URI", "Livy: the folder there for what errand brings",
               FIELD(base)),
    CLI_FLAG(0, "force", "replace a target of that name", FIELD(want_force)),
    CLI_END,
};

const struct cli_command cmd_target_add = {
    .name = "target add",
    .usage = "NAME HOST [HOST...] [options]",
    .help = "name a machine to run on",
    .details =
        "HOST is user@host, user@host:port, ssh://user@host:port, or an alias of\n"
        "~/.ssh/config; an IPv6 address with a port stands in brackets. Further ones "
        "are\n"
        "other addresses of the same target, tried in order where the first does not\n"
        "answer: a cluster's second head node. Nothing is connected yet.\n"
        "An http(s):// address is a Livy server.\n"
        "The target is written to targets.d/NAME.yaml in your own configuration,\n"
        "which may be edited; file names in it are absolute.",
    .options = add_options,
    .args_size_bytes = sizeof(struct add_args),
    .min_operands = 1,
    .max_operands = 9,
    .run = add_verb,
};

struct list_args {
    bool is_json;
};

static void add_row(const struct target *target, const char *origin, bool is_default,
                    bool is_connected, struct table *table)
{
    CLEANUP_FREE char *host = NULL;
    if (target->livy != NULL) {
        host = xstrdup(target->livy->url);
    } else if (target->host != NULL && target->port != 0) {
        host = xasprintf("%s, port %lld", target->host, (long long)target->port);
    } else {
        host = xstrdup(target->host == NULL ? "this machine" : target->host);
    }
    CLEANUP_FREE char *name = xasprintf("%s%s", target->name, is_default ? " *" : "");
    const char *const cells[] = {name,
                                 target_kind_name(target->kind),
                                 host,
                                 target->transport,
                                 is_connected ? "kept" : "-",
                                 origin};
    table_add(table, cells);
}

static void add_json(const struct target *target, const char *origin, bool is_default,
                     bool is_connected, struct json *targets)
{
    struct json *item = json_append(targets, json_new_object());
    json_add_string(item, "name", target->name);
    json_add_string(item, "kind", target_kind_name(target->kind));
    json_add_string(item, "host", target->host);
    json_add(item, "port",
             target->port == 0 ? json_new_null() : json_new_integer(target->port));
    json_add_string(item, "transport", target->transport);
    json_add_string(item, "root", target->root);
    json_add_string(item, "origin", origin);
    json_add_bool(item, "is_default", is_default);
    json_add_bool(item, "is_connected", is_connected);
}

static int list_targets(struct command_context *context, struct table *table,
                        struct json *targets, struct error *err)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    if (command_config(context, err) == NULL) {
        return -1;
    }
    config_targets(context->config, &names);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        __attribute__((cleanup(target_cleanup))) struct target *target =
            target_find(context->config, context->home, name, err);
        if (target == NULL) {
            return -1;
        }
        CLEANUP_FREE char *key = xasprintf("targets.%s.host", name);
        const char *origin = config_origin(context->config, key);
        bool is_default = strcmp(config_string(context->config, "target"), name) == 0;
        bool has_link = client_is_kept(context, target);
        add_row(target, origin, is_default, has_link, table);
        add_json(target, origin, is_default, has_link, targets);
    }
    return 0;
}

static int list_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    static const char *const heads[] = {"TARGET", "KIND", "HOST", "TRANSPORT",
                                        "LINK",   "FROM", NULL};
    struct command_context *context = opaque;
    const struct list_args *args = opaque_args;
    (void)operands, (void)operand_count;
    struct error err = ERROR_INIT;
    __attribute__((cleanup(table_cleanup))) struct table *table = table_new(heads);
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *targets = json_add(document, "targets", json_new_array());
    if (list_targets(context, table, targets, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    if (args->is_json) {
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    table_write(table, &text);
    return command_print(context, &text);
}

static const struct cli_option list_options[] = {
    CLI_FLAG(0, "json", "one JSON document on stdout",
             offsetof(struct list_args, is_json)),
    CLI_END,
};

const struct cli_command cmd_target_list = {
    .name = "target list",
    .usage = "[options]",
    .help = "list the targets; * is the default one here",
    .options = list_options,
    .args_size_bytes = sizeof(struct list_args),
    .run = list_verb,
};

static int remove_verb(void *opaque, void *args, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque;
    (void)args, (void)operand_count;
    struct error err = ERROR_INIT;
    if (command_home(context, &err) == NULL ||
        target_remove(context->home, operands[0], &err) != 0) {
        return command_fail(context, false, &err, 1);
    }
    terminal_note(context->terminal, "removed target %s; its runs stay in errand list",
                  operands[0]);
    return 0;
}

static const struct cli_option remove_options[] = {CLI_END};

const struct cli_command cmd_target_remove = {
    .name = "target remove",
    .usage = "TARGET",
    .help = "forget a target that errand target add made",
    .details = "Nothing is done on the machine itself.",
    .options = remove_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = remove_verb,
};
