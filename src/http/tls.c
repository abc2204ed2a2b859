#include "http/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE_MAX = 4096 };

struct http_tls_context {
    pthread_mutex_t lock;
    SSL_CTX *current; /* sessions hold references of their own */
    char *certificate_path, *key_path;
};

struct tls_session {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    bool broken;
};

/* ---- contexts ---- */

/* The first reason in the queue of OpenSSL, where what follows is less to the point. Empties it. */
static void reason_take(char *text, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(text, size, "%s", reason ? reason : "unknown reason");
    ERR_clear_error();
}

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_size,
                           const unsigned char *offered, unsigned offered_size, void *arg)
{
    static const unsigned char spoken[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *name;
    if (SSL_select_next_proto(&name, ret_size, spoken, sizeof spoken - 1, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

/* A key that asks for a pass phrase would make the server wait at a terminal that nobody looks at. */
static int no_pass_phrase(char *text, int size, int writing, void *arg)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static enum status file_check(const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file) return error_set_os(error, STATUS_IO, errno, "cannot read %s", path);
    fclose(file);
    return STATUS_OK;
}

static enum status files_load(SSL_CTX *current, const char *certificate_path, const char *key_path, struct error *error)
{
    char reason[200];
    TRY(file_check(certificate_path, error));
    TRY(file_check(key_path, error));
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(current, no_pass_phrase);
    if (SSL_CTX_use_certificate_chain_file(current, certificate_path) != 1) {
        reason_take(reason, sizeof reason);
        (void)error_set(error, STATUS_INVALID, "%s is not a certificate: %s", certificate_path, reason);
        error_hint(error, "give a PEM file: the server's certificate first, then those that lead to the authority's");
        return STATUS_INVALID;
    }
    if (SSL_CTX_use_PrivateKey_file(current, key_path, SSL_FILETYPE_PEM) != 1) {
        reason_take(reason, sizeof reason);
        (void)error_set(error, STATUS_INVALID, "%s is not the private key of %s: %s", key_path, certificate_path,
                        reason);
        error_hint(error, "give a PEM file with the certificate's key, without a pass phrase");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status current_new(const char *certificate_path, const char *key_path, struct error *error,
                               SSL_CTX **ret_current)
{
    SSL_CTX *current = SSL_CTX_new(TLS_server_method());
    if (!current) return error_set(error, STATUS_LIMIT, "cannot set up TLS: out of memory");
    SSL_CTX_set_min_proto_version(current, TLS1_2_VERSION);
    SSL_CTX_set_options(current, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(current, SSL_MODE_RELEASE_BUFFERS);
    /* Tickets resume sessions without anything being kept here. */
    SSL_CTX_set_session_cache_mode(current, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(current, choose_protocol, NULL);
    enum status status = files_load(current, certificate_path, key_path, error);
    if (status != STATUS_OK) {
        SSL_CTX_free(current);
        return status;
    }
    *ret_current = current;
    return STATUS_OK;
}

enum status http_tls_context_new(const char *certificate_path, const char *key_path, struct error *error,
                                 struct http_tls_context **ret_context)
{
    struct http_tls_context *context = calloc(1, sizeof *context);
    if (!context) abort();
    enum status status = current_new(certificate_path, key_path, error, &context->current);
    if (status != STATUS_OK) {
        free(context);
        return status;
    }
    pthread_mutex_init(&context->lock, NULL);
    context->certificate_path = strndup(certificate_path, PATH_SIZE_MAX);
    context->key_path = strndup(key_path, PATH_SIZE_MAX);
    if (!context->certificate_path || !context->key_path) abort();
    *ret_context = context;
    return STATUS_OK;
}

void http_tls_context_free(struct http_tls_context *context)
{
    if (!context) return;
    SSL_CTX_free(context->current);
    pthread_mutex_destroy(&context->lock);
    free(context->certificate_path);
    free(context->key_path);
    free(context);
}

enum status http_tls_context_reload(struct http_tls_context *context, struct error *error)
{
    SSL_CTX *next;
    TRY(current_new(context->certificate_path, context->key_path, error, &next));
    pthread_mutex_lock(&context->lock);
    SSL_CTX *last = context->current;
    context->current = next;
    pthread_mutex_unlock(&context->lock);
    SSL_CTX_free(last);
    return STATUS_OK;
}

/* ---- sessions ---- */

struct tls_session *tls_session_new(struct http_tls_context *context)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session) return NULL;
    pthread_mutex_lock(&context->lock);
    session->ssl = SSL_new(context->current);
    pthread_mutex_unlock(&context->lock);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    if (!session->ssl || !session->in || !session->out) {
        BIO_free(session->in);
        BIO_free(session->out);
        SSL_free(session->ssl);
        free(session);
        ERR_clear_error();
        return NULL;
    }
    /* An empty buffer means "wait", not "the end". */
    BIO_set_mem_eof_return(session->in, -1);
    SSL_set_bio(session->ssl, session->in, session->out);
    SSL_set_accept_state(session->ssl);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (!session) return;
    SSL_free(session->ssl);
    free(session);
}

/* What a call's result (not above 0) says about the session. */
static enum tls_state state_after(struct tls_session *session, int result)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return TLS_OPEN;
    case SSL_ERROR_ZERO_RETURN: return TLS_ENDED;
    default:
        /* Somebody who speaks HTTP to this port gets an answer that can be read. */
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST) {
            static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                                         "Connection: close\r\nContent-Length: 66\r\n\r\n"
                                         "{\"error\":\"this port speaks https: write https:// in the address\"}\n";
            (void)BIO_reset(session->out);
            BIO_write(session->out, answer, sizeof answer - 1);
        }
        session->broken = true;
        ERR_clear_error();
        return TLS_BROKEN;
    }
}

enum tls_state tls_received(struct tls_session *session, const char *data, size_t size)
{
    if (session->broken) return TLS_BROKEN;
    ERR_clear_error();
    if (BIO_write(session->in, data, (int)size) != (int)size) {
        session->broken = true;
        return TLS_BROKEN;
    }
    if (SSL_is_init_finished(session->ssl)) return TLS_OPEN;
    int result = SSL_do_handshake(session->ssl);
    return result == 1 ? TLS_OPEN : state_after(session, result);
}

bool tls_ready(const struct tls_session *session)
{
    return !session->broken && SSL_is_init_finished(session->ssl);
}

size_t tls_read(struct tls_session *session, char *data, size_t size, enum tls_state *ret_state)
{
    size_t got = 0;
    *ret_state = session->broken ? TLS_BROKEN : TLS_OPEN;
    if (!tls_ready(session)) return 0;
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, data, size, &got);
    if (result != 1) *ret_state = state_after(session, result);
    return result == 1 ? got : 0;
}

bool tls_write(struct tls_session *session, struct str bytes)
{
    size_t done;
    if (!tls_ready(session)) return false;
    if (bytes.size == 0) return true;
    ERR_clear_error();
    /* The memory behind takes everything, so it is all or nothing. */
    int result = SSL_write_ex(session->ssl, bytes.data, bytes.size, &done);
    if (result == 1 && done == bytes.size) return true;
    (void)state_after(session, result);
    session->broken = true;
    return false;
}

void tls_goodbye(struct tls_session *session)
{
    if (!tls_ready(session)) return;
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
}

struct str tls_outgoing(struct tls_session *session)
{
    char *data = NULL;
    long size = BIO_get_mem_data(session->out, &data);
    return size > 0 ? str_from(data, (size_t)size) : str_from("", 0);
}

void tls_outgoing_taken(struct tls_session *session, size_t size)
{
    char dropped[4096];
    if (size == tls_outgoing(session).size) {
        (void)BIO_reset(session->out);
        return;
    }
    while (size > 0) {
        int taken = BIO_read(session->out, dropped, size < sizeof dropped ? (int)size : (int)sizeof dropped);
        if (taken <= 0) return;
        size -= (size_t)taken;
    }
}
