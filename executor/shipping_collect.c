#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/shipping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/variables.h"
#include "executor/rundir.h"
#include "executor/runview.h"
#include "executor/shipping_inside.h"

#define HALF_MADE_MS (INT64_C(24) * 3600 * 1000)
#define RECORD_MAX ((size_t)16 << 10)
#define NEEDS_MAX ((size_t)1 << 20)

struct collecting {
    const struct noderoot *root;
    struct programs *programs;
    int64_t keep_ms;
    struct sweep *sweep;
    uint64_t count;
    const char *prefix;   /* of the records that go whatever their age; NULL: old ones */
    struct strvec needed; /* URIs that runs need which have not ended */
    /* Of one cluster. */
    struct clusterfs fs;
    struct strvec uris, records; /* that go, side by side */
    const char *listed;          /* the folder there that is being listed */
    struct strvec in_use;        /* records of what somebody has used lately */
    struct strvec leftovers;     /* URIs */
};

/* ---- What live runs need */

static int add_needs(struct collecting *c, int run_fd, struct error *err)
{
    struct strbuf text;
    struct error why = ERROR_INIT;
    strbuf_init(&text, NEEDS_MAX);
    int result = files_read(run_fd, NEEDS_FILE, &text, &why);
    for (char *line = text.data; result == 0 && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        strvec_adopt(&c->needed, xstrndup(line, length));
        line += length + (line[length] == '\n');
    }
    strbuf_release(&text);
    return result < 0 && why.code != ERR_NOT_FOUND
               ? error_set(err, why.code, "%s", why.text)
               : 0;
}

/* A run whose record cannot be read may need anything: -1. */
static int look_at(struct collecting *c, const char *run, struct error *err)
{
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    if (runview_open(&view, c->root, run, err) < 0) {
        return error_wrap(err, "run %s", run);
    }
    return view.run_fd < 0 || run_state_is_final(view.status.state)
               ? 0
               : add_needs(c, view.run_fd, err);
}

