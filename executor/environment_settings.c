#include "executor/environment_settings.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/mem.h"
#include "common/variables.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

/* What pip calls it in a file and in a variable, and uv in another. */
static const struct setting {
    const char *key, *pip, *uv;
    bool is_source; /* says where packages come from */
    char separator; /* of uv's lists; pip's are separated by blanks */
} settings[] = {
    {"index-url", "PIP_INDEX_URL", "UV_INDEX_URL", true, ' '},
    {"extra-index-url", "PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL", true, ' '},
    {"find-links", "PIP_FIND_LINKS", "UV_FIND_LINKS", true, ','},
    {"trusted-host", "PIP_TRUSTED_HOST", "UV_INSECURE_HOST", false, ' '},
    {"cert", "PIP_CERT", "SSL_CERT_FILE", false, ' '},
};

/* Of pip.conf: keys of [global] and [install], with the lines that continue them. */
struct reading {
    char *values[ARRAY_SIZE(settings)];
    size_t open;  /* the value that an indented line continues; none: their count */
    bool is_ours; /* the section */
};

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        text[--length] = '\0';
    }
    return text;
}

static void set_value(struct reading *r, size_t i, const char *value)
{
    free(r->values[i]);
    r->values[i] = value[0] != '\0' ? xstrdup(value) : NULL;
}

static void take_key(struct reading *r, char *line)
{
    char *equal = strpbrk(line, "=:");
    r->open = ARRAY_SIZE(settings);
    if (equal == NULL || !r->is_ours) {
        return;
    }
    *equal = '\0';
    const char *key = trim(line);
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (strcmp(settings[i].key, key) == 0) {
            set_value(r, i, trim(equal + 1));
            r->open = i;
        }
    }
}

static void take_line(struct reading *r, char *line)
{
    bool is_indented = *line == ' ' || *line == '\t';
    char *text = trim(line);
    if (*text == '\0' || *text == '#' || *text == ';') {
        return;
    }
    if (is_indented) {
        if (r->open < ARRAY_SIZE(settings)) {
            const char *before = r->values[r->open];
            CLEANUP_FREE char *both = xasprintf("%s%s%s", before != NULL ? before : "",
                                                before != NULL ? " " : "", text);
            set_value(r, r->open, both);
        }
    } else if (*text == '[') {
        r->is_ours = strcmp(text, "[global]") == 0 || strcmp(text, "[install]") == 0;
        r->open = ARRAY_SIZE(settings);
    } else {
        take_key(r, text);
    }
}

static void read_file(struct reading *r, const char *path)
{
    struct strbuf text;
    strbuf_init(&text, FILE_MAX_BYTES);
    r->open = ARRAY_SIZE(settings);
    r->is_ours = false;
    if (path != NULL && files_read(AT_FDCWD, path, &text, NULL) == 0) {
        for (char *line = text.data; line != NULL;) {
            char *newline = strchr(line, '\n');
            if (newline != NULL) {
                *newline++ = '\0';
            }
            take_line(r, line);
            line = newline;
        }
    }
    strbuf_release(&text);
}

/* In the order in which pip reads them; the last one that says something counts. */
static void read_files(struct reading *r, const struct strvec *variables)
{
    const char *home = variables_find(variables, "HOME");
    const char *config = variables_find(variables, "XDG_CONFIG_HOME");
    const char *own = variables_find(variables, "PIP_CONFIG_FILE");
    if (own != NULL && strcmp(own, "/dev/null") == 0) {
        return;
    }
    CLEANUP_FREE char *old = home != NULL ? files_join(home, ".pip/pip.conf") : NULL;
    CLEANUP_FREE char *user = config != NULL ? files_join(config, "pip/pip.conf")
                              : home != NULL ? files_join(home, ".config/pip/pip.conf")
                                             : NULL;
    read_file(r, "/etc/xdg/pip/pip.conf");
    read_file(r, "/etc/pip.conf");
    read_file(r, old);
    read_file(r, user);
    read_file(r, own);
}

static void hand_over(struct strvec *variables, const struct setting *setting,
                      const char *value)
{
    CLEANUP_FREE char *list = xstrdup(value);
    for (char *at = list; *at != '\0'; at++) {
        *at = isspace((unsigned char)*at) ? setting->separator : *at;
    }
    variables_setf(variables, "%s=%s", setting->uv, list);
}

void environment_settings_for_uv(struct strvec *variables, bool has_sources)
{
    struct reading r = {.open = ARRAY_SIZE(settings)};
    read_files(&r, variables);
    bool has_index = variables_find(variables, "UV_DEFAULT_INDEX") != NULL ||
                     variables_find(variables, "UV_INDEX") != NULL;
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const char *said = variables_find(variables, settings[i].pip);
        const char *value = said != NULL ? said : r.values[i];
        bool is_wanted = !settings[i].is_source || (!has_sources && !has_index);
        if (is_wanted && value != NULL && value[0] != '\0' &&
            variables_find(variables, settings[i].uv) == NULL) {
            hand_over(variables, &settings[i], value);
        }
        free(r.values[i]);
    }
}
