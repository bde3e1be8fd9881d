#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define LINE_MAX_BYTES 1024 /* with its newline */

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* U+0080 to U+009F as UTF-8, which terminals obey too. */
static bool is_control_pair(const char *text)
{
    return text[0] == '\xc2' && (unsigned char)text[1] >= 0x80 &&
           (unsigned char)text[1] < 0xa0;
}

static void mask_controls(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_control(text[i])) {
            text[i] = '?';
        } else if (i + 1 < length && is_control_pair(text + i)) {
            memset(text + i, '?', 2);
        }
    }
}

/* Where a cut text ends: not within a character of several bytes. */
static size_t whole_characters(const char *text, size_t length)
{
    size_t end = length;

    while (end > 0 && length - end < 3 && ((unsigned char)text[end - 1] & 0xc0) == 0x80) {
        end--;
    }
    return end > 0 && (unsigned char)text[end - 1] >= 0xc0 ? end - 1 : end;
}

/* Time, speaker and text into line; returns the length without a newline. */
static size_t format_line(char line[LINE_MAX_BYTES], const char *word, const char *format,
                          va_list args) __attribute__((format(printf, 3, 0)));

static size_t format_line(char line[LINE_MAX_BYTES], const char *word, const char *format,
                          va_list args)
{
    char now[CLOCK_TEXT_SIZE];
    size_t length;
    int body;

    clock_format(now, clock_utc_ms());
    if (snprintf(line, LINE_MAX_BYTES / 2, "%s %s: ", now, word) < 0) {
        line[0] = '\0';
    }
    length = strlen(line);
    body = vsnprintf(line + length, LINE_MAX_BYTES - length, format, args);
    length += body < 0 ? 0 : (size_t)body;
    return length < LINE_MAX_BYTES ? length : whole_characters(line, LINE_MAX_BYTES - 1);
}

void log_line(const struct log *log, const char *format, ...)
{
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t length;
    ssize_t written;
    va_list args;

    if (log->fd < 0) {
        return;
    }
    va_start(args, format);
    length = format_line(line, log->word, format, args);
    va_end(args);
    mask_controls(line, length);
    line[length++] = '\n';
    /* In one call, so that lines of several writers in append mode stay whole. Whether it
     * was written nobody can be told: this is where failures are told. */
    written = write(log->fd, line, length);
    (void)written;
    errno = saved;
}
