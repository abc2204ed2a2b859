/*
 * https:// listeners, with OpenSSL's client on the other side of a loopback connection: requests and answers of all
 * sizes, readers that are slower than the kernel's buffers, bytes that are no TLS, ends in the middle, certificates
 * that are replaced while connections are open, and files that are no certificates.
 */
#include "http/testing.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define LARGE_BYTES ((size_t)20 << 20) /* more than the kernel takes for a reader that does not read */

static struct testing server;
static SSL_CTX *client_context;
static char directory[] = "/tmp/cairn-tls-test-XXXXXX", certificate_path[64], key_path[64];

/* ---- the server ---- */

static void echo(struct http_request *request)
{
    http_respond(request, 200, "text/plain", request->body);
}
static void large(struct http_request *request)
{
    struct buf body = BUF_INIT(LARGE_BYTES);
    char *bytes = buf_reserve(&body, LARGE_BYTES);
    for (size_t i = 0; bytes && i < LARGE_BYTES; i++) bytes[i] = (char)(i * 2654435761u >> 24);
    buf_advance(&body, LARGE_BYTES);
    http_respond_buf(request, 200, "text/plain", &body);
}
static const struct http_route routes[] = {
    {.methods = HTTP_METHOD_GET | HTTP_METHOD_POST, .path = "/echo", .handler = echo},
    {.methods = HTTP_METHOD_GET, .path = "/large", .handler = large},
};

/* A new key and a certificate that it has signed itself, of that name, into the two files. */
static EVP_PKEY *write_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    FILE *file = fopen(key_path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    return key;
}

static void write_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *file = fopen(certificate_path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    X509_free(certificate);
}

static void write_both(const char *name)
{
    EVP_PKEY *key = write_key();
    write_certificate(key, name);
    EVP_PKEY_free(key);
}

static int group_setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(certificate_path, sizeof certificate_path, "%s/chain.pem", directory);
    snprintf(key_path, sizeof key_path, "%s/key.pem", directory);
    client_context = SSL_CTX_new(TLS_client_method());
    return client_context ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    SSL_CTX_free(client_context);
    unlink(certificate_path);
    unlink(key_path);
    return rmdir(directory);
}

static int start(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    write_both("first");
    testing_init(&server, routes, sizeof routes / sizeof routes[0]);
    server.listen[0] = "https://127.0.0.1:0";
    server.options.body_bytes_max = LARGE_BYTES;
    server.options.pipeline_bytes_max = 2 * LARGE_BYTES;
    if (http_tls_context_new(certificate_path, key_path, &error, &server.options.tls) != STATUS_OK)
        fail_msg("%s", error.primary);
    testing_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    testing_stop(&server);
    http_tls_context_free(server.options.tls);
    return 0;
}

/* ---- the client ---- */

/* Whether a call is to be made again: as for testing_recv. */
static bool interrupted(SSL *ssl, int result)
{
    int why = SSL_get_error(ssl, result);
    return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) && errno == EINTR;
}

static int handshake(SSL *ssl)
{
    int result;
    do result = SSL_connect(ssl);
    while (result != 1 && interrupted(ssl, result));
    return result;
}

static SSL *dial(void)
{
    SSL *ssl = SSL_new(client_context);
    assert_non_null(ssl);
    SSL_set_fd(ssl, testing_dial(&server));
    if (handshake(ssl) != 1) fail_msg("handshake: %s", ERR_error_string(ERR_get_error(), NULL));
    return ssl;
}

