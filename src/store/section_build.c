/*
 * Building sections. Everything of a run is appended as it comes; the directory, the filter and the set of persons
 * stand behind the last run. What is kept per section is small: the directory entries, the filter, the set of persons.
 */
#include "store/section_int.h"

#include "base/civil.h"
#include "base/hash.h"
#include "store/chunk_encode.h"
#include "store/dictionary.h"
#include "store/filter.h"
#include "store/person_set.h"
#include "store/statistics.h"

#include <assert.h>
#include <stdlib.h>

#define FLUSH_AT_BYTES ((size_t)4 << 20)

struct section_builder {
    struct section_plan plan;
    struct section_out out;
    struct buf table, events, statistics;
    struct arena *scratch;
    unsigned char *filter; /* an image's, or */
    size_t filter_bytes;
    uint64_t *keys; /* a file's, from which its filter is made at the end */
    size_t key_count, key_capacity;
    roaring_bitmap_t *persons;
    int64_t time_min_ms, time_max_ms;
    uint32_t rows, event_count, chunk_count;
    struct section_event run; /* being built */
    struct chunk_persons run_persons;
    uint32_t *run_lengths; /* malloc'd */
    size_t run_lengths_capacity;
};

struct section_builder *section_builder_new(const struct section_plan *plan)
{
    struct section_builder *builder = calloc(1, sizeof *builder);
    if (!builder) return NULL;
    builder->plan = *plan;
    builder->out = section_out_ram(plan->bytes_max);
    builder->out.write = plan->write;
    builder->out.context = plan->context;
    builder->out.flush_at_bytes = FLUSH_AT_BYTES;
    builder->table = BUF_INIT(plan->bytes_max);
    builder->events = BUF_INIT(plan->bytes_max);
    builder->statistics = BUF_INIT(plan->bytes_max);
    builder->scratch = arena_new(plan->bytes_max);
    builder->filter_bytes = plan->for_file ? 0 : filter_bytes(plan->keys);
    builder->filter = calloc(1, builder->filter_bytes ? builder->filter_bytes : 1);
    builder->persons = plan->for_file ? roaring_bitmap_create() : NULL;
    assert(!plan->piece || (plan->for_file && !plan->write));
    builder->time_min_ms = INT64_MAX;
    builder->time_max_ms = INT64_MIN;
    if (!builder->filter || (plan->for_file && !builder->persons)) {
        section_builder_free(builder);
        return NULL;
    }
    return builder;
}

void section_builder_free(struct section_builder *builder)
{
    if (!builder) return;
    section_out_fini(&builder->out);
    buf_fini(&builder->table);
    buf_fini(&builder->events);
    buf_fini(&builder->statistics);
    arena_free(builder->scratch);
    free(builder->filter);
    free(builder->run_lengths);
    free(builder->keys);
    if (builder->persons) roaring_bitmap_free(builder->persons);
    free(builder);
}

uint64_t dedup_key(uint32_t event_id, uint32_t id, int64_t time_ms, struct str insert_id)
{
    unsigned char fields[16];
    memcpy(fields, &event_id, 4);
    memcpy(fields + 4, &id, 4);
    memcpy(fields + 8, &time_ms, 8);
    return hash_bytes(insert_id.data, insert_id.size, hash_bytes(fields, sizeof fields, 0));
}

static enum status add_ints(struct section_builder *builder, uint32_t property, const uint64_t *values, uint32_t count)
{
    builder->chunk_count++;
    return chunk_encode_stream(property, values, count, &builder->out, &builder->table);
}

/* How many rows each person has, until the end of the run: columns that are the same for all rows of a person are
 * written once a person. */
