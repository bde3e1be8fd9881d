#include "controller/target.h"

#include "common/bytes.h"
#include "common/cli.h"
#include "common/files.h"
#include "controller/target_livy.h"
#include "controller/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 64
#define HOST_MAX_LENGTH 512
#define LOCAL "local"

static const char *const kind_names[] = {
#define ROW(symbol, name) name,
    TARGET_KIND_TABLE(ROW)
#undef ROW
};

const char *target_kind_name(enum target_kind kind)
{
    return kind_names[kind];
}

int target_kind_parse(const char *name, enum target_kind *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
        if (strcmp(kind_names[i], name) == 0) {
            *out = (enum target_kind)i;
            return 0;
        }
    }
    error_set(err, ERR_USAGE, "\"%.40s\" is no kind of target", name);
    return error_hint(err, "it is ssh; spark, where scripts run with the node's Spark; "
                           "or livy");
}

void target_free(struct target *target)
{
    if (target == NULL) {
        return;
    }
    free(target->name);
    free(target->host);
    free(target->identity);
    free(target->ssh_config);
    free(target->known_hosts);
    free(target->transport);
    free(target->password_env);
    free(target->root);
    free(target->interpreter);
    free(target->spark_home);
    runspec_livy_free(target->livy);
    free(target->livy_base);
    free(target->settings);
    strvec_release(&target->variables);
    strvec_release(&target->addresses);
    free(target);
}

bool target_name_is_valid(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    return length >= 1 && length <= NAME_MAX_LENGTH && strchr("._-", name[0]) == NULL &&
           strspn(name, letters) == length;
}

/* The text of one of the target's keys, malloc'ed, or NULL. */
static char *text_of(const struct config *config, const char *name, const char *key)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.%s", name, key);
    const char *text = config_string(config, path);
    return text == NULL ? NULL : xstrdup(text);
}

static int no_such_target(const struct config *config, const char *name,
                          struct error *err)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    config_targets(config, &names);
    const char *near =
        cli_nearest(name, (const char *const *)strvec_argv(&names), names.count);
    if (near != NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "there is no target \"%s\"; did you mean \"%s\"?", name, near);
    }
    error_set(err, ERR_NOT_FOUND, "there is no target \"%s\"", name);
    return error_hint(err, "errand target list shows those there are; "
                           "errand target add NAME HOST makes one");
}

/* A host goes to ssh as an argument, and into sentences. */
static int check_host(const char *host, struct error *err)
{
    if (host[0] == '\0' || host[0] == '-') {
        return error_set(err, ERR_USAGE, "\"%s\" is no host: it %s", host,
                         host[0] == '-' ? "begins with '-'" : "is empty");
    }
    if (strlen(host) > HOST_MAX_LENGTH) {
        return error_set(err, ERR_USAGE, "the host is longer than %d bytes",
                         HOST_MAX_LENGTH);
    }
    for (const char *p = host; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= ' ' || c == 0x7f) {
            return error_set(err, ERR_USAGE,
                             "the host has a blank or a control character");
        }
    }
    const char *at = strrchr(host, '@');
    if (at != NULL && (at == host || at[1] == '\0' || at[1] == '-')) {
        return error_set(err, ERR_USAGE, "\"%s\" is no host: user@host is expected",
                         host);
    }
    return 0;
}

static int no_port(const char *text, const char *port, struct error *err)
{
    error_set(err, ERR_USAGE,
              "\"%s\" is no host: \"%s\" behind the colon is no TCP port, 1 to 65535",
              text, port);
    return error_hint(err, "for example me@gpu1:22, or me@[2001:db8::1]:22");
}

/* Where the host ends in "host", "host:port", "[address]" or "[address]:port"; *out_port
 * is what stands behind the colon, or NULL. NULL: it is none of them. */
static const char *end_of_host(const char *host, const char **out_port)
{
    const char *end = strchr(host, host[0] == '[' ? ']' : ':');
    *out_port = NULL;
    if (host[0] == '[') {
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return NULL;
        }
        *out_port = end[1] == ':' ? end + 2 : NULL;
        return end;
    }
    if (end == NULL || strchr(end + 1, ':') != NULL) {
        return host + strlen(host); /* with several colons it is an IPv6 address */
    }
    *out_port = end + 1;
    return end;
}

