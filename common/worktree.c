#include "common/worktree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/chunk.h"
#include "common/fdio.h"
#include "common/worktree_inside.h"

#define HOLE_MIN ((size_t)64 << 10) /* fewer zeros are written */
/* A tree of empty folders has neither files nor bytes to limit it by. */
#define FOLDERS_MAX ((uint64_t)4 << 20)

static int write_folder(struct checkout *c, const struct oid *oid, uint64_t size_bytes,
                        bool *out_has_links, struct error *err);
static int link_folder(struct checkout *c, const struct oid *oid, struct error *err);

const char *checkout_name(struct checkout *c, const struct tree_entry *entry)
{
    memcpy(c->name, entry->name, entry->name_length);
    c->name[entry->name_length] = '\0';
    return c->name;
}

int checkout_wrap(const struct checkout *c, const char *what, struct error *err)
{
    const char *path = dirstack_path(c->folders);

    return error_wrap(err, "%s %.300s%s%.255s", what, path, path[0] ? "/" : "", c->name);
}

static int make_failed(struct error *err)
{
    bool is_there = errno == EEXIST;

    error_sys(err, "make");
    if (is_there) {
        error_hint(err, "the filesystem may not tell upper case from lower case");
    }
    return -1;
}

static int get_content(struct checkout *c, const struct oid *oid, uint64_t size_bytes,
                       struct error *err)
{
    if (c->source->get(c->source->context, OBJECT_CONTENT, oid, &c->body, err) < 0) {
        return -1;
    }
    if (c->body.length != size_bytes) {
        return error_set(err, ERR_CORRUPT, "%zu bytes of content, not %llu",
                         c->body.length, (unsigned long long)size_bytes);
    }
    return 0;
}

/* All zeros: a hole says the same. */
static bool is_hole(const struct strbuf *body)
{
    return body->length >= HOLE_MIN && body->data[0] == '\0' &&
           memcmp(body->data, body->data + 1, body->length - 1) == 0;
}

/* Write what get_content got, behind what is there. */
static int write_content(const struct checkout *c, int fd, struct error *err)
{
    int result = is_hole(&c->body) ? (lseek(fd, (off_t)c->body.length, SEEK_CUR) < 0)
                                   : fdio_write_full(fd, c->body.data, c->body.length);

    return result != 0 ? error_sys(err, "write") : 0;
}

static int write_chunk(void *context, const struct oid *chunk, uint64_t offset,
                       size_t length, struct error *err)
{
    struct checkout *c = context;

    (void)offset;
    return get_content(c, chunk, length, err) < 0 ? -1
                                                  : write_content(c, c->file_fd, err);
}

static int fill_file(struct checkout *c, int fd, const struct tree_entry *entry,
                     struct error *err)
{
    if (tree_entry_object(entry) == OBJECT_LIST) {
        c->file_fd = fd;
        if (chunk_list_visit(c->source, &entry->oid, entry->size_bytes, write_chunk, c,
                             err) < 0) {
            return -1;
        }
        /* Where it ends in a hole. */
        return ftruncate(fd, (off_t)entry->size_bytes) != 0 ? error_sys(err, "write") : 0;
    }
    if (get_content(c, &entry->oid, entry->size_bytes, err) < 0) {
        return -1;
    }
    return fdio_write_full(fd, c->body.data, c->body.length) < 0 ? error_sys(err, "write")
                                                                 : 0;
}

static int write_file(struct checkout *c, int dir_fd, const struct tree_entry *entry,
                      struct error *err)
{
    mode_t mode = entry->kind == TREE_EXECUTABLE ? 0755 : 0644;
    CLEANUP_FD int fd =
        openat(dir_fd, checkout_name(c, entry),
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0) {
        return make_failed(err);
    }
    if (fill_file(c, fd, entry, err) < 0) {
        return -1;
    }
    /* A quota on a network filesystem may show only when the file is closed. */
    return close(take_fd(&fd)) != 0 ? error_sys(err, "close") : 0;
}

/* Make the folder and go into it. */
static int make_folder(struct checkout *c, int dir_fd, const struct tree_entry *entry,
                       struct error *err)
{
    if (++c->folder_count > FOLDERS_MAX) {
        return error_set(err, ERR_LIMIT, "more than %llu folders",
                         (unsigned long long)FOLDERS_MAX);
    }
    if (mkdirat(dir_fd, checkout_name(c, entry), 0755) != 0) {
        return make_failed(err);
    }
    return dirstack_push(c->folders, c->name, err);
}

static int count_file(struct checkout *c, struct error *err)
{
    c->files++;
    if (c->limits->max_files > 0 && c->files > c->limits->max_files) {
        return error_set(err, ERR_LIMIT, "more than %llu files",
                         (unsigned long long)c->limits->max_files);
    }
    return 0;
}

int checkout_write(struct checkout *c, const struct tree_entry *entry, bool *has_links,
                   struct error *err)
{
    int dir_fd = dirstack_fd(c->folders, err);
    bool has_links_below = false;
    int result;

    if (dir_fd < 0) {
        return -1;
    }
    if (entry->kind != TREE_FOLDER && count_file(c, err) < 0) {
        return -1;
    }
    switch (entry->kind) {
    case TREE_FILE:
    case TREE_EXECUTABLE:
        return write_file(c, dir_fd, entry, err) < 0 ? checkout_wrap(c, "write", err) : 0;
    case TREE_SYMLINK:
        *has_links = true;
        return 0;
    case TREE_FOLDER:
        if (make_folder(c, dir_fd, entry, err) < 0) {
            return checkout_wrap(c, "folder", err);
        }
        result = write_folder(c, &entry->oid, entry->size_bytes, &has_links_below, err);
        dirstack_pop(c->folders);
        *has_links = *has_links || has_links_below;
        return result;
    }
    return error_set(err, ERR_INTERNAL, "an entry of no kind");
}

