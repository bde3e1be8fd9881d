#include "controller/gitindex.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/strbuf.h"
#include "common/subprocess.h"
#include "common/tree.h"
#include "controller/gitplace.h"

#define GIT_TIMEOUT_MS 30000
#define HEAD_SIZE 12
#define STAT_SIZE 40 /* of an entry, before its object's name */
#define MODE_AT 24   /* in it */
#define OID_BYTES 20 /* SHA-1: of another hash the entries make no sense */
#define FLAG_EXTENDED 0x4000
#define FLAGS_NAME 0x0fff /* the name's length, or this where it is longer */
#define MODE_TYPE 0170000
#define MODE_SUBMODULE 0160000

struct tracked {
    size_t offset; /* of the path in text */
    bool is_submodule;
};

struct gitindex {
    char *top;
    bool is_read;
    struct strbuf text; /* has the paths, each with a NUL behind it */
    struct tracked *items;
    size_t count, capacity;
};

/* What is left of an index file. */
struct input {
    const uint8_t *bytes;
    size_t length, at;
    uint32_t version;
};

struct gitindex *gitindex_new(const char *top)
{
    struct gitindex *gi = xcalloc(1, sizeof(*gi));

    gi->top = xstrdup(top);
    strbuf_init(&gi->text, GITINDEX_SIZE_MAX);
    return gi;
}

void gitindex_free(struct gitindex *gi)
{
    if (gi) {
        strbuf_release(&gi->text);
        free(gi->items);
        free(gi->top);
        free(gi);
    }
}

static void add(struct gitindex *gi, size_t offset, bool is_submodule)
{
    if (gi->count == gi->capacity) {
        gi->capacity = gi->capacity > 0 ? gi->capacity * 2 : 256;
        gi->items = xrealloc(gi->items, gi->capacity, sizeof(*gi->items));
    }
    gi->items[gi->count++] =
        (struct tracked){.offset = offset, .is_submodule = is_submodule};
}

static const char *path_of(const struct gitindex *gi, size_t i)
{
    return gi->text.data + gi->items[i].offset;
}

/* The search relies on the order: by bytes, the stages of a conflict side by side. */
static bool is_in_order(const struct gitindex *gi)
{
    for (size_t i = 1; i < gi->count; i++) {
        if (strcmp(path_of(gi, i - 1), path_of(gi, i)) > 0) {
            return false;
        }
    }
    return true;
}

/* ---- the file ---- */

static uint32_t get_big(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The number at the input as version 4 has it (pack-format's offset encoding). */
static bool get_varint(struct input *in, size_t *out)
{
    size_t value = 0;
    uint8_t byte;

    do {
        if (in->at == in->length || value > GITINDEX_SIZE_MAX) {
            return false;
        }
        byte = in->bytes[in->at];
        value = (value << 7 | (byte & 0x7f)) + ((byte & 0x80) != 0);
        in->at++;
    } while (byte & 0x80);
    *out = value;
    return true;
}

/*
 * The path at the input, to behind its end: appended to the text with a NUL. In version 4
 * only what differs from the path before is there.
 */
static bool take_path(struct gitindex *gi, struct input *in, size_t start)
{
    size_t before = gi->count > 0 ? gi->text.length - gi->items[gi->count - 1].offset : 1;
    size_t dropped = before - 1, kept, length;
    size_t offset = gi->text.length;
    const uint8_t *end;
    char *room;

    if (in->version == 4 && (!get_varint(in, &dropped) || dropped > before - 1)) {
        return false;
    }
    end = memchr(in->bytes + in->at, '\0', in->length - in->at);
    kept = before - 1 - dropped;
    length = end ? (size_t)(end - (in->bytes + in->at)) : 0;
    room = end ? strbuf_reserve(&gi->text, kept + length + 1, NULL) : NULL;
    if (!room) {
        return false;
    }
    memcpy(room, gi->text.data + offset - before, kept);
    memcpy(room + kept, in->bytes + in->at, length + 1);
    strbuf_grown(&gi->text, kept + length + 1);
    in->at += length + 1;
    if (in->version < 4) {
        /* One to eight NULs, to a multiple of eight. */
        in->at = start + (in->at - 1 - start + 8) / 8 * 8;
    }
    return in->at <= in->length;
}

static bool take_entry(struct gitindex *gi, struct input *in)
{
    size_t start = in->at, offset = gi->text.length, length;
    const uint8_t *entry = in->bytes + start;
    unsigned flags;

    if (in->length - start < STAT_SIZE + OID_BYTES + 4) {
        return false;
    }
    flags =
        (unsigned)entry[STAT_SIZE + OID_BYTES] << 8 | entry[STAT_SIZE + OID_BYTES + 1];
    in->at += STAT_SIZE + OID_BYTES + 2 + ((flags & FLAG_EXTENDED) ? 2 : 0);
    if (!take_path(gi, in, start)) {
        return false;
    }
    add(gi, offset, (get_big(entry + MODE_AT) & MODE_TYPE) == MODE_SUBMODULE);
    length = gi->text.length - offset - 1;
    return length > 0 &&
           (flags & FLAGS_NAME) == (length < FLAGS_NAME ? length : FLAGS_NAME);
}

/* Extensions follow. What one with a small letter changes is not known here. */
static bool has_only_optional(struct input *in)
{
    while (in->length - in->at >= OID_BYTES + 8) {
        const uint8_t *extension = in->bytes + in->at;
        size_t size = get_big(extension + 4);

        if (extension[0] < 'A' || extension[0] > 'Z' ||
            size > in->length - in->at - OID_BYTES - 8) {
            return false;
        }
        in->at += 8 + size;
    }
    return in->length - in->at == OID_BYTES;
}

/* False: it is not understood. */
static bool read_file(struct gitindex *gi, const char *path)
{
    CLEANUP_STRBUF struct strbuf file;
    struct input in = {.at = HEAD_SIZE};
    uint32_t count;

    strbuf_init(&file, GITINDEX_SIZE_MAX);
    if (files_read(AT_FDCWD, path, &file, NULL) < 0 || file.length < HEAD_SIZE ||
        memcmp(file.data, "DIRC", 4) != 0) {
        return false;
    }
    in.bytes = (const uint8_t *)file.data;
    in.length = file.length;
    in.version = get_big(in.bytes + 4);
    count = get_big(in.bytes + 8);
    if (in.version < 2 || in.version > 4) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!take_entry(gi, &in)) {
            return false;
        }
    }
    return has_only_optional(&in) && is_in_order(gi);
}

