#include "common/tidyrecord.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"

#define RECORD_SIZE_MAX ((size_t)1 << 20)

struct json *tidyrecord_read(int dir_fd, const char *name)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, RECORD_SIZE_MAX);
    return files_read(dir_fd, name, &text, NULL) < 0
               ? NULL
               : json_parse(text.data, text.length, NULL);
}

void tidyrecord_write(int fd, const struct json *record)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(record, false, &text);
    strbuf_putc(&text, '\n');
    (void)futimens(fd, NULL); /* it counts also where the disk has no room for the rest */
    bool is_written = fdio_pwrite_full(fd, text.data, text.length, 0) == 0;
    bool is_cut = ftruncate(fd, is_written ? (off_t)text.length : 0) == 0;
    (void)is_cut; /* what is left behind then is no JSON, as of an interrupted one */
}

bool tidyrecord_is_due(const struct stat *st, const struct json *record, int64_t every_ms)
{
    bool is_ended = json_get(record, "ended") != NULL;
    int64_t wait_ms =
        is_ended || every_ms < TIDYRECORD_AGAIN_MS ? every_ms : TIDYRECORD_AGAIN_MS;
    int64_t age_ms = clock_utc_ms() - clock_ms_of(&st->st_mtim);
    return age_ms >= wait_ms || age_ms < 0; /* the clock was set back */
}

void tidyrecord_describe(const struct json *record, const char *path, struct strbuf *out)
{
    const char *began = json_string(json_get(record, "began"));
    const char *ended = json_string(json_get(record, "ended"));
    const char *why = json_string(json_get(record, "error"));
    const struct json *report = json_get(record, "report");
    const struct json *bytes = json_get(report, "bytes");
    if (began == NULL) {
        strbuf_puts(out, "not yet");
    } else if (ended == NULL) {
        strbuf_printf(out, "begun at %s, and not ended%s%s", began,
                      why != NULL ? ": " : "", why != NULL ? why : "");
    } else {
        char size[FILES_SIZE_TEXT];
        files_format_size(size, bytes != NULL && json_is_integer(bytes)
                                    ? (uint64_t)json_integer(bytes)
                                    : 0);
        strbuf_printf(out, "at %s, %s freed", ended, size);
        size_t warnings = json_count(json_get(report, "warnings"));
        if (warnings > 0) {
            strbuf_printf(out, ", %zu warnings in %s", warnings, path);
        }
    }
}
