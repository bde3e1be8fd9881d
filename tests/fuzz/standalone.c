/*
 * standalone: feeds a fuzz harness the files of a corpus, without libFuzzer.
 *
 * Usage: fuzz_NAME FOLDER|FILE... Each file, whole, is one input, kept in a block of
 * exactly its size, so that a sanitizer sees the first byte that is read beyond it. The
 * empty input is always tried first. A folder without files is an error: a corpus that
 * was not found must not look like one that passed.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (64L << 20)

static _Noreturn void give_up(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(1);
}

static void try_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        give_up(path, "cannot be read");
    }
    long size = ftell(file);
    if (size < 0 || size > INPUT_BYTES_MAX || fseek(file, 0, SEEK_SET) != 0) {
        give_up(path, "is no input of at most 64 MiB");
    }
    uint8_t *data = malloc((size_t)size + (size == 0));
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        give_up(path, "cannot be read whole");
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

/* Returns how many files were tried. */
static int try_folder(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    int tried = 0;

    if (count < 0) {
        give_up(path, "cannot be listed");
    }
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX];
        int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length > 0 && length < (int)sizeof(name)) {
            try_file(name);
            tried++;
        }
        free(entries[i]);
    }
    free(entries);
    return tried;
}

int main(int argc, char **argv)
{
    int tried = 0;
    const uint8_t nothing = 0;

    LLVMFuzzerTestOneInput(&nothing, 0);
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            tried += try_folder(argv[i]);
        } else {
            try_file(argv[i]);
            tried++;
        }
    }
    if (tried == 0) {
        give_up(argc > 1 ? argv[1] : "no folder", "no input was found");
    }
    printf("%d inputs\n", tried);
    return 0;
}
