#pragma once
/*
 * The small grammars of HTTP/1.1 that llhttp leaves to its user, as pure functions: where a header block
 * ends, what a request target is made of, which codings are named. Private to http/. Thread-safe; nothing is
 * kept.
 */
#include "base/arena.h"
#include "base/str.h"

/*
 * Finds the end of a header block in bytes that arrive in any pieces. It refuses what could make two readers
 * disagree about the end or the fields: a line that ends without CR (bare LF), a line that begins with white
 * space (obs-fold, which may hide a length), a field without a name. Zero-initialise for each block.
 */
struct http_scan {
    size_t size;      /* bytes of the block so far */
    size_t line_size; /* of the line being read, without its LF */
    unsigned lines;   /* complete ones */
    char last;        /* the previous byte */
};
enum http_scan_result {
    HTTP_SCAN_MORE, /* all bytes belong to the block, which goes on */
    HTTP_SCAN_END,  /* the blank line was read; *ret_used bytes belong to the block */
    HTTP_SCAN_BARE_LF,
    HTTP_SCAN_FOLDED,
    HTTP_SCAN_NAMELESS,
};
enum http_scan_result http_scan(struct http_scan *scan, const char *data, size_t size, size_t *ret_used);

/* Cheap checks of a request line (without CR LF), to refuse what is not HTTP before the header is complete:
 * it begins with a capital and ends in " HTTP/" and a version. */
bool http_request_line_plausible(struct str line);

/* Splits a request target into path and query. Takes `/path?query`, `*` and `http://authority/path?query`. */
bool http_target_split(struct str target, struct str *ret_path, struct str *ret_query);
/* "%41" becomes "A"; "+" stays. False for a cut or non-hex escape and for an encoded NUL. The result is
 * `text` itself where there is nothing to decode. NULL data when the arena is full. */
bool http_percent_decode(struct arena *arena, struct str text, struct str *ret_plain);
/* Only bytes that a Host field may have. */
bool http_host_valid(struct str host);

enum http_coding { HTTP_CODING_IDENTITY, HTTP_CODING_GZIP, HTTP_CODING_DEFLATE, HTTP_CODING_UNKNOWN };
/* Of a Content-Encoding value; two codings on top of each other are unknown. */
enum http_coding http_coding_of(struct str content_encoding);
/* Whether an Accept-Encoding value allows gzip: named, or "*", with a quality above zero. */
bool http_accepts_gzip(struct str accept_encoding);
/* Whether bodies of this type shrink: text, JSON, JavaScript, XML, SVG. */
bool http_type_compresses(struct str content_type);
