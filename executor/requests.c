#define _GNU_SOURCE /* O_DIRECTORY */
#include "executor/requests.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/runspec.h"

#define REQUEST_SIZE_MAX ((size_t)64 << 10)
#define REQUESTS_MAX 1000

static bool is_request_name(const char *name)
{
    size_t length = strlen(name);
    return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".json") == 0;
}

static void copy_member(char *out, size_t size, const struct json *j, const char *key)
{
    const char *s = json_string(json_get(j, key));
    snprintf(out, size, "%s", s != NULL ? s : "");
}

/* True where the file asks for a cancel. An empty one does (a full disk). */
static bool read_request(int dir_fd, const char *name, int64_t default_grace_ms,
                         struct cancel_request *out)
{
    struct strbuf text;
    strbuf_init(&text, REQUEST_SIZE_MAX);
    *out = (struct cancel_request){.grace_ms = default_grace_ms};
    bool is_read = files_read(dir_fd, name, &text, NULL) == 0;
    bool is_cancel = is_read && text.length == 0;
    CLEANUP_JSON struct json *j =
        is_read ? json_parse(text.data, text.length, NULL) : NULL;
    strbuf_release(&text);
    const char *request = json_string(json_get(j, "request"));
    if (request == NULL || strcmp(request, "cancel") != 0) {
        return is_cancel;
    }
    copy_member(out->reason, sizeof(out->reason), j, "reason");
    copy_member(out->by, sizeof(out->by), j, "by");
    int64_t grace_ms = 0;
    if (json_get_integer(j, "request", "grace_ms", 0, RUNSPEC_GRACE_MAX_MS, &grace_ms,
                         NULL) == 0) {
        out->grace_ms = grace_ms;
    }
    return true;
}

bool requests_find_cancel(int run_fd, int64_t default_grace_ms,
                          struct cancel_request *out)
{
    int fd = files_open_dir(run_fd, "requests", NULL);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    bool is_found = false;
    char first[NAME_MAX + 1] = "";
    if (dir == NULL) {
        return false;
    }
    const struct dirent *e = readdir(dir);
    for (int i = 0; e != NULL && i < REQUESTS_MAX; i++, e = readdir(dir)) {
        struct cancel_request one;
        if (!is_request_name(e->d_name) ||
            !read_request(dirfd(dir), e->d_name, default_grace_ms, &one)) {
            continue;
        }
        int64_t grace_ms =
            is_found && out->grace_ms < one.grace_ms ? out->grace_ms : one.grace_ms;
        /* Names begin with the time, all equally long until the year 2286. */
        if (!is_found || strcmp(e->d_name, first) < 0) {
            *out = one;
            snprintf(first, sizeof(first), "%s", e->d_name);
        }
        out->grace_ms = grace_ms;
        is_found = true;
    }
    return is_found;
}
