/*
 * envplan: the first byte says which file of a project the rest is: errand's own
 * environment, a conda file, a script with a header, a uv.lock, a pyproject.toml.
 *
 * What is accepted is a definition that the node accepts too.
 */
#include "tests/fuzz/fuzz.h"

#include "controller/envplan.h"
#include "controller/envwish.h"

static const char *const names[] = {"own.yaml", "environment.yml", "train.py", "uv.lock",
                                    "pyproject.toml"};

static void set_digests(struct envspec *spec)
{
    struct envspec_requirements *lists[] = {&spec->requirements, &spec->find_links};

    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            memset(&lists[k]->items[i].digest, 1, sizeof(struct oid));
        }
    }
    for (size_t i = 0; i < spec->lock_file_count; i++) {
        memset(&spec->lock_files[i].digest, 1, sizeof(struct oid));
    }
    envspec_normalize(spec);
}

static void check(struct envspec *spec)
{
    CLEANUP_ENVSPEC struct envspec back;
    CLEANUP_JSON struct json *j = NULL;
    struct error err = ERROR_INIT;

    set_digests(spec);
    envspec_init(&back);
    j = envspec_to_json(spec);
    if (envspec_from_json(j, &back, &err) < 0) {
        fuzz_fail(err.text);
    }
}

static void plan(const char *folder, const struct json *wish)
{
    CLEANUP_ENVPLAN struct envplan plan;
    struct runspec spec;
    struct strvec none = STRVEC_INIT;
    struct error err = ERROR_INIT;
    struct envplan_request request = {
        .project = folder, .wish = wish, .script = "train.py", .may_discover = true};
    int result;

    envplan_init(&plan);
    runspec_init(&spec);
    result = envplan_open(&plan, &request, &err);
    if (result > 0) {
        result = envplan_fill(&plan, &none, &none, &spec.environment, &err);
    }
    if (result < 0) {
        fuzz_check_error(&err);
    } else if (spec.environment.has_definition) {
        check(&spec.environment.definition);
    }
    runspec_release(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    unsigned which = fuzz_byte(&in) % ARRAY_SIZE(names);
    char *folder = fuzz_folder();
    CLEANUP_FREE char *path = files_join(folder, names[which]);
    CLEANUP_JSON struct json *wish = NULL;
    struct error err = ERROR_INIT;
    {
        CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert(fd >= 0);
        fuzz_write(fd, "train.py", "print(1)\n", 9);
        fuzz_write(fd, names[which], in.data, in.size);
    }
    if (which == 0) {
        wish = envwish_file(path, &err);
        if (wish == NULL) {
            fuzz_check_error(&err);
        }
    }
    if (which != 0 || wish != NULL) {
        plan(folder, wish);
    }
    fuzz_folder_remove(folder);
    return 0;
}
