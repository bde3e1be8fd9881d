#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "controller/openssh_explain.h"

#define OWN_FAILURE (255 << 8)

static const struct openssh_story batch = {
    .where = "n (me@h port 22)", .by_hand = "ssh h", .target = "n", .settings = "n.yaml"};
static const struct openssh_story asking = {.where = "n (me@h port 22)",
                                            .by_hand = "ssh h",
                                            .target = "n",
                                            .settings = "n.yaml",
                                            .may_ask = true};

static struct error explain(const struct openssh_story *story, int status,
                            const char *words, struct link_end end)
{
    struct error err = ERROR_INIT;
    end.noise = end.noise != NULL ? end.noise : "";
    const struct process_end p = {.status = status, .words = words, .end = &end};
    assert_int_equal(openssh_explain(story, &p, &err), -1);
    assert_ptr_equal(strstr(err.text, "n (me@h port 22): "), err.text);
    return err;
}

static void check(const struct error *err, enum error_code code, const char *text,
                  const char *hint)
{
    if (err->code != code || strstr(err->text, text) == NULL ||
        strstr(err->hint, hint) == NULL) {
        fail_msg("%s: %s -> %s", error_code_name(err->code), err->text, err->hint);
    }
}

static void what_ssh_complains_of_gets_its_phase_and_a_hint(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum error_code code;
        const char *text, *hint;
    } rows[] = {
        {"ssh: Could not resolve hostname h: Name or service not known", ERR_CONNECT,
         "resolve: ssh: Could not", "target list"},
        {"debug1: Connecting to h [::1] port 22.\n"
         "ssh: connect to host h port 22: Connection refused",
         ERR_CONNECT, "connect: ssh: connect to host", "is sshd running"},
        {"debug1: Connecting to h [::1] port 22.\n"
         "ssh: connect to host h port 22: Connection timed out",
         ERR_CONNECT, "connect: ssh: connect", "firewall"},
        {"debug1: Connection established.\nConnection timed out during banner exchange\n"
         "Connection to h port 22 timed out",
         ERR_CONNECT, "handshake: Connection timed out during banner", "no SSH server"},
        {"debug1: Connection established.\n"
         "kex_exchange_identification: Connection closed by remote host\n"
         "Connection closed by ::1 port 22",
         ERR_BUSY, "handshake: Connection closed", "MaxStartups"},
        {"debug1: Remote protocol version 2.0, remote software version x\n"
         "Connection closed by ::1 port 22",
         ERR_CONNECT, "handshake: Connection closed", "hung up"},
        {"debug1: SSH2_MSG_NEWKEYS received\n"
         "debug1: Server accepts key: /k ED25519 SHA256:x explicit\n"
         "Authenticated using \"publickey\" with partial success.\n"
         "debug1: Authentications that can continue: password\n"
         "me@h: Permission denied (password).",
         ERR_LOGIN, "the key /k is not enough; the server takes password as well",
         "on a terminal only"},
        {"Protocol major versions differ: 2 vs. 1", ERR_CONNECT, "handshake: Protocol",
         "SSH 1"},
        /* The way's own complaint, not what follows from it. */
        {"debug1: Executing proxy command: exec ssh -W h jump\n"
         "ssh: connect to host jump port 22: No route to host\n"
         "Connection closed by UNKNOWN port 65535",
         ERR_CONNECT, "jump host: ssh: connect to host jump", "ProxyJump"},
        {"debug1: Executing proxy command: exec ssh -W h jump\n"
         "me@jump: Permission denied (publickey).\n"
         "Connection closed by UNKNOWN port 65535",
         ERR_CONNECT, "jump host: me@jump: Permission denied", "ProxyJump"},
        /* What a banner says is no failure of ours. */
        {"debug1: SSH2_MSG_NEWKEYS received\nNo route to host is the band tonight\n"
         "Connection reset by ::1 port 22",
         ERR_CONNECT, "login: Connection reset", "hung up"},
        {"debug1: SSH2_MSG_NEWKEYS received\n"
         "debug1: Authentications that can continue: publickey\n"
         "debug1: Offering public key: /k ED25519 SHA256:x explicit\n"
         "me@h: Permission denied (publickey).",
         ERR_LOGIN, "login: permission denied; the server takes publickey, offered: /k",
         "authorized_keys"},
        {"debug1: SSH2_MSG_NEWKEYS received\n"
         "debug1: Authentications that can continue: password\n"
         "me@h: Permission denied (password).",
         ERR_LOGIN, "no key was offered", "a password is asked for on a terminal only"},
        {"debug1: SSH2_MSG_NEWKEYS received\n"
         "debug1: Server accepts key: /my key ED25519 SHA256:x explicit\n"
         "me@h: Permission denied (publickey).",
         ERR_LOGIN, "take the key /my key, but its passphrase", "ssh-add /my key"},
        {"debug1: SSH2_MSG_NEWKEYS received\n"
         "Permissions 0644 for '/k' are too open.\n"
         "me@h: Permission denied (publickey).",
         ERR_LOGIN, "others may read the private key /k", "chmod 600 /k"},
        {"what no release has said yet", ERR_LINK, "it said: what no release", "ssh h"},
        {"", ERR_LINK, "resolve: ssh exited with status 255", "by hand: ssh h"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err =
            explain(&batch, OWN_FAILURE, rows[i].words, (struct link_end){0});
        check(&err, rows[i].code, rows[i].text, rows[i].hint);
    }
}

