/*
 * envspec: any bytes as the definition of an environment.
 *
 * What is accepted is written as a definition that says the same, sorted; its identity
 * has neither credentials nor places, and is the same after a second reading.
 */
#include "tests/fuzz/fuzz.h"

#include "common/envspec.h"

static void check_line(const char *text)
{
    assert(text[0] != '\0' && text[0] != '-' && text[0] != '#');
    for (const char *c = text; *c != '\0'; c++) {
        assert((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void check_list(const struct envspec_requirements *list)
{
    assert(list->count <= ENVSPEC_ITEMS_MAX);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].text != NULL) {
            check_line(list->items[i].text);
        } else {
            assert(!oid_is_zero(&list->items[i].digest));
            assert(strchr(list->items[i].name, '/') == NULL);
        }
        assert(i == 0 || envspec_compare(&list->items[i - 1], &list->items[i]) < 0);
    }
}

static void check(const struct envspec *spec)
{
    check_list(&spec->requirements);
    check_list(&spec->constraints);
    for (size_t i = 0; i < spec->conda.count; i++) {
        check_line(spec->conda.items[i]);
    }
    for (size_t i = 0; i < spec->channels.count; i++) {
        check_line(spec->channels.items[i]);
    }
    for (size_t i = 0; i < spec->options.count; i++) {
        assert(envspec_option_check(spec->options.items[i], NULL) == 0);
    }
    assert((spec->kind == ENVSPEC_EXISTING) == (spec->location != NULL));
    assert((spec->kind == ENVSPEC_LOCK) == (spec->lock_file_count > 0));
    assert((spec->kind == ENVSPEC_IMAGE) == (spec->image != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ENVSPEC struct envspec spec;
    CLEANUP_ENVSPEC struct envspec again;
    CLEANUP_JSON struct json *j = json_parse((const char *)data, size, NULL);
    CLEANUP_JSON struct json *written = NULL;
    CLEANUP_JSON struct json *identity = NULL;
    struct error err = ERROR_INIT;
    struct oid first;
    struct oid second;

    envspec_init(&spec);
    envspec_init(&again);
    if (envspec_from_json(j, &spec, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CORRUPT || err.code == ERR_VERSION ||
               err.code == ERR_LIMIT);
        return 0;
    }
    check(&spec);
    envspec_normalize(&spec);
    written = envspec_to_json(&spec);
    assert(envspec_from_json(written, &again, &err) == 0);
    envspec_digest(&spec, &first);
    envspec_digest(&again, &second);
    assert(oid_equal(&first, &second));
    identity = envspec_identity(&spec);
    assert(json_get(identity, "source") == NULL && json_get(identity, "paths") == NULL);
    return 0;
}
