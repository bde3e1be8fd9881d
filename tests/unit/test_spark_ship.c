#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/archive.h"
#include "common/spark_paths.h"
#include "executor/spark_environment.h"
#include "executor/spark_ship.h"
#include "tests/unit/runs.h"
#include "tests/unit/stores.h"

/* A node whose store has a project, a run of it, and a cluster whose file system is a
 * folder. */
struct place {
    const struct scratch *s;
    struct noderoot *root;
    struct programs *programs;
    struct clusterfs fs;
    struct runspec spec;
    struct environment_pin pin;
    struct spark_node node;
    int run_fd;
    struct spark_ship ship;
};

static struct oid add_project(struct noderoot *root)
{
    CLEANUP_STORE struct store *store = noderoot_open_store(root, NULL);
    CLEANUP(tree_writer_cleanup) struct tree_writer *tree = tree_writer_new();
    const struct object_sink sink = store_sink(store);
    struct tree_entry entry = {
        .kind = TREE_FILE, .size_bytes = 4, .name = "job.py", .name_length = 6};
    uint64_t size_bytes;
    struct oid oid;

    entry.oid = put(store, OBJECT_CONTENT, "pass");
    assert_int_equal(tree_writer_add(tree, &entry, NULL), 0);
    assert_int_equal(tree_writer_finish(tree, &sink, &oid, &size_bytes, NULL), 0);
    assert_int_equal(store_add_root(store, &oid, NULL, NULL), 0);
    return oid;
}

static void set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static void place_open(struct place *p, const struct scratch *s)
{
    p->s = s;
    p->root = node_root(s);
    p->programs = programs_new(-1, -1);
    strvec_push(programs_environment(p->programs), "PATH=/usr/bin:/bin");
    clusterfs_init(&p->fs, p->programs);
    environment_pin_init(&p->pin);
    runs_make_spec(&p->spec, "arun");
    assert_true(runs_accept(p->root, &p->spec, NULL) >= 0);
    p->spec.root = add_project(p->root);
    p->spec.framework = FRAMEWORK_PYSPARK;
    p->spec.script = xstrdup("job.py");
    p->spec.spark = runspec_spark_new();
    p->spec.spark->base = xasprintf("file://%s/cluster/", s->path);
    p->run_fd = rundir_open(p->root, "arun", NULL);
    p->ship = (struct spark_ship){.root = p->root,
                                  .spec = &p->spec,
                                  .run_fd = p->run_fd,
                                  .fs = &p->fs,
                                  .node = &p->node};
    spark_node_init(&p->node);
    set(&p->node.fs, "hdfs://nn:9000");
    set(&p->node.user, "ada");
    set(&p->node.python, "/usr/bin/python3");
    set(&p->node.python_version, "3.8.10");
}

static void place_close(struct place *p)
{
    close(p->run_fd);
    runspec_release(&p->spec);
    spark_node_release(&p->node);
    environment_pin_release(&p->pin);
    clusterfs_release(&p->fs);
    programs_free(p->programs);
    noderoot_free(p->root);
}

static void the_project_is_there_under_its_digest(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct spark_shipment again CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;
    char hex[OID_HEX_SIZE];

    place_open(&p, *state);
    spark_shipment_init(&out);
    spark_shipment_init(&again);
    if (spark_ship(&p.ship, 2, &out, &err) < 0) {
        fail_msg("%s", err.text);
    }
    oid_to_hex(&p.spec.root, hex);
    CLEANUP_FREE char *want =
        xasprintf("file://%s/cluster/projects/%s.tar#project", p.s->path, hex);
    CLEANUP_FREE char *outputs =
        xasprintf("file://%s/cluster/outputs/arun-2.tar", p.s->path);
    assert_true(out.has_sent);
    assert_int_equal(out.archives.count, 1);
    assert_string_equal(out.archives.items[0], want);
    assert_string_equal(out.outputs, outputs);
    assert_null(out.python);
    assert_int_equal(out.python_path.count, 1);
    assert_string_equal(out.python_path.items[0], "project");
    assert_int_equal(spark_ship(&p.ship, 2, &again, &err), 0);
    assert_false(again.has_sent);
    place_close(&p);
}

