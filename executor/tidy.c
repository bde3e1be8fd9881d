#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/tidy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/tidyrecord.h"
#include "executor/background.h"
#include "executor/janitor.h"

#define RECORD "tidied"

void tidy_read_wish(const struct json *hello, struct tidy_wish *out)
{
    const struct json *tidy = json_get(hello, "tidy");
    *out = (struct tidy_wish){.every_ms = 0};
    if (tidy != NULL) {
        out->every_ms = json_integer(json_get(tidy, "every_ms"));
        out->keep_work_ms = json_integer(json_get(tidy, "keep_work_ms"));
        out->keep_runs_ms = json_integer(json_get(tidy, "keep_runs_ms"));
    }
}

void tidy_describe(const struct noderoot *root, struct strbuf *out)
{
    CLEANUP_JSON struct json *record = tidyrecord_read(root->fd, RECORD);
    CLEANUP_FREE char *path = xasprintf("%s/" RECORD, root->path);
    tidyrecord_describe(record, path, out);
}

/* ---- at a connection's end ---- */

/* How long an executor was not used is told by its file's time. */
static void renew_executor(const struct noderoot *root, const char *executor)
{
    CLEANUP_FREE char *path = xasprintf("%s/bin/errand-executor-%s", root->top, executor);
    struct stat st;
    if (stat(path, &st) == 0 && clock_utc_ms() - clock_ms_of(&st.st_mtim) >= MS_PER_DAY) {
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    }
}

void tidy_start(const struct noderoot *root, const char *executor,
                const struct tidy_wish *wish)
{
    struct stat st;
    renew_executor(root, executor);
    if (wish->every_ms <= 0) {
        return;
    }
    if (fstatat(root->fd, RECORD, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        CLEANUP_FD int fd =
            openat(root->fd, RECORD, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        return;
    }
    CLEANUP_JSON struct json *record = tidyrecord_read(root->fd, RECORD);
    if (!tidyrecord_is_due(&st, record, wish->every_ms)) {
        return;
    }
    char every[32], keep_work[32], keep_runs[32];
    (void)snprintf(every, sizeof every, "%" PRId64, (wish->every_ms + 999) / 1000);
    (void)snprintf(keep_work, sizeof keep_work, "%" PRId64, wish->keep_work_ms / 1000);
    (void)snprintf(keep_runs, sizeof keep_runs, "%" PRId64, wish->keep_runs_ms / 1000);
    CLEANUP_FREE char *program = noderoot_program();
    const char *argv[] = {program,       "tidy",    "--root",      root->top,
                          "--every",     every,     "--keep-work", keep_work,
                          "--keep-runs", keep_runs, NULL};
    background_start(argv);
}

/* ---- the process ---- */

struct tidy_args {
    const char *root;
    int64_t every_ms, keep_work_ms, keep_runs_ms;
};

#define FIELD(name) offsetof(struct tidy_args, name)

static const struct cli_option options[] = {
    CLI_STRING(0, "root", "DIR", "the node's root; ~/.errand by default", FIELD(root)),
    CLI_DURATION(0, "every", "TIME", "not if it was done within this time",
                 FIELD(every_ms)),
    CLI_DURATION(0, "keep-work", "TIME", "keep work trees so long once all is at home",
                 FIELD(keep_work_ms)),
    CLI_DURATION(0, "keep-runs", "TIME",
                 "and runs, unused environments and executors so long",
                 FIELD(keep_runs_ms)),
    CLI_END,
};

static const struct cli_command command = {
    .name = "tidy",
    .usage = "[options]",
    .help = "remove in the background what is at home or unused",
    .options = options,
    .args_size_bytes = sizeof(struct tidy_args),
};

static int clean(const struct noderoot *root, const struct tidy_args *args,
                 bool is_store_due, struct json *record, struct error *err)
{
    char executor[OID_HEX_SIZE];
    CLEANUP(store_cleanup) struct store *store = noderoot_open_store(root, err);
    if (store == NULL || noderoot_executor_digest(executor, err) < 0) {
        return -1;
    }
    const struct janitor_request request = {
        .root = root,
        .store = store,
        .executor = executor,
        .keep_ms = args->keep_runs_ms,
        .keep_work_ms = args->keep_work_ms,
        .keep_uncollected_ms = JANITOR_UNCOLLECTED_DAYS * MS_PER_DAY,
        .keep_environments_ms = args->keep_runs_ms,
        .keep_executors_ms = args->keep_runs_ms,
        .max_store_bytes = STORE_NO_LIMIT,
        .is_background = true,
        .is_store_due = is_store_due,
    };
    struct json *report = janitor_clean(&request, err);
    if (report == NULL) {
        return -1;
    }
    json_add(record, "report", report);
    json_add_time(record, "ended", clock_utc_ms());
    return 0;
}

/* Who finds the record locked leaves the round to whoever has it. */
static int tidy(const struct tidy_args *args, struct error *err)
{
    struct stat st;
    CLEANUP(noderoot_cleanup) struct noderoot *root = noderoot_open(args->root, err);
    CLEANUP_FD int fd = root == NULL ? -1 : files_lock(root->fd, RECORD, true, 0, err);
    if (fd < 0) {
        return err->code == ERR_BUSY ? 0 : -1;
    }
    CLEANUP_JSON struct json *last = tidyrecord_read(root->fd, RECORD);
    CLEANUP_JSON struct json *record = json_new_object();
    if (fstat(fd, &st) == 0 && !tidyrecord_is_due(&st, last, args->every_ms)) {
        return 0; /* somebody else was quicker */
    }
    bool is_store_due = json_get(last, "ended") == NULL ||
                        json_bool(json_get(json_get(last, "report"), "is_store_due"));
    json_add_time(record, "began", clock_utc_ms());
    tidyrecord_write(fd, record);
    int result = clean(root, args, is_store_due, record, err);
    if (result < 0) {
        json_add_string(record, "error", err->text);
    }
    tidyrecord_write(fd, record);
    return result;
}

int tidy_main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct tidy_args args = {0};
    char **operands;
    size_t operand_count;
    bool want_help = false;
    int status;
    if (argc < 1 || cli_parse(&command, argv + 1, &args, &operands, &operand_count,
                              &want_help, NULL, &err) < 0) {
        fprintf(stderr, "errand-executor tidy: %s\n", err.text);
        return 2;
    }
    if (want_help) {
        struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
        cli_help("errand-executor", &command, &text);
        return fputs(text.data, stdout) < 0;
    }
    if (!background_become(false, &status)) {
        return status;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a curl that ended takes no more */
    if (tidy(&args, &err) < 0) {
        fprintf(stderr, "errand-executor tidy: %s\n", err.text);
        return 1;
    }
    return 0;
}
