#include "controller/listing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "controller/terminal.h"

#define NONE SIZE_MAX
#define DETAIL_SHARE 10 /* one part in so many is worth a line of its own */
#define NEARLY_ALL(part, all) ((part) >= (all) - (all) / 10)

struct node {
    char *path;
    enum tree_kind kind;
    uint64_t size_bytes, files;
    size_t depth; /* slashes in path */
    size_t name;  /* offset in path */
    /* The last entry of a folder; the one before this in the same folder. */
    size_t last_child, previous;
};

struct listing {
    struct node *nodes;
    size_t count, capacity;
    size_t last_top; /* the last entry whose folder was not added yet */
};

struct listing *listing_new(void)
{
    struct listing *l = xcalloc(1, sizeof(*l));

    l->last_top = NONE;
    return l;
}

void listing_free(struct listing *l)
{
    if (l) {
        for (size_t i = 0; i < l->count; i++) {
            free(l->nodes[i].path);
        }
        free(l->nodes);
        free(l);
    }
}

/* The entries that wait for their folder and are deeper than the new one lie in it. */
static void adopt_children(struct listing *l, struct node *folder)
{
    size_t i = l->last_top;

    folder->last_child = i;
    folder->size_bytes = 0;
    while (i != NONE && l->nodes[i].depth > folder->depth) {
        struct node *child = &l->nodes[i];

        folder->size_bytes += child->size_bytes;
        folder->files += child->files;
        i = child->previous;
        if (i == NONE || l->nodes[i].depth <= folder->depth) {
            child->previous = NONE;
        }
    }
    if (folder->last_child == i) {
        folder->last_child = NONE;
    }
    l->last_top = i;
}

void listing_add(struct listing *l, const char *path, const struct tree_entry *entry)
{
    struct node *node;

    if (l->count == l->capacity) {
        l->capacity = l->capacity > 0 ? l->capacity * 2 : 256;
        l->nodes = xrealloc(l->nodes, l->capacity, sizeof(*l->nodes));
    }
    node = &l->nodes[l->count];
    *node = (struct node){
        .path = xstrdup(path),
        .kind = entry->kind,
        .size_bytes = entry->size_bytes,
        .files = entry->kind != TREE_FOLDER,
        .last_child = NONE,
    };
    for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
        node->depth++;
        node->name = (size_t)(p + 1 - path);
    }
    if (entry->kind == TREE_FOLDER) {
        adopt_children(l, node);
    }
    node->previous = l->last_top;
    l->last_top = l->count++;
}

size_t listing_count(const struct listing *l)
{
    return l->count;
}

void listing_at(const struct listing *l, size_t i, struct listing_entry *out)
{
    const struct node *node = &l->nodes[i];

    assert(i < l->count);
    *out = (struct listing_entry){
        .path = node->path,
        .kind = node->kind,
        .size_bytes = node->size_bytes,
        .files = node->files,
    };
}

void listing_totals(const struct listing *l, struct tree_totals *out)
{
    *out = (struct tree_totals){.files = 0};
    for (size_t i = l->last_top; i != NONE; i = l->nodes[i].previous) {
        out->files += l->nodes[i].files;
        out->size_bytes += l->nodes[i].size_bytes;
    }
}

/* ---- the biggest ---- */

/* The entries of one folder, the biggest first. */
struct ranking {
    const struct node **items;
    size_t count;
};

static void ranking_release(struct ranking *r)
{
    free(r->items);
}

static int compare_sizes(const void *a, const void *b)
{
    const struct node *const *left = a, *const *right = b;
    uint64_t x = (*left)->size_bytes, y = (*right)->size_bytes;

    return x != y ? (x < y) - (x > y) : strcmp((*left)->path, (*right)->path);
}

static void rank(const struct listing *l, size_t last, struct ranking *out)
{
    size_t count = 0;

    for (size_t i = last; i != NONE; i = l->nodes[i].previous) {
        count++;
    }
    out->items = xcalloc(count + 1, sizeof(const struct node *));
    for (size_t i = last; i != NONE; i = l->nodes[i].previous) {
        out->items[out->count++] = &l->nodes[i];
    }
    qsort(out->items, count, sizeof(const struct node *), compare_sizes);
}

