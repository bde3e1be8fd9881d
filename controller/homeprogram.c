#define _GNU_SOURCE /* realpath, O_DIRECTORY */
#include "controller/homeprogram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/ingest_file.h"

/* The head of an ELF file as far as it says for whom it is. Source: elf(5). */
#define HEAD_SIZE 20
#define HEAD_DATA 5 /* 1: little-endian, 2: big-endian */
#define HEAD_MACHINE 18

/* e_machine by the name that uname gives the machine. */
static const struct machine {
    const char *name;
    unsigned number;
} machines[] = {{"x86_64", 62}, {"aarch64", 183}, {"arm64", 183},
                {"i686", 3},    {"armv7l", 40},   {"ppc64le", 21},
                {"s390x", 22},  {"riscv64", 243}, {"loongarch64", 258}};

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *find_in_path(const char *name)
{
    for (const char *at = getenv("PATH"); at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        CLEANUP_FREE char *folder = xstrndup(at, length);
        CLEANUP_FREE char *path = files_join(folder, name);
        if (path[0] == '/' && is_program(path)) {
            return realpath(path, NULL);
        }
        at += length + (at[length] == ':');
    }
    return NULL;
}

char *homeprogram_find(const char *name)
{
    const char *home = getenv("HOME");
    if (strchr(name, '/') == NULL) {
        return find_in_path(name);
    }
    CLEANUP_FREE char *path = strncmp(name, "~/", 2) == 0 && home != NULL
                                  ? files_join(home, name + 2)
                                  : xstrdup(name);
    return is_program(path) ? realpath(path, NULL) : NULL;
}

static int check_machine(int fd, const char *platform, struct error *err)
{
    unsigned char head[HEAD_SIZE];
    const char *dash = strchr(platform, '-');
    const char *name = dash != NULL ? dash + 1 : platform;
    if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        memcmp(head, "\177ELF", 4) != 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "it is no program file that could run on another machine");
    }
    unsigned low = head[HEAD_DATA] == 2 ? 1 : 0;
    unsigned number = head[HEAD_MACHINE + low] | head[HEAD_MACHINE + 1 - low] << 8U;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        if (strcmp(machines[i].name, name) == 0) {
            return machines[i].number == number
                       ? 0
                       : error_set(
                             err, ERR_UNSUPPORTED,
                             "it is for another kind of machine than the node's, %s",
                             platform);
        }
    }
    return error_set(err, ERR_UNSUPPORTED, "whether it runs on %s is not known",
                     platform);
}

int homeprogram_put(const char *path, const char *platform, struct store *store,
                    struct tree_entry *out, struct error *err)
{
    const struct ingest_hooks hooks = {.context = store, .put = ingest_put};
    CLEANUP(file_reader_cleanup) struct file_reader *reader = file_reader_new(&hooks);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct error problem = ERROR_INIT;
    struct stat st;
    if (fd < 0) {
        return error_sys(err, "read %s", path);
    }
    if (check_machine(fd, platform, err) < 0) {
        return -1;
    }
    *out = (struct tree_entry){.kind = TREE_EXECUTABLE};
    enum file_result result =
        file_reader_read(reader, AT_FDCWD, path, path, &st, &out->oid, &problem, err);
    if (result == FILE_PROBLEM) {
        (void)error_copy(err, &problem);
    }
    if (result != FILE_TAKEN) {
        return -1;
    }
    out->size_bytes = (uint64_t)st.st_size;
    return 0;
}
