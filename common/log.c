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

void log_line(const struct log *log, const char *format, ...)
{
    int saved = errno;
    char line[LINE_MAX_BYTES];
    char now[CLOCK_TEXT_SIZE];
    size_t length;
    int head;
    int body;
    va_list args;

    if (log->fd < 0) {
        return;
    }
    clock_format(now, clock_utc_ms());
    head = snprintf(line, sizeof(line) / 2, "%s %s: ", now, log->word);
    length = head < 0 ? 0 : strnlen(line, sizeof(line) / 2);
    va_start(args, format);
    body = vsnprintf(line + length, sizeof(line) - length, format, args);
    va_end(args);
    length += body < 0 ? 0 : (size_t)body;
    if (length > sizeof(line) - 1) {
        length = whole_characters(line, sizeof(line) - 1);
    }
    mask_controls(line, length);
    line[length++] = '\n';
    /* In one call, so that lines of several writers in append mode stay whole. */
    if (write(log->fd, line, length) < 0) {
        length = 0; /* nobody to tell: this is where failures are told */
    }
    errno = saved;
}
