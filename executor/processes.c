#define _GNU_SOURCE /* getdents64, pidfd_open */
#include "executor/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/message.h"

#define ROWS_MAX 32768       /* processes of the machine */
#define SIGNALLED_SLOTS 8192 /* a power of two */
#define VARIABLE_MAX 4608    /* a path and a name; what is longer is none of ours */
#define ENVIRONMENT_MAX ((size_t)4 << 20)

enum mark {
    MARK_NONE,
    MARK_ROOT, /* this process or its peer: not ours, but what is below it is */
    MARK_OURS,
    MARK_FOREIGN, /* another live run's: nothing below it is taken */
    MARK_CHECKED, /* its environment was read and says nothing */
};

struct row {
    pid_t pid, parent;
    uint64_t start;
    enum mark mark;
};

struct signalled {
    pid_t pid;
    uint64_t start;
};

struct processes {
    const char *run_id;
    const struct cgroup *cgroup;
    uint64_t oldest_start;
    pid_t peer;
    struct process_id recorded;
    size_t count; /* rows in use */
    size_t signalled_count;
    bool has_foreign_in_cgroup;
    struct row rows[ROWS_MAX];
    struct signalled signalled[SIGNALLED_SLOTS];
};

struct processes *processes_new(const char *run_id, const struct cgroup *cgroup,
                                uint64_t oldest_start)
{
    struct processes *p = xcalloc(1, sizeof(*p));
    p->run_id = run_id;
    p->cgroup = cgroup;
    p->oldest_start = oldest_start;
    return p;
}

void processes_free(struct processes *p)
{
    free(p);
}

void processes_set_peer(struct processes *p, pid_t peer)
{
    p->peer = peer;
}

void processes_set_recorded(struct processes *p, const struct process_id *recorded)
{
    p->recorded = *recorded;
}

/* Fill row from /proc/pid/stat. Returns the state's letter, 0 where it is gone.
 * Source: proc(5); the name in parentheses may contain anything. */
static char read_stat(pid_t pid, struct row *row)
{
    char path[40];
    char text[1024];
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : fdio_read(fd, text, sizeof(text) - 1);
    if (got <= 0) {
        return 0;
    }
    text[got] = '\0';
    char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ') {
        return 0;
    }
    char state = at[2];
    at += 3;
    *row = (struct row){.pid = pid, .parent = (pid_t)strtol(at, &at, 10)};
    long threads = 1;
    for (int field = 5; field <= 22 && at != NULL; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
        threads = at != NULL && field == 20 ? strtol(at, NULL, 10) : threads;
    }
    if (at == NULL) {
        return 0;
    }
    row->start = strtoull(at, NULL, 10);
    /* A process whose first thread has ended shows as a zombie while the others run. */
    return (char)(state == 'Z' && threads > 1 ? 'S' : state);
}

static bool is_dead(char state)
{
    return state == 0 || state == 'Z' || state == 'X' || state == 'x';
}

bool process_identify(pid_t pid, struct process_id *out)
{
    struct row row;
    if (is_dead(read_stat(pid, &row))) {
        return false;
    }
    *out = (struct process_id){.pid = pid, .start = row.start};
    return true;
}

bool process_is_alive(const struct process_id *id)
{
    struct row row;
    return id->pid > 0 && !is_dead(read_stat((pid_t)id->pid, &row)) &&
           row.start == id->start;
}

int process_open(const struct process_id *id)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)id->pid, 0);
    if (fd >= 0 && !process_is_alive(id)) {
        fdio_close(&fd);
        errno = ESRCH;
    }
    return fd;
}

static bool signal_one(const struct row *row, int signal_number)
{
    struct process_id id = {.pid = row->pid, .start = row->start};
    int fd = process_open(&id);
    if (fd >= 0) {
        bool is_sent = syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0) == 0;
        fdio_close(&fd);
        return is_sent;
    }
    return errno == ENOSYS && process_is_alive(&id) && kill(row->pid, signal_number) == 0;
}

static pid_t parse_pid(const char *name)
{
    long pid = 0;
    for (; *name >= '0' && *name <= '9' && pid < 100000000; name++) {
        pid = 10 * pid + (*name - '0');
    }
    return *name == '\0' ? (pid_t)pid : 0;
}

