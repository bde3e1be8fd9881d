/*
 * store: objects on disk, named by what they are.            [content]
 *
 * That an object is a file is known here alone. Layout and durability are in FORMATS.md,
 * "Store". An object appears whole or not at all (written aside in tmp/, verified,
 * renamed, read-only); losing a race to the same object is success. Objects are not
 * synced as they come: store_add_root checks the closure, syncs what is new in it, or,
 * where that is much, the filesystem, and only then makes the root visible, so a root
 * that is there is complete and durable.
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
/* Let a store that is not there yet keep small objects in pack files, too: for a place
 * where every program knows them. A store that is there stays as it is. */
int store_prepare(const char *path, struct error *err);
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
bool store_has(struct store *store, enum object_kind kind, const struct oid *oid);
/* Make the object visible, whole; as object_sink's put. Errors: ERR_NO_SPACE, ERR_IO. */
int store_put(struct store *store, enum object_kind kind, const struct oid *oid,
              const void *body, size_t length, struct error *err);
/*
 * For who puts many: from now on small objects may be gathered, in memory and then in a
 * pack file. They appear to all but store_put (which does not take one twice) from time
 * to time, and the last of them with store_flush, which also ends it; without it they are
 * lost. Nothing else in a store without pack files.
 */
void store_gather(struct store *store);
/* Errors: ERR_NO_SPACE, ERR_IO; then what was gathered is lost. */
int store_flush(struct store *store, struct error *err);
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
/* True where the root is there, and stays for a day at least: collection spares what was
 * used within it. For who reads from it without holding the lock. */
bool store_use_root(struct store *store, const struct oid *root);
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

/* What speaks for a root. */
enum store_need {
    STORE_UNUSED, /* nothing: it goes */
    STORE_WANTED, /* stays while the store's size allows, the last used ones first */
    STORE_NEEDED, /* stays */
};
typedef enum store_need store_root_judge(void *context, const struct store_root *root);

#define STORE_NO_LIMIT UINT64_MAX

struct store_gc_request {
    store_root_judge *judge; /* NULL: every root is unused */
    /* Hear of each root that goes (or would). May be NULL. */
    void (*gone)(void *context, const struct store_root *root);
    void *context;
    int64_t spare_ms;   /* what arrived or was confirmed within this time stays */
    uint64_t max_bytes; /* shrink the store to this; STORE_NO_LIMIT: whatever its size */
    /* Shrink it until its filesystem has this many bytes free; 0: none. will_free_bytes
     * count as free: what a caller that only counts would have removed before. */
    uint64_t min_free_bytes, will_free_bytes;
    /* For who collects unasked: take the lock only where it is free, and give it back
     * after so long, whatever is left to do. 0: wait for it, and take the time needed. */
    int64_t hold_ms;
    bool is_dry; /* only count */
};

struct store_gc_result {
    /* Removed; some because they were damaged, others (all of them wanted) because the
     * store was to shrink. */
    uint64_t roots_removed, roots_damaged, roots_over_limit;
    uint64_t roots_needed, roots_wanted, roots_spared; /* kept, and why */
    uint64_t objects_removed, bytes_removed;
    uint64_t objects_kept, bytes_kept;
    uint64_t objects_spared, bytes_spared; /* of those kept: no root reaches them */
    bool is_cut; /* hold_ms was over: some objects that no root reaches are still there */
};

/*
 * Collect: remove the roots that nothing speaks for, then every object that no remaining
 * root reaches. Where the store must shrink, wanted roots go too, those unused for
 * longest first; a limit that even then does not hold is left at that. A root that lost
 * something promises what is not there, and goes whatever speaks for it. Bytes are those
 * of the disk. Takes the exclusive lock, and waits for it 2 s (ERR_BUSY; with hold_ms at
 * once, and also where it was over before anything could be judged). After a failure
 * nothing is lost that a root reaches.
 */
int store_collect(struct store *store, const struct store_gc_request *request,
                  struct store_gc_result *out, struct error *err);

/* Verify every object and every root's closure; *out_bad_count objects were bad and moved
 * to bad/. */
int store_verify(struct store *store, uint64_t *out_object_count, uint64_t *out_bad_count,
                 struct error *err);

#endif
