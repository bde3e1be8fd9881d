#include "common/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/archive_inside.h"
#include "common/dirstack.h"
#include "common/fdio.h"
#include "common/strvec.h"

#define READ_SIZE ((size_t)256 << 10)
#define HEAD_SIZE 1024 /* of a script, where its interpreter stands */

struct folder_walk {
    struct archiving archiving;
    struct dirstack *folders;
    char *buffer;
    char path[TREE_PATH_MAX];   /* of the current entry */
    char target[TREE_PATH_MAX]; /* of the current link */
    struct strbuf moved;        /* what becomes of a link, or of a script's head */
};

static int walk_folder(struct folder_walk *w, struct error *err);

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the current folder, in order. */
static int list_names(struct folder_walk *w, struct strvec *out, struct error *err)
{
    int dir_fd = dirstack_fd(w->folders, err);
    CLEANUP_FD int fd = dir_fd < 0 ? -1 : openat(dir_fd, ".", O_RDONLY | O_CLOEXEC);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        return dir_fd < 0 ? -1 : error_sys(err, "open the folder");
    }
    (void)take_fd(&fd);
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            strvec_push(out, entry->d_name);
        }
    }
    if (errno != 0) {
        return error_sys(err, "read the folder");
    }
    if (out->count > 1) {
        qsort(out->items, out->count, sizeof(*out->items), compare_names);
    }
    return 0;
}

static int set_path(struct folder_walk *w, const char *name, struct error *err)
{
    const char *folder = dirstack_path(w->folders);
    int length = snprintf(w->path, sizeof(w->path), "%s%s%s", folder,
                          folder[0] != '\0' ? "/" : "", name);

    return length >= (int)sizeof(w->path)
               ? error_set(err, ERR_LIMIT, "the path is longer than %d bytes",
                           TREE_PATH_MAX - 1)
               : 0;
}

/* Exactly the bytes that the entry has promised. */
static int copy_bytes(struct folder_walk *w, int fd, uint64_t size_bytes,
                      struct error *err)
{
    while (size_bytes > 0) {
        size_t want = size_bytes < READ_SIZE ? (size_t)size_bytes : READ_SIZE;
        ssize_t got = fdio_read_full(fd, w->buffer, want);
        if (got < 0) {
            return error_sys(err, "read");
        }
        if (got == 0) {
            return error_set(err, ERR_CHANGED, "it was cut while it was read");
        }
        if (tar_writer_data(w->archiving.tar, w->buffer, (size_t)got, err) < 0) {
            return -1;
        }
        size_bytes -= (uint64_t)got;
    }
    return 0;
}

/* How many bytes of the file w->moved stands for; the rest is read next. */
static int move_head(struct folder_walk *w, int fd, enum tree_kind kind, size_t *out,
                     struct error *err)
{
    const char *home = w->archiving.request->home;
    char head[HEAD_SIZE + 1];
    strbuf_reset(&w->moved);
    *out = 0;
    if (home == NULL || kind != TREE_EXECUTABLE) {
        return 0;
    }
    ssize_t got = fdio_pread_full(fd, head, HEAD_SIZE, 0);
    head[got > 0 ? got : 0] = '\0';
    *out = archive_move_head(home, head, &w->moved);
    return got < 0 || lseek(fd, (off_t)*out, SEEK_SET) < 0 ? error_sys(err, "read") : 0;
}

static int add_file(struct folder_walk *w, int dir_fd, const char *name,
                    struct error *err)
{
    struct stat st;
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &st) < 0) {
        return error_sys(err, "open");
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERR_CHANGED, "it is no file any more");
    }
    enum tree_kind kind = (st.st_mode & S_IXUSR) != 0 ? TREE_EXECUTABLE : TREE_FILE;
    size_t moved;
    if (move_head(w, fd, kind, &moved, err) < 0) {
        return -1;
    }
    if ((uint64_t)st.st_size < moved) {
        return error_set(err, ERR_CHANGED, "it was changed while it was read");
    }
    uint64_t rest = (uint64_t)st.st_size - moved;
    return archiving_add(&w->archiving, kind, w->path, w->moved.length + rest,
                         st.st_mtim.tv_sec, err) < 0 ||
                   tar_writer_data(w->archiving.tar, w->moved.data, w->moved.length,
                                   err) < 0
               ? -1
               : copy_bytes(w, fd, rest, err);
}

