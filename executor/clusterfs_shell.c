#include "executor/clusterfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/variables.h"
#include "executor/clusterfs_inside.h"

/*
 * Hadoop's FsShell. Its -put writes beside its target (NAME._COPYING_), renames that, and
 * takes no target that is there: what clusterfs promises it does in one call
 * (CommandWithDestination.java), where three would cost three Java VMs.
 */

#define CALL_MS 120000 /* for one that moves no bytes: its own retries included */
#define BYTES_A_MS 256 /* the slowest link that is waited for */
#define SIZE_WORD "errand-size "
#define LIST_WORD "errand-file "
#define NO_SUCH "No such file or directory"

/* Run FsShell with these words, NULL behind them. As programs_run. */
static int run(struct clusterfs *fs, const char *const *words, uint64_t size_bytes,
               struct error *err)
{
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    for (size_t i = 0; i < fs->shell.count; i++) {
        strvec_push(&argv, fs->shell.items[i]);
    }
    for (size_t i = 0; i < fs->variables.count; i++) {
        variables_set(programs_environment(fs->programs), fs->variables.items[i]);
    }
    strvec_push(&argv, "-D"); /* what is made is for this user alone */
    strvec_push(&argv, "fs.permissions.umask-mode=077");
    for (size_t i = 0; words[i] != NULL; i++) {
        strvec_push(&argv, words[i]);
    }
    programs_limit(fs->programs, CALL_MS + (int64_t)(size_bytes / BYTES_A_MS));
    int status =
        programs_run(fs->programs, (const char *const *)strvec_argv(&argv), true, err);
    programs_limit(fs->programs, 0);
    return status < 0 ? error_wrap(err, "the cluster's file system") : status;
}

static bool said(struct clusterfs *fs, const char *words)
{
    return strstr(programs_text(fs->programs)->data, words) != NULL;
}

static int failed(struct clusterfs *fs, const char *uri, struct error *err)
{
    return clusterfs_explain(uri, programs_text(fs->programs)->data, err);
}

static int shell_size(struct clusterfs *fs, const char *uri, bool *out_is_there,
                      uint64_t *out_size, struct error *err)
{
    const char *const words[] = {"-stat", SIZE_WORD "%b", uri, NULL};
    int status = run(fs, words, 0, err);
    if (status < 0) {
        return -1;
    }
    *out_is_there = false;
    if (status != 0) {
        return said(fs, NO_SUCH) ? 0 : failed(fs, uri, err);
    }
    const char *at = strstr(programs_text(fs->programs)->data, SIZE_WORD);
    const char *digits = at != NULL ? at + strlen(SIZE_WORD) : "";
    char *end = NULL;
    errno = 0;
    unsigned long long size_bytes = strtoull(digits, &end, 10);
    if (end == digits || *end != '\n' || errno != 0) {
        return error_set(err, ERR_PROTOCOL, "%.300s: FsShell does not tell its size",
                         uri);
    }
    *out_is_there = true;
    *out_size = size_bytes;
    return 0;
}

static int shell_list(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                      void *context, struct error *err)
{
    CLEANUP_FREE char *all = xasprintf("%s/*", uri);
    const char *const words[] = {"-stat", LIST_WORD "%Y %n", all, NULL};
    int status = run(fs, words, 0, err);
    if (status != 0) {
        return status < 0 ? -1 : said(fs, NO_SUCH) ? 0 : failed(fs, uri, err);
    }
    const char *at = programs_text(fs->programs)->data;
    while ((at = strstr(at, LIST_WORD)) != NULL) {
        char *end;
        long long used_utc_ms = strtoll(at + strlen(LIST_WORD), &end, 10);
        CLEANUP_FREE char *name =
            *end == ' ' ? xstrndup(end + 1, strcspn(end + 1, "\n")) : NULL;
        if (name != NULL) {
            visit(context, name, used_utc_ms);
        }
        at = end;
    }
    return 0;
}

static int make_folder(struct clusterfs *fs, const char *uri, struct error *err)
{
    CLEANUP_FREE char *folder = clusterfs_folder_of(uri);
    const char *const words[] = {"-mkdir", "-p", folder, NULL};
    int status = run(fs, words, 0, err);
    return status > 0 ? failed(fs, folder, err) : status;
}

