#include "common/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/tar.h"

#define READ_SIZE ((size_t)256 << 10)
/* What is remembered of symbolic links until the end. */
#define LINKS_MAX ((size_t)32 << 20)
/* An archive of empty folders has neither files nor bytes to limit it by. */
#define FOLDERS_MAX ((uint64_t)4 << 20)

struct unpacking {
    struct tar_reader *tar;
    int dir_fd;
    const struct worktree_limits *limits;
    struct archive_facts *facts;
    uint64_t folders;
    struct strbuf links; /* path NUL target NUL, one after the other */
    char *buffer;
};

/* A path's last component, and the open folder that it is in. */
struct place {
    int fd;
    char name[TREE_NAME_MAX + 1];
};

static bool is_component(const char *name, size_t length)
{
    return length > 0 && length <= TREE_NAME_MAX && !(length == 1 && name[0] == '.') &&
           !(length == 2 && memcmp(name, "..", 2) == 0);
}

/* The next component of *at, which moves behind it. False: it cannot be one. */
static bool take_component(const char **at, char out[TREE_NAME_MAX + 1])
{
    size_t length = strcspn(*at, "/");

    if (!is_component(*at, length)) {
        return false;
    }
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length;
    *at += strspn(*at, "/");
    return true;
}

static int enter(struct unpacking *u, struct place *place, struct error *err)
{
    if (mkdirat(place->fd, place->name, 0755) == 0) {
        u->folders++;
    } else if (errno != EEXIST) {
        return error_sys(err, "make the folder %.255s", place->name);
    }
    int inner = files_open_dir(place->fd, place->name, err);
    if (inner < 0) {
        return -1;
    }
    fdio_close(&place->fd);
    place->fd = inner;
    return u->folders > FOLDERS_MAX ? error_set(err, ERR_LIMIT, "more than %llu folders",
                                                (unsigned long long)FOLDERS_MAX)
                                    : 0;
}

/* Go to where path is to be, making folders on the way. An archive may begin its paths
 * with "./". place->name "": it is the top itself. */
static int reach(struct unpacking *u, const char *path, struct place *place,
                 struct error *err)
{
    const char *at = path;
    unsigned depth = 0;

    while (strncmp(at, "./", 2) == 0) {
        at += 2;
    }
    at = strcmp(at, ".") == 0 ? at + 1 : at;
    place->name[0] = '\0';
    place->fd = fcntl(u->dir_fd, F_DUPFD_CLOEXEC, 0);
    if (place->fd < 0) {
        return error_sys(err, "open the folder");
    }
    if (path[0] == '/' || strlen(path) >= TREE_PATH_MAX) {
        return error_set(err, ERR_CORRUPT, "the path is absolute, or too long");
    }
    while (*at != '\0') {
        if (place->name[0] != '\0' && enter(u, place, err) < 0) {
            return -1;
        }
        if (!take_component(&at, place->name) || ++depth > TREE_DEPTH_MAX) {
            return error_set(err, ERR_CORRUPT, "no path of an archive");
        }
    }
    return 0;
}

static int check_limits(const struct unpacking *u, struct error *err)
{
    const struct worktree_limits *limits = u->limits;
    const struct tree_totals *totals = &u->facts->totals;

    if (limits->max_files > 0 && totals->files > limits->max_files) {
        return error_set(err, ERR_LIMIT, "more than %llu files",
                         (unsigned long long)limits->max_files);
    }
    return limits->max_size_bytes > 0 && totals->size_bytes > limits->max_size_bytes
               ? error_set(err, ERR_LIMIT, "more than %llu bytes",
                           (unsigned long long)limits->max_size_bytes)
               : 0;
}

/* What the archive holds is what counts, whatever the entry's head promised. */
static int copy_bytes(struct unpacking *u, int fd, uint64_t size_bytes, struct error *err)
{
    uint64_t have = 0;
    ssize_t got;

    while ((got = tar_reader_data(u->tar, u->buffer, READ_SIZE, err)) > 0) {
        have += (uint64_t)got;
        u->facts->totals.size_bytes += (uint64_t)got;
        if (check_limits(u, err) < 0) {
            return -1;
        }
        if (fdio_write_full(fd, u->buffer, (size_t)got) < 0) {
            return error_sys(err, "write");
        }
    }
    if (got < 0) {
        return -1;
    }
    return have != size_bytes ? error_set(err, ERR_CORRUPT, "the archive is cut off") : 0;
}

