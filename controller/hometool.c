#define _GNU_SOURCE /* pipe2 */
#include "controller/hometool.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/subprocess.h"

#define GRACE_MS 2000

struct reading {
    struct strbuf *text;
    bool is_done;
    int result;
    struct error *err;
};

static void on_output(void *context, int fd, unsigned events)
{
    struct reading *r = context;
    char data[16384];
    ssize_t got = fdio_read(fd, data, sizeof(data));
    (void)events;
    if (got <= 0) {
        r->is_done = true;
    } else if (strbuf_add(r->text, data, (size_t)got, r->err) < 0) {
        r->is_done = true;
        r->result = -1;
    }
}

static int read_all(const struct hometool *tool, int fd, struct strbuf *text,
                    struct error *err)
{
    struct loop *loop = client_loop(tool->client);
    struct reading r = {.text = text, .err = err};
    int result = 0;
    loop_watch(loop, fd, LOOP_READ, on_output, &r);
    while (result == 0 && !r.is_done &&
           (tool->is_interrupted == NULL || !*tool->is_interrupted)) {
        result = client_step(tool->client, err);
    }
    loop_unwatch(loop, fd);
    if (result == 0 && !r.is_done) {
        return error_set(err, ERR_CANCELED, "interrupted");
    }
    return result < 0 ? -1 : r.result;
}

int hometool_run(const struct hometool *tool, const char *const *argv,
                 struct strbuf *text, int *out_status, struct error *err)
{
    int ends[2];
    int status = 0;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_sys(err, "make a pipe");
    }
    CLEANUP_FD int mine = ends[0];
    CLEANUP_FD int its = ends[1];
    struct subprocess sp = {
        .argv = argv,
        .env = (const char *const *)strvec_argv(tool->environment),
        .in = SUBPROCESS_NULL,
        .out = its,
        .error = its,
        .dir_fd = tool->dir_fd,
        .has_dir = true,
        .want_session = true,
        .want_parent_death = true,
    };
    strbuf_reset(text);
    text->limit_bytes = HOMETOOL_TEXT_MAX;
    if (subprocess_start(&sp, err) < 0) {
        return -1;
    }
    fdio_close(&its);
    if (read_all(tool, mine, text, err) < 0) {
        subprocess_stop(&sp, GRACE_MS);
        return -1;
    }
    if (subprocess_wait(&sp, &status, err) < 0) {
        return -1;
    }
    *out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

bool hometool_answers(const struct hometool *tool, const char *const *argv)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int status = 1;
    return hometool_run(tool, argv, &text, &status, NULL) == 0 && status == 0;
}
