/*
 * kernel: a kernel without some system calls, for tests of what happens on old ones.
 * Needs WRAP syscall.            [tests]
 */
#ifndef TESTS_UNIT_KERNEL_H
#define TESTS_UNIT_KERNEL_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define KERNEL_LACKS_MAX 8

/* 0-terminated: numbers of the calls that fail, and how. */
static long kernel_lacks[KERNEL_LACKS_MAX + 1];
static int kernel_errno = ENOSYS;

long __real_syscall(long number, ...);
/* Reads six words whatever the caller passed, as the C library's does. */
long __wrap_syscall(long number, ...) __attribute__((no_sanitize("address")));

long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list args;

    for (size_t i = 0; kernel_lacks[i] != 0; i++) {
        if (kernel_lacks[i] == number) {
            errno = kernel_errno;
            return -1;
        }
    }
    va_start(args, number);
    for (size_t i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* From now on this call fails with ENOSYS, until kernel_reset. */
static inline void kernel_lose(long number)
{
    size_t i = 0;

    while (kernel_lacks[i] != 0 && i < KERNEL_LACKS_MAX - 1) {
        i++;
    }
    kernel_lacks[i] = number;
}

static inline void kernel_reset(void)
{
    for (size_t i = 0; i < KERNEL_LACKS_MAX; i++) {
        kernel_lacks[i] = 0;
    }
    kernel_errno = ENOSYS;
}

#endif
