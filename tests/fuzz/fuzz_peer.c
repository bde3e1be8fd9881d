/*
 * peer: any bytes from the other end, however cut.
 *
 * The first byte chooses the side (bit 0: executor) and the form: bit 1: what follows are
 * the bytes of the wire; else records (u8 type, u8 flags, u8 stream, u16 length, payload)
 * that are made into frames, so that a changed payload still has its right length. For
 * the controller streams of every kind are open. The same input must give the same events
 * and the same error whether it comes whole or byte by byte.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/peer_pair.h"

#define LENGTH_MAX 8192

enum {
    IS_EXECUTOR = 1,
    IS_RAW = 2,
};

/* What the controller asks for: streams 1 to 11. */
static void open_streams(struct peer *peer)
{
    static const enum message_type requests[] = {
        MSG_SUBMIT, MSG_FOLLOW, MSG_FETCH,     MSG_STATUS, MSG_CANCEL, MSG_CHECK,
        MSG_GC,     MSG_FETCH,  MSG_COLLECTED, MSG_BRING,  MSG_ASSESS};

    pair_send(peer, 0, MSG_HELLO);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        pair_send(peer, peer_open(peer), requests[i]);
    }
    pair_send(peer, 8, MSG_RESET);
}

static void make_frames(struct fuzz_input in, struct strbuf *out)
{
    while (in.size > 0) {
        unsigned type = fuzz_byte(&in);
        unsigned flags = fuzz_byte(&in);
        unsigned stream = fuzz_byte(&in);
        struct fuzz_input payload = fuzz_take(&in, fuzz_u16(&in) % LENGTH_MAX);

        pair_frame(out, type, flags, stream, payload.data, payload.size);
    }
}

/* What an owner does: give credit back, answer some of what was asked. */
static void react(struct peer *peer, enum peer_side side, const struct peer_event *event)
{
    assert(event->type != MSG_PING && event->type != MSG_PONG &&
           event->type != MSG_CREDIT);
    assert((event->json != NULL) ==
           (message_row((uint8_t)event->type)->body == BODY_JSON));
    if (event->type == MSG_DATA) {
        peer_consumed(peer, event->stream, event->length);
    }
    if (side == PEER_EXECUTOR && event->opened && event->stream % 2 == 0) {
        struct error err = ERROR_INIT;

        error_set(&err, ERR_BUSY, "no");
        peer_send_error(peer, event->stream, &err);
    }
    if (event->ended) {
        assert(!peer_is_open(peer, event->stream));
        assert(peer_data_room(peer, event->stream) == 0);
    }
}

static void note_error(struct strbuf *notes, const struct error *err)
{
    fuzz_check_error(err);
    assert(err->code == ERR_PROTOCOL || err->code == ERR_LIMIT);
    strbuf_printf(notes, "%d %s\n", (int)err->code, err->text);
}

/* Append what comes of the bytes, given in pieces of at most piece. */
static void feed(enum peer_side side, const struct strbuf *bytes, size_t piece,
                 struct strbuf *notes)
{
    CLEANUP(peer_cleanup) struct peer *peer = peer_new(side);
    struct error err = ERROR_INIT;
    struct peer_event event;
    int result = 0;

    if (side == PEER_CONTROLLER) {
        open_streams(peer);
    }
    for (size_t at = 0; at < bytes->length && result >= 0; at += piece) {
        size_t left = bytes->length - at;

        result = peer_input(peer, bytes->data + at, left < piece ? left : piece, &err);
        while (result >= 0 && (result = peer_next(peer, &event, &err)) > 0) {
            pair_note(notes, &event);
            react(peer, side, &event);
        }
    }
    if (result < 0) {
        struct error again = ERROR_INIT;

        note_error(notes, &err);
        result = peer_input(peer, "", 1, &again);
        assert(result < 0 && strcmp(again.text, err.text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    unsigned choice = fuzz_byte(&in);
    enum peer_side side = choice & IS_EXECUTOR ? PEER_EXECUTOR : PEER_CONTROLLER;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;
    static const size_t pieces[] = {1, 13};

    if (choice & IS_RAW) {
        (void)strbuf_add(&bytes, in.data, in.size, NULL);
    } else {
        make_frames(in, &bytes);
    }
    feed(side, &bytes, bytes.length + 1, &whole);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        CLEANUP_STRBUF struct strbuf cut = STRBUF_INIT;

        feed(side, &bytes, pieces[i], &cut);
        assert(strcmp(whole.data, cut.data) == 0);
    }
    return 0;
}
