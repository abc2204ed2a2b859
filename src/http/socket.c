#include "http/socket.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* ---- listening ---- */

static bool port_parse(struct str text, unsigned *ret_port)
{
    unsigned port = 0;
    if (text.size == 0 || text.size > 5) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    if (port > 65535) return false;
    *ret_port = port;
    return true;
}

bool http_address_is_secure(const char *address)
{
    return str_starts(str_of(address), STR("https://"));
}

static bool address_parse(const char *address, unsigned port, struct sockaddr_storage *ret_name, socklen_t *ret_size)
{
    struct str text = str_of(address);
    if (http_address_is_secure(address))
        text = str_slice(text, 8, text.size);
    else if (str_starts(text, STR("http://")))
        text = str_slice(text, 7, text.size);
    size_t colon = text.size;
    unsigned written_port;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    if (colon == 0 || !port_parse(str_slice(text, colon, text.size), &written_port)) return false;
    if (port == 0) port = written_port;

    struct str host = str_slice(text, 0, colon - 1);
    bool v6 = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    char name[INET6_ADDRSTRLEN];
    if (v6) host = str_slice(host, 1, host.size - 1);
    if (host.size == 0 || host.size >= sizeof name) return false;
    memcpy(name, host.data, host.size);
    name[host.size] = '\0';
    if (v6) {
        *ret_size = sizeof(struct sockaddr_in6);
        return uv_ip6_addr(name, (int)port, (struct sockaddr_in6 *)ret_name) == 0;
    }
    *ret_size = sizeof(struct sockaddr_in);
    return uv_ip4_addr(name, (int)port, (struct sockaddr_in *)ret_name) == 0;
}

static int socket_bound(const struct sockaddr_storage *name, socklen_t size, bool shared)
{
    int on = 1;
    int fd = socket(name->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (ok && shared) ok = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
    /* An address for IPv6 does not take the IPv4 port with it: both can be listened on, whatever the system's
     * default. */
    if (ok && name->ss_family == AF_INET6) ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    if (ok) ok = bind(fd, (const struct sockaddr *)name, size) == 0;
    if (ok) return fd;
    int code = -errno;
    close(fd);
    return code;
}

enum status http_listener_open(uv_loop_t *loop, uv_tcp_t *listener, const char *address, unsigned port, bool shared,
                               struct error *error)
{
    struct sockaddr_storage name = {0};
    socklen_t size;
    if (!address_parse(address, port, &name, &size)) {
        (void)error_set(error, STATUS_INVALID, "listen address \"%s\" is malformed", address);
        error_hint(error, "write ADDR:PORT with a numeric address, e.g. 127.0.0.1:8080, [::1]:8080 or "
                          "https://0.0.0.0:8443");
        return STATUS_INVALID;
    }
    int fd = -1;
    if (shared && port == 0) {
        /* SO_REUSEPORT would share the port with another server of the same user without a word: ask without
         * it first. */
        fd = socket_bound(&name, size, false);
        if (fd >= 0) {
            close(fd);
            fd = -1;
        } else {
            return error_set_os(error, STATUS_IO, -fd, "cannot listen on %s", address);
        }
    }
    fd = socket_bound(&name, size, shared);
    if (fd < 0) return error_set_os(error, STATUS_IO, -fd, "cannot listen on %s", address);
    int code = uv_tcp_init(loop, listener);
    assert(code == 0);
    code = uv_tcp_open(listener, fd);
    if (code == 0) return STATUS_OK;
    close(fd);
    uv_close((uv_handle_t *)listener, NULL);
    return error_set_os(error, STATUS_IO, -code, "cannot listen on %s", address);
}

static unsigned name_write(const struct sockaddr_storage *name, bool with_port, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    unsigned port;
    bool v6 = name->ss_family == AF_INET6;
    if (v6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)name;
        uv_ip6_name(in6, host, sizeof host);
        port = ntohs(in6->sin6_port);
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)name;
        uv_ip4_name(in, host, sizeof host);
        port = ntohs(in->sin_port);
    }
    if (!with_port)
        snprintf(text, size, "%s", host);
    else
        snprintf(text, size, v6 ? "[%s]:%u" : "%s:%u", host, port);
    return port;
}

unsigned http_listener_name(const uv_tcp_t *listener, char *text, size_t size)
{
    struct sockaddr_storage name = {0};
    int length = sizeof name;
    uv_tcp_getsockname(listener, (struct sockaddr *)&name, &length);
    return name_write(&name, true, text, size);
}

/* ---- one connection ---- */

