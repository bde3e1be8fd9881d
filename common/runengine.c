#include "common/runengine.h"

#include <stddef.h>
#include <string.h>

#include "common/bytes.h"

#define WHAT "engine"

static const struct text_row {
    const char *key;
    size_t offset, size;
} texts[] = {
#define ROW(member, size) {#member, offsetof(struct run_engine, member), size},
    RUN_ENGINE_TABLE(ROW)
#undef ROW
};

static const char *const event_names[] = {
#define ROW(symbol, name) name,
    ENGINE_EVENT_TABLE(ROW)
#undef ROW
};

const char *engine_event_name(enum engine_event event)
{
    return event_names[event];
}

void run_engine_init(struct run_engine *engine)
{
    memset(engine, 0, sizeof(*engine));
}

bool run_engine_is_known(const struct run_engine *engine)
{
    return engine->kind[0] != '\0';
}

bool run_engine_set(char *member, size_t size, const char *text)
{
    char plain[ENGINE_LINE_MAX];
    size_t length = strnlen(text, (size < sizeof(plain) ? size : sizeof(plain)) - 1);

    length = bytes_utf8_prefix(text, length);
    for (size_t i = 0; i < length; i++) {
        bool is_control = (unsigned char)text[i] < ' ' || text[i] == 0x7f;
        plain[i] = *(is_control ? " " : &text[i]);
    }
    plain[length] = '\0';
    bool is_new = strcmp(member, plain) != 0;
    memcpy(member, plain, length + 1);
    return is_new;
}

void run_engine_each(const struct run_engine *engine, run_engine_visit *visit,
                     void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        visit(context, texts[i].key, (const char *)engine + texts[i].offset);
    }
}

static void add_text(void *context, const char *key, const char *text)
{
    if (text[0] != '\0') {
        json_add_string(context, key, text);
    }
}

struct json *run_engine_to_json(const struct run_engine *engine)
{
    struct json *j = json_new_object();

    run_engine_each(engine, add_text, j);
    return j;
}

/* Those that j has; the others stay. */
static int take_texts(const struct json *j, struct run_engine *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct json *value = json_get(j, texts[i].key);
        const char *text = json_string(value);

        if (value == NULL || json_is_null(value)) {
            continue;
        }
        if (text == NULL || strlen(text) >= texts[i].size) {
            return error_set(err, ERR_CORRUPT,
                             WHAT ": \"%s\" is no text of less than %zu", texts[i].key,
                             texts[i].size);
        }
        run_engine_set((char *)out + texts[i].offset, texts[i].size, text);
    }
    return 0;
}

int run_engine_from_json(const struct json *j, struct run_engine *out, struct error *err)
{
    struct run_engine next;
    const char *kind;

    run_engine_init(&next);
    if (json_get_string(j, WHAT, "kind", &kind, err) < 0 ||
        take_texts(j, &next, err) < 0) {
        return -1;
    }
    *out = next;
    return 0;
}

int run_engine_take_member(const struct json *line, struct run_engine *out,
                           struct error *err)
{
    const struct json *engine = json_get(line, WHAT);

    return engine == NULL || json_is_null(engine)
               ? 0
               : run_engine_from_json(engine, out, err);
}

static int parse_event(const char *name, enum engine_event *out, struct error *err)
{
    for (unsigned i = 0; i < ENGINE_EVENT_COUNT; i++) {
        if (strcmp(event_names[i], name) == 0) {
            *out = (enum engine_event)i;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, WHAT ": there is no event \"%.40s\"", name);
}

static int take_line(const struct json *j, struct engine_line *out, struct error *err)
{
    const char *name;
    const char *text = json_string(json_get(j, "text"));

    if (json_get_integer(j, WHAT, "seq", 1, JSON_INTEGER_MAX, &out->seq, err) < 0 ||
        json_get_time(j, WHAT, "time", &out->utc_ms, err) < 0 ||
        json_get_integer(j, WHAT, "attempt", 1, INT32_MAX, &out->attempt, err) < 0 ||
        json_get_string(j, WHAT, "event", &name, err) < 0) {
        return -1;
    }
    run_engine_set(out->text, sizeof(out->text), text != NULL ? text : "");
    return parse_event(name, &out->event, err);
}

int run_engine_take(struct run_engine *engine, const char *line, size_t length,
                    struct engine_line *out, struct error *err)
{
    struct error inner = ERROR_INIT;
    struct engine_line said = {.seq = 0};
    struct run_engine next;
    CLEANUP_JSON struct json *j =
        length <= ENGINE_LINE_MAX ? json_parse(line, length, &inner) : NULL;

    if (j == NULL) {
        return error_set(err, ERR_CORRUPT, WHAT ": %s",
                         length > ENGINE_LINE_MAX ? "a line that is too long"
                                                  : inner.text);
    }
    if (take_line(j, &said, err) < 0) {
        return -1;
    }
    run_engine_init(&next);
    next.attempt = said.attempt;
    if (take_texts(j, &next, err) < 0) {
        return -1;
    }
    *engine = next;
    if (out != NULL) {
        *out = said;
    }
    return 0;
}
