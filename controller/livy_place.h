/*
 * livy_place: the folder that a Livy's cluster and errand share.            [controller]
 *
 * A base folder, and names in it ("projects/3f2a.tar"). Three ways lead there, a row of a
 * table each: WebHDFS; this machine's own folder, where Livy runs on this machine or the
 * folder is mounted; and a command of the administrator's that copies a file either way.
 * A command can neither look nor follow: what it brings comes when the run has ended.
 *
 * Life: livy_place_init -> ... -> livy_place_release.
 */
#ifndef CONTROLLER_LIVY_PLACE_H
#define CONTROLLER_LIVY_PLACE_H

#include "common/runspec_spark.h"
#include "common/strvec.h"
#include "common/webhdfs.h"

struct livy_place_way;

struct livy_place {
    const struct livy_place_way *way;
    const struct runspec_livy *livy; /* borrowed */
    struct webhdfs fs;
    char *base; /* as the cluster names it: a URI, or an absolute path; no slash at its
                   end */
    char *path; /* of it, on this machine or in WebHDFS */
};

/* base: NULL: ".errand-livy" in the home folder of WebHDFS's user: not the folder of runs
 * that reach the same cluster by its nodes, which is for one account alone and whose runs
 * do not say here what they need. livy is borrowed, http too,
 * until the release. Errors: ERR_CONFIG (what is needed was not said), webhdfs_home's. */
int livy_place_init(struct livy_place *place, const struct runspec_livy *livy,
                    const char *base, struct http *http, struct error *err);
void livy_place_release(struct livy_place *place);

/* True where files can be looked at and read while they are written. */
bool livy_place_can_follow(const struct livy_place *place);

/* Begins the name of a file with which the folder is tried. */
#define LIVY_TRIAL ".try-"
/* In the name of what is half-way, behind that which it is to get. */
#define LIVY_HALF_MADE ".tmp-"

/* "BASE/name", malloc'ed. */
char *livy_place_uri(const struct livy_place *place, const char *name);
/* Make a folder, and those above it. */
int livy_place_make_dir(const struct livy_place *place, const char *name,
                        struct error *err);
/* Bring a file of this machine there: whole, or not at all. mode: 0644 or 0600. */
int livy_place_put(const struct livy_place *place, const char *name, unsigned mode,
                   const char *file, struct error *err);
/* The same of a file whose name says its content: one that is there already stays, with
 * its time, for YARN refuses a file that changed since another run named it. Errors:
 * ERR_CORRUPT (not all of it arrived). */
int livy_place_put_once(const struct livy_place *place, const char *name, unsigned mode,
                        const char *file, struct error *err);
/* *out_is_there: false where it is not, or nobody can look. out is filled where it is. */
int livy_place_look(const struct livy_place *place, const char *name, bool *out_is_there,
                    struct webhdfs_entry *out, struct error *err);
int livy_place_size(const struct livy_place *place, const char *name, bool *out_is_there,
                    uint64_t *out_size, struct error *err);
/* What lies in a folder, in no order. */
struct livy_listing {
    struct webhdfs_entry *entries;
    size_t count;
    struct strvec names; /* the entries' */
};
#define LIVY_LISTING_INIT                                                                \
    {                                                                                    \
        .names = STRVEC_INIT                                                             \
    }
void livy_listing_release(struct livy_listing *listing);
#define CLEANUP_LISTING __attribute__((cleanup(livy_listing_release)))
/* Append what lies there to out; a folder that is not there has nothing. "": the base.
 * Errors: also ERR_UNSUPPORTED (nobody can look). */
int livy_place_list(const struct livy_place *place, const char *name,
                    struct livy_listing *out, struct error *err);
/* Say that a file is being used now, as a time of access: that of its last change stays.
 * Errors: also where that is not kept there. */
int livy_place_touch(const struct livy_place *place, const char *name, struct error *err);
/* Give a file another name. Errors: ERR_EXISTS (it is taken, or, by WebHDFS, the file is
 * gone), ERR_NOT_FOUND,
 * ERR_UNSUPPORTED (nobody can). */
int livy_place_move(const struct livy_place *place, const char *from, const char *to,
                    struct error *err);
/* What time it is there, which is what the times of its files are told by. */
int livy_place_now(const struct livy_place *place, int64_t *out_utc_ms,
                   struct error *err);
/* Append at most length bytes from offset on to out, as far as there are any. */
int livy_place_read(const struct livy_place *place, const char *name, uint64_t offset,
                    size_t length, struct strbuf *out, bool *out_is_there,
                    struct error *err);
/* All of a file into the open file fd, from its position on. Errors: ERR_LIMIT (it has
 * more than max_bytes). */
int livy_place_fetch(const struct livy_place *place, const char *name, uint64_t max_bytes,
                     int fd, bool *out_is_there, struct error *err);
/* With all below it. */
int livy_place_remove(const struct livy_place *place, const char *name,
                      struct error *err);

#endif
