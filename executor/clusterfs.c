#include "executor/clusterfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/explain.h"
#include "common/fdio.h"
#include "common/files.h"
#include "executor/clusterfs_inside.h"

#define HINT_BASE                                                                        \
    "let `spark.base` name a folder of yours in the cluster's file system, or ask its "  \
    "administrator for one"
#define HINT_TICKET "get a ticket on the node (kinit), then run it again"
#define HINT_CONFIGURATION                                                               \
    "check that the cluster is up, and the node's core-site.xml (HADOOP_CONF_DIR)"

/* FsShell's words, and those of WebHDFS's RemoteException. */
static const struct explain_row rows[] = {
    {"ame node is in safe mode", ERR_BUSY,
     "the cluster's file system is in safe mode: nothing can be written there",
     "wait until it is over (hdfs dfsadmin -safemode get), or ask its administrator"},
    {"ermission denied: user={}, access={}, inode=\"{}\"", ERR_ACCESS,
     "user {} has no {} permission for {} in the cluster's file system", HINT_BASE},
    {"amespace quota", ERR_NO_SPACE,
     "the cluster's file system lets this folder have no more files: its quota is full",
     "remove what nobody needs there, or ask its administrator for more"},
    {"iskspace quota", ERR_NO_SPACE,
     "the cluster's file system lets this folder have no more bytes: its quota is full",
     "remove what nobody needs there, or ask its administrator for more"},
    {"QuotaExceededException", ERR_NO_SPACE,
     "the quota in the cluster's file system is used up",
     "remove what nobody needs there, or ask its administrator for more"},
    {"could only be written to 0 of the", ERR_NO_SPACE,
     "no DataNode of the cluster takes the file: they are full or down",
     "see hdfs dfsadmin -report"},
    {"could only be replicated to 0 nodes", ERR_NO_SPACE,
     "no DataNode of the cluster takes the file: they are full or down",
     "see hdfs dfsadmin -report"},
    {"UnknownHostException: {}", ERR_CONNECT,
     "the node does not know the host {} of the cluster's file system",
     HINT_CONFIGURATION},
    {"onnection refused", ERR_CONNECT, "nobody answers for the cluster's file system",
     HINT_CONFIGURATION},
    {"No FileSystem for scheme", ERR_UNSUPPORTED,
     "the node's Hadoop does not know this kind of file system",
     "let `spark.base` name a folder in one that it knows"},
    {"Client cannot authenticate via", ERR_LOGIN,
     "the cluster's file system wants a Kerberos ticket, and the node has none",
     HINT_TICKET},
    {"GSSException", ERR_LOGIN,
     "the cluster's file system does not take the node's Kerberos ticket", HINT_TICKET},
    {"AuthorizationPermissionMismatch", ERR_ACCESS,
     "the storage account does not let this user write there", HINT_BASE},
    {"erver failed to authenticate the request", ERR_LOGIN,
     "the storage account did not take the cluster's key",
     "ask the cluster's administrator"},
    {"JAVA_HOME is not set", ERR_SPAWN, "Hadoop's programs find no Java on the node",
     "set JAVA_HOME in the node's login environment"},
};

bool clusterfs_improve(struct error *err)
{
    CLEANUP_FREE char *words = xstrdup(err->text);
    return explain(rows, ARRAY_SIZE(rows), words, err);
}

int clusterfs_explain(const char *uri, const char *words, struct error *err)
{
    if (explain(rows, ARRAY_SIZE(rows), words, err)) {
        return error_result();
    }
    /* The last line that FsShell itself says: "put: ..." stands behind the warnings. */
    const char *end = words + strlen(words);
    while (end > words && end[-1] == '\n') {
        end--;
    }
    const char *begin = end;
    while (begin > words && begin[-1] != '\n') {
        begin--;
    }
    int length = end - begin < 400 ? (int)(end - begin) : 400;
    return error_set(err, ERR_IO, "%.300s: %.*s", uri,
                     length > 0 ? length : (int)strlen("no reason was given"),
                     length > 0 ? begin : "no reason was given");
}

char *clusterfs_folder_of(const char *uri)
{
    const char *slash = strrchr(uri, '/');
    return xstrndup(uri, slash != NULL ? (size_t)(slash - uri) : strlen(uri));
}

char *clusterfs_aside(const char *uri, const char *mark)
{
    const char *slash = strrchr(uri, '/');
    const char *name = slash != NULL ? slash + 1 : uri;
    return xasprintf("%.*s.tmp.%s.%s", (int)(name - uri), uri, mark, name);
}

int clusterfs_check_size(const char *uri, bool is_there, uint64_t size_bytes,
                         uint64_t max_bytes, struct error *err)
{
    if (!is_there) {
        return error_set(err, ERR_NOT_FOUND, "%.300s: there is no such file", uri);
    }
    return size_bytes <= max_bytes ? 0
                                   : error_set(err, ERR_LIMIT, "%.300s has %llu bytes",
                                               uri, (unsigned long long)size_bytes);
}

