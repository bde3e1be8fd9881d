#include "common/runenvironment.h"

#include <stddef.h>
#include <string.h>

#include "common/clock.h"
#include "common/files.h"

#define WHAT "environment"

/* Members that are text: how each is called, where it is kept, and what it is made of. */
static const struct text_row {
    const char *key;
    size_t offset, size;
    const char *characters; /* NULL: any that a terminal can show */
} texts[] = {
#define TEXT(name, characters)                                                           \
    {                                                                                    \
#name, offsetof(struct run_environment, name),                                   \
            sizeof(((struct run_environment *)NULL)->name), characters                   \
    }
    TEXT(kind, "abcdefghijklmnopqrstuvwxyz-"),
    TEXT(identity, "0123456789abcdef"),
    TEXT(build, "0123456789TZabcdefghijklmnopqrstuvwxyz-"),
    TEXT(builder, NULL),
    TEXT(python, NULL),
    TEXT(lock, "0123456789abcdef"),
#undef TEXT
};

static const struct number_row {
    const char *key;
    size_t offset;
} numbers[] = {
#define NUMBER(name)                                                                     \
    {                                                                                    \
#name, offsetof(struct run_environment, name)                                    \
    }
    NUMBER(spent_ms),
    NUMBER(packages),
    NUMBER(unpinned),
    NUMBER(size_bytes),
#undef NUMBER
};

static char *text_of(struct run_environment *e, const struct text_row *row)
{
    return (char *)e + row->offset;
}

static int64_t *number_of(struct run_environment *e, const struct number_row *row)
{
    return (int64_t *)(void *)((char *)e + row->offset);
}

void run_environment_init(struct run_environment *e)
{
    *e = (struct run_environment){.kind = ""};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        *number_of(e, &numbers[i]) = RUN_ENVIRONMENT_UNKNOWN;
    }
}

bool run_environment_is_known(const struct run_environment *e)
{
    return e->kind[0] != '\0';
}

struct json *run_environment_to_json(const struct run_environment *e)
{
    struct run_environment copy = *e;
    struct json *j = json_new_object();

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *text = text_of(&copy, &texts[i]);

        if (text[0] != '\0') {
            json_add_string(j, texts[i].key, text);
        }
    }
    json_add_bool(j, "is_reused", e->is_reused);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t number = *number_of(&copy, &numbers[i]);

        if (number >= 0) {
            json_add_integer(j, numbers[i].key, number);
        }
    }
    return j;
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

static int take_text(const struct json *j, const struct text_row *row,
                     struct run_environment *out, struct error *err)
{
    const struct json *member = json_get(j, row->key);
    const char *text;

    if (member == NULL || json_is_null(member)) {
        return 0;
    }
    if (json_get_string(j, WHAT, row->key, &text, err) < 0) {
        return -1;
    }
    if (strlen(text) >= row->size ||
        (row->characters == NULL ? !is_printable(text)
                                 : strspn(text, row->characters) != strlen(text))) {
        return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" is not one of its kind",
                         row->key);
    }
    memcpy(text_of(out, row), text, strlen(text) + 1);
    return 0;
}

static int take_number(const struct json *j, const struct number_row *row,
                       struct run_environment *out, struct error *err)
{
    const struct json *member = json_get(j, row->key);

    return member == NULL || json_is_null(member)
               ? 0
               : json_get_integer(j, WHAT, row->key, 0, JSON_INTEGER_MAX,
                                  number_of(out, row), err);
}

int run_environment_from_json(const struct json *j, struct run_environment *out,
                              struct error *err)
{
    struct run_environment taken;

    run_environment_init(&taken);
    if (!json_is_object(j)) {
        return error_set(err, ERR_CORRUPT, WHAT ": no object");
    }
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (take_text(j, &texts[i], &taken, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (take_number(j, &numbers[i], &taken, err) < 0) {
            return -1;
        }
    }
    if (taken.kind[0] == '\0') {
        return error_set(err, ERR_CORRUPT, WHAT ": its kind is missing");
    }
    if (json_get(j, "is_reused") != NULL &&
        json_get_bool(j, WHAT, "is_reused", &taken.is_reused, err) < 0) {
        return -1;
    }
    *out = taken;
    return 0;
}

void run_environment_describe(const struct run_environment *e, struct strbuf *out)
{
    char size[FILES_SIZE_TEXT], took[CLOCK_TEXT_SIZE];
    const char *separator = "";

    if (e->packages >= 0) {
        strbuf_printf(out, "%lld package%s", (long long)e->packages,
                      e->packages == 1 ? "" : "s");
        separator = ", ";
    }
    if (e->size_bytes >= 0) {
        files_format_size(size, (uint64_t)e->size_bytes);
        strbuf_printf(out, "%s%s", separator, size);
        separator = ", ";
    }
    if (!e->is_reused && e->build[0] != '\0' && e->spent_ms >= 0) {
        clock_format_duration(took, e->spent_ms);
        strbuf_printf(out, "%sbuilt in %s", separator, took);
        strbuf_printf(out, e->builder[0] != '\0' ? " with %s" : "%s", e->builder);
        separator = ", ";
    }
    if (e->python[0] != '\0') {
        strbuf_printf(out, "%sPython %s", separator, e->python);
    }
}
