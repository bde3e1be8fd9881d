/* history_edit: what a person says of runs afterwards.            [controller] */
#include "common/bytes.h"
#include "controller/history_file.h"

#include <string.h>

/* One statement for the run of that id, which is ?1. */
static int edit(struct history *h, const char *text, const struct sql_value *values,
                size_t count, struct error *err)
{
    struct history_run run;
    history_run_init(&run);
    int rc = history_load(h, values[0].data, &run, err);
    history_run_release(&run);
    return rc != 0 ? -1 : sql_do(h->db, text, values, count, err);
}

static int set_tag(struct history *h, const char *id, const char *key, const char *value,
                   struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(key), SQL_TEXT(value)};
    return edit(h,
                "INSERT OR REPLACE INTO tags (store, run, key, value)"
                " SELECT store, id, ?2, ?3 FROM runs WHERE id = ?1",
                values, ARRAY_SIZE(values), err);
}

static int remove_tag(struct history *h, const char *id, const char *key,
                      struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(key)};
    if (edit(h, "DELETE FROM tags WHERE run = ?1 AND key = ?2", values,
             ARRAY_SIZE(values), err) != 0) {
        return -1;
    }
    return sql_changes(h->db) > 0
               ? 0
               : error_set(err, ERR_NOT_FOUND, "%s has no tag \"%s\"", id, key);
}

/* key: its first length bytes are the tag's name. */
static int check_tag(const char *key, size_t length, const char *value, struct error *err)
{
    if (length == 0 || length > HISTORY_TAG_KEY_MAX) {
        return error_set(err, ERR_USAGE,
                         "tag \"%.60s\": its name has 1 to %d bytes before the \"=\"",
                         key, HISTORY_TAG_KEY_MAX);
    }
    if (strlen(value) > HISTORY_TAG_VALUE_MAX) {
        return error_set(err, ERR_LIMIT, "tag %.*s: longer than %d bytes", (int)length,
                         key, HISTORY_TAG_VALUE_MAX);
    }
    return bytes_is_utf8(key, strlen(key))
               ? 0
               : error_set(err, ERR_USAGE, "a tag's name and value are UTF-8");
}

static int apply(struct history *h, const char *id, const char *change, struct error *err)
{
    const char *equals = strchr(change, '=');
    size_t length = equals != NULL ? (size_t)(equals - change) : strlen(change);
    bool is_removal = equals == NULL && length > 0 && change[length - 1] == '-';
    if (equals == NULL && !is_removal) {
        error_set(err, ERR_USAGE, "tag \"%.60s\": it has the form KEY=VALUE", change);
        return error_hint(err, "KEY- takes one away");
    }
    CLEANUP_FREE char *key = xstrndup(change, length - is_removal);
    const char *value = is_removal ? "" : equals + 1;
    if (check_tag(change, strlen(key), value, err) != 0) {
        return -1;
    }
    return is_removal ? remove_tag(h, id, key, err) : set_tag(h, id, key, value, err);
}

static int check_count(struct history *h, const char *id, struct error *err)
{
    struct history_run run;
    history_run_init(&run);
    int rc = history_load(h, id, &run, err);
    if (rc == 0 && run.tags.count > HISTORY_TAGS_MAX) {
        rc = error_set(err, ERR_LIMIT, "%s would have more than %d tags", id,
                       HISTORY_TAGS_MAX);
    }
    history_run_release(&run);
    return rc;
}

int history_change_tags(struct history *h, const char *id, char *const *changes,
                        size_t count, struct error *err)
{
    int rc = history_begin(h, err);
    if (rc != 0) {
        return -1;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = apply(h, id, changes[i], err);
    }
    if (rc == 0) {
        rc = check_count(h, id, err);
    }
    return history_finish(h, rc, err);
}

int history_set_note(struct history *h, const char *id, const char *note,
                     struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id), SQL_TEXT(HISTORY_NOTE_TAG)};
    if (strlen(note) > HISTORY_NOTE_MAX) {
        return error_set(err, ERR_LIMIT, "the note is longer than %zu bytes",
                         HISTORY_NOTE_MAX);
    }
    if (!bytes_is_utf8(note, strlen(note))) {
        return error_set(err, ERR_USAGE, "the note is not UTF-8");
    }
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc = note[0] != '\0' ? set_tag(h, id, HISTORY_NOTE_TAG, note, err)
                             : edit(h, "DELETE FROM tags WHERE run = ?1 AND key = ?2",
                                    values, ARRAY_SIZE(values), err);
    return history_finish(h, rc, err);
}

int history_remove_run(struct history *h, const char *id, struct error *err)
{
    const struct sql_value values[] = {SQL_TEXT(id)};
    if (history_begin(h, err) != 0) {
        return -1;
    }
    int rc =
        sql_do(h->db, "DELETE FROM runs WHERE id = ?1", values, ARRAY_SIZE(values), err);
    if (rc == 0 && sql_changes(h->db) == 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no run %s", id);
    }
    for (size_t i = 0; rc == 0 && i < history_run_tables_count; i++) {
        CLEANUP_FREE char *text =
            xasprintf("DELETE FROM %s WHERE run = ?1", history_run_tables[i]);
        rc = sql_do(h->db, text, values, ARRAY_SIZE(values), err);
    }
    return history_finish(h, rc, err);
}
