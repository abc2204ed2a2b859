#pragma once
/* The static rules: what `cairn workflow check` looks for, by the names that its reports use. */
#include <stddef.h>

struct workflow_rule {
    const char *name, *summary;
    const char *advice; /* what to do about it, where a problem has no hint of its own */
};

/* Ends with a NULL name. */
extern const struct workflow_rule workflow_rules[];
/* The rule's place in the table; it is a mistake of ours to ask for one that is not there. */
size_t workflow_rule_index(const char *name);
