#include "common/spark_paths.h"

#include <string.h>

#include "common/mem.h"

void spark_paths_of_project(const struct runspec *spec, struct strvec *out)
{
    const struct strvec *paths = &spec->environment.definition.paths;
    const char *slash = spec->script != NULL ? strrchr(spec->script, '/') : NULL;
    if (slash != NULL) {
        strvec_adopt(out, xstrndup(spec->script, (size_t)(slash - spec->script)));
    }
    for (size_t i = 0; spec->environment.has_definition && i < paths->count; i++) {
        if (paths->items[i][0] != '\0') {
            strvec_push(out, paths->items[i]);
        }
    }
    strvec_push(out, "");
}

void spark_paths_in_container(const struct runspec *spec, struct strvec *out)
{
    CLEANUP_STRVEC struct strvec folders = STRVEC_INIT;
    spark_paths_of_project(spec, &folders);
    for (size_t i = 0; i < folders.count; i++) {
        const char *folder = folders.items[i];
        strvec_pushf(out, SPARK_ALIAS_PROJECT "%s%s", folder[0] != '\0' ? "/" : "",
                     folder);
    }
}

void spark_paths_add_conf(const struct strvec *python_path, const struct strvec *conf,
                          struct strvec *out)
{
    static const char key[] = "spark.executorEnv.PYTHONPATH=";
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_puts(&path, key);
    for (size_t i = 0; i < python_path->count; i++) {
        strbuf_printf(&path, "%s./%s", i > 0 ? ":" : "", python_path->items[i]);
    }
    for (size_t i = 0; i < conf->count; i++) {
        if (strncmp(conf->items[i], key, strlen(key)) == 0) {
            strbuf_printf(&path, ":%s", conf->items[i] + strlen(key));
        }
    }
    strvec_push(out, path.data);
}

bool spark_paths_is_missed(const char *file, const char *words)
{
    const char *slash = strrchr(file, '/');
    const char *last = slash != NULL ? slash + 1 : file;
    CLEANUP_FREE char *name = xstrndup(last, strcspn(last, "#"));
    return strstr(words, name) != NULL &&
           (strstr(words, "does not exist") != NULL ||
            strstr(words, "FileNotFoundException") != NULL ||
            strstr(words, "No such file") != NULL);
}
