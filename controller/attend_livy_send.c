/* attend_livy, what the cluster gets before a batch is asked for: project, files, the
 * driver.
 */
#define _GNU_SOURCE /* O_NOFOLLOW, realpath */
#include "controller/attend_livy_inside.h"

#include "common/archive.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/pep440.h"
#include "common/spark_paths.h"
#include "common/store.h"
#include "common/variables.h"
#include "controller/livy_uses.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char livy_driver_base_text[], livy_driver_text[];

/* ---- What is there already */

/* What came before by a command, which cannot look: a file of this name says that. */
static char *sent_mark(const struct attendance *a, const char *name)
{
    struct oid digest;
    char hex[OID_HEX_SIZE];
    CLEANUP_FREE char *uri = livy_place_uri(&a->place, name);
    oid_of_bytes(uri, strlen(uri), &digest);
    oid_to_hex(&digest, hex);
    return xasprintf("%s/../../livy/%.32s.sent", a->run_folder, hex);
}

/* Whether it is there, as far as can be known; then it is being used. The attempt has
 * said before that it needs it. Errors: livy_place_look's. */
static int is_sent(const struct attendance *a, const char *name, bool *out,
                   struct error *err)
{
    struct webhdfs_entry entry = {.name = ""};
    if (livy_place_can_follow(&a->place)) {
        int result = livy_place_look(&a->place, name, out, &entry, err);
        *out = result == 0 && *out && entry.size_bytes > 0;
        if (*out && clock_utc_ms() - entry.used_utc_ms >= LIVY_USED_NOTED_MS) {
            (void)livy_place_touch(&a->place, name, NULL); /* not everywhere, or by all */
        }
        return result;
    }
    CLEANUP_FREE char *mark = sent_mark(a, name);
    *out = access(mark, F_OK) == 0;
    return 0;
}

static void note_sent(const struct attendance *a, const char *name)
{
    CLEANUP_FREE char *folder = xasprintf("%s/../../livy", a->run_folder);
    CLEANUP_FREE char *mark = sent_mark(a, name);
    if (!livy_place_can_follow(&a->place) && files_make_dirs(folder, NULL) == 0) {
        (void)files_write_atomic(AT_FDCWD, mark, "", 0, 0600, NULL);
    }
}

static void forget_sent(const struct attendance *a, const char *name)
{
    CLEANUP_FREE char *mark = sent_mark(a, name);
    if (unlink(mark) == 0) {
        log_line(&a->log, "the next run sends %s again", name);
    }
}

char *attendance_project_name(const struct attendance *a)
{
    char root[OID_HEX_SIZE];
    oid_to_hex(&a->spec.root, root);
    return xasprintf("projects/%s.tar", root);
}

char *attendance_environment_name(const struct attendance *a)
{
    return xasprintf("environments/%s-%s.tar", a->environment.identity,
                     a->environment.build);
}

void attendance_doubt_sent(const struct attendance *a)
{
    CLEANUP_FREE char *project = attendance_project_name(a);
    CLEANUP_FREE char *environment = attendance_environment_name(a);
    if (a->place.way != NULL && !livy_place_can_follow(&a->place)) {
        forget_sent(a, project);
        forget_sent(a, environment);
    }
}

/* ---- The project */

static int leave_out(void *context, const char *path, const char *target,
                     struct error *err)
{
    struct attendance *a = context;
    (void)err;
    log_line(&a->log, "%s is not sent: it is a link out of the project, to %s", path,
             target);
    return 0;
}

static int write_archive(struct attendance *a, int fd, struct archive_facts *facts,
                         struct error *err)
{
    const struct archive_request request = {
        .out_fd = fd, .leads_out = leave_out, .context = a};
    CLEANUP_FREE char *path = files_join(a->run_folder, "../../store");
    CLEANUP(store_cleanup) struct store *store = store_open(path, err);
    if (store == NULL) {
        return -1;
    }
    struct object_source source = store_source(store);
    return archive_snapshot(&request, &source, &a->spec.root, facts, err);
}

int attendance_send_project(struct attendance *a, const char *name, struct error *err)
{
    CLEANUP_FREE char *file = files_join(a->run_folder, "project.tar");
    struct archive_facts facts = {.archive_bytes = 0};
    bool is_there = false;
    char text[FILES_SIZE_TEXT];
    if (livy_uses_note(&a->place, a->folder, name, err) < 0 ||
        is_sent(a, name, &is_there, err) < 0) {
        return -1;
    }
    if (is_there) {
        log_line(&a->log, "the project is there already");
        return 0;
    }
    CLEANUP_FD int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_sys(err, "make %s", file);
    }
    int result = write_archive(a, fd, &facts, err);
    if (result == 0) {
        result = livy_place_put_once(&a->place, name, 0644, file, err);
    }
    (void)unlink(file);
    if (result == 0) {
        note_sent(a, name);
        files_format_size(text, facts.archive_bytes);
        attendance_say(a, ENGINE_NOTE, "sent the project to the cluster: %s", text);
    }
    return result;
}

