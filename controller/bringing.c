#include "controller/bringing.h"

#include "common/transfer.h"

#define PROGRESS_MIN_BYTES (1u << 20) /* less is sent before a person can read it */

struct bringing {
    struct command_context *context;
    struct client *client;
    const char *what;
    struct push *push;
    bool is_done, has_error;
    struct error error;
};

static int on_room(void *context, struct error *err)
{
    struct bringing *b = context;
    struct transfer_progress progress;
    if (push_pump(b->push, err) != 0) {
        return -1;
    }
    push_progress(b->push, &progress);
    if (progress.bytes_total > PROGRESS_MIN_BYTES) {
        terminal_progress(b->context->terminal, b->what, progress.bytes_delivered,
                          progress.bytes_total);
    }
    return 0;
}

static int on_event(void *context, const struct peer_event *event, struct error *err)
{
    struct bringing *b = context;
    if (event->type == MSG_ERROR) {
        client_take_error(b->client, event->json, &b->error);
        b->has_error = true;
    }
    b->is_done = event->ended;
    if (b->is_done) {
        return 0;
    }
    return push_event(b->push, event, err) != 0 ? -1 : on_room(b, err);
}

/* The tree is named as its own base: a node that has it already needs nothing, and one
 * that has not asks for what it lacks. */
static int begin(struct bringing *b, uint32_t stream, const struct oid *root,
                 struct error *err)
{
    const struct object_source source = store_source(b->context->store);
    char hex[OID_HEX_SIZE];
    CLEANUP_JSON struct json *body = json_new_object();
    oid_to_hex(root, hex);
    json_add_string(body, "root", hex);
    json_add_string(body, "base", hex);
    peer_send(client_peer(b->client), stream, MSG_BRING, body);
    b->push = push_new(client_peer(b->client), stream, &source, root, root, err);
    return b->push == NULL ? -1 : on_room(b, err);
}

int bringing_send(struct command_context *context, struct client *client,
                  const struct oid *root, const char *what, const bool *is_interrupted,
                  uint64_t *out_bytes, struct error *err)
{
    struct bringing b = {.context = context, .client = client, .what = what};
    const struct client_request request = {
        .context = &b, .event = on_event, .room = on_room};
    struct transfer_progress progress = {0};
    uint32_t stream = client_open(client, &request, err);
    int result = stream == 0 ? -1 : begin(&b, stream, root, err);
    while (result == 0 && !b.is_done && (is_interrupted == NULL || !*is_interrupted)) {
        result = client_step(client, err);
    }
    client_abandon(client, stream);
    terminal_progress_clear(context->terminal);
    if (b.push != NULL) {
        push_progress(b.push, &progress);
    }
    push_free(b.push);
    *out_bytes = progress.bytes_sent;
    if (result == 0 && b.has_error) {
        return error_copy(err, &b.error);
    }
    if (result == 0 && !b.is_done) {
        return error_set(err, ERR_CANCELED, "interrupted while sending");
    }
    return result;
}
