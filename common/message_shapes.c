#include "common/message_shapes.h"

#include <string.h>

#include "common/runspec.h"
#include "common/runstate.h"

#define WORD_MAX 128    /* names and versions */
#define TEXT_MAX 4096   /* sentences */
#define FEATURES_MAX 64 /* names of features */
#define SECRETS_MAX 256 /* of a run */
#define SECRET_BYTES_MAX 65536
#define SIZES_MAX 16    /* files whose sizes are said */
#define LINES_MAX 65536 /* of a journal in one message */
#define RUNS_MAX 16384  /* of a STATUS or its REPORT */
#define WARNINGS_MAX 1024
#define ENVIRONMENTS_MAX 8192 /* of a REPORT */
#define CHECKS_MAX 256
#define TOOLS_MAX 16        /* programs that come along, or are wanted */
#define NEED_MAX (16 << 20) /* objects; credit bounds them further */
#define DAYS_MAX 36500

/* Rows of a table of members. */
#define MUST(key, shape)                                                                 \
    {                                                                                    \
        (key), (shape), false, false                                                     \
    }
#define MAY_BE_NULL(key, shape)                                                          \
    {                                                                                    \
        (key), (shape), false, true                                                      \
    }
#define MAY(key, shape)                                                                  \
    {                                                                                    \
        (key), (shape), true, false                                                      \
    }
#define END_OF_MEMBERS                                                                   \
    {                                                                                    \
        NULL, NULL, false, false                                                         \
    }

#define STRING(low, high)                                                                \
    {                                                                                    \
        .kind = SHAPE_STRING, .min = (low), .max = (high)                                \
    }
#define INTEGER(low, high)                                                               \
    {                                                                                    \
        .kind = SHAPE_INTEGER, .min = (low), .max = (high)                               \
    }
#define HEX(digits)                                                                      \
    {                                                                                    \
        .kind = SHAPE_HEX, .max = (digits)                                               \
    }
#define OBJECT(rows)                                                                     \
    {                                                                                    \
        .kind = SHAPE_OBJECT, .members = (rows)                                          \
    }
#define ARRAY(low, high, of)                                                             \
    {                                                                                    \
        .kind = SHAPE_ARRAY, .min = (low), .max = (high), .item = (of)                   \
    }
#define MAP(high, of)                                                                    \
    {                                                                                    \
        .kind = SHAPE_MAP, .max = (high), .item = (of)                                   \
    }
#define WORDS(list)                                                                      \
    {                                                                                    \
        .kind = SHAPE_WORD, .words = (list)                                              \
    }

/* --- what bodies are made of -------------------------------------------------------- */

static const struct shape a_bool = {.kind = SHAPE_BOOL};
static const struct shape a_time = {.kind = SHAPE_TIME};
static const struct shape a_run = {.kind = SHAPE_RUN_ID};
static const struct shape a_digest = HEX(OID_HEX_SIZE - 1);
static const struct shape a_controller = HEX(32);
static const struct shape a_word = STRING(1, WORD_MAX);
static const struct shape a_text = STRING(0, TEXT_MAX);
static const struct shape a_message = STRING(0, 3 * (int64_t)ERROR_TEXT_MAX);
static const struct shape a_count = INTEGER(0, JSON_INTEGER_MAX);
static const struct shape a_position = INTEGER(-JSON_INTEGER_MAX, JSON_INTEGER_MAX);
static const struct shape a_protocol = INTEGER(1, 65535);
static const struct shape a_grace = INTEGER(0, RUNSPEC_GRACE_MAX_MS);
static const struct shape a_line = STRING(2, JOURNAL_LINE_MAX);
static const struct shape lines = ARRAY(0, LINES_MAX, &a_line);
static const struct shape sizes = MAP(SIZES_MAX, &a_count);
static const struct shape features = ARRAY(0, FEATURES_MAX, &a_word);
static const struct shape warnings = ARRAY(0, WARNINGS_MAX, &a_text);
static const struct shape any_object = {.kind = SHAPE_OBJECT};
static const struct shape a_path = {.kind = SHAPE_BYTES, .max = TEXT_MAX};

