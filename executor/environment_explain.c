#include "executor/environment_explain.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"

#define WORD_MAX 200
#define LAST_WORDS_MAX 400

/*
 * `said` is looked for in the text, "{}" standing for whatever is there on that line up
 * to what follows; the first "{}" of the sentence becomes the first of those. The first
 * row that is found counts, so that causes stand before their consequences.
 */
static const struct row {
    const char *said;
    enum error_code code;
    const char *sentence, *hint;
} rows[] = {
    {"No space left on device", ERR_NO_SPACE, "the node's disk is full",
     "free some of it (errand gc --target, or old environments: errand env remove)"},
    {"Disk quota exceeded", ERR_NO_SPACE, "the quota on the node is used up",
     "free some of it (errand gc --target, or old environments: errand env remove)"},
    {"Hash mismatch for `{}`", ERR_CORRUPT,
     "{} is not the file that its hash in the requirements stands for",
     "make the hashes anew if that is right; else somebody changed the package"},
    {"DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", ERR_CORRUPT,
     "a package is not the file that its hash in the requirements stands for",
     "make the hashes anew if that is right; else somebody changed the package"},
    {"all requirements must have a hash, but none were provided for: {}\n", ERR_CONFIG,
     "hashes are required, and {} has none",
     "add hashes to every requirement (errand env lock), or drop them all"},
    {"Hashes are required in --require-hashes mode", ERR_CONFIG,
     "hashes are required, and a requirement has none",
     "add hashes to every requirement (errand env lock), or drop them all"},
    {"must have their versions pinned with ==, but found: {}\n", ERR_CONFIG,
     "hashes are required, and {} is not pinned with ==", "pin it, or drop the hashes"},
    {"certificate verify failed", ERR_CONNECT,
     "the certificate of the package index is not trusted on the node",
     "install its authority on the node, or set SSL_CERT_FILE in `variables`"},
    {"invalid peer certificate", ERR_CONNECT,
     "the certificate of the package index is not trusted on the node",
     "install its authority on the node, or set SSL_CERT_FILE in `variables`"},
    {"failed to lookup address information", ERR_CONNECT,
     "the node cannot find the package index by its name",
     "check the node's network, `index`, and whether a proxy is needed"},
    {"Name or service not known", ERR_CONNECT,
     "the node cannot find the package index by its name",
     "check the node's network, `index`, and whether a proxy is needed"},
    {"Temporary failure in name resolution", ERR_CONNECT,
     "the node cannot find the package index by its name",
     "check the node's network, `index`, and whether a proxy is needed"},
    {"Connection refused", ERR_CONNECT, "the package index refused the connection",
     "check `index`, and the node's network and proxy"},
    {"operation timed out", ERR_TIMED_OUT, "the package index did not answer in time",
     "check the node's network; UV_HTTP_TIMEOUT in `variables` gives it more time"},
    {"Read timed out", ERR_TIMED_OUT, "the package index did not answer in time",
     "check the node's network; PIP_DEFAULT_TIMEOUT in `variables` gives it more time"},
    {"Failed to fetch: `{}`", ERR_CONNECT, "{} could not be fetched",
     "check `index`, and the node's network and proxy"},
    {"Because {} was not found in the package registry", ERR_NOT_FOUND,
     "the package index has no package named {}",
     "check the spelling, and `index`: an index that refuses access looks the same"},
    {"Because there is no version of {} and ", ERR_NOT_FOUND,
     "there is no such version: {}",
     "ask for a version that exists (pip index versions NAME)"},
    {"{} has no wheels with a matching Python", ERR_UNSUPPORTED,
     "{} has no wheel for this Python",
     "change `python`, or ask for another version of it"},
    {"{} has no usable wheels", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and may not be built from source",
     "change `python`, or ask for another version of it"},
    {"Could not find a version that satisfies the requirement {} (from versions: none)",
     ERR_NOT_FOUND, "the package index has no package {}, or could not be reached",
     "check the spelling, `index`, and the node's network"},
    {"Could not find a version that satisfies the requirement {} (from", ERR_NOT_FOUND,
     "no version of {} is there for this Python",
     "ask for a version that exists, or change `python`"},
    {"error: command '{}' failed: No such file", ERR_UNSUPPORTED,
     "a package has to be built from source, and the node has no {}",
     "install a compiler (apt install build-essential python3-dev), or ask for a version "
     "that has a wheel"},
    {"Failed to build `{}`", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and building it from source failed",
     "change `python` or the version, or install what its build needs (see the build "
     "log)"},
    {"Failed building wheel for {}\n", ERR_UNSUPPORTED,
     "{} has no wheel for this Python and machine, and building it from source failed",
     "change `python` or the version, or install what its build needs (see the build "
     "log)"},
};

