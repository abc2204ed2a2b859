/*
 * Exact sums of doubles, at the price of adding integers.
 *
 * The number of a row is d, the double nearest to n / 10^e, and what is asked for is the exact sum of the d, which is
 * not the sum of the n over 10^e. But d · 10^e = n - r exactly, where r is what rounding the quotient left: a small
 * double (number_kernels.h). So the sum is (sum of n - sum of r) / 10^e, and two plain sums of doubles give it as long
 * as they are exact themselves.
 *
 * They are. With k = ceil(log2(10^e)), d is 0 or at least 2^-k in size, so it is a multiple of 2^-(k + 52), and so is
 * r; and r is half a unit in the last place of d times 10^e at most, less than n · 2^k units of 2^-(k + 52). Sums of n
 * and, in those units, of r are exact below 2^53: `bound` adds up n · 2^k, and before it gets there, all sums are moved
 * to the wide ones (base/exact_sum.h). That costs a loop over the cells; numbers so large that it would pay less than
 * one cell a row are not taken.
 */
#include "query/native/decimals.h"

#include <assert.h>
#include <math.h>

#define EXPONENT_MAX   3 /* k + 52 <= EXACT_SUM_SHIFT_MAX */
#define BOUND_MAX      ((uint64_t)1 << 53)
#define NUMBERS_MAX    4294967296.0 /* 2^32: exact_sum_add_many */
#define SPREAD_CELLS   4096         /* with more, one tally for each has to do */
#define TALLY_BYTES_OF 8            /* this part of the budget may be tallies */

static const uint32_t powers[EXPONENT_MAX + 1] = {1, 10, 100, 1000};
static const unsigned power_bits[EXPONENT_MAX + 1] = {0, 4, 7, 10};

static void make_tallies(struct worker *worker)
{
    struct decimals *d = worker->decimals;
    size_t cells = (size_t)worker->survey->cell_count + 1, sets = cells > SPREAD_CELLS ? 1 : TALLIES;
    d->tally_stride = sets == 1 ? 0 : (uint32_t)cells;
    if (cells * sets * sizeof *d->tallies > worker->survey->worker_bytes_max / TALLY_BYTES_OF) return;
    d->tallies = arena_new_array(worker->arena, struct number_tally, cells * sets);
}

/* The greatest integer of the vector in size, over 10^exponent, times 2^k. */
static uint64_t bound_of(const struct decimals_head *head, unsigned exponent)
{
    int64_t low = head->min < 0 ? -head->min : head->min, high = head->max < 0 ? -head->max : head->max;
    uint64_t size = (uint64_t)(low > high ? low : high);
    uint64_t factor = (uint64_t)powers[exponent - head->exponent] << power_bits[exponent];
    return size > BOUND_MAX / factor ? BOUND_MAX : size * factor;
}

bool sums_take(struct worker *worker, const struct decimals_head *head)
{
    struct decimals *d = worker->decimals;
    if (head->exponent > EXPONENT_MAX) return false;
    unsigned exponent = head->exponent > d->exponent ? head->exponent : d->exponent;
    uint64_t bound = bound_of(head, exponent), cells = (uint64_t)worker->survey->cell_count + VECTOR_ROWS_MAX;
    double limit = NUMBERS_MAX * powers[head->exponent];
    if ((double)head->max >= limit || (double)head->min <= -limit || bound > BOUND_MAX / cells) return false;
    if (!d->tallies && worker->exact && !d->refused) {
        make_tallies(worker);
        d->refused = !d->tallies;
    }
    return d->tallies;
}

/* (whole - rest) / 10^exponent in units of 2^-(k + 52): the sum of doubles that are multiples of it. */
static __int128 sum_of(struct number_parts sums, unsigned exponent)
{
    unsigned shift = power_bits[exponent] + 52;
    __int128 whole = (__int128)sums.whole * ((__int128)1 << shift), rest = (__int128)ldexp(sums.rest, (int)shift);
    assert((whole - rest) % powers[exponent] == 0);
    return (whole - rest) / powers[exponent];
}

enum status sums_finish(struct worker *worker)
{
    struct decimals *d = worker->decimals;
    uint32_t sets = d->tally_stride ? TALLIES : 1;
    for (uint32_t c = 0; d->tallies && d->bound && c <= worker->survey->cell_count; c++) {
        struct number_tally sum = {0};
        for (uint32_t s = 0; s < sets; s++) {
            struct number_tally *part = &d->tallies[(size_t)s * d->tally_stride + c];
            sum.sums.whole += part->sums.whole;
            sum.sums.rest += part->sums.rest;
            sum.count += part->count;
            *part = (struct number_tally){0};
        }
        if (!sum.count || c == worker->survey->cell_count) continue;
        worker->number_counts[c] += sum.count;
        worker->counts[c] += sum.count;
        if (exact_sum_add_many(&worker->exact[c], sum_of(sum.sums, d->exponent), power_bits[d->exponent] + 52,
                               sum.count, worker->sums) != STATUS_OK)
            return survey_out_of_memory(worker->survey, &worker->error);
    }
    d->bound = 0;
    return STATUS_OK;
}

enum status sums_add(struct worker *worker, const uint32_t *cells, const uint32_t *items, uint32_t count)
{
    struct decimals *d = worker->decimals;
    const struct decimals_head *head = &d->head;
    const struct number_kernels *kernels = CPU_SELECT(number_kernels);
    unsigned exponent = head->exponent > d->exponent ? head->exponent : d->exponent;
    uint64_t bound = (bound_of(head, exponent) + 1) * count;
    if (exponent != d->exponent || bound > BOUND_MAX - d->bound) TRY(sums_finish(worker));
    d->exponent = exponent;
    d->bound += bound;
    double power = powers[exponent], factor = powers[exponent - head->exponent];
    kernels->take_apart(items, count, (double)head->min * factor, head->scale * factor, power, d->parts);
    kernels->add_parts(d->parts, cells, count, d->tallies, d->tally_stride);
    return STATUS_OK;
}
