#include "executor/clusterfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/webhdfs.h"
#include "executor/clusterfs_inside.h"
#include "executor/http_curl.h"

/*
 * WebHDFS. Of several NameNodes one is active, and the others say so
 * (StandbyException); which one may change at any time.
 */

/* The path of an address that WebHDFS serves. Borrowed from it; NULL: it does not. */
static const char *path_of(const struct clusterfs *fs, const char *uri)
{
    size_t length = fs->web_fs != NULL ? strlen(fs->web_fs) : 0;
    while (length > 0 && fs->web_fs[length - 1] == '/') {
        length--;
    }
    return length > 0 && strncmp(uri, fs->web_fs, length) == 0 && uri[length] == '/'
               ? uri + length
               : NULL;
}

bool clusterfs_web_serves(const struct clusterfs *fs, const char *uri)
{
    return fs->curl != NULL && fs->web.count > 0 && path_of(fs, uri) != NULL;
}

/* What is done with each NameNode until one does it. */
typedef int web_call(const struct webhdfs *web, void *context, struct error *err);

static bool is_standby(const struct error *why)
{
    return why->code == ERR_CONNECT || strstr(why->text, "StandbyException") != NULL ||
           /* "Operation category WRITE is not supported in state standby" */
           strstr(why->text, "Operation category") != NULL;
}

static int call(struct clusterfs *fs, web_call *what, void *context, struct error *err)
{
    CLEANUP_STRBUF struct strbuf user = STRBUF_INIT;
    struct error why = ERROR_INIT;
    int result = -1;
    http_put_component(&user, fs->user != NULL ? fs->user : "");
    if (fs->http == NULL) {
        fs->http = http_curl_new(fs->curl, NULL);
    }
    fs->http->stop_fd = programs_stop_fd(fs->programs);
    for (size_t i = 0; i < fs->web.count; i++) {
        CLEANUP_FREE char *url =
            xasprintf("%s/webhdfs/v1?user.name=%s", fs->web.items[i], user.data);
        const struct webhdfs web = {.http = fs->http, .url = url};
        result = what(&web, context, &why);
        if (result >= 0 || !is_standby(&why)) {
            break;
        }
    }
    if (result < 0) {
        (void)clusterfs_improve(&why);
        if (err != NULL) {
            *err = why;
        }
        return error_result();
    }
    return result;
}

/* ---- The calls */

struct ask {
    const char *path;   /* in the cluster */
    const char *aside;  /* in the cluster, for what is half-way */
    const char *folder; /* of path */
    clusterfs_visit *visit;
    void *context;
    const char *file; /* here */
    uint64_t size_bytes;
    bool is_there;
    int sink_fd;
};

static int ask_size(const struct webhdfs *web, void *context, struct error *err)
{
    struct ask *ask = context;
    return webhdfs_size(web, ask->path, &ask->is_there, &ask->size_bytes, err);
}

static int web_size(struct clusterfs *fs, const char *uri, bool *out_is_there,
                    uint64_t *out_size, struct error *err)
{
    struct ask ask = {.path = path_of(fs, uri)};
    if (call(fs, ask_size, &ask, err) < 0) {
        return -1;
    }
    *out_is_there = ask.is_there;
    *out_size = ask.size_bytes;
    return 0;
}

/* What lies aside has the right size. */
static int check_aside(const struct webhdfs *web, const struct ask *ask,
                       struct error *err)
{
    bool is_there = false;
    uint64_t found = 0;
    if (webhdfs_size(web, ask->aside, &is_there, &found, err) < 0) {
        return -1;
    }
    return is_there && found == ask->size_bytes
               ? 0
               : error_set(err, ERR_CORRUPT, "%.300s arrived with %llu bytes of %llu",
                           ask->path, (unsigned long long)found,
                           (unsigned long long)ask->size_bytes);
}

static int ask_put(const struct webhdfs *web, void *context, struct error *err)
{
    const struct ask *ask = context;
    struct error why = ERROR_INIT;
    if (webhdfs_make_dirs(web, ask->folder, 0700, err) < 0) {
        return -1;
    }
    if (webhdfs_put_file(web, ask->aside, 0600, ask->file, &why) == 0 &&
        check_aside(web, ask, &why) == 0 &&
        webhdfs_rename(web, ask->aside, ask->path, &why) == 0) {
        return 1;
    }
    (void)webhdfs_remove(web, ask->aside, NULL);
    if (why.code == ERR_EXISTS) {
        return 0;
    }
    if (err != NULL) {
        *err = why;
    }
    return error_result();
}

