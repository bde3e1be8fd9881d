/*
 * cli: option tables: parsing, help and completion from the same rows.            [base]
 *
 *     static const struct cli_option options[] = {
 *         CLI_STRING('t', "target", "NAME", "where to run", offsetof(struct args, to)),
 *         CLI_FLAG(0, "json", "print one JSON document", offsetof(struct args, is_json)),
 *         CLI_END,
 *     };
 *
 * `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`, bundled flags, `--` ends the
 * options. Values are written into the caller's struct, which starts zeroed. A unique
 * prefix of a long name is NOT taken: scripts would break when an option is added. An
 * unknown option is an error that shows the nearest one. Every command has --help, and
 * -h where no option of its own takes that letter.
 */
#ifndef COMMON_CLI_H
#define COMMON_CLI_H

#include "common/error.h"
#include "common/strbuf.h"
#include "common/strvec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_kind {
    CLI_KIND_END,
    CLI_KIND_FLAG,     /* bool */
    CLI_KIND_STRING,   /* const char *, borrowed from argv; the last one counts */
    CLI_KIND_LIST,     /* struct strvec: every one */
    CLI_KIND_COUNT,    /* int64_t, decimal; 0 .. 2^53, or the row's min .. max */
    CLI_KIND_DURATION, /* int64_t, milliseconds (clock_parse_duration) */
    CLI_KIND_TIME,     /* struct cli_time, 0 to the row's max */
    CLI_KIND_SIZE,     /* uint64_t, bytes (files_parse_size) */
};

struct cli_option {
    enum cli_kind kind;
    char letter;       /* or 0 */
    const char *name;  /* without the dashes */
    const char *value; /* what --help calls the value; NULL for flags */
    const char *help;  /* lower case, no full stop; fits 80 columns beside the name */
    size_t offset;     /* of the field in the caller's struct */
    int64_t min, max;  /* of a COUNT (max 0: 2^53), a TIME (max 0: ten years) */
};

/* A length of time, where 0 is not what counts if none is given. */
struct cli_time {
    bool is_given;
    int64_t ms;
};

#define CLI_FLAG(letter, name, help, offset)                                             \
    {                                                                                    \
        CLI_KIND_FLAG, letter, name, NULL, help, offset, 0, 0                            \
    }
#define CLI_STRING(letter, name, value, help, offset)                                    \
    {                                                                                    \
        CLI_KIND_STRING, letter, name, value, help, offset, 0, 0                         \
    }
#define CLI_LIST(letter, name, value, help, offset)                                      \
    {                                                                                    \
        CLI_KIND_LIST, letter, name, value, help, offset, 0, 0                           \
    }
#define CLI_COUNT(letter, name, value, help, offset)                                     \
    {                                                                                    \
        CLI_KIND_COUNT, letter, name, value, help, offset, 0, 0                          \
    }
/* A COUNT from min to max. */
#define CLI_RANGE(letter, name, value, help, offset, min, max)                           \
    {                                                                                    \
        CLI_KIND_COUNT, letter, name, value, help, offset, min, max                      \
    }
#define CLI_DURATION(letter, name, value, help, offset)                                  \
    {                                                                                    \
        CLI_KIND_DURATION, letter, name, value, help, offset, 0, 0                       \
    }
#define CLI_TIME(letter, name, value, help, offset, max)                                 \
    {                                                                                    \
        CLI_KIND_TIME, letter, name, value, help, offset, 0, max                         \
    }
#define CLI_SIZE(letter, name, value, help, offset)                                      \
    {                                                                                    \
        CLI_KIND_SIZE, letter, name, value, help, offset, 0, 0                           \
    }
#define CLI_END                                                                          \
    {                                                                                    \
        CLI_KIND_END, 0, NULL, NULL, NULL, 0, 0, 0                                       \
    }

/* An option of another program that people type, and what to do in its place. */
struct cli_foreign {
    const char *name, *hint;
};

struct cli_command {
    const char *name;    /* "target add": words separated by one space */
    const char *usage;   /* "NAME DESTINATION [options]": what follows the name */
    const char *help;    /* one line, lower case, no full stop; fits 80 columns */
    const char *details; /* further text for `errand help NAME`, or NULL: each line is
                            wrapped, but for those that begin with a space */
    const struct cli_option *options;  /* ends with CLI_END */
    size_t args_size_bytes;            /* of the struct the options fill */
    size_t min_operands, max_operands; /* SIZE_MAX: any number */
    bool stops_at_operand; /* everything from the first operand on is the operands' (run,
                              exec) */
    int (*run)(void *context, void *args, char *const *operands, size_t operand_count);
    int usage_status;                  /* exit status on wrong usage; 0: 2 */
    const struct cli_foreign *foreign; /* ends with a name of NULL; or NULL */
};

/*
 * Fill args from argv (NULL-terminated, without the command's name). *out_operands points
 * into argv and ends with its NULL; the words are reordered for that unless
 * stops_at_operand. *out_want_help: --help or -h was met (nothing behind it is looked
 * at). *out_has_terminator, where not NULL: "--" stood before the first operand. args is
 * to be released also after a failure. Errors: ERR_USAGE.
 */
int cli_parse(const struct cli_command *command, char **argv, void *args,
              char ***out_operands, size_t *out_operand_count, bool *out_want_help,
              bool *out_has_terminator, struct error *err);
/* Free the lists in args. */
void cli_release(const struct cli_command *command, void *args);

/* The command whose words begin argv; *out_word_count says how many. NULL: none (err:
 * ERR_USAGE, nearest name). */
const struct cli_command *cli_find(const struct cli_command *const *commands,
                                   size_t count, char *const *argv,
                                   size_t *out_word_count, struct error *err);

/* Append help text for one command, or the list of all of them. program: "errand". */
void cli_help(const char *program, const struct cli_command *command, struct strbuf *out);
void cli_help_list(const struct cli_command *const *commands, size_t count,
                   struct strbuf *out);

/* What the last word of a command line may be. */
enum cli_place_kind {
    CLI_PLACE_NOTHING,
    CLI_PLACE_COMMAND, /* the next word of a command's name */
    CLI_PLACE_OPTION,  /* an option of command */
    CLI_PLACE_VALUE,   /* of an option, or an operand */
};
#define CLI_VALUE_SIZE 64
struct cli_place {
    enum cli_place_kind kind;
    const struct cli_command *command; /* NULL: COMMAND */
    /* VALUE: how usage, or the option's row, calls it: "RUN"; "a|b": one of these. */
    char value[CLI_VALUE_SIZE];
    size_t prefix_length; /* VALUE: of the word, what is not part of it: "--name=" */
    size_t operands;      /* how many stand before it */
};

/* How the usage of command calls its operand of this index, without brackets and dots,
 * the first being 0; "" where it does not name it. is_terminated: "--" stands before. */
void cli_operand(const struct cli_command *command, size_t index, bool is_terminated,
                 char out[CLI_VALUE_SIZE]);

/* Look at words (at least one; the last may be "") as cli_find and cli_parse would. */
void cli_locate(const struct cli_command *const *commands, size_t count,
                char *const *words, size_t word_count, struct cli_place *out);

/* What word may have been meant to be: the only name that begins with it, else the
 * nearest one (Damerau-Levenshtein, at most a third of word's letters wrong; of several
 * the first), else NULL. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

#endif
