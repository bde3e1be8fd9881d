/*
 * ssh2_words: what a person is told of a failure of the built-in transport. [controller]
 */
#ifndef CONTROLLER_SSH2_WORDS_H
#define CONTROLLER_SSH2_WORDS_H

#include "controller/ssh2_session.h"

/* What to do about a connection that failed with this errno; 0: the name has no address.
 * Static storage. */
const char *ssh2_hint_of_connect(int code);
/* What to do about a session that failed; static storage, NULL where nothing is known. */
const char *ssh2_hint_of_cause(enum ssh2_cause cause);
/* "; it said: ...": the last line of the far end's stderr, or noise where that is empty:
 * append. session may be NULL. */
void ssh2_append_said(struct ssh2_session *session, const char *noise,
                      struct strbuf *out);
/* The login was over, and no executor began within late_ms; said as above. */
int ssh2_explain_late(const char *where, int64_t late_ms, const char *said,
                      const char *by_hand, struct error *err);

#endif
