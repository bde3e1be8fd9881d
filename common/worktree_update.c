/* From one tree to another. */
#include "common/worktree_inside.h"

#include <unistd.h>

#include "common/files.h"
#include "common/tree_reader.h"

static bool is_folder(const struct tree_entry *entry)
{
    return entry != NULL && entry->kind == TREE_FOLDER;
}

static void pair_release(struct tree_pair *pair)
{
    tree_reader_free(pair->a);
    tree_reader_free(pair->b);
}

/* What new has and old has not, and the other way round. */
static int open_pair(struct tree_pair *pair, const struct object_source *source,
                     const struct oid *old, const struct oid *new, struct error *err)
{
    pair->a = tree_reader_open(source, new, UINT64_MAX, err);
    pair->b = pair->a != NULL ? tree_reader_open(source, old, UINT64_MAX, err) : NULL;
    return pair->b != NULL ? 0 : -1;
}

/* ---- how far they are apart ---- */

struct distance {
    const struct object_source *source;
    uint64_t limit_bytes, bytes;
};

static void add(struct distance *d, const struct tree_entry *entry)
{
    /* An entry costs something, however small it is. */
    uint64_t size_bytes = entry != NULL ? entry->size_bytes + TREE_NAME_MAX : 0;

    d->bytes += size_bytes < d->limit_bytes ? size_bytes : d->limit_bytes;
}

/* Recurses at most TREE_DEPTH_MAX deep. */
static int measure(struct distance *d, const struct oid *base, const struct oid *root,
                   size_t depth, struct error *err)
{
    CLEANUP(pair_release) struct tree_pair pair = {.part = NULL};
    const struct tree_entry *old, *new;
    int more;

    if (depth > TREE_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, "folders are nested too deep");
    }
    if (open_pair(&pair, d->source, base, root, err) < 0) {
        return -1;
    }
    while ((more = tree_pair_next(&pair, &new, &old, err)) > 0) {
        if (is_folder(old) && is_folder(new)) {
            if (measure(d, &old->oid, &new->oid, depth + 1, err) < 0) {
                return -1;
            }
        } else {
            add(d, old);
            add(d, new);
        }
        if (d->bytes >= d->limit_bytes) {
            return 0;
        }
    }
    return more;
}

int worktree_distance(const struct object_source *source, const struct oid *base,
                      const struct oid *root, uint64_t limit_bytes, uint64_t *out_bytes,
                      struct error *err)
{
    struct distance d = {.source = source, .limit_bytes = limit_bytes};

    if (!oid_equal(base, root) && measure(&d, base, root, 0, err) < 0) {
        return -1;
    }
    *out_bytes = d.bytes < limit_bytes ? d.bytes : limit_bytes;
    return 0;
}

/* ---- the way ---- */

static int update_folder(struct checkout *c, const struct oid *base,
                         const struct oid *root, struct error *err);

static int remove_old(struct checkout *c, const struct tree_entry *old, struct error *err)
{
    int dir_fd = dirstack_fd(c->folders, err);
    const char *name = checkout_name(c, old);

    if (dir_fd < 0) {
        return -1;
    }
    if (old->kind == TREE_FOLDER) {
        return files_remove_tree(dir_fd, name, err);
    }
    return unlinkat(dir_fd, name, 0) != 0 ? error_sys(err, "remove") : 0;
}

static int write_new(struct checkout *c, const struct tree_entry *new, struct error *err)
{
    bool has_links = false;

    if (checkout_write(c, new, &has_links, err) < 0) {
        return -1;
    }
    return has_links ? checkout_link(c, new, err) : 0;
}

static int update_entry(struct checkout *c, const struct tree_entry *old,
                        const struct tree_entry *new, struct error *err)
{
    if (is_folder(old) && is_folder(new)) {
        if (dirstack_push(c->folders, checkout_name(c, new), err) < 0) {
            return checkout_wrap(c, "folder", err);
        }
        int result = update_folder(c, &old->oid, &new->oid, err);
        dirstack_pop(c->folders);
        return result;
    }
    if (old != NULL && remove_old(c, old, err) < 0) {
        return checkout_wrap(c, "update", err);
    }
    return new != NULL ? write_new(c, new, err) : 0;
}

/* Recurses at most TREE_DEPTH_MAX deep, which dirstack_push sees to. */
static int update_folder(struct checkout *c, const struct oid *base,
                         const struct oid *root, struct error *err)
{
    CLEANUP(pair_release) struct tree_pair pair = {.part = NULL};
    const struct tree_entry *old, *new;
    int more;

    if (open_pair(&pair, c->source, base, root, err) < 0) {
        return -1;
    }
    while ((more = tree_pair_next(&pair, &new, &old, err)) > 0) {
        if (update_entry(c, old, new, err) < 0) {
            return -1;
        }
    }
    return more;
}

int worktree_update(int dir_fd, const struct object_source *source,
                    const struct oid *base, const struct oid *root, struct error *err)
{
    CLEANUP(checkout_cleanup) struct checkout *c = checkout_new(dir_fd, source, NULL);

    return oid_equal(base, root) ? 0 : update_folder(c, base, root, err);
}
