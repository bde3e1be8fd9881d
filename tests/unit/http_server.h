/*
 * http_server: a server on loopback that says what it was told to, word by word. [tests]
 *
 * One connection an answer, in order. What each client sent lies in the scratch folder's
 * file request-N. An answer may be followed by silence (is_silent): the connection stays
 * open until the client leaves.
 */
#ifndef TESTS_UNIT_HTTP_SERVER_H
#define TESTS_UNIT_HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "tests/unit/scratch.h"

struct server_answer {
    const char *bytes;
    size_t length; /* 0: as text */
    bool is_silent;
};

struct http_server {
    pid_t pid;
    char url[64]; /* "http://127.0.0.1:PORT" */
};

/* All of a request: its head, and the body that the head announces. */
static inline void server_take(int fd, struct strbuf *request)
{
    char block[65536];

    for (;;) {
        char *end = strstr(request->data, "\r\n\r\n");
        char *length = strstr(request->data, "Content-Length: ");
        size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;

        if (end != NULL && request->length >= (size_t)(end + 4 - request->data) + body) {
            return;
        }
        ssize_t got = read(fd, block, sizeof(block));
        if (got <= 0) {
            return;
        }
        (void)strbuf_add(request, block, (size_t)got, NULL);
    }
}

static inline void server_serve(int listening, const struct server_answer *answers,
                                size_t count, int folder)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP_STRBUF struct strbuf request = STRBUF_INIT;
        int fd = accept(listening, NULL, NULL);
        size_t length =
            answers[i].length > 0 ? answers[i].length : strlen(answers[i].bytes);
        char name[32], c;

        server_take(fd, &request);
        snprintf(name, sizeof(name), "request-%zu", i);
        if (files_write_atomic(folder, name, request.data, request.length, 0600, NULL) <
            0) {
            _exit(1);
        }
        (void)fdio_write_full(fd, answers[i].bytes, length);
        while (answers[i].is_silent && read(fd, &c, 1) > 0) {
        }
        close(fd);
    }
}

static inline void server_start(struct http_server *server, const struct scratch *scratch,
                                const struct server_answer *answers, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 16), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d",
             ntohs(address.sin_port));
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        server_serve(listening, answers, count, scratch->fd);
        _exit(0);
    }
    close(listening);
}

static inline void server_stop(struct http_server *server)
{
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0) {
    }
}

#endif
