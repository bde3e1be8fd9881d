/*
 * tree: a folder as an object.            [content]
 *
 * Entries sorted by name (bytes, shorter first on a common prefix): kind, size, digest,
 * name. A body above TREE_BODY_MAX is in turn a list of parts, cut by the names alone, so
 * that one change in a folder of 100,000 entries touches one part. FORMATS.md has the
 * bytes.
 *
 * Decoding checks everything that can be checked without other objects: order, no
 * duplicates, names (1..255 bytes, no
 * '/', no NUL, not "." or ".."), kinds, sizes that add up, canonical form (levels only
 * where the size demands them).
 */
#ifndef COMMON_TREE_H
#define COMMON_TREE_H

#include "common/mem.h"
#include "common/object.h"

#define TREE_NAME_MAX 255
#define TREE_BODY_MAX ((size_t)1 << 20)
#define TREE_LEVEL_MAX 3
#define TREE_DEPTH_MAX 1024 /* folders below folders */
#define TREE_PATH_MAX 4096  /* bytes of a whole path, with its NUL */
#define TREE_SYMLINK_MAX 4095
#define TREE_FILE_SIZE_MAX (UINT64_C(1) << 50)

enum tree_kind {
    TREE_FILE = 'f',
    TREE_EXECUTABLE = 'x',
    TREE_SYMLINK = 's', /* the object is content: the target's bytes, unchanged */
    TREE_FOLDER = 'd',
};

struct tree_entry {
    enum tree_kind kind;
    uint64_t size_bytes; /* of the file; of the target; of all files below the folder */
    struct oid oid;      /* see tree_entry_object */
    const char *name;    /* name_length bytes, no NUL behind them */
    size_t name_length;
};

/* The kind of the entry's object: a file above OBJECT_SIZE_MAX is a list, a folder a
 * tree, all else content. */
enum object_kind tree_entry_object(const struct tree_entry *entry);
/* The order of a folder's entries: by the bytes of their names. As memcmp. */
int tree_entry_compare(const struct tree_entry *a, const struct tree_entry *b);

/* Collects the entries of one folder, in any order, and makes the tree object or objects.
 */
struct tree_writer;
struct tree_writer *tree_writer_new(void);
void tree_writer_free(struct tree_writer *w);
DEFINE_CLEANUP_FREE(tree_writer)
/* The name is copied. Errors: ERR_CORRUPT (a name that cannot be). */
int tree_writer_add(struct tree_writer *w, const struct tree_entry *entry,
                    struct error *err);
/* Sort, check for duplicates (ERR_CORRUPT), write the objects, parts first.
 * *out_size_bytes: sum over the entries. */
int tree_writer_finish(struct tree_writer *w, const struct object_sink *sink,
                       struct oid *out, uint64_t *out_size_bytes, struct error *err);

/* One decoded body: entries (level 0), or parts. */
struct tree {
    unsigned level;
    uint64_t size_bytes;
    uint32_t count;
    const uint8_t *cursor, *end; /* what tree_next still has; borrowed from body */
};
struct tree_part {
    struct oid oid; /* kind tree, one level lower */
    uint64_t size_bytes;
};
/* Check the whole body and decode its head; out borrows body. Errors: ERR_CORRUPT. */
int tree_decode(const void *body, size_t length, struct tree *out, struct error *err);
/* The next entry (level 0) or part (above). False: no more. Cannot fail: tree_decode has
 * checked. */
bool tree_next(struct tree *tree, struct tree_entry *out);
bool tree_next_part(struct tree *tree, struct tree_part *out);

/*
 * A folder's entries in order across its parts, checked across them too. Life:
 * tree_reader_open -> tree_reader_next ... -> tree_reader_free. size_bytes: what the
 * parent says of it, or UINT64_MAX where unknown (a root).
 */
struct tree_reader;
struct tree_reader *tree_reader_open(const struct object_source *source,
                                     const struct oid *oid, uint64_t size_bytes,
                                     struct error *err);
void tree_reader_free(struct tree_reader *r);
DEFINE_CLEANUP_FREE(tree_reader)
/* 1: *out is the next (its name is valid until the next call); 0: no more; -1: err. */
int tree_reader_next(struct tree_reader *r, struct tree_entry *out, struct error *err);
uint64_t tree_reader_size_bytes(const struct tree_reader *r);

/*
 * Visit everything below a root, folders before what is in them, in order of names. path
 * has no leading slash. Bounded by TREE_DEPTH_MAX and TREE_PATH_MAX (ERR_LIMIT). The
 * visitor returns 0: go on; 1: do not enter this folder; -1: stop, with err.
 */
typedef int tree_visitor(void *context, const char *path, const struct tree_entry *entry,
                         struct error *err);
int tree_walk(const struct object_source *source, const struct oid *root,
              tree_visitor *visit, void *context, struct error *err);

/*
 * The entry at path ("a/b/c") below root. 1: *out is it (its name borrows path); 0: there
 * is none; -1: err.
 */
int tree_find(const struct object_source *source, const struct oid *root,
              const char *path, struct tree_entry *out, struct error *err);

/* Files (symbolic links counted) and bytes below a root. */
struct tree_totals {
    uint64_t files;
    uint64_t size_bytes;
};
int tree_count(const struct object_source *source, const struct oid *root,
               struct tree_totals *out, struct error *err);
/* The same where base and its totals are known: only what differs is read. */
int tree_count_from(const struct object_source *source, const struct oid *root,
                    const struct oid *base, const struct tree_totals *base_totals,
                    struct tree_totals *out, struct error *err);

/*
 * Visit every object (trees, parts, lists, contents) that root needs and base does not
 * have at the same place; base may be NULL. An object is visited once for each place that
 * differs, so the visitor keeps a set where it must not see one twice. What lies below a
 * tree or list is visited only where visit returned 0; 1: not below this one; -1: stop. A
 * tree or list that source does not have is visited, and then nothing below it.
 * size_bytes: as the parent says, UINT64_MAX for the root; of content it is the body's
 * length.
 */
typedef int object_visitor(void *context, enum object_kind kind, const struct oid *oid,
                           uint64_t size_bytes, struct error *err);
int tree_visit_objects(const struct object_source *source, const struct oid *root,
                       const struct oid *base, object_visitor *visit, void *context,
                       struct error *err);

#endif
