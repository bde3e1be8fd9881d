#include "controller/target_livy.h"

#include "common/http.h"
#include "common/livy_python.h"
#include "common/mem.h"
#include "common/variables.h"
#include "controller/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* ---- What is said of it */

static char *text_of(const struct config *config, const char *name, const char *key)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.%s", name, key);
    const char *text = config_string(config, path);
    return text == NULL ? NULL : xstrdup(text);
}

static int wrong(const struct config *config, const char *name, const char *key,
                 struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("targets.%s.%s", name, key);
    err->code = ERR_CONFIG;
    return error_wrap(err, "%s: %s", config_origin(config, path), path);
}

/* How one logs in and how files get there, where that was not said. */
static int read_words(struct runspec_livy *livy, const struct config *config,
                      const char *name, const char *base, struct error *err)
{
    CLEANUP_FREE char *auth = text_of(config, name, "livy_auth");
    CLEANUP_FREE char *upload = text_of(config, name, "livy_upload");
    livy->auth = livy->user != NULL ? LIVY_AUTH_BASIC : LIVY_AUTH_NONE;
    livy->upload = livy->webhdfs != NULL                            ? LIVY_UPLOAD_WEBHDFS
                   : livy->upload_command.count > 0                 ? LIVY_UPLOAD_COMMAND
                   : base != NULL && strncmp(base, "file:", 5) == 0 ? LIVY_UPLOAD_LOCAL
                                                                    : LIVY_UPLOAD_WEBHDFS;
    if (auth != NULL && livy_auth_parse(auth, &livy->auth, err) != 0) {
        error_hint(err, "it is basic, none or negotiate");
        return wrong(config, name, "livy_auth", err);
    }
    if (upload != NULL && livy_upload_parse(upload, &livy->upload, err) != 0) {
        error_hint(err, "it is webhdfs, local or command");
        return wrong(config, name, "livy_upload", err);
    }
    return 0;
}

struct runspec_livy *target_livy_read(const struct config *config, const char *name,
                                      struct error *err)
{
    struct runspec_livy *livy = runspec_livy_new();
    CLEANUP_FREE char *base = text_of(config, name, "livy_base");
    CLEANUP_FREE char *command = xasprintf("targets.%s.livy_upload_command", name);
    const struct strvec *words = config_list(config, command);
    livy->url = text_of(config, name, "livy_url");
    livy->user = text_of(config, name, "livy_user");
    livy->ca = text_of(config, name, "livy_ca");
    livy->webhdfs = text_of(config, name, "livy_webhdfs");
    livy->yarn_url = text_of(config, name, "livy_yarn");
    for (size_t i = 0; words != NULL && i < words->count; i++) {
        strvec_push(&livy->upload_command, words->items[i]);
    }
    if (read_words(livy, config, name, base, err) == 0) {
        if (target_livy_check(livy, base, err) == 0) {
            return livy;
        }
        (void)wrong(config, name, "livy_url", err);
    }
    runspec_livy_free(livy);
    return NULL;
}

/* A server on this machine, to which nothing goes over a network. */
static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(url, "://") + 3;
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        if (strlen(hosts[i]) == length && strncasecmp(hosts[i], host, length) == 0) {
            return true;
        }
    }
    return false;
}

static int check_url(const char *url, bool has_password, struct error *err)
{
    if (url == NULL) {
        return 0;
    }
    if (http_check_url(url, err) != 0) {
        return -1;
    }
    if (has_password && strncasecmp(url, "http:", 5) == 0 && !is_loopback(url)) {
        error_set(err, ERR_USAGE, "%s: the password would go there unencrypted", url);
        return error_hint(err, "use its https:// address");
    }
    return 0;
}

int target_livy_check(const struct runspec_livy *livy, const char *base,
                      struct error *err)
{
    bool has_password = livy->auth == LIVY_AUTH_BASIC;
    if (livy->url == NULL) {
        error_set(err, ERR_USAGE, "Livy's address is missing");
        return error_hint(err, "for example https://cluster.example.net/livy");
    }
    if (has_password && livy->user == NULL) {
        error_set(err, ERR_USAGE, "basic authentication needs a user");
        return error_hint(err, "--user NAME, or livy_user in the target's file");
    }
    if (livy->upload == LIVY_UPLOAD_LOCAL &&
        (base == NULL || strncmp(base, "file:/", 6) != 0)) {
        error_set(err, ERR_USAGE,
                  "a folder of this machine as Livy's begins with file:/");
        return error_hint(err,
                          "--base file:///srv/livy, which Livy's administrator allows "
                          "in livy.file.local-dir-whitelist");
    }
    if (base != NULL && spark_base_check(base, err) != 0) {
        return -1;
    }
    return check_url(livy->url, has_password, err) != 0 ||
                   check_url(livy->webhdfs, has_password, err) != 0 ||
                   check_url(livy->yarn_url, has_password, err) != 0
               ? -1
               : 0;
}

