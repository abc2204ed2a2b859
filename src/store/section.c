#include "store/section.h"

#include "base/civil.h"
#include "base/hash.h"
#include "store/filter.h"

#include <stdatomic.h>
#include <stdlib.h>

#define DIRECTORY_MAGIC   0x44434553u
#define DIRECTORY_VERSION 1
#define TIME_MS_LIMIT     ((int64_t)1 << 53) /* as in the log */
#define EVENT_BYTES       (16 + 16 + 2 * SECTION_REF_BYTES)

struct section_file *section_file_ref(struct section_file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return file;
}

void section_file_unref(struct section_file *file)
{
    if (!file || atomic_fetch_sub(&file->refs, 1) != 1) return;
    os_close(file->file);
    free(file);
}

struct section *section_ref_take(struct section *section)
{
    atomic_fetch_add(&section->refs, 1);
    return section;
}

void section_unref(struct section *section)
{
    if (!section || atomic_fetch_sub(&section->refs, 1) != 1) return;
    free(section->events);
    free(section->filter);
    free(section->image);
    section_file_unref(section->file);
    free(section);
}

enum status section_fetch(const struct section *section, struct section_ref ref, struct error *error,
                          struct pinned *ret)
{
    if (ref.offset > section->bytes || ref.size > section->bytes - ref.offset)
        return error_set(error, STATUS_CORRUPT, "section object at %llu lies outside its section",
                         (unsigned long long)ref.offset);
    if (section->image) {
        *ret = (struct pinned){{section->image + ref.offset, ref.size}, NULL};
        return STATUS_OK;
    }
    return cache_fetch(section->cache, section->file->file, section->file->file_id, section->file_base, ref, error,
                       ret);
}

const struct section_event *section_find_event(const struct section *section, uint32_t event_id)
{
    uint32_t low = 0, high = section->event_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (section->events[middle].event_id < event_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < section->event_count && section->events[low].event_id == event_id ? &section->events[low] : NULL;
}

static bool is_range(int64_t min_ms, int64_t max_ms)
{
    return min_ms > -TIME_MS_LIMIT && min_ms <= max_ms && max_ms < TIME_MS_LIMIT;
}

static enum status parse_directory(struct section *section, struct str bytes, struct section_ref *ret_filter)
{
    struct reader r = reader_of(bytes);
    if (read_u32(&r) != DIRECTORY_MAGIC || read_u32(&r) != DIRECTORY_VERSION) return STATUS_CORRUPT;
    section->window_day = (int64_t)read_u64(&r);
    section->window_log2 = read_u32(&r);
    section->rows = read_u32(&r);
    section->event_count = read_u32(&r);
    section->links_applied = read_u32(&r);
    section->time_min_ms = (int64_t)read_u64(&r);
    section->time_max_ms = (int64_t)read_u64(&r);
    *ret_filter = section_ref_read(&r);
    uint32_t kind = read_u32(&r);
    (void)read_u32(&r);
    if (r.failed || section->window_log2 > SECTION_LOG2_MAX || section->rows > SECTION_ROWS_MAX ||
        !is_range(section->time_min_ms, section->time_max_ms) || section->window_day > TIME_MS_LIMIT / DAY_MS ||
        section->window_day < floor_div(-TIME_MS_LIMIT, DAY_MS) - (1 << SECTION_LOG2_MAX) ||
        section->event_count > reader_left(&r) / EVENT_BYTES || (ret_filter->size && kind != FILTER_KIND_SPLIT_BLOCK) ||
        ret_filter->size % 32)
        return STATUS_CORRUPT;
    section->events = calloc(section->event_count ? section->event_count : 1, sizeof *section->events);
    if (!section->events) return STATUS_LIMIT;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < section->event_count; i++) {
        struct section_event *event = &section->events[i];
        event->event_id = read_u32(&r);
        event->rows = read_u32(&r);
        event->first_row = read_u32(&r);
        event->persons = read_u32(&r);
        event->time_min_ms = (int64_t)read_u64(&r);
        event->time_max_ms = (int64_t)read_u64(&r);
        event->table = section_ref_read(&r);
        (void)section_ref_read(&r); /* statistics: none yet */
        if (event->first_row != rows || event->persons > event->rows || event->rows == 0 ||
            !is_range(event->time_min_ms, event->time_max_ms) || event->time_min_ms < section->time_min_ms ||
            event->time_max_ms > section->time_max_ms || (i && event->event_id <= event[-1].event_id))
            return STATUS_CORRUPT;
        rows += event->rows;
    }
    return r.failed || reader_left(&r) || rows != section->rows ? STATUS_CORRUPT : STATUS_OK;
}

