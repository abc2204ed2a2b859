/*
 * profiles_dump DIRECTORY PROJECT: the profiles of a project as JSON, an object a line, ordered: {"event", "id",
 * "properties"}. The directory must not be in use. For profiles.test.mjs, which compares what a server was told with
 * what it has.
 */
#include "identity/identity.h"
#include "os/fs.h"
#include "profile/update.h"
#include "store/profiles.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

struct line {
    char *text;
};

static struct line *lines;
static size_t line_count;

static int line_cmp(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static void check(enum status status, const struct error *error)
{
    if (status == STATUS_OK) return;
    fprintf(stderr, "profiles_dump: %s %s\n", error->primary, error->detail);
    exit(1);
}

static void add_row(struct snapshot *snapshot, struct scan *scan, struct str event, uint32_t row)
{
    struct error error = ERROR_INIT;
    struct buf out = BUF_INIT((size_t)16 << 20);
    const uint32_t *ids, *properties;
    size_t count;
    char room[ID_TEXT_ROOM];
    bool first = true;
    check(scan_ids(scan, &error, &ids), &error);
    check(scan_properties(scan, &error, &properties, &count), &error);
    buf_lit(&out, "{\"event\":");
    json_write_str(&out, event);
    buf_lit(&out, ",\"id\":");
    json_write_str(&out, snapshot_id_text(snapshot, ids[row], room));
    buf_lit(&out, ",\"properties\":{");
    for (size_t p = 0; p < count; p++) {
        struct vector vector;
        check(scan_property(scan, properties[p], &error, &vector), &error);
        struct value value = vector_at(&vector, row);
        if (value.type == VALUE_ABSENT) continue;
        if (!first) buf_byte(&out, ',');
        first = false;
        json_write_str(&out, snapshot_property_name(snapshot, properties[p]));
        buf_byte(&out, ':');
        value_write_json(&out, value);
    }
    buf_lit(&out, "}}");
    buf_byte(&out, 0);
    lines = realloc(lines, (line_count + 1) * sizeof *lines);
    if (!lines || buf_status(&out) != STATUS_OK) abort();
    lines[line_count++].text = buf_detach(&out);
}

int main(int argc, char **argv)
{
    struct error error = ERROR_INIT;
    struct store_options options;
    struct store_report report;
    struct store *store;
    struct snapshot *snapshot;
    struct scan *scan;
    struct scan_run run;
    if (argc != 3) return 2;
    store_options_defaults(&options);
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    check(os_posix_new(argv[1], &error, &options.fs), &error);
    check(store_open(&options, &error, &report, &store), &error);
    check(store_snapshot(store, store_profiles_of(strtoull(argv[2], NULL, 10)), &error, &snapshot), &error);
    struct scan_options all = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    check(scan_new(snapshot, &all, &error, &scan), &error);
    enum status status;
    while ((status = scan_next(scan, &error, &run)) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors; v++) {
            const uint8_t *live;
            uint32_t rows;
            check(scan_vector(scan, v, &error, &rows), &error);
            check(scan_live(scan, &error, &live), &error);
            for (uint32_t i = 0; i < rows; i++) {
                if (live[i]) add_row(snapshot, scan, snapshot_event_name(snapshot, run.event_id), i);
            }
        }
    }
    if (status != STATUS_NOT_FOUND) check(status, &error);
    if (line_count) qsort(lines, line_count, sizeof *lines, line_cmp);
    for (size_t i = 0; i < line_count; i++) {
        printf("%s\n", lines[i].text);
        free(lines[i].text);
    }
    free(lines);
    scan_free(scan);
    snapshot_free(snapshot);
    store_close(store);
    os_fs_free(options.fs);
    return 0;
}