static void hang_up(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static void say(SSL *ssl, struct str bytes)
{
    size_t written;
    int result;
    do result = SSL_write_ex(ssl, bytes.data, bytes.size, &written);
    while (result != 1 && interrupted(ssl, result));
    assert_int_equal(result, 1);
    assert_int_equal(written, bytes.size);
}

static void hear(SSL *ssl, char *data, size_t size)
{
    while (size > 0) {
        size_t got;
        int result;
        do result = SSL_read_ex(ssl, data, size, &got);
        while (result != 1 && interrupted(ssl, result));
        if (result != 1) fail_msg("connection ended with %zu bytes missing", size);
        data += got;
        size -= got;
    }
}

/* Reads one answer and returns its status; its body is in `body`. */
static int hear_answer(SSL *ssl, struct buf *body)
{
    char head[4096];
    size_t size = 0;
    int status;
    while (size < 4 || memcmp(head + size - 4, "\r\n\r\n", 4) != 0) {
        assert_true(size < sizeof head - 1);
        hear(ssl, head + size++, 1);
    }
    head[size] = '\0';
    assert_int_equal(sscanf(head, "HTTP/1.1 %d ", &status), 1);
    const char *length_text = strstr(head, "Content-Length: ");
    assert_non_null(length_text);
    size_t length = strtoul(length_text + 16, NULL, 10);
    *body = BUF_INIT(LARGE_BYTES + 1);
    char *bytes = buf_reserve(body, length + 1);
    assert_non_null(bytes);
    hear(ssl, bytes, length);
    buf_advance(body, length);
    return status;
}

static void expect_echo(SSL *ssl, struct str sent)
{
    struct buf body;
    assert_int_equal(hear_answer(ssl, &body), 200);
    assert_true(str_eq(buf_str(&body), sent));
    buf_fini(&body);
}

static void say_echo(SSL *ssl, struct str text)
{
    char head[200];
    int size = snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", text.size);
    say(ssl, str_from(head, (size_t)size));
    if (text.size) say(ssl, text);
}

/* True when the other side says goodbye, or ends the connection. */
static bool ended(SSL *ssl)
{
    char byte;
    size_t got;
    int result;
    do result = SSL_read_ex(ssl, &byte, 1, &got);
    while (result != 1 && interrupted(ssl, result));
    return result != 1;
}

/* ---- the tests ---- */

static void test_requests(void **state)
{
    (void)state;
    SSL *ssl = dial();
    say_echo(ssl, STR("hello"));
    expect_echo(ssl, STR("hello"));
    /* kept alive, and several at once */
    for (int i = 0; i < 50; i++) say_echo(ssl, STR("again"));
    for (int i = 0; i < 50; i++) expect_echo(ssl, STR("again"));
    say(ssl, STR("GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    struct buf body;
    assert_int_equal(hear_answer(ssl, &body), 404);
    buf_fini(&body);
    assert_true(ended(ssl));
    assert_int_equal(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    hang_up(ssl);
}

/* Bodies around the sizes of records and of the loop's buffer come back as they went. */
static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     16383, 16384, 16385,   32768,  65535,
                                   65536, 65537, 98304, 99999, 1 << 20, 5000000};
    struct buf body = BUF_INIT(LARGE_BYTES);
    for (size_t i = 0; i < 5000000; i++) buf_byte(&body, (char)(i * 31 + (i >> 9)));
    SSL *ssl = dial();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct str sent = str_slice(buf_str(&body), 0, sizes[i]);
        say_echo(ssl, sent);
        expect_echo(ssl, sent);
    }
    hang_up(ssl);
    buf_fini(&body);
}

/* A reader that takes its time: the answers wait in the server, in order and whole. */
static void test_slow_reader(void **state)
{
    (void)state;
    SSL *ssl = dial();
    say(ssl, STR("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
    say_echo(ssl, STR("behind"));
    struct buf body;
    assert_int_equal(hear_answer(ssl, &body), 200);
    assert_int_equal(body.size, LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i++) {
        if (body.data[i] != (char)(i * 2654435761u >> 24)) fail_msg("byte %zu is wrong", i);
    }
    buf_fini(&body);
    expect_echo(ssl, STR("behind"));
    hang_up(ssl);
}

/* What the client's TLS wants to send, to be sent in any pieces. */
static void test_bytes_one_by_one(void **state)
{
    (void)state;
    int fd = testing_dial(&server);
    SSL *ssl = SSL_new(client_context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    char data[4096];
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    static const char request[] = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    bool asked = false;
    for (;;) {
        size_t got;
        if (!asked && SSL_do_handshake(ssl) == 1) {
            assert_int_equal(SSL_write_ex(ssl, request, sizeof request - 1, &got), 1);
            asked = true;
        }
        for (char byte; BIO_read(out, &byte, 1) == 1;) assert_true(testing_send(fd, str_from(&byte, 1)));
        if (asked && SSL_read_ex(ssl, data, sizeof data, &got) == 1) break;
        ssize_t size = testing_recv(fd, data, sizeof data);
        assert_true(size > 0);
        BIO_write(in, data, (int)size);
    }
    assert_memory_equal(data, "HTTP/1.1 200 ", 13);
    SSL_free(ssl);
    close(fd);
}

/* The answer to plain HTTP says what to do; other bytes get an alert and the end. */
static void test_no_tls(void **state)
{
    (void)state;
    int fd = testing_dial(&server);
    testing_send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    char head[512] = "";
    size_t size = 0;
    ssize_t got;
    while (size < sizeof head - 1 && (got = testing_recv(fd, head + size, sizeof head - 1 - size)) > 0)
        size += (size_t)got;
    assert_non_null(strstr(head, "HTTP/1.1 400 Bad Request\r\n"));
    const char *body = strstr(head, "\r\n\r\n"), *length = strstr(head, "Content-Length: ");
    assert_true(body && length);
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
    assert_non_null(strstr(body, "https://"));
    close(fd);

    static const char *const rubbish[] = {"\x16\x03\x01\xff\xff", "nonsense that is long enough to be a record",
                                          "\x80\x2e\x01\x03\x01", "\x16\x03\x01\x00\x04\x01\x00\x00\x00"};
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
        fd = testing_dial(&server);
        testing_send_text(fd, rubbish[i]);
        shutdown(fd, SHUT_WR);
        while (testing_recv(fd, head, sizeof head) > 0) {
        }
        close(fd);
    }
    /* and the next one is served */
    SSL *ssl = dial();
    say_echo(ssl, STR("still here"));
    expect_echo(ssl, STR("still here"));
    hang_up(ssl);
}

/* Connections that end in the middle of a record, of a request and of an answer leave nothing behind (the sanitizers
 * would say so), and others go on. */
static void test_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        SSL *ssl = dial();
        if (i == 0) {
            testing_send(SSL_get_fd(ssl), STR("\x17\x03\x03\x01\x00half"));
        } else if (i == 1) {
            say(ssl, STR("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"));
            SSL_shutdown(ssl);
            assert_true(ended(ssl));
        } else {
            say(ssl, STR("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
            char some[1000];
            hear(ssl, some, sizeof some);
        }
        hang_up(ssl);
    }
    SSL *ssl = dial();
    say_echo(ssl, STR("on"));
    expect_echo(ssl, STR("on"));
    hang_up(ssl);
}

static void test_protocols(void **state)
{
    (void)state;
    SSL *ssl = SSL_new(client_context);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_security_level(ssl, 0);
    SSL_set_fd(ssl, testing_dial(&server));
    assert_int_not_equal(handshake(ssl), 1);
    hang_up(ssl);
    ERR_clear_error();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        ssl = SSL_new(client_context);
        SSL_set_min_proto_version(ssl, version);
        SSL_set_max_proto_version(ssl, version);
        SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
        SSL_set_fd(ssl, testing_dial(&server));
        assert_int_equal(handshake(ssl), 1);
        const unsigned char *protocol;
        unsigned size;
        SSL_get0_alpn_selected(ssl, &protocol, &size);
        assert_true(str_is(str_from((const char *)protocol, size), "http/1.1"));
        say_echo(ssl, STR("x"));
        expect_echo(ssl, STR("x"));
        hang_up(ssl);
    }
}

static void expect_subject(SSL *ssl, const char *name)
{
    char text[100] = "";
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    assert_non_null(certificate);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text);
    assert_string_equal(text, name);
    X509_free(certificate);
}

/* New connections have the new certificate, old ones go on; files that are no good change nothing. */
static void test_reload(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    SSL *old = dial();
    expect_subject(old, "first");
    write_both("second");
    assert_int_equal(http_tls_context_reload(server.options.tls, &error), STATUS_OK);
    SSL *new = dial();
    expect_subject(new, "second");
    say_echo(old, STR("old"));
    expect_echo(old, STR("old"));

    EVP_PKEY_free(write_key()); /* not the certificate's */
    assert_int_equal(http_tls_context_reload(server.options.tls, &error), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "is not the private key of"));
    SSL *third = dial();
    expect_subject(third, "second");
    hang_up(old);
    hang_up(new);
    hang_up(third);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct http_tls_context *context;
    write_both("x");
    assert_int_equal(http_tls_context_new("/nowhere/chain.pem", key_path, &error, &context), STATUS_IO);
    assert_string_equal(error.primary, "cannot read /nowhere/chain.pem");
    assert_int_equal(http_tls_context_new(certificate_path, "/nowhere/key.pem", &error, &context), STATUS_IO);
    assert_int_equal(http_tls_context_new(key_path, key_path, &error, &context), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "is not a certificate"));
    assert_int_equal(http_tls_context_new(certificate_path, certificate_path, &error, &context), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "is not the private key"));
    /* a server without one */
    static const char *const listen[] = {"https://127.0.0.1:0"};
    struct http_options options;
    struct http_server *none;
    http_options_default(&options);
    options.listen = listen;
    options.listen_count = 1;
    assert_int_equal(http_server_new(&options, &error, &none), STATUS_INVALID);
    assert_string_equal(error.primary, "cannot listen on https://127.0.0.1:0 without a certificate");
}

