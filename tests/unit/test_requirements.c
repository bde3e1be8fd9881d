#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/requirements.h"
#include "tests/unit/scratch.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct reading {
    struct requirements r;
    struct envspec spec;
    struct strvec variables, secrets;
    struct error err;
};

/* Read requirements.txt with this text in the scratch folder; 0 or -1. */
static int begin_reading(struct reading *reading, const struct scratch *s,
                         const char *text)
{
    CLEANUP_FREE char *path = xasprintf("%s/requirements.txt", s->path);

    *reading = (struct reading){.err = ERROR_INIT};
    envspec_init(&reading->spec);
    strvec_push(&reading->variables, "HOST=index.example.com");
    strvec_push(&reading->secrets, "TOKEN");
    scratch_write(s, "requirements.txt", text);
    assert_int_equal(requirements_init(&reading->r, s->path, &reading->variables,
                                       &reading->secrets, &reading->spec, NULL),
                     0);
    if (requirements_file(&reading->r, path, false, &reading->err) < 0) {
        return -1;
    }
    return requirements_finish(&reading->r, &reading->err);
}

static void end_reading(struct reading *reading)
{
    requirements_release(&reading->r);
    envspec_release(&reading->spec);
    strvec_release(&reading->variables);
    strvec_release(&reading->secrets);
}

/* The definition's lists as one text: lines, "@path[extras] ; marker" for local content.
 */
static void show_list(const char *head, const struct envspec_requirements *list,
                      struct strbuf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct envspec_requirement *item = &list->items[i];

        if (item->text != NULL) {
            strbuf_printf(out, "%s%s\n", head, item->text);
        } else {
            strbuf_printf(out, "%s@%s%s[%s]%s\n", head, item->path,
                          item->is_folder ? "/" : "", item->extras, item->marker);
        }
    }
}

static void show(const struct envspec *spec, struct strbuf *out)
{
    show_list("", &spec->requirements, out);
    show_list("c ", &spec->constraints, out);
    show_list("f ", &spec->find_links, out);
    for (size_t i = 0; i < spec->options.count; i++) {
        strbuf_printf(out, "%s\n", spec->options.items[i]);
    }
    for (size_t i = 0; i < spec->paths.count; i++) {
        strbuf_printf(out, "path %s\n", spec->paths.items[i]);
    }
    if (spec->python != NULL) {
        strbuf_printf(out, "python %s\n", spec->python);
    }
}

static void assert_read(const struct scratch *s, const char *text, const char *expected)
{
    CLEANUP_STRBUF struct strbuf shown = STRBUF_INIT;
    struct reading reading;

    if (begin_reading(&reading, s, text) < 0) {
        fail_msg("%s: %s", text, reading.err.text);
    }
    show(&reading.spec, &shown);
    assert_string_equal(shown.data, expected);
    end_reading(&reading);
}

static void assert_wrong(const struct scratch *s, const char *text, const char *sentence)
{
    struct reading reading;

    if (begin_reading(&reading, s, text) == 0 ||
        strstr(reading.err.text, sentence) == NULL) {
        fail_msg("%s: %s", text, reading.err.text);
    }
    end_reading(&reading);
}

static void a_list_is_read_in_any_order(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_read(s, "", "");
    assert_read(s, "six\nNumPy>=1.2 # why\n\n# all\npandas[Excel]\n",
                "numpy>=1.2\npandas[excel]\nsix\n");
    assert_read(s, "pandas[excel]\r\nsix\rnumpy >= 1.2\n six\t",
                "numpy>=1.2\npandas[excel]\nsix\n");
}

static void a_line_goes_on_behind_a_backslash(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_read(s, "six\\\n==1.0\nnumpy", "numpy\nsix==1.0\n");
    assert_read(s, "six==1.0 \\\n# a comment ends it\nnumpy", "numpy\nsix==1.0\n");
    assert_read(
        s, "six==1.0 \\\n    --hash=sha256:" HASH " \\\n    --hash sha256:" HASH "\n",
        "six==1.0 --hash=sha256:" HASH "\n--require-hashes\n");
    assert_read(s, "six \\", "six\n");
    assert_wrong(s, "a\nb \\\n  >>\\\n1\nc", "requirements.txt:2: ");
}

