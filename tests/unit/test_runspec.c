#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/runspec.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CONTROLLER "00112233445566778899aabbccddeeff"

static void fill(struct runspec *spec)
{
    runspec_init(spec);
    memcpy(spec->run, "abcd-1234", sizeof("abcd-1234"));
    memcpy(spec->controller, CONTROLLER, sizeof(CONTROLLER));
    spec->experiment = xstrdup("mnist");
    spec->submitter = xstrdup("me@laptop");
    spec->created_utc_ms = INT64_C(1795000000123);
    assert_int_equal(oid_from_hex(DIGEST, &spec->root, NULL), 0);
    spec->files = 12;
    spec->size_bytes = UINT64_C(123456789012);
    spec->script = xstrdup("src/train.py");
}

static void encode(const struct runspec *spec, struct strbuf *out)
{
    strbuf_reset(out);
    runspec_encode(spec, out);
}

static void assert_same_list(const struct strvec *a, const struct strvec *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i], b->items[i]);
    }
}

static void assert_same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL) {
        assert_string_equal(a, b);
    }
}

static void assert_same_environment(const struct runspec_environment *a,
                                    const struct runspec_environment *b)
{
    struct oid first;
    struct oid second;

    assert_string_equal(a->pin_identity, b->pin_identity);
    assert_same_text(a->pin_build, b->pin_build);
    assert_int_equal(a->has_definition, b->has_definition);
    envspec_digest(&a->definition, &first);
    envspec_digest(&b->definition, &second);
    assert_true(oid_equal(&first, &second));
    assert_int_equal(a->is_refresh, b->is_refresh);
    assert_same_list(&a->imports, &b->imports);
    assert_same_list(&a->shared, &b->shared);
    assert_int_equal(a->slots, b->slots);
}

static void assert_same(const struct runspec *a, const struct runspec *b)
{
    assert_string_equal(a->run, b->run);
    assert_string_equal(a->experiment, b->experiment);
    assert_int_equal(a->created_utc_ms, b->created_utc_ms);
    assert_string_equal(a->controller, b->controller);
    assert_string_equal(a->submitter, b->submitter);
    assert_true(oid_equal(&a->root, &b->root));
    assert_int_equal(a->files, b->files);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->framework, b->framework);
    assert_same_text(a->script, b->script);
    assert_same_list(&a->command, &b->command);
    assert_same_text(a->interpreter, b->interpreter);
    assert_same_list(&a->variables, &b->variables);
    assert_same_environment(&a->environment, &b->environment);
    assert_same_list(&a->secrets, &b->secrets);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->time_limit_ms, b->time_limit_ms);
    assert_int_equal(a->log_max_bytes, b->log_max_bytes);
    assert_int_equal(a->grace_ms, b->grace_ms);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->gpus, b->gpus);
    assert_int_equal(a->priority, b->priority);
    assert_same_list(&a->outputs, &b->outputs);
    assert_same_list(&a->tags, &b->tags);
    assert_same_list(&a->on_end, &b->on_end);
}

/* What is encoded is decoded to the same, and encodes to the same bytes. */
static void assert_round_trip(const struct runspec *spec)
{
    CLEANUP_STRBUF struct strbuf first = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf second = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct runspec back;

    runspec_init(&back);
    encode(spec, &first);
    assert_int_equal(runspec_decode(first.data, first.length, &back, &err), 0);
    assert_same(spec, &back);
    encode(&back, &second);
    assert_string_equal(first.data, second.data);
    runspec_release(&back);
}

static void what_is_not_said_has_a_default(void **state)
{
    struct runspec spec;

    (void)state;
    fill(&spec);
    assert_int_equal(spec.attempts, 1);
    assert_int_equal(spec.slots, 1);
    assert_int_equal(spec.grace_ms, RUNSPEC_GRACE_DEFAULT_MS);
    assert_int_equal(spec.time_limit_ms, 0);
    assert_int_equal(spec.log_max_bytes, RUNSPEC_LOG_MAX_DEFAULT);
    assert_round_trip(&spec);
    runspec_release(&spec);
}

