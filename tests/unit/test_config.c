#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "controller/config.h"
#include "controller/trust.h"
#include "tests/unit/place.h"

#define CLEANUP_CONFIG CLEANUP(config_cleanup)

static struct config *load(const struct place *p)
{
    const struct config_options options = {.want_untrusted = false};
    struct error err = ERROR_INIT;
    struct config *config = config_load(p->home, &options, &err);
    if (config == NULL) {
        fail_msg("%s", err.text);
    }
    return config;
}

static void assert_refused(const struct place *p, enum error_code code,
                           const char *sentence)
{
    const struct config_options options = {.want_untrusted = false};
    struct error err = ERROR_INIT;
    assert_null(config_load(p->home, &options, &err));
    if (strstr(err.text, sentence) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", sentence, err.text);
    }
    assert_int_equal(err.code, code);
}

static void without_files_the_defaults_count(void **state)
{
    const struct place *p = *state;
    CLEANUP_CONFIG struct config *config = load(p);
    CLEANUP_FREE char *project = place_path(p, "project");
    assert_string_equal(config_project(config), project);
    assert_null(config_project_file(config));
    assert_string_equal(config_string(config, "target"), "local");
    assert_string_equal(config_origin(config, "target"), "default");
    assert_int_equal(config_integer(config, "grace"), 10000);
    assert_int_equal(config_integer(config, "attempts"), 1);
    assert_int_equal(config_integer(config, "time_limit"), 0);
    assert_int_equal(config_size(config, "snapshot.warn_size"), 500000000);
    assert_int_equal(config_list(config, "outputs")->count, 1);
    assert_string_equal(config_list(config, "outputs")->items[0], "outputs");
    assert_int_equal(config_map(config, "variables")->count, 0);
    assert_null(config_string(config, "experiment"));
    assert_false(config_has(config, "experiment"));
    assert_true(config_has(config, "grace"));
    assert_string_equal(config_string(config, "targets.any.transport"), "auto");
}

static void every_type_is_read(void **state)
{
    const struct place *p = *state;
    place_write(p, "home/config/config.yaml",
                "time_limit: 2h\nsnapshot: {warn_files: 7, warn_size: 10M, include: [a, "
                "\"b c\"]}\n"
                "variables: {A: 1, B: \"x=y\"}\nframework: command\n"
                "executors: bin\nssh: /opt/ssh\ntargets:\n"
                "  gpu1: {host: me@h, port: 2222, identity: ~/key}\n"
                "  gpu.2: {host: h2}\n");
    CLEANUP_CONFIG struct config *config = load(p);
    assert_int_equal(config_integer(config, "time_limit"), 7200000);
    assert_int_equal(config_integer(config, "snapshot.warn_files"), 7);
    assert_int_equal(config_size(config, "snapshot.warn_size"), 10000000);
    assert_string_equal(config_list(config, "snapshot.include")->items[1], "b c");
    assert_string_equal(config_map(config, "variables")->items[0], "A=1");
    assert_string_equal(config_map(config, "variables")->items[1], "B=x=y");
    assert_string_equal(config_string(config, "framework"), "command");
    CLEANUP_FREE char *executors = place_path(p, "home/config/bin");
    assert_string_equal(config_string(config, "executors"), executors);
    CLEANUP_FREE char *key = place_path(p, "key");
    assert_string_equal(config_string(config, "targets.gpu1.identity"), key);
    assert_int_equal(config_integer(config, "targets.gpu1.port"), 2222);
    assert_string_equal(config_string(config, "targets.gpu.2.host"), "h2");
    CLEANUP_FREE char *origin = place_path(p, "home/config/config.yaml:8");
    assert_string_equal(config_origin(config, "targets.gpu1.port"), origin);
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    config_targets(config, &names);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.items[0], "gpu.2");
    assert_string_equal(names.items[1], "gpu1");
    assert_string_equal(names.items[2], "local");
}

static void the_nearer_file_counts(void **state)
{
    const struct place *p = *state;
    place_write(p, "project/errand.yaml",
                "experiment: near\nvariables: {A: near, B: near}\noutputs: [x]\n");
    place_write(p, "home/config/config.yaml",
                "experiment: far\ngrace: 1s\nvariables: {B: far, C: far}\noutputs: [y, "
                "z]\ntargets: {t: {host: far, root: /far}}\n");
    place_write(p, "home/config/targets.d/t.yaml", "host: near\n");
    CLEANUP_CONFIG struct config *config = load(p);
    assert_string_equal(config_string(config, "experiment"), "near");
    assert_string_equal(config_origin(config, "experiment"), "errand.yaml:1");
    assert_int_equal(config_integer(config, "grace"), 1000);
    assert_int_equal(config_list(config, "outputs")->count, 1);
    const struct strvec *variables = config_map(config, "variables");
    assert_int_equal(variables->count, 3);
    assert_string_equal(variables->items[0], "A=near");
    assert_string_equal(variables->items[1], "B=near");
    assert_string_equal(variables->items[2], "C=far");
    assert_string_equal(config_string(config, "targets.t.host"), "near");
    assert_string_equal(config_string(config, "targets.t.root"), "/far");
}

