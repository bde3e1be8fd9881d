/*
 * sql: one SQLite file, through the few calls that history needs.            [controller]
 *
 * The one user of sqlite3.h. A busy database is waited for; errors are sentences that
 * name the file. Statements are text with ?1, ?2 ...; values are given as an array:
 *
 *     const struct sql_value values[] = {SQL_TEXT(id), SQL_INTEGER(n)};
 *     sql_do(db, "UPDATE runs SET files = ?2 WHERE id = ?1", values, 2, err);
 *
 * Not thread-safe; many processes at once are safe.
 */
#ifndef CONTROLLER_SQL_H
#define CONTROLLER_SQL_H

#include "common/error.h"
#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sql_kind {
    SQL_KIND_NULL,
    SQL_KIND_TEXT,
    SQL_KIND_BLOB,
    SQL_KIND_INTEGER,
};

struct sql_value {
    enum sql_kind kind;
    const void *data; /* TEXT: NUL-terminated, or NULL for null */
    size_t length;    /* BLOB */
    int64_t number;
};

#define SQL_TEXT(text_)                                                                  \
    {                                                                                    \
        .kind = SQL_KIND_TEXT, .data = (text_)                                           \
    }
#define SQL_BLOB(data_, length_)                                                         \
    {                                                                                    \
        .kind = SQL_KIND_BLOB, .data = (data_), .length = (length_)                      \
    }
#define SQL_INTEGER(number_)                                                             \
    {                                                                                    \
        .kind = SQL_KIND_INTEGER, .number = (int64_t)(number_)                           \
    }
/* A number of which 0 means that there is none. */
#define SQL_POSITIVE(number_)                                                            \
    {                                                                                    \
        .kind = (number_) == 0 ? SQL_KIND_NULL : SQL_KIND_INTEGER,                       \
        .number = (int64_t)(number_)                                                     \
    }

struct sql;
struct sql_query;

/* Open the file, making it (0600) if need be. Errors: ERR_CORRUPT (no database),
 * ERR_ACCESS, ERR_IO. */
struct sql *sql_open(const char *path, struct error *err);
void sql_free(struct sql *db);
DEFINE_CLEANUP_FREE(sql)

/* Run statements without values. Errors: as sql_step. */
int sql_script(struct sql *db, const char *script, struct error *err);
/* Run one statement that gives no rows. Errors: as sql_step; ERR_EXISTS (a row of that
 * key is there). */
int sql_do(struct sql *db, const char *text, const struct sql_value *values, size_t count,
           struct error *err);

/* Rows that the last sql_do changed. */
int64_t sql_changes(const struct sql *db);

/* A statement that gives rows; text and blobs among values are borrowed until
 * sql_query_free. NULL: errors as sql_step. */
struct sql_query *sql_query(struct sql *db, const char *text,
                            const struct sql_value *values, size_t count,
                            struct error *err);
void sql_query_free(struct sql_query *query);
DEFINE_CLEANUP_FREE(sql_query)
/* 1: there is a row; 0: no more. Errors: ERR_BUSY (another program held the file for too
 * long), ERR_CORRUPT, ERR_NO_SPACE, ERR_ACCESS, ERR_IO. */
int sql_step(struct sql_query *query, struct error *err);
/* Columns of the row, from 0. Text and blob are borrowed until the next step; NULL for
 * null. A null is 0 as an integer. */
const char *sql_text(struct sql_query *query, int column);
const void *sql_blob(struct sql_query *query, int column, size_t *out_length);
int64_t sql_integer(struct sql_query *query, int column);

/* A transaction that may write: nobody else writes meanwhile. Not nested. Errors: as
 * sql_step. */
int sql_begin(struct sql *db, struct error *err);
int sql_commit(struct sql *db, struct error *err);
/* Undo since sql_begin; nothing where there is no transaction. */
void sql_rollback(struct sql *db);
/* Whether the following commits are on the disk when they return, or soon after. */
int sql_set_durable(struct sql *db, bool is_durable, struct error *err);

#endif
