#include "common/tree.h"

#include <string.h>

/* The entry called name in one folder. 1: *out; 0: none; -1: err. */
static int find_in(const struct object_source *source, const struct oid *folder,
                   const char *name, size_t name_length, struct tree_entry *out,
                   struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(source, folder, UINT64_MAX, err);
    struct tree_entry entry;
    int more = reader != NULL ? 1 : -1;
    while (more == 1 && (more = tree_reader_next(reader, &entry, err)) == 1) {
        if (entry.name_length == name_length &&
            memcmp(entry.name, name, name_length) == 0) {
            *out = entry;
            out->name = name;
            return 1;
        }
    }
    return more;
}

int tree_find(const struct object_source *source, const struct oid *root,
              const char *path, struct tree_entry *out, struct error *err)
{
    struct oid folder = *root;
    for (const char *name = path;;) {
        size_t length = strcspn(name, "/");
        int found = find_in(source, &folder, name, length, out, err);
        if (found != 1 || name[length] == '\0') {
            return found;
        }
        if (out->kind != TREE_FOLDER) {
            return 0;
        }
        folder = out->oid;
        name += length + 1;
    }
}
