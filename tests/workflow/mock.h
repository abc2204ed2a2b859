#pragma once
/*
 * A web server on loopback for the tests of the runner: it answers from a table, in order, and keeps what it was asked.
 * Some answers are not what a server should do.
 *
 * One thread of its own answers one connection after the other. The table is set while nobody is asking; what was asked
 * is read when the run is over.
 */
#include "base/str.h"

#include <stdint.h>

#define MOCK_REQUESTS_MAX 64

enum mock_trick {
    MOCK_ANSWER,  /* as a server should */
    MOCK_SILENT,  /* takes the request and says nothing until the client goes away */
    MOCK_SLOW,    /* a byte every 20 ms */
    MOCK_RESET,   /* breaks the connection off before an answer */
    MOCK_CUT,     /* promises more bytes than it sends */
    MOCK_ENDLESS, /* a body without end */
    MOCK_NONSENSE /* what is no HTTP */
};

struct mock_answer {
    enum mock_trick trick;
    unsigned status;
    struct str headers; /* lines that end with \r\n */
    struct str body;
};

struct mock;
struct mock *mock_new(void);
void mock_free(struct mock *mock);
uint16_t mock_port(const struct mock *mock);
/* From the first answer on; the last one repeats. The answers must stay. Forgets what was asked. */
void mock_set(struct mock *mock, const struct mock_answer *answers, size_t count);
size_t mock_request_count(struct mock *mock);
/* "METHOD target HTTP/1.1\r\nheaders\r\n\r\nbody". */
struct str mock_request(struct mock *mock, size_t index);
