#include "executor/offload.h"

#include "common/clock.h"
#include "common/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 20000

static struct json *say(const void *context, struct error *err)
{
    (void)err;
    struct json *answer = json_new_object();
    json_add_string(answer, "said", context);
    return answer;
}

static struct json *say_too_much(const void *context, struct error *err)
{
    (void)context;
    CLEANUP_FREE char *text = xcalloc(1, OFFLOAD_ANSWER_MAX + 1);
    memset(text, 'x', OFFLOAD_ANSWER_MAX);
    return say(text, err);
}

static struct json *refuse(const void *context, struct error *err)
{
    (void)context;
    error_set(err, ERR_BUSY, "the store is locked");
    error_hint(err, "try again");
    return NULL;
}

static struct json *die(const void *context, struct error *err)
{
    (void)context;
    (void)err;
    (void)raise(SIGKILL);
    return NULL;
}

static struct json *hang(const void *context, struct error *err)
{
    (void)context;
    (void)err;
    for (;;) {
        (void)pause();
    }
    return NULL;
}

static void note(void *context)
{
    bool *is_ready = context;
    *is_ready = true;
}

/* Ask and wait. */
static struct json *ask(offload_work *work, const void *context, struct error *err)
{
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    bool is_ready = false;
    struct offload *o = offload_start(loop, work, context, note, &is_ready, err);
    assert_non_null(o);
    int64_t deadline_ns = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;
    while (!is_ready) {
        assert_int_equal(loop_step(loop, DEADLINE_MS, NULL), 0);
        assert_true(clock_monotonic_ns() < deadline_ns);
    }
    struct json *answer = offload_answer(o, err);
    offload_free(o);
    return answer;
}

static void the_childs_answer_comes_back(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *answer = ask(say, "hello", NULL);
    assert_string_equal(json_string(json_get(answer, "said")), "hello");
}

static void the_childs_error_comes_back_whole(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_null(ask(refuse, NULL, &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(err.text, "the store is locked");
    assert_string_equal(err.hint, "try again");
}

static void a_child_that_dies_is_an_error(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_null(ask(die, NULL, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void an_answer_that_is_too_long_is_an_error(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_null(ask(say_too_much, NULL, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void freeing_ends_a_child_that_hangs(void **state)
{
    (void)state;
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    bool is_ready = false;
    offload_free(offload_start(loop, hang, NULL, note, &is_ready, NULL));
    offload_free(NULL);
    assert_int_equal(loop_run(loop, NULL), 0);
    assert_false(is_ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_childs_answer_comes_back),
        cmocka_unit_test(the_childs_error_comes_back_whole),
        cmocka_unit_test(a_child_that_dies_is_an_error),
        cmocka_unit_test(an_answer_that_is_too_long_is_an_error),
        cmocka_unit_test(freeing_ends_a_child_that_hangs),
    };
    return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
