/*
 * statindex: any bytes as a project's stat index.
 *
 * The first byte: 0: the rest is the file; 1: the rest gets its right checksum. The files
 * of a small project are looked up, those that are not known are added, and what is
 * written then is whole: it knows every file.
 */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "controller/statindex.h"

#define WALK_UTC_NS (INT64_C(1795820000) * NS_PER_S)

/* In the order of a walk. */
static const char *const paths[] = {"a", "b/c", "b/d/e", "b.c", "train.py"};

static struct stat stat_of(size_t i)
{
    return (struct stat){.st_size = (off_t)(100 * i),
                         .st_mtim.tv_sec = 1795810000,
                         .st_ctim.tv_sec = 1795810000,
                         .st_ino = 10 + i,
                         .st_dev = 1,
                         .st_mode = S_IFREG | 0644};
}

/* Returns how many were known. */
static size_t walk(const char *path, const struct oid *root)
{
    CLEANUP(statindex_cleanup) struct statindex *si = statindex_open(path, WALK_UTC_NS);
    struct error err = ERROR_INIT;
    size_t known = 0;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct stat st = stat_of(i);
        struct oid oid = {{(uint8_t)i}};

        if (statindex_lookup(si, paths[i], &st, &oid)) {
            known++;
        } else {
            statindex_add(si, paths[i], &st, &oid);
        }
    }
    if (statindex_write(si, root, &err) < 0) {
        fuzz_fail("the index cannot be written");
    }
    return known;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    bool is_sealed = fuzz_byte(&in) == 1;
    CLEANUP_STRBUF struct strbuf file = STRBUF_INIT;
    char *folder = fuzz_folder();
    CLEANUP_FREE char *path = files_join(folder, "index");
    struct oid digest, root = {{7}};
    size_t known;

    (void)strbuf_add(&file, in.data, in.size, NULL);
    if (is_sealed) {
        oid_of_bytes(file.data, file.length, &digest);
        (void)strbuf_add(&file, digest.digest, OID_SIZE, NULL);
    }
    fuzz_write(AT_FDCWD, path, file.data, file.length);
    (void)walk(path, &root);
    known = walk(path, &root);
    assert(known == ARRAY_SIZE(paths));
    fuzz_folder_remove(folder);
    return 0;
}
