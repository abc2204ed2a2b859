#pragma once
/*
 * Merging sections: many in, one per time window out, persons resolved anew, deleted rows left out. Used to keep the
 * number of RAM sections small, to write section files, and to compact them. Runs on any thread: inputs are immutable.
 *
 * Inputs are sections with objects; or all of them are piles (pile.h), which go to images.
 *
 * Windows. Without `split` there is one window: the given one, or the narrowest around all rows. With it each day has
 * its own, or the one that window_of says; when that makes more than outputs_max, narrow windows are widened, except
 * for hot_day's.
 *
 * Size. With one window, a section gets at most rows_max rows, then another one begins: parts of one sorted order, cut
 * between events or between persons (within one only if it alone has more rows than that). With a `write` callback
 * their bytes are handed over one after the other, each beginning at a multiple of 64: memory is then about 120 bytes a
 * row of the largest event in a section, and one column. With threads it is that of so many events, together at most
 * the rows of one section, and waiting_bytes_max.
 */
#include "store/version.h"

struct merge_output {
    struct buf image;      /* without `write` */
    uint64_t offset, size; /* with it: place in the stream */
    struct section_ref directory;
    uint32_t rows;
};
struct merge_job {
    const struct version_section *inputs; /* older first: arrival order is kept between equal times */
    size_t input_count;
    const struct id_view *ids;
    uint32_t links_applied; /* of `ids` */
    bool split;
    size_t outputs_max;
    void (*window_of)(void *context, int64_t day, int64_t *ret_day, uint32_t *ret_log2);
    void *window_context;
    int64_t hot_day;
    bool fixed; /* the window is (window_day, window_log2) */
    int64_t window_day;
    uint32_t window_log2;
    uint32_t rows_max; /* 0: as many as a section may have */
    bool for_file;
    enum status (*write)(void *context, struct str bytes); /* one window only */
    void *write_context;
    unsigned threads;         /* with `write` and for_file: so many take part; the bytes are the same. 0 is 1 */
    size_t waiting_bytes_max; /* of what they have built and must keep until its turn; 0: memory_bytes_max / 8 */
    size_t memory_bytes_max;  /* of each thread, while it builds */
    size_t *ret_bad_input;    /* NULL, or where the number of the input goes that could not be read */
};
/* *ret_outputs: an array to be freed with merge_outputs_free; count 0 when no row is left. */
enum status merge_sections(const struct merge_job *job, struct error *error, struct merge_output **ret_outputs,
                           size_t *ret_count) MUST_USE;
/* An image of a pile in which some row lives. */
enum status section_of_pile(const struct section *pile, const struct id_view *ids, uint32_t links_applied,
                            size_t memory_bytes_max, struct error *error, struct section **ret_section) MUST_USE;
void merge_outputs_free(struct merge_output *outputs, size_t count);
