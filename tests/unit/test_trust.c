#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>

#include "controller/trust.h"
#include "tests/unit/place.h"

static struct trust_claim claim_of(const char *path, char digit)
{
    struct trust_claim claim = {.path = xstrdup(path)};
    memset(claim.digest, digit, sizeof claim.digest - 1);
    strvec_push(&claim.lines, "ssh: x");
    return claim;
}

static bool is_trusted(const struct place *p, const char *path, char digit)
{
    CLEANUP(trust_claim_release) struct trust_claim claim = claim_of(path, digit);
    assert_int_equal(trust_check(p->home, &claim, NULL), 0);
    return claim.is_trusted;
}

static void trust(const struct place *p, const char *path, char digit)
{
    CLEANUP(trust_claim_release) struct trust_claim claim = claim_of(path, digit);
    assert_int_equal(trust_add(p->home, &claim, NULL), 0);
    assert_true(claim.is_trusted);
}

static void a_file_is_trusted_with_its_last_values(void **state)
{
    const struct place *p = *state;
    assert_false(is_trusted(p, "/a/errand.yaml", '1'));
    trust(p, "/a/errand.yaml", '1');
    trust(p, "/b/errand.yaml", '2');
    trust(p, "/not-utf8-\xff/errand.yaml", '3');
    assert_true(is_trusted(p, "/a/errand.yaml", '1'));
    assert_true(is_trusted(p, "/b/errand.yaml", '2'));
    assert_true(is_trusted(p, "/not-utf8-\xff/errand.yaml", '3'));
    assert_false(is_trusted(p, "/b/errand.yaml", '1'));
    assert_false(is_trusted(p, "/not-utf8-\xfe/errand.yaml", '3'));
    trust(p, "/a/errand.yaml", '4');
    assert_true(is_trusted(p, "/a/errand.yaml", '4'));
    assert_false(is_trusted(p, "/a/errand.yaml", '1'));
}

static void trust_can_be_taken_back(void **state)
{
    const struct place *p = *state;
    bool was_there = false;
    trust(p, "/a/errand.yaml", '1');
    trust(p, "/b/errand.yaml", '1');
    assert_int_equal(trust_remove(p->home, "/a/errand.yaml", &was_there, NULL), 0);
    assert_true(was_there);
    assert_false(is_trusted(p, "/a/errand.yaml", '1'));
    assert_true(is_trusted(p, "/b/errand.yaml", '1'));
    assert_int_equal(trust_remove(p->home, "/a/errand.yaml", &was_there, NULL), 0);
    assert_false(was_there);
}

static void without_a_terminal_nobody_agrees(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    CLEANUP(trust_claim_release) struct trust_claim claim = claim_of("/a", '1');
    assert_int_equal(trust_ask(p->home, &claim, NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "ssh: x"));
    assert_non_null(strstr(err.hint, "errand trust"));
    assert_false(claim.is_trusted);
}

static void a_damaged_record_is_never_consent(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "{\"format\":1}",
        "{\"format\":\"1\",\"files\":[]}",
        "{\"format\":2,\"files\":[]}",
    };
    const struct place *p = *state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(trust_claim_release) struct trust_claim claim = claim_of("/a", '1');
        place_write(p, "home/state/trust.json", texts[i]);
        assert_int_equal(trust_check(p->home, &claim, &err), -1);
        assert_false(claim.is_trusted);
        assert_non_null(strstr(err.text, "trust.json"));
        assert_int_equal(trust_add(p->home, &claim, &err), -1);
    }
}

/* It was believed once, and lost when another file was agreed to. */
static void a_record_without_a_time_is_no_consent(void **state)
{
    const struct place *p = *state;
    CLEANUP_FREE char *digest = xmalloc(OID_HEX_SIZE);
    memset(digest, '1', OID_HEX_SIZE - 1);
    digest[OID_HEX_SIZE - 1] = '\0';
    CLEANUP_FREE char *text = xasprintf(
        "{\"format\":1,\"files\":[{\"path\":\"/a\",\"digest\":\"%s\"}]}", digest);
    place_write(p, "home/state/trust.json", text);
    assert_false(is_trusted(p, "/a", '1'));
    trust(p, "/b", '1');
    assert_false(is_trusted(p, "/a", '1'));
}

static void several_at_once_lose_nothing(void **state)
{
    enum { PROCESSES = 8 };
    const struct place *p = *state;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char path[32];
            snprintf(path, sizeof path, "/%d/errand.yaml", i);
            struct trust_claim claim = claim_of(path, '1');
            _exit(trust_add(p->home, &claim, NULL) == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/%d/errand.yaml", i);
        assert_true(is_trusted(p, path, '1'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(a_file_is_trusted_with_its_last_values),
        place_test(trust_can_be_taken_back),
        place_test(without_a_terminal_nobody_agrees),
        place_test(a_damaged_record_is_never_consent),
        place_test(a_record_without_a_time_is_no_consent),
        place_test(several_at_once_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
