#include "common/cli.h"

#include <assert.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/mem.h"

#define PROGRAM "errand"
#define COUNT_MAX ((uint64_t)1 << 53)
/* Words longer than this resemble nothing. */
#define NEAREST_LENGTH_MAX 63
#define COLUMNS 80
/* Where the help begins at the latest; what is wider on its left gets a line of its own.
 */
#define HELP_COLUMN_MAX 30

/* ---- values ----------------------------------------------------------------------- */

typedef int value_setter(const struct cli_option *option, void *field, const char *text,
                         struct error *err);

static int set_string(const struct cli_option *option, void *field, const char *text,
                      struct error *err)
{
    (void)option, (void)err;
    *(const char **)field = text;
    return 0;
}

static int set_list(const struct cli_option *option, void *field, const char *text,
                    struct error *err)
{
    (void)option, (void)err;
    strvec_push(field, text);
    return 0;
}

static int set_count(const struct cli_option *option, void *field, const char *text,
                     struct error *err)
{
    uint64_t max = option->max > 0 ? (uint64_t)option->max : COUNT_MAX;
    uint64_t value = 0;

    if (bytes_parse_u64(text, max, &value, NULL) < 0 || value < (uint64_t)option->min) {
        return option->max > 0
                   ? error_set(err, ERR_USAGE, "\"%s\" is not a number from %lld to %lld",
                               text, (long long)option->min, (long long)option->max)
                   : error_set(err, ERR_USAGE, "\"%s\" is not a number from 0 to 2^53",
                               text);
    }
    *(int64_t *)field = (int64_t)value;
    return 0;
}

static int set_duration(const struct cli_option *option, void *field, const char *text,
                        struct error *err)
{
    (void)option;
    return clock_parse_duration(text, field, err);
}

static int set_time(const struct cli_option *option, void *field, const char *text,
                    struct error *err)
{
    struct cli_time *out = field;
    char longest[CLOCK_TEXT_SIZE];
    if (clock_parse_duration(text, &out->ms, err) < 0) {
        return -1;
    }
    if (option->max > 0 && out->ms > option->max) {
        clock_format_duration(longest, option->max);
        return error_set(err, ERR_USAGE, "longer than %s: %.40s", longest, text);
    }
    out->is_given = true;
    return 0;
}

static int set_size(const struct cli_option *option, void *field, const char *text,
                    struct error *err)
{
    (void)option;
    return files_parse_size(text, field, err);
}

/* Those without one take no value. */
static value_setter *const setters[] = {
    [CLI_KIND_END] = NULL,          [CLI_KIND_FLAG] = NULL,
    [CLI_KIND_STRING] = set_string, [CLI_KIND_LIST] = set_list,
    [CLI_KIND_COUNT] = set_count,   [CLI_KIND_DURATION] = set_duration,
    [CLI_KIND_TIME] = set_time,     [CLI_KIND_SIZE] = set_size,
};

static void *field_of(const struct cli_option *option, void *args)
{
    return (char *)args + option->offset;
}

static int set_value(const struct cli_option *option, void *args, const char *text,
                     struct error *err)
{
    if (setters[option->kind](option, field_of(option, args), text, err) < 0) {
        error_wrap(err, "--%s", option->name);
        if (err != NULL) {
            err->code = ERR_USAGE;
        }
        return -1;
    }
    return 0;
}

/* ---- names ------------------------------------------------------------------------ */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/*
 * Damerau-Levenshtein distance in its restricted form (optimal string alignment): letters
 * added, dropped, replaced, or two neighbours exchanged. Both words fit
 * NEAREST_LENGTH_MAX.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_LENGTH_MAX + 1];
    size_t *before_last = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    size_t b_length = strlen(b);

    for (size_t j = 0; j <= b_length; j++) {
        last[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *spare = before_last;

        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = a[i - 1] == b[j - 1] ? 0 : 1;

            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before_last[j - 2] + 1 < now[j]) {
                now[j] = before_last[j - 2] + 1;
            }
        }
        before_last = last;
        last = now;
        now = spare;
    }
    return last[b_length];
}

/* The only name that begins with word, or NULL. */
static const char *only_longer(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    const char *longer = NULL;

    for (size_t i = 0; length > 0 && i < count; i++) {
        if (strncmp(names[i], word, length) == 0) {
            if (longer != NULL) {
                return NULL;
            }
            longer = names[i];
        }
    }
    return longer;
}

const char *cli_nearest(const char *word, const char *const *names, size_t count)
{
    const char *longer = only_longer(word, names, count);
    size_t length = strlen(word);
    size_t least = length / 3 + 1;
    const char *nearest = NULL;

    if (longer != NULL || length > NEAREST_LENGTH_MAX) {
        return longer;
    }
    for (size_t i = 0; i < count; i++) {
        size_t wrong =
            strlen(names[i]) > NEAREST_LENGTH_MAX ? least : distance(word, names[i]);

        if (wrong < least) {
            least = wrong;
            nearest = names[i];
        }
    }
    return nearest;
}

