/*
 * requirements: up to the first 0xff a requirements.txt, behind it the pyproject.toml of
 * lib/.
 *
 * What is accepted is a definition that the node accepts too, without a password in it;
 * read once more from its own lines it is the same.
 */
#include "tests/fuzz/fuzz.h"

#include "common/envspec.h"
#include "controller/requirements.h"

struct reading {
    struct requirements r;
    struct envspec spec;
    struct strvec variables, secrets;
};

static void reading_release(struct reading *reading)
{
    requirements_release(&reading->r);
    envspec_release(&reading->spec);
    strvec_release(&reading->variables);
    strvec_release(&reading->secrets);
}

static int read_list(struct reading *reading, const char *folder, struct error *err)
{
    CLEANUP_FREE char *path = files_join(folder, "requirements.txt");

    *reading = (struct reading){.spec = {.kind = ENVSPEC_PACKAGES}};
    strvec_push(&reading->variables, "HOST=index.example.com");
    strvec_push(&reading->secrets, "TOKEN");
    strvec_push(&reading->secrets, "ERRAND_CREDENTIALS_1");
    strvec_push(&reading->secrets, "ERRAND_CREDENTIALS_2");
    if (requirements_init(&reading->r, folder, &reading->variables, &reading->secrets,
                          &reading->spec, err) < 0) {
        mem_abort("fuzz: no folder");
    }
    return requirements_file(&reading->r, path, false, err) < 0 ||
                   requirements_finish(&reading->r, err) < 0
               ? -1
               : 0;
}

static void set_digests(struct envspec_requirements *list)
{
    for (size_t i = 0; i < list->count; i++) {
        memset(&list->items[i].digest, 1, sizeof(list->items[i].digest));
    }
}

/* As the node reads it. */
static void check_definition(struct envspec *spec)
{
    CLEANUP_ENVSPEC struct envspec back;
    CLEANUP_JSON struct json *j = NULL;
    struct error err = ERROR_INIT;

    set_digests(&spec->requirements);
    set_digests(&spec->find_links);
    envspec_normalize(spec);
    envspec_init(&back);
    j = envspec_to_json(spec);
    if (envspec_from_json(j, &back, &err) < 0) {
        fuzz_fail(err.text);
    }
}

static void put_list(const char *head, const struct envspec_requirements *list,
                     struct strbuf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].text != NULL) {
            strbuf_printf(out, "%s%s\n", head, list->items[i].text);
        }
    }
}

/* Only lines and options, which read as themselves. */
static void check_again(const struct reading *first, const char *folder, int folder_fd)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf pins = STRBUF_INIT;
    CLEANUP(reading_release) struct reading second = {.spec = {.kind = ENVSPEC_PACKAGES}};
    struct error err = ERROR_INIT;

    if (first->r.credentials.count > 2) {
        return;
    }
    put_list("", &first->spec.requirements, &text);
    put_list("", &first->spec.constraints, &pins);
    strbuf_puts(&text, "-c pins.txt\n");
    for (size_t i = 0; i < first->spec.options.count; i++) {
        strbuf_printf(&text, "%s\n", first->spec.options.items[i]);
    }
    fuzz_write(folder_fd, "pins.txt", pins.data, pins.length);
    fuzz_write(folder_fd, "requirements.txt", text.data, text.length);
    if (text.length > REQUIREMENTS_SIZE_MAX / 2) {
        return;
    }
    if (read_list(&second, folder, &err) < 0) {
        fuzz_fail(err.text);
    }
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    strbuf_reset(&text);
    put_list("", &first->spec.requirements, &text);
    put_list("", &second.spec.requirements, &again);
    assert(strcmp(text.data, again.data) == 0);
    assert(second.r.credentials.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *mark = memchr(data, 0xff, size);
    size_t length = mark != NULL && mark != data ? (size_t)(mark - data) : size;
    char *folder = fuzz_folder();
    CLEANUP(reading_release)
    struct reading reading = {.spec = {.kind = ENVSPEC_PACKAGES}};
    struct error err = ERROR_INIT;
    {
        CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert(fd >= 0 && mkdirat(fd, "lib", 0700) == 0);
        fuzz_write(fd, "requirements.txt", data, length);
        fuzz_write(fd, "a-1-py3-none-any.whl", "", 0);
        if (length < size) {
            fuzz_write(fd, "lib/pyproject.toml", data + length + 1, size - length - 1);
        }
        if (read_list(&reading, folder, &err) < 0) {
            fuzz_check_error(&err);
        } else {
            check_definition(&reading.spec);
            check_again(&reading, folder, fd);
        }
    }
    fuzz_folder_remove(folder);
    return 0;
}
