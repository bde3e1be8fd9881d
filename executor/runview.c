#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/runview.h"

#include "common/files.h"
#include "executor/rundir.h"

#include <fcntl.h>
#include <string.h>

#define TOMBSTONE_SIZE_MAX ((size_t)64 << 20)

void runview_init(struct runview *view)
{
    *view = (struct runview){.run_fd = -1, .lines = STRVEC_INIT};
    run_status_init(&view->status);
}

void runview_release(struct runview *view)
{
    mem_cleanup_fd(&view->run_fd);
    view->run_fd = -1;
    strvec_release(&view->lines);
    run_status_release(&view->status);
}

static int take_tombstone(struct runview *view, const struct json *tombstone,
                          struct error *err)
{
    const char *digest;
    const struct json *lines;
    if (json_get_string(tombstone, "tombstone", "spec", &digest, err) < 0 ||
        oid_from_hex(digest, &view->spec, err) < 0 ||
        json_get_array(tombstone, "tombstone", "journal", SIZE_MAX, &lines, err) < 0) {
        return -1;
    }
    for (const struct json *line = json_first(lines); line != NULL;
         line = json_next(line)) {
        const char *text = json_string(line);
        if (text == NULL) {
            return error_set(err, ERR_CORRUPT, "tombstone: a journal line is no string");
        }
        if (run_status_take(&view->status, text, strlen(text), err) < 0) {
            return -1;
        }
        strvec_push(&view->lines, text);
    }
    view->is_collected = json_is_string(json_get(tombstone, "collected"));
    return 0;
}

static int read_tombstone(struct runview *view, const struct noderoot *root,
                          const char *id, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("runs/%s.tombstone", id);
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, TOMBSTONE_SIZE_MAX);
    if (files_read(root->fd, path, &text, err) < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *tombstone = json_parse(text.data, text.length, err);
    if (tombstone == NULL || take_tombstone(view, tombstone, err) < 0) {
        return error_wrap(err, "read %s", path);
    }
    return 0;
}

static int read_run(struct runview *view, struct error *err)
{
    CLEANUP_FD int fd =
        openat(view->run_fd, "spec.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return error_sys(err, "open spec.json");
    }
    view->is_collected = rundir_is_collected(view->run_fd);
    return oid_of_fd(fd, &view->spec, err) < 0 ||
                   journal_read_more(view->run_fd, &view->journal_offset, &view->status,
                                     &view->lines, err) < 0
               ? -1
               : 0;
}

int runview_open(struct runview *view, const struct noderoot *root, const char *id,
                 struct error *err)
{
    if (!run_id_is_valid(id)) {
        return error_set(err, ERR_NOT_FOUND, "there is no run %.64s on this node", id);
    }
    struct error why = ERROR_INIT;
    view->run_fd = rundir_open(root, id, &why);
    if (view->run_fd >= 0) {
        if (read_run(view, &why) == 0) {
            return 0;
        }
    }
    /* Between the two it may have been removed. */
    if (why.code == ERR_NOT_FOUND) {
        mem_cleanup_fd(&view->run_fd);
        runview_release(view);
        runview_init(view);
        why = (struct error)ERROR_INIT;
        if (read_tombstone(view, root, id, &why) == 0) {
            return 0;
        }
    }
    if (why.code == ERR_NOT_FOUND) {
        return error_set(err, ERR_NOT_FOUND, "there is no run %s on this node", id);
    }
    if (err != NULL) {
        *err = why;
    }
    return error_wrap(err, "run %s", id);
}

struct json *runview_lines(const struct runview *view, size_t *first, size_t limit_bytes)
{
    struct json *lines = json_new_array();
    size_t bytes = 0;
    size_t at = *first;
    for (; at < view->lines.count; at++) {
        bytes += strlen(view->lines.items[at]);
        if (at > *first && bytes > limit_bytes) {
            break;
        }
        json_append(lines, json_new_string(view->lines.items[at]));
    }
    *first = at;
    return lines;
}
