#include "common/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define TREE_VERSION 1
#define HEAD_SIZE ((size_t)16)
#define ENTRY_SIZE ((size_t)42) /* and the name */
#define PART_SIZE ((size_t)40)
#define PARTS_MAX ((TREE_BODY_MAX - HEAD_SIZE) / PART_SIZE)
/* Bytes of entries before a part may be cut by content. */
#define PART_MIN ((size_t)64 << 10)
#define PART_MASK UINT32_C(0xfff)
/* What JSON can carry; also keeps every sum far from overflow. */
#define FOLDER_SIZE_MAX (UINT64_C(1) << 53)

static const struct {
    enum tree_kind kind;
    uint64_t size_min, size_max;
} tree_kinds[] = {
    {TREE_FILE, 0, TREE_FILE_SIZE_MAX},
    {TREE_EXECUTABLE, 0, TREE_FILE_SIZE_MAX},
    {TREE_SYMLINK, 1, TREE_SYMLINK_MAX},
    {TREE_FOLDER, 0, FOLDER_SIZE_MAX},
};

enum object_kind tree_entry_object(const struct tree_entry *entry)
{
    if (entry->kind == TREE_FOLDER) {
        return OBJECT_TREE;
    }
    return entry->size_bytes > OBJECT_SIZE_MAX ? OBJECT_LIST : OBJECT_CONTENT;
}

static bool is_name(const char *name, size_t length)
{
    if (length == 0 || length > TREE_NAME_MAX || memchr(name, '/', length) ||
        memchr(name, '\0', length)) {
        return false;
    }
    return !(name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')));
}

static bool is_size_of(uint8_t kind, uint64_t size_bytes)
{
    for (size_t i = 0; i < ARRAY_SIZE(tree_kinds); i++) {
        if ((uint8_t)tree_kinds[i].kind == kind) {
            return size_bytes >= tree_kinds[i].size_min &&
                   size_bytes <= tree_kinds[i].size_max;
        }
    }
    return false;
}

/* As memcmp; what begins the other one comes first. */
static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

int tree_entry_compare(const struct tree_entry *a, const struct tree_entry *b)
{
    return compare_names(a->name, a->name_length, b->name, b->name_length);
}

struct tree_writer {
    struct tree_entry *entries; /* name: NULL until the writer finishes */
    size_t *name_offsets;       /* of each entry's name in names */
    size_t count, capacity;
    char *names;
    size_t names_length, names_capacity;
    bool is_sorted;
};

struct tree_writer *tree_writer_new(void)
{
    struct tree_writer *w = xcalloc(1, sizeof(*w));

    w->is_sorted = true;
    return w;
}

void tree_writer_free(struct tree_writer *w)
{
    if (w) {
        free(w->entries);
        free(w->name_offsets);
        free(w->names);
        free(w);
    }
}

static void make_room(struct tree_writer *w, size_t name_length)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity > 0 ? w->capacity * 2 : 16;
        w->entries = xrealloc(w->entries, w->capacity, sizeof(*w->entries));
        w->name_offsets =
            xrealloc(w->name_offsets, w->capacity, sizeof(*w->name_offsets));
    }
    if (w->names_capacity - w->names_length < name_length) {
        w->names_capacity = w->names_capacity * 2 + TREE_NAME_MAX;
        w->names = xrealloc(w->names, w->names_capacity, 1);
    }
}

/* True where entry comes behind the last one that was added. */
static bool is_behind_last(const struct tree_writer *w, const struct tree_entry *entry)
{
    size_t offset;

    if (w->count == 0) {
        return true;
    }
    offset = w->name_offsets[w->count - 1];
    return compare_names(w->names + offset, w->names_length - offset, entry->name,
                         entry->name_length) < 0;
}

