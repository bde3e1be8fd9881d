#include "controller/loggap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"

#define GAPS_BYTES_MAX ((size_t)32 << 20)

static const struct {
    const char *word, *meaning;
} whys[] = {
    [LOGGAP_LIMIT] = {"limit", "the node had given them up, because the log was over "
                               "its limit (log_max_size)"},
    [LOGGAP_CUT] = {"cut", "the log was truncated or replaced on the node"},
    [LOGGAP_REMOVED] = {"removed", "the run was removed from the node"},
    [LOGGAP_UNKNOWN] = {"unknown", "the node no longer had them"},
};

enum loggap_why loggap_why(const char *word)
{
    enum loggap_why why = LOGGAP_LIMIT;
    while (why != LOGGAP_UNKNOWN && (word == NULL || strcmp(word, whys[why].word) != 0)) {
        why++;
    }
    return why;
}

void loggap_describe(const struct loggap *gap, char out[LOGGAP_TEXT_SIZE])
{
    char size[FILES_SIZE_TEXT];
    uint64_t bytes = gap->to - gap->from;
    bool is_short = bytes < 10000;
    files_format_size(size, bytes);
    (void)snprintf(out, LOGGAP_TEXT_SIZE,
                   "%llu bytes%s%s%s of the log are missing here: %s",
                   (unsigned long long)bytes, is_short ? "" : " (", is_short ? "" : size,
                   is_short ? "" : ")", whys[gap->why].meaning);
}

void loggaps_release(struct loggaps *gaps)
{
    free(gaps->items);
    *gaps = (struct loggaps)LOGGAPS_INIT;
}

static bool is_before(const struct loggap *a, const struct loggap *b)
{
    return a->generation < b->generation ||
           (a->generation == b->generation && a->to < b->from);
}

/* Put a gap in its place, as one with those that it touches. */
static void insert(struct loggaps *gaps, struct loggap gap)
{
    size_t at = gaps->count;
    while (at > 0 && !is_before(&gaps->items[at - 1], &gap)) {
        at--;
    }
    size_t end = at;
    for (; end < gaps->count && !is_before(&gap, &gaps->items[end]); end++) {
        const struct loggap *other = &gaps->items[end];
        gap.why = other->from <= gap.from ? other->why : gap.why;
        gap.from = other->from < gap.from ? other->from : gap.from;
        gap.to = other->to > gap.to ? other->to : gap.to;
    }
    if (end == at && gaps->count == gaps->capacity) {
        gaps->capacity = gaps->capacity * 2 + 8;
        gaps->items = xrealloc(gaps->items, gaps->capacity, sizeof *gaps->items);
    }
    if (end != at + 1) {
        memmove(gaps->items + at + 1, gaps->items + end,
                (gaps->count - end) * sizeof *gaps->items);
    }
    gaps->items[at] = gap;
    gaps->count += 1 - (end - at);
}

static int take_line(struct loggaps *gaps, const char *line, size_t length)
{
    CLEANUP_JSON struct json *j = json_parse(line, length, NULL);
    int64_t generation, from, to;
    const char *why;
    if (json_get_integer(j, "gap", "generation", 0, JSON_INTEGER_MAX, &generation, NULL) <
            0 ||
        json_get_integer(j, "gap", "from", 0, JSON_INTEGER_MAX, &from, NULL) < 0 ||
        json_get_integer(j, "gap", "to", from + 1, JSON_INTEGER_MAX, &to, NULL) < 0 ||
        json_get_string(j, "gap", "why", &why, NULL) < 0) {
        return -1;
    }
    insert(gaps,
           (struct loggap){generation, (uint64_t)from, (uint64_t)to, loggap_why(why)});
    return 0;
}

int loggaps_load(struct loggaps *gaps, int dir_fd, const char *file, struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("%s.gaps", file);
    CLEANUP_STRBUF struct strbuf text;
    struct error why = ERROR_INIT;
    strbuf_init(&text, GAPS_BYTES_MAX);
    loggaps_release(gaps);
    if (files_read(dir_fd, name, &text, &why) != 0) {
        if (why.code == ERR_NOT_FOUND) {
            return 0;
        }
        return error_copy(err, &why);
    }
    for (const char *line = text.data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        (void)take_line(gaps, line, length);
        line += length + (line[length] == '\n');
    }
    return 0;
}

/* One line, behind what a torn one may have left. */
static void format_line(const struct loggap *gap, bool is_torn, struct strbuf *out)
{
    CLEANUP_JSON struct json *j = json_new_object();
    json_add_integer(j, "generation", gap->generation);
    json_add_integer(j, "from", (int64_t)gap->from);
    json_add_integer(j, "to", (int64_t)gap->to);
    json_add_string(j, "why", whys[gap->why].word);
    strbuf_puts(out, is_torn ? "\n" : "");
    json_write(j, false, out);
    strbuf_putc(out, '\n');
}

int loggaps_add(struct loggaps *gaps, int dir_fd, const char *file,
                const struct loggap *gap, struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("%s.gaps", file);
    CLEANUP_FD int fd =
        openat(dir_fd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct stat st;
    char last = '\n';
    if (fd < 0 || fstat(fd, &st) != 0 ||
        (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)) {
        return error_sys(err, "open %s", name);
    }
    format_line(gap, last != '\n', &line);
    if ((uint64_t)st.st_size + line.length > GAPS_BYTES_MAX) {
        return error_set(err, ERR_LIMIT,
                         "the log lacks too many pieces to note them all");
    }
    if (fdio_write_full(fd, line.data, line.length) != 0 || fdatasync(fd) != 0) {
        return error_sys(err, "write %s", name);
    }
    insert(gaps, *gap);
    return st.st_size > 0 ? 0 : files_sync_dir(dir_fd, err);
}

const struct loggap *loggaps_next(const struct loggaps *gaps, int64_t generation,
                                  uint64_t offset)
{
    for (size_t i = 0; i < gaps->count; i++) {
        const struct loggap *gap = &gaps->items[i];
        if (gap->generation == generation && gap->to > offset) {
            return gap;
        }
    }
    return NULL;
}

const struct loggap *loggaps_before(const struct loggaps *gaps, int64_t generation,
                                    uint64_t offset)
{
    for (size_t i = gaps->count; i > 0; i--) {
        const struct loggap *gap = &gaps->items[i - 1];
        if (gap->generation == generation && gap->from < offset) {
            return gap;
        }
    }
    return NULL;
}

uint64_t loggaps_total(const struct loggaps *gaps)
{
    uint64_t total = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        total += gaps->items[i].to - gaps->items[i].from;
    }
    return total;
}
