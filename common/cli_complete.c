/* cli_complete: what the word under the cursor may be. */
#include "common/cli.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

/* Where a command line is, word by word. */
struct line {
    const struct cli_command *command;
    const struct cli_option *waiting; /* the option whose value comes next */
    size_t operands;
    bool has_terminator;      /* nothing is an option any more */
    bool is_terminated_first; /* "--" stood before the first operand */
};

static const struct cli_option *find_option(const struct cli_command *command,
                                            const char *name, size_t length)
{
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) {
            return o;
        }
    }
    return NULL;
}

/* The option of a bundle ("-abN") that takes its value from the next word, or NULL. */
static const struct cli_option *find_waiting(const struct cli_command *command,
                                             const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct cli_option *o = command->options;

        while (o->kind != CLI_KIND_END && o->letter != *letters) {
            o++;
        }
        if (o->kind != CLI_KIND_END && o->kind != CLI_KIND_FLAG) {
            return letters[1] == '\0' ? o : NULL;
        }
    }
    return NULL;
}

static void pass_word(struct line *line, const char *word)
{
    const struct cli_option *option = NULL;

    if (line->waiting != NULL) {
        line->waiting = NULL;
    } else if (line->has_terminator || word[0] != '-' || word[1] == '\0') {
        line->operands++;
        line->has_terminator |= line->command->stops_at_operand;
    } else if (strcmp(word, "--") == 0) {
        line->has_terminator = true;
        line->is_terminated_first = line->operands == 0;
    } else if (word[1] == '-') {
        option = find_option(line->command, word + 2, strcspn(word + 2, "="));
        line->waiting =
            option != NULL && option->kind != CLI_KIND_FLAG && strchr(word, '=') == NULL
                ? option
                : NULL;
    } else {
        line->waiting = find_waiting(line->command, word + 1);
    }
}

static void set_value(struct cli_place *out, const char *value, size_t length)
{
    out->kind = CLI_PLACE_VALUE;
    (void)snprintf(out->value, sizeof(out->value), "%.*s", (int)length, value);
}

void cli_operand(const struct cli_command *command, size_t index, bool is_terminated,
                 char out[CLI_VALUE_SIZE])
{
    const char *usage = command->usage;
    const char *behind = is_terminated ? strstr(usage, "-- ") : NULL;
    size_t at = 0;

    out[0] = '\0';
    for (usage = behind != NULL ? behind + 3 : usage; *usage != '\0';) {
        size_t length = strcspn(usage, " ");
        size_t start = *usage == '[';
        size_t name = strcspn(usage + start, " ].");
        bool is_last_and_many = strncmp(usage + start + name, "...", 3) == 0;

        if (strncmp(usage, "|", length) == 0) {
            return;
        }
        if (usage[start] != '-' && strncmp(usage, "[options]", length) != 0 &&
            (at++ == index || is_last_and_many)) {
            (void)snprintf(out, CLI_VALUE_SIZE, "%.*s", (int)name, usage + start);
            return;
        }
        usage += length + (usage[length] == ' ');
    }
}

static void set_operand(struct cli_place *out, const struct line *line)
{
    if (line->operands >= line->command->max_operands) {
        return;
    }
    cli_operand(line->command, line->operands, line->is_terminated_first, out->value);
    if (out->value[0] != '\0') {
        out->kind = CLI_PLACE_VALUE;
    }
}

static void locate_in_command(struct line *line, const char *word, struct cli_place *out)
{
    size_t name = strcspn(word, "=");

    if (line->waiting != NULL) {
        set_value(out, line->waiting->value, strlen(line->waiting->value));
    } else if (line->has_terminator || word[0] != '-') {
        set_operand(out, line);
    } else if (word[name] != '=') {
        out->kind = CLI_PLACE_OPTION;
    } else if (strncmp(word, "--", 2) == 0) {
        const struct cli_option *option = find_option(line->command, word + 2, name - 2);

        if (option != NULL && option->kind != CLI_KIND_FLAG) {
            set_value(out, option->value, strlen(option->value));
            out->prefix_length = name + 1;
        }
    }
    out->operands = line->operands;
}

void cli_locate(const struct cli_command *const *commands, size_t count,
                char *const *words, size_t word_count, struct cli_place *out)
{
    size_t last = word_count - 1, name_words = 0;
    CLEANUP_FREE char **before = xcalloc(word_count, sizeof(*before));
    struct line line = {.operands = 0};

    *out = (struct cli_place){.kind = CLI_PLACE_COMMAND};
    memcpy(before, words, last * sizeof(*before));
    line.command = cli_find(commands, count, before, &name_words, NULL);
    if (line.command == NULL) {
        return;
    }
    out->kind = CLI_PLACE_NOTHING;
    out->command = line.command;
    for (size_t i = name_words; i < last; i++) {
        pass_word(&line, words[i]);
    }
    locate_in_command(&line, words[last], out);
}
