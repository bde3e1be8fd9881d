#define _GNU_SOURCE /* O_NOFOLLOW, O_DIRECTORY */
#include "executor/environment_list.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "executor/environment_uses.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOCUMENT_MAX ((size_t)256 << 10)
#define LOCK_MAX ((size_t)256 << 10)
#define LOG_MAX ((size_t)32 << 10)

bool environment_identity_is_valid(const char *name)
{
    return strlen(name) == OID_HEX_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == OID_HEX_SIZE - 1;
}

bool environment_build_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < RUN_ENVIRONMENT_WORD_SIZE && name[0] >= '0' &&
           name[0] <= '9' &&
           strspn(name, "0123456789TZabcdefghijklmnopqrstuvwxyz-") == length;
}

void environment_list_release(struct environment_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].name);
        free(list->entries[i].message);
        strvec_release(&list->entries[i].used_by);
    }
    free(list->entries);
    *list = (struct environment_list){.entries = NULL};
}

static struct environment_entry *add_entry(struct environment_list *list,
                                           const char *identity)
{
    list->entries = xrealloc(list->entries, list->count + 1, sizeof *list->entries);
    struct environment_entry *entry = &list->entries[list->count++];
    *entry = (struct environment_entry){.name = NULL};
    run_environment_init(&entry->facts);
    memcpy(entry->facts.identity, identity, OID_HEX_SIZE);
    return entry;
}

/* ---- one folder ---- */

/* A small file of JSON; NULL where it is not there, or is none. */
static struct json *read_json(int dir_fd, const char *name, size_t max_bytes)
{
    struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
    strbuf_init(&text, max_bytes);
    return files_read(dir_fd, name, &text, NULL) == 0
               ? json_parse(text.data, text.length, NULL)
               : NULL;
}

static char *copy_string(const struct json *j, const char *key)
{
    const char *text = json_string(json_get(j, key));
    return text != NULL ? xstrdup(text) : NULL;
}

static int64_t time_of(const struct json *j, const char *key)
{
    int64_t utc_ms = 0;
    return json_get_time(j, "environment", key, &utc_ms, NULL) == 0 ? utc_ms : 0;
}

static int64_t modified_ms(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? clock_ms_of(&st.st_mtim)
                                                                : 0;
}

/* Names in an open folder for which is_wanted, in their order. */
static void list_names(int dir_fd, bool (*is_wanted)(const char *name),
                       struct strvec *out)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir CLEANUP_DIR = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        fdio_close(&copy);
        return;
    }
    for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (is_wanted(d->d_name)) {
            strvec_push(out, d->d_name);
        }
    }
    strvec_sort(out);
}

/* By it the controller recognises what its own files come to. */
static void digest_definition(const struct json *document, struct oid *out)
{
    const struct json *definition = json_get(document, "definition");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (definition != NULL) {
        json_write_sorted(definition, &text);
        oid_of_bytes(text.data, text.length, out);
    }
}

/* What READY says of this very build; NULL: err. */
static struct json *read_ready(int build_fd, const char *identity, const char *build,
                               struct run_environment *facts, struct error *err)
{
    struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
    strbuf_init(&text, DOCUMENT_MAX);
    CLEANUP_JSON struct json *ready = files_read(build_fd, "READY", &text, err) < 0
                                          ? NULL
                                          : json_parse(text.data, text.length, err);
    if (ready == NULL || run_environment_from_json(ready, facts, err) < 0) {
        return NULL;
    }
    if (strcmp(facts->identity, identity) != 0 || strcmp(facts->build, build) != 0) {
        error_set(err, ERR_CORRUPT, "it is another build's");
        return NULL;
    }
    return TAKE_PTR(ready);
}

/* A build that has READY: whole, or of no use to anybody. */
static void take_build(struct environment_list *list, int folder_fd, const char *identity,
                       const char *build, const char *current)
{
    struct run_environment facts;
    struct error why = ERROR_INIT;
    CLEANUP_FD int build_fd = files_open_dir(folder_fd, build, NULL);
    if (build_fd < 0) {
        return; /* removed meanwhile */
    }
    CLEANUP_JSON struct json *ready = read_ready(build_fd, identity, build, &facts, &why);
    if (ready == NULL && why.code == ERR_NOT_FOUND) {
        return;
    }
    struct environment_entry *entry = add_entry(list, identity);
    if (ready != NULL) {
        entry->facts = facts;
        entry->state = ENVIRONMENT_READY;
        entry->name = copy_string(ready, "name");
        entry->created_utc_ms = time_of(ready, "created");
    } else {
        entry->state = ENVIRONMENT_BROKEN;
        entry->message = xasprintf("its READY cannot be read: %s", why.text);
        memcpy(entry->facts.build, build, strlen(build) + 1);
        entry->created_utc_ms = modified_ms(build_fd, "READY");
    }
    entry->is_current = strcmp(build, current) == 0;
    entry->used_utc_ms = modified_ms(build_fd, "used");
}

