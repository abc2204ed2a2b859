#pragma once
/*
 * What must not be shown: a list of secret texts, and copies of values and texts in which they are `***`.
 *
 * A string that equals a secret is replaced whole. Inside longer texts only secrets of at least 4 bytes are
 * looked for, in their plain and percent-encoded form, because a secret of one letter would blot out
 * everything and hide nothing.
 */
#include "base/json.h"

#define SECRET_MASK "***"

struct workflow_secrets {
    struct arena *arena;
    struct str *items;
    size_t count;
};

/* Remembers the text (not copied). Empty ones are ignored. */
enum status secrets_add(struct workflow_secrets *secrets, struct str secret) MUST_USE;
/* The strings of a value, all the way down. */
enum status secrets_add_json(struct workflow_secrets *secrets, const struct json *value) MUST_USE;
/* NULL data when the arena is full. */
struct str secrets_mask(const struct workflow_secrets *secrets, struct str text) MUST_USE;
enum status secrets_mask_json(const struct workflow_secrets *secrets, const struct json *value,
                              struct json *ret_value) MUST_USE;