/* "file:/a", "file:///a". */
const char *clusterfs_local_path(const char *uri)
{
    static const char scheme[] = "file:";
    if (strncmp(uri, scheme, strlen(scheme)) != 0) {
        return NULL;
    }
    const char *path = uri + strlen(scheme);
    if (strncmp(path, "//", 2) == 0) {
        path += 2;
    }
    return path[0] == '/' ? path : NULL;
}

/* ---- Which way */

static const struct clusterfs_way *way_to(struct clusterfs *fs, const char *uri,
                                          struct error *err)
{
    if (clusterfs_local_path(uri) != NULL) {
        return &clusterfs_file;
    }
    if (clusterfs_web_serves(fs, uri)) {
        return &clusterfs_web;
    }
    if (fs->shell.count > 0) {
        return &clusterfs_shell;
    }
    error_set(err, ERR_NOT_FOUND, "%.300s: the node has no program that gets there", uri);
    error_hint(err, "put hadoop or hdfs into the PATH of the node's login environment");
    return NULL;
}

/* WebHDFS may be switched off, its hosts out of reach, its curl too old: from then on
 * FsShell does it, where there is one. What the cluster itself refused it refuses
 * again. */
static bool is_other_way_worth_it(struct clusterfs *fs, const struct clusterfs_way *way,
                                  const struct error *why)
{
    static const enum error_code verdicts[] = {ERR_CANCELED, ERR_NO_SPACE, ERR_ACCESS,
                                               ERR_BUSY,     ERR_LIMIT,    ERR_EXISTS,
                                               ERR_NOT_FOUND};
    for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
        if (why->code == verdicts[i]) {
            return false;
        }
    }
    if (way != &clusterfs_web || fs->shell.count == 0) {
        return false;
    }
    programs_say(fs->programs, "WebHDFS does not serve (%s): Hadoop's own program does",
                 why->text);
    strvec_release(&fs->web);
    return true;
}

bool clusterfs_is_quick(struct clusterfs *fs, const char *uri)
{
    const struct clusterfs_way *way = way_to(fs, uri, NULL);
    return way != NULL && way->is_quick;
}

static int give(struct error *err, const struct error *why)
{
    if (err != NULL) {
        *err = *why;
    }
    return error_result();
}

int clusterfs_size(struct clusterfs *fs, const char *uri, bool *out_is_there,
                   uint64_t *out_size, struct error *err)
{
    struct error why = ERROR_INIT;
    const struct clusterfs_way *way = way_to(fs, uri, err);
    if (way == NULL) {
        return -1;
    }
    if (way->size(fs, uri, out_is_there, out_size, &why) == 0) {
        return 0;
    }
    return is_other_way_worth_it(fs, way, &why)
               ? clusterfs_shell.size(fs, uri, out_is_there, out_size, err)
               : give(err, &why);
}

int clusterfs_put(struct clusterfs *fs, const char *path, const char *uri,
                  const char *mark, struct error *err)
{
    struct error why = ERROR_INIT;
    const struct clusterfs_way *way = way_to(fs, uri, err);
    struct stat st;
    if (way == NULL) {
        return -1;
    }
    if (stat(path, &st) < 0) {
        return error_sys(err, "%.300s", path);
    }
    int result = way->put(fs, path, (uint64_t)st.st_size, uri, mark, &why);
    if (result >= 0) {
        return result;
    }
    return is_other_way_worth_it(fs, way, &why)
               ? clusterfs_shell.put(fs, path, (uint64_t)st.st_size, uri, mark, err)
               : give(err, &why);
}

int clusterfs_get(struct clusterfs *fs, const char *uri, const char *path,
                  uint64_t max_bytes, struct error *err)
{
    struct error why = ERROR_INIT;
    const struct clusterfs_way *way = way_to(fs, uri, err);
    if (way == NULL) {
        return -1;
    }
    if (way->get(fs, uri, path, max_bytes, &why) == 0) {
        return 0;
    }
    return is_other_way_worth_it(fs, way, &why)
               ? clusterfs_shell.get(fs, uri, path, max_bytes, err)
               : give(err, &why);
}

int clusterfs_list(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                   void *context, struct error *err)
{
    struct error why = ERROR_INIT;
    const struct clusterfs_way *way = way_to(fs, uri, err);
    if (way == NULL) {
        return -1;
    }
    if (way->list(fs, uri, visit, context, &why) == 0) {
        return 0;
    }
    return is_other_way_worth_it(fs, way, &why)
               ? clusterfs_shell.list(fs, uri, visit, context, err)
               : give(err, &why);
}

void clusterfs_touch(struct clusterfs *fs, const char *uri)
{
    const struct clusterfs_way *way = way_to(fs, uri, NULL);
    if (way != NULL && way->touch != NULL) {
        way->touch(fs, uri);
    }
}