int target_parse_place(const char *text, char **out_host, int64_t *port,
                       struct error *err)
{
    static const char scheme[] = "ssh://";
    bool is_url = strncmp(text, scheme, sizeof scheme - 1) == 0;
    CLEANUP_FREE char *place = xstrdup(is_url ? text + sizeof scheme - 1 : text);
    size_t length = strlen(place);
    if (is_url && length > 0 && place[length - 1] == '/') {
        place[length - 1] = '\0';
    }
    if (is_url && strchr(place, '/') != NULL) {
        error_set(err, ERR_USAGE, "\"%s\" names a folder", text);
        return error_hint(err, "errand's folder on the node is said with --root");
    }
    const char *at = strrchr(place, '@');
    const char *host = at == NULL ? place : at + 1;
    const char *behind = NULL, *end = end_of_host(host, &behind);
    uint64_t number = 0;
    if (end == NULL) {
        return error_set(err, ERR_USAGE,
                         "\"%s\" is no host: [address] or [address]:port is expected",
                         text);
    }
    if (behind != NULL &&
        (bytes_parse_u64(behind, 65535, &number, NULL) != 0 || number == 0)) {
        return no_port(text, behind, err);
    }
    if (number != 0 && *port != 0 && (int64_t)number != *port) {
        return error_set(err, ERR_USAGE, "\"%s\" names another port than %lld", text,
                         (long long)*port);
    }
    *port = number != 0 ? (int64_t)number : *port;
    host += host[0] == '[';
    *out_host = xasprintf("%.*s%.*s", (int)(at == NULL ? 0 : at + 1 - place), place,
                          (int)(end - host), host);
    return 0;
}

