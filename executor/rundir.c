#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "executor/exitslot.h"
#include "executor/queue.h"

#define TOMBSTONE_MAX ((size_t)64 << 20)
#define LEFTOVER_AGE_S 3600
#define PATH_TEXT (RUN_ID_SIZE + 64)

struct aside_name {
    char text[PATH_TEXT];
};

/* "runs/.new-<id>-<random>" */
static struct aside_name make_aside_name(const char *word, const char *id)
{
    uint8_t random[6];
    char hex[13];
    struct aside_name name;
    bytes_random(random, sizeof(random));
    bytes_to_hex(hex, random, sizeof(random));
    snprintf(name.text, sizeof(name.text), "runs/.%s-%s-%s", word, id, hex);
    return name;
}

/* On its way to the disk, not synced. */
static int write_new_file(int dir_fd, const char *name, const void *data, size_t length,
                          struct error *err)
{
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fdio_write_full(fd, data, length) < 0) {
        return error_sys(err, "write %s", name);
    }
    files_start_sync(fd);
    return 0;
}

/* Give up a file's bytes, keep its name. */
static int empty_file(int dir_fd, const char *name)
{
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : 0;
}

static int sync_file(int dir_fd, const char *name, struct error *err)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fdatasync(fd) < 0) {
        return error_sys(err, "sync %s", name);
    }
    return 0;
}

