#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "controller/envplan.h"
#include "controller/envwish.h"
#include "tests/unit/scratch.h"

struct trial {
    struct envplan plan;
    struct runspec_environment environment;
    struct strvec variables, secrets;
    struct error err;
    int result; /* envplan_open's, or -1 */
};

/* wish: YAML, or NULL: nothing was said. */
static void try_wish(struct trial *t, const struct scratch *s, const char *wish,
                     const char *script)
{
    CLEANUP_JSON struct json *document = NULL;
    CLEANUP_FREE char *user = scratch_path(s, "user");

    *t = (struct trial){.err = ERROR_INIT, .environment.slots = 2};
    envplan_init(&t->plan);
    envspec_init(&t->environment.definition);
    if (wish != NULL) {
        CLEANUP_FREE char *text = xasprintf("environment: %s", wish);
        __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *node =
            yaml_parse("errand.yaml", text, strlen(text), &t->err);

        assert_non_null(node);
        document = envwish_read(node->first, s->path, "errand.yaml:1", &t->err);
        if (document == NULL) {
            t->result = -1;
            return;
        }
    }
    struct envplan_request request = {.project = s->path,
                                      .user_folder = user,
                                      .wish = document,
                                      .script = script,
                                      .may_discover = true};
    t->result = envplan_open(&t->plan, &request, &t->err);
    if (t->result > 0 && envplan_fill(&t->plan, &t->variables, &t->secrets,
                                      &t->environment, &t->err) < 0) {
        t->result = -1;
    }
}

static void end_trial(struct trial *t)
{
    envplan_release(&t->plan);
    envspec_release(&t->environment.definition);
    strvec_release(&t->environment.imports);
    strvec_release(&t->variables);
    strvec_release(&t->secrets);
}
#define CLEANUP_TRIAL CLEANUP(end_trial)

/* The definition that a wish leads to, as JSON; "none" where there is none. */
static void assert_definition(const struct scratch *s, const char *wish,
                              const char *script, const char *expected)
{
    CLEANUP_TRIAL struct trial t;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    try_wish(&t, s, wish, script);
    if (t.result < 0) {
        fail_msg("%s: %s", wish != NULL ? wish : "nothing", t.err.text);
    }
    if (t.result == 0) {
        assert_string_equal(expected, "none");
        return;
    }
    CLEANUP_JSON struct json *j = envspec_to_json(&t.environment.definition);
    json_write_sorted(j, &text);
    assert_string_equal(text.data, expected);
}

static void assert_refused(const struct scratch *s, const char *wish,
                           const char *sentence)
{
    CLEANUP_TRIAL struct trial t;

    try_wish(&t, s, wish, "train.py");
    if (t.result != -1 || strstr(t.err.text, sentence) == NULL) {
        fail_msg("%s: %s", wish != NULL ? wish : "nothing", t.err.text);
    }
}

#define SIX(source)                                                                      \
    "{\"format\":1,\"kind\":\"packages\",\"requirements\":[\"six==1.0\"],\"source\":"    \
    "\"" source "\"}"

/* What local content has until its snapshot is made. */
#define NO_DIGEST "0000000000000000000000000000000000000000000000000000000000000000"

