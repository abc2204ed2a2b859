/*
 * Local time is cut into cells: minutes or hours for those units, days for all others. A table maps each cell of the
 * range to its bucket; cells that the clocks skip have none and get no label. So finding a bucket is: instant → local
 * time (the current piece of constant offset is remembered) → cell number → table.
 */
#include "query/buckets.h"

#include "base/civil.h"

struct buckets {
    const struct timezone_info *zone;
    int64_t cell_ms, first_cell, cell_count;
    uint32_t *table; /* cell -> bucket */
    char *texts;     /* label after label, label_size bytes each */
    size_t label_size;
    uint32_t count;
    bool whole; /* one bucket takes all cells */
    int64_t span_from_ms, span_to_ms;
    int64_t piece_from_ms, piece_to_ms, offset_ms; /* where the offset is known */
};

/* The cell's bucket in order: a number that grows with time and is equal within a bucket. */
static int64_t bucket_key(const struct plan *plan, int64_t cell)
{
    int year, month, day;
    switch (plan->unit) {
    case UNIT_WEEK: return floor_div(cell + 3, 7); /* 1970-01-01 was a Thursday */
    case UNIT_MONTH: civil_from_days(cell, &year, &month, &day); return (int64_t)year * 12 + month - 1;
    case UNIT_DAYS: return floor_div(cell - plan->from_day, plan->interval_days);
    case UNIT_RANGE: return 0;
    default: return cell;
    }
}

static int64_t bucket_start_ms(const struct plan *plan, int64_t cell, int64_t key, int64_t cell_ms)
{
    switch (plan->unit) {
    case UNIT_WEEK: return (key * 7 - 3) * DAY_MS;
    case UNIT_MONTH:
        return civil_to_days((int)floor_div(key, 12), (int)(key - floor_div(key, 12) * 12) + 1, 1) * DAY_MS;
    case UNIT_DAYS: return (plan->from_day + key * plan->interval_days) * DAY_MS;
    case UNIT_RANGE: return plan->from_day * DAY_MS;
    default: return cell * cell_ms;
    }
}

#define DAYS_MAX      1000000
#define CELLS_MAX     4000000
#define DATE_SIZE     10
#define DATETIME_SIZE 19

/* Most labels differ from the one before in few digits: those of one day, or of the days of a month. */
static void write_label(struct buckets *b, int64_t start_ms, int64_t *day)
{
    char *to = b->texts + (size_t)b->count * b->label_size, *last = to - b->label_size;
    int64_t here = floor_div(start_ms, DAY_MS), minute = (start_ms - here * DAY_MS) / 60000, before = *day;
    *day = here;
    if (b->count && here == before) {
        memcpy(to, last, b->label_size);
    } else if (b->label_size == DATE_SIZE && b->count && here == before + 1 && memcmp(last + 8, "28", 2) < 0) {
        memcpy(to, last, DATE_SIZE);
        to[8] = (char)(to[8] + (to[9] == '9'));
        to[9] = (char)(to[9] == '9' ? '0' : to[9] + 1);
        return;
    } else if (b->label_size == DATE_SIZE) {
        civil_format_date(here, to);
        return;
    } else {
        civil_format_datetime(start_ms, to);
        return;
    }
    to[11] = (char)('0' + minute / 600);
    to[12] = (char)('0' + minute / 60 % 10);
    to[14] = (char)('0' + minute % 60 / 10);
    to[15] = (char)('0' + minute % 10);
}

static void mark_cells(struct buckets *b, unsigned char *exists)
{
    /* Walk the range in pieces of constant offset and mark the local cells that each covers. */
    int64_t at = b->span_from_ms;
    while (at < b->span_to_ms) {
        int64_t next = timezone_next_change_ms(b->zone, at);
        if (next > b->span_to_ms) next = b->span_to_ms;
        int64_t offset = timezone_offset_ms(b->zone, at);
        int64_t from = floor_div(at + offset, b->cell_ms) - b->first_cell;
        int64_t to = floor_div(next - 1 + offset, b->cell_ms) - b->first_cell;
        if (from < 0) from = 0;
        if (to >= b->cell_count) to = b->cell_count - 1;
        for (int64_t cell = from; cell <= to; cell++) exists[cell] = 1;
        at = next;
    }
}

static enum status too_many(struct error *error, uint32_t buckets_max)
{
    error_set(error, STATUS_LIMIT, "from_date to to_date: the range has more than %u buckets", buckets_max);
    error_hint(error, "choose a larger unit or a shorter range");
    return STATUS_LIMIT;
}

