#define _XOPEN_SOURCE 700 /* realpath */
#include "controller/snapshot_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "controller/snapshot.h"

int snapshot_project_open(struct snapshot_project *project, const struct config *config,
                          struct error *err)
{
    const char *path = config_project(config);

    project->path = realpath(path, NULL);
    project->fd =
        project->path ? open(project->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return project->fd < 0 ? error_sys(err, "open the project %s", path) : 0;
}

int snapshot_project_read_rules(struct snapshot_project *project, const struct home *home,
                                const struct config *config, struct error *err)
{
    CLEANUP_FREE char *own = realpath(home->state, NULL); /* NULL: not there yet */
    struct ignore_options options = {
        .project = project->path,
        .own = own,
        .include = config_list(config, "snapshot.include"),
    };

    project->ignore = ignore_new(&options, err);
    return project->ignore ? 0 : -1;
}

void snapshot_project_release(struct snapshot_project *project)
{
    free(project->path);
    mem_cleanup_fd(&project->fd);
    ignore_free(project->ignore);
    *project = (struct snapshot_project)SNAPSHOT_PROJECT_INIT;
}

/* ---- why ---- */

/* One look at the way from the project down to a path. */
struct search {
    const struct snapshot_project *project;
    struct strbuf *out;
    int dir_fd; /* the folder that was entered last */
    bool is_done, is_in;
};

static unsigned find_marks(int dir_fd)
{
    unsigned marks = 0;

    for (unsigned i = 0; i < IGNORE_MARK_COUNT; i++) {
        struct stat st;

        if (fstatat(dir_fd, ignore_mark_names[i], &st, AT_SYMLINK_NOFOLLOW) == 0) {
            marks |= 1u << i;
        }
    }
    return marks;
}

static void say_out(struct search *s, const struct ignore_reason *reason,
                    const char *folder)
{
    s->is_done = true;
    strbuf_puts(s->out, "left out by ");
    ignore_describe(reason, s->out);
    if (folder) {
        strbuf_printf(s->out, " (its folder %s)", folder);
    }
}

static void say_in(struct search *s, const struct ignore_reason *reason)
{
    size_t before;

    s->is_done = s->is_in = true;
    strbuf_puts(s->out, reason->is_passage ? "in parts: left out by " : "in: ");
    before = s->out->length;
    ignore_describe(reason, s->out);
    if (s->out->length == before) {
        strbuf_puts(s->out, "no rule says anything about it");
    }
}

/* Enter the folder at path, whose last component is name. */
static int enter(struct search *s, const char *path, const char *name, bool is_asked,
                 struct error *err)
{
    struct ignore_reason reason = {.file = NULL};
    CLEANUP_FD int fd =
        openat(s->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int entered;

    if (fd < 0) {
        return error_sys(err, "open folder %s", path);
    }
    entered = ignore_enter(s->project->ignore, fd, path, find_marks(fd), &reason, err);
    if (entered < 0) {
        return -1;
    }
    if (entered > 0) {
        say_out(s, &reason, is_asked ? NULL : path);
        return 0;
    }
    fdio_close(&s->dir_fd);
    s->dir_fd = take_fd(&fd);
    return 0;
}

static int not_there(struct search *s, const char *path, struct error *err)
{
    strbuf_puts(s->out, "it is not there");
    return error_set(err, ERR_NOT_FOUND, "%s is not in the project %s", path,
                     s->project->path);
}

/* Judge the entry at path, which may be on the way to what is asked about. */
static int step(struct search *s, const char *path, const char *name, bool is_asked,
                struct error *err)
{
    struct ignore_reason reason = {.file = NULL};
    struct stat st;
    bool takes;

    if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return not_there(s, path, err);
        }
        return error_sys(err, "stat %s", path);
    }
    takes = ignore_takes(s->project->ignore, path, name, S_ISDIR(st.st_mode), &reason);
    if (!takes) {
        say_out(s, &reason, is_asked ? NULL : path);
        return 0;
    }
    if (S_ISDIR(st.st_mode) && enter(s, path, name, is_asked, err) < 0) {
        return -1;
    }
    if (is_asked && !s->is_done) {
        if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
            say_in(s, &reason);
        } else {
            s->is_done = true;
            strbuf_puts(s->out, "left out: it is a device, socket or FIFO");
        }
    } else if (!s->is_done && !S_ISDIR(st.st_mode)) {
        return not_there(s, path, err);
    }
    return 0;
}

/* The path without "." components and superfluous slashes. Errors: ERR_USAGE. */
static int clean_path(const char *path, struct strbuf *out, struct error *err)
{
    const char *p = path;

    while (*p != '\0') {
        size_t length = strcspn(p, "/");

        if (length == 2 && memcmp(p, "..", 2) == 0) {
            return error_set(err, ERR_USAGE, "%s: a path with \"..\" in it", path);
        }
        if (length > TREE_NAME_MAX || out->length + length + 2 > TREE_PATH_MAX) {
            return error_set(err, ERR_LIMIT, "a path that is too long");
        }
        if (length > 0 && !(length == 1 && p[0] == '.')) {
            strbuf_printf(out, "%s%.*s", out->length > 0 ? "/" : "", (int)length, p);
        }
        p += length + (p[length] == '/');
    }
    return 0;
}

static int search(struct search *s, const char *path, struct error *err)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    struct ignore_reason reason = {.file = NULL};
    char *end;

    if (clean_path(path, &clean, err) < 0 || enter(s, "", ".", false, err) < 0) {
        return -1;
    }
    if (clean.length == 0) {
        say_in(s, &reason);
        return 0;
    }
    end = clean.data;
    while (!s->is_done) {
        const char *name = end == clean.data ? end : end + 1;
        bool is_asked;

        end += name - end + (ptrdiff_t)strcspn(name, "/");
        is_asked = *end == '\0';
        *end = '\0';
        if (step(s, clean.data, name, is_asked, err) < 0) {
            return -1;
        }
        *end = is_asked ? '\0' : '/';
    }
    return 0;
}

int snapshot_why(const struct home *home, const struct config *config, const char *path,
                 struct strbuf *out, bool *out_is_in, struct error *err)
{
    CLEANUP(snapshot_project_release)
    struct snapshot_project project = SNAPSHOT_PROJECT_INIT;
    struct search s = {.project = &project, .out = out, .dir_fd = -1};
    int result = -1;

    *out_is_in = false;
    if (snapshot_project_open(&project, config, err) == 0 &&
        snapshot_project_read_rules(&project, home, config, err) == 0) {
        s.dir_fd = dup(project.fd);
        result = search(&s, path, err);
        fdio_close(&s.dir_fd);
    }
    *out_is_in = result == 0 && s.is_in;
    return result;
}
