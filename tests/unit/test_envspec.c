/* Definitions of environments; test vectors of common/FORMATS.md, 4.1.1, made by
 * tests/vectors/make_envspec.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/envspec.h"
#include "common/files.h"
#include "common/mem.h"
#include "tests/unit/json_texts.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PACKAGES "{\"format\":1,\"kind\":\"packages\""
#define LOCAL                                                                            \
    "{\"path\":\"dist/"                                                                  \
    "a-1.whl\",\"name\":\"a-1.whl\",\"kind\":\"f\",\"digest\":\"" DIGEST "\"}"
#define FILE_1 "{\"path\":\"uv.lock\",\"digest\":\"" DIGEST "\"}"

static int load_vectors(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *source = getenv("ERRAND_SOURCE_DIR");
    CLEANUP_FREE char *path =
        files_join(source ? source : ".", "tests/vectors/envspec.json");

    if (files_read(AT_FDCWD, path, &text, NULL) < 0) {
        return -1;
    }
    *state = json_parse(text.data, text.length, NULL);
    return *state ? 0 : -1;
}

static int free_vectors(void **state)
{
    json_free(*state);
    return 0;
}

static int read_text(const char *text, struct envspec *spec, struct error *err)
{
    CLEANUP_JSON struct json *j = parse(text);

    return envspec_from_json(j, spec, err);
}

static void a_definition_comes_back_as_it_was(void **state)
{
    const struct json *vectors = *state;

    assert_true(json_count(vectors) > 5);
    for (const struct json *v = json_first(vectors); v != NULL; v = json_next(v)) {
        CLEANUP_ENVSPEC struct envspec spec;
        CLEANUP_STRBUF struct strbuf given = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf written = STRBUF_INIT;
        CLEANUP_JSON struct json *back = NULL;

        envspec_init(&spec);
        assert_int_equal(envspec_from_json(json_get(v, "definition"), &spec, NULL), 0);
        back = envspec_to_json(&spec);
        json_write_sorted(json_get(v, "definition"), &given);
        json_write_sorted(back, &written);
        assert_string_equal(written.data, given.data);
    }
}

static void the_identity_is_what_the_vectors_say(void **state)
{
    for (const struct json *v = json_first(*state); v != NULL; v = json_next(v)) {
        CLEANUP_ENVSPEC struct envspec spec;
        CLEANUP_STRBUF struct strbuf written = STRBUF_INIT;
        CLEANUP_JSON struct json *identity = NULL;
        char hex[OID_HEX_SIZE];
        struct oid digest;

        envspec_init(&spec);
        assert_int_equal(envspec_from_json(json_get(v, "definition"), &spec, NULL), 0);
        identity = envspec_identity(&spec);
        json_write_sorted(identity, &written);
        assert_string_equal(written.data, json_string(json_get(v, "identity")));
        envspec_digest(&spec, &digest);
        oid_to_hex(&digest, hex);
        assert_string_equal(hex, json_string(json_get(v, "digest")));
    }
}

static const char *const wrong_texts[] = {
    "[]",
    "{\"kind\":\"packages\"}",
    "{\"format\":0,\"kind\":\"packages\"}",
    "{\"format\":1}",
    "{\"format\":1,\"kind\":\"wheels\"}",
    PACKAGES ",\"source\":\"a\\nb\"}",
    PACKAGES ",\"source\":1}",
    PACKAGES ",\"python\":\">=3.9; rm\"}",
    PACKAGES ",\"builder\":\"make\"}",
    PACKAGES ",\"requirements\":{}}",
    PACKAGES ",\"requirements\":[1]}",
    PACKAGES ",\"requirements\":[\"\"]}",
    PACKAGES ",\"requirements\":[\"-r other.txt\"]}",
    PACKAGES ",\"requirements\":[\"# nothing\"]}",
    PACKAGES ",\"requirements\":[\" six\"]}",
    PACKAGES ",\"requirements\":[\"six\\n--index-url x\"]}",
    PACKAGES ",\"requirements\":[\"six\\\\\"]}",
    PACKAGES ",\"requirements\":[\"six #1\"]}",
    PACKAGES ",\"requirements\":[\"six --global-option=x\"]}",
    PACKAGES ",\"requirements\":[\"b\",\"a\"]}",
    PACKAGES ",\"requirements\":[\"a\",\"a\"]}",
    PACKAGES ",\"requirements\":[" LOCAL ",\"a\"]}",
    PACKAGES ",\"requirements\":[" LOCAL "," LOCAL "]}",
    PACKAGES ",\"requirements\":[{\"path\":\"../a\",\"name\":\"a\",\"kind\":\"f\","
             "\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"a\",\"name\":\"b\",\"kind\":\"f\","
             "\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"\",\"name\":\"\",\"kind\":\"f\","
             "\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"\",\"name\":\"../x\",\"kind\":\"d\","
             "\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"a\\n--pre\",\"name\":\"a\\n--pre\","
             "\"kind\":\"f\",\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"a\",\"name\":\"a\",\"kind\":\"x\","
             "\"digest\":\"" DIGEST "\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"a\",\"name\":\"a\",\"kind\":\"f\","
             "\"digest\":\"00\"}]}",
    PACKAGES ",\"requirements\":[{\"path\":\"a\",\"name\":\"a\",\"kind\":\"f\","
             "\"digest\":\"" DIGEST "\",\"extras\":\"--x\"}]}",
    PACKAGES ",\"constraints\":[\"-c x\"]}",
    PACKAGES ",\"find_links\":[" LOCAL "]}",
    PACKAGES ",\"find_links\":[\"six\"]}",
    PACKAGES ",\"options\":[\"--index-url\"]}",
    PACKAGES ",\"options\":[\"--index-url --pre\"]}",
    PACKAGES ",\"options\":[\"--index-url a b\"]}",
    PACKAGES ",\"options\":[\"--pre yes\"]}",
    PACKAGES ",\"options\":[\"--install-option x\"]}",
    PACKAGES ",\"options\":[\"\"]}",
    PACKAGES ",\"conda\":[\"numpy\"]}",
    PACKAGES ",\"channels\":[\"x\"]}",
    PACKAGES ",\"image\":\"python\"}",
    PACKAGES ",\"location\":{\"venv\":\"/opt\"}}",
    PACKAGES ",\"lock\":{\"project\":\"\",\"files\":[" FILE_1 "]}}",
    PACKAGES ",\"paths\":[\"/src\"]}",
    "{\"format\":1,\"kind\":\"conda\",\"conda\":[\"-n\"]}",
    "{\"format\":1,\"kind\":\"conda\",\"conda\":[\"b\",\"a\"]}",
    "{\"format\":1,\"kind\":\"conda\",\"channels\":[\"--json\"]}",
    "{\"format\":1,\"kind\":\"lock\"}",
    "{\"format\":1,\"kind\":\"lock\",\"lock\":[]}",
    "{\"format\":1,\"kind\":\"lock\",\"lock\":{\"project\":\"\",\"files\":[]}}",
    "{\"format\":1,\"kind\":\"lock\",\"lock\":{\"project\":\"\",\"files\":[" FILE_1
    "," FILE_1 "]}}",
    "{\"format\":1,\"kind\":\"lock\",\"lock\":{\"project\":\"\",\"files\":[" FILE_1
    "],\"groups\":[\"--all\"]}}",
    "{\"format\":1,\"kind\":\"existing\"}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{}}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{\"venv\":\"\"}}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{\"venv\":\"/"
    "a\",\"conda\":\"b\"}}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{\"venv\":\"/a\"},"
    "\"requirements\":[\"six\"]}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{\"conda\":\"-x\"}}",
    "{\"format\":1,\"kind\":\"existing\",\"location\":{\"venv\":{\"base64\":\"AA==\"}"
    "}}",
    "{\"format\":1,\"kind\":\"image\"}",
    "{\"format\":1,\"kind\":\"image\",\"image\":\"--privileged\"}",
    "{\"format\":1,\"kind\":\"image\",\"image\":\"a b\"}",
};

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong_texts); i++) {
        CLEANUP_ENVSPEC struct envspec spec;
        struct error err = ERROR_INIT;

        envspec_init(&spec);
        if (read_text(wrong_texts[i], &spec, &err) == 0) {
            fail_msg("accepted: %s", wrong_texts[i]);
        }
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_non_null(strstr(err.text, "environment"));
    }
}

static void a_newer_format_is_said_to_be_newer(void **state)
{
    CLEANUP_ENVSPEC struct envspec spec;
    struct error err = ERROR_INIT;

    (void)state;
    envspec_init(&spec);
    assert_int_equal(read_text("{\"format\":2,\"kind\":\"packages\"}", &spec, &err), -1);
    assert_int_equal(err.code, ERR_VERSION);
}

static void members_of_a_later_version_are_ignored(void **state)
{
    CLEANUP_ENVSPEC struct envspec spec;

    (void)state;
    envspec_init(&spec);
    assert_int_equal(
        read_text(PACKAGES ",\"mood\":[],\"requirements\":null}", &spec, NULL), 0);
}

/* Three lines, a wheel and a folder, added in the order that seed says. */
static void fill(struct envspec *spec, unsigned seed)
{
    static const char *const lines[] = {"a==1", "b>=2", "c"};

    envspec_init(spec);
    for (unsigned i = 0; i < 5; i++) {
        unsigned which = (i + seed) % 5;

        if (which < 3) {
            envspec_add_line(&spec->requirements, lines[which]);
        } else {
            struct envspec_requirement *local = envspec_add_local(
                &spec->requirements, which == 3 ? "dist/x.whl" : "lib", "", "");

            local->is_folder = which == 4;
            memset(&local->digest, (int)which, sizeof(local->digest));
        }
    }
    for (unsigned i = 0; i < seed; i++) {
        envspec_add_line(&spec->requirements, "b>=2");
    }
    envspec_normalize(spec);
}

