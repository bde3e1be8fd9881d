/*
 * clusterfs: files in a cluster's file system.            [executor]
 *
 * By whatever reaches it from this node: WebHDFS where the NameNode's address is known
 * (20 ms a call), else Hadoop's own FsShell, which knows every file system that the
 * cluster knows (hdfs, wasb, abfs, s3a; a Java VM, one to three seconds a call), and
 * file: paths by the system itself.
 *
 * What is put appears whole or not at all, is never overwritten, and has the size of its
 * source. Addresses are whole URIs, "hdfs://nn:9000/user/me/.errand/x.tar".
 *
 * All calls block; they end with ERR_CANCELED once the programs' stop descriptor is
 * readable, and with ERR_TIMED_OUT. Errors else: ERR_ACCESS, ERR_LOGIN, ERR_CONNECT,
 * ERR_BUSY (safe mode), ERR_NO_SPACE, ERR_SPAWN: sentences for the user, with what to do.
 */
#ifndef EXECUTOR_CLUSTERFS_H
#define EXECUTOR_CLUSTERFS_H

#include "common/http.h"
#include "common/strvec.h"
#include "executor/environment_program.h"

#include <stdbool.h>
#include <stdint.h>

/* How it is reached. The caller fills it after clusterfs_init; what is filled in is
 * owned. */
struct clusterfs {
    struct programs *programs; /* borrowed; runs what is run, and says what goes on */
    struct strvec shell;       /* the words that start FsShell: "hadoop", "fs"; or none */
    struct strvec variables;   /* that it needs, "K=V" */
    struct strvec web;         /* "http://namenode:9870": the NameNodes, or none */
    char *web_fs;              /* the file system that is theirs: "hdfs://nn:9000" */
    char *user;                /* who we are there */
    char *curl;                /* the node's curl program, with web */
    struct http *http;         /* by it; made when it is first needed */
    char *base; /* our folder there, a URI without a slash at its end; NULL: not known */
};
/* A file's name, and when it was last written or read, as far as that is known (UTC). */
typedef void clusterfs_visit(void *context, const char *name, int64_t used_utc_ms);
void clusterfs_init(struct clusterfs *fs, struct programs *programs);
void clusterfs_release(struct clusterfs *fs);
#define CLEANUP_CLUSTERFS __attribute__((cleanup(clusterfs_release)))

/*
 * Keep how it is reached in the open folder, as file `reach`, for who comes later and
 * knows nothing of the run (janitor). Errors: by errno.
 */
int clusterfs_write_reach(const struct clusterfs *fs, int dir_fd, struct error *err);
/* fs was initialised. Errors: ERR_NOT_FOUND, ERR_CORRUPT. */
int clusterfs_read_reach(struct clusterfs *fs, int dir_fd, struct error *err);
#define CLUSTERFS_REACH_FILE "reach"

/* True where a call to this address starts no Java VM. */
bool clusterfs_is_quick(struct clusterfs *fs, const char *uri);
/* *out_size: of a file that is there. */
int clusterfs_size(struct clusterfs *fs, const char *uri, bool *out_is_there,
                   uint64_t *out_size, struct error *err);
/*
 * Put a file of this node, making the folders above it. In the cluster all of it is for
 * its user alone (0700, 0600; below file: 0755, 0644, where others work for the cluster).
 * mark: a word of the caller's own for what is half-way, unique among all who may put
 * the same. 1: it was sent; 0: it was there already; -1: err, and nothing is there.
 */
int clusterfs_put(struct clusterfs *fs, const char *path, const char *uri,
                  const char *mark, struct error *err);
/* Fetch a file into path, which must not exist; of more than max_bytes nothing. Errors:
 * also ERR_NOT_FOUND, ERR_LIMIT, ERR_EXISTS; then there is no path. */
int clusterfs_get(struct clusterfs *fs, const char *uri, const char *path,
                  uint64_t max_bytes, struct error *err);
/* Visit what lies in a folder, which may not be there. */
int clusterfs_list(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                   void *context, struct error *err);
/* Leave word for other nodes that a file is used now, where that costs little and the
 * cluster keeps it: as a time of access, which is at most as old as clusterfs_list says.
 */
void clusterfs_touch(struct clusterfs *fs, const char *uri);
/* Remove it with all below it; what is not there is success. */
int clusterfs_remove(struct clusterfs *fs, const char *uri, struct error *err);
/* The same with many, which are of one file system: with one Java VM. */
int clusterfs_remove_all(struct clusterfs *fs, const struct strvec *uris,
                         struct error *err);

#endif
