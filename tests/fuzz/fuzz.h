/*
 * fuzz: what harnesses share: an input taken in pieces, a folder for files. [tests]
 *
 * A harness that wants more than bytes takes small numbers from the front of its input;
 * where the input is at its end they are 0, so that every input means something.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline unsigned fuzz_byte(struct fuzz_input *in)
{
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

static inline unsigned fuzz_u16(struct fuzz_input *in)
{
    unsigned low = fuzz_byte(in);

    return low | fuzz_byte(in) << 8;
}

/* The next piece: at most length bytes, what there is. */
static inline struct fuzz_input fuzz_take(struct fuzz_input *in, size_t length)
{
    struct fuzz_input piece = {.data = in->data,
                               .size = length < in->size ? length : in->size};

    in->data += piece.size;
    in->size -= piece.size;
    return piece;
}

/* A promise was broken. */
static inline _Noreturn void fuzz_fail(const char *what)
{
    mem_abort(what);
}

/* An error as it must be: a code that stands in errors.def, and a sentence. */
static inline void fuzz_check_error(const struct error *err)
{
    assert(err->code > ERR_NONE && err->code < ERR_COUNT && err->code != ERR_INTERNAL);
    assert(err->text[0] != '\0' && strlen(err->text) < ERROR_TEXT_MAX);
}

/* Make a new folder: its path, malloc'ed. */
static inline char *fuzz_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/errand-fuzz-XXXXXX", base && base[0] ? base : "/tmp");

    if (mkdtemp(path) == NULL) {
        mem_abort("fuzz: no folder");
    }
    return path;
}

/* Remove it with all that is in it, and free the path. */
static inline void fuzz_folder_remove(char *path)
{
    if (files_remove_tree(AT_FDCWD, path, NULL) < 0) {
        mem_abort("fuzz: the folder stays");
    }
    free(path);
}

/* Make or replace a file; dir_fd as for openat. */
static inline void fuzz_write(int dir_fd, const char *path, const void *data, size_t size)
{
    CLEANUP_FD int fd =
        openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || fdio_write_full(fd, data, size) < 0) {
        mem_abort("fuzz: a file was not written");
    }
}

#endif
