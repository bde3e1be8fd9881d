#include "controller/enginenotes.h"

#include <string.h>

void enginenotes_init(struct enginenotes *notes, struct terminal *terminal)
{
    *notes = (struct enginenotes){.terminal = terminal};
    strbuf_init(&notes->line, ENGINE_LINE_MAX);
    run_engine_init(&notes->engine);
}

void enginenotes_release(struct enginenotes *notes)
{
    strbuf_release(&notes->line);
}

/* On a terminal one line, which is rewritten: where the script has not left its own line
 * unended, as a progress bar of its own does. */
static void tell_progress(struct enginenotes *notes)
{
    const struct run_engine *e = &notes->engine;
    if (e->progress[0] == '\0') {
        terminal_progress_clear(notes->terminal);
    } else if (!terminal_is_mid_line(notes->terminal)) {
        terminal_status(notes->terminal, "%s: %s", e->application, e->progress);
    }
}

static void tell(struct enginenotes *notes)
{
    struct engine_line said;
    if (run_engine_take(&notes->engine, notes->line.data, notes->line.length, &said,
                        NULL) < 0) {
        return;
    }
    notes->is_new = true;
    if (notes->terminal != NULL && said.event == ENGINE_PROGRESS) {
        tell_progress(notes);
    }
    if (notes->terminal == NULL || said.text[0] == '\0' ||
        strcmp(said.text, notes->told) == 0) {
        return;
    }
    memcpy(notes->told, said.text, sizeof(notes->told));
    if (said.event != ENGINE_ENDED) { /* the run's own last line says that */
        terminal_note(notes->terminal, "%s", said.text);
    }
}

void enginenotes_feed(struct enginenotes *notes, const void *data, size_t length)
{
    const char *at = data, *end = at + length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t piece = (size_t)((newline != NULL ? newline : end) - at);
        bool is_whole = strbuf_add(&notes->line, at, piece, NULL) == 0;
        at += piece;
        if (newline != NULL) {
            if (is_whole) {
                tell(notes);
            }
            strbuf_reset(&notes->line);
            at++;
        }
    }
}