/* Who is refused before the handshake is done hears why, over TLS. */
static void test_too_many(void **state)
{
    (void)state;
    stop(state);
    struct error error = ERROR_INIT;
    server.options.connections_max = 1;
    assert_int_equal(http_tls_context_new(certificate_path, key_path, &error, &server.options.tls), STATUS_OK);
    testing_start(&server);
    SSL *first = dial();
    say_echo(first, STR("in"));
    expect_echo(first, STR("in"));
    SSL *second = dial();
    struct buf body;
    assert_int_equal(hear_answer(second, &body), 503);
    buf_fini(&body);
    hang_up(second);
    hang_up(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests, start, stop),
        cmocka_unit_test_setup_teardown(test_sizes, start, stop),
        cmocka_unit_test_setup_teardown(test_slow_reader, start, stop),
        cmocka_unit_test_setup_teardown(test_bytes_one_by_one, start, stop),
        cmocka_unit_test_setup_teardown(test_no_tls, start, stop),
        cmocka_unit_test_setup_teardown(test_ends, start, stop),
        cmocka_unit_test_setup_teardown(test_protocols, start, stop),
        cmocka_unit_test_setup_teardown(test_reload, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_files, start, stop),
        cmocka_unit_test_setup_teardown(test_too_many, start, stop),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
