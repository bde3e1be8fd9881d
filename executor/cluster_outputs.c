#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/cluster_outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/attemptnote.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/outfolders.h"
#include "executor/clusterfs_inside.h"

#define ARCHIVE "outputs.tar"
#define FAILURE_FILE "outputs.failure"
#define FAILURE_MAX ((size_t)4 << 10)
#define METRICS_FILE "metrics.new"
#define BEGIN_FILE "metrics.begin"

static int fetch(const struct cluster_outputs *o, const char *path, struct error *err)
{
    struct stat st;
    (void)unlink(path); /* of a try that was interrupted */
    if (clusterfs_get(o->fs, o->uri, path, o->size_bytes, err) < 0) {
        return -1;
    }
    if (stat(path, &st) < 0) {
        return error_sys(err, "%.300s", path);
    }
    return (uint64_t)st.st_size == o->size_bytes
               ? 0
               : error_set(err, ERR_CORRUPT, "%.300s has %lld bytes, not %llu", o->uri,
                           (long long)st.st_size, (unsigned long long)o->size_bytes);
}

static int unpack(const struct cluster_outputs *o, struct error *err)
{
    CLEANUP_FD int tar = openat(o->run_fd, ARCHIVE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (tar < 0) {
        return error_sys(err, "open the archive of the outputs");
    }
    CLEANUP_FD int work = files_open_or_make_dir(o->run_fd, "work", err);
    return work < 0 ? -1
                    : outfolders_unpack(tar, o->run_fd, work, &o->spec->outputs, err);
}

int cluster_outputs_take(const struct cluster_outputs *o, struct error *err)
{
    CLEANUP_FREE char *path = files_join(o->run_path, ARCHIVE);
    int result = fetch(o, path, err) < 0 || unpack(o, err) < 0 ? -1 : 0;
    (void)unlink(path);
    return result;
}

static int append_metrics(const struct cluster_outputs *o, struct error *err)
{
    CLEANUP_FD int in =
        openat(o->run_fd, METRICS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return in < 0 ? error_sys(err, "open the metrics")
                  : attemptnote_take_metrics(o->run_fd, BEGIN_FILE, o->attempt, in, err);
}

int cluster_metrics_take(const struct cluster_outputs *o, struct error *err)
{
    CLEANUP_FREE char *path = files_join(o->run_path, METRICS_FILE);
    int result = fetch(o, path, err) < 0 || append_metrics(o, err) < 0 ? -1 : 0;
    (void)unlink(path);
    return result;
}

void cluster_outputs_drop(const struct cluster_outputs *o)
{
    if (files_sync_filesystem(o->run_fd, NULL) == 0) {
        (void)clusterfs_remove(o->fs, o->uri, NULL);
    }
}

void cluster_outputs_note_failure(int run_fd, const char *text)
{
    if (files_write_atomic(run_fd, FAILURE_FILE, text, strlen(text), 0600, NULL) < 0) {
        /* On a full disk a name may still be had: an empty file says as much. */
        CLEANUP_FD int fd =
            openat(run_fd, FAILURE_FILE,
                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
}

void cluster_outputs_clear_failure(int run_fd)
{
    (void)unlinkat(run_fd, FAILURE_FILE, 0);
}

bool cluster_outputs_failure(int run_fd, struct strbuf *out)
{
    struct strbuf text;
    strbuf_init(&text, FAILURE_MAX);
    bool is_there = files_read(run_fd, FAILURE_FILE, &text, NULL) == 0;
    if (is_there) {
        strbuf_puts(out, text.length > 0 ? text.data
                                         : "the outputs did not come from the cluster");
    }
    strbuf_release(&text);
    return is_there;
}
