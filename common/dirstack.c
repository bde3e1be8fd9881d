#include "common/dirstack.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct folder {
    int fd; /* -1: closed for now */
    size_t path_length;
    dev_t device; /* and inode: known once it was closed */
    ino_t inode;
};

struct dirstack {
    size_t depth; /* of the current folder; folders[0] is the top */
    struct folder folders[TREE_DEPTH_MAX + 1];
    char path[TREE_PATH_MAX];
};

struct dirstack *dirstack_new(int top_fd)
{
    struct dirstack *ds = xmalloc(sizeof(*ds));

    ds->depth = 0;
    ds->folders[0] = (struct folder){.fd = top_fd};
    ds->path[0] = '\0';
    return ds;
}

void dirstack_free(struct dirstack *ds)
{
    if (ds) {
        while (ds->depth > 0) {
            dirstack_pop(ds);
        }
        free(ds);
    }
}

/* Close a folder so that it can be recognised later. Where that fails it stays open. */
static void close_for_now(struct folder *folder)
{
    struct stat st;

    if (folder->fd >= 0 && fstat(folder->fd, &st) == 0) {
        folder->device = st.st_dev;
        folder->inode = st.st_ino;
        fdio_close(&folder->fd);
    }
}

int dirstack_push(struct dirstack *ds, const char *name, struct error *err)
{
    struct folder *above = &ds->folders[ds->depth];
    size_t slash = above->path_length > 0;
    size_t length = strlen(name);
    int fd = dirstack_fd(ds, err);

    if (fd < 0) {
        return -1;
    }
    if (ds->depth == TREE_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, "more than %d folders deep", TREE_DEPTH_MAX);
    }
    if (above->path_length + slash + length >= sizeof(ds->path)) {
        return error_set(err, ERR_LIMIT, "a path of more than %d bytes",
                         TREE_PATH_MAX - 1);
    }
    fd = openat(fd, name, OPEN_FLAGS);
    if (fd < 0) {
        return error_sys(err, "open folder %s", name);
    }
    ds->path[above->path_length] = '/';
    memcpy(ds->path + above->path_length + slash, name, length + 1);
    ds->depth++;
    ds->folders[ds->depth] =
        (struct folder){.fd = fd, .path_length = above->path_length + slash + length};
    if (ds->depth > DIRSTACK_OPEN_MAX) {
        close_for_now(&ds->folders[ds->depth - DIRSTACK_OPEN_MAX]);
    }
    return 0;
}

void dirstack_pop(struct dirstack *ds)
{
    assert(ds->depth > 0);
    fdio_close(&ds->folders[ds->depth].fd);
    ds->depth--;
    ds->path[ds->folders[ds->depth].path_length] = '\0';
}

/* Open the current folder again: a component at a time, from the nearest open one above
 * it. */
static int reopen(const struct dirstack *ds)
{
    CLEANUP_FD int held = -1;
    size_t i = ds->depth;

    while (ds->folders[i].fd < 0) {
        i--;
    }
    for (int from = ds->folders[i].fd; i < ds->depth; i++) {
        size_t start = ds->folders[i].path_length;
        size_t end = ds->folders[i + 1].path_length;
        char name[TREE_NAME_MAX + 1];
        int fd;

        start += start > 0;
        if (end - start > TREE_NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, ds->path + start, end - start);
        name[end - start] = '\0';
        fd = openat(from, name, OPEN_FLAGS);
        fdio_close(&held);
        held = fd;
        if (fd < 0) {
            return -1;
        }
        from = fd;
    }
    return take_fd(&held);
}

int dirstack_fd(struct dirstack *ds, struct error *err)
{
    struct folder *folder = &ds->folders[ds->depth];
    CLEANUP_FD int fd = -1;
    struct stat st;

    if (folder->fd >= 0) {
        return folder->fd;
    }
    fd = reopen(ds);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return error_sys(err, "open folder %s again", ds->path);
    }
    if (st.st_dev != folder->device || st.st_ino != folder->inode) {
        return error_set(err, ERR_CHANGED, "folder %s is not where it was", ds->path);
    }
    folder->fd = take_fd(&fd);
    return folder->fd;
}

const char *dirstack_path(const struct dirstack *ds)
{
    return ds->path;
}
