#define _GNU_SOURCE /* sched_getaffinity, statfs */
#include "executor/probe.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/strvec.h"
#include "common/subprocess.h"
#include "executor/environment_tools.h"
#include "executor/logcap.h"
#include "executor/probe_spark.h"
#include "executor/tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROGRAM_TIMEOUT_MS 10000
#define TEXT_MAX ((size_t)64 << 10)
#define DISK_LOW_BYTES (UINT64_C(1) << 30)

struct probe {
    const struct probe_request *request;
    struct json *node;
    struct json *checks;
};

static void add_check(struct probe *p, const char *step, bool is_ok, const char *hint,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add_check(struct probe *p, const char *step, bool is_ok, const char *hint,
                      const char *format, ...)
{
    struct strbuf detail CLEANUP_STRBUF = STRBUF_INIT;
    va_list args;
    va_start(args, format);
    strbuf_vprintf(&detail, format, args);
    va_end(args);
    struct json *check = json_append(p->checks, json_new_object());
    json_add_string(check, "step", step);
    json_add_bool(check, "ok", is_ok);
    json_add_string(check, "detail", detail.data);
    json_add_string(check, "hint", hint);
}

/* A small file's text without the last newline; false where it cannot be read. */
static bool read_text(const char *path, struct strbuf *out)
{
    strbuf_reset(out);
    if (files_read(AT_FDCWD, path, out, NULL) < 0) {
        return false;
    }
    while (out->length > 0 && out->data[out->length - 1] == '\n') {
        strbuf_truncate(out, out->length - 1);
    }
    return true;
}

/* The first line of what a program says, or false. */
static bool ask_program(const char *const *argv, struct strbuf *out)
{
    int status = -1;
    strbuf_reset(out);
    if (subprocess_capture(argv, out, NULL, PROGRAM_TIMEOUT_MS, &status, NULL) < 0 ||
        status != 0) {
        return false;
    }
    return true;
}

/* "MemTotal:       16318200 kB" is meminfo's first line (proc(5)). */
static uint64_t read_memory_bytes(struct strbuf *text)
{
    static const char key[] = "MemTotal:";
    uint64_t kib = 0;
    if (!read_text("/proc/meminfo", text) ||
        strncmp(text->data, key, sizeof key - 1) != 0) {
        return 0;
    }
    char *number = text->data + sizeof key - 1;
    number += strspn(number, " ");
    number[strspn(number, "0123456789")] = '\0';
    return bytes_parse_u64(number, UINT64_MAX / 1024, &kib, NULL) == 0 ? kib * 1024 : 0;
}

static void probe_system(struct probe *p)
{
    struct utsname u;
    cpu_set_t cpus;
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, TEXT_MAX);
    if (uname(&u) < 0) {
        return;
    }
    int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0
                    ? CPU_COUNT(&cpus)
                    : (int)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t memory_bytes = read_memory_bytes(&text);
    char size[FILES_SIZE_TEXT];
    files_format_size(size, memory_bytes);
    json_add_string(p->node, "host", p->request->root->host);
    json_add_string(p->node, "id", p->request->root->node);
    json_add_string(p->node, "system", u.sysname);
    json_add_string(p->node, "machine", u.machine);
    json_add_string(p->node, "kernel", u.release);
    json_add_integer(p->node, "cpus", count);
    json_add_integer(p->node, "memory_bytes", (int64_t)memory_bytes);
    json_add_time(p->node, "time", clock_utc_ms());
    add_check(p, "system", true, NULL, "%s %s on %s, %d CPUs, %s of memory", u.sysname,
              u.release, u.machine, count, size);
}

static const struct {
    long type;
    const char *name;
} filesystems[] = {
    {0xef53, "ext4"},      {0x58465342, "xfs"},       {0x9123683e, "btrfs"},
    {0x01021994, "tmpfs"}, {0x794c7630, "overlayfs"}, {0x6969, "nfs"},
    {0xff534d42, "cifs"},  {0xfe534d42, "smb2"},      {0x0bd00bd0, "lustre"},
    {0x65735546, "fuse"},  {0x2fc12fc1, "zfs"},       {0x47504653, "gpfs"},
    {0x00c36400, "ceph"},  {0x01021997, "9p"},        {0xf2f52010, "f2fs"},
    {0x19830326, "fhgfs"}, {0x858458f6, "ramfs"},     {0x5346414f, "afs"},
};

