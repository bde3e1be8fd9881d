#define _GNU_SOURCE /* O_NOFOLLOW */
#include "controller/livy_place.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/strvec.h"
#include "common/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND_MS ((int64_t)6 * 3600 * 1000)
#define COMMAND_SAID_MAX ((size_t)64 << 10)
#define FOLDER_MODE 0755

struct livy_place_way {
    bool can_follow;
    int (*make_dir)(const struct livy_place *, const char *path, struct error *);
    int (*put)(const struct livy_place *, const char *path, unsigned mode,
               const char *file, struct error *);
    int (*rename)(const struct livy_place *, const char *from, const char *to,
                  struct error *);
    /* As rename, but what is there stays: ERR_EXISTS. */
    int (*settle)(const struct livy_place *, const char *from, const char *to,
                  struct error *);
    int (*size)(const struct livy_place *, const char *path, bool *, uint64_t *,
                struct error *);
    int (*read)(const struct livy_place *, const char *path, uint64_t offset,
                size_t length, struct strbuf *, bool *, struct error *);
    int (*fetch)(const struct livy_place *, const char *path, uint64_t max_bytes, int fd,
                 bool *, struct error *);
    int (*remove)(const struct livy_place *, const char *path, struct error *);
};

static int too_long(const char *path, uint64_t size, struct error *err)
{
    return error_set(err, ERR_LIMIT, "%s has %llu bytes: there is no room for it here",
                     path, (unsigned long long)size);
}

/* ---- WebHDFS */

static int hdfs_make_dir(const struct livy_place *place, const char *path,
                         struct error *err)
{
    if (webhdfs_make_dirs(&place->fs, path, 0755, err) == 0) {
        return 0;
    }
    return err == NULL || err->code != ERR_ACCESS
               ? error_result()
               : error_hint(err, "?user.name=NAME behind the address of --webhdfs says "
                                 "as whom, --base names another folder");
}

static int hdfs_put(const struct livy_place *place, const char *path, unsigned mode,
                    const char *file, struct error *err)
{
    return webhdfs_put_pieces(&place->fs, path, mode, file, err);
}

static int hdfs_rename(const struct livy_place *place, const char *from, const char *to,
                       struct error *err)
{
    struct error inner = ERROR_INIT;
    if (webhdfs_rename(&place->fs, from, to, &inner) == 0) {
        return 0;
    }
    if (inner.code != ERR_EXISTS) {
        *err = inner;
        return -1;
    }
    /* An older one of this attempt's own is in the way. */
    if (webhdfs_remove(&place->fs, to, err) < 0) {
        return -1;
    }
    return webhdfs_rename(&place->fs, from, to, err);
}

static int hdfs_settle(const struct livy_place *place, const char *from, const char *to,
                       struct error *err)
{
    return webhdfs_rename(&place->fs, from, to, err);
}

static int hdfs_size(const struct livy_place *place, const char *path, bool *out_is_there,
                     uint64_t *out_size, struct error *err)
{
    return webhdfs_size(&place->fs, path, out_is_there, out_size, err);
}

static int hdfs_read(const struct livy_place *place, const char *path, uint64_t offset,
                     size_t length, struct strbuf *out, bool *out_is_there,
                     struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (webhdfs_read(&place->fs, path, offset, length, -1, &answer, out_is_there, err) <
        0) {
        return -1;
    }
    return *out_is_there ? strbuf_add(out, answer.body.data, answer.body.length, err) : 0;
}

static int hdfs_fetch(const struct livy_place *place, const char *path,
                      uint64_t max_bytes, int fd, bool *out_is_there, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    uint64_t size = 0;
    if (webhdfs_size(&place->fs, path, out_is_there, &size, err) < 0) {
        return -1;
    }
    if (*out_is_there && size > max_bytes) {
        return too_long(path, size, err);
    }
    return *out_is_there && size > 0
               ? webhdfs_read(&place->fs, path, 0, size, fd, &answer, out_is_there, err)
               : 0;
}