static int write_file(struct unpacking *u, const struct place *place,
                      const struct tar_entry *entry, struct error *err)
{
    mode_t mode = entry->kind == TREE_EXECUTABLE ? 0755 : 0644;
    CLEANUP_FD int fd =
        openat(place->fd, place->name,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0) {
        return error_sys(err, "make");
    }
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = (time_t)entry->mtime_s}};
    if (copy_bytes(u, fd, entry->size_bytes, err) < 0) {
        return -1;
    }
    (void)futimens(fd, times);
    return close(take_fd(&fd)) != 0 ? error_sys(err, "close") : 0;
}

static int remember_link(struct unpacking *u, const struct tar_entry *entry,
                         struct error *err)
{
    size_t length = strlen(entry->target);

    if (length == 0 || length > TREE_SYMLINK_MAX) {
        return error_set(err, ERR_CORRUPT, "a link to a path of %zu bytes", length);
    }
    return strbuf_add(&u->links, entry->path, strlen(entry->path) + 1, err) < 0 ||
                   strbuf_add(&u->links, entry->target, length + 1, err) < 0
               ? -1
               : 0;
}

static int write_entry(struct unpacking *u, const struct tar_entry *entry,
                       struct error *err)
{
    struct place place = {.fd = -1};
    int result = reach(u, entry->path, &place, err);

    if (result == 0 && entry->kind == TREE_FOLDER) {
        result = place.name[0] != '\0' ? enter(u, &place, err) : 0;
    } else if (result == 0 && place.name[0] == '\0') {
        result = error_set(err, ERR_CORRUPT, "no path of an archive");
    } else if (result == 0) {
        u->facts->totals.files++;
        result = check_limits(u, err) < 0      ? -1
                 : entry->kind == TREE_SYMLINK ? remember_link(u, entry, err)
                                               : write_file(u, &place, entry, err);
    }
    fdio_close(&place.fd);
    return result < 0 ? error_wrap(err, "unpack %.300s", entry->path) : 0;
}

/* Nothing is written below here any more: no link can lead anybody astray. */
static int make_links(struct unpacking *u, struct error *err)
{
    const char *end = u->links.data + u->links.length;

    for (const char *path = u->links.data; path < end;) {
        const char *target = path + strlen(path) + 1;
        struct place place = {.fd = -1};
        int result = reach(u, path, &place, err);
        if (result == 0 && symlinkat(target, place.fd, place.name) != 0) {
            result = error_sys(err, "make the link");
        }
        fdio_close(&place.fd);
        if (result < 0) {
            return error_wrap(err, "unpack %.300s", path);
        }
        path = target + strlen(target) + 1;
    }
    return 0;
}

static int unpack_all(struct unpacking *u, struct error *err)
{
    struct tar_entry entry;
    int got;

    while ((got = tar_reader_next(u->tar, &entry, err)) > 0) {
        if (write_entry(u, &entry, err) < 0) {
            return -1;
        }
    }
    return got < 0 ? -1 : make_links(u, err);
}

int archive_unpack(int tar_fd, int dir_fd, const struct worktree_limits *limits,
                   struct archive_facts *out, struct error *err)
{
    static const struct worktree_limits none = {0};
    CLEANUP(tar_reader_cleanup) struct tar_reader *tar = tar_reader_of_file(tar_fd, err);
    CLEANUP_FREE char *buffer = xmalloc(READ_SIZE);
    struct unpacking u = {.tar = tar,
                          .dir_fd = dir_fd,
                          .limits = limits != NULL ? limits : &none,
                          .facts = out,
                          .buffer = buffer};

    *out = (struct archive_facts){0};
    strbuf_init(&u.links, LINKS_MAX);
    int result = tar != NULL ? unpack_all(&u, err) : -1;
    strbuf_release(&u.links);
    if (tar != NULL) {
        out->archive_bytes = (uint64_t)lseek(tar_fd, 0, SEEK_CUR);
    }
    return result;
}