static void every_encoding_that_tools_write_is_understood(void **state)
{
    static const char bom[] = "\xef\xbb\xbfsix\n";
    static const char little[] = "\xff\xfes\0i\0x\0\r\0\n\0";
    static const char big[] = "\xfe\xff\0s\0i\0x";
    static const char emoji[] = "\xff\xfe#\0\x3d\xd8\x00\xde\n\0s\0i\0x\0";
    static const struct {
        const char *data;
        size_t length;
    } files[] = {{bom, sizeof(bom) - 1},
                 {little, sizeof(little) - 1},
                 {big, sizeof(big) - 1},
                 {emoji, sizeof(emoji) - 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        CLEANUP_SCRATCH struct scratch *s = scratch_new();
        CLEANUP_FREE char *include = scratch_path(s, "other.txt");

        scratch_write_bytes(s, "other.txt", files[i].data, files[i].length, 0600);
        assert_read(s, "-r other.txt", "six\n");
    }
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    assert_read(s, "# caf\xe9 in Latin-1\nsix", "six\n");
    assert_wrong(s, "six ; os_name == 'caf\xe9'", "requirements.txt:1: it is not UTF-8");
    scratch_write_bytes(s, "other.txt", "s\0i\0x\0", 6, 0600);
    assert_wrong(s, "-r other.txt", "other.txt: it is no text");
    scratch_write_bytes(s, "other.txt", "\xff\xfes\0i", 5, 0600);
    assert_wrong(s, "-r other.txt", "half a character");
    scratch_write_bytes(s, "other.txt", "\xff\xfe\0\xd8s\0", 6, 0600);
    assert_wrong(s, "-r other.txt", "begins as UTF-16");
}

static void files_include_others(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "deps");
    scratch_write(s, "deps/base.txt", "six==1.0\n-c pins.txt\n--requirement=more.txt");
    scratch_write(s, "deps/more.txt", "numpy");
    scratch_write(s, "deps/pins.txt", "six==1.0\n# none\nattrs<2\n-r deeper.txt");
    scratch_write(s, "deps/deeper.txt", "py==3");
    assert_read(s, "-r deps/base.txt\npandas",
                "numpy\npandas\nsix==1.0\nc attrs<2\nc py==3\nc six==1.0\n");
    scratch_write(s, "deps/more.txt", "numpy\nsix=1");
    assert_wrong(s, "-rdeps/base.txt", "deps/more.txt:2: \"=1\": = is no comparison");
    scratch_write(s, "deps/more.txt", "-r ../requirements.txt");
    assert_wrong(s, "-r deps/base.txt", "requirements.txt includes itself");
    assert_wrong(s, "\n-r nothing.txt", "requirements.txt:2: read nothing.txt");
    assert_wrong(s, "-r https://host/x.txt",
                 "requirements.txt:1: https://host/x.txt: a list "
                 "at an address is not read");
}

static void files_include_one_another_only_so_deep(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    for (int i = 0; i < REQUIREMENTS_DEPTH_MAX + 1; i++) {
        CLEANUP_FREE char *name = xasprintf("r%d.txt", i);
        CLEANUP_FREE char *text = xasprintf("-r r%d.txt", i + 1);

        scratch_write(s, name, text);
    }
    assert_wrong(s, "-r r0.txt", "more than 16 deep");
}

static void options_are_kept_in_order(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_read(
        s,
        "--pre\n-i https://a/simple\n--extra-index-url=https://b/simple\n"
        "--extra-index-url https://b/simple\n--index-url https://c/simple\n"
        "--no-binary Foo_Bar,b --only-binary=:all:\n--trusted-host 'b'\n"
        "--prefer-binary\n-f https://d/wheels\n--no-index\n--use-feature x\n",
        "--pre\n--extra-index-url https://b/simple\n--index-url https://c/simple\n"
        "--no-binary foo-bar\n--no-binary b\n--only-binary :all:\n"
        "--trusted-host b\n--prefer-binary\n--find-links https://d/wheels\n"
        "--no-index\n");
    assert_wrong(s, "--extra-index https://x",
                 "requirements.txt:1: requirement files know no "
                 "option --extra-index");
    assert_wrong(s, "--index-url", "--index-url needs a value");
    assert_wrong(s, "--pre=yes", "--pre takes no value");
    assert_wrong(s, "--index-url pypi", "an index is an address");
    assert_wrong(s, "--pre six", "\"six\" stands behind an option");
    assert_wrong(s, "--no-binary :some:", "neither :all: nor :none:");
    assert_wrong(s, "--trusted-host 'a", "a ' is not closed");
    assert_wrong(s, "--trusted-host 'a b'", "takes one value");
}

static void hashes_belong_to_all_or_none(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_wrong(s, "six==1 --hash=sha256:" HASH "\nnumpy==1",
                 "requirements.txt:2: numpy has no --hash, but requirements.txt:1 has");
    assert_wrong(s, "six>=1 --hash=sha256:" HASH, "six has a --hash and no version");
    assert_wrong(s, "six==1 --hash=md5:0123", "is not sha256");
    assert_wrong(s, "six==1 --hash=sha256:0123", "64 hexadecimal digits");
    assert_wrong(s, "six==1 --global-option=x", "a requirement knows no option");
    assert_wrong(s, "six==1 --hash", "a requirement knows no option --hash");
}

