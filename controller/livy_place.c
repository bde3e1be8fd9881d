#include "controller/livy_place.h"

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "controller/livy_place_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int livy_place_too_long(const char *path, uint64_t size, struct error *err)
{
    return error_set(err, ERR_LIMIT, "%s has %llu bytes: there is no room for it here",
                     path, (unsigned long long)size);
}

int livy_place_read_part(int in, const char *path, uint64_t offset, size_t length,
                         struct strbuf *out, struct error *err)
{
    char *room = strbuf_reserve(out, length, err);
    ssize_t got = room == NULL ? -1 : fdio_pread_full(in, room, length, offset);
    if (got < 0) {
        return room == NULL ? -1 : error_sys(err, "read %s", path);
    }
    strbuf_grown(out, (size_t)got);
    return 0;
}

int livy_place_copy_whole(int in, const char *path, uint64_t max_bytes, int fd,
                          struct error *err)
{
    struct stat st;
    if (fstat(in, &st) < 0) {
        return error_sys(err, "look at %s", path);
    }
    if ((uint64_t)st.st_size > max_bytes) {
        return livy_place_too_long(path, (uint64_t)st.st_size, err);
    }
    return fdio_copy(in, fd, (uint64_t)st.st_size) < 0 ? error_sys(err, "copy %s", path)
                                                       : 0;
}

/* ---- The table */

static const struct livy_place_way *const ways[LIVY_UPLOAD_COUNT] = {
    [LIVY_UPLOAD_WEBHDFS] = &livy_place_web,
    [LIVY_UPLOAD_LOCAL] = &livy_place_local,
    [LIVY_UPLOAD_COMMAND] = &livy_place_command,
};

/* Where the path of a URI begins: "hdfs://nn:9000/user/x", "file:///srv", "/user/x". */
static const char *path_of(const char *uri)
{
    const char *colon = strchr(uri, ':');
    const char *rest = colon != NULL && strchr(uri, '/') > colon ? colon + 1 : uri;
    if (strncmp(rest, "//", 2) == 0) {
        const char *slash = strchr(rest + 2, '/');
        return slash != NULL ? slash : "/";
    }
    return rest;
}

static int find_base(struct livy_place *place, const char *base, struct error *err)
{
    if (base != NULL) {
        place->base = xstrdup(base);
        return 0;
    }
    if (place->livy->upload == LIVY_UPLOAD_WEBHDFS) {
        CLEANUP_FREE char *home = webhdfs_home(&place->fs, err);
        place->base = home != NULL ? files_join(home, ".errand-livy") : NULL;
        return home != NULL ? 0 : -1;
    }
    error_set(err, ERR_CONFIG, "the folder that Livy and errand share was not said");
    return error_hint(err, "set livy_base of the target, a URI as the cluster has it");
}

int livy_place_init(struct livy_place *place, const struct runspec_livy *livy,
                    const char *base, struct http *http, struct error *err)
{
    *place = (struct livy_place){.way = ways[livy->upload],
                                 .livy = livy,
                                 .fs = {.http = http, .url = livy->webhdfs}};
    if (livy->upload == LIVY_UPLOAD_WEBHDFS && livy->webhdfs == NULL) {
        return error_set(err, ERR_CONFIG, "WebHDFS's address was not said");
    }
    if (livy->upload == LIVY_UPLOAD_COMMAND && livy->upload_command.count == 0) {
        return error_set(err, ERR_CONFIG, "the command that copies was not said");
    }
    if (find_base(place, base, err) < 0) {
        return -1;
    }
    for (size_t n = strlen(place->base); n > 1 && place->base[n - 1] == '/'; n--) {
        place->base[n - 1] = '\0';
    }
    bool is_command = livy->upload == LIVY_UPLOAD_COMMAND;
    place->path = xstrdup(is_command ? place->base : path_of(place->base));
    return 0;
}

void livy_place_release(struct livy_place *place)
{
    free(place->base);
    free(place->path);
    *place = (struct livy_place){.way = NULL};
}

bool livy_place_can_follow(const struct livy_place *place)
{
    return place->way->can_follow;
}

char *livy_place_uri(const struct livy_place *place, const char *name)
{
    return xasprintf("%s/%s", place->base, name);
}

static char *path_in(const struct livy_place *place, const char *name)
{
    return xasprintf("%s/%s", place->path, name);
}

int livy_place_make_dir(const struct livy_place *place, const char *name,
                        struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->make_dir(place, path, err);
}

/* What is half-way: of the many machines that may send the same none is to write into
 * another's. */
static char *aside_of(const char *path)
{
    uint64_t random;
    bytes_random(&random, sizeof random);
    return xasprintf("%s" LIVY_HALF_MADE "%016" PRIx64, path, random);
}

int livy_place_put(const struct livy_place *place, const char *name, unsigned mode,
                   const char *file, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    if (place->way->rename == NULL) {
        return place->way->put(place, path, mode, file, err);
    }
    CLEANUP_FREE char *aside = aside_of(path);
    return place->way->put(place, aside, mode, file, err) < 0 ||
                   place->way->rename(place, aside, path, err) < 0
               ? -1
               : 0;
}