static enum status keep_lengths(struct section_builder *builder, const uint64_t *lengths, uint32_t count)
{
    if (count > builder->run_lengths_capacity) {
        uint32_t *grown = malloc(count * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        free(builder->run_lengths);
        builder->run_lengths = grown;
        builder->run_lengths_capacity = count;
    }
    for (uint32_t i = 0; i < count; i++) builder->run_lengths[i] = (uint32_t)lengths[i];
    builder->run_persons = (struct chunk_persons){builder->run_lengths, count};
    return STATUS_OK;
}

static enum status room_for_keys(struct section_builder *builder, size_t count)
{
    if (count > builder->key_capacity - builder->key_count) {
        size_t capacity = builder->key_capacity ? builder->key_capacity * 2 : 1024;
        while (capacity - builder->key_count < count) capacity *= 2;
        uint64_t *grown = realloc(builder->keys, capacity * sizeof *grown);
        if (!grown) return STATUS_LIMIT;
        builder->keys = grown;
        builder->key_capacity = capacity;
    }
    return STATUS_OK;
}

static enum status add_key(struct section_builder *builder, uint64_t key)
{
    if (!builder->plan.for_file) {
        if (builder->filter_bytes) filter_add(builder->filter, builder->filter_bytes, key);
        return STATUS_OK;
    }
    TRY(room_for_keys(builder, 1));
    builder->keys[builder->key_count++] = key;
    return STATUS_OK;
}

/* The core streams stand in front of the run's properties. */
enum status section_builder_run(struct section_builder *builder, uint32_t event_id, const struct section_rows *rows)
{
    if (rows->count == 0 || rows->count > SECTION_ROWS_MAX - builder->rows) return STATUS_LIMIT;
    builder->run = (struct section_event){.event_id = event_id,
                                          .rows = rows->count,
                                          .first_row = builder->rows,
                                          .time_min_ms = INT64_MAX,
                                          .time_max_ms = INT64_MIN};
    buf_reset(&builder->table);
    buf_u32(&builder->table, 0);
    builder->chunk_count = 0;
    arena_reset(builder->scratch);

    uint32_t count = rows->count;
    size_t vectors = (count + VECTOR_ROWS_MAX - 1) / VECTOR_ROWS_MAX;
    uint64_t *column = arena_new_array(builder->scratch, uint64_t, count);
    uint64_t *persons = arena_new_array(builder->scratch, uint64_t, count);
    uint64_t *lengths = arena_new_array(builder->scratch, uint64_t, count);
    uint64_t *starts = arena_new_array(builder->scratch, uint64_t, vectors);
    if (!column || !persons || !lengths || !starts) return STATUS_LIMIT;

    uint32_t person_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || rows->persons[i] != rows->persons[i - 1]) {
            persons[person_count] = rows->persons[i];
            lengths[person_count++] = 0;
        }
        if (i % VECTOR_ROWS_MAX == 0)
            starts[i / VECTOR_ROWS_MAX] = (uint64_t)(person_count - 1) << 32 | lengths[person_count - 1];
        lengths[person_count - 1]++;
        if (rows->times_ms[i] < builder->run.time_min_ms) builder->run.time_min_ms = rows->times_ms[i];
        if (rows->times_ms[i] > builder->run.time_max_ms) builder->run.time_max_ms = rows->times_ms[i];
        if (!rows->keys) value_prefetch(rows->insert_ids, i + PREFETCH_AHEAD, count);
        if (rows->insert_ids[i].type != VALUE_STRING) continue;
        TRY(add_key(builder, rows->keys ? rows->keys[i]
                                        : dedup_key(event_id, rows->ids[i], rows->times_ms[i],
                                                    value_text(rows->insert_ids[i]))));
    }
    builder->run.persons = person_count;
    if (builder->persons) {
        uint32_t *list = arena_alloc(builder->scratch, person_count * sizeof *list);
        if (!list) return STATUS_LIMIT;
        for (uint32_t i = 0; i < person_count; i++) list[i] = (uint32_t)persons[i];
        roaring_bitmap_add_many(builder->persons, person_count, list);
    }
    TRY(keep_lengths(builder, lengths, person_count));
    TRY(add_ints(builder, CORE_PERSON, persons, person_count));
    TRY(add_ints(builder, CORE_RUN, lengths, person_count));
    TRY(add_ints(builder, CORE_VECTOR, starts, (uint32_t)vectors));
    int64_t window_ms = builder->plan.window_day * DAY_MS;
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)(rows->times_ms[i] - window_ms) / 60000;
    TRY(add_ints(builder, CORE_MINUTE, column, count));
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)(rows->times_ms[i] - window_ms) % 60000;
    TRY(add_ints(builder, CORE_MS, column, count));
    builder->chunk_count++;
    TRY(chunk_encode_person_ids(rows->ids, rows->persons, count, builder->scratch, &builder->out, &builder->table));
    builder->chunk_count++;
    TRY(chunk_encode_values(CORE_INSERT, rows->insert_ids, count, NULL, builder->scratch, &builder->out,
                            &builder->table));
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)rows->received_ms[i];
    TRY(add_ints(builder, CORE_RECEIVED, column, count));
    for (uint32_t i = 0; i < count; i++) column[i] = rows->flags[i];
    TRY(add_ints(builder, CORE_FLAGS, column, count));
    arena_reset(builder->scratch);
    buf_reset(&builder->statistics);
    TRY(statistics_write(rows->times_ms, count, window_ms, builder->scratch, &builder->statistics));
    builder->run.statistics = section_append(&builder->out, buf_str(&builder->statistics));
    arena_reset(builder->scratch);
    return STATUS_OK;
}

