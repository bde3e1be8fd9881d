#include "controller/livy_tidy.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/oid.h"
#include "common/tidyrecord.h"
#include "controller/background.h"
#include "controller/livy_collect.h"
#include "controller/livy_reach.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FOLDER "livy" /* below state/ */
#define NICENESS 19
#define ROUND_NS (INT64_C(15) * 60 * NS_PER_S)

struct record_name {
    char text[sizeof ".tidied" + 16];
};

/* All its own: the command's configuration and variables are gone by then. */
struct livy_tidy {
    struct home *home;
    struct target *target;
    char *password;
    int64_t every_ms, keep_ms;
    struct record_name record;
};

/* By what it is, not by its name here. */
static struct record_name record_of(const struct target *target)
{
    const char *base = target->livy_base != NULL ? target->livy_base : "";
    CLEANUP_FREE char *text = xasprintf("%s\n%s", target->livy->url, base);
    struct record_name name;
    struct oid digest;
    char hex[OID_HEX_SIZE];
    oid_of_bytes(text, strlen(text), &digest);
    oid_to_hex(&digest, hex);
    (void)snprintf(name.text, sizeof name.text, "%.16s.tidied", hex);
    return name;
}

static int open_folder(const struct home *home, struct error *err)
{
    CLEANUP_FREE char *path = home_path(home, FOLDER);
    return files_make_dirs(path, err) < 0 ? -1 : files_open_dir(AT_FDCWD, path, err);
}

/* A round is due; or there is nothing to tell that by. */
static bool is_due(const struct livy_tidy *tidy)
{
    struct stat st;
    CLEANUP_FD int folder = open_folder(tidy->home, NULL);
    if (folder < 0) {
        return false;
    }
    if (fstatat(folder, tidy->record.text, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        CLEANUP_FD int fd = openat(folder, tidy->record.text,
                                   O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        return false;
    }
    CLEANUP_JSON struct json *record = tidyrecord_read(folder, tidy->record.text);
    return tidyrecord_is_due(&st, record, tidy->every_ms);
}

struct livy_tidy *livy_tidy_plan(struct command_context *context,
                                 const struct target *target, const char *password)
{
    struct livy_tidy *tidy = xcalloc(1, sizeof *tidy);
    tidy->every_ms = config_integer(context->config, "tidy.every");
    tidy->keep_ms = config_integer(context->config, "tidy.keep_runs");
    tidy->home = home_open(NULL);
    tidy->target = target_find(context->config, context->home, target->name, NULL);
    if (tidy->every_ms > 0 && tidy->home != NULL && tidy->target != NULL) {
        tidy->record = record_of(tidy->target);
        if (is_due(tidy)) {
            tidy->password = password != NULL ? xstrdup(password) : NULL;
            return tidy;
        }
    }
    livy_tidy_free(tidy);
    return NULL;
}

void livy_tidy_free(struct livy_tidy *tidy)
{
    if (tidy->password != NULL) {
        mem_wipe(tidy->password, strlen(tidy->password));
    }
    free(tidy->password);
    target_free(tidy->target);
    home_free(tidy->home);
    free(tidy);
}

void livy_tidy_describe(const struct home *home, const struct target *target,
                        struct strbuf *out)
{
    struct record_name name = record_of(target);
    CLEANUP_FREE char *folder = home_path(home, FOLDER);
    CLEANUP_FREE char *path = files_join(folder, name.text);
    CLEANUP_JSON struct json *record = tidyrecord_read(AT_FDCWD, path);
    tidyrecord_describe(record, path, out);
}

/* ---- The process */

static struct json *collect(struct livy_tidy *tidy, struct error *err)
{
    CLEANUP_REACH struct livy_reach reach = {.password = NULL};
    CLEANUP(history_cleanup) struct history *history = history_open(tidy->home, err);
    if (history == NULL ||
        livy_reach_open(&reach, tidy->target, TAKE_PTR(tidy->password), err) < 0) {
        return NULL;
    }
    reach.http->deadline_ns = clock_monotonic_ns() + ROUND_NS;
    return livy_collect(
        &(struct livy_collect){.place = &reach.place,
                               .livy = &reach.livy,
                               .history = history,
                               .keep_ms = tidy->keep_ms,
                               .keep_environments_ms = tidy->keep_ms,
                               .keep_uncollected_ms = LIVY_UNCOLLECTED_DAYS * MS_PER_DAY},
        err);
}

/* Who finds the record locked leaves the round to whoever has it. */
static void go(struct livy_tidy *tidy)
{
    struct error err = ERROR_INIT;
    struct stat st;
    CLEANUP_FD int folder = open_folder(tidy->home, NULL);
    CLEANUP_FD int fd =
        folder < 0 ? -1 : files_lock(folder, tidy->record.text, true, 0, NULL);
    CLEANUP_JSON struct json *last =
        fd < 0 ? NULL : tidyrecord_read(folder, tidy->record.text);
    if (fd < 0 || fstat(fd, &st) < 0 || !tidyrecord_is_due(&st, last, tidy->every_ms)) {
        return;
    }
    CLEANUP_JSON struct json *record = json_new_object();
    json_add_string(record, "target", tidy->target->name);
    json_add_time(record, "began", clock_utc_ms());
    tidyrecord_write(fd, record);
    struct json *report = collect(tidy, &err);
    if (report != NULL) {
        json_add(record, "report", report);
    } else {
        json_add_string(record, "error", err.text);
    }
    if (report != NULL || err.code == ERR_UNSUPPORTED) { /* tomorrow is no different */
        json_add_time(record, "ended", clock_utc_ms());
    }
    tidyrecord_write(fd, record);
}

void livy_tidy_leave(struct livy_tidy *tidy, char **argv)
{
    if (tidy == NULL) {
        return;
    }
    CLEANUP_FREE char *title = xasprintf("errand: tidying %s", tidy->target->name);
    if (background_leave(argv, title, NULL) == 1) {
        (void)setpriority(PRIO_PROCESS, 0, NICENESS);
        go(tidy);
        _exit(0);
    }
    livy_tidy_free(tidy);
}
