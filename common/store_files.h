/*
 * store_files: what the store's own sources share.            [content]
 *
 * store.c has objects, store_roots.c roots; store_check.c (recovery, verification) and
 * store_collect.c look at everything.
 */
#ifndef COMMON_STORE_FILES_H
#define COMMON_STORE_FILES_H

#include "common/store.h"

#include <sys/stat.h>

struct store {
    int root_fd, objects_fd, roots_fd, tmp_fd, bad_fd;
    char id[STORE_ID_SIZE];
    uint64_t nonce;        /* with pid and counter: names in tmp/ */
    unsigned name_counter; /* of them */
};

/* "ab/cdef...": an object's file, relative to objects_fd. */
#define STORE_PATH_SIZE (OID_HEX_SIZE + 1)
void store_path(const struct oid *oid, char out[STORE_PATH_SIZE]);
/* The object's file; false where there is none. Renews the time of an old one, so that
 * collection spares what somebody relies on. */
bool store_stat(const struct store *store, const struct oid *oid, struct stat *out);
/* Move an object's file to bad/. */
void store_move_bad(const struct store *store, const struct oid *oid);
/* Read an object's file whole; of any kind, nothing is verified. Errors: ERR_NOT_FOUND,
 * ERR_CORRUPT (no plain file of at most OBJECT_SIZE_MAX), ERR_IO. */
int store_read_file(const struct store *store, const struct oid *oid, struct strbuf *out,
                    struct error *err);

/* What the clock of the store's filesystem says; objects that appear later are not
 * older. */
int store_now(struct store *store, int64_t *out_utc_ms, struct error *err);
/* Record that everything that arrived before utc_ms is durable. */
int store_write_synced(struct store *store, int64_t utc_ms, struct error *err);
/* Verify what may be torn where the machine has booted since the last sync. */
int store_recover(struct store *store, struct error *err);

/*
 * Check that all of root is there, but for what base (may be NULL) has at the same place.
 * Errors: ERR_NOT_FOUND, ERR_CORRUPT (also where content has another size than its tree
 * says).
 */
int store_check_closure(struct store *store, const struct oid *root,
                        const struct oid *base, struct error *err);

/* Visit the files of all objects. dir_fd and name: the object's file. Return -1 (with
 * err) to stop. */
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

/* Milliseconds since 1970 of a file's time. */
int64_t store_time_ms(const struct timespec *time);

#endif
