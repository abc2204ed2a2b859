#pragma once
/*
 * TLS for accepted connections, on OpenSSL: what stands between a socket's bytes and the server's. Nothing here does
 * I/O: ciphertext goes in with tls_received and comes out of tls_outgoing, so that the socket (socket.c) stays the one
 * place that knows libuv. Private to http/; the context with certificate and key is server.h's.
 *
 * Rules: TLS 1.2 and 1.3, ALPN http/1.1, no compression, no renegotiation (RFC 9325); ciphers as the system's OpenSSL
 * policy has them.
 *
 * Threads: a session belongs to its loop's thread; the context is shared by all, and may be reloaded meanwhile.
 */
#include "base/error.h"
#include "http/server.h"

struct tls_session;
/* The server's side of a new connection. NULL when memory refuses. */
struct tls_session *tls_session_new(struct http_tls_context *context) MUST_USE;
void tls_session_free(struct tls_session *session);

enum tls_state {
    TLS_OPEN,
    TLS_ENDED,  /* the peer has said that it sends no more */
    TLS_BROKEN, /* not TLS, damaged or refused: what is outgoing (an alert) may still be sent, then close */
};
/* Takes what has arrived, all of it, and goes on with the handshake. */
enum tls_state tls_received(struct tls_session *session, const char *data, size_t size);
/* Whether bytes can be sent: the handshake is done. */
bool tls_ready(const struct tls_session *session);
/* Plain bytes that have arrived, at most `size`; 0: none at the moment, see *ret_state. */
size_t tls_read(struct tls_session *session, char *data, size_t size, enum tls_state *ret_state);
/* Encrypts everything; false when the session is broken. Only when ready. */
bool tls_write(struct tls_session *session, struct str bytes) MUST_USE;
/* Says goodbye, when there was a handshake. */
void tls_goodbye(struct tls_session *session);
/* Ciphertext to be sent, good until the next call on the session; tls_outgoing_taken says how much was. */
struct str tls_outgoing(struct tls_session *session);
void tls_outgoing_taken(struct tls_session *session, size_t size);