static void the_command_line_counts_first(void **state)
{
    const struct place *p = *state;
    place_write(p, "project/errand.yaml", "experiment: file\nvariables: {A: 1, B: 2}\n");
    CLEANUP_CONFIG struct config *config = load(p);
    struct error err = ERROR_INIT;
    assert_int_equal(config_set(config, "experiment", "a: b #c", "--option", &err), 0);
    assert_string_equal(config_string(config, "experiment"), "a: b #c");
    assert_string_equal(config_origin(config, "experiment"), "--option");
    assert_int_equal(config_set(config, "experiment", "again", "--option", &err), 0);
    assert_string_equal(config_string(config, "experiment"), "again");
    assert_int_equal(config_set(config, "variables", "{B: 3, C: 4}", "--option", &err),
                     0);
    const struct strvec *variables = config_map(config, "variables");
    assert_int_equal(variables->count, 3);
    assert_string_equal(variables->items[0], "A=1");
    assert_string_equal(variables->items[1], "B=3");
    assert_int_equal(config_set(config, "time_limit", "soon", "--option", &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(config_set(config, "outputs", "[a, b", "--option", &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
}

struct bad {
    const char *text, *sentence;
};

static void a_wrong_file_is_refused_with_line_and_cause(void **state)
{
    static const struct bad bad[] = {
        {"a: 1\n", "errand.yaml:1: unknown key \"a\""},
        {"\ntagret: x\n",
         "errand.yaml:2: unknown key \"tagret\"; did you mean \"target\"?"},
        {"snapshot:\n  warn_file: 3\n",
         "errand.yaml:2: unknown key \"warn_file\"; did you "
         "mean \"warn_files\"?"},
        {"targets: {t: {hots: x}}\n", "unknown key \"hots\"; did you mean \"host\"?"},
        {"targets: {t: 3}\n", "\"t\" must have keys below it"},
        {"targets: {\"a b\": {host: x}}\n", "\"a b\" is no name for a target"},
        {"targets: {-x: {host: x}}\n", "\"-x\" is no name for a target"},
        {"snapshot.warn_files: 3\n", "unknown key \"snapshot.warn_files\""},
        {"snapshot: 3\n", "\"snapshot\" must have keys below it"},
        {"target: [a]\n", "\"target\" must be a text"},
        {"target: \"\"\n", "target: an empty text"},
        {"outputs: a\n", "\"outputs\" must be a list of texts"},
        {"outputs: [[a]]\n", "\"outputs\" must be a list of texts"},
        {"variables: [a]\n", "\"variables\" must be a map of names to texts"},
        {"variables: {\"A=B\": x}\n", "\"A=B\" is no name"},
        {"attempts: many\n", "errand.yaml:1: attempts:"},
        {"attempts: -1\n", "errand.yaml:1: attempts:"},
        {"time_limit: 3 weeks\n", "errand.yaml:1: time_limit:"},
        {"snapshot: {warn_size: big}\n", "errand.yaml:1: snapshot.warn_size:"},
        {"framework: pithon\n", "\"framework\" must be python, command or pyspark"},
        {"target: a\ntarget: b\n", "errand.yaml:2: the key \"target\" is there already"},
        {"- a\n", "errand.yaml:1: keys are expected"},
        {"just text\n", "errand.yaml:1: keys are expected"},
    };
    const struct place *p = *state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        place_write(p, "project/errand.yaml", bad[i].text);
        assert_refused(p, ERR_CONFIG, bad[i].sentence);
    }
}

static void a_key_without_a_value_says_nothing(void **state)
{
    const struct place *p = *state;
    place_write(p, "project/errand.yaml",
                "experiment:\nvariables:\nsnapshot:\ntargets:\n");
    CLEANUP_CONFIG struct config *config = load(p);
    assert_false(config_has(config, "experiment"));
    assert_int_equal(config_integer(config, "snapshot.warn_files"), 20000);
}

static void what_is_no_file_is_refused(void **state)
{
    const struct place *p = *state;
    assert_int_equal(mkfifo("errand.yaml", 0600), 0);
    assert_refused(p, ERR_CONFIG, "errand.yaml is no regular file");
    assert_int_equal(unlink("errand.yaml"), 0);
    assert_int_equal(mkdir("errand.yaml", 0700), 0);
    assert_refused(p, ERR_CONFIG, "errand.yaml is no regular file");
}

static void the_project_is_found_upwards(void **state)
{
    const struct place *p = *state;
    place_write(p, "project/errand.yaml", "experiment: up\n");
    place_write(p, "project/a/b/x", "");
    assert_int_equal(chdir("a/b"), 0);
    CLEANUP_CONFIG struct config *config = load(p);
    CLEANUP_FREE char *project = place_path(p, "project");
    CLEANUP_FREE char *origin = place_path(p, "project/errand.yaml:1");
    assert_string_equal(config_project(config), project);
    assert_string_equal(config_string(config, "experiment"), "up");
    assert_string_equal(config_origin(config, "experiment"), origin);
}

static void a_file_above_that_everybody_may_have_put_there_is_passed_over(void **state)
{
    const struct place *p = *state;
    place_write(p, "errand.yaml", "experiment: trap\n");
    assert_int_equal(chmod(p->dir, 01777), 0);
    CLEANUP_CONFIG struct config *config = load(p);
    assert_null(config_string(config, "experiment"));
    assert_int_equal(config_notes(config)->count, 1);
    assert_non_null(strstr(config_notes(config)->items[0], "everybody may write"));
    /* Who stands in that folder means it. */
    assert_int_equal(chdir(p->dir), 0);
    CLEANUP_CONFIG struct config *here = load(p);
    assert_string_equal(config_string(here, "experiment"), "trap");
}

static void a_projects_connections_count_only_once_seen(void **state)
{
    const struct place *p = *state;
    place_write(p, "project/errand.yaml",
                "experiment: x\ntargets: {t: {host: a}}\nssh: ./evil\n");
    assert_refused(p, ERR_UNTRUSTED, "errand.yaml has values that count only once");

    const struct config_options options = {.want_untrusted = true};
    CLEANUP_CONFIG struct config *config = config_load(p->home, &options, NULL);
    assert_non_null(config);
    size_t count = 0;
    struct trust_claim *claims = config_claims(config, &count);
    assert_int_equal(count, 1);
    assert_int_equal(claims[0].lines.count, 2);
    assert_string_equal(claims[0].lines.items[0], "ssh: ./evil");
    assert_string_equal(claims[0].lines.items[1], "targets.t.host: a");
    assert_int_equal(trust_add(p->home, &claims[0], NULL), 0);
    CLEANUP_CONFIG struct config *trusted = load(p);
    assert_string_equal(config_string(trusted, "targets.t.host"), "a");

    /* All else may change, in any order; those values may not. */
    place_write(p, "project/errand.yaml",
                "ssh: ./evil\nexperiment: other\ngrace: 1s\ntargets: {t: {host: a}}\n");
    CLEANUP_CONFIG struct config *changed = load(p);
    assert_string_equal(config_string(changed, "experiment"), "other");
    place_write(p, "project/errand.yaml", "ssh: ./evil\ntargets: {t: {host: b}}\n");
    assert_refused(p, ERR_UNTRUSTED, "errand.yaml has values");
    place_write(p, "project/errand.yaml",
                "ssh: ./evil\ntargets: {t: {host: a, port: 22}}\n");
    assert_refused(p, ERR_UNTRUSTED, "errand.yaml has values");
}

static void a_file_of_another_owner_counts_only_once_seen(void **state)
{
    const struct place *p = *state;
    if (geteuid() != 0) {
        skip(); /* only root can give a file away */
    }
    place_write(p, "project/errand.yaml", "experiment: theirs\n");
    assert_int_equal(chown("errand.yaml", 12345, 12345), 0);
    assert_refused(p, ERR_UNTRUSTED, "experiment: theirs");
}

static void a_target_file_has_the_keys_of_one_target(void **state)
{
    const struct place *p = *state;
    place_write(p, "home/config/targets.d/t.yaml", "host: h\nexperiment: x\n");
    assert_refused(p, ERR_CONFIG, "targets.d/t.yaml:2: unknown key \"experiment\"");
    place_write(p, "home/config/targets.d/t.yaml", "host: h\nport: 70000\n");
    assert_refused(p, ERR_CONFIG,
                   "targets.t.port: \"70000\" is not a number from 1 to 65535");
    place_write(p, "home/config/targets.d/t.yaml", "host: h\nport: 0\n");
    assert_refused(p, ERR_CONFIG, "targets.d/t.yaml:2: targets.t.port:");
    place_write(p, "home/config/targets.d/t.yaml", "host: h\ntransport: telnet\n");
    assert_refused(p, ERR_CONFIG, "must be auto, ssh2, openssh or local, not \"telnet\"");
    place_write(p, "home/config/targets.d/t.yaml", "host: h\n");
    place_write(p, "home/config/targets.d/bad name.yaml", "host: h\n");
    place_write(p, "home/config/targets.d/notes.txt", "x\n");
    CLEANUP_CONFIG struct config *config = load(p);
    assert_int_equal(config_notes(config)->count, 1);
    assert_non_null(strstr(config_notes(config)->items[0], "bad name.yaml"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(without_files_the_defaults_count),
        place_test(every_type_is_read),
        place_test(the_nearer_file_counts),
        place_test(the_command_line_counts_first),
        place_test(a_wrong_file_is_refused_with_line_and_cause),
        place_test(a_key_without_a_value_says_nothing),
        place_test(what_is_no_file_is_refused),
        place_test(the_project_is_found_upwards),
        place_test(a_file_above_that_everybody_may_have_put_there_is_passed_over),
        place_test(a_projects_connections_count_only_once_seen),
        place_test(a_file_of_another_owner_counts_only_once_seen),
        place_test(a_target_file_has_the_keys_of_one_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
