/*
 * mem: small allocations that cannot fail, and cleanup at the end of a scope. [base]
 *
 * Small allocations abort the program when memory is gone. Whatever is sized by a file or
 * by the other end goes through a strbuf with a limit instead. An owning local is
 * declared with its cleanup attribute and its empty value in one line, and leaves the
 * scope only through TAKE_PTR or take_fd:
 *
 *     CLEANUP_FREE char *path = xasprintf("%s/journal", dir);
 *     CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     ...
 *     return take_fd(&fd);
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/* As malloc, calloc, realloc, strdup, strndup, asprintf; abort with a line on stderr when
 * memory is gone. */
void *xmalloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t count, size_t size_bytes) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *data, size_t size_bytes)
    __attribute__((malloc, returns_nonnull));
/* NUL-terminated copy of the first length bytes of s. */
char *xstrndup(const char *s, size_t length) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...)
    __attribute__((format(printf, 1, 2), returns_nonnull));

/* End the program with a line on stderr: memory is gone, or a limit that only our own
 * text could pass was passed. */
void mem_abort(const char *why) __attribute__((noreturn));

/* Overwrite, also where the compiler sees nobody read it any more. */
void mem_wipe(void *bytes, size_t length);
/* From now on what is freed is overwritten, wherever it was moved to and whoever frees
 * it; for a process that holds secrets. Source: mallopt(3), M_PERTURB; elsewhere nothing.
 */
void mem_wipe_freed(void);
/* From now on so much freed memory, at most 32 MiB, stays with the process instead of
 * going back to the system at once; for who frees and allocates the like again and again.
 * Source: mallopt(3), M_TRIM_THRESHOLD, M_MMAP_THRESHOLD; elsewhere nothing. */
void mem_keep_freed(size_t bytes);
/* What was kept goes back to the system as far as it can. Source: malloc_trim(3);
 * elsewhere nothing. */
void mem_give_back(void);

/* Cleanup handlers; not called by name. Each accepts the empty value (NULL, -1). errno is
 * kept. */
void mem_cleanup_free(void *p);
void mem_cleanup_fd(const int *fd);
void mem_cleanup_file(void *p);
void mem_cleanup_dir(void *p);

#define CLEANUP(handler) __attribute__((cleanup(handler)))
#define CLEANUP_FREE CLEANUP(mem_cleanup_free) /* any pointer from malloc */
#define CLEANUP_FD CLEANUP(mem_cleanup_fd)     /* int fd = -1 */
#define CLEANUP_FILE CLEANUP(mem_cleanup_file) /* FILE * */
#define CLEANUP_DIR CLEANUP(mem_cleanup_dir)   /* DIR * */

/* Define the handler for a module's own `void TYPE_free(struct TYPE *)`. */
#define DEFINE_CLEANUP_FREE(type)                                                        \
    static inline void type##_cleanup(struct type **p)                                   \
    {                                                                                    \
        type##_free(*p);                                                                 \
    }

/* Give up ownership: the value, the variable left empty. */
#define TAKE_PTR(p)                                                                      \
    (__extension__({                                                                     \
        __typeof__(p) taken_ = (p);                                                      \
        (p) = NULL;                                                                      \
        taken_;                                                                          \
    }))

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
