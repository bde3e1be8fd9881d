/*
 * ssh_settings: what `ssh -G` prints is followed whole, or is said to be beyond the
 * built-in transport; paths are absolute. The input is that text, a NUL, and what ssh
 * prints for a host that nothing is configured for.
 */
#include <stddef.h>

#include "controller/ssh_settings.h"
#include "fuzz.h"

static void check_paths(const struct strvec *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        assert(paths->items[i][0] == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    struct fuzz_input first = fuzz_take(&in, end != NULL ? (size_t)(end - data) : size);
    (void)fuzz_byte(&in);
    CLEANUP_FREE char *text = xstrndup((const char *)first.data, first.size);
    CLEANUP_FREE char *defaults = xstrndup((const char *)in.data, in.size);
    char name[] = "gpu1";
    const struct target target = {.name = name, .host = name};
    struct ssh_settings settings;
    ssh_settings_parse(&settings, &target, text, defaults);
    if (settings.beyond == NULL) {
        assert(settings.hostname != NULL && settings.user != NULL);
        assert(strstr(text, "hostname ") != NULL && strstr(text, "port ") != NULL);
    } else {
        assert(settings.beyond[0] != '\0');
    }
    check_paths(&settings.identities);
    check_paths(&settings.user_hosts);
    check_paths(&settings.global_hosts);
    ssh_settings_release(&settings);
    return 0;
}
