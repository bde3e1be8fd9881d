#define _GNU_SOURCE /* readlink of /proc/self/exe is Linux's */
#include "controller/install.h"

#include "common/files.h"
#include "common/marker.h"
#include "common/mem.h"
#include "common/strvec.h"
#include "controller/terminal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define EXECUTOR "errand-executor"
#define NAME_SIZE 48 /* of a system or a machine */
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

/* This machine, as uname has it. */
static void own_platform(char out[64])
{
    struct utsname here;
    out[0] = '\0';
    if (uname(&here) == 0) {
        (void)snprintf(out, 64, "%.20s-%.40s", here.sysname, here.machine);
    }
}

/* The folders in which an executor is looked for: beside this program, and where a
 * package puts what is no command. */
static void push_folders(struct strvec *folders)
{
    CLEANUP_FREE char *folder = program_folder();
    if (folder != NULL) {
        strvec_push(folders, folder);
        strvec_pushf(folders, "%s/../libexec/errand", folder);
    }
}

int executor_file_find(struct executor_file *out, struct error *err)
{
    CLEANUP_STRVEC struct strvec folders = STRVEC_INIT;
    push_folders(&folders);
    int found = 0;
    for (size_t i = 0; found == 0 && i < folders.count; i++) {
        found = describe(folders.items[i], EXECUTOR, out, err);
    }
    if (found == 0) {
        error_set(err, ERR_NOT_FOUND,
                  "errand-executor is not beside errand, nor in ../libexec/errand");
        return error_hint(err, "install it beside errand; `./dev build` makes both");
    }
    own_platform(out->platform);
    return found < 0 ? -1 : 0;
}

static bool has_platform(const struct executor_files *files, const char *platform)
{
    for (size_t i = 0; i < files->count; i++) {
        if (strcmp(files->items[i].platform, platform) == 0) {
            return true;
        }
    }
    return false;
}

/* "aarch64" of "errand-executor-linux-aarch64", or NULL. */
static const char *machine_of(const char *name)
{
    static const char begin[] = EXECUTOR "-linux-";
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    const char *machine = name + strlen(begin);
    return strncmp(name, begin, strlen(begin)) == 0 && machine[0] != '\0' &&
                   machine[strspn(machine, allowed)] == '\0' && strlen(machine) <= 40
               ? machine
               : NULL;
}

/* Add the executors for other machines in folder; a folder that is not there has none. */
static int add_others(const char *folder, struct executor_files *files, struct error *err)
{
    CLEANUP_DIR DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *machine = machine_of(entry->d_name);
        CLEANUP_FREE char *platform =
            xasprintf("Linux-%s", machine != NULL ? machine : "");
        if (machine == NULL || has_platform(files, platform) ||
            files->count == EXECUTOR_FILES_MAX) {
            continue;
        }
        struct executor_file *file = &files->items[files->count];
        int found = describe(folder, entry->d_name, file, err);
        if (found < 0) {
            return -1;
        }
        (void)snprintf(file->platform, sizeof file->platform, "%s", platform);
        files->count += (size_t)found;
    }
    return 0;
}

int executor_files_find(const struct config *config, struct executor_files *out,
                        struct error *err)
{
    CLEANUP_STRVEC struct strvec folders = STRVEC_INIT;
    struct error own = ERROR_INIT;
    push_folders(&folders);
    const char *configured = config_string(config, "executors");
    if (configured != NULL) {
        strvec_push(&folders, configured);
    }
    if (executor_file_find(&out->items[0], &own) == 0) {
        out->count = 1;
    } else if (own.code != ERR_NOT_FOUND) {
        return error_copy(err, &own);
    }
    for (size_t i = 0; i < folders.count; i++) {
        if (add_others(folders.items[i], out, err) != 0) {
            return -1;
        }
    }
    if (out->count == 0) {
        return error_copy(err, &own);
    }
    return 0;
}

void executor_file_release(struct executor_file *file)
{
    mem_cleanup_free(&file->path);
    file->path = NULL;
}

void executor_files_release(struct executor_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        executor_file_release(&files->items[i]);
    }
    files->count = 0;
}

static bool root_is_plain(const char *root)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-";
    const char *rest = strncmp(root, "~/", 2) == 0 ? root + 1 : root;
    return rest[0] == '/' && rest[strspn(rest, allowed)] == '\0';
}

int install_check_root(const char *root, struct error *err)
{
    if (root_is_plain(root)) {
        return 0;
    }
    error_set(err, ERR_CONFIG, "root %s: not a path that can be given to a remote shell",
              root);
    return error_hint(err, "use an absolute path, or one beginning with ~/, of letters, "
                           "digits and . _ / + -");
}

/* Set $d and $n, the digest and size of the executor for the node: append. Where there is
 * but one here, no program has to run for it. */
static void append_choice(const struct executor_files *files, struct strbuf *out)
{
    if (files->count == 1) {
        strbuf_printf(out, "d=%s; n=%llu; ", files->items[0].digest,
                      (unsigned long long)files->items[0].size_bytes);
        return;
    }
    strbuf_puts(out, "case \"$(uname -s)-$(uname -m)\" in ");
    for (size_t i = 0; i < files->count; i++) {
        const struct executor_file *file = &files->items[i];
        strbuf_printf(out, "%s) d=%s; n=%llu;; ", file->platform, file->digest,
                      (unsigned long long)file->size_bytes);
    }
    strbuf_puts(out, "*) d=none; n=0;; esac; ");
}