/* True where another process holds the identity's lock. */
static bool is_locked(int folder_fd)
{
    CLEANUP_FD int fd = openat(folder_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static void take_unready(struct environment_list *list, int folder_fd,
                         const char *identity, const struct json *document,
                         bool has_ready)
{
    CLEANUP_JSON struct json *said = read_json(folder_fd, "building", DOCUMENT_MAX);
    bool is_building = said != NULL && is_locked(folder_fd);
    if (!is_building) {
        json_free(said);
        said = has_ready ? NULL : read_json(folder_fd, "failed", DOCUMENT_MAX);
    }
    if (said == NULL) {
        return;
    }
    const char *kind = json_string(json_get(json_get(document, "definition"), "kind"));
    const char *build = json_string(json_get(said, "build"));
    struct environment_entry *entry = add_entry(list, identity);
    entry->state = is_building ? ENVIRONMENT_BUILDING : ENVIRONMENT_FAILED;
    entry->name = copy_string(said, "name");
    entry->message = copy_string(said, is_building ? "run" : "message");
    entry->created_utc_ms = time_of(said, "time");
    if (kind != NULL && strlen(kind) < sizeof entry->facts.kind) {
        memcpy(entry->facts.kind, kind, strlen(kind) + 1);
    }
    if (build != NULL && environment_build_name_is_valid(build)) {
        memcpy(entry->facts.build, build, strlen(build) + 1);
    }
}

void environment_list_identities(int envs_fd, struct strvec *out)
{
    list_names(envs_fd, environment_identity_is_valid, out);
}

void environment_list_builds(int folder_fd, bool is_ready, struct strvec *out)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    list_names(folder_fd, environment_build_name_is_valid, &names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP_FREE char *ready = files_join(names.items[i], "READY");
        if ((faccessat(folder_fd, ready, F_OK, AT_SYMLINK_NOFOLLOW) == 0) == is_ready) {
            strvec_push(out, names.items[i]);
        }
    }
}

static void take_folder(struct environment_list *list, int envs_fd, const char *identity)
{
    CLEANUP_STRVEC struct strvec builds = STRVEC_INIT;
    char current[RUN_ENVIRONMENT_WORD_SIZE];
    size_t before = list->count;
    CLEANUP_FD int folder_fd = files_open_dir(envs_fd, identity, NULL);
    if (folder_fd < 0) {
        return;
    }
    ssize_t length = readlinkat(folder_fd, "current", current, sizeof current - 1);
    current[length > 0 ? length : 0] = '\0';
    environment_list_builds(folder_fd, true, &builds);
    for (size_t i = 0; i < builds.count && list->count < ENVIRONMENT_LIST_MAX; i++) {
        take_build(list, folder_fd, identity, builds.items[i], current);
    }
    CLEANUP_JSON struct json *document =
        read_json(folder_fd, "identity.json", DOCUMENT_MAX);
    bool has_ready = false;
    for (size_t i = before; i < list->count; i++) {
        has_ready |= list->entries[i].state == ENVIRONMENT_READY;
    }
    take_unready(list, folder_fd, identity, document, has_ready);
    for (size_t i = before; i < list->count; i++) {
        digest_definition(document, &list->entries[i].definition);
    }
}

/* ---- all ---- */

static void note_uses(struct environment_list *list, const struct environment_uses *uses)
{
    for (size_t i = 0; i < list->count; i++) {
        struct environment_entry *entry = &list->entries[i];
        for (size_t u = 0; u < uses->count; u++) {
            if (environment_use_is_of(&uses->items[u], entry->facts.identity,
                                      entry->facts.build)) {
                strvec_push(&entry->used_by, uses->items[u].run);
            }
        }
    }
}

int environment_list_read(const struct noderoot *root, const char *prefix,
                          struct environment_list *out, struct error *err)
{
    CLEANUP_STRVEC struct strvec identities = STRVEC_INIT;
    struct error why = ERROR_INIT;
    *out = (struct environment_list){.entries = NULL};
    CLEANUP_FD int envs_fd = files_open_dir(root->fd, "envs", &why);
    if (envs_fd < 0) {
        return why.code == ERR_NOT_FOUND ? 0 : error_set(err, why.code, "%s", why.text);
    }
    environment_list_identities(envs_fd, &identities);
    for (size_t i = 0; i < identities.count && out->count < ENVIRONMENT_LIST_MAX; i++) {
        if (strncmp(identities.items[i], prefix, strlen(prefix)) == 0) {
            take_folder(out, envs_fd, identities.items[i]);
        }
    }
    struct environment_uses uses CLEANUP_ENVIRONMENT_USES;
    if (environment_uses_read(root, &uses, err) < 0) {
        environment_list_release(out);
        return -1;
    }
    note_uses(out, &uses);
    out->unreadable = uses.unreadable;
    return 0;
}

int environment_list_pick(struct environment_list *list, const char *build,
                          struct error *err)
{
    size_t chosen = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct environment_entry *entry = &list->entries[i];
        if (strcmp(entry->facts.identity, list->entries[0].facts.identity) != 0) {
            return error_set(err, ERR_USAGE,
                             "several environments begin so: %.12s, %.12s",
                             list->entries[0].facts.identity, entry->facts.identity);
        }
        bool is_kept = chosen < list->count && list->entries[chosen].is_current;
        if (build != NULL ? strcmp(entry->facts.build, build) == 0 : !is_kept) {
            chosen = i;
        }
    }
    if (chosen == list->count) {
        return error_set(err, ERR_NOT_FOUND, "there is no such environment");
    }
    struct environment_entry kept = list->entries[chosen];
    list->entries[chosen] = list->entries[list->count - 1];
    list->count--;
    struct error unreadable = list->unreadable;
    environment_list_release(list);
    list->entries = xmemdup(&kept, sizeof kept);
    list->count = 1;
    list->unreadable = unreadable;
    return 0;
}

