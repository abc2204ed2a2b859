/*
 * A socket with TLS between TCP and the server.
 *
 * Ciphertext has two ways out. What the kernel takes at once is written at once. The rest is copied and given to libuv,
 * which keeps the order of such writes: a *flight*. While one is in the air nothing is encrypted for
 * http_socket_write_now, so what waits in memory is bounded by one record, what write_later was given (its caller
 * bounds that), and the few bytes of the protocol itself (handshakes, tickets, alerts).
 *
 * A server counts an answer as sent when write_now has taken it, and may close the connection then. So write_now only
 * reports bytes whose ciphertext has gone to the kernel whole. Those of the record that has to fly are *ahead*:
 * encrypted, which cannot be undone, but not reported. They come again as the first bytes of write_later, and are
 * skipped there.
 *
 * Before the handshake is done there is nothing to encrypt with: write_now takes nothing, and what write_later is given
 * waits until then (it happens only to connections that are refused because there are too many).
 */
#include "http/socket.h"

#include <assert.h>
#include <stdlib.h>

enum { RECORD_BYTES = 16 << 10 /* of plain bytes in a TLS record, at most */ };

struct http_secure {
    struct tls_session *session;
    unsigned flights;
    size_t ahead;
    bool later; /* on_written is owed */
    struct str waiting[HTTP_SOCKET_PIECES_MAX];
    size_t waiting_count;
};

struct flight {
    uv_write_t write;
    struct http_socket *socket;
    char data[];
};

struct http_secure *http_secure_new(struct http_tls_context *tls)
{
    struct http_secure *secure = calloc(1, sizeof *secure);
    if (!secure) return NULL;
    secure->session = tls_session_new(tls);
    if (secure->session) return secure;
    free(secure);
    return NULL;
}

void http_secure_free(struct http_secure *secure)
{
    if (!secure) return;
    tls_session_free(secure->session);
    free(secure);
}

static void landed(uv_write_t *write, int code)
{
    struct flight *flight = write->data;
    struct http_socket *socket = flight->socket;
    struct http_secure *secure = socket->secure;
    free(flight);
    secure->flights--;
    if (code == UV_ECANCELED) return; /* closed meanwhile: on_closed follows */
    if (code < 0) {
        socket->events->on_failed(socket);
    } else if (secure->flights == 0 && secure->later) {
        secure->later = false;
        socket->events->on_written(socket);
    }
}

/* Sends all ciphertext that there is. False when the connection is broken. */
static bool depart(struct http_socket *socket)
{
    struct http_secure *secure = socket->secure;
    struct str out = tls_outgoing(secure->session);
    if (out.size == 0) return true;
    size_t sent = 0;
    if (secure->flights == 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)out.data, (unsigned)out.size);
        int written = uv_try_write((uv_stream_t *)&socket->tcp, &buf, 1);
        if (written < 0 && written != UV_EAGAIN) return false;
        if (written > 0) sent = (size_t)written;
    }
    if (sent < out.size) {
        size_t left = out.size - sent;
        struct flight *flight = malloc(sizeof *flight + left);
        if (!flight) return false;
        memcpy(flight->data, out.data + sent, left);
        flight->socket = socket;
        flight->write.data = flight;
        uv_buf_t buf = uv_buf_init(flight->data, (unsigned)left);
        if (uv_write(&flight->write, (uv_stream_t *)&socket->tcp, &buf, 1, landed) != 0) {
            free(flight);
            return false;
        }
        secure->flights++;
    }
    tls_outgoing_taken(secure->session, out.size);
    return true;
}

/* Where in a list of pieces one is. */
struct place {
    const struct str *pieces;
    size_t count, index, at;
};

/* Copies the next bytes to `room`; how many. */
static size_t place_copy(struct place *place, char *room, size_t size)
{
    size_t done = 0;
    while (done < size && place->index < place->count) {
        struct str rest = str_slice(place->pieces[place->index], place->at, SIZE_MAX);
        size_t part = rest.size < size - done ? rest.size : size - done;
        if (room && part) memcpy(room + done, rest.data, part);
        done += part;
        place->at += part;
        if (part == rest.size) {
            place->index++;
            place->at = 0;
        }
    }
    return done;
}

ssize_t http_secure_write_now(struct http_socket *socket, const struct str *pieces, size_t count)
{
    struct http_secure *secure = socket->secure;
    struct place place = {pieces, count, 0, 0};
    char room[RECORD_BYTES];
    size_t done = 0, size;
    assert(secure->ahead == 0 && !secure->later);
    if (!tls_ready(secure->session) || secure->flights) return 0;
    while ((size = place_copy(&place, room, sizeof room)) > 0) {
        if (!tls_write(secure->session, str_from(room, size)) || !depart(socket)) return -1;
        if (secure->flights) {
            secure->ahead = size;
            break;
        }
        done += size;
    }
    return (ssize_t)done;
}

/* Encrypts and sends what write_later was given. */
static bool send_later(struct http_socket *socket, const struct str *pieces, size_t count)
{
    struct http_secure *secure = socket->secure;
    struct place place = {pieces, count, 0, 0};
    char room[RECORD_BYTES];
    size_t size;
    place_copy(&place, NULL, secure->ahead);
    secure->ahead = 0;
    while ((size = place_copy(&place, room, sizeof room)) > 0) {
        if (!tls_write(secure->session, str_from(room, size))) return false;
    }
    if (!depart(socket)) return false;
    if (secure->flights == 0) {
        secure->later = false;
        socket->events->on_written(socket);
    }
    return true;
}

bool http_secure_write_later(struct http_socket *socket, const struct str *pieces, size_t count)
{
    struct http_secure *secure = socket->secure;
    secure->later = true;
    if (tls_ready(secure->session)) return send_later(socket, pieces, count);
    assert(count <= HTTP_SOCKET_PIECES_MAX);
    memcpy(secure->waiting, pieces, count * sizeof *pieces);
    secure->waiting_count = count;
    http_socket_read(socket, true); /* whoever is refused is not read from, and there is no handshake without */
    return true;
}

static void failed(struct http_socket *socket)
{
    http_socket_read(socket, false);
    socket->events->on_failed(socket);
}

void http_secure_received(struct http_socket *socket, const char *data, size_t size)
{
    struct http_secure *secure = socket->secure;
    enum tls_state state = tls_received(secure->session, data, size);
    /* `data` lies in the loop's buffer, and has been taken: the plain bytes can lie there now. All of them are handed
     * up, even if the server has had enough meanwhile: they are those of one read. */
    struct http_read_buffer *buffer = socket->buffer;
    size_t got;
    while (state == TLS_OPEN && (got = tls_read(secure->session, buffer->data, sizeof buffer->data, &state)) > 0)
        socket->events->on_read(socket, buffer->data, got);
    if (!depart(socket) || state == TLS_BROKEN) {
        failed(socket);
        return;
    }
    if (secure->waiting_count && tls_ready(secure->session)) {
        size_t count = secure->waiting_count;
        secure->waiting_count = 0;
        if (!send_later(socket, secure->waiting, count)) {
            failed(socket);
            return;
        }
    }
    if (state == TLS_ENDED) {
        http_socket_read(socket, false);
        socket->events->on_eof(socket);
    }
}

void http_secure_goodbye(struct http_socket *socket)
{
    tls_goodbye(socket->secure->session);
    (void)depart(socket);
}