static int hdfs_remove(const struct livy_place *place, const char *path,
                       struct error *err)
{
    return webhdfs_remove(&place->fs, path, err);
}

/* ---- This machine */

/* Others, Livy's account among them, are to read what is there. */
static int local_make_dir(const struct livy_place *place, const char *path,
                          struct error *err)
{
    (void)place;
    CLEANUP_FREE char *copy = xstrdup(path);
    for (char *at = strchr(copy + 1, '/');; at = strchr(at + 1, '/')) {
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdir(copy, FOLDER_MODE) == 0) {
            (void)chmod(copy, FOLDER_MODE);
        } else if (errno != EEXIST) {
            return error_sys(err, "make the folder %s", copy);
        }
        if (at == NULL) {
            return 0;
        }
        *at = '/';
    }
}

static int local_put(const struct livy_place *place, const char *path, unsigned mode,
                     const char *file, struct error *err)
{
    (void)place;
    struct stat st;
    CLEANUP_FD int in = open(file, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int out =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, &st) != 0 ||
        fdio_copy(in, out, (uint64_t)st.st_size) != st.st_size ||
        fchmod(out, mode) != 0) {
        return error_sys(err, "copy %s to %s", file, path);
    }
    return 0;
}

static int local_rename(const struct livy_place *place, const char *from, const char *to,
                        struct error *err)
{
    (void)place;
    return rename(from, to) == 0 ? 0 : error_sys(err, "rename %s to %s", from, to);
}

static int local_settle(const struct livy_place *place, const char *from, const char *to,
                        struct error *err)
{
    return access(to, F_OK) == 0 ? error_set(err, ERR_EXISTS, "%s is there already", to)
                                 : local_rename(place, from, to, err);
}

static int local_size(const struct livy_place *place, const char *path,
                      bool *out_is_there, uint64_t *out_size, struct error *err)
{
    (void)place;
    struct stat st;
    *out_is_there = stat(path, &st) == 0;
    if (!*out_is_there) {
        return errno == ENOENT ? 0 : error_sys(err, "look at %s", path);
    }
    *out_size = (uint64_t)st.st_size;
    return 0;
}

/* -1: err; *out_is_there false: nothing to open. */
static int open_local(const char *path, bool *out_is_there, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *out_is_there = fd >= 0;
    if (fd < 0 && errno != ENOENT) {
        error_sys(err, "read %s", path);
    }
    return fd;
}

static int local_read(const struct livy_place *place, const char *path, uint64_t offset,
                      size_t length, struct strbuf *out, bool *out_is_there,
                      struct error *err)
{
    (void)place;
    struct error inner = ERROR_INIT;
    CLEANUP_FD int fd = open_local(path, out_is_there, &inner);
    if (fd < 0) {
        return inner.code == ERR_NONE ? 0 : error_set(err, inner.code, "%s", inner.text);
    }
    char *room = strbuf_reserve(out, length, err);
    ssize_t got = room == NULL ? -1 : fdio_pread_full(fd, room, length, offset);
    if (got < 0) {
        return room == NULL ? -1 : error_sys(err, "read %s", path);
    }
    strbuf_grown(out, (size_t)got);
    return 0;
}

/* An open file of this machine, as long as it is now. */
static int copy_whole(int in, const char *path, uint64_t max_bytes, int fd,
                      struct error *err)
{
    struct stat st;
    if (fstat(in, &st) < 0) {
        return error_sys(err, "look at %s", path);
    }
    if ((uint64_t)st.st_size > max_bytes) {
        return too_long(path, (uint64_t)st.st_size, err);
    }
    return fdio_copy(in, fd, (uint64_t)st.st_size) < 0 ? error_sys(err, "copy %s", path)
                                                       : 0;
}

