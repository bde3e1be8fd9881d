#include "controller/completion.h"

#include "common/clock.h"
#include "controller/envplan.h"
#include "controller/provision.h"
#include "controller/target.h"
#include "controller/transport.h"

#include <dirent.h>
#include <string.h>

#define IDENTITY_DIGITS 12
#define RUNS_MAX 50 /* the last ones: nobody looks through more */

struct finding {
    struct command_context *context;
    const struct cli_place *place;
    char *const *words;
    size_t word_count;
    const char *typed; /* of the value, so far */
    struct strbuf *out;
};

static const char *last_word(const struct finding *f)
{
    return f->words[f->word_count - 1];
}

static void add(const struct finding *f, const char *word, size_t length,
                const char *help)
{
    if (strncmp(word, f->typed, strlen(f->typed)) != 0 ||
        strcspn(word, "\t\n") < length) {
        return;
    }
    strbuf_printf(f->out, "%.*s%.*s\t", (int)f->place->prefix_length, last_word(f),
                  (int)length, word);
    terminal_make_safe(help, strlen(help), f->out);
    strbuf_putc(f->out, '\n');
}

static void add_word(const struct finding *f, const char *word, const char *help)
{
    add(f, word, strlen(word), help);
}

/* ---- verbs and options ---- */

/* What follows words in a verb's name; NULL where it is another verb's. */
static const char *rest_of_name(const char *name, char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(words[i]);
        if (strncmp(name, words[i], length) != 0 || name[length] != ' ') {
            return NULL;
        }
        name += length + 1;
    }
    return name;
}

/* "add, list, check, remove": what follows the group in the verbs' names. */
static char *describe_group(const char *name, size_t length)
{
    CLEANUP_FREE char *group = xasprintf("%.*s ", (int)length, name);
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < command_table_count; i++) {
        const struct cli_command *command = command_table[i];
        if (strncmp(command->name, group, length + 1) == 0) {
            strbuf_printf(&out, "%s%s", out.length > 0 ? ", " : "",
                          command->name + length + 1);
        }
    }
    return strbuf_detach(&out);
}

/* The next word of every verb whose name begins with words. */
static void add_verbs(const struct finding *f, char *const *words, size_t count)
{
    const char *last = "";
    for (size_t i = 0; i < command_table_count; i++) {
        const struct cli_command *command = command_table[i];
        const char *rest = rest_of_name(command->name, words, count);
        if (rest == NULL) {
            continue;
        }
        size_t length = strcspn(rest, " ");
        bool is_group = rest[length] == ' ';
        if (strncmp(last, rest, length) == 0 && last[length] == ' ') {
            continue; /* its group has been added */
        }
        last = rest;
        size_t group = (size_t)(rest - command->name) + length;
        CLEANUP_FREE char *help =
            is_group ? describe_group(command->name, group) : xstrdup(command->help);
        add(f, rest, length, help);
    }
}

static void find_verbs(const struct finding *f)
{
    size_t before = f->place->operands;
    add_verbs(f, f->words + (f->word_count - 1 - before), before);
}

static void add_options(const struct finding *f)
{
    const struct cli_option *o = f->place->command->options;
    for (; o->kind != CLI_KIND_END; o++) {
        CLEANUP_FREE char *word = xasprintf("--%s", o->name);
        add_word(f, word, o->help);
    }
    add_word(f, "--help", "show what the verb does and its options");
}

/* ---- values ---- */

static int add_run(void *opaque, const struct history_run *run, struct error *err)
{
    char age[CLOCK_TEXT_SIZE];
    (void)err;
    clock_format_duration(age, clock_utc_ms() - run->created_utc_ms);
    CLEANUP_FREE char *help = xasprintf(
        "%s on %s, %s ago", run_state_name(run->status.state), run->target, age);
    add_word(opaque, run->id, help);
    return 0;
}

static void find_runs(const struct finding *f)
{
    const struct history_query query = {.limit = RUNS_MAX};
    struct history *history = command_history(f->context, NULL);
    struct finding visited = *f;
    if (history != NULL) {
        (void)history_visit(history, &query, add_run, &visited, NULL);
    }
}

/* Those that the last runs had, each once. */
struct environment_finding {
    struct finding finding;
    struct strvec seen;
};

static int add_environment(void *opaque, const struct history_run *run, struct error *err)
{
    struct environment_finding *f = opaque;
    const struct run_environment *e = &run->status.environment;
    CLEANUP_FREE char *word = xstrndup(e->identity, IDENTITY_DIGITS);
    (void)err;
    if (word[0] == '\0' || strvec_contains(&f->seen, word)) {
        return 0;
    }
    strvec_push(&f->seen, word);
    CLEANUP_FREE char *help =
        xasprintf("%s, Python %s, on %s", e->kind, e->python, run->target);
    add_word(&f->finding, word, help);
    return 0;
}

static void find_environments(const struct finding *f)
{
    const struct history_query query = {.limit = RUNS_MAX};
    struct history *history = command_history(f->context, NULL);
    struct environment_finding visited = {.finding = *f};
    if (history != NULL) {
        (void)history_visit(history, &query, add_environment, &visited, NULL);
    }
    strvec_release(&visited.seen);
}

