/*
 * progress: how far long work is, how fast it goes, and how long it may still take.
 * [controller]
 *
 * Text alone; terminal.h shows it. The rate is that of the last seconds, so that a link
 * that became slow is seen to be slow. Life: progress_init -> progress_describe ... ->
 * progress_release.
 */
#ifndef CONTROLLER_PROGRESS_H
#define CONTROLLER_PROGRESS_H

#include "common/strbuf.h"

#include <stdint.h>

struct progress {
    struct strbuf what;   /* "": nothing is under way */
    int64_t since_ns;     /* monotonic time that the rate is measured from */
    uint64_t since_bytes; /* what was done then */
    double bytes_per_s;   /* smoothed; below 0: not known yet */
};

void progress_init(struct progress *progress);
void progress_release(struct progress *progress);
/* Nothing is under way any more. */
void progress_clear(struct progress *progress);

/* Append "sending: 12.3 MB of 1.0 GB (1 %), 3.1 MB/s, 5 m 20 s left"; total_bytes 0: not
 * known. A new `what` begins anew. now_ns: clock_monotonic_ns. */
void progress_describe(struct progress *progress, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes, int64_t now_ns, struct strbuf *out);

#endif
