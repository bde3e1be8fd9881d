#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/shape.h"
#include "executor/jsonline.h"

#define ENTRY_TEXT 4096 /* and a newline */
#define LOCK_DEADLINE_MS 30000

static int open_queue(const struct noderoot *root, struct error *err)
{
    int fd = files_open_dir(root->fd, "queue", err);
    return fd < 0 ? error_wrap(err, "%s", root->path) : fd;
}

int queue_lock(const struct noderoot *root, struct error *err)
{
    int fd = files_lock(root->fd, "queue/lock", true, LOCK_DEADLINE_MS, err);
    return fd < 0 ? error_wrap(err, "%s/queue/lock", root->path) : fd;
}

static void put_process(struct jsonline *l, const struct queue_entry *entry)
{
    if (entry->process.pid == 0) {
        jsonline_raw(l, "process", NULL);
        return;
    }
    jsonline_object(l, "process");
    jsonline_string(l, "boot", entry->process.boot);
    jsonline_integer(l, "pid", entry->process.pid);
    jsonline_integer(l, "start", (int64_t)entry->process.start);
    jsonline_integer(l, "attempt", entry->attempt);
    jsonline_end(l);
}

static void format_entry(char out[ENTRY_TEXT + 1], const struct queue_entry *entry)
{
    struct jsonline l;
    jsonline_init(&l, out, ENTRY_TEXT);
    jsonline_string(&l, "run", entry->run);
    jsonline_integer(&l, "ticket", entry->ticket);
    jsonline_time(&l, "accepted", entry->accepted_utc_ms);
    jsonline_integer(&l, "priority", entry->priority);
    jsonline_object(&l, "resources");
    jsonline_integer(&l, "slots", entry->slots);
    jsonline_integer(&l, "gpus", entry->gpus);
    jsonline_end(&l);
    jsonline_raw(&l, "grant", entry->is_granted ? "{\"slots\":[],\"gpus\":[]}" : NULL);
    jsonline_raw(&l, "pin", NULL);
    jsonline_string(&l, "executor", entry->executor);
    put_process(&l, entry);
    jsonline_end(&l);
    jsonline_pad(&l, ENTRY_TEXT);
    out[ENTRY_TEXT] = '\n';
}

/* queue/ticket has the next number; a file that cannot be read begins anew behind every
 * entry that is there, which only costs fairness. */
static int draw_ticket(int queue_fd, int64_t *out, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, 64);
    uint64_t next = 1;
    if (files_read(queue_fd, "ticket", &text, NULL) == 0) {
        text.data[strcspn(text.data, "\n")] = '\0';
        if (bytes_parse_u64(text.data, JSON_INTEGER_MAX - 1, &next, NULL) < 0) {
            next = 1;
        }
    }
    strbuf_release(&text);
    char line[32];
    int length = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)next + 1);
    /* In place, and nothing is waited for: a power cut may lose it, which costs no more
     * than that. */
    CLEANUP_FD int fd =
        openat(queue_fd, "ticket", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fdio_pwrite_full(fd, line, (size_t)length, 0) < 0) {
        error_sys(err, "write queue/ticket");
        return error_wrap(err, "draw a ticket");
    }
    *out = (int64_t)next;
    return 0;
}

int queue_prepare(const struct noderoot *root, struct queue_entry *entry,
                  struct files_aside *out, struct error *err)
{
    CLEANUP_FD int fd = open_queue(root, err);
    if (fd < 0 || draw_ticket(fd, &entry->ticket, err) < 0) {
        return -1;
    }
    char text[ENTRY_TEXT + 1];
    format_entry(text, entry);
    if (files_aside_write(out, fd, entry->run, text, sizeof(text), 0600, err) < 0) {
        return error_wrap(err, "put the run into the queue");
    }
    return 0;
}

int queue_remove(const struct noderoot *root, const char *id, struct error *err)
{
    char path[RUN_ID_SIZE + 8];
    snprintf(path, sizeof(path), "queue/%s", id);
    if (unlinkat(root->fd, path, 0) < 0 && errno != ENOENT) {
        return error_sys(err, "remove %s/%s", root->path, path);
    }
    return 0;
}

static int open_entry(const struct noderoot *root, const char *id, struct error *err)
{
    char path[RUN_ID_SIZE + 8];
    snprintf(path, sizeof(path), "queue/%s", id);
    int fd = openat(root->fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? error_sys(err, "open %s/%s", root->path, path) : fd;
}

int queue_hold(const struct noderoot *root, const char *id, struct error *err)
{
    CLEANUP_FD int all = queue_lock(root, err);
    if (all < 0) {
        return -1;
    }
    CLEANUP_FD int fd = open_entry(root, id, err);
    if (fd < 0) {
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK) {
            return error_set(err, ERR_BUSY, "run %s has its supervisors", id);
        }
        return error_sys(err, "lock the queue entry of run %s", id);
    }
    return take_fd(&fd);
}

bool queue_is_held(const struct noderoot *root, const char *id)
{
    struct error err = ERROR_INIT;
    CLEANUP_FD int fd = queue_hold(root, id, &err);
    return fd < 0 && err.code == ERR_BUSY;
}

