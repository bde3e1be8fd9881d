#include "controller/livy_uses.h"

#include "common/bytes.h"

#include <poll.h>
#include <string.h>

#define USES "uses"
#define LOOKS 5
#define LOOK_MS 200

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

/* Append what it needs. *out_is_known: it says so, or has ended meanwhile. */
static int look_at(const struct livy_place *place, const char *attempt,
                   struct strvec *out, bool *out_is_known, struct error *err)
{
    CLEANUP_LISTING struct livy_listing uses = LIVY_LISTING_INIT;
    CLEANUP_FREE char *folder = xasprintf(LIVY_RUNS "/%s", attempt);
    CLEANUP_FREE char *path = xasprintf("%s/" USES, folder);
    struct webhdfs_entry entry;
    bool is_there = true;
    if (livy_place_list(place, path, &uses, err) < 0 ||
        (uses.count == 0 && livy_place_look(place, folder, &is_there, &entry, err) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < uses.count; i++) {
        CLEANUP_FREE char *name = xstrdup(uses.entries[i].name);
        swap(name, '+', '/');
        strvec_push(out, name);
    }
    *out_is_known = uses.count > 0 || !is_there;
    return 0;
}

/* One that says nothing may be in the middle of its making or removal. */
static int read_attempt(const struct livy_place *place, const char *attempt,
                        struct strvec *out, struct error *err)
{
    for (int i = 0; i < LOOKS; i++) {
        bool is_known = false;
        (void)poll(NULL, 0, i > 0 ? LOOK_MS : 0);
        if (look_at(place, attempt, out, &is_known, err) < 0) {
            return -1;
        }
        if (is_known) {
            return 0;
        }
    }
    return error_set(err, ERR_BUSY,
                     "%s/" LIVY_RUNS "/%s does not say what it needs: an older errand "
                     "made it, and nothing is removed before it is gone",
                     place->base, attempt);
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
