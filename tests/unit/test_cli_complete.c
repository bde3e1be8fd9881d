#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/cli.h"
#include "common/mem.h"

static const struct cli_option options[] = {
    CLI_FLAG('q', "quiet", "say less", 0),
    CLI_STRING('t', "target", "TARGET", "where", 0),
    CLI_LIST(0, "env", "K=V", "a variable", 0),
    CLI_END,
};

static const struct cli_command run = {
    .name = "run",
    .usage = "[options] SCRIPT [ARGUMENT...] | [options] -- COMMAND [WORD...]",
    .options = options,
    .max_operands = SIZE_MAX,
    .stops_at_operand = true,
};
static const struct cli_command wait = {
    .name = "wait",
    .usage = "RUN... [options]",
    .options = options,
    .max_operands = SIZE_MAX,
};
static const struct cli_command add = {
    .name = "target add",
    .usage = "NAME [a|b] [options]",
    .options = options,
    .max_operands = 2,
};
static const struct cli_command *const commands[] = {&run, &wait, &add};

#define WORDS_MAX 16

/* Of a line whose words are separated by one space each. */
static struct cli_place locate(const char *line)
{
    CLEANUP_FREE char *text = xstrdup(line);
    char *words[WORDS_MAX] = {text};
    size_t count = 1;
    struct cli_place place;

    for (char *p = text; (p = strchr(p, ' ')) != NULL;) {
        *p++ = '\0';
        words[count++] = p;
    }
    cli_locate(commands, ARRAY_SIZE(commands), words, count, &place);
    return place;
}

static void assert_value(const char *line, const char *value, size_t prefix_length)
{
    struct cli_place place = locate(line);

    if (place.kind != CLI_PLACE_VALUE || strcmp(place.value, value) != 0) {
        fail_msg("\"%s\": %s", line, place.value);
    }
    assert_int_equal(place.prefix_length, prefix_length);
}

static void assert_kind(const char *line, enum cli_place_kind kind)
{
    if (locate(line).kind != kind) {
        fail_msg("\"%s\"", line);
    }
}

static void names_of_commands_come_first(void **state)
{
    (void)state;
    assert_kind("", CLI_PLACE_COMMAND);
    assert_kind("run", CLI_PLACE_COMMAND); /* it may go on */
    assert_kind("target ", CLI_PLACE_COMMAND);
    assert_kind("target add", CLI_PLACE_COMMAND);
    assert_kind("nothing x ", CLI_PLACE_COMMAND);
    assert_ptr_equal(locate("target add ").command, &add);
}

static void options_are_known_by_their_dash(void **state)
{
    (void)state;
    assert_kind("run -", CLI_PLACE_OPTION);
    assert_kind("run --ta", CLI_PLACE_OPTION);
    assert_kind("wait r1 --", CLI_PLACE_OPTION);
    assert_kind("wait -q -", CLI_PLACE_OPTION);
    assert_kind("run --quiet=", CLI_PLACE_NOTHING);
    assert_kind("run --unknown=", CLI_PLACE_NOTHING);
}

static void values_of_options_are_named_by_their_rows(void **state)
{
    (void)state;
    assert_value("run --target ", "TARGET", 0);
    assert_value("run --target -x", "TARGET", 0);
    assert_value("run -t ", "TARGET", 0);
    assert_value("run -qt ", "TARGET", 0);
    assert_value("run --target=", "TARGET", 9);
    assert_value("run --env=A", "K=V", 6);
    assert_value("wait r1 --env ", "K=V", 0);
}

static void operands_are_named_by_the_usage(void **state)
{
    (void)state;
    assert_value("run ", "SCRIPT", 0);
    assert_value("run -q --target=x ", "SCRIPT", 0);
    assert_value("run --target x t", "SCRIPT", 0);
    assert_value("run -tx t", "SCRIPT", 0);
    assert_value("run t.py ", "ARGUMENT", 0);
    assert_value("run t.py a ", "ARGUMENT", 0);
    assert_value("wait ", "RUN", 0);
    assert_value("wait r1 - r3", "RUN", 0);
    assert_value("target add ", "NAME", 0);
    assert_value("target add x ", "a|b", 0);
    assert_kind("target add x a ", CLI_PLACE_NOTHING);
    assert_int_equal(locate("wait r1 -q r2 ").operands, 2);
}

static void what_follows_the_script_is_its_own(void **state)
{
    (void)state;
    assert_value("run t.py --ta", "ARGUMENT", 0);
    assert_value("run t.py --target ", "ARGUMENT", 0);
    assert_value("run -- ", "COMMAND", 0);
    assert_value("run -q -- --x", "COMMAND", 0);
    assert_value("run -- make -", "WORD", 0);
    assert_value("wait -- -", "RUN", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_commands_come_first),
        cmocka_unit_test(options_are_known_by_their_dash),
        cmocka_unit_test(values_of_options_are_named_by_their_rows),
        cmocka_unit_test(operands_are_named_by_the_usage),
        cmocka_unit_test(what_follows_the_script_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
