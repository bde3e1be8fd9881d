#define _GNU_SOURCE /* flock */
#include "controller/known_hosts.h"

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "controller/known_hosts_name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* What has a meaning of its own in a line: ssh does not record such names either. */
#define NAME_FORBIDDEN "@?*#[]|'\"\\,! \t\r\n"

static int check_name(const char *name, struct error *err)
{
    const char *end = name[0] == '[' ? strrchr(name, ']') : NULL;
    const char *host = end != NULL ? name + 1 : name;
    size_t length = end != NULL ? (size_t)(end - host) : strlen(host);
    if (length == 0 || strcspn(host, NAME_FORBIDDEN) < length) {
        return error_set(err, ERR_USAGE, "a host named \"%s\" cannot be recorded", name);
    }
    return 0;
}

/* The folder of path, which ssh makes as well (~/.ssh). */
static int make_folder(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return 0;
    }
    CLEANUP_FREE char *folder = xstrndup(path, (size_t)(slash - path));
    return files_make_dirs(folder, err);
}

static int open_locked(const char *path, struct error *err)
{
    if (make_folder(path, err) != 0) {
        return -1;
    }
    CLEANUP_FD int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_sys(err, "open %s", path);
    }
    int result = 0;
    while ((result = flock(fd, LOCK_EX)) != 0 && errno == EINTR) {
    }
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOLCK) {
        return error_sys(err, "lock %s", path);
    }
    return take_fd(&fd);
}

static void format_line(const struct known_hosts *known, const void *key, size_t length,
                        bool want_hash, struct strbuf *out)
{
    if (want_hash) {
        known_hosts_name_hash(out, known_hosts_name(known));
    } else {
        strbuf_puts(out, known_hosts_name(known));
    }
    strbuf_putc(out, ' ');
    (void)known_hosts_key_kind(out, key, length);
    strbuf_putc(out, ' ');
    bytes_to_base64(out, key, length);
    strbuf_putc(out, '\n');
}

/* One write of O_APPEND: what ssh appends at the same time stands before or behind it. */
static int append(int fd, const char *path, const struct strbuf *line, struct error *err)
{
    off_t before = lseek(fd, 0, SEEK_END);
    ssize_t written = before < 0 ? -1 : fdio_write(fd, line->data, line->length);
    if (written == (ssize_t)line->length && fsync(fd) == 0) {
        return 0;
    }
    int result = written >= 0 && written < (ssize_t)line->length
                     ? error_set(err, ERR_NO_SPACE, "write %s: no room", path)
                     : error_sys(err, "write %s", path);
    if (written > 0 && lseek(fd, 0, SEEK_END) == before + written &&
        ftruncate(fd, before) != 0) {
        /* Half a line stays, which every reader skips. */
    }
    return result;
}

int known_hosts_add(const struct known_hosts *known, const char *path, const void *key,
                    size_t length, bool want_hash, struct error *err)
{
    CLEANUP_STRBUF struct strbuf kind = STRBUF_INIT;
    if (check_name(known_hosts_name(known), err) != 0) {
        return -1;
    }
    if (length > KNOWN_HOSTS_KEY_MAX || !known_hosts_key_kind(&kind, key, length)) {
        return error_set(err, ERR_PROTOCOL, "a host key has no kind, or is too long");
    }
    CLEANUP_FD int fd = open_locked(path, err);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_init(&text, KNOWN_HOSTS_FILE_MAX);
    if (fd < 0 || fdio_read_all(fd, path, &text, err) != 0) {
        return -1;
    }
    /* Another errand may have been asked the same question. */
    CLEANUP(known_hosts_cleanup)
    struct known_hosts *there = known_hosts_new(known_hosts_name(known), 0);
    struct known_hosts_line found;
    known_hosts_parse(there, path, text.data, text.length);
    if (known_hosts_check(there, key, length, &found) == KNOWN_HOSTS_KNOWN) {
        return 0;
    }
    if (text.length > 0 && text.data[text.length - 1] != '\n') {
        strbuf_putc(&line, '\n');
    }
    format_line(known, key, length, want_hash, &line);
    return append(fd, path, &line, err);
}
