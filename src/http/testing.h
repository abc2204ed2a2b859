#pragma once
/*
 * For the tests of this folder: a server on a free loopback port in threads of this process, and a client
 * that sends raw bytes and reads answers one by one. All blocking calls of the client give up after 30 s, so
 * that a hanging server fails the test instead of hanging it.
 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct testing {
    struct http_options options;
    const char *listen[1];
    struct http_server *server;
    pthread_t thread;
};

static inline void *testing_run(void *arg)
{
    struct testing *testing = arg;
    struct error error = ERROR_INIT;
    if (http_server_run(testing->server, &error) != STATUS_OK) abort();
    return NULL;
}

/* Defaults and an address; change testing->options between init and start. */
static inline void testing_init(struct testing *testing, const struct http_route *routes, size_t count)
{
    testing->listen[0] = "127.0.0.1:0";
    http_options_default(&testing->options);
    testing->options.listen = testing->listen;
    testing->options.listen_count = 1;
    testing->options.routes = routes;
    testing->options.route_count = count;
}

static inline void testing_start(struct testing *testing)
{
    struct error error = ERROR_INIT;
    if (http_server_new(&testing->options, &error, &testing->server) != STATUS_OK) fail_msg("%s", error.primary);
    assert_int_equal(pthread_create(&testing->thread, NULL, testing_run, testing), 0);
}

static inline void testing_join(struct testing *testing)
{
    pthread_join(testing->thread, NULL);
    http_server_free(testing->server);
}

static inline void testing_stop(struct testing *testing)
{
    http_server_stop(testing->server);
    testing_join(testing);
}

static inline int testing_dial(const struct testing *testing)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    name.sin_port = htons((uint16_t)http_server_port(testing->server, 0));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0) fail_msg("connect: errno %d", errno);
    return fd;
}

/* False when the server has closed the connection meanwhile, which some tests provoke. */
static inline bool testing_send(int fd, struct str bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        bytes = str_slice(bytes, (size_t)sent, bytes.size);
    }
    return true;
}
#define testing_send_text(fd, text) assert_true(testing_send((fd), str_of(text)))

struct answer {
    int status;
    char head[16 << 10]; /* NUL-terminated, from the status line to the blank line */
    struct buf body;
};

static inline void answer_fini(struct answer *answer)
{
    buf_fini(&answer->body);
}

/* The value of a field of the answer, copied to text; false when there is none. */
static inline bool answer_field(const struct answer *answer, const char *name, char *text, size_t size)
{
    struct str rest = str_of(answer->head), line;
    size_t length = strlen(name);
    while (str_next_part(&rest, '\n', &line)) {
        if (line.size <= length || line.data[length] != ':') continue;
        if (!str_eq_nocase(str_slice(line, 0, length), str_of(name))) continue;
        struct str value = str_trim(str_slice(line, length + 1, line.size));
        snprintf(text, size, STR_FMT, STR_ARG(value));
        return true;
    }
    return false;
}

/* A receive with a timeout (testing_dial) is not restarted after an interruption, and libuv's use of io_uring
 * interrupts the threads of its process on some systems. */
static inline ssize_t testing_recv(int fd, void *data, size_t size)
{
    ssize_t got;
    do got = recv(fd, data, size, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static inline bool recv_exactly(int fd, char *data, size_t size)
{
    while (size > 0) {
        ssize_t got = testing_recv(fd, data, size);
        if (got <= 0) return false;
        data += got;
        size -= (size_t)got;
    }
    return true;
}

/* Reads one answer; to_head: of a HEAD request, so without body. False at the end of the connection. Checks
 * what every answer must have: a Date, and a Content-Length where a body is allowed. */
static inline bool answer_read(int fd, bool to_head, struct answer *answer)
{
    char text[64];
    size_t size = 0;
    *answer = (struct answer){.body = BUF_INIT(64 << 20)};
    while (size < 4 || memcmp(answer->head + size - 4, "\r\n\r\n", 4) != 0) {
        if (size == sizeof answer->head - 1) fail_msg("answer without end: %s", answer->head);
        ssize_t got = testing_recv(fd, answer->head + size, 1);
        if (got <= 0) {
            if (size > 0) fail_msg("answer cut short: \"%s\"", answer->head);
            if (got < 0 && errno != ECONNRESET) fail_msg("recv: errno %d", errno);
            return false;
        }
        size++;
    }
    if (sscanf(answer->head, "HTTP/1.1 %d ", &answer->status) != 1) fail_msg("no status line: %s", answer->head);
    if (answer->status < 200) return true;
    assert_true(answer_field(answer, "Date", text, sizeof text));
    assert_int_equal(strlen(text), 29);
    if (answer->status == 204 || answer->status == 304) {
        assert_false(answer_field(answer, "Content-Length", text, sizeof text));
        return true;
    }
    assert_true(answer_field(answer, "Content-Length", text, sizeof text));
    size_t length = strtoul(text, NULL, 10);
    if (to_head || length == 0) return true;
    char *body = buf_reserve(&answer->body, length);
    assert_non_null(body);
    assert_true(recv_exactly(fd, body, length));
    buf_advance(&answer->body, length);
    return true;
}

/* True when the server has closed the connection and nothing more came. */
static inline bool testing_closed(int fd)
{
    char byte;
    ssize_t got = testing_recv(fd, &byte, 1);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}
