/*
 * A few rows are decoded at a time, column by column, and then put together: values[] holds them by property, so that
 * only the properties which a row has take room in the arena of the caller.
 */
#include "query/native/rows.h"

#include "base/json.h"

#define GROUP_VALUES   8192 /* that are decoded at a time, or more where a run has many properties */
#define LINE_BYTES_MAX ((size_t)64 << 20)

/* A property as JSON: where it has codes, `,"name":value` of each value that was met, else its values. Texts are kept
 * while there is room for them; a run of very many values is written value by value. */
struct texts {
    bool codes;
    uint32_t *picked;    /* codes of the rows at hand */
    struct str *by_code; /* NULL data: not met yet */
};

enum status rows_init(struct rows *rows, const struct selection *selection, struct error *error)
{
    *rows = (struct rows){
        .selection = selection, .arena = arena_new(selection->share_bytes_max), .line = BUF_INIT(LINE_BYTES_MAX)};
    rows->names_arena = arena_new(selection->share_bytes_max);
    rows->all_names =
        arena_new_array(rows->names_arena, struct row_name *, (size_t)snapshot_property_count(selection->snapshot) + 1);
    enum status status =
        rows->all_names ? selection_scan(selection, error, &rows->scan) : selection_out_of_memory(selection, error);
    if (status != STATUS_OK) rows_fini(rows);
    return status;
}

void rows_fini(struct rows *rows)
{
    scan_free(rows->scan);
    arena_free(rows->arena);
    arena_free(rows->names_arena);
    buf_fini(&rows->line);
    *rows = (struct rows){0};
}

/* Rows that were given away point to names: they stay. */
static enum status name_of(struct rows *rows, uint32_t property, struct error *error, const struct row_name **ret)
{
    if (!rows->all_names[property]) {
        struct row_name *name = arena_new_array(rows->names_arena, struct row_name, 1);
        struct str text = snapshot_property_name(rows->selection->snapshot, property);
        struct buf json = BUF_INIT(text.size * 6 + 16);
        json_write_str(&json, text);
        buf_byte(&json, ':');
        if (name) *name = (struct row_name){text, arena_str(rows->names_arena, buf_str(&json))};
        bool failed = buf_status(&json) != STATUS_OK || !name || !name->json.data;
        buf_fini(&json);
        if (failed) return selection_out_of_memory(rows->selection, error);
        rows->all_names[property] = name;
    }
    *ret = rows->all_names[property];
    return STATUS_OK;
}

enum status rows_run(struct rows *rows, const struct scan_run *run, struct error *error)
{
    struct snapshot *snapshot = rows->selection->snapshot;
    const uint32_t *properties, property_count = snapshot_property_count(snapshot);
    rows->run = NULL;
    TRY(scan_open(rows->scan, run, error));
    TRY(scan_properties(rows->scan, error, &properties, &rows->property_count));
    arena_reset(rows->arena);
    size_t count = rows->property_count ? rows->property_count : 1;
    size_t share = rows->selection->share_bytes_max / 8 / sizeof(struct value);
    size_t group = (share > GROUP_VALUES ? share : GROUP_VALUES) / count;
    rows->group_rows = group < 1 ? 1 : group > SCAN_PICKS_MAX ? SCAN_PICKS_MAX : (uint32_t)group;
    rows->names = arena_new_array(rows->arena, const struct row_name *, count);
    rows->values = arena_new_array(rows->arena, struct value, count * rows->group_rows);
    rows->texts = NULL;
    if (rows->selection->plan->rows_as_json) {
        rows->texts = arena_new_array(rows->arena, struct texts, count);
        rows->here = arena_new_array(rows->arena, uint32_t, count);
        if (!rows->texts || !rows->here) return selection_out_of_memory(rows->selection, error);
    }
    if (!rows->names || !rows->values) return selection_out_of_memory(rows->selection, error);
    for (size_t i = 0; i < rows->property_count; i++) {
        if (properties[i] >= property_count) return error_set(error, STATUS_CORRUPT, "a property without a name");
        TRY(name_of(rows, properties[i], error, &rows->names[i]));
    }
    rows->event = snapshot_event_name(snapshot, run->event_id);
    rows->run = run;
    return STATUS_OK;
}

