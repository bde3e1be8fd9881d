/*
 * cli: any words as a command line: words end with NUL.
 *
 * Every word is found again as an option, a value or an operand; what is refused has a
 * sentence. The first byte says whether options end at the first operand.
 */
#include "tests/fuzz/fuzz.h"

#include "common/cli.h"

#define WORDS_MAX 64

struct args {
    bool is_long, is_quiet;
    const char *text;
    struct strvec list;
    int64_t count, duration_ms;
    struct cli_time rest;
    uint64_t size_bytes;
};

static const struct cli_option options[] = {
    CLI_FLAG('l', "long", "a flag", offsetof(struct args, is_long)),
    CLI_FLAG('q', "quiet", "another", offsetof(struct args, is_quiet)),
    CLI_STRING('t', "text", "TEXT", "a text", offsetof(struct args, text)),
    CLI_LIST('i', "item", "TEXT", "an item", offsetof(struct args, list)),
    CLI_COUNT('n', "number", "N", "a number", offsetof(struct args, count)),
    CLI_DURATION('d', "delay", "D", "a time", offsetof(struct args, duration_ms)),
    CLI_TIME('r', "rest", "D", "another time", offsetof(struct args, rest), 60000),
    CLI_SIZE('s', "size", "N", "a size", offsetof(struct args, size_bytes)),
    CLI_END,
};

static const struct cli_command command = {.name = "try",
                                           .usage = "WORD...",
                                           .help = "try it",
                                           .options = options,
                                           .args_size_bytes = sizeof(struct args),
                                           .min_operands = 1,
                                           .max_operands = 10};

static void check(const struct args *args, char **operands, size_t count)
{
    assert(args->count >= 0 && args->count <= INT64_C(1) << 53);
    assert(args->duration_ms >= 0);
    assert(!args->rest.is_given || (args->rest.ms >= 0 && args->rest.ms <= 60000));
    assert(count >= 1 && count <= 10 && operands[count] == NULL);
    for (size_t i = 0; i < count; i++) {
        assert(operands[i] != NULL);
    }
}

static void parse(char **argv, size_t words, bool stops)
{
    struct cli_command one = command;
    struct args args = {.list = STRVEC_INIT};
    struct error err = ERROR_INIT;
    bool want_help = false;
    bool has_terminator = false;
    char **operands = NULL;
    size_t count = 0;

    one.stops_at_operand = stops;
    if (cli_parse(&one, argv, &args, &operands, &count, &want_help, &has_terminator,
                  &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_USAGE);
    } else if (!want_help) {
        assert(count <= words);
        check(&args, operands, count);
    }
    cli_release(&one, &args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    bool stops = fuzz_byte(&in) & 1;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    char *argv[WORDS_MAX + 1] = {NULL};
    size_t words = 0;

    (void)strbuf_add(&bytes, in.data, in.size, NULL);
    for (size_t at = 0; at < bytes.length && words < WORDS_MAX; words++) {
        argv[words] = bytes.data + at;
        at += strlen(bytes.data + at) + 1;
    }
    parse(argv, words, stops);
    return 0;
}
