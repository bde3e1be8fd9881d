#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/outputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/ingest.h"
#include "common/json.h"
#include "executor/cluster_outputs.h"
#include "executor/outputs_index.h"

#define PATHS_MAX ((size_t)1 << 30)
#define WARNINGS_MAX 8
#define WARNING_BYTES 160

struct collection {
    const struct runspec *spec;
    int objects_fd;
    uint64_t objects_size;
    struct outputs_entry *entries;
    size_t count, capacity;
    struct strbuf paths;
    uint64_t last_path_offset; /* of the path that was added last */
    size_t last_path_length;
    struct strvec warnings;
    uint64_t warning_count;
};

/* ---- What is taken */

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 &&
           (path[length] == '\0' || path[length] == '/');
}

/* The output folders, what is in them, and the way there. */
static bool is_output(void *context, int dir_fd, const char *path, const char *name,
                      bool is_folder)
{
    const struct collection *c = context;
    (void)dir_fd;
    (void)name;
    for (size_t i = 0; i < c->spec->outputs.count; i++) {
        const char *folder = c->spec->outputs.items[i];
        if (is_below(path, folder) || (is_folder && is_below(folder, path))) {
            return true;
        }
    }
    return false;
}

bool outputs_are_there(int run_fd, const struct runspec *spec)
{
    CLEANUP_STRBUF struct strbuf failure = STRBUF_INIT;
    if (cluster_outputs_failure(run_fd, &failure)) {
        return true; /* what is to be told is a warning */
    }
    CLEANUP_FD int work_fd = files_open_dir(run_fd, "work", NULL);
    for (size_t i = 0; work_fd >= 0 && i < spec->outputs.count; i++) {
        const char *path = spec->outputs.items[i];
        struct stat st;
        if (fstatat(work_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        int fd = S_ISDIR(st.st_mode)
                     ? openat(work_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;
        CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        int entries = 0;
        while (dir != NULL && entries < 3 && readdir(dir) != NULL) {
            entries++; /* two are "." and ".." */
        }
        if (dir == NULL || entries > 2) {
            return true;
        }
    }
    return false;
}

/* ---- What ingest finds */

static void warn(struct collection *c, const char *path, const char *what)
{
    c->warning_count++;
    if (c->warnings.count < WARNINGS_MAX) {
        char text[WARNING_BYTES];
        snprintf(text, sizeof(text), "%.100s: %s", path, what);
        strvec_push(&c->warnings, text);
    }
}

/* Those of a driver in a cluster did not come. */
static void warn_of_failure(struct collection *c, int run_fd)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (cluster_outputs_failure(run_fd, &text)) {
        c->warning_count++;
        strvec_pushf(&c->warnings, "%.*s", WARNING_BYTES * 2, text.data);
    }
}

static int take_problem(void *context, const char *path, enum ingest_problem problem,
                        const struct error *err, struct error *stop_err)
{
    static const char *const words[] = {
        [INGEST_UNREADABLE] = "could not be read",
        [INGEST_VANISHED] = "vanished while it was read",
        [INGEST_CHANGING] = "went on changing while it was read",
        [INGEST_SPECIAL] = "is no file, folder or link",
        [INGEST_OUTSIDE] = "is a link that leaves the outputs",
    };
    (void)err;
    (void)stop_err;
    warn(context, path, words[problem]);
    return 0;
}

static int add_path(struct collection *c, const char *path, struct outputs_entry *entry,
                    struct error *err)
{
    size_t length = path == NULL ? 0 : strlen(path);
    bool is_last = length > 0 && length == c->last_path_length &&
                   memcmp(c->paths.data + c->last_path_offset, path, length) == 0;
    if (length > 0 && !is_last) {
        c->last_path_offset = c->paths.length;
        c->last_path_length = length;
        if (strbuf_add(&c->paths, path, length, err) < 0) {
            return error_wrap(err, "the paths of the outputs");
        }
    }
    entry->path_offset = length > 0 ? c->last_path_offset : 0;
    entry->path_length = (uint32_t)length;
    return 0;
}

static int put_object(void *context, enum object_kind kind, const struct oid *oid,
                      const void *body, size_t length, const char *path, uint64_t offset,
                      struct error *err)
{
    struct collection *c = context;
    struct outputs_entry entry = {
        .oid = *oid, .offset = offset, .length = (uint32_t)length};
    (void)kind;
    if (add_path(c, path, &entry, err) < 0) {
        return -1;
    }
    if (path == NULL) {
        if (fdio_write_full(c->objects_fd, body, length) < 0) {
            return error_sys(err, "write outputs.objects");
        }
        entry.offset = c->objects_size;
        c->objects_size += length;
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : 2 * c->capacity;
        c->entries = xrealloc(c->entries, c->capacity, sizeof(*c->entries));
    }
    c->entries[c->count++] = entry;
    return 0;
}

/* ---- The three files */

static int compare_entries(const void *a, const void *b)
{
    const struct outputs_entry *x = a;
    const struct outputs_entry *y = b;
    return oid_compare(&x->oid, &y->oid);
}

/* One entry a digest. */
static void sort_entries(struct collection *c)
{
    size_t kept = 0;
    if (c->count > 0) {
        qsort(c->entries, c->count, sizeof(*c->entries), compare_entries);
    }
    for (size_t i = 0; i < c->count; i++) {
        if (kept == 0 || !oid_equal(&c->entries[kept - 1].oid, &c->entries[i].oid)) {
            c->entries[kept++] = c->entries[i];
        }
    }
    c->count = kept;
}

static int write_entries(FILE *file, const struct collection *c)
{
    uint8_t head[OUTPUTS_HEAD_SIZE];
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, no string */
    memcpy(head, OUTPUTS_INDEX_MAGIC, 8);
    bytes_put_u64(head + 8, c->count);
    bytes_put_u64(head + 16, c->paths.length);
    if (fwrite(head, sizeof(head), 1, file) != 1) {
        return -1;
    }
    for (size_t i = 0; i < c->count; i++) {
        const struct outputs_entry *e = &c->entries[i];
        uint8_t out[OUTPUTS_ENTRY_SIZE];
        memcpy(out, e->oid.digest, OID_SIZE);
        bytes_put_u64(out + 32, e->path_offset);
        bytes_put_u64(out + 40, e->offset);
        bytes_put_u32(out + 48, e->length);
        bytes_put_u32(out + 52, e->path_length);
        if (fwrite(out, sizeof(out), 1, file) != 1) {
            return -1;
        }
    }
    return c->paths.length == 0 || fwrite(c->paths.data, c->paths.length, 1, file) == 1
               ? 0
               : -1;
}

static int write_index(int run_fd, struct collection *c, struct error *err)
{
    CLEANUP_FD int fd =
        openat(run_fd, "outputs.index", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLEANUP_FILE FILE *file = fd < 0 ? NULL : fdopen(dup(fd), "w");
    sort_entries(c);
    if (file == NULL || write_entries(file, c) < 0 || fflush(file) != 0 ||
        fdatasync(fd) < 0) {
        return error_sys(err, "write outputs.index");
    }
    return 0;
}

static void format_result(const struct collection *c, const struct oid *root,
                          const struct tree_totals *totals, size_t warnings,
                          struct strbuf *out)
{
    CLEANUP_JSON struct json *j = json_new_object();
    char hex[OID_HEX_SIZE];
    oid_to_hex(root, hex);
    json_add_string(j, "root", hex);
    json_add_integer(j, "files", (int64_t)totals->files);
    json_add_integer(j, "size_bytes", (int64_t)totals->size_bytes);
    struct json *list = json_add(j, "warnings", json_new_array());
    for (size_t i = 0; i < c->warnings.count && i < warnings; i++) {
        json_append(list, json_new_string(c->warnings.items[i]));
    }
    if (c->warning_count > warnings) {
        char text[64];
        snprintf(text, sizeof(text), "and %llu more",
                 (unsigned long long)(c->warning_count - warnings));
        json_append(list, json_new_string(text));
    }
    json_write(j, false, out);
    strbuf_putc(out, '\n');
}

/* As many warnings as fit. */
static int write_result(int run_fd, const struct collection *c, const struct oid *root,
                        const struct tree_totals *totals, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t warnings = c->warnings.count;
    format_result(c, root, totals, warnings, &text);
    while (text.length >= OUTPUTS_JSON_MAX && warnings > 0) {
        strbuf_reset(&text);
        format_result(c, root, totals, --warnings, &text);
    }
    return files_write_atomic(run_fd, "outputs.json", text.data, text.length, 0600, err);
}

static int collect(int run_fd, int work_fd, struct collection *c, struct error *err)
{
    const struct ingest_hooks hooks = {
        .context = c, .filter = is_output, .problem = take_problem, .put = put_object};
    struct oid root;
    struct tree_totals totals;
    if (ingest_folder(work_fd, &hooks, &root, &totals, err) < 0) {
        return error_wrap(err, "read the outputs");
    }
    if (fdatasync(c->objects_fd) < 0) {
        return error_sys(err, "sync outputs.objects");
    }
    return write_index(run_fd, c, err) < 0 ? -1
                                           : write_result(run_fd, c, &root, &totals, err);
}

int outputs_collect(int run_fd, const struct runspec *spec, struct error *err)
{
    struct collection c = {.spec = spec, .warnings = STRVEC_INIT};
    (void)unlinkat(run_fd, "outputs.json", 0);
    CLEANUP_FD int work_fd = files_open_dir(run_fd, "work", err);
    CLEANUP_FD int objects_fd =
        openat(run_fd, "outputs.objects", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (work_fd < 0) {
        return -1;
    }
    if (objects_fd < 0) {
        return error_sys(err, "make outputs.objects");
    }
    c.objects_fd = objects_fd;
    strbuf_init(&c.paths, PATHS_MAX);
    warn_of_failure(&c, run_fd);
    int result = collect(run_fd, work_fd, &c, err);
    strbuf_release(&c.paths);
    strvec_release(&c.warnings);
    free(c.entries);
    return result;
}
