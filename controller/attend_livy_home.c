/* attend_livy, what a script left in the folder of its attempt. */
#include "controller/attend_livy_inside.h"

#include "common/attemptnote.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/outfolders.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SHOWN_NS (INT64_C(6) * 3600 * NS_PER_S)
#define METRICS_FILE "livy.metrics"
#define METRICS_MAX (UINT64_C(1) << 30)
#define AGAIN_MS 500

char *attendance_name(const struct attendance *a, const char *name)
{
    return xasprintf("%s/%s", a->folder, name);
}

void attendance_show(struct attendance *a)
{
    CLEANUP_FREE char *name = attendance_name(a, "attended");
    int64_t now_ns = clock_monotonic_ns();
    a->shown_ns = a->shown_ns == 0 ? now_ns : a->shown_ns; /* the driver was just sent */
    if (livy_place_can_follow(&a->place) && a->alive_ns == 0 &&
        now_ns - a->shown_ns >= SHOWN_NS) {
        a->shown_ns = now_ns;
        (void)livy_place_put(&a->place, name, 0644, "/dev/null", NULL);
    }
}

/* What outputs may have: they are here twice for a while. */
static uint64_t room_for_outputs(const struct attendance *a)
{
    struct statvfs fs;
    return fstatvfs(a->run_fd, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize / 2 : 0;
}

static int bring_once(struct attendance *a, const char *file, uint64_t max_bytes,
                      struct error *err)
{
    CLEANUP_FREE char *name = attendance_name(a, file);
    bool is_there = false;
    CLEANUP_FD int fd =
        openat(a->run_fd, "livy.tmp", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)unlinkat(a->run_fd, "livy.tmp", 0);
    if (fd < 0) {
        return error_sys(err, "make a temporary file");
    }
    if (livy_place_fetch(&a->place, name, max_bytes, fd, &is_there, err) < 0 ||
        !is_there) {
        return -1;
    }
    return take_fd(&fd);
}

/* A file of the attempt's folder beside the run, tried again as long as that may help:
 * its descriptor; -1: there is none, or err. */
static int bring(struct attendance *a, const char *file, uint64_t max_bytes,
                 struct error *err)
{
    for (;;) {
        struct error why = ERROR_INIT;
        int fd = bring_once(a, file, max_bytes, &why);
        if (fd >= 0 || why.code == ERR_NONE) {
            attendance_passed(a);
            return fd;
        }
        if (!attendance_may_pass(a, &why) || a->is_canceled ||
            !attendance_pause(a, AGAIN_MS)) {
            return error_copy(err, &why);
        }
    }
}

static int bring_outputs(struct attendance *a, struct error *err)
{
    CLEANUP_FD int outputs = bring(a, "outputs.tar", room_for_outputs(a), err);
    if (outputs < 0) {
        return err->code == ERR_NONE ? 0 : -1;
    }
    CLEANUP_FD int work = files_open_dir(a->run_fd, "work", err);
    return work < 0 ? -1
                    : outfolders_unpack(outputs, a->run_fd, work, &a->spec.outputs, err);
}

static int bring_metrics(struct attendance *a, struct error *err)
{
    CLEANUP_FD int metrics = bring(a, "metrics", METRICS_MAX, err);
    if (metrics < 0) {
        return err->code == ERR_NONE ? 0 : -1;
    }
    return attemptnote_take_metrics(a->run_fd, METRICS_FILE, a->attempt, metrics, err);
}

void attendance_bring(struct attendance *a)
{
    struct error outputs = ERROR_INIT, metrics = ERROR_INIT;
    bool has_outputs = bring_outputs(a, &outputs) == 0;
    bool has_metrics = bring_metrics(a, &metrics) == 0;
    if (!has_outputs) {
        attendance_say(a, ENGINE_NOTE, "the outputs could not be brought: %s",
                       outputs.text);
    }
    if (!has_metrics) {
        attendance_say(a, ENGINE_NOTE, "the metrics could not be brought: %s",
                       metrics.text);
    }
    a->is_home = has_outputs && has_metrics;
}

void attendance_clean(struct attendance *a)
{
    struct error err = ERROR_INIT;
    if (a->is_home && a->place.way != NULL &&
        livy_place_remove(&a->place, a->folder, &err) < 0) {
        log_line(&a->log, "%s", err.text);
    }
}
