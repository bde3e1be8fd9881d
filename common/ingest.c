#define _DEFAULT_SOURCE /* d_type */
#include "common/ingest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/dirstack.h"
#include "common/fdio.h"
#include "common/ingest_file.h"
#include "common/store.h"
#include "common/strbuf.h"

/* One walk. What is large lives here and not in the frames of the recursion, which is up
 * to TREE_DEPTH_MAX deep. */
struct ingest {
    const struct ingest_hooks *hooks;
    struct dirstack *folders;
    struct file_reader *reader;
    struct error inner; /* why an entry could not be taken */
    uint64_t files;
    size_t length; /* of path */
    char path[TREE_PATH_MAX + TREE_NAME_MAX + 2];
    char target[TREE_SYMLINK_MAX + 1];
};

/* One folder's names. */
struct ingest_names {
    struct name {
        size_t offset;
        const char *text; /* set when all are there */
        unsigned char type;
    } * items;
    size_t count, capacity;
    char *bytes;
    size_t length, bytes_capacity;
};

enum taken { TAKEN_STOP = -1, TAKEN_IN = 0, TAKEN_OUT = 1 };

static enum taken take_folder(struct ingest *in, const char *name,
                              struct tree_entry *entry, struct error *err);

bool ingest_link_leaves(const char *path, const char *target)
{
    size_t above = 0;

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        above++;
    }
    if (target[0] == '/') {
        return true;
    }
    while (*target != '\0') {
        size_t length = strcspn(target, "/");

        if (length == 2 && memcmp(target, "..", 2) == 0) {
            if (above == 0) {
                return true;
            }
            above--;
        } else if (length > 0 && !(length == 1 && target[0] == '.')) {
            above++;
        }
        target += length + (target[length] == '/');
    }
    return false;
}

static void names_release(struct ingest_names *names)
{
    free(names->items);
    free(names->bytes);
}

static void add_name(struct ingest_names *names, const struct dirent *entry)
{
    size_t length = strlen(entry->d_name) + 1;

    if (names->count == names->capacity) {
        names->capacity = names->capacity > 0 ? names->capacity * 2 : 32;
        names->items = xrealloc(names->items, names->capacity, sizeof(*names->items));
    }
    if (names->bytes_capacity - names->length < length) {
        names->bytes_capacity = names->bytes_capacity * 2 + length + 512;
        names->bytes = xrealloc(names->bytes, names->bytes_capacity, 1);
    }
    memcpy(names->bytes + names->length, entry->d_name, length);
    names->items[names->count++] =
        (struct name){.offset = names->length, .type = entry->d_type};
    names->length += length;
}

static int compare_names(const void *a, const void *b)
{
    const struct name *left = a, *right = b;

    return strcmp(left->text, right->text);
}

bool ingest_names_has(const struct ingest_names *names, const char *name)
{
    struct name key = {.text = name};

    return names->count > 0 && bsearch(&key, names->items, names->count,
                                       sizeof(*names->items), compare_names) != NULL;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* All names of the current folder, sorted: the order in which hooks hear of them does not
 * depend on the disk. */
static int read_names(struct ingest *in, struct ingest_names *out, struct error *err)
{
    int folder_fd = dirstack_fd(in->folders, err);
    CLEANUP_FD int fd = -1;
    CLEANUP_DIR DIR *dir = NULL;
    const struct dirent *entry;

    if (folder_fd < 0) {
        return -1;
    }
    /* A copy is cheaper than opening it once more; what was read before does not matter.
     */
    fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return error_sys(err, "open the folder");
    }
    (void)take_fd(&fd);
    rewinddir(dir);
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (!is_dot(entry->d_name)) {
            add_name(out, entry);
        }
    }
    if (errno != 0) {
        return error_sys(err, "read the folder");
    }
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].text = out->bytes + out->items[i].offset;
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof(*out->items), compare_names);
    }
    return 0;
}

/* Tell that the entry at the path cannot be taken; is_known: in->inner says why. */
static enum taken report(struct ingest *in, enum ingest_problem problem, bool is_known,
                         struct error *err)
{
    const struct ingest_hooks *hooks = in->hooks;

    return hooks->problem(hooks->context, in->path, problem, is_known ? &in->inner : NULL,
                          err) < 0
               ? TAKEN_STOP
               : TAKEN_OUT;
}

/* The same from errno or a code in in->inner. */
static enum taken report_inner(struct ingest *in, struct error *err)
{
    bool is_gone = in->inner.code == ERR_NOT_FOUND;

    if (in->inner.code == ERR_CHANGED) {
        return report(in, INGEST_CHANGING, true, err);
    }
    return report(in, is_gone ? INGEST_VANISHED : INGEST_UNREADABLE, !is_gone, err);
}

static int put_plain(void *context, enum object_kind kind, const struct oid *oid,
                     const void *body, size_t length, struct error *err)
{
    const struct ingest *in = context;

    return in->hooks->put(in->hooks->context, kind, oid, body, length, NULL, 0, err);
}