static int find_needs(struct collecting *c, struct error *err)
{
    CLEANUP_STRVEC struct strvec runs = STRVEC_INIT;
    if (rundir_list(c->root, &runs, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < runs.count; i++) {
        if (look_at(c, runs.items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- One cluster */

/* The record's URI; NULL: it has none. malloc'ed. */
static char *read_uri(int folder, const char *record)
{
    struct strbuf text;
    strbuf_init(&text, RECORD_MAX);
    int result = files_read(folder, record, &text, NULL);
    CLEANUP_JSON struct json *j =
        result < 0 ? NULL : json_parse(text.data, text.length, NULL);
    strbuf_release(&text);
    const struct json *uri = json_get(j, "uri");
    return json_is_string(uri) ? xstrdup(json_string(uri)) : NULL;
}

static void find_old(void *context, int folder, const char *record)
{
    struct collecting *c = context;
    CLEANUP_FREE char *uri = read_uri(folder, record);
    struct stat st;
    if (strcmp(record, CLUSTERFS_REACH_FILE) == 0 || record[0] == '.' ||
        (c->prefix != NULL && strncmp(record, c->prefix, strlen(c->prefix)) != 0)) {
        return;
    }
    if (uri != NULL && strvec_contains(&c->needed, uri)) {
        return;
    }
    if (uri == NULL && fstatat(folder, record, &st, 0) == 0 && st.st_size == 0) {
        uri = xstrdup(""); /* nothing is there: only the record goes */
    }
    if (uri != NULL) {
        strvec_adopt(&c->uris, TAKE_PTR(uri));
        strvec_push(&c->records, record);
    }
}

/* ---- What lies in the cluster */

/* A file there: half-made by who was killed, outputs that nobody fetches, or an archive
 * that another node may use. */
static void note_there(void *context, const char *name, int64_t used_utc_ms)
{
    struct collecting *c = context;
    int64_t ago_ms = clock_utc_ms() - used_utc_ms;
    bool is_half_made = strncmp(name, ".tmp.", strlen(".tmp.")) == 0 ||
                        bytes_end_with(name, "._COPYING_");
    bool is_output = strcmp(c->listed, SHIPPED_OUTPUTS) == 0;
    CLEANUP_FREE char *uri = xasprintf("%s/%s/%s", c->fs.base, c->listed, name);
    if (is_half_made
            ? ago_ms >= HALF_MADE_MS
            : is_output && ago_ms >= c->keep_ms && !strvec_contains(&c->needed, uri)) {
        strvec_adopt(&c->leftovers, TAKE_PTR(uri));
    } else if (ago_ms < c->keep_ms + SHIPPED_NOTED_MS) {
        strvec_pushf(&c->in_use, "%s+%s", c->listed, name);
    }
}

/* Errors: where nothing is known of what is used. */
static int look_there(struct collecting *c, struct error *err)
{
    static const char *const folders[] = {"projects", "environments", SHIPPED_OUTPUTS};
    for (size_t i = 0; c->fs.base != NULL && i < ARRAY_SIZE(folders); i++) {
        CLEANUP_FREE char *uri = xasprintf("%s/%s", c->fs.base, folders[i]);
        c->listed = folders[i];
        if (clusterfs_list(&c->fs, uri, note_there, c, err) < 0) {
            return error_wrap(err, "look for what nobody needs in %s", uri);
        }
    }
    return 0;
}

static void leave_used(struct collecting *c)
{
    CLEANUP_STRVEC struct strvec uris = c->uris, records = c->records;
    c->uris = c->records = (struct strvec)STRVEC_INIT;
    for (size_t i = 0; i < records.count; i++) {
        if (!strvec_contains(&c->in_use, records.items[i])) {
            strvec_push(&c->uris, uris.items[i]);
            strvec_push(&c->records, records.items[i]);
        }
    }
}

/* ---- Removing */

/* Nobody uses it now, and nobody did since it was looked at. The lock, or -1. */
static int lock_old(const struct collecting *c, int folder, const char *record)
{
    struct stat st;
    CLEANUP_FD int fd = files_lock(folder, record, true, 0, NULL);
    bool is_old = fd >= 0 && fstat(fd, &st) == 0 &&
                  clock_utc_ms() - clock_ms_of(&st.st_mtim) >= c->keep_ms;
    return is_old ? take_fd(&fd) : -1;
}

/* Under all their locks: what is gone there is forgotten here. */
static void remove_old(struct collecting *c, int folder)
{
    CLEANUP_STRVEC struct strvec uris = STRVEC_INIT;
    CLEANUP_FREE int *locks = xcalloc(c->records.count, sizeof(*locks));
    struct error why = ERROR_INIT;
    for (size_t i = 0; i < c->records.count; i++) {
        locks[i] = lock_old(c, folder, c->records.items[i]);
        if (locks[i] >= 0 && c->uris.items[i][0] != '\0') {
            strvec_push(&uris, c->uris.items[i]);
        }
    }
    bool are_gone = uris.count == 0 || clusterfs_remove_all(&c->fs, &uris, &why) == 0;
    if (!are_gone) {
        error_wrap(&why, "remove what was sent to the cluster");
        sweep_warn(c->sweep, &why);
    }
    for (size_t i = 0; i < c->records.count; i++) {
        if (locks[i] >= 0 && are_gone && unlinkat(folder, c->records.items[i], 0) == 0) {
            c->count += c->uris.items[i][0] != '\0';
        }
        fdio_close(&locks[i]);
    }
}

static void remove_leftovers(struct collecting *c)
{
    struct error why = ERROR_INIT;
    if (!c->sweep->is_dry && clusterfs_remove_all(&c->fs, &c->leftovers, &why) < 0) {
        error_wrap(&why, "remove what was left in the cluster");
        sweep_warn(c->sweep, &why);
    } else {
        c->count += c->leftovers.count;
    }
}

/* Where it is not known what is used there, nothing goes; that is worth a word where
 * something would have gone. */
static void collect_reached(struct collecting *c, int folder)
{
    struct error why = ERROR_INIT;
    if (clusterfs_read_reach(&c->fs, folder, &why) < 0 ||
        (c->prefix == NULL && look_there(c, &why) < 0)) {
        if (c->records.count > 0) {
            sweep_warn(c->sweep, &why);
        }
        return;
    }
    leave_used(c);
    if (c->sweep->is_dry) {
        c->count += c->records.count;
    } else if (c->records.count > 0) {
        remove_old(c, folder);
    }
    remove_leftovers(c);
}

static void collect_cluster(void *context, int shipped_fd, const char *name)
{
    struct collecting *c = context;
    CLEANUP_FD int folder = files_open_dir(shipped_fd, name, NULL);
    struct stat st;
    if (folder < 0 || name[0] == '.' ||
        fstatat(folder, CLUSTERFS_REACH_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return; /* the folder `files`, or one that is being made */
    }
    c->uris = c->records = c->in_use = c->leftovers = (struct strvec)STRVEC_INIT;
    sweep_old(folder, "*", c->keep_ms, find_old, c);
    clusterfs_init(&c->fs, c->programs);
    if (c->prefix == NULL || c->records.count > 0) {
        collect_reached(c, folder);
    }
    clusterfs_release(&c->fs);
    strvec_release(&c->uris);
    strvec_release(&c->records);
    strvec_release(&c->in_use);
    strvec_release(&c->leftovers);
}

static void remove_half_made(void *context, int dir_fd, const char *name)
{
    struct collecting *c = context;
    uint64_t ignored = 0;
    sweep_remove(c->sweep, dir_fd, name, &ignored);
}

void shipping_collect(const struct noderoot *root, int64_t keep_ms, struct sweep *sweep,
                      uint64_t *out_count)
{
    struct error why = ERROR_INIT;
    CLEANUP_FD int shipped = files_open_dir(root->fd, SHIPPED_FOLDER, NULL);
    if (shipped < 0) {
        return;
    }
    CLEANUP(programs_cleanup) struct programs *programs = programs_new(-1, -1);
    struct collecting c = {.root = root,
                           .programs = programs,
                           .keep_ms = keep_ms,
                           .sweep = sweep,
                           .needed = STRVEC_INIT};
    variables_inherit(programs_environment(programs));
    sweep_old(shipped, FILES_TEMPORARY_PREFIX "*", HALF_MADE_MS, remove_half_made, &c);
    if (find_needs(&c, &why) < 0) {
        sweep_warn(sweep, &why);
    } else {
        sweep_old(shipped, "*", 0, collect_cluster, &c);
    }
    strvec_release(&c.needed);
    *out_count = c.count;
}

int shipping_remove(const struct noderoot *root, const char *name_prefix,
                    struct error *err)
{
    CLEANUP(sweep_release) struct sweep sweep = {.warnings = STRVEC_INIT};
    CLEANUP_FREE char *prefix = shipping_record_name(name_prefix);
    CLEANUP_FD int shipped = files_open_dir(root->fd, SHIPPED_FOLDER, NULL);
    if (shipped < 0) {
        return 0;
    }
    CLEANUP(programs_cleanup) struct programs *programs = programs_new(-1, -1);
    struct collecting c = {
        .root = root, .programs = programs, .prefix = prefix, .sweep = &sweep};
    variables_inherit(programs_environment(programs));
    sweep_old(shipped, "*", 0, collect_cluster, &c);
    return sweep.warnings.count == 0
               ? 0
               : error_set(err, ERR_IO, "%s", sweep.warnings.items[0]);
}