static void closed(uv_handle_t *handle)
{
    struct http_socket *socket = handle->data;
    http_secure_free(socket->secure);
    socket->events->on_closed(socket);
}

enum status http_socket_accept(struct http_socket *socket, uv_stream_t *listener, struct http_tls_context *tls,
                               const struct http_socket_events *events, struct http_read_buffer *buffer)
{
    socket->events = events;
    socket->buffer = buffer;
    socket->reading = false;
    socket->secure = tls ? http_secure_new(tls) : NULL;
    int code = uv_tcp_init(listener->loop, &socket->tcp);
    assert(code == 0);
    socket->tcp.data = socket;
    socket->write.data = socket;
    if (uv_accept(listener, (uv_stream_t *)&socket->tcp) != 0 || (tls && !socket->secure)) {
        uv_close((uv_handle_t *)&socket->tcp, closed);
        return STATUS_IO;
    }
    uv_tcp_nodelay(&socket->tcp, 1);
    return STATUS_OK;
}

void http_socket_peer(const struct http_socket *socket, char *text, size_t size)
{
    struct sockaddr_storage name = {0};
    int length = sizeof name;
    text[0] = '\0';
    if (uv_tcp_getpeername(&socket->tcp, (struct sockaddr *)&name, &length) == 0) name_write(&name, false, text, size);
}

static void read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct http_socket *socket = handle->data;
    (void)suggested;
    *ret_buf = uv_buf_init(socket->buffer->data, sizeof socket->buffer->data);
}

static void read_done(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct http_socket *socket = stream->data;
    if (size > 0 && socket->secure) {
        http_secure_received(socket, buf->base, (size_t)size);
    } else if (size > 0) {
        socket->events->on_read(socket, buf->base, (size_t)size);
    } else if (size < 0) {
        http_socket_read(socket, false);
        if (size == UV_EOF)
            socket->events->on_eof(socket);
        else
            socket->events->on_failed(socket);
    }
}

void http_socket_read(struct http_socket *socket, bool on)
{
    if (socket->reading == on) return;
    socket->reading = on;
    uv_stream_t *stream = (uv_stream_t *)&socket->tcp;
    if (!on)
        uv_read_stop(stream);
    else if (uv_read_start(stream, read_buffer, read_done) != 0)
        socket->reading = false;
}

static void pieces_to_bufs(const struct str *pieces, size_t count, uv_buf_t *bufs)
{
    assert(count <= HTTP_SOCKET_PIECES_MAX);
    for (size_t i = 0; i < count; i++) {
        /* libuv takes the bytes as writable and does not write. */
        bufs[i].base = (char *)(uintptr_t)pieces[i].data;
        bufs[i].len = pieces[i].size;
    }
}

ssize_t http_socket_write_now(struct http_socket *socket, const struct str *pieces, size_t count)
{
    if (socket->secure) return http_secure_write_now(socket, pieces, count);
    uv_buf_t bufs[HTTP_SOCKET_PIECES_MAX];
    pieces_to_bufs(pieces, count, bufs);
    int written = uv_try_write((uv_stream_t *)&socket->tcp, bufs, (unsigned)count);
    if (written == UV_EAGAIN) return 0;
    return written < 0 ? -1 : written;
}

static void written(uv_write_t *write, int code)
{
    struct http_socket *socket = write->data;
    if (code == UV_ECANCELED) return; /* closed meanwhile: on_closed follows */
    if (code < 0)
        socket->events->on_failed(socket);
    else
        socket->events->on_written(socket);
}

bool http_socket_write_later(struct http_socket *socket, const struct str *pieces, size_t count)
{
    if (socket->secure) return http_secure_write_later(socket, pieces, count);
    uv_buf_t bufs[HTTP_SOCKET_PIECES_MAX];
    pieces_to_bufs(pieces, count, bufs);
    return uv_write(&socket->write, (uv_stream_t *)&socket->tcp, bufs, (unsigned)count, written) == 0;
}

static void shut(uv_shutdown_t *shutdown, int code)
{
    (void)shutdown;
    (void)code; /* a connection that is broken already shows when reading */
}

void http_socket_shutdown(struct http_socket *socket)
{
    if (socket->secure) http_secure_goodbye(socket);
    (void)uv_shutdown(&socket->shutdown, (uv_stream_t *)&socket->tcp, shut);
}

void http_socket_close(struct http_socket *socket)
{
    if (socket->secure) http_secure_goodbye(socket);
    uv_close((uv_handle_t *)&socket->tcp, closed);
}