static void addresses_are_kept(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_read(
        s,
        "git+https://host/r.git@v1#egg=r&subdirectory=x\n"
        "https://host/a-1-py3-none-any.whl ; python_version<'3.9'\n"
        "Foo @ https://host/foo.tar.gz#sha256=abc\n-e git+ssh://git@host/x#egg=x\n",
        "foo @ https://host/foo.tar.gz#sha256=abc\n"
        "git+https://host/r.git@v1#egg=r&subdirectory=x\n"
        "git+ssh://git@host/x#egg=x\n"
        "https://host/a-1-py3-none-any.whl ; python_version < \"3.9\"\n");
    assert_wrong(s, "https://host/a b.whl", "a blank stands in the address");
}

static void what_lies_in_the_project_is_local_content(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "dist");
    scratch_mkdir(s, "lib");
    scratch_write(s, "dist/a-1-py3-none-any.whl", "");
    scratch_write(s, "b-2.tar.gz", "");
    scratch_write(s, "notes.txt", "");
    CLEANUP_FREE char *absolute = scratch_path(s, "b-2.tar.gz");
    CLEANUP_FREE char *lines = xasprintf(
        "dist/a-1-py3-none-any.whl\n./lib[X,y] ; os_name=='posix'\nb @ file://%s\n"
        "--find-links dist\n",
        absolute);
    assert_read(s, lines,
                "@dist/a-1-py3-none-any.whl[]\n@b-2.tar.gz[]\n"
                "@lib/[x,y]os_name == \"posix\"\nf @dist/[]\n");
    assert_read(s, "b-2.tar.gz\n", "@b-2.tar.gz[]\n");
    assert_wrong(s, "\n./nothing.whl", "requirements.txt:2: look at ./nothing.whl");
    assert_wrong(s, "../x.whl", "look at ../x.whl");
    assert_wrong(s, "/bin/..", "/bin/.. is outside the project");
    assert_wrong(s, "./notes.txt", "neither a wheel, an archive nor a folder");
    assert_wrong(s, "--find-links notes.txt", "it is no folder");
    assert_wrong(s, "-e ./lib", "lib is no Python project");
    assert_wrong(s, "file://host/x.whl", "names another machine");
    scratch_write(s, "pins.txt", "./lib");
    assert_wrong(s, "-c pins.txt", "pins.txt:1: ./lib: a constraint names a version");
}

static void an_editable_project_is_what_it_needs(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    scratch_mkdir(s, "lib");
    scratch_mkdir(s, "lib/src");
    scratch_mkdir(s, "old");
    scratch_mkdir(s, "one");
    scratch_write(s, "one/pyproject.toml", "[project]\nname='one'\n");
    scratch_write(s, "old/setup.py", "");
    scratch_write(s, "lib/pyproject.toml",
                  "[project]\nname = 'lib'\nrequires-python = '>=3.8'\n"
                  "dependencies = ['six', 'One', 'far>=2; os_name==\"nt\"']\n"
                  "[project.optional-dependencies]\nPlot_it = ['matplotlib']\n"
                  "[tool.uv.sources]\none = {path = '../one'}\n"
                  "far = {git = 'https://host/far', tag = 'v2'}\n"
                  "[[tool.uv.index]]\nurl = 'https://index/simple'\n");
    assert_read(s, "-e ./lib[plot-it]\n-e old\n",
                "far @ git+https://host/far@v2 ; os_name == \"nt\"\nmatplotlib\nsix\n"
                "@old/[]\n@one/[]\n--extra-index-url https://index/simple\npath lib/src\n"
                "python >=3.8\n");
    assert_wrong(s, "-e ./lib[plot]", "lib/pyproject.toml: it has no extra \"plot\"");
    scratch_write(s, "lib/pyproject.toml", "[project]\ndynamic = ['dependencies']\n");
    assert_read(s, "-e ./lib", "@lib/[]\n");
    scratch_write(s, "lib/pyproject.toml", "[project]\ndependencies = ['a', 'six=1']\n");
    assert_wrong(s, "-e ./lib",
                 "lib/pyproject.toml: project.dependencies, item 2: \"=1\"");
    scratch_write(s, "lib/pyproject.toml", "[project\n");
    assert_wrong(s, "-e ./lib", "lib/pyproject.toml:1: a table's name is not closed");
}

static void variables_of_the_run_are_replaced_and_secrets_stay(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_read(s,
                "--index-url https://me:${TOKEN}@${HOST}/simple\nsix ; os_name == '$X'",
                "six ; os_name == \"$X\"\n"
                "--index-url https://me:${TOKEN}@index.example.com/simple\n");
    assert_wrong(s, "six==${VERSION}", "${VERSION} is neither a variable nor a secret");
    assert_wrong(s, "https://me:pw${TOKEN}@h/x.whl",
                 "a password stands in an address beside");
}