/* ---- The environment */

int attendance_send_environment(struct attendance *a, char **out_uri, struct error *err)
{
    CLEANUP_FREE char *file = files_join(a->run_folder, LIVY_ARCHIVE);
    CLEANUP_FREE char *name = attendance_environment_name(a);
    char text[FILES_SIZE_TEXT];
    struct stat st;
    bool is_there = false;
    *out_uri = NULL;
    if (a->environment.identity[0] == '\0') {
        return 0;
    }
    /* What is prepared for runs to come is young enough to stay. */
    if ((a->task == ATTEND_LIVY_SCRIPT &&
         livy_uses_note(&a->place, a->folder, name, err) < 0) ||
        is_sent(a, name, &is_there, err) < 0) {
        return -1;
    }
    if (!is_there && stat(file, &st) < 0) {
        error_set(err, ERR_NOT_FOUND,
                  "the environment %.12s is not in the cluster any more",
                  a->environment.identity);
        return error_hint(err, "run again, which brings it there");
    }
    if (!is_there) {
        if (livy_place_make_dir(&a->place, "environments", err) < 0 ||
            livy_place_put_once(&a->place, name, 0644, file, err) < 0) {
            return -1;
        }
        note_sent(a, name);
        files_format_size(text, (uint64_t)st.st_size);
        attendance_say(a, ENGINE_NOTE, "sent the environment to the cluster: %s", text);
    }
    *out_uri = livy_place_uri(&a->place, name);
    return 0;
}

/* ---- Files */

/* Where a file of the work tree is, malloc'ed. What a symbolic link names outside is any
 * file of this machine, which is not the project's to send. No code of the project runs
 * here, so the tree is as errand wrote it. */
static char *find_file(const struct attendance *a, const char *path, struct error *err)
{
    CLEANUP_FREE char *work = files_join(a->run_folder, "work");
    CLEANUP_FREE char *top = realpath(work, NULL);
    CLEANUP_FREE char *named = files_join(work, path);
    CLEANUP_FREE char *found = top != NULL ? realpath(named, NULL) : NULL;
    if (found == NULL) {
        error_sys(err, "send %s", path);
        return NULL;
    }
    size_t length = strlen(top);
    if (strncmp(found, top, length) != 0 || found[length] != '/') {
        error_set(err, ERR_UNSUPPORTED, "send %s: it leads out of the project", path);
        return NULL;
    }
    return TAKE_PTR(found);
}

int attendance_send_files(struct attendance *a, const char *kind,
                          const struct strvec *items, struct strvec *out,
                          struct error *err)
{
    for (size_t i = 0; i < items->count; i++) {
        const char *item = items->items[i];
        if (spark_is_uri(item)) {
            strvec_push(out, item);
            continue;
        }
        size_t length = strcspn(item, "#");
        CLEANUP_FREE char *path = xstrndup(item, length);
        CLEANUP_FREE char *file = find_file(a, path, err);
        const char *slash = strrchr(path, '/');
        CLEANUP_FREE char *folder = xasprintf("%s/%s%zu", a->folder, kind, i);
        CLEANUP_FREE char *name = files_join(folder, slash != NULL ? slash + 1 : path);
        if (file == NULL || livy_place_make_dir(&a->place, folder, err) < 0 ||
            livy_place_put(&a->place, name, 0644, file, err) < 0) {
            return -1;
        }
        CLEANUP_FREE char *uri = livy_place_uri(&a->place, name);
        strvec_pushf(out, "%s%s", uri, item + length);
    }
    return 0;
}

/* ---- The driver */

static void add_bytes_array(struct json *j, const char *key, const struct strvec *items)
{
    struct json *array = json_add(j, key, json_new_array());
    for (size_t i = 0; i < items->count; i++) {
        (void)json_append(array,
                          json_new_bytes(items->items[i], strlen(items->items[i])));
    }
}

static void add_variable(struct json *map, const char *name, const char *value)
{
    if (json_get(map, name) == NULL) {
        json_add_bytes(map, name, value, strlen(value));
    }
}