static void find_targets(const struct finding *f)
{
    const struct home *home = command_home(f->context, NULL);
    const struct config_options options = {.want_untrusted = true};
    CLEANUP(config_cleanup)
    struct config *config = home == NULL ? NULL : config_load(home, &options, NULL);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    if (config == NULL) {
        return;
    }
    config_targets(config, &names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP_FREE char *key = xasprintf("targets.%s.host", names.items[i]);
        const char *host = config_has(config, key) ? config_string(config, key) : NULL;
        add_word(f, names.items[i], host != NULL ? host : "this machine");
    }
}

/* Names, and what lies in this folder. */
static void find_wishes(const struct finding *f)
{
    const struct home *home = command_home(f->context, NULL);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    CLEANUP_DIR DIR *dir = opendir(".");
    const struct dirent *entry;
    envplan_names(".", home != NULL ? home->config : NULL, &names);
    for (size_t i = 0; i < names.count; i++) {
        add_word(f, names.items[i], "an environment by its name");
    }
    add_word(f, "none", "the node's own Python");
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (envplan_is_source(entry->d_name)) {
            add_word(f, entry->d_name, "a file");
        }
    }
}

static void find_frameworks(const struct finding *f)
{
#define ROW(symbol, name, meaning) add_word(f, name, meaning);
    FRAMEWORK_TABLE(ROW)
#undef ROW
}

static void find_kinds(const struct finding *f)
{
#define ROW(symbol, name) add_word(f, name, "");
    TARGET_KIND_TABLE(ROW)
#undef ROW
}

static void find_deploy_modes(const struct finding *f)
{
#define ROW(symbol, name) add_word(f, name, "");
    SPARK_DEPLOY_TABLE(ROW)
#undef ROW
}

static void find_wheels(const struct finding *f)
{
#define ROW(word, meaning) add_word(f, word, meaning);
    PROVISION_WHEELS_TABLE(ROW)
#undef ROW
}

static void find_transports(const struct finding *f)
{
    const struct transport *transport;
    add_word(f, "auto", "the one that fits");
    for (size_t i = 0; (transport = transport_at(i)) != NULL; i++) {
        add_word(f, transport->name, transport->help);
    }
}

static void find_files(const struct finding *f)
{
    strbuf_puts(f->out, COMPLETION_FILES);
}

static void find_folders(const struct finding *f)
{
    strbuf_puts(f->out, COMPLETION_FOLDERS);
}

/* How each value is found; NULL: only the person knows. */
static const struct {
    const char *value;
    void (*find)(const struct finding *f);
} values[] = {
    {"ARGUMENT", find_files},
    {"BUILD", NULL},
    {"COMMAND", find_files},
    {"COUNT", NULL},
    {"DIR", find_folders},
    {"ENVIRONMENT", find_environments},
    {"EXPERIMENT", NULL},
    {"FILE", find_files},
    {"FRAMEWORK", find_frameworks},
    {"HOST", NULL},
    {"K=V", NULL},
    {"KIND", find_kinds},
    {"MASTER", NULL},
    {"METRIC", NULL},
    {"MODE", find_deploy_modes},
    {"N", NULL},
    {"NAME", NULL},
    {"PACKAGE", NULL},
    {"PATH", find_files},
    {"PATH-THERE", NULL},
    {"PORT", NULL},
    {"PYTHON", NULL},
    {"QUEUE", NULL},
    {"RUN", find_runs},
    {"SCRIPT", find_files},
    {"SIZE", NULL},
    {"TARGET", find_targets},
    {"TEXT", NULL},
    {"TIME", NULL},
    {"TRANSPORT", find_transports},
    {"URI", NULL},
    {"URL", NULL},
    {"USER", NULL},
    {"VERB", find_verbs},
    {"WHAT", find_wishes},
    {"WHERE", find_wheels},
    {"WORD", NULL},
};

/* "a|b": each. */
static void add_choices(const struct finding *f, const char *choices)
{
    for (;;) {
        CLEANUP_FREE char *choice = xstrndup(choices, strcspn(choices, "|"));
        add_word(f, choice, "");
        choices += strlen(choice);
        if (*choices++ == '\0') {
            return;
        }
    }
}

static void add_values(const struct finding *f)
{
    const char *value = f->place->value;
    if (strchr(value, '|') != NULL) {
        add_choices(f, value);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (strcmp(values[i].value, value) == 0 && values[i].find != NULL) {
            values[i].find(f);
        }
    }
}

bool completion_knows(const char *value)
{
    bool is_known = strchr(value, '|') != NULL;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        is_known = is_known || strcmp(values[i].value, value) == 0;
    }
    return is_known;
}

void completion_find(struct command_context *context, char *const *words,
                     size_t word_count, struct strbuf *out)
{
    struct cli_place place;
    bool is_quiet = word_count > 1 &&
                    (strcmp(words[0], "--quiet") == 0 || strcmp(words[0], "-q") == 0);
    words += is_quiet;
    word_count -= is_quiet;
    cli_locate(command_table, command_table_count, words, word_count, &place);
    const struct finding f = {
        .context = context,
        .place = &place,
        .words = words,
        .word_count = word_count,
        .typed = words[word_count - 1] + place.prefix_length,
        .out = out,
    };
    switch (place.kind) {
    case CLI_PLACE_NOTHING:
        break;
    case CLI_PLACE_COMMAND:
        add_verbs(&f, words, word_count - 1);
        break;
    case CLI_PLACE_OPTION:
        add_options(&f);
        break;
    case CLI_PLACE_VALUE:
        add_values(&f);
        break;
    }
}
