#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/strbuf.h"
#include "controller/ssh_words.h"

/* As OpenSSH 9.2 says it, less what nobody reads. */
#define CONNECTED                                                                        \
    "debug1: Reading configuration data /etc/ssh/ssh_config\n"                           \
    "debug1: Connecting to 127.0.0.1 [127.0.0.1] port 2222.\n"                           \
    "debug1: Connection established.\n"
#define SHAKEN                                                                           \
    CONNECTED                                                                            \
    "debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1 X\n"     \
    "debug1: kex: algorithm: curve25519-sha256\n"                                        \
    "debug1: kex: client->server cipher: aes128-ctr MAC: hmac-sha2-256\n"                \
    "debug1: Server host key: ssh-ed25519 SHA256:abc\n"
#define LOGGING_IN                                                                       \
    SHAKEN                                                                               \
    "debug1: Found key in /home/me/.ssh/known_hosts:7\n"                                 \
    "debug1: SSH2_MSG_NEWKEYS received\n"                                                \
    "debug1: Authentications that can continue: publickey,password\n"                    \
    "debug1: Offering public key: /home/me/my key ED25519 SHA256:k explicit\n"
#define IN                                                                               \
    LOGGING_IN                                                                           \
    "debug1: Server accepts key: /home/me/my key ED25519 SHA256:k explicit\n"            \
    "Authenticated to 127.0.0.1 ([127.0.0.1]:2222) using \"publickey\".\n"               \
    "debug1: Sending command: exec sh -c\n"

static void the_phase_is_the_furthest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ssh_phase phase;
    } rows[] = {
        {"", SSH_RESOLVES},
        {"ssh: Could not resolve hostname x: Name or service not known\n", SSH_RESOLVES},
        {"debug1: Connecting to h [1.2.3.4] port 22.\n", SSH_CONNECTS},
        {"debug1: Executing proxy command: exec ssh -W h jump", SSH_CONNECTS},
        {CONNECTED, SSH_SHAKES_HANDS},
        {SHAKEN, SSH_CHECKS_KEY},
        {LOGGING_IN, SSH_LOGS_IN},
        {IN, SSH_IS_IN},
        {IN "debug1: Connecting to elsewhere", SSH_IS_IN},
        {LOGGING_IN "debug1: Authentication succeeded (publickey).\n", SSH_IS_IN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ssh_words words;
        ssh_words_read(&words, rows[i].text);
        if (words.phase != rows[i].phase) {
            fail_msg("row %zu: %s", i, ssh_phase_name(words.phase));
        }
        ssh_words_release(&words);
    }
}

static void what_was_negotiated_is_kept(void **state)
{
    (void)state;
    struct ssh_words words;
    ssh_words_read(&words, IN);
    assert_string_equal(words.software, "OpenSSH_9.2p1 X");
    assert_string_equal(words.key_exchange, "curve25519-sha256");
    assert_string_equal(words.cipher, "aes128-ctr MAC: hmac-sha2-256");
    assert_string_equal(words.host_key, "ssh-ed25519 SHA256:abc");
    assert_string_equal(words.found_in, "/home/me/.ssh/known_hosts:7");
    assert_string_equal(words.methods, "publickey,password");
    assert_string_equal(words.method, "publickey");
    assert_string_equal(words.accepted_key, "/home/me/my key ED25519 SHA256:k explicit");
    assert_int_equal(words.offered.count, 1);
    assert_int_equal(words.said.count, 0);
    assert_false(words.has_proxy);
    assert_false(words.is_multiplexed);
    ssh_words_release(&words);
}

static void lines_for_people_are_kept_apart(void **state)
{
    (void)state;
    struct ssh_words words;
    ssh_words_read(&words, LOGGING_IN "Welcome\n"
                                      "me@h: Permission denied (publickey).\n"
                                      "Transferred: sent 1, received 2 bytes\n"
                                      "Bytes per second: sent 1.0, received 2.0\n");
    assert_int_equal(words.said.count, 2);
    assert_string_equal(ssh_words_find(&words, "denied"),
                        "me@h: Permission denied (publickey).");
    assert_null(ssh_words_find(&words, "debug1"));
    ssh_words_release(&words);
}

static void what_was_said_before_it_was_in_is_told_apart(void **state)
{
    (void)state;
    struct ssh_words words;
    ssh_words_read(&words,
                   "Warning: Permanently added 'h' to the known hosts.\nbanner\n" IN);
    assert_int_equal(words.said.count, 2);
    assert_int_equal(words.said_before, 2);
    ssh_words_release(&words);
    ssh_words_read(&words, "debug3: more than was asked for\nbanner\n" IN "bash: oops\n");
    assert_int_equal(words.said.count, 2);
    assert_int_equal(words.said_before, 1);
    ssh_words_release(&words);
}

static void a_masters_connection_is_recognised(void **state)
{
    (void)state;
    static const char session[] =
        "debug1: mux_client_request_session: master session id: 2\n";
    struct ssh_words words;
    ssh_words_read(&words, session);
    assert_true(words.is_multiplexed);
    assert_int_equal(words.phase, SSH_IS_IN);
    ssh_words_release(&words);
    CLEANUP_FREE char *own = xasprintf("%s%s", IN, session);
    ssh_words_read(&words, own);
    assert_false(words.is_multiplexed);
    ssh_words_release(&words);
}

static void what_a_server_babbles_is_bounded(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < 5000; i++) {
        strbuf_printf(&text, "line %d\n", i);
        strbuf_printf(&text, "debug1: Offering public key: %d\n", i);
    }
    struct ssh_words words;
    ssh_words_read(&words, text.data);
    assert_true(words.said.count <= 200);
    assert_true(words.offered.count <= 200);
    assert_string_equal(words.said.items[words.said.count - 1], "line 4999");
    ssh_words_release(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_phase_is_the_furthest),
        cmocka_unit_test(what_was_negotiated_is_kept),
        cmocka_unit_test(lines_for_people_are_kept_apart),
        cmocka_unit_test(what_was_said_before_it_was_in_is_told_apart),
        cmocka_unit_test(a_masters_connection_is_recognised),
        cmocka_unit_test(what_a_server_babbles_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
