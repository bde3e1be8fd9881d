#include "executor/secrets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"

#define SECRETS_MAX ((size_t)1 << 20)

int secrets_read(int fd, secrets_visitor *visit, void *context, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, SECRETS_MAX);
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE) {
        return error_sys(err, "read the secrets");
    }
    int result = fdio_read_all(fd, "the secrets", &text, err);
    for (size_t at = 0; at < text.length; at += strlen(text.data + at) + 1) {
        visit(context, text.data + at);
    }
    mem_wipe(text.data, text.length);
    strbuf_release(&text);
    return result;
}