static const char *filesystem_name(const char *path, char out[32])
{
    struct statfs fs;
    if (statfs(path, &fs) < 0) {
        return "unknown";
    }
    for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++) {
        if ((unsigned long)fs.f_type == (unsigned long)filesystems[i].type) {
            return filesystems[i].name;
        }
    }
    (void)snprintf(out, 32, "type %#lx", (unsigned long)fs.f_type);
    return out;
}

static void probe_root(struct probe *p)
{
    const char *path = p->request->root->path;
    char number[32];
    const char *filesystem = filesystem_name(path, number);
    struct statvfs fs;
    bool is_noexec = statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0;
    bool is_network = p->request->root->is_network;
    json_add_string(p->node, "root", path);
    json_add_string(p->node, "filesystem", filesystem);
    if (is_noexec) {
        add_check(p, "root", false,
                  "choose a folder on another filesystem: set root: in {settings}",
                  "%s is mounted noexec (%s): scripts cannot be executed there", path,
                  filesystem);
    } else if (is_network) {
        add_check(
            p, "root", false,
            "a folder on a local disk is faster and keeps nodes apart: set root: in "
            "{settings}",
            "%s is on a network filesystem (%s)", path, filesystem);
    } else {
        add_check(p, "root", true, NULL, "%s (%s)", path, filesystem);
    }
}

static void probe_disk(struct probe *p)
{
    const char *path = p->request->root->path;
    struct statvfs fs;
    uint64_t free_bytes = 0;
    char size[FILES_SIZE_TEXT];
    if (files_free_bytes(path, &free_bytes, NULL) < 0) {
        return;
    }
    bool has_inodes = statvfs(path, &fs) < 0 || fs.f_files == 0 || fs.f_favail / 1000 > 0;
    files_format_size(size, free_bytes);
    json_add_integer(p->node, "disk_free_bytes", (int64_t)free_bytes);
    if (!has_inodes) {
        add_check(p, "disk", false, "errand node gc {target} removes what is not needed",
                  "fewer than 1000 files can still be made in %s", path);
    } else if (free_bytes < DISK_LOW_BYTES) {
        add_check(p, "disk", false, "errand node gc {target} removes what is not needed",
                  "only %s free in %s", size, path);
    } else {
        add_check(p, "disk", true, NULL, "%s free in %s", size, path);
    }
}

static void probe_python(struct probe *p)
{
    CLEANUP_FREE char *path = tools_locate("python3");
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, TEXT_MAX);
    if (path == NULL) {
        json_add(p->node, "python", json_new_null());
        add_check(p, "python", false,
                  "install it (Debian, Ubuntu: sudo apt-get install python3), or name an "
                  "interpreter with `interpreter:`",
                  "there is no python3 in PATH");
        return;
    }
    const char *const argv[] = {
        path, "-c", "import platform; print(platform.python_version())", NULL};
    bool works = ask_program(argv, &text);
    text.data[strcspn(text.data, "\n")] = '\0';
    struct json *python = json_add(p->node, "python", json_new_object());
    json_add_bytes(python, "path", path, strlen(path));
    json_add_string(python, "version", works ? text.data : NULL);
    if (works) {
        add_check(p, "python", true, NULL, "%s is %s", path, text.data);
    } else {
        add_check(p, "python", false, "try it by hand on the node: python3 --version",
                  "%s does not run", path);
    }
}

static void probe_gpus(struct probe *p)
{
    struct json *gpus = json_add(p->node, "gpus", json_new_array());
    CLEANUP_FREE char *program = tools_locate("nvidia-smi");
    if (program == NULL) {
        return;
    }
    const char *const argv[] = {program, "--query-gpu=name,memory.total",
                                "--format=csv,noheader", NULL};
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, TEXT_MAX);
    if (!ask_program(argv, &text)) {
        add_check(p, "gpus", false, "try it by hand on the node: nvidia-smi",
                  "%s is there but fails", program);
        return;
    }
    const char *first = "";
    for (char *line = text.data; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        char *next = line + length + (line[length] != '\0');
        line[length] = '\0';
        if (length > 0) {
            json_append(gpus, json_new_string(line));
            first = first[0] == '\0' ? line : first;
        }
        line = next;
    }
    add_check(p, "gpus", true, NULL, "%zu, the first: %s", json_count(gpus), first);
}