int tree_writer_add(struct tree_writer *w, const struct tree_entry *entry,
                    struct error *err)
{
    if (!is_name(entry->name, entry->name_length)) {
        return error_set(err, ERR_CORRUPT, "tree: a name that cannot be");
    }
    if (!is_size_of((uint8_t)entry->kind, entry->size_bytes)) {
        return error_set(err, ERR_CORRUPT, "tree: an entry of a size that cannot be");
    }
    w->is_sorted = w->is_sorted && is_behind_last(w, entry);
    make_room(w, entry->name_length);
    memcpy(w->names + w->names_length, entry->name, entry->name_length);
    w->name_offsets[w->count] = w->names_length;
    w->names_length += entry->name_length;
    w->entries[w->count] = *entry;
    w->entries[w->count].name = NULL;
    w->count++;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    return tree_entry_compare(a, b);
}

static int sort_entries(struct tree_writer *w, struct error *err)
{
    for (size_t i = 0; i < w->count; i++) {
        w->entries[i].name = w->names + w->name_offsets[i];
    }
    if (w->is_sorted) {
        return 0;
    }
    qsort(w->entries, w->count, sizeof(*w->entries), compare_entries);
    for (size_t i = 1; i < w->count; i++) {
        if (tree_entry_compare(&w->entries[i - 1], &w->entries[i]) == 0) {
            return error_set(err, ERR_CORRUPT, "tree: the same name twice");
        }
    }
    return 0;
}

static int put_body(uint8_t *body, size_t length, unsigned level, size_t count,
                    struct tree_part *part, const struct object_sink *sink,
                    struct error *err)
{
    body[0] = TREE_VERSION;
    body[1] = (uint8_t)level;
    bytes_put_u16(body + 2, 0);
    bytes_put_u32(body + 4, (uint32_t)count);
    bytes_put_u64(body + 8, part->size_bytes);
    oid_of(OBJECT_TREE, body, length, &part->oid);
    return sink->put(sink->context, OBJECT_TREE, &part->oid, body, length, err);
}

static uint8_t *encode_entry(uint8_t *at, const struct tree_entry *entry)
{
    at[0] = (uint8_t)entry->kind;
    at[1] = (uint8_t)entry->name_length;
    bytes_put_u64(at + 2, entry->size_bytes);
    memcpy(at + 10, entry->oid.digest, OID_SIZE);
    memcpy(at + ENTRY_SIZE, entry->name, entry->name_length);
    return at + ENTRY_SIZE + entry->name_length;
}

static int put_entries(const struct tree_entry *entries, size_t count, size_t length,
                       struct tree_part *out, const struct object_sink *sink,
                       struct error *err)
{
    CLEANUP_FREE uint8_t *body = xmalloc(HEAD_SIZE + length);
    uint8_t *at = body + HEAD_SIZE;

    out->size_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        at = encode_entry(at, &entries[i]);
        out->size_bytes += entries[i].size_bytes;
    }
    return put_body(body, HEAD_SIZE + length, 0, count, out, sink, err);
}

static int put_parts(const struct tree_part *parts, size_t count, unsigned level,
                     struct tree_part *out, const struct object_sink *sink,
                     struct error *err)
{
    size_t length = HEAD_SIZE + count * PART_SIZE;
    CLEANUP_FREE uint8_t *body = xmalloc(length);
    uint8_t *at = body + HEAD_SIZE;

    out->size_bytes = 0;
    for (size_t i = 0; i < count; i++, at += PART_SIZE) {
        bytes_put_u64(at, parts[i].size_bytes);
        memcpy(at + 8, parts[i].oid.digest, OID_SIZE);
        out->size_bytes += parts[i].size_bytes;
    }
    return put_body(body, length, level, count, out, sink, err);
}

/* Cut points depend on names alone, so that a changed file never moves one. */
static bool ends_part(const struct tree_entry *entry)
{
    struct oid oid;

    oid_of_bytes(entry->name, entry->name_length, &oid);
    return (bytes_get_u32(oid.digest) & PART_MASK) == 0;
}

/* How many of the entries the first part takes, and their length. */
static size_t cut_entries(const struct tree_entry *entries, size_t count,
                          size_t *out_length)
{
    size_t length = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        size_t next = ENTRY_SIZE + entries[i].name_length;

        if (HEAD_SIZE + length + next > TREE_BODY_MAX) {
            break;
        }
        length += next;
        if (length >= PART_MIN && ends_part(&entries[i])) {
            i++;
            break;
        }
    }
    *out_length = length;
    return i;
}

