#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/mem.h"

struct args {
    bool is_json;
    bool is_quiet;
    const char *target;
    struct strvec tags;
    int64_t count;
    int64_t limit_ms;
    struct cli_time rest;
    uint64_t size_bytes;
};

static const struct cli_option options[] = {
    CLI_FLAG('j', "json", "print one JSON document", offsetof(struct args, is_json)),
    CLI_FLAG('q', "quiet", "say less", offsetof(struct args, is_quiet)),
    CLI_STRING('t', "target", "NAME", "where to run", offsetof(struct args, target)),
    CLI_LIST(0, "tag", "KEY=VALUE", "a tag of the run", offsetof(struct args, tags)),
    CLI_COUNT('n', "count", "N", "how many", offsetof(struct args, count)),
    CLI_DURATION(0, "limit", "TIME", "how long at most", offsetof(struct args, limit_ms)),
    CLI_TIME(0, "rest", "TIME", "between two legs", offsetof(struct args, rest), 3600000),
    CLI_SIZE(0, "size", "SIZE", "how much at most", offsetof(struct args, size_bytes)),
    CLI_END,
};

static const struct cli_command walk = {
    .name = "walk",
    .usage = "PLACE... [options]",
    .help = "go somewhere on foot",
    .options = options,
    .args_size_bytes = sizeof(struct args),
    .max_operands = 3,
};

#define WORDS_MAX 31

/* What a line of words, one space between them, is parsed to. */
struct parsed {
    char line[256];
    char *argv[WORDS_MAX + 1];
    struct args args;
    char **operands;
    size_t count;
    bool want_help;
    bool has_terminator;
    struct error err;
};

static int parse(struct parsed *parsed, const struct cli_command *command,
                 const char *line)
{
    size_t count = 0;

    *parsed = (struct parsed){.err = ERROR_INIT};
    assert_true(strlen(line) < sizeof(parsed->line));
    memcpy(parsed->line, line, strlen(line));
    for (char *word = parsed->line; *word != '\0';) {
        assert_true(count < WORDS_MAX);
        parsed->argv[count++] = word;
        word += strcspn(word, " ");
        if (*word == ' ') {
            *word++ = '\0';
        }
    }
    return cli_parse(command, parsed->argv, &parsed->args, &parsed->operands,
                     &parsed->count, &parsed->want_help, &parsed->has_terminator,
                     &parsed->err);
}

static void options_and_operands_may_be_mixed(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, &walk,
                           "a --target t1 b -jn5 --tag=x=1 --tag y=2 --limit 2m -q "
                           "--size=1Ki c"),
                     0);
    assert_int_equal(p.count, 3);
    assert_string_equal(p.operands[0], "a");
    assert_string_equal(p.operands[1], "b");
    assert_string_equal(p.operands[2], "c");
    assert_null(p.operands[3]);
    assert_false(p.want_help);
    assert_false(p.has_terminator);
    assert_true(p.args.is_json);
    assert_true(p.args.is_quiet);
    assert_string_equal(p.args.target, "t1");
    assert_int_equal(p.args.tags.count, 2);
    assert_string_equal(p.args.tags.items[0], "x=1");
    assert_string_equal(p.args.tags.items[1], "y=2");
    assert_int_equal(p.args.count, 5);
    assert_int_equal(p.args.limit_ms, 120000);
    assert_int_equal(p.args.size_bytes, 1024);
    cli_release(&walk, &p.args);
    assert_int_equal(p.args.tags.count, 0);
}

static void a_time_of_none_is_told_from_no_time(void **state)
{
    struct parsed p;
    (void)state;
    assert_int_equal(parse(&p, &walk, "a"), 0);
    assert_false(p.args.rest.is_given);
    assert_int_equal(parse(&p, &walk, "a --rest 0s"), 0);
    assert_true(p.args.rest.is_given);
    assert_int_equal(p.args.rest.ms, 0);
    assert_int_equal(parse(&p, &walk, "a --rest 60m"), 0);
    assert_int_equal(p.args.rest.ms, 3600000);
    assert_int_equal(parse(&p, &walk, "a --rest 61m"), -1);
    assert_string_equal(p.err.text, "--rest: longer than 1 h: 61m");
}

