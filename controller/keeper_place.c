/* Where a link is kept, and who asks there. */
#include "controller/keeper.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/localsocket.h"
#include "controller/keeper_lock.h"
#include "controller/link_socket.h"

#define END_TIMEOUT_MS 10000

static void add_text(struct hasher *h, const char *text)
{
    hasher_add(h, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1);
}

/* A file that says where a host's name leads: its state, not its content. */
static void add_file(struct hasher *h, const char *path)
{
    struct stat st;
    add_text(h, path);
    if (path != NULL && stat(path, &st) == 0) {
        const int64_t facts[] = {(int64_t)st.st_size, (int64_t)st.st_ino,
                                 (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec};
        hasher_add(h, facts, sizeof facts);
    }
}

static char *default_ssh_config(void)
{
    const char *home = getenv("HOME");
    return home != NULL ? files_join(home, ".ssh/config") : NULL;
}

static void make_name(const struct target *target, const char *executor, const char *ssh,
                      char out[OID_HEX_SIZE])
{
    struct hasher h;
    struct oid digest;
    char host[256] = "";
    CLEANUP_FREE char *config =
        target->ssh_config != NULL ? xstrdup(target->ssh_config) : default_ssh_config();
    (void)gethostname(host, sizeof host - 1);
    hasher_init(&h);
    add_text(&h, ERRAND_VERSION);
    add_text(&h, host); /* state/ may lie on a filesystem that several machines share */
    add_text(&h, target->host);
    hasher_add(&h, &target->port, sizeof target->port);
    add_text(&h, target->identity);
    add_file(&h, config);
    add_text(&h, target->known_hosts);
    add_text(&h, target->transport);
    add_text(&h, target->root);
    add_text(&h, executor);
    add_text(&h, ssh);
    hasher_finish(&h, &digest);
    oid_to_hex(&digest, out);
}

void keeper_place_init(struct keeper_place *place, const struct home *home,
                       const struct target *target, const char *executor, const char *ssh,
                       int64_t idle_ms)
{
    *place = (struct keeper_place){.idle_ms = idle_ms};
    if (target->host == NULL) {
        return;
    }
    CLEANUP_FREE char *folder = home_path(home, "links");
    if (files_make_dirs(folder, NULL) < 0) {
        return;
    }
    make_name(target, executor, ssh, place->name);
    place->password_env =
        target->password_env != NULL ? xstrdup(target->password_env) : NULL;
    place->target = xstrdup(target->name);
    place->title = xasprintf("errand: link to %s", target->name);
    place->folder = TAKE_PTR(folder);
}

void keeper_place_release(struct keeper_place *place)
{
    free(place->folder);
    free(place->target);
    free(place->title);
    free(place->password_env);
    *place = (struct keeper_place){.folder = NULL};
}

int keeper_lock(const struct keeper_place *place, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s.lock", place->folder, place->name);
    return files_lock(AT_FDCWD, path, true, 0, err);
}

struct link *keeper_connect(const struct keeper_place *place)
{
    if (place->folder == NULL || place->idle_ms <= 0) {
        return NULL;
    }
    int fd = localsocket_connect(place->folder, place->name, NULL);
    return fd < 0 ? NULL : link_socket_new(fd, "the process that keeps the connection");
}

bool keeper_is_there(const struct keeper_place *place)
{
    CLEANUP_FREE char *path =
        place->folder != NULL ? files_join(place->folder, place->name) : NULL;
    if (path == NULL || access(path, F_OK) != 0) {
        return false;
    }
    CLEANUP_FD int lock = keeper_lock(place, NULL);
    return lock < 0;
}

int keeper_end(const struct keeper_place *place, bool *out_was_there, struct error *err)
{
    *out_was_there = keeper_is_there(place);
    if (!*out_was_there) {
        return 0;
    }
    CLEANUP_FREE char *socket = files_join(place->folder, place->name);
    CLEANUP_FREE char *lock = xasprintf("%s.lock", socket);
    (void)unlink(socket); /* it looks for its file */
    CLEANUP_FD int fd = files_lock(AT_FDCWD, lock, true, END_TIMEOUT_MS, err);
    if (fd < 0) {
        return error_wrap(err, "the process that keeps the connection did not end");
    }
    (void)unlink(lock);
    return 0;
}
