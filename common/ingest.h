/*
 * ingest: a folder on disk becomes a tree of objects.            [content]
 *
 * The one reader of work trees: the controller's snapshots and the node's outputs both
 * come from here. It walks with open folders (O_NOFOLLOW, bounded depth, names as bytes),
 * reads what hooks do not know already, and never records content under a digest that it
 * does not have: a file that changed while it was read is read again, and after
 * INGEST_ATTEMPTS reported. Memory does not grow with file sizes.
 *
 * The hooks decide what is in (filter), spare the reading of unchanged files (lookup,
 * remember), hear of every file that could not be taken (problem), and take the objects
 * (put).
 */
#ifndef COMMON_INGEST_H
#define COMMON_INGEST_H

#include "common/object.h"
#include "common/tree.h"

#include <sys/stat.h>

#define INGEST_ATTEMPTS 3

enum ingest_problem {
    INGEST_UNREADABLE, /* open or read failed; err says why */
    INGEST_VANISHED,   /* listed, then gone */
    INGEST_CHANGING,   /* changed each time while it was read */
    INGEST_SPECIAL,    /* a device, socket or FIFO: left out */
    INGEST_OUTSIDE,    /* a symbolic link that leaves the folder: taken as it is, and
                          reported */
};

/* The names in a folder. */
struct ingest_names;
/* True where the folder has an entry of this name. */
bool ingest_names_has(const struct ingest_names *names, const char *name);

struct ingest_hooks {
    void *context;
    /* Called for every entry, folders before what is in them. path: from the top, no
     * leading slash; name: its end. False leaves it out, and a folder is then not
     * entered. NULL: everything is in. */
    bool (*filter)(void *context, int dir_fd, const char *path, const char *name,
                   bool is_folder);
    /* Before a folder's entries are looked at (dir_fd: the folder; names: what is in it,
     * so that nobody has to look for files that are not there), and after they were: for
     * ignore files. Return 0 to go on, 1 to leave the folder out after all (the top
     * folder stays), -1 to stop; leave is called after 0 alone. May be NULL. */
    int (*enter)(void *context, int dir_fd, const char *path,
                 const struct ingest_names *names, struct error *err);
    void (*leave)(void *context, const char *path);
    /* The same as lookup without a look at the disk, of an entry that the folder lists as
     * a file: its mode and size go into *st. May be NULL. */
    bool (*knows)(void *context, const char *path, struct stat *st, struct oid *out);
    /* The digest of an unchanged file, whose objects the sink has. May be NULL. */
    bool (*lookup)(void *context, const char *path, const struct stat *st,
                   struct oid *out);
    /* A file was read; st is its state before and after. May be NULL. */
    void (*remember)(void *context, const char *path, const struct stat *st,
                     const struct oid *oid);
    /* An entry is in the tree. May be NULL. Return -1 (with err) to stop. */
    int (*added)(void *context, const char *path, const struct tree_entry *entry,
                 struct error *err);
    /* err is NULL where there is nothing more to say. Return 0 to go on without the entry
     * (INGEST_OUTSIDE: with it), -1 to stop; whoever stops sets stop_err. */
    int (*problem)(void *context, const char *path, enum ingest_problem problem,
                   const struct error *err, struct error *stop_err);
    /*
     * Take an object. Content comes with the file's path and the offset of the body in
     * it; trees, lists and link targets come with path NULL. Putting one again is
     * success.
     */
    int (*put)(void *context, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, const char *path, uint64_t offset,
               struct error *err);
};

/*
 * Make the tree of the open folder dir_fd. *out names its root object, which was put like
 * all the others. Entries whose device differs from the folder's are taken like any
 * other.
 */
int ingest_folder(int dir_fd, const struct ingest_hooks *hooks, struct oid *out,
                  struct tree_totals *out_totals, struct error *err);

/* An ingest_hooks.put into the store that is its context (store.h). */
int ingest_put(void *store, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, const char *path, uint64_t offset,
               struct error *err);

/*
 * True where following target (the text of a symbolic link at path) leaves the top
 * folder, judged by the text alone: absolute, or more ".." than folders above it.
 */
bool ingest_link_leaves(const char *path, const char *target);

#endif