static size_t cut_parts(const struct tree_part *parts, size_t count)
{
    size_t i;

    for (i = 0; i < count && i < PARTS_MAX; i++) {
        if ((i + 1) * PART_SIZE >= PART_MIN &&
            (bytes_get_u32(parts[i].oid.digest) & PART_MASK) == 0) {
            return i + 1;
        }
    }
    return i;
}

/* Write the entries as parts of level 0; *out_parts: malloc'ed. */
static int put_cut_entries(const struct tree_writer *w, struct tree_part **out_parts,
                           size_t *out_count, const struct object_sink *sink,
                           struct error *err)
{
    CLEANUP_FREE struct tree_part *parts = NULL;
    size_t done = 0, count = 0, capacity = 0;

    while (done < w->count) {
        size_t length;
        size_t taken = cut_entries(w->entries + done, w->count - done, &length);

        if (count == capacity) {
            capacity = capacity > 0 ? capacity * 2 : 16;
            parts = xrealloc(parts, capacity, sizeof(*parts));
        }
        if (put_entries(w->entries + done, taken, length, &parts[count], sink, err) < 0) {
            return -1;
        }
        count++;
        done += taken;
    }
    *out_parts = TAKE_PTR(parts);
    *out_count = count;
    return 0;
}

/* Replace the parts, too many for one body, by what holds them one level higher. */
static int put_cut_parts(struct tree_part *parts, size_t *count, unsigned level,
                         const struct object_sink *sink, struct error *err)
{
    size_t done = 0, higher = 0;

    while (done < *count) {
        size_t taken = cut_parts(parts + done, *count - done);
        struct tree_part part;

        if (put_parts(parts + done, taken, level, &part, sink, err) < 0) {
            return -1;
        }
        parts[higher++] = part;
        done += taken;
    }
    *count = higher;
    return 0;
}

static int put_large(const struct tree_writer *w, struct tree_part *out,
                     const struct object_sink *sink, struct error *err)
{
    CLEANUP_FREE struct tree_part *parts = NULL;
    size_t count = 0;
    unsigned level;

    if (put_cut_entries(w, &parts, &count, sink, err) < 0) {
        return -1;
    }
    for (level = 1; count > PARTS_MAX; level++) {
        if (level == TREE_LEVEL_MAX) {
            return error_set(err, ERR_LIMIT, "a folder of too many entries");
        }
        if (put_cut_parts(parts, &count, level, sink, err) < 0) {
            return -1;
        }
    }
    return put_parts(parts, count, level, out, sink, err);
}

int tree_writer_finish(struct tree_writer *w, const struct object_sink *sink,
                       struct oid *out, uint64_t *out_size_bytes, struct error *err)
{
    size_t length = w->count * ENTRY_SIZE + w->names_length;
    uint64_t size_bytes = 0;
    struct tree_part root;
    int result;