static void everything_comes_back(void **state)
{
    struct runspec spec;

    (void)state;
    fill(&spec);
    spec.framework = FRAMEWORK_COMMAND;
    spec.interpreter = xstrdup("/opt/py/bin/python3");
    strvec_push(&spec.command, "--epochs");
    strvec_push(&spec.command, "3");
    strvec_push(&spec.variables, "A=1");
    strvec_push(&spec.variables, "EMPTY=");
    strvec_push(&spec.variables, "EQ=a=b");
    strvec_push(&spec.secrets, "TOKEN");
    strvec_push(&spec.outputs, "outputs");
    strvec_push(&spec.outputs, "a/b c");
    strvec_push(&spec.tags, "who=me");
    strvec_push(&spec.on_end, "mail");
    spec.attempts = 3;
    spec.time_limit_ms = 60000;
    spec.grace_ms = 0;
    spec.log_max_bytes = 0;
    spec.slots = 2;
    spec.gpus = 1;
    spec.priority = -5;
    assert_round_trip(&spec);
    runspec_release(&spec);
}

static void an_environment_comes_back(void **state)
{
    struct runspec spec;

    (void)state;
    fill(&spec);
    memcpy(spec.environment.pin_identity, DIGEST, sizeof(DIGEST));
    assert_round_trip(&spec);
    spec.environment.pin_build = xstrdup("20261128T061500Z-ab12");
    spec.environment.has_definition = true;
    spec.environment.definition.source = xstrdup("requirements.txt");
    envspec_add_line(&spec.environment.definition.requirements, "scikit-learn==1.5.0");
    spec.environment.is_refresh = true;
    strvec_push(&spec.environment.imports, "sklearn.linear_model");
    strvec_push(&spec.environment.shared, "/opt/errand/envs");
    spec.environment.slots = 5;
    assert_round_trip(&spec);
    runspec_release(&spec);
}

static void arguments_are_bytes(void **state)
{
    static const char *const arguments[] = {
        "",
        "\xff\xfe\x80",
        "line\nline\r\n",
        "\"quoted\\\"",
        "\xc3\xa9",
        "tab\t\x01\x7f",
        " ",
        "\xed\xa0\x80",
        "--x=",
    };
    struct runspec spec;

    (void)state;
    fill(&spec);
    free(spec.script);
    spec.script = xstrdup("dir/\xe9t\xe9.py");
    spec.interpreter = xstrdup("/home/\xff/python");
    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
        strvec_push(&spec.command, arguments[i]);
        strvec_pushf(&spec.variables, "V%zu=%s", i, arguments[i]);
        strvec_push(&spec.on_end, arguments[i]);
    }
    strvec_push(&spec.outputs, "out\xff");
    assert_round_trip(&spec);
    runspec_release(&spec);
}

static void of_two_variables_of_one_name_the_last_counts(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct runspec spec;
    struct runspec back;

    (void)state;
    fill(&spec);
    runspec_init(&back);
    strvec_push(&spec.variables, "A=1");
    strvec_push(&spec.variables, "AB=2");
    strvec_push(&spec.variables, "A=3");
    encode(&spec, &text);
    assert_int_equal(runspec_decode(text.data, text.length, &back, NULL), 0);
    assert_int_equal(back.variables.count, 2);
    assert_string_equal(back.variables.items[0], "AB=2");
    assert_string_equal(back.variables.items[1], "A=3");
    runspec_release(&back);
    runspec_release(&spec);
}

static void every_framework_has_a_name_that_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < FRAMEWORK_COUNT; i++) {
        enum framework parsed;

        assert_int_equal(
            framework_parse(framework_name((enum framework)i), &parsed, NULL), 0);
        assert_int_equal(parsed, i);
    }
    assert_int_equal(framework_parse("", &(enum framework){0}, NULL), -1);
    assert_int_equal(framework_parse("Python", &(enum framework){0}, NULL), -1);
}

