#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>

#include "common/bytes.h"
#include "controller/known_hosts.h"
#include "controller/known_hosts_name.h"
#include "controller/ssh_wire.h"
#include "tests/unit/scratch.h"

/* A key of a kind, told apart by its digit. */
struct key {
    struct strbuf blob;
    struct strbuf text; /* "kind base64" */
};

static void key_release(struct key *key)
{
    strbuf_release(&key->blob);
    strbuf_release(&key->text);
}

static struct key key_of(const char *kind, char digit)
{
    struct key key = {STRBUF_INIT, STRBUF_INIT};
    char body[32];
    memset(body, digit, sizeof body);
    assert_int_equal(ssh_put_string(&key.blob, kind, strlen(kind), NULL), 0);
    assert_int_equal(ssh_put_string(&key.blob, body, sizeof body, NULL), 0);
    strbuf_printf(&key.text, "%s ", kind);
    bytes_to_base64(&key.text, key.blob.data, key.blob.length);
    return key;
}

#define ED25519 "ssh-ed25519"
/* Made and printed by ssh-keygen. */
#define FINGERPRINT_KEY                                                                  \
    "AAAAC3NzaC1lZDI1NTE5AAAAIELq/BgksiX9pQgGhMN+5qpkVbLhJSQmuZE8Tb1TC6jm"
#define FINGERPRINT "SHA256:BtIDV5JyaHbSJS4t+LkaKl51UikwEuc7xmaHtxt+uHE"
#define KEY(name, kind, digit) CLEANUP(key_release) struct key name = key_of(kind, digit)

static enum known_hosts_verdict verdict_of(const char *host, uint16_t port,
                                           const char *file, const struct key *key,
                                           size_t *out_line)
{
    CLEANUP(known_hosts_cleanup)
    struct known_hosts *known = known_hosts_new(host, port);
    struct known_hosts_line line;
    known_hosts_parse(known, "f", file, strlen(file));
    enum known_hosts_verdict verdict =
        known_hosts_check(known, key->blob.data, key->blob.length, &line);
    assert_int_equal(line.path == NULL, verdict == KNOWN_HOSTS_UNKNOWN);
    *out_line = line.number;
    return verdict;
}

/* Of a file of one line, "NAMES KEY", and the same key from the server. */
static bool is_known(const char *host, uint16_t port, const char *names)
{
    KEY(key, ED25519, '1');
    size_t line = 0;
    CLEANUP_FREE char *file = xasprintf("%s %s\n", names, key.text.data);
    return verdict_of(host, port, file, &key, &line) == KNOWN_HOSTS_KNOWN && line == 1;
}

static void names_are_patterns(void **state)
{
    (void)state;
    assert_true(is_known("gpu1", 22, "gpu1"));
    assert_true(is_known("GPU1", 0, "gpu1"));
    assert_true(is_known("gpu1", 22, "a,GPU1,b"));
    assert_true(is_known("gpu1", 22, "*"));
    assert_true(is_known("gpu1", 22, "g*1"));
    assert_true(is_known("gpu1", 22, "*p*?"));
    assert_true(is_known("gpu1", 22, "gpu?"));
    assert_true(is_known("a.b.c", 22, "*.c"));
    assert_false(is_known("gpu1", 22, "gpu"));
    assert_false(is_known("gpu1", 22, "gpu12"));
    assert_false(is_known("gpu1", 22, "gpu1?"));
    assert_false(is_known("gpu1", 22, "*2"));
    assert_false(is_known("gpu1", 22, ","));
    assert_true(is_known("gpu1", 22, ",,gpu1"));
    assert_false(is_known("gpu1", 22, "*,!gpu1"));
    assert_false(is_known("gpu1", 22, "!gpu?,gpu1"));
    assert_true(is_known("gpu1", 22, "!gpu2,gpu*"));
    assert_false(is_known("gpu1", 22, "!gpu2"));
}

static void names_have_ports(void **state)
{
    (void)state;
    assert_true(is_known("gpu1", 2222, "[gpu1]:2222"));
    assert_true(is_known("gpu1", 2222, "[gpu*]:2222"));
    assert_false(is_known("gpu1", 2223, "[gpu1]:2222"));
    assert_false(is_known("gpu1", 22, "[gpu1]:2222"));
    assert_true(is_known("gpu1", 2222, "gpu1"));
    assert_true(is_known("::1", 22, "::1"));
    assert_true(is_known("::1", 2222, "[::1]:2222"));
}

