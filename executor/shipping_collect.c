#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/shipping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    struct strvec needed; /* URIs that runs need which have not ended */
    /* Of one cluster. */
    struct clusterfs fs;
    struct strvec uris, records; /* that go, side by side */
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
    if (strcmp(record, CLUSTERFS_REACH_FILE) == 0 || record[0] == '.') {
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

static void collect_cluster(void *context, int shipped_fd, const char *name)
{
    struct collecting *c = context;
    struct error why = ERROR_INIT;
    CLEANUP_FD int folder = files_open_dir(shipped_fd, name, NULL);
    if (folder < 0 || name[0] == '.') {
        return;
    }
    c->uris = c->records = (struct strvec)STRVEC_INIT;
    sweep_old(folder, "*", c->keep_ms, find_old, c);
    clusterfs_init(&c->fs, c->programs);
    if (c->records.count > 0 && c->sweep->is_dry) {
        c->count += c->records.count;
    } else if (c->records.count > 0) {
        if (clusterfs_read_reach(&c->fs, folder, &why) < 0) {
            sweep_warn(c->sweep, &why);
        } else {
            remove_old(c, folder);
        }
    }
    clusterfs_release(&c->fs);
    strvec_release(&c->uris);
    strvec_release(&c->records);
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
