/* livy_place, by a command that copies. */
#define _GNU_SOURCE /* mkstemp */
#include "controller/livy_place_inside.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/strvec.h"
#include "common/subprocess.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MS ((int64_t)6 * 3600 * 1000)
#define COMMAND_SAID_MAX ((size_t)64 << 10)

static void put_argument(const char *word, const char *src, const char *dst,
                         struct strvec *argv)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    while (*word != '\0') {
        bool is_src = strncmp(word, "{src}", 5) == 0;
        if (is_src || strncmp(word, "{dst}", 5) == 0) {
            strbuf_puts(&text, is_src ? src : dst);
            word += 5;
        } else {
            strbuf_putc(&text, *word++);
        }
    }
    strvec_push(argv, text.data);
}

/* As long as the exchanges that go on beside it: a cancel ends it, and has only so long
 * itself. */
static int run_command(const struct livy_place *place, struct strvec *argv,
                       struct strbuf *out, struct strbuf *said, int *status,
                       struct error *err)
{
    const struct http *http = place->fs.http;
    int64_t left_ms = COMMAND_MS;
    struct subprocess sp;
    if (http->deadline_ns != 0) {
        left_ms = (http->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
    }
    if (left_ms <= 0) {
        return error_set(err, ERR_TIMED_OUT, "there is no time left to copy by %s",
                         strvec_argv(argv)[0]);
    }
    if (subprocess_capture_start(&sp, (const char *const *)strvec_argv(argv), true, err) <
        0) {
        return -1;
    }
    sp.stop_fd = http->stop_fd;
    sp.has_stop = http->stop_fd >= 0;
    return subprocess_capture_finish(&sp, out, said, (int)left_ms, status, err);
}

static int copy_by_command(const struct livy_place *place, const char *src,
                           const char *dst, struct error *err)
{
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    struct strbuf out, said;
    int status = 0;
    strbuf_init(&out, COMMAND_SAID_MAX);
    strbuf_init(&said, COMMAND_SAID_MAX);
    for (size_t i = 0; i < place->livy->upload_command.count; i++) {
        put_argument(place->livy->upload_command.items[i], src, dst, &argv);
    }
    int result = run_command(place, &argv, &out, &said, &status, err);
    if (result == 0 && status != 0) {
        CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
        subprocess_describe_status(status, &how);
        const char *words = said.length > 0 ? said.data : out.data;
        size_t length = strlen(words);
        while (length > 0 && words[length - 1] == '\n') {
            length--;
        }
        const char *last = words + length;
        while (last > words && last[-1] != '\n') {
            last--;
        }
        result =
            error_set(err, ERR_IO, "%s %s while it copied %s to %s: %.*s", argv.items[0],
                      how.data, src, dst, (int)(words + length - last), last);
    }
    strbuf_release(&out);
    strbuf_release(&said);
    return result;
}

/* Such stores have no folders of their own. */
static int command_make_dir(const struct livy_place *place, const char *path,
                            struct error *err)
{
    (void)place, (void)path, (void)err;
    return 0;
}

static int command_put(const struct livy_place *place, const char *path, unsigned mode,
                       const char *file, struct error *err)
{
    (void)mode;
    return copy_by_command(place, file, path, err);
}

static int command_look(const struct livy_place *place, const char *path,
                        bool *out_is_there, struct webhdfs_entry *out, struct error *err)
{
    (void)place, (void)path, (void)err;
    *out_is_there = false;
    *out = (struct webhdfs_entry){.name = ""};
    return 0;
}

static int command_list(const struct livy_place *place, const char *path,
                        webhdfs_visit *visit, void *context, struct error *err)
{
    (void)place, (void)visit, (void)context;
    return error_set(err, ERR_UNSUPPORTED,
                     "a command that copies cannot tell what lies in %s", path);
}

static int command_touch(const struct livy_place *place, const char *path,
                         struct error *err)
{
    (void)place, (void)path, (void)err;
    return 0;
}

/* Through a temporary file. What cannot be copied counts as not there: the command's
 * words do not tell the two apart. */
static int command_fetch(const struct livy_place *place, const char *path,
                         uint64_t max_bytes, int fd, bool *out_is_there,
                         struct error *err)
{
    char temporary[] = "/tmp/errand-livy-XXXXXX";
    struct error inner = ERROR_INIT;
    int made = mkstemp(temporary);
    if (made < 0) {
        return error_sys(err, "make a temporary file");
    }
    fdio_close(&made);
    int result = 0;
    *out_is_there = copy_by_command(place, path, temporary, &inner) == 0;
    if (*out_is_there) {
        CLEANUP_FD int in = open(temporary, O_RDONLY | O_CLOEXEC);
        result = in < 0 ? error_sys(err, "read %s", temporary)
                        : livy_place_copy_whole(in, path, max_bytes, fd, err);
    }
    (void)unlink(temporary);
    return result;
}

static int command_read(const struct livy_place *place, const char *path, uint64_t offset,
                        size_t length, struct strbuf *out, bool *out_is_there,
                        struct error *err)
{
    char temporary[] = "/tmp/errand-livy-XXXXXX";
    CLEANUP_FD int fd = mkstemp(temporary);
    if (fd < 0) {
        return error_sys(err, "make a temporary file");
    }
    (void)unlink(temporary);
    return command_fetch(place, path, UINT64_MAX, fd, out_is_there, err) < 0
               ? -1
               : livy_place_read_part(fd, path, offset, length, out, err);
}

static int command_remove(const struct livy_place *place, const char *path,
                          struct error *err)
{
    (void)place, (void)path, (void)err;
    return 0;
}

const struct livy_place_way livy_place_command = {.can_follow = false,
                                                  .make_dir = command_make_dir,
                                                  .put = command_put,
                                                  .look = command_look,
                                                  .list = command_list,
                                                  .touch = command_touch,
                                                  .read = command_read,
                                                  .fetch = command_fetch,
                                                  .remove = command_remove};
