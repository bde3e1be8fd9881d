/* target_check, of a Livy server. */
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/livy.h"
#include "common/livy_python.h"
#include "common/yarn_ask.h"
#include "controller/http_libcurl.h"
#include "controller/livy_place.h"
#include "controller/livy_tidy.h"
#include "controller/target_check.h"
#include "controller/target_livy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_FILE LIVY_TRIAL "%ld"
#define YARN_MS 20000

static int64_t since_ms(int64_t since_ns)
{
    return (clock_monotonic_ns() - since_ns) / NS_PER_MS;
}

static int fail(struct target_checking *c, const char *step, int64_t since_ns,
                const struct error *err)
{
    target_check_step(c, step, false, since_ns != 0 ? since_ms(since_ns) : -1, err->text,
                      err->hint);
    return -1;
}

static int check_server(struct target_checking *c, const struct livy *livy,
                        struct livy_server *server)
{
    struct error err = ERROR_INIT;
    int64_t since_ns = clock_monotonic_ns();
    if (livy_ask_version(livy, server, &err) != 0) {
        return fail(c, "livy", since_ns, &err);
    }
    CLEANUP_FREE char *detail = xasprintf("Livy %s at %s", server->version, livy->url);
    target_check_step(c, "livy", true, since_ms(since_ns), detail, NULL);
    target_check_step(c, "names", true, -1,
                      server->has_names
                          ? "batches have names: one whose answer is lost is found again"
                          : "batches have no names: one whose answer is lost is looked "
                            "for in Livy's log",
                      NULL);
    return 0;
}

static int count_batch(void *context, const struct livy_batch *batch)
{
    size_t *counts = context;
    counts[livy_state_is_final(batch->state)]++;
    return 0;
}

static int check_batches(struct target_checking *c, const struct livy *livy)
{
    struct error err = ERROR_INIT;
    size_t counts[2] = {0, 0};
    int64_t since_ns = clock_monotonic_ns();
    if (livy_ask_batches(livy, count_batch, counts, &err) != 0) {
        return fail(c, "batches", since_ns, &err);
    }
    CLEANUP_FREE char *detail =
        xasprintf("%zu under way, %zu ended", counts[0], counts[1]);
    target_check_step(c, "batches", true, since_ms(since_ns), detail, NULL);
    return 0;
}

/* Write a file there, look at it, remove it. */
static int try_folder(const struct livy_place *place, struct error *err)
{
    CLEANUP_FREE char *name = xasprintf(CHECK_FILE, (long)getpid());
    bool is_there = false;
    uint64_t size = 0;
    if (livy_place_make_dir(place, "runs", err) != 0 ||
        livy_place_put(place, name, 0644, "/dev/null", err) != 0) {
        return -1;
    }
    int result = livy_place_can_follow(place)
                     ? livy_place_size(place, name, &is_there, &size, err)
                     : 0;
    if (result == 0 && livy_place_can_follow(place) && !is_there) {
        result = error_set(err, ERR_IO, "a file that was written to %s is not there",
                           place->base);
    }
    return livy_place_remove(place, name, err) != 0 ? -1 : result;
}

/* "; 3 projects and 1 environment, 340 MB", where one can look. */
static int put_content(const struct livy_place *place, struct strbuf *out,
                       struct error *err)
{
    static const char *const folders[] = {"projects", "environments"};
    size_t counts[ARRAY_SIZE(folders)];
    uint64_t size_bytes = 0;
    char size[FILES_SIZE_TEXT];
    if (!livy_place_can_follow(place)) {
        strbuf_puts(out, "; the log comes when a script has ended");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        CLEANUP_LISTING struct livy_listing files = LIVY_LISTING_INIT;
        if (livy_place_list(place, folders[i], &files, err) != 0) {
            return -1;
        }
        counts[i] = files.count;
        for (size_t k = 0; k < files.count; k++) {
            size_bytes += files.entries[k].size_bytes;
        }
    }
    files_format_size(size, size_bytes);
    strbuf_printf(out, "; %zu project%s and %zu environment%s, %s", counts[0],
                  counts[0] == 1 ? "" : "s", counts[1], counts[1] == 1 ? "" : "s", size);
    return 0;
}