static void assert_fails(const char *line, const char *text, const char *hint)
{
    struct parsed p;

    assert_int_equal(parse(&p, &walk, line), -1);
    assert_int_equal(p.err.code, ERR_USAGE);
    assert_string_equal(p.err.text, text);
    assert_string_equal(p.err.hint, hint);
    cli_release(&walk, &p.args);
}

static void values_come_in_every_form(void **state)
{
    static const char *const lines[] = {"--target v", "--target=v", "-t v",    "-tv",
                                        "-jqtv",      "-qt v",      "-t x -tv"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct parsed p;

        assert_int_equal(parse(&p, &walk, lines[i]), 0);
        assert_string_equal(p.args.target, "v");
        assert_int_equal(p.count, 0);
        assert_null(p.operands[0]);
    }
}

static void values_may_be_empty_or_look_like_options(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, &walk, "--target= a"), 0);
    assert_string_equal(p.args.target, "");
    assert_int_equal(parse(&p, &walk, "--target --json -n 3"), 0);
    assert_string_equal(p.args.target, "--json");
    assert_false(p.args.is_json);
    assert_int_equal(p.args.count, 3);
    assert_int_equal(parse(&p, &walk, "--target=a=b"), 0);
    assert_string_equal(p.args.target, "a=b");
}

static void a_dash_alone_is_an_operand(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, &walk, "- -q"), 0);
    assert_int_equal(p.count, 1);
    assert_string_equal(p.operands[0], "-");
    assert_true(p.args.is_quiet);
}

static void two_dashes_end_the_options(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, &walk, "-q -- -j --"), 0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.operands[0], "-j");
    assert_string_equal(p.operands[1], "--");
    assert_false(p.args.is_json);
    assert_true(p.has_terminator);
    assert_int_equal(parse(&p, &walk, "a -q -- -j"), 0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.operands[0], "a");
    assert_string_equal(p.operands[1], "-j");
    assert_false(p.has_terminator);
    assert_int_equal(parse(&p, &walk, "--"), 0);
    assert_int_equal(p.count, 0);
    assert_true(p.has_terminator);
}

static void some_commands_leave_all_behind_an_operand_to_it(void **state)
{
    struct cli_command run = walk;
    struct parsed p;

    (void)state;
    run.stops_at_operand = true;
    run.max_operands = SIZE_MAX;
    assert_int_equal(parse(&p, &run, "-q a.py -j --target x -- --help"), 0);
    assert_int_equal(p.count, 6);
    assert_string_equal(p.operands[0], "a.py");
    assert_string_equal(p.operands[1], "-j");
    assert_string_equal(p.operands[4], "--");
    assert_string_equal(p.operands[5], "--help");
    assert_ptr_equal(p.operands, p.argv + 1);
    assert_true(p.args.is_quiet);
    assert_false(p.args.is_json);
    assert_false(p.want_help);
    assert_false(p.has_terminator);
    assert_int_equal(parse(&p, &run, "-q -- -j a"), 0);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.operands[0], "-j");
    assert_true(p.has_terminator);
}

static void help_is_always_there(void **state)
{
    static const struct cli_option own[] = {
        CLI_FLAG('h', "human", "sizes for people", offsetof(struct args, is_json)),
        CLI_END,
    };
    struct cli_command du = walk;
    struct parsed p;

    (void)state;
    du.options = own;
    assert_int_equal(parse(&p, &walk, "a b c d e --help --bogus"), 0);
    assert_true(p.want_help);
    assert_int_equal(parse(&p, &walk, "-jh"), 0);
    assert_true(p.want_help);
    assert_int_equal(parse(&p, &du, "-h"), 0);
    assert_false(p.want_help);
    assert_true(p.args.is_json);
    assert_int_equal(parse(&p, &du, "--help"), 0);
    assert_true(p.want_help);
}

