/* history_read: what history knows.            [controller] */
#include "common/cli.h"
#include "controller/history_file.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 8     /* of the runs that a prefix may mean */
#define NEAREST_MAX 500 /* of the last runs, where a name is looked for nearby */

void history_run_init(struct history_run *run)
{
    *run = (struct history_run){.id = ""};
    run_status_init(&run->status);
}

void history_run_release(struct history_run *run)
{
    free(run->store);
    free(run->node);
    free(run->experiment);
    free(run->target);
    free(run->project);
    free(run->spec);
    free(run->note);
    strvec_release(&run->lines);
    strvec_release(&run->tags);
    gitinfo_release(&run->git);
    run_status_release(&run->status);
    history_run_init(run);
}

static char *copy_text(struct sql_query *query, int column)
{
    const char *text = sql_text(query, column);
    return xstrdup(text == NULL ? "" : text);
}

/* NULL: null. */
static char *copy_known(struct sql_query *query, int column)
{
    const char *text = sql_text(query, column);
    return text == NULL ? NULL : xstrdup(text);
}

/* Journal lines of the run, and the status that they give. */
static int load_lines(struct history *h, struct history_run *run, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(run->store), SQL_TEXT(run->id)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query = sql_query(
        h->db, "SELECT line FROM states WHERE store = ?1 AND run = ?2 ORDER BY seq",
        values, ARRAY_SIZE(values), err);
    if (query == NULL) {
        return -1;
    }
    for (;;) {
        int rc = sql_step(query, err);
        if (rc <= 0) {
            return rc;
        }
        const char *line = sql_text(query, 0);
        if (line == NULL) {
            continue;
        }
        strvec_push(&run->lines, line);
        if (run_status_take(&run->status, line, strlen(line), err) != 0) {
            return error_wrap(err, "%s: run %s", h->path, run->id);
        }
    }
}

/* What was said of it while it went on. */
static void take_engine(struct history_run *run, const char *text)
{
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    if (j != NULL && !run_state_is_final(run->status.state)) {
        (void)run_engine_from_json(j, &run->status.engine, NULL);
    }
}

static int load_tags(struct history *h, struct history_run *run, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(run->store), SQL_TEXT(run->id)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query = sql_query(
        h->db, "SELECT key, value FROM tags WHERE store = ?1 AND run = ?2 ORDER BY key",
        values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    for (; rc > 0; rc = sql_step(query, err)) {
        CLEANUP_FREE char *key = copy_text(query, 0);
        CLEANUP_FREE char *value = copy_text(query, 1);
        if (strcmp(key, HISTORY_ENGINE_TAG) == 0) {
            take_engine(run, value);
        } else if (strcmp(key, HISTORY_NOTE_TAG) != 0) {
            strvec_pushf(&run->tags, "%s=%s", key, value);
        } else if (run->note == NULL) {
            run->note = TAKE_PTR(value);
        }
    }
    return rc;
}

static int load_git(struct history *h, struct history_run *run, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(run->store), SQL_TEXT(run->id)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT repository, branch, commit_id, is_dirty FROM git"
                  " WHERE store = ?1 AND run = ?2",
                  values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc > 0) {
        run->git = (struct gitinfo){.repository = copy_known(query, 0),
                                    .branch = copy_known(query, 1),
                                    .commit = copy_known(query, 2),
                                    .is_dirty = sql_integer(query, 3) != 0};
    }
    return rc < 0 ? -1 : 0;
}

/* Where the row says that the run is over and the journal does not, it was given up. */
static int take_verdict(struct history_run *run, struct sql_query *query,
                        struct error *err)
{
    enum run_state state = RUN_STARTING;
    const char *name = sql_text(query, 10), *kind = sql_text(query, 11);
    if (run_state_parse(name == NULL ? "" : name, &state, err) != 0) {
        return -1;
    }
    if (!run_state_is_final(state) && run->store[0] == '\0') {
        free(run->status.reason);
        run->status.reason = xstrdup("not accepted yet, as far as is known here");
        return 0;
    }
    if (!run_state_is_final(state) || run_state_is_final(run->status.state)) {
        return 0;
    }
    run->is_given_up = state == RUN_CANCELED;
    run->status.state = state;
    run->status.ended_utc_ms = sql_integer(query, 13);
    free(run->status.reason);
    run->status.reason = copy_text(query, 14);
    CLEANUP_JSON struct json *exit = json_new_object();
    json_add_string(exit, "kind", kind == NULL ? "unknown" : kind);
    json_add_integer(exit, "code", sql_integer(query, 12));
    return run_exit_from_json(exit, &run->status.exit, err);
}

