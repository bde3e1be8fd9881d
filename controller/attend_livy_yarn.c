/* attend_livy, where YARN's ResourceManager can be asked beside Livy: why the batch
 * waits, what became of its application, and that none is left of it.
 */
#include "controller/attend_livy_inside.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/yarn_ask.h"

#include <stdlib.h>
#include <string.h>

/* The driver's log waits for a look, and is not to wait long for one that fails. */
#define LOOK_TIMEOUT_MS 3000
#define AGAIN_NS (3 * NS_PER_S)
#define FAILURES_MAX 6 /* which lengthen the pause */
/* For the proof that nothing is left, which waits for YARN as long as there is time. */
#define PROOF_TIMEOUT_MS 20000
#define PROOF_MS 1000
/* A batch that was just taken may still be submitting its application. */
#define SETTLE_NS (10 * NS_PER_S)

#define SET(a, member, text)                                                             \
    (void)run_engine_set((a)->engine.engine.member, sizeof((a)->engine.engine.member),   \
                         text)

/* *out_count of them. Errors: yarn_find's. */
static int find(struct attendance *a, int timeout_ms, struct yarn_app *out,
                size_t *out_count, struct error *err)
{
    CLEANUP_STRVEC struct strvec managers = STRVEC_INIT;
    strvec_push(&managers, a->spark->livy->yarn_url);
    struct yarn yarn = {.http = a->http, .managers = &managers, .timeout_ms = timeout_ms};
    return yarn_find(&yarn, a->tag, out, out_count, err);
}

void attendance_look_at_yarn(struct attendance *a)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct yarn_app app;
    size_t count = 0;
    if (a->spark->livy->yarn_url == NULL || clock_monotonic_ns() < a->yarn_ns) {
        return;
    }
    if (find(a, LOOK_TIMEOUT_MS, &app, &count, &err) < 0) {
        if (a->yarn_failures == 0 && err.code != ERR_CANCELED) {
            attendance_say(a, ENGINE_NOTE, "YARN does not answer: %s", err.text);
        }
        a->yarn_ns = clock_monotonic_ns() + (AGAIN_NS << a->yarn_failures);
        a->yarn_failures += a->yarn_failures < FAILURES_MAX;
        return;
    }
    a->yarn_failures = 0;
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
    int64_t since_ns = 0; /* it knows of none; 0: it does, or did not say */
    while (clock_monotonic_ns() < deadline_ns) {
        bool has_said = find(a, PROOF_TIMEOUT_MS, &app, &count, &err) == 0;
        int64_t now_ns = clock_monotonic_ns();
        if (!has_said) {
            log_line(&a->log, "%s", err.text);
        }
        if (has_said && count > 0 && yarn_phase(&app) == YARN_PHASE_ENDED) {
            return true;
        }
        since_ns = !has_said || count > 0 ? 0 : since_ns != 0 ? since_ns : now_ns;
        if (since_ns != 0 && now_ns - since_ns >= SETTLE_NS) {
            return true;
        }
        (void)attendance_pause(a, PROOF_MS);
    }
    return false;
}
