/*
 * node: a folder for each test and a node's root in it, for tests of the executor.
 * [tests]
 */
#ifndef TESTS_UNIT_NODE_H
#define TESTS_UNIT_NODE_H

#include "executor/noderoot.h"
#include "tests/unit/scratch.h"

/* cmocka's set-up and tear-down: *state is the scratch. */
static inline int node_set_up(void **state)
{
    *state = scratch_new();
    return 0;
}

static inline int node_tear_down(void **state)
{
    scratch_free(*state);
    return 0;
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, node_set_up, node_tear_down)

/* The root in it. */
static inline struct noderoot *node_root(const struct scratch *s)
{
    CLEANUP_FREE char *path = scratch_path(s, "root");
    return noderoot_open(path, NULL);
}

/* The whole of a file, malloc'ed. */
static inline char *file_text(int dir_fd, const char *path)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    (void)files_read(dir_fd, path, &text, NULL);
    return strbuf_detach(&text);
}

static inline void file_write(int dir_fd, const char *path, const char *text)
{
    assert_int_equal(files_write_atomic(dir_fd, path, text, strlen(text), 0600, NULL), 0);
}

#endif
