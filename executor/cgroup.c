#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#define PREFIX "errand-"
#define SMALL_FILE 4096

/* Read the beginning of a small kernel file into out. Returns its length, 0 on failure.
 */
static size_t read_small(int dir_fd, const char *name, char *out, size_t size)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : fdio_read_full(fd, out, size - 1);
    out[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

static bool write_small(int dir_fd, const char *name, const char *text)
{
    CLEANUP_FD int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && fdio_write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* "0::/path" in /proc/self/cgroup: this process's group in the version 2 hierarchy. */
static bool own_path(char *out, size_t size)
{
    char text[SMALL_FILE];
    read_small(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
    const char *line = text;
    while (*line != '\0' && strncmp(line, "0::/", 4) != 0) {
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (*line == '\0') {
        return false;
    }
    int length = (int)strcspn(line + 3, "\n");
    return snprintf(out, size, "%.*s", length, line + 3) < (int)size;
}

/* Where the version 2 hierarchy is mounted. Source: proc(5), /proc/pid/mounts. */
static bool mount_path(char *out, size_t size)
{
    struct strbuf text;
    strbuf_init(&text, (size_t)1 << 20);
    bool is_found = false;
    (void)files_read(AT_FDCWD, "/proc/self/mounts", &text, NULL);
    for (const char *line = text.data; *line != '\0' && !is_found;) {
        size_t length = strcspn(line, "\n");
        const char *path = line + strcspn(line, " ");
        size_t path_length = *path == ' ' ? strcspn(++path, " \n") : 0;
        if (path_length > 0 && strncmp(path + path_length, " cgroup2 ", 9) == 0) {
            is_found = snprintf(out, size, "%.*s", (int)path_length, path) < (int)size;
        }
        line += length + (line[length] == '\n');
    }
    strbuf_release(&text);
    return is_found;
}

static bool write_pid(int dir_fd, pid_t pid)
{
    char text[24];
    snprintf(text, sizeof(text), "%ld\n", (long)pid);
    return write_small(dir_fd, "cgroup.procs", text);
}

static uint64_t count_oom_kills(int fd)
{
    char text[SMALL_FILE];
    read_small(fd, "memory.events", text, sizeof(text));
    const char *at = strstr(text, "\noom_kill ");
    return at != NULL ? strtoull(at + 10, NULL, 10) : 0;
}

void cgroup_open(struct cgroup *cg, const char *run_id)
{
    *cg = (struct cgroup){.parent_fd = -1, .fd = -1};
    char top[1024];
    char own[1024];
    char path[2080];
    if (!own_path(own, sizeof(own)) || !mount_path(top, sizeof(top))) {
        return;
    }
    /* Started from within another run: beside that run's group, not below it. */
    char *last = strrchr(own, '/');
    bool is_inside = strncmp(last + 1, PREFIX, strlen(PREFIX)) == 0;
    if (is_inside) {
        *last = '\0';
    }
    snprintf(path, sizeof(path), "%s%s", top, own);
    snprintf(cg->name, sizeof(cg->name), PREFIX "%s", run_id);
    cg->parent_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cg->parent_fd < 0) {
        return;
    }
    if ((is_inside && !write_pid(cg->parent_fd, getpid())) ||
        (mkdirat(cg->parent_fd, cg->name, 0700) < 0 && errno != EEXIST)) {
        cgroup_close(cg);
        return;
    }
    cg->fd = openat(cg->parent_fd, cg->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cg->fd < 0) {
        cgroup_close(cg);
        return;
    }
    cg->oom_kills = count_oom_kills(cg->fd);
}

bool cgroup_add(const struct cgroup *cg, pid_t pid)
{
    return cg->fd >= 0 && write_pid(cg->fd, pid);
}

bool cgroup_is_empty(const struct cgroup *cg)
{
    char text[SMALL_FILE];
    return cg->fd >= 0 && read_small(cg->fd, "cgroup.events", text, sizeof(text)) > 0 &&
           strstr(text, "populated 0") != NULL;
}

size_t cgroup_list(const struct cgroup *cg, pid_t *pids, size_t max)
{
    CLEANUP_FD int fd =
        cg->fd < 0 ? -1 : openat(cg->fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    size_t count = 0;
    long pid = 0;
    char text[SMALL_FILE];
    for (ssize_t got = 1; fd >= 0 && got > 0;) {
        got = fdio_read(fd, text, sizeof(text));
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = 10 * pid + (text[i] - '0');
            } else if (text[i] == '\n') {
                if (count < max) {
                    pids[count] = (pid_t)pid;
                }
                count++;
                pid = 0;
            }
        }
    }
    return count;
}

bool cgroup_kill(const struct cgroup *cg)
{
    return cg->fd >= 0 && write_small(cg->fd, "cgroup.kill", "1");
}

void cgroup_begin_attempt(struct cgroup *cg)
{
    cg->oom_kills = cg->fd >= 0 ? count_oom_kills(cg->fd) : 0;
}

bool cgroup_was_out_of_memory(const struct cgroup *cg)
{
    return cg->fd >= 0 && count_oom_kills(cg->fd) > cg->oom_kills;
}

void cgroup_remove(struct cgroup *cg)
{
    if (cg->fd >= 0) {
        (void)unlinkat(cg->parent_fd, cg->name, AT_REMOVEDIR);
    }
    cgroup_close(cg);
}

void cgroup_close(struct cgroup *cg)
{
    if (cg->fd >= 0) {
        fdio_close(&cg->fd);
    }
    if (cg->parent_fd >= 0) {
        fdio_close(&cg->parent_fd);
    }
}
