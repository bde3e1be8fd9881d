/* livy_place, by WebHDFS. */
#include "controller/livy_place_inside.h"

static int hdfs_make_dir(const struct livy_place *place, const char *path,
                         struct error *err)
{
    if (webhdfs_make_dirs(&place->fs, path, 0755, err) == 0) {
        return 0;
    }
    return err == NULL || err->code != ERR_ACCESS
               ? error_result()
               : error_hint(err, "?user.name=NAME behind the address of --webhdfs says "
                                 "as whom, --base names another folder");
}

static int hdfs_put(const struct livy_place *place, const char *path, unsigned mode,
                    const char *file, struct error *err)
{
    return webhdfs_put_pieces(&place->fs, path, mode, file, err);
}

static int hdfs_rename(const struct livy_place *place, const char *from, const char *to,
                       struct error *err)
{
    struct error inner = ERROR_INIT;
    if (webhdfs_rename(&place->fs, from, to, &inner) == 0) {
        return 0;
    }
    if (inner.code != ERR_EXISTS) {
        return error_copy(err, &inner);
    }
    /* An older one of this attempt's own is in the way. */
    if (webhdfs_remove(&place->fs, to, err) < 0) {
        return -1;
    }
    return webhdfs_rename(&place->fs, from, to, err);
}

static int hdfs_settle(const struct livy_place *place, const char *from, const char *to,
                       struct error *err)
{
    return webhdfs_rename(&place->fs, from, to, err);
}

static int hdfs_look(const struct livy_place *place, const char *path, bool *out_is_there,
                     struct webhdfs_entry *out, struct error *err)
{
    return webhdfs_look(&place->fs, path, out_is_there, out, err);
}

static int hdfs_list(const struct livy_place *place, const char *path,
                     webhdfs_visit *visit, void *context, struct error *err)
{
    return webhdfs_list(&place->fs, path, visit, context, err);
}

static int hdfs_touch(const struct livy_place *place, const char *path, struct error *err)
{
    return webhdfs_touch(&place->fs, path, err);
}

static int hdfs_read(const struct livy_place *place, const char *path, uint64_t offset,
                     size_t length, struct strbuf *out, bool *out_is_there,
                     struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (webhdfs_read(&place->fs, path, offset, length, -1, &answer, out_is_there, err) <
        0) {
        return -1;
    }
    return *out_is_there ? strbuf_add(out, answer.body.data, answer.body.length, err) : 0;
}

static int hdfs_fetch(const struct livy_place *place, const char *path,
                      uint64_t max_bytes, int fd, bool *out_is_there, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    uint64_t size = 0;
    if (webhdfs_size(&place->fs, path, out_is_there, &size, err) < 0) {
        return -1;
    }
    if (*out_is_there && size > max_bytes) {
        return livy_place_too_long(path, size, err);
    }
    return *out_is_there && size > 0
               ? webhdfs_read(&place->fs, path, 0, size, fd, &answer, out_is_there, err)
               : 0;
}

static int hdfs_remove(const struct livy_place *place, const char *path,
                       struct error *err)
{
    return webhdfs_remove(&place->fs, path, err);
}

const struct livy_place_way livy_place_web = {.can_follow = true,
                                              .make_dir = hdfs_make_dir,
                                              .put = hdfs_put,
                                              .rename = hdfs_rename,
                                              .settle = hdfs_settle,
                                              .look = hdfs_look,
                                              .list = hdfs_list,
                                              .touch = hdfs_touch,
                                              .read = hdfs_read,
                                              .fetch = hdfs_fetch,
                                              .remove = hdfs_remove};
