#define _GNU_SOURCE /* memmem */
#include "common/yarn.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "common/mem.h"

static const char *const state_names[] = {
#define ROW(name) #name,
    YARN_STATE_TABLE(ROW)
#undef ROW
};
static const char *const final_names[] = {
#define ROW(name) #name,
    YARN_FINAL_TABLE(ROW)
#undef ROW
};
_Static_assert(ARRAY_SIZE(state_names) == YARN_STATE_OTHER, "a name for each state");
_Static_assert(ARRAY_SIZE(final_names) == YARN_FINAL_OTHER, "a name for each status");

const char *yarn_state_name(enum yarn_state state)
{
    return state < YARN_STATE_OTHER ? state_names[state] : "UNKNOWN";
}

const char *yarn_final_name(enum yarn_final final)
{
    return final < YARN_FINAL_OTHER ? final_names[final] : "UNKNOWN";
}

/* The index of name, or count. */
static unsigned index_of(const char *const *names, unsigned count, const char *name)
{
    unsigned i = 0;
    while (i < count && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

/* ---- The application */

static struct json *parse(const char *body, size_t length, struct error *err)
{
    struct error inner = ERROR_INIT;
    struct json *j = json_parse_lenient(body, length, &inner);
    if (j == NULL) {
        error_set(err, ERR_PROTOCOL, "the answer is not YARN's: %s", inner.text);
    }
    return j;
}

/* 0 where there is none, or it is negative. */
static int64_t take_count(const struct json *j, const char *key)
{
    int64_t value = json_integer(json_get(j, key));
    return value > 0 ? value : 0;
}

/* A list is an array; Hadoop 2's writer makes an object of one with one item. */
static const struct json *first_of(const struct json *list)
{
    return json_is_array(list) ? json_first(list) : json_is_object(list) ? list : NULL;
}

static const struct json *next_of(const struct json *list, const struct json *item)
{
    return json_is_array(list) ? json_next(item) : NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool yarn_id_is_valid(const char *id)
{
    static const char prefix[] = "application_";
    if (strncmp(id, prefix, strlen(prefix)) != 0 || strlen(id) >= YARN_ID_SIZE) {
        return false;
    }
    const char *rest = id + strlen(prefix);
    size_t stamp = strspn(rest, "0123456789");
    size_t number = rest[stamp] == '_' ? strspn(rest + stamp + 1, "0123456789") : 0;
    return stamp > 0 && number > 0 && rest[stamp + 1 + number] == '\0';
}

/* LogAggregationStatus: those that nothing follows. */
static bool is_collected(const char *status)
{
    static const char *const ends[] = {"SUCCEEDED", "FAILED", "TIME_OUT", "DISABLED"};
    return index_of(ends, ARRAY_SIZE(ends), status) < ARRAY_SIZE(ends);
}

static int take_app(const struct json *j, struct yarn_app *out, struct error *err)
{
    char name[64];
    memset(out, 0, sizeof(*out));
    json_copy_text(j, "id", out->id, sizeof(out->id));
    if (!yarn_id_is_valid(out->id)) {
        return error_set(err, ERR_PROTOCOL,
                         "the answer is not YARN's: it has no application's id");
    }
    json_copy_text(j, "state", name, sizeof(name));
    out->state = index_of(state_names, YARN_STATE_OTHER, name);
    json_copy_text(j, "finalStatus", name, sizeof(name));
    out->final = index_of(final_names, YARN_FINAL_OTHER, name);
    json_copy_text(j, "user", out->user, sizeof(out->user));
    json_copy_text(j, "queue", out->queue, sizeof(out->queue));
    json_copy_text(j, "trackingUrl", out->tracking_url, sizeof(out->tracking_url));
    json_copy_text(j, "amContainerLogs", out->driver_logs, sizeof(out->driver_logs));
    json_copy_text(j, "diagnostics", out->diagnostics, sizeof(out->diagnostics));
    out->started_utc_ms = take_count(j, "startedTime");
    out->finished_utc_ms = take_count(j, "finishedTime");
    out->containers = take_count(j, "runningContainers");
    json_copy_text(j, "logAggregationStatus", name, sizeof(name));
    out->are_logs_collected = is_collected(name);
    return 0;
}

int yarn_parse_app(const char *body, size_t length, struct yarn_app *out,
                   struct error *err)
{
    CLEANUP_JSON struct json *j = parse(body, length, err);
    if (j == NULL) {
        return -1;
    }
    return take_app(json_get(j, "app"), out, err);
}

int yarn_parse_apps(const char *body, size_t length, struct yarn_app *out,
                    size_t *out_count, struct error *err)
{
    CLEANUP_JSON struct json *j = parse(body, length, err);
    if (j == NULL) {
        return -1;
    }
    const struct json *apps = json_get(j, "apps");
    if (apps == NULL) {
        return error_set(err, ERR_PROTOCOL,
                         "the answer is not YARN's: it lists no applications");
    }
    const struct json *list = json_get(apps, "app");
    CLEANUP_FREE struct yarn_app *next = xmalloc(sizeof(*next));
    size_t count = 0;
    for (const struct json *item = first_of(list); item != NULL;
         item = next_of(list, item)) {
        if (take_app(item, next, err) < 0) {
            return -1;
        }
        if (count++ == 0 || next->started_utc_ms < out->started_utc_ms) {
            *out = *next;
        }
    }
    *out_count = count;
    return 0;
}

bool yarn_is_unknown(const char *body, size_t length)
{
    CLEANUP_JSON struct json *j = json_parse_lenient(body, length, NULL);
    const char *kind = json_string(json_get(json_get(j, "RemoteException"), "exception"));
    return kind != NULL && strcmp(kind, "NotFoundException") == 0;
}

bool yarn_is_standby(const char *body, size_t length)
{
    static const char words[] = "no active RM";
    return memmem(body, length, words, strlen(words)) != NULL;
}

/* ---- Containers */

/* The number between the two last but one underscores:
 * container[_eNN]_STAMP_APP_ATTEMPT_N. 0 where it is no such id. */
static int attempt_of(const char *id)
{
    static const char prefix[] = "container_";
    uint64_t attempt;
    size_t length = strlen(id);
    const char *end, *from;
    size_t fields = 0;
    for (const char *c = id; *c != '\0'; c++) {
        fields += *c == '_';
    }
    if (fields < 4 || strncmp(id, prefix, strlen(prefix)) != 0 ||
        id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0') {
        return 0;
    }
    for (end = id + length; end > id && end[-1] != '_'; end--) {
    }
    for (from = end - 1; from > id && is_digit(from[-1]); from--) {
    }
    if (from[-1] != '_' || end - 1 == from) {
        return 0;
    }
    CLEANUP_FREE char *number = xstrndup(from, (size_t)(end - 1 - from));
    return bytes_parse_u64(number, 100000, &attempt, NULL) < 0 ? 0 : (int)attempt;
}

int yarn_parse_container(const char *logs_url, struct yarn_container *out,
                         struct error *err)
{
    static const char middle[] = "/node/containerlogs/";
    const char *at = strstr(logs_url, middle);
    const char *id = at != NULL ? at + strlen(middle) : "";
    size_t node = at != NULL ? (size_t)(at - logs_url) : 0, length = strcspn(id, "/?#");
    memset(out, 0, sizeof(*out));
    if (node > 0 && node < sizeof(out->node) && length < sizeof(out->id)) {
        memcpy(out->node, logs_url, node);
        memcpy(out->id, id, length);
        out->attempt = attempt_of(out->id);
    }
    if (out->attempt <= 0) {
        return error_set(err, ERR_PROTOCOL, "%.300s is no address of a container's logs",
                         logs_url);
    }
    return 0;
}

static int by_attempt(const void *a, const void *b)
{
    const struct yarn_container *left = a, *right = b;
    return (left->attempt > right->attempt) - (left->attempt < right->attempt);
}

int yarn_parse_attempts(const char *body, size_t length,
                        struct yarn_container out[YARN_ATTEMPTS_MAX], size_t *out_count,
                        struct error *err)
{
    CLEANUP_JSON struct json *j = parse(body, length, err);
    if (j == NULL) {
        return -1;
    }
    const struct json *attempts = json_get(j, "appAttempts");
    const struct json *list = json_get(attempts, "appAttempt");
    if (attempts == NULL) {
        return error_set(err, ERR_PROTOCOL,
                         "the answer is not YARN's: it lists no attempts");
    }
    *out_count = 0;
    for (const struct json *item = first_of(list); item != NULL;
         item = next_of(list, item)) {
        char url[YARN_ADDRESS_SIZE];
        json_copy_text(item, "logsLink", url, sizeof(url));
        if (url[0] == '\0' || strstr(url, "/container_") == NULL) {
            continue; /* it never had a container */
        }
        if (*out_count == YARN_ATTEMPTS_MAX) {
            return error_set(err, ERR_LIMIT, "an application with more than %d attempts",
                             YARN_ATTEMPTS_MAX);
        }
        if (yarn_parse_container(url, &out[*out_count], err) < 0) {
            return -1;
        }
        (*out_count)++;
    }
    qsort(out, *out_count, sizeof(*out), by_attempt);
    return 0;
}
