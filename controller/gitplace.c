#define _XOPEN_SOURCE 700 /* realpath */
#include "controller/gitplace.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/files.h"
#include "common/subprocess.h"

#define GIT_TIMEOUT_MS 5000
#define GIT_FILE_MAX ((size_t)64 << 10) /* .git, commondir: a path */

static bool is_there(const char *folder, const char *name, mode_t type)
{
    CLEANUP_FREE char *path = files_join(folder, name);
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

/* A file's text behind prefix, without the newline at its end; malloc'ed, NULL where that
 * cannot be had. */
static char *read_line(const char *folder, const char *name, const char *prefix)
{
    CLEANUP_FREE char *path = files_join(folder, name);
    CLEANUP_STRBUF struct strbuf text;
    size_t skip = strlen(prefix);

    strbuf_init(&text, GIT_FILE_MAX);
    if (files_read(AT_FDCWD, path, &text, NULL) < 0 ||
        strncmp(text.data, prefix, skip) != 0) {
        return NULL;
    }
    while (text.length > skip && strchr("\r\n", text.data[text.length - 1])) {
        strbuf_truncate(&text, text.length - 1);
    }
    return text.length > skip ? xstrdup(text.data + skip) : NULL;
}

/* The folder that has what the worktrees of the repository in git share: git itself, or
 * what stands in its commondir (gitrepository-layout). */
static char *common_folder(const char *git)
{
    CLEANUP_FREE char *named = read_line(git, "commondir", "");
    CLEANUP_FREE char *path = named ? files_join(git, named) : NULL;
    char *real = path ? realpath(path, NULL) : NULL;

    /* It is named as "../..", which nobody wants to read in the name of a rule's file. */
    return real ? real : xstrdup(path ? path : git);
}

/* What git looks for (setup.c, is_git_directory). */
static bool is_repository(const char *git)
{
    CLEANUP_FREE char *common = common_folder(git);
    CLEANUP_FREE char *head = read_line(git, "HEAD", "");

    return head && is_there(common, "objects", S_IFDIR) &&
           is_there(common, "refs", S_IFDIR);
}

/* The folder that git keeps top's repository in, malloc'ed; NULL: there is none. */
static char *git_folder(const char *top)
{
    CLEANUP_FREE char *path = files_join(top, ".git");
    CLEANUP_FREE char *named = NULL;

    if (is_there(top, ".git", S_IFREG)) {
        named = read_line(top, ".git", "gitdir: ");
        free(path);
        path = named ? files_join(top, named) : NULL;
    }
    return path && is_repository(path) ? TAKE_PTR(path) : NULL;
}

size_t gitplace_find_top(const char *folder)
{
    CLEANUP_FREE char *top = xstrdup(folder);
    size_t length = strlen(top);
    struct stat first, here;

    if (stat(top, &first) != 0) {
        return 0;
    }
    while (stat(top, &here) == 0 && here.st_dev == first.st_dev) {
        CLEANUP_FREE char *git = git_folder(top);

        if (git) {
            return length;
        }
        if (length <= 1) {
            break;
        }
        while (top[length - 1] != '/') {
            length--;
        }
        length -= length > 1; /* the slash goes too, unless it is all there is */
        top[length] = '\0';
    }
    return 0;
}

char *gitplace_index_path(const char *top)
{
    CLEANUP_FREE char *git = git_folder(top);

    return git ? files_join(git, "index") : NULL;
}

char *gitplace_exclude_path(const char *top)
{
    CLEANUP_FREE char *git = git_folder(top);
    CLEANUP_FREE char *common = git ? common_folder(git) : NULL;

    return common ? files_join(common, "info/exclude") : NULL;
}

static char *default_excludes(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *user_home = getenv("HOME");

    if (xdg && xdg[0] != '\0') {
        return files_join(xdg, "git/ignore");
    }
    return user_home && user_home[0] != '\0' ? files_join(user_home, ".config/git/ignore")
                                             : NULL;
}

char *gitplace_global_excludes(const char *folder)
{
    const char *const argv[] = {
        "git", "-C", folder, "config", "--null", "--path", "core.excludesFile", NULL};
    CLEANUP_STRBUF struct strbuf out;
    int status = 0;

    strbuf_init(&out, GIT_FILE_MAX);
    if (subprocess_capture(argv, &out, NULL, GIT_TIMEOUT_MS, &status, NULL) < 0 ||
        status != 0) {
        return default_excludes();
    }
    /* Set to nothing, it switches the default off. */
    return out.data[0] != '\0' ? files_join(folder, out.data) : NULL;
}