/* Everything but the symbolic links. Recurses at most TREE_DEPTH_MAX deep. */
static int write_folder(struct checkout *c, const struct oid *oid, uint64_t size_bytes,
                        bool *out_has_links, struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(c->source, oid, size_bytes, err);
    struct tree_entry entry;
    int got;

    if (!reader) {
        return -1;
    }
    while ((got = tree_reader_next(reader, &entry, err)) > 0) {
        if (checkout_write(c, &entry, out_has_links, err) < 0) {
            return -1;
        }
    }
    if (got == 0 && *out_has_links) {
        got = oidset_add(c->linked, OBJECT_TREE, oid, 0, err);
    }
    return got < 0 ? -1 : 0;
}

static int make_link(struct checkout *c, int dir_fd, const struct tree_entry *entry,
                     struct error *err)
{
    (void)checkout_name(c, entry);
    if (get_content(c, &entry->oid, entry->size_bytes, err) < 0) {
        return -1;
    }
    if (memchr(c->body.data, '\0', c->body.length)) {
        return error_set(err, ERR_CORRUPT, "its target has a NUL");
    }
    return symlinkat(c->body.data, dir_fd, c->name) != 0 ? make_failed(err) : 0;
}

int checkout_link(struct checkout *c, const struct tree_entry *entry, struct error *err)
{
    int dir_fd = -1;
    int result;

    if (entry->kind == TREE_SYMLINK) {
        dir_fd = dirstack_fd(c->folders, err);
        if (dir_fd < 0 || make_link(c, dir_fd, entry, err) < 0) {
            return checkout_wrap(c, "link", err);
        }
    }
    if (entry->kind != TREE_FOLDER || !oidset_has(c->linked, OBJECT_TREE, &entry->oid)) {
        return 0;
    }
    if (dirstack_push(c->folders, checkout_name(c, entry), err) < 0) {
        return checkout_wrap(c, "folder", err);
    }
    result = link_folder(c, &entry->oid, err);
    dirstack_pop(c->folders);
    return result;
}

/* The symbolic links, when all else is there. */
static int link_folder(struct checkout *c, const struct oid *oid, struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(c->source, oid, UINT64_MAX, err);
    struct tree_entry entry;
    int got;

    if (!reader) {
        return -1;
    }
    while ((got = tree_reader_next(reader, &entry, err)) > 0) {
        if (checkout_link(c, &entry, err) < 0) {
            return -1;
        }
    }
    return got;
}

static int check_empty(int dir_fd, struct error *err)
{
    CLEANUP_FD int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        return error_sys(err, "open the folder");
    }
    (void)take_fd(&fd);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            return error_set(err, ERR_EXISTS, "the folder is not empty");
        }
    }
    return 0;
}

/* What the root's head says is believed by the readers only where all sizes below add up
 * to it. */
static int check_size(struct checkout *c, const struct oid *root, uint64_t *out_size,
                      struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(c->source, root, UINT64_MAX, err);

    if (!reader) {
        return -1;
    }
    *out_size = tree_reader_size_bytes(reader);
    if (c->limits->max_size_bytes > 0 && *out_size > c->limits->max_size_bytes) {
        return error_set(err, ERR_LIMIT, "%llu bytes are more than the %llu allowed",
                         (unsigned long long)*out_size,
                         (unsigned long long)c->limits->max_size_bytes);
    }
    return 0;
}

struct checkout *checkout_new(int dir_fd, const struct object_source *source,
                              const struct worktree_limits *limits)
{
    static const struct worktree_limits no_limits;
    struct checkout *c = xcalloc(1, sizeof(*c));

    c->source = source;
    c->folders = dirstack_new(dir_fd);
    c->limits = limits ? limits : &no_limits;
    c->linked = oidset_new(FOLDERS_MAX);
    strbuf_init(&c->body, OBJECT_SIZE_MAX);
    return c;
}

void checkout_free(struct checkout *c)
{
    if (c != NULL) {
        dirstack_free(c->folders);
        oidset_free(c->linked);
        strbuf_release(&c->body);
        free(c);
    }
}

int worktree_write(int dir_fd, const struct object_source *source, const struct oid *root,
                   const struct worktree_limits *limits, struct tree_totals *out,
                   struct error *err)
{
    CLEANUP(checkout_cleanup)
    struct checkout *c = checkout_new(dir_fd, source, limits);
    bool has_links = false;
    uint64_t size_bytes;

    if (check_empty(dir_fd, err) < 0 || check_size(c, root, &size_bytes, err) < 0 ||
        write_folder(c, root, size_bytes, &has_links, err) < 0 ||
        (has_links && link_folder(c, root, err) < 0)) {
        return -1;
    }
    *out = (struct tree_totals){.files = c->files, .size_bytes = size_bytes};
    return 0;
}

int worktree_write_entry(int dir_fd, const struct object_source *source,
                         const struct tree_entry *entry, struct error *err)
{
    CLEANUP(checkout_cleanup)
    struct checkout *c = checkout_new(dir_fd, source, NULL);
    bool has_links = false;

    if (checkout_write(c, entry, &has_links, err) < 0) {
        return -1;
    }
    return has_links ? checkout_link(c, entry, err) : 0;
}
