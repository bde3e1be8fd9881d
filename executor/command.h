/*
 * command: what a run's script is started by, and why it cannot be.            [executor]
 *
 * Found where it runs: on the node, or within a container, whose PATH and programs are
 * others.
 *
 * Life: a zeroed struct command -> command_resolve -> execve -> command_explain ->
 * command_release.
 */
#ifndef EXECUTOR_COMMAND_H
#define EXECUTOR_COMMAND_H

#include "common/runspec.h"
#include "common/strvec.h"

#define COMMAND_NOT_EXECUTABLE 126
#define COMMAND_NOT_FOUND 127

struct command {
    struct strvec argv;
    char *program; /* for execve; relative to the work tree where it has no leading slash
                    */
};

/*
 * What starts a Python script: "~/" is the run's HOME, a name without a slash is looked
 * up in PATH, as of variables. malloc'ed; NULL: it is not there.
 */
char *command_find_python(const char *name, const struct strvec *variables);

/*
 * Find what starts spec's script or command with this environment; the working folder is
 * the work tree. interpreter: what starts a Python script, NULL for the one that spec
 * names, or python3. Returns 0, or an exit status (126, 127) with a sentence in text.
 */
int command_resolve(struct command *c, const struct runspec *spec,
                    const char *interpreter, const struct strvec *environment, char *text,
                    size_t size);
/* Say why execve failed with errno `failure`, so that a person knows what to change.
 * Returns the exit status, 126 or 127. */
int command_explain(const struct command *c, int failure, char *text, size_t size);
void command_release(struct command *c);

/* Where the kernel has to choose, this process goes before its supervisors. */
void command_offer_to_oom_killer(void);
/* What would end this process is for the script or its attendant, whose every process is
 * told: we stay to say how it ended. Blocks SIGTERM, SIGINT and SIGHUP. */
void command_stay(void);

#endif
