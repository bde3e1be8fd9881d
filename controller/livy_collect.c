#include "controller/livy_collect.h"

#include "common/bytes.h"
#include "common/sweep.h"
#include "controller/livy_uses.h"

#include <stdlib.h>
#include <string.h>

#define WEEK_MS (7 * MS_PER_DAY)
#define GONE ".gone." /* begins the name of what was put aside */
#define ARCHIVE ".tar"

/* Archives of one kind. */
struct kind {
    const char *folder;
    int64_t keep_ms;
    uint64_t removed, kept, kept_bytes;
};

/* One that may go. */
struct candidate {
    struct kind *kind;
    char *name, *aside; /* below the base: its own, and what it is called meanwhile */
    uint64_t size_bytes;
    bool is_aside; /* it has that one */
};

struct collecting {
    const struct livy_collect *request;
    const struct livy_place *place;
    struct sweep sweep;
    int64_t now_utc_ms, keep_uncollected_ms;
    struct kind projects, environments;
    uint64_t leftovers, kept_runs;
    struct strvec gone; /* attempts whose folders go */
    struct candidate *candidates;
    size_t count;
};

static int64_t ago_ms(const struct collecting *c, const struct webhdfs_entry *entry)
{
    return c->now_utc_ms - entry->used_utc_ms;
}

static void remove_leftover(struct collecting *c, const char *name, uint64_t size_bytes)
{
    struct error why = ERROR_INIT;
    if (!c->sweep.is_dry && livy_place_remove(c->place, name, &why) < 0) {
        sweep_warn(&c->sweep, &why);
        return;
    }
    c->leftovers++;
    c->sweep.bytes += size_bytes;
}

/* ---- Attempts that nobody looks after */

/* The run of "errand-RUN-ATTEMPT", perhaps with "-python" behind it; malloc'ed, or NULL.
 */
static char *run_of(const char *tag)
{
    size_t begin = strlen(LIVY_TAG), end = strlen(tag);
    if (strncmp(tag, LIVY_TAG, begin) != 0) {
        return NULL;
    }
    end -= bytes_end_with(tag, LIVY_QUESTION) ? strlen(LIVY_QUESTION) : 0;
    char *run = end > begin ? xstrndup(tag + begin, end - begin) : xstrdup("");
    run[strcspn(run, "-")] = '\0';
    return run;
}

/* Nobody saw the script's end: it may go on. */
static bool is_doubtful(enum run_exit_kind kind)
{
    return kind == RUN_EXIT_UNKNOWN || kind == RUN_EXIT_NODE_RESTARTED ||
           kind == RUN_EXIT_SUPERVISOR_LOST;
}

/* It is a run from here, and it is known how it ended: nothing of it goes on. */
static bool has_ended(const struct collecting *c, const char *tag)
{
    CLEANUP_FREE char *id = run_of(tag);
    struct history_run run;
    history_run_init(&run);
    bool is_known = id != NULL && id[0] != '\0' &&
                    history_find(c->request->history, id, &run, NULL) == 0 &&
                    strcmp(run.id, id) == 0;
    bool is_over = is_known && run_state_is_final(run.status.state) && !run.is_given_up &&
                   !is_doubtful(run.status.exit.kind);
    history_run_release(&run);
    return is_over;
}

/* What its driver left is nowhere else. */
static bool has_results(const struct livy_listing *files)
{
    return strvec_contains(&files->names, "outputs.tar") ||
           strvec_contains(&files->names, "metrics");
}

/* A driver that lives changes something in it every few seconds, and who waits for one
 * every few hours (attend_livy_watch.c). */
static void judge_attempt(struct collecting *c, const struct webhdfs_entry *entry)
{
    CLEANUP_LISTING struct livy_listing files = LIVY_LISTING_INIT;
    CLEANUP_FREE char *folder = xasprintf(LIVY_RUNS "/%s", entry->name);
    struct error why = ERROR_INIT;
    uint64_t size_bytes = 0;
    if (ago_ms(c, entry) < MS_PER_DAY) {
        c->kept_runs++;
        return;
    }
    if (livy_place_list(c->place, folder, &files, &why) < 0) {
        sweep_warn(&c->sweep, &why);
        return;
    }
    for (size_t i = 0; i < files.count; i++) {
        size_bytes += files.entries[i].size_bytes;
    }
    if (ago_ms(c, entry) >= c->keep_uncollected_ms ||
        (!has_results(&files) && has_ended(c, entry->name))) {
        strvec_push(&c->gone, entry->name);
        remove_leftover(c, folder, size_bytes);
    } else {
        c->kept_runs++;
    }
}

