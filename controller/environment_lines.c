#include "controller/environment_lines.h"

#include <string.h>

/* Short enough to read, long enough to be one of its kind. */
#define DIGEST_SHOWN 12

/* Members that are a text, or a list of texts or local content: what a line calls it. */
static const struct {
    const char *key, *word;
} rows[] = {
    {"kind", "kind"},
    {"python", "python"},
    {"image", "image"},
    {"requirements", "requirement"},
    {"constraints", "constraint"},
    {"find_links", "find-links"},
    {"options", "option"},
    {"channels", "channel"},
    {"conda", "conda"},
    {"builder", "builder"},
};

static void add_bytes(const struct json *value, struct strbuf *out)
{
    if (json_bytes(value, "environment", out, NULL) != 0) {
        strbuf_puts(out, "?");
    }
}

/* A text that may be absent, between what stands before and behind it. */
static void add_optional(const struct json *object, const char *key, const char *before,
                         const char *behind, struct strbuf *out)
{
    const char *text = json_string(json_get(object, key));
    if (text != NULL && text[0] != '\0') {
        strbuf_printf(out, "%s%s%s", before, text, behind);
    }
}

/* "six-1.16.0-py3-none-any.whl [extra]; marker (content 3f2a61c0d4e5)". */
static void describe_local(const struct json *local, struct strbuf *out)
{
    const struct json *name = json_get(local, "name");
    const char *digest = json_string(json_get(local, "digest"));
    const char *kind = json_string(json_get(local, "kind"));
    bool is_folder = kind != NULL && strcmp(kind, "d") == 0;
    if (is_folder || name == NULL) {
        strbuf_puts(out, "a folder"); /* whose name decides nothing */
    } else {
        add_bytes(name, out);
    }
    add_optional(local, "extras", " [", "]", out);
    add_optional(local, "marker", "; ", "", out);
    strbuf_printf(out, " (content %.*s%s)", DIGEST_SHOWN, digest != NULL ? digest : "?",
                  json_bool(json_get(local, "is_editable")) ? ", editable" : "");
}

static void describe_item(const struct json *item, struct strbuf *out)
{
    if (json_is_object(item) && json_get(item, "base64") == NULL) {
        describe_local(item, out);
        return;
    }
    add_bytes(item, out);
}

static void add_line(const char *word, const struct json *item, struct strvec *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    describe_item(item, &text);
    strvec_pushf(out, "%s %s", word, text.data);
}

static void add_lines(const char *word, const struct json *value, struct strvec *out)
{
    if (json_is_array(value)) {
        for (const struct json *item = json_first(value); item != NULL;
             item = json_next(item)) {
            add_line(word, item, out);
        }
    } else if (json_is_string(value)) {
        add_line(word, value, out);
    }
}

static void add_lock(const struct json *lock, struct strvec *out)
{
    const struct json *files = json_get(lock, "files");
    for (const struct json *file = files == NULL ? NULL : json_first(files); file != NULL;
         file = json_next(file)) {
        const char *digest = json_string(file);
        strvec_pushf(out, "lock-file (content %.*s)", DIGEST_SHOWN,
                     digest != NULL ? digest : "?");
    }
    add_lines("group", json_get(lock, "groups"), out);
    add_lines("extra", json_get(lock, "extras"), out);
}

void environment_lines(const struct json *definition, struct strvec *out)
{
    const struct json *location = json_get(definition, "location");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        add_lines(rows[i].word, json_get(definition, rows[i].key), out);
    }
    add_lock(json_get(definition, "lock"), out);
    if (location != NULL && json_first(location) != NULL) {
        add_line(json_key(json_first(location)), json_first(location), out);
    }
}

void environment_node_lines(const struct json *document, struct strvec *out)
{
    const struct json *interpreter = json_get(document, "interpreter");
    const struct json *builder = json_get(document, "builder");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (json_get(interpreter, "path") != NULL) {
        add_bytes(json_get(interpreter, "path"), &text);
        add_optional(interpreter, "implementation", " (", "", &text);
        add_optional(interpreter, "version", " ", ")", &text);
        strvec_pushf(out, "interpreter %s", text.data);
    }
    add_lines("platform", json_get(document, "platform"), out);
    add_lines("libc", json_get(document, "libc"), out);
    strbuf_reset(&text);
    add_optional(builder, "name", "", "", &text);
    add_optional(builder, "version", " ", "", &text);
    if (text.length > 0) {
        strvec_pushf(out, "built-with %s", text.data);
    }
}

void environment_lock_lines(const char *lock, struct strvec *out)
{
    while (*lock != '\0') {
        size_t length = strcspn(lock, "\n");
        size_t shown = strcspn(lock, "\n\\#");
        CLEANUP_FREE char *line = xstrndup(lock, shown);
        char *hash = strstr(line, "--hash");
        if (hash != NULL) {
            *hash = '\0';
        }
        size_t end = strlen(line);
        while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t')) {
            line[--end] = '\0';
        }
        const char *text = line + strspn(line, " \t");
        if (text[0] != '\0') {
            strvec_push(out, text);
        }
        lock += length + (lock[length] == '\n');
    }
}

/* What a line tells of, to put next to each other what belongs together: its first word
 * and the name behind it. */
static size_t subject_length(const char *line)
{
    size_t word = strcspn(line, " ");
    if (strncmp(line, "requirement ", word + 1) != 0 &&
        strncmp(line, "constraint ", word + 1) != 0 && line[word] == ' ') {
        return word + 1;
    }
    const char *name = line[word] == ' ' ? line + word + 1 : line;
    return (size_t)(name - line) + strcspn(name, " [<>=!~;@");
}

static bool has_same_subject(const char *a, const char *b)
{
    size_t length = subject_length(a);
    return length == subject_length(b) && strncmp(a, b, length) == 0;
}

bool environment_lines_differ(const struct strvec *a, const struct strvec *b,
                              struct strvec *out)
{
    CLEANUP_STRVEC struct strvec added = STRVEC_INIT;
    size_t before = out->count;
    for (size_t i = 0; i < b->count; i++) {
        if (!strvec_contains(a, b->items[i])) {
            strvec_push(&added, b->items[i]);
        }
    }
    for (size_t i = 0; i < a->count; i++) {
        if (strvec_contains(b, a->items[i])) {
            continue;
        }
        strvec_pushf(out, "- %s", a->items[i]);
        for (size_t k = 0; k < added.count; k++) {
            if (has_same_subject(a->items[i], added.items[k])) {
                strvec_pushf(out, "+ %s", added.items[k]);
                strvec_remove(&added, k);
                break;
            }
        }
    }
    for (size_t k = 0; k < added.count; k++) {
        strvec_pushf(out, "+ %s", added.items[k]);
    }
    return out->count == before;
}