/* Fill the table. False: there are more than fit, or /proc cannot be read. getdents64
 * and not readdir, because the latter allocates. */
static bool load_rows(struct processes *p)
{
    struct entry { /* Source: getdents64(2) */
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[];
    };
    p->count = 0;
    CLEANUP_FD int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _Alignas(struct entry) char buffer[8192];
    for (;;) {
        long got = fd < 0 ? -1 : syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
        if (got <= 0) {
            return got == 0;
        }
        const struct entry *e;
        for (long at = 0; at < got; at += e->length) {
            e = (const struct entry *)(const void *)(buffer + at);
            pid_t pid = parse_pid(e->name);
            if (pid <= 0) {
                continue;
            }
            if (p->count == ROWS_MAX) {
                return false;
            }
            if (!is_dead(read_stat(pid, &p->rows[p->count]))) {
                p->count++;
            }
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* /proc lists pids in order; qsort, which may allocate, is for kernels that do not. */
static void sort_rows(struct processes *p)
{
    for (size_t i = 1; i < p->count; i++) {
        if (p->rows[i - 1].pid > p->rows[i].pid) {
            qsort(p->rows, p->count, sizeof(p->rows[0]), compare_rows);
            return;
        }
    }
}

static struct row *find_row(struct processes *p, pid_t pid)
{
    const struct row key = {.pid = pid};
    return bsearch(&key, p->rows, p->count, sizeof(p->rows[0]), compare_rows);
}

/* What one process's environment says of errand. */
struct cookies {
    char run_id[RUN_ID_SIZE];
    char run_dir[VARIABLE_MAX];
    bool is_apart; /* it carries a run's id, and is none of its processes */
};

static void take_variable(struct cookies *out, const char *text)
{
    static const char id[] = RUN_ID_VARIABLE "=";
    static const char dir[] = RUN_DIR_VARIABLE "=";
    if (strncmp(text, id, sizeof(id) - 1) == 0) {
        snprintf(out->run_id, sizeof(out->run_id), "%.*s", RUN_ID_SIZE - 1,
                 text + sizeof(id) - 1);
    } else if (strncmp(text, dir, sizeof(dir) - 1) == 0) {
        snprintf(out->run_dir, sizeof(out->run_dir), "%s", text + sizeof(dir) - 1);
    } else if (strcmp(text, ROLE_VARIABLE "=supervisor") == 0 ||
               strcmp(text, ROLE_VARIABLE "=engine") == 0) {
        out->is_apart = true;
    }
}

static void read_cookies(pid_t pid, struct cookies *out)
{
    char path[40];
    char chunk[4096];
    char variable[VARIABLE_MAX];
    size_t length = 0; /* of variable; what is longer is skipped */
    out->run_id[0] = out->run_dir[0] = '\0';
    out->is_apart = false;
    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t total = 0; fd >= 0 && total < ENVIRONMENT_MAX;) {
        ssize_t got = fdio_read(fd, chunk, sizeof(chunk));
        if (got <= 0) {
            break;
        }
        total += (size_t)got;
        for (ssize_t i = 0; i < got; i++) {
            if (length < sizeof(variable)) {
                variable[length++] = chunk[i];
            }
            if (chunk[i] == '\0') {
                if (variable[length - 1] == '\0') {
                    take_variable(out, variable);
                }
                length = 0;
            }
        }
    }
}

/* A run lives as long as it has a queue entry, in whichever root. */
static bool is_live_run(const struct cookies *c)
{
    char path[VARIABLE_MAX + RUN_ID_SIZE + 16];
    if (!run_id_is_valid(c->run_id) || c->run_dir[0] != '/') {
        return false;
    }
    snprintf(path, sizeof(path), "%s/../../queue/%s", c->run_dir, c->run_id);
    return access(path, F_OK) == 0;
}

static enum mark judge_environment(const struct processes *p, pid_t pid)
{
    struct cookies c;
    read_cookies(pid, &c);
    if (strcmp(c.run_id, p->run_id) == 0) {
        return c.is_apart ? MARK_CHECKED : MARK_OURS;
    }
    return is_live_run(&c) ? MARK_FOREIGN : MARK_CHECKED;
}

/* Mark what is known without a look at the tree: ourselves, the record, the cgroup. */
static void mark_seeds(struct processes *p)
{
    const pid_t roots[] = {getpid(), p->peer};
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        struct row *row = roots[i] > 0 ? find_row(p, roots[i]) : NULL;
        if (row != NULL) {
            row->mark = MARK_ROOT;
        }
    }
    struct row *recorded = find_row(p, (pid_t)p->recorded.pid);
    if (recorded != NULL && recorded->start == p->recorded.start &&
        recorded->mark == MARK_NONE) {
        recorded->mark = MARK_OURS;
    }
}

static void mark_cgroup(struct processes *p)
{
    pid_t pids[1024]; /* of more, the next look finds the rest */
    size_t count = cgroup_list(p->cgroup, pids, ARRAY_SIZE(pids));
    p->has_foreign_in_cgroup = false;
    for (size_t i = 0; i < count && i < ARRAY_SIZE(pids); i++) {
        struct row *row = find_row(p, pids[i]);
        if (row == NULL) {
            continue;
        }
        if (row->mark == MARK_NONE) {
            row->mark =
                judge_environment(p, row->pid) == MARK_FOREIGN ? MARK_FOREIGN : MARK_OURS;
        }
        p->has_foreign_in_cgroup = p->has_foreign_in_cgroup ||
                                   row->mark == MARK_FOREIGN || row->mark == MARK_ROOT;
    }
}

static void mark_environments(struct processes *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct row *row = &p->rows[i];
        if (row->mark == MARK_NONE && row->start >= p->oldest_start && row->pid != 1) {
            row->mark = judge_environment(p, row->pid);
        }
    }
}