static void what_lies_beside_the_script_is_found_in_order(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "src");
    scratch_mkdir(s, ".azureml");
    scratch_write(s, "src/train.py", "print(1)\n");
    assert_definition(s, NULL, "src/train.py", "none");
    scratch_write(s, ".azureml/conda_dependencies.yml",
                  "dependencies:\n- pip:\n  - six==1.0\n");
    assert_definition(s, NULL, "src/train.py", SIX(".azureml/conda_dependencies.yml"));
    scratch_write(s, "environment.yml", "dependencies: [{pip: [six==1.0]}]\n");
    assert_definition(s, NULL, "src/train.py", SIX("environment.yml"));
    scratch_write(s, "requirements.txt", "six==1.0\n");
    assert_definition(s, NULL, "src/train.py", SIX("requirements.txt"));
    scratch_write(s, "pyproject.toml", "[tool.ruff]\nline-length = 99\n");
    assert_definition(s, NULL, "src/train.py", SIX("requirements.txt"));
    scratch_write(s, "pyproject.toml", "[project]\ndependencies = ['six == 1.0']\n");
    assert_definition(s, NULL, "src/train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"paths\":[\"src\"],"
                      "\"requirements\":[\"six==1.0\"],\"source\":\"pyproject.toml\"}");
    scratch_write(s, "pyproject.toml",
                  "[tool.poetry.dependencies]\nsix = '1.0'\nlib = {path = 'lib'}\n");
    scratch_mkdir(s, "lib");
    scratch_write(s, "lib/pyproject.toml", "[project]\ndependencies = ['idna==3.0']\n");
    assert_definition(s, NULL, "src/train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"paths\":[\"src\"],"
                      "\"requirements\":[\"six==1.0\",{\"digest\":\"" NO_DIGEST
                      "\",\"kind\":\"d\",\"name\":\"lib\",\"path\":\"lib\"}],"
                      "\"source\":\"pyproject.toml\"}");
    scratch_write(s, "src/requirements.txt", "six==1.0\n");
    assert_definition(s, NULL, "src/train.py", SIX("src/requirements.txt"));
    scratch_write(
        s, "src/train.py",
        "#!/usr/bin/env python3\n# /// script\n# dependencies = [\n#   'six==1.0',\n"
        "# ]\n# requires-python = '>=3.9'\n# ///\nprint(1)\n");
    assert_definition(s, NULL, "src/train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"python\":\">=3.9\","
                      "\"requirements\":[\"six==1.0\"],\"source\":\"the header of "
                      "src/train.py\"}");
}

static void poetrys_sources_are_indexes_in_their_order(void **state)
{
    static const struct {
        const char *sources, *options;
    } rows[] = {
        {"name='a'\nurl='https://a/simple'\n", "\"--index-url https://a/simple\""},
        {"name='a'\nurl='https://a/simple'\npriority='supplemental'\n",
         "\"--extra-index-url https://a/simple\""},
        {"name='a'\nurl='https://a/simple'\n[[tool.poetry.source]]\nname='PyPI'\n",
         "\"--extra-index-url https://a/simple\""},
    };
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_write(s, "train.py", "print(1)\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *text = xasprintf(
            "[tool.poetry.dependencies]\nsix = '1.0'\n[[tool.poetry.source]]\n%s",
            rows[i].sources);
        CLEANUP_FREE char *expected = xasprintf(
            "{\"format\":1,\"kind\":\"packages\",\"options\":[%s],\"paths\":[\"\"],"
            "\"requirements\":[\"six==1.0\"],\"source\":\"pyproject.toml\"}",
            rows[i].options);
        scratch_write(s, "pyproject.toml", text);
        assert_definition(s, NULL, "train.py", expected);
    }
}

static void a_header_is_read_as_its_rules_say(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_write(s, "train.py",
                  "# /// script\r\n# dependencies = ['six==1.0']\r\n#\r\n# ///\r\n");
    assert_definition(s, "{script: true}", "train.py", SIX("errand.yaml:1"));
    scratch_write(s, "train.py",
                  "# /// script\n# dependencies = ['six==1.0']\nprint()\n# ///\n");
    assert_refused(s, NULL, "train.py:1: the header is not closed");
    scratch_write(s, "train.py", "# /// script\n# ///\nx\n# /// script\n# ///\n");
    assert_refused(s, NULL, "train.py:4: a second header");
    scratch_write(s, "train.py",
                  "\n# /// script\n# dependencies = [\n# 'six' 'x']\n# ///\n");
    assert_refused(s, NULL, "train.py:4: a , or ]");
    scratch_write(s, "train.py", "# /// script\n# dependencies = ['six=1']\n# ///\n");
    assert_refused(s, NULL, "train.py: dependencies, item 1: \"=1\"");
    scratch_write(s, "train.py", "print(1)\n");
    assert_refused(s, "{script: true}", "train.py has no header");
}

