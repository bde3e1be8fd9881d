#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "controller/yaml.h"

#define CLEANUP_NODE CLEANUP(yaml_node_cleanup)

static struct yaml_node *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct yaml_node *root = yaml_parse("f.yaml", text, strlen(text), &err);
    if (root == NULL) {
        fail_msg("%s", err.text);
    }
    return root;
}

static void a_file_becomes_a_tree_with_lines(void **state)
{
    (void)state;
    CLEANUP_NODE struct yaml_node *root =
        parse("# head\na: 1\nlist:\n  - x\n  - \"y z\"\nmap: {k: v,\n  l: w}\n");
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    const struct yaml_node *a = root->first, *list = a->next, *map = list->next;
    assert_string_equal(a->key, "a");
    assert_string_equal(a->text, "1");
    assert_int_equal(a->line, 2);
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->line, 3);
    assert_string_equal(list->first->text, "x");
    assert_string_equal(list->last->text, "y z");
    assert_int_equal(list->last->line, 5);
    assert_string_equal(map->last->key, "l");
    assert_int_equal(map->last->line, 7);
}

static void a_file_without_anything_is_an_empty_map(void **state)
{
    static const char *const texts[] = {"", "# only a comment\n", "---\n", "~\n", "\n\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_NODE struct yaml_node *root = parse(texts[i]);
        assert_int_equal(root->kind, YAML_MAP);
        assert_int_equal(root->count, 0);
    }
}

static void only_an_unquoted_nothing_is_null(void **state)
{
    (void)state;
    CLEANUP_NODE struct yaml_node *root =
        parse("a:\nb: ~\nc: null\nd: \"\"\ne: 'null'\nf: nul\n");
    static const bool expected[] = {true, true, true, false, false, false};
    size_t i = 0;
    for (const struct yaml_node *node = root->first; node; node = node->next) {
        assert_int_equal(node->is_null, expected[i++]);
    }
    assert_int_equal(i, ARRAY_SIZE(expected));
}

struct bad {
    const char *text, *sentence;
};

static void what_is_not_taken_gets_file_line_and_cause(void **state)
{
    static const struct bad bad[] = {
        {"a: 1\n\tb: 2\n", "f.yaml:2: a tab before the first word"},
        {"m:\n  a: 1\n \tb: 2\n", "f.yaml:3: a tab before the first word"},
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3: the key \"a\" is there already, in line 1"},
        {"a: &x 1\n", "f.yaml:1: anchors"},
        {"m: &x {a: 1}\n", "f.yaml:1: anchors"},
        {"m: &x [a]\n", "f.yaml:1: anchors"},
        {"a: *x\n", "f.yaml:1: aliases"},
        {"a: !!int 1\n", "f.yaml:1: tags"},
        {"a: !foo {b: 1}\n", "f.yaml:1: tags"},
        {"a:\n  <<: {b: 1}\n", "f.yaml:2: merges"},
        {"? [a, b]\n: c\n", "f.yaml:1: a key must be a plain word"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2: a second document"},
        {"a: \"x\\0y\"\n", "f.yaml:1: a value with a zero byte"},
        {"a: b: c\n", "f.yaml:1: not YAML"},
        {"a: [1, 2\n", "not YAML"},
        {"a: \"\xff\"\n", "not YAML"},
        {"a: \x01\n", "not YAML"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_INIT;
        struct yaml_node *root =
            yaml_parse("f.yaml", bad[i].text, strlen(bad[i].text), &err);
        assert_null(root);
        assert_int_equal(err.code, ERR_CONFIG);
        if (strstr(err.text, bad[i].sentence) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", bad[i].sentence, err.text);
        }
    }
}

static void a_tab_elsewhere_is_no_indentation(void **state)
{
    (void)state;
    CLEANUP_NODE struct yaml_node *root = parse("a:\t1\n  \t\nb: 2\t# c\n");
    assert_int_equal(root->count, 2);
    assert_string_equal(root->first->text, "1");
}

/* Text of count times piece, between head and tail. */
static char *repeat(const char *head, const char *piece, size_t count, const char *tail)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    strbuf_puts(&sb, head);
    for (size_t i = 0; i < count; i++) {
        strbuf_puts(&sb, piece);
    }
    strbuf_puts(&sb, tail);
    return strbuf_detach(&sb);
}

static void assert_refused(char *text, const char *sentence)
{
    struct error err = ERROR_INIT;
    assert_null(yaml_parse("f.yaml", text, strlen(text), &err));
    assert_non_null(strstr(err.text, sentence));
    free(text);
}

static void depth_count_and_size_are_bounded(void **state)
{
    (void)state;
    assert_refused(repeat("a: ", "[", 100000, ""), "nested too deep");
    assert_refused(repeat("a: ", "{a: ", 20000, ""), "nested too deep");
    assert_refused(repeat("a: ", "[", 17, "]]]]]]]]]]]]]]]]]"), "nested too deep");
    assert_refused(repeat("a: [", "1,", 1001, "]"), "more than 1000 entries");
    assert_refused(repeat("a: ", "x", YAML_SIZE_MAX, ""), "larger than 256 KiB");
    CLEANUP_FREE char *deepest = repeat("a: ", "[", 15, "]]]]]]]]]]]]]]]");
    CLEANUP_NODE struct yaml_node *root = parse(deepest);
    CLEANUP_FREE char *longest = repeat("a: [", "1,", 1000, "]");
    CLEANUP_NODE struct yaml_node *other = parse(longest);
    assert_int_equal(other->first->count, 1000);
}

static void a_written_scalar_reads_back(void **state)
{
    static const char *const texts[] = {
        "",         "plain",
        "me@host",  "@host",
        "-x",       "a: b",
        "a #b",     "null",
        "~",        "~/x",
        "{",        "[x]",
        "'",        "\"q\"",
        "a\\b",     "a\nb",
        "tab\tx",   "\x01\x7f",
        "\xc3\xa4", " lead",
        "trail ",   "*x",
        "&x",       "!x",
        "%x",       "1.5",
        "yes",      "? x",
        "a,b",      "<<",
        "---",      "...",
        "x:",       ":x",
        "#",        "`x`",
        "C:\\dir",  "|",
        ">",        "\xc2\x85nel\xe2\x80\xa8x\xe2\x80\xa9y",
        "=",        "\xef\xbb\xbf",
        "\xc2\x84", "\xef\xbf\xbf",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
        strbuf_puts(&sb, "a: ");
        yaml_write_scalar(&sb, texts[i]);
        strbuf_puts(&sb, "\nb: [");
        yaml_write_scalar(&sb, texts[i]);
        strbuf_puts(&sb, ", x]\n");
        CLEANUP_NODE struct yaml_node *root = parse(sb.data);
        assert_string_equal(root->first->text, texts[i]);
        assert_false(root->first->is_null);
        assert_string_equal(root->last->first->text, texts[i]);
    }
}

static void what_is_no_utf8_is_written_as_a_replacement(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    yaml_write_scalar(&sb, "a\xff\xe2\x82");
    assert_string_equal(sb.data, "\"a\\ufffd\\ufffd\\ufffd\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_a_tree_with_lines),
        cmocka_unit_test(a_file_without_anything_is_an_empty_map),
        cmocka_unit_test(only_an_unquoted_nothing_is_null),
        cmocka_unit_test(what_is_not_taken_gets_file_line_and_cause),
        cmocka_unit_test(a_tab_elsewhere_is_no_indentation),
        cmocka_unit_test(depth_count_and_size_are_bounded),
        cmocka_unit_test(a_written_scalar_reads_back),
        cmocka_unit_test(what_is_no_utf8_is_written_as_a_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
