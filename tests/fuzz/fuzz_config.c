/*
 * config: any bytes as a configuration file.
 *
 * The first byte says which: 0 a project's errand.yaml, 1 the user's config.yaml, 2 a
 * target's file. What is accepted can be shown, for people and as JSON, and every target
 * can be found or has a sentence; what is refused has one, with the file's name.
 */
#include "tests/fuzz/fuzz.h"

#include "common/json.h"
#include "controller/config.h"
#include "controller/target.h"

static const char *const files[] = {"project/errand.yaml", "home/config.yaml",
                                    "home/targets.d/gpu1.yaml"};

static void check_targets(const struct config *config, const struct home *home)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;

    config_targets(config, &names);
    assert(names.count >= 1);
    for (size_t i = 0; i < names.count; i++) {
        struct error err = ERROR_INIT;
        CLEANUP(target_cleanup)
        struct target *target = target_find(config, home, names.items[i], &err);

        if (target == NULL) {
            fuzz_check_error(&err);
        } else {
            assert(target->host == NULL || target->host[0] != '-');
            assert(target->port >= 0 && target->port <= 65535);
        }
    }
}

static void check(const struct config *config, const struct home *home)
{
    CLEANUP_JSON struct json *values = config_to_json(config);
    CLEANUP_JSON struct json *again = NULL;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    config_write_values(config, &text);
    assert(text.length > 0);
    strbuf_reset(&text);
    json_write(values, false, &text);
    again = json_parse(text.data, text.length, NULL);
    assert(again != NULL);
    check_targets(config, home);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    const char *file = files[fuzz_byte(&in) % ARRAY_SIZE(files)];
    char *folder = fuzz_folder();
    CLEANUP_FREE char *path = files_join(folder, file);
    CLEANUP_FREE char *project = files_join(folder, "project");
    CLEANUP_FREE char *home_folder = files_join(folder, "home");
    CLEANUP_FREE char *targets = files_join(home_folder, "targets.d");
    struct home home = {.config = home_folder, .state = home_folder};
    const struct config_options options = {.start_dir = project, .want_untrusted = true};
    struct error err = ERROR_INIT;
    CLEANUP(config_cleanup) struct config *config = NULL;

    if (files_make_dirs(project, NULL) < 0 || files_make_dirs(targets, NULL) < 0) {
        mem_abort("fuzz: no folder");
    }
    fuzz_write(AT_FDCWD, path, in.data, in.size);
    config = config_load(&home, &options, &err);
    if (config == NULL) {
        fuzz_check_error(&err);
        assert(err.code == ERR_CONFIG &&
               strstr(err.text, strrchr(path, '/') + 1) != NULL);
    } else {
        check(config, &home);
    }
    fuzz_folder_remove(folder);
    return 0;
}