void history_run_reopen(struct history_run *run)
{
    if (!run->is_given_up) {
        return;
    }
    run->is_given_up = false;
    run_status_release(&run->status);
    run_status_init(&run->status);
    for (size_t i = 0; i < run->lines.count; i++) {
        const char *line = run->lines.items[i];
        (void)run_status_take(&run->status, line, strlen(line), NULL);
    }
}

static int take_row(struct history *h, struct sql_query *query, struct history_run *out,
                    struct error *err)
{
    const char *id = sql_text(query, 0);
    if (id == NULL || strlen(id) >= sizeof out->id) {
        return error_set(err, ERR_CORRUPT, "%s: a run without a proper id", h->path);
    }
    memcpy(out->id, id, strlen(id) + 1);
    out->store = copy_text(query, 1);
    out->experiment = copy_text(query, 2);
    out->target = copy_text(query, 3);
    out->project = copy_text(query, 4);
    const void *spec = sql_blob(query, 5, &out->spec_length);
    out->spec = out->spec_length == 0 ? xstrdup("") : xstrndup(spec, out->spec_length);
    out->created_utc_ms = sql_integer(query, 6);
    out->sent_files = (uint64_t)sql_integer(query, 7);
    out->sent_bytes = (uint64_t)sql_integer(query, 8);
    out->collected_utc_ms = sql_integer(query, 9);
    out->node = copy_text(query, 15);
    return load_lines(h, out, err) != 0 || load_tags(h, out, err) != 0 ||
                   load_git(h, out, err) != 0
               ? -1
               : take_verdict(out, query, err);
}

int history_load(struct history *h, const char *id, struct history_run *out,
                 struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT r.id, r.store, e.name, r.target, r.project, r.spec, r.created,"
                  " r.sent_files, r.sent_bytes, r.collected, r.state, r.exit_kind,"
                  " r.exit_code, r.ended, r.reason, r.node"
                  " FROM runs r LEFT JOIN experiments e ON e.id = r.experiment"
                  " WHERE r.id = ?1",
                  values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc == 0) {
        return error_set(err, ERR_NOT_FOUND, "there is no run %s", id);
    }
    return rc < 0 ? -1 : take_row(h, query, out, err);
}

/* Append the ids that a query gives, in its one column. */
static int list_ids(struct history *h, const char *text, const struct sql_value *values,
                    size_t count, struct strvec *out, struct error *err)
{
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db, text, values, count, err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    for (; rc > 0; rc = sql_step(query, err)) {
        const char *id = sql_text(query, 0);
        strvec_push(out, id == NULL ? "" : id);
    }
    return rc;
}

#define NOT_PREPARING                                                                    \
    " NOT EXISTS (SELECT 1 FROM tags WHERE tags.run = runs.id"                           \
    " AND tags.key = '" HISTORY_PREPARATION_TAG "')"

/* Accepted by a node; or sent to one, whose answer did not come. */
#define LAST_RUN                                                                         \
    "SELECT id FROM runs WHERE (store <> '' OR (node <> ''"                              \
    " AND state NOT IN ('Completed', 'Failed', 'Canceled'))) AND" NOT_PREPARING          \
    " ORDER BY created DESC, rowid DESC LIMIT 1"

