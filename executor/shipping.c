#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/shipping.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/oid.h"
#include "executor/shipping_inside.h"

#define LOOK_MS 200
#define BUSY_S 120
#define BUSY_LOOK_MS 3000
#define RECORD_MAX ((size_t)16 << 10)
#define LIST_MAX ((size_t)1 << 20)

/* ---- Where a folder's records lie */

/* "shipped/<first digits of the folder's digest>": its folder below the root. */
struct folder_name {
    char text[sizeof("shipped/") + 32];
};

static struct folder_name records_of(const char *base)
{
    struct folder_name name;
    struct oid digest;
    char hex[OID_HEX_SIZE];
    oid_of_bytes(base, strlen(base), &digest);
    oid_to_hex(&digest, hex);
    snprintf(name.text, sizeof(name.text), "%s/%.16s", SHIPPED_FOLDER, hex);
    return name;
}

/* The open folder of the records, made with what leads to the cluster. */
static int open_records(const struct shipping *s, struct error *err)
{
    struct folder_name name = records_of(s->base);
    struct stat st;
    if (mkdirat(s->root->fd, SHIPPED_FOLDER, 0700) < 0 && errno != EEXIST) {
        return error_sys(err, "make %s/%s", s->root->path, SHIPPED_FOLDER);
    }
    if (s->fs->base == NULL) {
        s->fs->base = xstrdup(s->base);
    }
    CLEANUP_FD int folder = files_open_or_make_dir(s->root->fd, name.text, err);
    if (folder < 0 || (fstatat(folder, CLUSTERFS_REACH_FILE, &st, 0) < 0 &&
                       clusterfs_write_reach(s->fs, folder, err) < 0)) {
        return -1;
    }
    return take_fd(&folder);
}

char *shipping_record_name(const char *name)
{
    char *record = xstrdup(name);
    for (char *at = record; *at != '\0'; at++) {
        *at = (char)(*at == '/' ? '+' : *at);
    }
    return record;
}

/* ---- Records */

static bool is_recorded(int record_fd)
{
    struct stat st;
    return fstat(record_fd, &st) == 0 && st.st_size > 0;
}

/* Here each time; in the cluster, for other nodes, the first time a day. */
static void note_use(const struct shipping *s, int record_fd, const char *uri)
{
    struct stat st;
    if (fstat(record_fd, &st) == 0 && clock_ms_of(&st.st_mtim) / SHIPPED_NOTED_MS !=
                                          clock_utc_ms() / SHIPPED_NOTED_MS) {
        clusterfs_touch(s->fs, uri);
    }
    (void)futimens(record_fd, NULL);
}

static int write_record(const struct shipping *s, int record_fd, const char *uri,
                        struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_add_string(j, "uri", uri);
    json_add_string(j, "run", s->run);
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    return fdio_pwrite_full(record_fd, text.data, text.length, 0) < 0
               ? error_sys(err, "note what the cluster has")
               : 0;
}

/* True where it is known to be there; then it was used now. */
static bool find_record(const struct shipping *s, int folder, const char *record,
                        const char *uri)
{
    /* Shared, so that janitor, who holds it alone, does not remove what is being used. */
    CLEANUP_FD int fd = openat(folder, record, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !is_recorded(fd)) {
        return false;
    }
    fdio_close(&fd);
    fd = files_lock(folder, record, false, 0, NULL);
    if (fd < 0 || !is_recorded(fd)) {
        return false;
    }
    note_use(s, fd, uri);
    return true;
}

/* The record's lock, alone. While somebody else has it we wait and say so once. */
static int lock_record(const struct shipping *s, int folder, const char *record,
                       const struct cargo *cargo, struct error *err)
{
    bool has_said = false;
    for (;;) {
        struct error why = ERROR_INIT;
        int fd = files_lock(folder, record, true, 0, &why);
        if (fd >= 0) {
            return fd;
        }
        if (why.code != ERR_BUSY) {
            return error_set(err, why.code, "%s", why.text);
        }
        if (!has_said) {
            programs_say(s->fs->programs, "another run is sending %s; waiting for it",
                         cargo->what);
            has_said = true;
        }
        if (!programs_wait(s->fs->programs, LOOK_MS)) {
            return error_set(err, ERR_CANCELED, "the run is being ended");
        }
    }
}

/* ---- What a run needs */

int shipping_need(const struct shipping *s, const char *uri, struct error *err)
{
    CLEANUP_FD int fd =
        openat(s->run_fd, NEEDS_FILE,
               O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_FREE char *line = xasprintf("%s\n", uri);
    return fd < 0 || fdio_write_full(fd, line, strlen(line)) < 0
               ? error_sys(err, "note what the run needs in the cluster")
               : 0;
}

/* ---- Sending */

static void say_sent(const struct shipping *s, const struct cargo *cargo, const char *uri,
                     uint64_t size_bytes, int64_t begun_ns)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, size_bytes);
    double spent_s = (double)(clock_monotonic_ns() - begun_ns) / NS_PER_S;
    programs_say(s->fs->programs, "sent %s, %s, in %.1f s: %s", cargo->what, size,
                 spent_s, uri);
}

