/*
 * store: objects on disk, named by what they are.            [content]
 *
 * That an object is a file is known here alone. Layout and durability are in FORMATS.md,
 * "Store". An object appears whole or not at all (written aside in tmp/, verified,
 * renamed, read-only); losing a race to the same object is success. Objects are not
 * synced one by one: store_add_root checks the closure, syncs the filesystem once and
 * only then makes the root visible, so a root that is there is complete and durable.
 * Objects that arrived after the last sync and before a crash may be torn: the first open
 * after another boot verifies just those and removes the bad.
 *
 * Locks: put and read need none; whoever relies on an object staying (a push, the check
 * of a closure, a checkout) holds store_lock shared meanwhile; collection holds it
 * exclusively.
 *
 * Not thread-safe. Many processes at once are.
 */
#ifndef COMMON_STORE_H
#define COMMON_STORE_H

#include "common/mem.h"
#include "common/object.h"
#include "common/tree.h"

struct store;

/* Open the store in folder path, making it (0700) if need be. Recovers after a crash (see
 * above). */
struct store *store_open(const char *path, struct error *err);
void store_free(struct store *store);
DEFINE_CLEANUP_FREE(store)

/* 128 random bits in hexadecimal, made with the store: who it is, on whatever machine its
 * disk turns up. */
#define STORE_ID_SIZE 33
const char *store_id(const struct store *store); /* borrowed from store */

/* The store as the two interfaces; valid as long as it. Its get verifies; a corrupt
 * object is moved to bad/. */
struct object_sink store_sink(struct store *store);
struct object_source store_source(struct store *store);

/* True where the object is there; its bytes are not looked at. */
bool store_has(const struct store *store, enum object_kind kind, const struct oid *oid);
/* Make the object visible, whole; as object_sink's put. Errors: ERR_NO_SPACE, ERR_IO. */
int store_put(struct store *store, enum object_kind kind, const struct oid *oid,
              const void *body, size_t length, struct error *err);
/* Read and verify; as object_source's get. Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
int store_get(struct store *store, enum object_kind kind, const struct oid *oid,
              struct strbuf *out, struct error *err);

/* What a root's file says of it. */
struct store_root {
    struct oid oid;
    struct tree_totals totals;
    int64_t utc_ms; /* when it was added, or last confirmed */
};

/* True where the root is there: its closure was complete and synced when it was added,
 * and collection removes it first. */
bool store_has_root(const struct store *store, const struct oid *root);
int store_read_root(const struct store *store, const struct oid *root,
                    struct store_root *out, struct error *err);
/*
 * Check that everything below root is there (what base reaches is believed; base may be
 * NULL or not be a root, then it is ignored), sync, make it visible. Where it is there
 * already only its time is renewed. Takes the shared lock itself. Errors: ERR_NOT_FOUND
 * (something is missing: then nothing is visible), ERR_CORRUPT.
 */
int store_add_root(struct store *store, const struct oid *root, const struct oid *base,
                   struct error *err);
int store_remove_root(struct store *store, const struct oid *root, struct error *err);
/* Visit every root, in no order. */
typedef int store_root_visitor(void *context, const struct store_root *root,
                               struct error *err);
int store_visit_roots(struct store *store, store_root_visitor *visit, void *context,
                      struct error *err);

/* The lock's descriptor, to be closed. deadline_ms as in files_lock. */
int store_lock(struct store *store, bool is_exclusive, int deadline_ms,
               struct error *err);

/*
 * Collect: remove the roots that keep (may be NULL: none is kept) does not name, then
 * every object no remaining root reaches, sparing what is younger than min_age_ms.
 * is_dry: only count. Takes the exclusive lock (ERR_BUSY).
 */
struct store_gc_result {
    uint64_t roots_removed, objects_removed, bytes_removed, objects_kept, bytes_kept;
};
typedef bool store_root_keeper(void *context, const struct store_root *root);
int store_collect(struct store *store, store_root_keeper *keep, void *context,
                  int64_t min_age_ms, bool is_dry, struct store_gc_result *out,
                  struct error *err);

/* Verify every object and every root's closure; *out_bad_count objects were bad and moved
 * to bad/. */
int store_verify(struct store *store, uint64_t *out_object_count, uint64_t *out_bad_count,
                 struct error *err);

#endif
