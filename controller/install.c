#define _GNU_SOURCE /* readlink of /proc/self/exe is Linux's */
#include "controller/install.h"

#include "common/files.h"
#include "common/marker.h"
#include "common/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXECUTOR_SIZE_MAX (UINT64_C(64) << 20)

/* Folder of this program, malloc'ed; NULL where it cannot be told. */
static char *program_folder(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) {
        return NULL;
    }
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return NULL;
    }
    *slash = '\0';
    return xstrdup(path);
}

/* 1: described; 0: there is no such file; -1: err. */
static int describe(const char *folder, const char *name, struct executor_file *out,
                    struct error *err)
{
    CLEANUP_FREE char *path = files_join(folder, name);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return 0;
    }
    if (st.st_size <= 0 || (uint64_t)st.st_size > EXECUTOR_SIZE_MAX) {
        return error_set(err, ERR_BOOTSTRAP, "%s is no executor: it has %lld bytes", path,
                         (long long)st.st_size);
    }
    struct oid digest;
    if (oid_of_fd(fd, &digest, err) != 0) {
        return error_wrap(err, "read %s", path);
    }
    out->path = TAKE_PTR(path);
    out->size_bytes = (uint64_t)st.st_size;
    oid_to_hex(&digest, out->digest);
    return 1;
}

/* Look for name beside this program and in ../libexec/errand. As describe. */
static int find_beside(const char *name, struct executor_file *out, struct error *err)
{
    CLEANUP_FREE char *folder = program_folder();
    if (folder == NULL) {
        return 0;
    }
    int found = describe(folder, name, out, err);
    if (found != 0) {
        return found;
    }
    CLEANUP_FREE char *libexec = files_join(folder, "../libexec/errand");
    return describe(libexec, name, out, err);
}

int executor_file_find(struct executor_file *out, struct error *err)
{
    int found = find_beside("errand-executor", out, err);
    if (found == 0) {
        error_set(err, ERR_NOT_FOUND,
                  "errand-executor is not beside errand, nor in ../libexec/errand");
        return error_hint(err, "install it beside errand; `./dev build` makes both");
    }
    return found < 0 ? -1 : 0;
}

int executor_file_find_platform(const struct config *config, const char *os,
                                const char *machine, struct executor_file *out,
                                struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("errand-executor-%s-%s", os, machine);
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    int found = find_beside(name, out, err);
    const char *folder = config_string(config, "executors");
    if (found == 0 && folder != NULL) {
        found = describe(folder, name, out, err);
    }
    if (found == 0) {
        error_set(err, ERR_UNSUPPORTED, "the node is %s on %s, and there is no %s here",
                  os, machine, name);
        return error_hint(err, "build the executor there (./dev build) and put it beside "
                               "errand under that name, "
                               "or name its folder with `executors:` in config.yaml");
    }
    return found < 0 ? -1 : 0;
}

void executor_file_release(struct executor_file *file)
{
    mem_cleanup_free(&file->path);
    file->path = NULL;
}

static bool root_is_plain(const char *root)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-";
    const char *rest = strncmp(root, "~/", 2) == 0 ? root + 1 : root;
    return rest[0] == '/' && rest[strspn(rest, allowed)] == '\0';
}

int install_line(const struct executor_file *file, const char *root, struct strbuf *out,
                 struct error *err)
{
    const char *where = root != NULL ? root : "~/.errand";
    if (!root_is_plain(where)) {
        error_set(err, ERR_CONFIG,
                  "root %s: not a path that can be given to a remote shell", where);
        return error_hint(err, "use an absolute path, or one beginning with ~/, of "
                               "letters, digits and . _ / + -");
    }
    bool is_below_home = where[0] == '~';
    strbuf_printf(
        out,
        "exec sh -c 'umask 077; r=\"%s%s\"; f=\"$r/bin/errand-executor-%s\"; "
        "if test -x \"$f\"; then exec \"$f\" serve --root \"$r\"; fi; "
        "say() { echo; echo \"" MARKER_BOOTSTRAP "$*\"; }; "
        "mkdir -p \"$r/bin\" 2>/dev/null; t=\"$r/bin/.new-$$\"; "
        "if (: >\"$t\") 2>/dev/null; then :; else say nohome \"$r\"; exit 1; fi; "
        "trap \"rm -f $t\" 0; trap \"exit 1\" 1 2 13 15; "
        "say missing \"$(uname -s)\" \"$(uname -m)\"; "
        "head -c %llu >\"$t\" 2>/dev/null; n=$(wc -c <\"$t\"); "
        "if test \"$n\" -eq %llu; then :; else say nospace \"$r\" \"$n\"; exit 1; fi; "
        "chmod 700 \"$t\"; "
        "if test -x \"$t\"; then :; else say noexec \"$r\"; exit 1; fi; "
        "if e=$(\"$t\" version 2>&1); then :; else say failed \"$e\"; exit 1; fi; "
        "trap - 0; exec \"$t\" serve --root \"$r\" --install \"$f\" --digest %s'",
        is_below_home ? "$HOME" : "", is_below_home ? where + 1 : where, file->digest,
        (unsigned long long)file->size_bytes, (unsigned long long)file->size_bytes,
        file->digest);
    return 0;
}

/* The next word of *rest, into out: a system's or machine's name as uname has it, which
 * becomes part of a file's name. */
static bool take_name(const char **rest, char out[INSTALL_NAME_SIZE])
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *word = *rest + strspn(*rest, " ");
    size_t length = strspn(word, allowed);
    if (length == 0 || length >= INSTALL_NAME_SIZE || word[0] == '.' ||
        (word[length] != ' ' && word[length] != '\0')) {
        return false;
    }
    memcpy(out, word, length);
    out[length] = '\0';
    *rest = word + length;
    return true;
}

/* The details behind the word, where words begin with it; else NULL. */
static const char *after(const char *words, const char *word)
{
    size_t length = strlen(word);
    bool is_it = strncmp(words, word, length) == 0 &&
                 (words[length] == ' ' || words[length] == '\0');
    return is_it ? words + length + strspn(words + length, " ") : NULL;
}

int install_answer(const char *words, const char *target, char os[INSTALL_NAME_SIZE],
                   char machine[INSTALL_NAME_SIZE], struct error *err)
{
    const char *details = after(words, "missing");
    if (details != NULL && take_name(&details, os) && take_name(&details, machine)) {
        return 0;
    }
    if ((details = after(words, "nohome")) != NULL) {
        error_set(err, ERR_BOOTSTRAP, "%s: %s cannot be written", target, details);
        return error_hint(err,
                          "give the target a folder that can: errand target add %s HOST "
                          "--root DIR --force",
                          target);
    }
    if ((details = after(words, "nospace")) != NULL) {
        error_set(err, ERR_BOOTSTRAP, "%s: no room for the executor (2 MB) in %s", target,
                  details);
        return error_hint(
            err, "free some space there, or choose another disk with --root DIR");
    }
    if ((details = after(words, "noexec")) != NULL) {
        error_set(err, ERR_BOOTSTRAP,
                  "%s: programs may not be executed in %s (mounted noexec)", target,
                  details);
        return error_hint(
            err, "choose another folder: errand target add %s HOST --root DIR --force",
            target);
    }
    details = after(words, "failed");
    error_set(err, ERR_BOOTSTRAP, "%s: the executor does not run there: %s", target,
              details != NULL ? details : words);
    return error_hint(err, "look at the node with ssh: uname -a; df ~; mount");
}
