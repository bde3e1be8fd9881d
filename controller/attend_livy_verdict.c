/* attend_livy, what the end of a batch means. */
#include "controller/attend_livy_inside.h"

#include "common/files.h"
#include "common/mem.h"
#include "common/spark_explain.h"
#include "common/spark_paths.h"

#include <string.h>

#define TAIL_MAX ((size_t)64 << 10) /* of a log that is looked through */

/* What the end of a file of the run means, of which what begins at start is this
 * attempt's, where that is known. True: it is appended. */
static bool put_meaning(const struct attendance *a, const char *file, uint64_t start,
                        struct strbuf *out)
{
    struct error said = ERROR_INIT;
    CLEANUP_FREE char *tail = xmalloc(TAIL_MAX);
    size_t got = files_read_tail(a->run_fd, file, start, tail, TAIL_MAX);
    if (got == 0 || !spark_explain(tail, got, &said)) {
        return false;
    }
    strbuf_printf(out, ": %.300s%s%.300s", said.text, said.hint[0] != '\0' ? "; " : "",
                  said.hint);
    return true;
}

/* The last line of Livy's log that says something, for a sentence. */
static void put_last_words(const struct attendance *a, struct strbuf *out)
{
    char text[4096];
    text[files_read_tail(a->run_fd, attendance_log_name(a), a->engine_log_at, text,
                         sizeof text - 1)] = '\0';
    const char *found = NULL;
    static const char *const words[] = {"rror", "can't", "xception", "No such", "ailed"};
    for (char *line = text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            found = strstr(line, words[i]) != NULL ? line : found;
        }
    }
    if (found != NULL) {
        strbuf_printf(out, ": %.300s", found);
    }
}

bool attendance_was_claimed(struct attendance *a)
{
    CLEANUP_FREE char *name = attendance_name(a, "claim");
    bool is_there = true;
    uint64_t size = 0;
    return livy_place_size(&a->place, name, &is_there, &size, NULL) < 0 || is_there;
}

void attendance_end_without_word(struct attendance *a)
{
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    const struct engine_segment *segment = &a->engine.segment;
    bool has_written = strcmp(segment->source, "driver.log") == 0;
    if (!put_meaning(a, attendance_log_name(a), a->engine_log_at, &words) &&
        !(has_written && put_meaning(a, "driver.log", segment->at, &words))) {
        put_last_words(a, &words);
    }
    if (a->is_over && livy_place_can_follow(&a->place) && !attendance_was_claimed(a)) {
        attendance_end(a, "could_not_start",
                       "Livy says %s, and the script was never started%s", a->word,
                       words.data);
    } else {
        attendance_end(a, "unknown",
                       "%s, and the driver left no word of how the script ended%s",
                       a->is_forgotten ? "Livy knows the batch no more"
                                       : "Livy says that "
                                         "it ended",
                       words.data);
    }
}

void attendance_compare_words(struct attendance *a)
{
    if (strcmp(a->ending.kind, "exited") != 0 || !a->is_over) {
        return;
    }
    bool is_good = livy_state_parse(a->word) == LIVY_SUCCESS;
    if (is_good != (a->ending.code == 0)) {
        attendance_end(a, "exited",
                       "the script exited with status %d, and Livy says %s: the "
                       "cluster's log tells why",
                       a->ending.code, a->word);
    }
}

bool attendance_is_missed(struct attendance *a)
{
    if (a->task != ATTEND_LIVY_SCRIPT || a->ending.kind == NULL ||
        strcmp(a->ending.kind, "could_not_start") != 0 || !a->is_over ||
        !livy_place_can_follow(&a->place) || attendance_was_claimed(a)) {
        return false;
    }
    CLEANUP_FREE char *words = xmalloc(TAIL_MAX + 1);
    CLEANUP_FREE char *project = attendance_project_name(a);
    CLEANUP_FREE char *environment = attendance_environment_name(a);
    words[files_read_tail(a->run_fd, attendance_log_name(a), a->engine_log_at, words,
                          TAIL_MAX)] = '\0';
    return spark_paths_is_missed(project, words) ||
           spark_paths_is_missed(environment, words);
}
