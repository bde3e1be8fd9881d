#include "controller/link_process.h"
#include "controller/transport_table.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/strvec.h"
#include "common/subprocess.h"
#include "controller/install.h"

static int explain(const void *context, const struct process_end *p, struct error *err)
{
    (void)context;
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    subprocess_describe_status(p->status, &how);
    const char *said = p->words[0] != '\0' ? p->words : p->end->noise;
    if (p->end->cause != NULL) {
        error_set(err, p->end->cause->code, "local: start: %s", p->end->cause->text);
        return error_hint(err, "%s", p->end->cause->hint);
    }
    if (p->end->late_ms > 0) {
        char waited[CLOCK_TEXT_SIZE];
        clock_format_duration(waited, p->end->late_ms);
        return error_set(err, ERR_TIMED_OUT,
                         "local: start: no word from the executor for %s%s%s", waited,
                         said[0] != '\0' ? "; it said: " : "", said);
    }
    return error_set(err, ERR_LINK, "local: the executor %s%s%s", how.data,
                     said[0] != '\0' ? ": " : "", said);
}

static struct link *open_local(const struct target *target,
                               const struct transport_options *options, struct error *err)
{
    (void)options;
    struct executor_file file = {0};
    if (executor_file_find(&file, err) != 0) {
        return NULL;
    }
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    strvec_push(&argv, file.path);
    strvec_push(&argv, "serve");
    strvec_push(&argv, "--root");
    strvec_push(&argv, target->root);
    struct link_process_options process = {.argv = strvec_argv(&argv),
                                           .explain = explain};
    struct link *link = link_process_open(&process, err);
    executor_file_release(&file);
    return link;
}

const struct transport transport_local = {
    .name = "local",
    .help = "this machine, through pipes",
    .open = open_local,
};
