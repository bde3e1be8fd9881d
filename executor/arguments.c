#include "executor/arguments.h"

#include <stddef.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

enum kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_DESCRIPTOR,
    KIND_FLAG,
};

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
};

static const struct option options[] = {
    {"--root", KIND_TEXT, offsetof(struct arguments, root)},
    {"--run", KIND_TEXT, offsetof(struct arguments, run)},
    {"--attempt", KIND_NUMBER, offsetof(struct arguments, attempt)},
    {"--report-fd", KIND_DESCRIPTOR, offsetof(struct arguments, report_fd)},
    {"--go-fd", KIND_DESCRIPTOR, offsetof(struct arguments, go_fd)},
    {"--secrets-fd", KIND_DESCRIPTOR, offsetof(struct arguments, secrets_fd)},
    {"--adopt", KIND_FLAG, offsetof(struct arguments, is_adopting)},
};

static int set(const struct option *option, const char *value, struct arguments *out,
               struct error *err)
{
    char *at = (char *)out + option->offset;
    uint64_t number = 0;
    uint64_t max = option->kind == KIND_DESCRIPTOR ? 1 << 20 : INT64_C(1) << 40;
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)(void *)at = true;
        return 0;
    case KIND_TEXT:
        *(const char **)(void *)at = value;
        return 0;
    case KIND_NUMBER:
    case KIND_DESCRIPTOR:
        if (bytes_parse_u64(value, max, &number, NULL) < 0 ||
            (option->kind == KIND_NUMBER && number == 0)) {
            return error_set(err, ERR_USAGE, "%s takes a number, not \"%s\"",
                             option->name, value);
        }
        break;
    }
    if (option->kind == KIND_NUMBER) {
        *(int64_t *)(void *)at = (int64_t)number;
    } else {
        *(int *)(void *)at = (int)number;
    }
    return 0;
}

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

int arguments_parse(int argc, char **argv, struct arguments *out, struct error *err)
{
    *out =
        (struct arguments){.attempt = 1, .report_fd = -1, .go_fd = -1, .secrets_fd = -1};
    for (int i = 1; i < argc; i++) {
        const struct option *option = find(argv[i]);
        if (option == NULL) {
            return error_set(err, ERR_USAGE, "%s has no option %s", argv[0], argv[i]);
        }
        bool has_value = option->kind != KIND_FLAG;
        if (has_value && i + 1 == argc) {
            return error_set(err, ERR_USAGE, "%s needs a value", argv[i]);
        }
        if (set(option, has_value ? argv[i + 1] : "", out, err) < 0) {
            return -1;
        }
        i += has_value;
    }
    if (out->root == NULL || out->run == NULL) {
        return error_set(err, ERR_USAGE, "%s needs --root and --run", argv[0]);
    }
    return 0;
}
