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
    uint64_t size_bytes;
};

static const struct cli_option options[] = {
    CLI_FLAG('j', "json", "print one JSON document", offsetof(struct args, is_json)),
    CLI_FLAG('q', "quiet", "say less", offsetof(struct args, is_quiet)),
    CLI_STRING('t', "target", "NAME", "where to run", offsetof(struct args, target)),
    CLI_LIST(0, "tag", "KEY=VALUE", "a tag of the run", offsetof(struct args, tags)),
    CLI_COUNT('n', "count", "N", "how many", offsetof(struct args, count)),
    CLI_DURATION(0, "limit", "TIME", "how long at most", offsetof(struct args, limit_ms)),
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_may_be_mixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
