#include "mock.h"

#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX ((size_t)8 << 20)

struct mock {
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop;
    const struct mock_answer *answers;
    size_t answer_count, answered;
    struct buf requests[MOCK_REQUESTS_MAX];
    size_t request_count;
};

static bool stopping(struct mock *mock)
{
    pthread_mutex_lock(&mock->lock);
    bool stop = mock->stop;
    pthread_mutex_unlock(&mock->lock);
    return stop;
}

/* False when the other side is gone or the mock is to stop. */
static bool send_all(struct mock *mock, int peer, struct str text)
{
    while (text.size && !stopping(mock)) {
        ssize_t count = send(peer, text.data, text.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct pollfd wait = {.fd = peer, .events = POLLOUT};
            poll(&wait, 1, 20);
            continue;
        }
        if (count < 0) return false;
        text = str_slice(text, (size_t)count, text.size);
    }
    return text.size == 0;
}

static size_t body_size(struct str head)
{
    struct str rest = head, line;
    while (str_next_part(&rest, '\n', &line)) {
        struct str name = str_slice(line, 0, str_find_byte(line, ':', 0));
        if (str_eq_nocase(name, STR("Content-Length"))) return strtoul(line.data + name.size + 1, NULL, 10);
    }
    return 0;
}

static bool read_request(struct mock *mock, int peer, struct buf *request)
{
    size_t wanted = SIZE_MAX;
    while (request->size < wanted && !stopping(mock)) {
        struct pollfd wait = {.fd = peer, .events = POLLIN};
        if (poll(&wait, 1, 20) <= 0) continue;
        char *room = buf_reserve(request, 65536);
        ssize_t count = room ? recv(peer, room, 65536, 0) : -1;
        if (count <= 0) return false;
        buf_advance(request, (size_t)count);
        size_t end = str_find(buf_str(request), STR("\r\n\r\n"), 0);
        if (wanted == SIZE_MAX && end != SIZE_MAX) wanted = end + 4 + body_size(str_slice(buf_str(request), 0, end));
    }
    return request->size >= wanted;
}

static void wait_for_end(struct mock *mock, int peer)
{
    char byte;
    while (!stopping(mock)) {
        struct pollfd wait = {.fd = peer, .events = POLLIN};
        if (poll(&wait, 1, 20) > 0 && recv(peer, &byte, 1, 0) <= 0) return;
    }
}

static void send_slowly(struct mock *mock, int peer, struct str text)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    for (size_t i = 0; i < text.size && send_all(mock, peer, str_slice(text, i, i + 1)); i++) nanosleep(&pause, NULL);
}

static void send_endless(struct mock *mock, int peer)
{
    static char block[65536];
    memset(block, 'x', sizeof block);
    while (send_all(mock, peer, (struct str){block, sizeof block})) continue;
}

static void answer(struct mock *mock, int peer, const struct mock_answer *answer)
{
    struct buf text = BUF_INIT(REQUEST_BYTES_MAX);
    const struct linger at_once = {.l_onoff = 1};
    size_t promised = answer->trick == MOCK_CUT ? answer->body.size + 100 : answer->body.size;
    buf_printf(&text, "HTTP/1.1 %u X\r\nConnection: close\r\n", answer->status);
    buf_str_add(&text, answer->headers);
    if (answer->trick != MOCK_ENDLESS) buf_printf(&text, "Content-Length: %zu\r\n", promised);
    buf_lit(&text, "\r\n");
    buf_str_add(&text, answer->body);
    switch (answer->trick) {
    case MOCK_ANSWER:
    case MOCK_CUT: send_all(mock, peer, buf_str(&text)); break;
    case MOCK_SILENT: wait_for_end(mock, peer); break;
    case MOCK_SLOW: send_slowly(mock, peer, buf_str(&text)); break;
    case MOCK_RESET: setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); break;
    case MOCK_ENDLESS:
        if (send_all(mock, peer, buf_str(&text))) send_endless(mock, peer);
        break;
    case MOCK_NONSENSE: send_all(mock, peer, STR("SSH-2.0-OpenSSH\r\n\r\n\r\n")); break;
    }
    buf_fini(&text);
}

static void serve(struct mock *mock, int peer)
{
    struct buf request = BUF_INIT(REQUEST_BYTES_MAX);
    const struct mock_answer *next = NULL;
    if (read_request(mock, peer, &request)) {
        pthread_mutex_lock(&mock->lock);
        size_t index = mock->answered < mock->answer_count ? mock->answered : mock->answer_count - 1;
        if (mock->answer_count) next = &mock->answers[index];
        mock->answered++;
        if (mock->request_count < MOCK_REQUESTS_MAX) {
            buf_str_add(&mock->requests[mock->request_count], buf_str(&request));
            mock->request_count++;
        }
        pthread_mutex_unlock(&mock->lock);
    }
    if (next) answer(mock, peer, next);
    shutdown(peer, SHUT_WR);
    if (next && next->trick == MOCK_ANSWER) wait_for_end(mock, peer); /* or what was sent might be lost */
    close(peer);
    buf_fini(&request);
}

static void *run(void *ctx)
{
    struct mock *mock = ctx;
    while (!stopping(mock)) {
        struct pollfd wait = {.fd = mock->listener, .events = POLLIN};
        if (poll(&wait, 1, 20) <= 0) continue;
        int peer = accept(mock->listener, NULL, NULL);
        if (peer >= 0) serve(mock, peer);
    }
    return NULL;
}

struct mock *mock_new(void)
{
    struct mock *mock = calloc(1, sizeof *mock);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert(mock);
    for (size_t i = 0; i < MOCK_REQUESTS_MAX; i++) buf_init(&mock->requests[i], REQUEST_BYTES_MAX);
    pthread_mutex_init(&mock->lock, NULL);
    mock->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = bind(mock->listener, (struct sockaddr *)&address, sizeof address);
    assert(bound == 0 && listen(mock->listener, 16) == 0);
    getsockname(mock->listener, (struct sockaddr *)&address, &size);
    mock->port = ntohs(address.sin_port);
    int started = pthread_create(&mock->thread, NULL, run, mock);
    assert(started == 0);
    return mock;
}

void mock_free(struct mock *mock)
{
    pthread_mutex_lock(&mock->lock);
    mock->stop = true;
    pthread_mutex_unlock(&mock->lock);
    pthread_join(mock->thread, NULL);
    close(mock->listener);
    for (size_t i = 0; i < MOCK_REQUESTS_MAX; i++) buf_fini(&mock->requests[i]);
    pthread_mutex_destroy(&mock->lock);
    free(mock);
}

uint16_t mock_port(const struct mock *mock)
{
    return mock->port;
}

void mock_set(struct mock *mock, const struct mock_answer *answers, size_t count)
{
    pthread_mutex_lock(&mock->lock);
    mock->answers = answers;
    mock->answer_count = count;
    mock->answered = 0;
    for (size_t i = 0; i < mock->request_count; i++) buf_reset(&mock->requests[i]);
    mock->request_count = 0;
    pthread_mutex_unlock(&mock->lock);
}

size_t mock_request_count(struct mock *mock)
{
    pthread_mutex_lock(&mock->lock);
    size_t count = mock->request_count;
    pthread_mutex_unlock(&mock->lock);
    return count;
}

struct str mock_request(struct mock *mock, size_t index)
{
    pthread_mutex_lock(&mock->lock);
    struct str text = buf_str(&mock->requests[index]);
    pthread_mutex_unlock(&mock->lock);
    return text;
}
