#define _XOPEN_SOURCE 700 /* realpath */
#include "controller/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/ingest.h"
#include "controller/peek.h"
#include "controller/snapshot_walk.h"
#include "controller/statindex.h"

#define KEPT_MAX 1000 /* problems, and entries that were left out */
#define PEEKED_MAX 32 /* of the latter */

/* On a network filesystem times are another machine's, whose clock may be this far off.
 */
#define NETWORK_CLOCK_NS (60 * NS_PER_S)

/* One snapshot being made. */
struct making {
    struct snapshot_project project;
    const struct snapshot_options *options;
    struct store *store;
    struct statindex *index;
    struct snapshot *out;
    struct snapshot_reading reading;
};

/* ---- what is told ---- */

static void *grow(void *items, size_t count, size_t size_bytes)
{
    /* At powers of two. */
    return (count & (count - 1)) == 0
               ? xrealloc(items, count > 0 ? count * 2 : 1, size_bytes)
               : items;
}

static void add_problem(struct snapshot *s, const char *path, const char *text,
                        bool is_in)
{
    s->problem_total++;
    if (s->problem_count == KEPT_MAX) {
        return;
    }
    s->problems = grow(s->problems, s->problem_count, sizeof(*s->problems));
    s->problems[s->problem_count++] = (struct snapshot_problem){
        .path = xstrdup(path), .text = xstrdup(text), .is_in = is_in};
}

/* dir_fd and name: where it lies. */
static void add_left_out(struct snapshot *s, int dir_fd, const char *name,
                         const char *path, bool is_folder,
                         const struct ignore_reason *reason)
{
    CLEANUP_STRBUF struct strbuf rule = STRBUF_INIT;
    struct snapshot_left_out *entry;

    s->left_out_total++;
    if (s->left_out_count == KEPT_MAX) {
        return;
    }
    ignore_describe(reason, &rule);
    s->left_out = grow(s->left_out, s->left_out_count, sizeof(*s->left_out));
    entry = &s->left_out[s->left_out_count++];
    *entry = (struct snapshot_left_out){
        .path = xstrdup(path),
        .rule = strbuf_detach(&rule),
        .is_folder = is_folder,
        .is_built_in = reason->built_in != NULL,
    };
    if (!entry->is_built_in && s->left_out_count <= PEEKED_MAX) {
        entry->size_bytes = peek_size(dir_fd, name, &entry->is_size_all);
    }
}

/* ---- hooks ---- */

static bool filter(void *context, int dir_fd, const char *path, const char *name,
                   bool is_folder)
{
    struct making *m = context;
    struct ignore_reason reason;
    bool takes = ignore_takes(m->project.ignore, path, name, is_folder, &reason);

    (void)dir_fd;
    if ((!takes || reason.is_passage) && !reason.is_implied) {
        add_left_out(m->out, dir_fd, name, path, is_folder, &reason);
    }
    return takes;
}

static int enter(void *context, int dir_fd, const char *path,
                 const struct ingest_names *names, struct error *err)
{
    struct making *m = context;
    struct ignore_reason reason = {.file = NULL};
    unsigned marks = 0;
    int entered;

    for (unsigned i = 0; i < IGNORE_MARK_COUNT; i++) {
        marks |= (unsigned)ingest_names_has(names, ignore_mark_names[i]) << i;
    }
    entered = ignore_enter(m->project.ignore, dir_fd, path, marks, &reason, err);
    if (entered > 0) {
        add_left_out(m->out, dir_fd, ".", path, true, &reason);
    }
    return entered;
}

static void leave(void *context, const char *path)
{
    struct making *m = context;

    (void)path;
    ignore_leave(m->project.ignore);
}

static bool knows(void *context, const char *path, struct stat *st, struct oid *out)
{
    struct making *m = context;

    return statindex_knows(m->index, path, st, out);
}

static bool lookup(void *context, const char *path, const struct stat *st,
                   struct oid *out)
{
    struct making *m = context;

