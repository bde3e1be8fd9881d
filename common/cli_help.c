/*
 * cli_help: the help texts of cli.            [base]
 */
#include "common/cli.h"

#include <string.h>

#define COLUMNS 80
/* Where the help begins at the latest; what is wider on its left gets a line of its own.
 */
#define HELP_COLUMN_MAX 30

/* Columns of a text: one a character, not a byte. */
static size_t width_of(const char *text, size_t length)
{
    size_t width = 0;

    for (size_t i = 0; i < length; i++) {
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return width;
}

/* Text broken between words before column 80; column says where we are, indent where a
 * new line begins. Ends with a newline. */
static void put_wrapped(struct strbuf *out, const char *text, size_t length,
                        size_t column, size_t indent)
{
    const char *end = text + length;
    bool is_first = true;

    while (text < end) {
        size_t word = strcspn(text, " ");
        size_t bytes = word < (size_t)(end - text) ? word : (size_t)(end - text);
        size_t width = width_of(text, bytes);

        if (!is_first && column + 1 + width > COLUMNS) {
            strbuf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            strbuf_putc(out, ' ');
            column++;
        }
        if (strbuf_add(out, text, bytes, NULL) < 0) {
            return;
        }
        column += width;
        is_first = false;
        text += bytes;
        while (text < end && *text == ' ') {
            text++;
        }
    }
    strbuf_putc(out, '\n');
}

/* A row: left, then help from this column on. */
static void put_row(struct strbuf *out, const char *left, const char *help, size_t column)
{
    size_t width = width_of(left, strlen(left));

    strbuf_puts(out, left);
    if (width + 2 > column) {
        strbuf_putc(out, '\n');
        width = 0;
    }
    strbuf_printf(out, "%*s", (int)(column - width), "");
    put_wrapped(out, help, strlen(help), column, column);
}

static void describe_option(const struct cli_option *option, struct strbuf *out)
{
    strbuf_reset(out);
    if (option->letter != 0) {
        strbuf_printf(out, "  -%c, ", option->letter);
    } else {
        strbuf_puts(out, "      ");
    }
    strbuf_printf(out, "--%s", option->name);
    if (option->value != NULL) {
        strbuf_printf(out, " %s", option->value);
    }
}

/* Whether the command has an option of its own of this letter, or of this name. */
static bool has_option(const struct cli_command *command, char letter, const char *name)
{
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        if ((letter != 0 && o->letter == letter) ||
            (name != NULL && strcmp(o->name, name) == 0)) {
            return true;
        }
    }
    return false;
}

/* The column for the help of rows of which this is one. */
static size_t widen(size_t column, const char *left)
{
    size_t wanted = width_of(left, strlen(left)) + 2;

    return wanted > column && wanted <= HELP_COLUMN_MAX ? wanted : column;
}

static void put_options(const struct cli_command *command, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf left = STRBUF_INIT;
    struct cli_option own_help = CLI_FLAG(0, "help", "show this text", 0);
    size_t column = 0;

    own_help.letter = has_option(command, 'h', NULL) ? 0 : 'h';
    describe_option(&own_help, &left);
    column = widen(column, left.data);
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        describe_option(o, &left);
        column = widen(column, left.data);
    }
    strbuf_puts(out, "\noptions:\n");
    for (const struct cli_option *o = command->options; o->kind != CLI_KIND_END; o++) {
        describe_option(o, &left);
        put_row(out, left.data, o->help, column);
    }
    if (!has_option(command, 0, "help")) {
        describe_option(&own_help, &left);
        put_row(out, left.data, own_help.help, column);
    }
}

/* Lines of details; those that begin with a space are shown as they are. */
static void put_details(const char *details, struct strbuf *out)
{
    strbuf_putc(out, '\n');
    while (*details != '\0') {
        size_t length = strcspn(details, "\n");

        if (*details == ' ') {
            strbuf_printf(out, "%.*s\n", (int)length, details);
        } else {
            put_wrapped(out, details, length, 0, 0);
        }
        details += length;
        if (*details == '\n') {
            details++;
        }
    }
}

void cli_help(const char *program, const struct cli_command *command, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf head = STRBUF_INIT;
    size_t indent = strlen("usage: ") + strlen(program) + 1;

    strbuf_printf(&head, "usage: %s %s %s", program, command->name, command->usage);
    put_wrapped(out, head.data, head.length, 0, indent);
    strbuf_putc(out, '\n');
    put_wrapped(out, command->help, strlen(command->help), 0, 0);
    if (command->details != NULL) {
        put_details(command->details, out);
    }
    put_options(command, out);
}

void cli_help_list(const struct cli_command *const *commands, size_t count,
                   struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf left = STRBUF_INIT;
    size_t column = 0;

    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            strbuf_reset(&left);
            strbuf_printf(&left, "  %s", commands[i]->name);
            if (pass == 0) {
                column = widen(column, left.data);
            } else {
                put_row(out, left.data, commands[i]->help, column);
            }
        }
    }
}
