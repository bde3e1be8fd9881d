/* livy_place_inside: the ways to the folder, for livy_place*.c alone.    [controller] */
#ifndef CONTROLLER_LIVY_PLACE_INSIDE_H
#define CONTROLLER_LIVY_PLACE_INSIDE_H

#include "controller/livy_place.h"

/* The calls are livy_place.h's of the same name, with paths in that file system. */
struct livy_place_way {
    bool can_follow;
    int (*make_dir)(const struct livy_place *, const char *path, struct error *);
    int (*put)(const struct livy_place *, const char *path, unsigned mode,
               const char *file, struct error *);
    int (*rename)(const struct livy_place *, const char *from, const char *to,
                  struct error *);
    /* As rename, but what is there stays: ERR_EXISTS. */
    int (*settle)(const struct livy_place *, const char *from, const char *to,
                  struct error *);
    int (*look)(const struct livy_place *, const char *path, bool *,
                struct webhdfs_entry *, struct error *);
    int (*list)(const struct livy_place *, const char *path, webhdfs_visit *, void *,
                struct error *);
    int (*touch)(const struct livy_place *, const char *path, struct error *);
    int (*read)(const struct livy_place *, const char *path, uint64_t offset,
                size_t length, struct strbuf *, bool *, struct error *);
    int (*fetch)(const struct livy_place *, const char *path, uint64_t max_bytes, int fd,
                 bool *, struct error *);
    int (*remove)(const struct livy_place *, const char *path, struct error *);
};

extern const struct livy_place_way livy_place_web;     /* WebHDFS */
extern const struct livy_place_way livy_place_local;   /* a folder of this machine */
extern const struct livy_place_way livy_place_command; /* a command that copies */

/* There is no room here for a file of this size. Returns -1. */
int livy_place_too_long(const char *path, uint64_t size, struct error *err);
/* Append `length` bytes at most of an open file of this machine, from offset on. path: as
 * below. */
int livy_place_read_part(int in, const char *path, uint64_t offset, size_t length,
                         struct strbuf *out, struct error *err);
/* Copy an open file of this machine, as long as it is now, to fd. path: its name, for
 * errors. Errors: ERR_LIMIT. */
int livy_place_copy_whole(int in, const char *path, uint64_t max_bytes, int fd,
                          struct error *err);

#endif