static int collect_attempts(struct collecting *c, struct error *err)
{
    CLEANUP_LISTING struct livy_listing attempts = LIVY_LISTING_INIT;
    if (livy_place_list(c->place, LIVY_RUNS, &attempts, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < attempts.count; i++) {
        const struct webhdfs_entry *entry = &attempts.entries[i];
        if (entry->is_folder && strncmp(entry->name, LIVY_TAG, strlen(LIVY_TAG)) == 0) {
            judge_attempt(c, entry);
        }
    }
    return 0;
}

/* ---- Archives */

static void add_candidate(struct collecting *c, struct kind *kind, const char *name,
                          uint64_t size_bytes, bool is_aside)
{
    c->candidates = xrealloc(c->candidates, c->count + 1, sizeof *c->candidates);
    c->candidates[c->count++] =
        (struct candidate){.kind = kind,
                           .name = xasprintf("%s/%s", kind->folder, name),
                           .aside = xasprintf("%s/" GONE "%s", kind->folder, name),
                           .size_bytes = size_bytes,
                           .is_aside = is_aside};
}

static void release_candidate(struct candidate *one)
{
    free(one->name);
    free(one->aside);
}

static void release_candidates(struct collecting *c)
{
    for (size_t i = 0; i < c->count; i++) {
        release_candidate(&c->candidates[i]);
    }
    free(c->candidates);
    c->candidates = NULL;
    c->count = 0;
}

static void keep(struct kind *kind, uint64_t size_bytes)
{
    kind->kept++;
    kind->kept_bytes += size_bytes;
}

/* Names that are not errand's are not touched. */
static void judge_archive(struct collecting *c, struct kind *kind,
                          const struct webhdfs_entry *entry)
{
    const char *name = entry->name;
    if (strncmp(name, GONE, strlen(GONE)) == 0) {
        add_candidate(c, kind, name + strlen(GONE), entry->size_bytes, true);
    } else if (strstr(name, ARCHIVE LIVY_HALF_MADE) != NULL) {
        if (ago_ms(c, entry) >= MS_PER_DAY) {
            CLEANUP_FREE char *path = xasprintf("%s/%s", kind->folder, name);
            remove_leftover(c, path, entry->size_bytes);
        }
    } else if (bytes_end_with(name, ARCHIVE)) {
        if (ago_ms(c, entry) >= kind->keep_ms + LIVY_USED_NOTED_MS) {
            add_candidate(c, kind, name, entry->size_bytes, false);
        } else {
            keep(kind, entry->size_bytes);
        }
    }
}

static int find_archives(struct collecting *c, struct kind *kind, struct error *err)
{
    CLEANUP_LISTING struct livy_listing archives = LIVY_LISTING_INIT;
    if (livy_place_list(c->place, kind->folder, &archives, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < archives.count; i++) {
        if (!archives.entries[i].is_folder) {
            judge_archive(c, kind, &archives.entries[i]);
        }
    }
    return 0;
}

/* Those that are needed stay, or come back. */
static void leave_needed(struct collecting *c, const struct strvec *needed)
{
    size_t left = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct candidate *one = &c->candidates[i];
        struct error why = ERROR_INIT;
        if (!strvec_contains(needed, one->name)) {
            c->candidates[left++] = *one;
            continue;
        }
        keep(one->kind, one->size_bytes);
        if (one->is_aside && !c->sweep.is_dry &&
            livy_place_move(c->place, one->aside, one->name, &why) < 0) {
            if (why.code == ERR_EXISTS) { /* sent again meanwhile */
                (void)livy_place_remove(c->place, one->aside, NULL);
            } else {
                sweep_warn(&c->sweep, &why);
            }
        }
        release_candidate(one);
    }
    c->count = left;
}

/* What cannot be put aside, as it is gone or somebody else is at it, stays. */
static void put_aside(struct collecting *c)
{
    size_t left = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct candidate *one = &c->candidates[i];
        struct error why = ERROR_INIT;
        if (one->is_aside ||
            livy_place_move(c->place, one->name, one->aside, &why) == 0) {
            one->is_aside = true;
            c->candidates[left++] = *one;
            continue;
        }
        if (why.code != ERR_EXISTS && why.code != ERR_NOT_FOUND) {
            sweep_warn(&c->sweep, &why);
        }
        release_candidate(one);
    }
    c->count = left;
}