static int web_put(struct clusterfs *fs, const char *path, uint64_t size_bytes,
                   const char *uri, const char *mark, struct error *err)
{
    const char *target = path_of(fs, uri);
    CLEANUP_FREE char *aside = clusterfs_aside(target, mark);
    CLEANUP_FREE char *folder = clusterfs_folder_of(target);
    struct ask ask = {.path = target,
                      .aside = aside,
                      .folder = folder,
                      .file = path,
                      .size_bytes = size_bytes};
    return call(fs, ask_put, &ask, err);
}

static int ask_read(const struct webhdfs *web, void *context, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct ask *ask = context;
    if (ftruncate(ask->sink_fd, 0) < 0 || lseek(ask->sink_fd, 0, SEEK_SET) < 0) {
        return error_sys(err, "%.300s", ask->file);
    }
    return webhdfs_read(web, ask->path, 0, ask->size_bytes, ask->sink_fd, &answer,
                        &ask->is_there, err);
}

/* All of the file, whose size is known, into the new file. */
static int fill(struct clusterfs *fs, const char *uri, struct ask *ask, struct error *err)
{
    struct stat st;
    if (call(fs, ask_read, ask, err) < 0) {
        return -1;
    }
    if (fstat(ask->sink_fd, &st) < 0) {
        return error_sys(err, "%.300s", ask->file);
    }
    return (uint64_t)st.st_size == ask->size_bytes
               ? 0
               : error_set(err, ERR_CORRUPT, "%.300s came with %lld bytes of %llu", uri,
                           (long long)st.st_size, (unsigned long long)ask->size_bytes);
}

static int web_get(struct clusterfs *fs, const char *uri, const char *path,
                   uint64_t max_bytes, struct error *err)
{
    struct ask ask = {.path = path_of(fs, uri), .file = path};
    if (call(fs, ask_size, &ask, err) < 0) {
        return -1;
    }
    if (clusterfs_check_size(uri, ask.is_there, ask.size_bytes, max_bytes, err) < 0) {
        return -1;
    }
    CLEANUP_FD int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_sys(err, "%.300s", path);
    }
    ask.sink_fd = fd;
    int result = fill(fs, uri, &ask, err);
    if (result < 0) {
        (void)unlink(path);
    }
    return result;
}

static void visit_entry(void *context, const struct webhdfs_entry *entry)
{
    const struct ask *ask = context;
    ask->visit(ask->context, entry->name, entry->used_utc_ms);
}

static int ask_list(const struct webhdfs *web, void *context, struct error *err)
{
    struct ask *ask = context;
    return webhdfs_list(web, ask->path, visit_entry, ask, err);
}

static int web_list(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                    void *context, struct error *err)
{
    struct ask ask = {.path = path_of(fs, uri), .visit = visit, .context = context};
    return call(fs, ask_list, &ask, err);
}

static int ask_touch(const struct webhdfs *web, void *context, struct error *err)
{
    const struct ask *ask = context;
    return webhdfs_touch(web, ask->path, err);
}

static void web_touch(struct clusterfs *fs, const char *uri)
{
    struct ask ask = {.path = path_of(fs, uri)};
    (void)call(fs, ask_touch, &ask, NULL);
}

static int ask_remove(const struct webhdfs *web, void *context, struct error *err)
{
    const struct ask *ask = context;
    return webhdfs_remove(web, ask->path, err);
}

static int web_remove(struct clusterfs *fs, const struct strvec *uris, struct error *err)
{
    for (size_t i = 0; i < uris->count; i++) {
        struct ask ask = {.path = path_of(fs, uris->items[i])};
        if (call(fs, ask_remove, &ask, err) < 0) {
            return -1;
        }
    }
    return 0;
}

const struct clusterfs_way clusterfs_web = {.is_quick = true,
                                            .size = web_size,
                                            .put = web_put,
                                            .get = web_get,
                                            .list = web_list,
                                            .touch = web_touch,
                                            .remove = web_remove};
