#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/archive.h"
#include "executor/cluster_outputs.h"
#include "tests/unit/runs.h"

/* A run's folder, and the archive that its driver left in the cluster. */
struct place {
    const struct scratch *s;
    struct programs *programs;
    struct clusterfs fs;
    struct runspec spec;
    char *uri, *run_path;
    int run_fd;
    struct cluster_outputs outputs;
};

static void place_open(struct place *p, const struct scratch *s)
{
    p->s = s;
    p->programs = programs_new(-1, -1);
    clusterfs_init(&p->fs, p->programs);
    runs_make_spec(&p->spec, "arun");
    p->uri = xasprintf("file://%s/cluster/outputs/arun-1.tar", s->path);
    p->run_path = scratch_path(s, "run");
    scratch_mkdir(s, "run");
    scratch_mkdir(s, "run/work");
    scratch_mkdir(s, "left");
    scratch_mkdir(s, "left/outputs");
    scratch_mkdir(s, "cluster");
    scratch_mkdir(s, "cluster/outputs");
    p->run_fd = scratch_open_dir(s, "run");
    p->outputs = (struct cluster_outputs){.fs = &p->fs,
                                          .uri = p->uri,
                                          .run_path = p->run_path,
                                          .run_fd = p->run_fd,
                                          .spec = &p->spec};
}

static void place_close(struct place *p)
{
    close(p->run_fd);
    clusterfs_release(&p->fs);
    programs_free(p->programs);
    runspec_release(&p->spec);
    free(p->uri);
    free(p->run_path);
}

/* What lies in left/ becomes the archive. */
static void leave(struct place *p)
{
    CLEANUP_FD int in = scratch_open_dir(p->s, "left");
    CLEANUP_FD int out = openat(p->s->fd, "cluster/outputs/arun-1.tar",
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const struct archive_request request = {.out_fd = out};
    struct archive_facts facts;

    assert_int_equal(archive_folder(&request, in, &facts, NULL), 0);
    p->outputs.size_bytes = facts.archive_bytes;
}

static void they_take_their_place_in_the_work_tree(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_mkdir(p.s, "run/work/outputs");
    scratch_write(p.s, "run/work/outputs/old", "of the snapshot");
    scratch_write(p.s, "left/outputs/model", "weights");
    scratch_link(p.s, "left/outputs/latest", "model");
    leave(&p);
    if (cluster_outputs_take(&p.outputs, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_file(p.s, "run/work/outputs/model", "weights");
    assert_link(p.s, "run/work/outputs/latest", "model");
    assert_false(scratch_exists(p.s, "run/work/outputs/old"));
    cluster_outputs_drop(&p.outputs);
    assert_false(scratch_exists(p.s, "cluster/outputs/arun-1.tar"));
    assert_false(scratch_exists(p.s, "run/outputs.tar"));
    assert_false(scratch_exists(p.s, "run/.outputs-unpacked"));
    place_close(&p);
}

static void what_is_no_output_folder_is_not_taken(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_write(p.s, "left/outputs/x", "x");
    scratch_write(p.s, "left/train.py", "changed by somebody");
    scratch_write(p.s, "run/work/train.py", "the user's");
    leave(&p);
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), 0);
    assert_file(p.s, "run/work/train.py", "the user's");
    place_close(&p);
}

/* An attendant that was killed is followed by one that takes them again. */
static void metrics_come_behind_those_before_and_once(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_write(p.s, "run/metrics", "first\n");
    scratch_write(p.s, "cluster/outputs/arun-1.tar", "second\n");
    p.outputs.size_bytes = strlen("second\n");
    p.outputs.attempt = 2;
    for (int i = 0; i < 2; i++) {
        if (cluster_metrics_take(&p.outputs, &err) < 0) {
            fail_msg("%s", err.text);
        }
        assert_file(p.s, "run/metrics", "first\nsecond\n");
    }
    p.outputs.attempt = 3;
    assert_int_equal(cluster_metrics_take(&p.outputs, &err), 0);
    assert_file(p.s, "run/metrics", "first\nsecond\nsecond\n");
    assert_false(scratch_exists(p.s, "run/metrics.new"));
    place_close(&p);
}

static void another_size_than_was_said_is_refused(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_write(p.s, "left/outputs/x", "x");
    leave(&p);
    p.outputs.size_bytes++;
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    p.outputs.size_bytes -= 2;
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(scratch_exists(p.s, "run/work/outputs"));
    assert_true(scratch_exists(p.s, "cluster/outputs/arun-1.tar"));
    place_close(&p);
}

static void what_an_interrupted_try_left_is_no_hindrance(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_write(p.s, "left/outputs/x", "x");
    leave(&p);
    scratch_write(p.s, "run/outputs.tar", "half");
    scratch_mkdir(p.s, "run/.outputs-unpacked");
    scratch_write(p.s, "run/.outputs-unpacked/y", "y");
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), 0);
    assert_file(p.s, "run/work/outputs/x", "x");
    assert_false(scratch_exists(p.s, "run/work/y"));
    place_close(&p);
}

/* On a full disk the sentence was lost, and the run ended as if all had come. */
static void that_they_did_not_come_needs_no_room(void **state)
{
    struct place p;
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;

    place_open(&p, *state);
    assert_false(cluster_outputs_failure(p.run_fd, &said));
    scratch_write(p.s, "run/outputs.failure", "");
    assert_true(cluster_outputs_failure(p.run_fd, &said));
    assert_string_equal(said.data, "the outputs did not come from the cluster");
    strbuf_reset(&said);
    cluster_outputs_note_failure(p.run_fd, "because");
    assert_true(cluster_outputs_failure(p.run_fd, &said));
    assert_string_equal(said.data, "because");
    cluster_outputs_clear_failure(p.run_fd);
    assert_false(cluster_outputs_failure(p.run_fd, &said));
    place_close(&p);
}

/* Who was killed before the run's end was on record said that they had not come. */
static void they_can_be_taken_again(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_write(p.s, "left/outputs/x", "x");
    leave(&p);
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), 0);
    if (cluster_outputs_take(&p.outputs, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_file(p.s, "run/work/outputs/x", "x");
    place_close(&p);
}

/* A link in the work tree does not lead the folder elsewhere. */
static void a_link_in_the_way_is_replaced_not_followed(void **state)
{
    struct place p;
    struct error err = ERROR_INIT;

    place_open(&p, *state);
    scratch_mkdir(p.s, "victim");
    scratch_write(p.s, "victim/precious", "stays");
    scratch_link(p.s, "run/work/outputs", "../../victim");
    scratch_write(p.s, "left/outputs/x", "x");
    leave(&p);
    assert_int_equal(cluster_outputs_take(&p.outputs, &err), 0);
    assert_file(p.s, "run/work/outputs/x", "x");
    assert_file(p.s, "victim/precious", "stays");
    assert_false(scratch_exists(p.s, "victim/x"));
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(they_take_their_place_in_the_work_tree),
        NODE_TEST(what_is_no_output_folder_is_not_taken),
        NODE_TEST(metrics_come_behind_those_before_and_once),
        NODE_TEST(another_size_than_was_said_is_refused),
        NODE_TEST(what_an_interrupted_try_left_is_no_hindrance),
        NODE_TEST(that_they_did_not_come_needs_no_room),
        NODE_TEST(they_can_be_taken_again),
        NODE_TEST(a_link_in_the_way_is_replaced_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
