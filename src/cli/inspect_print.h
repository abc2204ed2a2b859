#pragma once
/* The two forms of `cairn inspect`'s answer. */
#include "base/arena.h"
#include "store/inspect.h"

#include <stdio.h>

struct inspect_view {
    const struct inspection *all;
    struct arena *arena;
    const char *place; /* the directory or file, as it was given */
    long server;       /* process id, 0: none runs */
    bool single;       /* of one section file: no manifest, no log */
    bool details;      /* events and columns of every section */
};
void inspect_print_text(const struct inspect_view *view);
/* LIMIT when the arena is full. */
enum status inspect_make_json(const struct inspect_view *view, struct json *ret_json) MUST_USE;