enum status section_builder_column(struct section_builder *builder, uint32_t property, const struct value *values)
{
    uint32_t present = 0, count = builder->run.rows;
    for (uint32_t i = 0; i < count; i++) present += values[i].type != VALUE_ABSENT;
    if (present == 0) return STATUS_OK;
    enum status status;
    if (chunk_is_sparse(present, count)) {
        uint32_t *rows = arena_alloc(builder->scratch, present * sizeof *rows);
        struct value *sparse = arena_alloc(builder->scratch, present * sizeof *sparse);
        if (!rows || !sparse) return STATUS_LIMIT;
        for (uint32_t i = 0, n = 0; i < count; i++) {
            if (values[i].type == VALUE_ABSENT) continue;
            rows[n] = i;
            sparse[n++] = values[i];
        }
        status = chunk_encode_sparse(property, rows, sparse, present, count, &builder->out, &builder->table);
    } else {
        status = chunk_encode_values(property, values, count, &builder->run_persons, builder->scratch, &builder->out,
                                     &builder->table);
    }
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

enum status section_builder_sparse(struct section_builder *builder, uint32_t property, const uint32_t *rows,
                                   const struct value *values, uint32_t present)
{
    uint32_t count = builder->run.rows;
    if (present == 0) return STATUS_OK;
    enum status status;
    if (chunk_is_sparse(present, count)) {
        status = chunk_encode_sparse(property, rows, values, present, count, &builder->out, &builder->table);
    } else {
        struct value *dense = arena_new_array(builder->scratch, struct value, count); /* zero is ABSENT */
        if (!dense) return STATUS_LIMIT;
        for (uint32_t i = 0; i < present; i++) dense[rows[i]] = values[i];
        status = chunk_encode_values(property, dense, count, &builder->run_persons, builder->scratch, &builder->out,
                                     &builder->table);
    }
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

static bool none(const uint64_t *presence, uint32_t count)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < count / 64; i++) any |= presence[i];
    if (count % 64) any |= presence[count / 64] & (((uint64_t)1 << count % 64) - 1);
    return any == 0;
}

