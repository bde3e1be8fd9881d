#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/json.h"
#include "common/tree.h"
#include "executor/checkout.h"
#include "executor/cluster_outputs.h"
#include "executor/outputs.h"
#include "executor/outputs_index.h"
#include "tests/unit/runs.h"

/* Paths that a walk saw, and what it saw them as. */
struct seen {
    struct strvec paths;
};

static int see(void *context, const char *path, const struct tree_entry *entry,
               struct error *err)
{
    struct seen *seen = context;
    (void)err;
    strvec_pushf(&seen->paths, "%c %s %llu", entry->kind, path,
                 (unsigned long long)entry->size_bytes);
    return 0;
}

static struct json *result_of(int run_fd)
{
    CLEANUP_FREE char *text = file_text(run_fd, "outputs.json");
    return json_parse(text, strlen(text), NULL);
}

static struct oid root_of(int run_fd)
{
    CLEANUP_JSON struct json *j = result_of(run_fd);
    struct oid root;
    assert_int_equal(oid_from_hex(json_string(json_get(j, "root")), &root, NULL), 0);
    return root;
}

static void make_work(struct scratch *s)
{
    static const char *const folders[] = {"work", "work/outputs", "work/outputs/sub",
                                          "work/results", "work/results/plots"};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        assert_int_equal(mkdirat(s->fd, folders[i], 0700), 0);
    }
    file_write(s->fd, "work/train.py", "not an output");
    file_write(s->fd, "work/outputs/model", "weights");
    file_write(s->fd, "work/outputs/sub/same", "weights");
    file_write(s->fd, "work/results/readme", "not an output either");
    file_write(s->fd, "work/results/plots/a.svg", "<svg/>");
    assert_int_equal(symlinkat("model", s->fd, "work/outputs/latest"), 0);
}

static void the_named_folders_become_a_tree(void **state)
{
    static const char *const expected[] = {
        "d outputs 19",      "s outputs/latest 5",      "f outputs/model 7",
        "d outputs/sub 7",   "f outputs/sub/same 7",    "d results 6",
        "d results/plots 6", "f results/plots/a.svg 6",
    };
    struct scratch *s = *state;
    struct runspec spec;
    struct error err = ERROR_INIT;
    struct seen seen = {.paths = STRVEC_INIT};
    runs_make_spec(&spec, "run-a");
    strvec_push(&spec.outputs, "results/plots");
    strvec_push(&spec.outputs, "not/there");
    make_work(s);
    assert_true(outputs_are_there(s->fd, &spec));
    assert_int_equal(outputs_collect(s->fd, &spec, &err), 0);
    struct oid root = root_of(s->fd);
    CLEANUP(outputs_reader_cleanup) struct outputs_reader *r = outputs_open(s->fd, &err);
    assert_non_null(r);
    struct object_source source = outputs_source(r);
    assert_true(source.has(source.context, OBJECT_TREE, &root));
    assert_int_equal(tree_walk(&source, &root, see, &seen, &err), 0);
    assert_int_equal(seen.paths.count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_string_equal(seen.paths.items[i], expected[i]);
    }
    CLEANUP_JSON struct json *j = result_of(s->fd);
    assert_int_equal(json_integer(json_get(j, "files")), 4);
    assert_int_equal(json_count(json_get(j, "warnings")), 0);
    strvec_release(&seen.paths);
    runspec_release(&spec);
}

