/*
 * mkattend: an attendant of YARN by itself, for tests without a node's root or
 * supervisors.
 *
 *     mkattend RUN_FOLDER TAG ATTEMPT MANAGER[,MANAGER] HISTORY|- SUBMIT_TIMEOUT_MS \
 *              COMMAND ARGUMENT...
 *
 * Each "{token}" of the command is the attempt's token. It ends as its verdict says and
 * prints it: {"exit": {...}, "text": "..."}. It takes curl and yarn from PATH.
 */
#define _GNU_SOURCE /* environ */
#include "common/fdio.h"
#include "common/files.h"
#include "executor/attend.h"
#include "executor/http_curl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int submission(void *context, const char *token, struct strvec *argv,
                      struct strvec *environment, struct error *err)
{
    (void)err;
    for (char *const *word = context; *word != NULL; word++) {
        const char *gap = strstr(*word, "{token}");
        if (gap == NULL) {
            strvec_push(argv, *word);
        } else {
            strvec_pushf(argv, "%.*s%s%s", (int)(gap - *word), *word, token,
                         gap + strlen("{token}"));
        }
    }
    for (char *const *setting = environ; *setting != NULL; setting++) {
        strvec_push(environment, *setting);
    }
    return 0;
}

static void print_verdict(const struct attend_verdict *verdict)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_add(j, "exit", run_exit_to_json(&verdict->exit));
    json_add_string(j, "text", verdict->text);
    json_write(j, false, &text);
    printf("%s\n", text.data);
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRVEC struct strvec managers = STRVEC_INIT;
    struct attend_verdict verdict;
    sigset_t mask;
    if (argc < 8) {
        return 2;
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    CLEANUP_FD int run_fd = files_open_dir(AT_FDCWD, argv[1], &err);
    const struct log log = {.fd = openat(run_fd, "control.log",
                                         O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                            .word = "attend"};
    for (const char *at = argv[4]; *at != '\0';) {
        size_t length = strcspn(at, ",");
        strvec_adopt(&managers, xstrndup(at, length));
        at += length + (at[length] != '\0');
    }
    CLEANUP_HTTP struct http *http = http_curl_new("curl", NULL);
    const struct attend_yarn what = {
        .run_fd = run_fd,
        .attempt = strtol(argv[3], NULL, 10),
        .tag = argv[2],
        .http = http,
        .managers = &managers,
        .history = argv[5][0] != '-' ? argv[5] : NULL,
        .yarn = "yarn",
        .submit_timeout_ms = strtol(argv[6], NULL, 10),
        .submission = submission,
        .context = argv + 7,
        .log = &log,
    };
    attend_yarn(&what, &verdict);
    print_verdict(&verdict);
    return verdict.exit.kind == RUN_EXIT_EXITED ? verdict.exit.code : 125;
}