    if (m->options->is_glance) {
        if (!statindex_resembles(m->index, path, (uint64_t)st->st_size, out)) {
            *out = (struct oid){0}; /* no file has this name */
        }
        return true;
    }
    if (statindex_lookup(m->index, path, st, out)) {
        return true;
    }
    m->reading.met_files++;
    m->reading.met_bytes += (uint64_t)st->st_size;
    return false;
}

static void remember(void *context, const char *path, const struct stat *st,
                     const struct oid *oid)
{
    struct making *m = context;

    statindex_add(m->index, path, st, oid);
}

static int added(void *context, const char *path, const struct tree_entry *entry,
                 struct error *err)
{
    struct making *m = context;
    bool is_told =
        !m->options->is_glance || entry->kind == TREE_FOLDER || oid_is_zero(&entry->oid);

    return m->options->visit && is_told
               ? m->options->visit(m->options->visit_context, path, entry, err)
               : 0;
}

static int problem(void *context, const char *path, enum ingest_problem problem,
                   const struct error *err, struct error *stop_err)
{
    static const char *const texts[] = {
        [INGEST_UNREADABLE] = "it could not be read",
        [INGEST_VANISHED] = "it vanished meanwhile",
        [INGEST_CHANGING] = "it changed each time it was read",
        [INGEST_SPECIAL] = "a device, socket or FIFO",
        [INGEST_OUTSIDE] = "a symbolic link that leaves the project",
    };
    struct making *m = context;
    const char *text = texts[problem];

    (void)stop_err;
    if (problem == INGEST_UNREADABLE && err) {
        text = err->text;
    }
    add_problem(m->out, path, text, problem == INGEST_OUTSIDE);
    return 0;
}

static bool puts_objects(const struct making *m)
{
    return !m->options->is_dry && !m->options->is_glance;
}

static int put(void *context, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, const char *path, uint64_t offset,
               struct error *err)
{
    struct making *m = context;

    (void)offset;
    if (path && m->options->progress) {
        m->reading.read_bytes += length;
        if (m->options->progress(m->options->progress_context, &m->reading, err) < 0) {
            return -1;
        }
    }
    return !puts_objects(m) ? 0 : store_put(m->store, kind, oid, body, length, err);
}

/* ---- making ---- */

static bool is_or_is_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    return strcmp(folder, "/") == 0 || (strncmp(path, folder, length) == 0 &&
                                        (path[length] == '/' || path[length] == '\0'));
}

/* Nobody means to send a whole machine or account. */
static int check_folder(const char *project, struct error *err)
{
    const char *user_home = getenv("HOME");
    CLEANUP_FREE char *real = user_home ? realpath(user_home, NULL) : NULL;

    if (strcmp(project, "/") != 0 && (!real || !is_or_is_in(real, project))) {
        return 0;
    }
    error_set(err, ERR_USAGE, "the project would be %s%s", project,
              strcmp(project, "/") == 0 ? "" : ", which has your home folder in it");
    return error_hint(err, "go to the project's folder, or put an errand.yaml into it "
                           "(errand init); --force takes this one");
}

/* The path of the project's stat index, its folder made. */
static char *index_path(const struct home *home, const char *project, struct error *err)
{
    CLEANUP_FREE char *folder = home_path(home, "index");
    struct oid digest;
    char name[OID_HEX_SIZE];

    if (files_make_dirs(folder, err) < 0) {
        return NULL;
    }
    oid_of_bytes(project, strlen(project), &digest);
    oid_to_hex(&digest, name);
    return files_join(folder, name);
}

static int64_t walk_time_ns(const char *project)
{
    int64_t now_ns = clock_utc_ms() * NS_PER_MS;

    return files_is_network(project) ? now_ns - NETWORK_CLOCK_NS : now_ns;
}