/* The script's variables and secrets, then errand's own. */
static void add_variables(const struct attendance *a, struct json *j, bool *has_secrets)
{
    struct json *map = json_add(j, "variables", json_new_object());
    for (size_t i = 0; i < a->spec.secrets.count; i++) {
        const char *name = a->spec.secrets.items[i];
        const char *value = getenv(name);
        if (value != NULL && strncmp(name, VARIABLES_OWN, strlen(VARIABLES_OWN)) != 0) {
            add_variable(map, name, value);
            *has_secrets = true;
        }
    }
    for (size_t i = 0; i < a->spec.variables.count; i++) {
        const char *pair = a->spec.variables.items[i];
        CLEANUP_FREE char *name = xstrndup(pair, strcspn(pair, "="));
        add_variable(map, name, pair + strlen(name) + (pair[strlen(name)] == '='));
    }
    CLEANUP_FREE char *attempt = xasprintf("%lld", (long long)a->attempt);
    add_variable(map, "ERRAND_RUN_ID", a->spec.run);
    /* Where Livy is on this machine: it is none of the processes that are ended with the
     * run's stage (executor/processes.h). */
    add_variable(map, "ERRAND_ROLE", "engine");
    add_variable(map, "ERRAND_EXPERIMENT", a->spec.experiment);
    add_variable(map, "ERRAND_ATTEMPT", attempt);
}

bool attendance_has_whole_environment(const struct attendance *a)
{
    return strcmp(a->environment.kind, envspec_kind_name(ENVSPEC_CONDA)) == 0;
}

/* What a driver says whose Python is of another series; the record is right by then. */
static void add_environment(const struct attendance *a, struct json *j,
                            const char *environment)
{
    const char *wish = a->spec.environment.definition.python;
    const char *version = a->environment.python;
    if (environment == NULL) {
        json_add(j, "environment", json_new_null());
        return;
    }
    struct json *one = json_add(j, "environment", json_new_object());
    CLEANUP_FREE char *series = xasprintf("%.*s", (int)pep440_series(version), version);
    json_add_string(one, "archive", environment);
    json_add_string(one, "python", series);
    json_add_string(one, "version", version);
    json_add_bool(one, "is_whole", attendance_has_whole_environment(a));
    json_add_string(one, "advice",
                    wish != NULL && wish[0] != '\0'
                        ? "change `python` of the environment, or name an interpreter of "
                          "that version with --interpreter"
                        : "run it again, and it is built for that one");
}

/* One file: both halves of the driver, and the settings of this attempt. Nothing goes by
 * arguments, which the cluster's pages show. */
static void write_driver(const struct attendance *a, const char *project,
                         const char *environment, struct strbuf *out, bool *has_secrets)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *folder = livy_place_uri(&a->place, a->folder);
    CLEANUP_STRVEC struct strvec paths = STRVEC_INIT;
    if (project != NULL) {
        json_add_bytes(j, "script", a->spec.script, strlen(a->spec.script));
        add_variables(a, j, has_secrets);
    } else {
        json_add(j, "script", json_new_null());
    }
    add_bytes_array(j, "arguments", &a->spec.command);
    spark_paths_of_project(&a->spec, &paths);
    add_bytes_array(j, "paths", &paths);
    add_environment(a, j, environment);
    struct json *outputs = json_add(j, "outputs", json_new_object());
    add_bytes_array(outputs, "folders", &a->spec.outputs);
    json_add_string(j, "folder", folder);
    json_add_string(j, "archive", project != NULL ? project : "");
    json_add_string(j, "tag", a->tag);
    json_add_bool(j, "has_secrets", *has_secrets);
    json_write(j, false, &text);
    strbuf_puts(out, livy_driver_base_text);
    strbuf_puts(out, "\n\n");
    strbuf_puts(out, livy_driver_text);
    strbuf_puts(out, "\nlivy_main(decode(\"");
    bytes_to_base64(out, text.data, text.length);
    strbuf_puts(out, "\"))\n");
    mem_wipe(text.data, text.length);
}

int attendance_send_driver(struct attendance *a, const char *project,
                           const char *environment, const char *name, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *file = files_join(a->run_folder, "livy_driver.py");
    bool has_secrets = false;
    write_driver(a, project, environment, &text, &has_secrets);
    int result = files_write_atomic(AT_FDCWD, file, text.data, text.length, 0600, err);
    mem_wipe(text.data, text.length);
    if (result == 0) {
        result = livy_place_put(&a->place, name, has_secrets ? 0600 : 0644, file, err);
        (void)unlink(file);
    }
    return result;
}
