#include "common/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/mem.h"

void sweep_release(struct sweep *sweep)
{
    strvec_release(&sweep->warnings);
}

void sweep_warn(struct sweep *sweep, const struct error *why)
{
    if (sweep->warnings.count < SWEEP_WARNINGS_MAX) {
        strvec_push(&sweep->warnings, why->text);
    }
}

void sweep_remove(struct sweep *sweep, int dir_fd, const char *name, uint64_t *count)
{
    struct error why = ERROR_INIT;
    uint64_t bytes = 0;

    (void)files_disk_usage(dir_fd, name, &bytes, NULL);
    if (!sweep->is_dry && files_remove_tree(dir_fd, name, &why) < 0) {
        sweep_warn(sweep, &why);
        return;
    }
    sweep->bytes += bytes;
    (*count)++;
}

static bool is_old(int dir_fd, const char *name, int64_t min_age_ms)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           clock_utc_ms() - clock_ms_of(&st.st_mtim) >= min_age_ms;
}

void sweep_old(int dir_fd, const char *pattern, int64_t min_age_ms, sweep_visitor *visit,
               void *context)
{
    CLEANUP_FD int fd = files_open_dir(dir_fd, ".", NULL);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;

    if (!dir) {
        return;
    }
    (void)take_fd(&fd);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool is_itself =
            strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;

        if (!is_itself && fnmatch(pattern, entry->d_name, 0) == 0 &&
            is_old(dir_fd, entry->d_name, min_age_ms)) {
            strvec_push(&names, entry->d_name);
        }
    }
    for (size_t i = 0; i < names.count; i++) {
        visit(context, dir_fd, names.items[i]);
    }
}
