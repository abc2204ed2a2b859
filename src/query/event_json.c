#include "query/event_json.h"

#include "base/json.h"

/* Smaller numbers of milliseconds are read as seconds by whoever takes events in. */
#define MS_MIN INT64_C(100000000000)

static void write_time(struct buf *to, int64_t time_ms, enum event_time_form form)
{
    int64_t part_ms = ((time_ms % 1000) + 1000) % 1000;
    if (form == EVENT_TIME_MS)
        json_write_int(to, time_ms);
    else if (form == EVENT_TIME_SECONDS || part_ms == 0)
        json_write_int(to, (time_ms - part_ms) / 1000);
    else if (time_ms < MS_MIN)
        json_write_double(to, (double)time_ms / 1000);
    else
        json_write_int(to, time_ms);
}

void event_write_json(struct buf *to, const struct event_row *row, enum event_time_form form)
{
    buf_lit(to, "{\"event\":");
    json_write_str(to, row->event);
    buf_lit(to, ",\"properties\":{\"time\":");
    write_time(to, row->time_ms, form);
    buf_lit(to, ",\"distinct_id\":");
    json_write_str(to, row->user);
    if (!str_eq(row->user, row->distinct_id)) {
        buf_lit(to, ",\"$distinct_id_before_identity\":");
        json_write_str(to, row->distinct_id);
        buf_lit(to, ",\"$is_reshuffled\":true");
    }
    buf_lit(to, ",\"$insert_id\":");
    json_write_str(to, row->insert_id);
    if (row->imported) buf_lit(to, ",\"$import\":true");
    buf_lit(to, ",\"mp_processing_time_ms\":");
    json_write_int(to, row->received_ms);
    if (row->json.data) {
        buf_str_add(to, row->json);
    } else {
        for (size_t i = 0; i < row->property_count; i++) {
            buf_byte(to, ',');
            buf_str_add(to, row->properties[i].name->json);
            value_write_json(to, row->properties[i].value);
        }
    }
    buf_lit(to, "}}");
}
