#pragma once
/* Ranges of numbers as labels. */
#include "reference/internal.h"

struct ref_bins {
    double *from, *to; /* [from, to) */
    struct str *labels;
    size_t count;
};
/* Those for these numbers, at most bin_count of them. */
void ref_bins(struct arena *arena, const double *numbers, size_t count, size_t bin_count, struct ref_bins *ret);