static enum taken fill_file(const struct stat *st, struct tree_entry *entry)
{
    entry->kind = (st->st_mode & S_IXUSR) ? TREE_EXECUTABLE : TREE_FILE;
    entry->size_bytes = (uint64_t)st->st_size;
    return TAKEN_IN;
}

static enum taken take_file(struct ingest *in, int dir_fd, const char *name,
                            struct stat *st, struct tree_entry *entry, struct error *err)
{
    const struct ingest_hooks *hooks = in->hooks;
    enum file_result result;

    if (!hooks->lookup || !hooks->lookup(hooks->context, in->path, st, &entry->oid)) {
        result = file_reader_read(in->reader, dir_fd, name, in->path, st, &entry->oid,
                                  &in->inner, err);
        if (result == FILE_STOP) {
            return TAKEN_STOP;
        }
        if (result == FILE_PROBLEM) {
            return report_inner(in, err);
        }
        if (hooks->remember) {
            hooks->remember(hooks->context, in->path, st, &entry->oid);
        }
    }
    return fill_file(st, entry);
}

static enum taken take_symlink(struct ingest *in, int dir_fd, const char *name,
                               struct tree_entry *entry, struct error *err)
{
    const struct ingest_hooks *hooks = in->hooks;
    ssize_t got = readlinkat(dir_fd, name, in->target, sizeof(in->target));

    if (got < 0) {
        /* EINVAL: it is no link any more */
        int code = errno;

        error_sys(&in->inner, "read the link");
        in->inner.code = code == EINVAL ? ERR_CHANGED : in->inner.code;
        return report_inner(in, err);
    }
    if (got == 0 || got > TREE_SYMLINK_MAX) {
        error_set(&in->inner, ERR_LIMIT, "a link's target of %zd bytes", got);
        return report_inner(in, err);
    }
    in->target[got] = '\0';
    if (ingest_link_leaves(in->path, in->target) &&
        report(in, INGEST_OUTSIDE, false, err) == TAKEN_STOP) {
        return TAKEN_STOP;
    }
    oid_of(OBJECT_CONTENT, in->target, (size_t)got, &entry->oid);
    entry->kind = TREE_SYMLINK;
    entry->size_bytes = (uint64_t)got;
    return hooks->put(hooks->context, OBJECT_CONTENT, &entry->oid, in->target,
                      (size_t)got, NULL, 0, err) < 0
               ? TAKEN_STOP
               : TAKEN_IN;
}

/* Put the name behind the path. False: the path gets too long. */
static bool push_path(struct ingest *in, const char *name)
{
    size_t slash = in->length > 0;
    size_t length = strlen(name);
    size_t room = sizeof(in->path) - 1 - in->length - slash;
    bool is_fine = length <= TREE_NAME_MAX && in->length + slash + length < TREE_PATH_MAX;

    length = length < room ? length : room;
    in->path[in->length] = '/';
    memcpy(in->path + in->length + slash, name, length);
    in->length += slash + length;
    in->path[in->length] = '\0';
    return is_fine;
}

static bool is_wanted(struct ingest *in, int dir_fd, const char *name, bool is_folder)
{
    const struct ingest_hooks *hooks = in->hooks;

    return !hooks->filter ||
           hooks->filter(hooks->context, dir_fd, in->path, name, is_folder);
}

static enum taken take_known(struct ingest *in, int dir_fd, const char *name,
                             struct stat *st, struct tree_entry *entry, struct error *err)
{
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        return take_file(in, dir_fd, name, st, entry, err);
    case S_IFLNK:
        return take_symlink(in, dir_fd, name, entry, err);
    case S_IFDIR:
        return take_folder(in, name, entry, err);
    default:
        return report(in, INGEST_SPECIAL, false, err);
    }
}

/* The entry at the path, whose last component is name. */
static enum taken take_entry(struct ingest *in, const struct name *name,
                             struct tree_entry *entry, struct error *err)
{
    int dir_fd = dirstack_fd(in->folders, &in->inner);
    bool was_asked = name->type != DT_UNKNOWN;
    bool is_folder = name->type == DT_DIR;
    struct stat st;

    if (dir_fd < 0) {
        return report_inner(in, err);
    }
    /* What the folder says of an entry's type spares looking at what is left out. */
    if (was_asked && !is_wanted(in, dir_fd, name->text, is_folder)) {
        return TAKEN_OUT;
    }
    if (name->type == DT_REG && in->hooks->knows &&
        in->hooks->knows(in->hooks->context, in->path, &st, &entry->oid)) {
        return fill_file(&st, entry);
    }
    if (fstatat(dir_fd, name->text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        error_sys(&in->inner, "stat");
        return report_inner(in, err);
    }
    if ((!was_asked || is_folder != S_ISDIR(st.st_mode)) &&
        !is_wanted(in, dir_fd, name->text, S_ISDIR(st.st_mode))) {
        return TAKEN_OUT;
    }
    return take_known(in, dir_fd, name->text, &st, entry, err);
}

static int add_entry(struct ingest *in, struct tree_writer *writer, const char *name,
                     struct tree_entry *entry, struct error *err)
{
    const struct ingest_hooks *hooks = in->hooks;