static int make_exit_file(int run_fd, struct error *err)
{
    CLEANUP_FD int fd =
        openat(run_fd, "exit", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_sys(err, "make the record of ends");
    }
    for (int stage = STAGE_PREPARE; stage <= STAGE_FINALIZE; stage++) {
        if (exitslot_allocate(fd, 1, (enum stage)stage, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Everything of a new run but its journal. */
static int fill_folder(int run_fd, const void *spec_bytes, size_t spec_length,
                       struct error *err)
{
    static const char *const folders[] = {"requests", "work"};
    static const char *const logs[] = {"driver.log", "control.log", "metrics"};
    if (write_new_file(run_fd, "spec.json", spec_bytes, spec_length, err) < 0 ||
        make_exit_file(run_fd, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (mkdirat(run_fd, folders[i], 0700) < 0) {
            return error_sys(err, "make %s", folders[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
        if (write_new_file(run_fd, logs[i], "", 0, err) < 0) {
            return -1;
        }
    }
    if (mkfifoat(run_fd, "control", 0600) < 0) {
        return error_sys(err, "make the FIFO control");
    }
    return 0;
}

/* The run's folder and its queue entry, aside and durable; the entry is in place then. */
static int make_aside(const struct noderoot *root, int run_fd,
                      const struct journal_entry *first, struct queue_entry *entry,
                      const void *spec_bytes, size_t spec_length, struct error *err)
{
    struct files_aside queued;
    /* All is written before the first is waited for, so that they wait together. */
    if (fill_folder(run_fd, spec_bytes, spec_length, err) < 0 ||
        journal_create(run_fd, first, err) < 0 ||
        queue_prepare(root, entry, &queued, err) < 0) {
        return -1;
    }
    if (sync_file(run_fd, "spec.json", err) < 0 ||
        sync_file(run_fd, "journal", err) < 0 || files_sync_dir(run_fd, err) < 0) {
        files_aside_drop(&queued);
        return -1;
    }
    return files_aside_commit(&queued, err);
}

static int make_run(const struct noderoot *root, const char *aside,
                    const struct journal_entry *first, struct queue_entry *entry,
                    const void *spec_bytes, size_t spec_length, struct error *err)
{
    if (mkdirat(root->fd, aside, 0700) < 0) {
        return error_sys(err, "make %s/%s", root->path, aside);
    }
    CLEANUP_FD int run_fd = files_open_dir(root->fd, aside, err);
    CLEANUP_FD int runs_fd = files_open_dir(root->fd, "runs", err);
    char path[PATH_TEXT];
    snprintf(path, sizeof(path), "runs/%s", entry->run);
    if (run_fd < 0 || runs_fd < 0 ||
        make_aside(root, run_fd, first, entry, spec_bytes, spec_length, err) < 0) {
        return -1;
    }
    if (files_rename_noreplace(root->fd, aside, root->fd, path, err) < 0) {
        (void)queue_remove(root, entry->run, NULL);
        return -1;
    }
    return files_sync_dir(runs_fd, err);
}

static int parse_tombstone(const struct noderoot *root, const char *id, struct oid *out,
                           struct error *err)
{
    char path[PATH_TEXT];
    struct strbuf text;
    strbuf_init(&text, TOMBSTONE_MAX);
    snprintf(path, sizeof(path), "runs/%s.tombstone", id);
    int result = files_read(root->fd, path, &text, err);
    if (result == 0) {
        CLEANUP_JSON struct json *j = json_parse(text.data, text.length, err);
        const char *hex = NULL;
        result = j == NULL || json_get_string(j, "tombstone", "spec", &hex, err) < 0
                     ? -1
                     : oid_from_hex(hex, out, err);
    }
    strbuf_release(&text);
    return result;
}

/* 1: *out is the digest of the specification accepted under this id; 0: there is none. */
static int find_accepted(const struct noderoot *root, const char *id, struct oid *out,
                         struct error *err)
{
    struct error failure = ERROR_INIT;
    CLEANUP_FD int run_fd = rundir_open(root, id, &failure);
    if (run_fd >= 0) {
        struct strbuf text;
        strbuf_init(&text, RUNSPEC_SIZE_MAX);
        int result = files_read(run_fd, "spec.json", &text, err);
        oid_of_bytes(text.data, text.length, out);
        strbuf_release(&text);
        return result < 0 ? -1 : 1;
    }
    if (failure.code == ERR_NOT_FOUND) {
        failure = (struct error)ERROR_INIT;
        if (parse_tombstone(root, id, out, &failure) == 0) {
            return 1;
        }
    }
    if (failure.code == ERR_NOT_FOUND) {
        return 0;
    }
    if (err != NULL) {
        *err = failure;
    }
    return -1;
}

int rundir_accept(const struct noderoot *root, const struct runspec *spec,
                  const void *spec_bytes, size_t spec_length, const char *store_id,
                  const char *executor_digest, struct error *err)
{
    /* Two that accept one id at once take turns, so that each sees all or nothing. */
    CLEANUP_FD int lock = queue_lock(root, err);
    struct oid accepted;
    struct oid asked;
    int found = lock < 0 ? -1 : find_accepted(root, spec->run, &accepted, err);
    if (found < 0) {
        return error_wrap(err, "run %s", spec->run);
    }
    oid_of_bytes(spec_bytes, spec_length, &asked);
    if (found == 1) {
        return oid_equal(&accepted, &asked)
                   ? 0
                   : error_set(err, ERR_MISMATCH,
                               "run %s was accepted before, with another specification",
                               spec->run);
    }
    const struct journal_entry first = {.state = RUN_STARTING,
                                        .attempt = 1,
                                        .reason = "accepted",
                                        .node = root->node,
                                        .store = store_id,
                                        .boot = root->boot,
                                        .executor = executor_digest};
    struct queue_entry entry = {.accepted_utc_ms = clock_utc_ms(),
                                .priority = spec->priority,
                                .slots = spec->slots,
                                .gpus = spec->gpus};
    snprintf(entry.run, sizeof(entry.run), "%s", spec->run);
    snprintf(entry.executor, sizeof(entry.executor), "%s", executor_digest);
    struct aside_name aside = make_aside_name("new", spec->run);
    if (make_run(root, aside.text, &first, &entry, spec_bytes, spec_length, err) < 0) {
        (void)files_remove_tree(root->fd, aside.text, NULL);
        return error_wrap(err, "accept run %s", spec->run);
    }
    return 1;
}

int rundir_open(const struct noderoot *root, const char *id, struct error *err)
{
    char path[PATH_TEXT];
    if (!run_id_is_valid(id)) {
        return error_set(err, ERR_NOT_FOUND, "there is no run of that name");
    }
    snprintf(path, sizeof(path), "runs/%s", id);
    int fd = openat(root->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return error_set(err, ERR_NOT_FOUND, "there is no run %s on this node", id);
    }
    return fd < 0 ? error_sys(err, "open %s/%s", root->path, path) : fd;
}

int rundir_read_spec(int run_fd, struct runspec *spec, struct oid *out_digest,
                     struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, RUNSPEC_SIZE_MAX);
    int result = files_read(run_fd, "spec.json", &text, err);
    if (result == 0 && out_digest != NULL) {
        oid_of_bytes(text.data, text.length, out_digest);
    }
    if (result == 0) {
        result = runspec_decode(text.data, text.length, spec, err);
    }
    strbuf_release(&text);
    return result;
}

/* Open runs/ to read its names. */
static DIR *open_runs(const struct noderoot *root, struct error *err)
{
    int fd = files_open_dir(root->fd, "runs", err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && dir == NULL) {
        error_sys(err, "read %s/runs", root->path);
        fdio_close(&fd);
    }
    return dir;
}

int rundir_list(const struct noderoot *root, struct strvec *out, struct error *err)
{
    CLEANUP_DIR DIR *dir = open_runs(root, err);
    if (dir == NULL) {
        return -1;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (run_id_is_valid(e->d_name)) {
            strvec_push(out, e->d_name);
        }
    }
    strvec_sort(out);
    return 0;
}

static void poke(int run_fd)
{
    CLEANUP_FD int fd = openat(run_fd, "control", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdio_write(fd, "!", 1);
    }
}

int rundir_request(int run_fd, const char *request, const char *reason, const char *by,
                   int64_t grace_ms, struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    json_add_string(j, "request", request);
    json_add_string(j, "reason", reason);
    json_add_string(j, "by", by);
    json_add(j, "grace_ms", grace_ms >= 0 ? json_new_integer(grace_ms) : json_new_null());
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(j, false, &text);
    CLEANUP_FD int dir_fd = files_open_dir(run_fd, "requests", err);
    if (dir_fd < 0) {
        return -1;
    }
    uint8_t random[6];
    char hex[13];
    bytes_random(random, sizeof(random));
    bytes_to_hex(hex, random, sizeof(random));
    char aside[64];
    char name[64];
    snprintf(aside, sizeof(aside), ".tmp-%s", hex);
    snprintf(name, sizeof(name), "%lld-%s.json", (long long)clock_utc_ms(), hex);
    struct error failure = ERROR_INIT;
    if (write_new_file(dir_fd, aside, text.data, text.length, &failure) < 0 ||
        sync_file(dir_fd, aside, &failure) < 0) {
        /* On a full disk a name may still be had where bytes are not; an empty request
         * is a cancel without words (FORMATS.md 4.5). */
        if (failure.code != ERR_NO_SPACE || strcmp(request, "cancel") != 0 ||
            empty_file(dir_fd, aside) < 0) {
            (void)unlinkat(dir_fd, aside, 0);
            if (err != NULL) {
                *err = failure;
            }
            return error_wrap(err, "note the request");
        }
    }
    if (files_rename_noreplace(dir_fd, aside, dir_fd, name, err) < 0 ||
        files_sync_dir(dir_fd, err) < 0) {
        return error_wrap(err, "note the request");
    }
    poke(run_fd);
    return 0;
}

/* Journal lines of a run that is final, and when it was collected. Errors: ERR_BUSY. */
static int describe_final(int run_fd, const char *id, struct json *tombstone,
                          struct error *err)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    struct run_status status;
    uint64_t offset = 0;
    run_status_init(&status);
    int result = journal_read_more(run_fd, &offset, &status, &lines, err);
    bool is_final = run_state_is_final(status.state);
    run_status_release(&status);
    if (result < 0) {
        return -1;
    }
    if (!is_final) {
        return error_set(err, ERR_BUSY, "run %s has not ended", id);
    }
    struct stat st;
    bool is_collected = fstatat(run_fd, "collected", &st, 0) == 0;
    json_add_time(tombstone, "collected",
                  is_collected ? (int64_t)st.st_mtim.tv_sec * 1000 : 0);
    json_add(tombstone, "journal", json_new_strings(&lines));
    return 0;
}

static int write_tombstone(const struct noderoot *root, int run_fd, const char *id,
                           struct error *err)
{
    struct strbuf spec;
    strbuf_init(&spec, RUNSPEC_SIZE_MAX);
    int result = files_read(run_fd, "spec.json", &spec, err);
    struct oid digest;
    char hex[OID_HEX_SIZE];
    oid_of_bytes(spec.data, spec.length, &digest);
    oid_to_hex(&digest, hex);
    strbuf_release(&spec);
    CLEANUP_JSON struct json *j = json_new_object();
    json_add_string(j, "run", id);
    json_add_string(j, "spec", hex);
    if (result < 0 || describe_final(run_fd, id, j, err) < 0) {
        return -1;
    }
    struct strbuf text;
    strbuf_init(&text, TOMBSTONE_MAX);
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    char path[PATH_TEXT];
    snprintf(path, sizeof(path), "%s.tombstone", id);
    CLEANUP_FD int runs_fd = files_open_dir(root->fd, "runs", err);
    result = runs_fd < 0
                 ? -1
                 : files_write_atomic(runs_fd, path, text.data, text.length, 0600, err);
    strbuf_release(&text);
    return result;
}

/* All but what makes the run known, and known to be final and collected. */
static void remove_most(int run_fd)
{
    static const char *const kept[] = {".", "..", "spec.json", "journal", "collected"};
    int fd = files_open_dir(run_fd, ".", NULL);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (const struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL;
         e = readdir(dir)) {
        bool is_kept = false;
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
            is_kept |= strcmp(e->d_name, kept[i]) == 0;
        }
        if (!is_kept) {
            (void)files_remove_tree(run_fd, e->d_name, NULL);
        }
    }
}

/* A full disk has no room for a tombstone before something is removed. Until the
 * tombstone is there the run stays a final one: whoever is killed in between leaves it to
 * the next collection. */
static int leave_tombstone(const struct noderoot *root, int run_fd, const char *id,
                           struct error *err)
{
    struct error failure = ERROR_INIT;
    if (write_tombstone(root, run_fd, id, &failure) == 0) {
        return 0;
    }
    if (failure.code != ERR_NO_SPACE) {
        if (err != NULL) {
            *err = failure;
        }
        return -1;
    }
    remove_most(run_fd);
    return write_tombstone(root, run_fd, id, err);
}

int rundir_remove(const struct noderoot *root, const char *id, struct error *err)
{
    CLEANUP_FD int run_fd = rundir_open(root, id, err);
    if (run_fd < 0) {
        return -1;
    }
    if (queue_is_held(root, id)) {
        return error_set(err, ERR_BUSY, "run %s has its supervisors", id);
    }
    if (leave_tombstone(root, run_fd, id, err) < 0 || queue_remove(root, id, err) < 0) {
        return -1;
    }
    char path[PATH_TEXT];
    struct aside_name gone = make_aside_name("gone", id);
    snprintf(path, sizeof(path), "runs/%s", id);
    if (renameat(root->fd, path, root->fd, gone.text) < 0) {
        return error_sys(err, "remove %s/%s", root->path, path);
    }
    return files_remove_tree(root->fd, gone.text, err);
}

int rundir_sweep(const struct noderoot *root, struct error *err)
{
    CLEANUP_DIR DIR *dir = open_runs(root, err);
    int64_t now_s = clock_utc_ms() / 1000;
    if (dir == NULL) {
        return -1;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        struct stat st;
        bool is_aside =
            strncmp(e->d_name, ".new-", 5) == 0 || strncmp(e->d_name, ".gone-", 6) == 0;
        if (is_aside && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            now_s - (int64_t)st.st_mtim.tv_sec > LEFTOVER_AGE_S) {
            (void)files_remove_tree(dirfd(dir), e->d_name, NULL);
        }
    }
    return 0;
}

int rundir_set_collected(int run_fd, const void *json_text, size_t length,
                         struct error *err)
{
    struct error failure = ERROR_INIT;
    if (files_write_atomic(run_fd, "collected", json_text, length, 0600, &failure) == 0) {
        return 0;
    }
    /* That it is there is what counts; on a full disk a name may still be had, and only a
     * collected run may be removed for its room. */
    if (failure.code == ERR_NO_SPACE && empty_file(run_fd, "collected") == 0) {
        return files_sync_dir(run_fd, err);
    }
    if (err != NULL) {
        *err = failure;
    }
    return -1;
}

bool rundir_is_collected(int run_fd)
{
    return faccessat(run_fd, "collected", F_OK, 0) == 0;
}