static int find_last(struct history *h, struct strvec *ids, struct error *err)
{
    uint64_t count = 0;
    if (list_ids(h, LAST_RUN, NULL, 0, ids, err) != 0 ||
        (ids->count == 0 && history_count_runs(h, NULL, &count, err) != 0)) {
        return -1;
    }
    if (ids->count > 0) {
        return 0;
    }
    if (count == 0) {
        error_set(err, ERR_NOT_FOUND, "there is no run yet");
        return error_hint(err, "begin one with errand run");
    }
    error_set(err, ERR_NOT_FOUND, "no node was given a run yet");
    return error_hint(err, "errand list shows what was tried; begin one with errand run");
}

static int no_such_run(struct history *h, const char *name, struct error *err)
{
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    const struct sql_value values[] = {SQL_INTEGER(NEAREST_MAX)};
    if (list_ids(h, "SELECT id FROM runs ORDER BY created DESC LIMIT ?1", values,
                 ARRAY_SIZE(values), &ids, err) != 0) {
        return -1;
    }
    const char *near =
        cli_nearest(name, (const char *const *)strvec_argv(&ids), ids.count);
    if (near != NULL) {
        return error_set(err, ERR_NOT_FOUND, "there is no run \"%s\"; did you mean %s?",
                         name, near);
    }
    error_set(err, ERR_NOT_FOUND, "there is no run \"%.80s\"", name);
    return error_hint(
        err, "errand list shows the runs; @ is the last one that a node was given");
}

static int find_prefix(struct history *h, const char *name, struct strvec *ids,
                       struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(name), SQL_INTEGER(SHOWN_MAX + 1)};
    if (list_ids(h,
                 "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1"
                 " ORDER BY id <> ?1, created DESC, rowid DESC LIMIT ?2",
                 values, ARRAY_SIZE(values), ids, err) != 0) {
        return -1;
    }
    if (ids->count == 0) {
        return no_such_run(h, name, err);
    }
    if (ids->count == 1 || strcmp(ids->items[0], name) == 0) {
        return 0;
    }
    CLEANUP_STRBUF struct strbuf shown = STRBUF_INIT;
    for (size_t i = 0; i < ids->count && i < SHOWN_MAX; i++) {
        strbuf_printf(&shown, " %s", ids->items[i]);
    }
    strbuf_puts(&shown, ids->count > SHOWN_MAX ? " ..." : "");
    return error_set(err, ERR_USAGE, "\"%s\" may be each of:%s", name, shown.data);
}

int history_find(struct history *h, const char *name, struct history_run *out,
                 struct error *err)
{
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    if (name[0] == '\0') {
        return error_set(err, ERR_USAGE, "an empty name for a run");
    }
    int rc = strcmp(name, "@") == 0 ? find_last(h, &ids, err)
                                    : find_prefix(h, name, &ids, err);
    return rc != 0 ? -1 : history_load(h, ids.items[0], out, err);
}

/* Open: not over, or not all of it is at home. */
#define QUERY_RUNS                                                                       \
    "SELECT r.id FROM runs r LEFT JOIN experiments e ON e.id = r.experiment"             \
    " WHERE (?1 IS NULL OR r.target = ?1) AND (?2 IS NULL OR e.name = ?2)"               \
    " AND (?3 = 0 OR r.state NOT IN ('Completed', 'Failed', 'Canceled')"                 \
    "  OR (r.store <> '' AND r.collected IS NULL))"                                      \
    " AND (?5 = 0 OR NOT EXISTS (SELECT 1 FROM tags WHERE tags.run = r.id"               \
    "  AND tags.key = '" HISTORY_PREPARATION_TAG "'))"                                   \
    " ORDER BY r.created DESC, r.rowid DESC LIMIT ?4"

