/*
 * Percentiles by counting. The numbers of all cells are integers of [base, base + 2^bits), over 10^exponent; a cell's
 * number and the integer's distance from the base make one code of 32 bits. When there is a counter for every code,
 * that is all. Otherwise the codes are kept, 4 bytes a row, and only their high bits are counted: these counts tell in
 * which part of its numbers the place that is looked for lies. Then only codes of those parts are kept, their next bits
 * are counted, and so on until no bits are left.
 */
#include "query/native/decimals.h"

#include <math.h>
#include <stdlib.h>

#define DIRECT_MAX     ((uint64_t)1 << 18) /* counters of a worker when there is one for every code */
#define COUNTERS_MAX   ((uint64_t)1 << 16) /* when there is not: they fit into a core's cache */
#define CELLS_MAX      (COUNTERS_MAX / 2)
#define BLOCK_CODES    32768
#define RANKS_BITS_MAX 31

struct code_block {
    uint32_t count, codes[BLOCK_CODES];
};

struct range {
    bool any[DECIMALS_EXPONENT_MAX + 1], other; /* `other`: numbers that are stored in another way */
    int64_t min[DECIMALS_EXPONENT_MAX + 1], max[DECIMALS_EXPONENT_MAX + 1];
};

struct ranks {
    unsigned exponent, bits;
    unsigned low; /* bits of a code that are not counted yet */
    int64_t base;
    uint64_t counters; /* of each worker */
    /* while percentiles are picked, by cell */
    uint32_t *places; /* code >> low of the numbers that are looked at; UINT32_MAX: there are none */
    uint64_t *left;   /* the place among them, from 0 */
    struct range *ranges;
};

#define INTEGER_MAX ((int64_t)1 << 52)

/* --- may it be done so --- */

static enum status range_task(void *ctx, unsigned slot, uint32_t index)
{
    struct survey *survey = ctx;
    struct worker *worker = &survey->workers[slot];
    struct range *range = &survey->ranks->ranges[slot];
    TRY(survey_interrupted(survey, &worker->error));
    for (uint32_t s = survey->task_slices[index]; s < survey->task_slices[index + 1] && !range->other; s++) {
        const struct slice *slice = &survey->slices[s];
        const struct bound *bound = &survey->runs[slice->run];
        if (bound->numbers.form != SOURCE_NUMBERS) continue;
        TRY(worker_open_run(worker, bound));
        for (uint32_t v = slice->from_vector; v < slice->to_vector && !range->other; v++) {
            struct decimals_head head;
            bool any;
            TRY(scan_vector(worker->scan, v, &worker->error, &worker->rows));
            TRY(decimals_head(worker, bound->numbers.property, &any, &head));
            range->other |= !any;
            if (!any) break;
            unsigned e = head.exponent;
            if (!range->any[e] || head.min < range->min[e]) range->min[e] = head.min;
            if (!range->any[e] || head.max > range->max[e]) range->max[e] = head.max;
            range->any[e] = true;
        }
    }
    return STATUS_OK;
}

/* Runs whose numbers are no column of numbers: only those that have none at all do. */
static bool has_others(const struct survey *survey)
{
    for (size_t i = 0; i < survey->run_count; i++) {
        const struct bound_numbers *numbers = &survey->runs[i].numbers;
        bool none = survey->runs[i].never || (numbers->form == SOURCE_ONE && isnan(numbers->number));
        if (!none && numbers->form != SOURCE_NUMBERS) return true;
    }
    return false;
}

/* The range of all numbers, over one power of ten; false when they do not fit. */
static bool find_range(const struct survey *survey, struct ranks *ranks)
{
    struct range all = {.other = false};
    for (unsigned w = 0; w < survey->worker_count; w++) {
        const struct range *range = &ranks->ranges[w];
        if (range->other) return false;
        for (unsigned e = 0; e <= DECIMALS_EXPONENT_MAX; e++) {
            if (!range->any[e]) continue;
            if (!all.any[e] || range->min[e] < all.min[e]) all.min[e] = range->min[e];
            if (!all.any[e] || range->max[e] > all.max[e]) all.max[e] = range->max[e];
            all.any[e] = true;
            ranks->exponent = e > ranks->exponent ? e : ranks->exponent;
        }
    }
    int64_t min = INTEGER_MAX, max = -INTEGER_MAX;
    for (unsigned e = 0; e <= ranks->exponent; e++) {
        if (!all.any[e]) continue;
        int64_t factor = decimals_power(ranks->exponent - e);
        if (all.min[e] < -INTEGER_MAX / factor || all.max[e] > INTEGER_MAX / factor) return false;
        min = all.min[e] * factor < min ? all.min[e] * factor : min;
        max = all.max[e] * factor > max ? all.max[e] * factor : max;
    }
    if (min > max) min = max = 0;
    ranks->base = min;
    while (ranks->bits <= RANKS_BITS_MAX && (uint64_t)(max - min) >> ranks->bits) ranks->bits++;
    return ranks->bits <= RANKS_BITS_MAX;
}

