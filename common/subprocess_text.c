/*
 * subprocess_text: signals and statuses in words, words for shells.            [base]
 */
#define _GNU_SOURCE /* the signals' numbers */
#include "common/subprocess.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/mem.h"

struct signal_name {
    int number;
    const char *name;
};

#define ROW(name)                                                                        \
    {                                                                                    \
        name, #name                                                                      \
    }

/* signal(7). Where two names share a number, the first one is shown. */
static const struct signal_name signal_names[] = {
    ROW(SIGHUP),    ROW(SIGINT),  ROW(SIGQUIT), ROW(SIGILL),  ROW(SIGTRAP), ROW(SIGABRT),
    ROW(SIGBUS),    ROW(SIGFPE),  ROW(SIGKILL), ROW(SIGUSR1), ROW(SIGSEGV), ROW(SIGUSR2),
    ROW(SIGPIPE),   ROW(SIGALRM), ROW(SIGTERM), ROW(SIGCHLD), ROW(SIGCONT), ROW(SIGSTOP),
    ROW(SIGTSTP),   ROW(SIGTTIN), ROW(SIGTTOU), ROW(SIGURG),  ROW(SIGXCPU), ROW(SIGXFSZ),
    ROW(SIGVTALRM), ROW(SIGPROF), ROW(SIGSYS),
#ifdef SIGWINCH
    ROW(SIGWINCH),
#endif
#ifdef SIGIO
    ROW(SIGIO),
#endif
#ifdef SIGPWR
    ROW(SIGPWR),
#endif
#ifdef SIGSTKFLT
    ROW(SIGSTKFLT),
#endif
#ifdef SIGIOT
    ROW(SIGIOT),
#endif
#ifdef SIGCLD
    ROW(SIGCLD),
#endif
#ifdef SIGPOLL
    ROW(SIGPOLL),
#endif
};

/* From SIGRTMIN on, which is no constant. */
static const char *const realtime_names[] = {
    "SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",
    "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",  "SIGRTMIN+9",
    "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14",
    "SIGRTMIN+15", "SIGRTMIN+16", "SIGRTMIN+17", "SIGRTMIN+18", "SIGRTMIN+19",
    "SIGRTMIN+20", "SIGRTMIN+21", "SIGRTMIN+22", "SIGRTMIN+23", "SIGRTMIN+24",
    "SIGRTMIN+25", "SIGRTMIN+26", "SIGRTMIN+27", "SIGRTMIN+28", "SIGRTMIN+29",
    "SIGRTMIN+30",
};

#define UNKNOWN_NAME "SIGUNKNOWN"

/* How many of realtime_names this system has. */
static int realtime_count(void)
{
#ifdef SIGRTMIN
    int count = SIGRTMAX - SIGRTMIN + 1;

    return count < (int)ARRAY_SIZE(realtime_names) ? count
                                                   : (int)ARRAY_SIZE(realtime_names);
#else
    return 0;
#endif
}

const char *subprocess_signal_name(int signal_number)
{
    for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++) {
        if (signal_names[i].number == signal_number) {
            return signal_names[i].name;
        }
    }
#ifdef SIGRTMIN
    if (signal_number >= SIGRTMIN && signal_number < SIGRTMIN + realtime_count()) {
        return realtime_names[signal_number - SIGRTMIN];
    }
#endif
    return UNKNOWN_NAME;
}

/* Whether name is full, or full without its SIG. */
static bool is_signal_named(const char *full, const char *name)
{
    return strcmp(full, name) == 0 || strcmp(full + strlen("SIG"), name) == 0;
}

int subprocess_signal_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++) {
        if (is_signal_named(signal_names[i].name, name)) {
            return signal_names[i].number;
        }
    }
#ifdef SIGRTMIN
    for (int i = 0; i < realtime_count(); i++) {
        if (is_signal_named(realtime_names[i], name)) {
            return SIGRTMIN + i;
        }
    }
#endif
    return -1;
}

void subprocess_describe_status(int status, struct strbuf *out)
{
    if (WIFEXITED(status)) {
        strbuf_printf(out, "exited with status %d", WEXITSTATUS(status));
    } else if (WIFSIGNALED(status)) {
        const char *name = subprocess_signal_name(WTERMSIG(status));

        if (strcmp(name, UNKNOWN_NAME) == 0) {
            strbuf_printf(out, "was killed by signal %d", WTERMSIG(status));
        } else {
            strbuf_printf(out, "was killed by %s", name);
        }
    } else {
        strbuf_printf(out, "has wait status 0x%x", (unsigned)status);
    }
}

/* What no shell looks at. Not '=', which zsh expands at a word's beginning. */
static bool is_plain(char c)
{
    return isalnum((unsigned char)c) || strchr("_./:,@%+-", c) != NULL;
}

/*
 * Within single quotes POSIX shells leave all alone, but not their relatives, which are
 * login shells as well: fish takes a backslash there, and tcsh history's '!'. Behind a
 * backslash outside the quotes, all of them take ', \ and ! for themselves.
 */
void subprocess_quote(struct strbuf *out, const char *word)
{
    bool is_quoted = false;
    size_t plain = 0;

    while (word[plain] != '\0' && is_plain(word[plain])) {
        plain++;
    }
    if (plain > 0 && word[plain] == '\0') {
        strbuf_puts(out, word);
        return;
    }
    if (word[0] == '\0') {
        strbuf_puts(out, "''");
    }
    for (const char *c = word; *c != '\0'; c++) {
        bool want_quoted = strchr("'\\!", *c) == NULL;

        if (want_quoted != is_quoted) {
            strbuf_putc(out, '\'');
            is_quoted = want_quoted;
        }
        if (!want_quoted) {
            strbuf_putc(out, '\\');
        }
        strbuf_putc(out, *c);
    }
    if (is_quoted) {
        strbuf_putc(out, '\'');
    }
}
