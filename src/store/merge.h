#pragma once
/*
 * Merging sections: many in, one per time window out, persons resolved anew, deleted rows left out. Used to keep the
 * number of RAM sections small and to write section files. Runs on any thread: inputs are immutable.
 */
#include "store/version.h"

struct merge_output {
    struct buf image;
    struct section_ref directory;
    uint32_t rows;
};
struct merge_job {
    const struct version_section *inputs; /* older first: arrival order is kept between equal times */
    size_t input_count;
    const struct id_view *ids;
    uint32_t links_applied;
    bool
        split; /* one output per window of 2^log2 days, at most `outputs_max`; otherwise one output around everything */
    size_t outputs_max;
    size_t memory_bytes_max;
};
/* *ret_outputs: an array to be freed with merge_outputs_free; count 0 when no row is left. */
enum status merge_sections(const struct merge_job *job, struct error *error, struct merge_output **ret_outputs,
                           size_t *ret_count) MUST_USE;
void merge_outputs_free(struct merge_output *outputs, size_t count);
