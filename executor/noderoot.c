#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/noderoot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"

#define FORMAT_KNOWN 2
#define BOOTS_SIZE_MAX ((size_t)4 << 20)

int noderoot_boot_id(char out[40], struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, 64);
    int failed = files_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text, err);
    if (failed == 0) {
        text.data[strcspn(text.data, "\n")] = '\0';
        if (strlen(text.data) != 36) {
            failed = error_set(err, ERR_UNSUPPORTED, "this kernel has no boot id");
        } else {
            memcpy(out, text.data, 37);
        }
    }
    strbuf_release(&text);
    return failed;
}

int noderoot_executor_digest(char out[OID_HEX_SIZE], struct error *err)
{
    CLEANUP_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_sys(err, "open this program's own file");
    }
    struct oid digest;
    if (oid_of_fd(fd, &digest, err) < 0) {
        return error_wrap(err, "read this program's own file");
    }
    oid_to_hex(&digest, out);
    return 0;
}

/* SHA-256 over machine-id, a newline and the host name (FORMATS.md 3). A machine without
 * machine-id is told apart by its name alone. */
static void compute_node_id(const char *host, char out[OID_HEX_SIZE])
{
    static const char *const sources[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
    struct strbuf text;
    strbuf_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_SIZE(sources) && text.length == 0; i++) {
        if (files_read(AT_FDCWD, sources[i], &text, NULL) < 0) {
            strbuf_reset(&text);
        }
    }
    strbuf_truncate(&text, strcspn(text.data, "\n"));
    struct hasher hasher;
    struct oid id;
    hasher_init(&hasher);
    hasher_add(&hasher, text.data, text.length);
    hasher_add(&hasher, "\n", 1);
    hasher_add(&hasher, host, strlen(host));
    hasher_finish(&hasher, &id);
    oid_to_hex(&id, out);
    strbuf_release(&text);
}

static char *default_path(struct error *err)
{
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        error_set(err, ERR_NOT_FOUND, "HOME names no folder");
        error_hint(err, "name the folder for errand's files: --root DIR");
        return NULL;
    }
    return files_join(home, ".errand");
}

static int check_owner(const char *path, int fd, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return error_sys(err, "look at %s", path);
    }
    if (st.st_uid != geteuid()) {
        return error_set(err, ERR_ACCESS, "%s belongs to user %lu, and this is user %lu",
                         path, (unsigned long)st.st_uid, (unsigned long)geteuid());
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        error_set(err, ERR_ACCESS, "%s may be written by others (mode %04o)", path,
                  (unsigned)(st.st_mode & 07777));
        return error_hint(err, "chmod go-w %s", path);
    }
    return 0;
}

static int check_format(const char *top, int fd, unsigned *out, struct error *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", FORMAT_KNOWN);
    struct strbuf found;
    strbuf_init(&found, 64);
    struct error failure = ERROR_INIT;
    int result = 0;
    if (faccessat(fd, "format", F_OK, 0) < 0 &&
        files_create_atomic(fd, "format", text, (size_t)length, 0600, &failure) < 0 &&
        failure.code != ERR_EXISTS) {
        if (err != NULL) {
            *err = failure;
        }
        result = error_wrap(err, "%s", top);
    } else if (files_read(fd, "format", &found, err) < 0) {
        result = error_wrap(err, "%s", top);
    } else {
        uint64_t number = 0;
        found.data[strcspn(found.data, "\n")] = '\0';
        if (bytes_parse_u64(found.data, 1000000, &number, NULL) < 0 || number == 0) {
            result = error_set(err, ERR_CORRUPT, "%s/format is no number", top);
        } else if (number > FORMAT_KNOWN) {
            error_set(err, ERR_VERSION, "%s has format %llu, this executor knows %d", top,
                      (unsigned long long)number, FORMAT_KNOWN);
            result = error_hint(err, "use a newer errand, or another root");
        }
        *out = (unsigned)number;
    }
    strbuf_release(&found);
    return result;
}

/* The boot named by one line of `boots`; "" where the line is none. */
static void boot_of_line(const char *line, size_t length, char out[40])
{
    out[0] = '\0';
    CLEANUP_JSON struct json *j = json_parse(line, length, NULL);
    const char *boot = json_string(json_get(j, "boot"));
    if (boot != NULL && strlen(boot) < 40) {
        memcpy(out, boot, strlen(boot) + 1);
    }
}

static int append_boot(int fd, bool wants_newline, const char *boot, struct error *err)
{
    char time[CLOCK_TEXT_SIZE];
    char line[160];
    clock_format(time, clock_utc_ms());
    int length = snprintf(line, sizeof(line), "%s{\"boot\":\"%s\",\"time\":\"%s\"}\n",
                          wants_newline ? "\n" : "", boot, time);
    if (fdio_write_full(fd, line, (size_t)length) < 0 || fdatasync(fd) < 0) {
        return error_sys(err, "note the boot in boots");
    }
    return 0;
}

