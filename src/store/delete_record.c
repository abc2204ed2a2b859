#include "store/delete_record.h"

#define INSERT_TEXT   0
#define INSERT_NUMBER 1
/* A key has three texts of at most some hundred bytes each; what does not fit into the rest starts the next record. */
#define KEY_BYTES_SPARE ((size_t)1 << 16)

static void put_str(struct buf *buf, struct str s)
{
    buf_varint(buf, s.size);
    buf_str_add(buf, s);
}

static void put_head(struct buf *head, enum record_kind kind, uint64_t project, uint64_t request)
{
    buf_byte(head, (char)kind);
    buf_varint(head, project);
    buf_varint(head, request);
}

enum status record_delete_person(struct buf *record, uint64_t project, uint64_t request, const struct str *ids,
                                 size_t count)
{
    if (count == 0) return STATUS_INVALID;
    if (count > DELETE_IDS_MAX) return STATUS_LIMIT;
    struct buf body = BUF_INIT(DELETE_BYTES_MAX);
    put_head(&body, RECORD_DELETE_PERSON, project, request);
    buf_varint(&body, count);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        if (ids[i].size == 0) status = STATUS_INVALID;
        put_str(&body, ids[i]);
    }
    if (status == STATUS_OK) status = buf_status(&body);
    struct str piece = buf_str(&body);
    if (status == STATUS_OK) status = record_assemble(record, &piece, 1);
    buf_fini(&body);
    return status;
}

enum status record_delete_before(struct buf *record, uint64_t project, uint64_t request, int64_t before_ms)
{
    if (!batch_is_time(before_ms)) return STATUS_INVALID;
    struct buf body = BUF_INIT(64);
    put_head(&body, RECORD_DELETE_BEFORE, project, request);
    buf_varint(&body, zigzag(before_ms));
    struct str piece = buf_str(&body);
    enum status status = record_assemble(record, &piece, 1);
    buf_fini(&body);
    return status;
}

void row_keys_init(struct row_keys *keys)
{
    *keys = (struct row_keys){.names = BUF_INIT(DELETE_BYTES_MAX),
                              .ids = BUF_INIT(DELETE_BYTES_MAX),
                              .rows = BUF_INIT(DELETE_BYTES_MAX),
                              .name_index = STRMAP_INIT(DELETE_ROWS_MAX * 2),
                              .id_index = STRMAP_INIT(DELETE_ROWS_MAX * 2)};
    keys->arena = arena_new(DELETE_BYTES_MAX * 2);
}

void row_keys_fini(struct row_keys *keys)
{
    buf_fini(&keys->names);
    buf_fini(&keys->ids);
    buf_fini(&keys->rows);
    strmap_fini(&keys->name_index);
    strmap_fini(&keys->id_index);
    arena_free(keys->arena);
}

static void begin_anew(struct row_keys *keys)
{
    buf_reset(&keys->names);
    buf_reset(&keys->ids);
    buf_reset(&keys->rows);
    strmap_fini(&keys->name_index);
    strmap_fini(&keys->id_index);
    arena_reset(keys->arena);
    keys->name_count = keys->id_count = keys->row_count = 0;
    keys->last_ms = 0;
    keys->failed = false;
}

static uint32_t number_of(struct row_keys *keys, struct strmap *index, struct buf *texts, uint32_t *count,
                          struct str text)
{
    uint64_t *known = strmap_get(index, text);
    if (known) return (uint32_t)*known;
    struct str key = text.size ? arena_str(keys->arena, text) : STR("");
    if (!key.data || strmap_put(index, key, *count) != STATUS_OK) {
        keys->failed = true;
        return 0;
    }
    put_str(texts, text);
    return (*count)++;
}

void row_keys_add(struct row_keys *keys, const struct row_key *key)
{
    if (!batch_is_time(key->time_ms) || keys->row_count == DELETE_ROWS_MAX) {
        keys->failed = true;
        return;
    }
    buf_varint(&keys->rows, number_of(keys, &keys->name_index, &keys->names, &keys->name_count, key->event));
    buf_varint(&keys->rows, number_of(keys, &keys->id_index, &keys->ids, &keys->id_count, key->id));
    buf_varint(&keys->rows, zigzag(key->time_ms - keys->last_ms));
    buf_byte(&keys->rows, key->insert_id.data ? INSERT_TEXT : INSERT_NUMBER);
    if (key->insert_id.data)
        put_str(&keys->rows, key->insert_id);
    else
        buf_varint(&keys->rows, key->number);
    keys->last_ms = key->time_ms;
    keys->row_count++;
}

bool row_keys_full(const struct row_keys *keys)
{
    return keys->failed || keys->row_count >= DELETE_ROWS_MAX ||
           keys->names.size + keys->ids.size + keys->rows.size > DELETE_BYTES_MAX - KEY_BYTES_SPARE;
}

