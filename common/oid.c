#include "common/oid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nettle/sha2.h>

#include "common/bytes.h"
#include "common/fdio.h"

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct hasher),
               "struct hasher holds nettle's state");
_Static_assert(_Alignof(struct sha256_ctx) <= _Alignof(struct hasher),
               "struct hasher is aligned for nettle's state");
_Static_assert(OID_SIZE == SHA256_DIGEST_SIZE, "a name is a SHA-256 digest");

static const struct {
    enum object_kind kind;
    const char *name;
} object_kinds[] = {
    {OBJECT_CONTENT, "content"},
    {OBJECT_LIST, "list"},
    {OBJECT_TREE, "tree"},
};

static struct sha256_ctx *context_of(struct hasher *h)
{
    return (struct sha256_ctx *)(void *)h->opaque;
}

void hasher_init(struct hasher *h)
{
    sha256_init(context_of(h));
}

void hasher_init_kind(struct hasher *h, enum object_kind kind)
{
    uint8_t byte = (uint8_t)kind;

    hasher_init(h);
    hasher_add(h, &byte, 1);
}

void hasher_add(struct hasher *h, const void *data, size_t length)
{
    if (length > 0) {
        sha256_update(context_of(h), length, data);
    }
}

void hasher_finish(struct hasher *h, struct oid *out)
{
    sha256_digest(context_of(h), OID_SIZE, out->digest);
}

void oid_of(enum object_kind kind, const void *body, size_t length, struct oid *out)
{
    struct hasher h;

    hasher_init_kind(&h, kind);
    hasher_add(&h, body, length);
    hasher_finish(&h, out);
}

void oid_of_bytes(const void *data, size_t length, struct oid *out)
{
    struct hasher h;

    hasher_init(&h);
    hasher_add(&h, data, length);
    hasher_finish(&h, out);
}

int oid_of_fd(int fd, struct oid *out, struct error *err)
{
    struct hasher h;
    uint8_t buffer[65536];
    ssize_t got;

    hasher_init(&h);
    do {
        got = fdio_read_full(fd, buffer, sizeof(buffer));
        if (got < 0) {
            return error_sys(err, "read");
        }
        hasher_add(&h, buffer, (size_t)got);
    } while ((size_t)got == sizeof(buffer));
    hasher_finish(&h, out);
    return 0;
}

bool oid_equal(const struct oid *a, const struct oid *b)
{
    return oid_compare(a, b) == 0;
}

int oid_compare(const struct oid *a, const struct oid *b)
{
    return memcmp(a->digest, b->digest, OID_SIZE);
}

bool oid_is_zero(const struct oid *oid)
{
    static const struct oid zero;

    return oid_equal(oid, &zero);
}

void oid_to_hex(const struct oid *oid, char out[OID_HEX_SIZE])
{
    bytes_to_hex(out, oid->digest, OID_SIZE);
}

int oid_from_hex(const char *hex, struct oid *out, struct error *err)
{
    return bytes_from_hex(out->digest, OID_SIZE, hex, err);
}

const char *object_kind_name(enum object_kind kind)
{
    for (size_t i = 0; i < sizeof(object_kinds) / sizeof(object_kinds[0]); i++) {
        if (object_kinds[i].kind == kind) {
            return object_kinds[i].name;
        }
    }
    return "unknown";
}

int object_kind_parse(uint8_t c, enum object_kind *out)
{
    for (size_t i = 0; i < sizeof(object_kinds) / sizeof(object_kinds[0]); i++) {
        if ((uint8_t)object_kinds[i].kind == c) {
            *out = object_kinds[i].kind;
            return 0;
        }
    }
    return -1;
}
