#include "controller/peek.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"
#include "common/mem.h"
#include "common/strvec.h"

struct peek {
    int dir_fd;
    struct strvec folders; /* still to be looked into, the uppermost first */
    unsigned names;        /* looked at so far */
    uint64_t size_bytes;
    bool is_all;
};

static void look_at(struct peek *p, const char *path)
{
    struct stat st;

    if (fstatat(p->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    if (S_ISREG(st.st_mode)) {
        p->size_bytes += (uint64_t)st.st_size;
    } else if (S_ISDIR(st.st_mode)) {
        strvec_push(&p->folders, path);
    }
}

static void look_into(struct peek *p, const char *path)
{
    CLEANUP_FD int fd = files_open_dir(p->dir_fd, path, NULL);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        return;
    }
    (void)take_fd(&fd);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (p->names++ == PEEK_NAMES_MAX) {
            p->is_all = false;
            return;
        }
        CLEANUP_FREE char *below = files_join(path, entry->d_name);
        look_at(p, below);
    }
}

uint64_t peek_size(int dir_fd, const char *name, bool *out_is_all)
{
    struct peek p = {.dir_fd = dir_fd, .folders = STRVEC_INIT, .is_all = true};

    look_at(&p, name);
    for (size_t i = 0; i < p.folders.count && p.is_all; i++) {
        look_into(&p, p.folders.items[i]);
    }
    strvec_release(&p.folders);
    *out_is_all = p.is_all;
    return p.size_bytes;
}
