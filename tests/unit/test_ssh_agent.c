#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "controller/ssh_agent.h"
#include "controller/ssh_wire.h"
#include "tests/unit/scratch.h"

/* An agent that reads one request and answers with these bytes. */
struct peer {
    struct scratch *scratch;
    char *path;
    int listening;
    pid_t pid;
};

static struct peer peer_start(const void *answer, size_t length, bool stays_silent)
{
    struct peer peer = {.scratch = scratch_new()};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    peer.path = scratch_path(peer.scratch, "agent");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", peer.path);
    peer.listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(peer.listening, (struct sockaddr *)&address, sizeof address),
                     0);
    assert_int_equal(listen(peer.listening, 1), 0);
    peer.pid = fork();
    assert_true(peer.pid >= 0);
    if (peer.pid == 0) {
        uint8_t request[4096];
        int fd = accept(peer.listening, NULL, NULL);
        ssize_t got = read(fd, request, sizeof request);
        for (size_t i = 0; i < length && got > 0; i++) { /* byte by byte */
            if (write(fd, (const char *)answer + i, 1) != 1) {
                break;
            }
        }
        while (stays_silent && read(fd, request, sizeof request) > 0) {
        }
        _exit(0);
    }
    return peer;
}

static void peer_end(struct peer *peer)
{
    int status = 0;
    close(peer->listening);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    free(peer->path);
    scratch_free(peer->scratch);
}

static void put(struct strbuf *out, const void *data, size_t length)
{
    assert_int_equal(ssh_put_string(out, data, length, NULL), 0);
}

static void a_list_is_read(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
    strbuf_putc(&body, 12);
    assert_int_equal(ssh_put_u32(&body, 2, NULL), 0);
    put(&body, "key 1", 5);
    put(&body, "me\033[31m", 7);
    put(&body, "key two", 7);
    put(&body, "", 0);
    put(&answer, body.data, body.length);
    struct peer peer = peer_start(answer.data, answer.length, false);
    struct ssh_agent_keys keys;
    CLEANUP(ssh_agent_cleanup) struct ssh_agent *agent = ssh_agent_open(peer.path, NULL);
    assert_non_null(agent);
    assert_int_equal(ssh_agent_list(agent, &keys, NULL), 0);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.items[0].blob, "key 1", 5);
    assert_null(strchr(keys.items[0].comment, '\033'));
    assert_int_equal(keys.items[1].blob_length, 7);
    assert_string_equal(keys.items[1].comment, "");
    ssh_agent_keys_release(&keys);
    peer_end(&peer);
}

static void a_signature_is_what_came(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf inner = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    put(&inner, "rsa-sha2-512", 12);
    put(&inner, "signed", 6);
    strbuf_putc(&body, 14);
    put(&body, inner.data, inner.length);
    put(&answer, body.data, body.length);
    struct peer peer = peer_start(answer.data, answer.length, false);
    uint8_t blob[] = "key";
    struct ssh_agent_key key = {.blob = blob, .blob_length = 3};
    CLEANUP(ssh_agent_cleanup) struct ssh_agent *agent = ssh_agent_open(peer.path, NULL);
    assert_int_equal(
        ssh_agent_sign(agent, &key, "data", 4, SSH_AGENT_RSA_SHA2_512, &out, NULL), 0);
    assert_int_equal(out.length, inner.length);
    assert_memory_equal(out.data, inner.data, inner.length);
    peer_end(&peer);
}

/* What an agent may answer wrongly, and what is then said. */
static void a_bad_answer_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        enum error_code code;
    } answers[] = {
        {"", 0, ERR_PROTOCOL},
        {"\0\0\0", 3, ERR_PROTOCOL},
        {"\0\0\0\0", 4, ERR_PROTOCOL},
        {"\0\0\0\1\5", 5, ERR_ACCESS},
        {"\0\0\0\1\14", 5, ERR_PROTOCOL},
        {"\0\0\0\5\14\0\0\0\1", 9, ERR_PROTOCOL},
        {"\0\0\0\5\15\0\0\0\0", 9, ERR_PROTOCOL},
        {"\0\0\0\6\14\0\0\0\0x", 10, ERR_PROTOCOL},
        {"\0\4\0\1\14\0\0\0\0", 9, ERR_PROTOCOL},
        {"\377\377\377\377", 4, ERR_PROTOCOL},
        {"\0\0\0\x0d\14\0\0\0\1\377\377\377\377\0\0\0\0", 17, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct peer peer = peer_start(answers[i].bytes, answers[i].length, false);
        struct error err = ERROR_INIT;
        struct ssh_agent_keys keys;
        struct ssh_agent *agent = ssh_agent_open(peer.path, NULL);
        assert_int_equal(ssh_agent_list(agent, &keys, &err), -1);
        assert_int_equal(err.code, answers[i].code);
        assert_null(keys.items);
        ssh_agent_free(agent);
        peer_end(&peer);
    }
}

static void a_silent_agent_is_not_waited_for(void **state)
{
    (void)state;
    struct peer peer = peer_start("\0\0\0", 3, true);
    struct error err = ERROR_INIT;
    struct ssh_agent_keys keys;
    struct ssh_agent *agent = ssh_agent_open(peer.path, NULL);
    ssh_agent_set_deadlines(agent, 50, 50);
    assert_int_equal(ssh_agent_list(agent, &keys, &err), -1);
    assert_int_equal(err.code, ERR_TIMED_OUT);
    ssh_agent_free(agent);
    peer_end(&peer);
}

static void a_missing_agent_has_a_sentence(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char path[300];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_null(ssh_agent_open("/nonexistent/agent", &err));
    assert_non_null(strstr(err.text, "/nonexistent/agent"));
    assert_null(ssh_agent_open(path, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_read),
        cmocka_unit_test(a_signature_is_what_came),
        cmocka_unit_test(a_bad_answer_is_refused),
        cmocka_unit_test(a_silent_agent_is_not_waited_for),
        cmocka_unit_test(a_missing_agent_has_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
