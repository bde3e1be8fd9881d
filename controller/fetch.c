#define _GNU_SOURCE /* mkdtemp's folder is renamed with what Linux has */
#include "controller/fetch.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/transfer.h"
#include "common/worktree.h"
#include "controller/runlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUTS "outputs"
#define WARNINGS_MAX 1000
#define LOCK_PAUSE_NS (100 * NS_PER_MS)
#define PROGRESS_MIN_BYTES (1u << 20) /* less has come before a person can read it */

void fetch_result_release(struct fetch_result *result)
{
    strvec_release(&result->warnings);
}

/* ---- objects ---- */

struct fetching {
    struct command_context *context;
    struct client *client;
    uint32_t stream;
    struct receive *receive;
    struct fetch_result *result;
    bool has_offer;
    bool is_complete; /* what was offered is at home */
    bool is_done;
    bool has_error;
    struct error error;
};

static int take_offer(struct fetching *f, const struct json *offer, struct error *err)
{
    const struct json *root = json_get(offer, "root");
    const struct json *warnings = NULL;
    int64_t files = 0;
    int64_t size_bytes = 0;
    if (f->has_offer) {
        return error_set(err, ERR_PROTOCOL, "OFFER came twice");
    }
    f->has_offer = true;
    if (json_get_array(offer, "OFFER", "warnings", WARNINGS_MAX, &warnings, err) != 0) {
        return -1;
    }
    for (const struct json *w = json_first(warnings); w != NULL; w = json_next(w)) {
        strvec_push(&f->result->warnings, json_is_string(w) ? json_string(w) : "");
    }
    if (root == NULL || json_is_null(root)) {
        f->is_complete = true;
        return 0;
    }
    if (!json_is_string(root) ||
        oid_from_hex(json_string(root), &f->result->root, err) != 0) {
        return error_set(err, ERR_PROTOCOL, "OFFER: root is no digest");
    }
    if (json_get_integer(offer, "OFFER", "files", 0, JSON_INTEGER_MAX, &files, err) !=
            0 ||
        json_get_integer(offer, "OFFER", "size_bytes", 0, JSON_INTEGER_MAX, &size_bytes,
                         err) != 0) {
        return -1;
    }
    f->result->has_outputs = true;
    f->result->totals = (struct tree_totals){.files = (uint64_t)files,
                                             .size_bytes = (uint64_t)size_bytes};
    f->receive = receive_new(client_peer(f->client), f->stream, f->context->store,
                             &f->result->root, NULL, err);
    return f->receive != NULL ? 0 : -1;
}

/* Trees count in what came and not in the total, which is that of the files. */
static void show_progress(const struct fetching *f,
                          const struct transfer_progress *progress)
{
    uint64_t total = f->result->totals.size_bytes;
    uint64_t done = progress->bytes_sent < total ? progress->bytes_sent : total;
    if (total > PROGRESS_MIN_BYTES) {
        terminal_progress(f->context->terminal, "fetching outputs", done, total);
    }
}

static int take_objects(struct fetching *f, const struct peer_event *event,
                        struct error *err)
{
    if (f->receive == NULL) {
        return error_set(err, ERR_PROTOCOL, "outputs came before it was said which");
    }
    if (receive_event(f->receive, event, &f->is_complete, err) != 0) {
        return -1;
    }
    struct transfer_progress progress;
    receive_progress(f->receive, &progress);
    f->result->has_progress |= progress.objects_sent > 0;
    show_progress(f, &progress);
    if (f->is_complete) {
        peer_send(client_peer(f->client), f->stream, MSG_GOT, NULL);
    }
    return 0;
}