static const char *const state_words[] = {
#define ROW(symbol, name, is_final) name,
    RUN_STATE_TABLE(ROW)
#undef ROW
        NULL};
static const struct shape a_state = WORDS(state_words);

static const char *const file_words[] = {
#define ROW(symbol, name) name,
    RUN_FILE_TABLE(ROW)
#undef ROW
        NULL};
static const struct shape a_file = WORDS(file_words);

/* --- connection ----------------------------------------------------------------------
 */

/* 10 years (clock_parse_duration). */
static const struct shape a_length_of_time = INTEGER(0, INT64_C(3650) * 86400 * 1000);

static const struct shape_member tidy_members[] = {
    MUST("every_ms", &a_length_of_time),
    MUST("keep_work_ms", &a_length_of_time),
    MUST("keep_runs_ms", &a_length_of_time),
    END_OF_MEMBERS,
};
static const struct shape a_tidy_wish = OBJECT(tidy_members);

static const struct shape_member hello_members[] = {
    MUST("protocol", &a_protocol),
    MUST("controller", &a_controller),
    MUST("version", &a_word),
    MUST("features", &features),
    MUST("time", &a_time),
    MAY("tidy", &a_tidy_wish),
    END_OF_MEMBERS,
};
static const struct shape hello = OBJECT(hello_members);

static const struct shape_member error_members[] = {
    MUST("code", &a_word),
    MUST("message", &a_message),
    MAY_BE_NULL("hint", &a_message),
    END_OF_MEMBERS,
};
static const struct shape error_shape = OBJECT(error_members);

/* --- submission ----------------------------------------------------------------------
 */

/* An environment variable's name: what a shell can set. */
static bool is_variable_name(const char *s)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char rest[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = strlen(s);

    return length >= 1 && length <= WORD_MAX && strchr(first, s[0]) != NULL &&
           strspn(s, rest) == length;
}

static int check_secret_names(const struct json *map, struct error *err)
{
    for (const struct json *item = json_first(map); item != NULL;
         item = json_next(item)) {
        if (!is_variable_name(json_key(item))) {
            return error_set(err, ERR_CORRUPT,
                             "a name that is no environment variable's");
        }
    }
    return 0;
}

static const struct shape a_secret = {.kind = SHAPE_BYTES, .max = SECRET_BYTES_MAX};
static const struct shape secret_map = {.kind = SHAPE_MAP,
                                        .max = SECRETS_MAX,
                                        .item = &a_secret,
                                        .check = check_secret_names};
static const struct shape_member secrets_members[] = {
    MUST("secrets", &secret_map),
    END_OF_MEMBERS,
};
static const struct shape secrets = OBJECT(secrets_members);

static const struct shape a_spec = STRING(2, RUNSPEC_SIZE_MAX);
static const struct shape_member submit_members[] = {
    MUST("spec", &a_spec),
    MUST("root", &a_digest),
    MAY_BE_NULL("base", &a_digest),
    END_OF_MEMBERS,
};
static const struct shape submit = OBJECT(submit_members);

static const struct shape a_need = INTEGER(1, NEED_MAX);
static const struct shape_member need_members[] = {
    MUST("objects", &a_need),
    END_OF_MEMBERS,
};
static const struct shape need = OBJECT(need_members);

static const struct shape_member accepting_took_members[] = {
    MAY("check_us", &a_count),
    MAY("accept_us", &a_count),
    MAY("supervisors_us", &a_count),
    END_OF_MEMBERS,
};
static const struct shape accepting_took = OBJECT(accepting_took_members);
static const struct shape_member accepted_members[] = {
    MUST("run", &a_run),          MUST("is_new", &a_bool), MUST("journal", &lines),
    MAY("took", &accepting_took), END_OF_MEMBERS,
};
static const struct shape accepted = OBJECT(accepted_members);

static const struct shape_member bring_members[] = {
    MUST("root", &a_digest),
    MAY_BE_NULL("base", &a_digest),
    END_OF_MEMBERS,
};
static const struct shape bring = OBJECT(bring_members);

/* --- following -----------------------------------------------------------------------
 */

