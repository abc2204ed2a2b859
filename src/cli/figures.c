#include "cli/figures.h"

#include <stdio.h>

struct str figure_bytes(struct arena *arena, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) return arena_printf(arena, "%u B", (unsigned)bytes);
    double value = (double)bytes / 1000;
    size_t unit = 0;
    /* 999.5 would be printed as 1000 */
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    return arena_printf(arena, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
}

struct str figure_count(struct arena *arena, uint64_t count)
{
    char digits[24], text[32];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), out = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) text[out++] = ' ';
        text[out++] = digits[i];
    }
    return arena_str(arena, str_from(text, (size_t)out));
}

struct str figure_ratio(struct arena *arena, double a, double b)
{
    return b > 0 ? arena_printf(arena, "%.2f", a / b) : STR("-");
}
