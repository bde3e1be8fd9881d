#include "executor/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/log.h"
#include "common/subprocess.h"
#include "common/variables.h"
#include "executor/processes.h"
#include "executor/queue.h"
#include "executor/rundir.h"

#define START_DEADLINE_NS (30 * NS_PER_S)
/* An accepted run that nobody has begun and that needs secrets belongs to who submitted
 * it, for so long: nobody else has them. */
#define SUBMITTER_FIRST_MS 60000
#define STALE_ENTRY_MS 3600000

/* The environment of the supervisors: with the run's cookies. */
static void make_environment(const struct noderoot *root, const char *id,
                             struct strvec *out)
{
    variables_inherit(out);
    strvec_pushf(out, "%s=%s", RUN_ID_VARIABLE, id);
    strvec_pushf(out, "%s=%s/runs/%s", RUN_DIR_VARIABLE, root->path, id);
    strvec_push(out, ROLE_VARIABLE "=supervisor");
}

/* Write all secrets, but not for longer than until the deadline. */
static void feed(int fd, const struct json *secrets, int64_t deadline_ns)
{
    struct strbuf text;
    strbuf_init(&text, (size_t)4 << 20);
    json_write(secrets, false, &text);
    size_t done = 0;
    (void)fdio_set_nonblocking(fd, true, NULL);
    while (done < text.length && clock_monotonic_ns() < deadline_ns) {
        ssize_t sent = fdio_write(fd, text.data + done, text.length - done);
        if (sent > 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            (void)poll(&p, 1, 100);
        } else {
            break; /* it died, and its exit status says so */
        }
    }
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
}

/* Collect what it says until it closes its stderr. False: the deadline passed. */
static bool listen_until_end(int fd, struct strbuf *words, int64_t deadline_ns)
{
    char text[1024];
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0) {
            return false;
        }
        ssize_t got = fdio_read(fd, text, sizeof(text));
        if (got <= 0) {
            return true;
        }
        if (strbuf_add(words, text, (size_t)got, NULL) < 0) {
            return true;
        }
    }
}

static int judge_status(int status, struct strbuf *words, struct error *err)
{
    words->data[strcspn(words->data, "\n")] = '\0';
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == SUPERVISE_BUSY) {
        return error_set(err, ERR_BUSY, "the run has its supervisors");
    }
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    subprocess_describe_status(status, &how);
    return error_set(err, ERR_SPAWN, "the supervisors could not be started: %s",
                     words->data[0] != '\0' ? words->data : how.data);
}

static int start_program(const struct noderoot *root, const char *id, const char *program,
                         const struct json *secrets, bool is_adopting, struct error *err)
{
    CLEANUP_STRVEC struct strvec environment = STRVEC_INIT;
    make_environment(root, id, &environment);
    const char *argv[] = {program, "supervise", "--root", root->top, "--run",
                          id,      NULL,        NULL,     NULL};
    if (is_adopting) {
        argv[6] = "--adopt";
    } else if (secrets != NULL) {
        argv[6] = "--secrets-fd";
        argv[7] = "0";
    }
    struct subprocess sp = {
        .argv = argv,
        .env = (const char *const *)strvec_argv(&environment),
        .in = secrets != NULL ? SUBPROCESS_PIPE : SUBPROCESS_NULL,
        .out = SUBPROCESS_NULL,
        .error = SUBPROCESS_PIPE,
    };
    if (subprocess_start(&sp, err) < 0) {
        return -1;
    }
    int64_t deadline_ns = clock_monotonic_ns() + START_DEADLINE_NS;
    if (secrets != NULL) {
        feed(sp.stdin_fd, secrets, deadline_ns);
        fdio_close(&sp.stdin_fd);
    }
    struct strbuf words;
    strbuf_init(&words, 4096);
    int status = 0;
    int result = 0;
    if (!listen_until_end(sp.stderr_fd, &words, deadline_ns)) {
        subprocess_stop(&sp, 0);
        result = error_set(err, ERR_TIMED_OUT, "the supervisors did not start in time");
    } else if (subprocess_wait(&sp, &status, err) < 0) {
        result = -1;
    } else {
        result = judge_status(status, &words, err);
    }
    strbuf_release(&words);
    return result;
}

int supervise_start(const struct noderoot *root, const char *id,
                    const struct json *secrets, struct error *err)
{
    CLEANUP_FREE char *program = noderoot_program();
    if (start_program(root, id, program, secrets, false, err) < 0) {
        return error_wrap(err, "run %s", id);
    }
    return 0;
}

void supervise_note_failure(const struct noderoot *root, const char *id, const char *verb,
                            const struct error *failure)
{
    CLEANUP_FD int run_fd = rundir_open(root, id, NULL);
    CLEANUP_FD int fd =
        run_fd < 0 ? -1 : openat(run_fd, "control.log", O_WRONLY | O_APPEND | O_CLOEXEC);
    const struct log log = {.fd = fd, .word = "serve"};
    log_line(&log, "%s: %s", verb, failure->text);
}

/* The executor that the run began with, where it is still there. */
static char *recorded_program(const struct noderoot *root, const struct queue_entry *e)
{
    CLEANUP_FREE char *path =
        xasprintf("%s/bin/errand-executor-%s", root->top, e->executor);
    return access(path, X_OK) == 0 ? TAKE_PTR(path) : noderoot_program();
}

static bool needs_secrets(int run_fd)
{
    struct runspec spec;
    runspec_init(&spec);
    bool has_secrets =
        rundir_read_spec(run_fd, &spec, NULL, NULL) == 0 && spec.secrets.count > 0;
    runspec_release(&spec);
    return has_secrets;
}

static void adopt(const struct noderoot *root, const char *id)
{
    struct queue_entry entry = {.accepted_utc_ms = 0};
    struct error failure = ERROR_INIT;
    CLEANUP_FD int run_fd = rundir_open(root, id, NULL);
    bool is_read = queue_read_id(root, id, &entry, NULL) == 0;
    int64_t age_ms = clock_utc_ms() - entry.accepted_utc_ms;
    if (run_fd < 0) {
        /* Made by an acceptance that did not get further. */
        if (is_read && age_ms > STALE_ENTRY_MS) {
            (void)queue_remove(root, id, NULL);
        }
        return;
    }
    if (is_read && entry.process.pid == 0 && age_ms >= 0 && age_ms < SUBMITTER_FIRST_MS &&
        needs_secrets(run_fd)) {
        return;
    }
    CLEANUP_FREE char *program =
        is_read ? recorded_program(root, &entry) : noderoot_program();
    if (start_program(root, id, program, NULL, true, &failure) < 0 &&
        failure.code != ERR_BUSY) {
        supervise_note_failure(root, id, "adopt", &failure);
    }
}

int supervise_adopt_all(const struct noderoot *root, struct error *err)
{
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    if (queue_list(root, &ids, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ids.count; i++) {
        if (!queue_is_held(root, ids.items[i])) {
            adopt(root, ids.items[i]);
        }
    }
    return rundir_sweep(root, err);
}

bool supervise_is_alive(const struct noderoot *root, const char *id)
{
    struct queue_entry entry;
    return queue_is_held(root, id) ||
           (queue_read_id(root, id, &entry, NULL) == 0 && entry.process.pid != 0 &&
            strcmp(entry.process.boot, root->boot) == 0 &&
            process_is_alive(&entry.process));
}
