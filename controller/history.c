#include "controller/history.h"

#include "common/clock.h"
#include "common/files.h"
#include "controller/history_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_DEADLINE_MS 30000

/* FORMATS.md 5.2. */
static const char schema[] =
    "CREATE TABLE experiments ("
    " id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, created INTEGER NOT NULL);"
    "CREATE TABLE targets ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL, node TEXT, store TEXT, facts TEXT,"
    " last_root TEXT, seen INTEGER, UNIQUE (name, store));"
    "CREATE TABLE runs ("
    " id TEXT NOT NULL, store TEXT NOT NULL, experiment INTEGER NOT NULL,"
    " target TEXT NOT NULL, node TEXT, spec BLOB NOT NULL, spec_digest TEXT NOT NULL,"
    " created INTEGER NOT NULL, accepted INTEGER, state TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, exit_kind TEXT, exit_code INTEGER, exit_signal TEXT,"
    " reason TEXT, started INTEGER, ended INTEGER, snapshot_root TEXT NOT NULL,"
    " files INTEGER, size_bytes INTEGER, sent_files INTEGER, sent_bytes INTEGER,"
    " outputs_root TEXT, outputs_files INTEGER, outputs_bytes INTEGER,"
    " log_bytes INTEGER, collected INTEGER, project TEXT, PRIMARY KEY (store, id));"
    "CREATE INDEX runs_by_id ON runs (id);"
    "CREATE INDEX runs_by_created ON runs (created);"
    "CREATE TABLE states ("
    " store TEXT, run TEXT, seq INTEGER, attempt INTEGER, state TEXT, time INTEGER,"
    " reason TEXT, line TEXT, PRIMARY KEY (store, run, seq));"
    "CREATE TABLE logs ("
    " store TEXT, run TEXT, file TEXT, generation INTEGER, size_bytes INTEGER,"
    " PRIMARY KEY (store, run, file, generation));"
    "CREATE TABLE metrics ("
    " store TEXT, run TEXT, attempt INTEGER, name TEXT, step INTEGER, time INTEGER,"
    " value REAL, text TEXT);"
    "CREATE TABLE tags ("
    " store TEXT, run TEXT, key TEXT, value TEXT, PRIMARY KEY (store, run, key));"
    "CREATE TABLE git ("
    " store TEXT, run TEXT, repository TEXT, branch TEXT, commit_id TEXT,"
    " is_dirty INTEGER, PRIMARY KEY (store, run));"
    "CREATE TABLE environments ("
    " store TEXT, run TEXT, identity TEXT, build TEXT, lock TEXT,"
    " PRIMARY KEY (store, run));"
    "PRAGMA user_version = 1;";

/* Their rows follow a run to the store that accepts it. */
const char *const history_run_tables[] = {"states", "logs",         "metrics",
                                          "tags",   "environments", "git"};
const size_t history_run_tables_count = ARRAY_SIZE(history_run_tables);

/* ---- opening ---- */

static int read_schema(struct history *h, struct error *err)
{
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(h->db, "PRAGMA user_version", NULL, 0, err);
    if (query == NULL || sql_step(query, err) < 0) {
        return -1;
    }
    h->schema = sql_integer(query, 0);
    return 0;
}

/* Make the tables. WAL is set outside of a transaction and does not wait for others, so
 * that a lock of ours comes first. */
static int make_tables(struct history *h, const struct home *home, struct error *err)
{
    CLEANUP_FREE char *lock_path = home_path(home, "history.lock");
    CLEANUP_FD int lock = files_lock(AT_FDCWD, lock_path, true, LOCK_DEADLINE_MS, err);
    if (lock < 0 || read_schema(h, err) != 0) {
        return -1;
    }
    if (h->schema != 0) {
        return 0;
    }
    if (sql_script(h->db, "PRAGMA journal_mode = WAL", err) != 0 ||
        sql_begin(h->db, err) != 0) {
        return -1;
    }
    if (sql_script(h->db, schema, err) != 0 || sql_commit(h->db, err) != 0) {
        sql_rollback(h->db);
        return -1;
    }
    h->schema = HISTORY_SCHEMA;
    return 0;
}

