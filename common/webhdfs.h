/*
 * webhdfs: files in a cluster's file system, over its REST interface.  [engine]
 *
 * WebHDFS, HttpFS and Knox speak it (Hadoop: WebHDFS REST API). The address is that of
 * the root, "http://namenode:9870/webhdfs/v1"; a query behind it, "?user.name=me", goes
 * with each call. Paths are absolute in that file system, "/user/me/.errand".
 *
 * A file is written and read on another server than the one that was asked, where the
 * answer points: credentials do not go there, the address that came carries what it
 * needs.
 *
 * Each call is what it names and is not repeated. Errors: http_perform's, ERR_LOGIN
 * (401), ERR_ACCESS (403), ERR_BUSY (502, 503, 504), ERR_PROTOCOL (all else, with what
 * the server said).
 */
#ifndef COMMON_WEBHDFS_H
#define COMMON_WEBHDFS_H

#include "common/http.h"

struct webhdfs {
    struct http *http;
    const char *url;
};

/* The home folder of whoever asks, "/user/me"; malloc'ed. NULL: err. */
char *webhdfs_home(const struct webhdfs *fs, struct error *err);
/* Make path and the folders above it, those that are not there with this mode. */
int webhdfs_make_dirs(const struct webhdfs *fs, const char *path, unsigned mode,
                      struct error *err);
/* Write a file of this machine, replacing what is there. mode: 0644 and the like. */
int webhdfs_put_file(const struct webhdfs *fs, const char *path, unsigned mode,
                     const char *file, struct error *err);
/*
 * The same of a large file, where a gateway may stand between: a data node answers "100
 * Continue" unasked before the body has come, and nginx takes that for the answer and
 * sends no more of the body than fits into a socket. So what is redirected to where it
 * was asked goes in pieces of this size, which are appended; a failure leaves some of
 * them.
 */
#define WEBHDFS_PIECE ((size_t)2 << 20)
int webhdfs_put_pieces(const struct webhdfs *fs, const char *path, unsigned mode,
                       const char *file, struct error *err);
/* Errors: ERR_EXISTS where it was not done, which is what a target that is there comes
 * to. */
int webhdfs_rename(const struct webhdfs *fs, const char *from, const char *to,
                   struct error *err);
struct webhdfs_entry {
    const char *name; /* in its folder; "" of one that was looked at by its path */
    bool is_folder;
    int64_t used_utc_ms; /* when it was last written or read, as far as the cluster keeps
                            that; 0: it does not say */
    uint64_t size_bytes; /* of a file that was closed; of one that is being written less
                          */
};
/* out is filled where it is there. */
int webhdfs_look(const struct webhdfs *fs, const char *path, bool *out_is_there,
                 struct webhdfs_entry *out, struct error *err);
int webhdfs_size(const struct webhdfs *fs, const char *path, bool *out_is_there,
                 uint64_t *out_size, struct error *err);
/* Visit what lies in a folder, which may not be there. */
typedef void webhdfs_visit(void *context, const struct webhdfs_entry *entry);
int webhdfs_list(const struct webhdfs *fs, const char *path, webhdfs_visit *visit,
                 void *context, struct error *err);
/* Say that a file is being used now, as a time of access: that of its last change is part
 * of how YARN knows it. Errors: also where the cluster keeps no such time. */
int webhdfs_touch(const struct webhdfs *fs, const char *path, struct error *err);
/* What lies from offset on, at most length bytes: into answer->body, or, where sink_fd is
 * not -1, there. Nothing where the file ends before offset. */
int webhdfs_read(const struct webhdfs *fs, const char *path, uint64_t offset,
                 uint64_t length, int sink_fd, struct http_response *answer,
                 bool *out_is_there, struct error *err);
/* With all below it; what is not there is success. */
int webhdfs_remove(const struct webhdfs *fs, const char *path, struct error *err);

#endif
