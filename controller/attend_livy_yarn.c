/* attend_livy, where YARN's ResourceManager can be asked beside Livy: why the batch
 * waits, what became of its application, and that none is left of it.
 */
#include "controller/attend_livy_inside.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/yarn_ask.h"

#include <stdlib.h>
#include <string.h>

#define ASK_MS 20000
#define LOOK_MS 1000

#define SET(a, member, text)                                                             \
    (void)run_engine_set((a)->engine.engine.member, sizeof((a)->engine.engine.member),   \
                         text)

/* *out_count of them. Errors: yarn_find's. */
static int find(struct attendance *a, struct yarn_app *out, size_t *out_count,
                struct error *err)
{
    CLEANUP_STRVEC struct strvec managers = STRVEC_INIT;
    strvec_push(&managers, a->spark->livy->yarn_url);
    struct yarn yarn = {.http = a->http, .managers = &managers, .timeout_ms = ASK_MS};
    return yarn_find(&yarn, a->tag, out, out_count, err);
}

void attendance_look_at_yarn(struct attendance *a)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct yarn_app app;
    size_t count = 0;
    if (a->spark->livy->yarn_url == NULL) {
        return;
    }
    if (find(a, &app, &count, &err) < 0) {
        if (!a->is_yarn_silent && err.code != ERR_CANCELED) {
            a->is_yarn_silent = true;
            attendance_say(a, ENGINE_NOTE, "YARN does not answer: %s", err.text);
        }
        return;
    }
    a->is_yarn_silent = false;
    if (count == 0 ||
        (a->task != ATTEND_LIVY_SCRIPT && yarn_phase(&app) == YARN_PHASE_ENDED)) {
        return;
    }
    SET(a, application, app.id);
    SET(a, queue, app.queue);
    SET(a, final_status, yarn_final_name(app.final));
    SET(a, tracking_url, app.tracking_url);
    app.diagnostics[strcspn(app.diagnostics, "\n")] = '\0';
    SET(a, diagnostics, app.diagnostics);
    yarn_tell(&app, &text);
    if (a->told == NULL || strcmp(a->told, text.data) != 0) {
        free(a->told);
        a->told = xstrdup(text.data);
        attendance_say(a, ENGINE_STATE, "%s", text.data);
    }
}

bool attendance_is_gone_from_yarn(struct attendance *a, int64_t deadline_ns)
{
    struct error err = ERROR_INIT;
    struct yarn_app app;
    size_t count = 0;
    while (clock_monotonic_ns() < deadline_ns) {
        if (find(a, &app, &count, &err) < 0) {
            log_line(&a->log, "%s", err.text);
        } else if (count == 0 || yarn_phase(&app) == YARN_PHASE_ENDED) {
            return true;
        }
        (void)attendance_pause(a, LOOK_MS);
    }
    return false;
}