static void where_nothing_is_shared_it_stays_on_the_node(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    spark_shipment_init(&out);
    free(TAKE_PTR(p.spec.spark->base));
    set(&p.node.fs, "file:///");
    assert_int_equal(spark_ship(&p.ship, 1, &out, &err), 0);
    CLEANUP_FREE char *want =
        xasprintf("file://%s/shipped/files/projects/", p.root->path);
    assert_memory_equal(out.archives.items[0], want, strlen(want));
    assert_null(out.outputs);
    place_close(&p);
}

static void what_the_script_imports_comes_first(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    spark_shipment_init(&out);
    free(p.spec.script);
    p.spec.script = xstrdup("jobs/daily/job.py");
    p.spec.environment.has_definition = true;
    strvec_push(&p.spec.environment.definition.paths, "src");
    assert_int_equal(spark_ship(&p.ship, 1, &out, &err), 0);
    assert_int_equal(out.python_path.count, 3);
    assert_string_equal(out.python_path.items[0], "project/jobs/daily");
    assert_string_equal(out.python_path.items[1], "project/src");
    assert_string_equal(out.python_path.items[2], "project");
    CLEANUP_STRVEC struct strvec driver = STRVEC_INIT;
    spark_ship_add_driver_path(&out, "work", &driver);
    assert_string_equal(driver.items[0], "work/jobs/daily");
    assert_string_equal(driver.items[2], "work");
    CLEANUP_STRVEC struct strvec conf = STRVEC_INIT;
    strvec_push(&p.spec.spark->conf, "spark.executorEnv.PYTHONPATH=/opt/own");
    spark_paths_add_conf(&out.python_path, &p.spec.spark->conf, &conf);
    assert_string_equal(conf.items[0],
                        "spark.executorEnv.PYTHONPATH=./project/jobs/daily:"
                        "./project/src:./project:/opt/own");
    place_close(&p);
}

static void the_ways_to_the_cluster_are_the_node_s(void **state)
{
    struct place p;

    place_open(&p, *state);
    set(&p.node.home, "/opt/spark");
    set(&p.node.curl, "/usr/bin/curl");
    strvec_push(&p.node.webhdfs, "http://nn:9870");
    spark_ship_reach(&p.node, &p.fs);
    assert_string_equal(p.fs.shell.items[0], "/opt/spark/bin/spark-class");
    assert_string_equal(p.fs.web.items[0], "http://nn:9870");
    assert_true(clusterfs_is_quick(&p.fs, "hdfs://nn:9000/x"));
    assert_false(clusterfs_is_quick(&p.fs, "abfs://c@a/x"));
    clusterfs_release(&p.fs);
    clusterfs_init(&p.fs, p.programs);
    set(&p.node.hadoop, "/usr/bin/hdfs");
    set(&p.node.security, "kerberos");
    spark_ship_reach(&p.node, &p.fs);
    assert_string_equal(p.fs.shell.items[0], "/usr/bin/hdfs");
    assert_string_equal(p.fs.shell.items[1], "dfs");
    assert_false(clusterfs_is_quick(&p.fs, "hdfs://nn:9000/x"));
    place_close(&p);
}

