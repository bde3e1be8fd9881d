/*
 * clusterfs_inside: the ways to a cluster's file system; for clusterfs.c alone.
 * [executor]
 */
#ifndef EXECUTOR_CLUSTERFS_INSIDE_H
#define EXECUTOR_CLUSTERFS_INSIDE_H

#include "executor/clusterfs.h"

/* One way. The calls are clusterfs.h's of the same name; put has the source's size. */
struct clusterfs_way {
    bool is_quick;
    int (*size)(struct clusterfs *fs, const char *uri, bool *out_is_there,
                uint64_t *out_size, struct error *err);
    int (*put)(struct clusterfs *fs, const char *path, uint64_t size_bytes,
               const char *uri, const char *mark, struct error *err);
    int (*get)(struct clusterfs *fs, const char *uri, const char *path,
               uint64_t max_bytes, struct error *err);
    int (*list)(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                void *context, struct error *err);
    int (*remove)(struct clusterfs *fs, const struct strvec *uris, struct error *err);
    void (*touch)(struct clusterfs *fs, const char *uri); /* NULL: it costs too much */
};

extern const struct clusterfs_way clusterfs_shell; /* FsShell */
extern const struct clusterfs_way clusterfs_web;   /* WebHDFS */
extern const struct clusterfs_way clusterfs_file;  /* file: */

/* "URI's folder": all before its last slash; malloc'ed. */
char *clusterfs_folder_of(const char *uri);
/* ".tmp.MARK.NAME" beside uri; malloc'ed. */
char *clusterfs_aside(const char *uri, const char *mark);
/* May it be fetched? Errors: ERR_NOT_FOUND, ERR_LIMIT. */
int clusterfs_check_size(const char *uri, bool is_there, uint64_t size_bytes,
                         uint64_t max_bytes, struct error *err);
/* The path of a file: address; else NULL. Borrowed from it. */
const char *clusterfs_local_path(const char *uri);
/* True where WebHDFS gets there. */
bool clusterfs_web_serves(const struct clusterfs *fs, const char *uri);
/* Let err say what its text means, where somebody knows; true then. */
bool clusterfs_improve(struct error *err);
/* What a cluster's words mean. Returns -1. */
int clusterfs_explain(const char *uri, const char *words, struct error *err);

#endif