static void a_text_is_a_file_a_name_or_on_the_node(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "environments");
    scratch_mkdir(s, "user");
    scratch_mkdir(s, "user/environments");
    scratch_mkdir(s, "lib");
    scratch_write(s, "train.py", "");
    scratch_write(s, "deps.txt", "six==1.0\n");
    scratch_write(s, "lib/pyproject.toml", "[project]\ndependencies=['six==1.0']\n");
    scratch_write(s, "environments/mine.yaml", "packages: six==1.0\n");
    scratch_write(s, "user/environments/ours.yaml", "requirements: more.txt\n");
    scratch_write(s, "user/environments/more.txt", "six==1.0\n");
    assert_definition(s, "none", "train.py", "none");
    assert_definition(s, "deps.txt", "train.py", SIX("deps.txt"));
    assert_definition(s, "mine", "train.py", SIX("mine"));
    assert_definition(s, "{name: ours}", "train.py", SIX("ours"));
    assert_definition(s, "lib", "train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"paths\":[\"lib\"],"
                      "\"requirements\":[\"six==1.0\"],\"source\":\"lib\"}");
    assert_definition(s, "python3.11", "train.py",
                      "{\"format\":1,\"kind\":\"existing\",\"location\":{\"interpreter\":"
                      "\"python3.11\"},\"source\":\"python3.11\"}");
    assert_definition(s, "/opt/envs/x", "train.py",
                      "{\"format\":1,\"kind\":\"existing\",\"location\":{\"venv\":"
                      "\"/opt/envs/x\"},\"source\":\"/opt/envs/x\"}");
    assert_definition(
        s, "conda:base", "train.py",
        "{\"format\":1,\"kind\":\"existing\",\"location\":{\"conda\":\"base\"},"
        "\"source\":\"conda:base\"}");
    assert_definition(s, "{image: \"python:3.11\"}", "train.py",
                      "{\"format\":1,\"image\":\"python:3.11\",\"kind\":\"image\","
                      "\"source\":\"python:3.11\"}");
    assert_refused(s, "mien", "there is no environment \"mien\"");
    assert_refused(s, "nothing.txt", "there is no nothing.txt");
    assert_refused(s, "{pakages: [six]}", "no key \"pakages\"");
    assert_refused(s, "{script: yes}", "\"script\" must be true or false");
    assert_refused(s, "{packages: [six], builder: make}", "there is no builder \"make\"");
    assert_refused(s, "{venv: /x, packages: [six]}", "packages cannot be added");
    assert_refused(s, "{image: 'a b'}", "\"image\" is not what it may be");
    assert_refused(s, "[six]", "a text (a file, a name, none) or a map");
    assert_refused(s, "{packages: ['-r nothing.txt']}",
                   "errand.yaml:1: packages: read nothing.txt");
}

static void an_environment_extends_another(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_TRIAL struct trial t;

    (void)state;
    scratch_mkdir(s, "environments");
    scratch_write(s, "train.py", "");
    scratch_write(
        s, "environments/base.yaml",
        "packages: [six==1.0]\npython: 3.9\nimports: [six]\nvariables: {A: 1, B: 2}\n");
    try_wish(&t, s, "{extends: base, packages: [attrs], python: 3.11, variables: {B: 3}}",
             "train.py");
    assert_int_equal(t.result, 1);
    assert_int_equal(t.environment.definition.requirements.count, 2);
    assert_string_equal(t.environment.definition.python, "==3.11.*");
    assert_int_equal(t.environment.imports.count, 1);
    assert_string_equal(t.plan.variables.items[t.plan.variables.count - 1], "B=3");
    assert_string_equal(t.plan.variables.items[0], "A=1");
    scratch_write(s, "environments/base.yaml", "extends: base\n");
    assert_refused(s, "base", "extend one another");
    scratch_write(s, "environments/base.yaml", "packages: [six=1]\n");
    assert_refused(s, "base", "environments/base.yaml: packages: \"=1\"");
}

