#pragma once
/* For tests: whether two log records, or two outcomes of ingestion, say the same. The numbers of names may differ. */
#include "ingest/ingest.h"

static inline bool ingest_same_text(struct str a, struct str b)
{
    return (a.data == NULL) == (b.data == NULL) && str_eq(a, b);
}

static inline bool ingest_same_events(struct batch_reader *a, struct batch_reader *b)
{
    struct event_view x, y;
    if (a->events_left != b->events_left || a->received_ms != b->received_ms || a->mode != b->mode) return false;
    while (batch_next(a, &x)) {
        if (!batch_next(b, &y)) return false;
        if (!str_eq(a->names[x.name], b->names[y.name]) || x.time_ms != y.time_ms || !ingest_same_text(x.id, y.id) ||
            !ingest_same_text(x.device, y.device) || !ingest_same_text(x.insert_id, y.insert_id))
            return false;
        struct reader p = reader_of(x.properties), q = reader_of(y.properties);
        while (reader_left(&p) && reader_left(&q)) {
            struct value value;
            uint64_t p_name = read_varint(&p), q_name = read_varint(&q);
            const char *p_at = (const char *)p.at, *q_at = (const char *)q.at;
            if (value_decode(&p, &value) != STATUS_OK || value_decode(&q, &value) != STATUS_OK) return false;
            if (!str_eq(a->names[p_name], b->names[q_name]) ||
                !str_eq(str_from(p_at, (size_t)((const char *)p.at - p_at)),
                        str_from(q_at, (size_t)((const char *)q.at - q_at))))
                return false;
        }
        if (reader_left(&p) || reader_left(&q)) return false;
    }
    return true;
}

static inline bool ingest_same_record(struct arena *arena, const struct buf *a, const struct buf *b)
{
    struct reader p = reader_of(buf_str(a)), q = reader_of(buf_str(b));
    struct record x, y;
    struct batch_reader left, right;
    return record_next(&p, &x) == STATUS_OK && record_next(&q, &y) == STATUS_OK && x.project == y.project &&
           batch_open(arena, x.body, &left) == STATUS_OK && batch_open(arena, y.body, &right) == STATUS_OK &&
           ingest_same_events(&left, &right);
}

static inline bool ingest_same(struct arena *arena, const struct ingest_outcome *a, const struct ingest_outcome *b)
{
    if (a->output_count != b->output_count || a->stored != b->stored || a->ignored != b->ignored ||
        a->unknown != b->unknown || a->refused != b->refused || a->unauthorized != b->unauthorized ||
        !ingest_same_text(a->reason, b->reason) || (a->reason.data && a->reason_index != b->reason_index))
        return false;
    for (size_t i = 0; i < a->output_count; i++) {
        if (a->outputs[i].project != b->outputs[i].project || a->outputs[i].events != b->outputs[i].events ||
            !ingest_same_record(arena, &a->outputs[i].record, &b->outputs[i].record))
            return false;
    }
    return true;
}
