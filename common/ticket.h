/*
 * ticket: how long the Kerberos ticket lasts that a run is watched with. [engine]
 *
 * klist tells it, of MIT or of Heimdal, in the machine's own time zone. Who has a job
 * that may go on for longer hears of it before it starts.
 */
#ifndef COMMON_TICKET_H
#define COMMON_TICKET_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

/* When the ticket for tickets ends, by what klist printed under LC_ALL=C. False: there is
 * none in it, or it is told in some other way. */
bool ticket_read(const char *klist, int64_t *out_end_utc_ms);

/* Ask klist, for 2 s at most, and append what is to be told before a run whose limit this
 * is (0: none): nothing where it lasts for long enough, where there is none (whoever asks
 * the server is told of that), or where there is no klist. True: something was appended.
 */
bool ticket_warn(int64_t time_limit_ms, struct strbuf *out);

#endif
