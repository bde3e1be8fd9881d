/*
 * store_files: what the store's own sources share.            [content]
 *
 * store.c has objects, store_packs.c those in pack files, store_roots.c roots;
 * store_check.c (recovery, verification), store_collect.c and store_collect_packs.c look
 * at everything.
 */
#ifndef COMMON_STORE_FILES_H
#define COMMON_STORE_FILES_H

#include "common/oidset.h"
#include "common/packfile.h"
#include "common/store.h"

#include <dirent.h>
#include <sys/stat.h>

struct store_pack {
    struct packfile *file;
    int64_t utc_ms; /* its modification time, as last seen */
    bool is_listed;
};

struct store {
    int root_fd, objects_fd, roots_fd, tmp_fd, bad_fd;
    int packs_fd; /* -1: this store keeps no pack files */
    char id[STORE_ID_SIZE];
    uint64_t nonce;        /* with pid and counter: names in tmp/ */
    unsigned name_counter; /* of them */
    struct store_pack *packs;
    size_t pack_count, pack_last;
    bool are_packs_loaded;
    struct timespec packs_time; /* of packs/ when they were */
    bool is_gathering;
    struct packfile_writer *gathering; /* NULL: nothing yet */
    struct oidset *gathered;           /* what it has, by digest alone */
    int64_t gather_until_ns;
};

/* A name in tmp/ that is nobody else's. */
#define STORE_TMP_NAME_SIZE 56
void store_tmp_name(struct store *store, char out[STORE_TMP_NAME_SIZE]);

/* Where an object lies. */
struct store_place {
    struct store_pack *pack; /* valid until packs are loaded again; NULL: a file */
    struct packfile_entry entry;
    struct stat st; /* of the file */
};

/* The object's place: 1; 0: it is not here; -1: nobody knows. is_certain: a pack file
 * that another process has just made is not missed. */
int store_find(struct store *store, const struct oid *oid, bool is_certain,
               struct store_place *out, struct error *err);
uint64_t store_place_size(const struct store_place *place);
/* Make an object that is older than an hour young, with all others of its pack:
 * collection spares what somebody relies on. */
void store_renew(const struct store *store, const struct oid *oid,
                 const struct store_place *place);
/* Write an object as a file of its own, whatever is there. */
int store_put_file(struct store *store, const struct oid *oid, const void *body,
                   size_t length, struct error *err);

/* ---- pack files ---- */

/* True where a file of packs/ is to be a pack file. */
bool store_is_pack_name(const char *name);
/* Look which pack files there are, and open the new ones. */
int store_load_packs(struct store *store, struct error *err);
void store_release_packs(struct store *store);
/* As store_find, in pack files alone. */
int store_find_packed(struct store *store, const struct oid *oid, bool is_certain,
                      struct store_place *out, struct error *err);
/* 1: the object was gathered; 0: it has to be a file of its own. */
int store_put_gathered(struct store *store, const struct oid *oid, const void *body,
                       size_t length, struct error *err);

/* "ab/cdef...": an object's file, relative to objects_fd. */
#define STORE_PATH_SIZE (OID_HEX_SIZE + 1)
void store_path(const struct oid *oid, char out[STORE_PATH_SIZE]);
/* Open a folder to be read. */
DIR *store_open_folder(int dir_fd, const char *name, struct error *err);
/* What lies there is bad: move its file to bad/, or mark it in its pack. */
void store_take_bad(const struct store *store, const struct oid *oid,
                    const struct store_place *place);
/* Read an object's file whole; of any kind, nothing is verified. Errors: ERR_NOT_FOUND,
 * ERR_CORRUPT (no plain file of at most OBJECT_SIZE_MAX), ERR_IO. */
int store_read_file(const struct store *store, const struct oid *oid, struct strbuf *out,
                    struct error *err);

/* True where the bytes are the object's, of whatever kind. */
bool store_is_good(const struct strbuf *body, const struct oid *oid);

/* Bytes of the disk that a file takes. */
uint64_t store_disk_bytes(const struct stat *st);
/* Bytes of the disk that the loaded pack files take. */
uint64_t store_packs_bytes(const struct store *store);
/* Collection in the loaded pack files; the exclusive lock is held. Adds to result. */
struct store_pack_sweep {
    bool (*is_marked)(void *context, const struct oid *oid);
    bool (*is_late)(void *context); /* what was not looked at by then stays */
    void *context;
    int64_t young_since_ms; /* a pack that is younger stays */
    bool is_dry;
    struct store_gc_result *result;
};
int store_sweep_packs(struct store *store, const struct store_pack_sweep *sweep,
                      struct error *err);

/* What the clock of the store's filesystem says; objects that appear later are not
 * older. */
int store_now(struct store *store, int64_t *out_utc_ms, struct error *err);
/* Record that everything that arrived before utc_ms is durable. */
int store_write_synced(struct store *store, int64_t utc_ms, struct error *err);
/* True where that was so within the last hour, and in this boot: what arrived since is
 * little to verify after a crash. */
bool store_is_synced_lately(const struct store *store);
/* Sync the files of count objects that have one of their own, and their names, at most
 * STORE_SYNC_FEW. Errors: ERR_IO. */
#define STORE_SYNC_FEW 32
int store_sync_objects(struct store *store, const struct oid *oids, size_t count,
                       struct error *err);
/* Verify what may be torn where the machine has booted since the last sync. */
int store_recover(struct store *store, struct error *err);

/*
 * Check that all of root is there, but for what base (may be NULL) has at the same place.
 * Errors: ERR_NOT_FOUND, ERR_CORRUPT (also where content has another size than its tree
 * says).
 */
int store_check_closure(struct store *store, const struct oid *root,
                        const struct oid *base, struct error *err);

/* Visit the files of all objects that have one of their own. dir_fd and name: the
 * object's file. Return -1 (with err) to stop. */
typedef int store_file_visitor(void *context, int dir_fd, const char *name,
                               const struct oid *oid, const struct stat *st,
                               struct error *err);
int store_visit_files(struct store *store, store_file_visitor *visit, void *context,
                      struct error *err);

/* Remove what is older than age_ms in the open folder tmp/ or bad/, but for what somebody
 * has locked. */
#define STORE_TMP_AGE_MS (INT64_C(86400) * 1000)
#define STORE_BAD_AGE_MS (7 * STORE_TMP_AGE_MS)
void store_remove_old(int folder_fd, int64_t age_ms);

#endif
