#define _GNU_SOURCE /* strcasestr */
#include "common/livy.h"

#include "common/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHAT "Livy's answer"
#define BATCHES_MAX 100000
#define REASON_MAX 600 /* bytes of what is quoted of an answer */
#define ID_MAX INT64_C(2147483647)

/* ---- Versions and states */

/* Batches have names since 0.6 (LIVY-41). */
static bool has_names(const char *version)
{
    char *end = NULL;
    unsigned long major = strtoul(version, &end, 10);
    if (end == version || *end != '.') {
        return false;
    }
    unsigned long minor = strtoul(end + 1, NULL, 10);
    return major > 0 || minor >= 6;
}

static struct json *parse_object(const char *text, size_t length, struct error *err)
{
    struct json *j = json_parse_lenient(text, length, err);
    if (j == NULL) {
        error_wrap(err, WHAT);
        return NULL;
    }
    if (!json_is_object(j)) {
        json_free(j);
        error_set(err, ERR_CORRUPT, WHAT " is no JSON object");
        return NULL;
    }
    return j;
}

int livy_decode_version(const char *text, size_t length, struct livy_server *out,
                        struct error *err)
{
    CLEANUP_JSON struct json *j = parse_object(text, length, err);
    const char *version = NULL;
    if (j == NULL || json_get_string(j, WHAT, "version", &version, err) < 0) {
        return -1;
    }
    *out = (struct livy_server){.has_names = has_names(version)};
    (void)snprintf(out->version, sizeof out->version, "%.63s", version);
    return 0;
}

static const struct {
    const char *word;
    bool is_final;
} states[] = {
#define ROW(symbol, word, is_final) {word, is_final},
    LIVY_STATE_TABLE(ROW)
#undef ROW
};

enum livy_state livy_state_parse(const char *word)
{
    for (size_t i = 0; i < LIVY_OTHER; i++) {
        if (strcmp(states[i].word, word) == 0) {
            return (enum livy_state)i;
        }
    }
    return LIVY_OTHER;
}

bool livy_state_is_final(enum livy_state state)
{
    return states[state].is_final;
}

/* ---- Batches */

/* A text that may be missing, null or too long: then it is "". */
static void take_text(const struct json *object, const char *key, char *out, size_t size)
{
    const struct json *value = json_get(object, key);
    out[0] = '\0';
    if (json_is_string(value) && strlen(json_string(value)) < size) {
        (void)snprintf(out, size, "%s", json_string(value));
    }
}

static int take_batch(const struct json *j, struct livy_batch *out, struct error *err)
{
    const char *word = NULL;
    *out = (struct livy_batch){.id = 0};
    if (json_get_integer(j, WHAT, "id", 0, ID_MAX, &out->id, err) < 0 ||
        json_get_string(j, WHAT, "state", &word, err) < 0) {
        return -1;
    }
    (void)snprintf(out->word, sizeof out->word, "%.31s", word);
    out->state = livy_state_parse(out->word);
    take_text(j, "name", out->name, sizeof out->name);
    take_text(j, "appId", out->application, sizeof out->application);
    const struct json *info = json_get(j, "appInfo");
    take_text(info, "sparkUiUrl", out->tracking_url, sizeof out->tracking_url);
    take_text(info, "driverLogUrl", out->driver_log_url, sizeof out->driver_log_url);
    const struct json *log = json_get(j, "log");
    out->is_silent = !json_is_array(log) || json_count(log) == 0;
    return 0;
}

int livy_decode_batch(const char *text, size_t length, struct livy_batch *out,
                      struct error *err)
{
    CLEANUP_JSON struct json *j = parse_object(text, length, err);
    return j == NULL ? -1 : take_batch(j, out, err);
}