static void an_unknown_key_is_told_with_its_fingerprint(void **state)
{
    (void)state;
    static const char words[] = "debug1: Server host key: ssh-ed25519 SHA256:abc\n"
                                "No ED25519 host key is known for h and you have "
                                "requested strict checking.\n"
                                "Host key verification failed.";
    struct error err = explain(&batch, OWN_FAILURE, words, (struct link_end){0});
    check(&err, ERR_HOST_KEY, "not known here yet; it shows ssh-ed25519 SHA256:abc",
          "errand target check n --accept-new");
    err = explain(&asking, OWN_FAILURE,
                  "debug1: Server host key: ssh-ed25519 SHA256:abc\n"
                  "Host key verification failed.",
                  (struct link_end){0});
    check(&err, ERR_HOST_KEY, "SHA256:abc was not accepted; nothing was sent", "");
}

/* The key, and what ssh-keygen -l has for it. */
#define KNOWN_KEY "AAAAC3NzaC1lZDI1NTE5AAAAILd6VUoBfIhQyZ4MBYZ/cL0JJfTdrT4gHsHi3RaCr7mE"
#define KNOWN_FINGERPRINT "SHA256:m6x7uwAuOiO8p/txY3AZoevjY4n9yc3B5nS2pt1jADY"

static void a_changed_key_is_told_with_both_and_where(void **state)
{
    (void)state;
    char path[] = "/tmp/known_hosts.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    (void)fprintf(file, "# mine\nh ssh-ed25519 " KNOWN_KEY " me@here\n");
    assert_int_equal(fclose(file), 0);
    CLEANUP_FREE char *words =
        xasprintf("debug1: Server host key: ssh-ed25519 SHA256:new\n"
                  "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
                  "Offending ED25519 key in %s:2\n"
                  "  remove with:\n"
                  "  ssh-keygen -f \"%s\" -R \"h\"\n"
                  "Host key verification failed.",
                  path, path);
    CLEANUP_FREE char *known =
        xasprintf("known is the key " KNOWN_FINGERPRINT " (%s:2)", path);
    CLEANUP_FREE char *remove = xasprintf("ssh-keygen -f \"%s\" -R \"h\"", path);
    struct error err = explain(&asking, OWN_FAILURE, words, (struct link_end){0});
    check(&err, ERR_HOST_KEY, "CHANGED: the machine shows ssh-ed25519 SHA256:new",
          remove);
    check(&err, ERR_HOST_KEY, known, "ask its administrator");
    (void)unlink(path);
    err = explain(&batch, OWN_FAILURE, words, (struct link_end){0});
    check(&err, ERR_HOST_KEY, "known is another key", "ask its administrator");
}

static void the_far_ends_own_end_is_no_failure_of_ssh(void **state)
{
    (void)state;
    static const char in[] = "Authenticated to h ([::1]:22) using \"publickey\".\n";
    struct error err = explain(&batch, 3 << 8, in, (struct link_end){.noise = "bye"});
    check(&err, ERR_BOOTSTRAP,
          "start: logged in, but what runs there exited with status 3 and no executor "
          "began; it said: bye",
          "ForceCommand");
    err = explain(&batch, OWN_FAILURE, in, (struct link_end){0});
    check(&err, ERR_LINK, "start: ssh exited with status 255", "by hand");
    CLEANUP_FREE char *killed = xasprintf(
        "%sdebug1: client_input_channel_req: channel 0 rtype exit-signal reply 0\n", in);
    err = explain(&batch, OWN_FAILURE, killed, (struct link_end){0});
    check(&err, ERR_BOOTSTRAP, "was killed by a signal and no executor began", "");
}

static void lateness_names_the_phase(void **state)
{
    (void)state;
    const struct link_end late = {.late_ms = 40000};
    struct error err = explain(&batch, 15, "debug1: Connection established.\n", late);
    check(&err, ERR_TIMED_OUT,
          "handshake: the port is open, but no SSH server answers after 40 s",
          "`login_timeout`");
    err = explain(&batch, 15, "Authenticated to h using \"none\".\nwait\n", late);
    check(&err, ERR_TIMED_OUT, "no executor begins after 40 s; it said: wait", "ssh h");
}

static void an_objection_keeps_its_code_and_hint(void **state)
{
    (void)state;
    struct error cause = {.code = ERR_LIMIT, .text = "too much", .hint = ""};
    struct error err =
        explain(&batch, 15, "", (struct link_end){.cause = &cause, .noise = "bla"});
    check(&err, ERR_LIMIT, "start: too much; it said: bla", "by hand: ssh h");
    cause = (struct error){.code = ERR_VERSION, .text = "too old", .hint = "update"};
    err = explain(&batch, 15, "", (struct link_end){.cause = &cause});
    check(&err, ERR_VERSION, "start: too old", "update");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ssh_complains_of_gets_its_phase_and_a_hint),
        cmocka_unit_test(an_unknown_key_is_told_with_its_fingerprint),
        cmocka_unit_test(a_changed_key_is_told_with_both_and_where),
        cmocka_unit_test(the_far_ends_own_end_is_no_failure_of_ssh),
        cmocka_unit_test(lateness_names_the_phase),
        cmocka_unit_test(an_objection_keeps_its_code_and_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