/* ---- the report ---- */

static const char *const state_names[] = {
    [ENVIRONMENT_READY] = "ready",
    [ENVIRONMENT_BUILDING] = "building",
    [ENVIRONMENT_FAILED] = "failed",
    [ENVIRONMENT_BROKEN] = "broken",
};

static void add_text(struct json *j, const char *key, const char *text)
{
    json_add_string(j, key, text[0] != '\0' ? text : NULL);
}

static void add_number(struct json *j, const char *key, int64_t number)
{
    json_add(j, key, number >= 0 ? json_new_integer(number) : json_new_null());
}

static struct json *entry_to_json(const struct environment_entry *entry)
{
    const struct run_environment *facts = &entry->facts;
    struct json *j = json_new_object();
    char hex[OID_HEX_SIZE];
    oid_to_hex(&entry->definition, hex);
    json_add_string(j, "identity", facts->identity);
    add_text(j, "build", facts->build);
    json_add_string(j, "name", entry->name);
    add_text(j, "kind", facts->kind);
    add_text(j, "builder", facts->builder);
    add_text(j, "python", facts->python);
    add_number(j, "packages", facts->packages);
    add_number(j, "size_bytes", facts->size_bytes);
    json_add(j, "used_by", json_new_strings(&entry->used_by));
    json_add_bool(j, "is_ready", entry->state == ENVIRONMENT_READY);
    json_add_bool(j, "is_current", entry->is_current);
    json_add_string(j, "state", state_names[entry->state]);
    json_add_string(j, "message", entry->message);
    json_add_string(j, "definition_digest", oid_is_zero(&entry->definition) ? NULL : hex);
    json_add_time(j, "created", entry->created_utc_ms);
    json_add_time(j, "last_used", entry->used_utc_ms);
    return j;
}

/* The first (or last) max_bytes of a file, as text for people; null where it is not
 * there. */
static void add_file(struct json *j, const char *key, int dir_fd, const char *name,
                     size_t max_bytes, bool is_end)
{
    struct stat st;
    CLEANUP_FREE char *text = xmalloc(max_bytes + 1);
    CLEANUP_FD int fd =
        dir_fd < 0 ? -1 : openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint64_t from = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        json_add(j, key, json_new_null());
        return;
    }
    if (is_end && (uint64_t)st.st_size > max_bytes) {
        from = (uint64_t)st.st_size - max_bytes;
    }
    ssize_t got = fdio_pread_full(fd, text, max_bytes, from);
    json_add_bytes(j, key, text, got > 0 ? (size_t)got : 0);
}

static void add_details(struct json *j, const struct noderoot *root,
                        const struct environment_entry *entry)
{
    CLEANUP_FREE char *folder = xasprintf("envs/%s", entry->facts.identity);
    CLEANUP_FD int folder_fd = files_open_dir(root->fd, folder, NULL);
    struct json *document =
        folder_fd < 0 ? NULL : read_json(folder_fd, "identity.json", DOCUMENT_MAX);
    CLEANUP_FD int build_fd = folder_fd >= 0 && entry->facts.build[0] != '\0'
                                  ? files_open_dir(folder_fd, entry->facts.build, NULL)
                                  : -1;
    json_add(j, "document", document != NULL ? document : json_new_null());
    add_file(j, "lock", build_fd, "lock.txt", LOCK_MAX, false);
    if (entry->state == ENVIRONMENT_FAILED) {
        add_file(j, "log", folder_fd, "failed.log", LOG_MAX, true);
    } else {
        add_file(j, "log", build_fd, "build.log", LOG_MAX, true);
    }
}

struct json *environment_list_report(const struct noderoot *root,
                                     const struct environment_list *list,
                                     bool has_details)
{
    struct json *report = json_new_object();
    struct json *environments = json_add(report, "environments", json_new_array());
    for (size_t i = 0; i < list->count; i++) {
        struct json *j = json_append(environments, entry_to_json(&list->entries[i]));
        if (has_details) {
            add_details(j, root, &list->entries[i]);
        }
    }
    return report;
}
