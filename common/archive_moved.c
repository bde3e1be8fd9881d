#include "common/archive_inside.h"

#include <string.h>

/* In a script, from where it lies itself; a shell takes it. */
#define BESIDE "\"$(dirname -- \"$0\")\"/"

/* What stands behind `home` and a slash in text; NULL where it does not begin so. */
static const char *behind(const char *home, const char *text)
{
    size_t length = strlen(home);
    return strncmp(text, home, length) == 0 && text[length] == '/' ? text + length + 1
                                                                   : NULL;
}

void archive_move_link(const char *home, const char *path, const char *target,
                       struct strbuf *out)
{
    const char *rest = behind(home, target);
    strbuf_reset(out);
    if (rest == NULL) {
        strbuf_puts(out, target);
        return;
    }
    rest += strspn(rest, "/");
    /* From the innermost folder that both are in. */
    size_t common = 0;
    for (size_t i = 0; path[i] != '\0' && path[i] == rest[i]; i++) {
        common = path[i] == '/' ? i + 1 : common;
    }
    rest += common;
    for (const char *at = strchr(path + common, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        strbuf_puts(out, "../");
    }
    strbuf_puts(out, rest[0] != '\0' ? rest : ".");
}

/* "#!/home/bin/python3.9 -s": a shell starts the Python beside the script, to which the
 * lines for the shell are a text that nobody reads. Other programs are found by PATH. */
static size_t move_first_line(const char *home, const char *head, struct strbuf *out)
{
    const char *program = behind(home, head + 2 + strspn(head + 2, " "));
    const char *end = strchr(head, '\n');
    if (program == NULL || end == NULL || strncmp(program, "bin/", 4) != 0) {
        return 0;
    }
    program += 4;
    if (strncmp(program, "python", 6) == 0) {
        strbuf_printf(out, "#!/bin/sh\n'''exec' " BESIDE "%.*s \"$0\" \"$@\"\n' '''\n",
                      (int)(end - program), program);
    } else {
        strbuf_printf(out, "#!/usr/bin/env %.*s\n", (int)strcspn(program, " \n"),
                      program);
    }
    return (size_t)(end + 1 - head);
}

/* What pip writes where the path is too long for a first line:
 * "#!/bin/sh\n'''exec' /home/bin/python3.9 "$0" "$@"\n". */
static size_t move_second_line(const char *home, const char *head, struct strbuf *out)
{
    static const char shell[] = "#!/bin/sh\n'''exec' ";
    if (strncmp(head, shell, strlen(shell)) != 0) {
        return 0;
    }
    const char *at = head + strlen(shell);
    size_t quote = strspn(at, "\"'");
    const char *program = quote <= 1 ? behind(home, at + quote) : NULL;
    if (program == NULL || strncmp(program, "bin/", 4) != 0) {
        return 0;
    }
    strbuf_printf(out, "%s" BESIDE "%.*s", shell, (int)quote, at);
    return (size_t)(program + 4 - head);
}

size_t archive_move_head(const char *home, const char *head, struct strbuf *out)
{
    strbuf_reset(out);
    if (strncmp(head, "#!", 2) != 0) {
        return 0;
    }
    size_t length = move_first_line(home, head, out);
    return length > 0 ? length : move_second_line(home, head, out);
}
