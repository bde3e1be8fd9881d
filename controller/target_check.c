#include "controller/target_check.h"

#include <stdio.h>
#include <string.h>

void target_check_step(struct target_checking *c, const char *step, bool is_ok,
                       int64_t time_ms, const char *detail, const char *hint)
{
    struct json *item = json_append(c->steps, json_new_object());
    json_add_string(item, "step", step);
    json_add_bool(item, "ok", is_ok);
    json_add_integer(item, "time_ms", time_ms < 0 ? 0 : time_ms);
    json_add_string(item, "detail", detail);
    json_add_string(item, "hint", hint != NULL && hint[0] != '\0' ? hint : NULL);
    c->is_ok = c->is_ok && is_ok;
    if (c->is_json) {
        return;
    }
    CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT, line = STRBUF_INIT;
    char time[32] = "";
    terminal_make_safe(detail, strlen(detail), &safe);
    if (time_ms >= 0) {
        (void)snprintf(time, sizeof time, "%lld ms", (long long)time_ms);
    }
    CLEANUP_FREE char *shown = xstrdup(step);
    for (char *at = strchr(shown, '_'); at != NULL; at = strchr(at, '_')) {
        *at = ' ';
    }
    strbuf_printf(&line, "%-4s %-12s %8s  %s\n", is_ok ? "ok" : "FAIL", shown, time,
                  safe.data);
    if (hint != NULL && hint[0] != '\0') {
        strbuf_printf(&line, "%26s  -> ", "");
        terminal_make_safe(hint, strlen(hint), &line);
        strbuf_putc(&line, '\n');
    }
    (void)command_print(c->context, &line); /* what cannot be shown changes no verdict */
}
