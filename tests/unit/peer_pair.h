/*
 * peer_pair: two peers over a memory pipe, and frames made by hand.            [tests]
 */
#ifndef TESTS_UNIT_PEER_PAIR_H
#define TESTS_UNIT_PEER_PAIR_H

#include <inttypes.h>
#include <string.h>

#include "common/peer.h"
#include "common/strbuf.h"

#define PAIR_DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PAIR_CONTROLLER "00112233445566778899aabbccddeeff"
#define PAIR_RUN "abcdefgh"

/* Append the bytes of one frame. */
static inline void pair_frame(struct strbuf *out, unsigned type, unsigned flags,
                              uint32_t stream, const void *payload, size_t length)
{
    struct frame_header header = {.length = (uint32_t)length,
                                  .type = (uint8_t)type,
                                  .flags = (uint8_t)flags,
                                  .stream = stream};
    uint8_t bytes[FRAME_HEADER_SIZE];

    frame_encode(bytes, &header);
    if (strbuf_add(out, bytes, sizeof(bytes), NULL) < 0 ||
        strbuf_add(out, payload, length, NULL) < 0) {
        mem_abort("test: frame too large");
    }
}

/* The same of a JSON body given as text. */
static inline void pair_text(struct strbuf *out, unsigned type, uint32_t stream,
                             const char *body)
{
    pair_frame(out, type, 0, stream, body, strlen(body));
}

/* A body that passes, for every message that has one of JSON. */
static inline const char *pair_body(enum message_type type)
{
    static const struct {
        enum message_type type;
        const char *body;
    } bodies[] = {
        {MSG_HELLO, "{\"protocol\":1,\"controller\":\"" PAIR_CONTROLLER
                    "\",\"version\":\"0.1.0\",\"features\":[\"a\"],"
                    "\"time\":\"2026-11-23T10:00:00.000Z\"}"},
        {MSG_ERROR, "{\"code\":\"io\",\"message\":\"m\",\"hint\":\"h\"}"},
        {MSG_END, "{}"},
        {MSG_SECRETS, "{\"secrets\":{\"TOKEN\":\"x\"}}"},
        {MSG_SUBMIT, "{\"spec\":\"{}\",\"root\":\"" PAIR_DIGEST "\",\"base\":null}"},
        {MSG_NEED, "{\"objects\":2}"},
        {MSG_ACCEPTED, "{\"run\":\"" PAIR_RUN "\",\"is_new\":true,\"journal\":[\"{}\"]}"},
        {MSG_FOLLOW, "{\"run\":\"" PAIR_RUN
                     "\",\"journal_seq\":0,\"files\":[{\"file\":\"driver.log\","
                     "\"generation\":0,\"offset\":0,\"tail\":null}],\"until\":\"end\"}"},
        {MSG_AT, "{\"file\":\"driver.log\",\"generation\":0,\"offset\":0,\"gap\":0}"},
        {MSG_STATE, "{\"line\":\"{}\"}"},
        {MSG_FETCH, "{\"run\":\"" PAIR_RUN "\",\"base\":null}"},
        {MSG_OFFER,
         "{\"root\":\"" PAIR_DIGEST "\",\"files\":1,\"size_bytes\":2,\"warnings\":[]}"},
        {MSG_STATUS, "{\"runs\":null}"},
        {MSG_CANCEL,
         "{\"run\":\"" PAIR_RUN "\",\"reason\":\"\",\"by\":\"me\",\"grace_ms\":null}"},
        {MSG_COLLECTED,
         "{\"run\":\"" PAIR_RUN "\",\"root\":null,\"sizes\":{\"driver.log\":1}}"},
        {MSG_CHECK, "{\"deep\":false}"},
        {MSG_GC, "{\"is_dry\":true,\"keep_days\":1,\"max_store_bytes\":null}"},
        {MSG_ENVIRONMENTS, "{\"action\":\"list\",\"identity\":null,\"build\":null,"
                           "\"is_forced\":false}"},
        {MSG_BRING, "{\"root\":\"" PAIR_DIGEST "\",\"base\":null}"},
        {MSG_ASSESS, "{\"environment\":{\"definition\":{}},\"interpreter\":null,"
                     "\"brings\":[\"uv\"]}"},
        {MSG_REPORT, "{\"runs\":[]}"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        if (bodies[i].type == type) {
            return bodies[i].body;
        }
    }
    return NULL;
}

static inline void pair_send_text(struct peer *peer, uint32_t stream,
                                  enum message_type type, const char *body)
{
    CLEANUP_JSON struct json *j = json_parse(body, strlen(body), NULL);

    peer_send(peer, stream, type, j);
}

/* Send a message with its usual body. */
static inline void pair_send(struct peer *peer, uint32_t stream, enum message_type type)
{
    const char *body = pair_body(type);

    if (body == NULL) {
        peer_send(peer, stream, type, NULL);
    } else {
        pair_send_text(peer, stream, type, body);
    }
}

/* Move at most step bytes of output to the other side. Returns how many went; -1: err. */
static inline int pair_move(struct peer *from, struct peer *to, size_t step,
                            struct error *err)
{
    size_t length;
    const void *bytes = peer_output(from, &length);

    if (length > step) {
        length = step;
    }
    if (length > 0 && peer_input(to, bytes, length, err) < 0) {
        return -1;
    }
    peer_output_done(from, length);
    return (int)length;
}

/* Append a line that says all that an event says. */
static inline void pair_note(struct strbuf *out, const struct peer_event *event)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < event->length; i++) {
        sum = sum * 31 + event->data[i];
    }
    strbuf_printf(out, "%" PRIu32 " kind %d %s%s%s%s %zu bytes %08" PRIx32 "%s\n",
                  event->stream, (int)event->stream_kind,
                  message_row((uint8_t)event->type)->name, event->is_last ? " last" : "",
                  event->opened ? " opened" : "", event->ended ? " ended" : "",
                  event->length, sum, event->json != NULL ? " json" : "");
}

#endif