/* Note this boot, and find out whether another machine believes to be this one. */
static int note_boot(struct noderoot *root, struct error *err)
{
    CLEANUP_FD int fd = files_lock(root->fd, "boots", true, 10000, err);
    if (fd < 0) {
        return error_wrap(err, "%s/boots", root->path);
    }
    struct strbuf text;
    strbuf_init(&text, BOOTS_SIZE_MAX);
    if (files_read(root->fd, "boots", &text, err) < 0) {
        strbuf_release(&text);
        return error_wrap(err, "%s", root->path);
    }
    bool is_known = false;
    char last[40] = "";
    for (const char *line = text.data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        char boot[40];
        boot_of_line(line, length, boot);
        if (boot[0] != '\0') {
            is_known = is_known || strcmp(last, root->boot) == 0;
            memcpy(last, boot, sizeof(last));
        }
        line += length + (line[length] == '\n');
    }
    bool is_torn = text.length > 0 && text.data[text.length - 1] != '\n';
    strbuf_release(&text);
    if (strcmp(last, root->boot) == 0) {
        return 0;
    }
    if (is_known) {
        error_set(err, ERR_MISMATCH,
                  "two machines take turns in %s: boot %s came back after boot %s",
                  root->path, root->boot, last);
        return error_hint(err, "give each machine a root of its own, or a machine-id of "
                               "its own (systemd-machine-id-setup)");
    }
    int opened = openat(root->fd, "boots", O_WRONLY | O_APPEND | O_CLOEXEC);
    if (opened < 0) {
        return error_sys(err, "open %s/boots", root->path);
    }
    int result = append_boot(opened, is_torn, root->boot, err);
    fdio_close(&opened);
    return result;
}

/* `node` says for people and for other programs whose root this is; a machine that was
 * renamed writes it anew. */
static int note_node(struct noderoot *root, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, 8192);
    bool is_right = false;
    if (files_read(root->fd, "node", &text, NULL) == 0) {
        CLEANUP_JSON struct json *j = json_parse(text.data, text.length, NULL);
        const char *id = json_string(json_get(j, "id"));
        is_right = id != NULL && strcmp(id, root->node) == 0;
    }
    int result = 0;
    if (!is_right) {
        CLEANUP_JSON struct json *j = json_new_object();
        json_add_string(j, "id", root->node);
        json_add_bytes(j, "host", root->host, strlen(root->host));
        strbuf_reset(&text);
        json_write(j, false, &text);
        strbuf_putc(&text, '\n');
        result = files_write_atomic(root->fd, "node", text.data, text.length, 0600, err);
    }
    strbuf_release(&text);
    return result;
}

/* A note that a full disk takes no more is made at the next start: this one may be the
 * one that frees it. */
static int allow_full(int (*note)(struct noderoot *root, struct error *err),
                      struct noderoot *root, struct error *err)
{
    struct error failure = ERROR_INIT;
    if (note(root, &failure) == 0 || failure.code == ERR_NO_SPACE) {
        return 0;
    }
    if (err != NULL) {
        *err = failure;
    }
    return -1;
}

static int make_folders(const struct noderoot *root, int top_fd, struct error *err)
{
    static const char *const folders[] = {"runs", "queue"};
    if (mkdirat(top_fd, "bin", 0700) < 0 && errno != EEXIST) {
        return error_sys(err, "make %s/bin", root->top);
    }
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (mkdirat(root->fd, folders[i], 0700) < 0 && errno != EEXIST) {
            return error_sys(err, "make %s/%s", root->path, folders[i]);
        }
    }
    return 0;
}

static int open_inside(struct noderoot *root, int top_fd, struct error *err)
{
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) < 0) {
        return error_sys(err, "ask for the host name");
    }
    root->host = xstrdup(name);
    compute_node_id(root->host, root->node);
    root->is_network = files_is_network(root->top);
    if (root->is_network) {
        CLEANUP_FREE char *inside = xasprintf("nodes/%s", root->node);
        root->path = files_join(root->top, inside);
        if (files_make_dirs(root->path, err) < 0) {
            return -1;
        }
    } else {
        root->path = xstrdup(root->top);
    }
    root->fd = files_open_dir(AT_FDCWD, root->path, err);
    if (root->fd < 0 || make_folders(root, top_fd, err) < 0 ||
        noderoot_boot_id(root->boot, err) < 0 || allow_full(note_node, root, err) < 0) {
        return -1;
    }
    return allow_full(note_boot, root, err);
}

struct noderoot *noderoot_open(const char *path, struct error *err)
{
    CLEANUP_FREE char *asked = path != NULL ? xstrdup(path) : default_path(err);
    if (asked == NULL || files_make_dirs(asked, err) < 0) {
        return NULL;
    }
    CLEANUP(noderoot_cleanup) struct noderoot *root = xcalloc(1, sizeof(*root));
    root->fd = -1;
    root->top = realpath(asked, NULL);
    if (root->top == NULL) {
        error_sys(err, "find %s", asked);
        return NULL;
    }
    CLEANUP_FD int top_fd = files_open_dir(AT_FDCWD, root->top, err);
    if (top_fd < 0 || check_owner(root->top, top_fd, err) < 0 ||
        check_format(root->top, top_fd, &root->format, err) < 0 ||
        open_inside(root, top_fd, err) < 0) {
        return NULL;
    }
    return TAKE_PTR(root);
}

void noderoot_free(struct noderoot *root)
{
    if (root == NULL) {
        return;
    }
    if (root->fd >= 0) {
        fdio_close(&root->fd);
    }
    free(root->top);
    free(root->path);
    free(root->host);
    free(root);
}

struct store *noderoot_open_store(const struct noderoot *root, struct error *err)
{
    CLEANUP_FREE char *path = files_join(root->path, "store");
    if (root->format >= NODEROOT_FORMAT_PACKS && store_prepare(path, err) < 0) {
        return NULL;
    }
    return store_open(path, err);
}

char *noderoot_program(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length > 0) {
        path[length] = '\0';
        if (access(path, X_OK) == 0) {
            return xstrdup(path);
        }
    }
    return xstrdup("/proc/self/exe");
}

char *noderoot_platform(void)
{
    struct utsname machine;
    return xasprintf("linux-%s", uname(&machine) == 0 ? machine.machine : "unknown");
}