static void unknown_options_show_the_nearest(void **state)
{
    (void)state;
    assert_fails("--taget x", "there is no option --taget", "did you mean --target?");
    assert_fails("a --jsno", "there is no option --jsno", "did you mean --json?");
    assert_fails("--hlep", "there is no option --hlep", "did you mean --help?");
    assert_fails("--quite=1", "there is no option --quite", "did you mean --quiet?");
    assert_fails("--bogus", "there is no option --bogus", "--help lists the options");
    assert_fails("-x", "there is no option -x", "--help lists the options");
    assert_fails("-qx", "there is no option -x", "--help lists the options");
}

static void a_prefix_is_not_a_name(void **state)
{
    (void)state;
    assert_fails("--targ x", "there is no option --targ", "did you mean --target?");
    assert_fails("--targets x", "there is no option --targets", "did you mean --target?");
}

static void wrong_values_are_refused(void **state)
{
    struct parsed p;

    (void)state;
    assert_fails("--target", "--target needs a value: --target NAME", "");
    assert_fails("-qt", "--target needs a value: --target NAME", "");
    assert_fails("--json=yes", "--json takes no value", "");
    assert_fails("-n x", "--count: \"x\" is not a number from 0 to 2^53", "");
    assert_fails("-n -1", "--count: \"-1\" is not a number from 0 to 2^53", "");
    assert_fails("--count=9007199254740993",
                 "--count: \"9007199254740993\" is not a number from 0 to 2^53", "");
    assert_int_equal(parse(&p, &walk, "-n 9007199254740992"), 0);
    assert_int_equal(p.args.count, INT64_C(1) << 53);
    assert_int_equal(parse(&p, &walk, "--limit soon"), -1);
    assert_int_equal(p.err.code, ERR_USAGE);
    assert_memory_equal(p.err.text, "--limit: ", 9);
    assert_int_equal(parse(&p, &walk, "--limit 99999d"), -1);
    assert_int_equal(p.err.code, ERR_USAGE);
    assert_int_equal(parse(&p, &walk, "--size 1X"), -1);
    assert_int_equal(p.err.code, ERR_USAGE);
    assert_memory_equal(p.err.text, "--size: ", 8);
}

static void operands_are_counted(void **state)
{
    struct cli_command two = walk;
    struct parsed p;

    (void)state;
    assert_fails("a b c d", "walk: too many words",
                 "usage: errand walk PLACE... [options]");
    two.min_operands = 2;
    assert_int_equal(parse(&p, &two, "a -q"), -1);
    assert_string_equal(p.err.text, "walk: PLACE is missing");
    assert_int_equal(parse(&p, &two, "a -q b"), 0);
}

static void many_words_keep_their_order(void **state)
{
    struct parsed p;
    struct cli_command any = walk;

    (void)state;
    any.max_operands = SIZE_MAX;
    assert_int_equal(parse(&p, &any, "1 -n 1 2 3 -t x -q 4 --tag a 5 6 --tag=b 7"), 0);
    assert_int_equal(p.count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(p.operands[i][0], '1' + (int)i);
    }
    assert_null(p.operands[7]);
    assert_string_equal(p.argv[0], "-n");
    assert_string_equal(p.argv[1], "1");
    assert_string_equal(p.args.tags.items[1], "b");
    cli_release(&any, &p.args);
}

/* ---- commands -----------------------------------------------------------------------
 */

static const struct cli_command target = {.name = "target", .usage = "", .help = "x"};
static const struct cli_command target_add = {
    .name = "target add", .usage = "", .help = "make a target"};
static const struct cli_command run = {.name = "run", .usage = "", .help = "run it"};
static const struct cli_command env_list = {
    .name = "env list", .usage = "", .help = "list the environments on a node"};
static const struct cli_command *const commands[] = {&target, &target_add, &run,
                                                     &env_list};

