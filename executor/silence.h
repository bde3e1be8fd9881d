/*
 * silence: how long a connection may say nothing before it is taken for dead. [executor]
 *
 * A controller whose machine vanished leaves its connection open for as long as sshd
 * does, hours by default; over a bad link such executors would pile up. So after a minute
 * without a byte serve asks (PING), and after a quarter of an hour without an answer it
 * leaves. The runs go on in any case. Times are monotonic nanoseconds.
 */
#ifndef EXECUTOR_SILENCE_H
#define EXECUTOR_SILENCE_H

#include "common/clock.h"

#define SILENCE_PING_NS (60 * NS_PER_S)
#define SILENCE_END_NS (900 * NS_PER_S)

struct silence {
    int64_t heard_ns;
    int64_t asked_ns; /* the last PING, or when something was heard after it */
};

enum silence_verdict {
    SILENCE_FINE,
    SILENCE_ASK, /* send a PING; said once a minute */
    SILENCE_DEAD,
};

/* Something was heard (also: the connection begins). */
void silence_heard(struct silence *s, int64_t now_ns);
/* What to do now; *out_next_ns: when to ask again. */
enum silence_verdict silence_judge(struct silence *s, int64_t now_ns,
                                   int64_t *out_next_ns);

#endif
