/*
 * yarn_log: a container's log as REST gives it. [engine]
 */
#define _GNU_SOURCE /* memmem */
#include "common/yarn.h"

#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

/* Behind the line that begins with name, within head: its value, up to the newline. NULL
 * where there is none. */
static const char *find_line(const char *head, size_t length, const char *name)
{
    const char *at = head;
    while (at < head + length) {
        size_t left = (size_t)(head + length - at);
        if (left >= strlen(name) && memcmp(at, name, strlen(name)) == 0) {
            return at + strlen(name);
        }
        const char *newline = memchr(at, '\n', left);
        at = newline != NULL ? newline + 1 : head + length;
    }
    return NULL;
}

static int refuse(const char *head, size_t length, struct error *err)
{
    static const char missing[] = "Can not find log";
    size_t line = length < 200 ? length : 200;
    const char *newline = memchr(head, '\n', line);
    line = bytes_utf8_prefix(head, newline != NULL ? (size_t)(newline - head) : line);
    if (line >= strlen(missing) && memcmp(head, missing, strlen(missing)) == 0) {
        return error_set(err, ERR_NOT_FOUND, "%.*s", (int)line, head);
    }
    return error_set(err, ERR_PROTOCOL, "the answer is no container's log: %.*s",
                     (int)line, head);
}

int yarn_parse_log(const char *head, size_t length, uint64_t size, int64_t asked,
                   struct yarn_log *out, struct error *err)
{
    static const char contents[] = "LogContents:\n";
    const char *first = find_line(head, length, "Container: ");
    const char *at =
        first == head + strlen("Container: ") ? find_line(head, length, contents) : NULL;
    const char *total =
        at != NULL ? find_line(head, (size_t)(at - head), "LogLength:") : NULL;
    size_t digits = total != NULL ? strspn(total, "0123456789") : 0;
    if (digits == 0 || digits > 19) {
        return refuse(head, length, err);
    }
    CLEANUP_FREE char *number = xstrndup(total, digits);
    if (bytes_parse_u64(number, INT64_MAX, &out->total, err) < 0) {
        return -1;
    }
    uint64_t wanted = asked < 0 ? (uint64_t)-asked : (uint64_t)asked;
    out->length = wanted < out->total ? wanted : out->total;
    out->content_at = (uint64_t)(at - head);
    out->start = asked < 0 ? out->total - out->length : 0;
    if (size < out->content_at || size - out->content_at < out->length) {
        return error_set(err, ERR_PROTOCOL,
                         "a container's log of %llu bytes came with %llu",
                         (unsigned long long)out->length,
                         (unsigned long long)(size - out->content_at));
    }
    return 0;
}

bool yarn_is_log_end(const char *bytes, size_t length)
{
    static const char end[] = "End of LogType:";
    size_t skipped = length > 0 && bytes[0] == '\n'; /* a history server puts it there */
    return length - skipped >= strlen(end) &&
           memcmp(bytes + skipped, end, strlen(end)) == 0;
}