/* ---- the git program ---- */

/* Rows of "MODE OBJECT STAGE\tPATH\0", in gi->text. */
static void parse_rows(struct gitindex *gi)
{
    char *at = gi->text.data, *end = at + gi->text.length;

    while (at < end) {
        char *stop = memchr(at, '\0', (size_t)(end - at));
        char *tab = stop ? memchr(at, '\t', (size_t)(stop - at)) : NULL;

        if (!tab) {
            return;
        }
        add(gi, (size_t)(tab + 1 - gi->text.data), memcmp(at, "160000 ", 7) == 0);
        at = stop + 1;
    }
}

static void ask_git(struct gitindex *gi)
{
    const char *const argv[] = {"git", "-C", gi->top, "ls-files", "--stage", "-z", NULL};
    int status = 0;

    strbuf_reset(&gi->text);
    gi->count = 0;
    if (subprocess_capture(argv, &gi->text, NULL, GIT_TIMEOUT_MS, &status, NULL) == 0 &&
        status == 0) {
        parse_rows(gi);
    }
    if (!is_in_order(gi)) {
        gi->count = 0;
    }
}

static void read_index(struct gitindex *gi)
{
    CLEANUP_FREE char *path = gitplace_index_path(gi->top);
    struct stat st;

    gi->is_read = true;
    /* Without the file nothing was ever added. */
    if (path && stat(path, &st) == 0 && !read_file(gi, path)) {
        ask_git(gi);
    }
}

/* ---- looking ---- */

/* The first path that is not before key. */
static size_t lower_bound(const struct gitindex *gi, const char *key)
{
    size_t from = 0, to = gi->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(path_of(gi, middle), key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

enum gitindex_match gitindex_find(struct gitindex *gi, const char *path, bool is_folder)
{
    char key[TREE_PATH_MAX + 1];
    size_t length = strlen(path);
    size_t i;

    assert(length < TREE_PATH_MAX);
    if (!gi->is_read) {
        read_index(gi);
    }
    memcpy(key, path, length + 1);
    i = lower_bound(gi, key);
    if (i < gi->count && strcmp(path_of(gi, i), key) == 0 &&
        (!is_folder || gi->items[i].is_submodule)) {
        return GITINDEX_IT;
    }
    key[length] = '/';
    key[length + 1] = '\0';
    i = is_folder ? lower_bound(gi, key) : gi->count;
    return i < gi->count && strncmp(path_of(gi, i), key, length + 1) == 0 ? GITINDEX_BELOW
                                                                          : GITINDEX_NONE;
}