/* Descendants, until nothing changes. Foreign ones were marked before, and stop it. */
static void mark_descendants(struct processes *p)
{
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (size_t i = 0; i < p->count; i++) {
            struct row *row = &p->rows[i];
            if (row->mark != MARK_NONE && row->mark != MARK_CHECKED) {
                continue;
            }
            const struct row *parent = find_row(p, row->parent);
            if (parent != NULL &&
                (parent->mark == MARK_OURS || parent->mark == MARK_ROOT)) {
                row->mark = MARK_OURS;
                is_changed = true;
            }
        }
    }
}

bool processes_find(struct processes *p, size_t *out_count)
{
    bool is_complete = load_rows(p);
    sort_rows(p);
    mark_seeds(p);
    mark_cgroup(p);
    mark_environments(p);
    mark_descendants(p);
    *out_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        *out_count += p->rows[i].mark == MARK_OURS;
    }
    return is_complete;
}

/* Count a process once, however often it is signalled. A full table counts no more. */
static void note_signalled(struct processes *p, const struct row *row)
{
    size_t at = (size_t)row->pid * 2654435761u;
    for (size_t i = 0; i < SIGNALLED_SLOTS; i++) {
        struct signalled *slot = &p->signalled[(at + i) & (SIGNALLED_SLOTS - 1)];
        if (slot->pid == row->pid && slot->start == row->start) {
            return;
        }
        if (slot->pid == 0) {
            *slot = (struct signalled){.pid = row->pid, .start = row->start};
            p->signalled_count++;
            return;
        }
    }
}

void processes_signal(struct processes *p, int signal_number)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct row *row = &p->rows[i];
        if (row->mark == MARK_OURS && signal_one(row, signal_number) &&
            (signal_number == SIGTERM || signal_number == SIGKILL)) {
            note_signalled(p, row);
        }
    }
}

void processes_kill(struct processes *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->rows[i].mark == MARK_OURS) {
            note_signalled(p, &p->rows[i]);
        }
    }
    if (!p->has_foreign_in_cgroup) {
        (void)cgroup_kill(p->cgroup);
    }
    processes_signal(p, SIGSTOP);
    processes_signal(p, SIGKILL);
}

size_t processes_signalled(const struct processes *p)
{
    return p->signalled_count;
}
