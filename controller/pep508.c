#include "controller/pep508.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/pep440.h"
#include "common/strvec.h"

#define NAME_SIZE_MAX 200

void pep508_release(struct pep508 *requirement)
{
    free(requirement->name);
    free(requirement->extras);
    free(requirement->specifiers);
    free(requirement->url);
    free(requirement->marker);
    *requirement = (struct pep508){.name = NULL};
}

/* ---- names ---- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
}

static bool is_joint(char c)
{
    return c == '-' || c == '_' || c == '.';
}

static const char *skip_blanks(const char *text)
{
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    return text;
}

static bool is_name(const char *text, size_t length)
{
    if (length < 1 || length > NAME_SIZE_MAX || is_joint(text[0]) ||
        is_joint(text[length - 1])) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_name_byte(text[i])) {
            return false;
        }
    }
    return true;
}

int pep508_name(const char *text, size_t length, struct strbuf *out, struct error *err)
{
    if (!is_name(text, length)) {
        return error_set(err, ERR_CONFIG, "\"%.*s\" is no name of a package",
                         (int)(length < 60 ? length : 60), text);
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_joint(text[i])) {
            strbuf_putc(out, (char)tolower((unsigned char)text[i]));
        } else if (!is_joint(text[i - 1])) {
            strbuf_putc(out, '-');
        }
    }
    return 0;
}

int pep508_extras(const char *text, size_t length, struct strbuf *out, struct error *err)
{
    CLEANUP_STRVEC struct strvec all = STRVEC_INIT;
    const char *end = text + length;

    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma != NULL ? comma : end;
        CLEANUP_STRBUF struct strbuf one = STRBUF_INIT;
        const char *next = comma != NULL ? comma + 1 : end;

        while (text < stop && isspace((unsigned char)*text)) {
            text++;
        }
        while (stop > text && isspace((unsigned char)stop[-1])) {
            stop--;
        }
        if (stop == text && all.count == 0 && next == end) {
            break; /* name[] */
        }
        if (pep508_name(text, (size_t)(stop - text), &one, err) < 0) {
            return error_set(err, ERR_CONFIG, "\"%.*s\" is no name of an extra",
                             (int)(stop - text < 60 ? stop - text : 60), text);
        }
        strvec_push(&all, one.data);
        text = next;
    }
    strvec_sort_unique(&all);
    for (size_t i = 0; i < all.count; i++) {
        strbuf_printf(out, "%s%s", i > 0 ? "," : "", all.items[i]);
    }
    return 0;
}

/* ---- a requirement ---- */

/* name, then optional [extras]; the rest of the text, or NULL: err. */
static const char *parse_head(const char *text, struct pep508 *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf extras = STRBUF_INIT;
    size_t length = 0;

    while (is_name_byte(text[length])) {
        length++;
    }
    if (length == 0) {
        error_set(err, ERR_CONFIG, "\"%.60s\" does not begin with a package's name",
                  text);
        return NULL;
    }
    if (pep508_name(text, length, &name, err) < 0) {
        return NULL;
    }
    text = skip_blanks(text + length);
    if (text[0] == '[') {
        const char *close = strchr(text, ']');

        if (close == NULL) {
            error_set(err, ERR_CONFIG, "a [ after %s is not closed", name.data);
            return NULL;
        }
        if (pep508_extras(text + 1, (size_t)(close - text - 1), &extras, err) < 0) {
            return NULL;
        }
        text = skip_blanks(close + 1);
    }
    out->name = strbuf_detach(&name);
    out->extras = xstrdup(extras.data);
    return text;
}

/* " @ URL", up to a blank. */
static const char *parse_url(const char *text, struct pep508 *out, struct error *err)
{
    size_t length;

    text = skip_blanks(text);
    length = strcspn(text, " \t");
    if (length == 0) {
        error_set(err, ERR_CONFIG, "no address stands behind @");
        return NULL;
    }
    out->url = xstrndup(text, length);
    if (strstr(out->url, ":") == NULL) {
        error_set(err, ERR_CONFIG, "\"%.60s\" behind @ is no address (https://...)",
                  out->url);
        return NULL;
    }
    return skip_blanks(text + length);
}

static const char *parse_versions(const char *text, struct pep508 *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf specifiers = STRBUF_INIT;
    size_t length = strcspn(text, ";");
    const char *end = text + length;

    while (end > text && isspace((unsigned char)end[-1])) {
        end--;
    }
    if (text[0] == '(') {
        if (end[-1] != ')') {
            error_set(err, ERR_CONFIG, "a ( is not closed");
            return NULL;
        }
        if (pep440_specifiers(text + 1, (size_t)(end - text - 2), &specifiers, err) < 0) {
            return NULL;
        }
    } else if (pep440_specifiers(text, (size_t)(end - text), &specifiers, err) < 0) {
        return NULL;
    }
    out->specifiers = strbuf_detach(&specifiers);
    return text + length;
}

int pep508_parse(const char *text, struct pep508 *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf marker = STRBUF_INIT;

    text = parse_head(skip_blanks(text), out, err);
    if (text == NULL) {
        return -1;
    }
    text =
        text[0] == '@' ? parse_url(text + 1, out, err) : parse_versions(text, out, err);
    if (text == NULL) {
        return -1;
    }
    if (text[0] == ';' && pep508_marker(text + 1, &marker, err) < 0) {
        return -1;
    }
    if (text[0] != ';' && text[0] != '\0') {
        return error_set(err, ERR_CONFIG,
                         "\"%.60s\" stands behind the address; a marker begins with ;",
                         text);
    }
    out->specifiers = out->specifiers != NULL ? out->specifiers : xstrdup("");
    out->marker = strbuf_detach(&marker);
    return 0;
}

void pep508_write(const struct pep508 *requirement, struct strbuf *out)
{
    strbuf_puts(out, requirement->name);
    if (requirement->extras[0] != '\0') {
        strbuf_printf(out, "[%s]", requirement->extras);
    }
    if (requirement->url != NULL) {
        strbuf_printf(out, " @ %s", requirement->url);
    } else {
        strbuf_puts(out, requirement->specifiers);
    }
    if (requirement->marker[0] != '\0') {
        strbuf_printf(out, " ; %s", requirement->marker);
    }
}
