/*
 * completion: what may stand where the cursor is, for the shells.            [controller]
 *
 * The tables of verbs and options say what is expected (cli_locate); a table here says
 * how a value of each name is found: "TARGET" in the configuration, "RUN" in the history.
 * Nothing is connected, nothing is asked, and what cannot be read has no candidates.
 */
#ifndef CONTROLLER_COMPLETION_H
#define CONTROLLER_COMPLETION_H

#include "controller/command.h"

/*
 * Append the candidates for the last of words (at least one; those behind "errand", the
 * last may be ""), each as "WORD\tHELP\n"; or COMPLETION_FILES or COMPLETION_FOLDERS
 * alone where the shell is to look for itself. Words that a line cannot carry are left
 * out.
 */
#define COMPLETION_FILES ":files\n"
#define COMPLETION_FOLDERS ":folders\n"
void completion_find(struct command_context *context, char *const *words,
                     size_t word_count, struct strbuf *out);

/* True where the table has a row for a value that usage or an option's row names. */
bool completion_knows(const char *value);

/* ROW(symbol, name): the shells that there is a script for. */
#define COMPLETION_SHELLS(ROW)                                                           \
    ROW(BASH, "bash")                                                                    \
    ROW(ZSH, "zsh")                                                                      \
    ROW(FISH, "fish")

enum completion_shell {
#define ROW(symbol, name) COMPLETION_##symbol,
    COMPLETION_SHELLS(ROW)
#undef ROW
        COMPLETION_SHELL_COUNT
};

/* The script that makes a shell ask `errand completion words`. Static storage. */
const char *completion_script(enum completion_shell shell);

#endif
