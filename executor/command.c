#define _GNU_SOURCE /* O_CLOEXEC */
#include "executor/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/variables.h"

#define OOM_SCORE "500\n"

/* Look name up in the run's own PATH, as execvp(3) does. NULL: not found, or (errno
 * EACCES) found where it may not be executed. The working folder is work/. */
static char *find_in_path(const char *name, const char *path)
{
    bool is_denied = false;
    for (const char *at = path; at != NULL;) {
        size_t length = strcspn(at, ":");
        CLEANUP_FREE char *dir = xstrndup(length > 0 ? at : ".", length > 0 ? length : 1);
        CLEANUP_FREE char *file = files_join(dir, name);
        struct stat st;
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(file, X_OK) == 0) {
                return TAKE_PTR(file);
            }
            is_denied = true;
        }
        at = at[length] == ':' ? at + length + 1 : NULL;
    }
    errno = is_denied ? EACCES : ENOENT;
    return NULL;
}

/*
 * What starts a python script, malloc'ed: as it was named, "~/" being the run's HOME.
 * Python looks for its virtual environment from argv[0], so that this is what stands
 * there too. NULL: there is no HOME.
 */
static char *find_interpreter(const char *name, const struct strvec *environment)
{
    const char *home = variables_find(environment, "HOME");
    if (name == NULL || strncmp(name, "~/", 2) != 0) {
        return xstrdup(name != NULL ? name : "python3");
    }
    return home != NULL && home[0] == '/' ? files_join(home, name + 2) : NULL;
}

char *command_find_python(const char *name, const struct strvec *variables)
{
    CLEANUP_FREE char *wanted = find_interpreter(name, variables);
    if (wanted == NULL) {
        return NULL;
    }
    return strchr(wanted, '/') != NULL
               ? (access(wanted, X_OK) == 0 ? TAKE_PTR(wanted) : NULL)
               : find_in_path(wanted, variables_find(variables, "PATH"));
}

static void add_words(struct command *c, const struct runspec *spec, const char *first,
                      bool is_python)
{
    if (first != NULL) {
        strvec_push(&c->argv, first);
    }
    if (is_python) {
        strvec_push(&c->argv, spec->script);
    }
    for (size_t i = 0; i < spec->command.count; i++) {
        strvec_push(&c->argv, spec->command.items[i]);
    }
}

int command_resolve(struct command *c, const struct runspec *spec,
                    const char *interpreter, const struct strvec *environment, char *text,
                    size_t size)
{
    bool is_python = spec->framework == FRAMEWORK_PYTHON && spec->script != NULL;
    const char *wish = interpreter != NULL ? interpreter : spec->interpreter;
    CLEANUP_FREE char *starter = is_python ? find_interpreter(wish, environment) : NULL;
    if (is_python && starter == NULL) {
        snprintf(text, size, "%.100s: HOME is not set on the node", wish);
        return COMMAND_NOT_FOUND;
    }
    add_words(c, spec, is_python ? starter : spec->script, is_python);
    if (c->argv.count == 0 || c->argv.items[0][0] == '\0') {
        snprintf(text, size, "the command is empty");
        return COMMAND_NOT_FOUND;
    }
    const char *name = c->argv.items[0];
    bool is_script = !is_python && spec->script != NULL;
    if (is_script || strchr(name, '/') != NULL) {
        /* A script without a slash lies in the working folder, not in PATH. */
        c->program = is_script ? xasprintf("./%s", name) : xstrdup(name);
        return 0;
    }
    c->program = find_in_path(name, variables_find(environment, "PATH"));
    if (c->program == NULL) {
        bool is_denied = errno == EACCES;
        snprintf(text, size,
                 is_denied ? "%.100s in PATH may not be executed"
                           : "%.100s: not found in PATH",
                 name);
        return is_denied ? COMMAND_NOT_EXECUTABLE : COMMAND_NOT_FOUND;
    }
    return 0;
}

int command_explain(const struct command *c, int failure, char *text, size_t size)
{
    const char *program = c->program;
    switch (failure) {
    case ENOENT:
        if (access(program, F_OK) == 0) {
            snprintf(text, size, "%.100s: the program in its #! line was not found",
                     program);
        } else {
            snprintf(text, size, "%.100s: not found", program);
        }
        return COMMAND_NOT_FOUND;
    case EACCES:
        snprintf(text, size, "%.100s: may not be executed (chmod +x?)", program);
        return COMMAND_NOT_EXECUTABLE;
    case ENOEXEC:
        snprintf(text, size, "%.100s: neither a program nor a script with a #! line",
                 program);
        return COMMAND_NOT_EXECUTABLE;
    case E2BIG:
        snprintf(text, size, "%.100s: arguments and environment are too long", program);
        return COMMAND_NOT_EXECUTABLE;
    default:
        snprintf(text, size, "%.80s: %.60s", program, strerror(failure));
        return COMMAND_NOT_EXECUTABLE;
    }
}

void command_release(struct command *c)
{
    strvec_release(&c->argv);
    free(c->program);
    *c = (struct command){.program = NULL};
}

void command_offer_to_oom_killer(void)
{
    CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdio_write(fd, OOM_SCORE, sizeof(OOM_SCORE) - 1);
    }
}

void command_stay(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &blocked, NULL);
}
