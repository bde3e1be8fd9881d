#include "controller/compare.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/store.h"
#include "common/subprocess.h"
#include "controller/environment_lines.h"
#include "controller/metrics.h"
#include "controller/treediff.h"

#define LOCK_MAX ((size_t)8 << 20)
#define SHORT_DIGEST 12
#define VALUE_MAX (16 * METRICS_LINE_MAX) /* as metrics_format has it */

/* One of the two. */
struct side {
    const struct history_run *run;
    struct runspec spec;
    bool has_spec; /* a newer errand's is not read */
    struct metrics metrics;
};

static void side_init(struct side *side, const struct home *home,
                      const struct history_run *run)
{
    struct metrics_unread unread = {0};
    *side = (struct side){.run = run};
    runspec_init(&side->spec);
    side->has_spec = runspec_decode(run->spec, run->spec_length, &side->spec, NULL) == 0;
    (void)metrics_read(home, run->id, 0, metrics_sum_up, &side->metrics, &unread, NULL);
}

static void side_release(struct side *side)
{
    runspec_release(&side->spec);
    metrics_release(&side->metrics);
}

/* ---- facts: append what it is, nothing where it is not known ---- */

static void put_size(struct strbuf *out, uint64_t files, uint64_t size_bytes)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, size_bytes);
    strbuf_printf(out, "%llu file%s, %s", (unsigned long long)files,
                  files == 1 ? "" : "s", size);
}

static void put_duration(struct strbuf *out, int64_t from_utc_ms, int64_t to_utc_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (from_utc_ms != 0 && to_utc_ms != 0) {
        clock_format_duration(text, to_utc_ms - from_utc_ms);
        strbuf_puts(out, text);
    }
}

static void put_experiment(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->experiment);
}

static void put_target(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->target);
}

static void put_project(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->project);
}

static void put_command(const struct side *side, struct strbuf *out)
{
    const struct runspec *spec = &side->spec;
    if (side->has_spec && spec->script != NULL) {
        subprocess_quote(out, spec->script);
    }
    for (size_t i = 0; side->has_spec && i < spec->command.count; i++) {
        strbuf_puts(out, out->length > 0 ? " " : "");
        subprocess_quote(out, spec->command.items[i]);
    }
}

static void put_framework(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->has_spec ? framework_name(side->spec.framework) : "");
}

static void put_interpreter(const struct side *side, struct strbuf *out)
{
    const char *interpreter = side->has_spec ? side->spec.interpreter : NULL;
    strbuf_puts(out, interpreter != NULL ? interpreter : "");
}

static void put_environment(const struct side *side, struct strbuf *out)
{
    const struct run_environment *e = &side->run->status.environment;
    strbuf_printf(out, "%s%s%.*s", e->kind, e->identity[0] != '\0' ? " " : "",
                  SHORT_DIGEST, e->identity);
}

static void put_python(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->status.environment.python);
}

static void put_snapshot(const struct side *side, struct strbuf *out)
{
    char root[OID_HEX_SIZE];
    if (side->has_spec) {
        oid_to_hex(&side->spec.root, root);
        put_size(out, side->spec.files, side->spec.size_bytes);
        strbuf_printf(out, "; %.*s", SHORT_DIGEST, root);
    }
}

static void put_commit(const struct side *side, struct strbuf *out)
{
    const struct gitinfo *git = &side->run->git;
    if (git->commit != NULL) {
        strbuf_printf(out, "%.*s%s", SHORT_DIGEST, git->commit,
                      git->is_dirty ? ", files changed since" : "");
    }
}

static void put_branch(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->git.branch != NULL ? side->run->git.branch : "");
}

static void put_status(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, run_state_name(side->run->status.state));
}

static void put_exit(const struct side *side, struct strbuf *out)
{
    if (side->run->status.exit.kind != RUN_EXIT_NONE) {
        run_exit_describe(&side->run->status.exit, out);
    }
}

static void put_attempt(const struct side *side, struct strbuf *out)
{
    int64_t attempt = side->run->status.attempt;
    strbuf_printf(out, "%lld", (long long)(attempt > 0 ? attempt : 1));
}

static void put_waited(const struct side *side, struct strbuf *out)
{
    put_duration(out, side->run->created_utc_ms, side->run->status.started_utc_ms);
}

static void put_took(const struct side *side, struct strbuf *out)
{
    put_duration(out, side->run->status.started_utc_ms, side->run->status.ended_utc_ms);
}

