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

int variables_of_run_adopt(const struct runspec *spec, struct error *err)
{
    static const char *const names[] = {
        "KRB5CCNAME",    "KRB5_CONFIG", "HADOOP_USER_NAME", "HADOOP_CONF_DIR",
        "YARN_CONF_DIR", "HADOOP_HOME", "JAVA_HOME"};
    CLEANUP_STRVEC struct strvec list = STRVEC_INIT;
    if (variables_of_run(spec, &list, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = variables_find(&list, names[i]);
        if (value != NULL && setenv(names[i], value, 1) < 0) {
            return error_sys(err, "set %s", names[i]);
        }
    }
    return 0;
}
