#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/oidset.h"
#include "common/store_files.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_SIZE 64
#define RECOVER_WAIT_MS 600000
#define COLLECT_WAIT_MS 2000
#define DAY_MS (INT64_C(86400) * 1000)
#define TMP_AGE_MS DAY_MS
#define BAD_AGE_MS (7 * DAY_MS)
#define MARKED_MAX ((size_t)1 << 27)

/* The boot's id, or "" where the system has none: then nothing is ever verified again. */
static void read_boot(char out[BOOT_SIZE])
{
    CLEANUP_STRBUF struct strbuf text;
    size_t length;

    strbuf_init(&text, BOOT_SIZE - 1);
    out[0] = '\0';
    if (files_read(AT_FDCWD, BOOT_ID_FILE, &text, NULL) == 0) {
        length = strcspn(text.data, "\n");
        memcpy(out, text.data, length);
        out[length] = '\0';
    }
}

/* False where nothing was recorded yet. */
static bool read_synced(const struct store *store, char boot[BOOT_SIZE], int64_t *utc_ms)
{
    CLEANUP_STRBUF struct strbuf text;
    CLEANUP_JSON struct json *json = NULL;
    const char *value;

    strbuf_init(&text, 4096);
    if (files_read(store->root_fd, "synced", &text, NULL) < 0) {
        return false;
    }
    json = json_parse(text.data, text.length, NULL);
    if (!json || json_get_string(json, "synced", "boot", &value, NULL) < 0 ||
        json_get_time(json, "synced", "time", utc_ms, NULL) < 0 ||
        strlen(value) >= BOOT_SIZE) {
        return false;
    }
    memcpy(boot, value, strlen(value) + 1);
    return true;
}