static const struct shape_member followed_members[] = {
    MUST("file", &a_file),
    MUST("generation", &a_count),
    MUST("offset", &a_position),
    MAY_BE_NULL("tail", &a_digest),
    END_OF_MEMBERS,
};
static const struct shape followed = OBJECT(followed_members);

static int check_followed_once(const struct json *files, struct error *err)
{
    for (const struct json *a = json_first(files); a != NULL; a = json_next(a)) {
        const char *name = json_string(json_get(a, "file"));

        for (const struct json *b = json_next(a); b != NULL; b = json_next(b)) {
            if (strcmp(name, json_string(json_get(b, "file"))) == 0) {
                return error_set(err, ERR_CORRUPT, "%s is named twice", name);
            }
        }
    }
    return 0;
}

static const struct shape followed_files = {.kind = SHAPE_ARRAY,
                                            .max = RUN_FILE_COUNT,
                                            .item = &followed,
                                            .check = check_followed_once};
static const char *const until_words[] = {"end", "now", NULL};
static const struct shape an_until = WORDS(until_words);
static const struct shape_member follow_members[] = {
    MUST("run", &a_run),
    MUST("journal_seq", &a_count),
    MUST("files", &followed_files),
    MUST("until", &an_until),
    END_OF_MEMBERS,
};
static const struct shape follow = OBJECT(follow_members);

static const struct shape_member at_members[] = {
    MUST("file", &a_file), MUST("generation", &a_count), MUST("offset", &a_count),
    MUST("gap", &a_count), MAY("why", &a_word),          END_OF_MEMBERS,
};
static const struct shape at = OBJECT(at_members);

static const struct shape_member state_members[] = {
    MUST("line", &a_line),
    END_OF_MEMBERS,
};
static const struct shape state = OBJECT(state_members);

/* --- results -------------------------------------------------------------------------
 */

static const struct shape_member fetch_members[] = {
    MUST("run", &a_run),
    MAY_BE_NULL("base", &a_digest),
    END_OF_MEMBERS,
};
static const struct shape fetch = OBJECT(fetch_members);

static const struct shape_member offer_members[] = {
    MAY_BE_NULL("root", &a_digest), MUST("files", &a_count), MUST("size_bytes", &a_count),
    MUST("warnings", &warnings),    END_OF_MEMBERS,
};
static const struct shape offer = OBJECT(offer_members);

static const struct shape_member collected_members[] = {
    MUST("run", &a_run),
    MAY_BE_NULL("root", &a_digest),
    MUST("sizes", &sizes),
    END_OF_MEMBERS,
};
static const struct shape collected = OBJECT(collected_members);

/* --- questions and requests ----------------------------------------------------------
 */

static const struct shape run_ids = ARRAY(0, RUNS_MAX, &a_run);
static const struct shape_member status_members[] = {
    MAY_BE_NULL("runs", &run_ids),
    END_OF_MEMBERS,
};
static const struct shape status = OBJECT(status_members);

static const struct shape_member cancel_members[] = {
    MUST("run", &a_run), MUST("reason", &a_text),
    MUST("by", &a_text), MAY_BE_NULL("grace_ms", &a_grace),
    END_OF_MEMBERS,
};
static const struct shape cancel = OBJECT(cancel_members);

static const struct shape check_variables = ARRAY(0, CHECKS_MAX, &a_text);
static const struct shape_member check_spark_members[] = {
    MAY("home", &a_text),
    MAY("master", &a_text),
    MAY("variables", &check_variables),
    END_OF_MEMBERS,
};
static const struct shape check_spark = OBJECT(check_spark_members);
static const struct shape_member check_members[] = {
    MUST("deep", &a_bool),
    MAY("spark", &check_spark),
    END_OF_MEMBERS,
};
static const struct shape check = OBJECT(check_members);

static const struct shape days = INTEGER(0, DAYS_MAX);
static const struct shape_member gc_members[] = {
    MUST("is_dry", &a_bool),
    MUST("keep_days", &days),
    MAY_BE_NULL("max_store_bytes", &a_count),
    MAY("min_free_bytes", &a_count),
    MAY("keep_environments_days", &days),
    MAY("keep_work_days", &days),
    MAY("keep_uncollected_days", &days),
    END_OF_MEMBERS,
};
static const struct shape gc = OBJECT(gc_members);