/* "hdfs:///a" is the default file system's, and no Java VM is needed to get there. */
static void a_base_without_a_host_is_the_default_file_system_s(void **state)
{
    static const struct {
        const char *fs, *base, *outputs;
    } rows[] = {
        {"hdfs://nn:9000", "hdfs:///user/ada/x/", "hdfs://nn:9000/user/ada/x"},
        {"hdfs://nn:9000/", "hdfs:/user/ada/x", "hdfs://nn:9000/user/ada/x"},
        {"hdfs://nn:9000", "/user/ada/x", "hdfs://nn:9000/user/ada/x"},
        {"hdfs://nn:9000", "hdfs://other/x", "hdfs://other/x"},
        {"hdfs://nn:9000", "abfs:///x", "abfs:///x"},
        {"abfs://c@a.net", "abfs:///x", "abfs://c@a.net/x"},
        {"abfs://c@a.net", "abfss:///x", "abfss:///x"},
        {"file:///", "file:///x", "file:///x"},
        {"hdfs:///", "hdfs:///x", "hdfs:///x"},
        {"", "hdfs:///x", "hdfs:///x"},
        {"hdfs", "hdfs:///x", "hdfs:///x"},
    };
    struct place p;

    place_open(&p, *state);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        set(&p.node.fs, rows[i].fs);
        set(&p.spec.spark->base, rows[i].base);
        CLEANUP_FREE char *want = xasprintf("%s/outputs/arun-1.tar", rows[i].outputs);
        CLEANUP_FREE char *outputs = spark_ship_outputs(&p.ship, 1);
        assert_string_equal(outputs, want);
    }
    place_close(&p);
}

/* ---- Environments */

/* One with a package that is there and one that names what is not. */
static void make_environment(struct place *p, const char *version)
{
    CLEANUP_FREE char *path = scratch_path(p->s, "prefix");
    CLEANUP_FREE char *site = xasprintf("%s/lib/python%.*s/site-packages/tiny", path,
                                        (int)(strrchr(version, '.') - version), version);

    assert_int_equal(files_make_dirs(site, NULL), 0);
    CLEANUP_FREE char *module = files_join(site, "__init__.py");
    file_write(AT_FDCWD, module, "x = 1\n");
    CLEANUP_FREE char *broken = xasprintf("%s/../broken.py", site);
    file_write(AT_FDCWD, broken, "import is_not_there\n");
    p->pin.prefix = xstrdup(path);
    memset(p->pin.facts.identity, 'a', OID_HEX_SIZE - 1);
    snprintf(p->pin.facts.build, sizeof(p->pin.facts.build), "20261128T061500Z-3f2a");
    snprintf(p->pin.facts.python, sizeof(p->pin.facts.python), "%s", version);
    snprintf(p->pin.activation, sizeof(p->pin.activation), "venv");
    p->ship.pin = &p->pin;
    set(&p->node.python_version, version);
}

static void packages_become_an_archive_on_the_path(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    spark_shipment_init(&out);
    make_environment(&p, "3.8.10");
    strvec_push(&p.spec.environment.imports, "tiny");
    if (spark_ship(&p.ship, 1, &out, &err) < 0) {
        fail_msg("%s; %s", err.text, programs_text(p.programs)->data);
    }
    assert_int_equal(out.archives.count, 2);
    CLEANUP_FREE char *want =
        xasprintf("file://%s/cluster/environments/%s-20261128T061500Z-3f2a.tar"
                  "#environment",
                  p.s->path, p.pin.facts.identity);
    assert_string_equal(out.archives.items[1], want);
    assert_string_equal(out.python_path.items[1], "environment");
    assert_null(out.python);
    assert_false(scratch_exists(p.s, "root/shipped/.tmp-arun-unpacked"));
    place_close(&p);
}

static void what_cannot_be_imported_there_is_not_sent(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    spark_shipment_init(&out);
    make_environment(&p, "3.8.10");
    strvec_push(&p.spec.environment.imports, "broken");
    assert_int_equal(spark_ship(&p.ship, 1, &out, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "broken cannot be imported"));
    assert_non_null(strstr(err.text, "is_not_there"));
    assert_false(scratch_exists(p.s, "cluster/environments"));
    assert_false(scratch_exists(p.s, "root/shipped/.tmp-arun-unpacked"));
    place_close(&p);
}

static enum error_code choose(struct place *p, enum spark_environment_kind *out,
                              struct error *err)
{
    set(&p->node.python, "/opt/py/bin/python");
    set(&p->node.python_version, "3.8.10");
    return spark_environment_choose(&p->pin, &p->node, out, err) < 0 ? err->code
                                                                     : ERR_NONE;
}