static void passwords_are_taken_out_of_addresses(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STRBUF struct strbuf shown = STRBUF_INIT;
    struct reading reading;

    (void)state;
    assert_int_equal(begin_reading(&reading, s,
                                   "-i https://me:p%40w@a/simple\n"
                                   "--extra-index-url https://me:p%40w@b/simple\n"
                                   "x @ git+https://token@c/x\ny @ git+ssh://git@d/y\n"
                                   "z @ https://host/z@1.whl"),
                     0);
    show(&reading.spec, &shown);
    assert_string_equal(shown.data,
                        "x @ git+https://${ERRAND_CREDENTIALS_2}@c/x\n"
                        "y @ git+ssh://git@d/y\nz @ https://host/z@1.whl\n"
                        "--index-url https://${ERRAND_CREDENTIALS_1}@a/simple\n"
                        "--extra-index-url https://${ERRAND_CREDENTIALS_1}@b/simple\n");
    assert_int_equal(reading.r.credentials.count, 2);
    assert_string_equal(reading.r.credentials.items[0], "ERRAND_CREDENTIALS_1=me:p%40w");
    assert_string_equal(reading.r.credentials.items[1], "ERRAND_CREDENTIALS_2=token");
    end_reading(&reading);
}

static void what_contradicts_itself_is_said(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();

    (void)state;
    assert_wrong(
        s, "six==1.16\n\nSix==1.17",
        "requirements.txt:3: six==1.17 contradicts requirements.txt:1, which has ==1.16");
    assert_wrong(s, "a @ https://x/1\na @ https://x/2", "contradicts");
    scratch_write(s, "pins.txt", "six==1");
    assert_wrong(s, "six==2\n-c pins.txt",
                 "pins.txt:1: six==1 contradicts requirements.txt:1");
    assert_read(s, "six==1.0\nsix==1.0.0", "six==1.0\nsix==1.0.0\n");
    assert_read(s, "six==1;os_name=='nt'\nsix==2;os_name!='nt'",
                "six==1 ; os_name == \"nt\"\nsix==2 ; os_name != \"nt\"\n");
}

static void what_is_there_twice_is_told(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct reading reading;

    (void)state;
    assert_int_equal(begin_reading(&reading, s, "six>=1\nsix<2"), 0);
    assert_int_equal(reading.r.notes.count, 1);
    assert_string_equal(
        reading.r.notes.items[0],
        "requirements.txt:2: six is there twice, also in requirements.txt:1");
    end_reading(&reading);
}

static void what_is_pinned_is_counted(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct reading reading;

    (void)state;
    scratch_write(s, "pins.txt", "numpy==1\nother==3");
    scratch_mkdir(s, "lib");
    assert_int_equal(begin_reading(&reading, s,
                                   "six==1\nnumpy\npandas>=1\npandas<3\nx==1.*\n"
                                   "https://host/x.whl\n./lib\n-c pins.txt"),
                     0);
    assert_int_equal(reading.r.pinned, 4);
    assert_int_equal(reading.r.unpinned, 2);
    end_reading(&reading);
}

static void a_line_has_a_largest_length(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    strbuf_puts(&text, "six ; os_name in '");
    for (size_t i = 0; i < ENVSPEC_TEXT_MAX; i++) {
        strbuf_putc(&text, 'a');
    }
    assert_wrong(s, text.data, "requirements.txt:1: it has more than 65536 bytes");
    strbuf_reset(&text);
    for (size_t i = 0; i < 5000; i++) {
        strbuf_puts(&text, "${HOST}");
    }
    assert_wrong(s, text.data, "with its variables it has more than 65536 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_read_in_any_order),
        cmocka_unit_test(a_line_goes_on_behind_a_backslash),
        cmocka_unit_test(every_encoding_that_tools_write_is_understood),
        cmocka_unit_test(files_include_others),
        cmocka_unit_test(files_include_one_another_only_so_deep),
        cmocka_unit_test(options_are_kept_in_order),
        cmocka_unit_test(hashes_belong_to_all_or_none),
        cmocka_unit_test(addresses_are_kept),
        cmocka_unit_test(what_lies_in_the_project_is_local_content),
        cmocka_unit_test(an_editable_project_is_what_it_needs),
        cmocka_unit_test(variables_of_the_run_are_replaced_and_secrets_stay),
        cmocka_unit_test(passwords_are_taken_out_of_addresses),
        cmocka_unit_test(what_contradicts_itself_is_said),
        cmocka_unit_test(what_is_there_twice_is_told),
        cmocka_unit_test(what_is_pinned_is_counted),
        cmocka_unit_test(a_line_has_a_largest_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