int queue_list(const struct noderoot *root, struct strvec *out, struct error *err)
{
    int fd = open_queue(root, err);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        return fd < 0 ? -1 : error_sys(err, "read %s/queue", root->path);
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        /* "lock" and "ticket" look like ids of their own. */
        if (run_id_is_valid(e->d_name) && strcmp(e->d_name, "lock") != 0 &&
            strcmp(e->d_name, "ticket") != 0) {
            strvec_push(out, e->d_name);
        }
    }
    strvec_sort(out);
    return 0;
}

/* FORMATS.md 4.6. A process id is what signals go to: one that can be none is refused. */
static const struct shape a_number = {
    .kind = SHAPE_INTEGER, .min = -JSON_INTEGER_MAX, .max = JSON_INTEGER_MAX};
static const struct shape a_count = {
    .kind = SHAPE_INTEGER, .min = 0, .max = JSON_INTEGER_MAX};
static const struct shape an_attempt = {
    .kind = SHAPE_INTEGER, .min = 1, .max = JSON_INTEGER_MAX};
static const struct shape a_pid = {.kind = SHAPE_INTEGER, .min = 1, .max = INT32_MAX};
static const struct shape a_boot = {.kind = SHAPE_STRING,
                                    .max = sizeof(((struct process_id *)NULL)->boot) - 1};
static const struct shape a_digest = {.kind = SHAPE_STRING, .max = OID_HEX_SIZE - 1};
static const struct shape a_run = {.kind = SHAPE_RUN_ID};
static const struct shape a_time = {.kind = SHAPE_TIME};
static const struct shape any_object = {.kind = SHAPE_OBJECT};

static const struct shape_member process_members[] = {
    {.key = "boot", .shape = &a_boot},
    {.key = "pid", .shape = &a_pid},
    {.key = "start", .shape = &a_count},
    {.key = "attempt", .shape = &an_attempt},
    {.key = NULL},
};
static const struct shape a_process = {.kind = SHAPE_OBJECT, .members = process_members};

static const struct shape_member resource_members[] = {
    {.key = "slots", .shape = &a_count},
    {.key = "gpus", .shape = &a_count},
    {.key = NULL},
};
static const struct shape resources = {.kind = SHAPE_OBJECT, .members = resource_members};

static const struct shape_member entry_members[] = {
    {.key = "run", .shape = &a_run},
    {.key = "ticket", .shape = &a_count},
    {.key = "accepted", .shape = &a_time},
    {.key = "priority", .shape = &a_number},
    {.key = "resources", .shape = &resources},
    {.key = "grant", .shape = &any_object, .may_be_null = true},
    {.key = "executor", .shape = &a_digest},
    {.key = "process", .shape = &a_process, .may_be_null = true},
    {.key = NULL},
};
static const struct shape an_entry = {.kind = SHAPE_OBJECT, .members = entry_members};

static void copy_string(char *out, size_t size, const struct json *j)
{
    snprintf(out, size, "%s", json_string(j));
}

static void take_entry(const struct json *j, struct queue_entry *out)
{
    const struct json *needs = json_get(j, "resources");
    const struct json *process = json_get(j, "process");
    *out = (struct queue_entry){
        .ticket = json_integer(json_get(j, "ticket")),
        .priority = json_integer(json_get(j, "priority")),
        .slots = json_integer(json_get(needs, "slots")),
        .gpus = json_integer(json_get(needs, "gpus")),
        .is_granted = json_is_object(json_get(j, "grant")),
        .process.pid = json_integer(json_get(process, "pid")),
        .process.start = (uint64_t)json_integer(json_get(process, "start")),
        .attempt = json_integer(json_get(process, "attempt")),
    };
    (void)clock_parse(json_string(json_get(j, "accepted")), &out->accepted_utc_ms, NULL);
    copy_string(out->run, sizeof(out->run), json_get(j, "run"));
    copy_string(out->executor, sizeof(out->executor), json_get(j, "executor"));
    if (json_is_object(process)) {
        copy_string(out->process.boot, sizeof(out->process.boot),
                    json_get(process, "boot"));
    }
}

int queue_read(int entry_fd, struct queue_entry *out, struct error *err)
{
    char text[ENTRY_TEXT + 1];
    ssize_t got = fdio_pread_full(entry_fd, text, sizeof(text), 0);
    if (got < 0) {
        return error_sys(err, "read a queue entry");
    }
    CLEANUP_JSON struct json *j = json_parse(text, (size_t)got, err);
    if (j == NULL || shape_check(&an_entry, j, err) < 0) {
        return error_wrap(err, "a queue entry");
    }
    take_entry(j, out);
    return 0;
}

int queue_read_id(const struct noderoot *root, const char *id, struct queue_entry *out,
                  struct error *err)
{
    CLEANUP_FD int fd = open_entry(root, id, err);
    return fd < 0 ? -1 : queue_read(fd, out, err);
}

int queue_write(int entry_fd, const struct queue_entry *entry, struct error *err)
{
    char text[ENTRY_TEXT + 1];
    format_entry(text, entry);
    if (fdio_pwrite_full(entry_fd, text, sizeof(text), 0) < 0 ||
        fdatasync(entry_fd) < 0) {
        return error_sys(err, "write a queue entry");
    }
    return 0;
}
