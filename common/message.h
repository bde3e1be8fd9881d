/*
 * message: the table of messages, and the validators of their bodies.            [wire]
 *
 * A validator says whether a body has the members it must have, of the right types and
 * within bounds; it changes nothing and does nothing else. Handlers come later and
 * elsewhere, and rely on it. Every message with a JSON body has one row in the table of
 * validators; a unit test walks both tables.
 */
#ifndef COMMON_MESSAGE_H
#define COMMON_MESSAGE_H

#include "common/frame.h"
#include "common/json.h"
#include "common/pack.h"

#include <stdbool.h>
#include <stdint.h>

enum message_type {
#define MESSAGE(symbol, number, sender, streams, body, max_bytes) MSG_##symbol = (number),
#include "common/messages.def"
};

enum stream_kind {
#define STREAM(symbol, credit_to_executor, credit_to_controller) STREAM_##symbol,
#include "common/messages.def"
    STREAM_KIND_COUNT
};

enum message_sender {
    SENDER_CONTROLLER = 1,
    SENDER_EXECUTOR = 2,
    SENDER_BOTH = 3,
};

enum message_body {
    BODY_NOTHING,
    BODY_RAW,
    BODY_JSON,
};

struct message_row {
    enum message_type type;
    const char *name; /* "PUSH_END" */
    enum message_sender sender;
    unsigned streams; /* bit 1 << enum stream_kind */
    bool opens_stream;
    enum stream_kind opens; /* where opens_stream */
    enum message_body body;
    uint32_t max_bytes;
};

/* The row of a type as it came from the wire; NULL where there is none. */
const struct message_row *message_row(uint8_t type);
/* Row i, NULL behind the last: for tests and documents. */
const struct message_row *message_row_at(size_t i);

/* What each side may send in DATA on a new stream before the first CREDIT. */
uint32_t stream_credit_to_executor(enum stream_kind kind);
uint32_t stream_credit_to_controller(enum stream_kind kind);

/* True for streams on which the controller sends packs: submissions, and what is brought.
 */
bool stream_takes_packs(enum stream_kind kind);

/*
 * Check a payload against its row: size, and for JSON: parse and validate. *out_json
 * (NULL where the body is no JSON) is the caller's to free. Errors: ERR_PROTOCOL, with
 * the message's name and what is wrong.
 */
int message_validate(const struct message_row *row, const void *payload, size_t length,
                     struct json **out_json, struct error *err);

/*
 * END and REPORT mean different things under different requests: check the body against
 * the request that opened the stream. For every other type this is success. Errors:
 * ERR_PROTOCOL (also: no such answer to that request).
 */
int message_validate_answer(const struct message_row *request,
                            const struct message_row *row, const struct json *body,
                            struct error *err);

/*
 * Would this body pass at the other end? To be asked before sending what a user had a
 * hand in. Errors: ERR_LIMIT (too large), ERR_PROTOCOL.
 */
int message_check(enum message_type type, const struct json *body, struct error *err);

/* ERROR's body from an error, and back. */
struct json *message_from_error(const struct error *err);
void message_to_error(const struct json *body, struct error *out);

/* A run id as FORMATS.md 4 has it. */
#define RUN_ID_SIZE 65
bool run_id_is_valid(const char *id);
/* A new random one. */
void run_id_make(char out[RUN_ID_SIZE]);

#endif