static int open_index(struct making *m, const struct home *home, struct error *err)
{
    CLEANUP_FREE char *path = index_path(home, m->project.path, err);
    struct oid root;

    if (!path) {
        return -1;
    }
    m->index = statindex_open(path, walk_time_ns(m->project.path));
    statindex_root(m->index, &root);
    if (!store_has_root(m->store, &root)) {
        statindex_forget(m->index);
    }
    statindex_look_ahead(m->index, m->project.fd);
    return 0;
}

/* A path of snapshot.include that is not there was probably misspelt. */
static void check_included(struct making *m, const struct strvec *include)
{
    for (size_t i = 0; include && i < include->count; i++) {
        struct stat st;

        if (fstatat(m->project.fd, include->items[i], &st, AT_SYMLINK_NOFOLLOW) != 0) {
            add_problem(m->out, include->items[i],
                        "snapshot.include names it, but it is not there", false);
        }
    }
}

/* Make the snapshot visible. The index goes first: it is believed only once its root is
 * there, and so it shares the sync. */
static int publish(struct making *m, struct error *err)
{
    const struct oid *base = &m->out->base;

    statindex_root(m->index, &m->out->base);
    /* Without an index the next snapshot takes longer, and that is all. */
    (void)statindex_write(m->index, &m->out->root, NULL);
    if (m->options->leaves_root) {
        return 0;
    }
    return store_add_root(m->store, &m->out->root, oid_is_zero(base) ? NULL : base, err);
}

static int walk(struct making *m, struct error *err)
{
    const struct ingest_hooks hooks = {
        .context = m,
        .filter = filter,
        .enter = enter,
        .leave = leave,
        .knows = knows,
        .lookup = lookup,
        .remember = remember,
        .added = added,
        .problem = problem,
        .put = put,
    };

    return ingest_folder(m->project.fd, &hooks, &m->out->root, &m->out->totals, err);
}

/* A glance may come in the middle of another walk, which goes on gathering. */
static int walk_and_put(struct making *m, struct error *err)
{
    int walked, flushed;

    if (!puts_objects(m)) {
        return walk(m, err);
    }
    store_gather(m->store);
    walked = walk(m, err);
    /* What was read up to a failure need not be written again. */
    flushed = store_flush(m->store, walked < 0 ? NULL : err);
    return walked < 0 ? -1 : flushed;
}

static int make(struct making *m, const struct home *home, const struct config *config,
                struct error *err)
{
    CLEANUP_FD int lock = -1;

    if (snapshot_project_open(&m->project, config, err) < 0 ||
        (!m->options->want_force && check_folder(m->project.path, err) < 0)) {
        return -1;
    }
    lock = store_lock(m->store, false, -1, err);
    /* Reading the rules waits for git; meanwhile the files are looked at. */
    if (lock < 0 || open_index(m, home, err) < 0 ||
        snapshot_project_read_rules(&m->project, home, config, err) < 0) {
        return -1;
    }
    if (walk_and_put(m, err) < 0) {
        return error_wrap(err, "snapshot of %s", m->project.path);
    }
    check_included(m, config_list(config, "snapshot.include"));
    return puts_objects(m) ? publish(m, err) : 0;
}

int snapshot_make(const struct home *home, const struct config *config,
                  struct store *store, const struct snapshot_options *options,
                  struct snapshot *out, struct error *err)
{
    struct making m = {
        .project = SNAPSHOT_PROJECT_INIT,
        .options = options,
        .store = store,
        .out = out,
    };
    int result;

    *out = (struct snapshot){.problem_count = 0};
    result = make(&m, home, config, err);
    statindex_free(m.index);
    snapshot_project_release(&m.project);
    if (result < 0) {
        snapshot_release(out);
    }
    return result;
}

void snapshot_release(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->problem_count; i++) {
        free(snapshot->problems[i].path);
        free(snapshot->problems[i].text);
    }
    for (size_t i = 0; i < snapshot->left_out_count; i++) {
        free(snapshot->left_out[i].path);
        free(snapshot->left_out[i].rule);
    }
    free(snapshot->problems);
    free(snapshot->left_out);
    *snapshot = (struct snapshot){.problem_count = 0};
}