/* Where `said` is found: the end of the match, and what its "{}" stands for, which may be
 * at its beginning. NULL: nowhere. */
static bool find(const char *text, const char *said, char word[WORD_MAX])
{
    const char *gap = strstr(said, "{}");
    word[0] = '\0';
    if (gap == NULL) {
        return strstr(text, said) != NULL;
    }
    CLEANUP_FREE char *before = xstrndup(said, (size_t)(gap - said));
    const char *after = gap + 2;
    for (const char *at = text;
         (at = strstr(at, before[0] != '\0' ? before : after)) != NULL; at++) {
        const char *from = at + strlen(before);
        const char *to = strstr(from, after);
        if (before[0] == '\0') {
            to = at;
            while (from > text && from[-1] != '\n' && from[-1] != ' ') {
                from--;
            }
        }
        const char *newline = strchr(from, '\n');
        if (to != NULL && to > from && to - from < WORD_MAX &&
            (newline == NULL || to <= newline)) {
            snprintf(word, WORD_MAX, "%.*s", (int)(to - from), from);
            return true;
        }
    }
    return false;
}

static int say(struct error *err, const struct row *row, const char *word)
{
    const char *gap = strstr(row->sentence, "{}");
    if (gap == NULL) {
        error_set(err, row->code, "%s", row->sentence);
    } else {
        error_set(err, row->code, "%.*s%s%s", (int)(gap - row->sentence), row->sentence,
                  word, gap + 2);
    }
    return error_hint(err, "%s", row->hint);
}

/* What the resolver found out, on one line: uv's "cause: Because ...". */
static bool find_conflict(const char *text, struct strbuf *out)
{
    const char *at = strstr(text, "Because ");
    if (at == NULL) {
        return false;
    }
    for (; *at != '\0' && out->length < LAST_WORDS_MAX; at++) {
        bool is_break = *at == '\n';
        if (is_break &&
            (at[1] == '\n' || at[1] == '\0' || strncmp(at + 1, "hint", 4) == 0)) {
            break;
        }
        if (is_break || *at == ' ') {
            if (out->length > 0 && out->data[out->length - 1] != ' ') {
                strbuf_putc(out, ' ');
            }
        } else {
            strbuf_putc(out, *at);
        }
    }
    return true;
}

/* The last line that is not empty, or the one that begins with "error". */
static void find_last_words(const char *text, struct strbuf *out)
{
    const char *best = "";
    size_t best_length = 0;
    bool has_error = false;
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        bool is_error = strncmp(line, "error", 5) == 0 || strncmp(line, "ERROR", 5) == 0;
        if (length > 0 && (is_error || !has_error)) {
            best = line;
            best_length = length;
            has_error |= is_error;
        }
        line += length + (line[length] == '\n');
    }
    strbuf_printf(out, "%.*s",
                  (int)(best_length < LAST_WORDS_MAX ? best_length : LAST_WORDS_MAX),
                  best);
}

int environment_explain(const char *builder, const char *text, int status,
                        struct error *err)
{
    char word[WORD_MAX];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (find(text, rows[i].said, word)) {
            return say(err, &rows[i], word);
        }
    }
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    if (find_conflict(text, &words)) {
        error_set(err, ERR_NOT_FOUND, "the requirements cannot all be met: %s",
                  words.data);
        return error_hint(err, "loosen one of them; the build log has the whole text");
    }
    find_last_words(text, &words);
    error_set(err, ERR_SPAWN, "%s failed (%s %d)%s%s", builder,
              status > 128 ? "signal" : "status", status > 128 ? status - 128 : status,
              words.length > 0 ? ": " : "", words.data);
    return error_hint(err, "the build log has the whole text");
}
