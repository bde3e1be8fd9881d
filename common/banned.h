/*
 * banned: functions that do not compile here.            [base]
 *
 * Put in front of every source of ours by the compiler (-include, in
 * deploy/cmake/Warnings.cmake); the libraries' sources are compiled without it. The idea
 * is git's banned.h, the means are others: git's macros have to come behind all system
 * headers, and poisoned names (#pragma GCC poison) break those headers. A declaration
 * that is marked unavailable may stand in front of them, which leaves a source free to
 * define _GNU_SOURCE first; it holds for each later mention and leaves headers and
 * libraries alone. Each row says what to use.
 */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

#if defined(__has_attribute)
#if __has_attribute(unavailable) /* clang; GCC from 12 on */
#define BANNED(instead) __attribute__((unavailable("banned here: use " instead)))
#endif
#endif
#ifndef BANNED
#define BANNED(instead) __attribute__((deprecated("banned here: use " instead)))
#endif

/* Write without a bound, or cut without a word. */
char *strcpy(char *, const char *) BANNED("xstrdup, strbuf or snprintf");
char *stpcpy(char *, const char *) BANNED("strbuf or snprintf");
char *strcat(char *, const char *) BANNED("strbuf");
char *strncpy(char *, const char *, __SIZE_TYPE__) BANNED("xstrndup or snprintf");
char *strncat(char *, const char *, __SIZE_TYPE__) BANNED("strbuf");
int sprintf(char *, const char *, ...) BANNED("snprintf, xasprintf or strbuf_printf");
int vsprintf(char *, const char *, __builtin_va_list) BANNED("strbuf_vprintf");
char *gets(char *) BANNED("fdio");

/* Keep their state between calls. */
char *strtok(char *, const char *) BANNED("strcspn and strspn");
int rand(void) BANNED("bytes_random");
void srand(unsigned) BANNED("bytes_random");

/* Cannot say that the text is no number. */
int atoi(const char *) BANNED("bytes_parse_u64");
long atol(const char *) BANNED("bytes_parse_u64");
long long atoll(const char *) BANNED("bytes_parse_u64");
double atof(const char *) BANNED("strtod");

/* Go through a shell, or race for a name. */
int system(const char *) BANNED("subprocess");
char *tmpnam(char *) BANNED("files");
char *tempnam(const char *, const char *) BANNED("files");
char *mktemp(char *) BANNED("mkstemp");

/* Wait for time instead of for what is awaited. */
unsigned sleep(unsigned) BANNED("poll with a deadline");
int usleep(unsigned) BANNED("poll with a deadline");

#undef BANNED
#endif
