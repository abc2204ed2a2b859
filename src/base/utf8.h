#pragma once
/* UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *data, size_t size);
/* The largest length <= size_max (and <= size) that does not end inside a sequence. `data` must be valid UTF-8. */
size_t utf8_cut(const char *data, size_t size, size_t size_max);
/* Number of code points in valid UTF-8. */
size_t utf8_length(const char *data, size_t size);
/* Decodes the code point at *offset and moves past it; 0xFFFD for an invalid byte, which is skipped alone. */
uint32_t utf8_next(const char *data, size_t size, size_t *offset);
/* Writes 1 to 4 bytes and returns how many. Surrogates and values above U+10FFFF become U+FFFD. */
size_t utf8_encode(uint32_t code_point, char out[4]);
