/*
 * fuzz_archive: any bytes as a tar that is unpacked.
 *
 * It ends, with a code and a sentence where it is refused; nothing is written beside the
 * folder; what is written is within the limits.
 */
#define _GNU_SOURCE /* memfd_create */
#include <dirent.h>
#include <sys/mman.h>

#include "common/archive.h"
#include "tests/fuzz/fuzz.h"

#define FILES_MAX 64
#define SIZE_MAX_BYTES ((uint64_t)1 << 20)

/* Beside the folder there is nothing but itself. */
static void check_outside(int top_fd)
{
    CLEANUP_FD int fd = openat(top_fd, ".", O_RDONLY | O_CLOEXEC);
    CLEANUP_DIR DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    assert(dir);
    (void)take_fd(&fd);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "out") != 0) {
            fuzz_fail("something was written outside");
        }
    }
}

static void unpack(int top_fd, const uint8_t *data, size_t size)
{
    const struct worktree_limits limits = {.max_files = FILES_MAX,
                                           .max_size_bytes = SIZE_MAX_BYTES};
    CLEANUP_FD int tar = memfd_create("tar", MFD_CLOEXEC);
    CLEANUP_FD int out = files_open_or_make_dir(top_fd, "out", NULL);
    struct archive_facts facts;
    struct error err = ERROR_INIT;

    assert(tar >= 0 && out >= 0);
    assert(fdio_pwrite_full(tar, data, size, 0) == 0);
    if (archive_unpack(tar, out, &limits, &facts, &err) < 0) {
        fuzz_check_error(&err);
    } else if (facts.totals.files > FILES_MAX ||
               facts.totals.size_bytes > SIZE_MAX_BYTES) {
        fuzz_fail("more than the limits");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *path = fuzz_folder();
    CLEANUP_FD int top = files_open_dir(AT_FDCWD, path, NULL);

    assert(top >= 0);
    unpack(top, data, size);
    check_outside(top);
    fuzz_folder_remove(path);
    return 0;
}