static const struct cli_command *find(const char *first, const char *second,
                                      size_t *out_words, struct error *err)
{
    CLEANUP_FREE char *one = first == NULL ? NULL : xstrdup(first);
    CLEANUP_FREE char *two = second == NULL ? NULL : xstrdup(second);
    char *const argv[] = {one, two, NULL};

    *err = (struct error)ERROR_INIT;
    return cli_find(commands, ARRAY_SIZE(commands), argv, out_words, err);
}

static void commands_are_found_by_their_words(void **state)
{
    struct error err;
    size_t words = 0;

    (void)state;
    assert_ptr_equal(find("run", "add", &words, &err), &run);
    assert_int_equal(words, 1);
    assert_ptr_equal(find("target", "add", &words, &err), &target_add);
    assert_int_equal(words, 2);
    assert_ptr_equal(find("target", "other", &words, &err), &target);
    assert_int_equal(words, 1);
    assert_ptr_equal(find("target", NULL, &words, &err), &target);
    assert_ptr_equal(find("env", "list", &words, &err), &env_list);
    assert_int_equal(words, 2);
    assert_int_equal(err.code, ERR_NONE);
}

static void unknown_commands_show_the_nearest(void **state)
{
    static const struct {
        const char *first, *second, *text, *hint;
    } rows[] = {
        {"rnu", NULL, "there is no command \"rnu\"", "did you mean \"run\"?"},
        {"targte", "add", "there is no command \"targte add\"",
         "did you mean \"target add\"?"},
        {"tagret", "x", "there is no command \"tagret\"", "did you mean \"target\"?"},
        {"evn", NULL, "there is no command \"evn\"", "did you mean \"env\"?"},
        {"env", "lsit", "there is no command \"env lsit\"", "did you mean \"env list\"?"},
        {"env", "wipe", "there is no command \"env wipe\"", "there are: env list"},
        {"env", NULL, "\"env\" needs a word behind it", "there are: env list"},
        {"env", "--json", "\"env\" needs a word behind it", "there are: env list"},
        {"frobnicate", NULL, "there is no command \"frobnicate\"",
         "\"help\" lists the commands"},
        {"", NULL, "there is no command \"\"", "\"help\" lists the commands"},
        {NULL, NULL, "no command is given", "\"help\" lists the commands"},
    };
    struct error err;
    size_t words;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_null(find(rows[i].first, rows[i].second, &words, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err.text, rows[i].text);
        assert_string_equal(err.hint, rows[i].hint);
    }
}

static void the_nearest_has_a_third_of_the_letters_wrong_at_most(void **state)
{
    static const char *const names[] = {"status", "stats", "run", "follow"};
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"status", "status"},  {"statsu", "status"}, {"stat", "stats"},
        {"stas", "stats"},     {"rn", NULL},         {"r", "run"},
        {"fo", "follow"},      {"s", NULL},          {"urn", "run"},
        {"ran", "run"},        {"fan", NULL},        {"fololw", "follow"},
        {"folo", NULL},        {"foww", NULL},       {"flow", NULL},
        {"folllow", "follow"}, {"", NULL},
    };
    char huge[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *nearest = cli_nearest(rows[i].word, names, ARRAY_SIZE(names));

        if (rows[i].nearest == NULL) {
            assert_null(nearest);
        } else {
            assert_non_null(nearest);
            assert_string_equal(nearest, rows[i].nearest);
        }
    }
    memset(huge, 'x', sizeof(huge));
    huge[sizeof(huge) - 1] = '\0';
    assert_null(cli_nearest(huge, names, ARRAY_SIZE(names)));
    assert_null(cli_nearest("x", NULL, 0));
}

/* ---- help ---------------------------------------------------------------------------
 */

