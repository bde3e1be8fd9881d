#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/store_files.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_SIZE 64
#define RECOVER_WAIT_MS 600000
#define SYNCED_LATELY_MS INT64_C(3600000)

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

bool store_is_synced_lately(const struct store *store)
{
    char boot[BOOT_SIZE], synced_boot[BOOT_SIZE] = "";
    int64_t utc_ms, age_ms;

    read_boot(boot);
    if (!read_synced(store, synced_boot, &utc_ms) || strcmp(boot, synced_boot) != 0) {
        return false;
    }
    age_ms = clock_utc_ms() - utc_ms;
    return age_ms >= 0 && age_ms < SYNCED_LATELY_MS;
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
    *out_utc_ms = clock_ms_of(&st.st_mtim);
    return 0;
}

DIR *store_open_folder(int dir_fd, const char *name, struct error *err)
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

static int visit_folder(struct store *store, const char *digits,
                        store_file_visitor *visit, void *context, struct error *err)
{
    CLEANUP_DIR DIR *dir = store_open_folder(store->objects_fd, digits, err);
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

int store_visit_files(struct store *store, store_file_visitor *visit, void *context,
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

void store_remove_old(int folder_fd, int64_t age_ms)
{
    CLEANUP_DIR DIR *dir = store_open_folder(folder_fd, ".", NULL);
    int64_t now_ms = clock_utc_ms();
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        CLEANUP_FD int fd = -1;
        struct stat st;

        /* The change time: a bad object keeps its modification time. */
        if (fstatat(folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode) || now_ms - clock_ms_of(&st.st_ctim) < age_ms) {
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
bool store_is_good(const struct strbuf *body, const struct oid *oid)
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
    if (clock_ms_of(&st->st_mtim) < check->since_ms) {
        return 0;
    }
    if (store_read_file(check->store, oid, &check->body, &inner) < 0) {
        if (inner.code == ERR_NOT_FOUND) {
            return 0; /* collected meanwhile */
        }
        if (inner.code != ERR_CORRUPT) {
            return error_set(err, inner.code, "%s", inner.text);
        }
    } else if (store_is_good(&check->body, oid)) {
        check->objects++;
        return 0;
    }
    const struct store_place place = {.pack = NULL};

    check->objects++;
    check->bad++;
    store_take_bad(check->store, oid, &place);
    return 0;
}

struct pack_check {
    struct check *check;
    const struct packfile *file;
};

static int verify_entry(void *context, const struct packfile_entry *entry,
                        struct error *err)
{
    struct pack_check *pack = context;
    struct check *check = pack->check;
    struct error inner = ERROR_INIT;
    int result = packfile_read(pack->file, entry, &check->body, &inner);

    if (result < 0 && inner.code != ERR_CORRUPT) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    check->objects += entry->is_bad ? 0 : 1;
    if (entry->is_bad || (result == 0 && store_is_good(&check->body, &entry->oid))) {
        return 0;
    }
    check->bad++;
    return packfile_mark_bad(pack->file, entry, err);
}

static int verify_pack(struct check *check, const char *name, struct error *err)
{
    struct error inner = ERROR_INIT;
    CLEANUP(packfile_cleanup)
    struct packfile *file = packfile_open(check->store->packs_fd, name, &inner);
    struct pack_check pack = {.check = check, .file = file};

    if (file) {
        return packfile_visit(file, verify_entry, &pack, err);
    }
    if (inner.code == ERR_NOT_FOUND) {
        return 0; /* collected meanwhile */
    }
    if (inner.code != ERR_CORRUPT) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    check->bad++;
    if (renameat(check->store->packs_fd, name, check->store->bad_fd, name) != 0) {
        (void)unlinkat(check->store->packs_fd, name, 0);
    }
    return 0;
}

static int verify_packs(struct check *check, struct error *err)
{
    CLEANUP_DIR DIR *dir = NULL;
    const struct dirent *entry;

    if (check->store->packs_fd < 0) {
        return 0;
    }
    dir = store_open_folder(check->store->packs_fd, ".", err);
    if (!dir) {
        return -1;
    }
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        struct stat st;

        if (!store_is_pack_name(entry->d_name) ||
            fstatat(check->store->packs_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) !=
                0 ||
            clock_ms_of(&st.st_mtim) < check->since_ms) {
            continue;
        }
        if (verify_pack(check, entry->d_name, err) < 0) {
            return -1;
        }
        errno = 0;
    }
    return errno != 0 ? error_sys(err, "read packs/") : 0;
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
    result = store_visit_files(store, verify_file, &check, err);
    result = result < 0 ? result : verify_packs(&check, err);
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
    struct error inner = ERROR_INIT;
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
    bool has_room = store_now(store, &now_ms, &inner) == 0;

    if (!has_room && inner.code != ERR_NO_SPACE) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    if (verify_since(store, since_ms, &objects, &bad, err) < 0 ||
        (bad > 0 && store_visit_roots(store, check_root, store, err) < 0)) {
        return -1;
    }
    store_remove_old(store->tmp_fd, STORE_TMP_AGE_MS);
    /* On a full disk the next one verifies again: collection must be able to open it. */
    if (has_room && store_write_synced(store, now_ms, &inner) < 0 &&
        inner.code != ERR_NO_SPACE) {
        return error_set(err, inner.code, "%s", inner.text);
    }
    return 0;
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
