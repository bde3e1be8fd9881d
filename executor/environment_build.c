#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/environment_build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "executor/environment_brought.h"
#include "executor/environment_check.h"
#include "executor/environment_existing.h"
#include "executor/environment_inputs.h"
#include "executor/environment_seal.h"

#define LOOK_MS 50
#define SLOT_LOOK_MS 200
#define HOLD_LOOKS_SILENT 20
#define NOTE_MAX ((size_t)16 << 10)

/* One run's wait for, or work at, one environment. */
struct work {
    const struct preparation *p;
    struct environment e;
    int folder_fd; /* envs/<identity> */
    int64_t begin_ns, begin_utc_ms;
    char
        awaited[ENVIRONMENT_BUILD_SIZE]; /* another run's build that we wait for, or "" */
    int awaited_log_fd;
};

static int64_t spent_ms(const struct work *w)
{
    return (clock_monotonic_ns() - w->begin_ns) / NS_PER_MS;
}

static int canceled(struct error *err)
{
    return error_set(err, ERR_CANCELED, "the run is being ended");
}

/* ---- Small files of an environment's folder */

static struct json *read_note(int dir_fd, const char *name)
{
    struct strbuf text;
    strbuf_init(&text, NOTE_MAX);
    struct json *j = files_read(dir_fd, name, &text, NULL) < 0
                         ? NULL
                         : json_parse(text.data, text.length, NULL);
    strbuf_release(&text);
    return j;
}

static int write_note(int dir_fd, const char *name, const struct json *j,
                      struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(dir_fd, name, text.data, text.length, 0600, err);
}

/* ---- Waiting for another run's build */

