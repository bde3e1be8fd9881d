/*
 * oid: the name of an object: SHA-256 over one kind byte and the body. [content]
 *
 * The kind byte keeps a file from posing as a tree. The plain digest (no kind byte) names
 * other things by content: the executor's binary, the end of a log, a specification.
 * SHA-256 is nettle's (FIPS 180-4), which uses the CPU's SHA instructions where there are
 * any.
 */
#ifndef COMMON_OID_H
#define COMMON_OID_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OID_SIZE 32
#define OID_HEX_SIZE (2 * OID_SIZE + 1) /* with NUL */

enum object_kind {
    OBJECT_CONTENT =
        'c', /* bytes of a file up to 4 MiB, of a chunk, or of a symbolic link's target */
    OBJECT_LIST = 'l', /* chunk list, or a list of its parts (chunk.h) */
    OBJECT_TREE = 't', /* folder, or a list of its parts (tree.h) */
};

/* No object is larger. */
#define OBJECT_SIZE_MAX ((size_t)4 << 20)

struct oid {
    uint8_t digest[OID_SIZE];
};

/* A running digest; copyable. */
struct hasher {
    uint64_t opaque[24];
};

void hasher_init(struct hasher *h);                             /* plain digest */
void hasher_init_kind(struct hasher *h, enum object_kind kind); /* an object's name */
void hasher_add(struct hasher *h, const void *data, size_t length);
void hasher_finish(struct hasher *h, struct oid *out);

/* The name of a whole body. */
void oid_of(enum object_kind kind, const void *body, size_t length, struct oid *out);
/* The plain digest of bytes. */
void oid_of_bytes(const void *data, size_t length, struct oid *out);
/* The plain digest of the rest of an open file. Errors: ERR_IO. */
int oid_of_fd(int fd, struct oid *out, struct error *err);

/* The same digest. */
bool oid_equal(const struct oid *a, const struct oid *b);
/* Order by bytes, as memcmp. */
int oid_compare(const struct oid *a, const struct oid *b);
/* All bytes zero: no object's name. */
bool oid_is_zero(const struct oid *oid);

/* 64 lower-case digits and NUL. */
void oid_to_hex(const struct oid *oid, char out[OID_HEX_SIZE]);
/* Exactly 64 lower-case digits. Errors: ERR_CORRUPT. */
int oid_from_hex(const char *hex, struct oid *out, struct error *err);

/* "content", "list", "tree": as packs and sentences name a kind. */
const char *object_kind_name(enum object_kind kind);
/* 0, or -1 where c is no kind. */
int object_kind_parse(uint8_t c, enum object_kind *out);

#endif
