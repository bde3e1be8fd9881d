#include "executor/environment_assess.h"

#include <string.h>

#include "common/clock.h"
#include "executor/environment_existing.h"

bool environment_suits_uv(const struct envspec *d)
{
    bool has_wish = d->builder != NULL && d->builder[0] != '\0';
    return (d->kind == ENVSPEC_PACKAGES || d->kind == ENVSPEC_LOCK) &&
           (!has_wish || strcmp(d->builder, "uv") == 0);
}

static struct json *python_object(const struct tool *python)
{
    static const struct {
        const char *key;
        int detail;
    } rows[] = {{"implementation", PYTHON_IMPLEMENTATION},
                {"platform", PYTHON_PLATFORM},
                {"libc", PYTHON_LIBC}};
    struct json *j = json_new_object();
    json_add_bytes(j, "path", python->real, strlen(python->real));
    json_add_string(j, "version", python->version);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_add_string(j, rows[i].key, python->detail[rows[i].detail]);
    }
    return j;
}

static struct json *builder_object(const struct environment *e)
{
    struct json *j = json_new_object();
    json_add_string(j, "name", e->builder->name);
    json_add_string(j, "version", e->builder->version(e->python, e->program));
    return j;
}

static struct json *report_of(const struct environment *e, bool is_ready, bool wants_uv)
{
    struct json *j = json_new_object();
    json_add_bool(j, "is_ready", is_ready);
    json_add(j, "python", e->python != NULL ? python_object(e->python) : json_new_null());
    json_add(j, "builder", e->builder != NULL ? builder_object(e) : json_new_null());
    struct json *wants = json_add(j, "wants", json_new_array());
    if (wants_uv) {
        json_append(wants, json_new_string("uv"));
    }
    return j;
}

/* The user's own: it is there, or it is an error. */
static struct json *assess_existing(const struct runspec *spec, struct tools *tools,
                                    struct error *err)
{
    static const struct environment none = {.root = NULL};
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    return environment_existing(spec, tools, clock_monotonic_ns(), &pin, err) < 0
               ? NULL
               : report_of(&none, true, false);
}

static bool has_uv(struct tools *tools)
{
    const struct tool *found;
    return tools_find(tools, TOOL_UV, &found) == 1 && found != NULL;
}

struct json *environment_assess(const struct noderoot *root, const struct runspec *spec,
                                bool brings_uv, struct error *err)
{
    const struct envspec *d = &spec->environment.definition;
    CLEANUP(tools_cleanup) struct tools *tools = tools_new(root, true, false);
    struct error why = ERROR_INIT;
    struct environment e;
    struct json *report = NULL;
    if (d->kind == ENVSPEC_EXISTING) {
        return assess_existing(spec, tools, err);
    }
    int result = environment_choose(&e, root, spec, tools, &why);
    bool is_ready =
        result == 1 && !spec->environment.is_refresh && environment_is_ready(&e);
    bool wants_uv = brings_uv && !is_ready && environment_suits_uv(d) && !has_uv(tools);
    if (result == 1 || (wants_uv && e.python != NULL)) {
        report = report_of(&e, is_ready, wants_uv);
    } else if (err != NULL) {
        *err = why;
    }
    environment_release(&e);
    return report;
}
