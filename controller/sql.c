#include "controller/sql.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 30000

struct sql {
    sqlite3 *db;
    char *path;
};

struct sql_query {
    struct sql *db;
    sqlite3_stmt *statement;
};

/* A sentence for what SQLite said last. Returns -1. */
static int fail(const struct sql *db, int rc, struct error *err)
{
    const char *path = db->path;
    switch (rc & 0xff) { /* the primary code: https://sqlite.org/rescode.html */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        error_set(err, ERR_BUSY, "%s: another program has held it for %d s", path,
                  BUSY_TIMEOUT_MS / 1000);
        return error_hint(err, "try again later");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        error_set(err, ERR_CORRUPT, "%s is damaged: %s", path, sqlite3_errmsg(db->db));
        return error_hint(err, "move it away to start anew; runs on the nodes and files "
                               "in runs/ are not touched");
    case SQLITE_FULL:
        return error_set(err, ERR_NO_SPACE, "%s: no space left", path);
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_SHMSIZE || sqlite3_system_errno(db->db) == ENOSPC) {
            return error_set(err, ERR_NO_SPACE, "%s: no space left", path);
        }
        break;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
        return error_set(err, ERR_ACCESS, "%s: %s", path, sqlite3_errmsg(db->db));
    case SQLITE_CONSTRAINT:
        return error_set(err, ERR_EXISTS, "%s: %s", path, sqlite3_errmsg(db->db));
    case SQLITE_TOOBIG:
        return error_set(err, ERR_LIMIT, "%s: %s", path, sqlite3_errmsg(db->db));
    case SQLITE_NOMEM:
        mem_abort("out of memory");
    }
    return error_set(err, ERR_IO, "%s: %s", path, sqlite3_errmsg(db->db));
}

/* SQLite would make the file 0644. */
static int make_file(const char *path, struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0 && errno != EACCES && errno != EROFS) {
        return error_sys(err, "open %s", path);
    }
    return 0;
}

/*
 * SQLite would remove the files beside the database (-wal, -shm) with the last
 * connection, and could not even read it on a full disk without making them again. Kept,
 * they also have room for a few changes.
 * https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html, SQLITE_FCNTL_PERSIST_WAL;
 * https://sqlite.org/pragma.html#pragma_journal_size_limit
 */
static void keep_room(struct sql *db)
{
    int is_on = 1;
    (void)sqlite3_file_control(db->db, NULL, SQLITE_FCNTL_PERSIST_WAL, &is_on);
    (void)sqlite3_exec(db->db, "PRAGMA journal_size_limit = 131072", NULL, NULL, NULL);
}

struct sql *sql_open(const char *path, struct error *err)
{
    if (make_file(path, err) != 0) {
        return NULL;
    }
    __attribute__((cleanup(sql_cleanup))) struct sql *db = xcalloc(1, sizeof *db);
    db->path = xstrdup(path);
    int rc = sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE, NULL);
    if (db->db == NULL) {
        mem_abort("out of memory");
    }
    if (rc != SQLITE_OK) {
        fail(db, rc, err);
        return NULL;
    }
    sqlite3_busy_timeout(db->db, BUSY_TIMEOUT_MS);
    keep_room(db);
    return TAKE_PTR(db);
}

void sql_free(struct sql *db)
{
    if (db != NULL) {
        sqlite3_close_v2(db->db);
        free(db->path);
        free(db);
    }
}

int sql_script(struct sql *db, const char *script, struct error *err)
{
    int rc = sqlite3_exec(db->db, script, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

static int bind(sqlite3_stmt *statement, int index, const struct sql_value *value)
{
    switch (value->kind) {
    case SQL_KIND_NULL:
        return sqlite3_bind_null(statement, index);
    case SQL_KIND_TEXT:
        return sqlite3_bind_text(statement, index, value->data, -1, SQLITE_STATIC);
    case SQL_KIND_BLOB:
        return sqlite3_bind_blob64(statement, index, value->data, value->length,
                                   SQLITE_STATIC);
    case SQL_KIND_INTEGER:
        return sqlite3_bind_int64(statement, index, value->number);
    }
    return SQLITE_MISUSE;
}

struct sql_query *sql_query(struct sql *db, const char *text,
                            const struct sql_value *values, size_t count,
                            struct error *err)
{
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        xcalloc(1, sizeof *query);
    query->db = db;
    int rc = sqlite3_prepare_v2(db->db, text, -1, &query->statement, NULL);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        rc = bind(query->statement, (int)i + 1, &values[i]);
    }
    if (rc != SQLITE_OK) {
        fail(db, rc, err);
        return NULL;
    }
    return TAKE_PTR(query);
}

void sql_query_free(struct sql_query *query)
{
    if (query != NULL) {
        sqlite3_finalize(query->statement);
        free(query);
    }
}

int sql_step(struct sql_query *query, struct error *err)
{
    int rc = sqlite3_step(query->statement);
    if (rc == SQLITE_ROW) {
        return 1;
    }
    return rc == SQLITE_DONE ? 0 : fail(query->db, rc, err);
}

int sql_do(struct sql *db, const char *text, const struct sql_value *values, size_t count,
           struct error *err)
{
    __attribute__((cleanup(sql_query_cleanup))) struct sql_query *query =
        sql_query(db, text, values, count, err);
    return query == NULL || sql_step(query, err) < 0 ? -1 : 0;
}

int64_t sql_changes(const struct sql *db)
{
    return sqlite3_changes(db->db);
}

const char *sql_text(struct sql_query *query, int column)
{
    return (const char *)sqlite3_column_text(query->statement, column);
}

const void *sql_blob(struct sql_query *query, int column, size_t *out_length)
{
    const void *data = sqlite3_column_blob(query->statement, column);
    *out_length = (size_t)sqlite3_column_bytes(query->statement, column);
    return data;
}

int64_t sql_integer(struct sql_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

int sql_begin(struct sql *db, struct error *err)
{
    return sql_script(db, "BEGIN IMMEDIATE", err);
}

int sql_commit(struct sql *db, struct error *err)
{
    return sql_script(db, "COMMIT", err);
}

void sql_rollback(struct sql *db)
{
    if (!sqlite3_get_autocommit(db->db)) {
        (void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int sql_set_durable(struct sql *db, bool is_durable, struct error *err)
{
    return sql_script(
        db, is_durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
        err);
}
