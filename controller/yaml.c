#include "controller/yaml.h"

#include "common/bytes.h"
#include "common/files.h"
#include "common/strbuf.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct parser {
    const char *name;
    yaml_parser_t yaml;
};

static void event_cleanup(yaml_event_t *event)
{
    yaml_event_delete(event);
}

static unsigned line_of(const yaml_mark_t *mark)
{
    return (unsigned)mark->line + 1;
}

/* Read the next event into event (zeroed or deleted). */
static int next_event(struct parser *p, yaml_event_t *event, struct error *err)
{
    if (yaml_parser_parse(&p->yaml, event)) {
        return 0;
    }
    const char *problem = p->yaml.problem ? p->yaml.problem : "it cannot be read";
    if (p->yaml.error == YAML_READER_ERROR) {
        return error_set(err, ERR_CONFIG, "%s: not YAML: %s (byte %zu)", p->name, problem,
                         p->yaml.problem_offset);
    }
    return error_set(err, ERR_CONFIG, "%s:%u: not YAML: %s", p->name,
                     line_of(&p->yaml.problem_mark), problem);
}

static int refuse(const struct parser *p, const yaml_event_t *event, const char *what,
                  struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%u: %s", p->name, line_of(&event->start_mark),
                     what);
}

static struct yaml_node *node_new(enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml_node *node = xcalloc(1, sizeof *node);
    node->kind = kind;
    node->line = line_of(&event->start_mark);
    return node;
}

void yaml_node_free(struct yaml_node *node)
{
    while (node != NULL) {
        struct yaml_node *next = node->next;
        yaml_node_free(node->first);
        free(node->key);
        free(node->text);
        free(node);
        node = next;
    }
}

static bool is_null_text(const char *text)
{
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* A scalar's text, malloc'ed. NULL: err. */
static char *scalar_text(const struct parser *p, const yaml_event_t *event,
                         struct error *err)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (event->data.scalar.anchor != NULL) {
        refuse(p, event, "anchors (&name) are not taken here", err);
        return NULL;
    }
    if (event->data.scalar.tag != NULL) {
        refuse(p, event, "tags (!name) are not taken here", err);
        return NULL;
    }
    if (memchr(value, '\0', length) != NULL) {
        refuse(p, event, "a value with a zero byte", err);
        return NULL;
    }
    return xstrndup(value, length);
}

static struct yaml_node *parse_node(struct parser *p, const yaml_event_t *event,
                                    unsigned depth, struct error *err);

static void append_child(struct yaml_node *parent, struct yaml_node *child)
{
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
    parent->count++;
}

/* Check that what begins with event may begin here. */
static int check_start(const struct parser *p, const yaml_event_t *event,
                       const yaml_char_t *anchor, const yaml_char_t *tag, unsigned depth,
                       struct error *err)
{
    if (anchor != NULL) {
        return refuse(p, event, "anchors (&name) are not taken here", err);
    }
    if (tag != NULL) {
        return refuse(p, event, "tags (!name) are not taken here", err);
    }
    if (depth >= YAML_DEPTH_MAX) {
        return refuse(p, event, "nested too deep (at most 16 levels)", err);
    }
    return 0;
}

static int check_count(const struct parser *p, const struct yaml_node *node,
                       const yaml_event_t *event, struct error *err)
{
    if (node != NULL && node->count >= YAML_COUNT_MAX) {
        return refuse(p, event, "more than 1000 entries", err);
    }
    return 0;
}

static struct yaml_node *parse_list(struct parser *p, const yaml_event_t *start,
                                    unsigned depth, struct error *err)
{
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *list =
        node_new(YAML_LIST, start);
    if (check_start(p, start, start->data.sequence_start.anchor,
                    start->data.sequence_start.tag, depth, err) != 0) {
        return NULL;
    }
    for (;;) {
        __attribute__((cleanup(event_cleanup))) yaml_event_t event = {0};
        if (next_event(p, &event, err) != 0) {
            return NULL;
        }
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            return TAKE_PTR(list);
        }
        struct yaml_node *child = NULL;
        if (check_count(p, list, &event, err) != 0 ||
            (child = parse_node(p, &event, depth + 1, err)) == NULL) {
            return NULL;
        }
        append_child(list, child);
    }
}

/* Check a map's key; its text is malloc'ed. NULL: err. */
static char *parse_key(struct parser *p, const struct yaml_node *map,
                       const yaml_event_t *event, struct error *err)
{
    if (event->type != YAML_SCALAR_EVENT) {
        refuse(p, event, "a key must be a plain word", err);
        return NULL;
    }
    CLEANUP_FREE char *key = scalar_text(p, event, err);
    if (key == NULL || check_count(p, map, event, err) != 0) {
        return NULL;
    }
    if (strcmp(key, "<<") == 0) {
        refuse(p, event, "merges (<<) are not taken here", err);
        return NULL;
    }
    for (const struct yaml_node *child = map->first; child; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            error_set(err, ERR_CONFIG,
                      "%s:%u: the key \"%s\" is there already, in line %u", p->name,
                      line_of(&event->start_mark), key, child->line);
            return NULL;
        }
    }
    return TAKE_PTR(key);
}

