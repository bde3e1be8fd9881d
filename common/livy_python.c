#include "common/livy_python.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/files.h"
#include "common/mem.h"

#define FOLDER "livy"
#define FILE_MAX ((size_t)4 << 10)
#define CONF_PYTHON "spark.pyspark.python="

static const struct {
    const char *key;
    size_t at;
} fields[] = {{"python", offsetof(struct livy_python, version)},
              {"platform", offsetof(struct livy_python, platform)},
              {"libc", offsetof(struct livy_python, libc)}};
#define FIELD_SIZE sizeof(((struct livy_python *)NULL)->version)

/* "livy/<digest>.json", by the server and the interpreter that a run has there. */
static char *file_of(const struct runspec *spec)
{
    const char *python = spec->interpreter;
    const struct strvec *conf = &spec->spark->conf;
    struct oid digest;
    char hex[OID_HEX_SIZE];
    for (size_t i = 0; python == NULL && i < conf->count; i++) {
        if (strncmp(conf->items[i], CONF_PYTHON, strlen(CONF_PYTHON)) == 0) {
            python = conf->items[i] + strlen(CONF_PYTHON);
        }
    }
    CLEANUP_FREE char *text =
        xasprintf("%s\n%s", spec->spark->livy->url, python != NULL ? python : "");
    oid_of_bytes(text, strlen(text), &digest);
    oid_to_hex(&digest, hex);
    return xasprintf(FOLDER "/%.16s.json", hex);
}

/* It came from a cluster, and names folders here. */
static bool is_plain(const struct livy_python *python)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    const char *version = python->version;
    return version[0] >= '1' && version[0] <= '9' &&
           version[strspn(version, plain)] == '\0' && strstr(version, "..") == NULL &&
           python->platform[strspn(python->platform, plain)] == '\0' &&
           python->libc[strspn(python->libc, plain)] == '\0';
}

void livy_python_take(const struct json *j, struct livy_python *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        json_copy_text(j, fields[i].key, (char *)out + fields[i].at, FIELD_SIZE);
    }
}

bool livy_python_read(int root_fd, const struct runspec *spec, struct livy_python *out)
{
    CLEANUP_FREE char *file = file_of(spec);
    struct strbuf text;
    strbuf_init(&text, FILE_MAX);
    CLEANUP_JSON struct json *j = files_read(root_fd, file, &text, NULL) < 0
                                      ? NULL
                                      : json_parse(text.data, text.length, NULL);
    strbuf_release(&text);
    livy_python_take(j, out);
    bool is_known = is_plain(out);
    if (!is_known) {
        *out = (struct livy_python){.version = ""};
    }
    return is_known;
}

int livy_python_write(int root_fd, const struct runspec *spec,
                      const struct livy_python *python, struct error *err)
{
    CLEANUP_FREE char *file = file_of(spec);
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_add_string(j, "url", spec->spark->livy->url);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        json_add_string(j, fields[i].key, (const char *)python + fields[i].at);
    }
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    if (mkdirat(root_fd, FOLDER, 0700) < 0 && errno != EEXIST) {
        return error_sys(err, "make the folder " FOLDER);
    }
    return files_write_atomic(root_fd, file, text.data, text.length, 0600, err);
}
