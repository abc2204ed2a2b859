#pragma once
/*
 * An event as raw exports write it, one JSON object without a line end. `distinct_id` is the id that is shown for the
 * person now. An event that came under another one says so: `$distinct_id_before_identity` is that id, and
 * `$is_reshuffled` is true. Beside them stand `$insert_id`, `mp_processing_time_ms` and, for what came through /import,
 * `$import`; ids as sent ($device_id, $user_id) are among the event's own properties. cairn import takes all of it
 * back.
 */
#include "base/buf.h"
#include "query/result.h"

enum event_time_form {
    EVENT_TIME_EXACT,   /* seconds, or milliseconds where those count and cannot be taken for seconds */
    EVENT_TIME_SECONDS, /* whole ones, rounded down */
    EVENT_TIME_MS
};
void event_write_json(struct buf *to, const struct event_row *row, enum event_time_form form);
