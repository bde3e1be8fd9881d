/*
 * files: folders, whole files, locks, and the one way of making a file visible. [base]
 *
 * Files that matter are written beside their target, synced, renamed, and the folder
 * synced (files_write_atomic): either the old or the new content is there, also after a
 * power cut. Folders are made 0700. Names are relative to an open folder (dir_fd, or
 * AT_FDCWD).
 */
#ifndef COMMON_FILES_H
#define COMMON_FILES_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Make path and the missing folders above it, each 0700; what exists is left as it is.
 * Errors: by errno. */
int files_make_dirs(const char *path, struct error *err);
/* Open a folder, close-on-exec, not following a symbolic link in the last component. */
int files_open_dir(int dir_fd, const char *path, struct error *err);
/* mkdirat 0700 if need be, then open. */
int files_open_or_make_dir(int dir_fd, const char *name, struct error *err);

/* Append the whole file to sb, up to sb's limit. Errors: ERR_NOT_FOUND, ERR_LIMIT, ERR_IO
 * ... */
int files_read(int dir_fd, const char *path, struct strbuf *sb, struct error *err);
/* The last bytes of a file, at most size, of which those from start on count. Returns how
 * many; 0: none, or it cannot be read. */
size_t files_read_tail(int dir_fd, const char *name, uint64_t start, void *out,
                       size_t size);

/*
 * Replace or make path with exactly these bytes: temporary file in the same folder,
 * write, fsync, rename, fsync of the folder. mode counts whatever the umask. After a
 * failure the old file is untouched and nothing is left over; only where the folder's
 * sync failed the new file is in place, and a power cut may take it back. Who is killed
 * half-way leaves a file whose name begins with FILES_TEMPORARY_PREFIX.
 */
#define FILES_TEMPORARY_PREFIX ".tmp-"
int files_write_atomic(int dir_fd, const char *path, const void *data, size_t length,
                       mode_t mode, struct error *err);
/* As files_write_atomic, but fails with ERR_EXISTS where path is there already
 * (files_rename_noreplace). */
int files_create_atomic(int dir_fd, const char *path, const void *data, size_t length,
                        mode_t mode, struct error *err);

/*
 * files_write_atomic in two steps, so that what several files wait for is waited for
 * together: beside its target the file is on its way to the disk after the first; the
 * second waits for that, puts it in place, and syncs the folder. Between the two, or
 * after a failure of the first, nothing is to be seen. path: borrowed for the call.
 */
struct files_aside {
    int folder_fd, fd;
    char *temporary, *path;
};
int files_aside_write(struct files_aside *aside, int dir_fd, const char *path,
                      const void *data, size_t length, mode_t mode, struct error *err);
/* What it took is freed in any case. */
int files_aside_commit(struct files_aside *aside, struct error *err);
/* Leave nothing over. One that was committed is ignored. */
void files_aside_drop(struct files_aside *aside);

/* Begin to write a file's data to the disk without waiting for it, so that the syncs of
 * several files wait together. Only a sync promises anything. */
void files_start_sync(int fd);
/* fsync of an open folder; a filesystem that cannot sync folders counts as synced. */
int files_sync_dir(int dir_fd, struct error *err);
/* syncfs of the filesystem that holds fd. */
int files_sync_filesystem(int fd, struct error *err);
/* rename old to new where new must not exist (renameat2, else link and unlink for files,
 * else, on filesystems without links and for folders, rename after a look). Errors:
 * ERR_EXISTS, else by errno. */
int files_rename_noreplace(int old_dir_fd, const char *old_name, int new_dir_fd,
                           const char *new_name, struct error *err);

/*
 * Remove name and everything below it without following symbolic links or entering mount
 * points, however deep, folders without permission included. What is not there is
 * success. Bounded memory and descriptors. Goes on after a failure and reports the first
 * one; folders that lay very deep may then lie at the tree's top. Errors: by errno.
 */
int files_remove_tree(int dir_fd, const char *name, struct error *err);
/* Bytes (st_blocks * 512) used by name and everything below it, mount points not entered,
 * however deep; a file with several names counts with its share in each. What goes away
 * meanwhile is not counted. Errors: by errno. */
int files_disk_usage(int dir_fd, const char *name, uint64_t *out_bytes,
                     struct error *err);

/*
 * Open (making it 0600 if need be) and flock a file. is_exclusive or shared; timeout_ms
 * 0: do not wait, -1: wait for ever. Returns the descriptor; closing it releases the
 * lock. A file that was unlinked while we waited is opened anew. Errors: ERR_BUSY.
 */
int files_lock(int dir_fd, const char *path, bool is_exclusive, int timeout_ms,
               struct error *err);

/* Free bytes for us on the filesystem of path. */
int files_free_bytes(const char *path, uint64_t *out_bytes, struct error *err);
/* True for NFS, CIFS, Lustre, FUSE and the like (statfs f_type), where locks and inotify
 * may not work across machines. */
bool files_is_network(const char *path);

/* "dir/name", one slash between; name alone where dir is "" and name itself where it is
 * absolute. malloc'ed. */
char *files_join(const char *dir, const char *name);
/* "1.4 GB", "35 KB", "812 bytes"; decimal units, cut and not rounded. out has
 * FILES_SIZE_TEXT bytes. */
#define FILES_SIZE_TEXT 32
void files_format_size(char out[FILES_SIZE_TEXT], uint64_t size_bytes);
/* "512", "64K", "10M", "2G", with optional i, then B; up to E, 1K = 1000, 1Ki = 1024.
 * Errors: ERR_USAGE. */
int files_parse_size(const char *text, uint64_t *out_bytes, struct error *err);

#endif