static void paths_stay_in_the_snapshot(void **state)
{
    static const char *const good[] = {"a", "a/b", "..a", "a..", ".x/...", "a b", "\xff"};
    static const char *const bad[] = {"",     "/",      "/a",   "a/",  "a//b",
                                      ".",    "..",     "./a",  "a/.", "a/..",
                                      "../a", "a/../b", "a/./b"};
    char name[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(runspec_path_is_valid(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(runspec_path_is_valid(bad[i]));
    }
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_false(runspec_path_is_valid(name));
    name[255] = '\0';
    assert_true(runspec_path_is_valid(name));
}

static void a_path_has_a_largest_length(void **state)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;

    (void)state;
    while (path.length < 4094) {
        strbuf_puts(&path, "ab/");
    }
    strbuf_truncate(&path, 4094);
    strbuf_putc(&path, 'c');
    assert_int_equal(path.length, 4095);
    assert_true(runspec_path_is_valid(path.data));
    strbuf_putc(&path, 'c');
    assert_false(runspec_path_is_valid(path.data));
}

/* A good specification, with one text in it replaced; "" where it is not in it. */
static void damage(const char *good, const char *part, const char *instead,
                   struct strbuf *out)
{
    const char *at = strstr(good, part);

    strbuf_reset(out);
    if (at != NULL) {
        strbuf_printf(out, "%.*s%s%s", (int)(at - good), good, instead,
                      at + strlen(part));
    }
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct {
        const char *part;
        const char *instead;
        enum error_code code;
    } rows[] = {
        {"\"format\":1", "\"format\":2", ERR_VERSION},
        {"\"format\":1", "\"format\":0", ERR_CORRUPT},
        {"\"format\":1", "\"format\":\"1\"", ERR_CORRUPT},
        {"\"format\":1,", "", ERR_CORRUPT},
        {"abcd-1234", "ABCD-1234", ERR_CORRUPT},
        {"abcd-1234", "abc", ERR_CORRUPT},
        {"abcd-1234", "../../etc", ERR_CORRUPT},
        {"\"mnist\"", "\"\"", ERR_CORRUPT},
        {"\"mnist\"", "7", ERR_CORRUPT},
        {CONTROLLER, "00112233445566778899aabbccddeef", ERR_CORRUPT},
        {CONTROLLER, "00112233445566778899aabbccddeefg", ERR_CORRUPT},
        {"\"me@laptop\"", "null", ERR_CORRUPT},
        {DIGEST, "0123", ERR_CORRUPT},
        {"\"files\":12", "\"files\":-12", ERR_CORRUPT},
        {"\"files\":12", "\"files\":1.5", ERR_CORRUPT},
        {"\"python\"", "\"fortran\"", ERR_CORRUPT},
        {"\"src/train.py\"", "\"../train.py\"", ERR_CORRUPT},
        {"\"src/train.py\"", "\"\"", ERR_CORRUPT},
        {"\"src/train.py\"", "null", ERR_CORRUPT},
        {"\"src/train.py\"", "{\"base64\":\"AGE=\"}", ERR_CORRUPT},
        {"\"src/train.py\"", "{\"base64\":\"!\"}", ERR_CORRUPT},
        {"\"src/train.py\"", "{\"base64\":\"YQ==\",\"x\":1}", ERR_CORRUPT},
        {"\"command\":[\"arg\"]", "\"command\":[1]", ERR_CORRUPT},
        {"\"command\":[\"arg\"]", "\"command\":null", ERR_CORRUPT},
        {"\"interpreter\":null", "\"interpreter\":\"\"", ERR_CORRUPT},
        {",\"interpreter\":null", "", ERR_CORRUPT},
        {"\"pin\":null", "\"pin\":{}", ERR_CORRUPT},
        {"\"pin\":null", "\"pin\":{\"identity\":\"../x\"}", ERR_CORRUPT},
        {"\"pin\":null", "\"pin\":{\"identity\":\"" DIGEST "\",\"build\":\"..\"}",
         ERR_CORRUPT},
        {"\"pin\":null", "\"pin\":{\"identity\":\"" DIGEST "\",\"build\":1}",
         ERR_CORRUPT},
        {"\"pin\":null", "\"definition\":[]", ERR_CORRUPT},
        {"\"pin\":null", "\"definition\":{\"format\":2,\"kind\":\"packages\"}",
         ERR_VERSION},
        {"\"pin\":null", "\"imports\":[\"os;os\"]", ERR_CORRUPT},
        {"\"pin\":null", "\"imports\":[\"a..b\"]", ERR_CORRUPT},
        {"\"pin\":null", "\"imports\":\"os\"", ERR_CORRUPT},
        {"\"pin\":null", "\"shared\":[\"envs\"]", ERR_CORRUPT},
        {"\"pin\":null", "\"slots\":0", ERR_CORRUPT},
        {"\"pin\":null", "\"slots\":65", ERR_CORRUPT},
        {"\"K\":\"v\"", "\"K\":1", ERR_CORRUPT},
        {"\"K\":\"v\"", "\"\":\"v\"", ERR_CORRUPT},
        {"\"K\":\"v\"", "\"K=\":\"v\"", ERR_CORRUPT},
        {"\"K\":\"v\"", "\"K\":\"v\",\"K\":\"w\"", ERR_CORRUPT},
        {"[\"TOKEN\"]", "[\"TOKEN\",\"TOKEN\"]", ERR_CORRUPT},
        {"[\"TOKEN\"]", "[\"A=B\"]", ERR_CORRUPT},
        {"[\"TOKEN\"]", "[\"\"]", ERR_CORRUPT},
        {"\"attempts\":1", "\"attempts\":0", ERR_CORRUPT},
        {"\"attempts\":1", "\"attempts\":1001", ERR_CORRUPT},
        {"\"time_limit_ms\":null", "\"time_limit_ms\":0", ERR_CORRUPT},
        {"\"time_limit_ms\":null,", "", ERR_CORRUPT},
        {"\"grace_ms\":10000", "\"grace_ms\":-1", ERR_CORRUPT},
        {"\"log_max_bytes\":1000000000", "\"log_max_bytes\":999999", ERR_CORRUPT},
        {"\"log_max_bytes\":1000000000", "\"log_max_bytes\":\"1G\"", ERR_CORRUPT},
        {"\"slots\":1", "\"slots\":-1", ERR_CORRUPT},
        {"\"gpus\":0,", "", ERR_CORRUPT},
        {"[\"outputs\"]", "[\"/outputs\"]", ERR_CORRUPT},
        {"\"tags\":{", "\"tags\":{\"a\":{\"base64\":\"/w==\"}", ERR_CORRUPT},
        {"\"on_end\":null", "\"on_end\":\"mail\"", ERR_CORRUPT},
    };
    CLEANUP_STRBUF struct strbuf good = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf bad = STRBUF_INIT;
    struct runspec spec;

    (void)state;
    fill(&spec);
    strvec_push(&spec.command, "arg");
    strvec_push(&spec.variables, "K=v");
    strvec_push(&spec.secrets, "TOKEN");
    strvec_push(&spec.outputs, "outputs");
    encode(&spec, &good);
    runspec_release(&spec);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        damage(good.data, rows[i].part, rows[i].instead, &bad);
        assert_int_not_equal(bad.length, 0);
        assert_int_equal(runspec_decode(bad.data, bad.length, &spec, &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(strstr(err.text, "run specification"));
        runspec_release(&spec);
    }
}

static void what_an_older_controller_does_not_say_has_its_default(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, older = STRBUF_INIT;
    struct runspec spec;

    (void)state;
    fill(&spec);
    spec.log_max_bytes = 0;
    encode(&spec, &text);
    runspec_release(&spec);
    damage(text.data, "\"log_max_bytes\":null,", "", &older);
    runspec_init(&spec);
    assert_int_equal(runspec_decode(older.data, older.length, &spec, NULL), 0);
    assert_int_equal(spec.log_max_bytes, RUNSPEC_LOG_MAX_DEFAULT);
    runspec_release(&spec);
}

static void a_command_needs_a_program(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct runspec spec;
    struct runspec back;

    (void)state;
    fill(&spec);
    runspec_init(&back);
    free(TAKE_PTR(spec.script));
    spec.framework = FRAMEWORK_COMMAND;
    encode(&spec, &text);
    assert_int_equal(runspec_decode(text.data, text.length, &back, NULL), -1);
    runspec_release(&back);
    strvec_push(&spec.command, "");
    encode(&spec, &text);
    assert_int_equal(runspec_decode(text.data, text.length, &back, NULL), -1);
    runspec_release(&back);
    strvec_release(&spec.command);
    strvec_push(&spec.command, "nvidia-smi");
    assert_round_trip(&spec);
    runspec_release(&spec);
}

static void members_of_a_later_version_are_ignored(void **state)
{
    CLEANUP_STRBUF struct strbuf good = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf more = STRBUF_INIT;
    struct runspec spec;

    (void)state;
    fill(&spec);
    encode(&spec, &good);
    runspec_release(&spec);
    damage(good.data, "{\"format\":1", "{\"mood\":[{}],\"format\":1", &more);
    assert_int_equal(runspec_decode(more.data, more.length, &spec, NULL), 0);
    runspec_release(&spec);
}

/* However many quotes it has, what is within the limit fits into SUBMIT. */
static void the_largest_specification_fits_into_a_submission(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *quotes = xmalloc(1000);
    struct runspec spec;
    struct runspec back;
    struct json *body = json_new_object();

    (void)state;
    fill(&spec);
    runspec_init(&back);
    memset(quotes, '"', 999);
    quotes[999] = '\0';
    while (text.length + 2010 < RUNSPEC_SIZE_MAX) {
        strvec_push(&spec.command, quotes);
        encode(&spec, &text);
        if (text.length < RUNSPEC_SIZE_MAX / 2) {
            for (int i = 0; i < 100; i++) {
                strvec_push(&spec.command, quotes);
            }
        }
    }
    assert_true(text.length <= RUNSPEC_SIZE_MAX);
    assert_int_equal(runspec_decode(text.data, text.length, &back, NULL), 0);
    json_add_string(body, "spec", text.data);
    json_add_string(body, "root", DIGEST);
    json_add_string(body, "base", DIGEST);
    assert_int_equal(message_check(MSG_SUBMIT, body, NULL), 0);
    json_free(body);
    runspec_release(&back);
    runspec_release(&spec);
}

static void one_that_is_too_large_is_refused(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *argument = xcalloc(1, RUNSPEC_SIZE_MAX);
    struct error err = ERROR_INIT;
    struct runspec spec;
    struct runspec back;

    (void)state;
    fill(&spec);
    runspec_init(&back);
    memset(argument, 'a', RUNSPEC_SIZE_MAX - 1);
    strvec_push(&spec.command, argument);
    encode(&spec, &text);
    assert_int_equal(runspec_decode(text.data, text.length, &back, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    runspec_release(&back);
    runspec_release(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_a_default),
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(an_environment_comes_back),
        cmocka_unit_test(arguments_are_bytes),
        cmocka_unit_test(of_two_variables_of_one_name_the_last_counts),
        cmocka_unit_test(every_framework_has_a_name_that_reads_back),
        cmocka_unit_test(paths_stay_in_the_snapshot),
        cmocka_unit_test(a_path_has_a_largest_length),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(what_an_older_controller_does_not_say_has_its_default),
        cmocka_unit_test(a_command_needs_a_program),
        cmocka_unit_test(members_of_a_later_version_are_ignored),
        cmocka_unit_test(the_largest_specification_fits_into_a_submission),
        cmocka_unit_test(one_that_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
