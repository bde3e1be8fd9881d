/*
 * object: where objects come from and go to, as two small interfaces. [content]
 *
 * A store is both; a pack builder is a sink; an index over a work tree is a source; tests
 * bring their own.
 */
#ifndef COMMON_OBJECT_H
#define COMMON_OBJECT_H

#include "common/oid.h"
#include "common/strbuf.h"

struct object_sink {
    /*
     * Take an object whose name the caller has computed from these very bytes. Putting
     * one again is success. body is borrowed.
     */
    int (*put)(void *context, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, struct error *err);
    void *context;
};

struct object_source {
    /*
     * Replace out's bytes with the object's body, which was verified against its name.
     * Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_CHANGED, ERR_IO.
     */
    int (*get)(void *context, enum object_kind kind, const struct oid *oid,
               struct strbuf *out, struct error *err);
    /* True where get would find it, without reading it. */
    bool (*has)(void *context, enum object_kind kind, const struct oid *oid);
    void *context;
};

#endif