static void put_log(const struct side *side, struct strbuf *out)
{
    char size[FILES_SIZE_TEXT];
    if (side->run->status.ended_utc_ms != 0 && side->run->status.seq > 0) {
        files_format_size(size, side->run->status.driver_log_bytes);
        strbuf_puts(out, size);
    }
}

static void put_outputs(const struct side *side, struct strbuf *out)
{
    const struct run_status *status = &side->run->status;
    char root[OID_HEX_SIZE];
    if (status->has_outputs && !oid_is_zero(&status->outputs_root)) {
        oid_to_hex(&status->outputs_root, root);
        put_size(out, status->outputs_files, status->outputs_size_bytes);
        strbuf_printf(out, "; %.*s", SHORT_DIGEST, root);
    }
}

static void put_note(const struct side *side, struct strbuf *out)
{
    strbuf_puts(out, side->run->note != NULL ? side->run->note : "");
}

static const struct {
    const char *what;
    void (*put)(const struct side *side, struct strbuf *out);
} facts[] = {
    {"experiment", put_experiment},
    {"target", put_target},
    {"project", put_project},
    {"command", put_command},
    {"framework", put_framework},
    {"interpreter", put_interpreter},
    {"environment", put_environment},
    {"python", put_python},
    {"snapshot", put_snapshot},
    {"commit", put_commit},
    {"branch", put_branch},
    {"status", put_status},
    {"exit", put_exit},
    {"attempt", put_attempt},
    {"waited", put_waited},
    {"took", put_took},
    {"log", put_log},
    {"outputs", put_outputs},
    {"note", put_note},
};

/* ---- what differs ---- */

/* All are borrowed. */
static void add_fact(struct compare *c, const char *what, const char *a, const char *b)
{
    c->facts = xrealloc(c->facts, c->fact_count + 1, sizeof *c->facts);
    c->facts[c->fact_count++] = (struct compare_fact){
        .what = xstrdup(what),
        .a = a != NULL ? xstrdup(a) : NULL,
        .b = b != NULL ? xstrdup(b) : NULL,
    };
}

static void compare_facts(struct compare *c, const struct side *a, const struct side *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
        CLEANUP_STRBUF struct strbuf text_a = STRBUF_INIT, text_b = STRBUF_INIT;
        facts[i].put(a, &text_a);
        facts[i].put(b, &text_b);
        if (strcmp(text_a.data, text_b.data) != 0) {
            add_fact(c, facts[i].what, text_a.length > 0 ? text_a.data : NULL,
                     text_b.length > 0 ? text_b.data : NULL);
        }
    }
}

/* The value of "key=value" of that key; NULL: there is none. */
static const char *value_of(const struct strvec *pairs, const char *key, size_t length)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *pair = pairs->items[i];
        if (strncmp(pair, key, length) == 0 && pair[length] == '=') {
            return pair + length + 1;
        }
    }
    return NULL;
}

static void compare_pairs(struct compare *c, const char *word, const struct strvec *a,
                          const struct strvec *b)
{
    for (size_t i = 0; i < a->count + b->count; i++) {
        bool is_a = i < a->count;
        const char *pair = is_a ? a->items[i] : b->items[i - a->count];
        size_t length = strcspn(pair, "=");
        const char *value_a = value_of(a, pair, length);
        const char *value_b = value_of(b, pair, length);
        bool is_same =
            value_a != NULL && value_b != NULL && strcmp(value_a, value_b) == 0;
        if (!is_same && (is_a || value_a == NULL)) {
            CLEANUP_FREE char *what = xasprintf("%s %.*s", word, (int)length, pair);
            add_fact(c, what, value_a, value_b);
        }
    }
}

static const struct metric *find_metric(const struct metrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->count; i++) {
        if (strcmp(metrics->items[i].name, name) == 0) {
            return &metrics->items[i];
        }
    }
    return NULL;
}

/* NULL of NULL; malloc'ed. */
static char *latest_text(const struct metric *metric)
{
    struct strbuf text;
    if (metric == NULL) {
        return NULL;
    }
    strbuf_init(&text, VALUE_MAX);
    metrics_format(metric->latest, &text);
    return strbuf_detach(&text);
}