static int fetch_event(void *context, const struct peer_event *event, struct error *err)
{
    struct fetching *f = context;
    if (event->type == MSG_OFFER) {
        return take_offer(f, event->json, err);
    }
    if (event->type == MSG_DATA || event->type == MSG_PUSH_END) {
        return take_objects(f, event, err);
    }
    if (event->type == MSG_ERROR) {
        client_take_error(f->client, event->json, &f->error);
        f->has_error = true;
    }
    if (event->type == MSG_END && !f->is_complete) {
        return error_set(err, ERR_PROTOCOL, "END came before all of the outputs did");
    }
    f->is_done = event->ended;
    return 0;
}

int fetch_objects(struct command_context *context, struct client *client, const char *id,
                  const bool *is_interrupted, struct fetch_result *out, struct error *err)
{
    struct fetching f = {.context = context, .client = client, .result = out};
    struct client_request request = {.context = &f, .event = fetch_event};
    *out = (struct fetch_result){0};
    if (command_store(context, err) == NULL) {
        return -1;
    }
    f.stream = client_open(client, &request, err);
    if (f.stream == 0) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "run", id);
    json_add_string(body, "base", NULL);
    peer_send(client_peer(client), f.stream, MSG_FETCH, body);
    int result = 0;
    while (result == 0 && !f.is_done && (is_interrupted == NULL || !*is_interrupted)) {
        result = client_step(client, err);
    }
    client_abandon(client, f.stream);
    receive_free(f.receive);
    terminal_progress_clear(context->terminal);
    if (result == 0 && f.has_error) {
        (void)error_copy(err, &f.error);
        return error_wrap(err, "fetch the outputs of %s", id);
    }
    if (result == 0 && !f.is_done) {
        return error_set(err, ERR_CANCELED, "interrupted while fetching outputs");
    }
    return result;
}

/* ---- files ---- */

char *fetch_home_path(const struct home *home, const char *id)
{
    CLEANUP_FREE char *runs = home_path(home, "runs");
    return xasprintf("%s/%s/" OUTPUTS, runs, id);
}

/* One output folder: `outputs` gives its content, any other lies under its name. */
static int write_folder(int dir_fd, const struct object_source *source,
                        const struct tree_entry *entry, struct error *err)
{
    struct worktree_limits limits = {0};
    struct tree_totals totals;
    CLEANUP_FREE char *name = xstrndup(entry->name, entry->name_length);
    if (entry->kind != TREE_FOLDER) {
        return error_set(err, ERR_CORRUPT, "outputs: %s is no folder", name);
    }
    if (strcmp(name, OUTPUTS) == 0) {
        return worktree_write(dir_fd, source, &entry->oid, &limits, &totals, err);
    }
    CLEANUP_FD int below = files_open_or_make_dir(dir_fd, name, err);
    return below < 0 ? -1
                     : worktree_write(below, source, &entry->oid, &limits, &totals, err);
}

/* `outputs` first: its folder must be empty when it is written. */
static int write_all(int dir_fd, const struct object_source *source,
                     const struct oid *root, struct error *err)
{
    struct tree_entry outputs;
    struct tree_entry entry;
    int found = tree_find(source, root, OUTPUTS, &outputs, err);
    if (found < 0 || (found == 1 && write_folder(dir_fd, source, &outputs, err) != 0)) {
        return -1;
    }
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(source, root, UINT64_MAX, err);
    if (reader == NULL) {
        return -1;
    }
    int more = 0;
    while ((more = tree_reader_next(reader, &entry, err)) == 1) {
        bool is_outputs = entry.name_length == strlen(OUTPUTS) &&
                          memcmp(entry.name, OUTPUTS, entry.name_length) == 0;
        if (!is_outputs && write_folder(dir_fd, source, &entry, err) != 0) {
            return -1;
        }
    }
    return more;
}

static int is_in_the_way(const char *path, const char *why, struct error *err)
{
    error_set(err, ERR_EXISTS, "%s is there already and %s", path, why);
    return error_hint(err, "choose another folder; existing files are never overwritten");
}

