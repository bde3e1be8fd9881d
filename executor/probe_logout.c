#include "executor/probe.h"

#include "common/files.h"
#include "common/strvec.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/*
 * What happens to a user's processes at logout, from logind.conf(5): the main file, then
 * drop-ins by file name, of equal names the first folder's; later assignments win.
 * [executor]
 */

#define CONFIG_SIZE_MAX ((size_t)256 << 10)

struct logind {
    bool kills;
    char excluded[1024]; /* KillExcludeUsers, words */
    char only[1024];     /* KillOnlyUsers */
};

static char *strip(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text;
}

static bool is_yes(const char *value)
{
    static const char *const words[] = {"yes", "true", "on", "1", "y", "t"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void take_setting(struct logind *l, const char *key, const char *value)
{
    if (strcmp(key, "KillUserProcesses") == 0) {
        l->kills = is_yes(value);
    } else if (strcmp(key, "KillExcludeUsers") == 0) {
        (void)snprintf(l->excluded, sizeof l->excluded, "%s", value);
    } else if (strcmp(key, "KillOnlyUsers") == 0) {
        (void)snprintf(l->only, sizeof l->only, "%s", value);
    }
}

static void read_file(struct logind *l, const char *path)
{
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, CONFIG_SIZE_MAX);
    if (files_read(AT_FDCWD, path, &text, NULL) < 0) {
        return;
    }
    bool is_login = false;
    for (char *line = text.data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        char *next = line + length + (line[length] != '\0');
        line[length] = '\0';
        char *words = strip(line);
        char *equals = strchr(words, '=');
        if (words[0] == '[') {
            is_login = strcmp(words, "[Login]") == 0;
        } else if (is_login && words[0] != '#' && words[0] != ';' && equals != NULL) {
            *equals = '\0';
            take_setting(l, strip(words), strip(equals + 1));
        }
        line = next;
    }
}

static const char *const folders[] = {"/etc/systemd", "/run/systemd",
                                      "/usr/local/lib/systemd", "/usr/lib/systemd",
                                      "/lib/systemd"};

static void add_drop_ins(const char *prefix, const char *folder, struct strvec *names)
{
    CLEANUP_FREE char *path = xasprintf("%s%s/logind.conf.d", prefix, folder);
    CLEANUP_DIR DIR *dir = opendir(path);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".conf") == 0 &&
            !strvec_contains(names, entry->d_name)) {
            strvec_push(names, entry->d_name);
        }
    }
}

/* Read the first of these that is there. */
static void read_first(struct logind *l, const char *prefix, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        struct stat st;
        CLEANUP_FREE char *path = xasprintf("%s%s/%s", prefix, folders[i], name);
        if (stat(path, &st) == 0) {
            read_file(l, path);
            return;
        }
    }
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words + strspn(words, " "); *at != '\0';) {
        size_t span = strcspn(at, " ");
        if (span == length && strncmp(at, word, length) == 0) {
            return true;
        }
        at += span;
        at += strspn(at, " ");
    }
    return false;
}

bool probe_kills_user_processes(const char *prefix, const char *user, bool is_root)
{
    struct logind l = {.kills = false, .excluded = "root"};
    struct strvec names CLEANUP_STRVEC = STRVEC_INIT;
    read_first(&l, prefix, "logind.conf");
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        add_drop_ins(prefix, folders[i], &names);
    }
    strvec_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP_FREE char *name = files_join("logind.conf.d", names.items[i]);
        read_first(&l, prefix, name);
    }
    const char *who = user != NULL ? user : (is_root ? "root" : "");
    return l.kills && !has_word(l.excluded, who) &&
           (l.only[0] == '\0' || has_word(l.only, who));
}