enum status buckets_new(struct arena *arena, const struct plan *plan, uint32_t buckets_max, struct error *error,
                        struct buckets **ret_buckets)
{
    if (plan->from_day > plan->to_day) return error_set(error, STATUS_INVALID, "from_date is later than to_date");
    struct buckets *b = arena_new_array(arena, struct buckets, 1);
    if (!b) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    b->zone = plan->zone;
    bool narrowed_range = plan->unit == UNIT_RANGE && plan->to_local_ms;
    b->whole = plan->unit == UNIT_RANGE && !plan->to_local_ms;
    b->cell_ms = plan->unit == UNIT_MINUTE || narrowed_range ? 60000 : plan->unit == UNIT_HOUR ? HOUR_MS : DAY_MS;
    int64_t days = plan->to_day - plan->from_day + 1;
    b->first_cell = plan->from_day * (DAY_MS / b->cell_ms);
    b->cell_count = days * (DAY_MS / b->cell_ms);
    /* Offsets stay below a day, so a day on either side holds the range. */
    b->span_from_ms = (plan->from_day - 1) * DAY_MS;
    b->span_to_ms = (plan->to_day + 2) * DAY_MS;
    b->piece_from_ms = b->piece_to_ms = INT64_MIN;
    bool fine = plan->unit <= UNIT_DAY;
    if ((fine && b->cell_count > buckets_max) || days > DAYS_MAX || b->cell_count > CELLS_MAX)
        return too_many(error, buckets_max);
    unsigned char *exists = arena_calloc(arena, (size_t)b->cell_count, 1);
    b->table = arena_alloc(arena, (size_t)b->cell_count * sizeof *b->table);
    b->label_size = b->cell_ms == DAY_MS || narrowed_range ? DATE_SIZE : DATETIME_SIZE;
    b->texts = arena_alloc(arena, (size_t)b->cell_count * b->label_size);
    if (!exists || !b->table || !b->texts) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
    mark_cells(b, exists);
    int64_t last_key = INT64_MIN, label_day = 0;
    for (int64_t i = 0; i < b->cell_count; i++) {
        int64_t start_ms = (b->first_cell + i) * b->cell_ms;
        bool narrowed = plan->to_local_ms && (start_ms < plan->from_local_ms || start_ms >= plan->to_local_ms);
        if (!exists[i] || narrowed) {
            b->table[i] = BUCKET_NONE;
            continue;
        }
        int64_t key = bucket_key(plan, b->first_cell + i);
        if (b->count == 0 || key != last_key) {
            write_label(b, bucket_start_ms(plan, b->first_cell + i, key, b->cell_ms), &label_day);
            b->count++;
            last_key = key;
        }
        b->table[i] = b->count - 1;
    }
    if (b->count > buckets_max) return too_many(error, buckets_max);
    *ret_buckets = b;
    return STATUS_OK;
}

uint32_t buckets_count(const struct buckets *buckets)
{
    return buckets->count;
}
struct str buckets_label(const struct buckets *buckets, uint32_t index)
{
    return str_from(buckets->texts + (size_t)index * buckets->label_size, buckets->label_size);
}

uint32_t buckets_find(struct buckets *b, int64_t utc_ms)
{
    if (utc_ms < b->piece_from_ms || utc_ms >= b->piece_to_ms) {
        b->offset_ms = timezone_offset_ms(b->zone, utc_ms);
        b->piece_to_ms = timezone_next_change_ms(b->zone, utc_ms);
        /* The piece's true beginning is not needed: from here to the next change the offset holds. */
        b->piece_from_ms = utc_ms;
    }
    int64_t cell = floor_div(utc_ms + b->offset_ms, b->cell_ms) - b->first_cell;
    return cell < 0 || cell >= b->cell_count ? BUCKET_NONE : b->table[cell];
}

void buckets_span(const struct buckets *b, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    *ret_from_ms = b->span_from_ms;
    *ret_to_ms = b->span_to_ms;
}

enum status buckets_edges(const struct buckets *b, struct arena *arena, struct error *error,
                          const struct bucket_edge **ret_edges, size_t *ret_count)
{
    struct bucket_edge *edges = NULL;
    size_t count = 0, capacity = 0;
    int64_t at = b->span_from_ms;
    while (at < b->span_to_ms) {
        int64_t offset = timezone_offset_ms(b->zone, at), end = timezone_next_change_ms(b->zone, at);
        if (end > b->span_to_ms) end = b->span_to_ms;
        while (at < end) {
            int64_t cell = floor_div(at + offset, b->cell_ms), next = (cell + 1) * b->cell_ms - offset;
            int64_t index = cell - b->first_cell;
            bool inside = index >= 0 && index < b->cell_count;
            uint32_t bucket = inside ? b->table[index] : BUCKET_NONE;
            if (inside && b->whole) next = (b->first_cell + b->cell_count) * b->cell_ms - offset;
            if (count == 0 || edges[count - 1].bucket != bucket) {
                if (count == capacity) {
                    size_t grown = capacity ? capacity * 2 : 64;
                    edges = arena_realloc(arena, edges, capacity * sizeof *edges, grown * sizeof *edges);
                    if (!edges) return error_set(error, STATUS_LIMIT, "memory budget exceeded");
                    capacity = grown;
                }
                edges[count++] = (struct bucket_edge){at, bucket};
            }
            at = next < end ? next : end;
        }
    }
    *ret_edges = edges;
    *ret_count = count;
    return STATUS_OK;
}