static const char *const action_words[] = {"list", "show", "remove", NULL};
static const struct shape an_action = WORDS(action_words);
static const struct shape an_identity_prefix = STRING(1, OID_HEX_SIZE - 1);
static const struct shape a_build = STRING(1, RUN_ENVIRONMENT_WORD_SIZE - 1);
static const struct shape_member environments_members[] = {
    MUST("action", &an_action),
    MAY_BE_NULL("identity", &an_identity_prefix),
    MAY_BE_NULL("build", &a_build),
    MUST("is_forced", &a_bool),
    END_OF_MEMBERS,
};
static const struct shape environments = OBJECT(environments_members);

static const struct shape tool_words = ARRAY(0, TOOLS_MAX, &a_word);
static const struct shape_member assessed_members[] = {
    MUST("definition", &any_object),
    END_OF_MEMBERS,
};
static const struct shape assessed = OBJECT(assessed_members);
static const struct shape_member assess_members[] = {
    MUST("environment", &assessed),
    MAY_BE_NULL("interpreter", &a_path),
    MUST("brings", &tool_words),
    END_OF_MEMBERS,
};
static const struct shape assess = OBJECT(assess_members);

/* --- answers -------------------------------------------------------------------------
 */

static const struct shape_member followed_end_members[] = {
    MUST("state", &a_state),
    MUST("sizes", &sizes),
    END_OF_MEMBERS,
};
static const struct shape followed_end = OBJECT(followed_end_members);

static const struct shape_member cancel_end_members[] = {
    MUST("state", &a_state),
    END_OF_MEMBERS,
};
static const struct shape cancel_end = OBJECT(cancel_end_members);

/* What a run that is known has beside its id; one that is not has nothing more. */
static const struct shape_member known_members[] = {
    MUST("journal", &lines),    MUST("sizes", &sizes), MUST("spec", &a_digest),
    MUST("collected", &a_bool), END_OF_MEMBERS,
};
static const struct shape known = OBJECT(known_members);

/* One whose record cannot be read says why instead. */
static int check_reported(const struct json *run, struct error *err)
{
    bool is_readable =
        json_bool(json_get(run, "known")) && json_get(run, "error") == NULL;

    return is_readable ? shape_check(&known, run, err) : 0;
}

static const struct shape_member reported_members[] = {
    MUST("run", &a_run),
    MUST("known", &a_bool),
    MAY("error", &error_shape),
    END_OF_MEMBERS,
};
static const struct shape reported = {
    .kind = SHAPE_OBJECT, .members = reported_members, .check = check_reported};
static const struct shape reported_runs = ARRAY(0, RUNS_MAX, &reported);
static const struct shape_member status_report_members[] = {
    MUST("runs", &reported_runs),
    END_OF_MEMBERS,
};
static const struct shape status_report = OBJECT(status_report_members);

static const struct shape_member one_check_members[] = {
    MUST("step", &a_word),        MUST("ok", &a_bool), MUST("detail", &a_text),
    MAY_BE_NULL("hint", &a_text), END_OF_MEMBERS,
};
static const struct shape one_check = OBJECT(one_check_members);
static const struct shape check_list = ARRAY(0, CHECKS_MAX, &one_check);
static const struct shape_member check_report_members[] = {
    MUST("node", &any_object),
    MUST("checks", &check_list),
    END_OF_MEMBERS,
};
static const struct shape check_report = OBJECT(check_report_members);

static const struct shape_member gc_report_members[] = {
    MUST("runs", &a_count),
    MUST("objects", &a_count),
    MUST("bytes", &a_count),
    END_OF_MEMBERS,
};
static const struct shape gc_report = OBJECT(gc_report_members);

