/*
 * yarn_meaning: what an application's state and diagnostics say to a person. [engine]
 */
#include "common/yarn.h"

#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

enum yarn_phase yarn_phase(const struct yarn_app *app)
{
    switch (app->state) {
    case YARN_FINISHED:
    case YARN_FAILED:
    case YARN_KILLED:
        return YARN_PHASE_ENDED;
    case YARN_RUNNING:
        return YARN_PHASE_RUNNING;
    case YARN_NEW:
    case YARN_NEW_SAVING:
    case YARN_SUBMITTED:
    case YARN_ACCEPTED:
    case YARN_STATE_OTHER:
        break;
    }
    return app->driver_logs[0] != '\0' ? YARN_PHASE_STARTING : YARN_PHASE_WAITING;
}

/* ---- Waiting: what the scheduler writes (Hadoop's AMState and LeafQueue), and what it
 * means. The first row that is found counts. */

struct reason {
    const char *said, *meaning;
};

static const struct reason waiting[] = {
    {"cluster resource is empty", "no node of the cluster is ready to run anything"},
    {"Queue's AM resource limit exceeded",
     "the queue's share for drivers is used up by other applications"},
    {"User's AM resource limit exceeded",
     "your share of the queue for drivers is used up by your other applications"},
    {"Queue's max parallel apps", "the queue runs as many applications as it may"},
    {"User's max parallel apps", "you have as many applications running as you may"},
    {"not yet activated", "the queue has not let it in yet"},
    {"waiting for resources to be assigned for AM",
     "no node has room for its driver at the moment"},
    {"Scheduler has assigned a container for AM", "a node is about to start its driver"},
};

/* "<memory:2432, vCores:1>" behind this name, as " MB" and cores. */
static void put_request(const char *diagnostics, struct strbuf *out)
{
    static const char name[] = "AM Resource Request = <memory:";
    const char *at = strstr(diagnostics, name);
    size_t digits = at != NULL ? strspn(at + strlen(name), "0123456789") : 0;
    if (digits == 0 || digits > 12) {
        return;
    }
    at += strlen(name);
    strbuf_printf(out, "; it asks for %.*s MB", (int)digits, at);
    at += digits;
    static const char cores[] = ", vCores:";
    size_t count = strncmp(at, cores, strlen(cores)) == 0
                       ? strspn(at + strlen(cores), "0123456789")
                       : 0;
    if (count > 0 && count <= 6) {
        at += strlen(cores);
        strbuf_printf(out, " and %.*s core%s", (int)count, at,
                      count == 1 && at[0] == '1' ? "" : "s");
    }
}

/* The first sentence of what no row knows, without its "[date] ". */
static void put_first_words(const char *diagnostics, struct strbuf *out)
{
    const char *from = diagnostics;
    const char *close = from[0] == '[' ? strstr(from, "] ") : NULL;
    from = close != NULL ? close + 2 : from;
    size_t length = strcspn(from, "\r\n\t");
    strbuf_printf(out, "%.*s", (int)bytes_utf8_prefix(from, length < 300 ? length : 300),
                  from);
}

static void put_waiting(const struct yarn_app *app, struct strbuf *out)
{
    if (app->queue[0] != '\0') {
        strbuf_printf(out, " waits in queue %s", app->queue);
    } else {
        strbuf_puts(out, " waits");
    }
    for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
        if (strstr(app->diagnostics, waiting[i].said) != NULL) {
            strbuf_printf(out, ": %s", waiting[i].meaning);
            put_request(app->diagnostics, out);
            return;
        }
    }
    if (app->diagnostics[0] != '\0') {
        strbuf_puts(out, ": ");
        put_first_words(app->diagnostics, out);
    }
}

/* YARN's "failed 1 times (global limit =2; ...) due to AM Container for ..." tells a
 * person no more than how the script or its container ended. */
