#pragma once
/*
 * The bytes of one accepted connection: all that the server knows of the network below a stream. It is TCP on libuv
 * (socket.c), with TLS in between for listeners that want it (socket_secure.c); what is above sees no difference.
 * Private to http/.
 *
 * Ownership: the owner embeds the socket and keeps it until on_closed. Threads: the loop's.
 */
#include "base/error.h"
#include "base/str.h"
#include "http/tls.h"

#include <uv.h>

struct http_socket;

struct http_socket_events {
    /* `data` is the loop's read buffer: valid during the call only. */
    void (*on_read)(struct http_socket *socket, const char *data, size_t size);
    void (*on_eof)(struct http_socket *socket);     /* the peer has closed its side */
    void (*on_failed)(struct http_socket *socket);  /* reset, or broken otherwise: close it */
    void (*on_written)(struct http_socket *socket); /* what write_later was given is out */
    void (*on_closed)(struct http_socket *socket);
};

/* One per loop: reads go through it, as only one is processed at a time. */
struct http_read_buffer {
    char data[64 << 10];
};

struct http_secure;

struct http_socket {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    const struct http_socket_events *events;
    struct http_read_buffer *buffer;
    struct http_secure *secure; /* NULL: plain TCP */
    bool reading;
};

enum { HTTP_SOCKET_PIECES_MAX = 64 };

/* Whether an address is written with https:// in front. */
bool http_address_is_secure(const char *address);
/* A bound, listening TCP socket for "ADDR:PORT" or "[V6]:PORT", with or without http:// or https:// in front; `port`
 * other than 0 replaces the port in the text. `shared` lets other sockets of this process listen on the same port.
 * INVALID for a malformed address, IO otherwise. */
enum status http_listener_open(uv_loop_t *loop, uv_tcp_t *listener, const char *address, unsigned port, bool shared,
                               struct error *error) MUST_USE;
/* The bound address as text, e.g. "[::1]:8080", and its port. */
unsigned http_listener_name(const uv_tcp_t *listener, char *text, size_t size);

/* Takes the connection that `listener` reported; `tls` NULL: plain. After a failure on_closed is still called. */
enum status http_socket_accept(struct http_socket *socket, uv_stream_t *listener, struct http_tls_context *tls,
                               const struct http_socket_events *events, struct http_read_buffer *buffer) MUST_USE;
/* The peer's address without port. */
void http_socket_peer(const struct http_socket *socket, char *text, size_t size);
void http_socket_read(struct http_socket *socket, bool on);
/* Writes what goes out at once: the number of bytes, 0 when the kernel takes none, -1 when the connection is
 * broken. Bytes that it did not take must come again, first, in http_socket_write_later: they may be encrypted
 * already. */
ssize_t http_socket_write_now(struct http_socket *socket, const struct str *pieces, size_t count) MUST_USE;
/* Writes the pieces when the kernel has room, then calls on_written. One at a time; the pieces stay valid
 * till then. False when the connection is broken. */
bool http_socket_write_later(struct http_socket *socket, const struct str *pieces, size_t count) MUST_USE;
/* Tells the peer that nothing more comes. */
void http_socket_shutdown(struct http_socket *socket);
/* on_closed follows from the loop; no other event does. */
void http_socket_close(struct http_socket *socket);

/* ---- between the parts: TLS (socket_secure.c) ---- */

/* The four of the functions above that differ, and what becomes of received bytes. */
struct http_secure *http_secure_new(struct http_tls_context *tls);
void http_secure_free(struct http_secure *secure);
void http_secure_received(struct http_socket *socket, const char *data, size_t size);
ssize_t http_secure_write_now(struct http_socket *socket, const struct str *pieces, size_t count) MUST_USE;
bool http_secure_write_later(struct http_socket *socket, const struct str *pieces, size_t count) MUST_USE;
/* Says goodbye, as far as the kernel takes it at once. */
void http_secure_goodbye(struct http_socket *socket);
