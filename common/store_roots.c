#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/oidset.h"
#include "common/store_files.h"

/* A root that is confirmed again is written again once its time is older than this. */
#define RENEW_AFTER_MS INT64_C(60000)
/* The same of one that is used: this much may be missing of the day that it is spared. */
#define USE_AFTER_MS (60 * RENEW_AFTER_MS)
/* Objects of one snapshot: 800 MB of memory, far above any project. */
#define CLOSURE_MAX ((size_t)1 << 24)
#define FILES_MAX (INT64_C(1) << 53)

bool store_has_root(const struct store *store, const struct oid *root)
{
    char hex[OID_HEX_SIZE];
    struct stat st;

    oid_to_hex(root, hex);
    return fstatat(store->roots_fd, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode);
}

int store_read_root(const struct store *store, const struct oid *root,
                    struct store_root *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    CLEANUP_JSON struct json *json = NULL;
    char hex[OID_HEX_SIZE];
    int64_t files, size_bytes, utc_ms;

    strbuf_init(&text, 65536);
    oid_to_hex(root, hex);
    if (files_read(store->roots_fd, hex, &text, err) < 0) {
        return error_wrap(err, "store: root %s", hex);
    }
    json = json_parse(text.data, text.length, err);
    if (!json || json_get_integer(json, "root", "files", 0, FILES_MAX, &files, err) < 0 ||
        json_get_integer(json, "root", "size_bytes", 0, FILES_MAX, &size_bytes, err) <
            0 ||
        json_get_time(json, "root", "time", &utc_ms, err) < 0) {
        return error_wrap(err, "store: root %s", hex);
    }
    *out = (struct store_root){
        .oid = *root,
        .totals = {.files = (uint64_t)files, .size_bytes = (uint64_t)size_bytes},
        .utc_ms = utc_ms,
    };
    return 0;
}

static int write_root_aside(struct store *store, const struct oid *root,
                            const struct tree_totals *totals, struct files_aside *out,
                            struct error *err)
{
    CLEANUP_JSON struct json *json = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char hex[OID_HEX_SIZE];

    json_add_integer(json, "files", (int64_t)totals->files);
    json_add_integer(json, "size_bytes", (int64_t)totals->size_bytes);
    json_add_time(json, "time", clock_utc_ms());
    json_write(json, false, &text);
    strbuf_putc(&text, '\n');
    oid_to_hex(root, hex);
    return files_aside_write(out, store->roots_fd, hex, text.data, text.length, 0600,
                             err);
}

static int write_root(struct store *store, const struct oid *root,
                      const struct tree_totals *totals, struct error *err)
{
    struct files_aside aside;

    return write_root_aside(store, root, totals, &aside, err) < 0
               ? -1
               : files_aside_commit(&aside, err);
}

struct closure {
    struct store *store;
    struct oidset *seen;
    struct oid first[STORE_SYNC_FEW]; /* of what was seen */
    bool has_packed;                  /* some of it lies in pack files */
};

static int check_object(void *context, enum object_kind kind, const struct oid *oid,
                        uint64_t size_bytes, struct error *err)
{
    struct closure *closure = context;
    size_t count = oidset_count(closure->seen);
    char hex[OID_HEX_SIZE];
    struct store_place place;
    int added = oidset_add(closure->seen, kind, oid, 0, err);
    int found;

    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    found = store_find(closure->store, oid, true, &place, err);
    if (found <= 0) {
        oid_to_hex(oid, hex);
        return found < 0 ? -1
                         : error_set(err, ERR_NOT_FOUND, "%s %s is missing",
                                     object_kind_name(kind), hex);
    }
    if (count < ARRAY_SIZE(closure->first)) {
        closure->first[count] = *oid;
    }
    closure->has_packed = closure->has_packed || place.pack != NULL;
    store_renew(closure->store, oid, &place);
    if (kind == OBJECT_CONTENT && store_place_size(&place) != size_bytes) {
        oid_to_hex(oid, hex);
        return error_set(err, ERR_CORRUPT, "content %s has %llu bytes, not %llu", hex,
                         (unsigned long long)store_place_size(&place),
                         (unsigned long long)size_bytes);
    }
    return 0;
}

static int check_closure(struct store *store, const struct oid *root,
                         const struct oid *base, struct closure *closure,
                         struct error *err)
{
    struct object_source source = store_source(store);

    closure->store = store;
    return tree_visit_objects(&source, root, base, check_object, closure, err);
}

int store_check_closure(struct store *store, const struct oid *root,
                        const struct oid *base, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *seen = oidset_new(CLOSURE_MAX);
    struct closure closure = {.seen = seen};

    return check_closure(store, root, base, &closure, err);
}

/* base: a root, or NULL. */
static int count_root(struct store *store, const struct oid *root, const struct oid *base,
                      struct tree_totals *out, struct error *err)
{
    struct object_source source = store_source(store);
    struct store_root known;

