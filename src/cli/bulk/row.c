#include "cli/bulk/row.h"

#include "base/buf.h"
#include "base/civil.h"
#include "base/json.h"
#include "base/number.h"

#include <stdlib.h>

enum { COLUMN_NONE = -1, ROW_BYTES_MAX = 64 << 20, SHOWN_BYTES = 200 };

struct row_maker {
    char **names;
    uint32_t count;
    int event_column, time_column;
    char *event;
    struct buf text;
};

void row_maker_free(struct row_maker *maker)
{
    if (!maker) return;
    for (uint32_t i = 0; maker->names && i < maker->count; i++) free(maker->names[i]);
    free(maker->names);
    free(maker->event);
    buf_fini(&maker->text);
    free(maker);
}

static enum status find_columns(struct row_maker *maker, const char *file, const struct input_options *options,
                                struct error *error)
{
    maker->event_column = maker->time_column = COLUMN_NONE;
    for (uint32_t i = 0; i < maker->count; i++) {
        if (!maker->names[i][0])
            return error_set(error, STATUS_INVALID, "%s has a column without a name in its header: number %u", file,
                             i + 1);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(maker->names[i], maker->names[k]) == 0)
                return error_set(error, STATUS_INVALID, "%s has two columns %s", file, maker->names[i]);
        }
        if (!options->event.data && strcmp(maker->names[i], options->event_column) == 0) maker->event_column = (int)i;
        if (strcmp(maker->names[i], options->time_column) == 0) maker->time_column = (int)i;
    }
    if (maker->event_column == COLUMN_NONE && !options->event.data) {
        (void)error_set(error, STATUS_INVALID, "%s has no column %s for the events' names", file,
                        options->event_column);
        error_hint(error, "name it with --event-column, or give all events one name with --event");
        return STATUS_INVALID;
    }
    if (maker->time_column == COLUMN_NONE) {
        (void)error_set(error, STATUS_INVALID, "%s has no column %s for the events' times", file, options->time_column);
        error_hint(error, "name it with --time-column");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status row_maker_new(const char *file, const struct input_options *options, const struct str *header,
                          uint32_t count, struct error *error, struct row_maker **ret_maker)
{
    if (count == 0) return error_set(error, STATUS_INVALID, "%s has no header: its first row names the columns", file);
    if (count > ROW_COLUMNS_MAX)
        return error_set(error, STATUS_INVALID, "%s has more than %u columns", file, ROW_COLUMNS_MAX);
    struct row_maker *maker = calloc(1, sizeof *maker);
    if (maker) maker->names = calloc(count, sizeof *maker->names);
    if (!maker || !maker->names) abort();
    maker->text = BUF_INIT(ROW_BYTES_MAX);
    maker->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct str name = str_trim(header[i]);
        maker->names[i] = strndup(name.data ? name.data : "", name.size);
        if (!maker->names[i]) abort();
    }
    if (options->event.data) maker->event = strndup(options->event.data, options->event.size);
    enum status status = find_columns(maker, file, options, error);
    if (status != STATUS_OK) {
        row_maker_free(maker);
        return status;
    }
    *ret_maker = maker;
    return STATUS_OK;
}

static void write_cell(struct buf *buf, struct str cell)
{
    struct json number;
    if (str_is(cell, "true") || str_is(cell, "false") || json_number_of(cell, &number))
        buf_str_add(buf, cell);
    else
        json_write_str(buf, cell);
}

static bool write_time(struct buf *buf, struct str cell)
{
    struct json number;
    int64_t ms;
    bool zone;
    if (json_number_of(cell, &number)) {
        buf_str_add(buf, cell);
    } else if (civil_parse_datetime(cell, &ms, &zone)) {
        /* Milliseconds below 1e11 would be read as seconds. */
        if (ms % 1000 == 0 || (ms < INT64_C(100000000000) && ms > -INT64_C(100000000000)))
            json_write_double(buf, (double)ms / 1000);
        else
            json_write_int(buf, ms);
    } else {
        return false;
    }
    return true;
}

static struct str refuse(struct row_maker *maker, const struct str *fields, uint32_t count, const char *wrong,
                         const char **ret_wrong)
{
    buf_reset(&maker->text);
    for (uint32_t i = 0; i < count && maker->text.size < SHOWN_BYTES; i++) {
        if (i) buf_byte(&maker->text, ',');
        buf_str_add(&maker->text, str_slice(fields[i], 0, SHOWN_BYTES));
    }
    *ret_wrong = wrong;
    return buf_str(&maker->text);
}

struct str row_make(struct row_maker *maker, const struct str *fields, uint32_t count, const char **ret_wrong)
{
    struct buf *buf = &maker->text;
    if (count != maker->count)
        return refuse(maker, fields, count, "the row has another number of fields than the header", ret_wrong);
    buf_reset(buf);
    buf_lit(buf, "{\"event\":");
    json_write_str(buf, maker->event ? str_of(maker->event) : fields[maker->event_column]);
    buf_lit(buf, ",\"properties\":{\"time\":");
    if (!write_time(buf, str_trim(fields[maker->time_column])))
        return refuse(maker, fields, count, "the time is neither a number nor an ISO date and time", ret_wrong);
    for (uint32_t i = 0; i < count; i++) {
        if ((int)i == maker->event_column || (int)i == maker->time_column || fields[i].size == 0) continue;
        buf_byte(buf, ',');
        json_write_str(buf, str_of(maker->names[i]));
        buf_byte(buf, ':');
        /* Ids are texts, whatever they look like: 007 and 7 are two people. */
        bool id = strcmp(maker->names[i], "distinct_id") == 0 || maker->names[i][0] == '$';
        if (id)
            json_write_str(buf, fields[i]);
        else
            write_cell(buf, fields[i]);
    }
    buf_lit(buf, "}}");
    *ret_wrong = buf_status(buf) == STATUS_OK ? NULL : "the row is too long";
    return buf_str(buf);
}