enum status rows_vector(struct rows *rows, uint32_t vector, struct error *error, uint32_t *ret_count)
{
    return scan_vector(rows->scan, vector, error, ret_count);
}

/* --- heads --- */

/* What an event without an insert id is called. */
static enum status spell_insert_id(const struct rows *rows, uint64_t number, struct arena *arena, struct error *error,
                                   struct str *ret)
{
    char *text = arena_alloc(arena, 16);
    if (!text) return selection_out_of_memory(rows->selection, error);
    for (int i = 16; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
    *ret = str_from(text, 16);
    return STATUS_OK;
}

static enum status pick_heads(struct rows *rows, uint32_t count, struct arena *arena, struct error *error,
                              struct event_row *ret_rows)
{
    const struct snapshot *snapshot = rows->selection->snapshot;
    int64_t times[SCAN_PICKS_MAX], received[SCAN_PICKS_MAX];
    uint32_t persons[SCAN_PICKS_MAX] /* the ids shown for them */, ids[SCAN_PICKS_MAX];
    uint8_t flags[SCAN_PICKS_MAX];
    struct value insert_ids[SCAN_PICKS_MAX];
    char(*texts)[ID_TEXT_ROOM] = arena_alloc(arena, (size_t)2 * count * sizeof *texts);
    if (!texts) return selection_out_of_memory(rows->selection, error);
    TRY(scan_pick_persons(rows->scan, error, persons));
    TRY(scan_pick_ids(rows->scan, error, ids));
    for (uint32_t i = 0; i < count; i++) persons[i] = snapshot_person_id(snapshot, persons[i]);
    snapshot_expect_id_texts(snapshot, ids, count);
    snapshot_expect_id_texts(snapshot, persons, count);
    TRY(scan_pick_times(rows->scan, error, times));
    TRY(scan_pick_received(rows->scan, error, received));
    TRY(scan_pick_flags(rows->scan, error, flags));
    TRY(scan_pick_insert_ids(rows->scan, arena, error, insert_ids));
    for (uint32_t i = 0; i < count; i++) {
        struct event_row *row = &ret_rows[i];
        *row = (struct event_row){
            .event = rows->event,
            .time_ms = times[i],
            .distinct_id = snapshot_id_text(snapshot, ids[i], texts[(size_t)2 * i]),
            .user = snapshot_id_text(snapshot, persons[i], texts[(size_t)2 * i + 1]),
            .insert_id_sent = insert_ids[i].type == VALUE_STRING,
            .imported = flags[i] & BATCH_IMPORT,
            .received_ms = received[i] / 1000 * 1000,
        };
        if (row->insert_id_sent)
            row->insert_id = value_text(insert_ids[i]);
        else
            TRY(spell_insert_id(rows, (uint64_t)insert_ids[i].integer, arena, error, &row->insert_id));
    }
    return STATUS_OK;
}

/* --- as JSON --- */

static void write_property(struct buf *to, const struct row_name *name, struct value value)
{
    if (value.type == VALUE_ABSENT) return;
    buf_byte(to, ',');
    buf_str_add(to, name->json);
    value_write_json(to, value);
}

/* What the texts of a run may take. */
static bool has_room(const struct rows *rows, size_t bytes)
{
    return arena_used(rows->arena) + bytes <= rows->selection->share_bytes_max / 2;
}

/* The codes of the rows at hand, and the texts of those that were not met before; or values, where texts would take too
 * much. */
static enum status pick_texts(struct rows *rows, size_t p, uint32_t count, struct arena *arena, struct error *error)
{
    struct texts *texts = &rows->texts[p];
    uint32_t picked[SCAN_PICKS_MAX];
    const struct value *values;
    uint32_t value_count;
    TRY(scan_pick_codes(rows->scan, p, error, &texts->codes, picked, &values, &value_count));
    if (texts->codes && !texts->by_code && has_room(rows, value_count * sizeof *texts->by_code + sizeof picked)) {
        texts->by_code = arena_new_array(rows->arena, struct str, value_count);
        texts->picked = arena_alloc(rows->arena, rows->group_rows * sizeof *texts->picked);
    }
    texts->codes &= texts->by_code && texts->picked;
    for (uint32_t i = 0; i < count && texts->codes; i++) {
        struct str *text = &texts->by_code[texts->picked[i] = picked[i]];
        if (text->data) continue;
        buf_reset(&rows->line);
        write_property(&rows->line, rows->names[p], values[picked[i]]);
        if (buf_status(&rows->line) == STATUS_OK && has_room(rows, rows->line.size))
            *text = arena_str(rows->arena, buf_str(&rows->line));
        texts->codes = text->data != NULL;
    }
    if (texts->codes) return STATUS_OK;
    return scan_pick_property(rows->scan, p, arena, error, &rows->values[p * rows->group_rows]);
}

/* Most rows have few of the properties of a run with thousands of them. */
static bool has_any(const struct rows *rows, size_t p, uint32_t count)
{
    const struct value *values = &rows->values[p * rows->group_rows];
    for (uint32_t i = 0; i < count && !rows->texts[p].codes; i++) {
        if (values[i].type != VALUE_ABSENT) return true;
    }
    return rows->texts[p].codes;
}

static enum status pick_json(struct rows *rows, uint32_t count, struct arena *arena, struct error *error,
                             struct event_row *ret_rows)
{
    struct buf *line = &rows->line;
    size_t here = 0;
    for (size_t p = 0; p < rows->property_count; p++) {
        TRY(pick_texts(rows, p, count, arena, error));
        if (has_any(rows, p, count)) rows->here[here++] = (uint32_t)p;
    }
    for (uint32_t i = 0; i < count; i++) {
        buf_reset(line);
        for (size_t h = 0; h < here; h++) {
            size_t p = rows->here[h];
            const struct texts *texts = &rows->texts[p];
            if (!texts->codes) {
                write_property(line, rows->names[p], rows->values[p * rows->group_rows + i]);
                continue;
            }
            struct str text = texts->by_code[texts->picked[i]];
            char *to = buf_spare(line, text.size);
            if (to)
                buf_wrote(line, raw_bytes(to, text.data, text.size));
            else
                buf_str_add(line, text);
        }
        if (buf_status(line) == STATUS_OK) ret_rows[i].json = arena_str(arena, buf_str(line));
        if (!ret_rows[i].json.data) return selection_out_of_memory(rows->selection, error);
    }
    return STATUS_OK;
}

static enum status pick_group(struct rows *rows, const uint32_t *picked, uint32_t count, struct arena *arena,
                              struct error *error, struct event_row *ret_rows)
{
    size_t present = 0, stride = rows->group_rows;
    TRY(scan_pick(rows->scan, picked, count, error));
    TRY(pick_heads(rows, count, arena, error, ret_rows));
    if (rows->texts) return pick_json(rows, count, arena, error, ret_rows);
    for (size_t p = 0; p < rows->property_count; p++) {
        struct value *values = &rows->values[p * stride];
        TRY(scan_pick_property(rows->scan, p, arena, error, values));
        for (uint32_t i = 0; i < count; i++) present += values[i].type != VALUE_ABSENT;
    }
    struct row_property *to = arena_alloc(arena, (present + 1) * sizeof *to);
    if (!to) return selection_out_of_memory(rows->selection, error);
    for (uint32_t i = 0; i < count; i++) {
        ret_rows[i].properties = to;
        for (size_t p = 0; p < rows->property_count; p++) {
            struct value value = rows->values[p * stride + i];
            if (value.type != VALUE_ABSENT) *to++ = (struct row_property){rows->names[p], value};
        }
        ret_rows[i].property_count = (size_t)(to - ret_rows[i].properties);
    }
    return STATUS_OK;
}

enum status rows_pick(struct rows *rows, const uint32_t *picked, uint32_t count, struct arena *arena,
                      struct error *error, struct event_row *ret_rows)
{
    for (uint32_t i = 0; i < count;) {
        uint32_t group = count - i < rows->group_rows ? count - i : rows->group_rows;
        TRY(pick_group(rows, picked + i, group, arena, error, ret_rows + i));
        i += group;
    }
    return STATUS_OK;
}