static void write_amount(uint64_t size_bytes, uint64_t files, bool is_folder,
                         struct strbuf *out)
{
    char size[FILES_SIZE_TEXT];

    files_format_size(size, size_bytes);
    strbuf_printf(out, "%11s", size);
    if (is_folder) {
        strbuf_printf(out, "  %8llu file%s", (unsigned long long)files,
                      files == 1 ? " " : "s");
    } else {
        strbuf_printf(out, "%16s", "");
    }
}

static void write_line(const struct node *node, size_t indent, struct strbuf *out)
{
    const char *name = node->path + node->name;

    write_amount(node->size_bytes, node->files, node->kind == TREE_FOLDER, out);
    strbuf_printf(out, "  %*s", (int)(2 * indent), "");
    terminal_make_safe(name, strlen(name), out);
    strbuf_puts(out, node->kind == TREE_FOLDER ? "/\n" : "\n");
}

/* What of a folder is worth a line. Recurses only into what is a tenth of everything,
 * thus at most as deep as a path has folders. */
static void write_details(const struct listing *l, const struct node *folder,
                          size_t indent, uint64_t least_bytes, struct strbuf *out)
{
    CLEANUP(ranking_release) struct ranking ranking = {.items = NULL};

    rank(l, folder->last_child, &ranking);
    for (size_t i = 0; i < ranking.count; i++) {
        const struct node *node = ranking.items[i];

        if (node->size_bytes < least_bytes) {
            break;
        }
        write_line(node, indent, out);
        write_details(l, node, indent + 1, least_bytes, out);
    }
}

void listing_write(const struct listing *l, size_t count, struct strbuf *out)
{
    CLEANUP(ranking_release) struct ranking ranking = {.items = NULL};
    struct tree_totals totals, rest = {.files = 0};
    uint64_t least_bytes;

    listing_totals(l, &totals);
    least_bytes = totals.size_bytes / DETAIL_SHARE + 1;
    rank(l, l->last_top, &ranking);
    for (size_t i = 0; i < ranking.count; i++) {
        const struct node *node = ranking.items[i];

        if (i < count) {
            write_line(node, 0, out);
            write_details(l, node, 1, least_bytes, out);
        } else {
            rest.files += node->files;
            rest.size_bytes += node->size_bytes;
        }
    }
    if (ranking.count > count) {
        write_amount(rest.size_bytes, rest.files, true, out);
        strbuf_printf(out, "  in %zu more\n", ranking.count - count);
    }
}

/* The folder within folder that is nearly all of it, and so on. */
static const struct node *descend(const struct listing *l, const struct node *node)
{
    const struct node *found = node;

    while (found) {
        node = found;
        found = NULL;
        for (size_t i = node->last_child; i != NONE; i = l->nodes[i].previous) {
            const struct node *child = &l->nodes[i];

            if (child->kind == TREE_FOLDER && child->files > 0 &&
                NEARLY_ALL(child->size_bytes, node->size_bytes) &&
                NEARLY_ALL(child->files, node->files)) {
                found = child;
            }
        }
    }
    return node;
}

void listing_name_biggest(const struct listing *l, size_t count, struct strbuf *out)
{
    CLEANUP(ranking_release) struct ranking ranking = {.items = NULL};

    rank(l, l->last_top, &ranking);
    for (size_t i = 0; i < ranking.count && i < count; i++) {
        const struct node *node = descend(l, ranking.items[i]);
        char size[FILES_SIZE_TEXT];

        files_format_size(size, node->size_bytes);
        strbuf_puts(out, i > 0 ? ", " : "");
        terminal_make_safe(node->path, strlen(node->path), out);
        if (node->kind == TREE_FOLDER) {
            strbuf_printf(out, "/ (%s, %llu file%s)", size,
                          (unsigned long long)node->files, node->files == 1 ? "" : "s");
        } else {
            strbuf_printf(out, " (%s)", size);
        }
    }
}