static void content_is_read_from_where_it_lies(void **state)
{
    struct scratch *s = *state;
    struct runspec spec;
    struct error err = ERROR_INIT;
    struct oid oid;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    runs_make_spec(&spec, "run-a");
    make_work(s);
    /* Chunked: 9 MiB that do not repeat. */
    CLEANUP_FD int fd = openat(s->fd, "work/outputs/big", O_RDWR | O_CREAT, 0600);
    uint64_t word = 88172645463325252u;
    for (size_t i = 0; i < (9u << 20) / sizeof(word); i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        assert_int_equal(strbuf_add(&body, &word, sizeof(word), NULL), 0);
    }
    assert_int_equal(fdio_write_full(fd, body.data, body.length), 0);
    assert_int_equal(outputs_collect(s->fd, &spec, &err), 0);
    CLEANUP(outputs_reader_cleanup) struct outputs_reader *r = outputs_open(s->fd, &err);
    struct object_source source = outputs_source(r);
    oid_of(OBJECT_CONTENT, "weights", 7, &oid);
    assert_int_equal(source.get(source.context, OBJECT_CONTENT, &oid, &body, &err), 0);
    assert_string_equal(body.data, "weights");
    struct oid root = root_of(s->fd);
    struct tree_totals totals;
    assert_int_equal(tree_count(&source, &root, &totals, &err), 0);
    assert_int_equal(totals.size_bytes, (9u << 20) + 7 + 7 + 5);
    oid_of(OBJECT_CONTENT, "no such", 7, &oid);
    assert_int_equal(source.get(source.context, OBJECT_CONTENT, &oid, &body, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    runspec_release(&spec);
}

static void a_file_that_was_changed_since_is_named(void **state)
{
    struct scratch *s = *state;
    struct runspec spec;
    struct error err = ERROR_INIT;
    struct oid oid;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    runs_make_spec(&spec, "run-a");
    make_work(s);
    assert_int_equal(files_remove_tree(s->fd, "work/outputs/sub", NULL), 0);
    assert_int_equal(outputs_collect(s->fd, &spec, &err), 0);
    CLEANUP(outputs_reader_cleanup) struct outputs_reader *r = outputs_open(s->fd, &err);
    struct object_source source = outputs_source(r);
    oid_of(OBJECT_CONTENT, "weights", 7, &oid);
    static const char *const changes[] = {"WEIGHTS", "short", ""};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        file_write(s->fd, "work/outputs/model", changes[i]);
        assert_int_equal(source.get(source.context, OBJECT_CONTENT, &oid, &body, &err),
                         -1);
        assert_int_equal(err.code, ERR_CHANGED);
        assert_non_null(strstr(err.text, "outputs/model"));
    }
    assert_int_equal(unlinkat(s->fd, "work/outputs/model", 0), 0);
    assert_int_equal(source.get(source.context, OBJECT_CONTENT, &oid, &body, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    assert_int_equal(mkfifoat(s->fd, "work/outputs/model", 0600), 0); /* must not block */
    assert_int_equal(source.get(source.context, OBJECT_CONTENT, &oid, &body, &err), -1);
    runspec_release(&spec);
}

static void nothing_collected_is_nothing_to_open(void **state)
{
    struct scratch *s = *state;
    struct error err = ERROR_INIT;
    struct runspec spec;
    runs_make_spec(&spec, "run-a");
    assert_null(outputs_open(s->fd, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(outputs_are_there(s->fd, &spec));
    assert_int_equal(mkdirat(s->fd, "work", 0700), 0);
    assert_int_equal(mkdirat(s->fd, "work/outputs", 0700), 0);
    assert_false(outputs_are_there(s->fd, &spec));
    file_write(s->fd, "work/outputs/.hidden", "");
    assert_true(outputs_are_there(s->fd, &spec));
    runspec_release(&spec);
}

/* A damaged index is refused or finds nothing; it never leads out of work/. */
static void a_damaged_index_is_harmless(void **state)
{
    struct scratch *s = *state;
    struct runspec spec;
    struct error err = ERROR_INIT;
    struct oid oid;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct strbuf index;
    runs_make_spec(&spec, "run-a");
    make_work(s);
    assert_int_equal(outputs_collect(s->fd, &spec, &err), 0);
    strbuf_init(&index, 1 << 20);
    assert_int_equal(files_read(s->fd, "outputs.index", &index, NULL), 0);
    oid_of(OBJECT_CONTENT, "weights", 7, &oid);
    for (size_t i = 0; i < index.length; i++) {
        index.data[i] = (char)(index.data[i] ^ 0x81);
        (void)files_write_atomic(s->fd, "outputs.index", index.data, index.length, 0600,
                                 NULL);
        CLEANUP(outputs_reader_cleanup)
        struct outputs_reader *r = outputs_open(s->fd, &err);
        if (r != NULL) {
            struct object_source source = outputs_source(r);
            if (source.get(source.context, OBJECT_CONTENT, &oid, &body, &err) == 0) {
                assert_string_equal(body.data, "weights");
            }
        }
        index.data[i] = (char)(index.data[i] ^ 0x81);
    }
    for (size_t cut = 0; cut < index.length; cut += 7) {
        (void)files_write_atomic(s->fd, "outputs.index", index.data, cut, 0600, NULL);
        assert_null(outputs_open(s->fd, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    strbuf_release(&index);
    runspec_release(&spec);
}

static void many_warnings_are_cut_to_what_fits(void **state)
{
    struct scratch *s = *state;
    struct runspec spec;
    struct stat st;
    char path[320];
    char name[240];
    runs_make_spec(&spec, "run-a");
    make_work(s);
    memset(name, 1, sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "work/outputs/%s%d", name, i);
        assert_int_equal(mkfifoat(s->fd, path, 0600), 0);
    }
    assert_int_equal(outputs_collect(s->fd, &spec, NULL), 0);
    assert_int_equal(fstatat(s->fd, "outputs.json", &st, 0), 0);
    assert_true(st.st_size < OUTPUTS_JSON_MAX);
    CLEANUP_JSON struct json *j = result_of(s->fd);
    const struct json *warnings = json_get(j, "warnings");
    const char *last = json_string(json_at(warnings, json_count(warnings) - 1));
    assert_non_null(strstr(last, " more"));
    runspec_release(&spec);
}

/* A driver in a cluster left outputs that did not come: the run is none the worse, and
 * its owner is told. */
static void outputs_that_did_not_come_from_a_cluster_are_a_warning(void **state)
{
    struct scratch *s = *state;
    struct runspec spec;
    runspec_init(&spec);
    strvec_push(&spec.outputs, "outputs");
    scratch_mkdir(s, "work");
    assert_false(outputs_are_there(s->fd, &spec));
    cluster_outputs_note_failure(s->fd, "outputs did not come: safe mode");
    assert_true(outputs_are_there(s->fd, &spec));
    assert_int_equal(outputs_collect(s->fd, &spec, NULL), 0);
    CLEANUP_FREE char *text = file_text(s->fd, "outputs.json");
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    assert_string_equal(json_string(json_at(json_get(j, "warnings"), 0)),
                        "outputs did not come: safe mode");
    runspec_release(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(the_named_folders_become_a_tree),
        NODE_TEST(content_is_read_from_where_it_lies),
        NODE_TEST(a_file_that_was_changed_since_is_named),
        NODE_TEST(nothing_collected_is_nothing_to_open),
        NODE_TEST(a_damaged_index_is_harmless),
        NODE_TEST(many_warnings_are_cut_to_what_fits),
        NODE_TEST(outputs_that_did_not_come_from_a_cluster_are_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