int livy_decode_batches(const char *text, size_t length, livy_visitor *visit,
                        void *context, struct error *err)
{
    CLEANUP_JSON struct json *j = parse_object(text, length, err);
    const struct json *sessions = NULL;
    if (j == NULL ||
        json_get_array(j, WHAT, "sessions", BATCHES_MAX, &sessions, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(sessions); item != NULL;
         item = json_next(item)) {
        struct livy_batch batch;
        if (take_batch(item, &batch, err) < 0) {
            return -1;
        }
        int result = visit(context, &batch);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int livy_decode_state(const char *text, size_t length, char word[32], struct error *err)
{
    CLEANUP_JSON struct json *j = parse_object(text, length, err);
    const char *state = NULL;
    if (j == NULL || json_get_string(j, WHAT, "state", &state, err) < 0) {
        return -1;
    }
    (void)snprintf(word, 32, "%.31s", state);
    return 0;
}

bool livy_is_zombie(const struct livy_batch *batch)
{
    return batch->state == LIVY_STARTING && batch->application[0] == '\0' &&
           batch->is_silent;
}

/* ---- What a failure says */

/* Where the text behind an element's start tag begins ("<title" ... ">"), or NULL. */
static const char *behind_tag(const char *html, const char *tag)
{
    const char *at = strcasestr(html, tag);
    const char *end = at == NULL ? NULL : strchr(at, '>');
    return end == NULL ? NULL : end + 1;
}

/* The text of HTML: that of its title, and of a <pre>, where Livy's server puts the
 * reason; else all of it, without tags. */
static void put_html(const char *html, struct strbuf *out)
{
    const char *pre = behind_tag(html, "<pre");
    const char *body = pre != NULL ? pre : behind_tag(html, "<title");
    const char *end = body == NULL ? NULL : strstr(body, "</");
    bool is_tag = false;
    for (const char *at = body != NULL ? body : html; *at != '\0' && at != end; at++) {
        is_tag = is_tag || *at == '<';
        if (!is_tag) {
            strbuf_putc(out, *at);
        } else if (*at == '>') {
            is_tag = false;
            strbuf_putc(out, ' ');
        }
        if (out->length > REASON_MAX) {
            return;
        }
    }
}

/* Blanks for what is no visible character, one for several; at most REASON_MAX bytes, cut
 * between characters. */
static void put_line(const char *text, struct strbuf *out)
{
    size_t begin = out->length, length = strlen(text);
    for (size_t i = 0; i < length && out->length - begin < REASON_MAX; i++) {
        bool is_blank = (unsigned char)text[i] <= ' ' || text[i] == 0x7f;
        bool is_first = out->length == begin;
        if (!is_blank) {
            strbuf_putc(out, text[i]);
        } else if (!is_first && out->data[out->length - 1] != ' ') {
            strbuf_putc(out, ' ');
        }
    }
    while (out->length > begin &&
           !bytes_is_utf8(out->data + begin, out->length - begin)) {
        strbuf_truncate(out, out->length - 1);
    }
    while (out->length > begin && out->data[out->length - 1] == ' ') {
        strbuf_truncate(out, out->length - 1);
    }
}

void livy_put_reason(const struct http_response *answer, struct strbuf *out)
{
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer->body.data, answer->body.length, NULL);
    const struct json *message = json_is_object(j) ? json_get(j, "msg") : j;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t begin = out->length;
    if (json_is_string(message)) {
        put_line(json_string(message), out);
    } else if (answer->body.length > 0 &&
               bytes_is_utf8(answer->body.data, answer->body.length)) {
        put_html(answer->body.data, &text);
        put_line(text.data, out);
    }
    if (out->length == begin) {
        http_put_status(out, answer->status);
    }
}

static bool says(const struct http_response *answer, const char *words)
{
    CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
    livy_put_reason(answer, &reason);
    return strstr(reason.data, words) != NULL;
}

enum livy_fate livy_judge_post(const struct http_response *answer)
{
    if (answer->status == 201 || answer->status == 200) {
        return LIVY_TAKEN;
    }
    if (says(answer, "Duplicate session name")) {
        return LIVY_DUPLICATE;
    }
    if (answer->status == 429 || says(answer, "too many sessions are being created")) {
        return LIVY_CROWDED;
    }
    /* 500 is Livy's own, after it failed to start spark-submit; what is above it comes
     * from the gateway, which does not know what became of the request. */
    return answer->status >= 300 && answer->status <= 500 ? LIVY_REFUSED : LIVY_UNCERTAIN;
}