int store_write_synced(struct store *store, int64_t utc_ms, struct error *err)
{
    CLEANUP_JSON struct json *json = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char boot[BOOT_SIZE];

    read_boot(boot);
    json_add_string(json, "boot", boot);
    json_add_time(json, "time", utc_ms);
    json_write(json, false, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(store->root_fd, "synced", text.data, text.length, 0600,
                              err);
}

int store_now(struct store *store, int64_t *out_utc_ms, struct error *err)
{
    static const char name[] = "now-";
    char path[sizeof(name) + OID_HEX_SIZE];
    CLEANUP_FD int fd = -1;
    uint8_t random[16];
    struct stat st;

    memcpy(path, name, sizeof(name));
    bytes_random(random, sizeof(random));
    bytes_to_hex(path + sizeof(name) - 1, random, sizeof(random));
    fd = openat(store->tmp_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_sys(err, "make a file");
    }
    (void)unlinkat(store->tmp_fd, path, 0);
    if (fstat(fd, &st) != 0) {
        return error_sys(err, "stat");
    }
    *out_utc_ms = store_time_ms(&st.st_mtim);
    return 0;
}

/* dir_fd and name: the object's file. Return -1 (with err) to stop. */
typedef int file_visitor(void *context, int dir_fd, const char *name,
                         const struct oid *oid, const struct stat *st, struct error *err);

static DIR *open_folder(int dir_fd, const char *name, struct error *err)
{
    CLEANUP_FD int fd = files_open_dir(dir_fd, name, err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir) {
        (void)take_fd(&fd);
    } else if (fd >= 0) {
        error_sys(err, "open %s", name);
    }
    return dir;
}

static int visit_folder(struct store *store, const char *digits, file_visitor *visit,
                        void *context, struct error *err)
{
    CLEANUP_DIR DIR *dir = open_folder(store->objects_fd, digits, err);
    const struct dirent *entry;

    if (!dir) {
        return -1;
    }
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        char hex[OID_HEX_SIZE];
        struct oid oid;
        struct stat st;

        if (strlen(entry->d_name) != OID_HEX_SIZE - 3) {
            continue;
        }
        memcpy(hex, digits, 2);
        memcpy(hex + 2, entry->d_name, OID_HEX_SIZE - 2);
        if (oid_from_hex(hex, &oid, NULL) < 0 ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (visit(context, dirfd(dir), entry->d_name, &oid, &st, err) < 0) {
            return -1;
        }
    }
    return errno != 0 ? error_sys(err, "read objects/%s", digits) : 0;
}

/* Visit the files of all objects. */
static int visit_files(struct store *store, file_visitor *visit, void *context,
                       struct error *err)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        char digits[3];
        struct stat st;

        bytes_to_hex(digits, &byte, 1);
        if (fstatat(store->objects_fd, digits, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            visit_folder(store, digits, visit, context, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Remove what is old in tmp/ or bad/. */
static void remove_old(int folder_fd, int64_t age_ms)
{
    CLEANUP_DIR DIR *dir = open_folder(folder_fd, ".", NULL);
    int64_t now_ms = clock_utc_ms();
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        CLEANUP_FD int fd = -1;
        struct stat st;

        /* The change time: a bad object keeps its modification time. */
        if (fstatat(folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode) || now_ms - store_time_ms(&st.st_ctim) < age_ms) {
            continue;
        }
        fd = openat(folder_fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
            (void)unlinkat(folder_fd, entry->d_name, 0);
        }
    }
}

struct check {
    struct store *store;
    struct strbuf body;
    int64_t since_ms; /* younger files are verified */
    uint64_t objects, bad;
};

/* The name does not tell the kind, so each is tried; content is by far the most. */
static bool is_good(const struct strbuf *body, const struct oid *oid)
{
    static const enum object_kind kinds[] = {OBJECT_CONTENT, OBJECT_TREE, OBJECT_LIST};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct oid found;

        oid_of(kinds[i], body->data, body->length, &found);
        if (oid_equal(&found, oid)) {
            return true;
        }
    }
    return false;
}

static int verify_file(void *context, int dir_fd, const char *name, const struct oid *oid,
                       const struct stat *st, struct error *err)
{
    struct check *check = context;
    struct error inner = ERROR_INIT;

    (void)dir_fd;
    (void)name;
    if (store_time_ms(&st->st_mtim) < check->since_ms) {
        return 0;
    }
    if (store_read_file(check->store, oid, &check->body, &inner) < 0) {
        if (inner.code == ERR_NOT_FOUND) {
            return 0; /* collected meanwhile */
        }
        if (inner.code != ERR_CORRUPT) {
            return error_set(err, inner.code, "%s", inner.text);
        }
    } else if (is_good(&check->body, oid)) {
        check->objects++;
        return 0;
    }
    check->objects++;
    check->bad++;
    store_move_bad(check->store, oid);
    return 0;
}

/* A root that lost something would promise what is not there: it goes. */
static int check_root(void *context, const struct store_root *root, struct error *err)
{
    struct store *store = context;
    struct error inner = ERROR_INIT;

    if (store_check_closure(store, &root->oid, NULL, &inner) == 0) {
        return 0;
    }
    if (inner.code != ERR_NOT_FOUND && inner.code != ERR_CORRUPT &&
        inner.code != ERR_LIMIT) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    return store_remove_root(store, &root->oid, err);
}

/* Verify what is not older than since_ms. */
static int verify_since(struct store *store, int64_t since_ms, uint64_t *out_objects,
                        uint64_t *out_bad, struct error *err)
{
    struct check check = {.store = store, .since_ms = since_ms};
    int result;

    strbuf_init(&check.body, OBJECT_SIZE_MAX);
    result = visit_files(store, verify_file, &check, err);
    strbuf_release(&check.body);
    *out_objects = check.objects;
    *out_bad = check.bad;
    return result;
}

int store_recover(struct store *store, struct error *err)
{
    char boot[BOOT_SIZE], synced_boot[BOOT_SIZE] = "";
    int64_t since_ms = INT64_MIN, now_ms;
    CLEANUP_FD int lock = -1;
    uint64_t objects, bad;

    read_boot(boot);
    if (read_synced(store, synced_boot, &since_ms) && strcmp(boot, synced_boot) == 0) {
        return 0;
    }
    lock = store_lock(store, true, RECOVER_WAIT_MS, err);
    if (lock < 0) {
        return -1;
    }
    /* Somebody else may have done it while we waited. */
    since_ms = INT64_MIN;
    if (read_synced(store, synced_boot, &since_ms) && strcmp(boot, synced_boot) == 0) {
        return 0;
    }
    if (store_now(store, &now_ms, err) < 0 ||
        verify_since(store, since_ms, &objects, &bad, err) < 0 ||
        (bad > 0 && store_visit_roots(store, check_root, store, err) < 0)) {
        return -1;
    }
    remove_old(store->tmp_fd, TMP_AGE_MS);
    return store_write_synced(store, now_ms, err);
}

int store_verify(struct store *store, uint64_t *out_object_count, uint64_t *out_bad_count,
                 struct error *err)
{
    CLEANUP_FD int lock = store_lock(store, false, -1, err);

    if (lock < 0 ||
        verify_since(store, INT64_MIN, out_object_count, out_bad_count, err) < 0) {
        return -1;
    }
    return store_visit_roots(store, check_root, store, err);
}

struct collect {
    struct store *store;
    struct oidset *marked;
    store_root_keeper *keep;
    void *keep_context;
    int64_t now_ms, min_age_ms;
    bool is_dry;
    struct store_gc_result result;
};

static int mark_object(void *context, enum object_kind kind, const struct oid *oid,
                       uint64_t size_bytes, struct error *err)
{
    struct collect *collect = context;
    int added = oidset_add(collect->marked, kind, oid, 0, err);

    (void)size_bytes;
    return added < 0 ? -1 : added == 0 ? 1 : 0;
}

static int mark_root(void *context, const struct store_root *root, struct error *err)
{
    struct collect *collect = context;
    struct object_source source = store_source(collect->store);
    char hex[OID_HEX_SIZE];

    if (!collect->keep || !collect->keep(collect->keep_context, root)) {
        collect->result.roots_removed++;
        return collect->is_dry ? 0 : store_remove_root(collect->store, &root->oid, err);
    }
    /* Where a tree cannot be read, what is below it cannot be marked: nothing may go. */
    if (tree_visit_objects(&source, &root->oid, NULL, mark_object, collect, err) < 0) {
        oid_to_hex(&root->oid, hex);
        return error_wrap(err, "root %s", hex);
    }
    return 0;
}

static bool is_marked(const struct collect *collect, const struct oid *oid)
{
    return oidset_has(collect->marked, OBJECT_CONTENT, oid) ||
           oidset_has(collect->marked, OBJECT_TREE, oid) ||
           oidset_has(collect->marked, OBJECT_LIST, oid);
}

static int sweep_file(void *context, int dir_fd, const char *name, const struct oid *oid,
                      const struct stat *st, struct error *err)
{
    struct collect *collect = context;
    uint64_t size_bytes = (uint64_t)st->st_size;

    if (is_marked(collect, oid) ||
        collect->now_ms - store_time_ms(&st->st_mtim) < collect->min_age_ms) {
        collect->result.objects_kept++;
        collect->result.bytes_kept += size_bytes;
        return 0;
    }
    if (!collect->is_dry && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        return error_sys(err, "remove object %s", name);
    }
    collect->result.objects_removed++;
    collect->result.bytes_removed += size_bytes;
    return 0;
}

int store_collect(struct store *store, store_root_keeper *keep, void *context,
                  int64_t min_age_ms, bool is_dry, struct store_gc_result *out,
                  struct error *err)
{
    CLEANUP_FD int lock = store_lock(store, true, COLLECT_WAIT_MS, err);
    CLEANUP(oidset_cleanup) struct oidset *marked = oidset_new(MARKED_MAX);
    struct collect collect = {
        .store = store,
        .marked = marked,
        .keep = keep,
        .keep_context = context,
        .now_ms = clock_utc_ms(),
        .min_age_ms = min_age_ms,
        .is_dry = is_dry,
    };

    if (lock < 0) {
        return error_wrap(err, "store: collect");
    }
    /* Roots first and for good: a root that came back after a crash would promise what
     * was removed. */
    if (store_visit_roots(store, mark_root, &collect, err) < 0 ||
        (!is_dry && files_sync_dir(store->roots_fd, err) < 0) ||
        visit_files(store, sweep_file, &collect, err) < 0) {
        return error_wrap(err, "store: collect");
    }
    if (!is_dry) {
        remove_old(store->tmp_fd, TMP_AGE_MS);
        remove_old(store->bad_fd, BAD_AGE_MS);
    }
    *out = collect.result;
    return 0;
}