void target_livy_write(const struct target *target, struct strbuf *out)
{
    const struct runspec_livy *livy = target->livy;
    bool is_usual = livy->auth == (livy->user != NULL ? LIVY_AUTH_BASIC : LIVY_AUTH_NONE);
    const struct {
        const char *key, *text;
    } rows[] = {
        {"livy_url", livy->url},
        {"livy_user", livy->user},
        {"livy_ca", livy->ca},
        {"livy_auth", is_usual ? NULL : livy_auth_name(livy->auth)},
        {"livy_webhdfs", livy->webhdfs},
        {"livy_yarn", livy->yarn_url},
        {"livy_base", target->livy_base},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].text != NULL) {
            strbuf_printf(out, "%s: ", rows[i].key);
            yaml_write_scalar(out, rows[i].text);
            strbuf_putc(out, '\n');
        }
    }
}

enum http_login target_livy_login(const struct runspec_livy *livy)
{
    static const enum http_login logins[LIVY_AUTH_COUNT] = {
        [LIVY_AUTH_BASIC] = HTTP_LOGIN_BASIC,
        [LIVY_AUTH_NONE] = HTTP_LOGIN_NONE,
        [LIVY_AUTH_NEGOTIATE] = HTTP_LOGIN_NEGOTIATE,
    };
    return logins[livy->auth];
}

/* ---- A run there */

int target_livy_password(struct command_context *context, const struct target *target,
                         char **out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
    *out = NULL;
    if (target->livy->auth != LIVY_AUTH_BASIC) {
        return 0;
    }
    mem_wipe_freed();
    if (target->password_env != NULL) {
        const char *value = getenv(target->password_env);
        if (value == NULL) {
            error_set(err, ERR_LOGIN, "%s: the password's variable %s is not set",
                      target->name, target->password_env);
            return -1;
        }
        *out = xstrdup(value);
        variables_wipe(target->password_env);
        return 0;
    }
    if (!terminal_can_ask(context->terminal)) {
        error_set(err, ERR_LOGIN, "%s: %s needs a password, and there is no terminal",
                  target->name, target->livy->user);
        return error_hint(err,
                          "set targets.%s.password_env to the name of an "
                          "environment variable that has it",
                          target->name);
    }
    CLEANUP_FREE char *question =
        xasprintf("password of %s at %s: ", target->livy->user, target->livy->url);
    if (terminal_ask_line(context->terminal, question, false, &answer, err) != 0) {
        return -1;
    }
    *out = xstrdup(answer.data);
    mem_wipe(answer.data, answer.length);
    return 0;
}

static int add_password(struct submission *s, struct command_context *context,
                        const struct target *target, struct error *err)
{
    CLEANUP_FREE char *password = NULL;
    if (target_livy_password(context, target, &password, err) != 0) {
        return -1;
    }
    if (password != NULL) {
        if (s->secrets == NULL) {
            s->secrets = json_new_object();
        }
        json_add_bytes(s->secrets, LIVY_PASSWORD, password, strlen(password));
        strvec_push(&s->spec.secrets, LIVY_PASSWORD);
        mem_wipe(password, strlen(password));
    }
    return 0;
}

int target_livy_plan(struct submission *s, struct command_context *context,
                     const struct target *target, struct error *err)
{
    char self[PATH_SIZE];
    struct runspec_spark *spark = s->spec.spark;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    if (length <= 0 || length == sizeof self) {
        return error_sys(err, "find errand's own file");
    }
    if (spark->master != NULL) {
        error_set(err, ERR_USAGE, "the master is Livy's own choice");
        return error_hint(err, "leave --master (spark.master) out");
    }
    spark->livy = target_livy_read(context->config, target->name, err);
    if (spark->livy == NULL) {
        return -1;
    }
    spark->attendant = xstrndup(self, (size_t)length);
    if (target->livy_base != NULL && spark->base == NULL) {
        spark->base = xstrdup(target->livy_base);
    }
    return add_password(s, context, target, err);
}