static void every_environment_that_comes_along_is_good(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    const char *name;
    const char *help;
    const char *text;
    size_t count = 0;

    (void)state;
    scratch_write(s, "train.py", "");
    for (; envplan_curated(count, &name, &help, &text); count++) {
        CLEANUP_TRIAL struct trial t;

        try_wish(&t, s, name, "train.py");
        if (t.result != 1) {
            fail_msg("%s: %s", name, t.err.text);
        }
        assert_true(t.environment.definition.requirements.count > 0);
        assert_true(help[0] != '\0' && strlen(help) < 60);
    }
    assert_true(count >= 4);
}

static void conf_has_them_as_files(void **state)
{
    const char *source = getenv("ERRAND_SOURCE_DIR");
    const char *name;
    const char *help;
    const char *text;

    (void)state;
    for (size_t i = 0; envplan_curated(i, &name, &help, &text); i++) {
        CLEANUP_FREE char *path =
            xasprintf("%s/conf/environments/%s.yaml", source ? source : ".", name);
        CLEANUP_FREE char *expected = xasprintf("# %s\n%s", help, text);
        CLEANUP_STRBUF struct strbuf file = STRBUF_INIT;

        assert_int_equal(files_read(AT_FDCWD, path, &file, NULL), 0);
        assert_string_equal(file.data, expected);
    }
}

static void the_original_s_names_lead_to_them(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    static const char *const names[] = {"AzureML-Minimal",
                                        "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu",
                                        "AzureML-PyTorch-1.6-CPU", "AzureML-Tutorial"};

    (void)state;
    scratch_write(s, "train.py", "");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_TRIAL struct trial t;

        try_wish(&t, s, names[i], "train.py");
        assert_int_equal(t.result, 1);
    }
    CLEANUP_TRIAL struct trial other;
    try_wish(&other, s, "AzureML-PyTorch-1.6-GPU", "train.py");
    assert_int_equal(other.result, -1);
}

static void a_conda_file_of_pip_packages_needs_no_conda(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_write(s, "train.py", "");
    scratch_write(s, "e.yml",
                  "name: project_environment\nchannels: [conda-forge]\ndependencies:\n"
                  "  - python=3.6.2\n  - pip\n  -\n  - pip:\n    - six==1.0\n");
    assert_definition(s, "e.yml", "train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"python\":\"==3.6.2.*\","
                      "\"requirements\":[\"six==1.0\"],\"source\":\"e.yml\"}");
    scratch_write(s, "e.yml", "dependencies: ['python>=3.8,<3.12', 'pip=23.1']\n");
    assert_definition(s, "e.yml", "train.py",
                      "{\"format\":1,\"kind\":\"packages\",\"python\":\"<3.12,>=3.8\","
                      "\"source\":\"e.yml\"}");
}

static void unless_conda_is_wished_for(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_write(s, "train.py", "");
    scratch_write(s, "e.yml", "dependencies: [python=3.9, pip, {pip: [six==1.0]}]\n");
    scratch_write(s, "own.yaml", "conda: e.yml\nbuilder: mamba\n");
    assert_definition(s, "own.yaml", "train.py",
                      "{\"builder\":\"mamba\",\"conda\":[\"pip\",\"python=3.9\"],"
                      "\"format\":1,\"kind\":\"conda\",\"requirements\":[\"six==1.0\"],"
                      "\"source\":\"own.yaml\"}");
    scratch_write(s, "own.yaml", "conda: e.yml\nbuilder: uv\n");
    assert_definition(s, "own.yaml", "train.py",
                      "{\"builder\":\"uv\",\"format\":1,\"kind\":\"packages\","
                      "\"python\":\"==3.9.*\",\"requirements\":[\"six==1.0\"],"
                      "\"source\":\"own.yaml\"}");
}