    entry->name = name;
    entry->name_length = strlen(name);
    if (tree_writer_add(writer, entry, err) < 0) {
        return error_wrap(err, "%.300s", in->path);
    }
    in->files += entry->kind != TREE_FOLDER; /* NOLINT: TAKEN filled it */
    return hooks->added ? hooks->added(hooks->context, in->path, entry, err) : 0;
}

static int take_name(struct ingest *in, struct tree_writer *writer,
                     const struct name *name, struct error *err)
{
    size_t length = in->length;
    struct tree_entry entry;
    enum taken taken;

    if (push_path(in, name->text)) {
        taken = take_entry(in, name, &entry, err);
    } else {
        error_set(&in->inner, ERR_LIMIT, "its name or path is too long");
        taken = report_inner(in, err);
    }
    if (taken == TAKEN_IN && add_entry(in, writer, name->text, &entry, err) < 0) {
        taken = TAKEN_STOP;
    }
    in->length = length;
    in->path[length] = '\0';
    return taken == TAKEN_STOP ? -1 : 0;
}

/* The tree of the current folder, whose names are these. Recurses at most TREE_DEPTH_MAX
 * deep. */
static enum taken take_names(struct ingest *in, const struct ingest_names *names,
                             struct oid *out, uint64_t *out_size_bytes, struct error *err)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    struct object_sink sink = {.put = put_plain, .context = in};

    for (size_t i = 0; i < names->count; i++) {
        if (take_name(in, writer, &names->items[i], err) < 0) {
            return TAKEN_STOP;
        }
    }
    return tree_writer_finish(writer, &sink, out, out_size_bytes, err) < 0 ? TAKEN_STOP
                                                                           : TAKEN_IN;
}

/* Ask whether the current folder is entered. */
static enum taken enter_current(struct ingest *in, const struct ingest_names *names,
                                struct error *err)
{
    const struct ingest_hooks *hooks = in->hooks;
    int dir_fd, entered;

    if (!hooks->enter) {
        return TAKEN_IN;
    }
    dir_fd = dirstack_fd(in->folders, &in->inner);
    if (dir_fd < 0) {
        return report_inner(in, err);
    }
    entered = hooks->enter(hooks->context, dir_fd, in->path, names, err);
    if (entered < 0) {
        return TAKEN_STOP;
    }
    return entered > 0 && in->length > 0 ? TAKEN_OUT : TAKEN_IN;
}

static enum taken take_current(struct ingest *in, struct oid *out,
                               uint64_t *out_size_bytes, struct error *err)
{
    CLEANUP(names_release) struct ingest_names names = {.items = NULL};
    const struct ingest_hooks *hooks = in->hooks;
    enum taken taken;

    if (read_names(in, &names, &in->inner) < 0) {
        if (in->length > 0) {
            return report_inner(in, err);
        }
        error_set(err, in->inner.code, "%s", in->inner.text);
        return TAKEN_STOP;
    }
    taken = enter_current(in, &names, err);
    if (taken != TAKEN_IN) {
        return taken;
    }
    taken = take_names(in, &names, out, out_size_bytes, err);
    if (hooks->leave) {
        hooks->leave(hooks->context, in->path);
    }
    return taken;
}

static enum taken take_folder(struct ingest *in, const char *name,
                              struct tree_entry *entry, struct error *err)
{
    enum taken taken;

    if (dirstack_push(in->folders, name, &in->inner) < 0) {
        if (in->inner.sys == ENOTDIR || in->inner.sys == ELOOP) {
            in->inner.code = ERR_CHANGED;
        }
        return report_inner(in, err);
    }
    entry->kind = TREE_FOLDER;
    taken = take_current(in, &entry->oid, &entry->size_bytes, err);
    dirstack_pop(in->folders);
    return taken;
}

static int stop_at_problem(void *context, const char *path, enum ingest_problem problem,
                           const struct error *err, struct error *stop_err)
{
    (void)context;
    if (problem == INGEST_OUTSIDE) {
        return 0;
    }
    return error_set(stop_err, err ? err->code : ERR_IO, "%.300s: %s", path,
                     err ? err->text : "cannot be taken");
}

int ingest_folder(int dir_fd, const struct ingest_hooks *hooks, struct oid *out,
                  struct tree_totals *out_totals, struct error *err)
{
    CLEANUP(dirstack_cleanup) struct dirstack *folders = dirstack_new(dir_fd);
    CLEANUP_FREE struct ingest *in = xcalloc(1, sizeof(*in));
    CLEANUP(file_reader_cleanup) struct file_reader *reader = NULL;
    struct ingest_hooks own = *hooks;

    if (!own.problem) {
        own.problem = stop_at_problem;
    }
    reader = file_reader_new(&own);
    in->hooks = &own;
    in->folders = folders;
    in->reader = reader;
    if (take_current(in, out, &out_totals->size_bytes, err) != TAKEN_IN) {
        return -1;
    }
    out_totals->files = in->files;
    return 0;
}

int ingest_put(void *store, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, const char *path, uint64_t offset,
               struct error *err)
{
    (void)path;
    (void)offset;
    return store_put(store, kind, oid, body, length, err);
}
