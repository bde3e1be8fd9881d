/*
 * dial: a TCP connection to a host by name, over whichever of its addresses answers
 * first. [controller]
 *
 * The name is looked up by a child process, because the system's resolver blocks; the
 * addresses are then tried as RFC 8305 has it: families in turn, the next one when the
 * one before failed or did not answer within 250 ms, none given up before its own
 * failure.
 *
 * Life: dial_start -> dial_watch (calls back once) -> dial_take -> dial_free.
 */
#ifndef CONTROLLER_DIAL_H
#define CONTROLLER_DIAL_H

#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct dial;
typedef void dial_handler(void *context);

/* Begin. family: AF_INET, AF_INET6, or AF_UNSPEC for both. Errors: by errno of fork. */
struct dial *dial_start(const char *host, uint16_t port, int family, struct error *err);
void dial_free(struct dial *dial);
DEFINE_CLEANUP_FREE(dial)

/* Go on whenever loop has time, and call handler when it is over. loop is borrowed until
 * dial_unwatch or dial_free. */
void dial_watch(struct dial *dial, struct loop *loop, dial_handler *handler,
                void *context);
void dial_unwatch(struct dial *dial);

/* What it came to: a connected non-blocking socket with TCP_NODELAY set, the caller's
 * from now on; or -1. Only after handler was called. Errors: ERR_CONNECT, with what was
 * tried ("resolve": no such name). */
int dial_take(struct dial *dial, struct error *err);
/* Why it is not over yet, as a part of a sentence: append "the name server does not
 * answer", "10.0.0.1 does not answer". */
void dial_describe(const struct dial *dial, struct strbuf *out);
/* Whether the name was looked up, and has addresses. */
bool dial_is_resolved(const struct dial *dial);
/* When that was (clock_monotonic_ns); 0: not yet. */
int64_t dial_resolved_ns(const struct dial *dial);
/* The address that answered, "10.0.0.1"; "" before. Borrowed. */
const char *dial_address(const struct dial *dial);

#endif