static char *copy_of(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

/* All but where it is. */
static struct target *copy_target(const struct target *target)
{
    struct target *copy = xcalloc(1, sizeof *copy);
    *copy = (struct target){
        .name = xstrdup(target->name),
        .kind = target->kind,
        .identity = copy_of(target->identity),
        .ssh_config = copy_of(target->ssh_config),
        .known_hosts = copy_of(target->known_hosts),
        .transport = copy_of(target->transport),
        .password_env = copy_of(target->password_env),
        .root = copy_of(target->root),
        .interpreter = copy_of(target->interpreter),
        .spark_home = copy_of(target->spark_home),
        .settings = copy_of(target->settings),
    };
    for (size_t i = 0; i < target->variables.count; i++) {
        strvec_push(&copy->variables, target->variables.items[i]);
    }
    return copy;
}

struct target *target_elsewhere(const struct target *target, size_t i, struct error *err)
{
    __attribute__((cleanup(target_cleanup))) struct target *copy = copy_target(target);
    const char *at = target->host != NULL ? strrchr(target->host, '@') : NULL;
    const char *address = target->addresses.items[i];
    size_t user =
        at != NULL && strchr(address, '@') == NULL ? (size_t)(at + 1 - target->host) : 0;
    CLEANUP_FREE char *place =
        xasprintf("%.*s%s", (int)user, user > 0 ? target->host : "", address);
    struct error inner = ERROR_INIT;
    if (target_parse_place(place, &copy->host, &copy->port, &inner) != 0 ||
        check_host(copy->host, &inner) != 0) {
        error_set(err, ERR_CONFIG, "targets.%s.addresses: %s", target->name, inner.text);
        return NULL;
    }
    return TAKE_PTR(copy);
}

/* Fill what depends on where the target is: this machine, or another one. */
static int settle_place(struct target *target, const struct home *home,
                        const char *origin, struct error *err)
{
    bool is_local = strcmp(target->name, LOCAL) == 0;
    if (is_local || target->kind == TARGET_KIND_LIVY ||
        strcmp(target->transport, LOCAL) == 0) {
        if (target->host != NULL) {
            return error_set(err, ERR_CONFIG,
                             "%s: target \"%s\" is this machine; it has no host", origin,
                             target->name);
        }
        free(target->transport);
        target->transport = xstrdup(LOCAL);
        if (target->root == NULL) {
            target->root = home_path(home, LOCAL);
        }
        return 0;
    }
    if (target->host == NULL) {
        error_set(err, ERR_CONFIG, "target \"%s\" has no host", target->name);
        return error_hint(err, "set targets.%s.host", target->name);
    }
    struct error inner = ERROR_INIT;
    CLEANUP_FREE char *written = target->host;
    target->host = NULL;
    if (target_parse_place(written, &target->host, &target->port, &inner) != 0 ||
        check_host(target->host, &inner) != 0) {
        return error_set(err, ERR_CONFIG, "%s: %s", origin, inner.text);
    }
    return 0;
}

struct target *target_find(const struct config *config, const struct home *home,
                           const char *name, struct error *err)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    config_targets(config, &names);
    if (!strvec_contains(&names, name)) {
        no_such_target(config, name, err);
        return NULL;
    }
    __attribute__((cleanup(target_cleanup))) struct target *target =
        xcalloc(1, sizeof *target);
    target->name = xstrdup(name);
    target->host = text_of(config, name, "host");
    target->identity = text_of(config, name, "identity");
    target->ssh_config = text_of(config, name, "ssh_config");
    target->known_hosts = text_of(config, name, "known_hosts");
    target->transport = text_of(config, name, "transport");
    target->password_env = text_of(config, name, "password_env");
    target->root = text_of(config, name, "root");
    target->interpreter = text_of(config, name, "interpreter");
    target->spark_home = text_of(config, name, "spark_home");
    CLEANUP_FREE char *kind = text_of(config, name, "kind");
    if (target_kind_parse(kind, &target->kind, err) != 0) {
        return NULL;
    }
    CLEANUP_FREE char *port = xasprintf("targets.%s.port", name);
    target->port = config_integer(config, port);
    CLEANUP_FREE char *variables = xasprintf("targets.%s.variables", name);
    const struct strvec *items = config_map(config, variables);
    for (size_t i = 0; i < items->count; i++) {
        strvec_push(&target->variables, items->items[i]);
    }
    CLEANUP_FREE char *addresses = xasprintf("targets.%s.addresses", name);
    const struct strvec *others = config_list(config, addresses);
    for (size_t i = 0; others != NULL && i < others->count; i++) {
        strvec_push(&target->addresses, others->items[i]);
    }
    if (target->kind == TARGET_KIND_LIVY) {
        target->livy = target_livy_read(config, name, err);
        target->livy_base = text_of(config, name, "livy_base");
        if (target->livy == NULL) {
            return NULL;
        }
    }
    CLEANUP_FREE char *host = xasprintf("targets.%s.host", name);
    if (settle_place(target, home, config_origin(config, host), err) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < target->addresses.count; i++) {
        CLEANUP(target_cleanup)
        struct target *other = target_elsewhere(target, i, err);
        if (other == NULL) {
            return NULL;
        }
    }
    target->settings = target->host != NULL
                           ? xstrdup(config_origin(config, host))
                           : xasprintf("%s/targets.d/%s.yaml", home->config, name);
    return TAKE_PTR(target);
}

static void write_key(struct strbuf *out, const char *key, const char *value)
{
    if (value != NULL) {
        strbuf_printf(out, "%s: ", key);
        yaml_write_scalar(out, value);
        strbuf_putc(out, '\n');
    }
}

char *target_absolute(const char *path)
{
    if (path == NULL || path[0] == '/' || strncmp(path, "~/", 2) == 0) {
        return path == NULL ? NULL : xstrdup(path);
    }
    CLEANUP_FREE char *cwd = getcwd(NULL, 0);
    return cwd == NULL ? xstrdup(path) : files_join(cwd, path);
}

static int check_new(const struct target *target, struct error *err)
{
    if (!target_name_is_valid(target->name)) {
        error_set(err, ERR_USAGE, "\"%s\" is no name for a target", target->name);
        return error_hint(err, "1 to 64 letters, digits, '.', '_' and '-', the first a "
                               "letter or digit");
    }
    if (strcmp(target->name, LOCAL) == 0) {
        return error_set(err, ERR_USAGE,
                         "\"local\" is this machine; it is there without being added");
    }
    bool is_local = target->transport != NULL && strcmp(target->transport, LOCAL) == 0;
    if (target->kind == TARGET_KIND_LIVY && target->livy == NULL) {
        error_set(err, ERR_USAGE, "a Livy's address begins with https://");
        return error_hint(err,
                          "usage: errand target add %s https://HOST/livy --user USER",
                          target->name);
    }
    if (target->kind == TARGET_KIND_LIVY) {
        return target_livy_check(target->livy, target->livy_base, err);
    }
    if (target->host == NULL) {
        if (is_local) {
            return 0;
        }
        error_set(err, ERR_USAGE, "the host is missing");
        return error_hint(err, "usage: errand target add %s HOST [options]",
                          target->name);
    }
    if (is_local) {
        return error_set(err, ERR_USAGE,
                         "transport local is this machine; it takes no host");
    }
    return check_host(target->host, err);
}

