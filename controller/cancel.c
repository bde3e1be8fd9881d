#include "controller/cancel.h"

#include "common/runspec.h"

#include <string.h>

/* "user@host", as the specification has it. */
static void add_by(struct json *body, const struct history_run *run)
{
    struct runspec spec;
    runspec_init(&spec);
    if (runspec_decode(run->spec, run->spec_length, &spec, NULL) == 0) {
        json_add_string(body, "by", spec.submitter);
    } else {
        json_add_string(body, "by", "");
    }
    runspec_release(&spec);
}

int cancel_run(struct command_context *context, struct client **client, struct loop *loop,
               const struct target *target, const struct history_run *run,
               const char *reason, int64_t grace_ms, struct error *err)
{
    struct client_options options = {.may_ask = terminal_can_ask(context->terminal),
                                     .loop = loop};
    if (*client == NULL) {
        *client = client_connect(context, target, &options, err);
    }
    if (*client == NULL) {
        return -1;
    }
    if (run->store[0] != '\0' && strcmp(run->store, client_node(*client)->store) != 0) {
        error_set(err, ERR_MISMATCH,
                  "%s now leads to another node or root than the one that has run %s",
                  target->name, run->id);
        return error_hint(err,
                          "errand target list shows where it leads; where that node is "
                          "gone for good: errand cancel --force %s",
                          run->id);
    }
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "run", run->id);
    json_add_string(body, "reason", reason != NULL ? reason : "");
    add_by(body, run);
    if (grace_ms >= 0) {
        json_add_integer(body, "grace_ms", grace_ms);
    } else {
        json_add_string(body, "grace_ms", NULL);
    }
    return client_ask(*client, MSG_CANCEL, body, NULL, NULL, NULL, err);
}