static void order_and_repetition_do_not_matter(void **state)
{
    CLEANUP_ENVSPEC struct envspec first;
    struct oid digest;

    (void)state;
    fill(&first, 0);
    envspec_digest(&first, &digest);
    for (unsigned seed = 1; seed < 5; seed++) {
        CLEANUP_ENVSPEC struct envspec other;
        struct oid again;

        fill(&other, seed);
        assert_int_equal(other.requirements.count, 5);
        envspec_digest(&other, &again);
        assert_true(oid_equal(&digest, &again));
    }
}

static void names_and_places_do_not_matter(void **state)
{
    CLEANUP_ENVSPEC struct envspec one;
    CLEANUP_ENVSPEC struct envspec other;
    struct oid a;
    struct oid b;

    (void)state;
    fill(&one, 0);
    fill(&other, 0);
    other.source = xstrdup("elsewhere.txt");
    free(other.requirements.items[3].path);
    other.requirements.items[3].path = xstrdup("wheels/lib");
    strvec_push(&other.paths, "src");
    envspec_digest(&one, &a);
    envspec_digest(&other, &b);
    assert_true(oid_equal(&a, &b));
}

static void credentials_are_not_in_the_identity(void **state)
{
    static const struct {
        const char *text, *without;
    } rows[] = {
        {"six", "six"},
        {"a @ https://me:pw@host/a.whl", "a @ https://host/a.whl"},
        {"a @ git+ssh://git@host/a@v1 ; x", "a @ git+ssh://host/a@v1 ; x"},
        {"--index-url https://${U}:${P}@h:8080/x", "--index-url https://h:8080/x"},
        {"https://a@b@c/d", "https://c/d"},
        {"https://host/a@b", "https://host/a@b"},
        {"https://host?x@y https://u@v#w@x", "https://host?x@y https://v#w@x"},
        {"://", "://"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

        envspec_without_userinfo(rows[i].text, &out);
        assert_string_equal(out.data, rows[i].without);
    }
}

/* With credentials a list is sorted otherwise than without. */
static void credentials_do_not_change_the_order_in_the_identity(void **state)
{
    static const char *const texts[][2] = {
        {"https://z@host/a.whl", "https://a@host/b.whl"},
        {"https://host/a.whl", "https://host/b.whl"},
    };
    struct oid digests[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP_ENVSPEC struct envspec spec;

        envspec_init(&spec);
        envspec_add_line(&spec.requirements, texts[i][0]);
        envspec_add_line(&spec.requirements, texts[i][1]);
        envspec_normalize(&spec);
        envspec_digest(&spec, &digests[i]);
    }
    assert_true(oid_equal(&digests[0], &digests[1]));
}

static void a_list_has_a_largest_size(void **state)
{
    CLEANUP_ENVSPEC struct envspec spec;
    CLEANUP_ENVSPEC struct envspec back;
    CLEANUP_JSON struct json *j = NULL;
    struct error err = ERROR_INIT;

    (void)state;
    envspec_init(&spec);
    envspec_init(&back);
    for (unsigned i = 0; i <= ENVSPEC_ITEMS_MAX; i++) {
        CLEANUP_FREE char *text = xasprintf("package-%u", i);

        envspec_add_line(&spec.requirements, text);
    }
    envspec_normalize(&spec);
    j = envspec_to_json(&spec);
    assert_int_equal(envspec_from_json(j, &back, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_definition_comes_back_as_it_was),
        cmocka_unit_test(the_identity_is_what_the_vectors_say),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_newer_format_is_said_to_be_newer),
        cmocka_unit_test(members_of_a_later_version_are_ignored),
        cmocka_unit_test(order_and_repetition_do_not_matter),
        cmocka_unit_test(names_and_places_do_not_matter),
        cmocka_unit_test(credentials_are_not_in_the_identity),
        cmocka_unit_test(credentials_do_not_change_the_order_in_the_identity),
        cmocka_unit_test(a_list_has_a_largest_size),
    };

    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