int history_visit(struct history *h, const struct history_query *query,
                  history_visitor *visit, void *context, struct error *err)
{
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    const struct sql_value values[] = {
        SQL_TEXT(query->target), SQL_TEXT(query->experiment),
        SQL_INTEGER(query->only_open), SQL_INTEGER(query->limit == 0 ? -1 : query->limit),
        SQL_INTEGER(query->skips_preparations)};
    if (list_ids(h, QUERY_RUNS, values, ARRAY_SIZE(values), &ids, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ids.count; i++) {
        struct history_run run;
        history_run_init(&run);
        int rc = history_load(h, ids.items[i], &run, err);
        if (rc == 0) {
            rc = visit(context, &run, err);
        }
        history_run_release(&run);
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

int history_open_roots(struct history *h, struct strvec *out, struct error *err)
{
    return list_ids(h,
                    "SELECT DISTINCT snapshot_root FROM runs WHERE store <> ''"
                    " AND state NOT IN ('Completed', 'Failed', 'Canceled')",
                    NULL, 0, out, err);
}

int history_count_runs(struct history *h, const char *experiment, uint64_t *out,
                       struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(experiment)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT count(*) FROM runs r JOIN experiments e ON e.id = r.experiment"
                  " WHERE ?1 IS NULL OR e.name = ?1",
                  values, ARRAY_SIZE(values), err);
    if (query == NULL || sql_step(query, err) < 0) {
        return -1;
    }
    *out = (uint64_t)sql_integer(query, 0);
    return 0;
}

/* The digest that a query gives, in its one row and column; zero where there is none. */
static int find_root(struct history *h, const char *text, const struct sql_value *values,
                     size_t count, struct oid *out, struct error *err)
{
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db, text, values, count, err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc < 0) {
        return -1;
    }
    *out = (struct oid){0};
    const char *hex = rc == 0 ? NULL : sql_text(query, 0);
    return hex == NULL ? 0 : oid_from_hex(hex, out, err);
}

int history_last_root(struct history *h, const char *target, const char *store,
                      struct oid *out, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(target), SQL_TEXT(store)};
    return find_root(h, "SELECT last_root FROM targets WHERE name = ?1 AND store = ?2",
                     values, ARRAY_SIZE(values), out, err);
}

int history_base_root(struct history *h, const char *target, const char *store,
                      const char *project, struct oid *out, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(store), SQL_TEXT(project)};
    if (find_root(h,
                  "SELECT snapshot_root FROM runs WHERE store = ?1 AND project = ?2"
                  " AND files > 0"
                  " ORDER BY created DESC, rowid DESC LIMIT 1",
                  values, ARRAY_SIZE(values), out, err) != 0) {
        return -1;
    }
    return oid_is_zero(out) ? history_last_root(h, target, store, out, err) : 0;
}

int history_seen(struct history *h, const char *target, const char *store,
                 int64_t *out_utc_ms, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(target), SQL_TEXT(store)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db, "SELECT seen FROM targets WHERE name = ?1 AND store = ?2",
                  values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc < 0) {
        return -1;
    }
    *out_utc_ms = rc == 0 ? 0 : sql_integer(query, 0);
    return 0;
}

int history_prepared_spec(struct history *h, const char *store, const char *project,
                          struct strbuf *out, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(store), SQL_TEXT(project)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT runs.spec FROM runs JOIN environments ON environments.run ="
                  " runs.id AND environments.store = runs.store WHERE runs.store = ?1"
                  " AND runs.project = ?2 AND runs.exit_kind IS NOT 'environment_failed' "
                  "ORDER BY runs.created DESC, runs.rowid DESC"
                  " LIMIT 1",
                  values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc <= 0) {
        return rc;
    }
    size_t length = 0;
    const void *bytes = sql_blob(query, 0, &length);
    return strbuf_add(out, bytes, length, err);
}

int history_environment_experiment(struct history *h, const char *store,
                                   const char *identity, struct strbuf *out,
                                   struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(store), SQL_TEXT(identity)};
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db,
                  "SELECT experiments.name FROM environments JOIN runs ON runs.id ="
                  " environments.run AND runs.store = environments.store JOIN experiments"
                  " ON experiments.id = runs.experiment WHERE environments.store = ?1"
                  " AND environments.identity = ?2"
                  " ORDER BY runs.created DESC, runs.rowid DESC LIMIT 1",
                  values, ARRAY_SIZE(values), err);
    int rc = query == NULL ? -1 : sql_step(query, err);
    if (rc > 0) {
        strbuf_puts(out, sql_text(query, 0));
    }
    return rc < 0 ? -1 : 0;
}
