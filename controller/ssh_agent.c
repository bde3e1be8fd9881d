#include "controller/ssh_agent.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "controller/ssh_wire.h"
#include "controller/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIST_MS 5000
#define SIGN_MS 60000
#define LENGTH_SIZE 4
#define COMMENT_MAX 200 /* of a comment, what is shown */

enum { /* draft-miller-ssh-agent section 6.1 */
       FAILURE = 5,
       REQUEST_IDENTITIES = 11,
       IDENTITIES_ANSWER = 12,
       SIGN_REQUEST = 13,
       SIGN_RESPONSE = 14,
};

struct ssh_agent {
    int fd;
    int64_t list_ms, sign_ms;
};

struct ssh_agent *ssh_agent_open(const char *socket_path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof address.sun_path) {
        (void)error_set(err, ERR_LIMIT, "the path of the agent's socket is too long: %s",
                        socket_path);
        return NULL;
    }
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    /* One that hangs with a full backlog is as none. */
    if (fd < 0 || fdio_set_cloexec(fd, true, NULL) != 0 ||
        fdio_set_nonblocking(fd, true, NULL) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)error_sys(err, "connect to the agent %s", socket_path);
        return NULL;
    }
    struct ssh_agent *agent = xcalloc(1, sizeof *agent);
    agent->fd = take_fd(&fd);
    agent->list_ms = LIST_MS;
    agent->sign_ms = SIGN_MS;
    return agent;
}

void ssh_agent_free(struct ssh_agent *agent)
{
    if (agent != NULL) {
        fdio_close(&agent->fd);
        free(agent);
    }
}

void ssh_agent_set_deadlines(struct ssh_agent *agent, int64_t list_ms, int64_t sign_ms)
{
    agent->list_ms = list_ms;
    agent->sign_ms = sign_ms;
}

/* Wait until the socket is ready for events. Errors: ERR_TIMED_OUT, by errno. */
static int wait_for(const struct ssh_agent *agent, short events, int64_t deadline_ns,
                    struct error *err)
{
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        struct pollfd polled = {.fd = agent->fd, .events = events};
        if (left_ms <= 0) {
            return error_set(err, ERR_TIMED_OUT, "the agent does not answer");
        }
        int ready = poll(&polled, 1, (int)left_ms);
        if (ready > 0) {
            return 0;
        }
        if (ready < 0 && errno != EINTR) {
            return error_sys(err, "wait for the agent");
        }
    }
}

static int send_all(const struct ssh_agent *agent, const struct strbuf *request,
                    int64_t deadline_ns, struct error *err)
{
    size_t sent = 0;
    while (sent < request->length) {
        ssize_t written =
            send(agent->fd, request->data + sent, request->length - sent, MSG_NOSIGNAL);
        if (written >= 0) {
            sent += (size_t)written;
        } else if (errno == EAGAIN) {
            if (wait_for(agent, POLLOUT, deadline_ns, err) != 0) {
                return -1;
            }
        } else if (errno != EINTR) {
            return error_sys(err, "ask the agent");
        }
    }
    return 0;
}

