#include "executor/launch_livy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/subprocess.h"
#include "executor/command.h"

#define EXIT_FAILED 125
#define RESULT_MAX ((size_t)16 << 10)

static void result_name(const struct launch_livy *l, char out[64])
{
    snprintf(out, 64, "driver.result.%lld", (long long)l->attempt);
}

/* False: it left no word. */
static bool read_result(const struct launch_livy *l, struct exitslot *slot)
{
    char name[64];
    struct strbuf text;
    result_name(l, name);
    strbuf_init(&text, RESULT_MAX);
    bool is_read = files_read(l->run_fd, name, &text, NULL) == 0;
    CLEANUP_JSON struct json *j =
        is_read ? json_parse(text.data, text.length, NULL) : NULL;
    strbuf_release(&text);
    const char *kind = json_string(json_get(j, "kind"));
    const char *why = json_string(json_get(j, "text"));
    if (kind == NULL) {
        return false;
    }
    if (strcmp(kind, "could_not_start") == 0) {
        slot->exit =
            (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_FAILED};
    } else if (run_exit_from_json(j, &slot->exit, NULL) != 0) {
        slot->exit = (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
    }
    snprintf(slot->text, sizeof(slot->text), "%.*s", (int)sizeof(slot->text) - 1,
             why != NULL ? why : "");
    snprintf(slot->by, sizeof(slot->by), "attend"); /* it is what that said */
    return true;
}

bool launch_livy_run(const struct launch_livy *l, const struct stage_report *said,
                     int *report_fd, struct exitslot *slot, int *out_status)
{
    char attempt[32];
    struct error err = ERROR_INIT;
    snprintf(attempt, sizeof(attempt), "%lld", (long long)l->attempt);
    const char *const argv[] = {l->spec->spark->attendant,
                                "attend",
                                "livy",
                                "--run-folder",
                                l->run_path,
                                "--attempt",
                                attempt,
                                NULL};
    struct subprocess sp = {.argv = argv,
                            .env = (const char *const *)strvec_argv(l->variables),
                            .in = SUBPROCESS_NULL,
                            .out = l->log->fd,
                            .error = l->log->fd,
                            /* SIGTERM would be a cancel, and delete the batch */
                            .want_parent_kill = true};
    command_stay();
    if (read_result(l, slot)) { /* of an attendant before this one, which was done */
        (void)fdio_write(*report_fd, said, sizeof(*said));
        fdio_close(report_fd);
        return true;
    }
    if (subprocess_start(&sp, &err) < 0) {
        slot->exit =
            (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_FAILED};
        snprintf(slot->text, sizeof(slot->text), "%.300s", err.text);
        return true;
    }
    (void)fdio_write(*report_fd, said, sizeof(*said));
    fdio_close(report_fd);
    if (subprocess_wait(&sp, out_status, &err) < 0) {
        slot->exit = (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
        return true;
    }
    if (read_result(l, slot)) {
        return true;
    }
    if (WIFSIGNALED(*out_status)) {
        return false;
    }
    slot->exit = (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = EXIT_FAILED};
    snprintf(slot->text, sizeof(slot->text),
             "what looks after the run on Livy failed; control.log says why");
    return true;
}
