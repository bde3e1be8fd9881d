#include "executor/silence.h"

void silence_heard(struct silence *s, int64_t now_ns)
{
    s->heard_ns = now_ns;
    s->asked_ns = now_ns;
}

enum silence_verdict silence_judge(struct silence *s, int64_t now_ns,
                                   int64_t *out_next_ns)
{
    enum silence_verdict verdict = SILENCE_FINE;
    if (now_ns - s->heard_ns >= SILENCE_END_NS) {
        verdict = SILENCE_DEAD;
    } else if (now_ns - s->asked_ns >= SILENCE_PING_NS) {
        verdict = SILENCE_ASK;
        s->asked_ns = now_ns;
    }
    *out_next_ns = s->asked_ns + SILENCE_PING_NS;
    return verdict;
}