static void a_conda_file_with_more_is_for_conda(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_write(s, "train.py", "");
    scratch_write(s, "e.yml",
                  "channels: [conda-forge, defaults]\nvariables: {A: b}\ndependencies:\n"
                  "  - Python=3.11\n  - numpy  >=1.2\n  - pip\n"
                  "  - pip: ['-i https://index/simple', six==1.0]\n");
    assert_definition(
        s, "e.yml", "train.py",
        "{\"channels\":[\"conda-forge\",\"defaults\"],\"conda\":[\"numpy >=1.2\","
        "\"pip\",\"python=3.11\"],\"format\":1,\"kind\":\"conda\",\"options\":["
        "\"--index-url https://index/simple\"],\"requirements\":[\"six==1.0\"],"
        "\"source\":\"e.yml\"}");
    scratch_write(s, "e.yml", "dependecies: [numpy]\nchannels: [x]\n");
    assert_refused(s, "e.yml", "e.yml:1: a conda file has no key \"dependecies\"");
    scratch_write(s, "e.yml", "channels: [x]\n");
    assert_refused(s, "e.yml", "e.yml: it has no list of dependencies");
    scratch_write(s, "e.yml", "dependencies: [numpy, {pip: [six=1]}]\n");
    assert_refused(s, "e.yml", "e.yml:1: \"=1\"");
    scratch_write(s, "e.yml", "dependencies:\n- numpy\n- {conda: [x]}\n");
    assert_refused(s, "e.yml", "e.yml:3: a dependency is a text");
}

static void a_lock_names_its_files(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_TRIAL struct trial t;

    (void)state;
    scratch_write(s, "train.py", "");
    scratch_write(s, "pyproject.toml", "[project]\nname='x'\n");
    scratch_write(
        s, "uv.lock",
        "version = 1\nrequires-python = '>=3.10'\n[[package]]\nname = 'x'\n"
        "source = { virtual = '.' }\n[[package]]\nname='six'\nsource = { registry = "
        "'https://pypi.org/simple' }\n");
    try_wish(&t, s, "{lock: uv.lock, groups: [dev]}", "train.py");
    assert_int_equal(t.result, 1);
    assert_int_equal(t.environment.definition.kind, ENVSPEC_LOCK);
    assert_string_equal(t.environment.definition.python, ">=3.10");
    assert_string_equal(t.environment.definition.lock_project, "");
    assert_int_equal(t.environment.definition.lock_file_count, 2);
    assert_string_equal(t.environment.definition.lock_files[0].path, "pyproject.toml");
    assert_string_equal(t.environment.definition.lock_files[1].path, "uv.lock");
    assert_string_equal(t.environment.definition.lock_groups.items[0], "dev");
    scratch_write(s, "uv.lock", "[[package]]\nname = 'y'\nsource = { path = 'y.whl' }\n");
    assert_refused(s, "uv.lock",
                   "uv.lock: y comes from y.whl, which a lock does not carry");
}

static void what_it_is_is_said_in_a_line(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_TRIAL struct trial t;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    scratch_write(s, "train.py", "");
    scratch_write(s, "requirements.txt", "six==1.0\nnumpy\npandas==2\n");
    try_wish(&t, s, NULL, "train.py");
    assert_int_equal(t.result, 1);
    envplan_describe(&t.plan, &t.environment.definition, &text);
    assert_string_equal(text.data, "requirements.txt, 3 packages, 1 not pinned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_beside_the_script_is_found_in_order),
        cmocka_unit_test(poetrys_sources_are_indexes_in_their_order),
        cmocka_unit_test(a_header_is_read_as_its_rules_say),
        cmocka_unit_test(a_text_is_a_file_a_name_or_on_the_node),
        cmocka_unit_test(an_environment_extends_another),
        cmocka_unit_test(every_environment_that_comes_along_is_good),
        cmocka_unit_test(conf_has_them_as_files),
        cmocka_unit_test(the_original_s_names_lead_to_them),
        cmocka_unit_test(a_conda_file_of_pip_packages_needs_no_conda),
        cmocka_unit_test(unless_conda_is_wished_for),
        cmocka_unit_test(a_conda_file_with_more_is_for_conda),
        cmocka_unit_test(a_lock_names_its_files),
        cmocka_unit_test(what_it_is_is_said_in_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
