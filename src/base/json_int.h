#pragma once
/*
 * What the files behind json.h share. There are two readers of JSON text: json_read (json_read.c), which is fast and
 * may refuse for any reason, and json_parse_reference (text.cpp, on simdjson), which decides about every text that the
 * first refused and words the errors. Where json_read accepts, both must give the same tree: fuzz/fuzz_json.c and
 * json_test.c hold them against each other.
 */
#include "base/json.h"

/* False when the document is malformed, passes a limit or the arena, or is of a rare form that is left to the other
 * reader; what it took of the arena is then lost to it. */
bool json_read(struct arena *arena, struct str text, const struct json_limits *limits, struct json *ret_value) MUST_USE;
/* As json_parse. */
enum status json_parse_reference(struct arena *arena, struct str text, const struct json_limits *limits,
                                 struct error *error, struct json *ret_value) MUST_USE;