/* A name that were written as something else would never be found again. */
static int check_text(const char *text, struct error *err)
{
    return text == NULL || bytes_is_utf8(text, strlen(text))
               ? 0
               : error_set(
                     err, ERR_USAGE,
                     "a name that is not UTF-8 cannot stand in a configuration file");
}

static int write_target(const struct target *target, struct strbuf *out,
                        struct error *err)
{
    CLEANUP_FREE char *identity = target_absolute(target->identity);
    CLEANUP_FREE char *ssh_config = target_absolute(target->ssh_config);
    CLEANUP_FREE char *known_hosts = target_absolute(target->known_hosts);
    const char *const keys[][2] = {
        {"host", target->host},
        {"identity", identity},
        {"ssh_config", ssh_config},
        {"known_hosts", known_hosts},
        {"transport", target->transport},
        {"password_env", target->password_env},
        {"root", target->root},
        {"interpreter", target->interpreter},
        {"spark_home", target->spark_home},
        {"kind", target->kind == TARGET_KIND_SSH ? NULL : target_kind_name(target->kind)},
    };
    strbuf_printf(out, "# written by: errand target add %s\n", target->name);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (check_text(keys[i][1], err) != 0) {
            return -1;
        }
        write_key(out, keys[i][0], keys[i][1]);
    }
    if (target->kind == TARGET_KIND_LIVY) {
        target_livy_write(target, out);
    }
    if (target->port != 0) {
        strbuf_printf(out, "port: %lld\n", (long long)target->port);
    }
    if (target->addresses.count > 0) {
        strbuf_puts(out, "addresses:\n");
    }
    for (size_t i = 0; i < target->addresses.count; i++) {
        strbuf_puts(out, "  - ");
        yaml_write_scalar(out, target->addresses.items[i]);
        strbuf_putc(out, '\n');
    }
    return 0;
}

int target_save(const struct home *home, const struct target *target, bool want_replace,
                struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (check_new(target, err) != 0 || write_target(target, &text, err) != 0) {
        return -1;
    }
    CLEANUP_FREE char *dir = files_join(home->config, "targets.d");
    CLEANUP_FREE char *path = xasprintf("%s/%s.yaml", dir, target->name);
    if (files_make_dirs(dir, err) != 0) {
        return -1;
    }
    if (want_replace) {
        return files_write_atomic(AT_FDCWD, path, text.data, text.length, 0600, err);
    }
    struct error inner = ERROR_INIT;
    if (files_create_atomic(AT_FDCWD, path, text.data, text.length, 0600, &inner) == 0) {
        return 0;
    }
    if (inner.code != ERR_EXISTS) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    error_set(err, ERR_EXISTS, "there is a target \"%s\" already (%s)", target->name,
              path);
    return error_hint(err, "replace it with --force");
}

int target_remove(const struct home *home, const char *name, struct error *err)
{
    if (!target_name_is_valid(name)) {
        return error_set(err, ERR_NOT_FOUND, "there is no target \"%s\"", name);
    }
    if (strcmp(name, LOCAL) == 0) {
        return error_set(err, ERR_USAGE, "\"local\" is this machine; it stays");
    }
    CLEANUP_FREE char *path = xasprintf("%s/targets.d/%s.yaml", home->config, name);
    if (unlink(path) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return error_sys(err, "remove %s", path);
    }
    error_set(err, ERR_NOT_FOUND, "no target \"%s\" was added here: there is no %s", name,
              path);
    return error_hint(err, "errand target list shows the targets and where each comes "
                           "from; what stands in a file of yours is removed there");
}