enum status ranks_prepare(struct survey *survey, struct ranks **ret_ranks)
{
    uint64_t cells = survey->cell_count;
    *ret_ranks = NULL;
    if (has_others(survey) || cells == 0 || survey->row_count > UINT32_MAX) return STATUS_OK;
    struct ranks *ranks = arena_new_array(survey->arena, struct ranks, 1);
    if (ranks) {
        ranks->ranges = arena_new_array(survey->arena, struct range, survey->worker_count);
        ranks->places = arena_new_array(survey->arena, uint32_t, cells);
        ranks->left = arena_new_array(survey->arena, uint64_t, cells);
    }
    if (!ranks || !ranks->ranges || !ranks->places || !ranks->left) return survey_out_of_memory(survey, survey->error);
    survey->ranks = ranks;
    TRY(pool_run(survey->pool, survey->task_count, range_task, survey));
    survey->ranks = NULL;
    if (!find_range(survey, ranks) || cells << ranks->bits > UINT32_MAX) return STATUS_OK;
    if (cells << ranks->bits > DIRECT_MAX) {
        if (cells > CELLS_MAX) return STATUS_OK;
        for (ranks->low = ranks->bits; ranks->low && cells << (ranks->bits - ranks->low + 1) <= COUNTERS_MAX;)
            ranks->low--;
    }
    ranks->counters = cells << (ranks->bits - ranks->low);
    for (unsigned w = 0; w < survey->worker_count; w++) {
        struct worker *worker = &survey->workers[w];
        worker->decimals->counts = arena_new_array(
            worker->arena, uint32_t, ranks->low && ranks->counters < COUNTERS_MAX ? COUNTERS_MAX : ranks->counters);
        if (!worker->decimals->counts) return survey_out_of_memory(survey, survey->error);
    }
    *ret_ranks = ranks;
    return STATUS_OK;
}

/* --- counting --- */

/* The block that has room for `count` more codes. */
static enum status block_for(struct worker *worker, uint32_t count, struct code_block **ret_block)
{
    struct decimals *d = worker->decimals;
    struct code_block *block = d->block_count ? d->blocks[d->block_count - 1] : NULL;
    if (!block || BLOCK_CODES - block->count < count) {
        if (d->block_count == d->block_capacity) {
            size_t capacity = d->block_capacity ? d->block_capacity * 2 : 64;
            struct code_block **grown = realloc(d->blocks, capacity * sizeof *grown);
            if (!grown) return survey_out_of_memory(worker->survey, &worker->error);
            d->blocks = grown;
            d->block_capacity = capacity;
        }
        if ((d->block_count + 1) * sizeof *block > worker->survey->worker_bytes_max)
            return survey_out_of_memory(worker->survey, &worker->error);
        block = malloc(sizeof *block);
        if (!block) return survey_out_of_memory(worker->survey, &worker->error);
        block->count = 0;
        d->blocks[d->block_count++] = block;
    }
    *ret_block = block;
    return STATUS_OK;
}

/* Leaves out codes of the cell behind the last. */
static uint32_t keep_counted(const uint32_t *cells, uint32_t none, uint32_t *codes, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        codes[kept] = codes[i];
        kept += cells[i] < none;
    }
    return kept;
}

enum status ranks_add(struct worker *worker, const uint32_t *cells, const uint32_t *items, uint32_t count)
{
    const struct ranks *ranks = worker->survey->ranks;
    struct decimals *d = worker->decimals;
    const struct number_kernels *kernels = CPU_SELECT(number_kernels);
    uint32_t none = worker->survey->cell_count, codes_here[VECTOR_ROWS_MAX], unused = 0;
    uint32_t *codes = codes_here, *end = &unused;
    if (ranks->low) {
        struct code_block *block;
        TRY(block_for(worker, count, &block));
        codes = block->codes + block->count;
        end = &block->count;
    }
    /* the distance from the base fits 32 bits, whatever its parts do */
    int64_t factor = decimals_power(ranks->exponent - d->head.exponent);
    uint32_t base = (uint32_t)(d->head.min * factor - ranks->base),
             scale = (uint32_t)(d->head.scale * (uint64_t)factor);
    kernels->codes(cells, items, count, ranks->bits, base, scale, codes);
    if (kernels->max(cells, count) >= none) count = keep_counted(cells, none, codes, count);
    *end += count;
    for (uint32_t i = 0; i < count; i++) d->counts[codes[i] >> ranks->low]++;
    return STATUS_OK;
}

