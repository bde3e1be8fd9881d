/*
 * strvec: a growing, NULL-terminated list of owned strings, fit for execve. [base]
 *
 * Life: STRVEC_INIT -> strvec_push ... -> strvec_release.
 */
#ifndef COMMON_STRVEC_H
#define COMMON_STRVEC_H

#include <stdbool.h>
#include <stddef.h>

struct strvec {
    char **items; /* never NULL after the first push; items[count] is NULL */
    size_t count;
    size_t capacity;
};

#define STRVEC_INIT                                                                      \
    {                                                                                    \
        .items = NULL, .count = 0, .capacity = 0                                         \
    }
#define CLEANUP_STRVEC __attribute__((cleanup(strvec_release)))

/* Append a copy. */
void strvec_push(struct strvec *sv, const char *s);
void strvec_pushf(struct strvec *sv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Append s itself, which came from malloc. */
void strvec_adopt(struct strvec *sv, char *s);
bool strvec_contains(const struct strvec *sv, const char *s);
/* Sort by strcmp. */
void strvec_sort(struct strvec *sv);
/* The same, and keep one of those that are equal. */
void strvec_sort_unique(struct strvec *sv);
/* Remove and free item i. i < count. */
void strvec_remove(struct strvec *sv, size_t i);
/* The list itself, NULL-terminated, also where it is empty. Borrowed. */
char *const *strvec_argv(struct strvec *sv);
void strvec_release(struct strvec *sv);

#endif
