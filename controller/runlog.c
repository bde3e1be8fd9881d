#include "controller/runlog.h"

#include "common/fdio.h"
#include "common/files.h"
#include "common/oid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES 4096

char *runlog_name(const char *file, int64_t generation)
{
    return generation == 0 ? xstrdup(file)
                           : xasprintf("%s.%lld", file, (long long)generation);
}

static int open_generation(struct runlog *log, struct runlog_file *file,
                           int64_t generation, struct error *err)
{
    CLEANUP_FREE char *name = runlog_name(file->name, generation);
    int fd = openat(log->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_sys(err, "open %s/%s", log->dir, name);
    }
    fdio_close(&file->fd);
    file->fd = fd;
    file->generation = generation;
    return 0;
}

/* Files that most runs do not have; they are made when something comes. */
static bool is_made_late(const struct runlog *log, const struct runlog_file *file)
{
    return file - log->files >= RUN_FILE_PREPARE_LOG;
}

/* Find the newest generation that is at home and its end. */
static int open_newest(struct runlog *log, struct runlog_file *file, struct error *err)
{
    int64_t newest = 0;
    struct stat st;
    for (int64_t next = 1; next < RUNLOG_GENERATIONS_MAX; next++) {
        CLEANUP_FREE char *name = runlog_name(file->name, next);
        if (fstatat(log->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            break;
        }
        newest = next;
    }
    if (newest == 0 && is_made_late(log, file) &&
        fstatat(log->dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    if (open_generation(log, file, newest, err) != 0) {
        return -1;
    }
    if (fstat(file->fd, &st) != 0) {
        return error_sys(err, "look at %s/%s", log->dir, file->name);
    }
    file->offset = (uint64_t)st.st_size;
    return loggaps_load(&file->gaps, log->dir_fd, file->name, err);
}

void runlog_init(struct runlog *log)
{
    *log = (struct runlog){.dir_fd = -1, .current = -1};
    for (int i = 0; i < RUNLOG_FILES; i++) {
        log->files[i] =
            (struct runlog_file){.name = run_file_name((enum run_file)i), .fd = -1};
    }
}

int runlog_open(struct runlog *log, const struct home *home, const char *id,
                struct error *err)
{
    runlog_init(log);
    log->dir = home_run_dir(home, id, err);
    log->dir_fd = log->dir != NULL ? files_open_dir(AT_FDCWD, log->dir, err) : -1;
    int result = log->dir_fd < 0 ? -1 : 0;
    for (int i = 0; result == 0 && i < RUNLOG_FILES; i++) {
        result = open_newest(log, &log->files[i], err);
    }
    if (result != 0) {
        runlog_close(log);
    }
    return result;
}

void runlog_close(struct runlog *log)
{
    for (int i = 0; i < RUNLOG_FILES; i++) {
        fdio_close(&log->files[i].fd);
        loggaps_release(&log->files[i].gaps);
    }
    fdio_close(&log->dir_fd);
    free(log->dir);
    log->dir = NULL;
}

/* The plain digest of the last TAIL_BYTES bytes before the file's offset. */
static int tail_digest(const struct runlog_file *file, char out[OID_HEX_SIZE],
                       struct error *err)
{
    uint8_t tail[TAIL_BYTES];
    uint64_t length = file->offset < TAIL_BYTES ? file->offset : TAIL_BYTES;
    ssize_t got = fdio_pread_full(file->fd, tail, (size_t)length, file->offset - length);
    if (got < 0) {
        return error_sys(err, "read %s", file->name);
    }
    struct oid digest;
    oid_of_bytes(tail, (size_t)got, &digest);
    oid_to_hex(&digest, out);
    return 0;
}

int runlog_positions(const struct runlog *log, struct json *files, struct error *err)
{
    for (int i = 0; i < RUNLOG_FILES; i++) {
        const struct runlog_file *file = &log->files[i];
        char digest[OID_HEX_SIZE];
        struct json *position = json_append(files, json_new_object());
        json_add_string(position, "file", file->name);
        json_add_integer(position, "generation", file->generation);
        json_add_integer(position, "offset", (int64_t)file->offset);
        if (file->offset == 0) {
            json_add_string(position, "tail", NULL);
            continue;
        }
        if (tail_digest(file, digest, err) != 0) {
            return -1;
        }
        json_add_string(position, "tail", digest);
    }
    return 0;
}

/* What AT says, less the file's name. */
struct at {
    int64_t generation, offset, gap;
    enum loggap_why why;
};

static int note_gap(struct runlog *log, struct runlog_file *file, int64_t generation,
                    uint64_t from, uint64_t to, enum loggap_why why, struct error *err)
{
    const struct loggap gap = {generation, from, to, why};
    return from < to ? loggaps_add(&file->gaps, log->dir_fd, file->name, &gap, err) : 0;
}

static int size_at_home(const struct runlog *log, const struct runlog_file *file,
                        uint64_t *out, struct error *err)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return error_sys(err, "look at %s/%s", log->dir, file->name);
    }
    *out = (uint64_t)st.st_size;
    return 0;
}

/* The bytes up to offset are not to be had. Another follower at this home may have come
 * further, and has noted what it lacked itself. The file reaches as far from now on: who
 * goes on from it begins behind the gap. */
static int skip_to(struct runlog *log, struct runlog_file *file, uint64_t offset,
                   enum loggap_why why, struct error *err)
{
    uint64_t here;
    if (size_at_home(log, file, &here, err) != 0) {
        return -1;
    }
    if (here >= offset) {
        return loggaps_load(&file->gaps, log->dir_fd, file->name, err);
    }
    if (note_gap(log, file, file->generation, here, offset, why, err) != 0) {
        return -1;
    }
    return ftruncate(file->fd, (off_t)offset) == 0
               ? 0
               : error_sys(err, "write %s/%s", log->dir, file->name);
}

/* The file on the node is not the one before: what was lost of that one is missing behind
 * what is here of it. */
static int begin_generation(struct runlog *log, struct runlog_file *file,
                            const struct at *at, struct error *err)
{
    uint64_t here = 0;
    uint64_t lost = at->gap > at->offset ? (uint64_t)(at->gap - at->offset) : 0;
    if ((file->fd >= 0 && size_at_home(log, file, &here, err) != 0) ||
        note_gap(log, file, file->generation, here, here + lost, at->why, err) != 0) {
        return -1;
    }
    /* One that came and went unseen is empty here: what is counted has no holes. */
    for (int64_t next = file->generation + 1; next <= at->generation; next++) {
        if (open_generation(log, file, next, err) != 0) {
            return -1;
        }
    }
    return at->generation == file->generation && file->fd >= 0
               ? 0
               : open_generation(log, file, at->generation, err);
}

static int take_at(const struct json *body, const char **out_file, struct at *out,
                   struct error *err)
{
    const struct json *why = json_get(body, "why");
    out->why = loggap_why(json_string(why));
    return json_get_string(body, "AT", "file", out_file, err) != 0 ||
                   json_get_integer(body, "AT", "generation", 0,
                                    RUNLOG_GENERATIONS_MAX - 1, &out->generation,
                                    err) != 0 ||
                   json_get_integer(body, "AT", "offset", 0, JSON_INTEGER_MAX,
                                    &out->offset, err) != 0 ||
                   json_get_integer(body, "AT", "gap", 0, JSON_INTEGER_MAX, &out->gap,
                                    err) != 0
               ? -1
               : 0;
}

int runlog_at(struct runlog *log, const struct json *body, struct error *err)
{
    const char *name = NULL;
    struct at at;
    if (take_at(body, &name, &at, err) != 0) {
        return -1;
    }
    for (int i = 0; i < RUNLOG_FILES; i++) {
        struct runlog_file *file = &log->files[i];
        if (strcmp(name, file->name) != 0) {
            continue;
        }
        uint64_t offset = (uint64_t)at.offset;
        bool is_known = at.generation == file->generation && file->fd >= 0;
        uint64_t before = is_known ? file->offset : 0;
        if (!is_known && begin_generation(log, file, &at, err) != 0) {
            return -1;
        }
        if (offset > before && skip_to(log, file, offset, at.why, err) != 0) {
            return -1;
        }
        file->offset = offset;
        log->current = i;
        return 0;
    }
    return error_set(err, ERR_PROTOCOL, "AT names %.40s, which was not asked for", name);
}

int runlog_data(struct runlog *log, const void *data, size_t length, struct error *err)
{
    if (log->current < 0) {
        return error_set(err, ERR_PROTOCOL,
                         "log bytes came before it was said of which file");
    }
    struct runlog_file *file = &log->files[log->current];
    if (fdio_pwrite_full(file->fd, data, length, file->offset) != 0) {
        return error_sys(err, "write %s/%s", log->dir, file->name);
    }
    file->offset += length;
    return 0;
}

int runlog_sync(const struct runlog *log, struct error *err)
{
    for (int i = 0; i < RUNLOG_FILES; i++) {
        if (log->files[i].fd >= 0 && fsync(log->files[i].fd) != 0) {
            return error_sys(err, "sync %s/%s", log->dir, log->files[i].name);
        }
    }
    return files_sync_dir(log->dir_fd, err);
}

void runlog_sizes(const struct runlog *log, struct json *out)
{
    for (int i = 0; i < RUNLOG_FILES; i++) {
        const char *file = run_file_name((enum run_file)i);
        uint64_t total = 0;
        for (int64_t g = 0; g <= log->files[i].generation; g++) {
            CLEANUP_FREE char *name = runlog_name(file, g);
            struct stat st;
            if (fstatat(log->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                total += (uint64_t)st.st_size;
            }
        }
        json_add_integer(out, file, (int64_t)total);
    }
}

uint64_t runlog_missing(const struct home *home, const char *id)
{
    CLEANUP_FREE char *name = xasprintf("runs/%s", id);
    CLEANUP_FREE char *path = home_path(home, name);
    CLEANUP_FD int dir_fd = files_open_dir(AT_FDCWD, path, NULL);
    struct loggaps gaps = LOGGAPS_INIT;
    struct error err = ERROR_INIT;
    uint64_t total =
        dir_fd >= 0 &&
                loggaps_load(&gaps, dir_fd, run_file_name(RUN_FILE_DRIVER_LOG), &err) == 0
            ? loggaps_total(&gaps)
            : 0;
    loggaps_release(&gaps);
    return total;
}