static void put_cause(const char *diagnostics, struct strbuf *out)
{
    int status = 0;
    bool is_scripts = yarn_script_status(diagnostics, &status);
    bool is_containers = !is_scripts && yarn_container_status(diagnostics, &status);
    const char *reason = is_containers ? yarn_container_reason(status) : NULL;
    if (is_scripts) {
        strbuf_printf(out, "User application exited with status %d", status);
    } else if (reason != NULL) {
        strbuf_puts(out, reason);
    } else if (status > 0) {
        strbuf_printf(out, "its container exited with status %d", status);
    } else {
        put_first_words(diagnostics, out);
    }
}

static void put_ended(const struct yarn_app *app, struct strbuf *out)
{
    strbuf_printf(out, " has ended: %s", yarn_state_name(app->state));
    if (app->final != YARN_FINAL_UNDEFINED && app->final != YARN_FINAL_OTHER &&
        strcmp(yarn_final_name(app->final), yarn_state_name(app->state)) != 0) {
        strbuf_printf(out, ", %s", yarn_final_name(app->final));
    }
    if (app->diagnostics[0] != '\0') {
        strbuf_puts(out, ": ");
        put_cause(app->diagnostics, out);
    }
}

/* A sentence is one line, whatever its parts have in them. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = ' ';
        }
    }
}

void yarn_tell(const struct yarn_app *app, struct strbuf *out)
{
    size_t from = out->length;
    strbuf_puts(out, app->id);
    switch (yarn_phase(app)) {
    case YARN_PHASE_WAITING:
        put_waiting(app, out);
        break;
    case YARN_PHASE_STARTING:
        strbuf_puts(out, " is starting: its driver has a container and the script may "
                         "already run; YARN says ACCEPTED until there is a SparkContext");
        break;
    case YARN_PHASE_RUNNING:
        strbuf_puts(out, " is RUNNING");
        if (app->queue[0] != '\0') {
            strbuf_printf(out, " in queue %s", app->queue);
        }
        break;
    case YARN_PHASE_ENDED:
        put_ended(app, out);
        break;
    }
    make_plain(out->data + from);
}

/* ---- Its end */

/* The last number behind words. */
static bool last_number(const char *text, const char *words, int *out)
{
    bool is_found = false;
    for (const char *at = text; (at = strstr(at, words)) != NULL;) {
        at += strlen(words);
        bool is_negative = at[0] == '-';
        const char *digits = at + is_negative;
        size_t length = strspn(digits, "0123456789");
        uint64_t value;
        CLEANUP_FREE char *number = xstrndup(digits, length < 12 ? length : 12);
        if (bytes_parse_u64(number, 1000000, &value, NULL) == 0) {
            *out = is_negative ? -(int)value : (int)value;
            is_found = true;
        }
    }
    return is_found;
}

bool yarn_script_status(const char *diagnostics, int *out_status)
{
    return last_number(diagnostics, "User application exited with status ", out_status);
}

bool yarn_container_status(const char *diagnostics, int *out_status)
{
    return last_number(diagnostics, "exited with  exitCode: ", out_status) ||
           last_number(diagnostics, "exited with exitCode: ", out_status);
}

/* ContainerExitStatus of Hadoop's API; signals as a shell has them. */
const char *yarn_container_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        {-100, "YARN gave its container up: the node was lost or taken out of service"},
        {-101, "the node's disks failed"},
        {-102, "YARN took its container away for an application that goes first"},
        {-103, "it used more virtual memory than its container may"},
        {-104, "it used more memory than its container may"},
        {-105, "its own application ended its container"},
        {-106, "the ResourceManager ended its container"},
        {-107, "its container was ended after its application"},
        {-108, "its container was still there when its node came back"},
        {137, "its container was killed by SIGKILL, often for want of memory"},
        {143, "its container was ended by SIGTERM"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].status == status) {
            return rows[i].reason;
        }
    }
    return NULL;
}