static int add_link(struct folder_walk *w, int dir_fd, const char *name, int64_t mtime_s,
                    struct error *err)
{
    ssize_t length = readlinkat(dir_fd, name, w->target, sizeof(w->target));

    if (length < 0) {
        return error_sys(err, "read the link");
    }
    if (length >= (ssize_t)sizeof(w->target)) {
        return error_set(err, ERR_LIMIT, "its target is longer than %d bytes",
                         TREE_SYMLINK_MAX);
    }
    w->target[length] = '\0';
    const char *home = w->archiving.request->home;
    if (home != NULL) {
        archive_move_link(home, w->path, w->target, &w->moved);
    }
    return archiving_add_link(&w->archiving, w->path,
                              home != NULL ? w->moved.data : w->target, mtime_s, err);
}

static int enter_folder(struct folder_walk *w, const char *name, int64_t mtime_s,
                        struct error *err)
{
    if (archiving_add(&w->archiving, TREE_FOLDER, w->path, 0, mtime_s, err) < 0 ||
        dirstack_push(w->folders, name, err) < 0) {
        return -1;
    }
    int result = walk_folder(w, err);
    dirstack_pop(w->folders);
    return result;
}

static bool is_wanted(const struct folder_walk *w, const struct stat *st)
{
    const struct archive_request *request = w->archiving.request;

    return request->want == NULL ||
           request->want(request->context, w->path, S_ISDIR(st->st_mode));
}

static int add_entry(struct folder_walk *w, const char *name, struct error *err)
{
    struct stat st;
    int dir_fd = dirstack_fd(w->folders, err);

    if (dir_fd < 0 || set_path(w, name, err) < 0) {
        return -1;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return error_sys(err, "look at %.300s", w->path);
    }
    if (!is_wanted(w, &st)) {
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        return enter_folder(w, name, st.st_mtim.tv_sec, err);
    }
    int result = -1;
    if (S_ISLNK(st.st_mode)) {
        result = add_link(w, dir_fd, name, st.st_mtim.tv_sec, err);
    } else if (S_ISREG(st.st_mode)) {
        result = add_file(w, dir_fd, name, err);
    } else {
        error_set(err, ERR_UNSUPPORTED, "it is no file, folder or symbolic link");
    }
    return result < 0 ? error_wrap(err, "archive %.300s", w->path) : 0;
}

/* Recurses at most TREE_DEPTH_MAX deep. */
static int walk_folder(struct folder_walk *w, struct error *err)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;

    if (list_names(w, &names, err) < 0) {
        return error_wrap(err, "archive %.300s", dirstack_path(w->folders));
    }
    for (size_t i = 0; i < names.count; i++) {
        if (add_entry(w, names.items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int archive_folder(const struct archive_request *request, int dir_fd,
                   struct archive_facts *out, struct error *err)
{
    CLEANUP(dirstack_cleanup) struct dirstack *folders = dirstack_new(dir_fd);
    CLEANUP_FREE char *buffer = xmalloc(READ_SIZE);
    CLEANUP_FREE struct folder_walk *w = xcalloc(1, sizeof(*w));
    struct archiving *a CLEANUP(archiving_cleanup) = &w->archiving;

    w->folders = folders;
    w->buffer = buffer;
    strbuf_init(&w->moved, (size_t)64 << 10);
    int result = archiving_begin(a, request, err) < 0 || walk_folder(w, err) < 0 ||
                         archiving_finish(a, out, err) < 0
                     ? -1
                     : 0;
    strbuf_release(&w->moved);
    return result;
}