/* One that answers can start containers: docker asks its daemon, podman its own store. */
static bool engine_works(const char *path, struct strbuf *version)
{
    const char *const info[] = {path, "info", NULL};
    const char *const words[] = {path, "--version", NULL};
    if (!ask_program(info, version) || !ask_program(words, version)) {
        return false;
    }
    version->data[strcspn(version->data, "\n")] = '\0';
    return true;
}

/* Nothing is wrong with a node without: environments of kind image need one, no other. */
static void probe_containers(struct probe *p)
{
    static const char *const names[] = {"podman", "docker"};
    struct strbuf text CLEANUP_STRBUF;
    CLEANUP_FREE char *broken = NULL;
    strbuf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *path = tools_locate(names[i]);
        if (path != NULL && engine_works(path, &text)) {
            struct json *engine = json_add(p->node, "containers", json_new_object());
            json_add_bytes(engine, "path", path, strlen(path));
            json_add_string(engine, "version", text.data);
            add_check(p, "containers", true, NULL, "%s: %s", path, text.data);
            return;
        }
        if (path != NULL && broken == NULL) {
            broken = TAKE_PTR(path);
        }
    }
    json_add(p->node, "containers", json_new_null());
    add_check(p, "containers", true, NULL, "%s%s, so that no run can use an image",
              broken != NULL ? broken : "neither podman nor docker is there",
              broken != NULL ? " does not answer (podman info, docker info say why)"
                             : "");
}

/* The account's name without asking the name service, which a static program cannot. */
static void find_user(struct strbuf *out)
{
    static const char *const argv[] = {"id", "-un", NULL};
    if (ask_program(argv, out)) {
        out->data[strcspn(out->data, "\n")] = '\0';
        return;
    }
    const char *name = getenv("USER");
    strbuf_reset(out);
    strbuf_puts(out, name != NULL ? name : "");
}

static void probe_logout(struct probe *p)
{
    if (access("/run/systemd/system", F_OK) != 0) {
        add_check(p, "logout", true, NULL, "no systemd-logind here: runs go on");
        return;
    }
    struct strbuf user CLEANUP_STRBUF;
    strbuf_init(&user, TEXT_MAX);
    find_user(&user);
    CLEANUP_FREE char *linger = xasprintf("/var/lib/systemd/linger/%s", user.data);
    bool has_linger = user.data[0] != '\0' && access(linger, F_OK) == 0;
    json_add_bool(p->node, "linger", has_linger);
    if (!probe_kills_user_processes("", user.data, geteuid() == 0)) {
        add_check(p, "logout", true, NULL, "runs go on after logout (linger is %s)",
                  has_linger ? "on" : "off");
        return;
    }
    CLEANUP_FREE char *hint = xasprintf(
        "an administrator runs once: printf '[Login]\\nKillExcludeUsers=root %s\\n' | "
        "sudo tee /etc/systemd/logind.conf.d/errand.conf && "
        "sudo systemctl reload-or-restart systemd-logind",
        user.data);
    add_check(p, "logout", false, hint,
              "logind ends %s's processes at logout (KillUserProcesses=yes), runs too",
              user.data);
}

/* The folder of this process's cgroup in version 2; false where there is none. */
static bool find_cgroup(struct strbuf *out)
{
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, TEXT_MAX);
    if (!read_text("/proc/self/cgroup", &text)) {
        return false;
    }
    const char *line = strstr(text.data, "0::/");
    if (line == NULL || (line != text.data && line[-1] != '\n')) {
        return false;
    }
    strbuf_reset(out);
    strbuf_puts(out, access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0
                         ? "/sys/fs/cgroup"
                         : "/sys/fs/cgroup/unified");
    CLEANUP_FREE char *path = xstrndup(line + 3, strcspn(line + 3, "\n"));
    strbuf_puts(out, path);
    return access(out->data, F_OK) == 0;
}