static void help_shows_usage_details_and_options(void **state)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct cli_command told = walk;

    (void)state;
    told.details = "Walks.\n\n    walk home -n 2\n";
    cli_help("errand", &told, &out);
    assert_string_equal(out.data, "usage: errand walk PLACE... [options]\n"
                                  "\n"
                                  "go somewhere on foot\n"
                                  "\n"
                                  "Walks.\n"
                                  "\n"
                                  "    walk home -n 2\n"
                                  "\n"
                                  "options:\n"
                                  "  -j, --json           print one JSON document\n"
                                  "  -q, --quiet          say less\n"
                                  "  -t, --target NAME    where to run\n"
                                  "      --tag KEY=VALUE  a tag of the run\n"
                                  "  -n, --count N        how many\n"
                                  "      --limit TIME     how long at most\n"
                                  "      --rest TIME      between two legs\n"
                                  "      --size SIZE      how much at most\n"
                                  "  -h, --help           show this text\n");
}

static void assert_80_columns(const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        assert_true(length <= 80);
        assert_true(length == 0 || text[length - 1] != ' ');
        text += length + 1;
    }
}

static void help_keeps_to_80_columns(void **state)
{
    static const struct cli_option wide[] = {
        CLI_STRING('o', "a-very-long-name-of-an-option", "AND-ITS-VALUE",
                   "beside a name like this there is no room, so it begins below and "
                   "goes on for more than a line",
                   0),
        CLI_FLAG(0, "short",
                 "words that go on and on until they do not fit into one line of eighty",
                 0),
        CLI_FLAG('h', "own", "with the letter of help", 0),
        CLI_END,
    };
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct cli_command told = walk;

    (void)state;
    told.options = wide;
    told.usage =
        "[--one VALUE] [--two VALUE] [--three VALUE] [--four VALUE] [--five VALUE]";
    told.details = "A paragraph that is one line of text in the table and that has to be "
                   "broken in two, or even in three, between words.";
    cli_help("errand", &told, &out);
    assert_80_columns(out.data);
    assert_non_null(strstr(out.data, "\n              [--five VALUE]\n"));
    assert_non_null(strstr(out.data, "--a-very-long-name-of-an-option AND-ITS-VALUE\n"
                                     "               beside a name like this"));
    assert_non_null(strstr(out.data, "\n      --help   show this text\n"));
    assert_non_null(strstr(out.data, "  -h, --own    with the letter"));
}

static void the_list_has_a_row_for_each_command(void **state)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    cli_help_list(commands, ARRAY_SIZE(commands), &out);
    assert_string_equal(out.data, "  target      x\n"
                                  "  target add  make a target\n"
                                  "  run         run it\n"
                                  "  env list    list the environments on a node\n");
}

static void columns_are_counted_in_characters(void **state)
{
    static const struct cli_command accented = {
        .name = "\xc3\xa4\xc3\xb6\xc3\xbc", .usage = "", .help = "x"};
    static const struct cli_command *const both[] = {&accented, &run};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    cli_help_list(both, 2, &out);
    assert_string_equal(out.data, "  \xc3\xa4\xc3\xb6\xc3\xbc  x\n"
                                  "  run  run it\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_may_be_mixed),
        cmocka_unit_test(a_time_of_none_is_told_from_no_time),
        cmocka_unit_test(values_come_in_every_form),
        cmocka_unit_test(values_may_be_empty_or_look_like_options),
        cmocka_unit_test(a_dash_alone_is_an_operand),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(some_commands_leave_all_behind_an_operand_to_it),
        cmocka_unit_test(help_is_always_there),
        cmocka_unit_test(unknown_options_show_the_nearest),
        cmocka_unit_test(a_prefix_is_not_a_name),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(operands_are_counted),
        cmocka_unit_test(many_words_keep_their_order),
        cmocka_unit_test(commands_are_found_by_their_words),
        cmocka_unit_test(unknown_commands_show_the_nearest),
        cmocka_unit_test(the_nearest_has_a_third_of_the_letters_wrong_at_most),
        cmocka_unit_test(help_shows_usage_details_and_options),
        cmocka_unit_test(help_keeps_to_80_columns),
        cmocka_unit_test(the_list_has_a_row_for_each_command),
        cmocka_unit_test(columns_are_counted_in_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