static void remove_archives(struct collecting *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct candidate *one = &c->candidates[i];
        struct error why = ERROR_INIT;
        if (!c->sweep.is_dry &&
            livy_place_remove(c->place, one->is_aside ? one->aside : one->name, &why) <
                0) {
            sweep_warn(&c->sweep, &why);
            continue;
        }
        one->kind->removed++;
        c->sweep.bytes += one->size_bytes;
    }
}

/* Errors: it is not known what is needed; nothing goes then. */
static int leave_used(struct collecting *c, struct error *err)
{
    CLEANUP_STRVEC struct strvec needed = STRVEC_INIT;
    if (livy_uses_read(c->place, &c->gone, &needed, err) < 0) {
        for (size_t i = 0; i < c->count; i++) {
            strvec_push(&needed, c->candidates[i].name);
        }
        leave_needed(c, &needed);
        return -1;
    }
    leave_needed(c, &needed);
    return 0;
}

/* The candidates: what is needed is looked for before, so that what is needed all the
 * time stays where it is, and again once they are aside (livy_uses.h). */
static int remove_unused(struct collecting *c, struct error *err)
{
    if (c->count == 0) {
        return 0;
    }
    if (leave_used(c, err) < 0) {
        return -1;
    }
    if (!c->sweep.is_dry) {
        put_aside(c);
        if (leave_used(c, err) < 0) {
            return -1;
        }
    }
    remove_archives(c);
    return 0;
}

static void collect_archives(struct collecting *c)
{
    struct error why = ERROR_INIT;
    if (find_archives(c, &c->projects, &why) < 0 ||
        find_archives(c, &c->environments, &why) < 0 || remove_unused(c, &why) < 0) {
        sweep_warn(&c->sweep, &why);
    }
    release_candidates(c);
}

/* ---- Batches */

static int judge_batch(void *context, const struct livy_batch *batch)
{
    struct collecting *c = context;
    CLEANUP_FREE char *id = xasprintf("%lld", (long long)batch->id);
    struct error why = ERROR_INIT;
    bool is_left = livy_is_zombie(batch) || !livy_state_is_final(batch->state);
    if (!is_left || !has_ended(c, batch->name)) {
        return 0;
    }
    if (!c->sweep.is_dry && livy_ask_delete(c->request->livy, id, &why) < 0) {
        sweep_warn(&c->sweep, &why);
        return 0;
    }
    c->leftovers++;
    return 0;
}

static void collect_batches(struct collecting *c)
{
    struct error why = ERROR_INIT;
    if (livy_ask_batches(c->request->livy, judge_batch, c, &why) < 0) {
        sweep_warn(&c->sweep, &why);
    }
}

/* ---- All */

static int check_way(const struct livy_place *place, struct error *err)
{
    if (livy_place_can_follow(place)) {
        return 0;
    }
    error_set(err, ERR_UNSUPPORTED,
              "the command that copies to %s can neither list nor remove what is there",
              place->base);
    return error_hint(err, "remove projects/, environments/ and old folders of runs/ "
                           "there by hand, when no run uses them");
}

/* Of the folder itself: files with which somebody tried it. */
static void collect_trials(struct collecting *c, const struct livy_listing *files)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct webhdfs_entry *entry = &files->entries[i];
        if (!entry->is_folder &&
            strncmp(entry->name, LIVY_TRIAL, strlen(LIVY_TRIAL)) == 0 &&
            ago_ms(c, entry) >= MS_PER_DAY) {
            remove_leftover(c, entry->name, entry->size_bytes);
        }
    }
}

