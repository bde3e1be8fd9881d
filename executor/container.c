#define _GNU_SOURCE /* getgroups */
#include "executor/container.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/subprocess.h"

#define GROUPS_MAX 64
#define END_TIMEOUT_MS 60000
#define END_LOOK_MS 50
#define ANSWER_MAX ((size_t)16 << 10)
#define GPU_DEVICE "/dev/nvidiactl"

char *container_name(const char *run, int64_t attempt)
{
    return xasprintf("errand-%s-%lld", run, (long long)attempt);
}

bool container_is_podman(const char *engine)
{
    const char *slash = strrchr(engine, '/');
    return strncmp(slash != NULL ? slash + 1 : engine, "podman", 6) == 0;
}

/* ---- GPUs */

static bool has_gpus(void)
{
    return access(GPU_DEVICE, F_OK) == 0;
}

/* Podman gives devices that a file of the Container Device Interface describes. */
static bool has_device_file(void)
{
    static const char *const files[] = {"/etc/cdi/nvidia.yaml", "/etc/cdi/nvidia.json",
                                        "/var/run/cdi/nvidia.yaml",
                                        "/var/run/cdi/nvidia.json"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (access(files[i], R_OK) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_toolkit(void)
{
    CLEANUP_FREE char *cli = tools_locate("nvidia-container-cli");
    CLEANUP_FREE char *hook = tools_locate("nvidia-container-runtime-hook");
    return cli != NULL || hook != NULL;
}

const char *container_lacks(const char *engine)
{
    if (!has_gpus() ||
        (container_is_podman(engine) ? has_device_file() : has_toolkit())) {
        return NULL;
    }
    return container_is_podman(engine)
               ? "the node's GPUs: sudo nvidia-ctk cdi generate "
                 "--output=/etc/cdi/nvidia.yaml gives them"
               : "the node's GPUs: install nvidia-container-toolkit";
}

static void add_gpus(const struct container *c, struct strvec *argv)
{
    if (!has_gpus() || container_lacks(c->engine) != NULL) {
        return;
    }
    if (container_is_podman(c->engine)) {
        strvec_push(argv, "--device=nvidia.com/gpu=all");
    } else {
        strvec_push(argv, "--gpus=all");
    }
}

/* ---- The argument vector */

/* Files that the script writes are the user's. Without root, podman maps users: this one
 * stays itself. */
static void add_user(const struct container *c, struct strvec *argv)
{
    gid_t groups[GROUPS_MAX];
    int count = getgroups(GROUPS_MAX, groups);
    strvec_pushf(argv, "--user=%ld:%ld", (long)geteuid(), (long)getegid());
    if (container_is_podman(c->engine)) {
        if (geteuid() != 0) {
            strvec_push(argv, "--userns=keep-id");
        }
        return;
    }
    for (int i = 0; i < count; i++) {
        if (groups[i] != getegid()) {
            strvec_pushf(argv, "--group-add=%ld", (long)groups[i]);
        }
    }
}

/* Engines split this at commas. */
static int add_mount(struct strvec *argv, const char *path, const char *how,
                     struct error *err)
{
    if (strpbrk(path, ",\"") != NULL) {
        error_set(err, ERR_UNSUPPORTED,
                  "%.300s: containers take no path with a comma or a quote", path);
        return error_hint(err, "set root: to another folder");
    }
    strvec_pushf(argv, "--mount=type=bind,source=%s,target=%s%s", path, path, how);
    return 0;
}

int container_arguments(const struct container *c, struct strvec *argv, struct error *err)
{
    static const char *const same[] = {
        "--network=host",    "--ipc=host",    "--security-opt=label=disable",
        "--log-driver=none", "--interactive", "--rm"};
    CLEANUP_FREE char *name = container_name(c->run, c->attempt);
    strvec_push(argv, c->engine);
    strvec_push(argv, "run");
    strvec_pushf(argv, "--name=%s", name);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        strvec_push(argv, same[i]);
    }
    add_user(c, argv);
    add_gpus(c, argv);
    if (add_mount(argv, c->folder, "", err) < 0 ||
        add_mount(argv, c->self, ",readonly", err) < 0) {
        return -1;
    }
    strvec_pushf(argv, "--workdir=%s/work", c->folder);
    strvec_pushf(argv, "--entrypoint=%s", c->self);
    strvec_push(argv, c->image);
    strvec_push(argv, "contained");
    strvec_push(argv, c->folder);
    strvec_pushf(argv, "%03o", c->umask);
    /* Podman's containers are descendants, and signalled as such. */
    strvec_push(argv, container_is_podman(c->engine) ? "hold" : "forward");
    return 0;
}

/* ---- The end */

/* 1: it is there; 0: there is none of this name; -1: the engine does not say. */
static int is_there(const char *engine, const char *name, struct error *err)
{
    CLEANUP_FREE char *filter = xasprintf("name=^%s$", name);
    const char *const argv[] = {engine,     "ps",   "--all", "--quiet",
                                "--filter", filter, NULL};
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    struct strbuf answer;
    int status = 0;
    strbuf_init(&answer, ANSWER_MAX);
    int result = subprocess_capture(argv, &answer, &words, END_TIMEOUT_MS, &status, err);
    bool has_words = strspn(answer.data, " \n") < answer.length;
    strbuf_release(&answer);
    if (result < 0) {
        return -1;
    }
    if (status != 0) {
        words.data[strcspn(words.data, "\n")] = '\0';
        return error_set(err, ERR_SPAWN,
                         "%s does not say which containers there are: "
                         "%.200s",
                         engine, words.data);
    }
    return has_words;
}

static void tell(const char *engine, const char *verb, const char *option,
                 const char *name)
{
    const char *const argv[] = {engine, verb, option != NULL ? option : name,
                                option != NULL ? name : NULL, NULL};
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    int status = 0;
    (void)subprocess_capture(argv, &words, NULL, END_TIMEOUT_MS, &status, NULL);
}

int container_end(const struct environment_pin *pin, const char *run, int64_t attempt,
                  struct error *err)
{
    if (strcmp(pin->activation, CONTAINER_ACTIVATION) != 0 || pin->interpreter == NULL) {
        return 0;
    }
    CLEANUP_FREE char *name = container_name(run, attempt);
    int64_t deadline = clock_monotonic_ns() + END_TIMEOUT_MS * NS_PER_MS;
    int there;
    while ((there = is_there(pin->interpreter, name, err)) > 0 &&
           clock_monotonic_ns() < deadline) {
        tell(pin->interpreter, "kill", NULL, name); /* removing it would wait for it */
        tell(pin->interpreter, "rm", "--force", name);
        (void)poll(NULL, 0, END_LOOK_MS);
    }
    return there > 0
               ? error_set(err, ERR_TIMED_OUT, "the container %s cannot be ended", name)
               : there;
}
