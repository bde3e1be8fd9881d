#include "common/message.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/message_shapes.h"

/* --- the tables ----------------------------------------------------------------------
 */

/* messages.def's words. A set of streams is a bit for each; OPENS says besides, above
 * OPENS_SHIFT, which kind. */
#define OPENS_FLAG 0x100u
#define OPENS_SHIFT 16
#define STREAMS_MASK 0xffu
#define IN(kind) (1u << STREAM_##kind)
#define OPENS(kind) (IN(kind) | OPENS_FLAG | (unsigned)STREAM_##kind << OPENS_SHIFT)

_Static_assert(STREAM_KIND_COUNT <= 8, "a bit for every kind of stream");

static const struct message_row rows[] = {
#define MESSAGE(symbol, number, from, where, what, max)                                  \
    [number] = {.type = MSG_##symbol,                                                    \
                .name = #symbol,                                                         \
                .sender = SENDER_##from,                                                 \
                .streams = (where)&STREAMS_MASK,                                         \
                .opens_stream = ((where)&OPENS_FLAG) != 0,                               \
                .opens = (enum stream_kind)((where) >> OPENS_SHIFT),                     \
                .body = BODY_##what,                                                     \
                .max_bytes = (max)},
#include "common/messages.def"
};

struct credit_row {
    uint32_t to_executor;
    uint32_t to_controller;
};

static const struct credit_row credits[] = {
#define STREAM(symbol, credit_to_executor, credit_to_controller)                         \
    [STREAM_##symbol] = {(credit_to_executor), (credit_to_controller)},
#include "common/messages.def"
};

_Static_assert(ARRAY_SIZE(credits) == STREAM_KIND_COUNT, "credit for every kind");

const struct message_row *message_row(uint8_t type)
{
    return type < ARRAY_SIZE(rows) && rows[type].name != NULL ? &rows[type] : NULL;
}

const struct message_row *message_row_at(size_t i)
{
    for (size_t type = 0; type < ARRAY_SIZE(rows); type++) {
        if (rows[type].name != NULL && i-- == 0) {
            return &rows[type];
        }
    }
    return NULL;
}

uint32_t stream_credit_to_executor(enum stream_kind kind)
{
    return credits[kind].to_executor;
}

uint32_t stream_credit_to_controller(enum stream_kind kind)
{
    return credits[kind].to_controller;
}

bool stream_takes_packs(enum stream_kind kind)
{
    return kind == STREAM_SUBMIT || kind == STREAM_BRING;
}

/* --- validators ----------------------------------------------------------------------
 */

/* Nothing of a body with secrets goes into a sentence. */
static int refuse(const struct message_row *row, const char *why, struct error *err)
{
    if (row->type == MSG_SECRETS) {
        why = "the body is not as it must be";
    }
    return error_set(err, ERR_PROTOCOL, "%s: %s", row->name, why);
}

static int check_size(const struct message_row *row, size_t length, struct error *err)
{
    if (length > row->max_bytes) {
        return error_set(err, ERR_PROTOCOL, "%s: %zu bytes, more than %u", row->name,
                         length, (unsigned)row->max_bytes);
    }
    if (row->body == BODY_NOTHING && length > 0) {
        return refuse(row, "it has no body", err);
    }
    if ((row->type == MSG_DATA && length == 0) ||
        (row->type == MSG_CREDIT && length != row->max_bytes)) {
        return refuse(row, "its body is too short", err);
    }
    return 0;
}

int message_validate(const struct message_row *row, const void *payload, size_t length,
                     struct json **out_json, struct error *err)
{
    struct error inner = ERROR_INIT;
    CLEANUP_JSON struct json *j = NULL;

    *out_json = NULL;
    if (check_size(row, length, err) < 0) {
        return -1;
    }
    if (row->body != BODY_JSON) {
        return 0;
    }
    j = json_parse(payload, length, &inner);
    if (j == NULL || shape_check(message_shape(row->type), j, &inner) < 0) {
        return refuse(row, inner.text, err);
    }
    *out_json = TAKE_PTR(j);
    return 0;
}

int message_validate_answer(const struct message_row *request,
                            const struct message_row *row, const struct json *body,
                            struct error *err)
{
    struct error inner = ERROR_INIT;
    const struct shape *shape;

    if (row->type != MSG_END && row->type != MSG_REPORT) {
        return 0;
    }
    shape = message_answer_shape(request->type, row->type);
    if (shape == NULL) {
        return error_set(err, ERR_PROTOCOL, "%s: no answer to %s", row->name,
                         request->name);
    }
    if (shape_check(shape, body, &inner) < 0) {
        return error_set(err, ERR_PROTOCOL, "%s to %s: %s", row->name, request->name,
                         inner.text);
    }
    return 0;
}

int message_check(enum message_type type, const struct json *body, struct error *err)
{
    const struct message_row *row = message_row((uint8_t)type);
    struct error inner = ERROR_INIT;
    struct strbuf text;
    int result = 0;

    assert(row != NULL && row->body == BODY_JSON);
    strbuf_init(&text, SIZE_MAX);
    json_write(body, false, &text);
    if (text.length > row->max_bytes) {
        result = error_set(err, ERR_LIMIT, "%s: %zu bytes, more than %u", row->name,
                           text.length, (unsigned)row->max_bytes);
    } else if (shape_check(message_shape(type), body, &inner) < 0) {
        result = refuse(row, inner.text, err);
    }
    strbuf_release(&text);
    return result;
}

/* --- errors --------------------------------------------------------------------------
 */

struct json *message_from_error(const struct error *err)
{
    struct json *body = json_new_object();

    json_add_string(body, "code", error_code_name(err->code));
    json_add_string(body, "message", err->text);
    json_add_string(body, "hint", err->hint);
    return body;
}

void message_to_error(const struct json *body, struct error *out)
{
    const char *code = json_string(json_get(body, "code"));
    const char *text = json_string(json_get(body, "message"));
    const char *hint = json_string(json_get(body, "hint"));

    error_set(out, code != NULL ? error_code_parse(code) : ERR_INTERNAL, "%s",
              text != NULL ? text : "");
    if (hint != NULL) {
        error_hint(out, "%s", hint);
    }
}

/* --- run ids -------------------------------------------------------------------------
 */

#define RUN_ID_MIN 4
#define RUN_ID_MADE 16

bool run_id_is_valid(const char *id)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t length = strlen(id);

    return length >= RUN_ID_MIN && length < RUN_ID_SIZE &&
           strchr(letters, id[0]) != NULL &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

void run_id_make(char out[RUN_ID_SIZE])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[RUN_ID_MADE + 1];

    bytes_random(random, sizeof(random));
    for (size_t i = 0; i < RUN_ID_MADE; i++) {
        out[i] = alphabet[random[i] % 32];
    }
    /* 16 bits spread over 26 letters as evenly as matters here. */
    out[0] = alphabet[(random[0] << 8 | random[RUN_ID_MADE]) % 26];
    out[RUN_ID_MADE] = '\0';
}