/* What lies in the folder that path is in stays there. */
static int sync_beside(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *folder =
        slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path) + 1);
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "open %s", folder) : files_sync_dir(fd, err);
}

/* Make the finished folder visible under path, in place of an empty one. */
static int put_in_place(const char *aside, const char *path, struct error *err)
{
    if (rmdir(path) != 0 && errno != ENOENT) {
        return errno == ENOTEMPTY || errno == EEXIST
                   ? is_in_the_way(path, "is not empty", err)
                   : error_sys(err, "replace %s", path);
    }
    if (rename(aside, path) != 0) {
        return error_sys(err, "make %s", path);
    }
    return sync_beside(path, err);
}

/* What is beside a path that ends with slashes would be in it. malloc'ed. */
static char *without_slashes(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    return xstrndup(path, length);
}

/* A folder beside path, to be renamed to it; its name goes to aside. As mkdir would make
 * it: mkdtemp's is for its owner alone. */
static int make_aside(char *aside, const char *path, struct error *err)
{
    if (mkdtemp(aside) == NULL) {
        int result = error_sys(err, "make a folder beside %s", path);
        return err == NULL || err->code != ERR_NOT_FOUND
                   ? result
                   : error_hint(err,
                                "the folder that it is to lie in must be there: make "
                                "it with mkdir -p");
    }
    int dir_fd = files_open_dir(AT_FDCWD, aside, err);
    mode_t mask = umask(0);
    (void)umask(mask);
    if (dir_fd >= 0) {
        (void)fchmod(dir_fd, 0777 & ~mask);
    }
    return dir_fd;
}

int fetch_write(struct command_context *context, const struct oid *root, const char *to,
                struct error *err)
{
    struct object_source source = store_source(context->store);
    CLEANUP_FREE char *path = without_slashes(to);
    CLEANUP_FREE char *aside = xasprintf("%s.errand-XXXXXX", path);
    CLEANUP_FD int dir_fd = make_aside(aside, path, err);
    if (dir_fd < 0) {
        return -1;
    }
    int result = write_all(dir_fd, &source, root, err);
    if (result == 0) {
        result = files_sync_filesystem(dir_fd, err);
    }
    if (result == 0) {
        result = put_in_place(aside, path, err);
    }
    if (result != 0) {
        (void)files_remove_tree(AT_FDCWD, aside, NULL);
        return error_wrap(err, "write outputs to %s", path);
    }
    return 0;
}

/* Is there something that rmdir would not take away, or rename not replace? */
static int check_place(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    struct stat st;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        error_set(err, ERR_USAGE, "\"%s\" is no name for a new folder", path);
        return error_hint(err, "name one that is to be made, such as %s%sresults", path,
                          name[0] == '\0' ? "" : "/");
    }
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? 0 : error_sys(err, "look at %s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return is_in_the_way(path, "is no folder", err);
    }
    CLEANUP_DIR DIR *dir = opendir(path);
    if (dir == NULL) {
        return error_sys(err, "open %s", path);
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            return is_in_the_way(path, "is not empty", err);
        }
    }
    return 0;
}

int fetch_check_to(const char *to, struct error *err)
{
    CLEANUP_FREE char *path = without_slashes(to);
    CLEANUP_FREE char *aside = xasprintf("%s.errand-XXXXXX", path);
    struct stat here, beside;
    if (check_place(path, err) != 0) {
        return -1;
    }
    CLEANUP_FD int dir_fd = make_aside(aside, path, err);
    if (dir_fd < 0) {
        return -1;
    }
    bool is_mounted = fstat(dir_fd, &beside) == 0 && lstat(path, &here) == 0 &&
                      here.st_dev != beside.st_dev;
    if (rmdir(aside) != 0) {
        return error_sys(err, "remove %s", aside);
    }
    return is_mounted ? is_in_the_way(path, "is a mount point", err) : 0;
}

/* ---- collecting ---- */