/* What lies there; errors: it could not even be looked at. */
static int collect_folder(struct collecting *c, struct error *err)
{
    CLEANUP_LISTING struct livy_listing files = LIVY_LISTING_INIT;
    if (check_way(c->place, err) < 0 || livy_place_list(c->place, "", &files, err) < 0) {
        return -1;
    }
    if (files.count == 0) { /* nor is the folder itself, perhaps */
        return 0;
    }
    if (livy_place_now(c->place, &c->now_utc_ms, err) < 0) {
        return -1;
    }
    collect_trials(c, &files);
    if (collect_attempts(c, err) < 0) {
        return -1;
    }
    collect_archives(c);
    return 0;
}

static struct json *make_report(const struct collecting *c)
{
    const struct {
        const char *key;
        uint64_t number;
    } rows[] = {
        {"roots", c->projects.removed},
        {"environments", c->environments.removed},
        {"leftovers", c->leftovers},
        {"bytes", c->sweep.bytes},
        {"kept_runs", c->kept_runs},
        {"kept_roots", c->projects.kept},
        {"kept_roots_bytes", c->projects.kept_bytes},
        {"kept_environments", c->environments.kept},
        {"kept_environments_bytes", c->environments.kept_bytes},
    };
    struct json *report = json_new_object();
    json_add_bool(report, "is_dry", c->sweep.is_dry);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_add_integer(report, rows[i].key, (int64_t)rows[i].number);
    }
    json_add(report, "warnings", json_new_strings(&c->sweep.warnings));
    return report;
}

struct json *livy_collect(const struct livy_collect *request, struct error *err)
{
    struct collecting c = {
        .request = request,
        .place = request->place,
        .sweep = {.is_dry = request->is_dry},
        .projects = {.folder = "projects", .keep_ms = request->keep_ms},
        .environments = {.folder = "environments",
                         .keep_ms = request->keep_environments_ms},
        .keep_uncollected_ms = request->keep_uncollected_ms > WEEK_MS
                                   ? request->keep_uncollected_ms
                                   : WEEK_MS,
    };
    struct json *report = NULL;
    if (collect_folder(&c, err) == 0) {
        collect_batches(&c);
        report = make_report(&c);
    }
    strvec_release(&c.gone);
    sweep_release(&c.sweep);
    return report;
}

/* ---- One environment */

static bool is_build_of(const char *archive, const char *identity, const char *build)
{
    size_t length = strlen(identity);
    CLEANUP_FREE char *exact =
        xasprintf("%s-%s" ARCHIVE, identity, build != NULL ? build : "");
    return build != NULL ? strcmp(archive, exact) == 0
                         : strncmp(archive, identity, length) == 0 &&
                               archive[length] == '-' && bytes_end_with(archive, ARCHIVE);
}

int livy_collect_environment(const struct livy_place *place, const char *identity,
                             const char *build, bool is_forced, struct error *err)
{
    CLEANUP_LISTING struct livy_listing archives = LIVY_LISTING_INIT;
    struct collecting c = {.place = place, .environments = {.folder = "environments"}};
    int result = check_way(place, err) < 0
                     ? -1
                     : livy_place_list(place, "environments", &archives, err);
    for (size_t i = 0; result == 0 && i < archives.count; i++) {
        if (is_build_of(archives.entries[i].name, identity, build)) {
            add_candidate(&c, &c.environments, archives.entries[i].name, 0, false);
        }
    }
    if (result == 0 && is_forced) {
        remove_archives(&c);
    } else if (result == 0) {
        result = remove_unused(&c, err);
    }
    if (result == 0 && c.environments.kept > 0) {
        result = error_set(err, ERR_BUSY, "a run needs environment %.12s in the cluster",
                           identity);
    }
    if (result == 0 && c.sweep.warnings.count > 0) {
        result = error_set(err, ERR_IO, "%s", c.sweep.warnings.items[0]);
    }
    release_candidates(&c);
    strvec_release(&c.gone);
    sweep_release(&c.sweep);
    return result;
}
