#include "executor/variables_of_run.h"

#include <stdlib.h>

#include "common/variables.h"

static const char *find_there(void *context, const char *name, struct error *err)
{
    const struct strvec *list = context;
    const char *value = variables_find(list, name);
    (void)err;
    if (value == NULL) {
        value = getenv(name); /* in an image, the list begins empty */
    }
    return value != NULL ? value : "";
}

int variables_of_run(const struct runspec *spec, struct strvec *list, struct error *err)
{
    for (size_t i = 0; i < spec->variables.count; i++) {
        CLEANUP_STRBUF struct strbuf setting = STRBUF_INIT;
        if (variables_expand(spec->variables.items[i], VARIABLES_THERE, find_there, list,
                             &setting, err) < 0) {
            return -1;
        }
        variables_set(list, setting.data);
    }
    return 0;
}
