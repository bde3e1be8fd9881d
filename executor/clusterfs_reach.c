#include "executor/clusterfs.h"

#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/json.h"

#define REACH_MAX ((size_t)64 << 10)
#define LIST_MAX 64

void clusterfs_init(struct clusterfs *fs, struct programs *programs)
{
    *fs = (struct clusterfs){.programs = programs,
                             .shell = STRVEC_INIT,
                             .variables = STRVEC_INIT,
                             .web = STRVEC_INIT};
}

void clusterfs_release(struct clusterfs *fs)
{
    strvec_release(&fs->shell);
    strvec_release(&fs->variables);
    strvec_release(&fs->web);
    free(fs->web_fs);
    free(fs->user);
    free(fs->curl);
    free(fs->base);
    http_free(fs->http);
    clusterfs_init(fs, NULL);
}

static void add_list(struct json *j, const char *key, const struct strvec *list)
{
    struct json *array = json_add(j, key, json_new_array());
    for (size_t i = 0; i < list->count; i++) {
        json_append(array, json_new_bytes(list->items[i], strlen(list->items[i])));
    }
}

static void add_text(struct json *j, const char *key, const char *text)
{
    if (text != NULL) {
        json_add_string(j, key, text);
    }
}

int clusterfs_write_reach(const struct clusterfs *fs, int dir_fd, struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    add_list(j, "shell", &fs->shell);
    add_list(j, "variables", &fs->variables);
    add_list(j, "web", &fs->web);
    add_text(j, "web_fs", fs->web_fs);
    add_text(j, "user", fs->user);
    add_text(j, "curl", fs->curl);
    add_text(j, "base", fs->base);
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(dir_fd, CLUSTERFS_REACH_FILE, text.data, text.length, 0600,
                              err);
}

static int take_list(const struct json *j, const char *key, struct strvec *out,
                     struct error *err)
{
    const struct json *list = NULL;
    if (json_get_array(j, "reach", key, LIST_MAX, &list, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        struct strbuf text;
        strbuf_init(&text, REACH_MAX);
        int result = json_bytes(item, "reach", &text, err);
        if (result == 0) {
            strvec_push(out, text.data);
        }
        strbuf_release(&text);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static void take_text(const struct json *j, const char *key, char **out)
{
    const struct json *text = json_get(j, key);
    if (json_is_string(text)) {
        free(*out);
        *out = xstrdup(json_string(text));
    }
}

int clusterfs_read_reach(struct clusterfs *fs, int dir_fd, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, REACH_MAX);
    int result = files_read(dir_fd, CLUSTERFS_REACH_FILE, &text, err);
    CLEANUP_JSON struct json *j =
        result < 0 ? NULL : json_parse(text.data, text.length, err);
    strbuf_release(&text);
    if (j == NULL) {
        return error_wrap(err, "how the cluster is reached");
    }
    if (take_list(j, "shell", &fs->shell, err) < 0 ||
        take_list(j, "variables", &fs->variables, err) < 0 ||
        take_list(j, "web", &fs->web, err) < 0) {
        return -1;
    }
    take_text(j, "web_fs", &fs->web_fs);
    take_text(j, "user", &fs->user);
    take_text(j, "curl", &fs->curl);
    take_text(j, "base", &fs->base);
    return 0;
}