    /* What the base's file says was counted; where it cannot be read, all is. */
    if (base && store_read_root(store, base, &known, NULL) == 0 &&
        tree_count_from(&source, root, base, &known.totals, out, NULL) == 0) {
        return 0;
    }
    return tree_count(&source, root, out, err);
}

/* True where the root is there and needs nothing. */
static bool confirm_root(struct store *store, const struct oid *root)
{
    struct store_root known;
    int64_t age_ms;

    if (!store_has_root(store, root) || store_read_root(store, root, &known, NULL) < 0) {
        return false;
    }
    age_ms = clock_utc_ms() - known.utc_ms;
    if (age_ms < 0 || age_ms >= RENEW_AFTER_MS) {
        return write_root(store, root, &known.totals, NULL) == 0;
    }
    /* Who wrote it may have ended between the rename and the folder's sync. */
    return files_sync_dir(store->roots_fd, NULL) == 0;
}

bool store_use_root(struct store *store, const struct oid *root)
{
    CLEANUP_FD int lock = store_lock(store, false, -1, NULL);
    struct store_root known;
    int64_t age_ms;

    if (lock < 0 || store_read_root(store, root, &known, NULL) < 0) {
        return false;
    }
    age_ms = clock_utc_ms() - known.utc_ms;
    return (age_ms >= 0 && age_ms < USE_AFTER_MS) ||
           write_root(store, root, &known.totals, NULL) == 0;
}

/* Every file of the filesystem, whoever wrote it; what is verified after a crash begins
 * anew from here. */
static int sync_all(struct store *store, struct error *err)
{
    int64_t utc_ms;

    /* What arrives after this moment is not synced. */
    if (store_now(store, &utc_ms, err) < 0 ||
        files_sync_filesystem(store->root_fd, err) < 0) {
        return -1;
    }
    return store_write_synced(store, utc_ms, err);
}

/* What the root reaches beyond its base: where that is little, by itself, so that nobody
 * waits for what others write on the same disk. */
static int sync_closure(struct store *store, const struct closure *closure,
                        struct error *err)
{
    size_t count = oidset_count(closure->seen);

    if (!closure->has_packed && count <= ARRAY_SIZE(closure->first) &&
        store_is_synced_lately(store)) {
        return store_sync_objects(store, closure->first, count, err);
    }
    return sync_all(store, err);
}

static int add_root(struct store *store, const struct oid *root, const struct oid *base,
                    struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *seen = oidset_new(CLOSURE_MAX);
    struct closure closure = {.seen = seen};
    struct tree_totals totals;
    struct files_aside aside;

    if (check_closure(store, root, base, &closure, err) < 0 ||
        count_root(store, root, base, &totals, err) < 0 ||
        write_root_aside(store, root, &totals, &aside, err) < 0) {
        return -1;
    }
    if (sync_closure(store, &closure, err) < 0) {
        files_aside_drop(&aside);
        return -1;
    }
    return files_aside_commit(&aside, err);
}

int store_add_root(struct store *store, const struct oid *root, const struct oid *base,
                   struct error *err)
{
    CLEANUP_FD int lock = store_lock(store, false, -1, err);
    char hex[OID_HEX_SIZE];

    if (lock < 0) {
        return -1;
    }
    if (confirm_root(store, root)) {
        return 0;
    }
    if (base && !store_has_root(store, base)) {
        base = NULL;
    }
    if (add_root(store, root, base, err) < 0) {
        oid_to_hex(root, hex);
        return error_wrap(err, "store: add root %s", hex);
    }
    return 0;
}

int store_remove_root(struct store *store, const struct oid *root, struct error *err)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(root, hex);
    if (unlinkat(store->roots_fd, hex, 0) != 0) {
        return error_sys(err, "store: remove root %s", hex);
    }
    return 0;
}

int store_visit_roots(struct store *store, store_root_visitor *visit, void *context,
                      struct error *err)
{
    CLEANUP_FD int fd = files_open_dir(store->roots_fd, ".", err);
    CLEANUP_DIR DIR *dir = NULL;
    const struct dirent *entry;

    if (fd < 0) {
        return -1;
    }
    dir = fdopendir(fd);
    if (!dir) {
        return error_sys(err, "store: open its roots");
    }
    (void)take_fd(&fd);
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        struct store_root root = {.utc_ms = 0};

        if (oid_from_hex(entry->d_name, &root.oid, NULL) < 0) {
            continue;
        }
        /* The root counts even where what its file says is lost. */
        if (store_read_root(store, &root.oid, &root, NULL) < 0 &&
            !store_has_root(store, &root.oid)) {
            continue;
        }
        if (visit(context, &root, err) < 0) {
            return -1;
        }
    }
    return errno != 0 ? error_sys(err, "store: read its roots") : 0;
}
