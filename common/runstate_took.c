#include "common/runstate.h"

const char *run_took_key(enum run_took what)
{
    static const char *const keys[] = {
#define ROW(symbol, key) [RUN_TOOK_##symbol] = key,
        RUN_TOOK_TABLE(ROW)
#undef ROW
    };
    return keys[what];
}

void run_took_forget(int64_t took_us[RUN_TOOK_COUNT])
{
    for (int i = 0; i < RUN_TOOK_COUNT; i++) {
        took_us[i] = RUN_TOOK_UNKNOWN;
    }
}

int run_took_take(const struct json *line, int64_t took_us[RUN_TOOK_COUNT],
                  struct error *err)
{
    const struct json *took = json_get(line, "took");

    for (int i = 0; took != NULL && i < RUN_TOOK_COUNT; i++) {
        const char *key = run_took_key((enum run_took)i);
        if (json_get(took, key) != NULL &&
            json_get_integer(took, "journal line: took", key, 0, JSON_INTEGER_MAX,
                             &took_us[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}