static int shell_remove(struct clusterfs *fs, const struct strvec *uris,
                        struct error *err)
{
    CLEANUP_STRVEC struct strvec words = STRVEC_INIT;
    strvec_push(&words, "-rm");
    strvec_push(&words, "-r");
    strvec_push(&words, "-f");
    strvec_push(&words, "-skipTrash");
    for (size_t i = 0; i < uris->count; i++) {
        strvec_push(&words, uris->items[i]);
    }
    int status = run(fs, (const char *const *)strvec_argv(&words), 0, err);
    return status > 0 ? failed(fs, uris->items[0], err) : status;
}

/* What is there has the right size; else it goes, and somebody may put it again. */
static int check_size(struct clusterfs *fs, const char *uri, uint64_t size_bytes,
                      struct error *err)
{
    bool is_there = false;
    uint64_t found = 0;
    if (shell_size(fs, uri, &is_there, &found, err) < 0) {
        return -1;
    }
    if (is_there && found == size_bytes) {
        return 0;
    }
    (void)clusterfs_remove(fs, uri, NULL);
    return error_set(err, ERR_CORRUPT, "%.300s arrived with %llu bytes of %llu", uri,
                     (unsigned long long)found, (unsigned long long)size_bytes);
}

/* Two nodes that put the same at once write one NAME._COPYING_: the first then loses its
 * file, and the second's is whole. */
static bool lost_race(struct clusterfs *fs, const char *uri, uint64_t size_bytes)
{
    bool is_there = false;
    uint64_t found = 0;
    return shell_size(fs, uri, &is_there, &found, NULL) == 0 && is_there &&
           found == size_bytes;
}

static int shell_put(struct clusterfs *fs, const char *path, uint64_t size_bytes,
                     const char *uri, const char *mark, struct error *err)
{
    const char *const words[] = {"-put", path, uri, NULL};
    (void)mark; /* FsShell has a name of its own for what is half-way */
    int status = run(fs, words, size_bytes, err);
    if (status > 0 && said(fs, NO_SUCH)) {
        status = make_folder(fs, uri, err) < 0 ? -1 : run(fs, words, size_bytes, err);
    }
    if (status < 0) {
        return -1;
    }
    bool was_there = status != 0 && said(fs, "File exists");
    if (status != 0 && !was_there) {
        struct error why = ERROR_INIT;
        (void)failed(fs, uri, &why);
        if (lost_race(fs, uri, size_bytes)) {
            return 0;
        }
        if (err != NULL) {
            *err = why;
        }
        return error_result();
    }
    return check_size(fs, uri, size_bytes, err) < 0 ? -1 : !was_there;
}

static int shell_get(struct clusterfs *fs, const char *uri, const char *path,
                     uint64_t max_bytes, struct error *err)
{
    bool is_there = false;
    uint64_t size_bytes = 0;
    struct stat st = {.st_size = -1};
    if (shell_size(fs, uri, &is_there, &size_bytes, err) < 0) {
        return -1;
    }
    if (clusterfs_check_size(uri, is_there, size_bytes, max_bytes, err) < 0) {
        return -1;
    }
    if (lstat(path, &st) == 0) {
        return error_set(err, ERR_EXISTS, "%.300s is there already", path);
    }
    const char *const words[] = {"-get", uri, path, NULL};
    int status = run(fs, words, size_bytes, err);
    if (status == 0 && stat(path, &st) == 0 && (uint64_t)st.st_size == size_bytes) {
        return 0;
    }
    (void)unlink(path);
    if (status > 0) {
        return failed(fs, uri, err);
    }
    return status < 0
               ? -1
               : error_set(err, ERR_CORRUPT, "%.300s came with %lld bytes of %llu", uri,
                           (long long)st.st_size, (unsigned long long)size_bytes);
}

const struct clusterfs_way clusterfs_shell = {.is_quick = false,
                                              .size = shell_size,
                                              .put = shell_put,
                                              .get = shell_get,
                                              .list = shell_list,
                                              .remove = shell_remove};
