#define _GNU_SOURCE /* explicit_bzero */
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* mallopt(3): no larger threshold is taken on 64 bits. */
#define KEPT_MAX (32 << 20)

void mem_abort(const char *why)
{
    /* Straight to the descriptor: stdio may want the memory that is gone. */
    if (write(STDERR_FILENO, "errand: ", 8) < 0 ||
        write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0) {
        abort();
    }
    abort();
}

static void *check_memory(void *p)
{
    if (p == NULL) {
        mem_abort("out of memory");
    }
    return p;
}

/* malloc and its kin may answer NULL to 0. */
static size_t at_least_one(size_t size_bytes)
{
    return size_bytes == 0 ? 1 : size_bytes;
}

void *xmalloc(size_t size_bytes)
{
    return check_memory(malloc(at_least_one(size_bytes)));
}

void *xcalloc(size_t count, size_t size_bytes)
{
    if (count == 0 || size_bytes == 0) {
        return check_memory(calloc(1, 1));
    }
    return check_memory(calloc(count, size_bytes));
}

void *xrealloc(void *p, size_t count, size_t size_bytes)
{
    size_t total;

    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        mem_abort("out of memory");
    }
    return check_memory(realloc(p, at_least_one(total)));
}

char *xstrdup(const char *s)
{
    return xmemdup(s, strlen(s) + 1);
}

void *xmemdup(const void *data, size_t size_bytes)
{
    void *copy = xmalloc(size_bytes);

    if (size_bytes > 0) {
        memcpy(copy, data, size_bytes);
    }
    return copy;
}

char *xstrndup(const char *s, size_t length)
{
    char *copy = xmalloc(length + 1);

    if (length > 0) {
        memcpy(copy, s, length);
    }
    copy[length] = '\0';
    return copy;
}

static char *format_new(const char *format, va_list args)
    __attribute__((format(printf, 1, 0)));

static char *format_new(const char *format, va_list args)
{
    va_list again;
    int length;
    char *text;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        mem_abort("text could not be formatted");
    }
    text = xmalloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = format_new(format, args);
    va_end(args);
    return text;
}

void mem_wipe(void *bytes, size_t length)
{
    if (length > 0) {
        explicit_bzero(bytes, length);
    }
}

void mem_wipe_freed(void)
{
#ifdef M_PERTURB
    (void)mallopt(M_PERTURB, 0x5a);
#endif
}

void mem_keep_freed(size_t bytes)
{
#ifdef M_TRIM_THRESHOLD
    int kept = bytes < KEPT_MAX ? (int)bytes : KEPT_MAX;

    /* What is mapped by itself goes back when it is freed, whatever is kept; and setting
     * either ends the library's own choice of both. */
    (void)mallopt(M_TRIM_THRESHOLD, kept);
    (void)mallopt(M_MMAP_THRESHOLD, kept);
#else
    (void)bytes;
#endif
}

void mem_give_back(void)
{
#ifdef M_TRIM_THRESHOLD
    (void)malloc_trim(0);
#endif
}

void mem_cleanup_free(void *p)
{
    int saved = errno;

    free(*(void **)p);
    errno = saved;
}

void mem_cleanup_fd(const int *fd)
{
    int saved = errno;

    if (*fd >= 0) {
        close(*fd);
    }
    errno = saved;
}

void mem_cleanup_file(void *p)
{
    int saved = errno;
    FILE *file = *(FILE **)p;

    if (file != NULL) {
        fclose(file);
    }
    errno = saved;
}

void mem_cleanup_dir(void *p)
{
    int saved = errno;
    DIR *dir = *(DIR **)p;

    if (dir != NULL) {
        closedir(dir);
    }
    errno = saved;
}