static const struct shape an_identity = HEX(OID_HEX_SIZE - 1);
static const struct shape environment_runs = ARRAY(0, RUNS_MAX, &a_run);
static const struct shape_member reported_environment_members[] = {
    MUST("identity", &an_identity),
    MAY_BE_NULL("build", &a_build),
    MUST("used_by", &environment_runs),
    MUST("is_ready", &a_bool),
    MAY_BE_NULL("created", &a_time),
    MAY_BE_NULL("last_used", &a_time),
    MAY_BE_NULL("size_bytes", &a_count),
    MAY_BE_NULL("packages", &a_count),
    MAY_BE_NULL("name", &a_text),
    MAY_BE_NULL("kind", &a_word),
    MAY_BE_NULL("builder", &a_word),
    MAY_BE_NULL("python", &a_word),
    END_OF_MEMBERS,
};
static const struct shape reported_environment = OBJECT(reported_environment_members);
static const struct shape reported_environments =
    ARRAY(0, ENVIRONMENTS_MAX, &reported_environment);
static const struct shape_member environments_report_members[] = {
    MUST("environments", &reported_environments),
    END_OF_MEMBERS,
};
static const struct shape environments_report = OBJECT(environments_report_members);

static const struct shape_member assessed_python_members[] = {
    MUST("path", &a_path),     MUST("version", &a_word), MUST("implementation", &a_word),
    MUST("platform", &a_word), MUST("libc", &a_word),    END_OF_MEMBERS,
};
static const struct shape assessed_python = OBJECT(assessed_python_members);
static const struct shape_member assessed_builder_members[] = {
    MUST("name", &a_word),
    MUST("version", &a_word),
    END_OF_MEMBERS,
};
static const struct shape assessed_builder = OBJECT(assessed_builder_members);
static const struct shape_member assess_report_members[] = {
    MUST("is_ready", &a_bool),
    MAY_BE_NULL("python", &assessed_python),
    MAY_BE_NULL("builder", &assessed_builder),
    MUST("wants", &tool_words),
    END_OF_MEMBERS,
};
static const struct shape assess_report = OBJECT(assess_report_members);

/* --- which is whose ------------------------------------------------------------------
 */

static const struct shape *const shapes[] = {
    [MSG_HELLO] = &hello,
    [MSG_ERROR] = &error_shape,
    [MSG_END] = &any_object,
    [MSG_SECRETS] = &secrets,
    [MSG_SUBMIT] = &submit,
    [MSG_NEED] = &need,
    [MSG_ACCEPTED] = &accepted,
    [MSG_BRING] = &bring,
    [MSG_FOLLOW] = &follow,
    [MSG_AT] = &at,
    [MSG_STATE] = &state,
    [MSG_FETCH] = &fetch,
    [MSG_OFFER] = &offer,
    [MSG_STATUS] = &status,
    [MSG_CANCEL] = &cancel,
    [MSG_COLLECTED] = &collected,
    [MSG_CHECK] = &check,
    [MSG_GC] = &gc,
    [MSG_ENVIRONMENTS] = &environments,
    [MSG_ASSESS] = &assess,
    [MSG_REPORT] = &any_object,
};

const struct shape *message_shape(enum message_type type)
{
    return (size_t)type < ARRAY_SIZE(shapes) ? shapes[type] : NULL;
}

struct answer_row {
    enum message_type request;
    enum message_type answer;
    const struct shape *shape;
};

static const struct answer_row answers[] = {
    {MSG_FOLLOW, MSG_END, &followed_end},
    {MSG_FETCH, MSG_END, &any_object},
    {MSG_BRING, MSG_END, &any_object},
    {MSG_STATUS, MSG_REPORT, &status_report},
    {MSG_STATUS, MSG_END, &any_object},
    {MSG_CANCEL, MSG_END, &cancel_end},
    {MSG_COLLECTED, MSG_END, &any_object},
    {MSG_CHECK, MSG_REPORT, &check_report},
    {MSG_CHECK, MSG_END, &any_object},
    {MSG_GC, MSG_REPORT, &gc_report},
    {MSG_GC, MSG_END, &any_object},
    {MSG_ENVIRONMENTS, MSG_REPORT, &environments_report},
    {MSG_ENVIRONMENTS, MSG_END, &any_object},
    {MSG_ASSESS, MSG_REPORT, &assess_report},
    {MSG_ASSESS, MSG_END, &any_object},
};

const struct shape *message_answer_shape(enum message_type request,
                                         enum message_type answer)
{
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        if (answers[i].request == request && answers[i].answer == answer) {
            return answers[i].shape;
        }
    }
    return NULL;
}