/* ---- parsing ---------------------------------------------------------------------- */

/* Where the parser is. The options met so far lie before the operands met so far, so that
 * the operands are what is left in front of the terminating NULL. */
struct parser {
    const struct cli_command *command;
    void *args;
    char **argv;
    size_t at;       /* the next word to look at */
    size_t operands; /* where they begin */
    bool want_help;
};

/* The words from at on that made one option go before the operands. */
static void pass_option(struct parser *p, size_t words)
{
    char *moved[2] = {NULL, NULL};

    assert(words <= ARRAY_SIZE(moved));
    memcpy(moved, p->argv + p->at, words * sizeof(*moved));
    memmove(p->argv + p->operands + words, p->argv + p->operands,
            (p->at - p->operands) * sizeof(*p->argv));
    memcpy(p->argv + p->operands, moved, words * sizeof(*moved));
    p->operands += words;
    p->at += words;
}

static const struct cli_option *find_name(const struct cli_command *command,
                                          const char *name, size_t length)
{
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) {
            return o;
        }
    }
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_command *command,
                                            char letter)
{
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        if (o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

static int unknown_name(const struct cli_command *command, const char *name,
                        size_t length, struct error *err)
{
    CLEANUP_FREE char *word = xstrndup(name, length);
    CLEANUP_FREE const char **names = NULL;
    const char *nearest;
    size_t count = 0;

    while (command->options[count].kind != CLI_KIND_END) {
        count++;
    }
    names = xcalloc(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = command->options[i].name;
    }
    names[count] = "help";
    nearest = cli_nearest(word, names, count + 1);
    error_set(err, ERR_USAGE, "there is no option --%s", word);
    for (const struct cli_foreign *f = command->foreign; f != NULL && f->name; f++) {
        if (strcmp(f->name, word) == 0) {
            return error_hint(err, "%s", f->hint);
        }
    }
    return nearest != NULL ? error_hint(err, "did you mean --%s?", nearest)
                           : error_hint(err, "--help lists the options");
}

static int lacks_value(const struct cli_option *option, struct error *err)
{
    return error_set(err, ERR_USAGE, "--%s needs a value: --%s %s", option->name,
                     option->name, option->value);
}

/* Set an option's value from behind it ("=" or the same word), else from the next word.
 */
static int take_value(struct parser *p, const struct cli_option *option, const char *text,
                      struct error *err)
{
    size_t words = text != NULL ? 1 : 2;

    if (text == NULL) {
        text = p->argv[p->at + 1];
    }
    if (text == NULL) {
        return lacks_value(option, err);
    }
    if (set_value(option, p->args, text, err) < 0) {
        return -1;
    }
    pass_option(p, words);
    return 0;
}

static int parse_long(struct parser *p, struct error *err)
{
    const char *name = p->argv[p->at] + 2;
    size_t length = strcspn(name, "=");
    const char *text = name[length] == '=' ? name + length + 1 : NULL;
    const struct cli_option *option = find_name(p->command, name, length);

    if (option == NULL && strcmp(name, "help") == 0) {
        p->want_help = true;
        return 0;
    }
    if (option == NULL) {
        return unknown_name(p->command, name, length, err);
    }
    if (setters[option->kind] != NULL) {
        return take_value(p, option, text, err);
    }
    if (text != NULL) {
        return error_set(err, ERR_USAGE, "--%s takes no value", option->name);
    }
    *(bool *)field_of(option, p->args) = true;
    pass_option(p, 1);
    return 0;
}

/* "-abNVALUE": flags, up to one option with a value, which is the rest. */
static int parse_letters(struct parser *p, struct error *err)
{
    for (const char *c = p->argv[p->at] + 1; *c != '\0'; c++) {
        const struct cli_option *option = find_letter(p->command, *c);

        if (option == NULL && *c == 'h') {
            p->want_help = true;
            return 0;
        }
        if (option == NULL) {
            error_set(err, ERR_USAGE, "there is no option -%c", *c);
            return error_hint(err, "--help lists the options");
        }
        if (setters[option->kind] != NULL) {
            return take_value(p, option, c[1] != '\0' ? c + 1 : NULL, err);
        }
        *(bool *)field_of(option, p->args) = true;
    }
    pass_option(p, 1);
    return 0;
}

/* All words. *out_has_terminator: "--" came before the first operand. */
static int parse_words(struct parser *p, bool *out_has_terminator, struct error *err)
{
    const char *word;

    while ((word = p->argv[p->at]) != NULL && !p->want_help) {
        int failed = 0;

        if (strcmp(word, "--") == 0) {
            *out_has_terminator = p->at == p->operands;
            pass_option(p, 1);
            return 0;
        }
        if (strncmp(word, "--", 2) == 0) {
            failed = parse_long(p, err);
        } else if (word[0] == '-' && word[1] != '\0') {
            failed = parse_letters(p, err);
        } else if (p->command->stops_at_operand) {
            return 0;
        } else {
            p->at++;
        }
        if (failed < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_operands(const struct cli_command *command, size_t count,
                          bool has_terminator, struct error *err)
{
    char name[CLI_VALUE_SIZE];

    if (count >= command->min_operands && count <= command->max_operands) {
        return 0;
    }
    cli_operand(command, count, has_terminator, name);
    if (count > command->max_operands) {
        error_set(err, ERR_USAGE, "%s: too many words", command->name);
    } else {
        error_set(err, ERR_USAGE, "%s: %s is missing", command->name,
                  name[0] != '\0' ? name : "something");
    }
    return error_hint(err, "usage: " PROGRAM " %s %s", command->name, command->usage);
}

int cli_parse(const struct cli_command *command, char **argv, void *args,
              char ***out_operands, size_t *out_operand_count, bool *out_want_help,
              bool *out_has_terminator, struct error *err)
{
    struct parser p = {.command = command, .args = args, .argv = argv};
    bool has_terminator = false;
    size_t count = 0;

    if (parse_words(&p, &has_terminator, err) < 0) {
        return -1;
    }
    while (argv[p.operands + count] != NULL) {
        count++;
    }
    if (!p.want_help && check_operands(command, count, has_terminator, err) < 0) {
        return -1;
    }
    *out_operands = argv + p.operands;
    *out_operand_count = count;
    *out_want_help = p.want_help;
    if (out_has_terminator != NULL) {
        *out_has_terminator = has_terminator;
    }
    return 0;
}

void cli_release(const struct cli_command *command, void *args)
{
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        if (o->kind == CLI_KIND_LIST) {
            strvec_release(field_of(o, args));
        }
    }
}

/* ---- commands --------------------------------------------------------------------- */

/* How many words of argv the command's name takes; 0: it is another one. */
static size_t match_words(const char *name, char *const *argv)
{
    size_t words = 0;

    for (;;) {
        size_t length = strcspn(name, " ");
        const char *word = argv[words];

        if (word == NULL || strlen(word) != length || strncmp(word, name, length) != 0) {
            return 0;
        }
        words++;
        if (name[length] == '\0') {
            return words;
        }
        name += length + 1;
    }
}

/* Whether the first of several words is this one. */
static bool is_group(const char *name, const char *word)
{
    size_t length = strlen(word);

    return strncmp(name, word, length) == 0 && name[length] == ' ';
}

/* "target" alone or with an unknown word behind it: say what there is. */
static int incomplete(const struct cli_command *const *commands, size_t count,
                      char *const *argv, struct error *err)
{
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT;

    for (size_t i = 0; i < count; i++) {
        if (is_group(commands[i]->name, argv[0])) {
            strbuf_printf(&list, "%s%s", list.length == 0 ? "" : ", ", commands[i]->name);
        }
    }
    if (list.length == 0) {
        return 0;
    }
    if (argv[1] == NULL || argv[1][0] == '-') {
        error_set(err, ERR_USAGE, "\"%s\" needs a word behind it", argv[0]);
    } else {
        error_set(err, ERR_USAGE, "there is no command \"%s %s\"", argv[0], argv[1]);
    }
    return error_hint(err, "there are: %s", list.data);
}

static void unknown_command(const struct cli_command *const *commands, size_t count,
                            char *const *argv, struct error *err)
{
    CLEANUP_FREE const char **names = xcalloc(2 * count, sizeof(*names));
    CLEANUP_STRVEC struct strvec firsts = STRVEC_INIT;
    CLEANUP_FREE char *two =
        argv[1] == NULL ? NULL : xasprintf("%s %s", argv[0], argv[1]);
    const char *nearest;

    for (size_t i = 0; i < count; i++) {
        names[i] = commands[i]->name;
        strvec_pushf(&firsts, "%.*s", (int)strcspn(names[i], " "), names[i]);
        names[count + i] = firsts.items[i];
    }
    nearest = two == NULL ? NULL : cli_nearest(two, names, count);
    if (nearest == NULL && incomplete(commands, count, argv, err) < 0) {
        return;
    }
    if (nearest == NULL) {
        nearest = cli_nearest(argv[0], names, 2 * count);
    }
    error_set(err, ERR_USAGE, "there is no command \"%s\"",
              nearest != NULL && strchr(nearest, ' ') != NULL && two != NULL ? two
                                                                             : argv[0]);
    if (nearest != NULL) {
        error_hint(err, "did you mean \"%s\"?", nearest);
    } else {
        error_hint(err, "\"help\" lists the commands");
    }
}

const struct cli_command *cli_find(const struct cli_command *const *commands,
                                   size_t count, char *const *argv,
                                   size_t *out_word_count, struct error *err)
{
    const struct cli_command *found = NULL;
    size_t most = 0;

    if (argv[0] == NULL) {
        error_set(err, ERR_USAGE, "no command is given");
        error_hint(err, "\"help\" lists the commands");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t words = match_words(commands[i]->name, argv);

        if (words > most) {
            most = words;
            found = commands[i];
        }
    }
    if (found == NULL) {
        unknown_command(commands, count, argv, err);
        return NULL;
    }
    *out_word_count = most;
    return found;
}