/* What lies at path there is as long as the file here. */
static int check_size(const struct livy_place *place, const char *path, const char *file,
                      struct error *err)
{
    struct stat st;
    bool is_there = false;
    struct webhdfs_entry found = {.name = ""};
    if (stat(file, &st) < 0) {
        return error_sys(err, "look at %s", file);
    }
    if (place->way->look(place, path, &is_there, &found, err) < 0) {
        return -1;
    }
    return is_there && found.size_bytes == (uint64_t)st.st_size
               ? 0
               : error_set(err, ERR_CORRUPT, "%s arrived with %llu bytes of %lld", path,
                           (unsigned long long)found.size_bytes, (long long)st.st_size);
}

int livy_place_put_once(const struct livy_place *place, const char *name, unsigned mode,
                        const char *file, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    struct error why = ERROR_INIT;
    if (place->way->settle == NULL) {
        return place->way->put(place, path, mode, file, err);
    }
    CLEANUP_FREE char *aside = aside_of(path);
    if (place->way->put(place, aside, mode, file, &why) == 0 &&
        check_size(place, aside, file, &why) == 0 &&
        place->way->settle(place, aside, path, &why) == 0) {
        return 0;
    }
    /* Of what is there all is there: only then it is that content. */
    if (why.code == ERR_EXISTS && check_size(place, path, file, NULL) < 0) {
        return place->way->rename(place, aside, path, err);
    }
    (void)place->way->remove(place, aside, NULL);
    if (why.code == ERR_EXISTS) {
        return 0;
    }
    return error_copy(err, &why);
}

int livy_place_look(const struct livy_place *place, const char *name, bool *out_is_there,
                    struct webhdfs_entry *out, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->look(place, path, out_is_there, out, err);
}

int livy_place_size(const struct livy_place *place, const char *name, bool *out_is_there,
                    uint64_t *out_size, struct error *err)
{
    struct webhdfs_entry entry = {.name = ""};
    int result = livy_place_look(place, name, out_is_there, &entry, err);
    *out_size = entry.size_bytes;
    return result;
}

void livy_listing_release(struct livy_listing *listing)
{
    free(listing->entries);
    strvec_release(&listing->names);
    *listing = (struct livy_listing)LIVY_LISTING_INIT;
}

/* A name that leads elsewhere is none. */
static void add_entry(void *context, const struct webhdfs_entry *entry)
{
    struct livy_listing *out = context;
    if (strchr(entry->name, '/') != NULL || strcmp(entry->name, ".") == 0 ||
        strcmp(entry->name, "..") == 0) {
        return;
    }
    strvec_push(&out->names, entry->name);
    out->entries = xrealloc(out->entries, out->count + 1, sizeof *out->entries);
    out->entries[out->count] = *entry;
    out->entries[out->count].name = out->names.items[out->count];
    out->count++;
}

int livy_place_list(const struct livy_place *place, const char *name,
                    struct livy_listing *out, struct error *err)
{
    CLEANUP_FREE char *path =
        name[0] != '\0' ? path_in(place, name) : xstrdup(place->path);
    return place->way->list(place, path, add_entry, out, err);
}

int livy_place_touch(const struct livy_place *place, const char *name, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->touch(place, path, err);
}

int livy_place_move(const struct livy_place *place, const char *from, const char *to,
                    struct error *err)
{
    CLEANUP_FREE char *old = path_in(place, from);
    CLEANUP_FREE char *new = path_in(place, to);
    return place->way->settle == NULL
               ? error_set(err, ERR_UNSUPPORTED, "a command that copies renames nothing")
               : place->way->settle(place, old, new, err);
}

int livy_place_now(const struct livy_place *place, int64_t *out_utc_ms, struct error *err)
{
    uint64_t random;
    bytes_random(&random, sizeof random);
    CLEANUP_FREE char *name = xasprintf(LIVY_TRIAL "%016" PRIx64, random);
    struct webhdfs_entry entry = {.name = ""};
    bool is_there = false;
    if (livy_place_put(place, name, 0644, "/dev/null", err) < 0 ||
        livy_place_look(place, name, &is_there, &entry, err) < 0 ||
        livy_place_remove(place, name, err) < 0) {
        return -1;
    }
    *out_utc_ms = entry.used_utc_ms;
    return is_there ? 0
                    : error_set(err, ERR_IO, "a file that was written to %s is not there",
                                place->base);
}

int livy_place_read(const struct livy_place *place, const char *name, uint64_t offset,
                    size_t length, struct strbuf *out, bool *out_is_there,
                    struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->read(place, path, offset, length, out, out_is_there, err);
}

int livy_place_fetch(const struct livy_place *place, const char *name, uint64_t max_bytes,
                     int fd, bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->fetch(place, path, max_bytes, fd, out_is_there, err);
}

int livy_place_remove(const struct livy_place *place, const char *name, struct error *err)
{
    CLEANUP_FREE char *path = path_in(place, name);
    return place->way->remove(place, path, err);
}
