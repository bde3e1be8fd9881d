/*
 * error: what failed, as a code for programs and a sentence for people.            [base]
 *
 * The caller owns a struct error (start it as ERROR_INIT; it needs no destructor) and
 * passes it last. A failing function returns -1 or NULL and has set it; a succeeding one
 * has not touched it. err may be NULL where the caller does not care. Only main prints
 * it.
 *
 * The sentence grows from the inside out: the lowest level says what went wrong
 * (error_set, error_sys), each level above may put its context in front (error_wrap), and
 * whoever knows what to do next adds it (error_hint).
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

enum error_code {
    ERR_NONE = 0,
#define ERROR(symbol, name, meaning) ERR_##symbol,
#include "common/errors.def"
#undef ERROR
    ERR_COUNT
};

#define ERROR_TEXT_MAX 1024
#define ERROR_HINT_MAX 512

struct error {
    enum error_code code;
    int sys; /* errno, or 0 */
    char text[ERROR_TEXT_MAX];
    char hint[ERROR_HINT_MAX]; /* what to do next, or "" */
};

#define ERROR_INIT                                                                       \
    {                                                                                    \
        .code = ERR_NONE                                                                 \
    }

/* Set code and sentence; text that does not fit is cut. Clears sys and hint. Returns -1,
 * for `return error_set(...)`. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As error_set, from errno as it is at the call: the text gets ": " and strerror, the
 * code follows from errno (ENOSPC, EDQUOT: ERR_NO_SPACE; ENOENT: ERR_NOT_FOUND; EACCES,
 * EPERM, EROFS: ERR_ACCESS; EEXIST: ERR_EXISTS; ETIMEDOUT: ERR_TIMED_OUT; EAGAIN as a
 * lock: ERR_BUSY; all else ERR_IO). errno is kept. Returns -1.
 */
int error_sys(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "context: " in front of the sentence; code, sys and hint stay. Returns -1. */
int error_wrap(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Say what to do next; replaces an earlier hint. Returns -1. */
int error_hint(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Set err to another's code, sentence and all. Returns -1. */
int error_copy(struct error *err, const struct error *from);

/*
 * That these return -1 is visible to the caller's compiler and to the analyzers: without
 * it each `return error_set(...)` might be a success, and what it left unset a warning
 * (git does the same in its git-compat-util.h).
 */
static inline int error_result(void)
{
    return -1;
}
#define error_set(...) (error_set(__VA_ARGS__), error_result())
#define error_sys(...) (error_sys(__VA_ARGS__), error_result())
#define error_wrap(...) (error_wrap(__VA_ARGS__), error_result())
#define error_hint(...) (error_hint(__VA_ARGS__), error_result())
#define error_copy(...) (error_copy(__VA_ARGS__), error_result())

/* The code's name in errors.def ("no_space"); "none" for ERR_NONE. Static storage. */
const char *error_code_name(enum error_code code);

/* The code of a name that came from outside; ERR_INTERNAL where there is none of that
 * name. */
enum error_code error_code_parse(const char *name);

#endif