int install_line(const struct executor_files *files, const char *root, struct strbuf *out,
                 struct error *err)
{
    const char *where = root != NULL ? root : "~/.errand";
    if (install_check_root(where, err) != 0) {
        return -1;
    }
    bool is_below_home = where[0] == '~';
    strbuf_printf(out, "exec sh -c 'umask 077; r=\"%s%s\"; ",
                  is_below_home ? "$HOME" : "", is_below_home ? where + 1 : where);
    append_choice(files, out);
    strbuf_puts(
        out,
        "f=\"$r/bin/errand-executor-$d\"; "
        "if test -x \"$f\"; then exec \"$f\" serve --root \"$r\"; fi; "
        "say() { echo; echo \"" MARKER_BOOTSTRAP "$*\"; }; "
        "mkdir -p \"$r/bin\" 2>/dev/null; t=\"$r/bin/.new-$$\"; "
        "if (: >\"$t\") 2>/dev/null; then :; else say nohome \"$r\"; exit 1; fi; "
        "trap \"rm -f $t\" 0; trap \"exit 1\" 1 2 13 15; "
        "say missing \"$(uname -s)\" \"$(uname -m)\"; "
        "head -c \"$n\" >\"$t\" 2>/dev/null; s=$(wc -c <\"$t\"); "
        "if test \"$s\" -eq \"$n\"; then :; else say nospace \"$r\"; exit 1; fi; "
        "chmod 700 \"$t\"; "
        "if test -x \"$t\"; then :; else say noexec \"$r\"; exit 1; fi; "
        "if e=$(\"$t\" version 2>&1); then :; else say failed \"$e\"; exit 1; fi; "
        "trap - 0; exec \"$t\" serve --root \"$r\" --install \"$f\" --digest \"$d\"'");
    return 0;
}

/* The next word of *rest, into out: a system's or machine's name as uname has it. */
static bool take_name(const char **rest, char out[NAME_SIZE])
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *word = *rest + strspn(*rest, " ");
    size_t length = strspn(word, allowed);
    if (length == 0 || length >= NAME_SIZE || word[0] == '.' ||
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

static int no_executor_for(const char *os, const char *machine, struct error *err)
{
    if (strcmp(os, "Linux") != 0) {
        error_set(err, ERR_UNSUPPORTED, "the node runs %s; the executor is for Linux",
                  os);
        return error_hint(err, "a Linux machine, virtual or not, will do");
    }
    error_set(err, ERR_UNSUPPORTED,
              "the node is %s on %s, and there is no " EXECUTOR "-linux-%s here", os,
              machine, machine);
    return error_hint(err, "build the executor there (./dev build) and put it beside "
                           "errand under that name, or into the folder that "
                           "`executors:` in config.yaml names");
}

static const struct executor_file *
find_for(const char *details, const struct executor_files *files, struct error *err)
{
    char os[NAME_SIZE];
    char machine[NAME_SIZE];
    if (!take_name(&details, os) || !take_name(&details, machine)) {
        error_set(err, ERR_BOOTSTRAP, "uname on the node does not say what it is");
        error_hint(err, "does its PATH there lead to programs at all? See what sets it");
        return NULL;
    }
    CLEANUP_FREE char *platform = xasprintf("%s-%s", os, machine);
    for (size_t i = 0; i < files->count; i++) {
        if (strcmp(files->items[i].platform, platform) == 0) {
            return &files->items[i];
        }
    }
    (void)no_executor_for(os, machine, err);
    return NULL;
}

/* What the line says where it cannot take the executor. */
static const struct refusal {
    const char *word;
    enum error_code code;
    const char *text; /* with the details in the place of %s */
    const char *hint; /* with the target's settings in the place of %s */
} refusals[] = {
    {"nohome", ERR_BOOTSTRAP, "%s cannot be written",
     "give the target a folder that can: set root: in %s"},
    {"nospace", ERR_NO_SPACE, "no room for the executor (2 MB) in %s",
     "free some space there, or choose another disk: set root: in %s"},
    {"noexec", ERR_BOOTSTRAP, "programs may not be executed in %s (mounted noexec)",
     "choose another folder: set root: in %s"},
    {"failed", ERR_BOOTSTRAP, "the executor does not run there: %s",
     "see what the node is (uname -a), and that no odd root: stands in %s"},
};

/* format with text in the place of its %s, malloc'ed: formats come from a table. */
static char *fill(const char *format, const char *text)
{
    const char *place = strstr(format, "%s");
    return xasprintf("%.*s%s%s", (int)(place - format), format, text, place + 2);
}

static void refuse(const struct refusal *refusal, const char *details,
                   const char *settings, struct error *err)
{
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
    terminal_make_safe(details, strlen(details), &safe);
    CLEANUP_FREE char *text = fill(refusal->text, safe.data);
    CLEANUP_FREE char *hint = fill(refusal->hint, settings);
    error_set(err, refusal->code, "%s", text);
    error_hint(err, "%s", hint);
}

const struct executor_file *install_answer(const char *words, const char *settings,
                                           const struct executor_files *files,
                                           struct error *err)
{
    const char *details = after(words, "missing");
    if (details != NULL) {
        return find_for(details, files, err);
    }
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        details = after(words, refusals[i].word);
        if (details != NULL) {
            refuse(&refusals[i], details, settings, err);
            return NULL;
        }
    }
    refuse(&refusals[ARRAY_SIZE(refusals) - 1], words, settings, err);
    return NULL;
}
