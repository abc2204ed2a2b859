#pragma once
/*
 * How far a long import is: on a terminal one line that is written again and again, elsewhere a line every ten seconds.
 */
#include "cli/bulk/bulk.h"

struct meter {
    FILE *out;          /* NULL: nothing is shown */
    bool live;          /* a terminal that can write a line again */
    uint64_t bytes_all; /* of all files; 0: not known */
    int64_t begun_ns, shown_ns;
    uint64_t shown_records, shown_bytes;
    double records_per_s, bytes_per_s; /* lately */
};

void meter_init(struct meter *meter, FILE *out, uint64_t bytes_all);
void meter_show(struct meter *meter, const struct bulk_result *now);
/* Removes the live line. */
void meter_end(struct meter *meter);
double meter_seconds(const struct meter *meter);