/* Made by ssh-keygen -H of OpenSSH 9.2. */
static void names_are_hashed(void **state)
{
    (void)state;
    const char *gpu1 = "|1|15dQQ9WAivbXKdEbeLu0spu5yJ4=|UxVqg9mD7pwIEC9udV+ANZhJ8eQ=";
    assert_true(is_known("gpu1", 22, gpu1));
    CLEANUP_STRBUF struct strbuf hashed = STRBUF_INIT;
    known_hosts_name_hash(&hashed, "gpu1");
    assert_true(is_known("gpu1", 22, hashed.data));
    assert_false(is_known("gpu2", 22, hashed.data));
    strbuf_reset(&hashed);
    known_hosts_name_hash(&hashed, "[gpu1]:2222");
    assert_true(is_known("gpu1", 2222, hashed.data));
    assert_false(is_known("gpu1", 22, hashed.data));
    assert_false(is_known("gpu2", 22, gpu1));
    assert_false(is_known("gpu1", 22, "|1|15dQQ9WAivbXKdEbeLu0spu5yJ4=|"));
    assert_false(is_known("gpu1", 22, "|"));
    assert_false(is_known("gpu1", 22, "|1"));
    assert_false(is_known("gpu1", 22, "|1|"));
    assert_false(is_known("gpu1", 22, "|2|AAAA|AAAA"));
    assert_false(is_known("gpu1", 22, "|1|not base64|x"));
    hashed.data[hashed.length - 2] = '!';
    assert_false(is_known("gpu1", 2222, hashed.data));
}

static void a_pattern_with_many_stars_takes_no_time(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf stars = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf host = STRBUF_INIT;
    for (int i = 0; i < 300; i++) {
        strbuf_puts(&stars, "*a");
        strbuf_puts(&host, "aaaa");
    }
    strbuf_puts(&stars, "*b");
    assert_false(is_known(host.data, 22, stars.data));
}

static void the_verdict_is_that_of_all_lines(void **state)
{
    (void)state;
    KEY(mine, ED25519, '1');
    KEY(other, ED25519, '2');
    KEY(ecdsa, "ecdsa-sha2-nistp256", '3');
    size_t line = 0;
    CLEANUP_FREE char *differs =
        xasprintf("#\nh %s\nh %s", other.text.data, ecdsa.text.data);
    CLEANUP_FREE char *both = xasprintf("h %s\nh %s\n", other.text.data, mine.text.data);
    assert_int_equal(verdict_of("x", 22, both, &mine, &line), KNOWN_HOSTS_UNKNOWN);
    assert_int_equal(verdict_of("h", 22, both, &mine, &line), KNOWN_HOSTS_KNOWN);
    assert_int_equal(line, 2);
    assert_int_equal(verdict_of("h", 22, differs, &mine, &line), KNOWN_HOSTS_CHANGED);
    assert_int_equal(line, 2);
    /* ssh says so too where only a key of another kind is known. */
    CLEANUP_FREE char *kind = xasprintf("h %s\n", ecdsa.text.data);
    assert_int_equal(verdict_of("h", 22, kind, &mine, &line), KNOWN_HOSTS_CHANGED);
    /* Without the port another key says nothing. */
    assert_int_equal(verdict_of("h", 2222, kind, &mine, &line), KNOWN_HOSTS_UNKNOWN);
}

static void a_revoked_key_is_revoked_before_all_else(void **state)
{
    (void)state;
    KEY(mine, ED25519, '1');
    KEY(other, ED25519, '2');
    size_t line = 0;
    CLEANUP_FREE char *file =
        xasprintf("h %s\n  @revoked\t*  %s comment\n", mine.text.data, mine.text.data);
    assert_int_equal(verdict_of("h", 22, file, &mine, &line), KNOWN_HOSTS_REVOKED);
    assert_int_equal(line, 2);
    assert_int_equal(verdict_of("h", 2222, file, &mine, &line), KNOWN_HOSTS_REVOKED);
    /* What is revoked is not known either. */
    CLEANUP_FREE char *alone = xasprintf("@revoked h %s\n", mine.text.data);
    assert_int_equal(verdict_of("h", 22, alone, &other, &line), KNOWN_HOSTS_UNKNOWN);
    assert_int_equal(verdict_of("h", 22, alone, &mine, &line), KNOWN_HOSTS_REVOKED);
}

