/*
 * archive: a snapshot or a folder as one plain .tar, and back.            [content]
 *
 * For engines that take a project or an environment as an archive and unpack it where
 * their processes run. Entries stand in the order of a walk, folders before what is in
 * them, names by their bytes; owner 0; modes 0644 or 0755. The same content makes the
 * same bytes. Everything is streamed: one chunk is in memory at a time.
 *
 * A symbolic link is kept as such. One that leads out of what is archived (an absolute
 * one, or by "..") would lead elsewhere, or nowhere, where the archive is unpacked.
 */
#ifndef COMMON_ARCHIVE_H
#define COMMON_ARCHIVE_H

#include "common/object.h"
#include "common/tree.h"
#include "common/worktree.h"

struct archive_request {
    int out_fd; /* where the archive goes, from its position on */
    struct worktree_limits limits;
    /* Hear of a symbolic link that leads out. 0: it is left out; -1 with err: stop. NULL:
     * the archive fails with ERR_UNSUPPORTED, which names it. */
    int (*leads_out)(void *context, const char *path, const char *target,
                     struct error *err);
    /* Of a folder: false leaves this out, with all below it. NULL: all is wanted. */
    bool (*want)(void *context, const char *path, bool is_folder);
    /* Of a folder that works elsewhere too: its absolute path. Links by that path become
     * relative ones, and executable scripts that are started with a program of its bin/
     * find it where they are. NULL: all is kept as it is. Borrowed. */
    const char *home;
    void *context;
};

struct archive_facts {
    struct tree_totals totals; /* files (symbolic links counted) and their bytes */
    uint64_t archive_bytes;
};

/*
 * Write the snapshot root. Modification times are ARCHIVE_TIME_S. Errors: ERR_NOT_FOUND
 * (an object is missing), ERR_CORRUPT, ERR_LIMIT, ERR_UNSUPPORTED, ERR_NO_SPACE, ERR_IO.
 */
#define ARCHIVE_TIME_S                                                                   \
    INT64_C(946684800) /* 2000-01-01: tar doubts 1970, zip has none                      \
                        */
int archive_snapshot(const struct archive_request *request,
                     const struct object_source *source, const struct oid *root,
                     struct archive_facts *out, struct error *err);

/*
 * Write what is in the open folder dir_fd, without following symbolic links out of it.
 * Modification times are kept, in whole seconds: compiled Python files are believed by
 * them. Errors: as above; ERR_CHANGED (a file changed meanwhile), ERR_UNSUPPORTED also
 * for what is no file, folder or symbolic link.
 */
int archive_folder(const struct archive_request *request, int dir_fd,
                   struct archive_facts *out, struct error *err);

/*
 * Unpack the tar behind tar_fd's position into the open folder dir_fd. Every entry is
 * hostile until checked: paths are relative, without "..", folders are entered without
 * following a link, files made with O_EXCL and modes 0644 or 0755 (umask applies),
 * symbolic links made last and never followed; where a link leads is not judged.
 * Modification times are those of the archive. After an error what was written stays, for
 * the caller to remove. Errors: ERR_CORRUPT, ERR_UNSUPPORTED (a kind of entry),
 * ERR_LIMIT, ERR_EXISTS (a path twice, or there already), ERR_NO_SPACE, ERR_IO.
 */
int archive_unpack(int tar_fd, int dir_fd, const struct worktree_limits *limits,
                   struct archive_facts *out, struct error *err);

#endif
