#include "controller/livy_uses.h"

#include "common/bytes.h"

#include <string.h>

#define USES "uses"

static void swap(char *text, char from, char to)
{
    for (char *at = strchr(text, from); at != NULL; at = strchr(at + 1, from)) {
        *at = to;
    }
}

int livy_uses_note(const struct livy_place *place, const char *folder, const char *name,
                   struct error *err)
{
    CLEANUP_FREE char *flat = xstrdup(name);
    swap(flat, '/', '+');
    CLEANUP_FREE char *path = xasprintf("%s/" USES "/%s", folder, flat);
    return livy_place_make_dir(place, path, err);
}

/* ---- Reading */

static int read_attempt(const struct livy_place *place, const char *attempt,
                        struct strvec *out, struct error *err)
{
    CLEANUP_LISTING struct livy_listing uses = LIVY_LISTING_INIT;
    CLEANUP_FREE char *folder = xasprintf(LIVY_RUNS "/%s", attempt);
    CLEANUP_FREE char *path = xasprintf("%s/" USES, folder);
    struct webhdfs_entry entry;
    bool is_there = false;
    if (livy_place_list(place, path, &uses, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < uses.count; i++) {
        CLEANUP_FREE char *name = xstrdup(uses.entries[i].name);
        swap(name, '+', '/');
        strvec_push(out, name);
    }
    if (uses.count > 0) {
        return 0;
    }
    /* One that has ended meanwhile needs nothing. */
    if (livy_place_look(place, folder, &is_there, &entry, err) < 0) {
        return -1;
    }
    return is_there ? error_set(err, ERR_BUSY,
                                "%s/%s does not say what it needs: an older errand made "
                                "it, and nothing is removed before it is gone",
                                place->base, folder)
                    : 0;
}

int livy_uses_read(const struct livy_place *place, const struct strvec *except,
                   struct strvec *out, struct error *err)
{
    CLEANUP_LISTING struct livy_listing attempts = LIVY_LISTING_INIT;
    int result = livy_place_list(place, LIVY_RUNS, &attempts, err);
    for (size_t i = 0; result == 0 && i < attempts.count; i++) {
        const struct webhdfs_entry *entry = &attempts.entries[i];
        if (entry->is_folder && !bytes_end_with(entry->name, LIVY_QUESTION) &&
            !strvec_contains(except, entry->name)) {
            result = read_attempt(place, entry->name, out, err);
        }
    }
    return result;
}