enum status section_builder_ints(struct section_builder *builder, uint32_t property, const int64_t *values,
                                 const uint64_t *presence)
{
    uint32_t count = builder->run.rows;
    if (presence && none(presence, count)) return STATUS_OK;
    enum status status = chunk_encode_integers(property, values, presence, count, &builder->run_persons,
                                               builder->scratch, &builder->out, &builder->table);
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

enum status section_builder_doubles(struct section_builder *builder, uint32_t property, const double *values,
                                    const uint64_t *presence)
{
    uint32_t count = builder->run.rows;
    if (presence && none(presence, count)) return STATUS_OK;
    enum status status = chunk_encode_doubles(property, values, presence, count, &builder->run_persons,
                                              builder->scratch, &builder->out, &builder->table);
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

enum status section_builder_codes(struct section_builder *builder, uint32_t property, const struct value *entries,
                                  uint32_t entry_count, const uint32_t *codes)
{
    uint32_t count = builder->run.rows, any = 0;
    for (uint32_t i = 0; i < count; i++) any |= codes[i];
    if (!any) return STATUS_OK;
    enum status status = chunk_encode_codes(property, entries, entry_count, codes, count, &builder->run_persons,
                                            builder->scratch, &builder->out, &builder->table);
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

/* The run's chunk table, behind everything that it refers to, and the run's entry in the directory. */
static enum status end_run(struct section_builder *builder, struct section_event *run, struct str table)
{
    run->table = section_append(&builder->out, table);
    buf_u32(&builder->events, run->event_id);
    buf_u32(&builder->events, run->rows);
    buf_u32(&builder->events, run->first_row);
    buf_u32(&builder->events, run->persons);
    buf_u64(&builder->events, (uint64_t)run->time_min_ms);
    buf_u64(&builder->events, (uint64_t)run->time_max_ms);
    section_ref_write(&builder->events, run->table);
    section_ref_write(&builder->events, run->statistics);
    if (run->time_min_ms < builder->time_min_ms) builder->time_min_ms = run->time_min_ms;
    if (run->time_max_ms > builder->time_max_ms) builder->time_max_ms = run->time_max_ms;
    builder->rows += run->rows;
    builder->event_count++;
    return section_out_status(&builder->out);
}

enum status section_builder_run_end(struct section_builder *builder)
{
    struct section_event *run = &builder->run;
    TRY(buf_status(&builder->table));
    memcpy(builder->table.data, &builder->chunk_count, 4);
    if (!builder->plan.piece) return end_run(builder, run, buf_str(&builder->table));
    /* Where its objects will stand is not known yet. */
    assert(builder->rows == 0);
    builder->rows = run->rows;
    return section_out_status(&builder->out);
}

enum status section_builder_join(struct section_builder *builder, struct section_builder *piece)
{
    struct section_event *run = &piece->run;
    uint64_t base;
    if (piece->rows > SECTION_ROWS_MAX - builder->rows) return STATUS_LIMIT;
    TRY(room_for_keys(builder, piece->key_count));
    if (piece->key_count)
        memcpy(builder->keys + builder->key_count, piece->keys, piece->key_count * sizeof *piece->keys);
    builder->key_count += piece->key_count;
    roaring_bitmap_or_inplace(builder->persons, piece->persons);
    TRY(section_append_objects(&builder->out, buf_str(&piece->out.buf), &base));
    chunk_table_move(piece->table.data, piece->table.size, base);
    run->first_row = builder->rows;
    if (run->statistics.size) run->statistics.offset += base;
    return end_run(builder, run, buf_str(&piece->table));
}

uint32_t section_builder_rows(const struct section_builder *builder)
{
    return builder->rows;
}

static enum status append_persons(struct section_builder *builder, struct section_ref *ret)
{
    struct buf bytes = BUF_INIT(builder->plan.bytes_max);
    enum status status = person_set_write(builder->persons, &bytes);
    if (status == STATUS_OK) *ret = section_append(&builder->out, buf_str(&bytes));
    buf_fini(&bytes);
    return status;
}

static enum status append_fuse(struct section_builder *builder, struct section_ref *ret)
{
    struct buf bytes = BUF_INIT(builder->plan.bytes_max);
    enum status status = fuse_build(builder->keys, builder->key_count, builder->plan.threads, &bytes);
    if (status == STATUS_OK) *ret = section_append(&builder->out, buf_str(&bytes));
    buf_fini(&bytes);
    return status;
}

enum status section_builder_finish(struct section_builder *builder, struct buf *ret_image,
                                   struct section_ref *ret_directory, uint64_t *ret_size)
{
    struct section_ref filter = {0}, persons = {0};
    uint32_t kind = FILTER_KIND_NONE;
    if (builder->filter_bytes) filter = section_append(&builder->out, str_from(builder->filter, builder->filter_bytes));
    if (filter.size) kind = FILTER_KIND_SPLIT_BLOCK;
    if (builder->key_count) {
        TRY(append_fuse(builder, &filter));
        kind = FILTER_KIND_FUSE;
    }
    if (builder->persons) TRY(append_persons(builder, &persons));
    struct buf directory = BUF_INIT(builder->events.size_max);
    buf_u32(&directory, SECTION_DIRECTORY_MAGIC);
    buf_u32(&directory, SECTION_DIRECTORY_VERSION);
    buf_u64(&directory, (uint64_t)builder->plan.window_day);
    buf_u32(&directory, builder->plan.window_log2);
    buf_u32(&directory, builder->rows);
    buf_u32(&directory, builder->event_count);
    buf_u32(&directory, builder->plan.links_applied);
    buf_u64(&directory, (uint64_t)builder->time_min_ms);
    buf_u64(&directory, (uint64_t)builder->time_max_ms);
    section_ref_write(&directory, filter);
    buf_u32(&directory, kind);
    buf_u32(&directory, 0);
    section_ref_write(&directory, persons);
    buf_str_add(&directory, buf_str(&builder->events));
    enum status status = buf_status(&directory);
    struct section_ref ref = {0};
    if (status == STATUS_OK) ref = section_append(&builder->out, buf_str(&directory));
    buf_fini(&directory);
    if (status == STATUS_OK) status = buf_status(&builder->events);
    if (status == STATUS_OK) status = section_out_status(&builder->out);
    if (status == STATUS_OK) status = section_flush(&builder->out);
    if (status != STATUS_OK) return status;
    *ret_directory = ref;
    *ret_size = section_out_size(&builder->out);
    if (!builder->plan.write) {
        *ret_image = builder->out.buf;
        builder->out = section_out_ram(ret_image->size_max);
    }
    return STATUS_OK;
}