static void a_bad_line_hides_no_other(void **state)
{
    (void)state;
    KEY(key, ED25519, '1');
    static const char *const bad[] = {
        "garbage",
        "h",
        "h ",
        "h ssh-ed25519",
        "h ssh-ed25519 ====",
        "@foo h %s",
        "@revoked @revoked h %s",
        "@revoked",
        "@",
        "\x01\x02\xff",
        "h # %s",
        "|1|x %s",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t line = 0;
        CLEANUP_STRBUF struct strbuf file = STRBUF_INIT;
        const char *with = strstr(bad[i], "%s");
        strbuf_puts(&file, bad[i]);
        if (with != NULL) {
            strbuf_truncate(&file, (size_t)(with - bad[i]));
            strbuf_puts(&file, key.text.data);
        }
        assert_int_equal(verdict_of("h", 22, file.data, &key, &line),
                         KNOWN_HOSTS_UNKNOWN);
        strbuf_printf(&file, "\nh %s\n", key.text.data);
        assert_int_equal(verdict_of("h", 22, file.data, &key, &line), KNOWN_HOSTS_KNOWN);
        assert_int_equal(line, 2);
    }
}

static void a_kind_has_other_names_in_lines(void **state)
{
    (void)state;
    KEY(rsa, "ssh-rsa", '1');
    size_t line = 0;
    const char *base64 = strchr(rsa.text.data, ' ') + 1;
    static const struct {
        const char *word;
        enum known_hosts_verdict verdict;
    } words[] = {
        {"ssh-rsa", KNOWN_HOSTS_KNOWN},   {"rsa-sha2-512", KNOWN_HOSTS_KNOWN},
        {"rsa", KNOWN_HOSTS_UNKNOWN},     {"ssh-ed25519", KNOWN_HOSTS_UNKNOWN},
        {"ED25519", KNOWN_HOSTS_UNKNOWN}, {"SSH-RSA", KNOWN_HOSTS_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        CLEANUP_FREE char *file = xasprintf("h %s %s\r\n", words[i].word, base64);
        assert_int_equal(verdict_of("h", 22, file, &rsa, &line), words[i].verdict);
    }
}

static void authorities_and_kinds_are_told(void **state)
{
    (void)state;
    KEY(ed25519, ED25519, '1');
    KEY(more, ED25519, '2');
    KEY(ecdsa, "ecdsa-sha2-nistp256", '3');
    CLEANUP(known_hosts_cleanup) struct known_hosts *known = known_hosts_new("h", 22);
    CLEANUP_FREE char *first = xasprintf("h %s\nh %s\n@revoked h %s\n", ed25519.text.data,
                                         more.text.data, ecdsa.text.data);
    CLEANUP_FREE char *second =
        xasprintf("h %s\n@cert-authority *.org %s", ecdsa.text.data, more.text.data);
    CLEANUP_FREE char *third = xasprintf("@cert-authority h %s", more.text.data);
    known_hosts_parse(known, "1", first, strlen(first));
    assert_string_equal(known_hosts_kind(known, 0), ED25519);
    assert_null(known_hosts_kind(known, 1));
    known_hosts_parse(known, "2", second, strlen(second));
    assert_string_equal(known_hosts_kind(known, 1), "ecdsa-sha2-nistp256");
    assert_null(known_hosts_kind(known, 2));
    assert_false(known_hosts_has_authority(known));
    known_hosts_parse(known, "3", third, strlen(third));
    assert_true(known_hosts_has_authority(known));
}

static void a_missing_file_is_empty_and_an_unreadable_one_an_error(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP(known_hosts_cleanup) struct known_hosts *known = known_hosts_new("h", 22);
    CLEANUP_FREE char *missing = scratch_path(s, "missing");
    struct error err = ERROR_INIT;
    assert_int_equal(known_hosts_read(known, missing, &err), 0);
    assert_int_equal(known_hosts_read(known, "/dev/null", &err), 0);
    assert_int_equal(known_hosts_read(known, s->path, &err), -1);
    assert_non_null(strstr(err.text, s->path));
}

static void a_line_is_added_as_ssh_writes_it(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FREE char *path = scratch_path(s, ".ssh/known_hosts");
    CLEANUP(known_hosts_cleanup) struct known_hosts *known = known_hosts_new("H", 2222);
    KEY(key, ED25519, '1');
    KEY(other, ED25519, '2');
    CLEANUP_FREE char *line = xasprintf("[h]:2222 %s\n", key.text.data);
    for (int i = 0; i < 2; i++) { /* the second finds it there */
        assert_int_equal(
            known_hosts_add(known, path, key.blob.data, key.blob.length, false, NULL), 0);
        assert_file(s, ".ssh/known_hosts", line);
    }
    assert_int_equal(scratch_stat(s, ".ssh").st_mode & 0777, 0700);
    assert_int_equal(scratch_stat(s, ".ssh/known_hosts").st_mode & 0777, 0600);

    scratch_write(s, "hosts", "# no newline");
    CLEANUP_FREE char *hosts = scratch_path(s, "hosts");
    assert_int_equal(
        known_hosts_add(known, hosts, other.blob.data, other.blob.length, true, NULL), 0);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    assert_int_equal(files_read(s->fd, "hosts", &text, NULL), 0);
    assert_null(strstr(text.data, "2222"));
    assert_non_null(strstr(text.data, "# no newline\n|1|"));
    size_t number = 0;
    assert_int_equal(verdict_of("h", 2222, text.data, &other, &number),
                     KNOWN_HOSTS_KNOWN);
    assert_int_equal(number, 2);
}

static void a_name_with_a_meaning_is_not_recorded(void **state)
{
    (void)state;
    static const char *const names[] = {"*",   "a,b", "!h", "h x", "h\n* ",
                                        "|1|", "@x",  "[h", "h#",  "a?"};
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FREE char *path = scratch_path(s, "hosts");
    KEY(key, ED25519, '1');
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (uint16_t port = 22; port < 24; port++) {
            struct error err = ERROR_INIT;
            CLEANUP(known_hosts_cleanup)
            struct known_hosts *known = known_hosts_new(names[i], port);
            assert_int_equal(
                known_hosts_add(known, path, key.blob.data, key.blob.length, false, &err),
                -1);
            assert_int_equal(err.code, ERR_USAGE);
        }
    }
    assert_false(scratch_exists(s, "hosts"));
}