struct history *history_open(const struct home *home, struct error *err)
{
    __attribute__((cleanup(history_cleanup))) struct history *h = xcalloc(1, sizeof *h);
    h->path = home_path(home, "history.db");
    h->db = sql_open(h->path, err);
    if (h->db == NULL || read_schema(h, err) != 0) {
        return NULL;
    }
    if (h->schema == 0 && make_tables(h, home, err) != 0) {
        return NULL;
    }
    return sql_set_durable(h->db, false, err) == 0 ? TAKE_PTR(h) : NULL;
}

void history_free(struct history *history)
{
    if (history != NULL) {
        sql_free(history->db);
        free(history->path);
        free(history);
    }
}

/* ---- writing ---- */

int history_begin(struct history *h, struct error *err)
{
    if (h->schema > HISTORY_SCHEMA) {
        error_set(err, ERR_VERSION,
                  "%s was written by a newer errand (schema %lld, this one knows %d); it "
                  "is only read",
                  h->path, (long long)h->schema, HISTORY_SCHEMA);
        return error_hint(err, "use the newer errand, or another ERRAND_HOME");
    }
    return sql_begin(h->db, err);
}

int history_finish(struct history *h, int result, struct error *err)
{
    if (result != 0 || sql_commit(h->db, err) != 0) {
        sql_rollback(h->db);
        return -1;
    }
    return 0;
}

/* The same, on the disk when it returns. */
static int finish_durable(struct history *h, int result, struct error *err)
{
    result = history_finish(h, result, err);
    struct error ignored = ERROR_INIT;
    (void)sql_set_durable(h->db, false, &ignored);
    return result;
}

static int begin_durable(struct history *h, struct error *err)
{
    return sql_set_durable(h->db, true, err) == 0 ? history_begin(h, err) : -1;
}

static int add_experiment(struct history *h, const char *name, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(name), SQL_INTEGER(clock_utc_ms())};
    return sql_do(h->db,
                  "INSERT INTO experiments (name, created) VALUES (?1, ?2)"
                  " ON CONFLICT (name) DO NOTHING",
                  values, ARRAY_SIZE(values), err);
}