/* What the builder's log has, into ours. */
static void show_log(struct work *w)
{
    char data[8192];
    ssize_t got;
    CLEANUP_FD int own =
        openat(w->p->run_fd, "prepare.log", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    while (w->awaited_log_fd >= 0 && own >= 0 &&
           (got = fdio_read(w->awaited_log_fd, data, sizeof(data))) > 0) {
        (void)fdio_write_full(own, data, (size_t)got);
    }
}

/* Which build it is that goes on, as soon as that is written down. */
static void learn_awaited(struct work *w)
{
    CLEANUP_JSON struct json *j = read_note(w->folder_fd, "building");
    const char *build = json_string(json_get(j, "build"));
    const char *run = json_string(json_get(j, "run"));
    if (build == NULL || strlen(build) >= sizeof(w->awaited) || strchr(build, '/')) {
        return;
    }
    if (strcmp(build, w->awaited) != 0) {
        show_log(w);
        fdio_close(&w->awaited_log_fd);
        snprintf(w->awaited, sizeof(w->awaited), "%s", build);
        programs_say(w->p->programs, "run %.64s builds this environment; its log:",
                     run != NULL ? run : "?");
    }
    if (w->awaited_log_fd < 0) { /* the note is there before the log is */
        CLEANUP_FREE char *path = files_join(build, "build.log");
        w->awaited_log_fd = openat(w->folder_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
}

/* The failure of the build that we waited for. True: it failed, and err says how. */
static bool take_failure(const struct work *w, struct error *err)
{
    CLEANUP_JSON struct json *j = read_note(w->folder_fd, "failed");
    const char *build = json_string(json_get(j, "build"));
    const char *code = json_string(json_get(j, "code"));
    const char *message = json_string(json_get(j, "message"));
    const char *hint = json_string(json_get(j, "hint"));
    int64_t utc_ms = 0;
    if (build == NULL || code == NULL || message == NULL ||
        json_get_time(j, "failed", "time", &utc_ms, NULL) < 0 ||
        (strcmp(build, w->awaited) != 0 && utc_ms < w->begin_utc_ms)) {
        return false;
    }
    error_set(err, error_code_parse(code), "%s", message);
    if (hint != NULL && hint[0] != '\0') {
        error_hint(err, "%s", hint);
    }
    return true;
}

static bool has_file(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_folder(struct work *w, struct error *err)
{
    struct environment_path path = environment_folder(&w->e);
    fdio_close(&w->folder_fd);
    w->folder_fd = files_open_or_make_dir(w->p->root->fd, path.text, err);
    if (w->folder_fd < 0) {
        return -1;
    }
    if (has_file(w->folder_fd, "identity.json")) {
        return 0;
    }
    return files_write_atomic(w->folder_fd, "identity.json", w->e.document.data,
                              w->e.document.length, 0600, err);
}

/* As environment_hold. Who looks through all runs for what nobody needs any longer keeps
 * us waiting for as long as that takes. */
static int hold(const struct work *w, struct error *err)
{
    for (int looks = 0;; looks++) {
        struct error why = ERROR_INIT;
        int fd = environment_hold(w->p->root, 0, &why);
        if (fd >= 0) {
            return fd;
        }
        if (why.code != ERR_BUSY) {
            return error_set(err, why.code, "%s", why.text);
        }
        if (looks == HOLD_LOOKS_SILENT) {
            programs_say(w->p->programs, "waiting: the node's environments are being "
                                         "looked through, or removed");
        }
        if (!programs_wait(w->p->programs, LOOK_MS)) {
            return canceled(err);
        }
    }
}

/* As environment_take. */
static int take(const struct work *w, const char *build, bool is_reused,
                struct environment_pin *pin, struct error *err)
{
    CLEANUP_FD int held = hold(w, err);
    return held < 0 ? -1
                    : environment_take(&w->e, w->p->run_fd, build, is_reused, w->begin_ns,
                                       pin, err);
}

/* Make the identity's folder and take its lock, both while the environments are held: who
 * removes some has them for itself, and leaves a folder alone whose lock is held.
 * Errors: ERR_BUSY (somebody has it). */
static int try_lock(struct work *w, struct error *err)
{
    CLEANUP_FD int held = hold(w, err);
    if (held < 0 || open_folder(w, err) < 0) {
        return -1;
    }
    return files_lock(w->folder_fd, "lock", true, 0, err);
}

/* Take the identity's lock, showing the log of who has it meanwhile. Returns the
 * descriptor. *has_waited: somebody had it. */
static int wait_for_lock(struct work *w, bool *has_waited, struct error *err)
{
    *has_waited = false;
    for (;;) {
        struct error failure = ERROR_INIT;
        int fd = try_lock(w, &failure);
        if (fd >= 0) {
            show_log(w);
            fdio_close(&w->awaited_log_fd);
            return fd;
        }
        if (failure.code != ERR_BUSY || w->folder_fd < 0) {
            return error_set(err, failure.code, "%s", failure.text);
        }
        *has_waited = true;
        learn_awaited(w);
        show_log(w);
        if (!programs_wait(w->p->programs, LOOK_MS)) {
            return canceled(err);
        }
    }
}

/* One of the node's places for builds. Returns the descriptor that holds it. */
static int take_slot(struct work *w, struct error *err)
{
    int64_t slots = w->p->spec->environment.slots > 0 ? w->p->spec->environment.slots : 1;
    bool has_said = false;
    (void)mkdirat(w->p->root->fd, "envs/slots", 0700);
    for (;;) {
        for (int64_t i = 0; i < slots; i++) {
            char path[64];
            struct error failure = ERROR_INIT;
            snprintf(path, sizeof(path), "envs/slots/%lld", (long long)i);
            int fd = files_lock(w->p->root->fd, path, true, 0, &failure);
            if (fd >= 0) {
                return fd;
            }
            if (failure.code != ERR_BUSY) {
                return error_set(err, failure.code, "%s", failure.text);
            }
        }
        if (!has_said) {
            programs_say(w->p->programs, "waiting: %lld other environment%s being built",
                         (long long)slots, slots == 1 ? " is" : "s are");
            has_said = true;
        }
        if (!programs_wait(w->p->programs, SLOT_LOOK_MS)) {
            return canceled(err);
        }
    }
}

/* ---- Building */

static void make_build_name(char out[ENVIRONMENT_BUILD_SIZE])
{
    char time[CLOCK_TEXT_SIZE];
    char hex[5];
    uint8_t random[2];
    size_t length = 0;
    clock_format(time, clock_utc_ms());
    bytes_random(random, sizeof(random));
    bytes_to_hex(hex, random, sizeof(random));
    for (const char *at = time; *at != '.' && *at != '\0'; at++) {
        if (*at != '-' && *at != ':') {
            out[length++] = *at;
        }
    }
    snprintf(out + length, ENVIRONMENT_BUILD_SIZE - length, "Z-%s", hex);
}

/* What killed builders left: we hold the lock, so nobody works at it. */
static void clear_leftovers(const struct work *w)
{
    CLEANUP_FD int fd = files_open_dir(w->folder_fd, ".", NULL);
    int dir_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CLEANUP_DIR DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        CLEANUP_FREE char *ready = files_join(entry->d_name, "READY");
        struct stat st;
        if (entry->d_name[0] != '.' &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode) && fstatat(fd, ready, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno == ENOENT) {
            (void)files_remove_tree(fd, entry->d_name, NULL);
        }
    }
    (void)unlinkat(w->folder_fd, "building", 0);
}

static int note_building(const struct work *w, const char *name, struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    json_add_string(j, "build", name);
    json_add_string(j, "name", environment_source(w->p->spec));
    json_add_string(j, "run", w->p->spec->run);
    json_add_time(j, "time", clock_utc_ms());
    return write_note(w->folder_fd, "building", j, err);
}

/* A failed build leaves its log and a sentence. A canceled one leaves nothing. */
static void leave_failure(const struct work *w, const char *name, const struct error *why)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_FREE char *log = files_join(name, "build.log");
    if (why->code != ERR_CANCELED) {
        (void)renameat(w->folder_fd, log, w->folder_fd, "failed.log");
    }
    (void)files_remove_tree(w->folder_fd, name, NULL); /* first, for a full disk's sake */
    if (why->code != ERR_CANCELED) {
        json_add_string(j, "build", name);
        json_add_string(j, "name", environment_source(w->p->spec));
        json_add_time(j, "time", clock_utc_ms());
        json_add_string(j, "code", error_code_name(why->code));
        json_add_string(j, "message", why->text);
        json_add_string(j, "hint", why->hint);
        (void)write_note(w->folder_fd, "failed", j, NULL);
    }
    (void)unlinkat(w->folder_fd, "building", 0);
}

static int write_lock(struct build *b, int build_fd, struct run_environment *facts,
                      struct error *err)
{
    struct oid digest;
    oid_of_bytes(b->lock.data, b->lock.length, &digest);
    oid_to_hex(&digest, facts->lock);
    CLEANUP_FD int fd =
        openat(build_fd, "lock.txt", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fdio_write_full(fd, b->lock.data, b->lock.length) < 0) {
        return error_sys(err, "write the environment's lock");
    }
    return 0;
}

static void describe(const struct work *w, const struct build *b, const char *name,
                     struct run_environment *out)
{
    const struct environment *e = &w->e;
    run_environment_init(out);
    snprintf(out->kind, sizeof(out->kind), "%s", envspec_kind_name(b->definition->kind));
    snprintf(out->identity, sizeof(out->identity), "%s", e->identity);
    snprintf(out->build, sizeof(out->build), "%s", name);
    snprintf(out->builder, sizeof(out->builder), "%s %.40s", e->builder->name,
             e->builder->version(e->python, e->program));
    snprintf(out->python, sizeof(out->python), "%.31s",
             e->python != NULL ? environment_python(e) : b->python_version);
    out->packages = b->packages;
    out->unpinned = environment_inputs_unpinned(b->definition);
}

/* Make it visible: all is on the disk before READY is there. */
static int make_ready(struct work *w, struct build *b, int build_fd, const char *name,
                      struct error *err)
{
    struct run_environment facts;
    struct environment_seal seal;
    describe(w, b, name, &facts);
    if (write_lock(b, build_fd, &facts, err) < 0 ||
        environment_seal(b->prefix, &seal, err) < 0 ||
        files_sync_filesystem(build_fd, err) < 0) {
        return -1;
    }
    facts.size_bytes = (int64_t)seal.size_bytes;
    facts.spent_ms = spent_ms(w);
    CLEANUP_JSON struct json *j = run_environment_to_json(&facts);
    json_add_string(j, "name", environment_source(w->p->spec));
    json_add_integer(j, "files", (int64_t)seal.files);
    json_add_time(j, "created", clock_utc_ms());
    json_add_string(j, "activation", b->activation);
    if (b->start != NULL) {
        json_add_bytes(j, "interpreter", b->start, strlen(b->start));
    }
    if (write_note(build_fd, "READY", j, err) < 0) {
        return -1;
    }
    (void)unlinkat(w->folder_fd, "current.new", 0);
    if (symlinkat(name, w->folder_fd, "current.new") < 0 ||
        renameat(w->folder_fd, "current.new", w->folder_fd, "current") < 0) {
        return error_sys(err, "name the newest build");
    }
    (void)unlinkat(w->folder_fd, "building", 0);
    return files_sync_dir(w->folder_fd, err);
}

static int write_inputs(const struct preparation *p, int inputs_fd, struct error *err)
{
    return p->spec->environment.definition.kind == ENVSPEC_LOCK
               ? environment_inputs_write_lock(p->root, p->spec, inputs_fd, err)
               : environment_inputs_write(p->root, p->spec, inputs_fd, err);
}

/* In the open folder of the build. */
static int fill(struct work *w, int build_fd, const char *name, struct error *err)
{
    const struct preparation *p = w->p;
    CLEANUP_FREE char *folder =
        xasprintf("%s/envs/%s/%s", p->root->path, w->e.identity, name);
    CLEANUP_FREE char *prefix = files_join(folder, "prefix");
    CLEANUP_FREE char *inputs = files_join(folder, "inputs");
    CLEANUP_FD int inputs_fd = files_open_or_make_dir(build_fd, "inputs", err);
    if (inputs_fd < 0 || write_inputs(p, inputs_fd, err) < 0) {
        return -1;
    }
    programs_set_folder(p->programs, inputs_fd);
    struct build b = {
        .environment = &w->e,
        .definition = &p->spec->environment.definition,
        .python = w->e.python,
        .program = w->e.program,
        .programs = p->programs,
        .folder = folder,
        .prefix = prefix,
        .inputs = inputs,
        .has_requirements = has_file(inputs_fd, "requirements.txt"),
        .has_constraints = has_file(inputs_fd, "constraints.txt"),
        .packages = -1,
        .activation = "venv",
    };
    strbuf_init(&b.lock, (size_t)32 << 20);
    int result = w->e.builder->make(&b, err);
    result = result < 0 ? -1 : environment_check_build(&b, build_fd, err);
    if (result == 0 && !programs_wait(p->programs, 0)) {
        result = canceled(err);
    }
    programs_set_folder(p->programs, -1);
    if (result == 0) {
        result = make_ready(w, &b, build_fd, name, err);
    }
    strbuf_release(&b.lock);
    return result;
}

static void say_ready(struct work *w, const struct environment_pin *pin)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    run_environment_describe(&pin->facts, &text);
    programs_say(w->p->programs, "ready: %s", text.data);
}

/* The caller holds the identity's lock. */
static int build(struct work *w, struct environment_pin *pin, struct error *err)
{
    char name[ENVIRONMENT_BUILD_SIZE];
    clear_leftovers(w);
    make_build_name(name);
    CLEANUP_FD int slot = take_slot(w, err);
    if (slot < 0 || note_building(w, name, err) < 0) {
        return -1;
    }
    CLEANUP_FD int build_fd = files_open_or_make_dir(w->folder_fd, name, err);
    CLEANUP_FD int log = build_fd < 0
                             ? -1
                             : openat(build_fd, "build.log",
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct error failure = ERROR_INIT;
    int result =
        build_fd < 0 || log < 0 ? error_sys(&failure, "make the build's folder") : 0;
    if (result == 0) {
        programs_set_log(w->p->programs, log);
        result = fill(w, build_fd, name, &failure);
        programs_set_log(w->p->programs, -1);
    }
    if (result < 0) {
        leave_failure(w, name, &failure);
        if (err != NULL) {
            *err = failure;
        }
        return -1;
    }
    return take(w, name, false, pin, err) == 1 ? 0 : -1;
}

/* ---- All of it */

/* It is not there: build it, or wait for who does. */
static int obtain(struct work *w, struct environment_pin *pin, struct error *err)
{
    bool is_refresh = w->p->spec->environment.is_refresh;
    bool has_waited = false;
    CLEANUP_FD int lock = wait_for_lock(w, &has_waited, err);
    if (lock < 0) {
        return -1;
    }
    if (!is_refresh || w->awaited[0] != '\0') {
        int taken = take(w, is_refresh ? w->awaited : NULL, true, pin, err);
        if (taken != 0) {
            return taken < 0 ? -1 : 0;
        }
    }
    if (has_waited && take_failure(w, err)) {
        return -1;
    }
    return build(w, pin, err);
}

static void say_choice(struct work *w)
{
    const struct environment *e = &w->e;
    programs_say(w->p->programs, "environment: %s", environment_source(w->p->spec));
    if (e->python != NULL) {
        bool is_afar = environment_is_afar(e);
        programs_say(w->p->programs, "Python %s (%s), %s %s", environment_python(e),
                     is_afar ? "the cluster's" : e->python->real, e->builder->name,
                     e->builder->version(e->python, e->program));
    } else {
        programs_say(w->p->programs, "%s %s (%s)", e->builder->name,
                     e->builder->version(e->python, e->program), e->program->real);
    }
}

/* One that somebody built is tried with what this run names besides. */
static int check_ready(struct work *w, const struct environment_pin *pin,
                       struct error *err)
{
    CLEANUP_FD int build_fd = environment_open_build(&w->e, pin->facts.build);
    struct build b = {.environment = &w->e,
                      .definition = &w->p->spec->environment.definition,
                      .program = w->e.program,
                      .programs = w->p->programs,
                      .prefix = pin->prefix};
    return environment_was_checked(build_fd, &w->p->spec->environment.imports)
               ? 0
               : environment_check_build(&b, build_fd, err);
}

static int prepare_chosen(struct work *w, struct error *err)
{
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    bool is_refresh = w->p->spec->environment.is_refresh;
    int taken = is_refresh ? 0 : take(w, NULL, true, &pin, err);
    if (taken < 0 || (taken == 0 && obtain(w, &pin, err) < 0) ||
        (pin.facts.is_reused && check_ready(w, &pin, err) < 0)) {
        return -1;
    }
    say_ready(w, &pin);
    return 0;
}

/* A build was named, and environment_find did not find it. */
static int complain_of_pin(const struct runspec_environment *wish, struct error *err)
{
    error_set(err, ERR_NOT_FOUND, "the environment %.12s%s%s is not on the node",
              wish->pin_identity, wish->pin_build != NULL ? ", build " : "",
              wish->pin_build != NULL ? wish->pin_build : "");
    return error_hint(err,
                      "it was removed, or never built there: name what it is made of "
                      "instead (errand env list shows what there is)");
}

/* Nothing is built: it is there, or it is an error. */
static int prepare_existing(struct work *w, struct tools *tools, struct error *err)
{
    struct environment_pin pin CLEANUP_PIN;
    environment_pin_init(&pin);
    programs_say(w->p->programs, "environment: %s", environment_source(w->p->spec));
    int found = environment_existing(w->p->spec, tools, w->begin_ns, &pin, err);
    if (found == 0) {
        return canceled(err); /* its interpreter was not asked to the end */
    }
    const char *const start[] = {pin.interpreter, NULL};
    if (found < 0 ||
        environment_check(w->p->programs, start, &w->p->spec->environment.imports, err) <
            0 ||
        environment_write_pin(w->p->run_fd, &pin, err) < 0) {
        return -1;
    }
    say_ready(w, &pin);
    return 0;
}

int environment_prepare(const struct preparation *p, struct error *err)
{
    struct work w = {.p = p,
                     .folder_fd = -1,
                     .awaited_log_fd = -1,
                     .begin_ns = clock_monotonic_ns(),
                     .begin_utc_ms = clock_utc_ms()};
    CLEANUP(tools_cleanup)
    struct tools *tools = environment_brought_tools(p);
    if (!p->spec->environment.has_definition) {
        return complain_of_pin(&p->spec->environment, err);
    }
    if (p->spec->environment.definition.kind == ENVSPEC_EXISTING) {
        return prepare_existing(&w, tools, err);
    }
    int result = environment_choose(&w.e, p->root, p->spec, tools, err);
    if (result == 0) {
        result = canceled(err); /* a program was not asked to the end */
    } else if (result == 1) {
        say_choice(&w);
        result = prepare_chosen(&w, err);
    }
    fdio_close(&w.folder_fd);
    fdio_close(&w.awaited_log_fd);
    environment_release(&w.e);
    return result < 0 ? -1 : 0;
}