static int receive(const struct ssh_agent *agent, void *out, size_t length,
                   int64_t deadline_ns, struct error *err)
{
    size_t got = 0;
    while (got < length) {
        ssize_t part = fdio_read(agent->fd, (char *)out + got, length - got);
        if (part > 0) {
            got += (size_t)part;
        } else if (part == 0) {
            return error_set(err, ERR_PROTOCOL, "the agent hung up");
        } else if (errno != EAGAIN) {
            return error_sys(err, "read the agent's answer");
        } else if (wait_for(agent, POLLIN, deadline_ns, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Send a request of one type and body; its answer, without the length, replaces both. */
static int ask(const struct ssh_agent *agent, struct strbuf *body, int64_t timeout_ms,
               struct error *err)
{
    CLEANUP_STRBUF struct strbuf request = STRBUF_INIT;
    uint8_t prefix[LENGTH_SIZE];
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ms * NS_PER_MS;
    if (ssh_put_string(&request, body->data, body->length, err) != 0 ||
        send_all(agent, &request, deadline_ns, err) != 0 ||
        receive(agent, prefix, sizeof prefix, deadline_ns, err) != 0) {
        return -1;
    }
    struct ssh_reader reader = {prefix, sizeof prefix, false};
    size_t length = ssh_get_u32(&reader);
    if (length == 0 || length > SSH_AGENT_ANSWER_MAX) {
        return error_set(err, ERR_PROTOCOL, "the agent's answer has %zu bytes", length);
    }
    strbuf_reset(body);
    char *place = strbuf_reserve(body, length, err);
    if (place == NULL || receive(agent, place, length, deadline_ns, err) != 0) {
        return -1;
    }
    strbuf_grown(body, length);
    return 0;
}

void ssh_agent_keys_release(struct ssh_agent_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->items[i].blob);
        free(keys->items[i].comment);
    }
    free(keys->items);
    *keys = (struct ssh_agent_keys){0};
}

/* The answer's type, which is to be wanted. */
static int check_type(struct ssh_reader *reader, uint8_t wanted, struct error *err)
{
    uint8_t type = ssh_get_u8(reader);
    if (type == FAILURE && !reader->is_broken) {
        return error_set(err, ERR_ACCESS, "the agent refused");
    }
    if (type != wanted || reader->is_broken) {
        return error_set(err, ERR_PROTOCOL, "the agent's answer is not one");
    }
    return 0;
}

static int cut_answer(struct error *err)
{
    return error_set(err, ERR_PROTOCOL, "the agent's answer is cut, or too long");
}

int ssh_agent_read_keys(const void *data, size_t length, struct ssh_agent_keys *out,
                        struct error *err)
{
    struct ssh_reader reader = {data, length, false};
    struct ssh_agent_keys keys = {0};
    *out = keys;
    if (check_type(&reader, IDENTITIES_ANSWER, err) != 0) {
        return -1;
    }
    uint32_t count = ssh_get_u32(&reader);
    keys.items = xcalloc(SSH_AGENT_KEYS_MAX, sizeof *keys.items);
    for (uint32_t i = 0; i < count && !reader.is_broken; i++) {
        struct ssh_bytes blob = ssh_get_string(&reader);
        struct ssh_bytes comment = ssh_get_string(&reader);
        if (reader.is_broken || keys.count == SSH_AGENT_KEYS_MAX) {
            continue;
        }
        CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
        terminal_make_safe(comment.data,
                           comment.length < COMMENT_MAX ? comment.length : COMMENT_MAX,
                           &safe);
        keys.items[keys.count++] = (struct ssh_agent_key){
            .blob = xmemdup(blob.data, blob.length),
            .blob_length = blob.length,
            .comment = strbuf_detach(&safe),
        };
    }
    if (reader.is_broken || reader.left > 0) {
        ssh_agent_keys_release(&keys);
        return cut_answer(err);
    }
    *out = keys;
    return 0;
}

int ssh_agent_read_signature(const void *data, size_t length, struct strbuf *out,
                             struct error *err)
{
    struct ssh_reader reader = {data, length, false};
    if (check_type(&reader, SIGN_RESPONSE, err) != 0) {
        return -1;
    }
    struct ssh_bytes signature = ssh_get_string(&reader);
    struct ssh_reader inside = {signature.data, signature.length, false};
    struct ssh_bytes kind = ssh_get_string(&inside);
    struct ssh_bytes bytes = ssh_get_string(&inside);
    if (reader.is_broken || reader.left > 0 || inside.is_broken || kind.length == 0 ||
        bytes.length == 0) {
        return cut_answer(err);
    }
    return strbuf_add(out, signature.data, signature.length, err);
}

int ssh_agent_list(struct ssh_agent *agent, struct ssh_agent_keys *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    strbuf_putc(&body, REQUEST_IDENTITIES);
    *out = (struct ssh_agent_keys){0};
    return ask(agent, &body, agent->list_ms, err) == 0
               ? ssh_agent_read_keys(body.data, body.length, out, err)
               : -1;
}

int ssh_agent_sign(struct ssh_agent *agent, const struct ssh_agent_key *key,
                   const void *data, size_t length, uint32_t flags, struct strbuf *out,
                   struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    strbuf_putc(&body, SIGN_REQUEST);
    if (ssh_put_string(&body, key->blob, key->blob_length, err) != 0 ||
        ssh_put_string(&body, data, length, err) != 0 ||
        ssh_put_u32(&body, flags, err) != 0 ||
        ask(agent, &body, agent->sign_ms, err) != 0) {
        return -1;
    }
    return ssh_agent_read_signature(body.data, body.length, out, err);
}
