#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

#define SYS_TEXT_MAX 128

struct code_row {
    const char *name;
};

static const struct code_row code_rows[] = {
    [ERR_NONE] = {"none"},
#define ERROR(symbol, name, meaning) [ERR_##symbol] = {name},
#include "common/errors.def"
#undef ERROR
};

_Static_assert(ARRAY_SIZE(code_rows) == ERR_COUNT, "a name for every code");

struct errno_row {
    int sys;
    enum error_code code;
};

static const struct errno_row errno_rows[] = {
    {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE}, {ENOENT, ERR_NOT_FOUND},
    {EACCES, ERR_ACCESS},   {EPERM, ERR_ACCESS},    {EROFS, ERR_ACCESS},
    {EEXIST, ERR_EXISTS},   {EAGAIN, ERR_BUSY},     {ETIMEDOUT, ERR_TIMED_OUT},
};

static enum error_code code_of_errno(int sys)
{
    for (size_t i = 0; i < ARRAY_SIZE(errno_rows); i++) {
        if (errno_rows[i].sys == sys) {
            return errno_rows[i].code;
        }
    }
    return ERR_IO;
}

/* Through a buffer of its own, because an argument may be the text it replaces. */
static void format_text(char *out, size_t out_size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void format_text(char *out, size_t out_size, const char *format, va_list args)
{
    char text[ERROR_TEXT_MAX];

    if (vsnprintf(text, sizeof(text), format, args) < 0) {
        text[0] = '\0';
    }
    snprintf(out, out_size, "%s", text);
}

int(error_set)(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    if (err == NULL) {
        return -1;
    }
    va_start(args, format);
    format_text(err->text, sizeof(err->text), format, args);
    va_end(args);
    err->code = code;
    err->sys = 0;
    err->hint[0] = '\0';
    return -1;
}

int(error_sys)(struct error *err, const char *format, ...)
{
    int sys = errno;
    char reason[SYS_TEXT_MAX];
    size_t used;
    va_list args;

    if (err == NULL) {
        return -1;
    }
    va_start(args, format);
    format_text(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (strerror_r(sys, reason, sizeof(reason)) != 0) {
        snprintf(reason, sizeof(reason), "error %d", sys);
    }
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", reason);
    err->code = code_of_errno(sys);
    err->sys = sys;
    err->hint[0] = '\0';
    errno = sys;
    return -1;
}

int(error_wrap)(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_MAX];
    size_t used;
    va_list args;

    if (err == NULL) {
        return -1;
    }
    memcpy(inner, err->text, sizeof(inner));
    va_start(args, format);
    format_text(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    return -1;
}

int(error_hint)(struct error *err, const char *format, ...)
{
    va_list args;

    if (err == NULL) {
        return -1;
    }
    va_start(args, format);
    format_text(err->hint, sizeof(err->hint), format, args);
    va_end(args);
    return -1;
}

int(error_copy)(struct error *err, const struct error *from)
{
    if (err != NULL) {
        *err = *from;
    }
    return -1;
}

const char *error_code_name(enum error_code code)
{
    size_t i = (size_t)code;

    return i < ARRAY_SIZE(code_rows) ? code_rows[i].name : error_code_name(ERR_INTERNAL);
}

enum error_code error_code_parse(const char *name)
{
    for (size_t i = 1; i < ARRAY_SIZE(code_rows); i++) {
        if (strcmp(code_rows[i].name, name) == 0) {
            return (enum error_code)i;
        }
    }
    return ERR_INTERNAL;
}