int clusterfs_remove_all(struct clusterfs *fs, const struct strvec *uris,
                         struct error *err)
{
    struct error why = ERROR_INIT;
    const struct clusterfs_way *way =
        uris->count > 0 ? way_to(fs, uris->items[0], err) : NULL;
    if (way == NULL) {
        return uris->count > 0 ? -1 : 0;
    }
    if (way->remove(fs, uris, &why) == 0) {
        return 0;
    }
    return is_other_way_worth_it(fs, way, &why) ? clusterfs_shell.remove(fs, uris, err)
                                                : give(err, &why);
}

int clusterfs_remove(struct clusterfs *fs, const char *uri, struct error *err)
{
    CLEANUP_STRVEC struct strvec uris = STRVEC_INIT;
    strvec_push(&uris, uri);
    return clusterfs_remove_all(fs, &uris, err);
}

/* ---- file: */

static int file_size(struct clusterfs *fs, const char *uri, bool *out_is_there,
                     uint64_t *out_size, struct error *err)
{
    struct stat st;
    (void)fs;
    if (stat(clusterfs_local_path(uri), &st) == 0) {
        *out_is_there = S_ISREG(st.st_mode);
        *out_size = (uint64_t)st.st_size;
        return 0;
    }
    *out_is_there = false;
    return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "%.300s", uri);
}

/* Copy, synced, into a new file. */
static int copy_file(const char *from, const char *to, mode_t mode, uint64_t size_bytes,
                     struct error *err)
{
    CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return error_sys(err, "%.300s", from);
    }
    CLEANUP_FD int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (out < 0) {
        return error_sys(err, "%.300s", to);
    }
    int64_t copied = fdio_copy(in, out, size_bytes + 1);
    if (copied < 0 || fsync(out) < 0) {
        error_sys(err, "%.300s", to);
    } else if ((uint64_t)copied != size_bytes) {
        error_set(err, ERR_CHANGED, "%.300s changed while it was copied", from);
    } else {
        return 0;
    }
    (void)unlink(to);
    return error_result();
}

/* Others who work for the cluster read what is there. */
static int make_folders(const char *path, struct error *err)
{
    CLEANUP_FREE char *parent = clusterfs_folder_of(path);
    struct stat st;
    if (parent[0] != '\0' && stat(parent, &st) < 0 && make_folders(parent, err) < 0) {
        return -1;
    }
    return parent[0] == '\0' || mkdir(parent, 0755) == 0 || errno == EEXIST
               ? 0
               : error_sys(err, "%.300s", parent);
}

static int file_put(struct clusterfs *fs, const char *path, uint64_t size_bytes,
                    const char *uri, const char *mark, struct error *err)
{
    const char *to = clusterfs_local_path(uri);
    CLEANUP_FREE char *aside = clusterfs_aside(to, mark);
    struct error why = ERROR_INIT;
    (void)fs;
    if (make_folders(to, err) < 0) {
        return -1;
    }
    (void)unlink(aside); /* of an earlier try under the same mark */
    if (copy_file(path, aside, 0644, size_bytes, err) < 0) {
        return -1;
    }
    if (files_rename_noreplace(AT_FDCWD, aside, AT_FDCWD, to, &why) == 0) {
        return 1;
    }
    (void)unlink(aside);
    if (why.code == ERR_EXISTS) {
        return 0;
    }
    if (err != NULL) {
        *err = why;
    }
    return error_result();
}

static int file_get(struct clusterfs *fs, const char *uri, const char *path,
                    uint64_t max_bytes, struct error *err)
{
    bool is_there = false;
    uint64_t size_bytes = 0;
    if (file_size(fs, uri, &is_there, &size_bytes, err) < 0) {
        return -1;
    }
    if (clusterfs_check_size(uri, is_there, size_bytes, max_bytes, err) < 0) {
        return -1;
    }
    return copy_file(clusterfs_local_path(uri), path, 0600, size_bytes, err);
}

static int file_list(struct clusterfs *fs, const char *uri, clusterfs_visit *visit,
                     void *context, struct error *err)
{
    struct stat st;
    DIR *dir = opendir(clusterfs_local_path(uri));
    (void)fs;
    if (dir == NULL) {
        return errno == ENOENT ? 0 : error_sys(err, "%.300s", uri);
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode)) {
            visit(context, entry->d_name, clock_ms_of(&st.st_mtim));
        }
    }
    (void)closedir(dir);
    return 0;
}

static int file_remove(struct clusterfs *fs, const struct strvec *uris, struct error *err)
{
    int result = 0;
    (void)fs;
    for (size_t i = 0; result == 0 && i < uris->count; i++) {
        const char *path = clusterfs_local_path(uris->items[i]);
        result = path != NULL ? files_remove_tree(AT_FDCWD, path, err) : 0;
    }
    return result;
}

const struct clusterfs_way clusterfs_file = {.is_quick = true,
                                             .size = file_size,
                                             .put = file_put,
                                             .get = file_get,
                                             .list = file_list,
                                             .remove = file_remove};
