#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/environment_check.h"

#include <fcntl.h>
#include <string.h>

#include "common/fdio.h"
#include "common/files.h"
#include "executor/environment.h"

#define CHECKED_FILE "checked" /* a module a line */
#define CHECKED_MAX ((size_t)64 << 10)

int environment_check(struct programs *programs, const char *const *start,
                      const struct strvec *imports, struct error *err)
{
    static const char program[] = "import sys, importlib\n"
                                  "for name in sys.argv[1:]:\n"
                                  "    try:\n"
                                  "        importlib.import_module(name)\n"
                                  "    except Exception as e:\n"
                                  "        sys.exit('%s cannot be imported: %s: %s' % "
                                  "(name, type(e).__name__, e))\n";
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    for (size_t i = 0; start[i] != NULL; i++) {
        strvec_push(&argv, start[i]);
    }
    strvec_push(&argv, "-I");
    strvec_push(&argv, "-c");
    strvec_push(&argv, program);
    for (size_t i = 0; i < imports->count; i++) {
        strvec_push(&argv, imports->items[i]);
    }
    int status =
        programs_run(programs, (const char *const *)strvec_argv(&argv), false, err);
    if (status <= 0) {
        return status;
    }
    bool has_words = programs_text(programs)->length > 0;
    error_set(err, ERR_UNSUPPORTED, "the environment is there, but %.400s",
              has_words ? programs_last_line(programs)
                        : "its interpreter does not start");
    return error_hint(err, "%s",
                      imports->count > 0
                          ? "add what is missing to the requirements, or take the name "
                            "out of `imports`"
                          : "see the build log");
}

/* ---- Builds */

/* What several runs add at once stands there in whole lines. */
static void note_checked(int build_fd, const struct strvec *imports)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, "\n");
    for (size_t i = 0; i < imports->count; i++) {
        strbuf_printf(&text, "%s\n", imports->items[i]);
    }
    CLEANUP_FD int fd =
        openat(build_fd, CHECKED_FILE,
               O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        (void)fdio_write_full(fd, text.data, text.length);
    }
}

int environment_check_build(struct build *b, int build_fd, struct error *err)
{
    const struct environment *e = b->environment;
    const struct strvec *imports = &e->spec->environment.imports;
    CLEANUP_FREE char *python = files_join(b->prefix, "bin/python");
    const char *const start[] = {python, NULL};
    if (environment_is_afar(e)) {
        return 0; /* nothing here can start it */
    }
    int result = e->builder->check != NULL
                     ? e->builder->check(b, err)
                     : environment_check(b->programs, start, imports, err);
    if (result == 0 && imports->count > 0) {
        note_checked(build_fd, imports);
    }
    return result;
}

static bool has_line(const struct strbuf *text, const char *line)
{
    CLEANUP_FREE char *between = xasprintf("\n%s\n", line);
    return strstr(text->data, between) != NULL;
}

bool environment_was_checked(int build_fd, const struct strvec *imports)
{
    struct strbuf text;
    strbuf_init(&text, CHECKED_MAX);
    bool was_checked =
        imports->count == 0 || files_read(build_fd, CHECKED_FILE, &text, NULL) == 0;
    for (size_t i = 0; was_checked && i < imports->count; i++) {
        was_checked = has_line(&text, imports->items[i]);
    }
    strbuf_release(&text);
    return was_checked;
}
