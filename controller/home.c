#include "controller/home.h"

#include "common/bytes.h"
#include "common/files.h"
#include "common/strbuf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROLLER_ID_SIZE 16
#define RUN_LOCK "lock"

/* The XDG folder that variable names, else $HOME/fallback, with errand/ behind it. */
static char *xdg_folder(const char *variable, const char *fallback, struct error *err)
{
    /* XDG Base Directory Specification 0.8: what is not absolute is ignored. */
    const char *base = getenv(variable);
    if (base != NULL && base[0] == '/') {
        return files_join(base, "errand");
    }
    const char *user_home = getenv("HOME");
    if (user_home == NULL || user_home[0] != '/') {
        error_set(err, ERR_CONFIG, "the home folder is not known: HOME is not set");
        error_hint(err, "set HOME, or ERRAND_HOME to a folder for errand's own files");
        return NULL;
    }
    CLEANUP_FREE char *folder = files_join(user_home, fallback);
    return files_join(folder, "errand");
}

static int find_folders(struct home *home, struct error *err)
{
    const char *root = getenv("ERRAND_HOME");
    if (root == NULL || root[0] == '\0') {
        home->config = xdg_folder("XDG_CONFIG_HOME", ".config", err);
        home->state = home->config == NULL
                          ? NULL
                          : xdg_folder("XDG_STATE_HOME", ".local/state", err);
        return home->state == NULL ? -1 : 0;
    }
    if (root[0] != '/') {
        error_set(err, ERR_CONFIG, "ERRAND_HOME is \"%s\", which is not absolute", root);
        return error_hint(err, "give the whole path, as /home/me/.errand-home");
    }
    home->config = files_join(root, "config");
    home->state = files_join(root, "state");
    return 0;
}

/* 0: home->controller is set from the text of the file. */
static int take_id(struct home *home, const char *path, const struct strbuf *text,
                   struct error *err)
{
    uint8_t id[CONTROLLER_ID_SIZE];
    size_t length = text->length;
    if (length > 0 && text->data[length - 1] == '\n') {
        length--;
    }
    CLEANUP_FREE char *hex = xstrndup(text->data, length);
    if (length != 2 * sizeof id || bytes_from_hex(id, sizeof id, hex, NULL) != 0) {
        error_set(err, ERR_CORRUPT, "%s does not have this controller's id", path);
        return error_hint(err, "remove the file: the next errand makes a new id");
    }
    bytes_to_hex(home->controller, id, sizeof id);
    return 0;
}

/* Read the id, or make it; of several that make it at once one wins. */
static int load_id(struct home *home, struct error *err)
{
    CLEANUP_FREE char *path = home_path(home, "controller");
    for (unsigned tries = 0;; tries++) {
        CLEANUP_STRBUF struct strbuf text;
        strbuf_init(&text, 256);
        struct error inner = ERROR_INIT;
        if (files_read(AT_FDCWD, path, &text, &inner) == 0) {
            return take_id(home, path, &text, err);
        }
        if (inner.code != ERR_NOT_FOUND || tries > 0) {
            return error_set(err, inner.code, "%s", inner.text);
        }
        uint8_t id[CONTROLLER_ID_SIZE];
        char hex[2 * sizeof id + 2];
        bytes_random(id, sizeof id);
        bytes_to_hex(hex, id, sizeof id);
        hex[2 * sizeof id] = '\n';
        if (files_create_atomic(AT_FDCWD, path, hex, 2 * sizeof id + 1, 0600, &inner) !=
                0 &&
            inner.code != ERR_EXISTS) {
            return error_set(err, inner.code, "%s", inner.text);
        }
    }
}

struct home *home_open(struct error *err)
{
    __attribute__((cleanup(home_cleanup))) struct home *home = xcalloc(1, sizeof *home);
    if (find_folders(home, err) != 0 || files_make_dirs(home->config, err) != 0 ||
        files_make_dirs(home->state, err) != 0 || load_id(home, err) != 0) {
        return NULL;
    }
    return TAKE_PTR(home);
}

void home_free(struct home *home)
{
    if (home != NULL) {
        free(home->config);
        free(home->state);
        free(home);
    }
}

char *home_path(const struct home *home, const char *name)
{
    return files_join(home->state, name);
}

char *home_run_dir(const struct home *home, const char *id, struct error *err)
{
    CLEANUP_FREE char *runs = home_path(home, "runs");
    CLEANUP_FREE char *dir = files_join(runs, id);
    return files_make_dirs(dir, err) == 0 ? TAKE_PTR(dir) : NULL;
}

int home_lock_run(const struct home *home, const char *id, struct error *err)
{
    CLEANUP_FREE char *dir = home_run_dir(home, id, err);
    if (dir == NULL) {
        return -1;
    }
    CLEANUP_FREE char *path = files_join(dir, RUN_LOCK);
    return files_lock(AT_FDCWD, path, true, 0, err);
}

void home_note_sending(int lock_fd)
{
    const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    (void)futimens(lock_fd, now);
}

int64_t home_sending_utc_ms(const struct home *home, const char *id)
{
    CLEANUP_FREE char *name = xasprintf("runs/%s/" RUN_LOCK, id);
    CLEANUP_FREE char *path = home_path(home, name);
    struct stat st;
    return stat(path, &st) != 0
               ? 0
               : (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}
