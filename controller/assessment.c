#include "controller/assessment.h"

#include <stdio.h>
#include <string.h>

#include "common/runspec_environment.h"

static void take_word(const struct json *python, const char *key,
                      char out[ASSESSMENT_WORD_SIZE])
{
    const char *word = json_string(json_get(python, key));
    (void)snprintf(out, ASSESSMENT_WORD_SIZE, "%s", word != NULL ? word : "");
}

static int take_report(void *context, const struct json *report, struct error *err)
{
    struct assessment *out = context;
    const struct json *python = json_get(report, "python");
    (void)err;
    out->is_ready = json_bool(json_get(report, "is_ready"));
    for (const struct json *one = json_first(json_get(report, "wants")); one != NULL;
         one = json_next(one)) {
        const char *what = json_string(one);
        out->wants_uv |= what != NULL && strcmp(what, "uv") == 0;
    }
    take_word(python, "version", out->python);
    take_word(python, "implementation", out->implementation);
    take_word(python, "platform", out->platform);
    take_word(python, "libc", out->libc);
    return 0;
}

int assessment_ask(struct client *client, const struct runspec *spec, bool brings_uv,
                   struct assessment *out, struct error *err)
{
    CLEANUP_JSON struct json *body = json_new_object();
    CLEANUP_JSON struct json *end = NULL;
    *out = (struct assessment){.is_ready = false};
    json_add(body, "environment", runspec_environment_to_json(&spec->environment));
    json_add(body, "interpreter",
             spec->interpreter != NULL
                 ? json_new_bytes(spec->interpreter, strlen(spec->interpreter))
                 : json_new_null());
    struct json *brings = json_add(body, "brings", json_new_array());
    if (brings_uv) {
        json_append(brings, json_new_string("uv"));
    }
    return client_ask(client, MSG_ASSESS, body, take_report, out, &end, err);
}
