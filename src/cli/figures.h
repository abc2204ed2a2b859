#pragma once
/* Figures as people read them, in an arena. */
#include "base/arena.h"
#include "base/str.h"

/* `812 B`, `1.2 kB`, `34.5 MB`: powers of 1000, three digits. */
struct str figure_bytes(struct arena *arena, uint64_t bytes);
/* `1234567` with blanks between groups of three digits. */
struct str figure_count(struct arena *arena, uint64_t count);
/* a / b with two decimals, `-` when b is 0. */
struct str figure_ratio(struct arena *arena, double a, double b);