    if (sort_entries(w, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < w->count; i++) {
        size_bytes += w->entries[i].size_bytes;
        if (size_bytes > FOLDER_SIZE_MAX) {
            return error_set(err, ERR_LIMIT, "a folder of too many bytes");
        }
    }
    if (HEAD_SIZE + length <= TREE_BODY_MAX) {
        result = put_entries(w->entries, w->count, length, &root, sink, err);
    } else {
        result = put_large(w, &root, sink, err);
    }
    if (result < 0) {
        return -1;
    }
    *out = root.oid;
    *out_size_bytes = root.size_bytes;
    return 0;
}

/* The next entry of a level-0 body that may be hostile; 0, or -1 with err. */
static int check_entry(struct tree *tree, struct tree_entry *out, struct error *err)
{
    size_t left = (size_t)(tree->end - tree->cursor);

    if (left < ENTRY_SIZE || left < ENTRY_SIZE + tree->cursor[1]) {
        return error_set(err, ERR_CORRUPT, "tree: cut off");
    }
    (void)tree_next(tree, out);
    if (!is_name(out->name, out->name_length)) {
        return error_set(err, ERR_CORRUPT, "tree: a name that cannot be");
    }
    if (!is_size_of((uint8_t)out->kind, out->size_bytes)) {
        return error_set(err, ERR_CORRUPT,
                         "tree: an entry of a kind or size that "
                         "cannot be");
    }
    return 0;
}

static int check_entries(struct tree tree, struct error *err)
{
    struct tree_entry last = {.name = NULL}, entry;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < tree.count; i++) {
        if (check_entry(&tree, &entry, err) < 0) {
            return -1;
        }
        if (last.name && tree_entry_compare(&last, &entry) >= 0) {
            return error_set(err, ERR_CORRUPT, "tree: the names are not in order");
        }
        sum += entry.size_bytes;
        if (sum > FOLDER_SIZE_MAX) {
            return error_set(err, ERR_CORRUPT, "tree: a folder that cannot be");
        }
        last = entry;
    }
    if (tree.cursor != tree.end || sum != tree.size_bytes) {
        return error_set(err, ERR_CORRUPT, "tree: its head is wrong");
    }
    return 0;
}

static int check_parts(struct tree tree, struct error *err)
{
    uint64_t sum = 0;
    struct tree_part part;

    if (tree.count == 0 || (size_t)(tree.end - tree.cursor) != tree.count * PART_SIZE) {
        return error_set(err, ERR_CORRUPT, "tree: its head is wrong");
    }
    while (tree_next_part(&tree, &part)) {
        sum += part.size_bytes;
        if (part.size_bytes > FOLDER_SIZE_MAX || sum > FOLDER_SIZE_MAX) {
            return error_set(err, ERR_CORRUPT, "tree: a folder that cannot be");
        }
    }
    if (sum != tree.size_bytes) {
        return error_set(err, ERR_CORRUPT, "tree: the sizes do not add up");
    }
    return 0;
}

int tree_decode(const void *body, size_t length, struct tree *out, struct error *err)
{
    const uint8_t *bytes = body;
    struct tree tree;

    if (length < HEAD_SIZE || length > TREE_BODY_MAX) {
        return error_set(err, ERR_CORRUPT, "tree: %zu bytes", length);
    }
    if (bytes[0] != TREE_VERSION) {
        return error_set(err, ERR_CORRUPT, "tree: version %u is not known", bytes[0]);
    }
    tree = (struct tree){
        .level = bytes[1],
        .size_bytes = bytes_get_u64(bytes + 8),
        .count = bytes_get_u32(bytes + 4),
        .cursor = bytes + HEAD_SIZE,
        .end = bytes + length,
    };
    if (tree.level > TREE_LEVEL_MAX || bytes_get_u16(bytes + 2) != 0) {
        return error_set(err, ERR_CORRUPT, "tree: its head is wrong");
    }
    if ((tree.level == 0 ? check_entries(tree, err) : check_parts(tree, err)) < 0) {
        return -1;
    }
    *out = tree;
    return 0;
}

bool tree_next(struct tree *tree, struct tree_entry *out)
{
    const uint8_t *at = tree->cursor;

    assert(tree->level == 0);
    if (at == tree->end) {
        return false;
    }
    out->kind = (enum tree_kind)at[0];
    out->size_bytes = bytes_get_u64(at + 2);
    memcpy(out->oid.digest, at + 10, OID_SIZE);
    out->name = (const char *)at + ENTRY_SIZE;
    out->name_length = at[1];
    tree->cursor = at + ENTRY_SIZE + at[1];
    return true;
}

bool tree_next_part(struct tree *tree, struct tree_part *out)
{
    const uint8_t *at = tree->cursor;

    assert(tree->level > 0);
    if (at == tree->end) {
        return false;
    }
    out->size_bytes = bytes_get_u64(at);
    memcpy(out->oid.digest, at + 8, OID_SIZE);
    tree->cursor = at + PART_SIZE;
    return true;
}
