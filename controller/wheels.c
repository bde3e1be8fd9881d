#define _GNU_SOURCE /* mkdtemp, O_DIRECTORY */
#include "controller/wheels.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/ingest.h"
#include "common/store.h"
#include "controller/pep508.h"
#include "controller/requirements.h"
#include "controller/wheels_inside.h"

#define NOTE_MAX ((size_t)4 << 10)

/* ---- what can be had ---- */

static bool is_option(const char *option, const char *name)
{
    size_t length = strlen(name);
    return strncmp(option, name, length) == 0 &&
           (option[length] == ' ' || option[length] == '\0');
}

static bool ends_in(const char *text, size_t length, const char *end)
{
    size_t n = strlen(end);
    return length >= n && strncmp(text + length - n, end, n) == 0;
}

/* The file's name in "https://host/a/x-1.0-py3-none-any.whl#sha256=..." and its length.
 */
static const char *file_of(const char *url, size_t *out_length)
{
    size_t length = strcspn(url, "#?");
    size_t at = length;
    while (at > 0 && url[at - 1] != '/') {
        at--;
    }
    *out_length = length - at;
    return url + at;
}

/* True where pip cannot but take it as a wheel: not "git+https://host/x.whl", and with no
 * variable in it but a login, whose value could end the path elsewhere. */
static bool is_wheel_at_address(const char *url)
{
    static const char login[] = "${" REQUIREMENTS_CREDENTIALS;
    size_t length = 0;
    const char *file = file_of(url, &length);
    const char *authority = strncasecmp(url, "https://", 8) == 0  ? url + 8
                            : strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                                  : NULL;
    if (authority == NULL || !ends_in(file, length, ".whl")) {
        return false;
    }
    if (strncmp(authority, login, sizeof(login) - 1) == 0) {
        authority += sizeof(login) - 1;
        authority += strspn(authority, "0123456789");
        if (strncmp(authority, "}@", 2) != 0) {
            return false;
        }
    }
    return strstr(authority, "${") == NULL;
}

static int check_line(const char *line, struct error *err)
{
    CLEANUP_PEP508 struct pep508 r = {.name = NULL};
    CLEANUP_FREE char *text = xstrdup(line);
    char *hash = strstr(text, " --hash=");
    if (hash != NULL) {
        *hash = '\0';
    }
    if (pep508_parse(text, &r, err) < 0) {
        return -1;
    }
    if (r.url == NULL || is_wheel_at_address(r.url)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "wheels from here: %s is no wheel: it has to be built", r.name);
    return error_hint(err,
                      "build a wheel of it on a like machine (pip wheel), and name that");
}

static int check_requirement(const struct envspec_requirement *item, struct error *err)
{
    if (item->text != NULL) {
        return check_line(item->text, err);
    }
    if (!item->is_folder && ends_in(item->name, strlen(item->name), ".whl")) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED, "wheels from here: %s has to be built on the node",
              item->path[0] != '\0' ? item->path : "the project");
    return error_hint(err, "build a wheel of it (pip wheel), and name that; or name the "
                           "packages that it needs in a requirements file");
}

