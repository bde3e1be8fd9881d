#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/config.h"
#include "controller/config_table.h"
#include "controller/envwish.h"
#include "tests/unit/place.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        size_t length = strlen(key->help);
        assert_true(length > 0 && length <= 77);
        assert_true(key->help[length - 1] != '.');
        assert_true(key->fallback[0] != '\0' || key->example[0] != '\0');
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(config_keys[k].path, key->path);
        }
    }
}

/* A row's default or example as a value of the row. */
static void check_text(const struct config_key *key, const char *text)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *yaml = xasprintf("v: %s", text);
    CLEANUP(yaml_node_cleanup)
    struct yaml_node *root = yaml_parse("row", yaml, strlen(yaml), &err);
    assert_non_null(root);
    CLEANUP(config_value_cleanup)
    struct config_value *value =
        config_value_read(key->path, key, root->first, "/", "row", &err);
    if (value == NULL) {
        fail_msg("%s: %s", key->path, err.text);
    }
}

static void defaults_and_examples_are_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].fallback[0] != '\0') {
            check_text(&config_keys[i], config_keys[i].fallback);
        }
        if (config_keys[i].example[0] != '\0') {
            check_text(&config_keys[i], config_keys[i].example);
        }
    }
}

static void a_path_finds_its_row(void **state)
{
    (void)state;
    assert_string_equal(config_key_find("target")->path, "target");
    assert_string_equal(config_key_find("snapshot.include")->path, "snapshot.include");
    assert_string_equal(config_key_find("targets.a.host")->path, "targets.NAME.host");
    assert_string_equal(config_key_find("targets.a.b.host")->path, "targets.NAME.host");
    assert_null(config_key_find("targets..host"));
    assert_null(config_key_find("targets.host"));
    assert_null(config_key_find("targets.a"));
    assert_null(config_key_find("snapshot"));
    assert_null(config_key_find(""));
    assert_true(config_key_is_group("snapshot"));
    assert_true(config_key_is_group("targets"));
    assert_false(config_key_is_group("target"));
    assert_false(config_key_is_group("snap"));
}

static void the_nearest_key_is_looked_for_in_the_same_group(void **state)
{
    (void)state;
    assert_string_equal(config_key_nearest("tagret"), "target");
    assert_string_equal(config_key_nearest("snapshot.includes"), "include");
    assert_string_equal(config_key_nearest("targets.x.idenity"), "identity");
    assert_null(config_key_nearest("zzzzzzzz"));
    assert_null(config_key_nearest("targets.x.experimen"));
}

static void a_key_in_the_wrong_group_is_known(void **state)
{
    (void)state;
    assert_string_equal(config_key_elsewhere("include"), "snapshot.include");
    assert_string_equal(config_key_elsewhere("snapshot.target"), "target");
    assert_null(config_key_elsewhere("tagret"));
}

/* The file with what it has commented out brought to life. */
static char *bring_to_life(const char *text)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        bool is_prose = length < 2 || (text[1] == ' ' && (length < 3 || text[2] != ' '));
        bool is_comment = text[0] == '#';
        if (!is_comment || !is_prose) {
            size_t skipped = is_comment ? 1 : 0;
            assert_int_equal(strbuf_add(&out, text + skipped, length - skipped, NULL), 0);
            strbuf_putc(&out, '\n');
        }
        text += length + (text[length] == '\n');
    }
    return strbuf_detach(&out);
}

static void the_examples_can_be_brought_to_life(void **state)
{
    static const char *const names[] = {"project/errand.yaml", "home/config/config.yaml",
                                        "home/config/targets.d/gpu1.yaml"};
    const struct place *p = *state;
    for (size_t i = 0; i < CONFIG_EXAMPLE_COUNT; i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        config_write_example((enum config_example)i, &text);
        CLEANUP_FREE char *living = bring_to_life(text.data);
        place_write(p, names[i], living);
    }
    const struct config_options options = {.want_untrusted = false};
    struct error err = ERROR_INIT;
    CLEANUP(config_cleanup)
    struct config *config = config_load(p->home, &options, &err);
    if (config == NULL) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < config_key_count; i++) {
        const char *path = config_keys[i].path;
        const char *name = strstr(path, "NAME");
        CLEANUP_FREE char *used =
            name == NULL ? xstrdup(path)
                         : xasprintf("%.*sgpu1%s", (int)(name - path), path, name + 4);
        assert_true(config_has(config, used));
        assert_string_not_equal(config_origin(config, used), "default");
    }
}

static void the_examples_as_they_are_change_nothing(void **state)
{
    const struct place *p = *state;
    CLEANUP_STRBUF struct strbuf project = STRBUF_INIT, user = STRBUF_INIT;
    config_write_example(CONFIG_EXAMPLE_PROJECT, &project);
    config_write_example(CONFIG_EXAMPLE_USER, &user);
    place_write(p, "project/errand.yaml", project.data);
    place_write(p, "home/config/config.yaml", user.data);
    const struct config_options options = {.want_untrusted = false};
    CLEANUP(config_cleanup)
    struct config *config = config_load(p->home, &options, NULL);
    assert_non_null(config);
    for (size_t i = 0; i < config_key_count; i++) {
        assert_string_equal(config_origin(config, config_keys[i].path), "default");
    }
}

static void conf_has_the_examples(void **state)
{
    static const char *const files[] = {
#define ROW(symbol, name, file) file,
        CONFIG_EXAMPLE_TABLE(ROW)
#undef ROW
    };
    const char *source = getenv("ERRAND_SOURCE_DIR");
    (void)state;
    if (source == NULL) {
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        CLEANUP_STRBUF struct strbuf expected = STRBUF_INIT, found = STRBUF_INIT;
        CLEANUP_FREE char *path = xasprintf("%s/conf/%s", source, files[i]);
        config_write_example((enum config_example)i, &expected);
        assert_int_equal(files_read(AT_FDCWD, path, &found, NULL), 0);
        assert_string_equal(found.data, expected.data);
    }
}

static void the_reference_has_every_key_of_an_environment(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf example = STRBUF_INIT;

    (void)state;
    config_write_reference(&text);
    config_write_example(CONFIG_EXAMPLE_PROJECT, &example);
    for (size_t i = 0; i < envwish_key_count; i++) {
        CLEANUP_FREE char *cell = xasprintf("| `%s` |", envwish_keys[i].key);
        CLEANUP_FREE char *line = xasprintf("\n# - %s: ", envwish_keys[i].key);

        assert_non_null(strstr(text.data, cell));
        assert_non_null(strstr(example.data, line));
    }
}

static void the_reference_has_every_key(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    config_write_reference(&text);
    for (size_t i = 0; i < config_key_count; i++) {
        CLEANUP_FREE char *cell = xasprintf("| `%s` |", config_keys[i].path);
        assert_non_null(strstr(text.data, cell));
        assert_non_null(strstr(text.data, config_keys[i].help));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(defaults_and_examples_are_values),
        cmocka_unit_test(a_path_finds_its_row),
        cmocka_unit_test(the_nearest_key_is_looked_for_in_the_same_group),
        cmocka_unit_test(a_key_in_the_wrong_group_is_known),
        place_test(the_examples_can_be_brought_to_life),
        place_test(the_examples_as_they_are_change_nothing),
        cmocka_unit_test(conf_has_the_examples),
        cmocka_unit_test(the_reference_has_every_key),
        cmocka_unit_test(the_reference_has_every_key_of_an_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
