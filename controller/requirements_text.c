/*
 * requirements_text: encodings, ${VAR} and credentials of requirement files. [controller]
 */
#include "controller/requirements_inside.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

/* ---- encodings ---- */

static uint32_t unit_at(const unsigned char *data, bool is_big)
{
    return is_big ? (uint32_t)data[0] << 8 | data[1] : (uint32_t)data[1] << 8 | data[0];
}

static int decode_utf16(const unsigned char *data, size_t length, bool is_big,
                        struct strbuf *out, struct error *err)
{
    for (size_t i = 0; i + 1 < length; i += 2) {
        uint32_t c = unit_at(data + i, is_big);

        if (c >= 0xd800 && c < 0xdc00 && i + 3 < length) {
            uint32_t low = unit_at(data + i + 2, is_big);

            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        if (c == 0 || (c >= 0xd800 && c < 0xe000)) {
            return error_set(err, ERR_CONFIG, "it begins as UTF-16 and is none");
        }
        strbuf_put_utf8(out, c);
    }
    return length % 2 == 0 ? 0
                           : error_set(err, ERR_CONFIG,
                                       "it begins as UTF-16 and ends "
                                       "in half a character");
}

int requirements_decode(const char *data, size_t length, struct strbuf *out,
                        struct error *err)
{
    const unsigned char *bytes = (const unsigned char *)data;

    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        return strbuf_add(out, data + 3, length - 3, err);
    }
    if (length >= 2 && bytes[0] == 0xff && bytes[1] == 0xfe) {
        return decode_utf16(bytes + 2, length - 2, false, out, err);
    }
    if (length >= 2 && bytes[0] == 0xfe && bytes[1] == 0xff) {
        return decode_utf16(bytes + 2, length - 2, true, out, err);
    }
    return strbuf_add(out, data, length, err);
}

/* ---- ${VAR} ---- */

#define VARIABLE_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

/* The length of "${NAME}" at text, 0 where there is none. Source: pip, whose variables
 * have capitals, digits and underscores. */
static size_t variable_length(const char *text)
{
    size_t length;

    if (text[0] != '$' || text[1] != '{') {
        return 0;
    }
    length = strspn(text + 2, VARIABLE_LETTERS);
    return length > 0 && text[2 + length] == '}' ? length + 3 : 0;
}

/* The value of a variable of the run, or NULL. */
static const char *value_of(const struct requirements *r, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = r->variables != NULL ? r->variables->count : 0; i-- > 0;) {
        const char *pair = r->variables->items[i];

        if (strncmp(pair, name, length) == 0 && pair[length] == '=') {
            return pair + length + 1;
        }
    }
    return NULL;
}

static int expand_variables(const struct requirements *r, const char *text,
                            struct strbuf *out, struct error *err)
{
    while (*text != '\0') {
        size_t length = variable_length(text);
        const char *value;

        if (length == 0) {
            strbuf_putc(out, *text++);
            continue;
        }
        CLEANUP_FREE char *name = xstrndup(text + 2, length - 3);
        value = value_of(r, name);
        if (r->secrets != NULL && strvec_contains(r->secrets, name)) {
            strbuf_printf(out, "%.*s", (int)length, text);
        } else if (value != NULL) {
            strbuf_puts(out, value);
        } else {
            error_set(err, ERR_CONFIG,
                      "${%s} is neither a variable nor a secret of this run", name);
            return error_hint(err,
                              "--secret %s sends what it is here, --env %s too, "
                              "but stores it",
                              name, name);
        }
        if (out->length > ENVSPEC_TEXT_MAX) {
            return error_set(err, ERR_LIMIT,
                             "with its variables it has more than %zu bytes",
                             ENVSPEC_TEXT_MAX);
        }
        text += length;
    }
    return 0;
}

/* ---- credentials ---- */

/* True where nothing but ${VAR} and a colon stands in text[0..length), or a name before
 * the colon and a ${VAR} behind it: there is no password to take out. */
static bool is_all_variables(const char *text, size_t length, bool *has_variable)
{
    const char *end = text + length;
    const char *colon = memchr(text, ':', length);
    bool is_all = true;

    *has_variable = false;
    for (const char *at = text; at < end;) {
        size_t variable = variable_length(at);

        *has_variable = *has_variable || variable > 0;
        is_all = is_all && (variable > 0 || at == colon || (colon != NULL && at < colon));
        at += variable > 0 ? variable : 1;
    }
    return is_all && *has_variable;
}

/* ssh's user is no credential. */
static bool scheme_is_ssh(const char *text, const char *sep)
{
    return sep - text >= 3 && memcmp(sep - 3, "ssh", 3) == 0;
}

static void add_credentials(struct requirements *r, const char *userinfo, size_t length,
                            struct strbuf *out)
{
    for (size_t i = 0; i < r->credentials.count; i++) {
        const char *known = strchr(r->credentials.items[i], '=') + 1;

        if (strlen(known) == length && memcmp(known, userinfo, length) == 0) {
            strbuf_printf(out, "${" REQUIREMENTS_CREDENTIALS "%zu}@", i + 1);
            return;
        }
    }
    strvec_pushf(&r->credentials, REQUIREMENTS_CREDENTIALS "%zu=%.*s",
                 r->credentials.count + 1, (int)length, userinfo);
    strbuf_printf(out, "${" REQUIREMENTS_CREDENTIALS "%zu}@", r->credentials.count);
}

static int take_credentials(struct requirements *r, const char *text, struct strbuf *out,
                            struct error *err)
{
    const char *begin = text;

    for (const char *sep; (sep = strstr(text, "://")) != NULL;) {
        const char *authority = sep + 3;
        size_t length = strcspn(authority, "/?# ");
        size_t userinfo = 0;
        bool has_variable = false;

        for (size_t i = 0; i < length; i++) {
            userinfo = authority[i] == '@' ? i + 1 : userinfo;
        }
        strbuf_printf(out, "%.*s", (int)(authority - text), text);
        if (userinfo <= 1 || scheme_is_ssh(begin, sep) ||
            is_all_variables(authority, userinfo - 1, &has_variable)) {
            strbuf_printf(out, "%.*s", (int)userinfo, authority);
        } else if (has_variable) {
            return error_set(err, ERR_CONFIG,
                             "a password stands in an address beside a "
                             "${VAR}; make the password a secret too");
        } else {
            add_credentials(r, authority, userinfo - 1, out);
        }
        text = authority + userinfo;
    }
    strbuf_puts(out, text);
    return 0;
}

int requirements_expand(struct requirements *r, const char *text, struct strbuf *out,
                        struct error *err)
{
    CLEANUP_STRBUF struct strbuf expanded = STRBUF_INIT;
    int result;

    if (expand_variables(r, text, &expanded, err) < 0) {
        return -1;
    }
    result = take_credentials(r, expanded.data, out, err);
    mem_wipe(expanded.data, expanded.length);
    return result;
}

int requirements_channel(struct requirements *r, const char *text, struct strbuf *out,
                         struct error *err)
{
    return requirements_expand(r, text, out, err);
}