static int add_tags(struct history *h, const struct runspec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->tags.count; i++) {
        const char *tag = spec->tags.items[i];
        size_t length = strcspn(tag, "=");
        CLEANUP_FREE char *key = xstrndup(tag, length);
        const struct sql_value values[] = {SQL_TEXT(spec->run), SQL_TEXT(key),
                                           SQL_TEXT(tag[length] ? tag + length + 1 : "")};
        if (sql_do(h->db,
                   "INSERT OR REPLACE INTO tags (store, run, key, value)"
                   " VALUES ('', ?1, ?2, ?3)",
                   values, ARRAY_SIZE(values), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int insert_run(struct history *h, const struct runspec *spec,
                      const void *spec_bytes, size_t spec_length, const char *target,
                      const char *project, struct error *err)
{
    char root[OID_HEX_SIZE], digest_hex[OID_HEX_SIZE];
    struct oid digest;
    oid_to_hex(&spec->root, root);
    oid_of_bytes(spec_bytes, spec_length, &digest);
    oid_to_hex(&digest, digest_hex);
    const struct sql_value values[] = {
        SQL_TEXT(spec->run),
        SQL_TEXT(spec->experiment),
        SQL_TEXT(target),
        SQL_BLOB(spec_bytes, spec_length),
        SQL_TEXT(digest_hex),
        SQL_INTEGER(spec->created_utc_ms),
        SQL_TEXT(run_state_name(RUN_STARTING)),
        SQL_TEXT(root),
        SQL_INTEGER(spec->files),
        SQL_INTEGER(spec->size_bytes),
        SQL_TEXT(project),
    };
    int rc = sql_do(h->db,
                    "INSERT INTO runs (id, store, experiment, target, spec, spec_digest,"
                    " created, state, attempt, snapshot_root, files, size_bytes, project)"
                    " SELECT ?1, '', id, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?11"
                    " FROM experiments WHERE name = ?2"
                    " AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1)",
                    values, ARRAY_SIZE(values), err);
    if (rc == 0 && sql_changes(h->db) == 0) {
        return error_set(err, ERR_EXISTS, "there is a run %s already", spec->run);
    }
    return rc;
}

int history_add_run(struct history *h, const struct runspec *spec, const void *spec_bytes,
                    size_t spec_length, const char *target, const char *project,
                    struct error *err)
{
    if (begin_durable(h, err) != 0) {
        return -1;
    }
    int rc = add_experiment(h, spec->experiment, err);
    if (rc == 0) {
        rc = insert_run(h, spec, spec_bytes, spec_length, target, project, err);
    }
    if (rc == 0) {
        rc = add_tags(h, spec, err);
    }
    return finish_durable(h, rc, err);
}

/* One statement about one run that must be there. */
static int update_run(struct history *h, const char *id, const char *text,
                      const struct sql_value *values, size_t count, struct error *err)
{
    if (sql_do(h->db, text, values, count, err) != 0) {
        return -1;
    }
    return sql_changes(h->db) > 0
               ? 0
               : error_set(err, ERR_NOT_FOUND, "there is no run %s", id);
}

static int move_rows(struct history *h, const char *id, const char *store,
                     struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(store)};
    for (size_t i = 0; i < history_run_tables_count; i++) {
        CLEANUP_FREE char *text =
            xasprintf("UPDATE %s SET store = ?2 WHERE run = ?1 AND store = ''",
                      history_run_tables[i]);
        if (sql_do(h->db, text, values, ARRAY_SIZE(values), err) != 0) {
            return -1;
        }
    }
    return 0;
}

int history_set_sent(struct history *h, const char *id, const char *node,
                     struct error *err)
{
    if (history_begin(h, err) != 0) {
        return -1;
    }
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(node)};
    int rc = update_run(h, id, "UPDATE runs SET node = ?2 WHERE id = ?1", values,
                        ARRAY_SIZE(values), err);
    return history_finish(h, rc, err);
}

int history_set_accepted(struct history *h, const char *id, const char *store,
                         const char *node, uint64_t sent_files, uint64_t sent_bytes,
                         struct error *err)
{
    if (begin_durable(h, err) != 0) {
        return -1;
    }
    const struct sql_value values[] = {
        SQL_TEXT(id),
        SQL_TEXT(store),
        SQL_TEXT(node),
        SQL_INTEGER(sent_files),
        SQL_INTEGER(sent_bytes),
        SQL_INTEGER(clock_utc_ms()),
        SQL_TEXT(run_state_name(RUN_STARTING)),
    };
    int rc = update_run(h, id,
                        "UPDATE runs SET store = ?2, node = ?3, sent_files = ?4,"
                        " sent_bytes = ?5, accepted = ?6,"
                        " state = CASE store WHEN '' THEN ?7 ELSE state END,"
                        " reason = CASE store WHEN '' THEN NULL ELSE reason END,"
                        " exit_kind = CASE store WHEN '' THEN NULL ELSE exit_kind END,"
                        " exit_code = CASE store WHEN '' THEN NULL ELSE exit_code END,"
                        " ended = CASE store WHEN '' THEN NULL ELSE ended END"
                        " WHERE id = ?1",
                        values, ARRAY_SIZE(values), err);
    if (rc == 0) {
        rc = move_rows(h, id, store, err);
    }
    return finish_durable(h, rc, err);
}

static int insert_line(struct history *h, const struct history_run *run, const char *line,
                       struct error *err)
{
    CLEANUP_JSON struct json *j = json_parse(line, strlen(line), err);
    if (j == NULL) {
        return -1;
    }
    int64_t utc_ms = 0;
    (void)json_get_time(j, "journal line", "time", &utc_ms, NULL);
    const struct sql_value values[] = {
        SQL_TEXT(run->store),
        SQL_TEXT(run->id),
        SQL_INTEGER(run->status.seq),
        SQL_INTEGER(run->status.attempt),
        SQL_TEXT(run_state_name(run->status.state)),
        SQL_INTEGER(utc_ms),
        SQL_TEXT(run->status.reason),
        SQL_TEXT(line),
    };
    return sql_do(h->db,
                  "INSERT INTO states (store, run, seq, attempt, state, time, reason,"
                  " line) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                  values, ARRAY_SIZE(values), err);
}

/* Write what the journal says into the run's row. */
static int update_row(struct history *h, const struct history_run *run, struct error *err)
{
    const struct run_status *s = &run->status;
    bool has_ended = s->exit.kind != RUN_EXIT_NONE;
    bool has_root = s->has_outputs && !oid_is_zero(&s->outputs_root);
    char root[OID_HEX_SIZE];
    oid_to_hex(&s->outputs_root, root);
    CLEANUP_JSON struct json *exit = run_exit_to_json(&s->exit);
    const struct json *code = json_get(exit, "code");
    const struct sql_value values[] = {
        SQL_TEXT(run->id),
        SQL_TEXT(run_state_name(s->state)),
        SQL_INTEGER(s->attempt),
        SQL_TEXT(has_ended ? json_string(json_get(exit, "kind")) : NULL),
        {.kind = code == NULL ? SQL_KIND_NULL : SQL_KIND_INTEGER,
         .number = json_integer(code)},
        SQL_TEXT(json_string(json_get(exit, "signal"))),
        SQL_TEXT(s->reason),
        SQL_POSITIVE(s->started_utc_ms),
        SQL_POSITIVE(s->ended_utc_ms),
        SQL_TEXT(has_root ? root : NULL),
        {.kind = s->has_outputs ? SQL_KIND_INTEGER : SQL_KIND_NULL,
         .number = (int64_t)s->outputs_files},
        {.kind = s->has_outputs ? SQL_KIND_INTEGER : SQL_KIND_NULL,
         .number = (int64_t)s->outputs_size_bytes},
        {.kind = s->ended_utc_ms != 0 ? SQL_KIND_INTEGER : SQL_KIND_NULL,
         .number = (int64_t)s->driver_log_bytes},
    };
    return update_run(h, run->id,
                      "UPDATE runs SET state = ?2, attempt = ?3, exit_kind = ?4,"
                      " exit_code = ?5, exit_signal = ?6, reason = ?7, started = ?8,"
                      " ended = ?9, outputs_root = ?10, outputs_files = ?11,"
                      " outputs_bytes = ?12, log_bytes = ?13 WHERE id = ?1",
                      values, ARRAY_SIZE(values), err);
}

/* Which environment the run has, as its journal said last. */
static int note_environment(struct history *h, const struct history_run *run,
                            struct error *err)
{
    const struct run_environment *e = &run->status.environment;
    const struct sql_value values[] = {
        SQL_TEXT(run->store),
        SQL_TEXT(run->id),
        SQL_TEXT(e->identity[0] != '\0' ? e->identity : NULL),
        SQL_TEXT(e->build[0] != '\0' ? e->build : NULL),
        SQL_TEXT(e->lock[0] != '\0' ? e->lock : NULL),
    };
    return run_environment_is_known(e)
               ? sql_do(h->db,
                        "INSERT OR REPLACE INTO environments (store, run, identity,"
                        " build, lock) VALUES (?1, ?2, ?3, ?4, ?5)",
                        values, ARRAY_SIZE(values), err)
               : 0;
}

/* run's status must be the journal's alone, without what giving up put over it. */
static int fold_stored(struct history_run *run, struct error *err)
{
    run_status_release(&run->status);
    for (size_t i = 0; i < run->lines.count; i++) {
        const char *line = run->lines.items[i];
        if (run_status_take(&run->status, line, strlen(line), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_lines(struct history *h, struct history_run *run,
                     const struct strvec *lines, struct error *err)
{
    int64_t first = run->status.seq;
    for (size_t i = 0; i < lines->count; i++) {
        int64_t before = run->status.seq;
        const char *line = lines->items[i];
        if (run_status_take(&run->status, line, strlen(line), err) != 0 ||
            (run->status.seq != before && insert_line(h, run, line, err) != 0)) {
            return error_wrap(err, "the journal of run %s", run->id);
        }
    }
    if (run->status.seq == first) {
        return 0;
    }
    return note_environment(h, run, err) != 0 ? -1 : update_row(h, run, err);
}

int history_add_lines(struct history *h, const char *id, const struct strvec *lines,
                      struct error *err)
{
    if (history_begin(h, err) != 0) {
        return -1;
    }
    struct history_run run;
    history_run_init(&run);
    int rc = history_load(h, id, &run, err);
    if (rc == 0) {
        rc = fold_stored(&run, err);
    }
    if (rc == 0) {
        rc = add_lines(h, &run, lines, err);
    }
    history_run_release(&run);
    return history_finish(h, rc, err);
}

int history_set_engine(struct history *h, const char *id, const struct run_engine *engine,
                       struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *j = run_engine_to_json(engine);
    json_write(j, false, &text);
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(HISTORY_ENGINE_TAG),
                                       SQL_TEXT(text.data)};
    bool is_known = run_engine_is_known(engine);
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc = sql_do(h->db,
                    is_known ? "INSERT OR REPLACE INTO tags (store, run, key, value)"
                               " SELECT store, id, ?2, ?3 FROM runs WHERE id = ?1"
                             : "DELETE FROM tags WHERE run = ?1 AND key = ?2",
                    values, is_known ? 3 : 2, err);
    return history_finish(h, rc, err);
}

int history_set_collected(struct history *h, const char *id, struct error *err)
{
    if (begin_durable(h, err) != 0) {
        return -1;
    }
    const struct sql_value values[] = {SQL_TEXT(id), SQL_INTEGER(clock_utc_ms())};
    int rc = update_run(h, id, "UPDATE runs SET collected = ?2 WHERE id = ?1", values,
                        ARRAY_SIZE(values), err);
    return finish_durable(h, rc, err);
}

int history_set_git(struct history *h, const char *id, const struct gitinfo *git,
                    struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(git->repository),
                                       SQL_TEXT(git->branch), SQL_TEXT(git->commit),
                                       SQL_INTEGER(git->is_dirty)};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc = sql_do(h->db,
                    "INSERT OR REPLACE INTO git"
                    " (store, run, repository, branch, commit_id, is_dirty)"
                    " SELECT store, id, ?2, ?3, ?4, ?5 FROM runs WHERE id = ?1",
                    values, ARRAY_SIZE(values), err);
    return history_finish(h, rc, err);
}

/* Over, as far as is known here. */
static int set_over(struct history *h, const char *id, enum run_state state,
                    const struct run_exit *exit, const char *reason, struct error *err)
{
    struct history_run run;
    history_run_init(&run);
    int rc = history_load(h, id, &run, err);
    bool is_over = rc == 0 && run_state_is_final(run.status.state) && !run.is_given_up;
    history_run_release(&run);
    if (rc != 0 || is_over) {
        return rc;
    }
    CLEANUP_JSON struct json *j = run_exit_to_json(exit);
    const struct sql_value values[] = {
        SQL_TEXT(id),
        SQL_TEXT(run_state_name(state)),
        SQL_TEXT(json_string(json_get(j, "kind"))),
        SQL_POSITIVE(exit->code),
        SQL_TEXT(reason),
        SQL_INTEGER(clock_utc_ms()),
    };
    return update_run(h, id,
                      "UPDATE runs SET state = ?2, exit_kind = ?3, exit_code = ?4,"
                      " exit_signal = NULL, reason = ?5, ended = ?6 WHERE id = ?1",
                      values, ARRAY_SIZE(values), err);
}

int history_set_not_started(struct history *h, const char *id, const char *reason,
                            struct error *err)
{
    const struct run_exit exit = {.kind = RUN_EXIT_COULD_NOT_START, .code = 125};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    return history_finish(h, set_over(h, id, RUN_FAILED, &exit, reason, err), err);
}

int history_set_given_up(struct history *h, const char *id, const char *reason,
                         struct error *err)
{
    const struct run_exit exit = {.kind = RUN_EXIT_UNKNOWN};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    return history_finish(h, set_over(h, id, RUN_CANCELED, &exit, reason, err), err);
}

int history_set_seen(struct history *h, const char *target, const char *store,
                     const char *node, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(target), SQL_TEXT(store), SQL_TEXT(node),
                                       SQL_INTEGER(clock_utc_ms())};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc = sql_do(h->db,
                    "INSERT INTO targets (name, store, node, seen)"
                    " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name, store) DO UPDATE"
                    " SET node = ?3, seen = ?4",
                    values, ARRAY_SIZE(values), err);
    return history_finish(h, rc, err);
}

int history_set_last_root(struct history *h, const char *target, const char *store,
                          const char *node, const struct oid *root, struct error *err)
{
    char hex[OID_HEX_SIZE];
    oid_to_hex(root, hex);
    const struct sql_value values[] = {SQL_TEXT(target), SQL_TEXT(store), SQL_TEXT(node),
                                       SQL_TEXT(hex), SQL_INTEGER(clock_utc_ms())};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc = sql_do(h->db,
                    "INSERT INTO targets (name, store, node, last_root, seen)"
                    " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name, store) DO UPDATE"
                    " SET node = ?3, last_root = ?4, seen = ?5",
                    values, ARRAY_SIZE(values), err);
    return history_finish(h, rc, err);
}
