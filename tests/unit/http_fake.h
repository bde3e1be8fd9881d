/*
 * http_fake: a struct http that answers from a list, in order. [tests]
 *
 * Each answer is expected for one method and address; what was asked beside that is kept
 * to be looked at. An answer whose error is set is a failure of the exchange.
 */
#ifndef TESTS_UNIT_HTTP_FAKE_H
#define TESTS_UNIT_HTTP_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/fdio.h"
#include "common/http.h"

struct fake_answer {
    const char *method, *url;
    int status;
    const char *body;     /* NULL: none */
    size_t body_length;   /* 0: the body's length as text */
    const char *location; /* NULL: none */
    enum error_code error;
};

#define FAKE_ASKED_MAX 64

struct fake_http {
    struct http http; /* first */
    const struct fake_answer *answers;
    size_t count, at;
    char body[FAKE_ASKED_MAX][512]; /* what was sent with request i, or its file */
    bool is_foreign[FAKE_ASKED_MAX];
};

static inline int fake_perform(struct http *http, const struct http_request *request,
                               struct http_response *out, struct error *err)
{
    struct fake_http *fake = (struct fake_http *)http;
    size_t i = fake->at;

    if (i >= fake->count) {
        fail_msg("%s %s was not expected", request->method, request->url);
    }
    fake->at++;
    const struct fake_answer *answer = &fake->answers[i];
    assert_string_equal(request->method, answer->method);
    assert_string_equal(request->url, answer->url);
    if (request->body_file != NULL) {
        snprintf(fake->body[i], sizeof(fake->body[i]), "%s", request->body_file);
    } else {
        snprintf(fake->body[i], sizeof(fake->body[i]), "%.*s", (int)request->body_length,
                 request->body != NULL ? (const char *)request->body : "");
    }
    fake->is_foreign[i] = request->is_foreign;
    if (answer->error != ERR_NONE) {
        return error_set(err, answer->error, "%s %s: the test wants a failure",
                         request->method, request->url);
    }
    out->status = answer->status;
    if (answer->body != NULL) {
        size_t length =
            answer->body_length > 0 ? answer->body_length : strlen(answer->body);
        if (length > request->limit_bytes) {
            return error_set(err, ERR_LIMIT, "%s: too long", request->url);
        }
        assert_int_equal(request->has_sink
                             ? fdio_write_full(request->sink_fd, answer->body, length)
                             : strbuf_add(&out->body, answer->body, length, err),
                         0);
    }
    if (answer->location != NULL) {
        snprintf(out->location, sizeof(out->location), "%s", answer->location);
    }
    return 0;
}

static inline void fake_free(struct http *http)
{
    (void)http;
}

/* Borrows answers. */
static inline void fake_init(struct fake_http *fake, const struct fake_answer *answers,
                             size_t count)
{
    assert_true(count <= FAKE_ASKED_MAX);
    *fake = (struct fake_http){
        .http = {.perform = fake_perform, .free = fake_free, .stop_fd = -1},
        .answers = answers,
        .count = count,
    };
}

/* Everything was asked for. */
static inline void fake_assert_done(const struct fake_http *fake)
{
    assert_int_equal(fake->at, fake->count);
}

#endif
