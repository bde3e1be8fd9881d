/*
 * objects: a store in memory, to look at what was put and to take it away. [tests]
 *
 * A sink that insists that what comes has the name it claims, and a source that counts
 * what is read. Life: objects_new -> ... -> objects_free.
 */
#ifndef TESTS_UNIT_OBJECTS_H
#define TESTS_UNIT_OBJECTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/object.h"
#include "common/oidset.h"

struct objects {
    struct oidset *index; /* value: the place in bodies */
    struct body {
        void *data;
        size_t length;
    } * bodies;
    size_t count;
    size_t puts, gets;
    size_t fail_after; /* puts that succeed before one fails; 0: all do */
    struct object_sink sink;
    struct object_source source;
};

static inline int objects_put(void *context, enum object_kind kind, const struct oid *oid,
                              const void *body, size_t length, struct error *err)
{
    struct objects *objects = context;
    struct oid name;

    objects->puts++;
    if (objects->fail_after > 0 && objects->puts > objects->fail_after) {
        return error_set(err, ERR_NO_SPACE, "the test's disk is full");
    }
    assert_true(length <= OBJECT_SIZE_MAX);
    oid_of(kind, body, length, &name);
    assert_memory_equal(name.digest, oid->digest, OID_SIZE);
    if (oidset_add(objects->index, kind, oid, objects->count, NULL) == 0) {
        return 0;
    }
    objects->bodies =
        xrealloc(objects->bodies, objects->count + 1, sizeof(*objects->bodies));
    objects->bodies[objects->count++] =
        (struct body){.data = xmemdup(length > 0 ? body : "", length > 0 ? length : 1),
                      .length = length};
    return 0;
}

/* The body, or NULL. Borrowed. */
static inline struct body *objects_find(struct objects *objects, enum object_kind kind,
                                        const struct oid *oid)
{
    const uint64_t *place = oidset_value(objects->index, kind, oid);

    return place ? &objects->bodies[*place] : NULL;
}

static inline int objects_get(void *context, enum object_kind kind, const struct oid *oid,
                              struct strbuf *out, struct error *err)
{
    struct objects *objects = context;
    const struct body *body = objects_find(objects, kind, oid);

    objects->gets++;
    if (!body) {
        return error_set(err, ERR_NOT_FOUND, "not among the test's objects");
    }
    strbuf_reset(out);
    return strbuf_add(out, body->data, body->length, err);
}

static inline bool objects_has(void *context, enum object_kind kind,
                               const struct oid *oid)
{
    return objects_find(context, kind, oid) != NULL;
}

static inline struct objects *objects_new(void)
{
    struct objects *objects = xcalloc(1, sizeof(*objects));

    objects->index = oidset_new(SIZE_MAX);
    objects->sink = (struct object_sink){.put = objects_put, .context = objects};
    objects->source = (struct object_source){
        .get = objects_get, .has = objects_has, .context = objects};
    return objects;
}

static inline void objects_free(struct objects *objects)
{
    if (objects) {
        for (size_t i = 0; i < objects->count; i++) {
            free(objects->bodies[i].data);
        }
        free(objects->bodies);
        oidset_free(objects->index);
        free(objects);
    }
}
DEFINE_CLEANUP_FREE(objects)
#define CLEANUP_OBJECTS __attribute__((cleanup(objects_cleanup)))

/* Put a body under its right name. */
static inline void objects_add(struct objects *objects, enum object_kind kind,
                               const void *body, size_t length, struct oid *out)
{
    oid_of(kind, body, length, out);
    assert_int_equal(objects_put(objects, kind, out, body, length, NULL), 0);
}

#endif
