#include "controller/trust.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TRUST_FORMAT 1
#define TRUST_SIZE_MAX ((size_t)4 << 20)
#define TRUST_FILES_MAX 10000
#define LOCK_DEADLINE_MS 10000

void trust_claim_release(struct trust_claim *claim)
{
    free(claim->path);
    strvec_release(&claim->lines);
    *claim = (struct trust_claim){.path = NULL};
}

/* trust.json as it is, or an empty one. NULL: err. */
static struct json *load(const char *path, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, TRUST_SIZE_MAX);
    struct error inner = ERROR_INIT;
    if (files_read(AT_FDCWD, path, &text, &inner) != 0) {
        if (inner.code != ERR_NOT_FOUND) {
            error_set(err, inner.code, "%s", inner.text);
            return NULL;
        }
        struct json *empty = json_new_object();
        json_add_integer(empty, "format", TRUST_FORMAT);
        json_add(empty, "files", json_new_array());
        return empty;
    }
    CLEANUP_JSON struct json *j = json_parse(text.data, text.length, err);
    int64_t format = 0;
    const struct json *files = NULL;
    if (j == NULL ||
        json_get_integer(j, "trust.json", "format", 1, INT32_MAX, &format, err) != 0 ||
        json_get_array(j, "trust.json", "files", TRUST_FILES_MAX, &files, err) != 0) {
        error_wrap(err, "read %s", path);
        error_hint(err, "remove the file: what was trusted will be asked about again");
        return NULL;
    }
    if (format > TRUST_FORMAT) {
        error_set(err, ERR_VERSION, "%s was written by a newer errand (format %lld)",
                  path, (long long)format);
        return NULL;
    }
    return TAKE_PTR(j);
}

/* What was agreed to: a file and the digest of its values, which is borrowed. */
struct trust_record {
    struct strbuf path;
    const char *digest;
    int64_t utc_ms;
};

/* False where it is no record: it counts for nothing and is not kept. */
static bool read_record(const struct json *j, struct trust_record *out)
{
    return json_get_bytes(j, "trust.json", "path", &out->path, NULL) == 0 &&
           strlen(out->path.data) == out->path.length &&
           json_get_string(j, "trust.json", "digest", &out->digest, NULL) == 0 &&
           json_get_time(j, "trust.json", "time", &out->utc_ms, NULL) == 0;
}

static void record_release(struct trust_record *record)
{
    strbuf_release(&record->path);
}

int trust_check(const struct home *home, struct trust_claim *claim, struct error *err)
{
    CLEANUP_FREE char *path = home_path(home, "trust.json");
    CLEANUP_JSON struct json *j = load(path, err);
    if (j == NULL) {
        return -1;
    }
    claim->is_trusted = false;
    const struct json *item = json_first(json_get(j, "files"));
    for (; item != NULL; item = json_next(item)) {
        CLEANUP(record_release) struct trust_record record = {.path = STRBUF_INIT};
        if (read_record(item, &record) && strcmp(record.path.data, claim->path) == 0 &&
            strcmp(record.digest, claim->digest) == 0) {
            claim->is_trusted = true;
        }
    }
    return 0;
}

static void append_record(struct json *files, const char *path, const char *digest,
                          int64_t utc_ms)
{
    struct json *record = json_append(files, json_new_object());
    json_add_bytes(record, "path", path, strlen(path));
    json_add_string(record, "digest", digest);
    json_add_time(record, "time", utc_ms);
}

/* Copy the records of j to files, those of path left out. Returns whether there was one.
 */
static bool copy_others(const struct json *j, const char *path, struct json *files)
{
    bool was_there = false;
    const struct json *item = json_first(json_get(j, "files"));
    for (; item != NULL; item = json_next(item)) {
        CLEANUP(record_release) struct trust_record record = {.path = STRBUF_INIT};
        if (!read_record(item, &record)) {
            continue;
        }
        if (strcmp(record.path.data, path) == 0) {
            was_there = true;
        } else {
            append_record(files, record.path.data, record.digest, record.utc_ms);
        }
    }
    return was_there;
}

/* Put digest (NULL: nothing) in place of what is recorded for path. */
static int replace(const struct home *home, const char *path, const char *digest,
                   bool *out_was_there, struct error *err)
{
    CLEANUP_FREE char *file = home_path(home, "trust.json");
    CLEANUP_FREE char *lock_file = home_path(home, "trust.lock");
    CLEANUP_FD int lock = files_lock(AT_FDCWD, lock_file, true, LOCK_DEADLINE_MS, err);
    if (lock < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *old = load(file, err);
    if (old == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *new = json_new_object();
    json_add_integer(new, "format", TRUST_FORMAT);
    struct json *files = json_add(new, "files", json_new_array());
    *out_was_there = copy_others(old, path, files);
    if (digest != NULL) {
        append_record(files, path, digest, clock_utc_ms());
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(new, true, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(AT_FDCWD, file, text.data, text.length, 0600, err);
}

int trust_add(const struct home *home, struct trust_claim *claim, struct error *err)
{
    bool was_there = false;
    if (replace(home, claim->path, claim->digest, &was_there, err) != 0) {
        return -1;
    }
    claim->is_trusted = true;
    return 0;
}

int trust_remove(const struct home *home, const char *path, bool *out_was_there,
                 struct error *err)
{
    return replace(home, path, NULL, out_was_there, err);
}

void trust_show(const struct trust_claim *claim, struct terminal *terminal)
{
    terminal_show(terminal,
                  "%s has values that count only once you agree to them:", claim->path);
    for (size_t i = 0; i < claim->lines.count; i++) {
        terminal_show(terminal, "  %s", claim->lines.items[i]);
    }
}

int trust_ask(const struct home *home, struct trust_claim *claim,
              struct terminal *terminal, struct error *err)
{
    bool is_yes = false;
    if (terminal != NULL && terminal_can_ask(terminal)) {
        trust_show(claim, terminal);
        if (terminal_ask_yes_no(terminal, "Trust these values?", false, NULL, NULL,
                                &is_yes, err) != 0) {
            return -1;
        }
    }
    if (!is_yes) {
        error_set(err, ERR_UNTRUSTED,
                  "%s has values that count only once you have seen them: %s%s",
                  claim->path, claim->lines.items[0],
                  claim->lines.count > 1 ? " ..." : "");
        return error_hint(err, "see them and agree with: errand trust");
    }
    return trust_add(home, claim, err);
}
