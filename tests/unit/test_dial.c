#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/dial.h"

#define NAME "many.test"

/* How many addresses NAME has: 127.0.0.1, 127.0.0.2 ... */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static unsigned addresses_of_name = 1;

int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out);
void __wrap_freeaddrinfo(struct addrinfo *found);

/* In the process that looks the name up, which ends with it: nothing is freed. */
int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo **end = out;

    *out = NULL;
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    assert_string_equal(host, NAME);
    for (unsigned i = 0; i < addresses_of_name; i++) {
        struct addrinfo *one = calloc(1, sizeof(*one));
        struct sockaddr_in *address = calloc(1, sizeof(*address));

        address->sin_family = AF_INET;
        address->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        one->ai_family = AF_INET;
        one->ai_addr = (struct sockaddr *)address;
        one->ai_addrlen = sizeof(*address);
        *end = one;
        end = &one->ai_next;
    }
    return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
    (void)found;
}

static void note_end(void *context)
{
    *(bool *)context = true;
}

/* A socket that listens on loopback; its port. */
static int listen_somewhere(uint16_t *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

/* A name with so many addresses leads to the one of them that answers. */
static void reach(unsigned count)
{
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    struct error err = ERROR_INIT;
    uint16_t port;
    int listening = listen_somewhere(&port);
    bool is_over = false;

    addresses_of_name = count;
    CLEANUP(dial_cleanup)
    struct dial *dial = dial_start(NAME, port, AF_UNSPEC, &err);
    assert_non_null(dial);
    dial_watch(dial, loop, note_end, &is_over);
    while (!is_over) {
        assert_int_equal(loop_step(loop, -1, NULL), 0);
    }
    int fd = dial_take(dial, &err);
    assert_string_equal(err.text, "");
    assert_true(fd >= 0);
    assert_string_equal(dial_address(dial), "127.0.0.1");
    close(fd);
    close(listening);
}

static void a_name_with_any_number_of_addresses_is_reached(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 20; count++) {
        reach(count);
    }
}

static void a_name_without_an_address_is_said_to_have_none(void **state)
{
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    struct error err = ERROR_INIT;
    bool is_over = false;
    (void)state;

    addresses_of_name = 0;
    CLEANUP(dial_cleanup) struct dial *dial = dial_start(NAME, 22, AF_UNSPEC, &err);
    assert_non_null(dial);
    dial_watch(dial, loop, note_end, &is_over);
    while (!is_over) {
        assert_int_equal(loop_step(loop, -1, NULL), 0);
    }
    assert_int_equal(dial_take(dial, &err), -1);
    assert_int_equal(err.code, ERR_CONNECT);
    assert_non_null(strstr(err.text, NAME " has no address"));
    assert_false(dial_is_resolved(dial));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_with_any_number_of_addresses_is_reached),
        cmocka_unit_test(a_name_without_an_address_is_said_to_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
