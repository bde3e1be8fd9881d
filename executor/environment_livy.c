#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/environment_livy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/pep440.h"
#include "common/variables.h"
#include "executor/attended.h"
#include "executor/spark_environment.h"

#define LOCK_FILE "livy/lock"
#define GLIBC "glibc-"
#define LOOK_MS 200
/* An upload, or a question's wait in a queue: as long as the stage may take. */
#define ATTENDED_SILENCE_S (6 * 3600)

bool environment_livy_is(const struct runspec *spec)
{
    return spec->spark != NULL && spec->spark->livy != NULL;
}

/* "==3.11.*", which the controller makes of "3.11". "==3.11.7" is for the cluster to say,
 * whose patch level nobody knows. */
static bool names_series(const char *wish)
{
    if (strncmp(wish, "==", 2) != 0) {
        return false;
    }
    size_t length = pep440_series(wish + 2);
    return memchr(wish + 2, '.', length) != NULL && strcmp(wish + 2 + length, ".*") == 0;
}

bool environment_livy_python(const struct noderoot *root, const struct runspec *spec,
                             struct livy_python *out)
{
    const char *wish = spec->environment.definition.python;
    if (livy_python_read(root->fd, spec, out)) {
        return true;
    }
    if (wish == NULL || !names_series(wish)) {
        return false;
    }
    snprintf(out->version, sizeof(out->version), "%.*s", (int)pep440_series(wish + 2),
             wish + 2);
    return true;
}

void environment_livy_libc(const struct noderoot *root, const struct runspec *spec,
                           char out[32])
{
    struct livy_python python;
    bool is_known = environment_livy_is(spec) &&
                    livy_python_read(root->fd, spec, &python) &&
                    strncmp(python.libc, GLIBC, strlen(GLIBC)) == 0;
    snprintf(out, 32, "%s", is_known ? python.libc + strlen(GLIBC) : "");
}

static bool is_conda(const struct runspec *spec)
{
    return spec->environment.definition.kind == ENVSPEC_CONDA;
}

/* What conda installs is for this machine's platform. */
static int check_platform(const struct preparation *p, struct error *err)
{
    struct livy_python python;
    CLEANUP_FREE char *own = noderoot_platform();
    if (!livy_python_read(p->root->fd, p->spec, &python) ||
        ((python.platform[0] == '\0' || strcmp(python.platform, own) == 0) &&
         strcmp(python.libc, "musl") != 0)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "a conda environment is for the machine that it is built on (%s), and the "
              "cluster is %s with %s",
              own, python.platform, python.libc);
    return error_hint(err, "give its packages (requirements.txt): those are built for "
                           "the cluster");
}

/* ---- The attendant */

/* Its exit status: 0, or LIVY_LACKS. */
static int attend(const struct preparation *p, const char *task, struct error *err)
{
    CLEANUP_FREE char *folder = xasprintf("%s/runs/%s", p->root->path, p->spec->run);
    CLEANUP_FREE char *attempt = xasprintf("%lld", (long long)p->attempt);
    const char *const argv[] = {p->spec->spark->attendant,
                                "attend",
                                "livy",
                                "--run-folder",
                                folder,
                                "--attempt",
                                attempt,
                                "--task",
                                task,
                                NULL};
    struct strvec *environment = programs_environment(p->programs);
    if (p->password != NULL) { /* for this program alone, and none that builds */
        variables_set(environment, p->password);
    }
    programs_set_patience(p->programs, ATTENDED_GRACE_MS, ATTENDED_SILENCE_S);
    int status = programs_run(p->programs, argv, false, err);
    programs_set_patience(p->programs, PROGRAM_GRACE_MS, PROGRAM_SILENCE_S);
    variables_unset(environment, LIVY_PASSWORD);
    if (status <= 0 || status == LIVY_LACKS) {
        return status;
    }
    return error_set(err, ERR_UNSUPPORTED, "%.900s", programs_last_line(p->programs));
}

int environment_livy_learn(const struct preparation *p, struct error *err)
{
    struct livy_python python;
    int result = 0;
    if (!environment_livy_python(p->root, p->spec, &python)) {
        programs_say(p->programs, "asking the cluster which Python it has");
        result = attend(p, "python", err);
    }
    return result == 0 && is_conda(p->spec) ? check_platform(p, err) : result;
}

