#include "executor/environment_check.h"

#include <string.h>

/* The last line of a text, for sentences. Borrowed from it. */
static const char *last_line(struct strbuf *text)
{
    while (text->length > 0 && text->data[text->length - 1] == '\n') {
        strbuf_truncate(text, text->length - 1);
    }
    const char *newline = strrchr(text->data, '\n');
    return newline != NULL ? newline + 1 : text->data;
}

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
              has_words ? last_line(programs_text(programs))
                        : "its interpreter does not start");
    return error_hint(err, "%s",
                      imports->count > 0
                          ? "add what is missing to the requirements, or take the name "
                            "out of `imports`"
                          : "see the build log");
}
