/*
 * client_internal: what client.c (the connection), client_link.c (which link it goes
 * over) and client_open.c (the executor's first words on it) share. [controller]
 */
#ifndef CONTROLLER_CLIENT_INTERNAL_H
#define CONTROLLER_CLIENT_INTERNAL_H

#include "controller/client.h"
#include "controller/install.h"

#define CLIENT_READ_SIZE ((size_t)256 << 10)
#define CLIENT_STEPS_MAX 8
#define CLIENT_PROTOCOL 1

struct client_slot {
    uint32_t stream; /* 0: free */
    struct client_request request;
};

struct client {
    struct command_context *context;
    const struct target *target; /* borrowed while connecting */
    struct target *elsewhere;    /* target, at another of its addresses; or NULL */
    char *target_name;
    const struct transport *transport;
    char *reason; /* why this transport */
    struct executor_files executors;
    struct link *link;
    bool is_kept; /* the link goes through a keeper */
    struct keeper_place place;
    struct json *facts; /* of the marker */
    struct loop *loop;
    bool owns_loop;
    struct client_options options;
    int64_t started_ns, spoke_ns; /* monotonic; spoke_ns 0: nothing has come yet */
    struct peer *peer;
    struct client_node node;
    struct client_step steps[CLIENT_STEPS_MAX];
    size_t step_count;
    struct client_slot slots[PEER_STREAMS_MAX];
    int64_t heard_ns;  /* when something last came */
    int64_t looked_ns; /* when that was last looked at */
    int64_t idle_ns;   /* silence after which the link is dead */
    struct loop_timer *liveness;
    uint8_t *buffer;  /* CLIENT_READ_SIZE bytes */
    bool is_paused;   /* what came is kept until the next step */
    int send_failure; /* errno: nothing can be sent any more; 0: not so */
    bool has_failed;
    struct error failure; /* the first one; final */
};

/* Over the link that there is: wait for the executor's words, bring it along where it is
 * missing, and begin the protocol. Errors: client_wait's. */
int client_open_once(struct client *c, struct error *err);
/* The far end has spoken: begin the protocol with what came behind the marker. */
void client_start_protocol(struct client *c, const void *early, size_t early_length);

/* options.is_interrupted has become true. */
bool client_is_interrupted(const struct client *c);

#endif
