#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/environment_brought.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/subprocess.h"
#include "common/worktree.h"
#include "executor/environment_assess.h"

#define PROGRAM "uv"
#define ASK_TIMEOUT_MS 10000
#define ANSWER_MAX ((size_t)4 << 10)
/* The head of an ELF file up to and with e_machine, which is alike in both classes. */
#define HEAD_SIZE (offsetof(Elf64_Ehdr, e_machine) + sizeof(Elf64_Half))

static bool has_uv(struct tools *tools)
{
    const struct tool *found;
    return tools_find(tools, TOOL_UV, &found) == 0 || found != NULL;
}

static bool read_head(int dir_fd, const char *path, unsigned char head[HEAD_SIZE])
{
    CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fdio_read_full(fd, head, HEAD_SIZE) == (ssize_t)HEAD_SIZE &&
           memcmp(head, ELFMAG, SELFMAG) == 0;
}

/* Is it for the same kind of machine as this very program? */
static bool is_for_this_machine(int dir_fd)
{
    const size_t machine = offsetof(Elf64_Ehdr, e_machine);
    unsigned char its[HEAD_SIZE];
    unsigned char ours[HEAD_SIZE];
    return read_head(dir_fd, PROGRAM, its) &&
           read_head(AT_FDCWD, "/proc/self/exe", ours) &&
           its[EI_CLASS] == ours[EI_CLASS] && its[EI_DATA] == ours[EI_DATA] &&
           memcmp(its + machine, ours + machine, sizeof(Elf64_Half)) == 0;
}

/* Errors: how it failed, as a sentence. */
static int try_it(const char *folder, int dir_fd, struct error *err)
{
    CLEANUP_FREE char *path = files_join(folder, PROGRAM);
    const char *const argv[] = {path, "--version", NULL};
    struct strbuf answer;
    struct strbuf complaint;
    int status = 0;
    if (!is_for_this_machine(dir_fd)) {
        return error_set(err, ERR_UNSUPPORTED, "it is for another kind of machine");
    }
    strbuf_init(&answer, ANSWER_MAX);
    strbuf_init(&complaint, ANSWER_MAX);
    int result =
        subprocess_capture(argv, &answer, &complaint, ASK_TIMEOUT_MS, &status, err);
    if (result == 0 && status != 0) {
        int shown = (int)strcspn(complaint.data, "\n");
        result =
            error_set(err, ERR_SPAWN, "it does not start here%s%.*s",
                      shown > 0 ? ": " : "", shown < 300 ? shown : 300, complaint.data);
    }
    strbuf_release(&answer);
    strbuf_release(&complaint);
    return result;
}

/* 1: written into the open folder; 0: nothing was brought. */
static int write_program(const struct preparation *p, int dir_fd, struct error *err)
{
    struct tree_entry entry;
    CLEANUP_FREE char *path = files_join(p->root->path, "store");
    CLEANUP(store_cleanup) struct store *store = store_open(path, err);
    CLEANUP_FD int lock = store == NULL ? -1 : store_lock(store, false, -1, err);
    if (lock < 0) {
        return -1;
    }
    const struct object_source source = store_source(store);
    int found = tree_find(&source, &p->spec->environment.brought, PROGRAM, &entry, err);
    if (found != 1 || entry.kind != TREE_EXECUTABLE) {
        return found < 0 ? -1 : 0;
    }
    return worktree_write_entry(dir_fd, &source, &entry, err) < 0 ? -1 : 1;
}

static int put_in_place(const struct preparation *p, int dir_fd, const char *made,
                        struct error *err)
{
    CLEANUP_FD int fd = openat(dir_fd, PROGRAM, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fsync(fd) < 0 ||
        renameat(p->root->fd, made, p->root->fd, "bin/" PROGRAM) < 0) {
        return error_sys(err, "put it into %s/bin", p->root->path);
    }
    return 1;
}

/* In a folder of our own, so that what lies in bin/ is whole and has been tried. */
static int install(const struct preparation *p, struct error *err)
{
    CLEANUP_FREE char *aside = xasprintf("bin/.uv-%s", p->spec->run);
    CLEANUP_FREE char *folder = files_join(p->root->path, aside);
    CLEANUP_FREE char *made = files_join(aside, PROGRAM);
    (void)files_remove_tree(p->root->fd, aside, NULL);
    CLEANUP_FD int bin = files_open_or_make_dir(p->root->fd, "bin", err);
    CLEANUP_FD int dir_fd =
        bin < 0 ? -1 : files_open_or_make_dir(p->root->fd, aside, err);
    int result = dir_fd < 0 ? -1 : write_program(p, dir_fd, err);
    if (result == 1 && try_it(folder, dir_fd, err) < 0) {
        result = -1;
    }
    if (result == 1) {
        result = put_in_place(p, dir_fd, made, err);
    }
    (void)files_remove_tree(p->root->fd, aside, NULL);
    return result;
}

/* True: there is a uv now that tools did not know. */
static bool take_uv(const struct preparation *p, struct tools *tools)
{
    const struct runspec_environment *wish = &p->spec->environment;
    struct error why = ERROR_INIT;
    if (oid_is_zero(&wish->brought) || !environment_suits_uv(&wish->definition) ||
        has_uv(tools)) {
        return false;
    }
    int result = install(p, &why);
    if (result == 1) {
        programs_say(p->programs, "uv came along and is in %s/bin now", p->root->path);
    } else if (result < 0) {
        programs_say(p->programs, "the uv that came along is of no use: %s", why.text);
    }
    return result == 1;
}

static struct tools *look(const struct preparation *p, bool is_refresh)
{
    struct tools *tools = tools_new(p->root, true, is_refresh);
    tools_set_stop(tools, programs_stop_fd(p->programs));
    return tools;
}

struct tools *environment_brought_tools(const struct preparation *p)
{
    struct tools *tools = look(p, p->spec->environment.is_refresh);
    if (take_uv(p, tools)) {
        tools_free(tools);
        tools = look(p, false);
    }
    return tools;
}