static enum status open_common(struct section *section, struct section_ref directory, struct error *error)
{
    struct pinned pinned = {0};
    struct section_ref filter = {0};
    enum status status = section_fetch(section, directory, error, &pinned);
    if (status != STATUS_OK) return status;
    status = parse_directory(section, pinned.bytes, &filter);
    pinned_release(&pinned);
    if (status == STATUS_OK && filter.size) {
        status = section_fetch(section, filter, error, &pinned);
        if (status != STATUS_OK) return status;
        section->filter = malloc(filter.size);
        if (!section->filter) {
            pinned_release(&pinned);
            return error_set(error, STATUS_LIMIT, "out of memory for a filter");
        }
        memcpy(section->filter, pinned.bytes.data, filter.size);
        section->filter_bytes = filter.size;
        pinned_release(&pinned);
    }
    if (status == STATUS_CORRUPT) error_set(error, status, "section directory is malformed");
    if (status == STATUS_LIMIT) error_set(error, status, "out of memory for a section directory");
    return status;
}

enum status section_open_image(struct buf *image, struct section_ref directory, uint64_t project, struct error *error,
                               struct section **ret_section)
{
    if (image->size == 0) return error_set(error, STATUS_CORRUPT, "the section is empty");
    struct section *section = calloc(1, sizeof *section);
    if (!section) {
        buf_fini(image);
        return error_set(error, STATUS_LIMIT, "out of memory for a section");
    }
    atomic_init(&section->refs, 1);
    section->project = project;
    section->bytes = image->size;
    section->image = buf_detach(image);
    enum status status = open_common(section, directory, error);
    if (status != STATUS_OK) {
        section_unref(section);
        return status;
    }
    *ret_section = section;
    return STATUS_OK;
}

enum status section_open_file(struct section_file *file, struct cache *cache, uint64_t base, uint64_t size,
                              struct section_ref directory, uint64_t project, uint32_t ordinal, struct error *error,
                              struct section **ret_section)
{
    struct section *section = calloc(1, sizeof *section);
    if (!section) return error_set(error, STATUS_LIMIT, "out of memory for a section");
    atomic_init(&section->refs, 1);
    section->project = project;
    section->bytes = size;
    section->file = section_file_ref(file);
    section->file_base = base;
    section->cache = cache;
    section->ordinal = ordinal;
    enum status status = open_common(section, directory, error);
    if (status != STATUS_OK) {
        error_prefix(error, "section file %016llx", (unsigned long long)file->file_id);
        section_unref(section);
        return status;
    }
    *ret_section = section;
    return STATUS_OK;
}

/* --- building --- */

struct section_builder {
    struct section_out out;
    struct buf table, events;
    struct arena *scratch;
    unsigned char *filter;
    size_t filter_bytes, keys;
    int64_t window_day, time_min_ms, time_max_ms;
    uint32_t window_log2, links_applied, rows, event_count, chunk_count;
    struct section_event run; /* being built */
};

