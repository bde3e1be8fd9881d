/* What holds for every row of the tables of verbs and their options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "controller/command.h"
#include "controller/completion.h"

static void names_are_unique_and_help_is_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_count; i++) {
        const struct cli_command *command = command_table[i];

        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(command->name, command_table[k]->name);
        }
        assert_non_null(command->run);
        assert_true(islower(command->help[0]));
        assert_true(command->help[strlen(command->help) - 1] != '.');
    }
}

static void the_list_of_verbs_has_a_line_for_each(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t lines = 0;

    (void)state;
    cli_help_list(command_table, command_table_count, &text);
    for (const char *p = text.data; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, command_table_count);
}

static void options_are_unique_and_help_is_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_count; i++) {
        const struct cli_option *first = command_table[i]->options;

        for (const struct cli_option *o = first; o->kind != CLI_KIND_END; o++) {
            for (const struct cli_option *before = first; before < o; before++) {
                assert_string_not_equal(before->name, o->name);
                assert_true(o->letter == 0 || before->letter != o->letter);
            }
            assert_int_equal(o->kind == CLI_KIND_FLAG, o->value == NULL);
            assert_true(o->offset < command_table[i]->args_size_bytes);
            assert_true(strlen(o->help) <= 58 && o->help[strlen(o->help) - 1] != '.');
        }
    }
}

/* Every word of every usage, as the cursor would meet it. */
static void assert_operands_known(const struct cli_command *command)
{
    CLEANUP_FREE char *name = xstrdup(command->name);
    char *words[8] = {name};
    size_t count = 1;
    struct cli_place place;

    for (char *p = name; (p = strchr(p, ' ')) != NULL;) {
        *p++ = '\0';
        words[count++] = p;
    }
    for (size_t operands = 0; operands < 3; operands++) {
        static char empty[] = "";
        words[count++] = empty;
        cli_locate(command_table, command_table_count, words, count, &place);
        assert_ptr_equal(place.command, command);
        assert_true(place.kind == CLI_PLACE_VALUE || operands >= command->min_operands);
        assert_true(place.kind != CLI_PLACE_VALUE || operands < command->max_operands);
        if (place.kind == CLI_PLACE_VALUE && !completion_knows(place.value)) {
            fail_msg("%s: %s", command->name, place.value);
        }
    }
}

static void every_value_is_known_to_completion(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_count; i++) {
        const struct cli_option *o = command_table[i]->options;

        for (; o->kind != CLI_KIND_END; o++) {
            if (o->value != NULL && !completion_knows(o->value)) {
                fail_msg("%s --%s %s", command_table[i]->name, o->name, o->value);
            }
        }
        assert_operands_known(command_table[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_help_is_a_line),
        cmocka_unit_test(the_list_of_verbs_has_a_line_for_each),
        cmocka_unit_test(options_are_unique_and_help_is_a_line),
        cmocka_unit_test(every_value_is_known_to_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