static void another_minor_version_is_said_before_anything_is_packed(void **state)
{
    struct place p;
    enum spark_environment_kind kind;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    make_environment(&p, "3.11.7");
    assert_int_equal(choose(&p, &kind, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.text, "the environment is for Python 3.11, the cluster's "
                                  "Python is 3.8: /opt/py/bin/python");
    snprintf(p.pin.facts.python, sizeof(p.pin.facts.python), "3.8.2");
    assert_int_equal(choose(&p, &kind, &err), ERR_NONE);
    assert_int_equal(kind, SPARK_ENVIRONMENT_PACKAGES);
    place_close(&p);
}

static void a_python_that_spark_does_not_work_with_is_said(void **state)
{
    static const struct {
        const char *spark, *python, *words;
    } rows[] = {
        {"2.4.4.2.6.99.201-25", "3.7.16", NULL},
        {"2.4.4.2.6.99.201-25", "3.8.18", "Spark 2.4.4.2.6.99.201-25 works with 3.7 or"},
        {"3.3.1-amzn-0", "3.10.1", NULL},
        {"3.3.1-amzn-0", "3.11.7", "Python is 3.11.7, and Spark 3.3.1-amzn-0 works with"},
        {"3.4.0", "3.11.7", NULL},
        {"3.5.9", "3.13.0", NULL},
        {"4.0.2", "3.9.18", NULL},
        {"4.0.2", "3.8.18", "works with 3.9 or newer"},
        {"4.1.4", "3.9.18", "works with 3.10 or newer"},
        {"4.1.4", "3.13.0", NULL},
        {"", "3.6.1", NULL},
        {"2.4.8", "", NULL},
    };
    struct place p;
    place_open(&p, *state);
    make_environment(&p, "3.8.10");
    snprintf(p.pin.activation, sizeof(p.pin.activation), "conda");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum spark_environment_kind kind;
        struct error err = ERROR_INIT;
        set(&p.node.version, rows[i].spark);
        snprintf(p.pin.facts.python, sizeof(p.pin.facts.python), "%s", rows[i].python);
        assert_int_equal(choose(&p, &kind, &err),
                         rows[i].words != NULL ? ERR_UNSUPPORTED : ERR_NONE);
        assert_int_equal(kind, SPARK_ENVIRONMENT_CONDA);
        if (rows[i].words != NULL) {
            assert_non_null(strstr(err.text, rows[i].words));
        }
    }
    place_close(&p);
}

static void an_interpreter_that_was_there_is_only_named(void **state)
{
    struct place p;
    struct spark_shipment out CLEANUP_SHIPMENT;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    spark_shipment_init(&out);
    p.pin.interpreter = xstrdup("/opt/shared/bin/python");
    snprintf(p.pin.activation, sizeof(p.pin.activation), "venv");
    p.ship.pin = &p.pin;
    assert_int_equal(spark_ship(&p.ship, 1, &out, &err), 0);
    assert_string_equal(out.python, "/opt/shared/bin/python");
    assert_int_equal(out.archives.count, 1);
    assert_int_equal(out.python_path.count, 1);
    place_close(&p);
}

static void an_image_is_refused_with_what_to_do(void **state)
{
    struct place p;
    enum spark_environment_kind kind;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    snprintf(p.pin.activation, sizeof(p.pin.activation), "image");
    assert_int_equal(choose(&p, &kind, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.hint, "requirements.txt"));
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(the_project_is_there_under_its_digest),
        NODE_TEST(where_nothing_is_shared_it_stays_on_the_node),
        NODE_TEST(what_the_script_imports_comes_first),
        NODE_TEST(the_ways_to_the_cluster_are_the_node_s),
        NODE_TEST(a_base_without_a_host_is_the_default_file_system_s),
        NODE_TEST(packages_become_an_archive_on_the_path),
        NODE_TEST(what_cannot_be_imported_there_is_not_sent),
        NODE_TEST(another_minor_version_is_said_before_anything_is_packed),
        NODE_TEST(a_python_that_spark_does_not_work_with_is_said),
        NODE_TEST(an_interpreter_that_was_there_is_only_named),
        NODE_TEST(an_image_is_refused_with_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