void ranks_finish(struct worker *worker)
{
    const struct ranks *ranks = worker->survey->ranks;
    const uint32_t *counts = worker->decimals->counts;
    uint64_t each = (uint64_t)1 << (ranks->bits - ranks->low);
    for (uint32_t c = 0; c < worker->survey->cell_count; c++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < each; i++) sum += *counts++;
        worker->number_counts[c] += sum;
        worker->counts[c] += sum;
    }
}

/* --- picking --- */

/* Adds up the workers' counters, and finds the one in which each cell's place is: it becomes the cell's code >> low. */
static void find_places(struct survey *survey, unsigned bits)
{
    struct ranks *ranks = survey->ranks;
    uint64_t each = (uint64_t)1 << bits;
    uint32_t *counts = survey->workers[0].decimals->counts;
    for (unsigned w = 1; w < survey->worker_count; w++) {
        const uint32_t *others = survey->workers[w].decimals->counts;
        for (uint64_t i = 0; i < survey->cell_count * each; i++) counts[i] += others[i];
    }
    for (uint32_t c = 0; c < survey->cell_count; c++, counts += each) {
        uint32_t at = 0;
        if (ranks->places[c] == UINT32_MAX) continue;
        while (counts[at] <= ranks->left[c]) ranks->left[c] -= counts[at++];
        ranks->places[c] = ranks->places[c] << bits | at;
    }
}

struct refinement {
    struct survey *survey;
    unsigned bits;         /* to be counted next */
    uint32_t *first_block; /* worker -> the first one of its blocks as a task */
};

static enum status refine_task(void *ctx, unsigned slot, uint32_t index)
{
    const struct refinement *refinement = ctx;
    struct survey *survey = refinement->survey;
    const struct ranks *ranks = survey->ranks;
    unsigned owner = 0, bits = ranks->bits, low = ranks->low, next = refinement->bits;
    while (index >= refinement->first_block[owner + 1]) owner++;
    struct code_block *block = survey->workers[owner].decimals->blocks[index - refinement->first_block[owner]];
    uint32_t *codes = block->codes, *counts = survey->workers[slot].decimals->counts, kept = 0;
    TRY(survey_interrupted(survey, &survey->workers[slot].error));
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t code = codes[i];
        codes[kept] = code;
        kept += code >> low == ranks->places[code >> bits];
    }
    block->count = kept;
    uint32_t mask = ((uint32_t)1 << next) - 1;
    for (uint32_t i = 0; i < kept; i++) counts[codes[i] >> bits << next | (codes[i] >> (low - next) & mask)]++;
    return STATUS_OK;
}

static enum status refine(struct survey *survey, unsigned bits)
{
    struct ranks *ranks = survey->ranks;
    uint32_t first_block[POOL_SLOTS_MAX + 1] = {0};
    struct refinement refinement = {survey, bits, first_block};
    for (unsigned w = 0; w < survey->worker_count; w++) {
        memset(survey->workers[w].decimals->counts, 0, (survey->cell_count << bits) * sizeof(uint32_t));
        first_block[w + 1] = first_block[w] + (uint32_t)survey->workers[w].decimals->block_count;
    }
    TRY(pool_run(survey->pool, first_block[survey->worker_count], refine_task, &refinement));
    ranks->low -= bits;
    find_places(survey, bits);
    return STATUS_OK;
}

enum status ranks_pick(struct survey *survey, double *ret_numbers)
{
    struct ranks *ranks = survey->ranks;
    for (uint32_t c = 0; c < survey->cell_count; c++) {
        uint64_t count = survey->number_counts[c];
        ranks->places[c] = count ? c : UINT32_MAX;
        ranks->left[c] = count ? plan_percentile_rank(survey->plan->percentile, count) - 1 : 0;
    }
    find_places(survey, ranks->bits - ranks->low);
    while (ranks->low) {
        unsigned bits = 1;
        while (bits < ranks->low && (uint64_t)survey->cell_count << (bits + 1) <= COUNTERS_MAX) bits++;
        TRY(refine(survey, bits));
    }
    uint32_t mask = ((uint32_t)1 << ranks->bits) - 1;
    for (uint32_t c = 0; c < survey->cell_count; c++) {
        if (ranks->places[c] == UINT32_MAX) continue;
        ret_numbers[c] = (double)(ranks->base + (ranks->places[c] & mask)) / (double)decimals_power(ranks->exponent);
    }
    return STATUS_OK;
}

void ranks_free_worker(struct worker *worker)
{
    struct decimals *d = worker->decimals;
    for (size_t i = 0; d && i < d->block_count; i++) free(d->blocks[i]);
    if (d) free(d->blocks);
}