/* ---- Sending */

/* What pip added to conda's packages is for this machine's C library, or one before it.
 */
static int check_wheels(const struct preparation *p, const struct environment_pin *pin,
                        struct error *err)
{
    static const char program[] =
        "import os, sys\n"
        "own = os.confstr('CS_GNU_LIBC_VERSION').split()[1]\n"
        "number = lambda text: [int(one) for one in text.split('.')]\n"
        "print(own)\n"
        "sys.exit(3 if number(own) > number(sys.argv[1]) else 0)\n";
    char libc[32];
    environment_livy_libc(p->root, p->spec, libc);
    const char *const argv[] = {pin->interpreter, "-I", "-c", program, libc, NULL};
    if (libc[0] == '\0' || p->spec->environment.definition.requirements.count == 0) {
        return 0;
    }
    int status = programs_run(p->programs, argv, true, err);
    if (status <= 0) {
        return status;
    }
    error_set(
        err, ERR_UNSUPPORTED,
        "pip's packages are for this machine's glibc %.30s, and the cluster's is %s",
        programs_last_line(p->programs), libc);
    return error_hint(err,
                      "take them from a conda channel instead, or give all of them as "
                      "packages (requirements.txt)");
}

static int pack(const struct preparation *p, const struct environment_pin *pin, int fd,
                struct error *err)
{
    enum spark_environment_kind kind = SPARK_ENVIRONMENT_NONE;
    if (spark_environment_choose(pin, NULL, &kind, err) < 0) {
        return -1;
    }
    if (kind == SPARK_ENVIRONMENT_CONDA && check_wheels(p, pin, err) < 0) {
        return -1;
    }
    CLEANUP_FREE char *scratch =
        xasprintf("%s/runs/%s/.environment", p->root->path, p->spec->run);
    const bool is_of_here =
        pin->interpreter != NULL && access(pin->interpreter, X_OK) == 0;
    const struct spark_packing packing = {.pin = pin,
                                          .kind = kind,
                                          .python = is_of_here ? pin->interpreter : NULL,
                                          .imports = &p->spec->environment.imports,
                                          .programs = p->programs,
                                          .scratch = scratch};
    return spark_environment_pack(&packing, fd, err);
}

/* One at a time on this node: who waited may find that it is there. */
static int wait_for_turn(const struct preparation *p, struct error *err)
{
    (void)mkdirat(p->root->fd, "livy", 0700);
    for (;;) {
        struct error why = ERROR_INIT;
        int fd = files_lock(p->root->fd, LOCK_FILE, true, 0, &why);
        if (fd >= 0) {
            return fd;
        }
        if (why.code != ERR_BUSY) {
            return error_set(err, why.code, "%s", why.text);
        }
        if (!programs_wait(p->programs, LOOK_MS)) {
            return error_set(err, ERR_CANCELED, "the run is being ended");
        }
    }
}

static int send(const struct preparation *p, const struct environment_pin *pin,
                struct error *err)
{
    CLEANUP_FD int turn = wait_for_turn(p, err);
    int status = turn < 0 ? -1 : attend(p, "environment", err);
    if (status != LIVY_LACKS) {
        return status;
    }
    CLEANUP_FD int fd = openat(p->run_fd, LIVY_ARCHIVE,
                               O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = fd < 0 ? error_sys(err, "make " LIVY_ARCHIVE) : pack(p, pin, fd, err);
    if (result == 0) {
        result = attend(p, "environment", err);
    }
    if (result == LIVY_LACKS) {
        result = error_set(err, ERR_NOT_FOUND,
                           "the environment that was packed for the cluster is gone");
    }
    (void)unlinkat(p->run_fd, LIVY_ARCHIVE, 0);
    return result;
}

int environment_livy_send(const struct preparation *p, struct error *err)
{
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    if (environment_read_pin(p->run_fd, &pin, err) < 0) {
        return -1;
    }
    int status = attend(p, "environment", err);
    return status == LIVY_LACKS ? send(p, &pin, err) : status;
}