static int check_folder(struct target_checking *c, struct http *http)
{
    struct error err = ERROR_INIT;
    int64_t since_ns = clock_monotonic_ns();
    __attribute__((cleanup(livy_place_release))) struct livy_place place = {.way = NULL};
    CLEANUP_STRBUF struct strbuf content = STRBUF_INIT;
    if (livy_place_init(&place, c->target->livy, c->target->livy_base, http, &err) != 0 ||
        try_folder(&place, &err) != 0 || put_content(&place, &content, &err) != 0) {
        return fail(c, "folder", since_ns, &err);
    }
    CLEANUP_FREE char *detail =
        xasprintf("%s can be written (%s)%s", place.base,
                  livy_upload_name(c->target->livy->upload), content.data);
    target_check_step(c, "folder", true, since_ms(since_ns), detail, NULL);
    if (livy_place_can_follow(&place)) {
        CLEANUP_STRBUF struct strbuf tidied = STRBUF_INIT;
        livy_tidy_describe(c->context->home, c->target, &tidied);
        target_check_step(c, "tidied", true, -1, tidied.data, NULL);
    }
    return 0;
}

/* What drivers there said, for which environments are built. */
static void tell_python(struct target_checking *c)
{
    CLEANUP_FREE char *path = home_path(c->context->home, "local");
    CLEANUP_FD int root = files_open_dir(AT_FDCWD, path, NULL);
    struct runspec_spark spark = {.livy = c->target->livy};
    const struct runspec spec = {.spark = &spark, .interpreter = c->target->interpreter};
    struct livy_python python;
    if (root < 0 || !livy_python_read(root, &spec, &python)) {
        target_check_step(c, "python", true, -1,
                          "not known yet: the first run with an environment asks for it",
                          NULL);
        return;
    }
    CLEANUP_FREE char *detail = xasprintf("Python %s, %s, %s, as a driver last said",
                                          python.version, python.platform, python.libc);
    target_check_step(c, "python", true, -1, detail, NULL);
}

static int check_yarn(struct target_checking *c, struct http *http)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRVEC struct strvec managers = STRVEC_INIT;
    struct yarn yarn = {.http = http, .managers = &managers, .timeout_ms = YARN_MS};
    struct yarn_app app;
    size_t count = 0;
    int64_t since_ns = clock_monotonic_ns();
    if (c->target->livy->yarn_url == NULL) {
        return 0;
    }
    strvec_push(&managers, c->target->livy->yarn_url);
    if (yarn_find(&yarn, "errand-check", &app, &count, &err) != 0) {
        return fail(c, "yarn", since_ns, &err);
    }
    CLEANUP_FREE char *detail =
        xasprintf("the ResourceManager answers at %s", managers.items[0]);
    target_check_step(c, "yarn", true, since_ms(since_ns), detail, NULL);
    return 0;
}

int target_check_livy(struct target_checking *c)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *password = NULL;
    const struct runspec_livy *livy = c->target->livy;
    if (target_livy_password(c->context, c->target, &password, &err) != 0) {
        return fail(c, "login", 0, &err);
    }
    const struct http_settings settings = {.login = target_livy_login(livy),
                                           .user = livy->user != NULL ? livy->user : "",
                                           .password = password != NULL ? password : "",
                                           .ca_file = livy->ca};
    CLEANUP_HTTP struct http *http = http_libcurl_new(&settings, &err);
    if (http == NULL) {
        return fail(c, "libcurl", 0, &err);
    }
    target_check_step(c, "libcurl", true, -1, http_libcurl_version(http), NULL);
    const struct livy where = {.http = http, .url = livy->url};
    struct livy_server server;
    if (check_server(c, &where, &server) != 0 || check_batches(c, &where) != 0 ||
        check_folder(c, http) != 0 || check_yarn(c, http) != 0) {
        return -1;
    }
    tell_python(c);
    return 0;
}
