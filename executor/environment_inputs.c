#include "executor/environment_inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/store.h"
#include "common/worktree.h"

#define REQUIREMENTS_MAX ((size_t)16 << 20)

struct inputs {
    const struct runspec *spec;
    const struct noderoot *root;
    struct store *store; /* NULL: not opened yet */
    int dir_fd, count;   /* folders made so far */
};

static int open_store(struct inputs *in, struct error *err)
{
    CLEANUP_FREE char *path = files_join(in->root->path, "store");
    if (in->store == NULL) {
        in->store = store_open(path, err);
    }
    return in->store == NULL ? -1 : 0;
}

/* Write what lies at path below root, and has this digest, into a folder; a folder
 * is called "project" there. */
static int write_content(struct inputs *in, int folder_fd, const struct oid *root,
                         const char *path, const struct oid *digest, struct error *err)
{
    const struct object_source source = store_source(in->store);
    struct tree_entry entry = {
        .kind = TREE_FOLDER, .size_bytes = UINT64_MAX, .oid = *root};
    int found = path[0] == '\0' ? 1 : tree_find(&source, root, path, &entry, err);
    if (found <= 0) {
        return found < 0 ? -1
                         : error_set(err, ERR_NOT_FOUND, "the snapshot has no %s", path);
    }
    if (!oid_equal(&entry.oid, digest)) {
        return error_set(err, ERR_CORRUPT, "%s is not what the definition says", path);
    }
    if (entry.kind == TREE_FOLDER) {
        entry.name = "project";
        entry.name_length = strlen(entry.name);
    }
    return worktree_write_entry(folder_fd, &source, &entry, err);
}

static int add_local(struct inputs *in, const struct envspec_requirement *item,
                     struct strbuf *out, struct error *err)
{
    const struct runspec *spec = in->spec;
    const struct oid *root = item->is_brought ? &spec->environment.brought : &spec->root;
    char number[16];
    snprintf(number, sizeof(number), "%d", in->count++);
    if (open_store(in, err) < 0) {
        return -1;
    }
    CLEANUP_FD int lock = store_lock(in->store, false, -1, err);
    CLEANUP_FD int fd = lock < 0 ? -1 : files_open_or_make_dir(in->dir_fd, number, err);
    if (fd < 0 || write_content(in, fd, root, item->path, &item->digest, err) < 0) {
        return -1;
    }
    strbuf_printf(out, "./%s/%s", number, item->is_folder ? "project" : item->name);
    if (item->extras[0] != '\0') {
        strbuf_printf(out, "[%s]", item->extras);
    }
    if (item->marker[0] != '\0') {
        strbuf_printf(out, " ; %s", item->marker);
    }
    return 0;
}

static int add_requirements(struct inputs *in, const struct envspec_requirements *list,
                            struct strbuf *out, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct envspec_requirement *item = &list->items[i];
        if (item->text != NULL) {
            if (strbuf_add(out, item->text, strlen(item->text), err) < 0) {
                return -1;
            }
        } else if (add_local(in, item, out, err) < 0) {
            return error_wrap(err, "%s", item->path);
        }
        strbuf_putc(out, '\n');
    }
    return 0;
}

static int add_options(struct inputs *in, const struct envspec *d, struct strbuf *out,
                       struct error *err)
{
    for (size_t i = 0; i < d->options.count; i++) {
        /* uv takes this one on its command line alone. */
        if (strcmp(d->options.items[i], "--require-hashes") != 0) {
            strbuf_printf(out, "%s\n", d->options.items[i]);
        }
    }
    for (size_t i = 0; i < d->find_links.count; i++) {
        strbuf_puts(out, "--find-links ");
        if (add_local(in, &d->find_links.items[i], out, err) < 0) {
            return error_wrap(err, "%s", d->find_links.items[i].path);
        }
        strbuf_putc(out, '\n');
    }
    return 0;
}

/* options: those of this definition go first; NULL: none. */
static int write_list(struct inputs *in, const char *name,
                      const struct envspec_requirements *list,
                      const struct envspec *options, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, REQUIREMENTS_MAX);
    int result = options == NULL ? 0 : add_options(in, options, &text, err);
    if (result == 0) {
        result = add_requirements(in, list, &text, err);
    }
    CLEANUP_FD int fd =
        result < 0
            ? -1
            : openat(in->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (result == 0 && (fd < 0 || fdio_write_full(fd, text.data, text.length) < 0)) {
        result = error_sys(err, "write %s", name);
    }
    strbuf_release(&text);
    return result;
}

int environment_inputs_write(const struct noderoot *root, const struct runspec *spec,
                             int dir_fd, struct error *err)
{
    const struct envspec *d = &spec->environment.definition;
    struct inputs in = {.spec = spec, .root = root, .dir_fd = dir_fd};
    int result = 0;
    if (d->requirements.count > 0) {
        result = write_list(&in, "requirements.txt", &d->requirements, d, err);
    }
    if (result == 0 && d->constraints.count > 0) {
        result = write_list(&in, "constraints.txt", &d->constraints, NULL, err);
    }
    store_free(in.store);
    return result;
}

/* Make the folders above the last part of path and open the innermost. */
static int open_parent(int dir_fd, const char *path, struct error *err)
{
    CLEANUP_FD int fd = files_open_dir(dir_fd, ".", err);
    for (const char *at = path; fd >= 0 && strchr(at, '/') != NULL;) {
        size_t length = strcspn(at, "/");
        CLEANUP_FREE char *name = xstrndup(at, length);
        int next = files_open_or_make_dir(fd, name, err);
        fdio_close(&fd);
        fd = next;
        at += length + 1;
    }
    return take_fd(&fd);
}

int environment_inputs_write_lock(const struct noderoot *root, const struct runspec *spec,
                                  int dir_fd, struct error *err)
{
    const struct envspec *d = &spec->environment.definition;
    struct inputs in = {.spec = spec, .root = root, .dir_fd = dir_fd};
    int result = open_store(&in, err);
    CLEANUP_FD int lock = result < 0 ? -1 : store_lock(in.store, false, -1, err);
    result = lock < 0 ? -1 : 0;
    for (size_t i = 0; result == 0 && i < d->lock_file_count; i++) {
        const struct envspec_file *file = &d->lock_files[i];
        CLEANUP_FD int fd = open_parent(dir_fd, file->path, err);
        result =
            fd < 0 ? -1
                   : write_content(&in, fd, &spec->root, file->path, &file->digest, err);
    }
    store_free(in.store);
    return result;
}

/* "six==1.16.0", "six @ https://...": nothing is left to choose. */
static bool is_pinned(const struct envspec_requirement *item)
{
    if (item->text == NULL) {
        return true;
    }
    size_t length = strcspn(item->text, ";");
    const char *equal = strstr(item->text, "==");
    const char *at = strchr(item->text, '@');
    const char *star = strstr(item->text, ".*");
    bool is_exact = equal != NULL && (size_t)(equal - item->text) < length &&
                    (star == NULL || (size_t)(star - item->text) >= length);
    return is_exact || (at != NULL && (size_t)(at - item->text) < length);
}

int64_t environment_inputs_unpinned(const struct envspec *definition)
{
    int64_t count = 0;
    for (size_t i = 0; i < definition->requirements.count; i++) {
        count += !is_pinned(&definition->requirements.items[i]);
    }
    return count;
}