struct section_builder *section_builder_new(int64_t window_day, uint32_t window_log2, uint32_t links_applied,
                                            uint32_t keys, size_t bytes_max)
{
    struct section_builder *builder = calloc(1, sizeof *builder);
    if (!builder) return NULL;
    builder->out = section_out_ram(bytes_max);
    builder->table = BUF_INIT(bytes_max);
    builder->events = BUF_INIT(bytes_max);
    builder->scratch = arena_new(bytes_max);
    builder->filter_bytes = filter_bytes(keys);
    builder->filter = calloc(1, builder->filter_bytes ? builder->filter_bytes : 1);
    builder->window_day = window_day;
    builder->window_log2 = window_log2;
    builder->links_applied = links_applied;
    builder->time_min_ms = INT64_MAX;
    builder->time_max_ms = INT64_MIN;
    if (!builder->filter) {
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
    arena_free(builder->scratch);
    free(builder->filter);
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
    return chunk_encode_ints(property, values, count, &builder->out, &builder->table);
}

/* The core streams come last in the chunk table, because their property numbers are the highest; they are written at
 * the end of the run, so this keeps what it needs of the rows until then. */
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
        if (rows->insert_ids[i].type == VALUE_STRING && builder->filter_bytes)
            filter_add(builder->filter, builder->filter_bytes,
                       dedup_key(event_id, rows->ids[i], rows->times_ms[i], value_text(rows->insert_ids[i])));
    }
    builder->run.persons = person_count;
    TRY(add_ints(builder, CORE_PERSON, persons, person_count));
    TRY(add_ints(builder, CORE_RUN, lengths, person_count));
    TRY(add_ints(builder, CORE_VECTOR, starts, (uint32_t)vectors));
    int64_t window_ms = builder->window_day * DAY_MS;
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)(rows->times_ms[i] - window_ms) / 60000;
    TRY(add_ints(builder, CORE_MINUTE, column, count));
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)(rows->times_ms[i] - window_ms) % 60000;
    TRY(add_ints(builder, CORE_MS, column, count));
    for (uint32_t i = 0; i < count; i++) column[i] = rows->ids[i];
    TRY(add_ints(builder, CORE_ID, column, count));
    TRY(chunk_encode(CORE_INSERT, rows->insert_ids, count, builder->scratch, &builder->out, &builder->table));
    builder->chunk_count++;
    for (uint32_t i = 0; i < count; i++) column[i] = (uint64_t)rows->received_ms[i];
    TRY(add_ints(builder, CORE_RECEIVED, column, count));
    for (uint32_t i = 0; i < count; i++) column[i] = rows->flags[i];
    TRY(add_ints(builder, CORE_FLAGS, column, count));
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
        status = chunk_encode(property, values, count, builder->scratch, &builder->out, &builder->table);
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
        status = chunk_encode(property, dense, count, builder->scratch, &builder->out, &builder->table);
    }
    builder->chunk_count++;
    arena_reset(builder->scratch);
    return status;
}

enum status section_builder_run_end(struct section_builder *builder)
{
    struct section_event *run = &builder->run;
    TRY(buf_status(&builder->table));
    memcpy(builder->table.data, &builder->chunk_count, 4);
    run->table = section_append(&builder->out, buf_str(&builder->table));
    buf_u32(&builder->events, run->event_id);
    buf_u32(&builder->events, run->rows);
    buf_u32(&builder->events, run->first_row);
    buf_u32(&builder->events, run->persons);
    buf_u64(&builder->events, (uint64_t)run->time_min_ms);
    buf_u64(&builder->events, (uint64_t)run->time_max_ms);
    section_ref_write(&builder->events, run->table);
    section_ref_write(&builder->events, (struct section_ref){0});
    if (run->time_min_ms < builder->time_min_ms) builder->time_min_ms = run->time_min_ms;
    if (run->time_max_ms > builder->time_max_ms) builder->time_max_ms = run->time_max_ms;
    builder->rows += run->rows;
    builder->event_count++;
    return section_out_status(&builder->out);
}

uint32_t section_builder_rows(const struct section_builder *builder)
{
    return builder->rows;
}

enum status section_builder_finish(struct section_builder *builder, struct buf *ret_image,
                                   struct section_ref *ret_directory)
{
    struct section_ref filter = {0};
    if (builder->filter_bytes) filter = section_append(&builder->out, str_from(builder->filter, builder->filter_bytes));
    struct buf directory = BUF_INIT(builder->events.size_max);
    buf_u32(&directory, DIRECTORY_MAGIC);
    buf_u32(&directory, DIRECTORY_VERSION);
    buf_u64(&directory, (uint64_t)builder->window_day);
    buf_u32(&directory, builder->window_log2);
    buf_u32(&directory, builder->rows);
    buf_u32(&directory, builder->event_count);
    buf_u32(&directory, builder->links_applied);
    buf_u64(&directory, (uint64_t)builder->time_min_ms);
    buf_u64(&directory, (uint64_t)builder->time_max_ms);
    section_ref_write(&directory, filter);
    buf_u32(&directory, filter.size ? FILTER_KIND_SPLIT_BLOCK : 0);
    buf_u32(&directory, 0);
    buf_str_add(&directory, buf_str(&builder->events));
    enum status status = buf_status(&directory);
    struct section_ref ref = {0};
    if (status == STATUS_OK) ref = section_append(&builder->out, buf_str(&directory));
    buf_fini(&directory);
    if (status == STATUS_OK) status = buf_status(&builder->events);
    if (status == STATUS_OK) status = section_out_status(&builder->out);
    if (status != STATUS_OK) return status;
    *ret_directory = ref;
    *ret_image = builder->out.buf;
    builder->out = section_out_ram(ret_image->size_max);
    return STATUS_OK;
}
