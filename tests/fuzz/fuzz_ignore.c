/*
 * ignore: up to the first 0xff an ignore file, behind it paths, one a line. Every file is
 * a list of rules; one that counts has its line, which is in the file.
 */
#include <assert.h>
#include <string.h>

#include "common/strbuf.h"
#include "controller/ignore_file.h"
#include "tests/fuzz/fuzz.h"

static void judge(const struct ignore_file *f, const char *path, size_t length,
                  size_t line_count)
{
    CLEANUP_FREE char *copy = xstrndup(path, length);
    const char *slash = strrchr(copy, '/');

    for (int is_folder = 0; is_folder < 2; is_folder++) {
        struct ignore_entry entry = {
            .path = copy,
            .path_length = strlen(copy),
            .name = slash ? slash + 1 : copy,
            .is_folder = is_folder,
        };
        const struct ignore_rule *rule;

        entry.name_length = strlen(entry.name);
        rule = ignore_file_match(f, &entry);
        if (rule) {
            assert(rule->line >= 1 && rule->line <= line_count);
            assert(rule->text[0] != '#' && !strchr(rule->text, '\n'));
            assert(rule->is_negated == (rule->text[0] == '!'));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *mark = memchr(data, 0xff, size);
    size_t length = mark ? (size_t)(mark - data) : size;
    const char *at = (const char *)data + length + (mark != NULL);
    const char *end = (const char *)data + size;
    struct strbuf text;
    CLEANUP(ignore_file_cleanup) struct ignore_file *f = NULL;
    size_t line_count = 1;

    strbuf_init(&text, IGNORE_FILE_MAX);
    if (strbuf_add(&text, data, length, NULL) < 0) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        line_count += data[i] == '\n';
    }
    f = ignore_file_new("f", &text);
    assert(strcmp(ignore_file_shown(f), "f") == 0);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;

        judge(f, at, (size_t)(stop - at), line_count);
        at = stop + 1;
    }
    return 0;
}