static void several_at_once_add_one_line_each(void **state)
{
    (void)state;
    enum { PROCESSES = 8 };
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FREE char *path = scratch_path(s, "hosts");
    KEY(key, ED25519, '1');
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            char host[8];
            snprintf(host, sizeof host, "h%d", i / 2);
            struct known_hosts *known = known_hosts_new(host, 22);
            _exit(known_hosts_add(known, path, key.blob.data, key.blob.length, false,
                                  NULL) == 0
                      ? 0
                      : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    assert_int_equal(files_read(s->fd, "hosts", &text, NULL), 0);
    size_t lines = 0;
    for (size_t i = 0; i < text.length; i++) {
        lines += text.data[i] == '\n' ? 1 : 0;
    }
    assert_int_equal(lines, PROCESSES / 2);
}

static void a_fingerprint_is_that_of_ssh_keygen(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf blob = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    assert_int_equal(bytes_from_base64(&blob, FINGERPRINT_KEY, NULL), 0);
    known_hosts_fingerprint(&out, blob.data, blob.length);
    assert_string_equal(out.data, FINGERPRINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_patterns),
        cmocka_unit_test(names_have_ports),
        cmocka_unit_test(names_are_hashed),
        cmocka_unit_test(a_pattern_with_many_stars_takes_no_time),
        cmocka_unit_test(the_verdict_is_that_of_all_lines),
        cmocka_unit_test(a_revoked_key_is_revoked_before_all_else),
        cmocka_unit_test(a_bad_line_hides_no_other),
        cmocka_unit_test(a_kind_has_other_names_in_lines),
        cmocka_unit_test(authorities_and_kinds_are_told),
        cmocka_unit_test(a_missing_file_is_empty_and_an_unreadable_one_an_error),
        cmocka_unit_test(a_line_is_added_as_ssh_writes_it),
        cmocka_unit_test(a_name_with_a_meaning_is_not_recorded),
        cmocka_unit_test(several_at_once_add_one_line_each),
        cmocka_unit_test(a_fingerprint_is_that_of_ssh_keygen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
