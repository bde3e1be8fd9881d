#include "common/explain.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"

/* Whether text goes on as said does, whose gaps become words. */
static bool goes_on(const char *text, const char *said, char words[][EXPLAIN_WORD_MAX])
{
    size_t length = strcspn(said, "{");
    if (strncmp(text, said, length) != 0) {
        return false;
    }
    text += length;
    said += length;
    if (*said == '\0') {
        return true;
    }
    bool is_any = said[1] == '*';
    const char *rest = said + (is_any ? 3 : 2);
    if (*rest == '\0') { /* nothing follows that would end it */
        size_t all = strcspn(text, is_any ? "\n" : " \n");
        snprintf(words[0], EXPLAIN_WORD_MAX, "%.*s", (int)all, text);
        return all > 0 || is_any;
    }
    for (size_t taken = 0; taken < EXPLAIN_WORD_MAX - 1; taken++) {
        if ((taken > 0 || is_any) && goes_on(text + taken, rest, words + 1)) {
            snprintf(words[0], EXPLAIN_WORD_MAX, "%.*s", (int)taken, text);
            return true;
        }
        if (text[taken] == '\0' || text[taken] == '\n' ||
            (!is_any && text[taken] == ' ')) {
            return false;
        }
    }
    return false;
}

static bool find(const char *text, const char *said, char words[][EXPLAIN_WORD_MAX])
{
    for (; *text != '\0'; text++) {
        if (*text == *said && goes_on(text, said, words)) {
            return true;
        }
    }
    return false;
}

/* A text of ours with the words in its gaps, from *word on. */
static void fill(const char *text, char words[][EXPLAIN_WORD_MAX], size_t *word,
                 struct strbuf *out)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '{' && *word < EXPLAIN_WORDS_MAX) {
            strbuf_puts(out, words[(*word)++]);
            at++;
        } else {
            strbuf_putc(out, *at);
        }
    }
}

static void say(struct error *err, const struct explain_row *row,
                char words[][EXPLAIN_WORD_MAX])
{
    CLEANUP_STRBUF struct strbuf sentence = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf hint = STRBUF_INIT;
    size_t word = 0;
    fill(row->sentence, words, &word, &sentence);
    error_set(err, row->code, "%s", sentence.data);
    if (row->hint != NULL) {
        fill(row->hint, words, &word, &hint);
        error_hint(err, "%s", hint.data);
    }
}

bool explain(const struct explain_row *rows, size_t count, const char *text,
             struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        char words[EXPLAIN_WORDS_MAX + 1][EXPLAIN_WORD_MAX] = {""};
        if (find(text, rows[i].said, words)) {
            say(err, &rows[i], words);
            return true;
        }
    }
    return false;
}
