/* rooting: a root is added by a child, or why not. */
#include "controller/rooting.h"

#include "common/files.h"
#include "common/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64];
    struct store *store;
    struct oid root;
};

/* A store with an empty folder in it, which is no root yet. */
static int setup(void **state)
{
    static const uint8_t empty[16] = {1};
    struct place *p = xcalloc(1, sizeof *p);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/errand-test-rooting-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->store = store_open(p->dir, NULL);
    assert_non_null(p->store);
    oid_of(OBJECT_TREE, empty, sizeof empty, &p->root);
    assert_int_equal(
        store_put(p->store, OBJECT_TREE, &p->root, empty, sizeof empty, NULL), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    store_free(p->store);
    assert_int_equal(files_remove_tree(AT_FDCWD, p->dir, NULL), 0);
    free(p);
    return 0;
}

static void a_root_is_there_when_it_has_finished(void **state)
{
    const struct place *p = *state;
    struct rooting *r = rooting_start(p->dir, &p->root, NULL, NULL);
    assert_non_null(r);
    assert_int_equal(rooting_finish(r, NULL), 0);
    assert_true(store_has_root(p->store, &p->root));
}

static void what_is_missing_is_told(void **state)
{
    const struct place *p = *state;
    struct error err = ERROR_INIT;
    struct oid other = p->root;
    other.digest[0] ^= 1;
    struct rooting *r = rooting_start(p->dir, &other, NULL, NULL);
    assert_non_null(r);
    assert_int_equal(rooting_finish(r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "add root"));
    assert_false(store_has_root(p->store, &other));
}

static void nothing_is_finished_at_once(void **state)
{
    (void)state;
    assert_int_equal(rooting_finish(NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_root_is_there_when_it_has_finished, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_is_told, setup, teardown),
        cmocka_unit_test(nothing_is_finished_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