static int write_home(struct command_context *context, const struct history_run *run,
                      const struct fetch_result *result, struct error *err)
{
    CLEANUP_FREE char *path = fetch_home_path(context->home, run->id);
    CLEANUP_FREE char *folder = home_run_dir(context->home, run->id, err);
    if (folder == NULL || files_remove_tree(AT_FDCWD, path, err) != 0) {
        return -1;
    }
    return result->has_outputs ? fetch_write(context, &result->root, path, err) : 0;
}

/* Let the connection do what it has to do for a while. */
static int pause_on(struct client *client, struct error *err)
{
    bool is_over = false;
    struct loop *loop = client_loop(client);
    struct loop_timer *timer =
        loop_flag_at(loop, clock_monotonic_ns() + LOCK_PAUSE_NS, &is_over);
    int result = client_run(client, &is_over, err);
    if (!is_over) {
        loop_timer_cancel(loop, timer);
    }
    return result;
}

/* The run's lock: another errand that follows it may be at it. */
static int lock_run(const struct command_context *context, struct client *client,
                    const char *id, const bool *is_interrupted, struct error *err)
{
    for (;;) {
        struct error why = ERROR_INIT;
        int lock = home_lock_run(context->home, id, &why);
        if (lock >= 0) {
            return lock;
        }
        if (why.code != ERR_BUSY) {
            return error_copy(err, &why);
        }
        if (is_interrupted != NULL && *is_interrupted) {
            return error_set(err, ERR_CANCELED, "interrupted while fetching outputs");
        }
        if (pause_on(client, err) != 0) {
            return -1;
        }
    }
}

/* Another errand may have brought it home since run was read: 1, with what it found. */
static int look_at_home(struct command_context *context, struct history_run *run,
                        struct fetch_result *out, struct error *err)
{
    struct history_run fresh;
    history_run_init(&fresh);
    int result = history_find(context->history, run->id, &fresh, err);
    if (result == 0 && fresh.collected_utc_ms != 0) {
        run->collected_utc_ms = fresh.collected_utc_ms;
        out->has_outputs = !oid_is_zero(&fresh.status.outputs_root);
        out->root = fresh.status.outputs_root;
        out->totals.files = fresh.status.outputs_files;
        out->totals.size_bytes = fresh.status.outputs_size_bytes;
        result = 1;
    }
    history_run_release(&fresh);
    return result;
}

int fetch_collect(struct command_context *context, struct client *client,
                  struct history_run *run, const bool *is_interrupted, char **out_path,
                  struct fetch_result *out, struct error *err)
{
    *out_path = NULL;
    *out = (struct fetch_result){0};
    CLEANUP_FD int lock = lock_run(context, client, run->id, is_interrupted, err);
    int is_home = lock < 0 ? -1 : look_at_home(context, run, out, err);
    if (is_home < 0) {
        return -1;
    }
    if (is_home == 0) {
        if (fetch_objects(context, client, run->id, is_interrupted, out, err) != 0 ||
            write_home(context, run, out, err) != 0 ||
            history_set_collected(context->history, run->id, err) != 0) {
            return -1;
        }
        run->collected_utc_ms = clock_utc_ms();
    }
    if (out->has_outputs) {
        *out_path = fetch_home_path(context->home, run->id);
    }
    return 0;
}

int fetch_tell(struct command_context *context, struct client *client,
               const struct history_run *run, const struct fetch_result *result,
               struct error *err)
{
    struct runlog log;
    char hex[OID_HEX_SIZE];
    if (runlog_open(&log, context->home, run->id, err) != 0) {
        return -1;
    }
    oid_to_hex(&result->root, hex);
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "run", run->id);
    json_add_string(body, "root", result->has_outputs ? hex : NULL);
    runlog_sizes(&log, json_add(body, "sizes", json_new_object()));
    runlog_close(&log);
    return client_ask(client, MSG_COLLECTED, body, NULL, NULL, NULL, err);
}