int wheels_check(const struct envspec *d, const struct assessment *node,
                 struct error *err)
{
    if (d->kind != ENVSPEC_PACKAGES) {
        error_set(err, ERR_UNSUPPORTED,
                  "wheels from here are for lists of packages, not for an environment of "
                  "kind %s",
                  envspec_kind_name(d->kind));
        return error_hint(err, d->kind == ENVSPEC_LOCK
                                   ? "uv export --no-emit-project > requirements.lock "
                                     "makes one of uv.lock"
                                   : "leave out --wheels-from controller");
    }
    if (node->python[0] == '\0' || strncmp(node->platform, "linux-", 6) != 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "wheels from here: the node's platform (%s) is none that is "
                         "known",
                         node->platform[0] != '\0' ? node->platform : "not said");
    }
    for (size_t i = 0; i < d->requirements.count; i++) {
        if (check_requirement(&d->requirements.items[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < d->constraints.count; i++) {
        if (check_requirement(&d->constraints.items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the definition afterwards ---- */

/* "x @ https://host/x-1.0-py3-none-any.whl" becomes "x==1.0": the wheel is here. */
static char *without_url(const char *line)
{
    CLEANUP_PEP508 struct pep508 r = {.name = NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_FREE char *text = xstrdup(line);
    char *hash = strstr(text, " --hash=");
    CLEANUP_FREE char *hashes = hash != NULL ? xstrdup(hash) : xstrdup("");
    size_t length = 0;
    if (hash != NULL) {
        *hash = '\0';
    }
    if (pep508_parse(text, &r, NULL) < 0 || r.url == NULL) {
        return xstrdup(line);
    }
    const char *version = strchr(file_of(r.url, &length), '-');
    CLEANUP_FREE char *exact =
        version != NULL ? xasprintf("==%.*s", (int)strcspn(version + 1, "-"), version + 1)
                        : xstrdup("");
    free(TAKE_PTR(r.url));
    free(TAKE_PTR(r.specifiers));
    r.specifiers = TAKE_PTR(exact);
    pep508_write(&r, &out);
    strbuf_puts(&out, hashes);
    return strbuf_detach(&out);
}

static bool says_where(const char *option)
{
    static const char *const names[] = {"--index-url", "--extra-index-url",
                                        "--find-links", "--no-index", "--trusted-host"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (is_option(option, names[i])) {
            return true;
        }
    }
    return false;
}

void wheels_put_in(const struct wheels *wheels, struct envspec *d)
{
    for (size_t i = d->options.count; i-- > 0;) {
        if (says_where(d->options.items[i])) {
            strvec_remove(&d->options, i);
        }
    }
    strvec_push(&d->options, "--no-index");
    for (size_t i = 0; i < d->requirements.count; i++) {
        char **text = &d->requirements.items[i].text;
        if (*text != NULL) {
            char *plain = without_url(*text);
            free(*text);
            *text = plain;
        }
    }
    struct envspec_requirement *folder =
        envspec_add_local(&d->find_links, WHEELS_FOLDER, "", "");
    folder->is_folder = true;
    folder->is_brought = true;
    folder->digest = wheels->folder;
    envspec_normalize(d);
}

/* ---- what was collected before ---- */

/* "3.11" of "3.11.7". */
static int series_length(const char *version)
{
    size_t dot = strcspn(version, ".");
    return (int)(dot + (version[dot] == '.' ? 1 + strcspn(version + dot + 1, ".") : 0));
}

/* state/wheels/<digest of all that decides which wheels they are>. */
static char *note_path(const struct wheels_request *r)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *python =
        xstrndup(r->node->python, (size_t)series_length(r->node->python));
    struct oid digest;
    char hex[OID_HEX_SIZE];
    json_add_integer(j, "format", 1);
    json_add(j, "definition", envspec_identity(r->definition));
    json_add_string(j, "python", python);
    json_add_string(j, "implementation", r->node->implementation);
    json_add_string(j, "platform", r->node->platform);
    json_add_string(j, "libc", r->node->libc);
    json_write_sorted(j, &text);
    oid_of_bytes(text.data, text.length, &digest);
    oid_to_hex(&digest, hex);
    CLEANUP_FREE char *name = xasprintf("wheels/%s", hex);
    return home_path(r->context->home, name);
}

static int read_note(const char *path, struct store *store, struct wheels *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int64_t files = 0;
    int64_t size_bytes = 0;
    text.limit_bytes = NOTE_MAX;
    if (files_read(AT_FDCWD, path, &text, NULL) < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *j = json_parse(text.data, text.length, NULL);
    const char *hex = json_string(json_get(j, "folder"));
    if (hex == NULL || oid_from_hex(hex, &out->folder, NULL) < 0 ||
        json_get_integer(j, "note", "files", 0, JSON_INTEGER_MAX, &files, NULL) < 0 ||
        json_get_integer(j, "note", "size_bytes", 0, JSON_INTEGER_MAX, &size_bytes,
                         NULL) < 0 ||
        !store_use_root(store, &out->folder)) {
        return -1;
    }
    out->files = (uint64_t)files;
    out->size_bytes = (uint64_t)size_bytes;
    out->is_reused = true;
    return 0;
}

static int write_note(const char *path, const struct wheels *wheels, struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char hex[OID_HEX_SIZE];
    oid_to_hex(&wheels->folder, hex);
    json_add_string(j, "folder", hex);
    json_add_integer(j, "files", (int64_t)wheels->files);
    json_add_integer(j, "size_bytes", (int64_t)wheels->size_bytes);
    json_add_time(j, "time", clock_utc_ms());
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(AT_FDCWD, path, text.data, text.length, 0600, err);
}

/* ---- into the store ---- */

/* Nothing but wheels is in it; all of them were made by the tool just now. */
static int refuse_problem(void *context, const char *path, enum ingest_problem problem,
                          const struct error *err, struct error *stop_err)
{
    (void)context;
    (void)problem;
    return error_set(stop_err, ERR_IO, "read the wheel %s: %s", path,
                     err != NULL ? err->text : "it is no plain file, or changes");
}

static int keep(struct store *store, int work_fd, struct wheels *out, struct error *err)
{
    const struct ingest_hooks hooks = {
        .context = store, .put = ingest_put, .problem = refuse_problem};
    struct tree_totals totals = {0};
    CLEANUP_FD int fd = files_open_dir(work_fd, WHEELS_FOLDER, err);
    if (fd < 0 || ingest_folder(fd, &hooks, &out->folder, &totals, err) < 0 ||
        store_add_root(store, &out->folder, NULL, err) < 0) {
        return -1;
    }
    out->files = totals.files;
    out->size_bytes = totals.size_bytes;
    return 0;
}

static int collect_in(const struct wheels_request *r, struct store *store, int work_fd,
                      struct wheels *out, struct error *err)
{
    if (mkdirat(work_fd, WHEELS_FOLDER, 0700) < 0) {
        return error_sys(err, "make a folder for wheels");
    }
    return wheels_download(r, work_fd, out, err) < 0 ? -1
                                                     : keep(store, work_fd, out, err);
}

int wheels_collect(const struct wheels_request *r, struct wheels *out, struct error *err)
{
    struct store *store = command_store(r->context, err);
    CLEANUP_FREE char *note = note_path(r);
    CLEANUP_FREE char *folder = home_path(r->context->home, "wheels");
    CLEANUP_FREE char *work = home_path(r->context->home, "wheels/.new-XXXXXX");
    *out = (struct wheels){.is_reused = false};
    if (store == NULL || files_make_dirs(folder, err) < 0) {
        return -1;
    }
    if (!r->is_refresh && read_note(note, store, out) == 0) {
        return 0;
    }
    if (mkdtemp(work) == NULL) {
        return error_sys(err, "make a folder in %s", folder);
    }
    CLEANUP_FD int work_fd = files_open_dir(AT_FDCWD, work, err);
    int result = work_fd < 0 ? -1 : collect_in(r, store, work_fd, out, err);
    (void)files_remove_tree(AT_FDCWD, work, NULL);
    return result < 0 ? -1 : write_note(note, out, err);
}
