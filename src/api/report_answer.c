#include "api/report.h"

#include "base/civil.h"
#include "base/json.h"

static void write_cell(struct buf *body, const struct series *series, uint32_t bucket)
{
    double number = 0; /* Mixpanel has no other word for nothing */
    if (series) (void)series_number(series, bucket, &number);
    json_write_double(body, number);
}

void report_write_buckets(struct buf *body, const struct segmentation *result)
{
    buf_byte(body, '[');
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        if (b) buf_byte(body, ',');
        json_write_str(body, result->buckets[b]);
    }
    buf_byte(body, ']');
}

void report_write_series(struct buf *body, const struct segmentation *result, const struct series *series, bool sparse)
{
    bool any = false;
    buf_byte(body, '{');
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        double number;
        if (sparse && (!series || !series_number(series, b, &number) || number == 0)) continue;
        if (any) buf_byte(body, ',');
        any = true;
        json_write_str(body, result->buckets[b]);
        buf_byte(body, ':');
        write_cell(body, series, b);
    }
    buf_byte(body, '}');
}

static void write_json(struct buf *body, const struct report_table *table)
{
    buf_lit(body, "{\"data\":{\"series\":");
    report_write_buckets(body, table->result);
    buf_lit(body, ",\"values\":{");
    for (uint32_t s = 0; s < table->count; s++) {
        if (s) buf_byte(body, ',');
        json_write_str(body, table->series[s].label);
        buf_byte(body, ':');
        report_write_series(body, table->result, table->series[s].series, table->sparse);
    }
    buf_printf(body, "}},\"legend_size\":%u}", table->legend_size);
}

/* RFC 4180: quoted where the text asks for it. */
static void write_csv_text(struct buf *body, struct str text)
{
    bool quote = false;
    for (size_t i = 0; i < text.size && !quote; i++) quote = strchr(",\"\r\n", text.data[i]) && text.data[i];
    if (!quote) {
        buf_str_add(body, text);
        return;
    }
    buf_byte(body, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') buf_byte(body, '"');
        buf_byte(body, text.data[i]);
    }
    buf_byte(body, '"');
}

void report_write_csv(struct query_job *job, const struct report_table *table)
{
    struct buf *body = &job->body;
    job->content_type = "text/csv; charset=utf-8";
    buf_lit(body, "date");
    for (uint32_t s = 0; s < table->count; s++) {
        buf_byte(body, ',');
        write_csv_text(body, table->series[s].label);
    }
    buf_lit(body, "\r\n");
    for (uint32_t b = 0; b < table->result->bucket_count; b++) {
        buf_str_add(body, table->result->buckets[b]);
        for (uint32_t s = 0; s < table->count; s++) {
            buf_byte(body, ',');
            write_cell(body, table->series[s].series, b);
        }
        buf_lit(body, "\r\n");
    }
}

enum status report_table(struct query_job *job, const struct segmentation *result, struct report_table *ret_table)
{
    struct report_series *series = arena_new_array(job->request->arena, struct report_series, result->series_count + 1);
    if (!series) return error_set(&job->error, STATUS_LIMIT, "request needs too much memory");
    for (uint32_t s = 0; s < result->series_count; s++)
        series[s] = (struct report_series){result->series[s].label, &result->series[s]};
    *ret_table = (struct report_table){
        .result = result, .series = series, .count = result->series_count, .legend_size = result->label_count};
    return STATUS_OK;
}

enum status report_write(struct query_job *job, const struct report_table *table, bool csv)
{
    query_body_init(job);
    if (csv)
        report_write_csv(job, table);
    else
        write_json(&job->body, table);
    return query_body_check(job, "use a larger unit or a lower limit");
}

void report_write_time(struct buf *body, int64_t utc_ms)
{
    char text[19];
    civil_format_datetime(floor_div(utc_ms, 1000) * 1000, text);
    text[10] = 'T';
    buf_byte(body, '"');
    buf_add(body, text, sizeof text);
    buf_printf(body, ".%03d000+00:00\"", (int)(utc_ms - floor_div(utc_ms, 1000) * 1000));
}