static struct yaml_node *parse_map(struct parser *p, const yaml_event_t *start,
                                   unsigned depth, struct error *err)
{
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *map =
        node_new(YAML_MAP, start);
    if (check_start(p, start, start->data.mapping_start.anchor,
                    start->data.mapping_start.tag, depth, err) != 0) {
        return NULL;
    }
    for (;;) {
        __attribute__((cleanup(event_cleanup))) yaml_event_t key_event = {0};
        __attribute__((cleanup(event_cleanup))) yaml_event_t event = {0};
        if (next_event(p, &key_event, err) != 0) {
            return NULL;
        }
        if (key_event.type == YAML_MAPPING_END_EVENT) {
            return TAKE_PTR(map);
        }
        CLEANUP_FREE char *key = parse_key(p, map, &key_event, err);
        struct yaml_node *child = NULL;
        if (key == NULL || next_event(p, &event, err) != 0 ||
            (child = parse_node(p, &event, depth + 1, err)) == NULL) {
            return NULL;
        }
        child->key = TAKE_PTR(key);
        child->line = line_of(&key_event.start_mark);
        append_child(map, child);
    }
}

/* The node that begins with event. NULL: err. */
static struct yaml_node *parse_node(struct parser *p, const yaml_event_t *event,
                                    unsigned depth, struct error *err)
{
    if (event->type == YAML_SCALAR_EVENT) {
        char *text = scalar_text(p, event, err);
        if (text == NULL) {
            return NULL;
        }
        struct yaml_node *node = node_new(YAML_SCALAR, event);
        node->text = text;
        node->is_null =
            event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_null_text(text);
        return node;
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        return parse_map(p, event, depth, err);
    }
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        return parse_list(p, event, depth, err);
    }
    refuse(p, event, "aliases (*name) are not taken here", err);
    return NULL;
}

/* The document's root, the events around it checked. NULL: err. */
static struct yaml_node *parse_document(struct parser *p, struct error *err)
{
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *root = NULL;
    for (;;) {
        __attribute__((cleanup(event_cleanup))) yaml_event_t event = {0};
        if (next_event(p, &event, err) != 0) {
            return NULL;
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            break;
        }
        if (event.type == YAML_STREAM_START_EVENT ||
            event.type == YAML_DOCUMENT_END_EVENT) {
            continue;
        }
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (root != NULL) {
                refuse(p, &event, "a second document (---)", err);
                return NULL;
            }
            continue;
        }
        root = parse_node(p, &event, 0, err);
        if (root == NULL) {
            return NULL;
        }
    }
    if (root == NULL || (root->kind == YAML_SCALAR && root->is_null)) {
        yaml_node_free(root);
        root = xcalloc(1, sizeof *root);
        root->kind = YAML_MAP;
        root->line = 1;
    }
    return TAKE_PTR(root);
}

/* libyaml says of a tab only that it "cannot start any token". */
static int check_tabs(const char *name, const char *data, size_t length,
                      struct error *err)
{
    unsigned line = 1;
    for (size_t i = 0; i < length; line++) {
        bool has_tab = false;
        while (i < length && (data[i] == ' ' || data[i] == '\t')) {
            has_tab = has_tab || data[i] == '\t';
            i++;
        }
        if (has_tab && i < length && strchr("\r\n", data[i]) == NULL) {
            return error_set(
                err, ERR_CONFIG,
                "%s:%u: a tab before the first word; YAML indents with spaces", name,
                line);
        }
        const char *end = memchr(data + i, '\n', length - i);
        i = end == NULL ? length : (size_t)(end - data) + 1;
    }
    return 0;
}

struct yaml_node *yaml_parse(const char *name, const char *data, size_t length,
                             struct error *err)
{
    if (length > YAML_SIZE_MAX) {
        error_set(err, ERR_CONFIG, "%s: larger than 256 KiB", name);
        return NULL;
    }
    if (check_tabs(name, data, length, err) != 0) {
        return NULL;
    }
    struct parser p = {.name = name};
    if (!yaml_parser_initialize(&p.yaml)) {
        mem_abort("out of memory");
    }
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)data, length);
    struct yaml_node *root = parse_document(&p, err);
    yaml_parser_delete(&p.yaml);
    return root;
}

struct yaml_node *yaml_read(const char *path, const char *name, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    text.limit_bytes = YAML_SIZE_MAX;
    return files_read(AT_FDCWD, path, &text, err) < 0
               ? NULL
               : yaml_parse(name, text.data, text.length, err);
}

/* Letters, digits and a few marks that mean nothing to YAML wherever they stand. */
static bool is_plain_text(const char *text)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@+-";
    return strchr("@-", text[0]) == NULL && text[strspn(text, safe)] == '\0' &&
           !is_null_text(text);
}

/* A character of two bytes or more that stands in YAML only as an escape: C1 controls
 * with next line, line and paragraph separator, byte order mark, no characters (YAML 1.1
 * sections 4.1 and 4.2). */
static bool must_escape(uint32_t c)
{
    return c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
           c == 0xffff;
}

/* One character of UTF-8; returns its length. */
static size_t write_character(struct strbuf *out, const char *text)
{
    static const unsigned char masks[] = {0x7f, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (bytes_utf8_prefix(text, strnlen(text, length)) < length) {
        strbuf_puts(out, "\\ufffd");
        return 1;
    }
    uint32_t c = first & masks[length];
    for (size_t i = 1; i < length; i++) {
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (length == 1 ? c < 0x20 || c == 0x7f : must_escape(c)) {
        strbuf_printf(out, "\\u%04x", c);
    } else {
        strbuf_printf(out, "%s%.*s", c == '"' || c == '\\' ? "\\" : "", (int)length,
                      text);
    }
    return length;
}

void yaml_write_scalar(struct strbuf *out, const char *text)
{
    if (is_plain_text(text)) {
        strbuf_puts(out, text);
        return;
    }
    strbuf_putc(out, '"');
    while (*text != '\0') {
        text += write_character(out, text);
    }
    strbuf_putc(out, '"');
}