static int local_fetch(const struct livy_place *place, const char *path,
                       uint64_t max_bytes, int fd, bool *out_is_there, struct error *err)
{
    (void)place;
    struct error inner = ERROR_INIT;
    CLEANUP_FD int in = open_local(path, out_is_there, &inner);
    if (in < 0) {
        return inner.code == ERR_NONE ? 0 : error_set(err, inner.code, "%s", inner.text);
    }
    return copy_whole(in, path, max_bytes, fd, err);
}

static int local_remove(const struct livy_place *place, const char *path,
                        struct error *err)
{
    (void)place;
    return files_remove_tree(AT_FDCWD, path, err);
}

/* ---- A command */

static void put_argument(const char *word, const char *src, const char *dst,
                         struct strvec *argv)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    while (*word != '\0') {
        bool is_src = strncmp(word, "{src}", 5) == 0;
        if (is_src || strncmp(word, "{dst}", 5) == 0) {
            strbuf_puts(&text, is_src ? src : dst);
            word += 5;
        } else {
            strbuf_putc(&text, *word++);
        }
    }
    strvec_push(argv, text.data);
}

/* As long as the exchanges that go on beside it: a cancel ends it, and has only so long
 * itself. */
static int run_command(const struct livy_place *place, struct strvec *argv,
                       struct strbuf *out, struct strbuf *said, int *status,
                       struct error *err)
{
    const struct http *http = place->fs.http;
    int64_t left_ms = COMMAND_MS;
    struct subprocess sp;
    if (http->deadline_ns != 0) {
        left_ms = (http->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
    }
    if (left_ms <= 0) {
        return error_set(err, ERR_TIMED_OUT, "there is no time left to copy by %s",
                         strvec_argv(argv)[0]);
    }
    if (subprocess_capture_start(&sp, (const char *const *)strvec_argv(argv), true, err) <
        0) {
        return -1;
    }
    sp.stop_fd = http->stop_fd;
    sp.has_stop = http->stop_fd >= 0;
    return subprocess_capture_finish(&sp, out, said, (int)left_ms, status, err);
}

static int copy_by_command(const struct livy_place *place, const char *src,
                           const char *dst, struct error *err)
{
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    struct strbuf out, said;
    int status = 0;
    strbuf_init(&out, COMMAND_SAID_MAX);
    strbuf_init(&said, COMMAND_SAID_MAX);
    for (size_t i = 0; i < place->livy->upload_command.count; i++) {
        put_argument(place->livy->upload_command.items[i], src, dst, &argv);
    }
    int result = run_command(place, &argv, &out, &said, &status, err);
    if (result == 0 && status != 0) {
        CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
        subprocess_describe_status(status, &how);
        const char *words = said.length > 0 ? said.data : out.data;
        size_t length = strlen(words);
        while (length > 0 && words[length - 1] == '\n') {
            length--;
        }
        const char *last = words + length;
        while (last > words && last[-1] != '\n') {
            last--;
        }
        result =
            error_set(err, ERR_IO, "%s %s while it copied %s to %s: %.*s", argv.items[0],
                      how.data, src, dst, (int)(words + length - last), last);
    }
    strbuf_release(&out);
    strbuf_release(&said);
    return result;
}

/* Such stores have no folders of their own. */
static int command_make_dir(const struct livy_place *place, const char *path,
                            struct error *err)
{
    (void)place, (void)path, (void)err;
    return 0;
}

static int command_put(const struct livy_place *place, const char *path, unsigned mode,
                       const char *file, struct error *err)
{
    (void)mode;
    return copy_by_command(place, file, path, err);
}

static int command_size(const struct livy_place *place, const char *path,
                        bool *out_is_there, uint64_t *out_size, struct error *err)
{
    (void)place, (void)path, (void)err;
    *out_is_there = false;
    *out_size = 0;
    return 0;
}

/* Through a temporary file. What cannot be copied counts as not there: the command's
 * words do not tell the two apart. */
static int command_fetch(const struct livy_place *place, const char *path,
                         uint64_t max_bytes, int fd, bool *out_is_there,
                         struct error *err)
{
    char temporary[] = "/tmp/errand-livy-XXXXXX";
    struct error inner = ERROR_INIT;
    int made = mkstemp(temporary);
    if (made < 0) {
        return error_sys(err, "make a temporary file");
    }
    fdio_close(&made);
    int result = 0;
    *out_is_there = copy_by_command(place, path, temporary, &inner) == 0;
    if (*out_is_there) {
        CLEANUP_FD int in = open(temporary, O_RDONLY | O_CLOEXEC);
        result = in < 0 ? error_sys(err, "read %s", temporary)
                        : copy_whole(in, path, max_bytes, fd, err);
    }
    (void)unlink(temporary);
    return result;
}

static int command_read(const struct livy_place *place, const char *path, uint64_t offset,
                        size_t length, struct strbuf *out, bool *out_is_there,
                        struct error *err)
{
    char temporary[] = "/tmp/errand-livy-XXXXXX";
    CLEANUP_FD int fd = mkstemp(temporary);
    if (fd < 0) {
        return error_sys(err, "make a temporary file");
    }
    (void)unlink(temporary);
    if (command_fetch(place, path, UINT64_MAX, fd, out_is_there, err) < 0) {
        return -1;
    }
    char *room = strbuf_reserve(out, length, err);
    ssize_t got = room == NULL ? -1 : fdio_pread_full(fd, room, length, offset);
    if (got < 0) {
        return room == NULL ? -1 : error_sys(err, "read what was copied");
    }
    strbuf_grown(out, (size_t)got);
    return 0;
}

static int command_remove(const struct livy_place *place, const char *path,
                          struct error *err)
{
    (void)place, (void)path, (void)err;
    return 0;
}

/* ---- The table */

static const struct livy_place_way ways[LIVY_UPLOAD_COUNT] = {
    [LIVY_UPLOAD_WEBHDFS] = {true, hdfs_make_dir, hdfs_put, hdfs_rename, hdfs_settle,
                             hdfs_size, hdfs_read, hdfs_fetch, hdfs_remove},
    [LIVY_UPLOAD_LOCAL] = {true, local_make_dir, local_put, local_rename, local_settle,
                           local_size, local_read, local_fetch, local_remove},
    [LIVY_UPLOAD_COMMAND] = {false, command_make_dir, command_put, NULL, NULL,
                             command_size, command_read, command_fetch, command_remove},
};

/* Where the path of a URI begins: "hdfs://nn:9000/user/x", "file:///srv", "/user/x". */
static const char *path_of(const char *uri)
{
    const char *colon = strchr(uri, ':');
    const char *rest = colon != NULL && strchr(uri, '/') > colon ? colon + 1 : uri;
    if (strncmp(rest, "//", 2) == 0) {
        const char *slash = strchr(rest + 2, '/');
        return slash != NULL ? slash : "/";
    }
    return rest;
}

static int find_base(struct livy_place *place, const char *base, struct error *err)
{
    if (base != NULL) {
        place->base = xstrdup(base);
        return 0;
    }
    if (place->livy->upload == LIVY_UPLOAD_WEBHDFS) {
        CLEANUP_FREE char *home = webhdfs_home(&place->fs, err);
        place->base = home != NULL ? files_join(home, ".errand") : NULL;
        return home != NULL ? 0 : -1;
    }
    error_set(err, ERR_CONFIG, "the folder that Livy and errand share was not said");
    return error_hint(err, "set livy_base of the target, a URI as the cluster has it");
}

int livy_place_init(struct livy_place *place, const struct runspec_livy *livy,
                    const char *base, struct http *http, struct error *err)
{
    *place = (struct livy_place){.way = &ways[livy->upload],
                                 .livy = livy,
                                 .fs = {.http = http, .url = livy->webhdfs}};
    if (livy->upload == LIVY_UPLOAD_WEBHDFS && livy->webhdfs == NULL) {
        return error_set(err, ERR_CONFIG, "WebHDFS's address was not said");
    }
    if (livy->upload == LIVY_UPLOAD_COMMAND && livy->upload_command.count == 0) {
        return error_set(err, ERR_CONFIG, "the command that copies was not said");
    }
    if (find_base(place, base, err) < 0) {
        return -1;
    }
    for (size_t n = strlen(place->base); n > 1 && place->base[n - 1] == '/'; n--) {
        place->base[n - 1] = '\0';
    }
    bool is_command = livy->upload == LIVY_UPLOAD_COMMAND;
    place->path = xstrdup(is_command ? place->base : path_of(place->base));
    return 0;
}

void livy_place_release(struct livy_place *place)
{
    free(place->base);
    free(place->path);
    *place = (struct livy_place){.way = NULL};
}

bool livy_place_can_follow(const struct livy_place *place)
{
    return place->way->can_follow;
}

char *livy_place_uri(const struct livy_place *place, const char *name)
{
    return xasprintf("%s/%s", place->base, name);
}

static char *path_in(const struct livy_place *place, const char *name)
{
    return xasprintf("%s/%s", place->path, name);
}

int livy_place_make_dir(const struct livy_place *place, const char *name,
                        struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->make_dir(place, path, err);
}

int livy_place_put(const struct livy_place *place, const char *name, unsigned mode,
                   const char *file, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    if (place->way->rename == NULL) {
        return place->way->put(place, path, mode, file, err);
    }
    CLEANUP_FREE char *aside = xasprintf("%s.tmp-%ld", path, (long)getpid());
    return place->way->put(place, aside, mode, file, err) < 0 ||
                   place->way->rename(place, aside, path, err) < 0
               ? -1
               : 0;
}

/* What lies at path there is as long as the file here. */
static int check_size(const struct livy_place *place, const char *path, const char *file,
                      struct error *err)
{
    struct stat st;
    bool is_there = false;
    uint64_t found = 0;
    if (stat(file, &st) < 0) {
        return error_sys(err, "look at %s", file);
    }
    if (place->way->size(place, path, &is_there, &found, err) < 0) {
        return -1;
    }
    return is_there && found == (uint64_t)st.st_size
               ? 0
               : error_set(err, ERR_CORRUPT, "%s arrived with %llu bytes of %lld", path,
                           (unsigned long long)found, (long long)st.st_size);
}

int livy_place_put_once(const struct livy_place *place, const char *name, unsigned mode,
                        const char *file, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    struct error why = ERROR_INIT;
    if (place->way->settle == NULL) {
        return place->way->put(place, path, mode, file, err);
    }
    CLEANUP_FREE char *aside = xasprintf("%s.tmp-%ld", path, (long)getpid());
    if (place->way->put(place, aside, mode, file, &why) == 0 &&
        check_size(place, aside, file, &why) == 0 &&
        place->way->settle(place, aside, path, &why) == 0) {
        return 0;
    }
    /* Of what is there all is there: only then it is that content. */
    if (why.code == ERR_EXISTS && check_size(place, path, file, NULL) < 0) {
        return place->way->rename(place, aside, path, err);
    }
    (void)place->way->remove(place, aside, NULL);
    if (why.code == ERR_EXISTS) {
        return 0;
    }
    if (err != NULL) {
        *err = why;
    }
    return error_result();
}

int livy_place_size(const struct livy_place *place, const char *name, bool *out_is_there,
                    uint64_t *out_size, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->size(place, path, out_is_there, out_size, err);
}

int livy_place_read(const struct livy_place *place, const char *name, uint64_t offset,
                    size_t length, struct strbuf *out, bool *out_is_there,
                    struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->read(place, path, offset, length, out, out_is_there, err);
}

int livy_place_fetch(const struct livy_place *place, const char *name, uint64_t max_bytes,
                     int fd, bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->fetch(place, path, max_bytes, fd, out_is_there, err);
}

int livy_place_remove(const struct livy_place *place, const char *name, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->remove(place, path, err);
}
