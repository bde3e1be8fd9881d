/*
 * gitindex: any bytes as a repository's index file. What is found is the same twice, and
 * what is tracked is tracked below its folder too.
 */
#include "controller/gitindex.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static void make_repository(const char *folder)
{
    static const char *const names[] = {".git", ".git/objects", ".git/refs"};
    CLEANUP_FREE char *head = files_join(folder, ".git/HEAD");

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *path = files_join(folder, names[i]);

        if (mkdir(path, 0700) != 0) {
            fuzz_fail("no repository");
        }
    }
    fuzz_write(AT_FDCWD, head, "ref: refs/heads/main\n", 21);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"a", "a/b", "a/b/c", "a.txt", "sub", "sub/x", ""};
    char *folder = fuzz_folder();
    CLEANUP_FREE char *index = files_join(folder, ".git/index");
    struct gitindex *gi = gitindex_new(folder);

    /* What is not understood is asked of the git program, which must not be found. */
    if (setenv("PATH", "/nonexistent", 1) != 0) {
        fuzz_fail("no environment");
    }
    make_repository(folder);
    fuzz_write(AT_FDCWD, index, data, size);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        enum gitindex_match file = gitindex_find(gi, paths[i], false);
        enum gitindex_match as_folder = gitindex_find(gi, paths[i], true);

        assert(file != GITINDEX_BELOW);
        assert(file == gitindex_find(gi, paths[i], false));
        if (strchr(paths[i], '/') && (file != GITINDEX_NONE)) {
            CLEANUP_FREE char *above = xstrndup(paths[i], strcspn(paths[i], "/"));

            assert(gitindex_find(gi, above, true) != GITINDEX_NONE);
        }
        (void)as_folder;
    }
    gitindex_free(gi);
    fuzz_folder_remove(folder);
    return 0;
}