static void compare_metrics(struct compare *c, const struct metrics *a,
                            const struct metrics *b)
{
    for (size_t i = 0; i < a->count + b->count; i++) {
        bool is_a = i < a->count;
        const char *name = is_a ? a->items[i].name : b->items[i - a->count].name;
        const struct metric *metric_a = find_metric(a, name);
        CLEANUP_FREE char *text_a = latest_text(metric_a);
        CLEANUP_FREE char *text_b = latest_text(find_metric(b, name));
        bool is_same = text_a != NULL && text_b != NULL && strcmp(text_a, text_b) == 0;
        if (!is_same && (is_a || metric_a == NULL)) {
            CLEANUP_FREE char *what = xasprintf("metric %s", name);
            add_fact(c, what, text_a, text_b);
        }
    }
}

/* ---- the environment ---- */

/* Append what was installed for the run. False: it is not at home. */
static bool read_lock(const struct home *home, const char *id, struct strvec *out)
{
    CLEANUP_STRBUF struct strbuf text;
    CLEANUP_FREE char *name =
        xasprintf("runs/%s/%s", id, run_file_name(RUN_FILE_ENVIRONMENT_LOCK));
    CLEANUP_FREE char *path = home_path(home, name);
    strbuf_init(&text, LOCK_MAX);
    if (files_read(AT_FDCWD, path, &text, NULL) != 0 || text.length == 0) {
        return false;
    }
    environment_lock_lines(text.data, out);
    return true;
}

static void compare_environments(struct compare *c, const struct home *home,
                                 const struct side *a, const struct side *b)
{
    CLEANUP_STRVEC struct strvec lines_a = STRVEC_INIT, lines_b = STRVEC_INIT;
    if (read_lock(home, a->run->id, &lines_a) && read_lock(home, b->run->id, &lines_b)) {
        (void)environment_lines_differ(&lines_a, &lines_b, &c->environment);
    }
}

/* ---- files ---- */

static int note_file(void *context, const char *path, const struct tree_entry *a,
                     const struct tree_entry *b, struct error *err)
{
    struct compare *c = context;
    const struct tree_entry *only = a == NULL ? b : b == NULL ? a : NULL;
    (void)err;
    if (c->files.count == COMPARE_FILES_MAX) {
        c->files_left_out++;
        return 0;
    }
    strvec_pushf(&c->files, "%c %s%s",
                 a == NULL   ? '+'
                 : b == NULL ? '-'
                             : '~',
                 path, only != NULL && only->kind == TREE_FOLDER ? "/" : "");
    return 0;
}

/* Both snapshots have to be here still, and stay while they are read. */
static int compare_files(struct compare *c, struct store *store, const struct side *a,
                         const struct side *b, struct error *err)
{
    const struct side *const sides[] = {a, b};
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
        if (!sides[i]->has_spec) {
            return error_set(err, ERR_VERSION, "%s was specified by a newer errand",
                             sides[i]->run->id);
        }
    }
    if (oid_equal(&a->spec.root, &b->spec.root)) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
        if (!store_use_root(store, &sides[i]->spec.root)) {
            return error_set(err, ERR_NOT_FOUND,
                             "the snapshot of %s is not here any more",
                             sides[i]->run->id);
        }
    }
    const struct object_source source = store_source(store);
    return treediff_visit(&source, &a->spec.root, &b->spec.root, note_file, c, err);
}

/* ---- all of it ---- */

int compare_runs(struct command_context *context, const struct history_run *a,
                 const struct history_run *b, struct compare *out, struct error *err)
{
    CLEANUP(side_release) struct side side_a = {.run = NULL};
    CLEANUP(side_release) struct side side_b = {.run = NULL};
    if (command_store(context, err) == NULL) {
        return -1;
    }
    side_init(&side_a, context->home, a);
    side_init(&side_b, context->home, b);
    compare_facts(out, &side_a, &side_b);
    compare_pairs(out, "variable", &side_a.spec.variables, &side_b.spec.variables);
    compare_pairs(out, "tag", &a->tags, &b->tags);
    compare_metrics(out, &side_a.metrics, &side_b.metrics);
    compare_environments(out, context->home, &side_a, &side_b);
    (void)compare_files(out, context->store, &side_a, &side_b, &out->no_files);
    return 0;
}

void compare_release(struct compare *compare)
{
    for (size_t i = 0; i < compare->fact_count; i++) {
        free(compare->facts[i].what);
        free(compare->facts[i].a);
        free(compare->facts[i].b);
    }
    free(compare->facts);
    strvec_release(&compare->environment);
    strvec_release(&compare->files);
    *compare = (struct compare){.facts = NULL};
}
