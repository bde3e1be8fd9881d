/*
 * offload: a question that may take long, answered by a child process. [executor]
 *
 * What asks other programs (nvidia-smi may hang for a minute) or walks a whole store must
 * not keep the connection silent. The child is a fork of this process with the answer's
 * pipe and without the connection's descriptors; it dies with its parent.
 *
 * Life: offload_start -> (ready is called from the loop, once) -> offload_free, which
 * ends the child where it still works.
 */
#ifndef EXECUTOR_OFFLOAD_H
#define EXECUTOR_OFFLOAD_H

#include "common/json.h"
#include "common/loop.h"

#define OFFLOAD_ANSWER_MAX ((size_t)1 << 20)

/* In the child: make the answer. NULL: err. Everything of the parent's memory is there,
 * as a copy. */
typedef struct json *offload_work(const void *context, struct error *err);
/* In the parent: the child has ended; take its answer. */
typedef void offload_ready(void *context);

struct offload;

/* loop and contexts are borrowed. Errors: ERR_SPAWN. */
struct offload *offload_start(struct loop *loop, offload_work *work,
                              const void *work_context, offload_ready *ready,
                              void *ready_context, struct error *err);
/* After ready: the answer, the caller's to free, or NULL and the child's err. */
struct json *offload_answer(struct offload *o, struct error *err);
void offload_free(struct offload *o);
DEFINE_CLEANUP_FREE(offload)

#endif