static void probe_cgroup(struct probe *p)
{
    struct strbuf path CLEANUP_STRBUF = STRBUF_INIT;
    bool is_there = find_cgroup(&path);
    CLEANUP_FREE char *procs = files_join(path.data, "cgroup.procs");
    bool is_ours = is_there && access(path.data, W_OK) == 0 && access(procs, W_OK) == 0;
    json_add_string(p->node, "cgroup", is_ours ? "writable" : is_there ? "read" : "none");
    add_check(p, "cgroup", true, NULL,
              is_ours ? "runs get a control group of their own"
                      : "no control group of ours: a run's processes are found by "
                        "descent and by its id");
}

static bool read_number(const char *path, uint64_t *out)
{
    struct strbuf text CLEANUP_STRBUF;
    strbuf_init(&text, 64);
    return read_text(path, &text) &&
           bytes_parse_u64(text.data, UINT64_MAX, out, NULL) == 0;
}

static void probe_inotify(struct probe *p)
{
    uint64_t instances = 0;
    (void)read_number("/proc/sys/fs/inotify/max_user_instances", &instances);
    CLEANUP_FD int fd = inotify_init1(IN_CLOEXEC);
    if (fd >= 0) {
        add_check(p, "inotify", true, NULL, "logs are followed at once (%llu an account)",
                  (unsigned long long)instances);
        return;
    }
    add_check(
        p, "inotify", false,
        "an administrator raises it: sudo sysctl fs.inotify.max_user_instances=1024",
        "none is free (%llu an account): logs are looked at ten times a second",
        (unsigned long long)instances);
}

static void probe_log_limit(struct probe *p)
{
    int can = logcap_is_possible(p->request->root->fd);
    if (can == 0) {
        add_check(p, "log limit", false,
                  "choose a folder on another filesystem: set root: in {settings}",
                  "a log over log_max_size keeps growing in %s: its filesystem cannot "
                  "give up a file's beginning",
                  p->request->root->path);
    } else if (can > 0) {
        add_check(p, "log limit", true, NULL, "logs stay within log_max_size");
    }
}

static void probe_tidy(struct probe *p)
{
    struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
    tidy_describe(p->request->root, &text);
    add_check(p, "tidied", true, NULL, "%s", text.data);
}

static void probe_store(struct probe *p)
{
    uint64_t objects = 0, bad = 0;
    struct error why = ERROR_INIT;
    if (!p->request->is_deep) {
        return;
    }
    if (store_verify(p->request->store, &objects, &bad, &why) < 0) {
        add_check(p, "store", false, NULL, "%s", why.text);
    } else {
        add_check(p, "store", bad == 0,
                  bad == 0 ? NULL
                           : "nothing to do: what was bad is sent again when needed",
                  "%llu objects, %llu were bad and moved away",
                  (unsigned long long)objects, (unsigned long long)bad);
    }
}

/* Who named a machine, and not a Spark, may not know that there is one. */
static void hint_at_spark(struct probe *p)
{
    const char *home = getenv("SPARK_HOME");
    CLEANUP_FREE char *named =
        home != NULL ? files_join(home, "bin/spark-submit") : xstrdup("");
    CLEANUP_FREE char *found = tools_locate("spark-submit");
    bool is_named = named[0] != '\0' && access(named, X_OK) == 0;
    if (is_named || found != NULL) {
        add_check(p, "spark", true,
                  "scripts run with it by --framework pyspark, or by themselves on a "
                  "target of its own: errand target add NAME HOST --kind spark",
                  "%s is there", is_named ? named : found);
    }
}

/* Last: it changes the environment. */
static void probe_sparks(struct probe *p)
{
    const struct probe_spark_request request = {.root = p->request->root,
                                                .wish = p->request->spark,
                                                .is_deep = p->request->is_deep};
    if (json_is_object(request.wish)) {
        probe_spark(&request, p->checks);
    } else {
        hint_at_spark(p);
    }
}

struct json *probe_node(const struct probe_request *request, struct error *err)
{
    static void (*const probes[])(struct probe *) = {
        probe_system,     probe_root,   probe_disk,   probe_python,  probe_gpus,
        probe_containers, probe_logout, probe_cgroup, probe_inotify, probe_log_limit,
        probe_tidy,       probe_store,  probe_sparks,
    };
    (void)err;
    struct json *report = json_new_object();
    struct probe p = {.request = request};
    p.node = json_add(report, "node", json_new_object());
    p.checks = json_add(report, "checks", json_new_array());
    for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
        probes[i](&p);
    }
    return report;
}