enum status row_keys_finish(struct row_keys *keys, uint64_t project, uint64_t request, struct buf *ret_record)
{
    enum status status =
        keys->failed || keys->names.failed || keys->ids.failed || keys->rows.failed ? STATUS_LIMIT : STATUS_OK;
    if (status == STATUS_OK) {
        struct buf head = BUF_INIT(64), id_count = BUF_INIT(16), row_count = BUF_INIT(16);
        struct buf record = BUF_INIT(DELETE_BYTES_MAX + 256);
        put_head(&head, RECORD_DELETE_ROWS, project, request);
        buf_varint(&head, keys->name_count);
        buf_varint(&id_count, keys->id_count);
        buf_varint(&row_count, keys->row_count);
        struct str pieces[] = {buf_str(&head),      buf_str(&keys->names), buf_str(&id_count),
                               buf_str(&keys->ids), buf_str(&row_count),   buf_str(&keys->rows)};
        status = record_assemble(&record, pieces, 6);
        buf_fini(&head);
        buf_fini(&id_count);
        buf_fini(&row_count);
        if (status == STATUS_OK)
            *ret_record = record;
        else
            buf_fini(&record);
    }
    begin_anew(keys);
    return status;
}

static enum status read_texts(struct arena *arena, struct reader *r, struct str **ret_texts, uint32_t *ret_count)
{
    uint64_t count = read_varint(r);
    if (r->failed || count > reader_left(r)) return STATUS_CORRUPT;
    struct str *texts = arena_new_array(arena, struct str, count + 1);
    if (!texts) return STATUS_LIMIT;
    for (uint64_t i = 0; i < count; i++) texts[i] = read_str(r);
    *ret_texts = texts;
    *ret_count = (uint32_t)count;
    return r->failed ? STATUS_CORRUPT : STATUS_OK;
}

static bool next_row(struct reader *r, const struct delete_view *view, int64_t *last_ms, struct row_view *ret)
{
    struct row_view row = {0};
    uint64_t name = read_varint(r), id = read_varint(r);
    int64_t after_ms = unzigzag(read_varint(r));
    unsigned kind = read_u8(r);
    if (kind == INSERT_TEXT)
        row.insert_id = read_str(r);
    else
        row.number = read_varint(r);
    /* two times are at most 2^54 apart, so that the sum cannot overflow */
    if (r->failed || kind > INSERT_NUMBER || name >= view->name_count || id >= view->id_count ||
        !batch_is_time(after_ms / 2) || !batch_is_time(*last_ms + after_ms))
        return false;
    row.name = (uint32_t)name;
    row.id = (uint32_t)id;
    row.time_ms = *last_ms += after_ms;
    *ret = row;
    return true;
}

enum status delete_open(struct arena *arena, enum record_kind kind, struct str body, struct delete_view *ret_view)
{
    struct reader r = reader_of(body);
    struct delete_view view = {.request = read_varint(&r)};
    if (kind == RECORD_DELETE_BEFORE) {
        view.before_ms = unzigzag(read_varint(&r));
        if (r.failed || reader_left(&r) || !batch_is_time(view.before_ms)) return STATUS_CORRUPT;
        *ret_view = view;
        return STATUS_OK;
    }
    if (kind == RECORD_DELETE_ROWS) TRY(read_texts(arena, &r, &view.names, &view.name_count));
    TRY(read_texts(arena, &r, &view.ids, &view.id_count));
    if (kind == RECORD_DELETE_PERSON) {
        if (view.id_count == 0 || view.id_count > DELETE_IDS_MAX) return STATUS_CORRUPT;
        for (uint32_t i = 0; i < view.id_count; i++) {
            if (view.ids[i].size == 0) return STATUS_CORRUPT;
        }
        if (reader_left(&r)) return STATUS_CORRUPT;
        *ret_view = view;
        return STATUS_OK;
    }
    uint64_t rows = read_varint(&r);
    if (r.failed || rows > reader_left(&r) || rows > DELETE_ROWS_MAX) return STATUS_CORRUPT;
    view.row_count = (uint32_t)rows;
    view.rows = r;
    int64_t last_ms = 0;
    struct row_view row;
    for (uint64_t i = 0; i < rows; i++) {
        if (!next_row(&r, &view, &last_ms, &row)) return STATUS_CORRUPT;
    }
    if (reader_left(&r)) return STATUS_CORRUPT;
    *ret_view = view;
    return STATUS_OK;
}

bool delete_next_row(struct delete_view *view, struct row_view *ret_row)
{
    if (!view->row_count) return false;
    view->row_count--;
    return next_row(&view->rows, view, &view->last_ms, ret_row);
}