static int make_file(const struct cargo *cargo, const char *path, uint64_t *out_size,
                     struct error *err)
{
    struct stat st;
    CLEANUP_FD int fd =
        open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_sys(err, "%.300s", path);
    }
    if (cargo->make(cargo->context, fd, err) < 0) {
        return error_wrap(err, "pack %s", cargo->what);
    }
    if (fstat(fd, &st) < 0) {
        return error_sys(err, "%.300s", path);
    }
    *out_size = (uint64_t)st.st_size;
    return 0;
}

/* A NameNode that has just started is in safe mode for a while. */
static int put_patiently(const struct shipping *s, const char *path, const char *uri,
                         struct error *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + BUSY_S * NS_PER_S;
    bool has_said = false;
    for (;;) {
        struct error why = ERROR_INIT;
        int result = clusterfs_put(s->fs, path, uri, s->run, &why);
        if (result >= 0) {
            return result;
        }
        if (why.code != ERR_BUSY || clock_monotonic_ns() >= deadline_ns) {
            if (err != NULL) {
                *err = why;
            }
            return error_result();
        }
        if (!has_said) {
            programs_say(s->fs->programs, "%s; trying for %d s", why.text, BUSY_S);
            has_said = true;
        }
        if (!programs_wait(s->fs->programs, BUSY_LOOK_MS)) {
            return error_set(err, ERR_CANCELED, "the run is being ended");
        }
    }
}

static int make_and_put(const struct shipping *s, const struct cargo *cargo,
                        const char *uri, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s/%s%s", s->root->path, SHIPPED_FOLDER,
                                        FILES_TEMPORARY_PREFIX, s->run);
    uint64_t size_bytes = 0;
    int64_t begun_ns = clock_monotonic_ns();
    int result = make_file(cargo, path, &size_bytes, err);
    if (result == 0) {
        result = put_patiently(s, path, uri, err);
        result =
            result < 0 ? error_wrap(err, "send %s to the cluster", cargo->what) : result;
    }
    (void)unlink(path);
    if (result == 1) {
        say_sent(s, cargo, uri, size_bytes, begun_ns);
    }
    return result;
}

/* True where the record is wrong, as far as anybody asks. */
static bool is_gone(const struct shipping *s, const char *uri)
{
    bool is_there = true;
    uint64_t size_bytes = 0;
    return s->wants_proof && clusterfs_is_quick(s->fs, uri) &&
           clusterfs_size(s->fs, uri, &is_there, &size_bytes, NULL) == 0 && !is_there;
}

/* Somebody else's node may have sent it. */
static int look_there(const struct shipping *s, const struct cargo *cargo,
                      const char *uri, bool *out_is_there, struct error *err)
{
    uint64_t size_bytes = 0;
    *out_is_there = false;
    if (!cargo->is_costly && !clusterfs_is_quick(s->fs, uri)) {
        return 0;
    }
    return clusterfs_size(s->fs, uri, out_is_there, &size_bytes, err);
}

static int send_locked(const struct shipping *s, const struct cargo *cargo, int record_fd,
                       const char *uri, struct error *err)
{
    bool is_there = false;
    int result = 0;
    if (is_recorded(record_fd) && !is_gone(s, uri)) { /* by who held the lock */
        note_use(s, record_fd, uri);
        return 0;
    }
    if (look_there(s, cargo, uri, &is_there, err) < 0) {
        return error_wrap(err, "send %s to the cluster", cargo->what);
    }
    if (is_there) {
        clusterfs_touch(s->fs, uri);
    } else {
        result = make_and_put(s, cargo, uri, err);
    }
    return result < 0 || write_record(s, record_fd, uri, err) < 0 ? -1 : result;
}

int shipping_send(const struct shipping *s, const struct cargo *cargo, char **out,
                  struct error *err)
{
    CLEANUP_FREE char *uri = xasprintf("%s/%s", s->base, cargo->name);
    CLEANUP_FREE char *record = shipping_record_name(cargo->name);
    CLEANUP_FD int folder = open_records(s, err);
    if (folder < 0 || shipping_need(s, uri, err) < 0) {
        return -1;
    }
    int result = 0;
    if (!find_record(s, folder, record, uri) || is_gone(s, uri)) {
        CLEANUP_FD int fd = lock_record(s, folder, record, cargo, err);
        result = fd < 0 ? -1 : send_locked(s, cargo, fd, uri, err);
    }
    if (result >= 0) {
        *out = TAKE_PTR(uri);
    }
    return result;
}

bool shipping_is_known(const struct shipping *s, const char *name)
{
    struct folder_name folder_name = records_of(s->base);
    CLEANUP_FREE char *record = shipping_record_name(name);
    struct stat st;
    CLEANUP_FD int folder = files_open_dir(s->root->fd, folder_name.text, NULL);
    return folder >= 0 && fstatat(folder, record, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_size > 0;
}

void shipping_forget(const struct shipping *s, const char *name)
{
    struct folder_name folder_name = records_of(s->base);
    CLEANUP_FREE char *record = shipping_record_name(name);
    CLEANUP_FD int folder = files_open_dir(s->root->fd, folder_name.text, NULL);
    CLEANUP_FD int fd =
        folder < 0 ? -1 : openat(folder, record, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && ftruncate(fd, 0) < 0) {
        (void)unlinkat(folder, record, 0);
    }
}
